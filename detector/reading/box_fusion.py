"""The candidates of two passes over one picture as one set. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.text.detections import TOP_CLASSES, CharDetections, box_iou

_MIN_IOU = 0.4  # IoU from which a candidate of either pass is the same place
_UNPAIRED = 0.5  # what is left of the scores of a candidate that only one pass has: the mean with nothing


def weighted_boxes_fusion(
    first: CharDetections, second: CharDetections, classes: int, top_classes: int = TOP_CLASSES
) -> CharDetections:
    """Merge the candidates of both passes: mean scores, and boxes averaged with their scores as weights.

    A box of one pass has at most one partner in the other, the pairs with the greatest IoU first. Without one its
    scores are halved. After "Weighted boxes fusion" (Solovyev, Wang, Gabruseva, 2021), whatever the class.

    Args:
        first, second: candidates of the same network, their boxes in the same pixels.
        classes: that the network has.
        top_classes: likeliest classes that each is reduced to.
    """
    pairs = _pairs(box_iou(first.xyxy, second.xyxy))
    first_rows, second_rows = pairs.T
    unpaired = np.setdiff1d(np.arange(len(first)), first_rows), np.setdiff1d(np.arange(len(second)), second_rows)
    pair_objectness = np.stack([first.objectness[first_rows], second.objectness[second_rows]])  # (2, pairs)
    pair_objectness = pair_objectness.astype(np.float64)
    share = (pair_objectness + 1e-6) / (pair_objectness + 1e-6).sum(0)
    fused = share[0, :, None] * first.xyxy[first_rows] + share[1, :, None] * second.xyxy[second_rows]
    scores_1, scores_2 = _all_scores(first, classes), _all_scores(second, classes)
    boxes = np.concatenate([fused, first.xyxy[unpaired[0]], second.xyxy[unpaired[1]]])
    objectness = np.concatenate(
        [pair_objectness.mean(0), _UNPAIRED * first.objectness[unpaired[0]], _UNPAIRED * second.objectness[unpaired[1]]]
    )
    scores = np.concatenate(
        [
            (scores_1[first_rows] + scores_2[second_rows]) / 2,
            _UNPAIRED * scores_1[unpaired[0]],
            _UNPAIRED * scores_2[unpaired[1]],
        ]
    )
    top_class_id = np.argsort(-scores, 1, kind="stable")[:, :top_classes]  # (n, k), likeliest first
    top_confidence = np.take_along_axis(scores, top_class_id, 1).astype(np.float32)
    return CharDetections(
        boxes.astype(np.float32), top_confidence[:, 0], top_class_id[:, 0], objectness.astype(np.float32),
        top_class_id, top_confidence,
    )  # fmt: skip


def _all_scores(detections: CharDetections, classes: int) -> NDArray[np.float64]:
    """Return scores of all classes, (n, classes); 0 for those that are not among a candidate's likeliest."""
    scores = np.zeros((len(detections), classes))
    np.put_along_axis(scores, detections.top_class_id, detections.top_confidence.astype(np.float64), 1)
    return scores


def _pairs(iou: NDArray[np.float64]) -> NDArray[np.intp]:
    """Pair rows and columns, (pairs, 2), each at most once."""
    rows, columns = np.nonzero(iou >= _MIN_IOU)
    pairs: list[tuple[int, int]] = []
    free_rows, free_columns = np.ones(iou.shape[0], bool), np.ones(iou.shape[1], bool)
    for at in np.argsort(-iou[rows, columns], kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            pairs.append((row, column))
    return np.array(pairs, np.intp).reshape(-1, 2)
