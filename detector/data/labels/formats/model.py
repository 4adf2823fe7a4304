"""What formats of labels have in common: what a reader looks at, and what it gives."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from detector.data.images import read_file
from detector.data.labels.formats.folders import Folders
from detector.data.labels.prelabels import PERSON
from detector.data.text_files import bounded_lines
from detector.errors import ImageError, SourceError

HEAD_BYTES = 1 << 16
HEAD_LINES = 200
MAX_LINE = 1 << 24
"""Characters of a line; a longer one is none of a list of labels."""
MAX_BESIDE_BYTES = 1_000_000
"""Size of a text file of one picture."""

Columns = tuple[str | None, str | None]
"""The names that the caller gave for the image's and the text's column."""


class DrawnBox(NamedTuple):
    """A symbol's box as a person drew it, in pixels of the upright picture."""

    symbol: str
    x1: float
    y1: float
    x2: float
    y2: float


class Row(NamedTuple):
    """One input of a label file.

    ``line`` counts from 1, 0 where there are none; ``problem`` says what is wrong with the row, if anything. ``drawn``
    are the boxes of ``text``'s symbols, in its order, where the format has them. ``status`` and ``confidence`` are
    those of :mod:`detector.data.labels.prelabels`, where the file has pre-labels.
    """

    line: int
    image: str
    text: str
    problem: str = ""
    drawn: tuple[DrawnBox, ...] = ()
    status: str = PERSON
    confidence: float = 1.0


@dataclass(frozen=True)
class Table:
    """How a label file is to be read.

    Args:
        file: of the labels.
        format: the format's name.
        rows: gives all rows, in order; may be called again and again.
        how: what was made out, for the log: columns, keys.
        images_first: whether its paths are relative to ``images/`` beside it rather than to its folder.
        second_choice: whether it is read only where no other label file is, as lists of detections are.
        has_readings: whether its texts are what ``detector predict`` read; it is read only where it is named.
    """

    file: Path
    format: str
    rows: Callable[[], Iterator[Row]] = field(compare=False)
    how: str = ""
    images_first: bool = False
    second_choice: bool = False
    has_readings: bool = False

    def __str__(self) -> str:
        return f"{self.file.name} ({self.format}{self.how})"

    @property
    def bases(self) -> list[Path]:
        """Where its paths start, the likeliest first."""
        folder = self.file.parent
        return [folder / "images", folder] if self.images_first else [folder, folder / "images"]


@dataclass(frozen=True)
class Head:
    """The beginning of a file, by which its format is recognised.

    Args:
        file: the file.
        text: its first bytes, whole lines of them if there are more.
        columns: names that the caller gave for the columns of images and texts.
        folders: where its images may lie.
        is_requested: whether the caller named the format that is asked.
    """

    file: Path
    text: str
    columns: Columns
    folders: Folders
    is_requested: bool = False

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are not empty."""
        return [line for _, line in islice(numbered_lines(io.StringIO(self.text, newline=None)), HEAD_LINES)]

    @cached_property
    def first(self) -> str:
        """The first line's beginning, for messages."""
        return quoted(self.lines[0])

    @cached_property
    def document(self) -> Any:
        """The whole file's value, parsed once; None if it is no JSON."""
        return json_of(text_of(self.file)) if self.text.lstrip()[:1] in ("{", "[") else None


class Format(NamedTuple):
    """One format of label files.

    ``recognise`` gives the table, or None or a sentence where it is none: the sentence where it looks like one.
    """

    name: str
    suffixes: tuple[str, ...]
    recognise: Callable[[Head], Table | str | None]


ReadBeside = Callable[[Path, Path], Row]
"""Gives the label of a picture from its file: (file, picture)."""


class Sidecar(NamedTuple):
    """One format of labels with a file for each picture.

    ``suffix`` takes the place of the picture's. ``recognise`` is given the root and some of the files, and gives what
    reads them, or None or a sentence where the files are of another format: the sentence where they look like this one.
    ``min_share`` is the share of the pictures that have such a file where it is meant.
    """

    name: str
    suffix: str
    recognise: Callable[[Path, Sequence[Path]], ReadBeside | str | None]
    min_share: float = 0.5


def quoted(value: Any, max_length: int = 80) -> str:
    """Quote a value for a message, cut to ``max_length``."""
    text = repr(value)
    return text if len(text) <= max_length else f"{text[:max_length]}…"


def _wide_encoding(data: bytes) -> str:
    """UTF-16 or UTF-32, by the mark at the beginning or by zeros in a first letter of ASCII; "" if neither."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    zeros = "".join("x" if byte else "0" for byte in data[:4])
    return {"x0x0": "utf-16le", "0x0x": "utf-16be"}.get(zeros, "")


def decode(data: bytes, file: Path) -> str:
    """Decode a label file: UTF-8, with or without a byte order mark.

    Raises:
        SourceError: naming file, line and byte, and how to convert.
    """
    if encoding := _wide_encoding(data):
        to_utf8 = f"iconv -f {encoding} -t utf-8 {shlex.quote(str(file))} > new{file.suffix}"
        raise SourceError(f"{file} is {encoding[:6].upper()}: save it as UTF-8, or `{to_utf8}`.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        to_utf8 = f"iconv -f cp1252 -t utf-8 {shlex.quote(str(file))} > new{file.suffix}"
        raise SourceError(
            f"{file}, line {line}: the byte 0x{byte:02x} is not UTF-8. Save the file as UTF-8, or convert it from what "
            f"it is, say `{to_utf8}` (or gb18030, cp1251, …)."
        ) from None


def text_of(file: Path, max_bytes: int | None = None) -> str:
    """Read the text of a whole label file.

    Raises:
        SourceError: if it is no regular file, cannot be read, is not UTF-8 or larger than ``max_bytes``; None: than
            any file that is read.
    """
    try:
        return decode(read_file(file, max_bytes), file)
    except ImageError as error:
        raise SourceError(f"{file} cannot be read: {error}.") from None


class Repeated:
    """Stands in JSON for the value of a key that is there several times with different ones: which is meant?

    It is none of the types that labels and names have, and empty, so that whatever reads it refuses it.
    """

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return ""

    @property
    def described(self) -> str:
        """The values, for messages."""
        return " and ".join(quoted(value, 40) for value in self.values[:2])


def object_of(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these keys and values; a key's value is :class:`Repeated` where it has different ones."""
    content = dict(pairs)
    if len(content) < len(pairs):
        for key, value in pairs:
            if not isinstance(content[key], Repeated) and value != content[key]:
                content[key] = Repeated(value, content[key])
    return content


def json_of(text: str) -> Any:
    """Parse JSON, with numbers as they are spelt and keys as :func:`object_of` has them; None if it is none."""
    try:
        return json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=object_of)
    except (ValueError, RecursionError):
        return None


def readable(files: Iterable[Path]) -> Iterator[str]:
    """Yield the texts of files beside pictures, without those that cannot be read."""
    for file in files:
        with suppress(SourceError):
            yield text_of(file, MAX_BESIDE_BYTES)


def csv_rows(file: Path, delimiter: str = ",", padded: bool = False) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the rows of a table that are not empty, each with the numbers of its first and last line, from 1.

    Args:
        file: the table.
        delimiter: between fields.
        padded: whether a space after it is no part of the field.

    Raises:
        SourceError: if the file is not UTF-8, a field has no end, or a line is longer than :data:`MAX_LINE`.
    """
    last_line = 0
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            lines = bounded_lines(stream, file, MAX_LINE, "label")
            reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=padded)
            for fields in reader:
                first_line, last_line = last_line + 1, reader.line_num
                if len(fields) > 1 or "".join(fields).strip():
                    yield first_line, last_line, fields
    except UnicodeDecodeError:
        decode(file.read_bytes(), file)  # says where
        raise
    except csv.Error as error:
        raise SourceError(f"{file}, from line {last_line + 1}: {quoted(str(error))}; is a quote not closed?") from None


def opened_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are not empty, with their numbers from 1.

    Raises:
        SourceError: if the file is not UTF-8, or a line is longer than :data:`MAX_LINE`.
    """
    try:
        with open(file, encoding="utf-8-sig") as stream:
            yield from numbered_lines(bounded_lines(stream, file, MAX_LINE, "label"))
    except UnicodeDecodeError:
        decode(file.read_bytes(), file)  # says where
        raise


def numbered_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers from 1; all line ends must be ``\\n``."""
    return ((i, line.rstrip("\n")) for i, line in enumerate(lines, 1) if line.strip())
