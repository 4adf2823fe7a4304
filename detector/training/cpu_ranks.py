"""Several processes that train together on CPUs, as ``torchrun`` starts them: Ultralytics knows those on GPUs only."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from detector.networks.ultralytics.library import DDP_BUFFERS, DEFAULT_CFG_DICT, RANK, get_cfg, get_save_dir


def join(overrides: dict[str, Any]) -> None:
    """Meet the other processes (gloo), and agree on the run's folder."""
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    folder = [str(get_save_dir(get_cfg(DEFAULT_CFG_DICT, overrides))) if RANK == 0 else None]
    dist.broadcast_object_list(folder, src=0)
    overrides["save_dir"] = folder[0]


def wrapped(net: torch.nn.Module) -> DistributedDataParallel:
    """The network with its gradients averaged over the processes: as Ultralytics does it, but for the GPU's index."""
    buffers: dict[str, Any] = {DDP_BUFFERS: False}
    return DistributedDataParallel(net, find_unused_parameters=True, **buffers)
