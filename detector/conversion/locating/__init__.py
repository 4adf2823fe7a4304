"""Where each symbol of a known string stands in its picture, by a detector that is told the string."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.conversion.locating.boxes import BoxStore, LatestBoxes, locate_all, opened, shown, shown_ids
from detector.conversion.locating.locator import Image, Located, Locator
from detector.conversion.locating.run import Run
from detector.conversion.locating.self_training import ENOUGH, MIN_PICTURES, SelfTraining, Trained
from detector.data.labels.sources import LabelledImage
from detector.data.letterbox import shape_for
from detector.data.parallel import cores
from detector.errors import NotLearnedError
from detector.networks.network import Network
from detector.networks.shipped import SHIPPED
from detector.reading.opening import open_network
from detector.text.metrics import wilson_interval

log = logging.getLogger("detector")

_ASKED = 200  # pictures that tell whether labels suit their pictures better than others' labels do
_SUITED = 0.6  # share of them that must; half do by chance

__all__ = ["LocatedLabels", "locate_labels"]


@dataclass(frozen=True)
class LocatedLabels:
    """Boxes and scores of all labels of a set.

    Args:
        boxes: of each picture.
        shape_hw: of the input of a network for this set.
        explained: share of the labels that are read by a detector that was not trained on them, round by round; the
            first one is the shipped detector's.
    """

    boxes: LatestBoxes
    shape_hw: tuple[int, int]
    explained: tuple[float, ...]


def locate_labels(run: Run) -> LocatedLabels:
    """Locate all labels: by the shipped detector, by self-training where needed; then score the labels.

    Raises:
        NotLearnedError: if labels do not suit their pictures better than those of other pictures do.
    """
    network = open_network(SHIPPED, run.settings.device, None)
    first, shipped = _located_by_shipped(run, network)
    shape_hw = _shape(run, first)
    trained = SelfTraining(run, shape_hw)(first, shipped)
    _check_suited(run, trained)
    return LocatedLabels(_scored(run, trained), shape_hw, trained.explained)


def _located_by_shipped(run: Run, network: Network) -> tuple[BoxStore, Locator]:
    """Locate with the labels, or, if the shipped classes mean nothing in this set, with the number of symbols only."""
    items = run.inputs.items
    told = run.locator(network)
    if told.by_class:
        store = _located(run, told, "boxes")
        explained = float(np.mean([store[item].located.agrees for item in items]))
        if explained >= ENOUGH or np.mean(_suited(run, items, lambda _: told)) >= _SUITED:
            return store, told
    log.info("what the shipped detector reads has nothing to do with these labels: it only says where symbols are")
    counting = run.locator(network, by_class=False)
    return _located(run, counting, "counted"), counting


def _located(run: Run, locator: Locator, kind: str) -> BoxStore:
    store = BoxStore(run.resume, kind)

    def locate(some: Sequence[LabelledImage], images: Sequence[Image]) -> list[Located]:
        return locator.locate(images, run.labels(some))

    locate_all(run.inputs.items, store, locate, run.tell, "locate", cores())
    return store


def _shape(run: Run, boxes: BoxStore) -> tuple[int, int]:
    """Height and width of the input of a network for these pictures, by how many lines they have."""
    lines = [boxes[item].located.lines for item in run.inputs.items]
    symbols = np.ceil(np.array(run.counts) / np.array(lines))
    longest = int(max(symbols) if max(lines) == 1 else np.quantile(symbols, 0.9))  # a few lines may be misjudged
    return shape_for(run.inputs.sizes_wh, longest, float(np.mean(lines)))


def _suited(
    run: Run, items: Sequence[LabelledImage], locator_of: Callable[[LabelledImage], Locator]
) -> NDArray[np.bool_]:
    """Of some of the items, whether the label suits its picture better than another label as long does."""
    rng = np.random.default_rng(run.settings.seed)
    some = [items[i] for i in np.sort(rng.permutation(len(items))[:_ASKED])]
    by_count: dict[int, list[str]] = {}
    for one, count in zip(run.inputs.items, run.counts, strict=True):
        by_count.setdefault(count, []).append(one.text)
    suited = []
    for item in some:
        label = shown_ids(item, run.settings.table)
        as_long = [text for text in by_count[len(label)] if text != item.text]
        as_long = as_long or [one.text for one in run.inputs.items if one.text != item.text]
        other = run.settings.table.encode(
            [shown(as_long[int(rng.integers(len(as_long)))], run.settings.table)], run.settings.length
        )[0]
        suited.append(locator_of(item).identified([opened(item)], [label], [other[other < len(run.settings.table)]])[0])
    return np.array(suited, bool)


def _check_suited(run: Run, trained: Trained) -> None:
    """Refuse labels that suit their pictures no better than others do, as far as a detector can tell that saw neither.

    Raises:
        NotLearnedError: saying how many do.
    """
    items = run.inputs.items
    unexplained = [item for item in items if not trained.boxes[item].located.agrees]
    if not unexplained:
        return
    if not trained.locators[0].by_class:  # there was too little to train on
        count = sum(run.inputs.split[item.text] == "train" for item in items)
        raise NotLearnedError(
            f"The shipped detector reads {trained.explained[0]:.1%} of the labels as they are: it does not know these "
            "symbols, or the labels have nothing to do with their pictures. To learn new symbols, "
            f"{count} pictures to train on are too few, or it sees no characters in them: {2 * MIN_PICTURES} are about "
            "the least. Check some labels against their pictures, or add pictures."
        )
    suited = _suited(run, unexplained, trained.locator)
    share = 1 - (1 - float(np.mean(suited))) * len(unexplained) / len(items)  # those that are read as they are do suit
    low, _ = wilson_interval(round(share * len(items)), len(items))
    if share < _SUITED or low <= 0.5:
        raise NotLearnedError(
            f"The labels have nothing to do with their pictures, as far as can be told: {trained.explained[-1]:.1%} of "
            f"{len(items)} are read as they are, and only {share:.0%} suit their picture better than another label "
            "does, where half do by chance. Boxes would not be worth training on, so none were written. Check some "
            "labels against their pictures, or add pictures."
        )


def _calibrate(run: Run, trained: Trained, locator: Locator) -> None:
    """Calibrate a locator on some of the pictures that are read as labelled."""
    sure = [i for i in run.inputs.items if trained.boxes[i].located.agrees and trained.boxes[i].located.lines == 1]
    held_out = [item for item in sure if run.inputs.split[item.text] != "train"]
    sure = held_out if len(held_out) >= MIN_PICTURES else sure
    rng = np.random.default_rng(run.settings.seed)
    some = [sure[i] for i in np.sort(rng.permutation(len(sure))[:_ASKED])]
    if some:
        locator.calibrate([opened(item) for item in some], run.labels(some))


def _scored(run: Run, trained: Trained) -> LatestBoxes:
    """Add the log probability of each label that is not read as labelled."""
    unexplained = [item for item in run.inputs.items if not trained.boxes[item].located.agrees]
    store = BoxStore(run.resume, "scored")
    if not trained.locators[0].by_class:
        return trained.boxes

    def locate(items: Sequence[LabelledImage], images: Sequence[Image]) -> list[Located]:
        labels = run.labels(items)
        right = np.zeros(len(items))
        for locator in trained.locators:
            mine = [i for i, item in enumerate(items) if trained.locator(item) is locator]
            if mine:
                right[mine] = locator.score([images[i] for i in mine], [labels[i] for i in mine])
        return [replace(trained.boxes[item].located, right=float(one)) for item, one in zip(items, right, strict=True)]

    if not all(item in store for item in unexplained):
        for locator in trained.locators:
            _calibrate(run, trained, locator)
    locate_all(unexplained, store, locate, run.tell, "score", cores())
    return trained.boxes.then(store)
