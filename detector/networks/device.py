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
    """Choose the device, as Ultralytics spells it (``0``, ``cuda:1``, ``cpu``, ``mps``); a GPU if there is one."""
    if device in (None, ""):
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    name = str(device).strip("[]() ").split(",")[0].strip()
    torch_device: torch.device | None = None
    with contextlib.suppress(RuntimeError):  # what torch says of a name that it does not know
        torch_device = torch.device(f"cuda:{name}" if name.isdigit() else name)
    if torch_device is None or torch_device.type not in ("cpu", "cuda", "mps"):
        raise ArgumentError(f"device={device!r} is no device: give cpu, mps, or a GPU's number such as 0.")
    if torch_device.type == "mps" and not torch.backends.mps.is_available():
        raise DetectorError(f"device={device!r}: torch finds none here: leave it out, or say device=cpu.")
    if torch_device.type == "cuda" and not torch.cuda.is_available():
        raise DetectorError(f"device={device!r} asks for a GPU, and torch finds none: leave it out, or say device=cpu.")
    if torch_device.type == "cuda" and (torch_device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DetectorError(f"device={device!r}: torch finds {count} GPU{'s' if count > 1 else ''}, counted from 0.")
    return torch_device if torch_device.type == "cuda" else torch.device(torch_device.type)  # of others there is one


def library_device(device: Any) -> Any:
    """Spell a device as Ultralytics takes it: ``cpu:0`` and the like become their type, GPUs are unchanged."""
    if device in (None, ""):
        return device
    torch_device = pick_device(device).type
    return device if torch_device == "cuda" else torch_device


def first_process() -> bool:
    """Test whether this is the only process, or the first of ``torchrun``: it writes and prints."""
    # As Ultralytics has it: where there is one process, a RANK of something else says nothing.
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def say_device(device: torch.device) -> str:
    """Return one line for the log."""
    if device.type == "cuda":
        return f"GPU: {torch.cuda.get_device_name(device)}"
    return "no GPU in use"


def to_device(images: NDArray[np.uint8], device: torch.device, *, flip: bool = False) -> Tensor:
    """Convert pictures uint8 (n, H, W, 3) to float32 (n, 3, H, W) in [0, 1], channels last; ``flip`` makes BGR RGB."""
    if flip and device.type == "cpu":
        images = images[..., ::-1]
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device, non_blocking=True)
    if flip and device.type != "cpu":  # a GPU turns thousands of pictures in the time that numpy takes for one
        tensor = tensor.flip(-1)
    return tensor.permute(0, 3, 1, 2).float().div_(255)  # permuted NHWC is channels_last already
