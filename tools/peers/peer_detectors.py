"""Faster R-CNN and RF-DETR nano as detectors for this package's readers, and their training; no command of its own.

They are for ``other_models.py``. Both start from random weights, for nothing is downloaded: the wheels of torchvision
and rfdetr hold none. Each takes the letterboxed picture that all detectors get, resizes it as its library does by
default, and returns the output of a YOLO head: a box and the scores of all symbols for each place. They learn from this
package's loader and augmentation by AdamW, a cosine learning rate that follows the clock, and averaged weights.

- Faster R-CNN (Ren et al., 2015): torchvision's ``fasterrcnn_mobilenet_v3_large_320_fpn``, all layers trained.
- RF-DETR nano (Robinson et al., 2025): rfdetr's ``RFDETRNanoConfig``, its criterion and matcher. Its own learning
  rates, which fall from layer to layer, are for weights that know something; here all layers have one.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_convert

from detector.data.letterbox import DEFAULT_SHAPE_HW
from detector.data.sets.yolo_dataset import CharacterSet
from detector.networks.arithmetic import Arithmetic, choose_arithmetic
from detector.networks.device import to_device
from detector.networks.nms import candidates
from detector.networks.ultralytics import averaged
from detector.text.detections import CharDetections
from detector.text.reading_config import ReadingConfig
from detector.training.augment.plan import BatchAugment
from detector.training.augment.policy import Policy
from detector.training.dataset import EpochOrder, TextDataset, TextLoader
from detector.training.training_loop import Schedule

WARM_UP = 10  # steps; there are few of them in few minutes
MIN_SIDE = 1.0  # of a box to learn from, in pixels

Boxes = list[Tensor]
"""For each picture (n, 4) xyxy, in pixels of the letterboxed picture."""


class FasterRcnn(nn.Module):
    """torchvision's Faster R-CNN with MobileNetV3 and the 320-pixel defaults, which resize 256x64 to 640x160.

    Args:
        classes: number of symbols.
    """

    lr, clip, batch = 5e-4, 5.0, 16
    package = "torchvision"

    def __init__(self, classes: int) -> None:
        from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

        super().__init__()
        # 64 regions a picture are trained on instead of 512: a string has few characters, and steps are few.
        self.net = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, num_classes=1 + classes, box_batch_size_per_image=64
        )

    def _features(self, pictures: Tensor, targets: list[dict[str, Tensor]] | None = None) -> tuple[Any, Any, Any]:
        batch, targets = self.net.transform(list(pictures), targets)
        features = self.net.backbone(batch.tensors)
        return batch, OrderedDict((level, feature.float()) for level, feature in features.items()), targets

    def loss(self, pictures: Tensor, boxes_xyxy: Boxes, ids: list[Tensor]) -> Tensor:
        """Return the sum of its four losses; class 0 is the background."""
        targets = [{"boxes": boxes, "labels": 1 + labels} for boxes, labels in zip(boxes_xyxy, ids, strict=True)]
        batch, features, resized = self._features(pictures, targets)
        with torch.autocast("cpu", enabled=False):  # boxes have more than bfloat16's three digits
            proposals, proposal_losses = self.net.rpn(batch, features, resized)
            _, losses = self.net.roi_heads(features, proposals, batch.image_sizes, resized)
        return torch.stack([*proposal_losses.values(), *losses.values()]).sum()

    def forward(self, pictures: Tensor) -> Tensor:
        """Return raw output (B, 4 + classes, places): a place is a proposal, its box that of the likeliest class."""
        batch, features, _ = self._features(pictures)
        with torch.autocast("cpu", enabled=False):
            proposals, _ = self.net.rpn(batch, features)
            heads = self.net.roi_heads
            pooled = heads.box_roi_pool(features, proposals, batch.image_sizes)
            logits, offsets = heads.box_predictor(heads.box_head(pooled))
            scores = logits.softmax(1)[:, 1:]  # (places of all pictures, classes)
            boxes = heads.box_coder.decode(offsets, proposals)[:, 1:]  # (…, classes, 4)
            boxes = boxes[torch.arange(len(boxes)), scores.argmax(1)] * (pictures.shape[3] / batch.image_sizes[0][1])
            places = torch.cat([box_convert(boxes, "xyxy", "cxcywh"), scores], 1)
        return pad_sequence(places.split(list(map(len, proposals))), batch_first=True).transpose(1, 2)


class RfDetr(nn.Module):
    """rfdetr's nano, which stretches the picture to 384x384.

    Args:
        classes: number of symbols.
    """

    lr, clip, batch = 2e-4, 0.1, 4  # the last two are rfdetr's own
    package = "rfdetr"

    def __init__(self, classes: int) -> None:
        os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        from rfdetr.config import RFDETRNanoConfig, TrainConfig
        from rfdetr.models.lwdetr import build_criterion_from_config, build_model_from_config

        super().__init__()
        config = RFDETRNanoConfig(num_classes=classes, pretrain_weights=None, device="cpu")
        training = TrainConfig(dataset_dir=".", output_dir=".")
        self.net = build_model_from_config(config, training)
        self.criterion, _ = build_criterion_from_config(config, training)
        self.side, self.classes = config.resolution, classes
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def _outputs(self, pictures: Tensor) -> Any:
        side = (self.side, self.side)
        square = nn.functional.interpolate(pictures, side, mode="bilinear", align_corners=False)
        return _as_float(self.net((square - self.mean) / self.std))

    def loss(self, pictures: Tensor, boxes_xyxy: Boxes, ids: list[Tensor]) -> Tensor:
        """Return the sum of the criterion's losses, each times its weight."""
        height, width = pictures.shape[2:]
        sides = torch.tensor([width, height, width, height])
        targets = [
            {"boxes": box_convert(boxes, "xyxy", "cxcywh") / sides, "labels": labels}
            for boxes, labels in zip(boxes_xyxy, ids, strict=True)
        ]
        outputs = self._outputs(pictures)
        with torch.autocast("cpu", enabled=False):
            losses, weights = self.criterion(outputs, targets), self.criterion.weight_dict
        return torch.stack([losses[name] * weights[name] for name in losses if name in weights]).sum()

    def forward(self, pictures: Tensor) -> Tensor:
        """Return raw output (B, 4 + classes, places): a place is a query."""
        outputs = self._outputs(pictures)
        height, width = pictures.shape[2:]
        boxes = outputs["pred_boxes"] * torch.tensor([width, height, width, height])
        return torch.cat([boxes, outputs["pred_logits"].sigmoid()[..., : self.classes]], 2).transpose(1, 2)


def _as_float(nest: Any) -> Any:
    """Return the same nest of dicts, lists and tensors in full precision."""
    if isinstance(nest, dict):
        return {key: _as_float(value) for key, value in nest.items()}
    if isinstance(nest, (list, tuple)):
        return [_as_float(value) for value in nest]
    return nest.float() if torch.is_tensor(nest) and nest.is_floating_point() else nest


DETECTORS: dict[str, type[FasterRcnn] | type[RfDetr]] = {"faster-rcnn": FasterRcnn, "rf-detr-nano": RfDetr}


@dataclass(frozen=True)
class PeerNetwork:
    """One of :data:`DETECTORS` as a :class:`detector.networks.network.Network`."""

    detector: nn.Module
    config: ReadingConfig
    shape_hw: tuple[int, int] | None = None

    @property
    def names(self) -> dict[int, str]:
        """Symbols by class id."""
        return dict(enumerate(self.config.symbols))

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Return candidates in pixels of the letterboxed pictures, by the rule of this package's own detectors."""
        return candidates(self.output(images))

    @torch.inference_mode()
    def output(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the raw output (n, 4 + classes, places) for pictures, uint8 (n, H, W, 3) BGR."""
        raw: Tensor = self.detector(to_device(images, torch.device("cpu"), flip=True))
        return np.asarray(raw.float().numpy(), np.float32)


def targets_of(batch: dict[str, Any]) -> tuple[Tensor, Boxes, list[Tensor]]:
    """Return a loader's batch as pictures (B, 3, H, W) in [0, 1] and, for each of them, boxes and class ids (n,)."""
    pictures = batch["img"].float().div(255)
    count, _, height, width = pictures.shape
    boxes = box_convert(batch["bboxes"], "cxcywh", "xyxy") * torch.tensor([width, height, width, height])
    is_usable = (boxes[:, 2:] - boxes[:, :2] > MIN_SIDE).all(1)
    rows = [is_usable & (batch["batch_idx"] == row) for row in range(count)]
    return pictures, [boxes[row].float() for row in rows], [batch["cls"][row, 0].long() for row in rows]


def _endless(loader: TextLoader) -> Iterator[dict[str, Any]]:
    while True:
        yield from loader


def learn(name: str, characters: CharacterSet, minutes: float, seed: int, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Train one of :data:`DETECTORS` on the split "train"; return it as a network, and figures.

    Args:
        name: of the detector.
        characters: the set.
        minutes: of training.
        seed: of the weights, the order and the augmentation.
        folder: that the weights are written into.
    """
    torch.manual_seed(seed)
    config = characters.config
    detector = DETECTORS[name](len(config.symbols)).to(memory_format=torch.channels_last).train()
    dataset = TextDataset(characters, "train", config.shape_hw or DEFAULT_SHAPE_HW)
    order = EpochOrder(dataset, shuffled=True, seed=seed)
    batches = _endless(TextLoader(dataset, detector.batch, order, augment=BatchAugment(Policy(), seed)))
    arithmetic, _ = choose_arithmetic(_step_of_a_copy(detector, next(batches)))
    network, figures = _train(detector, batches, arithmetic, minutes)
    weights_file = folder / f"{name}.pt"
    torch.save({key: _half(value) for key, value in network.state_dict().items()}, weights_file)
    figures |= {
        "parameters": sum(p.numel() for p in network.parameters()), "megabytes": weights_file.stat().st_size / 1e6,
        "versions": {detector.package: version(detector.package)},
    }  # fmt: skip
    return PeerNetwork(network, config), figures


def _train(
    detector: Any, batches: Iterator[dict[str, Any]], arithmetic: Arithmetic, minutes: float
) -> tuple[nn.Module, dict[str, Any]]:
    """Train for so many minutes; return the averaged network, and figures."""
    torch.set_num_threads(arithmetic.threads)
    optimizer = torch.optim.AdamW(detector.parameters(), weight_decay=1e-4)
    average, start_time, picture_count, losses = averaged(detector), time.perf_counter(), 0, list[float]()
    schedule = Schedule(lambda _: (time.perf_counter() - start_time) / 60 / minutes, detector.lr, WARM_UP)
    while (progress := schedule.progress(len(losses))) < 1:
        optimizer.param_groups[0]["lr"] = schedule.lr(len(losses), progress)
        pictures, boxes, ids = targets_of(next(batches))
        with arithmetic.autocast():
            loss = detector.loss(pictures, boxes, ids)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), detector.clip)
        optimizer.step()
        average.update(detector)
        losses.append(loss.item())
        picture_count += len(pictures)
    return average.ema.eval(), {
        "minutes": {"train": (time.perf_counter() - start_time) / 60}, "steps": len(losses),
        "pictures_drawn": picture_count, "arithmetic": str(arithmetic),
        "loss": {"first": _mean(losses[:10]), "last": _mean(losses[-10:])},
    }  # fmt: skip


def _step_of_a_copy(detector: nn.Module, batch: dict[str, Any]) -> Callable[[], None]:
    """Return a training step that leaves the detector as it is."""
    copy, targets = deepcopy(detector), targets_of(batch)
    return lambda: copy.loss(*targets).backward()


def _half(tensor: Tensor) -> Tensor:
    """Return a tensor in half precision, as this package's own weights are stored."""
    return tensor.half() if tensor.is_floating_point() else tensor


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)
