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

from detector.data.sets.packed import Share
from detector.errors import ArgumentError, DetectorError, counted
from detector.networks.device import pick_device
from detector.networks.ultralytics.library import DDP_BUFFERS

log = logging.getLogger("detector")

TIMEOUT = timedelta(hours=3)
"""How long processes wait for each other, as in Ultralytics: one may have to pack the pictures meanwhile."""

T = TypeVar("T")

_process_device: torch.device | None = None
_wrappers: list[DistributedDataParallel] = []


def joined() -> bool:
    """Test whether this process is in :func:`joining`, with others."""
    return _process_device is not None


def rank() -> int:
    """Return this process's rank, 0 where it is the only one."""
    return dist.get_rank() if _met_others() else 0


def count() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if _met_others() else 1


def _met_others() -> bool:
    """Test for an initialised process group, Ultralytics' too; some builds of torch lack distributed training."""
    return dist.is_available() and dist.is_initialized()


def own_share() -> Share:
    """Return this process's share of each split."""
    return Share(rank(), count())


@contextmanager
def joining(device: Any) -> Iterator[None]:
    """Join the processes that ``torchrun`` started, inside the block: gloo on CPUs, nccl on GPUs.

    Args:
        device: as the user gave it.

    Raises:
        ArgumentError: if the processes of this machine cannot have the devices.
        DetectorError: if the others cannot be met, train on another kind of device, or are lost.
    """
    global _process_device
    if os.environ.get("WORLD_SIZE", "1") == "1" or _met_others():
        yield
        return
    level, _process_device = log.level, _join_group(device)
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
        _process_device = None
        log.setLevel(level)
        _leave_group()


def _leave_group() -> None:
    """End the group and its threads.

    Gloo's threads last as long as something holds the group, as the wrappers of networks do; one that still runs when
    the interpreter ends may abort the process after all is written.
    """
    dist.destroy_process_group()
    while _wrappers:
        wrapper = _wrappers.pop()
        for holder in ("reducer", "logger", "process_group"):  # the last waits for the group's threads without the GIL
            delattr(wrapper, holder)


def _is_lost(error: RuntimeError) -> bool:
    """Test whether an error of torch is one of communication; gloo's have no class of their own."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _in_short(error: RuntimeError) -> str:
    """Return the first sentence of a message, without the place in torch's source."""
    return re.sub(r"^\[[^]]*\] *", "", str(error)).partition(". ")[0].partition("\n")[0]


def _join_group(device: Any) -> torch.device:
    """Join the group and return the device of this process.

    What each will train on is told before, by the store alone: a machine whose GPU is not found would otherwise be
    waited for by those that have one.
    """
    import torch._dynamo  # wrapping a network imports it, and imported in a group it holds that to the end
    from torch.distributed.rendezvous import rendezvous

    try:
        store, number, world = next(rendezvous("env://", timeout=TIMEOUT))
    except (ValueError, RuntimeError) as error:
        raise DetectorError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']} says that this is one of several processes, and they cannot be "
            f"met: {str(error).splitlines()[0]}: start them with torchrun, or take WORLD_SIZE out of the environment."
        ) from None
    process_device, host = None, socket.gethostname()
    try:
        process_device = own_device(device)
        store.set(f"detector/{number}", f"{process_device.type} on {host}")
    except DetectorError as error:
        store.set(f"detector/{number}", f"{host}: {error}")
        raise
    for other_rank in range(world):
        device_text = store.get(f"detector/{other_rank}").decode()
        if device_text.split(" ")[0] not in ("cpu", "cuda"):
            raise DetectorError(f"process {other_rank} on {device_text}")
        if device_text.split(" ")[0] != process_device.type:
            raise DetectorError(
                f"process {number} trains on {process_device.type} on {host}, and process {other_rank} on "
                f"{device_text}: all need the same kind of device; give each machine device=cpu, or a GPU that torch "
                "finds."
            )
    if process_device.type == "cuda":
        torch.cuda.set_device(process_device)
        os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # as Ultralytics does it, so that the timeout holds
    backend = "nccl" if process_device.type == "cuda" and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=world, timeout=TIMEOUT)
    return process_device


def own_device(device: Any) -> torch.device:
    """Choose the device of this process: the named GPU in its place, otherwise that of its local rank.

    Raises:
        ArgumentError: if there are more or fewer devices than processes on this machine.
    """
    picked = pick_device(device)
    if picked.type == "cpu":
        return picked
    if picked.type != "cuda":
        raise ArgumentError(f"device={device!r}: several processes train on GPUs or CPUs: give device=cpu.")
    number = int(os.environ.get("LOCAL_RANK", "0"))
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "0"))  # unknown where something else than torchrun started them
    if device in (None, ""):
        gpu_count = torch.cuda.device_count()
        if max(beside, number + 1) > gpu_count:
            raise ArgumentError(
                f"{max(beside, number + 1)} processes on {socket.gethostname()}, and torch finds "
                f"{counted(gpu_count, 'GPU')} there: start one process a GPU, or give device=cpu."
            )
        return torch.device("cuda", number)
    indices = str(device).strip("[]() ").replace("cuda:", "").split(",")
    if len(indices) <= number or (beside and len(indices) != beside):
        raise ArgumentError(
            f"device={device!r} names {counted(len(indices), 'GPU')}, and "
            f"{max(beside, number + 1)} processes train on {socket.gethostname()}: name one for each, or none."
        )
    return pick_device(indices[number].strip())


def gather(make: Callable[[], T]) -> list[T]:
    """Return what each process makes, in order of rank, in all of them.

    Raises:
        DetectorError: that of this process, or naming the process that had one.
    """
    if count() == 1:
        return [make()]
    value, failure = None, None
    try:
        value = make()
    except DetectorError as error:
        failure = error
    outcomes: list[Any] = [None] * count()
    dist.all_gather_object(outcomes, (value, None if failure is None else f"{socket.gethostname()}: {failure}"))
    if failure is not None:
        raise failure
    for number, (_, fault) in enumerate(outcomes):
        if fault is not None:
            raise DetectorError(f"process {number} on {fault}")
    return [value for value, _ in outcomes]


def broadcast(make: Callable[[], T]) -> T:
    """Return what the first process makes, in all of them; an error there is raised in all."""
    value = gather(lambda: make() if rank() == 0 else None)[0]
    return cast(T, value)


def check_shares(batch: float, pictures: int) -> None:
    """Refuse a batch of all processes, or a set, that they cannot share.

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
        smaller_batch = int(batch) // count() * count()
        raise ArgumentError(
            f"batch={batch} is that of all {count()} processes together, and cannot be divided among them: give "
            f"{f'batch={smaller_batch} or ' if smaller_batch else ''}batch={smaller_batch + count()}."
        )


def process_device() -> torch.device:
    """Return the device of this process, in :func:`joining`."""
    assert _process_device is not None
    return _process_device


def on_cpu() -> bool:
    """Test whether several processes train on CPUs, which Ultralytics would take for one."""
    return _process_device is not None and _process_device.type == "cpu"


def wrapped(net: torch.nn.Module) -> DistributedDataParallel:
    """Average a network's gradients over the processes, as Ultralytics does but for the GPU's index."""
    buffers: dict[str, Any] = {DDP_BUFFERS: False}
    _wrappers.append(DistributedDataParallel(net, find_unused_parameters=True, **buffers))
    return _wrappers[-1]
