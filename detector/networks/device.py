"""Where networks run."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detector.errors import ArgumentError, DetectorError


def pick_device(device: str | None = None) -> torch.device:
    """The device to use, as Ultralytics spells it (``0``, ``cuda:1``, ``cpu``, ``mps``); a GPU if there is one."""
    if device in (None, ""):
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    named = str(device).strip("[]() ").split(",")[0].strip()
    chosen: torch.device | None = None
    with contextlib.suppress(RuntimeError):  # what torch says of a name that it does not know
        chosen = torch.device(f"cuda:{named}" if named.isdigit() else named)
    if chosen is None or chosen.type not in ("cpu", "cuda", "mps"):
        raise ArgumentError(f"device={device!r} is no device: give cpu, mps, or a GPU's number such as 0.")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise DetectorError(f"device={device!r}: torch finds none here: leave it out, or say device=cpu.")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise DetectorError(f"device={device!r} asks for a GPU, and torch finds none: leave it out, or say device=cpu.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DetectorError(f"device={device!r}: torch finds {count} GPU{'s' if count > 1 else ''}, counted from 0.")
    return chosen if chosen.type == "cuda" else torch.device(chosen.type)  # of others there is one


def library_device(device: Any) -> Any:
    """A device as Ultralytics takes it: of the others than GPUs, ``cpu:0`` too, the type; all else as it was given."""
    if device in (None, ""):
        return device
    chosen = pick_device(device).type
    return device if chosen == "cuda" else chosen


def first_process() -> bool:
    """Whether this is the only process, or the first of those that ``torchrun`` started: it writes and prints."""
    return os.environ.get("RANK", "0") == "0"


def say_device(device: torch.device) -> str:
    """One line for the log."""
    if device.type == "cuda":
        return f"GPU: {torch.cuda.get_device_name(device)}"
    return "no GPU in use"


def to_device(images: NDArray[np.uint8], device: torch.device, *, flip: bool = False) -> Tensor:
    """Pictures uint8 (n, H, W, 3) as float32 (n, 3, H, W) in [0, 1], channels last; ``flip`` makes BGR RGB."""
    if flip and device.type == "cpu":
        images = images[..., ::-1]
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device, non_blocking=True)
    if flip and device.type != "cpu":  # a GPU turns thousands of pictures in the time that numpy takes for one
        tensor = tensor.flip(-1)
    return tensor.permute(0, 3, 1, 2).float().div_(255)  # permuted NHWC is channels_last already
