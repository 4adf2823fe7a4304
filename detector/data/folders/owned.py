"""Which files of a folder this package wrote: nothing else is ever replaced or deleted with the folder.

FOLDER/files.csv has a row a file: its path below the folder, its size and its SHA-256. A row is appended before its
file is written, without size and hash; :meth:`OwnedFiles.seal` adds them when the folder is finished. A file without a
row, or with other bytes than its row says, is somebody else's. What a kill left of a file that was being written
(:func:`detector.data.atomic.atomic_write`) belongs to the row of that file. A folder inside that has a list of its own
is judged by that list, if the outer list names it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from detector.data.atomic import atomic_write, writing, written_as
from detector.data.folders.image_files import is_image_name
from detector.data.parallel import thread_map
from detector.data.text_files import Writer, read_rows

LIST = "files.csv"
"""Name of the list, in the folder that it is of."""

_SMALL = 1 << 16  # bytes


class Row(NamedTuple):
    """One file; size and SHA-256 are empty while it is being written, and where its content is not checked."""

    path: str
    size: str = ""
    sha256: str = ""


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        start = file.read(_SMALL)  # of a small file that is all: the standard library takes a large buffer for each
        if len(start) < _SMALL:
            return hashlib.sha256(start).hexdigest()
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_hash(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 of the content of files below a folder and of their paths there, in hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()}\0{file_hash(path)}".encode())
    return digest.hexdigest()


class OwnedFiles:
    """The list of a folder, which need not be there.

    Attributes:
        rows: of each path below the folder, with ``/``.
        exists: whether the folder has a list.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.exists = root, True
        self.rows: dict[str, Row] = {}
        try:
            text = (root / LIST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):  # none, or somebody else's
            self.exists = False
            return
        whole_lines = io.StringIO(text[: text.rfind("\n") + 1], newline="")
        try:
            table = [row for _, row in read_rows(whole_lines)]
        except csv.Error:
            table = []
        self.exists = bool(table) and tuple(table[0]) == Row._fields
        if self.exists:
            rows = (Row(*row) for row in table[1:] if len(row) == len(Row._fields))
            self.rows = {row.path: row for row in rows if _is_below(row.path)}

    def add(self, *paths: str) -> None:
        """Write down paths, relative to the folder, before their files are written; the folder is created."""
        unlisted = [path for path in dict.fromkeys(paths) if path not in self.rows or self.rows[path].size]
        if not unlisted:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        buffer = io.StringIO(newline="")
        writer = Writer(buffer, () if self.exists else Row._fields)  # an empty line ends one that a kill cut off
        for path in unlisted:
            self.rows[path] = Row(path)
            writer.row(self.rows[path])
        with writing(self.root / LIST), (self.root / LIST).open("a", encoding="utf-8", newline="") as file:
            file.write(buffer.getvalue())
        self.exists = True

    def list_all(self) -> None:
        """Take all files of a folder that nobody else knows yet for ours."""
        self.add(*sorted(path for path, _ in self._walk()))
        self.seal()

    def seal(self, unchecked: Collection[str] = (), hashed: Mapping[str, Row] | None = None) -> None:
        """Write size and hash of all files that are there, and forget the others.

        Args:
            unchecked: paths whose content may change later.
            hashed: rows of files whose hash is known, by path.
        """
        known = {path: row for path, row in (hashed or {}).items() if os.path.isfile(self.root / path)}
        settled = {*unchecked, *known}
        unknown = [path for path in self.rows if path not in settled and not path.endswith(f"/{LIST}")]
        existing = [row for row in thread_map(self._seal, unknown) if row is not None]
        sealed = {row.path: row for row in existing} | known
        listed = [path for path in self.rows if path in sealed or path in unchecked or path.endswith(f"/{LIST}")]
        self._replace([sealed.get(path, Row(path)) for path in listed])

    def _seal(self, path: str) -> Row | None:
        """Return the row of a file in its present state; None if there is no file."""
        full = os.path.join(self.root, path)
        return Row(path, str(os.path.getsize(full)), file_hash(full)) if os.path.isfile(full) else None

    def _replace(self, rows: list[Row]) -> None:
        with atomic_write(self.root / LIST) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = Writer(file, Row._fields)
            writer.rows(rows)
        self.rows = {row.path: row for row in rows}

    def others(self) -> list[str]:
        """Paths below the folder of what is not ours: without a row, or with other bytes; in order.

        A listed file that has a second name (hard link) is not looked into: without this one its bytes are still there.
        """
        foreign, to_hash, pictures = [], list[Row](), self._pictures()
        for path, entry in self._walk():
            row = self._row_of(path)
            if self._is_left_by_programs(path, pictures):
                continue
            if row is None or not entry.is_file(follow_symlinks=False):
                foreign.append(path)
            elif row.sha256:
                stat = entry.stat(follow_symlinks=False)
                if stat.st_nlink == 1:
                    if str(stat.st_size) != row.size:
                        foreign.append(path)
                    else:
                        to_hash.append(row)
        changed = thread_map(lambda row: file_hash(self.root / row.path) != row.sha256, to_hash)
        foreign += [row.path for row, is_changed in zip(to_hash, changed, strict=True) if is_changed]
        for inner in self._inner():
            foreign += [f"{inner.root.relative_to(self.root).as_posix()}/{path}" for path in inner.others()]
        return sorted(foreign)

    def delete(self, *, keep: str = "", keep_root: bool = False) -> None:
        """Delete the listed files, folders that are empty then, and last the list: a kill leaves what tells the rest.

        Args:
            keep: a folder below this one that stays as it is, with its rows.
            keep_root: the folder itself stays, too.
        """
        for inner in self._inner():
            if not (keep and inner.root == self.root / keep):
                inner.delete()
        folders, pictures = list[str](), self._pictures()
        for path, entry in self._walk(folders):
            if keep and path.startswith(f"{keep}/"):
                continue
            if path != LIST and (self._row_of(path) or self._is_left_by_programs(path, pictures)):
                os.unlink(entry.path)
        for folder in sorted(folders, key=len, reverse=True):
            if not (keep and f"{folder}/".startswith(f"{keep}/")):
                with suppress(OSError):  # it holds something else
                    (self.root / folder).rmdir()
        if keep:
            self._replace([row for path, row in self.rows.items() if path.startswith(f"{keep}/")])
            return
        (self.root / LIST).unlink(missing_ok=True)
        self.rows, self.exists = {}, False
        if not keep_root:
            with suppress(OSError):
                self.root.rmdir()

    def _row_of(self, path: str) -> Row | None:
        """Return the row that a file belongs to: its own, or that of the path where it was being written."""
        if path in self.rows:
            return self.rows[path]
        target = written_as(path)
        return Row(path) if (target == LIST and self.exists) or target in self.rows else None

    def _pictures(self) -> set[str]:
        """Paths of our pictures without their suffixes."""
        return {os.path.splitext(path)[0] for path in self.rows if path.startswith("images/") and is_image_name(path)}

    def _is_left_by_programs(self, path: str, pictures: Collection[str]) -> bool:
        """Test whether a file manager or Ultralytics made the file, which is made again if it is deleted."""
        folder, _, name = path.rpartition("/")
        stem, suffix = os.path.splitext(path)
        if suffix == ".npy":  # pixels, which `cache=disk` keeps beside each picture
            return stem in pictures
        return name in (".DS_Store", "Thumbs.db", "desktop.ini") or (folder == "labels" and suffix == ".cache")

    def _inner(self) -> list[OwnedFiles]:
        """Lists of folders inside that this one names; what is no list, or behind a link, is none."""
        root = self.root.resolve()
        folders = [path.removesuffix(f"/{LIST}") for path in self.rows if path.endswith(f"/{LIST}")]
        lists = [OwnedFiles(self.root / path) for path in folders if (self.root / path).resolve() == root / path]
        return [inner for inner in lists if inner.exists]

    def _walk(self, folders: list[str] | None = None) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield all files and links below the folder, except those on inner lists; links are not followed.

        Args:
            folders: gets the paths of the folders.
        """
        inner = {owned.root for owned in self._inner()}
        pending = [(self.root, "")]
        while pending:
            folder, below = pending.pop()
            with os.scandir(folder) as entries:
                for entry in list(entries):
                    path = f"{below}{entry.name}"
                    if not entry.is_dir(follow_symlinks=False):
                        yield path, entry
                    elif Path(entry.path) not in inner:
                        pending.append((Path(entry.path), f"{path}/"))
                        if folders is not None:
                            folders.append(path)


def _is_below(path: str) -> bool:
    """Test whether a listed path stays below the folder: a list may come from anybody."""
    parts = PurePath(path)
    return bool(parts.name) and not parts.anchor and ".." not in parts.parts and parts.as_posix() == path
