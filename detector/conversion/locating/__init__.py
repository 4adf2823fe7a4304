"""Where each symbol of a known string stands in its picture, by a detector that is told the string."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.conversion.locating.boxes import (
    BoxStore,
    LatestBoxes,
    locate_all,
    picture_of,
    visible_ids,
    visible_symbols,
)
from detector.conversion.locating.cross_fitting import CrossFitted
from detector.conversion.locating.detectors import shipped_network
from detector.conversion.locating.locator import Locator
from detector.conversion.locating.run import Run
from detector.conversion.locating.self_training import ENOUGH_EXPLAINED, MIN_PICTURES, SelfTraining, Trained
from detector.data.labels.sources import LabelledImage
from detector.data.letterbox import shape_for
from detector.errors import NotLearnedError
from detector.networks.network import Network
from detector.text.metrics import wilson_interval

log = logging.getLogger("detector")

_SAMPLE_SIZE = 200  # pictures that tell whether labels suit their pictures better than others' labels do
_SUITED = 0.6  # share of them that must; half do by chance

__all__ = ["LocatedLabels", "locate_labels"]


@dataclass(frozen=True)
class LocatedLabels:
    """Boxes and scores of all labels of a set.

    Args:
        boxes: of each picture.
        explained: share of the labels that are read by a detector that was not trained on them, round by round; the
            first one is the shipped detector's. The last one is of all pictures, the others of those in rounds.
        shape_hw: of the input of a network for this set.
        learnt: file of what the last detector has learnt, of no held-out picture; None where there is none.
    """

    boxes: LatestBoxes
    explained: tuple[float, ...]
    shape_hw: tuple[int, int]
    learnt: Path | None = None


def locate_labels(run: Run) -> LocatedLabels:
    """Locate all labels with the shipped detector, then by self-training where needed, and score those not read.

    Raises:
        NotLearnedError: if labels do not suit their pictures better than those of other pictures do.
    """
    shipped_boxes, shipped_locator = _located_by_shipped(run, shipped_network(run.settings.device))
    shape_hw = _shape(run, shipped_boxes)
    self_training = SelfTraining(run, shape_hw)
    trained = self_training(shipped_boxes, shipped_locator)
    _check_suited(run, trained)
    return LocatedLabels(*self_training.all_located(trained), shape_hw, self_training.learnt(trained))


def _located_by_shipped(run: Run, network: Network) -> tuple[BoxStore, Locator]:
    """Locate with the labels; where the shipped classes mean nothing in this set, with the number of symbols only.

    Of a large set some pictures: what locates the others is known after self-training.
    """
    items = run.round_items
    by_label = run.locator(network)
    if by_label.by_class:
        store = _boxes_by(by_label, run, "boxes")
        explained = float(np.mean([store[item].located.agrees for item in items]))
        if explained >= ENOUGH_EXPLAINED or np.mean(_suited(run, items, lambda _: by_label)) >= _SUITED:
            return store, by_label
    log.info("what the shipped detector reads has nothing to do with these labels: it only says where symbols are")
    by_count = run.locator(network, by_class=False)
    return _boxes_by(by_count, run, "counted"), by_count


def _boxes_by(locator: Locator, run: Run, kind: str) -> BoxStore:
    store = BoxStore(run.resume, kind)
    detectors = CrossFitted((locator,), run.settings.alphabet)
    locate_all(run.round_items, store, partial(detectors.locate, 0), run.progress, "locate")
    return store


def _shape(run: Run, boxes: BoxStore) -> tuple[int, int]:
    """Choose height and width of the network's input for these pictures, by how many lines they have."""
    lines = [boxes[item].located.lines for item in run.round_items]
    if max(lines) == 1:
        longest = max(run.counts)
    else:  # a few lines may be misjudged
        counts = [len(visible_symbols(item.text, run.settings.alphabet)) for item in run.round_items]
        longest = int(np.quantile(np.ceil(np.array(counts) / np.array(lines)), 0.9))
    return shape_for(run.inputs.sizes_wh, longest, float(np.mean(lines)))


def _suited(
    run: Run, items: Sequence[LabelledImage], locator_of: Callable[[LabelledImage], Locator]
) -> NDArray[np.bool_]:
    """Test, for a sample of the items, whether the label suits its picture better than another label of its length."""
    rng = np.random.default_rng(run.settings.seed)
    sample = [items[i] for i in np.sort(rng.permutation(len(items))[:_SAMPLE_SIZE])]
    by_count: dict[int, list[str]] = {}
    for labelled, count in zip(run.inputs.items, run.counts, strict=True):
        by_count.setdefault(count, []).append(labelled.text)
    alphabet, suited = run.settings.alphabet, []
    for item in sample:
        label = visible_ids(item.text, alphabet)
        as_long = [text for text in by_count[len(label)] if text != item.text]
        as_long = as_long or [labelled.text for labelled in run.inputs.items if labelled.text != item.text]
        other_label = visible_ids(as_long[int(rng.integers(len(as_long)))], alphabet)
        suited.append(locator_of(item).identified([picture_of(item)], [label], [other_label])[0])
    return np.array(suited, bool)


def _check_suited(run: Run, trained: Trained) -> None:
    """Refuse labels that suit their pictures no better than others, by detectors that were trained on neither.

    Raises:
        NotLearnedError: saying how many do.
    """
    items = run.round_items
    unexplained = [item for item in items if not trained.boxes[item].located.agrees]
    if not unexplained:
        return
    if not trained.by_class:  # there was too little to train on
        count = sum(run.inputs.split[item.text] == "train" for item in items)
        raise NotLearnedError(
            f"The shipped detector reads {trained.explained[0]:.1%} of the labels as they are: it does not know these "
            "symbols, or the labels have nothing to do with their pictures. To learn new symbols, "
            f"{count} pictures to train on are too few, or it sees no characters in them: {2 * MIN_PICTURES} are about "
            "the least. Check some labels against their pictures, or add pictures."
        )
    suited = _suited(run, unexplained, trained.detectors.locator)
    share = 1 - (1 - float(np.mean(suited))) * len(unexplained) / len(items)  # those that are read as they are do suit
    low, _ = wilson_interval(round(share * len(items)), len(items))
    if share < _SUITED or low <= 0.5:
        raise NotLearnedError(
            f"The labels have nothing to do with their pictures, as far as can be told: {trained.explained[-1]:.1%} of "
            f"{len(items)} are read as they are, and only {share:.0%} suit their picture better than another label "
            "does, where half do by chance. Boxes would not be worth training on, so none were written. Check some "
            "labels against their pictures, or add pictures."
        )
