"""Processes that are killed at a moment of their own: before a file takes its place or goes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detector.data.atomic import written_as

FORKS = multiprocessing.get_context("forkserver")
"""Processes are forked from one that has imported everything: they start at once."""

_STEPS = {"os.rename": 1, "os.link": 1, "os.remove": 0}
"""Events of the interpreter that put files in place or take them away, and which argument says what."""


def kill_before(step: int, root: Path, name: str = "") -> None:
    """Kill this process before a step, counted from 0, that changes which files there are under ``root``.

    Args:
        step: number; with a name, of the steps that write (open, too) or remove such a path.
        root: steps elsewhere do not count.
        name: end of the path; what is written for a file that appears whole has NAME.part.
    """
    left, top = step, str(root.resolve()) + os.sep

    def audit(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event in _STEPS:
            path = args[_STEPS[event]]
        elif event == "open" and name and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR):
            path = args[0]
        else:
            return
        if not isinstance(path, (str, os.PathLike)):
            return
        full = os.path.abspath(os.fsdecode(path))
        target = written_as(full)
        shown = full if target == full else f"{target}.part"
        takes_place = event != "os.remove" or os.path.exists(full)
        if takes_place and full.startswith(top) and shown.endswith(name) and not full.endswith(".lock"):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(audit)


def _run_until(work: Callable[..., Any], args: tuple[Any, ...], step: int | None, root: Path, name: str) -> None:
    os.chdir(root)
    if step is not None:
        kill_before(step, root, name)
    work(*args)


def killed(
    work: Callable[..., Any], *args: Any, root: Path, step: int | None = None, name: str = "",
    seconds: float | None = None,
) -> bool:  # fmt: skip
    """Whether ``work``, in a process of its own in ``root``, was killed; an error fails the test.

    Args:
        work: in a module.
        args: of it.
        root: its working folder.
        step: before which it is killed, see :func:`kill_before`; None: before none.
        name: as there.
        seconds: after which it is killed; None: never.
    """
    process = FORKS.Process(target=_run_until, args=(work, args, step, root, name))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"it ended with {process.exitcode}"
    return process.exitcode != 0


def start_server() -> None:
    """Let the process that others are forked from import everything."""
    FORKS.set_forkserver_preload(
        [
            "tests.conversion.test_resume", "tests.training.test_resume", "detector.training.training_loop",
            "detector.training.trainer", "detector.training.publish", "detector.reading.reader", "albumentations",
            "tests.workflow.test_pack",
        ]
    )  # fmt: skip
    process = FORKS.Process(target=int)
    process.start()
    process.join()
