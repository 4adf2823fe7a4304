"""Calls on the workers of a Ray cluster. No other module imports Ray."""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from detector.data import switches
from detector.data.parallel import Job, Result, cores, limit_cores
from detector.errors import DependencyError, DetectorError, require
from detector.workflow.cluster.lost_jobs import MAX_LOSSES, LostJobsError

_MAX_BLOCKS = 4096  # of jobs; the driver keeps every block in memory, and a block's jobs run one after the other


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to.

    Args:
        gpus, cpus: number of GPUs and cores when the connection was made.
        attempts: handle of an :class:`_Attempts`.
    """

    gpus: int
    cpus: int
    attempts: Any

    def call(self, function: Callable[..., Result], *arguments: Any, gpu: bool = False) -> Result:
        """Call a function on one worker, and return its result; if the worker is lost, the call is repeated.

        Args:
            function, arguments: pickled.
            gpu: whether the worker takes a GPU beside a core.

        Raises:
            LostJobsError: if each worker is lost with it.
            Exception: that the function raised.
        """
        import ray

        task = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=MAX_LOSSES)(_call_pickled)
        try:
            outcome: _Outcome = pickle.loads(ray.get(task.remote(pickle.dumps((function, arguments)))))
        except (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.OutOfMemoryError,
            ray.exceptions.NodeDiedError,
        ) as error:
            raise LostJobsError([arguments]) from error
        result: Result = outcome.result()
        return result

    def map(self, function: Callable[[Job], Result], jobs: Sequence[Job], gpu: bool = False) -> Iterator[Result]:
        """Call a function with each job, and yield the results as they come; jobs of lost workers are repeated.

        Args:
            function: pickled; each worker unpickles it once and calls it with one job at a time, so that it may keep
                what it opens.
            jobs: pickled; they should be small, since the driver keeps them in memory.
            gpu: whether each worker takes a GPU beside a core.

        Raises:
            LostJobsError: at the end, if jobs have no result.
            Exception: that the function raised; the remaining jobs are abandoned.
        """
        import ray.data

        workers = min(len(jobs), max(1, self.gpus if gpu else self.cpus))
        blocks = min(len(jobs), _MAX_BLOCKS)
        lost: list[Job] = []
        with _quiet_data():
            key = secrets.token_hex(8)
            rows = [{"number": number, "job": pickle.dumps(job)} for number, job in enumerate(jobs)]
            data = ray.data.from_items(rows, override_num_blocks=blocks)
            # A pool that may shrink to one worker survives the loss of nodes; one that may grow uses nodes that join.
            pool = ray.data.ActorPoolStrategy(
                min_size=1, max_size=len(jobs), initial_size=workers, max_tasks_in_flight_per_actor=1
            )
            begin = partial(_begin, self.attempts, key)
            arguments = (pickle.dumps(function), None if gpu else 1, begin, MAX_LOSSES + 1)
            results = data.map_batches(
                _Worker, fn_constructor_args=arguments, batch_size=1, compute=pool, num_cpus=1, num_gpus=int(gpu)
            )
            for row in results.iter_rows():
                outcome: _Outcome = pickle.loads(row["outcome"])
                if outcome.is_lost:
                    lost.append(jobs[int(row["number"])])
                else:
                    yield outcome.result()
        if lost:
            raise LostJobsError(lost)


class _Attempts:
    """An actor that counts how often each job was begun: Ray repeats without end what a lost worker had."""

    def __init__(self) -> None:
        self._counts = Counter[tuple[str, int]]()

    def begin(self, job: tuple[str, int]) -> int:
        """Count once more, and return how often the job was begun."""
        self._counts[job] += 1
        return self._counts[job]


@dataclass(frozen=True)
class _Outcome:
    """What a function returned or raised on a worker.

    Args:
        value: that it returned.
        error: that it raised, which has the worker's traceback as a note.
        is_lost: whether it was not called, for each worker was lost that called it.
    """

    value: Any = None
    error: Exception | None = None
    is_lost: bool = False

    @classmethod
    def pickled(cls, function: Callable[..., Any], *arguments: Any) -> bytes:
        """Call a function, and pickle its outcome."""
        try:
            return pickle.dumps(cls(function(*arguments)))
        except Exception as error:
            if not isinstance(error, (DetectorError, OSError)):
                error.add_note("".join(traceback.format_exception(error)))
            try:
                return pickle.dumps(cls(error=error))
            except Exception:  # of a library whose errors are of this process alone
                return pickle.dumps(cls(error=RuntimeError("".join(traceback.format_exception(error)))))

    def result(self) -> Any:
        """Return what was returned, or raise what was raised."""
        if self.error is not None:
            raise self.error
        return self.value


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """Yield the cluster that this process is connected to, or connect it to one for the block.

    Args:
        address: of the cluster, see :func:`detector.workflow.cluster.machines.machines_of`.

    Raises:
        DependencyError: if Ray is not installed, or no cluster answers.
    """
    require("Work on a Ray cluster", "ray", "pyarrow")
    switches.hush_ray()
    import ray

    is_new = not ray.is_initialized()
    if is_new:
        _connect(ray, address)
    try:
        resources = ray.cluster_resources()
        attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Attempts).remote()
        yield Cluster(int(resources.get("GPU", 0)), int(resources.get("CPU", 1)), attempts)
    finally:
        if is_new:
            ray.shutdown()


def _connect(ray: ModuleType, address: str) -> None:
    """Connect this process to a cluster, or start one on this machine.

    Raises:
        DependencyError: if no cluster answers.
    """
    is_local = address == "local" or not (address or os.environ.get("RAY_ADDRESS"))
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if is_local:
        options |= {"num_cpus": cores(), "include_dashboard": False}
    try:
        ray.init(address="local" if is_local else address or None, **options)
    except Exception as error:  # Ray 2.60 raises many types: no answer, other versions, a machine that is too busy
        place = address or os.environ.get("RAY_ADDRESS") or "this machine"
        raise DependencyError(f"No Ray cluster was reached at {place}: {error} `ray start` begins one.") from error


class _Worker:
    """An actor of Ray Data that calls a function with the jobs of a batch.

    Args:
        function: pickled.
        max_cores: that the function may use; None for all, as beside a GPU.
        begin: called with a job's number; returns how often the job was begun, this time included.
        most: times that a job may be begun.
    """

    def __init__(self, function: bytes, max_cores: int | None, begin: Callable[[int], int], most: int) -> None:
        limit_cores(max_cores)
        self._function: Callable[[Any], Any] = pickle.loads(function)
        self._begin, self._most = begin, most

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        outcomes = [self._outcome(int(number), job) for number, job in zip(batch["number"], batch["job"], strict=True)]
        return {"number": batch["number"], "outcome": outcomes}

    def _outcome(self, number: int, job: bytes) -> bytes:
        if self._begin(number) > self._most:
            return pickle.dumps(_Outcome(is_lost=True))
        return _Outcome.pickled(self._function, pickle.loads(job))


def _begin(attempts: Any, key: str, number: int) -> int:
    """Count once more that a job of a call was begun, and return how often it was.

    Args:
        attempts: handle of an :class:`_Attempts`.
        key: of the call.
        number: of the job.
    """
    import ray

    return int(ray.get(attempts.begin.remote((key, number))))


def _call_pickled(call: bytes) -> bytes:
    """Call a pickled (function, arguments), and return the pickled outcome."""
    function, arguments = pickle.loads(call)
    return _Outcome.pickled(function, *arguments)


@contextmanager
def _quiet_data() -> Iterator[None]:
    """Within the block, keep Ray Data from showing progress bars, and from logging anything but errors."""
    import ray.data

    context, data_log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    has_progress_bars, level = context.enable_progress_bars, data_log.level
    context.enable_progress_bars = False
    data_log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = has_progress_bars
        data_log.setLevel(level)
