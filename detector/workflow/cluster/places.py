"""Files and folders on local disks, s3, gs and hdfs, as pyarrow opens them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs

from detector.data.atomic import atomic_write, part_name, written_as
from detector.data.folders.image_files import in_natural_order
from detector.data.packs.shards import SUFFIX, is_shard_name
from detector.errors import ArgumentError, SourceError

_ATOMIC_SYSTEMS = ("s3", "gcs", "abfs")  # file systems where a file appears only when it is closed


@dataclass(frozen=True)
class Place:
    """A file or a folder, which need not exist, on any file system; it can be pickled.

    Args:
        filesystem: a ``pyarrow.fs.FileSystem``.
        path: absolute path on it.
    """

    filesystem: Any
    path: str

    @classmethod
    def of(cls, address: str | os.PathLike[str]) -> Place:
        """Return the place of a local path, or of an address such as ``s3://bucket/shards``.

        Raises:
            SourceError: if pyarrow cannot open the file system of the address.
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
        """Return pyarrow's ``FileInfo`` of it: type and size."""
        return self.filesystem.get_file_info(self.path)

    def write(self, content: Any) -> None:
        """Atomically write the file, also if several processes write it at once.

        Args:
            content: bytes, or a ``pyarrow.Buffer``.

        Raises:
            DiskFullError: if a local disk is full.
        """
        if self.is_local:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with atomic_write(Path(self.path)) as part, part.open("wb") as file:
                file.write(content)
            return
        is_atomic, path = self.filesystem.type_name in _ATOMIC_SYSTEMS, PurePosixPath(self.path)
        temporary_path = self.path if is_atomic else str(path.with_name(part_name(path.name)))
        if not is_atomic:
            self.filesystem.create_dir(str(path.parent), recursive=True)
        with self.filesystem.open_output_stream(temporary_path) as stream:
            stream.write(content)
        if not is_atomic:
            self.filesystem.move(temporary_path, self.path)

    def delete_parts(self, names: Collection[str]) -> None:
        """Delete the temporary files in this folder that a killed :meth:`write` of one of these names left."""
        for info in self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True)):
            name = written_as(info.base_name)
            if name in names and info.base_name != name:
                self.filesystem.delete_file(info.path)


@dataclass(frozen=True)
class Shard:
    """A Parquet file of pictures.

    Args:
        name: of the file, without its folder.
        place: of the file.
        size: in bytes.
    """

    name: str
    place: Place
    size: int


def shards_of(sources: Sequence[str | os.PathLike[str]]) -> list[Shard]:
    """List the shards in folders and files on any file system, as :func:`detector.data.packs.shards.shard_files` does.

    Args:
        sources: folders of shards, or shards: paths or addresses, see :meth:`Place.of`.

    Raises:
        SourceError: if a source does not exist, or a folder has no shard.
        ArgumentError: if two shards have the same name.
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
