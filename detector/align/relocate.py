"""A detector's boxes in place of cut ones, where it sees the known symbol at the aligned place.

Cutting goes by ink alone and takes a plate's rim, a hyphen or a line for part of a character; a detector that
knows the symbol does not. It is asked only about the symbol that the label names, never what it would read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SURE = 0.25  # score of the label's own symbol above which the detector's box is taken
_NEAR = 0.5  # of the box's width, within which its centre must lie


def relocate(
    boxes_xyxy: NDArray[np.float32], class_ids: NDArray[np.int64], output: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Better boxes for the characters of one picture.

    Args:
        boxes_xyxy: (n, 4), cut, left to right, in pixels of the fitted picture.
        class_ids: (n,), of the detector's classes; -1 for a symbol that it does not know.
        output: (4 + classes, places): cx, cy, w, h in the same pixels, then scores.

    Returns:
        Boxes (n, 4), and which of them are the detector's, bool (n,).
    """
    moved = boxes_xyxy.copy()
    taken = np.zeros(len(boxes_xyxy), bool)
    centres = (boxes_xyxy[:, 0] + boxes_xyxy[:, 2]) / 2
    for i, kind in enumerate(class_ids):
        if kind < 0:
            continue
        width, height = boxes_xyxy[i, 2] - boxes_xyxy[i, 0], boxes_xyxy[i, 3] - boxes_xyxy[i, 1]
        reach = _NEAR * max(width, 4.0)
        near = np.abs(output[0] - centres[i]) <= reach
        near &= (output[1] >= boxes_xyxy[i, 1] - 0.25 * height) & (output[1] <= boxes_xyxy[i, 3] + 0.25 * height)
        score = np.where(near, output[4 + kind], 0.0)
        best = int(score.argmax())
        if score[best] < _SURE:
            continue
        cx, cy, w, h = output[:4, best]
        moved[i] = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        taken[i] = True
    # A narrow symbol may be taken for its neighbour's stroke: what would break the order stays cut. Where the next
    # line begins it goes back to the left.
    order = (moved[:, 0] + moved[:, 2]) / 2
    broken = np.flatnonzero((np.diff(order) <= 1.0) & (np.diff(centres) > 0))
    for i in {*broken, *(broken + 1)}:
        moved[i], taken[i] = boxes_xyxy[i], False
    return moved, taken
