"""One picture of a shard as a path, so that whatever opens pictures by their paths opens those in shards.

``part-00000.parquet/17/AB12.png`` is the 18th row of that shard; what follows the number is its id's last part, made
fit for a file name, and is left out at will. :func:`detector.data.images.read_file` reads such a path.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections import OrderedDict
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from detector.data.folders.image_files import MAX_BYTES, is_image_name
from detector.data.packs.shards import NO_BYTES, SUFFIX, has_dictionary, opened_shard
from detector.errors import ImageError, SourceError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAX_GROUP_BYTES = 1_000_000_000
"""Bytes of a row group at most where pictures are read one by one, for it is read as a whole."""

_KEPT_BYTES = 128_000_000  # of row groups that were read last
_NAME_BYTES = 200  # of a name in UTF-8, which most disks hold


def row_path(file: Path, row: int, picture_id: str, suffix: str = "") -> Path:
    """Return the path of a picture.

    Args:
        file: the shard.
        row: in it, from 0.
        picture_id: gives the name, whatever path it is of.
        suffix: of the name where the id has none of a picture.
    """
    name = re.split(r"[/\\]", picture_id)[-1].replace("\0", "_").strip(". ") or "picture"
    stem, ending = os.path.splitext(name) if is_image_name(name) else (name, suffix)
    stem = stem.encode()[:_NAME_BYTES].decode("utf-8", "ignore")
    return file / str(row) / f"{stem}{ending}"


def shard_of(path: str | os.PathLike[str]) -> Path | None:
    """Return the shard that a path leads into; None if it is of a file of its own."""
    place = place_of(path)
    return None if place is None else place.file


class Place(NamedTuple):
    """Where a picture in a shard is: its file, and its row from 0."""

    file: Path
    row: int


def place_of(path: str | os.PathLike[str]) -> Place | None:
    """Return where a path leads; None if into no shard."""
    location = Path(path)
    for row in (location, location.parent):
        if row.parent.suffix.lower() == SUFFIX and row.name.isdecimal() and row.parent.is_file():
            return Place(row.parent, int(row.name))
    return None


def read_row(path: str | os.PathLike[str]) -> bytes | None:
    """Return the bytes of a picture in a shard; None if the path leads into none.

    Raises:
        ImageError: with the reason only.
        DependencyError: if the extra is not installed.
    """
    place = place_of(path)
    if place is None:
        return None
    try:
        value = _groups().value(*place)
    except SourceError as error:
        raise ImageError(str(error).rstrip(".")) from error
    if value is None:
        raise ImageError(NO_BYTES)
    if len(value) > MAX_BYTES:
        raise ImageError(f"{len(value) / 1e6:.0f} MB, and at most {MAX_BYTES / 1e6:.0f} MB are read")
    return value


def check_row_groups(file: Path, parquet: pq.ParquetFile) -> None:
    """Refuse a shard whose pictures cannot be read one by one.

    Raises:
        SourceError: if a row group is too large.
    """
    sizes = [_size_of(parquet, group) for group in range(parquet.metadata.num_row_groups)]
    if sizes and max(sizes) > MAX_GROUP_BYTES:
        raise SourceError(
            f"{file} has a row group of {max(sizes) / 1e9:.1f} GB, and of at most {MAX_GROUP_BYTES / 1e9:g} GB single "
            f"pictures are read: `detector pack {file} OUT` writes it again in small ones."
        )


def _size_of(parquet: pq.ParquetFile, group: int) -> int:
    """Bytes of the pictures of a row group."""
    columns = parquet.metadata.row_group(group)
    column_chunks = [columns.column(i) for i in range(columns.num_columns)]
    return int(sum(column.total_uncompressed_size for column in column_chunks if column.path_in_schema == "bytes"))


class _Groups:
    """The row groups that were read last, for pictures that are read together lie together."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._starts: dict[tuple[Any, ...], list[int]] = {}  # of a file's row groups: numbers of their first rows
        self._columns: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def value(self, file: Path, row: int) -> bytes | None:
        """Return the bytes in a row."""
        try:
            status = os.stat(file)
        except OSError as error:
            raise SourceError(f"{file} cannot be read: {error.strerror}.") from error
        shard = (str(file), status.st_size, status.st_mtime_ns)
        with self._lock:
            starts = self._starts.get(shard) or self._open(shard, file)
            if row >= starts[-1]:
                raise SourceError(f"{file} has {starts[-1]} rows, and none of number {row}.")
            group = bisect_right(starts, row) - 1
            column = self._column(shard, file, group)
        value: bytes | None = column[row - starts[group]].as_py()
        return value

    def _open(self, shard: tuple[Any, ...], file: Path) -> list[int]:
        with opened_shard(file) as parquet:
            check_row_groups(file, parquet)
            metadata = parquet.metadata
            rows = (metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
            self._starts[shard] = list(accumulate(rows, initial=0))
        return self._starts[shard]

    def _column(self, shard: tuple[Any, ...], file: Path, group: int) -> Any:
        key = (*shard, group)
        if key not in self._columns:
            with ExitStack() as stack:
                parquet = stack.enter_context(opened_shard(file))
                if has_dictionary(parquet, group):  # its values are not repeated for each row
                    parquet = stack.enter_context(opened_shard(file, dictionaries=("bytes",)))
                self._columns[key] = parquet.read_row_group(group, ["bytes"], use_threads=False).column("bytes")
        self._columns.move_to_end(key)
        while len(self._columns) > 1 and sum(column.nbytes for column in self._columns.values()) > _KEPT_BYTES:
            self._columns.popitem(last=False)
        return self._columns[key]


_process_groups: tuple[int, _Groups] = (0, _Groups())


def _groups() -> _Groups:
    """Return the row groups of this process: a forked child must not wait for its parent's lock."""
    global _process_groups
    if _process_groups[0] != os.getpid():
        _process_groups = (os.getpid(), _Groups())
    return _process_groups[1]
