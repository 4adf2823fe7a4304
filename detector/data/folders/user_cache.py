"""The user's cache folder, for results that are slow to compute and can be computed again."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


def cache_folder(kind: str = "") -> Path:
    """Return ``detector`` in ``$XDG_CACHE_HOME`` or ``~/.cache``, or a subfolder of it; it is not created."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        cache = private_folder()
    return cache / "detector" / kind


@lru_cache(maxsize=1)
def private_folder() -> Path:
    """Return a folder for temporary files that nobody else can write to, the same for all processes of a user.

    Users without a home, as in some containers, have their cache there.
    """
    user = os.getuid() if hasattr(os, "getuid") else ""  # Windows has temporary files by user
    folder = Path(tempfile.gettempdir(), f"detector-{user}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if user == "" or (stat.S_ISDIR(status.st_mode) and status.st_uid == user and not status.st_mode & 0o077):
        return folder
    private_folder = tempfile.mkdtemp(prefix="detector-")  # somebody else was there first
    atexit.register(shutil.rmtree, private_folder, ignore_errors=True)
    return Path(private_folder)


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Delete all but the ``count`` most recently used files that match the pattern, or are such half written."""

    def used(file: Path) -> float:
        try:
            return file.stat().st_mtime
        except FileNotFoundError:  # deleted by another process
            return 0.0

    for file in sorted((*folder.glob(pattern), *folder.glob(f".{pattern}.*.part")), key=used, reverse=True)[count:]:
        file.unlink(missing_ok=True)


def used_now(file: Path) -> None:
    """Mark a cached file as used, for :func:`keep_newest`."""
    try:
        os.utime(file)
    except OSError:  # a read-only folder
        return
