"""The pictures of a converted set with their labels, as they are written: a file each, or many in a shard."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from detector.conversion.inputs import SAME_AS
from detector.data.folders.owned import OwnedFiles, Row
from detector.data.labels.sources import LabelledImage
from detector.data.packs.shard_rows import row_path
from detector.data.packs.shards import MAX_ROWS, MAX_SHARD_BYTES, shard_name
from detector.data.parallel import Progress, spread_map
from detector.data.sets import yolo_dataset
from detector.data.sets.linking import link_or_copy
from detector.data.sets.set_shards import SetPicture, ShardJob, table_of, write_set_shard
from detector.data.sets.yolo_dataset import BOXES, SPLITS, BoxRow
from detector.data.text_files import Writer
from detector.errors import DatasetError, counted
from detector.text.reading_config import ReadingConfig

_LONGEST = 255  # bytes that file systems take of a name
_TOGETHER = 256  # pictures that are put on the list of files at once, which is opened for it


@dataclass(frozen=True)
class LabelledPicture:
    """A picture with all that was found out of it.

    Args:
        item: of the source.
        folder: below ``images/``: the split, or that of the suspects.
        split: of its text.
        status, confidence, read: as in the manifest.
        class_ids: of its characters, from left to right.
        symbols: theirs.
        boxes_xyxy: theirs, (n, 4), in pixels.
        size_wh: of the picture.
        box_confidences, stages: theirs, as in the table of boxes.
    """

    item: LabelledImage
    folder: str
    split: str
    status: str
    confidence: str
    read: str
    class_ids: Sequence[int]
    symbols: str
    boxes_xyxy: NDArray[np.float32]
    size_wh: tuple[int, int]
    box_confidences: Sequence[str]
    stages: Sequence[str]


class SetPictures(AbstractContextManager[None], Protocol):
    """How pictures and labels are written: pictures are added in the block."""

    def add(self, picture: LabelledPicture) -> str:
        """Take a picture; return its path relative to the set."""

    def finish(self, progress: Progress) -> Mapping[str, Row]:
        """Write what is left; return rows of files whose hash is known, by their paths relative to the set."""

    def describe(self, final_root: Path, config: ReadingConfig, images: dict[str, list[str]]) -> None:
        """Write ``data.yaml`` and what else goes with pictures of this form."""


class _PictureFile(NamedTuple):
    """A picture and its label file, as paths relative to the set, with the content of the latter."""

    source: Path
    image: str
    label: str
    labels: bytes


class PictureFiles:
    """A file for each picture, one for its labels, and a line for each character in the table of boxes; all written in
    the block.

    Args:
        root: of the set.
        owned: the list of its files.
    """

    def __init__(self, root: Path, owned: OwnedFiles) -> None:
        self._root, self._owned = root, owned
        self._used: set[str] = set()
        self._unwritten: list[_PictureFile] = []
        self._hashed: dict[str, Row] = {}
        self._open = ExitStack()

    def __enter__(self) -> None:
        file = self._open.enter_context((self._root / BOXES).open("w", newline="", encoding="utf-8"))
        self._boxes = Writer(file, BoxRow._fields)

    def __exit__(self, *raised: object) -> None:
        with self._open:
            if raised[0] is None:
                self._write()

    def add(self, picture: LabelledPicture) -> str:
        """Write lines of the table of boxes; the picture is linked or copied, and its labels written, with others."""
        name = self._name(picture.item)
        suffix = picture.item.path.suffix.lower()
        image = f"images/{picture.folder}/{name}{SAME_AS.get(suffix, suffix)}"
        labels = yolo_dataset.format_labels(picture.class_ids, picture.boxes_xyxy, *picture.size_wh).encode("ascii")
        self._unwritten.append(_PictureFile(picture.item.path, image, f"labels/{picture.folder}/{name}.txt", labels))
        sides = [[f"{v:.1f}" for v in box] for box in picture.boxes_xyxy.tolist()]
        characters = zip(picture.symbols, sides, picture.box_confidences, picture.stages, strict=True)
        for symbol, (x1, y1, x2, y2), confidence, stage in characters:
            self._boxes.row(BoxRow(image, symbol, x1, y1, x2, y2, confidence, stage))
        if len(self._unwritten) == _TOGETHER:
            self._write()
        return image

    def _write(self) -> None:
        """Write what is not yet."""
        paths = [path for file in self._unwritten for path in (file.image, file.label)]
        self._owned.add(*paths)  # before they are there
        for folder in {os.path.dirname(path) for path in paths}:
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        for file in self._unwritten:
            link_or_copy(file.source, self._root / file.image)
            (self._root / file.label).write_bytes(file.labels)
            digest = hashlib.sha256(file.labels).hexdigest()
            self._hashed[file.label] = Row(file.label, str(len(file.labels)), digest)
        self._unwritten = []

    def finish(self, progress: Progress) -> Mapping[str, Row]:
        """Return the rows of label files: everything is there."""
        return self._hashed

    def describe(self, final_root: Path, config: ReadingConfig, images: dict[str, list[str]]) -> None:
        """Write ``data.yaml`` and darknet's files."""
        yolo_dataset.write_descriptions(self._root, final_root, config, images)

    def _name(self, item: LabelledImage) -> str:
        """Return a unique file name, the source's as far as possible; labels are found by it without the suffix."""
        stem = re.sub(r"[\x00-\x1f\x7f]", "_", item.path.stem).strip("._") or "image"  # lists have a path a line
        name, hashed = stem, item.name
        while _on_any_disk(name) in self._used:
            mark = f"_{hashlib.sha256(hashed.encode()).hexdigest()[:8]}"
            room = _LONGEST - len(mark) - len(item.path.suffix)  # no picture's is shorter than that of labels
            name = stem.encode()[:room].decode("utf-8", "ignore") + mark
            hashed += "\0"  # another hash, where a picture has this one or is called so
        self._used.add(_on_any_disk(name))
        return name


def _on_any_disk(name: str) -> str:
    """Return the form of a name that is equal for names that are one on some disk, as with capitals."""
    return unicodedata.normalize("NFC", name).casefold()


@dataclass
class _Unwritten:
    """The next shard of a folder."""

    number: int = 0
    pictures: list[Path] = field(default_factory=list)
    rows: list[SetPicture] = field(default_factory=list)
    pixels: int = 0


class PictureShards:
    """Shards with pictures and labels, those of each folder in the order in which they come.

    What is in which shard follows from the pictures' number and sizes alone. Shards are written last, by whatever
    workers there are, see :func:`detector.data.parallel.spread_map`; until then all but the pictures is in memory.

    Args:
        root: of the set.
        owned: the list of its files.
    """

    def __init__(self, root: Path, owned: OwnedFiles) -> None:
        self._root, self._owned = root, owned
        self._unwritten: dict[str, _Unwritten] = {}
        self._jobs: list[ShardJob] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        pass

    def add(self, picture: LabelledPicture) -> str:
        """Plan where the picture goes."""
        item, (width, height) = picture.item, picture.size_wh
        shard = self._unwritten.setdefault(picture.folder, _Unwritten())
        file = _shard_of(picture.folder, shard.number)
        image = row_path(Path(file), len(shard.rows), item.name).as_posix()
        boxes = yolo_dataset.rounded_shares(picture.boxes_xyxy, width, height)
        confidences = [float(value) for value in picture.box_confidences]
        shard.pictures.append(item.path)
        shard.rows.append(SetPicture(
            item.name, item.text, width, height, picture.split, picture.status, float(picture.confidence),
            picture.read, [*picture.class_ids], boxes, confidences, [*picture.stages],
        ))  # fmt: skip
        shard.pixels += width * height  # compressed pictures have about a byte for each, or less
        if len(shard.rows) == MAX_ROWS or shard.pixels >= MAX_SHARD_BYTES:
            self._plan(picture.folder)
        return image

    def _plan(self, folder: str) -> None:
        shard = self._unwritten[folder]
        self._jobs.append(ShardJob(self._root / _shard_of(folder, shard.number), shard.pictures, table_of(shard.rows)))
        self._unwritten[folder] = _Unwritten(shard.number + 1)

    def finish(self, progress: Progress) -> Mapping[str, Row]:
        """Write all shards, and count their rows.

        Raises:
            ImageError: if a picture cannot be read any more.
            DatasetError: if a shard has another number of rows than it was given.
        """
        for folder in [folder for folder, shard in self._unwritten.items() if shard.rows]:
            self._plan(folder)
        paths = [job.path.relative_to(self._root).as_posix() for job in self._jobs]
        self._owned.add(*paths)  # before they are there
        hashed: dict[str, Row] = {}
        progress("write shards", 0, len(paths))
        for path, job, shard in zip(paths, self._jobs, spread_map(write_set_shard, self._jobs), strict=True):
            if shard.rows != len(job.pictures):
                raise DatasetError(
                    f"{job.path} has {counted(shard.rows, 'row')}, and should have {len(job.pictures)}: convert again."
                )
            hashed[path] = Row(path, str(shard.size), shard.sha256)
            progress("write shards", len(hashed), len(paths))
        _delete_parts({job.path.parent for job in self._jobs})
        return hashed

    def describe(self, final_root: Path, config: ReadingConfig, images: dict[str, list[str]]) -> None:
        """Write ``data.yaml``."""
        yolo_dataset.write_data_yaml(self._root, config, [split for split in SPLITS if images[split]])


def _shard_of(folder: str, number: int) -> str:
    return f"images/{folder}/{shard_name(number)}"


def _delete_parts(folders: Iterable[Path]) -> None:
    """Delete what killed workers left, whose shards others have written."""
    for part in [part for folder in folders for part in folder.glob("*.part")]:
        part.unlink(missing_ok=True)
