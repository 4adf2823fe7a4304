"""Milliseconds of each part of a training step alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from detector.data.images import read_image
from detector.data.letterbox import letterbox
from detector.training.augment import on_cpu as augment_opencv
from detector.training.augment import on_gpu as augment_torch
from detector.training.augment.plan import BatchAugment
from detector.training.augment.policy import Augment
from detector.training.dataset import TextDataset
from detector.training.profiling.steps import AT_LEAST, forward_loss, median_seconds, synchroniser, train_step
from detector.training.trainer import TextTrainer


def stage_ms(
    trainer: TextTrainer, dataset: TextDataset, size: int, executor: Augment | BatchAugment | None, seconds: float
) -> dict[str, float]:
    """Measure milliseconds a picture of each stage alone."""
    device, sync = trainer.device, synchroniser(trainer.device)
    chunk = list(range(size))
    paths = dataset.im_files[:size]
    decoded = [read_image(path) for path in paths]
    pixels = dataset.rgb(chunk, pinned=device.type == "cuda")
    on_device = pixels.to(device)
    shape_hw = trainer.shape_hw
    calls: dict[str, Callable[[], object]] = {
        "decode": lambda: [read_image(path) for path in paths],
        "fit": lambda: [letterbox(picture, shape_hw) for picture in decoded],
    }
    policy = trainer.augmentation() if executor is None else executor  # shown even where it is off: what it would cost
    if isinstance(policy, Augment):
        calls["augment"] = lambda: [policy(dataset.images[i], dataset.boxes[i], dataset.ids[i]) for i in chunk]
    elif device.type == "cpu":
        calls["augment"] = lambda: augment_opencv.apply(policy.plan(size, shape_hw), dataset.images[:size])
    else:
        calls["augment"] = lambda: augment_torch.apply(policy.plan(size, shape_hw), on_device.float() / 255)
    calls["collate"] = lambda: dataset.unchanged(chunk, dataset.rgb(chunk))
    if device.type == "cuda":
        calls["copy"] = lambda: pixels.to(device, non_blocking=True)
    seconds_of = {name: median_seconds(call, seconds / 3, sync) for name, call in calls.items()}
    batch = trainer.preprocess_batch(dataset.unchanged(chunk, on_device))
    forward: list[float] = []
    backward: list[float] = []
    train_step(trainer, batch)
    began = time.perf_counter()
    while len(forward) < AT_LEAST or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        loss = forward_loss(trainer, batch)
        sync()
        middle = time.perf_counter()
        loss.backward()  # type: ignore[no-untyped-call]
        trainer.optimizer_step()
        sync()
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
    seconds_of |= {"forward": statistics.median(forward), "backward": statistics.median(backward)}
    return {name: seconds / size * 1e3 for name, seconds in seconds_of.items()}
