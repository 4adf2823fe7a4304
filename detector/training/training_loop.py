"""The training loop of a detection network and its loss, on batches that the caller draws."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detector.data.atomic import atomic_write
from detector.data.letterbox import to_shares
from detector.networks.arithmetic import Arithmetic, autocast, kept_threads
from detector.networks.device import to_device
from detector.networks.ultralytics import averaged

log = logging.getLogger("detector")

Batch = tuple[NDArray[np.uint8] | torch.Tensor, NDArray[np.float32], NDArray[np.int64]]
"""Pictures, boxes (B, n, 4), xyxy in their pixels, class ids (B, n), -1 where no character is.

Pictures are uint8 (B, H, W, 3), BGR, or as the network takes them and where it is: float (B, 3, H, W), RGB, in [0, 1].
"""

CHECKPOINT_SECONDS = 15.0
"""How often :func:`train_network` writes down where it is."""


@dataclass(frozen=True)
class Schedule:
    """How long training takes, and its learning rate: a linear warm-up, then one cosine down to 2 %.

    Args:
        progress: share of all there is to do that is done before a step; 1 ends training.
        peak_lr: highest learning rate.
        warm_up: steps in which the learning rate rises.
    """

    progress: Callable[[int], float]
    peak_lr: float
    warm_up: int = 300

    def lr(self, step: int, progress: float) -> float:
        """Return the learning rate of a step, by the share of training done."""
        warm = min(1.0, (step + 1) / self.warm_up)
        return self.peak_lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


@dataclass(frozen=True)
class Checkpoint:
    """Where :func:`train_network` writes down how far it is, and goes on from.

    Args:
        path: file that is written every :data:`CHECKPOINT_SECONDS`.
        of: what is trained; a file of something else is not gone on from.
    """

    path: Path
    of: str

    def read(self) -> dict[str, Any] | None:
        """Read the state of the same training, or None."""
        try:
            content: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:  # torch has no one error for damaged files
            log.warning("%s cannot be read (%s): training begins anew", self.path, error)
            return None
        return content if content.get("of") == self.of else None

    def write(self, step: int, parts: Mapping[str, Any]) -> None:
        """Atomically write the states of these parts after so many steps."""
        states = {name: part.state_dict() for name, part in parts.items()}
        with atomic_write(self.path) as path, path.open("wb") as file:
            torch.save({"of": self.of, "step": step, **states}, file)


def train_network(
    net: Any,
    draw: Callable[[int], Batch],
    schedule: Schedule,
    device: torch.device,
    *,
    arithmetic: Arithmetic | None = None,
    after: Callable[[int, float, torch.nn.Module], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> torch.nn.Module:
    """Train a network of :func:`detector.networks.ultralytics.new_network`: AdamW, one cosine, averaged weights.

    Where ``draw`` and the schedule depend on the step alone, training that goes on from a checkpoint ends in the same
    weights as training that was never stopped.

    Args:
        net: is trained in place.
        draw: the batch of a step; called in a thread, a step ahead.
        schedule: of the learning rate, and when training ends.
        device: where it is trained.
        arithmetic: on a CPU; None takes all of torch's threads, and bfloat16 where the hardware has it.
        after: told of each step that was taken: how many there were, the loss a picture, the averaged network.
        checkpoint: to go on from.

    Returns:
        The averaged network.
    """
    with kept_threads(), ThreadPoolExecutor(1) as pool:  # one thread: it makes the next batch during a step
        if arithmetic is not None:
            torch.set_num_threads(arithmetic.threads)
        net = net.to(device=device, memory_format=torch.channels_last)
        net.criterion = net.init_criterion()
        average, optimizer, step = averaged(net), _adamw(net), 0
        parts = {"net": net, "average": average.ema, "optimizer": optimizer}
        if checkpoint is not None and (saved := checkpoint.read()):
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            step = average.updates = saved["step"]
        last_write = time.perf_counter()
        coming = pool.submit(draw, step)
        while (progress := schedule.progress(step)) < 1:
            batch = coming.result()
            coming = pool.submit(draw, step + 1)
            for group in optimizer.param_groups:
                group["lr"] = schedule.lr(step, progress)
            loss = loss_of(net, batch, device, arithmetic)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            average.update(net)
            step += 1
            if after is not None:
                after(step, loss.item(), average.ema)
            if checkpoint is not None and time.perf_counter() - last_write >= CHECKPOINT_SECONDS:
                checkpoint.write(step, parts)
                last_write = time.perf_counter()
        coming.cancel()
    trained: torch.nn.Module = average.ema
    return trained


def _adamw(net: torch.nn.Module) -> torch.optim.Optimizer:
    """Make AdamW with weight decay for matrices alone: biases and norms have none."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}])


def loss_of(net: Any, batch: Batch, device: torch.device, arithmetic: Arithmetic | None = None) -> torch.Tensor:
    """Return the mean loss of a batch's pictures; the network has its criterion."""
    images, boxes, ids = batch
    labelled = to_batch(images, boxes, ids, device)
    net.train()
    with autocast(device) if arithmetic is None else arithmetic.autocast():
        predictions = net.predict(labelled["img"])
    with torch.autocast(device.type, enabled=False):  # where the caller measures steps in one
        loss, _ = net.loss(labelled, _as_float(predictions))
    mean: torch.Tensor = loss.sum() / len(images)
    return mean


def to_batch(
    images: NDArray[np.uint8] | torch.Tensor,
    boxes_xyxy: NDArray[np.float32],
    ids: NDArray[np.int64],
    device: torch.device,
) -> dict[str, torch.Tensor]:
    """Convert a :data:`Batch` to the form of Ultralytics' loss: centre and size of boxes as shares of the picture."""
    pictures = images.to(device) if isinstance(images, torch.Tensor) else to_device(images, device, flip=True)
    height, width = pictures.shape[2:]
    rows, columns = np.nonzero(ids >= 0)
    shares = to_shares(boxes_xyxy[rows, columns], (width, height))
    return {
        "img": pictures,
        "batch_idx": torch.from_numpy(rows).float().to(device),
        "cls": torch.from_numpy(ids[rows, columns]).float()[:, None].to(device),
        "bboxes": torch.from_numpy(shares).float().to(device),
    }


def _as_float(nest: Any) -> Any:
    """Convert nested dicts, lists and tensors to full precision, for the loss."""
    if torch.is_tensor(nest):
        return nest.float()
    if isinstance(nest, dict):
        return {k: _as_float(v) for k, v in nest.items()}
    return type(nest)(_as_float(v) for v in nest) if isinstance(nest, (list, tuple)) else nest
