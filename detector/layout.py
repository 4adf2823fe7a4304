"""Where a text's blanks are: from character boxes to the places of blanks, and how that rule is found.

Two layouts. ``slots``: a fixed pitch across the picture, so that a box's place says which slot it fills.
``flow``: proportional text, where a wide gap between neighbours is a blank. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ENOUGH_SLOTS = 0.98  # share of texts that fixed slots must explain to be believed


MEASURES = ("gap", "pitch", "excess", "ratio")

_PLAIN_SHARE = 0.4  # quantile of a picture's distances that is taken for plain neighbours: blanks are fewer


@dataclass(frozen=True)
class Layout:
    """The rule of one set.

    Args:
        kind: "flow" or "slots".
        measure: for flow, how far neighbours stand apart: "gap" from edge to edge or "pitch" from centre to
            centre, as multiples of the picture's median character height; "excess", the gap over the picture's
            own plain gap; or "ratio", the pitch divided by the picture's own plain pitch. The last two suit
            sets whose letters are spaced differently from picture to picture.
        thresholds: for flow, increasing; a measure at or over the k-th means k blanks. Empty: no blanks.
        origin, pitch: for slots, centre of the first slot and distance of slots, as shares of the width.
    """

    kind: str = "flow"
    measure: str = "gap"
    thresholds: tuple[float, ...] = ()
    origin: float = 0.0
    pitch: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(float(t) for t in self.thresholds))
        if self.kind not in ("flow", "slots") or self.measure not in MEASURES:
            measures = ", ".join(MEASURES)
            raise ValueError(f"a layout is flow or slots by {measures}; got {self.kind!r}, {self.measure!r}")
        if self.kind == "slots" and not self.pitch > 0:
            raise ValueError(f"slots need a pitch above 0, got {self.pitch}")

    def places(self, boxes_xyxy: NDArray[np.float32], width: float, length: int) -> NDArray[np.int64]:
        """Index in the string of each box; strictly increasing, so the skipped indices are blanks.

        Args:
            boxes_xyxy: (n, 4), in reading order, n <= length.
            width: of the picture, in the boxes' pixels.
            length: symbols that a string may have; places stay below it as far as n allows.
        """
        count = len(boxes_xyxy)
        if count == 0:
            return np.zeros(0, np.int64)
        if self.kind == "slots":
            centres = boxes_xyxy[:, [0, 2]].astype(np.float64).sum(1) / 2 / width
            wanted = np.clip(np.rint((centres - self.origin) / self.pitch), -1, 2 * length).astype(np.int64)
        else:
            blanks = np.searchsorted(self.thresholds, _measure(boxes_xyxy, self.measure), side="right")
            wanted = np.r_[0, np.cumsum(blanks + 1)].astype(np.int64)
        order = np.arange(count)
        rising = np.maximum.accumulate(np.maximum(wanted, 0) - order) + order
        latest = max(length, count) - count + order  # what the boxes still to come leave free
        return np.minimum(rising, latest).astype(np.int64)


def _measure(boxes_xyxy: NDArray[np.float32], measure: str) -> NDArray[np.float64]:
    """Distance of each box from the one before, (n - 1,)."""
    boxes = boxes_xyxy.astype(np.float64)
    height = max(float(np.median(boxes[:, 3] - boxes[:, 1])), 1e-6)
    gap = (boxes[1:, 0] - boxes[:-1, 2]) / height
    if measure == "gap" or not len(gap):
        return np.asarray(gap)
    if measure == "excess":
        return np.asarray(gap - np.quantile(gap, _PLAIN_SHARE))
    pitch = np.diff((boxes[:, 0] + boxes[:, 2]) / 2) / height
    if measure == "pitch":
        return np.asarray(pitch)
    return np.asarray(pitch / max(float(np.quantile(pitch, _PLAIN_SHARE)), 1e-6))


def find_layout(
    boxes: Sequence[NDArray[np.float32]], texts: Sequence[str], widths: Sequence[float], length: int, blank: str = " "
) -> tuple[Layout, float]:
    """The layout that explains most texts, and the share it explains.

    Args:
        boxes: of each picture, (n, 4), one for every symbol but the blank, in reading order.
        texts: of each picture, blanks included.
        widths: of each picture, in the boxes' pixels.
        length: symbols that a string may have.
    """
    places = [np.flatnonzero([symbol != blank for symbol in text]) for text in texts]
    usable = [i for i, (b, p) in enumerate(zip(boxes, places, strict=True)) if len(b) == len(p) and len(b)]
    if not usable or all(len(places[i]) == places[i][-1] + 1 for i in usable):
        return Layout(), 1.0  # no blanks but at the end: nothing to find

    def explained(layout: Layout) -> float:
        right = sum(np.array_equal(layout.places(boxes[i], widths[i], length), places[i]) for i in usable)
        return right / len(usable)

    candidates = [_fit_flow([boxes[i] for i in usable], [places[i] for i in usable], m) for m in MEASURES]
    slots = _fit_slots([boxes[i] for i in usable], [places[i] for i in usable], [widths[i] for i in usable])
    scored = [(explained(c), c) for c in candidates]
    if slots is not None and (share := explained(slots)) >= _ENOUGH_SLOTS:
        scored.insert(0, (share, slots))
    share, layout = max(scored, key=lambda pair: pair[0])
    return layout, share


def _fit_flow(boxes: list[NDArray[np.float32]], places: list[NDArray[np.intp]], measure: str) -> Layout:
    """The threshold between neighbours and neighbours with a blank between that errs least."""
    pairs = [(i, p) for i, p in enumerate(places) if len(p) > 1]
    if not pairs:
        return Layout("flow", measure)
    distance = np.concatenate([_measure(boxes[i], measure) for i, _ in pairs])
    blanks = np.concatenate([np.diff(p) - 1 for _, p in pairs])
    if not (blanks > 0).any():
        return Layout("flow", measure)
    order = np.argsort(distance)
    distance, blanks = distance[order], blanks[order]
    # Errors of a threshold before place i: blanks below it and plain neighbours from it on.
    errors = np.r_[0, np.cumsum(blanks > 0)] + np.r_[np.cumsum((blanks == 0)[::-1])[::-1], 0]
    best = np.flatnonzero(errors == errors.min())
    at = int(best[len(best) // 2])
    low = distance[at - 1] if at else distance[0] - 1
    high = distance[at] if at < len(distance) else distance[-1] + 1
    first = float(low + high) / 2
    plain, single = distance[blanks == 0], distance[blanks == 1]
    step = max(float(np.median(single) - np.median(plain)), 0.001) if len(plain) and len(single) else max(first, 0.1)
    return Layout("flow", measure, tuple(first + k * step for k in range(int(max(3, blanks.max())))))


def _fit_slots(boxes: list[NDArray[np.float32]], places: list[NDArray[np.intp]], widths: list[float]) -> Layout | None:
    """A straight line from slot number to relative centre, by least squares."""
    centres = np.concatenate([(b[:, 0] + b[:, 2]) / 2 / w for b, w in zip(boxes, widths, strict=True)])
    number = np.concatenate(places).astype(np.float64)
    if len(np.unique(number)) < 2:
        return None
    pitch, origin = np.polyfit(number, centres.astype(np.float64), 1)
    return Layout("slots", origin=float(origin), pitch=float(pitch)) if pitch > 1e-4 else None
