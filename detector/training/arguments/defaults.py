"""The arguments of a new run: those that are given, and this package's defaults for the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detector.data.letterbox import DEFAULT_SHAPE_HW, STRIDE
from detector.data.sets.yolo_dataset import CharacterSet, set_name
from detector.errors import ArgumentError
from detector.networks.device import pick_device
from detector.networks.shipped import NETWORK, shipped_detector
from detector.training.arguments.ineffective import AUGMENTATIONS
from detector.training.augment.policy import Policy
from detector.training.run_folder import RUNS
from detector.training.validation.evidence import default_patience

DEFAULTS: dict[str, Any] = {
    # Text has a direction and is read whole: nothing is mirrored, tiled or cut off.
    **dict.fromkeys(AUGMENTATIONS, 0.0), "close_mosaic": 0, "rect": False,
    # A small network and small pictures: AdamW with a short warm-up and one cosine.
    "optimizer": "AdamW", "momentum": 0.9, "weight_decay": 0.02, "cos_lr": True, "lrf": 0.02,
    "warmup_epochs": 1.0, "warmup_bias_lr": 0.0,
    "plots": False, "exist_ok": False,
}  # fmt: skip
"""Arguments of `yolo train` that differ from its own defaults; the ones given win."""

_FINE_TUNING_LR, _FROM_SCRATCH_LR = 1e-3, 2e-3
_STEPS, _MAX_EPOCHS = 2500, 300  # optimizer steps that an unasked number of epochs aims at
_BATCH, _MAX_GPU_BATCH = 32, 512  # pictures; the larger one keeps a GPU busy
_STEPS_AN_EPOCH = 100  # that a larger batch on a GPU leaves, so that small sets still get their steps


def training_arguments(characters: CharacterSet, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of a run on the set: given ones, and this package's defaults for the others."""
    from detector.training.processes import group

    shape_hw = characters.config.shape_hw or DEFAULT_SHAPE_HW
    device = pick_device(arguments.get("device"))
    to_learn, validation_rows = characters.rows("train", arguments.get("split") or "val")
    pictures = len(to_learn)
    processes = group.count()
    batch = arguments.get("batch", math.ceil(batch_for(device.type, pictures) / processes) * processes)
    model = str(arguments.get("model") or shipped_detector(characters.config.symbols) or NETWORK)
    from_weights = start_argument({**arguments, "model": model}) is not None
    policy = {k: v for k, v in asdict(Policy()).items() if k != "photometric"}
    overrides = {
        **DEFAULTS,
        **policy,
        "batch": batch,
        "lr0": (_FINE_TUNING_LR if from_weights else _FROM_SCRATCH_LR) * lr_factor(batch),
        "imgsz": max(shape_hw),
        "name": set_name(characters.root),
        "project": str(RUNS.resolve()),
        "amp": "bf16" if device.type == "cuda" else True,
        "deterministic": device.type != "cuda",  # there it forbids the fastest convolutions
        **arguments,
        **dict.fromkeys(AUGMENTATIONS, 0.0),
        "model": model,
        "data": str(characters.yaml_path),
        "task": "detect",
        "mode": "train",
    }
    group.check_shares(batch, pictures)
    _check_last_step(pictures, batch, overrides["imgsz"], processes)
    overrides.setdefault("nbs", batch if batch >= 1 else 64)
    if "epochs" not in arguments and "time" not in arguments:
        steps = _STEPS // 2 if from_weights else _STEPS
        # Below 1 it is a share of the GPU's memory, and nobody knows yet how many pictures these are.
        step_pictures = batch if batch >= 1 else _BATCH
        epochs = math.ceil(steps * step_pictures / max(pictures, 1))
        overrides["epochs"] = min(max(epochs, 10), _MAX_EPOCHS)
        steps_an_epoch = math.ceil(pictures / step_pictures)
        overrides.setdefault("patience", default_patience(len(validation_rows), steps_an_epoch))
    overrides.setdefault("patience", 0)  # as many epochs, or hours, as are asked for
    overrides["project"] = str(Path(overrides["project"]).resolve())  # a relative one lands beside Ultralytics' own
    return overrides


def start_argument(arguments: Mapping[str, Any]) -> str | None:
    """Return which argument names the weights that training starts from; None where it starts from scratch.

    As Ultralytics' trainer has it: other weights replace those of ``model``, and ``pretrained=False`` takes its
    structure alone.
    """
    pretrained = arguments.get("pretrained")
    if isinstance(pretrained, str):
        return "pretrained"
    return "model" if pretrained is not False and str(arguments.get("model")).lower().endswith(".pt") else None


def _check_last_step(pictures: int, batch: float, imgsz: int, processes: int) -> None:
    """Refuse a last step of one picture that is one cell of the network: it has no variance to normalise by.

    Raises:
        ArgumentError: saying which batch leaves more.
    """
    share, process_batch = math.ceil(pictures / processes), batch / processes
    if imgsz > STRIDE or batch < 1 or (share % process_batch or process_batch) != 1:
        return
    sizes = (size for size in range(int(process_batch) + 1, share + 1) if share % size != 1)
    fitting = next((f"batch={size * processes}" for size in sizes), "")
    raise ArgumentError(
        f"batch={batch} leaves a step of one picture ({pictures} in the set), and imgsz={imgsz} is too small to train "
        f"on one: give {f'{fitting}, or ' if fitting else ''}imgsz={2 * STRIDE} or more."
    )


def batch_for(device_type: str, pictures: int) -> int:
    """Return the default batch: 32, and on a GPU as many pictures as leave enough steps an epoch."""
    batch = _BATCH
    while device_type == "cuda" and batch < _MAX_GPU_BATCH and pictures >= 2 * batch * _STEPS_AN_EPOCH:
        batch *= 2
    return batch


def lr_factor(batch: float) -> float:
    """Scale AdamW's learning rate with the root of the batch's growth.

    Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", NeurIPS 2022.
    """
    return math.sqrt(max(batch, _BATCH) / _BATCH)
