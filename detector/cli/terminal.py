"""What every command does with a terminal: messages and progress on stderr, results on stdout."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger("detector")

LINE_SECONDS = 60.0
"""How often progress is a line of the log, where there is no terminal for a bar."""

# Without emoji: to rich, review.csv:100: holds one.
console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

_quiet = False


def hush(quiet: bool) -> None:
    """Whether only results and errors are told from here on."""
    global _quiet
    _quiet = quiet


def say(message: str, *, always: bool = False) -> None:
    """One message for a person; ``always``: an error, or an input that was refused."""
    if always or not _quiet:
        console.print(message, markup=False)


def counted(number: int, what: str) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


class Tell(Protocol):
    """Called with the stage's name, what is done and what there is in all."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


@contextmanager
def progress_bar() -> Iterator[Tell]:
    """A bar with time left for each stage in turn; where stderr is no terminal, a line a minute."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    seen = sys.stderr.isatty() and not _quiet
    with Progress(*columns, console=console, disable=not seen) as bar:
        task, current, said = None, "", time.monotonic()

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal task, current, said
            name = stage.split(" (")[0]
            if task is None or name != current:
                # What an earlier run did counts as done, not as speed.
                task, current = bar.add_task(stage, total=total, completed=done), name
            bar.update(task, completed=done, total=total, description=stage)
            if not seen and time.monotonic() - said >= LINE_SECONDS:
                said, left = time.monotonic(), bar.tasks[task].time_remaining
                log.info("%s: %d of %d%s", stage, done, total, "" if left is None else f", {left / 60:.0f} min left")

        yield tell
