"""What a reader is pointed at, as ``yolo predict`` takes it: from one picture to the address of a camera."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detector.data.folders.image_files import IMAGE_SUFFIXES, image_files
from detector.data.images import Picture, read_image
from detector.data.packs.shards import NO_BYTES, is_shards, read_shard, require_parquet, shard_files
from detector.data.packs.shards import SUFFIX as SHARD_SUFFIX
from detector.data.text_files import bounded_lines
from detector.errors import DetectorError, ImageError, SourceError
from detector.reading.live import live_frames

VIDEO_SUFFIXES = frozenset(".asf .avi .m4v .mkv .mov .mp4 .mpeg .mpg .ts .wmv .webm".split())
"""Suffixes, in lower case, of the files that count as videos."""

Source = str | int | os.PathLike[str] | Iterable[Picture]
"""What :func:`named_pictures` takes."""

NamedPicture = tuple[str, Picture | ImageError]
"""A picture and how messages call it; where it could not be had, the reason in its place."""

_COUNTED = {".avi": 0, ".mp4": 2, ".mov": 2, ".m4v": 2}
"""Formats that say how many frames they have, and frames that an editor may have hidden in one."""

_DAMAGED = 300
"""Frames in a row that may be damaged before a video is given up."""

_MAX_NAME = 1 << 16
"""Characters of a line of a list."""

_MAX_DEPTH = 50
"""Lists in one another."""

_ADDRESSES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "tcp://", "udp://")


def is_live(source: Source) -> bool:
    """Test whether a source has no end: a camera's index, the address of a stream, a ``.streams`` file."""
    if isinstance(source, int):
        return True
    if not isinstance(source, str) or os.path.exists(source):
        return isinstance(source, (str, os.PathLike)) and Path(source).suffix == ".streams"
    return source.isdecimal() or source.lower().startswith(_ADDRESSES)


def live_pictures(source: Source) -> Iterator[NamedPicture]:
    """Yield the frames of a live source as they come, named ``source#number``; those that come too fast are passed
    over, and what a line lost that dropped is told in its place.

    Raises:
        SourceError: if it cannot be opened.
    """
    return live_frames(os.fspath(source) if isinstance(source, os.PathLike) else str(source))


def named_pictures(source: Source) -> Iterator[NamedPicture]:
    """Yield the pictures that a source names, in order.

    Args:
        source: a picture; a video, whose frames are named ``video.mp4#12``, from 1; a folder, searched through for
            both; a Parquet shard or a folder of them, whose pictures are named by their ids; a pattern (``new/*.png``,
            ``**`` for folders below); a ``.txt`` file with a source a line, relative to where it lies; ``-`` for such
            lines on stdin, relative to here; or any iterable of these and of pictures in memory.

    Raises:
        SourceError: at once, if there is no such file or folder, or a pattern fits nothing.
        DetectorError: if it is one picture in memory.
    """
    if not isinstance(source, (str, int, os.PathLike)):
        return (picture for member in require_many(source, "stream") for picture in _pictures_of(member))
    if str(source) == "-":
        return (picture for line in _stdin() if (name := _listed_name(line)) for picture in _pictures_of(name))
    if not str(source).strip():
        raise SourceError("An empty name is no source: give a picture or a folder of pictures, a video or a .txt list.")
    path = Path(str(source))
    if not os.path.exists(path):  # unlike Path.exists, not even a name that is too long raises
        if not glob.has_magic(str(path)):
            raise SourceError(f"There is no {path}: give a picture or a folder of pictures, a video, or a .txt list.")
        if not (files := _matching_files(str(path))):
            raise SourceError(f"No file fits {path}.")
        return (picture for file in files for picture in _pictures_of(file))
    if path.suffix.lower() == ".txt" and os.path.isfile(path):
        return _listed(path, _lines_of(path), _Lists.of(path))
    return _in_folder(path) if os.path.isdir(path) else _pictures_of(path)


def _stdin() -> Iterator[str]:
    """Yield lines of stdin without a byte order mark; names of files need not be UTF-8."""
    binary = getattr(sys.stdin, "buffer", None)  # what stands in for it in a notebook has none
    lines = iter(sys.stdin) if binary is None else map(os.fsdecode, binary)
    return (line.removeprefix("\ufeff") for line in lines)


def require_many(pictures: Iterable[Picture], method: str) -> Iterable[Picture]:
    """Return the pictures; refuse a single one, whose letters, bytes or rows would be taken for pictures.

    Raises:
        DetectorError: if it is one picture, and not many, or none at all.
    """
    is_single = isinstance(pictures, (str, os.PathLike, bytes, bytearray, memoryview, Image.Image))
    if is_single or (isinstance(pictures, np.ndarray) and pictures.ndim < 4):
        raise DetectorError(
            f"{method} takes many pictures, and got one ({type(pictures).__name__}): put it into a list, or use read."
        )
    try:
        iter(pictures)
    except TypeError:
        raise DetectorError(f"{method} takes many pictures, and got {pictures!r}: give a list of pictures.") from None
    return pictures


def snapshot(picture: Picture) -> Picture | ImageError:
    """Copy the picture as it is now: iterators over pages or frames may reuse one object."""
    if isinstance(picture, np.ndarray):
        return picture.copy()
    if isinstance(picture, (bytearray, memoryview)):
        return bytes(picture)
    if isinstance(picture, Image.Image):
        try:
            return read_image(picture)
        except ImageError as error:
            return error
    return picture


def is_several(path: Path) -> bool:
    """Test whether a file stands for several pictures: a list or a video."""
    return path.suffix.lower() in {".txt", *VIDEO_SUFFIXES}


def read_named(picture: Picture) -> NDArray[np.uint8]:
    """Read as :func:`detector.data.images.read_image` does; the error names the picture."""
    try:
        return read_image(picture)
    except ImageError as error:
        raise ImageError(f"{name_of(picture)}: {error}") from None


def name_of(picture: Picture) -> str:
    """Return the name of a picture in messages."""
    return os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else type(picture).__name__


class _Lists(NamedTuple):
    """``.txt`` lists that a thing is named in, and those that were gone through from there: none is twice, for lists
    that each name the next one twice would have no end."""

    within: frozenset[Path]
    visited: set[Path]

    @classmethod
    def of(cls, path: Path) -> _Lists:
        """Begin with one list."""
        return cls(frozenset({path.resolve()}), {path.resolve()})

    def and_this(self, path: Path) -> _Lists:
        """Add a list that is named in these."""
        self.visited.add(path.resolve())
        return _Lists(self.within | {path.resolve()}, self.visited)


def _pictures_of(source: Picture, lists: _Lists | None = None) -> Iterator[NamedPicture]:
    """Yield the pictures of a member of a list, a pattern or a folder; a missing file is yielded, too.

    Args:
        source: the thing.
        lists: the ``.txt`` lists that it is named in.
    """
    if not isinstance(source, (str, os.PathLike)):
        yield name_of(source), snapshot(source)
        return
    if source == "-":
        yield from named_pictures(source)
        return
    if not str(source).strip():  # as of a variable that is not set: Path takes it for this folder
        yield str(source), ImageError("an empty name")
        return
    path = Path(source)
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        yield from _frames(path)
    elif suffix == ".txt" and os.path.isfile(path):
        if lists and path.resolve() in lists.within:  # `ls > list.txt` lists itself
            yield str(path), ImageError("the list names itself")
        elif lists and path.resolve() in lists.visited:
            yield str(path), ImageError("the list is named more than once: what it names was read already")
        elif lists and len(lists.within) > _MAX_DEPTH:
            yield str(path), ImageError(f"more than {_MAX_DEPTH} lists in one another: name what it names")
        else:
            inner = lists.and_this(path) if lists else _Lists.of(path)
            yield from _or_named(path, lambda: _listed(path, _lines_of(path), inner))
    elif os.path.isdir(path):
        yield from _or_named(path, lambda: _in_folder(path))
    elif suffix == SHARD_SUFFIX and os.path.isfile(path):
        yield from _in_shards(path)
    elif glob.has_magic(str(path)) and not os.path.exists(path) and (files := _matching_files(str(path))):
        for name in files:
            yield from _pictures_of(name, lists)
    else:
        yield name_of(source), source


def _or_named(path: Path, pictures_of: Callable[[], Iterator[NamedPicture]]) -> Iterator[NamedPicture]:
    """Yield the pictures of a list or a folder among other things; if it cannot be read, its name and why."""
    try:
        pictures = pictures_of()
    except SourceError as error:
        pictures = iter([(str(path), ImageError(str(error).rstrip(".")))])
    yield from pictures


def _in_folder(folder: Path) -> Iterator[NamedPicture]:
    """Yield the pictures of a folder, and the name of each folder below that cannot be read."""
    if is_shards(folder):
        return _in_shards(folder)
    files = image_files(folder, IMAGE_SUFFIXES | VIDEO_SUFFIXES)
    return (
        picture
        for path, problem in files
        for picture in (_pictures_of(path) if problem is None else [(str(path), problem)])
    )


def _in_shards(path: Path) -> Iterator[NamedPicture]:
    """Yield the pictures of shards, by their ids, and the name of each shard that is broken."""
    require_parquet(str(path))
    return (picture for file in shard_files(path) for picture in _in_shard(file))


def _in_shard(file: Path) -> Iterator[NamedPicture]:
    try:
        for picture in read_shard(file, ("id", "bytes")):
            yield picture.id, ImageError(NO_BYTES) if picture.data is None else picture.data
    except SourceError as error:  # what came before was read
        yield str(file), ImageError(str(error).rstrip("."))


def _frames(path: Path) -> Iterator[NamedPicture]:
    """Yield the frames of a video until none is left; damaged frames and a missing end are named, too.

    How many a file says that it has is a guess in some formats.
    """
    if not os.path.isfile(path):
        yield str(path), ImageError("no such file")
        return
    video, number, damaged = cv2.VideoCapture(str(path)), 0, 0
    try:
        if not video.isOpened():
            yield str(path), ImageError("not a video that can be opened")
            return
        declared = int(max(0, min(video.get(cv2.CAP_PROP_FRAME_COUNT), 1 << 31)))
        while damaged <= min(_DAMAGED, max(0, declared - number)):
            is_decoded, image = video.read()
            if not is_decoded:
                damaged += 1
                continue
            for damaged_number in range(number + 1, number + damaged + 1):
                yield f"{path}#{damaged_number}", ImageError("a damaged frame")
            number, damaged = number + damaged + 1, 0
            yield f"{path}#{number}", np.asarray(image, np.uint8)
    finally:
        video.release()
    if not number:
        yield str(path), ImageError("a video without a frame")
    elif (slack := _COUNTED.get(path.suffix.lower())) is not None and declared - number > slack:
        yield str(path), ImageError(f"the video ends after {number} of its {declared} frames")


def _lines_of(path: Path) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig") as stream:  # other signs that end lines are part of names
            return list(bounded_lines(stream, path, _MAX_NAME, "name"))
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The list {path} cannot be read ({error}).") from error


def _listed(path: Path, lines: list[str], lists: _Lists) -> Iterator[NamedPicture]:
    for line in lines:
        line = _listed_name(line, path.parent)
        if line.lower().startswith(_ADDRESSES):
            yield line, ImageError(f"{path.name} lists files: addresses of streams belong into a .streams file")
        elif line:
            entry = path.parent / line
            files: list[str] = []
            if glob.has_magic(line) and not os.path.exists(entry):
                files = _matching_files(os.path.join(glob.escape(str(path.parent)), line))
            for file in map(Path, files) if files else (entry,):
                yield from _pictures_of(file, lists)


def _listed_name(line: str, folder: Path = Path()) -> str:
    """Return the name in a line, without blanks around it unless a file has them."""
    name, plain = line.rstrip("\r\n"), line.strip()
    return name if name != plain and os.path.lexists(folder / name) else plain


def _matching_files(pattern: str) -> list[str]:
    """Find the files of a pattern, sorted; folders are searched only where the pattern says so."""
    return sorted(file for file in glob.glob(pattern, recursive=True) if os.path.isfile(file))
