"""What is read from a network's output: candidates, one for each place where it saw something."""

from __future__ import annotations

from collections.abc import Sequence

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
    return [
        _candidates(picture_output, picture_objectness, top_classes)
        for picture_output, picture_objectness in zip(output, objectness, strict=True)
    ]


def _candidates(output: NDArray[np.float32], objectness: NDArray[np.float32], top_classes: int) -> CharDetections:
    places = np.flatnonzero(objectness >= MIN_SCORE)
    columns = output[:, places].T  # (n, 4 + classes)
    sides, classes, surely = columns[:, 2:4], columns[:, 4:], objectness[places]
    corners = columns[:, :2] - sides / 2  # (n, 2)
    keep = np.zeros(0, np.intp)
    if len(places):
        boxes_xywh = np.concatenate([corners, sides], 1).astype(np.float64)
        # `keep` has the surest first; the score threshold is strict, and all of these have passed theirs.
        keep = np.asarray(cv2.dnn.NMSBoxes(boxes_xywh, surely, 0.0, NMS_IOU), np.intp)[:MAX_CANDIDATES]  # type: ignore[arg-type]
    corners, sides, classes = corners[keep], sides[keep], classes[keep]
    top_class_id = np.argsort(-classes, 1, kind="stable")[:, :top_classes]  # (n, k), likeliest first
    top_confidence = np.take_along_axis(classes, top_class_id, 1)
    boxes_xyxy = np.concatenate([corners, corners + sides], 1)
    return CharDetections(
        boxes_xyxy, top_confidence[:, 0], top_class_id[:, 0], surely[keep], top_class_id, top_confidence
    )


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
