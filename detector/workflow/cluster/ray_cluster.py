"""Calls on the workers of a Ray cluster. No other module imports Ray."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from detector.data import switches
from detector.data.parallel import Job, Result, cores, limit_cores
from detector.errors import DependencyError, DetectorError, require

_MAX_BLOCKS = 4096  # of jobs; the driver keeps every block in memory, and a block's jobs run one after the other


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to.

    Args:
        gpus, cpus: number of GPUs and cores when the connection was made.
    """

    gpus: int
    cpus: int

    def call(self, function: Callable[..., Result], *arguments: Any, gpu: bool = False) -> Result:
        """Call a function on one worker, and return its result; if the worker is lost, the call is repeated.

        Args:
            function, arguments: pickled.
            gpu: whether the worker takes a GPU beside a core.

        Raises:
            DetectorError: that the function raised.
        """
        import ray

        task = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=-1)(_call_pickled)
        with _package_errors():
            result: Result = ray.get(task.remote(pickle.dumps((function, arguments))))
        return result

    def map(self, function: Callable[[Job], Result], jobs: Sequence[Job], gpu: bool = False) -> Iterator[Result]:
        """Call a function with each job, and yield the results as they come; jobs of lost workers are repeated.

        Args:
            function: pickled; each worker unpickles it once and calls it with one job at a time, so that it may keep
                what it opens.
            jobs: pickled; they should be small, since the driver keeps them in memory.
            gpu: whether each worker takes a GPU beside a core.

        Raises:
            DetectorError: that the function raised; the remaining jobs are abandoned.
        """
        import ray.data

        workers = min(len(jobs), max(1, self.gpus if gpu else self.cpus))
        blocks = min(len(jobs), _MAX_BLOCKS)
        with _quiet_data(), _package_errors():
            data = ray.data.from_items([{"job": pickle.dumps(job)} for job in jobs], override_num_blocks=blocks)
            # A pool that may shrink to one worker survives the loss of nodes; one that may grow uses nodes that join.
            pool = ray.data.ActorPoolStrategy(
                min_size=1, max_size=len(jobs), initial_size=workers, max_tasks_in_flight_per_actor=1
            )
            results = data.map_batches(
                _Worker, fn_constructor_args=(pickle.dumps(function), None if gpu else 1), batch_size=1, compute=pool,
                num_cpus=1, num_gpus=int(gpu),
            )  # fmt: skip
            for row in results.iter_rows():
                yield pickle.loads(row["result"])


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
        yield Cluster(int(resources.get("GPU", 0)), int(resources.get("CPU", 1)))
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
    """

    def __init__(self, function: bytes, max_cores: int | None) -> None:
        limit_cores(max_cores)
        self._function: Callable[[Any], Any] = pickle.loads(function)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"result": [pickle.dumps(self._function(pickle.loads(job))) for job in batch["job"]]}


def _call_pickled(call: bytes) -> Any:
    """Call a pickled (function, arguments), and return the result."""
    function, arguments = pickle.loads(call)
    return function(*arguments)


@contextmanager
def _package_errors() -> Iterator[None]:
    """Within the block, raise errors of this package that occurred on a worker as themselves, not as Ray's."""
    import ray.exceptions

    try:
        yield
    except ray.exceptions.RayError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, DetectorError):
                raise type(cause)(*cause.args) from error
            cause = getattr(cause, "cause", None) or cause.__cause__
        raise


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
