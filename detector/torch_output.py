"""What is read from a network's output while it is torch's: the same as :mod:`detector.backends` reads from numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchvision

from detector import backends
from detector.decode import MAX_CANDIDATES, MIN_SCORE
from detector.detections import TOP_CLASSES, CharDetections

_TOGETHER = 256  # pictures whose candidates are sorted out at once: that costs their square


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
    starts = range(0, len(output), _TOGETHER)
    return [one for start in starts for one in _candidates(output[start : start + _TOGETHER])]


def _candidates(output: torch.Tensor) -> list[CharDetections]:
    boxes, classes = output[:, :4].float(), output[:, 4:].float()
    presence = 1 - (1 - classes.clamp(0, 1)).prod(1)  # (batch, places)
    picture, anchor = torch.nonzero(presence >= MIN_SCORE, as_tuple=True)  # of each candidate
    surely, boxes, classes = presence[picture, anchor], boxes[picture, :, anchor], classes[picture, :, anchor]
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    xyxy = torch.cat([centre - half, centre + half], 1)  # (candidates, 4)
    # Pictures side by side, so that none covers another. Not `batched_nms`: with many it goes through them one by one.
    apart = xyxy.max() + 1 if len(xyxy) else 0
    keep = torchvision.ops.nms(xyxy + (picture * apart)[:, None], surely, backends.SAME_PLACE)  # surest first
    keep = keep[picture[keep].argsort(stable=True)]  # by picture, and in each the surest first
    top_scores, top_ids = classes[keep].topk(min(TOP_CLASSES, classes.shape[1]))  # (candidates, k)
    columns = (picture[keep], xyxy[keep], surely[keep], top_ids, top_scores)
    picture_of, boxes_xyxy, presence_of, ids, scores = (column.cpu().numpy() for column in columns)
    found = CharDetections(boxes_xyxy, scores[:, 0], ids[:, 0], presence_of, ids, scores)
    ends = np.bincount(picture_of, minlength=len(output)).cumsum().tolist()
    return [found[start : min(end, start + MAX_CANDIDATES)] for start, end in zip([0, *ends], ends, strict=False)]


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
