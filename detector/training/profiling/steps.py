"""Seconds of a training step and of its parts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from detector.data.images import read_image
from detector.data.letterbox import letterbox
from detector.training.augment import on_cpu as augment_opencv
from detector.training.augment import on_gpu as augment_torch
from detector.training.augment.plan import BatchAugment
from detector.training.augment.policy import Augment
from detector.training.dataset import TextDataset
from detector.training.profiling.loaders import Loader
from detector.training.trainer import TextTrainer, validate_once

_AT_LEAST = 3  # times that anything is measured


def loader_rate(loader: Loader, seconds: float) -> float:
    """Pictures a second of a loader alone, over whole epochs, after one batch to warm up."""
    next(iter(loader))
    count, began = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - began < seconds:
        for batch in loader:
            count += len(batch["img"])
            if time.perf_counter() - began > 2 * seconds:
                break
    return count / (time.perf_counter() - began)


def _seconds(work: Callable[[], object], seconds: float, sync: Callable[[], None]) -> float:
    """Median time of one call."""
    work()
    sync()
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < _AT_LEAST or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        sync()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _synchroniser(device: torch.device) -> Callable[[], None]:
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def stage_ms(
    trainer: TextTrainer, dataset: TextDataset, size: int, executor: Augment | BatchAugment | None, seconds: float
) -> dict[str, float]:
    """Milliseconds a picture of each stage alone."""
    device, sync = trainer.device, _synchroniser(trainer.device)
    chunk = list(range(size))
    paths = dataset.im_files[:size]
    decoded = [read_image(path) for path in paths]
    boxes, ids = [dataset.boxes[i] for i in chunk], [dataset.ids[i] for i in chunk]
    pixels = dataset.rgb(chunk, pinned=device.type == "cuda")
    on_device = pixels.to(device)
    shape_hw = trainer.shape_hw
    works: dict[str, Callable[[], object]] = {
        "decode": lambda: [read_image(path) for path in paths],
        "fit": lambda: [letterbox(picture, shape_hw) for picture in decoded],
    }
    policy = trainer._augment() if executor is None else executor  # shown even where it is off: what it would cost
    if isinstance(policy, Augment):
        works["augment"] = lambda: [policy(dataset.images[i], dataset.boxes[i], dataset.ids[i]) for i in chunk]
    elif device.type == "cpu":
        works["augment"] = lambda: augment_opencv.apply(policy.plan(size, shape_hw), dataset.images[:size])
    else:
        works["augment"] = lambda: augment_torch.apply(policy.plan(size, shape_hw), on_device.float() / 255)
    works["collate"] = lambda: dataset.batch(chunk, dataset.rgb(chunk), boxes, ids)
    if device.type == "cuda":
        works["copy"] = lambda: pixels.to(device, non_blocking=True)
    found = {name: _seconds(work, seconds / 3, sync) for name, work in works.items()}
    batch = trainer.preprocess_batch(dataset.batch(chunk, on_device, boxes, ids))
    forward: list[float] = []
    backward: list[float] = []
    train_step(trainer, batch)
    began = time.perf_counter()
    while len(forward) < _AT_LEAST or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        loss = _forward(trainer, batch)
        sync()
        middle = time.perf_counter()
        loss.backward()  # type: ignore[no-untyped-call]
        trainer.optimizer_step()
        sync()
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
    found |= {"forward": statistics.median(forward), "backward": statistics.median(backward)}
    return {name: taken / size * 1e3 for name, taken in found.items()}


def _forward(trainer: TextTrainer, batch: dict[str, Any]) -> torch.Tensor:
    with torch.autocast(trainer.device.type, torch.bfloat16, enabled=bool(trainer.amp)):
        losses, trainer.loss_items = trainer.model(batch)
    total: torch.Tensor = losses.sum()
    return total


def train_step(trainer: TextTrainer, batch: dict[str, Any]) -> None:
    """Forward, backward and the optimizer, on a batch as ``trainer.preprocess_batch`` gives it."""
    _forward(trainer, batch).backward()  # type: ignore[no-untyped-call]
    trainer.optimizer_step()


def step_seconds(trainer: TextTrainer, loader: Loader, seconds: float) -> tuple[float, float]:
    """Mean time of a step with the loader, and of one on a ready batch, measured in turns so that both see the same
    machine."""
    sync = _synchroniser(trainer.device)

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            yield from loader

    batches = endless()
    ready = trainer.preprocess_batch(next(batches))
    train_step(trainer, dict(ready))
    size = len(ready["img"])
    total, limit, steps, began = 0.0, 0.0, 0, time.perf_counter()
    while steps < _AT_LEAST or time.perf_counter() - began < 2 * seconds:
        sync()
        start = time.perf_counter()
        pictures = 0
        for _ in range(_AT_LEAST):
            batch = next(batches)
            pictures += len(batch["img"])
            train_step(trainer, trainer.preprocess_batch(batch))
        sync()
        total += (time.perf_counter() - start) * _AT_LEAST * size / pictures  # an epoch's last batch may be smaller
        start = time.perf_counter()
        for _ in range(_AT_LEAST):
            train_step(trainer, dict(ready))
        sync()
        limit += time.perf_counter() - start
        steps += _AT_LEAST
    return total / steps, limit / steps


def validation_ms(trainer: TextTrainer) -> float:
    """Milliseconds a picture of a whole validation: forward, strings and mAP."""
    start = time.perf_counter()
    validate_once(trainer)
    return (time.perf_counter() - start) / len(trainer.test_loader.dataset) * 1e3
