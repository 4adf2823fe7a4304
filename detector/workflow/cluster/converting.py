"""Convert labelled pictures with the workers of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from detector.data.parallel import Job, Result, spreading
from detector.workflow.cluster.machines import Machines, machines_of


@contextmanager
def converting_on(address: str | None, device: str | None = None) -> Iterator[None]:
    """Let :func:`detector.convert` check and locate pictures on the workers of a Ray cluster, within the block.

    The set is the same, byte for byte, as without a cluster: workers get the same batches, and every step that needs
    more than one picture, such as training, runs in this process. Pictures and the set must have the same paths on all
    machines.

    Args:
        address: of the cluster, see :func:`detector.workflow.cluster.machines.machines_of`; None changes nothing.
        device: of the conversion; unless it is "cpu", workers take the cluster's GPUs, if it has any.

    Raises:
        DependencyError: if Ray is not installed, or no cluster answers.
    """
    if address is None:
        yield
        return
    with machines_of(address) as machines:
        gpu = machines.gpus > 0 and device != "cpu"
        with spreading(partial(ordered_results, machines, gpu)):
            yield


def ordered_results(
    machines: Machines, gpu: bool, function: Callable[[Job], Result], jobs: Sequence[Job]
) -> Iterator[Result]:
    """Yield the results of jobs in the order of jobs, each once all earlier ones have come.

    Args:
        machines: where the function is called.
        gpu: whether each worker needs a GPU.
        function: called with each job.
        jobs: the argument of each call.
    """
    early_results: dict[int, Any] = {}
    next_number = 0
    for number, result in machines.map(_NumberedFunction(function), list(enumerate(jobs)), gpu=gpu) if jobs else ():
        early_results[number] = result
        while next_number in early_results:
            yield early_results.pop(next_number)
            next_number += 1


class _NumberedFunction:
    """A function of (number, job) that returns (number, result), in the working folder of the process that made it.

    Args:
        function: of a job.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function, self._folder = function, os.getcwd()

    def __call__(self, numbered_job: tuple[int, Any]) -> tuple[int, Any]:
        if os.getcwd() != self._folder:
            os.chdir(self._folder)  # relative paths in jobs are relative to it
        number, job = numbered_job
        return number, self._function(job)
