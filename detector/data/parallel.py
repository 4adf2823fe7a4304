"""How work is done: chunks, threads, maps that prefetch results, of this process or of what else has workers; and the
callback that follows it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""``map`` by other workers than threads: of a function and jobs that can be pickled, in order."""

Progress = Callable[[str, int, int], None]
"""What is called as work goes on, with the name of its stage, what is done of the stage and what there is in all."""

_spread: ContextVar[Spread | None] = ContextVar("spread", default=None)
_most_cores: int | None = None
_SHORT_JOBS = 1000  # in one task of a pool, each of which has an overhead


def no_progress(stage: str, done: int, total: int) -> None:
    """Ignore progress; a :data:`Progress`."""


def cores() -> int:
    """Count the cores that this process may use, see :func:`limit_cores`."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return available if _most_cores is None else min(_most_cores, available)


def limit_cores(count: int | None) -> None:
    """Limit the cores that this process uses from now on, as others use the rest; None: all."""
    global _most_cores
    _most_cores = count


def network_threads() -> int:
    """Maximum threads of a network: the cores that this process may use, or OMP_NUM_THREADS if that is fewer."""
    requested = requested_threads()
    return cores() if requested is None else min(requested, cores())


def requested_threads() -> int | None:
    """OMP_NUM_THREADS, 1 or more; None if it is not set to a number."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(setting)) if setting.isdigit() else None


def chunked(items: Sequence[Job], size: int) -> Iterator[Sequence[Job]]:
    """Split a sequence into chunks of ``size``; the last one may be shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))


def prefetch_map(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int | None = None
) -> Iterator[Result]:
    """Map in threads, in order, at most two jobs a thread ahead of the consumer, so that memory is bounded.

    Args:
        function: called in the threads; its exceptions are raised here, and later jobs are not started.
        jobs: consumed one by one.
        workers: threads; None means one for each core.
    """
    workers = workers or cores()
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(function, job))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def thread_map(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """Map many short jobs, which mostly wait for files, in threads, in order."""
    chunks = chunked(jobs, _SHORT_JOBS)
    parts = prefetch_map(lambda chunk: [function(job) for job in chunk], chunks, 2 * cores())
    return [result for part in parts for result in part]


@contextmanager
def spreading(spread: Spread) -> Iterator[None]:
    """Let :func:`spread_map` map by ``spread`` within the block."""
    token = _spread.set(spread)
    try:
        yield
    finally:
        _spread.reset(token)


def spread_map(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int | None = None) -> Iterator[Result]:
    """``map`` in order, by whatever workers there are: those of :func:`spreading`, or threads, see
    :func:`prefetch_map`.

    Args:
        function: can be pickled, and depends on nothing but its job.
        jobs: can be pickled.
        workers: threads, where it is threads.
    """
    spread = _spread.get()
    return prefetch_map(function, jobs, workers) if spread is None else spread(function, jobs)
