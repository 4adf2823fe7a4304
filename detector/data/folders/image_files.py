"""Which files are pictures, by their names and first bytes, and where they are in folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from detector.errors import ImageError, SourceError

_SUFFIXES = ".png .jpg .jpeg .jpe .jfif .bmp .dib .webp .tif .tiff .gif .ppm .pgm .pbm .pnm .avif .jp2"
IMAGE_SUFFIXES = frozenset(_SUFFIXES.split())
"""Lower-case suffixes of picture files."""

_BEGINNINGS = (
    (rb"\x89PNG", ".png"), (rb"\xff\xd8\xff", ".jpg"), (rb"BM", ".bmp"), (rb"GIF8", ".gif"),
    (rb"RIFF....WEBP", ".webp"),
    (rb"II\*\0|MM\0\*", ".tif"), (rb"P[36]", ".ppm"), (rb"P[25]", ".pgm"), (rb"P[14]", ".pbm"),
    (rb"....ftypavi[fs]", ".avif"), (rb"\0\0\0\x0cjP  ", ".jp2"),
)  # fmt: skip

MAX_BYTES = 500_000_000
"""Maximum size of a picture file."""

_DIGITS = re.compile(r"[0-9]+")


def image_files(
    folder: str | os.PathLike[str], suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> Iterator[tuple[Path, ImageError | None]]:
    """Iterate over the files with one of ``suffixes`` in a folder and below: first its files, then its subfolders.

    Names are in natural order (``a2`` before ``a10``). Hidden files and folders and links to folders are skipped.
    Memory grows with the largest single folder, not with the tree.

    Returns:
        (path, None) for each file; (path, reason) for each subfolder that cannot be read.

    Raises:
        SourceError: immediately, if ``folder`` is no folder or cannot be read.
    """
    if not os.path.isdir(folder):
        raise SourceError(f"No such folder: {folder}.")
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise SourceError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    return _walk(os.fspath(folder), suffixes)


def is_folder(entry: os.DirEntry[str], *, follow_symlinks: bool = True) -> bool:
    """Test whether a directory entry is a folder; False if that cannot be determined, as for a link to itself."""
    try:
        return entry.is_dir(follow_symlinks=follow_symlinks)
    except OSError:
        return False


def is_image_name(name: str, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> bool:
    """Test whether a file name is that of a picture: a known suffix, not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes


def picture_suffix(data: bytes) -> str:
    """Return the usual suffix of a picture's file that begins so; ".png" where it is none that is known."""
    return next((suffix for begins, suffix in _BEGINNINGS if re.match(begins, data, re.DOTALL)), ".png")


def _walk(root: str, suffixes: frozenset[str]) -> Iterator[tuple[Path, ImageError | None]]:
    pending = [root]  # a stack
    while pending:
        folder, files, folders = pending.pop(), [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_image_name(entry.name, suffixes) and not is_folder(entry):
                        files.append(entry.name)
                    elif not entry.name.startswith(".") and is_folder(entry, follow_symlinks=False):
                        folders.append(entry.name)
        except OSError as error:
            yield Path(folder), ImageError(f"the folder cannot be read: {error.strerror}")
            continue
        for name in in_natural_order(files):
            yield Path(folder, name), None
        pending += [os.path.join(folder, name) for name in sorted(folders, key=_natural, reverse=True)]


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Return names sorted as people count: ``a2`` before ``a10``."""
    return sorted(names, key=_natural)


def _natural(name: str) -> tuple[str, str]:
    return _DIGITS.sub(lambda run: run[0].zfill(20), name), name
