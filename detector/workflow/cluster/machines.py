"""Where work runs: in this process, or on the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from detector.data.parallel import Job, Result


class Machines(Protocol):
    """A place where functions are called: this process, or a cluster with many workers."""

    @property
    def gpus(self) -> int:
        """Number of GPUs."""
        ...

    def call(self, function: Callable[..., Result], *arguments: Any, gpu: bool = False) -> Result:
        """Call a function on one worker, and return its result.

        Args:
            function: the function; it is pickled for another process, and so are the arguments and the result.
            arguments: its positional arguments.
            gpu: whether the worker needs a GPU.
        """
        ...

    def map(self, function: Callable[[Job], Result], jobs: Sequence[Job], gpu: bool = False) -> Iterator[Result]:
        """Call a function with each job on the workers, and yield the results in any order.

        Args:
            function: as for :meth:`call`.
            jobs: the argument of each call.
            gpu: whether each worker needs a GPU.

        Raises:
            LostJobsError: at the end, if jobs have no result.
        """
        ...


class ThisProcess:
    """This process."""

    gpus = 0

    def call(self, function: Callable[..., Result], *arguments: Any, gpu: bool = False) -> Result:
        """Call the function, and return its result."""
        return function(*arguments)

    def map(self, function: Callable[[Job], Result], jobs: Sequence[Job], gpu: bool = False) -> Iterator[Result]:
        """Call the function with each job, and yield the results in the order of jobs."""
        return map(function, jobs)


@contextmanager
def machines_of(address: str | None) -> Iterator[Machines]:
    """Yield this process, or a Ray cluster, connected for the block unless this process is connected already.

    Args:
        address: None for this process; otherwise the cluster as ``ray.init`` takes it: "auto", "host:6379",
            "ray://host:10001", "local" for the cores of this machine; "" takes the environment's ``RAY_ADDRESS``, or
            "local" if that is not set.

    Raises:
        DependencyError: if Ray is not installed, or no cluster answers.
    """
    if address is None:
        yield ThisProcess()
        return
    from detector.workflow.cluster.ray_cluster import cluster

    with cluster(address) as machines:
        yield machines
