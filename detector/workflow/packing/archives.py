"""Tar files as WebDataset writes them: ``KEY.jpg`` and beside it ``KEY.txt`` or ``KEY.json`` with its text.

Members of one key follow each other. Nothing is unpacked to the disk: members are read one by one, in order, also of
compressed files.
"""

from __future__ import annotations

import logging
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from detector.data.folders.image_files import MAX_BYTES, image_files, in_natural_order, is_image_name
from detector.data.labels.entries import writable
from detector.data.labels.formats.fields import TEXT_COLUMNS, plain, text_in
from detector.data.labels.formats.model import json_of
from detector.errors import SourceError, counted
from detector.workflow.packing.items import PackItem, PackSource, file_state, in_memory, refused_item

try:
    from lzma import LZMAError
except ImportError:  # of a Python without it, where tarfile names a .tar.xz itself
    LZMAError = tarfile.ReadError  # type: ignore[misc,assignment]

log = logging.getLogger("detector")

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_MAX_LABEL_BYTES = 1_000_000
_KEY = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)  # as WebDataset has it: up to the first dot
_BLOCK = 512  # bytes of a header
_CHUNK = 1 << 20  # bytes that are read at once of what follows the end
_MAX_GROUP_BYTES = 100_000_000  # of members of one key
_MEMBER_BYTES = 1000  # of memory that a member takes beside its content
_MAX_HEADER_TEXT = 1_000_000  # bytes of a name, or of other text that belongs to a header
_HEADER_TEXTS = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
_SPARSE = "a member is a sparse file, which is not read: make the archive without tar's option sparse"


class _Member(NamedTuple):
    """A picture or a label of an archive: its name, key, kind and bytes, or what is wrong with it."""

    name: str
    key: str
    kind: str
    data: bytes
    state: str
    problem: str = ""

    @property
    def stem(self) -> str:
        """The name up to the last dot."""
        return os.path.splitext(self.name)[0]


class _Header(tarfile.TarInfo):
    """A header whose texts are bounded: the library takes them into memory, and compressed they are small.

    So are the tables of sparse files, whose forms that have them beside the header are refused.
    Its size is not below 0, either: before 3.11.14 Python goes back by it, to read the same members without end.
    """

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.ReadError(f"a header gives its size as {count} bytes")
        return int(super()._block(count))  # type: ignore[misc]

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADER_TEXTS and self.size > _MAX_HEADER_TEXT:
            raise tarfile.ReadError(f"a header has {self.size} bytes of text, and at most {_MAX_HEADER_TEXT} are read")
        header: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # it is there to be overridden
        return header

    def _proc_sparse(self, _: tarfile.TarFile) -> tarfile.TarInfo:
        raise tarfile.ReadError(_SPARSE)

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise tarfile.ReadError(_SPARSE)


def tar_files(path: Path) -> list[Path]:
    """Return the file, or the archives of a folder in natural order; none where pictures lie in or below it, too."""
    if path.is_file():
        return [path] if path.name.lower().endswith(_SUFFIXES) else []
    names = [entry.name for entry in os.scandir(path)] if path.is_dir() else []
    archive_names = [name for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith(".")]
    if archive_names and any(problem is None for _, problem in image_files(path)):  # of which they are a copy, likely
        told = f"{path / archive_names[0]}" + ("" if len(archive_names) == 1 else f" and {len(archive_names) - 1} more")
        log.warning("%s: left out, as pictures lie beside it; to pack what is in it, name it alone", told)
        return []
    return [path / name for name in in_natural_order(archive_names)]


def read_archives(files: list[Path], labelled: bool, text_column: str | None) -> PackSource:
    """Read the pictures of tar files.

    Args:
        files: in order.
        labelled: whether their labels are read.
        text_column: key of the text in JSON, where it is not a usual one.
    """

    def items() -> Iterator[PackItem]:
        for file in files:
            yield from _items_of(file, f"{file.name}/" if len(files) > 1 else "", labelled, text_column)

    return PackSource("tar", counted(len(files), "tar file"), items)


def _items_of(file: Path, before: str, labelled: bool, text_column: str | None) -> Iterator[PackItem]:
    """Yield the pictures of one archive.

    Args:
        before: their names in ids.
    """
    names: set[str] = set()
    of_file = file_state(file)
    for members in _groups(_members(file), labelled):
        pictures, labels = list[_Member](), list[_Member]()
        for member in members:
            (pictures if is_image_name(member.name.rpartition("/")[2]) else labels).append(member)
        labels_of = _labels_of(pictures, labels if labelled else [])
        used: set[str] = set()
        for member in pictures:
            own = labels_of(member)
            used.update(label.name for label in own)
            text, problem = _text_of(own, text_column)
            reason = member.problem or problem
            if member.name in names:
                reason = "an earlier member of the archive has its name"
            names.add(member.name)
            state = f"{of_file} {member.state}"
            picture = PackItem(before + member.name, text, state, in_memory(member.data))
            yield refused_item(before + member.name, reason) if reason else picture
        if labelled:
            for member in labels:
                if not pictures or (member.kind == "txt" and member.name not in used):
                    yield refused_item(
                        before + member.name, "a label without its picture: members of one key follow each other"
                    )


def _groups(members: Iterable[_Member], labelled: bool) -> Iterator[list[_Member]]:
    """Members of one key that follow each other; one by one where labels are not read.

    Names with dots, as ``2026.11.30-0001.jpg``, may give a whole archive one key: a group ends when it is too large.
    """
    for _, group in groupby(members, lambda member: member.key):
        together, size = list[_Member](), 0
        for member in group:
            together.append(member)
            size += len(member.data) + _MEMBER_BYTES
            if size > _MAX_GROUP_BYTES or not labelled:
                yield together
                together, size = [], 0
        if together:
            yield together


def _labels_of(pictures: list[_Member], labels: list[_Member]) -> Callable[[_Member], list[_Member]]:
    """Return what gives a picture its labels, out of the pictures and labels of one key.

    Those of its own name come first, as of ``2026.11.30-0001.jpg``; then those of the key, ``0001.txt``, that
    ``0001.left.jpg`` and ``0001.right.jpg`` share; then one of each kind that has no other picture's name.
    """
    by_stem: dict[str, list[_Member]] = {}
    for label in labels:
        by_stem.setdefault(label.stem, []).append(label)
    stems = {picture.stem for picture in pictures}
    shared = [label for label in labels if label.stem not in stems]
    shared = shared if len({label.kind for label in shared}) == len(shared) else []
    return lambda picture: by_stem.get(picture.stem) or by_stem.get(picture.key) or shared


def _text_of(labels: list[_Member], text_column: str | None) -> tuple[str | None, str]:
    """Return the text of a key and what is wrong with it; None where no label has one."""
    for member in sorted(labels, key=lambda member: member.kind != "txt"):
        if member.problem:
            return None, f"its label {member.name}: {member.problem}"
        try:
            content = member.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None, f"its label {member.name} is not UTF-8"
        if member.kind == "txt":
            return content.strip("\r\n"), ""
        value = json_of(content)
        if isinstance(value, str):
            return value, ""
        if not isinstance(value, dict):
            return None, f"its label {member.name} is no JSON object"
        keys = [key for key in value if (key == text_column if text_column else plain(key) in TEXT_COLUMNS)]
        if len(keys) > 1 or (text_column and not keys):
            key_names = ", ".join(map(repr, list(value)[:12]))
            return None, f"its label {member.name} has {len(keys)} keys that may be the text; its keys are {key_names}"
        if keys:
            text = text_in(value[keys[0]])
            return text, "" if text is not None else f"its label {member.name}: {keys[0]!r} is not a string"
    return None, ""


def _members(file: Path) -> Iterator[_Member]:
    """Yield the pictures and labels of an archive with their bytes."""
    with _tar_errors(file), tarfile.open(file, "r:*", tarinfo=_Header) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # they would grow with the archive
            name = writable(info.name)
            match = _KEY.fullmatch(name)
            kind = os.path.splitext(name)[1].lower().lstrip(".")
            if info.isdir() or match is None or not (is_image_name(name.rpartition("/")[2]) or kind in ("txt", "json")):
                continue
            state = f"{info.offset} {info.size} {info.mtime}"
            max_bytes = MAX_BYTES if is_image_name(name.rpartition("/")[2]) else _MAX_LABEL_BYTES
            if problem := _problem(info, name, max_bytes):
                yield _Member(name, match[1], kind, b"", state, problem)
                continue
            stream = archive.extractfile(info)
            yield _Member(name, match[1], kind, stream.read() if stream else b"", state)
        _check_end(file, archive)


def _problem(info: tarfile.TarInfo, name: str, max_bytes: int) -> str:
    if not info.isreg():
        return "a link or a device, and not a file"
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts):
        return "its name leads out of the archive"
    return f"{info.size / 1e6:.0f} MB, and at most {max_bytes / 1e6:g} MB are read" if info.size > max_bytes else ""


def _check_end(file: Path, archive: tarfile.TarFile) -> None:
    """Refuse an archive that does not end where it ends: the library takes damage for the end.

    It is read to the end of its file, where gzip has the checksum of all that came before.

    Raises:
        SourceError: naming the place.
        OSError: if the checksum is another.
    """
    stream = archive.fileobj
    assert stream is not None
    stream.seek(archive.offset)
    block = stream.read(_BLOCK)
    if not block:
        log.warning("%s has no mark at its end: if it was cut, pictures are missing", file)
    elif block.strip(b"\0") or len(block) < _BLOCK:
        raise SourceError(f"{file} is damaged or cut at byte {archive.offset}: make it again.")
    while stream.read(_CHUNK):
        pass


@contextmanager
def _tar_errors(file: Path) -> Iterator[None]:
    """Make what the library raises in the block an error that names the file."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, LZMAError, OSError, ValueError) as error:
        raise SourceError(
            f"{file} cannot be read as a tar file ({error or type(error).__name__}): make it again."
        ) from error
