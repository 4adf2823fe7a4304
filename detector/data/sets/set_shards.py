"""Shards of a converted set: shards of pictures, whose rows say what conversion found out of each, too.

Beside the columns of :mod:`detector.data.packs.shards` a row has `split`, `status`, `confidence` and `read`, as in
``manifest.csv``; `classes` and `boxes` are what the label file of the picture would hold, number for number, and
`box_confidences` and `stages` what ``boxes.csv`` would. The picture and its labels are both called by the path into the
shard, see :mod:`detector.data.packs.shard_rows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from detector.data.atomic import atomic_write
from detector.data.folders.owned import file_hash
from detector.data.images import read_file
from detector.data.packs.shard_rows import place_of, row_path
from detector.data.packs.shards import ShardPicture, opened_parquet, parquet_writer, read_shard, row_groups, schema
from detector.errors import DatasetError, ImageError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa


class SetPicture(NamedTuple):
    """A row without its picture: ``boxes`` are centre and size as shares of the picture, (n, 4)."""

    id: str
    text: str
    width: int
    height: int
    split: str
    status: str
    confidence: float
    read: str
    classes: list[int]
    boxes: list[list[float]]
    box_confidences: list[float]
    stages: list[str]


@dataclass(frozen=True)
class ShardJob:
    """A shard to write; it can be pickled.

    Args:
        path: of it.
        pictures: paths of the pictures, in order.
        rows: all columns but the pictures' bytes.
    """

    path: Path
    pictures: Sequence[Path]
    rows: pa.Table


class WrittenShard(NamedTuple):
    """What was written: the number of rows that are read back, the size of the file and its SHA-256."""

    rows: int
    size: int
    sha256: str


def set_schema() -> pa.Schema:
    """Return the columns with their types.

    Raises:
        DependencyError: if the extra is not installed.
    """
    columns = schema()
    import pyarrow as pa

    types = {
        "split": pa.string(), "status": pa.string(), "confidence": pa.float64(), "read": pa.string(),
        "classes": pa.list_(pa.int32()), "boxes": pa.list_(pa.list_(pa.float64(), 4)),
        "box_confidences": pa.list_(pa.float64()), "stages": pa.list_(pa.string()),
    }  # fmt: skip
    return pa.schema([*columns, *(pa.field(name, kind, False) for name, kind in types.items())])


def table_of(pictures: Sequence[SetPicture]) -> pa.Table:
    """Return the rows of a :class:`ShardJob`."""
    columns = set_schema()
    import pyarrow as pa

    described = pa.schema([columns.field(name) for name in SetPicture._fields])
    return pa.Table.from_pylist([picture._asdict() for picture in pictures], described)


def write_set_shard(job: ShardJob) -> WrittenShard:
    """Write one shard, whole or not at all, also where several processes write the same one.

    Raises:
        ImageError: naming a picture that cannot be read any more.
        DiskFullError: if there is no room.
    """
    import pyarrow as pa

    columns = set_schema()
    at, field = columns.get_field_index("bytes"), columns.field("bytes")
    pictures = (ShardPicture(path.name, _bytes_of(path)) for path in job.pictures)
    job.path.parent.mkdir(parents=True, exist_ok=True)
    start = 0
    with atomic_write(job.path) as part, parquet_writer(part, columns) as writer:
        for group in row_groups(pictures):
            data = pa.array([picture.data for picture in group], field.type)
            writer.write_table(job.rows.slice(start, len(group)).add_column(at, field, data))
            start += len(group)
    with opened_parquet(job.path) as parquet:
        count = parquet.metadata.num_rows
    return WrittenShard(count, job.path.stat().st_size, file_hash(job.path))


def _bytes_of(path: Path) -> bytes:
    try:
        return read_file(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}; it was changed while this ran.") from error


def set_row_paths(file: Path) -> Iterator[Path]:
    """Yield the path of each picture of a shard, in order.

    Raises:
        DatasetError: if it is damaged.
    """
    try:
        for row, picture in enumerate(read_shard(file, ("id",))):
            yield row_path(file, row, picture.id)
    except SourceError as error:
        raise DatasetError(f"{str(error).rstrip('.')}; the set is damaged: convert again.") from error


def row_labels(path: Path) -> list[list[float]] | None:
    """Class, centre and size of each character of a picture in a shard, as a line of its label file has them.

    Args:
        path: of the picture.

    Returns:
        Rows of five numbers; None if the path leads into no shard.

    Raises:
        DatasetError: if the shard has no labels, or no such row.
    """
    place = place_of(path)
    if place is None:
        return None
    status = place.file.stat()
    classes, boxes = _labels_of(place.file, status.st_size, status.st_mtime_ns)
    if place.row >= len(classes):
        raise DatasetError(f"{place.file} has {len(classes)} rows, and none of number {place.row}: convert again.")
    ids, shares = classes[place.row].as_py() or [], boxes[place.row].as_py() or []
    if len(ids) != len(shares) or any(None in (share or [None]) for share in shares) or None in ids:
        raise DatasetError(
            f"{path}: {len(ids)} classes and {len(shares)} boxes, or numbers are missing: convert again."
        )
    return [[float(class_id), *share] for class_id, share in zip(ids, shares, strict=True)]


@lru_cache(maxsize=4)
def _labels_of(file: Path, size: int, modified: int) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return the columns of classes and of boxes; the file's size and time identify its state."""
    wanted = {name: set_schema().field(name).type for name in ("classes", "boxes")}
    try:
        with opened_parquet(file) as parquet:
            present = parquet.schema_arrow
            if any(name not in present.names or present.field(name).type != kind for name, kind in wanted.items()):
                raise DatasetError(f"{file} has no columns classes and boxes, as shards of a set have: convert again.")
            table = parquet.read(list(wanted), use_threads=False)
    except SourceError as error:
        raise DatasetError(f"{str(error).rstrip('.')}; the set is damaged: convert again.") from error
    return table.column("classes").combine_chunks(), table.column("boxes").combine_chunks()
