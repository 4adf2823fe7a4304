"""Reading lines: the direction of a text, its lines, and its boxes as if it were straight. Pure numpy.

Boxes are upright rectangles, so those of a rotated, slanted or bowed text overlap their neighbours. A batch is
deskewed in five steps: the surest candidates that do not overlap (*anchors*) vote for a direction; all boxes are
moved, not rotated, into the frame of that direction; gaps across it separate the lines; small boxes beside a line are
outliers; and every box is narrowed by the overlap that neighbouring anchors typically have along the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_Value = TypeVar("_Value", bound=np.generic)

MAX_LINES = 4
"""Most lines that a text may have."""

_ANCHORS = 12  # at most, of a picture
_MIN_OBJECTNESS = 0.3  # of an anchor
_MAX_OVERLAP = 0.5  # of the smaller box's area; candidates that overlap more stand for the same character
_STEEPEST, _STEP = 33, 3  # degrees: the steepest direction either way, and the step between directions
_TURNS = np.radians(sorted(range(-_STEEPEST, _STEEPEST + 1, _STEP), key=abs))  # level first
_MAX_DISTANCE = 0.5  # of a character's height: an anchor votes for a line through another one that passes it so closely
_MIN_VOTE_RATIO = 1.06  # of votes to those for level that another direction needs: characters may float up and down
_MAX_OFFSET, _SMALL_HEIGHT = 0.5, 0.75  # of a character's height: a box farther off its line and lower is an outlier
_MIN_LINE_COUNT = 3  # characters of a line that may have outliers: of two characters, either may be other text
_LINE_GAP = 0.5  # of a character's height: centres farther apart across the text are on two lines
_MIN_STACKED_OVERLAP = 0.1  # of the narrower one's width, of two characters that stand one below the other
_TOLERATED_OVERLAP = 0.1  # of a character's width; boxes of neighbours that overlap less stay as they are
_MIN_WIDTH = 0.4  # of a box's width, which narrowing leaves
_PAIRS = np.triu_indices(_ANCHORS, 1)


@dataclass(frozen=True)
class Deskewed:
    """The boxes of a batch of pictures, ``n`` candidates each, as if their lines were straight.

    Args:
        boxes_xyxy: float64 (batch, n, 4), in pixels: x runs along the lines, y across them, both measured from the
            top left corner of the surest candidate.
        whole_xyxy: likewise, before boxes were narrowed.
        line: int64 (batch, n), 0 is the upper line.
        outlier: bool (batch, n), whether the candidate, or its whole line, is small text above or below the string.
        start: float64 (batch,), in pixels: added to x, it gives the position in the picture if the text were level.
    """

    boxes_xyxy: Floats
    whole_xyxy: Floats
    line: NDArray[np.int64]
    outlier: NDArray[np.bool_]
    start: Floats


def deskew(
    boxes_xyxy: Floats,
    objectness: Floats,
    widths: Floats,
    max_lines: int,
    lowest_line: float = 0.0,
    stacked: bool = False,
) -> Deskewed:
    """Group the candidates of every picture into lines, and deskew them.

    Args:
        boxes_xyxy: (batch, n, 4), in pixels, n at least 1.
        objectness: (batch, n), in [0, 1], surest first; 0 for padding.
        widths: (batch,), of the pictures, in pixels: a rotated text keeps its place where it crosses the middle.
        max_lines: most lines that a picture may have.
        lowest_line: the characters of a line are outliers if they are lower than this share of another line's.
        stacked: whether two lines are accepted only if characters of one stand below those of the other.
    """
    boxes = np.asarray(boxes_xyxy, np.float64)
    anchors = _anchors(boxes, objectness)
    heights = boxes[..., 3] - boxes[..., 1]
    height = anchors.median(heights)  # (batch,)
    origin = boxes[:, :1, :2]  # subtracted, so that a shifted picture gives the same result to the last bit
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2 - origin  # (batch, n, 2)
    turn = _direction(anchors.of(centre), anchors.valid, height)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    along = centre[..., 0] * cos + centre[..., 1] * sin
    across = centre[..., 1] * cos - centre[..., 0] * sin
    half_width = (boxes[..., 2] - boxes[..., 0]) / 2
    ends_along = np.stack([along - half_width, along + half_width], 2) if stacked else None  # (batch, n, 2)
    line, middle = _lines(across, ends_along, anchors, height, max_lines)
    # The text keeps its place where its middle crosses the middle of the picture.
    half = widths / 2 - origin[:, 0, 0]
    start = widths / 2 - (half + middle * sin[:, 0]) / cos[:, 0]
    deskewed = boxes - np.concatenate([origin] * 2, 2)
    if turn.any():
        moved = np.stack([along, across] * 2, 2) - np.concatenate([centre] * 2, 2)
        deskewed += np.where(turn[:, None, None] == 0, 0.0, moved)
    start = np.where(turn == 0, origin[:, 0, 0], start)
    outlier = _outliers(across, heights, line, anchors, lowest_line, stacked)
    return Deskewed(_narrowed(deskewed, line, anchors, turn), deskewed, line, outlier, start)


class _Anchors(NamedTuple):
    """The surest candidates of each picture that do not overlap a surer one.

    Args:
        places: (batch, _ANCHORS), their indices.
        valid: (batch, _ANCHORS), which of these are anchors and not padding.
    """

    places: NDArray[np.intp]
    valid: NDArray[np.bool_]

    def of(self, values: NDArray[_Value]) -> NDArray[_Value]:
        """Select the anchors' values, (batch, _ANCHORS, …), of those of all candidates, (batch, n, …)."""
        return values[np.arange(len(values))[:, None], self.places]

    def median(self, values: Floats) -> Floats:
        """Return the lower median of the anchors' values, (batch,), of those of all candidates, (batch, n)."""
        return _lower_median(self.of(values), self.valid)


def _anchors(boxes: Floats, objectness: Floats) -> _Anchors:
    """Select the anchors of candidates (batch, n, 4) xyxy, (batch, n), the surest first."""
    n = objectness.shape[1]
    x1, y1, x2, y2 = np.moveaxis(boxes, 2, 0)
    overlap = np.maximum(pairwise_overlap(x1, x2), 0)
    overlap *= np.maximum(pairwise_overlap(y1, y2), 0)  # an area now
    area = np.maximum((x2 - x1) * (y2 - y1), 1e-9)
    is_duplicate = overlap > _MAX_OVERLAP * np.minimum(area[:, :, None], area[:, None])
    is_duplicate &= np.tri(n, k=-1, dtype=bool)  # of i by a surer j
    is_anchor = ~is_duplicate.any(2) & (objectness >= _MIN_OBJECTNESS)  # (batch, n)
    places = np.zeros((len(boxes), _ANCHORS), np.intp)
    places[:, :n] = np.argsort(~is_anchor, axis=1, kind="stable")[:, :_ANCHORS]
    valid = np.arange(_ANCHORS) < is_anchor.sum(1)[:, None]
    return _Anchors(places, valid)


def pairwise_overlap(low: Floats, high: Floats) -> Floats:
    """Return by how much each two intervals of a picture overlap, (batch, n, n); below 0 is a gap.

    Args:
        low, high: (batch, n), the ends of the intervals.
    """
    return np.asarray(np.minimum(high[:, :, None], high[:, None]) - np.maximum(low[:, :, None], low[:, None]))


def _lower_median(values: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Return the lower median of the valid values of each row, (batch,); 0 where there are none."""
    ordered = np.sort(np.where(valid, values, np.inf), axis=1)
    count = valid.sum(1)
    medians = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0) // 2]
    return np.where(count > 0, medians, 0.0)


def _direction(centre: Floats, valid: NDArray[np.bool_], height: Floats) -> Floats:
    """Find the direction along which most pairs of anchors lie on one line.

    Args:
        centre: (batch, _ANCHORS, 2), of the anchors, in pixels.
        valid: (batch, _ANCHORS), which of them are anchors.
        height: (batch,), of a character, in pixels.

    Returns:
        (batch,), in radians, clockwise in the picture.
    """
    i, j = _PAIRS
    is_pair = valid[:, i] & valid[:, j]
    step = (centre[:, i] - centre[:, j]) / np.maximum(_MAX_DISTANCE * height, 1e-9)[:, None, None]  # (batch, pairs, 2)
    level = _votes(step[..., 1], is_pair)
    turn = np.zeros(len(centre))
    rows = np.flatnonzero(level * _MIN_VOTE_RATIO < is_pair.sum(1))  # in the others no direction can win against level
    if not len(rows):
        return turn
    along, across = step[rows, None, :, 0], step[rows, None, :, 1]
    votes = _votes(across * np.cos(_TURNS)[:, None] - along * np.sin(_TURNS)[:, None], is_pair[rows, None])
    winners = votes.argmax(1)  # (rows,)
    is_rotated = votes[np.arange(len(rows)), winners] > _MIN_VOTE_RATIO * level[rows]
    turn[rows[is_rotated]] = _TURNS[winners[is_rotated]]
    return turn


def _votes(distance: Floats, is_pair: NDArray[np.bool_]) -> Floats:
    """Sum the votes of pairs, over the last axis: 1 where they lie on one line, falling to 0 at a distance of 1."""
    return np.asarray(np.where(is_pair, np.maximum(1 - distance * distance, 0), 0).sum(-1))


def _lines(
    across: Floats, ends_along: Floats | None, anchors: _Anchors, height: Floats, max_lines: int
) -> tuple[NDArray[np.int64], Floats]:
    """Group the candidates into lines.

    Args:
        across: (batch, n), centres of the candidates across the text, in pixels.
        ends_along: (batch, n, 2), where they begin and end along the text, if two lines are accepted only where
            characters stand one below another; else None.
        anchors: of the candidates.
        height: (batch,), of a character, in pixels.
        max_lines: most lines that a picture may have.

    Returns:
        The line of each candidate, (batch, n), and the middle of all lines across the text, (batch,).
    """
    valid = anchors.valid
    ordered = np.sort(np.where(valid, anchors.of(across), np.inf), axis=1)  # (batch, _ANCHORS)
    count = valid.sum(1)
    lowest = np.where(count > 0, ordered[np.arange(len(ordered)), np.maximum(count - 1, 0)], 0.0)
    ordered = np.minimum(ordered, lowest[:, None])  # padding lies on the lowest anchor, and makes no gap
    middle = (ordered[:, 0] + lowest) / 2
    line = np.zeros(across.shape, np.int64)
    if max_lines == 1:
        return line, middle
    gaps = np.diff(ordered, axis=1)
    if not (gaps > _LINE_GAP * height[:, None]).any():
        return line, middle
    widest = np.argsort(-gaps, axis=1, kind="stable")[:, : max_lines - 1]
    for k in range(widest.shape[1]):
        place = widest[:, k : k + 1]
        gap = np.take_along_axis(gaps, place, 1)
        border = np.take_along_axis(ordered, place, 1) + gap / 2
        is_break = gap > _LINE_GAP * height[:, None]
        if ends_along is not None:
            is_break &= _are_stacked(anchors.of(across), anchors.of(ends_along), valid, border)
        line += is_break & (across > border)
    return line, middle


def _are_stacked(across: Floats, ends_along: Floats, valid: NDArray[np.bool_], border: Floats) -> NDArray[np.bool_]:
    """Test whether most anchors on the emptier side of the border have an anchor above or below them, (batch, 1).

    Args:
        across: (batch, _ANCHORS), centres of the anchors across the text.
        ends_along: (batch, _ANCHORS, 2), where they begin and end along the text.
        valid: (batch, _ANCHORS), which of these are anchors.
        border: (batch, 1), between two lines, across the text.
    """
    above, below = valid & (across <= border), valid & (across > border)
    x1, x2 = ends_along[..., 0], ends_along[..., 1]
    narrower = np.minimum((x2 - x1)[:, :, None], (x2 - x1)[:, None])
    is_stacked = pairwise_overlap(x1, x2) > _MIN_STACKED_OVERLAP * narrower  # (batch, _ANCHORS, _ANCHORS), symmetric
    has_partner = np.where(above, (is_stacked & below[:, None]).any(2), (is_stacked & above[:, None]).any(2))
    emptier_side = np.where((above.sum(1) <= below.sum(1))[:, None], above, below)
    return np.asarray(2 * (has_partner & emptier_side).sum(1) >= emptier_side.sum(1))[:, None]


def _outliers(
    across: Floats,
    heights: Floats,
    line: NDArray[np.int64],
    anchors: _Anchors,
    lowest_line: float,
    stacked: bool,
) -> NDArray[np.bool_]:
    """Find small candidates above or below their line, and lines of small candidates, (batch, n).

    Characters that float up and down are no outliers, for they are as high as the others, nor are raised small ones,
    which reach no farther up. If lines must be ``stacked``, one or two small characters above or below a line are no
    line.

    Args:
        across: (batch, n), centres of the candidates across the text, in pixels.
        heights: (batch, n), of the candidates, in pixels.
        line: (batch, n), of the candidates.
        anchors: of the candidates.
        lowest_line, stacked: as for :func:`deskew`.
    """
    rows = np.arange(len(across))[:, None]
    outlier = np.zeros(across.shape, bool)
    line_heights = np.zeros((len(across), int(line.max()) + 1))  # median height of each line's anchors
    counts = np.zeros(line_heights.shape, int)
    for k in range(line_heights.shape[1]):
        on_line = anchors._replace(valid=anchors.valid & (anchors.of(line) == k))
        middle, height = on_line.median(across)[:, None], on_line.median(heights)[:, None]
        is_small_and_off = (heights < _SMALL_HEIGHT * height) & (np.abs(across - middle) > _MAX_OFFSET * height)
        counts[:, k] = on_line.valid.sum(1)
        outlier |= (line == k) & is_small_and_off & (counts[:, k] >= _MIN_LINE_COUNT)[:, None]
        line_heights[:, k] = height[:, 0]
    if lowest_line:
        is_too_low = line_heights < lowest_line * line_heights.max(1, keepdims=True)
        outlier |= is_too_low[rows, line]
    if stacked:
        height = np.where(counts >= _MIN_LINE_COUNT, line_heights, 0.0).max(1)[:, None]
        outlier |= (counts < _MIN_LINE_COUNT)[rows, line] & (heights < _SMALL_HEIGHT * height)
    return outlier


def _narrowed(boxes: Floats, line: NDArray[np.int64], anchors: _Anchors, turn: Floats) -> Floats:
    """Return the boxes narrowed along their line: by the width that rotation adds, and by the usual overlap.

    Args:
        boxes: (batch, n, 4) xyxy, x along the lines.
        line: (batch, n).
        anchors: of the candidates.
        turn: (batch,), the direction of the text, in radians.
    """
    if turn.any():
        width, height = (anchors.median(boxes[..., k + 2] - boxes[..., k]) for k in (0, 1))
        boxes = _narrower_by(boxes, np.where(turn == 0, 0.0, _extra_width(width, height, np.abs(turn))))
    x1, x2 = anchors.of(boxes[..., 0]), anchors.of(boxes[..., 2])  # (batch, _ANCHORS)
    anchor_line = np.where(anchors.valid, anchors.of(line), MAX_LINES)
    order = np.lexsort((x1 + x2, anchor_line), axis=1)
    x1, x2, anchor_line = (np.take_along_axis(values, order, 1) for values in (x1, x2, anchor_line))
    are_neighbours = (anchor_line[:, 1:] == anchor_line[:, :-1]) & (anchor_line[:, 1:] < MAX_LINES)
    overlap = _lower_median(x2[:, :-1] - x1[:, 1:], are_neighbours)
    width = _lower_median(x2 - x1, anchor_line < MAX_LINES)
    # Twice the excess over the tolerated overlap, but at most all of it: a continuous function of the overlap.
    excess = np.clip(2 * (overlap - _TOLERATED_OVERLAP * width), 0, np.maximum(overlap, 0))
    return _narrower_by(boxes, np.where(are_neighbours.sum(1) < 2, 0.0, excess))  # one pair may be a mistake


def _extra_width(width: Floats, height: Floats, turn: Floats) -> Floats:
    """Return by how much the upright box of a rotated character is wider than the character, (batch,), in pixels.

    A character of w by h has a box of ``w cos + h sin`` by ``w sin + h cos``.

    Args:
        width, height: (batch,), of the box, in pixels.
        turn: (batch,), in radians, 0 or more.
    """
    cos, sin = np.cos(turn), np.sin(turn)
    character_width = (width * cos - height * sin) / (cos * cos - sin * sin)
    return np.asarray(np.clip(width - character_width, 0, None))


def _narrower_by(boxes: Floats, excess: Floats) -> Floats:
    """Return boxes (batch, n, 4) narrowed by ``excess`` (batch,) pixels, half on either side."""
    if not excess.any():
        return boxes
    box_width = boxes[..., 2] - boxes[..., 0]
    half = np.minimum(excess[:, None], (1 - _MIN_WIDTH) * np.maximum(box_width, 0)) / 2
    return boxes + np.stack([half, 0 * half, -half, 0 * half], 2)


def deskew_picture(boxes_xyxy: NDArray[np.floating], width: float, max_lines: int = 1) -> Deskewed:
    """Deskew one picture, all of whose boxes xyxy (n, 4) are characters; see :func:`deskew`."""
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(1, -1, 4)
    return deskew(boxes, np.ones(boxes.shape[:2]), np.array([float(width)]), max_lines)


def reading_order(deskewed: Deskewed) -> NDArray[np.intp]:
    """Return the indices of the candidates in reading order, (batch, n): line by line, each from left to right."""
    centre = deskewed.boxes_xyxy[..., 0] + deskewed.boxes_xyxy[..., 2]
    return np.lexsort((centre, deskewed.line), axis=1)
