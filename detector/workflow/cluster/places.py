"""Files of local disks and of s3, gs and hdfs alike, as pyarrow opens them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs

from detector.data.atomic import atomic_write, part_name, written_as
from detector.data.images import in_natural_order
from detector.data.packs.shards import SUFFIX, is_shard_name
from detector.errors import ArgumentError, SourceError

_APPEAR_WHOLE = ("s3", "gcs", "abfs")  # file systems whose files are there once they are closed, and not before


@dataclass(frozen=True)
class Place:
    """A file or a folder on some file system; it can be pickled.

    Args:
        filesystem: pyarrow's.
        path: on that; absolute.
    """

    filesystem: Any
    path: str

    @classmethod
    def of(cls, address: str | os.PathLike[str]) -> Place:
        """The place of a local path, or of an address such as ``s3://bucket/shards``.

        Raises:
            SourceError: if the address is of no file system that pyarrow opens.
        """
        text = os.fspath(address)
        if "://" not in text:
            return cls(fs.LocalFileSystem(), os.path.abspath(text))
        try:
            filesystem, path = fs.FileSystem.from_uri(text)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SourceError(f"{text} cannot be opened ({error}): give a path, or s3://, gs:// or hdfs://.") from error
        return cls(filesystem, path)

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk, or a drive, of this machine."""
        return bool(self.filesystem.type_name == "local")

    def __truediv__(self, name: str) -> Place:
        return Place(self.filesystem, f"{self.path.rstrip('/')}/{name}")

    def info(self) -> Any:
        """pyarrow's ``FileInfo``: type and size."""
        return self.filesystem.get_file_info(self.path)

    def write(self, content: Any) -> None:
        """Write a file that appears whole or not at all, also where several processes write the same one.

        Args:
            content: bytes, or a buffer of pyarrow.

        Raises:
            DiskFullError: if a local disk is full.
        """
        if self.is_local:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with atomic_write(Path(self.path)) as part, part.open("wb") as file:
                file.write(content)
            return
        through, place = self.filesystem.type_name in _APPEAR_WHOLE, PurePosixPath(self.path)
        temporary_path = self.path if through else str(place.with_name(part_name(place.name)))
        if not through:
            self.filesystem.create_dir(str(place.parent), recursive=True)
        with self.filesystem.open_output_stream(temporary_path) as stream:
            stream.write(content)
        if not through:
            self.filesystem.move(temporary_path, self.path)

    def delete_parts(self, names: Collection[str]) -> None:
        """Delete what a :meth:`write` of these files below this folder left that was killed."""
        for info in self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True)):
            name = written_as(info.base_name)
            if name in names and info.base_name != name:
                self.filesystem.delete_file(info.path)


@dataclass(frozen=True)
class Shard:
    """A Parquet file of pictures.

    Args:
        name: of the file.
        place: where it is.
        size: bytes.
    """

    name: str
    place: Place
    size: int


def shards_of(sources: Sequence[str | os.PathLike[str]]) -> list[Shard]:
    """The shards of folders and files, as :func:`detector.data.packs.shards.shard_files` has them, on any file system.

    Raises:
        SourceError: if there is no such place, or a folder has no shard.
        ArgumentError: if two have the same name.
    """
    shards: list[Shard] = []
    for source in sources:
        place, name = Place.of(source), os.fspath(source)
        try:
            info = place.info()
            folder = () if info.is_file else place.filesystem.get_file_info(fs.FileSelector(place.path))
        except FileNotFoundError:
            raise SourceError(f"There is no {name}: give a folder of shards, as `detector pack` writes it.") from None
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{name} cannot be listed: {error}") from error
        infos = {entry.base_name: entry for entry in folder if entry.is_file and is_shard_name(entry.base_name)}
        if info.is_file:
            infos[PurePosixPath(place.path).name] = info
        if not infos:
            raise SourceError(f"There are no {SUFFIX} files in {name}: `detector pack` makes some.")
        for base_name in in_natural_order(infos):
            entry = infos[base_name]
            shards.append(Shard(base_name, Place(place.filesystem, entry.path), entry.size))
    by_name: dict[str, Shard] = {}
    for shard in shards:
        if (earlier := by_name.setdefault(shard.name, shard)) is not shard:
            paths = f"{earlier.place.path} and {shard.place.path}"
            raise ArgumentError(f"{paths} have the same name, and so would their readings: give them in two calls.")
    return shards
