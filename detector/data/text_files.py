"""Text files: lines of bounded length, and the CSV dialect of the tables that this package writes.

That dialect has commas; fields with a comma, a quote, ``\\n`` or ``\\r`` are quoted; lines end with ``\\n``: any text
survives writing and reading. (Python's writer does not quote a lone ``\\r`` where lines end with ``\\n``, and its
reader refuses it.) Other tables are read by :mod:`detector.data.labels.formats`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO

from detector.errors import SourceError


def bounded_lines(stream: TextIO, file: Path, max_length: int, content: str) -> Iterator[str]:
    """Yield lines with their ends; of one that has none, as in a file that is no text, little is read.

    Args:
        stream: of the file.
        file: its path, for messages.
        max_length: characters that a line may have.
        content: what a line has, for messages: "label".

    Raises:
        SourceError: naming the line that is longer.
    """
    for number, line in enumerate(iter(partial(stream.readline, max_length + 1), ""), 1):
        if len(line) > max_length:
            raise SourceError(
                f"{file}, line {number}: more than {max_length} characters; a {content} takes a line of its own."
            )
        yield line


def is_utf8(text: str) -> bool:
    """Test whether a text can be written in UTF-8: names of files, whose bytes may be any, need not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Writable(Protocol):
    def write(self, text: str, /) -> Any: ...


class _Lines:
    """Replaces the line end ``\\r\\n``, which makes the writer quote both characters, by ``\\n``."""

    def __init__(self, file: _Writable) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


class _Collected:
    """Collects what is written, a row at a time."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: str) -> None:
        self.lines.append(line.encode())


class Writer:
    """Writes a header, if given, and rows to a text file that was opened with ``newline=""``."""

    def __init__(self, file: _Writable, header: Iterable[str] | None = None) -> None:
        self._writer = csv.writer(_Lines(file), lineterminator="\r\n")
        if header is not None:
            self.row(header)

    def row(self, fields: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow(fields)

    def rows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write many rows, each as it comes."""
        self._writer.writerows(rows)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines in UTF-8, but for paths in them, which have the bytes that the disk has and need not be UTF-8."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")


def csv_lines(rows: Iterable[Iterable[Any]]) -> list[bytes]:
    """Return each row as :func:`write_csv` writes it, for tables in which single rows are replaced."""
    collected = _Collected()
    Writer(collected).rows(rows)
    return collected.lines


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table in UTF-8."""
    with path.open("w", newline="", encoding="utf-8") as file:
        Writer(file, header).rows(rows)


def read_rows(stream: TextIO, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield each row of a table with the number of its last line; ``stream`` was opened with ``newline=""``.

    Raises:
        csv.Error: if a quote is not closed, or closed inside a field.
    """
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    for row in reader:
        yield reader.line_num, row
