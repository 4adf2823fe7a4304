"""The pictures of a split, decoded and fitted once: a uint8 array on disk that training maps into memory.

SET/packed/HEIGHTxWIDTH/
  SPLIT-KEY.npy     uint8 (N, H, W, 3), BGR, fitted; KEY is the hash of the files that it was made from
  SPLIT.npz         a row a picture (name, size and time of its files, hash of its bytes, checksum of its pixels, how
                    it was fitted), and the boxes
  SPLIT.lock        held while a process looks or builds

Plain numpy, since all pictures have one shape and are drawn at random: a picture is one slice of the mapped file, with
no decoder, chunk or record in between. Arrow would hold the same bytes with one more dependency; Zarr reads and
unpacks a chunk for each picture. 105,000 pictures of 256x64 are 5.2 GB.

A picture is known by the hash of its file. A file of the size and time that are noted counts as unchanged; one that
was touched is hashed again, and decoded only where no row has that hash. Labels that changed are read again without a
look at the picture. Pixels are written first, then the table that names them, each as NAME.part and renamed: a kill
leaves the old store or the new one. Opening compares every checksum. The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from detector.data.atomic import atomic_write
from detector.data.images import read_image
from detector.data.letterbox import LetterboxTransform, letterbox
from detector.data.parallel import cores
from detector.data.yolo_dataset import CharacterSet, parse_labels, split_images
from detector.errors import DatasetError, ImageError

log = logging.getLogger("detector")

FOLDER = "packed"
"""Where the stores of a set lie in it."""

_FORMAT = 1  # raise it when read_image or fit give other pixels, or the table has other columns
_CHUNK = 512  # pictures in memory at once while a store is written
_NEVER = (-1, -1)  # size and time of no file

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds of a file."""


@dataclass
class Row:
    """One picture of a store; ``place`` is where its pixels lie in the store that there was, None if in none."""

    name: str
    stamp: Stamp
    place: int | None = None
    digest: bytes = b""
    checksum: int = 0
    fit: LetterboxTransform | None = None
    label_stamp: Stamp = _NEVER
    ids: NDArray[np.int64] | None = None
    boxes_xyxy: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Packed:
    """A split, fitted.

    Attributes:
        images: uint8 (N, H, W, 3), BGR, not to be written to.
        names: of each picture, its file's name in ``images/SPLIT``; in their order.
        boxes_xyxy: of each picture, float32 (m, 4), in pixels of the fitted picture.
        ids: of each picture, int64 (m,).
    """

    images: NDArray[np.uint8]
    names: list[str]
    boxes_xyxy: list[NDArray[np.float32]]
    ids: list[NDArray[np.int64]]


def open_packed(characters: CharacterSet, split: str, shape_hw: tuple[int, int]) -> Packed:
    """The split's store, built or brought up to date where it has to be; processes that ask at once wait for the first.

    Args:
        characters: the set.
        split: "train", "val" or "test".
        shape_hw: height and width of the network's input.

    Raises:
        DatasetError: if the split is empty, a picture or label file is missing or damaged, or the disk is full.
    """
    files = list(split_images(characters.root, split))
    if not files:
        raise DatasetError(f"{characters.root}: no pictures in images/{split}: convert again.")
    folder = characters.root / FOLDER / f"{shape_hw[0]}x{shape_hw[1]}"
    store = _Store(folder, split, shape_hw, len(characters.config.symbols), files)
    lock = FileLock(folder / f"{split}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # the latter where a file system has no locks
        log.info("%s cannot be written to (%s): what is not packed there is kept in memory", folder, error)
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
        self, folder: Path, split: str, shape_hw: tuple[int, int], classes: int, files: list[tuple[Path, Path]]
    ) -> None:
        self.folder, self.split, self.shape_hw, self.classes, self.files = folder, split, shape_hw, classes, files
        self.table = folder / f"{split}.npz"

    def open(self, writable: bool) -> Packed:
        """The store if it is what the files say, a new one otherwise: on disk, or in memory."""
        pixels, images, old = self._read()
        rows = self._look(old)
        unchanged = [row.place for row in rows] == list(range(len(old))) and images is not None
        if not unchanged and writable:
            pixels = self._write_pixels(rows, images)
            images = _mapped(self.folder / pixels)
            self._write_table(rows, pixels)  # before labels are read: one that is wrong costs no second decoding
        elif not unchanged:
            images = np.concatenate(list(self._chunks(rows, images)))
        read = self._read_labels(rows)
        touched = any(row.stamp != before.stamp for row, before in zip(rows, old, strict=False))
        if writable and (read or touched or not unchanged):
            self._write_table(rows, pixels)
        assert images is not None
        return Packed(
            images,
            [row.name for row in rows],
            [row.boxes_xyxy for row in rows if row.boxes_xyxy is not None],
            [row.ids for row in rows if row.ids is not None],
        )

    def _read(self) -> tuple[str, NDArray[np.uint8] | None, list[Row]]:
        """What there is: the name of the pixels' file, the pixels, and a row each; damaged ones have no digest."""
        try:
            with self.table.open("rb") as file, np.load(file) as held:
                if held["format"] != _FORMAT:
                    return "", None, []
                pixels, names = json.loads(held["names"].tobytes())
                columns = {name: held[name] for name in held.files}
            images = _mapped(self.folder / pixels)
            if images.shape != (len(names), *self.shape_hw, 3) or images.dtype != np.uint8:
                raise ValueError(f"{pixels} holds {images.dtype} {images.shape}")
            rows = self._rows(names, columns)
        except FileNotFoundError:
            return "", None, []
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            log.warning("%s is damaged (%s): the pictures are packed again", self.table, error)
            return "", None, []
        starts = range(0, len(rows), _CHUNK)
        with ThreadPoolExecutor(cores()) as pool:  # threads take no notice of chunksize, and a task has its price
            parts = pool.map(lambda start: [zlib.crc32(one) for one in images[start : start + _CHUNK]], starts)
            sums = [one for part in parts for one in part]
        damaged = [row for row, found in zip(rows, sums, strict=True) if row.checksum != found]
        if damaged:
            log.warning("%s: %d of %d pictures are damaged, and packed again", self.table, len(damaged), len(rows))
        for row in damaged:
            row.digest, row.stamp = b"", _NEVER
        return pixels, images, rows

    def _rows(self, names: list[str], columns: dict[str, NDArray]) -> list[Row]:  # type: ignore[type-arg]
        ends = np.cumsum(columns["counts"])[:-1]
        ids, boxes = np.split(columns["ids"], ends), np.split(columns["boxes_xyxy"], ends)
        known = int(columns["classes"]) == self.classes  # otherwise the labels are to be looked at again
        stamps, label_stamps = columns["stamps"].tolist(), columns["label_stamps"].tolist()
        fits = zip(columns["scales"].tolist(), columns["places"].tolist(), strict=True)
        digests, sums = columns["digests"], columns["checksums"].tolist()
        return [
            Row(
                name, tuple(stamps[i]), i, digests[i].tobytes(), sums[i], LetterboxTransform(*scales, *places),
                tuple(label_stamps[i]) if known else _NEVER, ids[i], boxes[i],
            )
            for i, (name, (scales, places)) in enumerate(zip(names, fits, strict=True))
        ]  # fmt: skip

    def _look(self, old: list[Row]) -> list[Row]:
        """A row for each picture that is there now, with all that is known of it."""
        by_name = {row.name: row for row in old}
        by_digest = {row.digest: row for row in old if row.digest}
        rows = []
        for image, label in self.files:
            row, before = Row(image.name, _stamp(image)), by_name.get(image.name)
            if before is None or before.stamp != row.stamp:
                before = by_digest.get(_hash(_bytes(image))) if by_digest else None
            if before is not None:
                row.place, row.digest, row.checksum, row.fit = before.place, before.digest, before.checksum, before.fit
                if before.name == row.name and before.label_stamp == _stamp(label) != _NEVER:
                    row.label_stamp, row.ids, row.boxes_xyxy = before.label_stamp, before.ids, before.boxes_xyxy
            rows.append(row)
        return rows

    def _chunks(self, rows: list[Row], images: NDArray[np.uint8] | None) -> Iterator[NDArray[np.uint8]]:
        """The pixels of all rows, some at a time, (n, H, W, 3); fills in what decoding tells of a picture."""

        def fill(task: tuple[Row, Path, NDArray[np.uint8]]) -> None:
            row, path, pixels = task
            if row.place is not None and images is not None:
                pixels[:] = images[row.place]
                return
            data = _bytes(path)
            try:
                fitted, row.fit = letterbox(read_image(data), self.shape_hw)
            except ImageError as error:
                raise _unreadable(path, error) from error
            pixels[:] = fitted
            row.digest, row.checksum = _hash(data), zlib.crc32(pixels.data)

        paths = [image for image, _ in self.files]
        # OpenCV, hashing and files let other threads run: processes would cost more to start than they give.
        with ThreadPoolExecutor(cores()) as pool:
            for start in range(0, len(rows), _CHUNK):
                some = rows[start : start + _CHUNK]
                chunk = np.empty((len(some), *self.shape_hw, 3), np.uint8)
                list(pool.map(fill, zip(some, paths[start : start + _CHUNK], chunk, strict=True)))
                yield chunk

    def _write_pixels(self, rows: list[Row], images: NDArray[np.uint8] | None) -> str:
        """Write the file of pixels; its name. Not through a mapping: a full disk would kill the process."""
        part = self.folder / f"{self.split}.npy.part"
        new = sum(row.place is None for row in rows)
        log.info("packing %d pictures into %s (%d decoded)", len(rows), self.folder, new)
        with part.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *self.shape_hw, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in self._chunks(rows, images):
                file.write(chunk.data)
        key = hashlib.blake2b(b"".join(row.digest for row in rows), digest_size=8).hexdigest()
        part.replace(self.folder / f"{self.split}-{key}.npy")
        return f"{self.split}-{key}.npy"

    def _read_labels(self, rows: list[Row]) -> bool:
        """Boxes of the rows that have none; whether there were such."""
        new = False
        for row, (_, label) in zip(rows, self.files, strict=True):
            if row.label_stamp == _NEVER:
                new = True
                stamp = _stamp(label)
                assert row.fit is not None
                row.ids, boxes = parse_labels(label, row.fit.width, row.fit.height, self.classes)
                if len(boxes) and (boxes[:, 2:] - boxes[:, :2]).min() <= 0:
                    raise DatasetError(f"{label} has a box without area: correct its line, or take it out.")
                row.boxes_xyxy, row.label_stamp = row.fit.to_letterboxed(boxes), stamp
        return new

    def _write_table(self, rows: list[Row], pixels: str) -> None:
        fits = [row.fit for row in rows if row.fit is not None]
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
                scales=np.array([(f.scale_x, f.scale_y) for f in fits], np.float64),
                places=np.array([(f.left, f.top, f.width, f.height) for f in fits], np.int64),
                label_stamps=np.array([row.label_stamp for row in rows], np.int64),
                counts=np.array([len(i) for i in ids], np.int64),
                ids=np.concatenate(ids),
                boxes_xyxy=np.concatenate(boxes),
            )
        for stray in (*self.folder.glob(f"{self.split}-*.npy"), *self.folder.glob(f"{self.split}.*.part")):
            if stray.name != pixels:
                with contextlib.suppress(OSError):  # Windows keeps what is mapped
                    stray.unlink()


def _mapped(path: Path) -> NDArray[np.uint8]:
    return np.asarray(np.load(path, mmap_mode="r"))  # a plain array over the mapping: slicing np.memmap is slow


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except FileNotFoundError:
        return _NEVER
    return found.st_size, found.st_mtime_ns


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _unreadable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path}: {error}; the set was changed since it was converted: convert again.")


__all__: Sequence[str] = ("FOLDER", "Packed", "open_packed")
