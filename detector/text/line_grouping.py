"""Reading lines: which way a text runs, how many lines it has, and its boxes as if it were deskewed. Pure numpy.

Boxes are upright rectangles, so those of a turned, slanted or bowed text overlap their neighbours. A batch is
deskewed in five steps: the surest candidates that are not the same place (*anchors*) vote for a direction; all
boxes are moved, not turned, into the frame of that direction; gaps across it part the lines; small boxes beside a
line are left out; and what neighbouring anchors typically share of the way along the line is taken off every box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_LINES = 4
"""More lines than this are not looked for."""

_ANCHORS = 12  # of a picture, that find its lines
_MIN_OBJECTNESS = 0.3  # objectness of an anchor
_MAX_OVERLAP = 0.5  # of the smaller box's area, above which two candidates are one place
_STEEPEST, _STEP = 33, 3  # degrees: directions that are tried, either way
_TURNS = np.radians(sorted(range(-_STEEPEST, _STEEPEST + 1, _STEP), key=abs))  # level first
_NEAR = 0.5  # of a character's height: how far from a line through another one an anchor still votes for it
_CONVINCING = 1.06  # times the votes for level that another direction needs: characters may float up and down
_OFF, _LOW = 0.5, 0.75  # of a character's height: farther off its line and lower than this is no part of it
_FEWEST = 3  # characters of a line that another one is beside: of two, either may be the other text
_BREAK = 0.5  # of a character's height: free room across the text above which another line begins
_STACKED = 0.1  # of the narrower one's width that characters of two lines share where one stands below the other
_TOLERATED = 0.1  # of a character's width that neighbours may share and are left as they are
_MIN_WIDTH = 0.4  # of a box's width that is left of it
_PAIRS = np.triu_indices(_ANCHORS, 1)


@dataclass(frozen=True)
class Deskewed:
    """A batch of pictures of ``n`` candidates each as straight lines.

    Args:
        boxes_xyxy: (batch, n, 4): x runs along the lines, y across them, both from the surest candidate's corner.
        whole_xyxy: likewise, before anything was taken off the boxes' widths.
        line: (batch, n), 0 is the upper one.
        outlier: (batch, n), whether it is small and beside its line, or its line is: of other text, above or below the
            string.
        start: (batch,): added to x, where it would be in the picture if the text were not turned.
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
    """Lines of every picture.

    Args:
        boxes_xyxy: (batch, n, 4), n at least 1.
        objectness: (batch, n), surest first; 0 fills pictures up that have fewer candidates.
        widths: (batch,), of the pictures: a turned text keeps its place where it crosses the middle.
        max_lines: that a picture may have.
        lowest_line: a line whose characters are lower than this share of another line's is other text, and outlier.
        stacked: whether lines are two only where characters of one stand below those of the other.
    """
    boxes = np.asarray(boxes_xyxy, np.float64)
    lead, valid = _anchors(boxes, objectness)  # (batch, _ANCHORS)
    rows = np.arange(len(boxes))[:, None]
    heights = boxes[..., 3] - boxes[..., 1]
    height = _middle(heights[rows, lead], valid)  # (batch,)
    origin = boxes[:, :1, :2]  # differences alone matter: a shifted picture gives the same, to the last bit
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2 - origin  # (batch, n, 2)
    turn = _direction(centre[rows, lead], valid, height)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    along = centre[..., 0] * cos + centre[..., 1] * sin
    across = centre[..., 1] * cos - centre[..., 0] * sin
    half_width = ((boxes[..., 2] - boxes[..., 0]) / 2)[rows, lead] if stacked else None
    line, middle = _lines(across, across[rows, lead], along[rows, lead], half_width, valid, height, max_lines)
    # Where the text's middle crosses the middle of the picture, it stays.
    half = widths / 2 - origin[:, 0, 0]
    start = widths / 2 - (half + middle * sin[:, 0]) / cos[:, 0]
    deskewed = boxes - np.concatenate([origin] * 2, 2)
    if turn.any():
        moved = np.stack([along, across] * 2, 2) - np.concatenate([centre] * 2, 2)
        deskewed += np.where(turn[:, None, None] == 0, 0.0, moved)
    start = np.where(turn == 0, origin[:, 0, 0], start)
    outlier = _outliers(across, heights, line, lead, valid, lowest_line, stacked)
    return Deskewed(_narrowed(deskewed, line, lead, valid, turn), deskewed, line, outlier, start)


def _anchors(boxes: Floats, objectness: Floats) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Places of the surest candidates that are not the same place as a surer one, and which of them there are."""
    n = objectness.shape[1]
    x1, y1, x2, y2 = np.moveaxis(boxes, 2, 0)
    shared = np.minimum(x2[:, :, None], x2[:, None]) - np.maximum(x1[:, :, None], x1[:, None])  # (batch, n, n)
    shared_y = np.minimum(y2[:, :, None], y2[:, None]) - np.maximum(y1[:, :, None], y1[:, None])
    np.maximum(shared, 0, out=shared)
    shared *= np.maximum(shared_y, 0, out=shared_y)
    area = np.maximum((x2 - x1) * (y2 - y1), 1e-9)
    is_same_place = shared > _MAX_OVERLAP * np.minimum(area[:, :, None], area[:, None])
    is_same_place &= np.tri(n, k=-1, dtype=bool)  # of i by a surer j
    is_anchor = ~is_same_place.any(2) & (objectness >= _MIN_OBJECTNESS)  # (batch, n)
    places = np.zeros((len(boxes), _ANCHORS), np.intp)
    places[:, :n] = np.argsort(~is_anchor, axis=1, kind="stable")[:, :_ANCHORS]
    valid = np.arange(_ANCHORS) < is_anchor.sum(1)[:, None]
    return places, valid


def _middle(values: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Lower median of the valid values of each row, 0 where there are none."""
    ordered = np.sort(np.where(valid, values, np.inf), axis=1)
    count = valid.sum(1)
    medians = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0) // 2]
    return np.where(count > 0, medians, 0.0)


def _direction(centre: Floats, valid: NDArray[np.bool_], height: Floats) -> Floats:
    """The turn, in radians, clockwise as pictures are seen, along which most pairs of anchors lie on one line."""
    i, j = _PAIRS
    is_pair = valid[:, i] & valid[:, j]
    step = (centre[:, i] - centre[:, j]) / np.maximum(_NEAR * height, 1e-9)[:, None, None]  # (batch, pairs, 2)
    level = _votes(step[..., 1], is_pair)
    turn = np.zeros(len(centre))
    turned = np.flatnonzero(level * _CONVINCING < is_pair.sum(1))  # of the others, no direction gets more
    if not len(turned):
        return turn
    along, across = step[turned, None, :, 0], step[turned, None, :, 1]
    votes = _votes(across * np.cos(_TURNS)[:, None] - along * np.sin(_TURNS)[:, None], is_pair[turned, None])
    best = votes.argmax(1)  # (turned,)
    convinced = votes[np.arange(len(turned)), best] > _CONVINCING * level[turned]
    turn[turned[convinced]] = _TURNS[best[convinced]]
    return turn


def _votes(off: Floats, is_pair: NDArray[np.bool_]) -> Floats:
    """Sum over pairs, the last axis, of 1 where they lie on one line and 0 where they are far off."""
    return np.asarray(np.where(is_pair, np.maximum(1 - off * off, 0), 0).sum(-1))


def _lines(
    across: Floats,
    lead_across: Floats,
    along: Floats,
    half_width: Floats | None,
    valid: NDArray[np.bool_],
    height: Floats,
    max_lines: int,
) -> tuple[NDArray[np.int64], Floats]:
    """Line of each candidate, (batch, n), and where the middle of all lines is, (batch,).

    ``lead_across`` and ``along`` are the positions of the anchors across and along the text. With ``half_width``, half
    the width of each anchor, lines are two only where characters stand stacked.
    """
    ordered = np.sort(np.where(valid, lead_across, np.inf), axis=1)  # (batch, _ANCHORS)
    count = valid.sum(1)
    lowest = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0)]
    middle = np.where(count > 0, (ordered[:, 0] + lowest) / 2, 0.0)
    middle = np.where(np.isfinite(middle), middle, 0.0)
    line = np.zeros(across.shape, np.int64)
    if max_lines == 1:
        return line, middle
    filled = np.where(np.isfinite(ordered), ordered, lowest[:, None])
    gaps = np.diff(np.where(np.isfinite(filled), filled, 0.0), axis=1)
    if not (gaps > _BREAK * height[:, None]).any():
        return line, middle
    widest = np.argsort(-gaps, axis=1, kind="stable")[:, : max_lines - 1]
    for k in range(widest.shape[1]):
        at = widest[:, k : k + 1]
        gap = np.take_along_axis(gaps, at, 1)
        border = np.take_along_axis(filled, at, 1) + gap / 2
        parted = gap > _BREAK * height[:, None]
        if half_width is not None:
            parted &= _are_stacked(lead_across, along - half_width, along + half_width, valid, border)
        line += parted & (across > border)
    return line, middle


def _are_stacked(
    lead_across: Floats, x1: Floats, x2: Floats, valid: NDArray[np.bool_], border: Floats
) -> NDArray[np.bool_]:
    """Whether most anchors on the side of the border that has fewer have one on the other side, (batch, 1)."""
    above, below = valid & (lead_across <= border), valid & (lead_across > border)
    shared = np.minimum(x2[:, :, None], x2[:, None]) - np.maximum(x1[:, :, None], x1[:, None])
    narrower = np.minimum((x2 - x1)[:, :, None], (x2 - x1)[:, None])
    over = shared > _STACKED * narrower  # (batch, _ANCHORS, _ANCHORS), symmetric
    covered = np.where(above, (over & below[:, None]).any(2), (over & above[:, None]).any(2))
    rarer = np.where((above.sum(1) <= below.sum(1))[:, None], above, below)
    return np.asarray(2 * (covered & rarer).sum(1) >= rarer.sum(1))[:, None]


def _outliers(
    across: Floats,
    heights: Floats,
    line: NDArray[np.int64],
    lead: NDArray[np.intp],
    valid: NDArray[np.bool_],
    lowest_line: float,
    stacked: bool,
) -> NDArray[np.bool_]:
    """Which candidates are lower than their line's anchors and beside them, or on a line that is too low, (batch, n).

    Characters that float up and down are as high as the others, and raised small ones reach no farther up. One or two
    small characters below or above a line are no line, where lines are only two if they are ``stacked``.
    """
    rows = np.arange(len(across))[:, None]
    outlier = np.zeros(across.shape, bool)
    lines = np.zeros((len(across), int(line.max()) + 1))  # height of each one's characters
    counts = np.zeros(lines.shape, int)
    for k in range(lines.shape[1]):
        on_line = valid & (line[rows, lead] == k)
        middle, height = (_middle(values[rows, lead], on_line)[:, None] for values in (across, heights))
        small_and_off = (heights < _LOW * height) & (np.abs(across - middle) > _OFF * height)
        counts[:, k] = on_line.sum(1)
        outlier |= (line == k) & small_and_off & (counts[:, k] >= _FEWEST)[:, None]
        lines[:, k] = height[:, 0]
    if lowest_line:
        too_low = lines < lowest_line * lines.max(1, keepdims=True)
        outlier |= too_low[rows, line]
    if stacked:
        height = np.where(counts >= _FEWEST, lines, 0.0).max(1)[:, None]
        outlier |= (counts < _FEWEST)[rows, line] & (heights < _LOW * height)
    return outlier


def _narrowed(
    boxes: Floats, line: NDArray[np.int64], lead: NDArray[np.intp], valid: NDArray[np.bool_], turn: Floats
) -> Floats:
    """Boxes without what they have too much along their line: by the turn, and by what neighbours typically share."""
    rows = np.arange(len(boxes))[:, None]
    if turn.any():
        width, height = (_middle((boxes[..., k + 2] - boxes[..., k])[rows, lead], valid) for k in (0, 1))
        boxes = _shrunk(boxes, np.where(turn == 0, 0.0, _swollen(width, height, np.abs(turn))))
    left, right = boxes[rows, lead, 0], boxes[rows, lead, 2]  # (batch, _ANCHORS)
    on = np.where(valid, line[rows, lead], MAX_LINES)
    order = np.lexsort((left + right, on), axis=1)
    left, right, on = left[rows, order], right[rows, order], on[rows, order]
    pairs = (on[:, 1:] == on[:, :-1]) & (on[:, 1:] < MAX_LINES)
    shared = _middle(right[:, :-1] - left[:, 1:], pairs)
    width = _middle(right - left, on < MAX_LINES)
    # Twice what is over the tolerated, up to all of it: no jump where the one goes over into the other.
    off = np.clip(2 * (shared - _TOLERATED * width), 0, np.maximum(shared, 0))
    return _shrunk(boxes, np.where(pairs.sum(1) < 2, 0.0, off))  # of two anchors, one may be a mistake


def _swollen(width: Floats, height: Floats, turn: Floats) -> Floats:
    """How much wider than a character is the upright box around it when it is turned, by the box's size.

    A character of w by h has a box of ``w cos + h sin`` by ``w sin + h cos``.
    """
    cos, sin = np.cos(turn), np.sin(turn)
    character_width = (width * cos - height * sin) / (cos * cos - sin * sin)
    return np.asarray(np.clip(width - character_width, 0, None))


def _shrunk(boxes: Floats, off: Floats) -> Floats:
    """Every box of a picture narrower by ``off``, (batch,), half on either side."""
    if not off.any():
        return boxes
    box_width = boxes[..., 2] - boxes[..., 0]
    half = np.minimum(off[:, None], (1 - _MIN_WIDTH) * np.maximum(box_width, 0)) / 2
    return boxes + np.stack([half, 0 * half, -half, 0 * half], 2)


def deskew_picture(boxes_xyxy: NDArray[np.floating], width: float, max_lines: int = 1) -> Deskewed:
    """Lines of one picture whose boxes, (n, 4), are all characters; the batch of one."""
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(1, -1, 4)
    return deskew(boxes, np.ones(boxes.shape[:2]), np.array([float(width)]), max_lines)


def reading_order(deskewed: Deskewed) -> NDArray[np.intp]:
    """Places of the candidates from left to right, line under line, (batch, n)."""
    centre = deskewed.boxes_xyxy[..., 0] + deskewed.boxes_xyxy[..., 2]
    return np.lexsort((centre, deskewed.line), axis=1)


__all__: Sequence[str] = ("MAX_LINES", "Deskewed", "deskew", "deskew_picture", "reading_order")
