"""Where the time of a training step goes, and how fast pictures come by different ways of loading them."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from detector.data.atomic import folder_beside
from detector.data.folders.user_cache import private_folder
from detector.data.parallel import Progress, no_progress
from detector.data.sets.yolo_dataset import read_set
from detector.data.trust import trusting
from detector.errors import ArgumentError
from detector.networks.arithmetic import kept_threads
from detector.networks.device import library_device
from detector.networks.ultralytics.library import unset_deterministic
from detector.training.arguments.checks import check_start, check_values
from detector.training.arguments.defaults import training_arguments
from detector.training.augment.plan import BatchAugment
from detector.training.augment.policy import Augment
from detector.training.dataset import EpochOrder, TextDataset, TextLoader
from detector.training.profiling.loaders import LOADERS, FileLoader, Loader, NaiveLoader
from detector.training.profiling.stages import stage_ms
from detector.training.profiling.steps import loader_rate, step_seconds, validation_ms
from detector.training.run import AUGMENT_ON
from detector.training.trainer import prepared_trainer

AUGMENT = (*AUGMENT_ON, "off")


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
        """Return plain values, for JSON."""
        return {**asdict(self), "shape_hw": list(self.shape_hw)}


def profile(
    data: str | os.PathLike[str],
    *,
    pictures: int | None = None,
    loader: str = "packed",
    augment: str | None = None,
    seconds: float = 3.0,
    trust: bool = False,
    progress: Progress | None = None,
    **yolo: Any,
) -> Profile:
    """Measure the training on a converted set, step by step; nothing is written.

    Args:
        data: data.yaml of the set, or its folder.
        pictures: at most so many of the split for training; all by default.
        loader: what the step loads with, one of ``LOADERS``; each is also measured alone.
        augment: "device", "picture" or "off"; by default as training would do it. Only ``packed`` augments.
        seconds: to spend on each measurement, at least.
        trust: open weights that can run code when they are opened.
        progress: called as the work goes on.
        yolo: arguments of the training, as :func:`detector.train` takes them; those that are None are left out. A batch
            has 32 pictures by default.

    Raises:
        DatasetError: if the set is missing or damaged.
        ArgumentError: if ``loader`` or ``augment`` is none of those that there are, or an argument makes no sense.
    """
    _check("loader", loader, LOADERS)
    _check("augment", augment or "off", AUGMENT)
    progress = progress or no_progress
    arguments = {"batch": 32, **{name: value for name, value in yolo.items() if value is not None}}
    check_values(arguments)
    characters = read_set(data)
    place = private_folder() / "profile"
    with (
        trusting(trust), folder_beside(place) as folder, contextlib.redirect_stdout(io.StringIO()),
        _training_settings_undone(),
    ):  # fmt: skip
        run_arguments = {"epochs": 1, "val": True, "project": str(folder), "name": "profile"}
        on = library_device(arguments.get("device"))
        overrides = training_arguments(characters, {**arguments, **run_arguments, "device": on})
        check_start(str(overrides["model"]))
        trainer = prepared_trainer(overrides, None if augment == "off" else augment)
        dataset = _subset(trainer.train_loader.dataset, pictures)
        executor = None if augment == "off" or loader != "packed" else trainer.augmentation()
        augment_on = "off" if executor is None else "picture" if isinstance(executor, Augment) else "device"
        size = min(arguments["batch"], len(dataset))
        loaders: dict[str, Loader] = {
            "packed": _packed(dataset, size, None, trainer.device),
            "files": FileLoader(dataset, size),
            "naive": NaiveLoader(dataset, size),
        }
        rates = {}
        for done, name in enumerate(LOADERS):
            progress(f"loader {name}", done, len(LOADERS) + 2)
            rates[name] = loader_rate(loaders[name], seconds)
        progress("stages", len(LOADERS), len(LOADERS) + 2)
        stages = stage_ms(trainer, dataset, size, executor, seconds)
        progress("steps", len(LOADERS) + 1, len(LOADERS) + 2)
        measured = _packed(dataset, size, executor, trainer.device) if loader == "packed" else loaders[loader]
        step, limit = step_seconds(trainer, measured, seconds)
        stages["validate"] = validation_ms(trainer)
    share = max(0.0, 1 - limit / step)
    bottleneck, advice = _advice(rates, stages, share, loader, augment_on, size / limit, trainer.device.type)
    return Profile(
        rates, step * 1e3, share, limit * 1e3, size / step, stages, bottleneck, advice, len(dataset), size,
        trainer.shape_hw, loader, augment_on, str(trainer.device), Path(overrides["model"]).name,
    )  # fmt: skip


@contextlib.contextmanager
def _training_settings_undone() -> Iterator[None]:
    """After the block, undo what a trainer sets for the whole process: threads, deterministic algorithms."""
    with kept_threads():
        try:
            yield
        finally:
            unset_deterministic()


def _check(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ArgumentError(f"{name}={value!r}: give one of {', '.join(choices)}.")


def _subset(dataset: TextDataset, pictures: int | None) -> TextDataset:
    """Return the dataset with its first pictures only."""
    subset = copy(dataset)
    for name in ("images", "boxes", "ids", "texts", "im_files", "labels", "rows"):
        setattr(subset, name, getattr(dataset, name)[:pictures])
    return subset


def _packed(
    dataset: TextDataset, size: int, augment: Augment | BatchAugment | None, device: torch.device
) -> TextLoader:
    return TextLoader(dataset, size, EpochOrder(dataset, shuffled=True), augment=augment, device=device)


def _advice(
    rates: dict[str, float], stages: dict[str, float], share: float, loader: str, augment: str, limit: float, kind: str
) -> tuple[str, str]:
    """Name the bottleneck and what to change; ``limit`` is pictures a second without input."""
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
