"""How label files are written: recognise one from its head, and read its rows. One small reader a format.

Nothing is decided here about images or texts, except that a file is likelier a list of images if the listed
files exist. Fields are text throughout: no number is parsed, leading zeros stay.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

from detector.errors import SourceError
from detector.images import is_folder, is_image_name

TABLE_FORMATS = {
    "csv": (".csv", ".txt"),
    "tsv": (".tsv", ".txt"),
    "jsonl": (".jsonl", ".ndjson"),
    "paddleocr": (".txt",),
    "dddd": (".txt",),
}
"""Formats of label files, and the suffixes that they come with."""

_IMAGES = """image images image_path image_name image_file img img_path img_name
    file files file_name filename file_path filepath path picture"""
_TEXTS = """text texts label labels word words string str transcription transcript gt gt_text ground_truth groundtruth
    target plate plate_text plate_number license_plate licence_plate license_number captcha solution ocr ocr_text"""
IMAGE_COLUMNS = frozenset(_IMAGES.split())
TEXT_COLUMNS = frozenset(_TEXTS.split())
"""Names of columns and keys that are known; case, blanks and ``-`` for ``_`` make no difference."""

OTHER_SUFFIXES = (".xlsx", ".json")
"""Suffixes of files that may hold labels and are not read."""

HEAD_BYTES = 1 << 16
HEAD_LINES = 200

Columns = tuple[str | None, str | None]
"""The names that the caller gave for the image's and the text's column."""


class Row(NamedTuple):
    """One input of a label file. ``line`` counts from 1; ``problem`` says what is wrong with the row, if anything."""

    line: int
    image: str
    text: str
    problem: str = ""


class Table(NamedTuple):
    """How a label file is to be read. ``image`` and ``text`` are keys (jsonl) or numbers of columns from 0."""

    file: Path
    format: str
    image: str | int = 0
    text: str | int = 1
    delimiter: str = "\t"
    width: int = 0
    """Columns of the header; 0 if there is none."""
    padded: bool = False
    """A blank follows every delimiter and is no part of the field."""

    def __str__(self) -> str:
        how = ""
        if self.format == "jsonl":
            how = f", keys {self.image!r} and {self.text!r}"
        elif self.format in ("csv", "tsv"):
            header = "" if self.width else ", no header"
            how = f"{header}, image in column {int(self.image) + 1}, text in column {int(self.text) + 1}"
        return f"{self.file.name} ({self.format}{how})"


class Folders:
    """Finds listed files in some base folders, by one listing a folder instead of a look at every file."""

    def __init__(self, bases: Sequence[Path]) -> None:
        self.bases = list(dict.fromkeys(map(str, bases)))
        self.listings: dict[str, frozenset[str]] = {}
        self.composed: dict[str, dict[str, str]] = {}

    def find(self, listed: str) -> str | None:
        """The path of a listed file in the first base that has it, or None."""
        for spelling in (listed, listed.replace("\\", "/")) if "\\" in listed else (listed,):
            for base in self.bases:
                folder, name = os.path.split(os.path.normpath(os.path.join(base, spelling)))
                if name in self.listing(folder) or (name := self.as_spelt(folder, name)):
                    return os.path.join(folder, name)
        return None

    def as_spelt(self, folder: str, name: str) -> str:
        """How ``folder`` spells a name, accents composed otherwise as archives of macOS do; "" if it has none such."""
        if name.isascii():
            return ""
        if folder not in self.composed:
            self.composed[folder] = {_nfc(there): there for there in self.listing(folder) if not there.isascii()}
        return self.composed[folder].get(_nfc(name), "")

    def listing(self, folder: str) -> frozenset[str]:
        """Names of all in ``folder`` that is no folder; none if it cannot be read."""
        if folder not in self.listings:
            try:
                with os.scandir(folder or ".") as entries:
                    self.listings[folder] = frozenset(entry.name for entry in entries if not is_folder(entry))
            except (OSError, ValueError):  # missing, forbidden; a NUL in the name
                self.listings[folder] = frozenset()
        return self.listings[folder]

    def plausible(self, field: str) -> bool:
        """Whether a field looks like the path of an image."""
        return is_image_name(os.path.basename(field.strip())) or (bool(field) and self.find(field) is not None)


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def other_kind(file: Path) -> str:
    """What a file is that labels are often kept in and that is not read, and what to do; "" if it is none."""
    if not file.is_file():  # a pipe would be waited for
        return ""
    try:
        with open(file, "rb") as stream:
            return _other(stream.read(64))
    except OSError:
        return ""


def _other(head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        return "a spreadsheet or another archive: save it as CSV"
    if re.match(rb"\[\s*\{", head.removeprefix(b"\xef\xbb\xbf")):
        return "a JSON array: write one object a line (JSON lines)"
    return ""


def recognise(file: Path, wanted: str | None, columns: Columns, bases: Sequence[Path] = ()) -> Table:
    """Find out from its head how a label file is written.

    Args:
        wanted: the format, if it is known.
        columns: names of the image's and the text's column, where they are not the usual ones.
        bases: where its images may lie, beside its own folder.

    Raises:
        SourceError: if it cannot be read, is no label file, its columns cannot be told, or it is not UTF-8.
    """
    if file.exists() and not file.is_file():
        raise SourceError(f"{file} is not a regular file: give a label file.")
    try:
        with open(file, "rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}.") from error
    if said := _other(head):
        raise SourceError(f"{file} is {said}.")
    if len(head) == HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1]
    text = decode(head, file)
    lines = [line for _, line in islice(_lines(io.StringIO(text, newline=None)), HEAD_LINES)]
    if not lines:
        raise SourceError(f"{file} is empty, or no text.")
    by_suffix = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    kind = wanted or by_suffix.get(file.suffix.lower(), "jsonl" if lines[0].startswith("{") else "txt")
    folders = Folders([file.parent, file.parent / "images", *bases])
    if kind == "jsonl":
        return _recognise_jsonl(file, lines[0], columns)
    if kind in ("csv", "tsv"):
        return _recognise_table(file, kind, lines, columns, folders)
    if kind == "txt" and (table := _recognise_header(file, "tsv" if "\t" in lines[0] else "csv", lines, columns)[0]):
        return table
    first = [line.partition("\t") for line in lines if "\t" in line]
    listed = sum(image.startswith("[") or folders.plausible(image) for image, _, _ in first)
    if 2 * listed > len(lines) or (wanted and first):
        beside = file.name.lower() == "labels.txt" and (file.parent / "images").is_dir()
        return Table(file, wanted or ("dddd" if beside else "paddleocr"))
    if wanted:
        raise SourceError(f"{file} has no lines path<TAB>text; its first is {lines[0][:80]!r}.")
    return _recognise_table(file, "tsv" if "\t" in lines[0] else "csv", lines, columns, folders)


def _recognise_jsonl(file: Path, line: str, columns: Columns) -> Table:
    try:
        first = json.loads(line)
    except ValueError:
        first = None
    if not isinstance(first, dict):
        raise SourceError(f"{file} is not JSON lines: its first line is no JSON object: {line[:80]!r}.")
    keys = list(first)
    image, text = _columns(file, keys, columns)
    return Table(file, "jsonl", keys[image], keys[text])


def _recognise_table(file: Path, kind: str, lines: list[str], columns: Columns, folders: Folders) -> Table:
    """A header with known columns under some delimiter; else two columns, one of which lists images."""
    table, problem = _recognise_header(file, kind, lines, columns)
    if table is not None:
        return table
    for delimiter, padded, rows in _splits(kind, lines):
        if any(columns) or len(rows[0]) != 2 or not any(map(folders.plausible, rows[0])):
            continue
        hits = [sum(folders.plausible(row[i]) for row in rows if len(row) == 2) for i in (0, 1)]
        if 2 * max(hits) > len(rows):
            image = hits.index(max(hits))
            return Table(file, kind, image, 1 - image, delimiter, 0, padded)
    raise SourceError(problem)


def _recognise_header(file: Path, kind: str, lines: list[str], columns: Columns) -> tuple[Table | None, str]:
    """The table that the first line is the header of, or why it is none."""
    problem = ""
    for delimiter, padded, rows in _splits(kind, lines):
        try:
            image, text = _columns(file, rows[0], columns)
            return Table(file, kind, image, text, delimiter, len(rows[0]), padded), ""
        except SourceError as error:
            problem = problem or str(error)  # of the likeliest delimiter
    return None, problem or f"{file} has no column of images and one of texts; its first line is {lines[0][:80]!r}."


def _splits(kind: str, lines: list[str]) -> Iterator[tuple[str, bool, list[list[str]]]]:
    """Delimiters that the first line has, the likeliest first; whether blanks follow them; the rows that they make."""
    for delimiter in sorted("\t" if kind == "tsv" else ",;\t", key=lines[0].count, reverse=True):
        if delimiter not in lines[0]:
            continue
        body = lines[1:] or lines
        padded = 2 * sum(line.count(delimiter) == line.count(delimiter + " ") > 0 for line in body) > len(body)
        try:
            rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=padded))
        except csv.Error:
            continue
        yield delimiter, padded, rows


def _columns(file: Path, header: Sequence[str], columns: Columns) -> tuple[int, int]:
    """Numbers of the image's and the text's column, from 0."""
    plain = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in header]
    numbers = []
    for what, asked, usual in zip(("image", "text"), columns, (IMAGE_COLUMNS, TEXT_COLUMNS), strict=True):
        if asked is None:
            found = [i for i, name in enumerate(plain) if name in usual]
        else:
            found = [i for i, name in enumerate(header) if name.strip() == asked.strip()]
            found = found or [i for i, name in enumerate(header) if name.strip().lower() == asked.strip().lower()]
        if len(found) != 1:
            said = f"no column {asked!r}" if asked is not None else f"no known {what} column"
            if found:
                said = f"{len(found)} columns that may be the {what} ({', '.join(repr(header[i]) for i in found)})"
            names = ", ".join(repr(name) for name in header[:20])
            raise SourceError(f"{file} has {said}; its columns are {names[:300]}. Name it with --{what}-column.")
        numbers.append(found[0])
    return numbers[0], numbers[1]


def decode(data: bytes, file: Path) -> str:
    """The text of a label file: UTF-8, with or without a byte order mark.

    Raises:
        SourceError: naming file, line and byte, and how to convert.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SourceError(
            f"{file} is UTF-16: save it as UTF-8, or `iconv -f utf-16 -t utf-8 {file} > new{file.suffix}`."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        raise SourceError(
            f"{file}, line {line}: the byte 0x{byte:02x} is not UTF-8. Save the file as UTF-8, or convert it from what "
            f"it is, say `iconv -f cp1252 -t utf-8 {file} > new{file.suffix}` (or gb18030, cp1251, …)."
        ) from None


def read_rows(table: Table) -> Iterator[Row]:
    """All inputs of a label file in its order; empty lines are none.

    Raises:
        SourceError: if the file is not UTF-8, or a quote is never closed.
    """
    try:
        with open(table.file, encoding="utf-8-sig", newline="" if table.format in ("csv", "tsv") else None) as stream:
            if table.format in ("csv", "tsv"):
                yield from _csv_rows(stream, table)
            elif table.format == "jsonl":
                yield from _jsonl_rows(_lines(stream), table)
            else:
                yield from _tab_rows(_lines(stream))
    except UnicodeDecodeError:
        decode(table.file.read_bytes(), table.file)  # says where
        raise


def _lines(stream: TextIO) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers from 1; the stream has made all line ends one."""
    return ((i, line.rstrip("\n")) for i, line in enumerate(stream, 1) if line.strip())


def _csv_rows(stream: TextIO, table: Table) -> Iterator[Row]:
    image, label = int(table.image), int(table.text)
    reader = csv.reader(stream, delimiter=table.delimiter, skipinitialspace=table.padded)
    header, width, last = table.width > 0, table.width or 2, 0
    try:
        for fields in reader:
            first, last = last + 1, reader.line_num
            if not fields or (len(fields) == 1 and not fields[0].strip()):
                continue
            if header:
                header = False
                continue
            problem = ""
            if any("\n" in field for field in fields):
                ends = f"closes in line {last}" if last > first else "does not close"
                problem = f"a quote that opens in line {first} {ends}"
            elif len(fields) < width and len(fields) <= max(image, label):
                problem = f"{len(fields)} of {width} fields"
            elif any(fields[width:]):
                problem = f"{len(fields)} fields, not {width}: put quotes around a text that holds {table.delimiter!r}"
            fields += [""] * (width - len(fields))
            yield Row(first, fields[image], fields[label], problem)
    except csv.Error as error:
        raise SourceError(f"{table.file}, from line {last + 1}: {error}; is a quote not closed?") from None


def _jsonl_rows(lines: Iterator[tuple[int, str]], table: Table) -> Iterator[Row]:
    for number, line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            yield Row(number, "", "", "not a JSON object")
            continue
        image, text = entry.get(str(table.image)), entry.get(str(table.text))
        if isinstance(text, int) and not isinstance(text, bool):
            text = str(text)
        problem = "" if isinstance(text, str) else f"{table.text!r} is not a string"
        if not isinstance(image, str):
            image, problem = "", f"{table.image!r} is not a string"
        yield Row(number, image, text if isinstance(text, str) else "", problem)


def _tab_rows(lines: Iterator[tuple[int, str]]) -> Iterator[Row]:
    for number, line in lines:
        listed, tab, rest = line.partition("\t")
        text = rest.partition("\t")[0]
        paths: object = None
        if listed.startswith("["):  # PaddleOCR: a JSON list of several pictures of one text
            try:
                paths = json.loads(listed)
            except (ValueError, RecursionError):
                paths = None
        several = isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths)
        for image in paths if several and isinstance(paths, list) else [listed]:
            yield Row(number, image, text, "" if tab else "no tab between path and text")
