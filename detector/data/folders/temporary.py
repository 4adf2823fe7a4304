"""Folders to make a file in, whose kind a kill leaves and the next one deletes."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = "detector.lock"


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A hidden folder beside ``target`` to make it in, deleted in the end, as are those of processes that were killed.

    Each holds a lock while its process lives.
    """
    for stray in target.parent.glob(".*.part"):
        _delete_stray(stray)
    folder, lock = _locked_folder(target)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(target: Path) -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):  # in this moment another process took it for a stray
            continue
        except (OSError, NotImplementedError):  # a file system without locks
            return folder, lock
        if (folder / _LOCK).exists():
            return folder, lock


def _delete_stray(folder: Path) -> None:
    """Delete what :func:`folder_beside` left of a process that lives no more."""
    with suppress(OSError, NotImplementedError, Timeout):
        if folder.is_symlink() or not stat.S_ISREG((folder / _LOCK).lstat().st_mode):
            return
        with FileLock(folder / _LOCK).acquire(timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)  # Windows keeps what is open
