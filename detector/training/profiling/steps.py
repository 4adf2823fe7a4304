"""Seconds of a training step and of its parts."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from detector.networks.ultralytics.library import quiet
from detector.training.profiling.loaders import Loader
from detector.training.trainer import TextTrainer

AT_LEAST = 3  # times that anything is measured


def loader_rate(loader: Loader, seconds: float) -> float:
    """Measure a loader's pictures a second, over whole epochs, after one batch to warm up."""
    next(iter(loader))
    count, began = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - began < seconds:
        for batch in loader:
            count += len(batch["img"])
            if time.perf_counter() - began > 2 * seconds:
                break
    return count / (time.perf_counter() - began)


def median_seconds(call: Callable[[], object], seconds: float, sync: Callable[[], None]) -> float:
    """Measure the median time of one call."""
    call()
    sync()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < AT_LEAST or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        sync()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def synchroniser(device: torch.device) -> Callable[[], None]:
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def forward_loss(trainer: TextTrainer, batch: dict[str, Any]) -> torch.Tensor:
    with torch.autocast(trainer.device.type, torch.bfloat16, enabled=bool(trainer.amp)):
        losses, trainer.loss_items = trainer.model(batch)
    total: torch.Tensor = losses.sum()
    return total


def train_step(trainer: TextTrainer, batch: dict[str, Any]) -> None:
    """Run forward, backward and the optimizer on a batch as ``trainer.preprocess_batch`` gives it."""
    forward_loss(trainer, batch).backward()  # type: ignore[no-untyped-call]
    trainer.optimizer_step()


def step_seconds(trainer: TextTrainer, loader: Loader, seconds: float) -> tuple[float, float]:
    """Mean time of a step with the loader, and of one on a ready batch, measured in turns so that both see the same
    machine."""
    sync = synchroniser(trainer.device)

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            yield from loader

    batches = endless()
    ready = trainer.preprocess_batch(next(batches))
    train_step(trainer, dict(ready))
    size = len(ready["img"])
    total, limit, steps, began = 0.0, 0.0, 0, time.perf_counter()
    while steps < AT_LEAST or time.perf_counter() - began < 2 * seconds:
        sync()
        start = time.perf_counter()
        pictures = 0
        for _ in range(AT_LEAST):
            batch = next(batches)
            pictures += len(batch["img"])
            train_step(trainer, trainer.preprocess_batch(batch))
        sync()
        total += (time.perf_counter() - start) * AT_LEAST * size / pictures  # an epoch's last batch may be smaller
        start = time.perf_counter()
        for _ in range(AT_LEAST):
            train_step(trainer, dict(ready))
        sync()
        limit += time.perf_counter() - start
        steps += AT_LEAST
    return total / steps, limit / steps


def validation_ms(trainer: TextTrainer) -> float:
    """Measure milliseconds a picture of a whole validation: forward, strings and mAP."""
    start = time.perf_counter()
    _validate_once(trainer)
    return (time.perf_counter() - start) / len(trainer.test_loader.dataset) * 1e3


def _validate_once(trainer: TextTrainer) -> None:
    """Validate silently, with a trainer that has taken a step."""
    trainer.train_time_start = time.time()
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        trainer.validator(trainer)
