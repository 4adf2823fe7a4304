"""The folder of what is kept between runs because it takes long to find out, and can be found out again."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path


def cache_folder(kind: str = "") -> Path:
    """``detector`` in ``$XDG_CACHE_HOME`` or ``~/.cache``, or the folder of a kind of things in it; not made here."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        cache = Path(_homeless())
    return cache / "detector" / kind


@lru_cache(maxsize=1)
def _homeless() -> str:
    """For a user without a home, as in some containers: this process's own, since others may write to a shared one."""
    return tempfile.mkdtemp(prefix="detector-")


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Remove all but the ``count`` files of this pattern that were written or used last."""

    def used(file: Path) -> float:
        try:
            return file.stat().st_mtime
        except FileNotFoundError:  # another process was here
            return 0.0

    for file in sorted(folder.glob(pattern), key=used, reverse=True)[count:]:
        file.unlink(missing_ok=True)


def used_now(file: Path) -> None:
    """Say that a kept file was used, for :func:`keep_newest`."""
    try:
        os.utime(file)
    except OSError:  # a folder that only others may write to
        return
