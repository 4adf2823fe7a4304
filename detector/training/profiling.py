"""Where the time of a training step goes, and how fast pictures come by different ways of loading them."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from detector.data.atomic import atomic_write
from detector.data.images import read_image
from detector.data.letterbox import letterbox
from detector.data.trust import trusting
from detector.data.yolo_dataset import read_set
from detector.errors import ArgumentError
from detector.training.arguments import check_start
from detector.training.augment import on_cpu as augment_opencv
from detector.training.augment import on_gpu as augment_torch
from detector.training.augment.plan import BatchAugment
from detector.training.augment.policy import Augment
from detector.training.dataset import TextDataset, TextLoader
from detector.training.run import AUGMENT_ON, training_arguments
from detector.training.trainer import TextTrainer, prepared_trainer, validate_once

LOADERS = ("packed", "files", "naive")
"""Ways to load: sliced from the packed store; each picture decoded anew each time, uint8; and as the Keras-like
generator does it: each picture opened, resized and divided to float64, its label one-hot, all in one process."""

AUGMENT = (*AUGMENT_ON, "off")
_SYMBOLS, _LENGTH = 37, 8  # of that generator's labels
_AT_LEAST = 3  # times that anything is measured


@dataclass(frozen=True)
class Profile:
    """What was measured.

    Attributes:
        loaders: pictures a second of each way to load, alone, unaugmented.
        stages: milliseconds a picture of each part of the work alone, in order.
        step_ms: of one step, from asking for the batch to the optimizer, with ``loader`` and ``augment``.
        limit_ms: of the same step on one batch again and again, that lies ready on the device.
        input_share: of a step, what the input costs: ``1 - limit_ms / step_ms``, 0 at least.
        bottleneck: the stage or loader that holds training up.
        advice: what to change.
    """

    loaders: dict[str, float]
    step_ms: float
    input_share: float
    limit_ms: float
    images_per_s: float
    stages: dict[str, float]
    bottleneck: str
    advice: str
    pictures: int
    batch: int
    shape_hw: tuple[int, int]
    loader: str
    augment: str
    device: str
    model: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "shape_hw": list(self.shape_hw)}


class Loader(Protocol):
    """Gives batches."""

    def __iter__(self) -> Iterator[dict[str, Any]]: ...


@dataclass
class FileLoader:
    """Each picture decoded and fitted anew each time, in order, in this process."""

    dataset: TextDataset
    batch_size: int

    def __iter__(self) -> Iterator[dict[str, Any]]:
        data = self.dataset
        shape_hw = (data.images.shape[1], data.images.shape[2])
        for chunk in _chunks(len(data), self.batch_size):
            pixels = np.stack([letterbox(read_image(data.im_files[i]), shape_hw)[0] for i in chunk])[..., ::-1]
            images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
            yield data.batch(chunk, images, [data.boxes[i] for i in chunk], [data.ids[i] for i in chunk])


@dataclass
class NaiveLoader:
    """A generator as tutorials have it, and the question that this project grew from: float64 and one-hot labels.

    The labels are made, for they cost time, and are put aside: a detector learns from boxes.
    """

    dataset: TextDataset
    batch_size: int

    def __iter__(self) -> Iterator[dict[str, Any]]:
        data = self.dataset
        height, width = data.images.shape[1:3]
        for chunk in _chunks(len(data), self.batch_size):
            images: list[NDArray[np.float64]] = []
            labels = []
            for i in chunk:
                picture = Image.open(data.im_files[i]).convert("RGB").resize((width, height))
                images.append(np.array(picture, np.float64) / 255.0)
                label = np.zeros((_LENGTH, _SYMBOLS))
                for place, symbol in enumerate(data.ids[i][:_LENGTH]):
                    label[place, symbol % _SYMBOLS] = 1.0
                labels.append(label)
            stacked, one_hot = np.array(images), np.array(labels)
            batch = data.batch(
                chunk, torch.from_numpy(stacked).permute(0, 3, 1, 2), [data.boxes[i] for i in chunk],
                [data.ids[i] for i in chunk],
            )  # fmt: skip
            yield {**batch, "label": one_hot}


def _chunks(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def profile(
    data: str | Path,
    *,
    pictures: int | None = None,
    imgsz: int | None = None,
    model: str | Path | None = None,
    batch: int = 32,
    loader: str = "packed",
    augment: str | None = None,
    device: str | None = None,
    seconds: float = 3.0,
    trust: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Profile:
    """Measure a converted set's training, a step's parts and the whole; nothing is kept.

    Args:
        data: data.yaml of the set, or its folder.
        pictures: at most so many of the split for training; all by default.
        imgsz, model, batch, device: as for :func:`detector.train`.
        loader: what the step loads with, one of ``LOADERS``; each is also measured alone.
        augment: "device", "picture" or "off"; by default as training would do it. Only ``packed`` augments.
        seconds: to spend on each measurement, at least.
        trust: open weights that can run code when they are opened.
        progress: called as the work goes on.

    Raises:
        DatasetError: if the set is missing or damaged.
        ArgumentError: if ``loader`` or ``augment`` is none of those that there are.
    """
    _check("loader", loader, LOADERS)
    _check("augment", augment or "off", AUGMENT)
    tell = progress or (lambda stage, done, total: None)
    characters = read_set(data)
    with trusting(trust), tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        chosen = {"model": model, "imgsz": imgsz, "device": device, "batch": batch, "epochs": 1, "val": True}
        given = {name: value for name, value in chosen.items() if value is not None}
        overrides = training_arguments(characters, {**given, "project": folder, "name": "profile"})
        check_start(str(overrides["model"]))
        trainer = prepared_trainer(overrides, None if augment == "off" else augment)
        dataset = _first(trainer.train_loader.dataset, pictures)
        executor = None if augment == "off" or loader != "packed" else trainer._augment()
        where = "off" if executor is None else "picture" if isinstance(executor, Augment) else "device"
        size = min(batch, len(dataset))
        ways: dict[str, Loader] = {
            "packed": _packed(dataset, size, None, trainer.device),
            "files": FileLoader(dataset, size),
            "naive": NaiveLoader(dataset, size),
        }
        rates = {}
        for done, name in enumerate(LOADERS):
            tell(f"loader {name}", done, len(LOADERS) + 2)
            rates[name] = loader_rate(ways[name], seconds)
        tell("stages", len(LOADERS), len(LOADERS) + 2)
        stages = _stages(trainer, dataset, size, executor, seconds)
        tell("steps", len(LOADERS) + 1, len(LOADERS) + 2)
        way = _packed(dataset, size, executor, trainer.device) if loader == "packed" else ways[loader]
        step, limit = step_seconds(trainer, way, seconds)
        stages["validate"] = _validate(trainer)
    share = max(0.0, 1 - limit / step)
    bottleneck, advice = _advice(rates, stages, share, loader, where, size / limit, trainer.device.type)
    return Profile(
        rates, step * 1e3, share, limit * 1e3, size / step, stages, bottleneck, advice, len(dataset), size,
        trainer.shape_hw, loader, where, str(trainer.device), Path(overrides["model"]).name,
    )  # fmt: skip


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ArgumentError(f"{name}={value!r}: give one of {', '.join(known)}.")


def _first(dataset: TextDataset, pictures: int | None) -> TextDataset:
    """The dataset with its first pictures only."""
    few = copy(dataset)
    for name in ("images", "boxes", "ids", "texts", "im_files", "labels"):
        setattr(few, name, getattr(dataset, name)[:pictures])
    return few


def _packed(
    dataset: TextDataset, size: int, augment: Augment | BatchAugment | None, device: torch.device
) -> TextLoader:
    return TextLoader(dataset, size, training=True, augment=augment, seed=0, rank=-1, device=device)


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


def _stages(
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


def _validate(trainer: TextTrainer) -> float:
    """Milliseconds a picture of a whole validation: forward, strings and mAP."""
    start = time.perf_counter()
    validate_once(trainer)
    return (time.perf_counter() - start) / len(trainer.test_loader.dataset) * 1e3


def _advice(
    rates: dict[str, float], stages: dict[str, float], share: float, loader: str, augment: str, limit: float, kind: str
) -> tuple[str, str]:
    """What holds training up, and what to do about it; ``limit`` is pictures a second without any input."""
    if share > 0.05 and loader != "packed":
        return f"loader {loader}", (
            f"the network could take {limit:.0f} pictures/s, {loader} gives {rates[loader]:.0f}: "
            f"use packed, which gives {rates['packed']:.0f}"
        )
    if share > 0.05 and augment == "picture":
        return "augment", (
            f"one picture at a time costs {stages['augment']:.2f} ms each: augment=device changes a batch at a time"
        )
    if share > 0.05 and augment == "device":
        return (
            "augment",
            "a smaller share with a larger batch; degrees=0 shear=0 … and augmentations=[] leave parts out",
        )
    if share > 0.05:
        return "collate", "a larger batch costs less a picture; on a GPU the set should fit into its memory"
    network = max(("forward", "backward"), key=stages.__getitem__)
    hint = "a larger batch, compile=True" if kind == "cuda" else "a GPU"
    return network, f"the input costs next to nothing; faster are {hint}, a smaller imgsz or a smaller model"


def draw(result: Profile, path: Path) -> None:
    """A picture: stages, loaders, and the step beside its limit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    stages, loaders, step = figure.subplots(1, 3)
    names = list(result.stages)
    colours = ["C1" if name == result.bottleneck else "C0" for name in names]
    bars = stages.barh(names, list(result.stages.values()), color=colours)
    stages.bar_label(bars, fmt="%.3g", padding=2)
    stages.margins(x=0.2)
    stages.invert_yaxis()
    stages.set(title="each stage alone", xlabel="ms a picture")
    bars = loaders.bar(list(result.loaders), list(result.loaders.values()))
    loaders.bar_label(bars, fmt="%.0f")
    loaders.axhline(1e3 * result.batch / result.limit_ms, color="C3", linestyle="--", label="what the network takes")
    loaders.set(title="each loader alone", ylabel="pictures/s", yscale="log")
    loaders.legend(loc="lower left")
    bars = step.bar([result.loader, "ready batch"], [result.step_ms, result.limit_ms], color=["C0", "C7"])
    step.bar_label(bars, fmt="%.4g")
    step.set(title=f"a step of {result.batch}: input {result.input_share:.1%}", ylabel="ms")
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=120)
