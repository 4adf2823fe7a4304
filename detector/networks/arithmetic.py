"""The arithmetic that is fast on this CPU here and now: threads, and bfloat16 or float32."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from detector.data.atomic import atomic_write
from detector.data.parallel import asked_threads, cores, network_threads

CLEARLY = 1.1
"""How many times as fast another arithmetic must be to be taken: below that the difference may be chance."""

_ROUNDS, _SECONDS, _AT_MOST = 3, 0.4, 1.2
"""Steps that are measured of each arithmetic, and seconds that each comparison takes: at least, and at most about."""

_FEW = 8
"""Threads that are tried beside one and all: of many cores all are seldom the best."""

_HOPELESS = 4  # times as long as the first arithmetic's, the first step of one that is not tried further
_SUMS = 20  # that tell whether threads keep pace


@cache
def fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    flags = torch.backends.cpu.get_cpu_capability()
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "AVX512" in flags and bool(supported())


def autocast(device: torch.device) -> Any:
    """bfloat16 where the hardware has it: 1.6 to 2 times faster steps on such a CPU; otherwise nothing."""
    if device.type == "cuda" or (device.type == "cpu" and fast_bfloat16()):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


@dataclass(frozen=True)
class Arithmetic:
    """How a network's steps are computed on a CPU; results depend on it by rounding alone.

    Attributes:
        threads: of torch.
        bfloat16: whether convolutions multiply in bfloat16, or in float32.
    """

    threads: int
    bfloat16: bool

    def __str__(self) -> str:
        number = "float32" if not self.bfloat16 else "bfloat16"
        return f"{self.threads} CPU thread{'' if self.threads == 1 else 's'}, {number}"

    def possible(self) -> bool:
        """Whether this machine can do it, and OMP_NUM_THREADS, where it is set, says nothing else."""
        threads = self.threads == network_threads() if asked_threads() else 1 <= self.threads <= cores()
        return threads and (fast_bfloat16() or not self.bfloat16)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, torch computes like this; for a step at most, see :meth:`autocast`."""
        with kept_threads(), self.autocast():
            torch.set_num_threads(self.threads)
            yield

    def autocast(self) -> Any:
        """For a network's forward pass. Weights are cast once inside: never around several steps."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)

    def write(self, path: Path) -> None:
        """Keep it, for work that goes on later."""
        with atomic_write(path) as part:
            part.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Arithmetic | None:
        """What :meth:`write` kept; None where nothing is, or what is not possible here."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            arithmetic = cls(int(content["threads"]), bool(content["bfloat16"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return arithmetic if arithmetic.possible() else None


@contextlib.contextmanager
def kept_threads() -> Iterator[None]:
    """After the block torch has as many threads as before: their number is one of the whole process."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Inside, the caller's threads share the cores out: torch takes one in each that begins there."""
    with kept_threads():
        torch.set_num_threads(1)
        yield


def choose_arithmetic(
    step: Callable[[], object],
    *,
    bfloat16: bool | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Arithmetic, dict[Arithmetic, float]]:
    """The arithmetic in which a step takes the least time here and now, measured in a few seconds at most.

    Threads of one network wait for each other, and keep a core busy with it: beside other work two of them may take
    many times as long as one. So one is taken unless more are clearly faster, and bfloat16 unless float32 is.

    Args:
        step: one step of the very network on the very shape, called a few times; it leaves nothing changed.
        bfloat16: settles that; None measures both, where the processor multiplies bfloat16.
        clock: seconds.

    Returns:
        The choice, and seconds that a step takes of each one that was measured; nothing where there was no choice.
    """
    numbers = [network_threads()] if asked_threads() else sorted({1, min(_FEW, cores()), cores()})
    kinds = [bfloat16] if bfloat16 is not None else [True, False] if fast_bfloat16() else [False]
    taken: dict[Arithmetic, float] = {}
    chosen = _fastest(step, [Arithmetic(numbers[0], kind) for kind in kinds], taken, clock)
    numbers = numbers[:1] + [number for number in numbers[1:] if _keep_pace(number, clock)]
    chosen = _fastest(step, [replace(chosen, threads=number) for number in numbers], taken, clock)
    return chosen, taken


def _keep_pace(threads: int, clock: Callable[[], float]) -> bool:
    """Whether so many threads are no hindrance: told by sums, within a fraction of a second.

    Where other work holds the cores, each operation waits until all threads have had their turn, and one step of a
    network would take many seconds.
    """
    numbers = torch.zeros(1 << 20)
    seconds: dict[int, list[float]] = {1: [], threads: []}
    with kept_threads():
        for count in (1, threads) * _ROUNDS:
            torch.set_num_threads(count)
            numbers.add_(1)  # starts the threads
            start = clock()
            for _ in range(_SUMS):
                numbers.add_(1)
            seconds[count].append(clock() - start)
    return statistics.median(seconds[threads]) <= 2 * statistics.median(seconds[1])


def _fastest(
    step: Callable[[], object],
    tried: Sequence[Arithmetic],
    taken: dict[Arithmetic, float],
    clock: Callable[[], float],
) -> Arithmetic:
    """The first one, unless another is clearly faster; medians go into ``taken``."""
    if len(tried) == 1:
        return tried[0]

    def seconds(one: Arithmetic) -> float:
        with one.in_use():
            start = clock()
            step()
            return clock() - start

    first = {one: seconds(one) for one in tried}  # also prepares what later steps use again
    seconds_of: dict[Arithmetic, list[float]] = {one: [] for one in tried if first[one] <= _HOPELESS * first[tried[0]]}
    began = clock()
    while (spent := clock() - began) < _SECONDS or (len(seconds_of[tried[0]]) < _ROUNDS and spent < _AT_MOST):
        for one, times in seconds_of.items():  # in turns, so that all see the same machine
            times.append(seconds(one))
    taken.update(first | {one: statistics.median(times) for one, times in seconds_of.items()})
    quickest = min(tried, key=taken.__getitem__)
    return quickest if taken[tried[0]] > CLEARLY * taken[quickest] else tried[0]


def say_arithmetic(chosen: Arithmetic, taken: Mapping[Arithmetic, float]) -> str:
    """One line for the log."""
    if chosen not in taken:
        return str(chosen)
    others = [f"{one} {1e3 * seconds:.0f} ms" for one, seconds in taken.items() if one != chosen]
    return f"{chosen}: {1e3 * taken[chosen]:.0f} ms a step ({', '.join(others)})"
