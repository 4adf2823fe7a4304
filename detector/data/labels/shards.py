"""Labels in the shards that hold the pictures, too."""

from __future__ import annotations

from pathlib import Path

from detector.data.folders.image_files import is_image_name, picture_suffix
from detector.data.labels.entries import Entry, Listing
from detector.data.labels.formats import Columns
from detector.data.packs.shard_rows import check_row_groups, row_path
from detector.data.packs.shards import opened_shard, read_shard, shard_files
from detector.errors import SourceError, argument, counted

FORMAT = "shards"
"""Name of the format."""


def read_shards(root: Path, columns: Columns) -> Listing:
    """Read the ids and texts of a shard or a folder of them; pictures without a text are not listed.

    Rows with one id stand for one picture, so that it is told if their labels differ.

    Raises:
        SourceError: if a shard is broken or lacks a column, or nobody has labelled a picture.
        DependencyError: if the extra is not installed.
    """
    for name, column in zip(("image_column", "text_column"), columns, strict=True):
        if column is not None:
            raise SourceError(f"{root}: the columns of shards are id and text: leave out {argument(name, column)}.")
    files = shard_files(root)
    entries: list[Entry] = []
    first: dict[str, str] = {}
    unlisted = 0
    for file in files:
        suffixes: list[str] | None = None
        for row, picture in enumerate(read_shard(file, ("id", "text"))):
            if picture.text is None:
                unlisted += 1
                continue
            if suffixes is None and not is_image_name(picture.id.rpartition("/")[2]):
                suffixes = [picture_suffix(row.data or b"") for row in read_shard(file, ("bytes",))]
            path = row_path(file, row, picture.id, suffixes[row] if suffixes else "")
            first.setdefault(picture.id, str(path))
            entries.append(Entry(picture.id, first[picture.id], picture.text, place=f"{file.name}, row {row}"))
        with opened_shard(file) as parquet:
            check_row_groups(file, parquet)
    if not entries:
        raise SourceError(
            f"{root}: none of its {unlisted} pictures has a label (the column text is null or missing): pack them with "
            "their labels."
        )
    detail = f"{counted(len(files), 'Parquet file')}, columns id and text"
    return Listing(root, FORMAT, tuple(files), detail, entries, unlisted)
