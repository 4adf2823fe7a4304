"""Work on a Ray cluster: the one place that imports Ray."""

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
from detector.data.parallel import cores, limit_cores
from detector.errors import DependencyError, DetectorError, require
from detector.workflow.cluster.machines import Job, Result

_MAX_BLOCKS = 4096  # of jobs, which the driver keeps: many jobs share some, and are done one after the other


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to.

    Args:
        gpus, cpus: that it has now.
    """

    gpus: int
    cpus: int

    def once(self, function: Callable[..., Result], *arguments: Any, gpu: bool = False) -> Result:
        """Call a function on one worker, and again where that is lost.

        Raises:
            DetectorError: what the function raises of these.
        """
        import ray

        task = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=-1)(_as_it_raises)
        with _own_errors():
            result: Result = ray.get(task.remote(pickle.dumps((function, arguments))))
        return result

    def map(self, work: Callable[[Job], Result], jobs: Sequence[Job], gpu: bool = False) -> Iterator[Result]:
        """The result of each job, in the order in which they come; jobs of lost workers are done again.

        Args:
            work: pickled, and called on workers, one job at a time each; what it opens it keeps.
            jobs: pickled, too; small, since the driver keeps them.
            gpu: whether each worker takes a GPU, or a core.

        Raises:
            DetectorError: what ``work`` raises of these; the other jobs are given up then.
        """
        import ray.data

        workers = min(len(jobs), max(1, self.gpus if gpu else self.cpus))
        blocks = min(len(jobs), _MAX_BLOCKS)
        with _quiet_data(), _own_errors():
            data = ray.data.from_items([{"job": pickle.dumps(job)} for job in jobs], override_num_blocks=blocks)
            # A pool that may shrink to one goes on where a node is lost; one that may grow takes those that come.
            pool = ray.data.ActorPoolStrategy(
                min_size=1, max_size=len(jobs), initial_size=workers, max_tasks_in_flight_per_actor=1
            )
            results = data.map_batches(
                _Worker, fn_constructor_args=(pickle.dumps(work), None if gpu else 1), batch_size=1, compute=pool,
                num_cpus=1, num_gpus=int(gpu),
            )  # fmt: skip
            for row in results.iter_rows():
                yield pickle.loads(row["result"])


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """A connection to a cluster, or the one that this process has; one that is begun here ends with the block.

    Args:
        address: see :func:`detector.workflow.cluster.machines.machines_of`.

    Raises:
        DependencyError: if Ray is not installed, or no cluster answers.
    """
    require("Work on a Ray cluster", "ray", "pyarrow")
    switches.hush_ray()
    import ray

    begun = not ray.is_initialized()
    if begun:
        _connect(ray, address)
    try:
        has = ray.cluster_resources()
        yield Cluster(int(has.get("GPU", 0)), int(has.get("CPU", 1)))
    finally:
        if begun:
            ray.shutdown()


def _connect(ray: ModuleType, address: str) -> None:
    local = address == "local" or not (address or os.environ.get("RAY_ADDRESS"))
    own = {"num_cpus": cores(), "include_dashboard": False} if local else {}
    try:
        ray.init(address="local" if local else address or None, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # of Ray 2.60 also plain ones: no answer, other versions, a machine that is too busy
        named = address or os.environ.get("RAY_ADDRESS") or "this machine"
        raise DependencyError(f"No Ray cluster was reached at {named}: {error} `ray start` begins one.") from error


class _Worker:
    """An actor that unpickles its work where it runs, and takes so many cores; of those on a GPU each takes all."""

    def __init__(self, work: bytes, most_cores: int | None) -> None:
        limit_cores(most_cores)
        self._work: Callable[[Any], Any] = pickle.loads(work)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"result": [pickle.dumps(self._work(pickle.loads(job))) for job in batch["job"]]}


def _as_it_raises(call: bytes) -> Any:
    function, arguments = pickle.loads(call)
    return function(*arguments)


@contextmanager
def _own_errors() -> Iterator[None]:
    """Inside, errors of this package that were raised on a worker are raised as they were."""
    import ray.exceptions

    try:
        yield
    except ray.exceptions.RayError as error:
        seen: BaseException | None = error
        while seen is not None:
            if isinstance(seen, DetectorError):
                raise type(seen)(*seen.args) from error
            seen = getattr(seen, "cause", None) or seen.__cause__
        raise


@contextmanager
def _quiet_data() -> Iterator[None]:
    """Inside, Ray Data shows no progress of its own, and logs errors alone."""
    import ray.data

    context, data_log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    shown, level = context.enable_progress_bars, data_log.level
    context.enable_progress_bars = False
    data_log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = shown
        data_log.setLevel(level)
