"""Files and folders on local disks, s3, gs and hdfs, as pyarrow opens them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs

from detector.data.atomic import atomic_write, delete_strays, part_name, written_as
from detector.data.folders.image_files import in_natural_order
from detector.data.packs.shards import is_shard_name, no_shards, shard_files
from detector.data.text_files import is_utf8
from detector.errors import ArgumentError, DatasetError, SourceError

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
            SourceError: if pyarrow cannot open the file system of the address, or the name is not UTF-8.
        """
        text = os.fspath(address)
        _check_name(text)
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
        """Return pyarrow's ``FileInfo`` of it: type, size and time."""
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

    def check_writable(self) -> None:
        """Check that files can be written to this folder, which need not exist, as far as can be told before.

        Raises:
            DatasetError: if a local one cannot be written to.
        """
        if not self.is_local:
            return
        folder = Path(self.path)
        while not os.path.lexists(folder):
            folder = folder.parent
        if not folder.is_dir():
            raise DatasetError(f"{self.path}: {folder} is no folder, choose another one to write to.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise DatasetError(f"{self.path}: {folder} cannot be written to, choose another folder.")

    def delete_parts(self, names: Collection[str]) -> None:
        """Delete the temporary files in this folder that a killed :meth:`write` of one of these names left."""
        if self.is_local:  # what another process is writing at the moment stays
            delete_strays(Path(self.path))
            return
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
        mtime_ns: when it was written last, in nanoseconds since 1970; None where its file system does not tell.
    """

    name: str
    place: Place
    size: int
    mtime_ns: int | None


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
            shards += _local_shards(place) if place.is_local else _remote_shards(place, name)
        except FileNotFoundError:
            raise SourceError(f"There is no {name}: give a folder of shards, as `detector pack` writes it.") from None
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{name} cannot be listed: {error}") from error
    by_name: dict[str, Shard] = {}
    for shard in shards:
        if (earlier := by_name.setdefault(shard.name, shard)) is not shard:
            paths = f"{earlier.place.path} and {shard.place.path}"
            raise ArgumentError(f"{paths} have the same name, and so would their readings: give them in two calls.")
    return shards


def _local_shards(place: Place) -> list[Shard]:
    """List the shards at a place on this machine, whatever else lies there.

    Raises:
        OSError: if it does not exist, or cannot be read.
        SourceError: if there are no shards, or the name of one is not UTF-8.
    """
    if os.path.isdir(place.path):
        os.scandir(place.path).close()
    else:
        os.stat(place.path)
    shards = []
    for file in shard_files(place.path):
        _check_name(str(file))
        try:
            status = os.stat(file)
            size, mtime_ns = status.st_size, status.st_mtime_ns
        except OSError:  # who reads it will say so, after all others
            size, mtime_ns = 0, None
        shards.append(Shard(file.name, Place(place.filesystem, str(file)), size, mtime_ns))
    return shards


def _remote_shards(place: Place, called: str) -> list[Shard]:
    """List the shards at a place, ``called`` so in errors, that is not on this machine."""
    info = place.info()
    if info.is_file:
        infos = {info.base_name: info}
    else:
        folder = place.filesystem.get_file_info(fs.FileSelector(place.path))
        infos = {entry.base_name: entry for entry in folder if entry.is_file and is_shard_name(entry.base_name)}
    if not infos:
        raise no_shards(called)
    return [
        Shard(name, Place(place.filesystem, infos[name].path), infos[name].size, infos[name].mtime_ns)
        for name in in_natural_order(infos)
    ]


def _check_name(path: str) -> None:
    """Refuse the name of a file that pyarrow cannot take.

    Raises:
        SourceError: if it is not UTF-8.
    """
    if not is_utf8(path):
        raise SourceError(f"{path}: the name is not UTF-8, and pyarrow takes no other: rename it.")
