"""Progress on stderr: a bar in a terminal, lines of the log elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from detector.cli.terminal import console, is_quiet
from detector.data import parallel
from detector.errors import counted

log = logging.getLogger("detector")

LINE_SECONDS = 60.0
"""How often progress is a line of the log, where there is no terminal for a bar."""

STAGE_SECONDS = 2.0
"""How long a stage takes, at least, whose end is told there."""


class _RateColumn(ProgressColumn):
    """What is done in a second, of this run alone."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else _rate(speed))


@contextmanager
def progress_bar() -> Iterator[parallel.Progress]:
    """Show a numbered bar for each stage in turn, with speed and time left, that stays when its stage is over.

    Where stderr is no terminal, a line a minute and one at the end of each stage that took seconds, without the number:
    before a name it would be taken for one of what is done.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _RateColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    has_terminal = sys.stderr.isatty() and not is_quiet()
    with Progress(*columns, console=console, disable=not has_terminal) as bar:
        stages = _Stages(bar, has_terminal)
        yield stages.report
        stages.end()


class _Stages:
    """The stages that are reported, in turn: each a numbered bar in a terminal, lines of the log elsewhere."""

    def __init__(self, bar: Progress, has_terminal: bool) -> None:
        self._bar, self._has_terminal = bar, has_terminal
        self._task: TaskID | None = None
        self._name, self._number, self._is_running = "", 0, False
        self._resumed = 0  # what an earlier run has done of the stage
        self._began = self._last_line = time.monotonic()

    def report(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is; one of another name ends the one before."""
        name = stage.split(" (")[0]
        if self._task is None or name != self._name:
            self.end()
            # What an earlier run did counts as done, not as speed; the first one is of this run.
            self._resumed, self._began = done if done > 1 else 0, time.monotonic()
            self._name, self._number, self._is_running = name, self._number + 1, True
            self._task = self._bar.add_task(stage, total=total, completed=done)
        self._bar.update(self._task, completed=done, total=total, description=f"{self._number} {stage}")
        if done >= total:
            self.end()
        elif not self._has_terminal and time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line, seconds_left = time.monotonic(), self._bar.tasks[self._task].time_remaining
            left = "" if seconds_left is None else f", {_duration(seconds_left)} left"
            log.info("%s: %d of %d%s", stage, done, total, left)

    def end(self) -> None:
        """End the stage that runs; the log tells of one that took seconds."""
        if self._task is None or not self._is_running:
            return
        self._is_running = False
        self._bar.stop_task(self._task)
        seconds = time.monotonic() - self._began
        done = int(self._bar.tasks[self._task].completed) - self._resumed
        if not self._has_terminal and seconds >= STAGE_SECONDS and done:
            log.info("%s: %d in %.0f s, %s", self._name, done, seconds, _rate(done / seconds))


class ReadingLog:
    """Lines of the log for pictures of which nobody knows how many there are, where results go to a file or a program.

    One a minute, and one at the end of what took longer.
    """

    def __init__(self) -> None:
        self._began = self._last_line = time.monotonic()
        self._has_terminal = sys.stdout.isatty()

    def report(self, pictures: int, ended: bool = False) -> None:
        """Say how many were read so far, where it is time to."""
        now = time.monotonic()
        is_due = now - (self._began if ended else self._last_line) >= LINE_SECONDS
        if not is_due or self._has_terminal:
            return
        self._last_line, seconds = now, max(now - self._began, 1e-9)
        log.info("%s read in %s, %s", counted(pictures, "picture"), _duration(seconds), _rate(pictures / seconds))


def _rate(speed: float) -> str:
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
