"""The folder of what is kept between runs because it takes long to find out, and can be found out again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str = "") -> Path:
    """``detector`` in ``$XDG_CACHE_HOME`` or ``~/.cache``, or the folder of a kind of things in it; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "detector" / kind


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Remove all but the ``count`` newest files of this pattern."""
    files = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[count:]:
        file.unlink(missing_ok=True)
