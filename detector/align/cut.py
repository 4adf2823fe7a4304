"""From positions along the line to tight boxes: the picture's ink sets the cuts and the four sides.

Convention of all boxes of this project: the extent of the character's ink and one pixel of margin round it,
clipped to the picture. Everything here is in pixels of the fitted picture, the margin, too: that it becomes one of
the picture's own is the caller's.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN = 1.0  # pixels round the ink

_CENTRE_PULL = 0.6  # cost of cutting at a neighbour's centre instead of midway, in units of the typical ink column
_FAINT = 0.06  # share of a character's densest row or column below which a side's ink counts as a speck


@dataclass(frozen=True)
class CutBoxes:
    """Boxes of one string.

    Args:
        boxes_xyxy: float32 (n, 4), left to right.
        told_apart: bool (n,), whether the character's ink could be told from the ground.
    """

    boxes_xyxy: NDArray[np.float32]
    told_apart: NDArray[np.bool_]


def ink_map(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much each pixel differs from the ground around it, in [0, 1].

    Works for dark on light, light on dark and coloured text: the ground is the median over a window larger
    than a stroke and smaller than the picture.

    Args:
        image: uint8 (H, W, 3).

    Returns:
        float32 (H, W).
    """
    height, width = image.shape[:2]
    window = min(max(height, 15), width) // 2 * 2 - 1
    if window < 3:
        return np.zeros((height, width), np.float32)
    ground = cv2.medianBlur(image, min(window, 255))
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    # Dense text fills the window and becomes its own ground: the picture's border is the second opinion.
    away = cv2.absdiff(image, np.broadcast_to(np.median(border, 0).astype(np.uint8), image.shape)).max(2)
    near = cv2.absdiff(image, ground).max(2)
    both = np.maximum(near, np.minimum(away, 2 * near.astype(np.int32) + 24)).astype(np.float32)
    top = float(np.quantile(both, 0.98))
    ink: NDArray[np.float32] = np.clip(both / max(top, 8.0), 0, 1).astype(np.float32)
    return ink


def cut(image: NDArray[np.uint8], centres: NDArray[np.float64], spans: NDArray[np.float64]) -> CutBoxes:
    """Boxes of the characters whose centres along the line are known.

    Args:
        image: uint8 (H, W, 3), without padding.
        centres: (n,), pixels, increasing.
        spans: (n, 2), first and last pixel that the aligner gave each character.
    """
    height, width = image.shape[:2]
    ink = ink_map(image)
    pitch = float(np.median(np.diff(centres))) if len(centres) > 1 else min(width, 0.8 * height)
    pitch = max(pitch, 4.0)
    left, right = max(0.0, centres[0] - 0.85 * pitch), min(float(width), centres[-1] + 0.85 * pitch)
    top, bottom = _band(ink[:, int(left) : int(np.ceil(right))])
    column_ink = cv2.GaussianBlur(ink[top:bottom].sum(0)[None], (5, 1), 0)[0]  # (W,)
    edges = [left, *_cuts(column_ink, centres, spans), right]
    threshold = _threshold(ink[top:bottom, int(left) : int(np.ceil(right))])
    boxes, told_apart = np.empty((len(centres), 4), np.float32), np.empty(len(centres), bool)
    for i, (x1, x2) in enumerate(itertools.pairwise(edges)):
        boxes[i], told_apart[i] = _tighten(ink, threshold, (x1, top, x2, bottom), float(centres[i]), pitch)
    boxes += np.array([-MARGIN, -MARGIN, MARGIN, MARGIN], np.float32)
    limit = np.array([width, height, width, height], np.float32)
    return CutBoxes(np.clip(boxes, 0, limit), told_apart)


def _cuts(column_ink: NDArray[np.float32], centres: NDArray[np.float64], spans: NDArray[np.float64]) -> list[float]:
    """Cut lines between neighbours: little ink, near the middle of the gap."""
    typical = max(float(np.median(column_ink[column_ink > 0])) if (column_ink > 0).any() else 0.0, 1e-3)
    cuts = []
    for (a, b), (_, end), (start, _) in zip(itertools.pairwise(centres), spans[:-1], spans[1:], strict=True):
        middle = (a + b) / 2
        if start > end:  # the aligner's own gap, narrower than that between the centres
            middle = 0.5 * middle + 0.25 * (start + end)
        low, high = int(np.ceil(a + 0.15 * (b - a))), int(np.floor(b - 0.15 * (b - a)))
        x = np.arange(max(low, 0), min(max(high, low), len(column_ink) - 1) + 1)
        if not len(x):
            cuts.append(float(middle))
            continue
        pull = _CENTRE_PULL * (2 * (x + 0.5 - middle) / max(b - a, 1.0)) ** 2
        cuts.append(float(x[np.argmin(column_ink[x] / typical + pull)]) + 0.5)
    return cuts


def _band(ink: NDArray[np.float32]) -> tuple[int, int]:
    """First and last row (exclusive) of the main line of text: the run of rows that holds most ink."""
    height = ink.shape[0]
    profile = cv2.GaussianBlur(ink.sum(1)[:, None], (1, 5), 0)[:, 0]  # (H,)
    if profile.max() <= 0:
        return 0, height
    floor = np.quantile(profile, 0.05)
    on = profile - floor > 0.18 * (profile.max() - floor)
    if not on.any():  # as much ink in every row: a bar code, a line from top to bottom, a picture of a pixel's height
        return 0, height
    bounds = np.flatnonzero(np.diff(np.r_[False, on, False].astype(np.int8)))
    runs = bounds.reshape(-1, 2)
    weights = [profile[a:b].sum() for a, b in runs]
    a, b = runs[int(np.argmax(weights))]
    slack = max(2, round(0.12 * (b - a)))
    return max(0, int(a) - slack), min(height, int(b) + slack)


def _threshold(ink: NDArray[np.float32]) -> float:
    """Otsu's threshold (1979) of the text's own rows and columns, in units of ink."""
    if ink.size == 0:
        return 1.0
    value, _ = cv2.threshold((ink * 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(np.clip(value / 255, 0.12, 0.6))


def _tighten(
    ink: NDArray[np.float32], threshold: float, cell: tuple[float, int, float, int], centre: float, pitch: float
) -> tuple[NDArray[np.float32], bool]:
    """The ink's extent within a cell (x1, y1, x2, y2), and whether it was told from the ground."""
    x1, top, x2, bottom = cell
    c1 = int(np.clip(np.floor(x1), 0, ink.shape[1] - 1))
    c2 = int(np.clip(np.ceil(x2), c1 + 1, ink.shape[1]))
    part = ink[top:bottom, c1:c2]
    mask = _main_ink(part >= threshold, centre - c1)
    if mask.sum() < 4:
        half = min(pitch / 2, max(centre - x1, x2 - centre, 2.0))
        return np.array([max(x1, centre - half), top, min(x2, centre + half), bottom], np.float32), False
    columns, rows = _side(mask.sum(0)), _side(mask.sum(1))
    box = np.array([c1 + columns[0], top + rows[0], c1 + columns[1], top + rows[1]], np.float32)
    # Ink that fills the whole cell, or hardly any of it, was not told apart from the ground.
    filled = float(mask.mean())
    return box, 0.02 < filled < 0.85


def _main_ink(mask: NDArray[np.bool_], centre: float) -> NDArray[np.bool_]:
    """The mask without specks and without strokes that reach in from the neighbours."""
    if min(mask.shape) < 2:  # nothing to tell apart; and OpenCV 5.0 crashes on an empty one
        return mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    starts, widths = stats[1:, cv2.CC_STAT_LEFT], stats[1:, cv2.CC_STAT_WIDTH]
    ends = starts + widths
    touches = (starts == 0) | (ends == mask.shape[1])
    away = np.maximum(starts - centre, centre - ends) > 0.15 * mask.shape[1]
    keep = (areas >= 0.06 * areas.max()) & ~(touches & away & (areas < 0.5 * areas.max()))
    return np.isin(labels, np.flatnonzero(keep) + 1)


def _side(profile: NDArray[np.integer]) -> tuple[int, int]:
    """First and last (exclusive) place whose ink is more than a speck's."""
    on = np.flatnonzero(profile > _FAINT * profile.max())
    return int(on[0]), int(on[-1]) + 1
