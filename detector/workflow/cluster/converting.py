"""Convert labelled pictures with the workers of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from detector.data.parallel import spreading
from detector.workflow.cluster.machines import Job, Machines, Result, machines_of


@contextmanager
def converting_on(address: str | None, device: str | None = None) -> Iterator[None]:
    """In the block :func:`detector.convert` checks and locates pictures with the workers of a Ray cluster.

    The set is the same, byte for byte, as without: workers get the same batches, and all that looks at more than one
    picture, with it training, is done in this process. Pictures and the set must be at the same paths on all machines.

    Args:
        address: see :func:`detector.workflow.cluster.machines.machines_of`; None leaves everything as it is.
        device: that the conversion is asked for.

    Raises:
        DependencyError: if Ray is not installed, or no cluster answers.
    """
    if address is None:
        yield
        return
    with machines_of(address) as machines:
        gpu = machines.gpus > 0 and device != "cpu"
        with spreading(partial(in_order, machines, gpu)):
            yield


def in_order(machines: Machines, gpu: bool, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
    """The results of jobs in their order, as soon as all before are there."""
    waiting: dict[int, Any] = {}
    coming = 0
    for number, result in machines.map(_Numbered(function), list(enumerate(jobs)), gpu=gpu) if jobs else ():
        waiting[number] = result
        while coming in waiting:
            yield waiting.pop(coming)
            coming += 1


class _Numbered:
    """A function of jobs that have numbers; relative paths are those of who asks."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function, self._folder = function, os.getcwd()

    def __call__(self, job: tuple[int, Any]) -> tuple[int, Any]:
        if os.getcwd() != self._folder:
            os.chdir(self._folder)
        return job[0], self._function(job[1])
