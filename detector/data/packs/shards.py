"""Parquet shards: many pictures, their texts and sizes in one file. This module alone knows the columns.

A row is a picture: ``id`` (string, its name wherever one is told), ``bytes`` (large binary, the file as it is),
``text`` (string, null where nobody has labelled it), ``width`` and ``height`` (int32, pixels of the upright picture, 0
where it cannot be opened). Of shards of others ``id`` and ``bytes`` are needed; string, binary and their large forms
are one.

A folder is one of shards if files ``*.parquet`` lie in it, whatever their names, and no pictures, there or below; those
whose names begin with ``_`` or ``.`` are of other programs. Pictures are compressed already, so their column is not;
row groups are small, so that one picture can be had without the others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detector.data.atomic import atomic_write
from detector.data.folders.image_files import image_files, in_natural_order, is_folder
from detector.data.text_files import is_utf8
from detector.errors import DatasetError, SourceError, counted, require

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

log = logging.getLogger("detector")

COLUMNS = ("id", "bytes", "text", "width", "height")
"""Columns of a shard, in order."""

SUFFIX = ".parquet"
"""Ending of the names of shards."""

NO_BYTES = "the row has no bytes"
"""Why such a row is no picture."""

MAX_ROWS, MAX_SHARD_BYTES = 10_000, 256_000_000
"""Pictures in a shard, and bytes of them, at most."""

_GROUP_ROWS, _GROUP_BYTES = 1_000, 8_000_000  # of a row group, which is what has to be read for one picture
_BATCH_ROWS, _BATCH_BYTES = 256, 16_000_000  # of what is read at once


class ShardPicture(NamedTuple):
    """A row of a shard; ``data`` is None where the row has no bytes, ``text`` where it has no label."""

    id: str
    data: bytes | None
    text: str | None = None
    width: int = 0
    height: int = 0


def require_parquet(what: str = "Parquet") -> None:
    """Refuse to begin what needs Parquet, say ``what``.

    Raises:
        DependencyError: if the extra is not installed.
    """
    require(what, "pyarrow")


def check_shards_folder(folder: Path) -> None:
    """Refuse, with a DatasetError, to write shards where pyarrow, which writes them, could not open them."""
    if not is_utf8(str(folder.absolute())):
        raise DatasetError(f"{folder.absolute()}: the name is not UTF-8, and pyarrow takes no other: choose another.")


def schema() -> pa.Schema:
    """Return the columns with their types.

    Raises:
        DependencyError: if the extra is not installed.
    """
    require_parquet()
    import pyarrow as pa

    types = (pa.string(), pa.large_binary(), pa.string(), pa.int32(), pa.int32())
    nullable = {"text"}
    return pa.schema([pa.field(name, kind, name in nullable) for name, kind in zip(COLUMNS, types, strict=True)])


def shard_name(number: int) -> str:
    """Return the file name of a shard, numbered from 0."""
    return f"part-{number:05d}{SUFFIX}"


def is_shards(path: str | os.PathLike[str]) -> bool:
    """Test whether a path is a Parquet file, or a folder with Parquet files in it and no pictures, there or below."""
    if not os.path.isdir(path):
        return os.path.splitext(os.fspath(path))[1].lower() == SUFFIX and os.path.isfile(path)
    shard_count = sum(map(is_shard_name, _names_in(path)))
    if not shard_count:
        return False
    if (picture := next((file for file, problem in image_files(path) if problem is None), None)) is not None:
        log.warning(
            "%s holds pictures, as %s, beside %s, which are passed over: keep them apart", path, picture,
            counted(shard_count, f"{SUFFIX} file"),
        )  # fmt: skip
    return picture is None


def shard_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the file, or the shards of a folder, by their numbers.

    Raises:
        SourceError: if there are none.
    """
    if not os.path.isdir(path):
        return [Path(path)]
    files = [Path(path, name) for name in in_natural_order(filter(is_shard_name, _names_in(path)))]
    if not files:
        raise no_shards(path)
    return files


def no_shards(folder: str | os.PathLike[str]) -> SourceError:
    """Return the error for a folder without shards."""
    return SourceError(f"There are no {SUFFIX} files in {os.fspath(folder)}: `detector pack` makes some.")


def _names_in(folder: str | os.PathLike[str]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not is_folder(entry)]
    except OSError:  # forbidden: whoever reads it will say so
        return []


def is_shard_name(name: str) -> bool:
    """Test whether a file of that name is a shard of its folder."""
    return name.lower().endswith(SUFFIX) and not name.startswith(("_", "."))


def write_shards(
    pictures: Iterable[ShardPicture], folder: Path, *, rows: int = MAX_ROWS, first: int = 0
) -> Iterator[Path]:
    """Write pictures to the shards of a folder, each whole or not at all, and yield the path of each when it is there.

    Which picture is in which shard follows from their sizes and number alone. One row group is in memory at a time.

    Args:
        pictures: consumed one by one.
        folder: must exist.
        rows: of a shard at most.
        first: number of the first shard.

    Raises:
        DependencyError: if the extra is not installed.
        DiskFullError: if there is no room.
    """
    coming = iter(pictures)
    while (head := next(coming, None)) is not None:
        path = folder / shard_name(first)
        write_shard(_of_one_shard(head, coming, rows), path)
        yield path
        first += 1


def _of_one_shard(head: ShardPicture, coming: Iterator[ShardPicture], rows: int) -> Iterator[ShardPicture]:
    yield head
    count, size = 1, len(head.data or b"")
    while count < rows and size < MAX_SHARD_BYTES and (picture := next(coming, None)) is not None:
        yield picture
        count, size = count + 1, size + len(picture.data or b"")


def write_shard(pictures: Iterable[ShardPicture], path: Path) -> None:
    """Write one shard, whole or not at all.

    Raises:
        DependencyError: if the extra is not installed.
        DiskFullError: if there is no room.
    """
    columns = schema()
    with atomic_write(path) as part, parquet_writer(part, columns) as writer:
        for group in row_groups(pictures):
            writer.write_batch(_batch_of(group, columns))


@contextmanager
def parquet_writer(path: Path, columns: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Yield a writer of a shard of these columns; all but ``bytes`` are compressed."""
    import pyarrow.parquet as pq

    compression = dict.fromkeys(map(_leaf, columns), "zstd") | {"bytes": "none"}
    with pq.ParquetWriter(
        path, columns, compression=compression, use_dictionary=False, write_statistics=["id", "text"]
    ) as writer:
        yield writer


def _leaf(field: pa.Field) -> str:
    """Return Parquet's name of a column, that of the innermost elements of a list."""
    import pyarrow as pa

    name, kind = field.name, field.type
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        name, kind = f"{name}.list.element", kind.value_type
    return str(name)


def row_groups(pictures: Iterable[ShardPicture]) -> Iterator[list[ShardPicture]]:
    """Pictures in runs that row groups are made of."""
    group: list[ShardPicture] = []
    size = 0
    for picture in pictures:
        group.append(picture)
        size += len(picture.data or b"")
        if len(group) >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _batch_of(group: Sequence[ShardPicture], columns: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [pa.array(values, field.type) for values, field in zip(zip(*group, strict=True), columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


def read_shard(file: Path, columns: Sequence[str] = COLUMNS, stream: Any = None) -> Iterator[ShardPicture]:
    """Yield the pictures of one shard, in order, some at a time.

    Args:
        file: the shard.
        columns: that are read; what is left out is None, or 0, in the rows.
        stream: see :func:`opened_shard`.

    Raises:
        DependencyError: if the extra is not installed.
        SourceError: if it is broken, or lacks a column; what came before was yielded.
    """
    with opened_shard(file, stream) as parquet:
        number = 0
        for batch in parquet.iter_batches(rows_at_once(parquet), columns=_present(parquet, columns)):
            yield from _rows_of(batch, f"{file.name}/", number)
            number += batch.num_rows


@contextmanager
def opened_shard(file: Path, stream: Any = None, dictionaries: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Yield an open shard whose columns are as expected; pages are read as they are needed.

    Args:
        file: where it is.
        stream: pyarrow's, of a file that is on no disk of this machine: whole row groups are fetched from it.
        dictionaries: columns that are read as indices into a dictionary of their values.

    Raises:
        DependencyError: if the extra is not installed.
        SourceError: naming the file, also for what goes wrong in the block.
    """
    with opened_parquet(file, stream, dictionaries) as parquet:
        check_columns(file, parquet.schema_arrow)
        yield parquet


@contextmanager
def opened_parquet(file: Path, stream: Any = None, dictionaries: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Yield an open Parquet file of any columns, see :func:`opened_shard`."""
    require_parquet(str(file))
    import pyarrow.parquet as pq

    options: dict[str, Any] = {"buffer_size": 1 << 20, "pre_buffer": False} if stream is None else {"pre_buffer": True}
    with (
        arrow_errors(file, "Parquet"),
        pq.ParquetFile(
            file if stream is None else stream, memory_map=False, read_dictionary=dictionaries or None, **options
        ) as parquet,
    ):
        yield parquet


@contextmanager
def arrow_errors(file: Path, kind: str) -> Iterator[None]:
    """Make what Arrow raises in the block an error that names the file and what it should be.

    Raises:
        SourceError: for it.
    """
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise SourceError(f"There is no file {file}.") from None
    except UnicodeEncodeError:
        raise SourceError(f"{file}: the name is not UTF-8, and pyarrow takes no other: rename it.") from None
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SourceError(
            f"{file} cannot be read as {kind} ({reason}): write it again, or take it out of the folder."
        ) from error


def check_columns(file: Path, present: pa.Schema) -> None:
    """Refuse what is not a shard.

    Raises:
        SourceError: naming the column that is missing or of another type.
    """
    import pyarrow as pa

    for field in schema():
        name = field.name
        if len(present.get_all_field_indices(name)) != 1:
            if name in ("id", "bytes"):
                column_names = ", ".join(present.names[:12]) or "none at all"
                raise SourceError(
                    f"{file} has no column {name!r} as shards have; its columns are {column_names}. `detector pack` "
                    "makes shards of data sets of HuggingFace, too."
                )
            continue
        column_type = present.field(name).type
        column_type = column_type.value_type if pa.types.is_dictionary(column_type) else column_type
        is_binary = pa.types.is_binary(column_type) or pa.types.is_large_binary(column_type)
        is_text, is_integer = _is_string(column_type), pa.types.is_integer(column_type)
        is_of_kind = {"bytes": is_binary, "width": is_integer, "height": is_integer}
        if not is_of_kind.get(name, is_text or (name == "text" and pa.types.is_null(column_type))):
            raise SourceError(f"{file}: its column {name!r} is {column_type}, and of shards it is {field.type}.")


def _is_string(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def counts_of(file: Path) -> tuple[int, int]:
    """Return how many pictures a shard of :func:`write_shards` holds, and how many of them have a text."""
    with opened_shard(file) as parquet:
        metadata = parquet.metadata
        texts = [metadata.row_group(i).column(COLUMNS.index("text")) for i in range(metadata.num_row_groups)]
        return metadata.num_rows, sum(column.statistics.num_values for column in texts)


def _present(parquet: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name in parquet.schema_arrow.names]


def rows_at_once(parquet: pq.ParquetFile) -> int:
    """Return how many rows have a bounded number of bytes: on the average, or at most where values are in a dictionary.

    There the largest value may be that of all rows, as large as the whole column of a row group.
    """
    metadata = parquet.metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups) // max(1, metadata.num_rows)
    repeated = max((chunk.total_uncompressed_size for group in groups for chunk in _dictionaries(group)), default=0)
    return int(max(1, min(_BATCH_ROWS, _BATCH_BYTES // (max(size, repeated) + 1))))


def has_dictionary(parquet: pq.ParquetFile, group: int) -> bool:
    """Return whether values of a row group are in a dictionary, from which a few bytes stand for any number."""
    return bool(_dictionaries(parquet.metadata.row_group(group)))


def _dictionaries(group: Any) -> list[Any]:
    """Return the columns of a row group with values in a dictionary."""
    chunks = [group.column(i) for i in range(group.num_columns)]
    return [chunk for chunk in chunks if chunk.has_dictionary_page and chunk.physical_type == "BYTE_ARRAY"]


def _rows_of(batch: pa.RecordBatch, place: str, number: int) -> Iterator[ShardPicture]:
    """Yield the rows of a batch; one without an id is called by its place."""
    names = batch.schema.names
    size = batch.num_rows
    ids = strings_of(batch.column("id")) if "id" in names else [None] * size
    data = batch.column("bytes") if "bytes" in names else None
    texts = strings_of(batch.column("text")) if "text" in names else [None] * size
    widths, heights = (batch.column(name).to_pylist() if name in names else [0] * size for name in ("width", "height"))
    for i in range(size):
        yield ShardPicture(
            ids[i] or f"{place}{number + i}",
            None if data is None else data[i].as_py(),
            texts[i],
            widths[i] or 0,
            heights[i] or 0,
        )


def strings_of(column: Any) -> list[str | None]:
    """Return the strings of a column; bytes that are no UTF-8 are escaped, where Arrow raises."""
    import pyarrow as pa

    if pa.types.is_null(column.type):
        return [None] * len(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values = column.cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "backslashreplace") for value in values]
