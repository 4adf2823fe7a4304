"""Atomic writes: a file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.errors import DetectorError, DiskFullError

_PART = re.compile(r"(.+?)(\.[0-9a-f]{32})?\.part", re.DOTALL)

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_write(path: Path, token: str = "") -> Iterator[Path]:
    """Atomically write ``path``: write to the file that is yielded; it is renamed unless the block raises.

    Args:
        path: the file.
        token: tells apart the files of several processes that may write it at the same time.
    """
    part = path.with_name(f"{path.name}.{token}.part" if token else f"{path.name}.part")
    try:
        with writing(path):
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def written_as(path: str) -> str:
    """The path of a file that what is at ``path`` is a part of, as :func:`atomic_write` calls it; else ``path``.

    Tokens are 32 hexadecimal digits.
    """
    part = _PART.fullmatch(path)
    return part[1] if part else path


@contextmanager
def writing(place: Path | str, then: Callable[[], str] = str) -> Iterator[None]:
    """Make errors of a full disk in the block ones that name what could not be written.

    Args:
        place: what the block writes.
        then: called for what goes on once there is room; "" if nothing does.

    Raises:
        DiskFullError: for an error that is, or comes of, ``ENOSPC`` or ``EDQUOT``.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFullError):
            message = str(error)
        elif isinstance(error, DetectorError) or (code := _full(error)) is None:
            raise
        else:
            message = f"{place} cannot be written: {os.strerror(code)}. Make room there, or choose another place."
        advice = f" With room there, {next_step} goes on." if (next_step := then()) else ""
        raise DiskFullError(message + advice) from error


def _full(error: BaseException | None) -> int | None:
    """The number of the error of a full disk that an error is or comes of: libraries raise their own after it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
