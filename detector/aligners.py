"""The aligners of a conversion: taught its pictures, kept in its work, put to use."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import astuple
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from detector.align import Aligned, Aligner, Check, Judges, Locator, align_fitted, half_of, may_judge, teach
from detector.alphabet import Alphabet
from detector.backends import shipped_detector
from detector.boxes import Align, Fitted, fitted, sample, shown, shown_ids
from detector.device import pick_device
from detector.errors import NotLearnedError
from detector.fit import shape_for
from detector.intake import Inputs, Progress
from detector.refine import DetectorLocator
from detector.sources import LabelledImage
from detector.text_lines import TextLines
from detector.work import Work, whole

log = logging.getLogger("detector")

_CHECKED = 500  # validation pictures that tell whether an aligner has learnt
_LEAST_HALF = 12  # pictures that a judge is taught on at least
_TEACHING = "teaching.pt"  # piece of kept work


def taught_aligners(
    inputs: Inputs,
    table: Alphabet,
    text_lines: TextLines,
    start: Path | None,
    budget: float,
    seed: int,
    device: str | None,
    work: Work,
    tell: Progress,
) -> tuple[Judges, Check]:
    """Aligners that have learnt these pictures, in the shape that suits them; the kept ones as far as there are any.

    Args:
        inputs, table, text_lines: the pictures, their alphabet and their lines.
        start: the aligner to start from; None from nothing.
        budget: multiplies the time that each is taught.
        seed: of teaching.
        device: as Ultralytics spells it.
        work: where they are kept.
        tell: called as the work goes on.

    Returns:
        The aligners, and how the general one reads pictures that it was not taught.

    Raises:
        NotLearnedError: if that reads next to none of them.
    """
    longest = max(len(shown(item.text, table)) for item in inputs.items)
    shape_hw = shape_for(text_lines.sizes_wh(inputs), longest)
    rng = np.random.default_rng(seed)
    train = sample([i for i in inputs.items if inputs.split[i.text] == "train"], shape_hw, rng)
    val = sample([i for i in inputs.items if inputs.split[i.text] == "val"], shape_hw, rng, _CHECKED)
    half = np.array([half_of(item.text) for item in train])  # (train,)

    @cache
    def pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        one, other = (fitted(some, shape_hw, text_lines.likeliest(some))[0] for some in (train, val))
        return one, other

    def aligner(name: str, what: str, picked: NDArray[np.intp]) -> tuple[Aligner, Check]:
        path = work.path(f"{name}.pt")
        if path.is_file():
            try:
                return _kept(path, device)
            except torch.OutOfMemoryError:
                raise  # not the file's fault
            except Exception as error:  # a damaged file makes pickle raise nearly anything
                work.drop(path, error)
        images, checked = pictures()
        made, check = teach(
            images[picked] if len(picked) < len(images) else images,
            [shown_ids(train[i], table) for i in picked],
            table.symbols,
            check=(checked, [shown_ids(item, table) for item in val]),
            start=start,
            budget=budget,
            seed=seed,
            device=device,
            progress=lambda step, steps, said: tell(f"{what} ({said})", step, steps),
            checkpoint=work.path(_TEACHING),
        )
        with whole(path) as part:
            torch.save({**made.state(torch.float32), "shape_hw": shape_hw, "check": astuple(check)}, part)
        work.path(_TEACHING).unlink(missing_ok=True)
        # Also the one that was just taught comes from the file: a run that goes on has no other.
        return _kept(path, device)

    general, check = aligner("aligner", "align", np.arange(len(train)))
    if not check.learnt:
        raise NotLearnedError(
            f"The aligner did not learn to read these pictures: of {check.pictures} that it was not taught it read "
            f"{check.exact_match:.1%} exactly, with a character error rate of {check.cer:.0%}. Boxes cut by it would "
            "not be worth training on, so none were written. Check some labels against their pictures, add pictures "
            f"({len(train)} were taught), or give it more time with --budget {2 * budget:g}."
            f"{' If they show two lines of text, say --lines 2.' if text_lines.untold else ''}"
        )
    if not may_judge(check):
        log.info("labels are not judged: the aligner reads %.0f%% of what it was not taught", 100 * check.exact_match)
        return Judges(general, None, believed=False), check
    # From nothing, half of a small set is often too little to learn from at all, and takes three times as long.
    if start is None or min((half == 0).sum(), (half == 1).sum()) < _LEAST_HALF:
        return Judges(general, None), check
    one, other = (aligner(f"half-{k}", f"judge {k + 1} of 2", np.flatnonzero(half == k))[0] for k in (0, 1))
    return Judges(general, (one, other)), check


def _kept(path: Path, device: str | None) -> tuple[Aligner, Check]:
    check = Check(*torch.load(path, map_location="cpu", weights_only=True)["check"])
    return Aligner.load(path, device=pick_device(device)), check


def judge_of_lines(start: Path | None, table: Alphabet, device: torch.device) -> Aligner | None:
    """The shipped aligner as it is, where it knows all symbols."""
    if start is None:
        return None
    aligner = Aligner.load(start, device=device)
    return aligner if {*table.symbols} <= {*aligner.symbols} else None


def aligning(judges: Judges, inputs: Inputs, table: Alphabet, from_nothing: bool, device: str | None) -> Align:
    """Boxes of fitted pictures by the aligners and, where it knows symbols, the shipped detector."""
    locate = None if from_nothing else _shipped_locator(table, device)

    def align(items: Sequence[LabelledImage], pictures: Fitted) -> list[Aligned | None]:
        images, fits = zip(*pictures, strict=True)
        strings = [shown_ids(item, table) for item in items]
        taught = [half_of(item.text) if inputs.split[item.text] == "train" else None for item in items]
        return align_fitted(judges, np.stack(images), fits, strings, taught, locate)

    return align


def _shipped_locator(table: Alphabet, device: str | None) -> Locator | None:
    from detector._ultralytics import Network

    weights = shipped_detector(table.symbols)
    return None if weights is None else DetectorLocator(Network(weights, pick_device(device)), table)
