"""The user's cache folder, for results that are slow to compute and can be computed again."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path


def cache_folder(kind: str = "") -> Path:
    """``detector`` in ``$XDG_CACHE_HOME`` or ``~/.cache``, or a subfolder of it; not created here."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        cache = Path(_homeless())
    return cache / "detector" / kind


@lru_cache(maxsize=1)
def _homeless() -> str:
    """Private temporary folder for users without a home, as in some containers."""
    return tempfile.mkdtemp(prefix="detector-")


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Delete all but the ``count`` most recently used files that match the pattern."""

    def used(file: Path) -> float:
        try:
            return file.stat().st_mtime
        except FileNotFoundError:  # deleted by another process
            return 0.0

    for file in sorted(folder.glob(pattern), key=used, reverse=True)[count:]:
        file.unlink(missing_ok=True)


def used_now(file: Path) -> None:
    """Mark a cached file as used, for :func:`keep_newest`."""
    try:
        os.utime(file)
    except OSError:  # a read-only folder
        return
