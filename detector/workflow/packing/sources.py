"""Sources to pack: pictures of any kind, labelled or not, as items in order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from detector.data.images import read_file
from detector.data.labels.entries import Entry, Listing, name_below, writable
from detector.data.labels.formats import Columns
from detector.data.labels.prelabels import DROPPED, PERSON
from detector.data.labels.sources import check_source, read_listing
from detector.data.packs.shards import COLUMNS, NO_BYTES, is_shards, opened_parquet, read_shard, shard_files
from detector.errors import ImageError, SourceError, argument, counted
from detector.reading.inputs import NamedPicture, is_live, named_pictures
from detector.workflow.packing.archives import read_archives, tar_files
from detector.workflow.packing.hugging_face import data_files, read_data_set
from detector.workflow.packing.items import PackItem, PackSource, file_state, in_memory, refused_item

UNLABELLED = "none"
"""Value of ``labels`` for pictures without texts."""


def pack_source(
    source: str | os.PathLike[str], labels: str | os.PathLike[str], space: str | None, ignore: str, columns: Columns
) -> PackSource:
    """Recognise a source, and open it.

    Args:
        source, labels, space, ignore: as for :func:`detector.pack`.
        columns: names of the columns or keys of pictures and texts, None for the usual ones.

    Raises:
        DependencyError: if the extra is not installed.
        SourceError: if the source is missing, ambiguous or broken, or endless.
    """
    path, labelled = Path(source), str(labels) != UNLABELLED
    if path.exists():
        packed = _container(path, labelled, columns)
        if packed is not None:
            if str(labels) not in ("auto", UNLABELLED):
                option = argument("labels", labels)
                raise SourceError(f"{path} has its labels with its pictures, and takes no others: leave out {option}.")
            return packed
    if not labelled:
        return _unlabelled_pictures(source)
    check_source(source)
    try:
        return _listed_pictures(read_listing(path, labels, space, ignore, columns))
    except SourceError as error:
        without = f"Without texts the pictures are packed with {argument('labels', UNLABELLED)}."
        raise SourceError(f"{error} {without}") from error


def _container(path: Path, labelled: bool, columns: Columns) -> PackSource | None:
    """Open a source with many pictures in few files; None if it is none."""
    if files := tar_files(path):
        return read_archives(files, labelled, columns[1])
    if is_shards(path) and _has_ids(shard_files(path)[0]):
        return _shards(path, labelled)
    files = data_files(path)
    return read_data_set(path, files, labelled, columns) if files else None


def _has_ids(file: Path) -> bool:
    """Test whether a Parquet file has the columns of a shard."""
    with opened_parquet(file) as parquet:
        return {"id", "bytes"} <= {*parquet.schema_arrow.names}


def _shards(path: Path, labelled: bool) -> PackSource:
    files = shard_files(path)

    def items() -> Iterator[PackItem]:
        for file in files:
            state = file_state(file)
            for row, picture in enumerate(read_shard(file, COLUMNS if labelled else ("id", "bytes"))):
                if picture.data is None:
                    yield refused_item(picture.id, NO_BYTES)
                else:
                    yield PackItem(picture.id, picture.text, f"{state} {row}", in_memory(picture.data))

    return PackSource("shards", counted(len(files), "Parquet file"), items)


def _listed_pictures(listing: Listing) -> PackSource:
    notes = list(listing.notes)
    if listing.unlisted:
        notes.append(f"{counted(listing.unlisted, 'more picture')} beside these, listed in no label file, left out")
    if drawn_count := sum(bool(entry.drawn) for entry in listing.entries):
        notes.append(f"{drawn_count} pictures have drawn boxes, which shards do not hold")
    if prelabel_count := sum(entry.status not in (PERSON, DROPPED) for entry in listing.entries):
        notes.append(f"{prelabel_count} texts are pre-labels and no person's: these pictures are packed without")
    return PackSource(
        listing.format, listing.detail, lambda: map(_entry_item, listing.entries), len(listing.entries), tuple(notes)
    )


def _entry_item(entry: Entry) -> PackItem:
    place = f" ({entry.place})" if entry.place else ""
    if entry.reason or entry.path is None or entry.status == DROPPED:
        return refused_item(entry.name, (entry.reason or "a person dropped it") + place)
    text = entry.raw if entry.status == PERSON else None
    return PackItem(entry.name, text, file_state(Path(entry.path)), partial(read_file, entry.path))


def _unlabelled_pictures(source: str | os.PathLike[str]) -> PackSource:
    """Open any pictures that a reader takes, without labels."""
    source_name = os.fspath(source)
    if is_live(source_name) or source_name == "-":
        raise SourceError(f"{source_name} has no end, or can be read only once: give a folder or a list of pictures.")
    named_pictures(source_name)  # raises if it is missing
    root = Path(os.path.abspath(source_name))
    root = root if root.is_dir() else root.parent
    return PackSource(
        "pictures", "no texts", lambda: (_picture_item(root, pair) for pair in named_pictures(source_name))
    )


def _picture_item(root: Path, pair: NamedPicture) -> PackItem:
    name, picture = pair
    absolute = os.path.abspath(name)
    relative_name = name_below(root, absolute) if Path(absolute).is_relative_to(root) else name.replace(os.sep, "/")
    picture_id = writable(relative_name)
    if isinstance(picture, ImageError):
        return refused_item(picture_id, str(picture))
    if isinstance(picture, np.ndarray):  # a frame of a video
        return PackItem(f"{picture_id}.png", None, "frame", partial(_png, picture))
    if isinstance(picture, bytes):
        return PackItem(picture_id, None, str(len(picture)), in_memory(picture))
    path = Path(str(picture))
    return PackItem(picture_id, None, file_state(path), partial(read_file, path))


def _png(frame: np.ndarray) -> bytes:
    return cv2.imencode(".png", frame)[1].tobytes()
