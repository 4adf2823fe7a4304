"""What is read from a network's output: candidates, one for each place where it saw something."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.errors import WeightsError
from detector.text.candidates import MAX_CANDIDATES, MIN_SCORE
from detector.text.detections import TOP_CLASSES, CharDetections

NMS_IOU = 0.6
"""IoU above which two candidates are one place."""


def candidates(output: NDArray[np.float32], top_classes: int = TOP_CLASSES) -> list[CharDetections]:
    """Turn a detection head's output into candidates, one for each place, the surest first.

    Neighbouring cells see the same character nearly alike: of those whose boxes overlap by ``NMS_IOU`` the
    surest is kept, whatever its class, or ten of one character would crowd out a faint neighbour.

    Args:
        output: (batch, 4 + classes, places): cx, cy, w, h in pixels of the input, then class scores.
        top_classes: likeliest classes that each is reduced to.
    """
    objectness = 1 - (1 - np.clip(output[:, 4:], 0, 1)).prod(1)  # (batch, places)
    picture, place = np.nonzero(objectness >= MIN_SCORE)
    columns, surely = output[picture, :, place], objectness[picture, place]  # (n, 4 + classes), (n,)
    sides = columns[:, 2:4]
    corners = columns[:, :2] - sides / 2  # (n, 2)
    keep, ends = _suppressed(np.concatenate([corners, sides], 1), surely, np.bincount(picture, minlength=len(output)))
    corners, sides, classes = corners[keep], sides[keep], columns[keep, 4:]
    top_class_id = np.argsort(-classes, 1, kind="stable")[:, :top_classes]  # (n, k), likeliest first
    top_confidence = np.take_along_axis(classes, top_class_id, 1)
    together = CharDetections(
        np.concatenate([corners, corners + sides], 1), top_confidence[:, 0], top_class_id[:, 0], surely[keep],
        top_class_id, top_confidence,
    )  # fmt: skip
    return [together[start:end] for start, end in pairwise([0, *ends])]


def _suppressed(
    boxes_xywh: NDArray[np.float32], surely: NDArray[np.float32], counts: NDArray[np.intp]
) -> tuple[NDArray[np.intp], list[int]]:
    """Suppress candidates picture by picture, of which each has the next of ``counts``.

    Returns:
        Places of those that are kept, the surest of each picture first, and where those of each picture end.
    """
    boxes, keep, start = boxes_xywh.astype(np.float64), list[NDArray[np.intp]](), 0
    for count in counts.tolist():
        kept = np.zeros(0, np.intp)
        if count:
            rows = slice(start, start + count)
            # The score threshold is strict, and all of these have passed theirs.
            kept = np.asarray(cv2.dnn.NMSBoxes(boxes[rows], surely[rows], 0.0, NMS_IOU), np.intp)  # type: ignore[arg-type]
        keep.append(start + kept[:MAX_CANDIDATES])
        start += count
    return np.concatenate([*keep, np.zeros(0, np.intp)]), np.cumsum([len(kept) for kept in keep]).tolist()


def check_output(shape: Sequence[int]) -> None:
    """Refuse what is not raw output.

    Raises:
        WeightsError: if it is the output of a head that has suppressed already.
    """
    if len(shape) != 3 or shape[1] < 5 or shape[2] == 6:
        raise WeightsError(
            f"These weights give {tuple(shape)}, not (batch, 4 + classes, places): "
            "export them with `detector export`, or by `yolo export` with `nms=False end2end=False`."
        )
