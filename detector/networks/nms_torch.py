"""What is read from a network's output while it is torch's, as :mod:`detector.networks.nms` reads numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from detector.networks import nms
from detector.text.candidates import MAX_CANDIDATES, MIN_SCORE
from detector.text.detections import TOP_CLASSES, CharDetections

_AT_ONCE = 65_536  # places whose candidates are sorted out at once: that costs the square of the candidates
_FAR = 1e4  # pixels; boxes that reach further are as good as endless


def candidates(output: torch.Tensor) -> list[CharDetections]:
    """Adapt :func:`detector.networks.nms.candidates` to a tensor, on its device.

    Args:
        output: (batch, 4 + classes, places): cx, cy, w, h in pixels of the input, then class scores.
    """
    if output.device.type == "cpu":
        return nms.candidates(output.float().numpy())
    return candidates_on_device(output)


def candidates_on_device(output: torch.Tensor) -> list[CharDetections]:
    """Compute candidates on the device, so that only these leave it.

    Threshold and limit are those of :mod:`detector.networks.nms`; OpenCV's suppression there has no way onto a GPU, and
    torchvision is not in the base install.
    """
    pictures_at_once = max(1, _AT_ONCE // max(1, output.shape[2]))
    starts = range(0, len(output), pictures_at_once)
    return [detections for start in starts for detections in _candidates(output[start : start + pictures_at_once])]


def _candidates(output: torch.Tensor) -> list[CharDetections]:
    import torchvision  # seconds, which a CPU need not wait for

    boxes, classes = output[:, :4].float(), output[:, 4:].float()
    objectness = 1 - (1 - classes.clamp(0, 1)).prod(1)  # (batch, places)
    picture, anchor = torch.nonzero(objectness >= MIN_SCORE, as_tuple=True)  # of each candidate
    surely, boxes = objectness[picture, anchor], boxes[picture, :, anchor]
    centre, half_size = boxes[:, :2], boxes[:, 2:] / 2
    xyxy = torch.cat([centre - half_size, centre + half_size], 1)  # (candidates, 4)
    # Pictures side by side, so that none covers another. Not `batched_nms`: with many it goes through them one by one.
    finite_xyxy = xyxy.nan_to_num(0.0).clamp(-_FAR, _FAR).double()
    stride = finite_xyxy.max() - finite_xyxy.min() + 1 if len(finite_xyxy) else 0
    keep = torchvision.ops.nms(finite_xyxy + (picture * stride)[:, None], surely.double(), nms.NMS_IOU)  # surest first
    keep = keep[picture[keep].argsort(stable=True)]  # by picture, and in each the surest first
    picture, anchor = picture[keep], anchor[keep]
    top_confidence, top_class_id = classes[picture, :, anchor].topk(min(TOP_CLASSES, classes.shape[1]))
    columns = (picture, xyxy[keep], surely[keep], top_class_id, top_confidence)
    picture_of, boxes_xyxy, objectness_of, ids, scores = (column.cpu().numpy() for column in columns)
    detections = CharDetections(boxes_xyxy, scores[:, 0], ids[:, 0], objectness_of, ids, scores)
    ends = np.bincount(picture_of, minlength=len(output)).cumsum().tolist()
    return [detections[start : min(end, start + MAX_CANDIDATES)] for start, end in zip([0, *ends], ends, strict=False)]


def prediction(output: Any) -> torch.Tensor:
    """Return the tensor (batch, 4 + classes, anchors) in whatever a model or backend returned.

    Raises:
        WeightsError: if it is the output of a head that has suppressed already.
    """
    while isinstance(output, (list, tuple)):
        output = output[0]
    tensor = torch.as_tensor(output)
    nms.check_output(tensor.shape)
    return tensor
