"""Where work is done: in this process, or by the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Machines(Protocol):
    """What has workers.

    Attributes:
        gpus: that it has.
    """

    @property
    def gpus(self) -> int: ...

    def once(self, function: Callable[..., Result], *arguments: Any, gpu: bool = False) -> Result:
        """Call a function on one worker."""

    def map(self, work: Callable[[Job], Result], jobs: Sequence[Job], gpu: bool = False) -> Iterator[Result]:
        """The result of each job, in whatever order."""


class Here:
    """This process."""

    gpus = 0

    def once(self, function: Callable[..., Result], *arguments: Any, gpu: bool = False) -> Result:
        """Call the function."""
        return function(*arguments)

    def map(self, work: Callable[[Job], Result], jobs: Sequence[Job], gpu: bool = False) -> Iterator[Result]:
        """The result of each job, in their order."""
        return map(work, jobs)


@contextmanager
def machines_of(address: str | None) -> Iterator[Machines]:
    """This process, or a Ray cluster; a connection to that is begun and ended, unless this process has one.

    Args:
        address: None for this process. Otherwise as ``ray.init`` takes it: "auto", "host:6379", "ray://host:10001",
            "local" for the cores of this machine; "" takes the environment's ``RAY_ADDRESS``, or "local" where that
            is not set.

    Raises:
        DependencyError: if Ray is not installed, or no cluster answers.
    """
    if address is None:
        yield Here()
        return
    from detector.workflow.cluster.ray_cluster import cluster

    with cluster(address) as machines:
        yield machines
