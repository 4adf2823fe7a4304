"""What is packed: pictures as they come from any source, each with its id and text, or the reason why it is not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from detector.errors import ImageError


class PackItem(NamedTuple):
    """One input.

    Args:
        id: its name, one of each source.
        text: its label as it is spelt there; None if nobody has labelled it.
        state: what tells whether it has changed since, such as size and time of its file.
        read: gives its bytes, or raises an ImageError with the reason; called in threads.
    """

    id: str
    text: str | None
    state: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class PackSource:
    """All inputs of one source.

    Args:
        format: what it was recognised as.
        detail: how it is read, for the log.
        items: gives all of them, in order; may be called again and again.
        count: how many there are; None where that is not known before.
        notes: further lines for the log.
    """

    format: str
    detail: str
    items: Callable[[], Iterator[PackItem]]
    count: int | None = None
    notes: tuple[str, ...] = ()


def in_memory(data: bytes) -> Callable[[], bytes]:
    """Reads what is in memory."""
    return lambda: data


def refused_item(picture_id: str, reason: str) -> PackItem:
    """Return an input that cannot be packed."""

    def read() -> bytes:
        raise ImageError(reason)

    return PackItem(picture_id, None, reason, read)


def file_state(path: Path) -> str:
    """Size and time of a file; the kind of error where there is none."""
    try:
        status = os.stat(path)
    except OSError as error:
        return type(error).__name__
    return f"{status.st_size} {status.st_mtime_ns}"
