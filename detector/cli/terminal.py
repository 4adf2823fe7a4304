"""What every command does with a terminal: messages on stderr, results on stdout.

Names of files may hold anything, also what moves a terminal's cursor or turns its text around. Messages, and results on
a terminal, show it as escapes; results that go elsewhere are written as they are.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console

from detector.errors import STOPPED

log = logging.getLogger("detector")

# Without emoji: to rich, review.csv:100: holds one.
console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

_quiet = False


def hush(quiet: bool) -> None:
    """Set whether only results and errors are printed from here on."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Test whether only results and errors are printed."""
    return _quiet


# C0 but tab and line feed, DEL and C1, and what overrides the direction of text
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Escape characters that would control a terminal, as ``\x1b``."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class PrintableFormatter(logging.Formatter):
    """Of log messages."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a message without characters that would control a terminal."""
        return printable(super().format(record))


def say(message: str, *, always: bool = False) -> None:
    """Print one message for a person; ``always``: an error, or an input that was refused."""
    if always or not _quiet:
        console.print(printable(message), markup=False)


@contextmanager
def stoppable(state: str) -> Iterator[None]:
    """Let Ctrl-C end the block with a message of what it leaves, and with the exit code that shells have for it."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"detector: stopped by Ctrl-C; {state}", always=True)
        raise typer.Exit(STOPPED) from None


class Results:
    """A text file that passes on to stdout: as it is, and without control where that is a terminal."""

    def write(self, text: str) -> None:
        """Write text, whole lines in the end."""
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


def put(result: object) -> None:
    """Print one line of results."""
    Results().write(f"{result}\n")
    sys.stdout.flush()


def json_text(content: dict[str, Any], indent: int | None = None) -> str:
    """Return JSON with escapes for characters that would control a terminal."""
    line = json.dumps(content, ensure_ascii=False, indent=indent)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", line)
