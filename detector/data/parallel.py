"""Work done ahead in threads, results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def network_threads() -> int:
    """Threads of a network at most: the cores that this process may use, or OMP_NUM_THREADS if that is fewer."""
    asked = asked_threads()
    return cores() if asked is None else min(asked, cores())


def asked_threads() -> int | None:
    """OMP_NUM_THREADS, 1 or more; None where it is not set to a number."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked)) if asked.isdigit() else None


def prefetch_map(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int | None = None
) -> Iterator[Result]:
    """``map`` in threads, at most two jobs a thread before the one that is asked for: memory does not grow.

    Args:
        function: called in the threads; what it raises is raised here, and later jobs are not begun.
        jobs: taken one by one.
        workers: threads; None means one for each core.
    """
    workers = workers or cores()
    pool = ThreadPoolExecutor(workers)
    coming: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            coming.append(pool.submit(function, job))
            if len(coming) > 2 * workers:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
