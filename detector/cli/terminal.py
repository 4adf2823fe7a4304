"""What every command does with a terminal: messages and progress on stderr, results on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One message for a person."""
    console.print(message, markup=False)


class Tell(Protocol):
    """Called with the stage's name, what is done and what there is in all."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


@contextmanager
def progress_bar() -> Iterator[Tell]:
    """A bar with time left for each stage in turn; nothing where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task, current = None, ""

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal task, current
            name = stage.split(" (")[0]
            if task is None or name != current:
                task, current = bar.add_task(stage, total=total), name
            bar.update(task, completed=done, total=total, description=stage)

        yield tell
