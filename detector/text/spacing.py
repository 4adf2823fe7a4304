"""Where a text's spaces are: from character boxes to the places of spaces, and how that rule is found.

Two layouts. ``fixed``: a fixed pitch across the picture, so that a box's place says which cell it fills.
``proportional``: a wide gap between neighbours is a space. Text of several lines is read from top to bottom; with a
fixed pitch every line has as many cells. Boxes here are those of straight text (:mod:`detector.text.line_grouping`).
Pure numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.text.line_grouping import MAX_LINES, deskew_picture, reading_order

_ENOUGH_FIXED = 0.98  # share of texts that a fixed pitch must explain to be believed


MEASURES = ("gap", "pitch", "excess", "ratio")

_ENOUGH_ORDER = 0.98  # share of texts whose order so many lines must give, before more are tried
_ENOUGH_SPACES = 5  # runs of so many spaces, that show how wide they are
_NEARLY_ALL = 0.95
_PLAIN_SHARE = 0.4  # quantile of a picture's distances that is taken for plain neighbours: spaces are fewer


@dataclass(frozen=True)
class TextLayout:
    """The rule of one set.

    Args:
        kind: "proportional" or "fixed".
        measure: for proportional text, how far neighbours stand apart: "gap" from edge to edge or "pitch" from centre
            to centre, as multiples of the picture's median character height; "excess", the gap over the picture's own
            plain gap; or "ratio", the pitch divided by the picture's own plain pitch. The last two suit sets whose
            letters are spaced differently from picture to picture.
        thresholds: for proportional text, increasing; a measure at or over the k-th means k spaces. Empty: no spaces.
        origin, pitch: for a fixed pitch, centre of the first cell and distance of cells, as shares of the width.
        max_plain: for "excess" and "ratio", the greatest distance that is taken for a plain one: a string may be
            all spaces inside. None where there is no such bound.
        lines: that a text may have.
        between_lines: for proportional text, spaces that a string has where one line ends and the next begins.
        lowest_line: a line whose characters are lower than this share of another line's is other text, and not read.
        stacked: whether lines are two only where characters of one stand below those of the other. For pictures that
            may have two lines or one whose characters float up and down, however far; one or two small characters are
            no line there. Where all have two, a short line may stand above a space.
    """

    kind: str = "proportional"
    measure: str = "gap"
    thresholds: tuple[float, ...] = ()
    origin: float = 0.0
    pitch: float = 0.0
    max_plain: float | None = None
    lines: int = 1
    between_lines: int = 0
    lowest_line: float = 0.0
    stacked: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(float(t) for t in self.thresholds))
        if self.kind not in ("proportional", "fixed") or self.measure not in MEASURES:
            measures = ", ".join(MEASURES)
            raise ValueError(f"a layout is proportional or fixed by {measures}; got {self.kind!r}, {self.measure!r}")
        if self.kind == "fixed" and not self.pitch > 0:
            raise ValueError(f"a fixed pitch must be above 0, got {self.pitch}")
        if not (1 <= self.lines <= MAX_LINES and self.between_lines >= 0):
            raise ValueError(
                f"a layout has 1 to {MAX_LINES} lines and no less than 0 spaces between them, "
                f"got {self.lines} and {self.between_lines}"
            )

    def places(
        self, boxes_xyxy: NDArray[np.floating], width: float, length: int, line: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Index in the string of each box; strictly increasing, so the skipped indices are spaces.

        Args:
            boxes_xyxy: (n, 4), in reading order, n <= length.
            width: of the picture, in the boxes' pixels.
            length: symbols that a string may have; places stay below it as far as n allows.
            line: of each box, (n,), 0 the upper one; None where all are on one.
        """
        count = len(boxes_xyxy)
        if count == 0:
            return np.zeros(0, np.int64)
        if self.kind == "proportional" and not self.thresholds and not self.between_lines:
            return np.arange(count)
        line = np.zeros(count, np.int64) if line is None else line
        if self.kind == "fixed":
            cells = self._cell(boxes_xyxy, width, length, line)
        else:
            spaces = self._spaces_of(boxes_xyxy[:-1], boxes_xyxy[1:], self._scale(boxes_xyxy, line))
            spaces = np.where(line[1:] == line[:-1], spaces, self.between_lines)
            cells = np.r_[0, np.cumsum(spaces + 1)].astype(np.int64)
        order = np.arange(count)
        rising = np.maximum.accumulate(np.maximum(cells, 0) - order) + order
        latest = max(length, count) - count + order  # what the boxes still to come leave free
        return np.minimum(rising, latest).astype(np.int64)

    def spaces(
        self,
        boxes_xyxy: NDArray[np.floating],
        width: float,
        length: int,
        line: NDArray[np.int64],
        read: NDArray[np.intp],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many spaces each pair of candidates would have between it, if they were neighbours in the string.

        Args:
            boxes_xyxy, width, length, line: of all candidates, as for :meth:`places`.
            read: which of them, in reading order, were read without a pattern: they show how far letters stand apart.

        Returns:
            Spaces before each candidate if it were the first, (n,), and between each pair, (n, n); 0 or more.
        """
        n = len(boxes_xyxy)
        if self.kind == "fixed":
            cell = self._cell(boxes_xyxy, width, length, line)
            return np.maximum(cell, 0), np.maximum(cell[None] - cell[:, None] - 1, 0)
        scale = self._scale(boxes_xyxy[read], line[read])
        between = self._spaces_of(boxes_xyxy[:, None], boxes_xyxy[None], scale)
        return np.zeros(n, np.int64), np.where(line[:, None] == line, between, self.between_lines)

    def _cell(
        self, boxes_xyxy: NDArray[np.floating], width: float, length: int, line: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        centres = boxes_xyxy[:, [0, 2]].astype(np.float64).sum(1) / 2 / width
        cell: NDArray[np.int64] = np.clip(np.rint((centres - self.origin) / self.pitch), -1, 2 * length).astype(
            np.int64
        )
        return cell + line * -(-length // self.lines) if self.lines > 1 else cell

    def _scale(self, boxes_xyxy: NDArray[np.floating], line: NDArray[np.int64]) -> tuple[float, float]:
        """Median height of a text's characters, and its plain distance where the measure asks for one."""
        boxes = boxes_xyxy.astype(np.float64)
        height = max(_quantile((boxes[:, 3] - boxes[:, 1]).tolist(), 0.5), 1e-6)
        if self.measure in ("gap", "pitch"):
            return height, 0.0
        same_line = line[1:] == line[:-1]
        distances = _distances(boxes[:-1][same_line], boxes[1:][same_line], self.measure) / height
        plain = _quantile(distances.tolist(), _PLAIN_SHARE)
        return height, plain if self.max_plain is None else min(plain, self.max_plain)

    def _spaces_of(
        self, before: NDArray[np.floating], after: NDArray[np.floating], scale: tuple[float, float]
    ) -> NDArray[np.int64]:
        measured = _measured(before, after, self.measure, scale)
        return np.asarray(np.searchsorted(self.thresholds, measured, side="right"))


def _quantile(values: list[float], share: float) -> float:
    """As ``np.quantile``, which takes longer over a few values than all the rest of a reading; 0 of none."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _distances(before: NDArray[np.floating], after: NDArray[np.floating], measure: str) -> NDArray[np.float64]:
    """How far each second box is from its first, in pixels: from edge to edge or from centre to centre."""
    left, right = before.astype(np.float64), after.astype(np.float64)
    if measure in ("gap", "excess"):
        return np.asarray(right[..., 0] - left[..., 2])
    return np.asarray((right[..., 0] + right[..., 2] - left[..., 0] - left[..., 2]) / 2)


def _measured(
    before: NDArray[np.floating], after: NDArray[np.floating], measure: str, scale: tuple[float, float]
) -> NDArray[np.float64]:
    """The measure of each pair."""
    height, plain = scale
    distances = _distances(before, after, measure) / height
    if measure == "excess":
        return np.asarray(distances - plain)
    return np.asarray(distances / max(plain, 1e-6)) if measure == "ratio" else distances


def find_layout(
    boxes: Sequence[NDArray[np.float32]], texts: Sequence[str], widths: Sequence[float], length: int, space: str = " "
) -> tuple[TextLayout, float]:
    """The layout that explains most texts, and the share it explains.

    Args:
        boxes: of each picture, (n, 4), one for every symbol but the space, in reading order.
        texts: of each picture, spaces included.
        widths: of each picture, in the boxes' pixels.
        length: symbols that a string may have.
    """
    places = [np.flatnonzero([symbol != space for symbol in text]) for text in texts]
    complete = [i for i, (b, p) in enumerate(zip(boxes, places, strict=True)) if len(b) == len(p) and len(b)]
    if not complete:
        return TextLayout(), 1.0
    pictures = _deskewed([boxes[i] for i in complete], [places[i] for i in complete], [widths[i] for i in complete])
    if all(len(s.place) == s.place[-1] + 1 for s in pictures):
        return TextLayout(lines=pictures[0].lines), 1.0  # no spaces but at the end: nothing to find

    def explained(layout: TextLayout) -> float:
        explained_count = sum(
            np.array_equal(layout.places(s.boxes, s.width, length, s.line), s.place) for s in pictures
        )
        return explained_count / len(pictures)

    candidates = [_fit_proportional(pictures, measure) for measure in MEASURES]
    fixed = _fit_fixed_pitch(pictures, length)
    scored = [(explained(c), c) for c in candidates]
    if fixed is not None and (share := explained(fixed)) >= _ENOUGH_FIXED:
        scored.insert(0, (share, fixed))
    share, layout = max(scored, key=lambda pair: pair[0])
    return layout, share


@dataclass(frozen=True)
class _Picture:
    """One picture: its boxes as straight text, their lines and places, its width, and the lines that the set has."""

    boxes: NDArray[np.float64]
    line: NDArray[np.int64]
    place: NDArray[np.intp]
    width: float
    lines: int


def _deskewed(boxes: list[NDArray[np.float32]], places: list[NDArray[np.intp]], widths: list[float]) -> list[_Picture]:
    """All pictures with as many lines as most often give the order in which their boxes are known to be read."""
    tried = []
    for lines in range(1, MAX_LINES + 1):
        pictures, in_order = [], 0
        for b, place, width in zip(boxes, places, widths, strict=True):
            deskewed = deskew_picture(b, width, lines)
            order = reading_order(deskewed)[0]
            in_order += bool((order == np.arange(len(b))).all())
            straight_boxes = deskewed.boxes_xyxy[0]
            straight_boxes[:, [0, 2]] += deskewed.start[0]
            pictures.append(_Picture(straight_boxes, deskewed.line[0], place, width, lines))
        if in_order >= _ENOUGH_ORDER * len(boxes):
            return pictures
        tried.append((in_order, -lines, pictures))
    return max(tried, key=lambda t: t[:2])[2]


def _fit_proportional(pictures: list[_Picture], measure: str) -> TextLayout:
    """The threshold between neighbours and neighbours with a space between that errs least."""
    plain_layout = TextLayout("proportional", measure, lines=pictures[0].lines, max_plain=_max_plain(pictures, measure))
    distances, counts, between = [], [], []
    for s in pictures:
        same_line = s.line[1:] == s.line[:-1]
        scale = plain_layout._scale(s.boxes, s.line)
        distances.append(_measured(s.boxes[:-1][same_line], s.boxes[1:][same_line], measure, scale))
        spaces = np.diff(s.place) - 1
        counts.append(spaces[same_line])
        between.append(spaces[~same_line])
    distance, spaces, breaks = (np.concatenate(parts) for parts in (distances, counts, between))
    layout = replace(plain_layout, between_lines=int(np.median(breaks)) if len(breaks) else 0)
    if not (spaces > 0).any():
        return layout
    plain, single = distance[spaces == 0], distance[spaces == 1]
    thresholds = [_border(distance, spaces > 0)]
    step = float(np.median(single) - np.median(plain)) if len(plain) and len(single) else thresholds[0]
    for k in range(1, max(3, int(spaces.max()))):
        if (spaces > k).sum() >= _ENOUGH_SPACES:
            thresholds.append(_border(distance[spaces >= k], spaces[spaces >= k] > k))
        else:  # too few to tell: as much further as one space is from none
            thresholds.append(thresholds[-1] + max(step, 0.001))
    return replace(layout, thresholds=tuple(np.maximum.accumulate(thresholds).tolist()))


def _max_plain(pictures: list[_Picture], measure: str) -> float | None:
    """What nearly all neighbours without a space between them stay under, in heights."""
    if measure in ("gap", "pitch"):
        return None
    layout, plain = TextLayout("proportional", measure), []
    for s in pictures:
        beside = (np.diff(s.place) == 1) & (s.line[1:] == s.line[:-1])
        plain.append(_distances(s.boxes[:-1][beside], s.boxes[1:][beside], measure) / layout._scale(s.boxes, s.line)[0])
    distances = np.concatenate(plain)
    return float(np.quantile(distances, _NEARLY_ALL)) if len(distances) else None


def _border(distance: NDArray[np.float64], over: NDArray[np.bool_]) -> float:
    """The threshold that errs least when it tells those that are over it from the others."""
    order = np.argsort(distance)
    distance, over = distance[order], over[order]
    # Errors of a threshold before place i: those over it that lie below, and the others from it on.
    errors = np.r_[0, np.cumsum(over)] + np.r_[np.cumsum((~over)[::-1])[::-1], 0]
    best = np.flatnonzero(errors == errors.min())
    at = int(best[len(best) // 2])
    low = distance[at - 1] if at else distance[0] - 1
    high = distance[at] if at < len(distance) else distance[-1] + 1
    return float(low + high) / 2


def _fit_fixed_pitch(pictures: list[_Picture], length: int) -> TextLayout | None:
    """A straight line from cell number to relative centre, by least squares."""
    centres = np.concatenate([(s.boxes[:, 0] + s.boxes[:, 2]) / 2 / s.width for s in pictures])
    of_line = -(-length // pictures[0].lines)
    number = np.concatenate([s.place - s.line * of_line for s in pictures]).astype(np.float64)
    if len(np.unique(number)) < 2:
        return None
    pitch, origin = np.polyfit(number, centres, 1)
    if not pitch > 1e-4:
        return None
    return TextLayout("fixed", origin=float(origin), pitch=float(pitch), lines=pictures[0].lines)
