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
from detector.data.parallel import cores, network_threads, requested_threads
from detector.errors import counted

CLEARLY = 1.1
"""How many times as fast another arithmetic must be to be taken: below that the difference may be chance."""

_ROUNDS, _SECONDS, _AT_MOST = 3, 0.4, 1.2
"""Steps that are measured of each arithmetic, and seconds that each comparison takes: at least, and at most about."""

_FEW_THREADS = 8
"""Threads that are tried beside one and all: of many cores all are seldom the best."""

_HOPELESS = 4  # times as long as the first arithmetic's, the first step of one that is not tried further
_SUMS = 20  # that tell whether threads keep pace


@cache
def fast_bfloat16() -> bool:
    """Test whether this CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    flags = torch.backends.cpu.get_cpu_capability()
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "AVX512" in flags and bool(supported())


def autocast(device: torch.device) -> Any:
    """Compute in bfloat16 where the hardware has it: 1.6 to 2 times faster steps; otherwise do nothing."""
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
        return f"{counted(self.threads, 'CPU thread')}, {number}"

    def possible(self) -> bool:
        """Test whether this machine, and OMP_NUM_THREADS where it is set, permit it."""
        has_threads = self.threads == network_threads() if requested_threads() else 1 <= self.threads <= cores()
        return has_threads and (fast_bfloat16() or not self.bfloat16)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Set torch's arithmetic inside the block, for a step at most, see :meth:`autocast`."""
        with kept_threads(), self.autocast():
            torch.set_num_threads(self.threads)
            yield

    def autocast(self) -> Any:
        """For a network's forward pass. Weights are cast once inside: never around several steps."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)

    def write(self, path: Path) -> None:
        """Write it, for work that is resumed later."""
        with atomic_write(path) as part:
            part.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Arithmetic | None:
        """Read what :meth:`write` wrote; None where there is nothing, or what is not possible here."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            arithmetic = cls(int(content["threads"]), bool(content["bfloat16"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return arithmetic if arithmetic.possible() else None


@contextlib.contextmanager
def kept_threads() -> Iterator[None]:
    """Restore torch's number of threads after the block: it is one of the whole process."""
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
    """Choose the arithmetic in which a step is fastest here and now, measured in a few seconds at most.

    Threads of one network wait for each other, and keep a core busy with it: beside other work two of them may take
    many times as long as one. So one is taken unless more are clearly faster, and bfloat16 unless float32 is.

    Args:
        step: one step of the very network on the very shape, called a few times; it leaves nothing changed.
        bfloat16: settles that; None measures both, where the processor multiplies bfloat16.
        clock: seconds.

    Returns:
        The choice, and seconds that a step takes of each one that was measured; nothing where there was no choice.
    """
    numbers = [network_threads()] if requested_threads() else sorted({1, min(_FEW_THREADS, cores()), cores()})
    kinds = [bfloat16] if bfloat16 is not None else [True, False] if fast_bfloat16() else [False]
    step_seconds: dict[Arithmetic, float] = {}
    arithmetic = _fastest(step, [Arithmetic(numbers[0], kind) for kind in kinds], step_seconds, clock)
    numbers = numbers[:1] + [number for number in numbers[1:] if _keep_pace(number, clock)]
    arithmetic = _fastest(step, [replace(arithmetic, threads=number) for number in numbers], step_seconds, clock)
    return arithmetic, step_seconds


def _keep_pace(threads: int, clock: Callable[[], float]) -> bool:
    """Test whether so many threads slow nothing down, by sums, within a fraction of a second.

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
    choices: Sequence[Arithmetic],
    step_seconds: dict[Arithmetic, float],
    clock: Callable[[], float],
) -> Arithmetic:
    """Return the first one, unless another is clearly faster; medians go into ``step_seconds``."""
    if len(choices) == 1:
        return choices[0]

    def seconds(arithmetic: Arithmetic) -> float:
        with arithmetic.in_use():
            start = clock()
            step()
            return clock() - start

    # The first step of each also prepares what later steps use again.
    first_seconds = {arithmetic: seconds(arithmetic) for arithmetic in choices}
    seconds_of: dict[Arithmetic, list[float]] = {
        arithmetic: [] for arithmetic in choices if first_seconds[arithmetic] <= _HOPELESS * first_seconds[choices[0]]
    }
    began = clock()
    while (spent := clock() - began) < _SECONDS or (len(seconds_of[choices[0]]) < _ROUNDS and spent < _AT_MOST):
        for arithmetic, times in seconds_of.items():  # in turns, so that all see the same machine
            times.append(seconds(arithmetic))
    step_seconds.update(
        first_seconds | {arithmetic: statistics.median(times) for arithmetic, times in seconds_of.items()}
    )
    fastest = min(choices, key=step_seconds.__getitem__)
    return fastest if step_seconds[choices[0]] > CLEARLY * step_seconds[fastest] else choices[0]


def say_arithmetic(arithmetic: Arithmetic, step_seconds: Mapping[Arithmetic, float]) -> str:
    """Return one line for the log."""
    if arithmetic not in step_seconds:
        return str(arithmetic)
    other_times = [f"{other} {1e3 * seconds:.0f} ms" for other, seconds in step_seconds.items() if other != arithmetic]
    return f"{arithmetic}: {1e3 * step_seconds[arithmetic]:.0f} ms a step ({', '.join(other_times)})"
