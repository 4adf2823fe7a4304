"""What is read from a network's output while it is torch's: the same as :mod:`detector.backends` reads from numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchvision

from detector import backends
from detector.decode import MAX_CANDIDATES, MIN_SCORE
from detector.detections import TOP_CLASSES, CharDetections


def candidates(output: torch.Tensor) -> list[CharDetections]:
    """The adapter: :func:`detector.backends.candidates` of a tensor, on the device that it is on.

    Args:
        output: (batch, 4 + classes, places): cx, cy, w, h in pixels of the input, then class scores.
    """
    if output.device.type == "cpu":
        return backends.candidates(output.float().numpy())
    return candidates_on_device(output)


def candidates_on_device(output: torch.Tensor) -> list[CharDetections]:
    """The same, so that only the candidates leave the device."""
    boxes, classes = output[:, :4].float(), output[:, 4:].float()
    scores, ids = classes.max(1)  # (batch, places)
    presence = 1 - (1 - classes.clamp(0, 1)).prod(1)  # (batch, places)
    picture, anchor = torch.nonzero(presence >= MIN_SCORE, as_tuple=True)  # of each candidate
    centre, half = boxes[picture, :2, anchor], boxes[picture, 2:, anchor] / 2
    xyxy = torch.cat([centre - half, centre + half], 1)  # (candidates, 4)
    keep = torchvision.ops.batched_nms(xyxy, presence[picture, anchor], picture, backends.SAME_PLACE)
    picture, anchor, xyxy = picture[keep], anchor[keep], xyxy[keep]  # surest first
    top_scores, top_ids = classes[picture, :, anchor].topk(min(TOP_CLASSES, classes.shape[1]))  # (candidates, k)
    columns = (
        picture, xyxy, scores[picture, anchor], ids[picture, anchor], presence[picture, anchor], top_ids, top_scores,
    )  # fmt: skip
    picture_of, *rest = (column.cpu().numpy() for column in columns)
    found = CharDetections(*rest)
    return [found[np.flatnonzero(picture_of == i)[:MAX_CANDIDATES]] for i in range(len(output))]


def prediction(output: Any) -> torch.Tensor:
    """The tensor (batch, 4 + classes, anchors) in whatever a model or backend returned.

    Raises:
        WeightsError: if it is the output of a head that has suppressed already.
    """
    while isinstance(output, (list, tuple)):
        output = output[0]
    tensor = torch.as_tensor(output)
    backends.check_output(tensor.shape)
    return tensor
