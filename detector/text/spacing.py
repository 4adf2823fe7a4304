"""Text layouts: where spaces are among character boxes, and how the layout of a set is fitted. Pure numpy.

There are two kinds. With a ``fixed`` pitch the position of a box in the picture says which cell it fills, and every
line has the same number of cells. In ``proportional`` text a wide gap between neighbours is a space. Lines are read
from top to bottom. All boxes here are deskewed ones (:mod:`detector.text.line_grouping`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import index

import numpy as np
from numpy.typing import NDArray

from detector.text.alphabet import MAX_LENGTH
from detector.text.line_grouping import MAX_LINES, deskew, reading_order

MEASURES = ("gap", "pitch", "excess", "ratio")
"""Measures of the distance between neighbours, see :class:`TextLayout`."""

_MIN_FIXED_SHARE = 0.98  # of texts that a fixed pitch must explain to be preferred
_MIN_ORDERED_SHARE = 0.98  # of texts that a number of lines must put in order, before more lines are tried
_MIN_RUNS = 5  # of k spaces, for a threshold of their own
_PLAIN_LIMIT = 0.95  # quantile of the distances without a space that bounds ``max_plain``
_PLAIN_QUANTILE = 0.4  # of a picture's distances, taken as the distance without a space: spaces are the minority
_MAX_BATCH = 1000  # pictures that are deskewed at once; bounds memory


@dataclass(frozen=True)
class TextLayout:
    """The rule by which the strings of one set have spaces.

    Args:
        kind: "proportional" or "fixed".
        measure: for proportional text, the distance between neighbours: "gap", from edge to edge, or "pitch", from
            centre to centre, both in multiples of the picture's median character height; "excess", the gap minus the
            picture's plain gap; or "ratio", the pitch divided by the picture's plain pitch. *Plain* is the distance
            without a space. The last two suit sets whose pictures are spaced differently.
        thresholds: for proportional text, increasing: a measure at or above the k-th one means k spaces; empty if
            there are no spaces.
        origin, pitch: for a fixed pitch: centre of the first cell and distance between cells, as shares of the width.
        max_plain: for "excess" and "ratio": upper bound of a picture's plain distance, in character heights, since a
            string may have a space between all its characters; None for no bound.
        lines: most lines of a text.
        between_lines: for proportional text: spaces of the string where one line ends and the next begins.
        lowest_line: a line whose characters are lower than this share of another line's is other text, and not read.
        stacked: whether two lines are accepted only if characters of one stand below those of the other. For sets in
            which a text may have two lines, or one whose characters float up and down; one or two small characters are
            no line then. Where all texts have two lines, a short line may have nothing but a space above or below it.

    Raises:
        ValueError: if a value makes no sense.
        TypeError: if one is of another type.
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
        for name in ("lines", "between_lines"):
            object.__setattr__(self, name, index(getattr(self, name)))
        if not (1 <= self.lines <= MAX_LINES and 0 <= self.between_lines <= MAX_LENGTH):
            raise ValueError(
                f"a layout has 1 to {MAX_LINES} lines and 0 to {MAX_LENGTH} spaces between them, "
                f"got {self.lines} and {self.between_lines}"
            )
        self._check_measures()

    def _check_measures(self) -> None:
        """Refuse numbers that are none, which would be found out with the first picture, or never."""
        if not all(map(math.isfinite, self.thresholds)) or list(self.thresholds) != sorted(self.thresholds):
            raise ValueError(f"thresholds are numbers, none below the one before it, got {list(self.thresholds)}")
        for name in ("origin", "pitch", "max_plain"):
            if (value := getattr(self, name)) is not None and not math.isfinite(value):
                raise ValueError(f"{name} is a number, got {value}")
        if not 0 <= self.lowest_line <= 1:
            raise ValueError(f"lowest_line is a share, 0 to 1, got {self.lowest_line}")
        if self.stacked not in (True, False):
            raise ValueError(f"stacked is true or false, got {self.stacked!r}")

    def places(
        self, boxes_xyxy: NDArray[np.floating], width: float, length: int, line: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Return the index in the string of each box, int64 (n,), strictly increasing; skipped indices are spaces.

        Args:
            boxes_xyxy: (n, 4), in reading order, n <= length.
            width: of the picture, in the boxes' pixels.
            length: most symbols of a string, which indices stay below.
            line: (n,), of each box, 0 at the top; None if there is one line.
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
        increasing = np.maximum.accumulate(np.maximum(cells, 0) - order) + order
        limits = max(length, count) - count + order  # each leaves room for the boxes after it
        return np.minimum(increasing, limits).astype(np.int64)

    def spaces(
        self,
        boxes_xyxy: NDArray[np.floating],
        width: float,
        length: int,
        line: NDArray[np.int64],
        chain: NDArray[np.intp],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many spaces there are between each pair of candidates if they are neighbours in the string.

        Args:
            boxes_xyxy, width, length, line: of all candidates, as for :meth:`places`.
            chain: indices of the candidates that were read without a pattern, in reading order: they show how far
                apart characters stand.

        Returns:
            Spaces before each candidate if it is the first, int64 (n,), and between each pair, int64 (n, n).
        """
        n = len(boxes_xyxy)
        if self.kind == "fixed":
            cell = self._cell(boxes_xyxy, width, length, line)
            return np.maximum(cell, 0), np.maximum(cell[None] - cell[:, None] - 1, 0)
        scale = self._scale(boxes_xyxy[chain], line[chain])
        between = self._spaces_of(boxes_xyxy[:, None], boxes_xyxy[None], scale)
        return np.zeros(n, np.int64), np.where(line[:, None] == line, between, self.between_lines)

    def _cell(
        self, boxes_xyxy: NDArray[np.floating], width: float, length: int, line: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the number of the cell of each box, (n,), from a fixed pitch."""
        centres = boxes_xyxy[:, [0, 2]].astype(np.float64).sum(1) / 2 / width
        cell: NDArray[np.int64] = np.clip(np.rint((centres - self.origin) / self.pitch), -1, 2 * length).astype(
            np.int64
        )
        return cell + line * -(-length // self.lines) if self.lines > 1 else cell

    def _scale(self, boxes_xyxy: NDArray[np.floating], line: NDArray[np.int64]) -> tuple[float, float]:
        """Return the median height of a text's characters, and its plain distance in heights if that is needed."""
        boxes = boxes_xyxy.astype(np.float64)
        height = max(_quantile((boxes[:, 3] - boxes[:, 1]).tolist(), 0.5), 1e-6)
        if self.measure in ("gap", "pitch"):
            return height, 0.0
        same_line = line[1:] == line[:-1]
        distances = _distances(boxes[:-1][same_line], boxes[1:][same_line], self.measure) / height
        plain = _quantile(distances.tolist(), _PLAIN_QUANTILE)
        return height, plain if self.max_plain is None else min(plain, self.max_plain)

    def _spaces_of(
        self, before: NDArray[np.floating], after: NDArray[np.floating], scale: tuple[float, float]
    ) -> NDArray[np.int64]:
        """Return the number of spaces between boxes and those after them."""
        measures = _measured(before, after, self.measure, scale)
        return np.asarray(np.searchsorted(self.thresholds, measures, side="right"))


def _quantile(values: list[float], share: float) -> float:
    """Return a quantile as ``np.quantile`` does, which is slow for few values; 0 without any."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _distances(before: NDArray[np.floating], after: NDArray[np.floating], measure: str) -> NDArray[np.float64]:
    """Return the distance of each box ``after`` from the one ``before`` it, in pixels, from edges or from centres."""
    first, second = before.astype(np.float64), after.astype(np.float64)
    if measure in ("gap", "excess"):
        return np.asarray(second[..., 0] - first[..., 2])
    return np.asarray((second[..., 0] + second[..., 2] - first[..., 0] - first[..., 2]) / 2)


def _measured(
    before: NDArray[np.floating], after: NDArray[np.floating], measure: str, scale: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the measure of each pair of boxes; ``scale`` is as :meth:`TextLayout._scale` returns it."""
    height, plain = scale
    distances = _distances(before, after, measure) / height
    if measure == "excess":
        return np.asarray(distances - plain)
    return np.asarray(distances / max(plain, 1e-6)) if measure == "ratio" else distances


def find_layout(
    boxes: Sequence[NDArray[np.float32]], texts: Sequence[str], widths: Sequence[float], length: int, space: str = " "
) -> tuple[TextLayout, float]:
    """Fit the layout that explains most texts.

    Args:
        boxes: of each picture, (n, 4) xyxy, one for each symbol other than a space, in reading order.
        texts: of each picture, spaces included.
        widths: of each picture, in the boxes' pixels.
        length: most symbols of a string.
        space: the symbol without a box.

    Returns:
        The layout, and the share of texts that it explains.
    """
    places = [np.flatnonzero([symbol != space for symbol in text]) for text in texts]
    complete = [i for i, (b, p) in enumerate(zip(boxes, places, strict=True)) if len(b) == len(p) and len(b)]
    if not complete:
        return TextLayout(), 1.0
    pictures = _deskewed([boxes[i] for i in complete], [places[i] for i in complete], [widths[i] for i in complete])
    if all(len(s.place) == s.place[-1] + 1 for s in pictures):
        return TextLayout(lines=pictures[0].lines), 1.0  # there are no spaces but at the end

    def explained(layout: TextLayout) -> float:
        explained_count = sum(
            np.array_equal(layout.places(s.boxes, s.width, length, s.line), s.place) for s in pictures
        )
        return explained_count / len(pictures)

    candidates = [_fit_proportional(pictures, measure) for measure in MEASURES]
    fixed = _fit_fixed_pitch(pictures, length)
    scored = [(explained(c), c) for c in candidates]
    if fixed is not None and (share := explained(fixed)) >= _MIN_FIXED_SHARE:
        scored.insert(0, (share, fixed))
    share, layout = max(scored, key=lambda pair: pair[0])
    return layout, share


@dataclass(frozen=True)
class _Picture:
    """One picture of a set whose layout is fitted.

    Args:
        boxes: (n, 4) xyxy, deskewed, in pixels.
        line: (n,), of each box.
        place: (n,), index of each box in the text.
        width: of the picture, in pixels.
        lines: that the set has.
    """

    boxes: NDArray[np.float64]
    line: NDArray[np.int64]
    place: NDArray[np.intp]
    width: float
    lines: int


def _deskewed(boxes: list[NDArray[np.float32]], places: list[NDArray[np.intp]], widths: list[float]) -> list[_Picture]:
    """Deskew all pictures, with the number of lines that puts most boxes into their known order."""
    by_count: dict[int, list[int]] = {}
    for row, boxes_xyxy in enumerate(boxes):
        by_count.setdefault(len(boxes_xyxy), []).append(row)
    batches = [rows[i : i + _MAX_BATCH] for rows in by_count.values() for i in range(0, len(rows), _MAX_BATCH)]
    attempts = []
    for lines in range(1, MAX_LINES + 1):
        by_row: dict[int, _Picture] = {}
        in_order = 0
        for rows in batches:
            batch_xyxy = np.stack([boxes[row] for row in rows]).astype(np.float64)  # (rows, n, 4)
            batch_widths = np.array([widths[row] for row in rows], np.float64)
            deskewed = deskew(batch_xyxy, np.ones(batch_xyxy.shape[:2]), batch_widths, lines)
            in_order += int((reading_order(deskewed) == np.arange(batch_xyxy.shape[1])).all(1).sum())
            straight_boxes = deskewed.boxes_xyxy
            straight_boxes[:, :, [0, 2]] += deskewed.start[:, None, None]
            for row, straight, line in zip(rows, straight_boxes, deskewed.line, strict=True):
                by_row[row] = _Picture(straight, line, places[row], widths[row], lines)
        pictures = [by_row[row] for row in range(len(boxes))]
        if in_order >= _MIN_ORDERED_SHARE * len(boxes):
            return pictures
        attempts.append((in_order, -lines, pictures))
    return max(attempts, key=lambda attempt: attempt[:2])[2]


def _fit_proportional(pictures: list[_Picture], measure: str) -> TextLayout:
    """Fit the thresholds between 0, 1, … spaces that err least."""
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
    thresholds = [_threshold(distance, spaces > 0)]
    step = float(np.median(single) - np.median(plain)) if len(plain) and len(single) else thresholds[0]
    for k in range(1, max(3, int(spaces.max()))):
        if (spaces > k).sum() >= _MIN_RUNS:
            thresholds.append(_threshold(distance[spaces >= k], spaces[spaces >= k] > k))
        else:  # too few examples: one step more, as from no space to one
            thresholds.append(thresholds[-1] + max(step, 0.001))
    return replace(layout, thresholds=tuple(np.maximum.accumulate(thresholds).tolist()))


def _max_plain(pictures: list[_Picture], measure: str) -> float | None:
    """Return the distance that nearly all neighbours without a space have at most, in character heights; or None."""
    if measure in ("gap", "pitch"):
        return None
    layout, plain = TextLayout("proportional", measure), []
    for s in pictures:
        beside = (np.diff(s.place) == 1) & (s.line[1:] == s.line[:-1])
        plain.append(_distances(s.boxes[:-1][beside], s.boxes[1:][beside], measure) / layout._scale(s.boxes, s.line)[0])
    distances = np.concatenate(plain)
    return float(np.quantile(distances, _PLAIN_LIMIT)) if len(distances) else None


def _threshold(distance: NDArray[np.float64], is_above: NDArray[np.bool_]) -> float:
    """Return the threshold that best separates distances that should be above it from the others."""
    order = np.argsort(distance)
    distance, is_above = distance[order], is_above[order]
    # Errors of a threshold before index i: distances before i that should be above it, and from i on those that should
    # not.
    errors = np.r_[0, np.cumsum(is_above)] + np.r_[np.cumsum((~is_above)[::-1])[::-1], 0]
    best_indices = np.flatnonzero(errors == errors.min())
    index = int(best_indices[len(best_indices) // 2])
    low = distance[index - 1] if index else distance[0] - 1
    high = distance[index] if index < len(distance) else distance[-1] + 1
    return float(low + high) / 2


def _fit_fixed_pitch(pictures: list[_Picture], length: int) -> TextLayout | None:
    """Fit centres of boxes as a linear function of cell numbers, by least squares; None if that is degenerate."""
    centres = np.concatenate([(s.boxes[:, 0] + s.boxes[:, 2]) / 2 / s.width for s in pictures])
    of_line = -(-length // pictures[0].lines)
    number = np.concatenate([s.place - s.line * of_line for s in pictures]).astype(np.float64)
    if len(np.unique(number)) < 2:
        return None
    pitch, origin = np.polyfit(number, centres, 1)
    if not pitch > 1e-4:
        return None
    return TextLayout("fixed", origin=float(origin), pitch=float(pitch), lines=pictures[0].lines)
