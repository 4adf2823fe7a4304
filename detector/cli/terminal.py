"""What every command does with a terminal: messages on stderr, results on stdout."""

from __future__ import annotations

import logging
from pathlib import Path

from rich.console import Console

log = logging.getLogger("detector")

# Without emoji: to rich, review.csv:100: holds one.
console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

_quiet = False


def hush(quiet: bool) -> None:
    """Whether only results and errors are told from here on."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether only results and errors are told."""
    return _quiet


def say(message: str, *, always: bool = False) -> None:
    """One message for a person; ``always``: an error, or an input that was refused."""
    if always or not _quiet:
        console.print(message, markup=False)


def near(path: Path) -> Path:
    """Relative to where the command runs, if it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def counted(number: int, what: str) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
