"""Where each symbol of a known string stands in its picture: align, then cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detector.align.cut import MARGIN, cut
from detector.align.doubt import Evidence, Judges, half_of, label_log_probs, may_judge, wrong_labels
from detector.align.network import COLUMN
from detector.align.relocate import relocate
from detector.align.teaching import SHIPPED, Aligner, Check, teach
from detector.align.viterbi import force_align
from detector.alphabet import DEFAULT_SYMBOLS
from detector.fit import Fit

__all__ = [
    "Aligned", "Aligner", "Check", "Evidence", "Judges", "Locator", "align_fitted", "half_of", "judged",
    "label_log_probs", "may_judge", "relocated", "shipped_aligner", "stage_name", "teach", "wrong_labels",
]  # fmt: skip

_CUT, _DETECTED = 0, 1


# Logit of the probability that a box's centre lies in the one that a person drew, and its slope against the logit of
# the aligner's own: fitted to words-iiit5k, checked on other sets by `tools/box_quality.py`. Where the detector sees
# the symbol at the aligned place, it hardly matters how sure the aligner was.
_LOGIT_CUT, _LOGIT_DETECTED, _LOGIT_NO_INK, _SLOPE = 1.9, 4.6, -0.7, 0.22

# Log of how much likelier a detector that was not taught a label reads it if it is right: on digits-orand-car, with
# labels spoilt by `tools/suspects.py`, 307 of 365 right ones against 1 of 36 wrong ones.
_EXPLAINED = 3.4


class Locator(Protocol):
    """A detector that is asked where known symbols stand.

    Attributes:
        class_ids: int64 (symbols,), its class of each of the aligner's symbols, -1 where it has none.
    """

    class_ids: NDArray[np.int64]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, 4 + classes, places) of fitted pictures uint8 (n, H, W, 3): cx, cy, w, h in pixels, scores."""
        ...


@dataclass(frozen=True)
class Aligned:
    """Characters of one picture.

    Args:
        boxes_xyxy: float32 (n, 4), in its own pixels, left to right.
        confidence: float64 (n,), probability that the box is that of its symbol, if the label is right.
        aligner: float64 (n,), how sure the aligner was that the symbol is there.
        stage: int64 (n,), what made each box: see :func:`stage_name`.
        read: class ids of what was read blind to the label, by an aligner that was not taught it.
        right: log probability that it gives to the label.
        explained: whether the detector of the last refinement reads the label by itself.
        vouched: log of how much likelier that is if the label is right; 0 where every such detector was taught it.
        lines: of text that the picture was taken to have.
    """

    boxes_xyxy: NDArray[np.float32]
    confidence: NDArray[np.float64]
    aligner: NDArray[np.float64]
    stage: NDArray[np.int64]
    read: NDArray[np.int64]
    right: float
    explained: bool = False
    vouched: float = 0.0
    lines: int = 1


def stage_name(stage: int) -> str:
    """What made a box: "cut" from the ink, "detected" by the shipped detector, or that of a round of refinement."""
    return ("cut", "detected")[stage] if stage <= _DETECTED else f"refined-{stage - _DETECTED}"


def shipped_aligner(symbols: str) -> Path | None:
    """The packaged aligner's weights, if they know at least half of these symbols."""
    known = len(set(symbols) & set(DEFAULT_SYMBOLS))
    return SHIPPED if SHIPPED.is_file() and 2 * known >= len(symbols) else None


def align_fitted(
    judges: Judges,
    images: NDArray[np.uint8],
    fits: Sequence[Fit],
    strings: Sequence[NDArray[np.int64]],
    taught: Sequence[int | None],
    locate: Locator | None = None,
) -> list[Aligned | None]:
    """Boxes of known strings.

    Args:
        judges: taught on such pictures; the general one aligns.
        images: uint8 (n, H, W, 3), fitted.
        fits: how each one was fitted.
        strings: class ids of each one's symbols, blanks of the text left out.
        taught: half of the training pictures that each one is in, None for others; see :class:`Judges`.
        locate: a detector's raw output for fitted pictures, and the aligner's class ids in its own.

    Returns:
        One a picture; None where the string does not fit into the columns.
    """
    found: list[Aligned | None] = []
    log_probs = judges.general.log_probs(images)
    paths = force_align(log_probs, list(strings))
    blind = judges.evidence(images, taught, strings, log_probs)
    seen = locate(images) if locate is not None else [None] * len(images)
    judged = zip(blind.read, blind.right.tolist(), strict=True)
    for image, back, path, string, output, (read, right) in zip(
        images, fits, paths, strings, seen, judged, strict=True
    ):
        if path is None:
            found.append(None)
            continue
        inner_h, inner_w = round(back.height * back.scale_y), round(back.width * back.scale_x)
        inner = image[back.top : back.top + inner_h, back.left : back.left + inner_w]  # without padding
        centres = (path.centre + 0.5) * COLUMN - back.left
        spans = np.stack([path.first, path.last + 1], 1).astype(np.float64) * COLUMN - back.left
        made = cut(np.ascontiguousarray(inner), centres, spans)
        boxes = made.boxes_xyxy + np.array([back.left, back.top] * 2, np.float32)
        taken = np.zeros(len(boxes), bool)
        if locate is not None and output is not None:
            boxes, taken = relocate(boxes, locate.class_ids[string], output)
        confidence = _calibrated(path.confidence, made.told_apart, taken)
        placed = _with_area(_with_margin(boxes, back), back.width, back.height)
        stage = np.where(taken, _DETECTED, _CUT).astype(np.int64)
        found.append(Aligned(placed, confidence, path.confidence, stage, read, right))
    return found


def relocated(
    aligned: Aligned, back: Fit, class_ids: NDArray[np.int64], output: NDArray[np.float32], number: int
) -> Aligned:
    """The same picture after a round of refinement: its detector's boxes where it sees the known symbols.

    Args:
        aligned: before it.
        back: how the picture was fitted.
        class_ids: of its symbols, in the detector's own; -1 for one that it does not know.
        output: the detector's, (4 + classes, places), in pixels of the fitted picture.
        number: of the round, from 1.
    """
    boxes, taken = relocate(back.to_fitted(aligned.boxes_xyxy), class_ids, output)
    placed = _with_area(back.to_picture(boxes), back.width, back.height)
    return replace(
        aligned,
        boxes_xyxy=np.where(taken[:, None], placed, aligned.boxes_xyxy),
        confidence=np.where(taken, _calibrated(aligned.aligner, taken, taken), aligned.confidence),
        stage=np.where(taken, _DETECTED + number, aligned.stage),
    )


def judged(aligned: Aligned, explained: bool, taught: bool) -> Aligned:
    """The same picture after a detector read it.

    Args:
        aligned: before it.
        explained: whether the detector reads the label by itself.
        taught: whether it was taught the label: then it is no witness.
    """
    witness = _EXPLAINED if explained and not taught else 0.0
    return replace(aligned, explained=explained, vouched=max(witness, aligned.vouched))


def _with_margin(boxes_xyxy: NDArray[np.float32], back: Fit) -> NDArray[np.float32]:
    """Boxes (n, 4) of the fitted picture, with a pixel of margin there, in the picture with a pixel of its own.

    Where the picture was made smaller its own pixel is finer than anything that was seen, and the coarser stays.
    """
    scale = np.array([back.scale_x, back.scale_y], np.float32)
    more = MARGIN * np.maximum(scale - 1, 0)
    return back.to_picture(boxes_xyxy + np.concatenate([-more, more]))


def _with_area(boxes_xyxy: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Boxes (n, 4) at least a pixel wide and high: one that was aligned to the padding is clipped to a line."""
    limit = np.array([width, height], np.float32)
    middle = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    half = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 1) / 2
    middle = np.clip(middle, half, limit - half)
    return np.concatenate([middle - half, middle + half], 1).astype(np.float32)


def _calibrated(
    aligned: NDArray[np.float64], told_apart: NDArray[np.bool_], detected: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Probability that each box is right, from the aligner's and from how the box was made; all (n,)."""
    sure = np.clip(aligned, 1e-6, 1 - 1e-6)
    made = np.where(detected, _LOGIT_DETECTED, _LOGIT_CUT + np.where(told_apart, 0.0, _LOGIT_NO_INK))
    probability: NDArray[np.float64] = 1 / (1 + np.exp(-made - _SLOPE * np.log(sure / (1 - sure))))
    return probability
