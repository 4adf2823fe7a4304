"""Several processes that train together, on one machine or on several, as ``torchrun`` starts them.

Ultralytics takes the number of processes from the devices that it is given, and starts them itself, on one machine.
Here the environment tells: WORLD_SIZE is how many there are, RANK is which share of each split is a process's own, and
LOCAL_RANK chooses its GPU and nothing else. The first process validates, writes and publishes.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from detector.data.packs.packed import Share
from detector.errors import ArgumentError, DetectorError, counted
from detector.networks.device import pick_device
from detector.networks.ultralytics.library import DDP_BUFFERS

log = logging.getLogger("detector")

TIMEOUT = timedelta(hours=3)
"""How long processes wait for each other, as in Ultralytics: one may have to pack the pictures meanwhile."""

T = TypeVar("T")

_own: torch.device | None = None


def joined() -> bool:
    """Whether this process is in :func:`joining`, with others."""
    return _own is not None


def rank() -> int:
    """Of this process among all, 0 where it is the only one."""
    return dist.get_rank() if _met_others() else 0


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _met_others() else 1


def _met_others() -> bool:
    """Whether there is a group, also one that Ultralytics has made; some builds of torch have none of all that."""
    return dist.is_available() and dist.is_initialized()


def own_share() -> Share:
    """This process's share of each split."""
    return Share(rank(), count())


@contextmanager
def joining(device: Any) -> Iterator[None]:
    """Inside, this process is one of those that ``torchrun`` started: gloo on CPUs, nccl on GPUs. Alone it stays so.

    Args:
        device: as the user gave it.

    Raises:
        ArgumentError: if the processes of this machine cannot have the devices.
        DetectorError: if the others cannot be met, train on another kind of device, or are lost.
    """
    global _own
    if os.environ.get("WORLD_SIZE", "1") == "1" or _met_others():
        yield
        return
    level, _own = log.level, _met(device)
    if rank() > 0:
        log.setLevel(max(log.getEffectiveLevel(), logging.WARNING))
    try:
        yield
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        raise DetectorError(
            f"process {rank()} of {count()} has lost another one, whose own message tells why "
            f"({_in_short(error)}). Where torchrun may restart them (max-restarts), training goes on from its last "
            "checkpoint; else resume the run."
        ) from error
    finally:
        _own = None
        log.setLevel(level)
        dist.destroy_process_group()


def _is_lost(error: RuntimeError) -> bool:
    """Whether an error of torch is one of communication; gloo's have no class of their own."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _in_short(error: RuntimeError) -> str:
    """The first sentence, without the place in torch's own source."""
    return re.sub(r"^\[[^]]*\] *", "", str(error)).partition(". ")[0].partition("\n")[0]


def _met(device: Any) -> torch.device:
    """Join the group; the device of this process.

    What each will train on is told before, by the store alone: a machine whose GPU is not found would otherwise be
    waited for by those that have one.
    """
    from torch.distributed.rendezvous import rendezvous

    try:
        store, number, world = next(rendezvous("env://", timeout=TIMEOUT))
    except (ValueError, RuntimeError) as error:
        raise DetectorError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']} says that this is one of several processes, and they cannot be "
            f"met: {str(error).splitlines()[0]}: start them with torchrun, or take WORLD_SIZE out of the environment."
        ) from None
    own, host = None, socket.gethostname()
    try:
        own = own_device(device)
        store.set(f"detector/{number}", f"{own.type} on {host}")
    except DetectorError as error:
        store.set(f"detector/{number}", f"{host}: {error}")
        raise
    for other in range(world):
        told = store.get(f"detector/{other}").decode()
        if told.split(" ")[0] not in ("cpu", "cuda"):
            raise DetectorError(f"process {other} on {told}")
        if told.split(" ")[0] != own.type:
            raise DetectorError(
                f"process {number} trains on {own.type} on {host}, and process {other} on {told}: all need the same "
                "kind of device; give each machine device=cpu, or a GPU that torch finds."
            )
    if own.type == "cuda":
        torch.cuda.set_device(own)
        os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # as Ultralytics does it, so that the timeout holds
    backend = "nccl" if own.type == "cuda" and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=world, timeout=TIMEOUT)
    return own


def own_device(device: Any) -> torch.device:
    """The device of this process: of GPUs that are named the one in its place, otherwise that of its number here.

    Raises:
        ArgumentError: if there are more or fewer devices than processes on this machine.
    """
    chosen = pick_device(device)
    if chosen.type == "cpu":
        return chosen
    if chosen.type != "cuda":
        raise ArgumentError(f"device={device!r}: several processes train on GPUs or CPUs: give device=cpu.")
    number = int(os.environ.get("LOCAL_RANK", "0"))
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "0"))  # unknown where something else than torchrun started them
    if device in (None, ""):
        there = torch.cuda.device_count()
        if max(beside, number + 1) > there:
            raise ArgumentError(
                f"{max(beside, number + 1)} processes on {socket.gethostname()}, and torch finds "
                f"{counted(there, 'GPU')} there: start one process a GPU, or give device=cpu."
            )
        return torch.device("cuda", number)
    named = str(device).strip("[]() ").replace("cuda:", "").split(",")
    if len(named) <= number or (beside and len(named) != beside):
        raise ArgumentError(
            f"device={device!r} names {counted(len(named), 'GPU')}, and "
            f"{max(beside, number + 1)} processes train on {socket.gethostname()}: name one for each, or none."
        )
    return pick_device(named[number].strip())


def together(make: Callable[[], T]) -> list[T]:
    """What each process makes, in order of rank, in all of them.

    Raises:
        DetectorError: that of this process, or naming the process that had one.
    """
    if count() == 1:
        return [make()]
    value, own = None, None
    try:
        value = make()
    except DetectorError as error:
        own = error
    made: list[Any] = [None] * count()
    dist.all_gather_object(made, (value, None if own is None else f"{socket.gethostname()}: {own}"))
    if own is not None:
        raise own
    for number, (_, fault) in enumerate(made):
        if fault is not None:
            raise DetectorError(f"process {number} on {fault}")
    return [value for value, _ in made]


def from_first(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them; an error there is one in all."""
    value = together(lambda: make() if rank() == 0 else None)[0]
    return cast(T, value)


def check_shares(batch: float, pictures: int) -> None:
    """Refuse a batch, that of all processes together, and a set that they cannot share.

    Raises:
        ArgumentError: saying which batch can be.
    """
    if count() == 1:
        return
    if pictures < count():
        raise ArgumentError(f"{count()} processes, and {pictures} pictures to learn from: start fewer processes.")
    if batch < 1:
        raise ArgumentError(
            f"batch={batch}: what fits is found out by one process alone: give pictures of all {count()} processes "
            f"together, for example batch={32 * count()}."
        )
    if batch % count():
        less = int(batch) // count() * count()
        raise ArgumentError(
            f"batch={batch} is that of all {count()} processes together, and cannot be divided among them: give "
            f"{f'batch={less} or ' if less else ''}batch={less + count()}."
        )


def own() -> torch.device:
    """The device of this process, in :func:`joining`."""
    assert _own is not None
    return _own


def on_cpu() -> bool:
    """Whether several processes train on CPUs, which Ultralytics would take for one."""
    return _own is not None and _own.type == "cpu"


def wrapped(net: torch.nn.Module) -> DistributedDataParallel:
    """The network with its gradients averaged over the processes: as Ultralytics does it, but for the GPU's index."""
    buffers: dict[str, Any] = {DDP_BUFFERS: False}
    return DistributedDataParallel(net, find_unused_parameters=True, **buffers)
