"""The pictures of a split, decoded and letterboxed once: a uint8 array on disk that training maps into memory.

SET/packed/HEIGHTxWIDTH/
  SPLIT-KEY.npy     uint8 (N, H, W, 3), BGR, letterboxed; KEY is the hash of the source files
  SPLIT.npz         a row for each picture (name, size and time of its files, hash of its bytes, checksum of its
                    pixels, letterbox transform), and the boxes
  SPLIT.lock        held while a process checks or builds

Plain numpy: all pictures have one shape and are sampled at random, so a picture is one slice of the mapped file without
a decoder, chunk or record. Arrow would hold the same bytes with one more dependency; Zarr reads and unpacks a chunk for
each picture. 105,000 pictures of 256x64 are 5.2 GB.

A picture is identified by the hash of its file. A file with the recorded size and time counts as unchanged; a touched
one is hashed again, and decoded only if no row has that hash. Changed labels are read again without decoding the
picture. Pixels are written first, then the table that names them, both atomically: a kill leaves the old store or the
new one. Opening verifies the checksum of each picture that is taken. The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from detector.data.atomic import atomic_write, part_beside
from detector.data.folders.owned import OwnedFiles
from detector.data.images import read_file, read_image
from detector.data.letterbox import LetterboxTransform, letterbox
from detector.data.packs.shard_rows import shard_of
from detector.data.parallel import cores, thread_map
from detector.data.sets.yolo_dataset import CharacterSet, parse_labels, split_images
from detector.errors import DatasetError, ImageError

log = logging.getLogger("detector")

FOLDER = "packed"
"""Folder of the stores within a set."""

_FORMAT = 1  # increment when read_image or letterbox give other pixels, or the table has other columns
_CHUNK = 512  # pictures in memory while a store is written
_NEVER = (-1, -1)  # stamp of a missing file
_COLUMNS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {  # of the table: type, and shape of a picture's row
    "stamps": (np.int64, (2,)), "digests": (np.uint8, (16,)), "checksums": (np.uint32, ()),
    "scales": (np.float64, (2,)), "places": (np.int64, (4,)), "label_stamps": (np.int64, (2,)),
    "counts": (np.int64, ()),
}  # fmt: skip

Stamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds of a file; of a picture in a shard, of the shard."""


@dataclass
class Row:
    """One picture of a store; ``place`` is its index in the existing store, None if it is new."""

    name: str
    stamp: Stamp
    place: int | None = None
    digest: bytes = b""
    checksum: int = 0
    transform: LetterboxTransform | None = None
    label_stamp: Stamp = _NEVER
    ids: NDArray[np.int64] | None = None
    boxes_xyxy: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Share:
    """What one of several processes takes of a split: always the same pictures, so that a machine reads and keeps in
    memory no others, drawn, so that a share looks as the whole does.

    Attributes:
        rank: of the process.
        count: of processes.
    """

    rank: int = 0
    count: int = 1

    def rows(self, pictures: int) -> NDArray[np.int64]:
        """Rows of so many, in order; shares are disjoint, and all rows together."""
        drawn: NDArray[np.int64] = np.random.default_rng(pictures).permutation(pictures)[self.rank :: self.count]
        return np.sort(drawn)


@dataclass(frozen=True)
class Packed:
    """A packed split.

    Attributes:
        images: uint8 (N, H, W, 3), BGR, read-only.
        names: of each picture, its path below ``images/SPLIT``; sorted, or in the order of the shards.
        boxes_xyxy: of each picture, float32 (m, 4), in pixels of the letterboxed picture.
        ids: of each picture, int64 (m,).
        digests: of each picture, the hash of its file.
    """

    images: NDArray[np.uint8]
    names: list[str]
    boxes_xyxy: list[NDArray[np.float32]]
    ids: list[NDArray[np.int64]]
    digests: list[bytes]

    def fingerprint(self) -> str:
        """Hash of all that is learnt from: names, pictures, boxes, classes."""
        hashed = hashlib.blake2b(json.dumps(self.names).encode(), digest_size=8)
        for part in (self.digests, self.boxes_xyxy, self.ids):
            for value in part:
                hashed.update(value if isinstance(value, bytes) else value.tobytes())
        return hashed.hexdigest()


def open_packed(characters: CharacterSet, split: str, shape_hw: tuple[int, int], share: Share | None = None) -> Packed:
    """Open the store of a split, building or updating it if necessary; other processes wait meanwhile.

    Args:
        characters: the set.
        split: "train", "val" or "test".
        shape_hw: height and width of the network's input.
        share: the pictures that are taken, whose checksums are verified; None takes all.

    Raises:
        DatasetError: if the split is empty, a picture or label file is missing or damaged, or the disk is full.
    """
    files = list(split_images(characters.root, split))
    if not files:
        raise DatasetError(f"{characters.root}: no pictures in images/{split}: convert again.")
    folder = characters.root / FOLDER / f"{shape_hw[0]}x{shape_hw[1]}"
    names = [image.relative_to(characters.root / "images" / split).as_posix() for image, _ in files]
    store = _Store(folder, split, shape_hw, len(characters.config.symbols), names, files, share or Share())
    lock = FileLock(folder / f"{split}.lock")
    try:
        store.owned.add(*(f"{folder.name}/{split}.{kind}" for kind in ("lock", "npy", "npz")))
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # the latter on file systems without locks
        log.info("%s cannot be written to (%s): pictures that are not packed there are kept in memory", folder, error)
        return store.open(writable=False)
    try:
        return store.open(writable=True)
    except OSError as error:
        need = np.prod([len(files), *shape_hw, 3]) / 1e6
        raise DatasetError(f"{folder} cannot be written ({error}): {need:.0f} MB are needed there.") from error
    finally:
        lock.release()


class _Store:
    def __init__(
        self, folder: Path, split: str, shape_hw: tuple[int, int], classes: int, names: list[str],
        files: list[tuple[Path, Path]], share: Share,
    ) -> None:  # fmt: skip
        self.folder, self.split, self.shape_hw, self.classes = folder, split, shape_hw, classes
        self.names, self.files, self.share = names, files, share
        self.table = folder / f"{split}.npz"
        self.owned = OwnedFiles(folder.parent)

    def open(self, writable: bool) -> Packed:
        """Open the store if it matches the files, otherwise build a new one: on disk, or in memory."""
        pixels, images, earlier_rows = self._read()
        rows = self._match(earlier_rows)
        unchanged = [row.place for row in rows] == list(range(len(earlier_rows))) and images is not None
        if not unchanged and writable:
            pixels = self._write_pixels(rows, images)
            images = _mapped(self.folder / pixels)
            self._write_table(rows, pixels)  # before labels are read: a wrong one costs no second decoding
        elif not unchanged:
            images = np.concatenate(list(self._chunks(rows, images)))
        new_labels = self._read_labels(rows)
        touched = any(row.stamp != before.stamp for row, before in zip(rows, earlier_rows, strict=False))
        if writable and (new_labels or touched or not unchanged):
            self._write_table(rows, pixels)
        assert images is not None
        return Packed(
            images,
            [row.name for row in rows],
            [row.boxes_xyxy for row in rows if row.boxes_xyxy is not None],
            [row.ids for row in rows if row.ids is not None],
            [row.digest for row in rows],
        )

    def _read(self) -> tuple[str, NDArray[np.uint8] | None, list[Row]]:
        """Read the existing store: name of the pixel file, pixels, and rows; damaged rows have no digest."""
        try:
            with self.table.open("rb") as file, np.load(file) as table:
                if table["format"] != _FORMAT:
                    return "", None, []
                pixels, names = json.loads(table["names"].tobytes())
                columns = {name: table[name] for name in table.files}
            images = _mapped(self.folder / pixels)
            if images.shape != (len(names), *self.shape_hw, 3) or images.dtype != np.uint8:
                raise ValueError(f"{pixels} holds {images.dtype} {images.shape}")
            rows = self._rows(names, columns)
        except FileNotFoundError:
            return "", None, []
        except (
            OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile, zlib.error
        ) as error:  # fmt: skip
            log.warning("%s is damaged (%s): the pictures are packed again", self.table, error)
            return "", None, []
        share_rows = self.share.rows(len(rows)).tolist()
        checksums = thread_map(lambda i: zlib.crc32(images[i]), share_rows)
        damaged = [rows[i] for i, checksum in zip(share_rows, checksums, strict=True) if rows[i].checksum != checksum]
        if damaged:
            log.warning("%s: %d of %d pictures are damaged, and packed again", self.table, len(damaged), len(rows))
        for row in damaged:
            row.digest, row.stamp = b"", _NEVER
        return pixels, images, rows

    def _rows(self, names: list[str], columns: dict[str, NDArray]) -> list[Row]:  # type: ignore[type-arg]
        _check_columns(names, columns)
        ends = np.cumsum(columns["counts"])[:-1]
        ids, boxes = np.split(columns["ids"], ends), np.split(columns["boxes_xyxy"], ends)
        are_labels_current = int(columns["classes"]) == self.classes  # otherwise the labels are read again
        stamps, label_stamps = columns["stamps"].tolist(), columns["label_stamps"].tolist()
        transforms = zip(columns["scales"].tolist(), columns["places"].tolist(), strict=True)
        digests, sums = columns["digests"], columns["checksums"].tolist()
        return [
            Row(
                name, tuple(stamps[i]), i, digests[i].tobytes(), sums[i], LetterboxTransform(*scales, *places),
                tuple(label_stamps[i]) if are_labels_current else _NEVER, ids[i], boxes[i],
            )
            for i, (name, (scales, places)) in enumerate(zip(names, transforms, strict=True))
        ]  # fmt: skip

    def _match(self, earlier_rows: list[Row]) -> list[Row]:
        """Make a row for each present picture, with everything known of it."""
        by_name = {row.name: row for row in earlier_rows}
        by_digest = {row.digest: row for row in earlier_rows if row.digest}
        rows = []
        for name, (image, label) in zip(self.names, self.files, strict=True):
            row, before = Row(name, _stamp(image)), by_name.get(name)
            if before is None or before.stamp != row.stamp:
                before = by_digest.get(_hash(_bytes(image))) if by_digest else None
            if before is not None:
                row.place, row.digest, row.checksum = before.place, before.digest, before.checksum
                row.transform = before.transform
                if before.name == row.name and before.label_stamp == _stamp(label) != _NEVER:
                    row.label_stamp, row.ids, row.boxes_xyxy = before.label_stamp, before.ids, before.boxes_xyxy
            rows.append(row)
        return rows

    def _chunks(self, rows: list[Row], images: NDArray[np.uint8] | None) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of all rows in chunks, (n, H, W, 3); completes rows that are decoded."""

        def fill(task: tuple[Row, Path, NDArray[np.uint8]]) -> None:
            row, path, pixels = task
            if row.place is not None and images is not None:
                pixels[:] = images[row.place]
                return
            data = _bytes(path)
            try:
                pixels[:], row.transform = letterbox(read_image(data), self.shape_hw)
            except ImageError as error:
                raise _unreadable(path, error) from error
            row.digest, row.checksum = _hash(data), zlib.crc32(pixels.data)

        paths = [image for image, _ in self.files]
        # OpenCV, hashing and file access release the GIL: processes would cost more than they gain.
        with ThreadPoolExecutor(cores()) as pool:
            for start in range(0, len(rows), _CHUNK):
                chunk_rows = rows[start : start + _CHUNK]
                chunk = np.empty((len(chunk_rows), *self.shape_hw, 3), np.uint8)
                list(pool.map(fill, zip(chunk_rows, paths[start : start + _CHUNK], chunk, strict=True)))
                yield chunk

    def _write_pixels(self, rows: list[Row], images: NDArray[np.uint8] | None) -> str:
        """Write the file of pixels and return its name. Not through a mapping: a full disk would kill the process."""
        decoded_count = sum(row.place is None for row in rows)
        log.info("packing %d pictures into %s (%d decoded)", len(rows), self.folder, decoded_count)
        with part_beside(self.folder / f"{self.split}.npy") as part:
            with part.open("wb") as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *self.shape_hw, 3)}
                np.lib.format.write_array_header_1_0(file, header)
                for chunk in self._chunks(rows, images):
                    file.write(chunk.data)
            key = hashlib.blake2b(b"".join(row.digest for row in rows), digest_size=8).hexdigest()
            self.owned.add(f"{self.folder.name}/{self.split}-{key}.npy")
            part.replace(self.folder / f"{self.split}-{key}.npy")
        return f"{self.split}-{key}.npy"

    def _read_labels(self, rows: list[Row]) -> bool:
        """Read the boxes of rows that have none; return whether there were any."""
        has_unread = False
        for row, (_, label) in zip(rows, self.files, strict=True):
            if row.label_stamp == _NEVER:
                has_unread = True
                stamp = _stamp(label)
                assert row.transform is not None
                row.ids, boxes = parse_labels(label, row.transform.width, row.transform.height, self.classes)
                if len(boxes) and (boxes[:, 2:] - boxes[:, :2]).min() <= 0:
                    raise DatasetError(f"{label} has a box without area: correct its line, or take it out.")
                row.boxes_xyxy, row.label_stamp = row.transform.to_letterboxed(boxes), stamp
        return has_unread

    def _write_table(self, rows: list[Row], pixels: str) -> None:
        transforms = [row.transform for row in rows if row.transform is not None]
        ids = [row.ids if row.ids is not None else np.empty(0, np.int64) for row in rows]
        boxes = [row.boxes_xyxy if row.boxes_xyxy is not None else np.empty((0, 4), np.float32) for row in rows]
        with atomic_write(self.table) as part, part.open("wb") as file:
            np.savez(
                file,
                format=_FORMAT,
                classes=self.classes,
                names=np.frombuffer(json.dumps([pixels, [row.name for row in rows]]).encode(), np.uint8),
                stamps=np.array([row.stamp for row in rows], np.int64),
                digests=np.frombuffer(b"".join(row.digest for row in rows), np.uint8).reshape(len(rows), -1),
                checksums=np.array([row.checksum for row in rows], np.uint32),
                scales=np.array([(t.scale_x, t.scale_y) for t in transforms], np.float64),
                places=np.array([(t.left, t.top, t.width, t.height) for t in transforms], np.int64),
                label_stamps=np.array([row.label_stamp for row in rows], np.int64),
                counts=np.array([len(i) for i in ids], np.int64),
                ids=np.concatenate(ids),
                boxes_xyxy=np.concatenate(boxes),
            )
        owned_paths = [path for path in self.owned.rows if path.startswith(f"{self.folder.name}/{self.split}-")]
        for earlier in owned_paths:
            if not earlier.endswith(f"/{pixels}"):
                with contextlib.suppress(OSError):  # it is gone; Windows does not delete mapped files
                    (self.folder.parent / earlier).unlink()


def _check_columns(names: list[str], columns: dict[str, NDArray]) -> None:  # type: ignore[type-arg]
    """Raise ValueError for columns of other types or lengths than a row a picture makes, and for unknown classes."""
    counts, ids, classes = columns["counts"], columns["ids"], int(columns["classes"])
    expected = {name: (kind, (len(names), *shape)) for name, (kind, shape) in _COLUMNS.items()}
    expected |= {"ids": (np.int64, (len(ids),)), "boxes_xyxy": (np.float32, (len(ids), 4))}
    for name, (kind, shape) in expected.items():
        if columns[name].dtype != kind or columns[name].shape != shape:
            raise ValueError(f"{name} are {columns[name].dtype} {columns[name].shape}")
    if not all(0 <= count <= len(ids) for count in counts.tolist()) or counts.sum() != len(ids):
        raise ValueError(f"{len(ids)} characters, and pictures with {counts.sum()}")
    if len(ids) and not 0 <= ids.min() <= ids.max() < classes:
        raise ValueError(f"classes from {ids.min()} to {ids.max()}, of {classes}")
    if not all(isinstance(name, str) for name in names):
        raise ValueError("names that are none")


def _mapped(path: Path) -> NDArray[np.uint8]:
    return np.asarray(np.load(path, mmap_mode="r"))  # a plain array over the mapping: slicing np.memmap is slow


def _stamp(path: Path) -> Stamp:
    try:
        status = (shard_of(path) or path).stat()
    except FileNotFoundError:
        return _NEVER
    except OSError as error:  # a link to itself, a folder that is closed
        raise _unreadable(path, error) from error
    return status.st_size, status.st_mtime_ns


def _bytes(path: Path) -> bytes:
    try:
        return read_file(path)
    except ImageError as error:
        raise _unreadable(path, error) from error


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _unreadable(path: Path, error: Exception) -> DatasetError:
    reason = getattr(error, "strerror", None) or error
    return DatasetError(f"{path}: {reason}; the set was changed since it was converted: convert again.")
