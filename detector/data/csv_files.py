"""The one CSV dialect of the files that this package writes: what is written is read back, whatever the text.

Commas, fields in quotes where they hold a comma, a quote, ``\\n`` or ``\\r``, lines end with ``\\n``. (Python's own
writer leaves a lone ``\\r`` bare where lines end with ``\\n``, and its reader refuses it.) Tables of others are read by
:mod:`detector.data.labels.formats`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO


class _Writable(Protocol):
    def write(self, text: str, /) -> Any: ...


class _Lines:
    """Turns the line end that makes the writer quote both ``\\r`` and ``\\n`` into ``\\n``."""

    def __init__(self, file: _Writable) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


class Writer:
    """Writes rows, header first if there is one, to a text file that was opened with ``newline=""``."""

    def __init__(self, file: _Writable, header: Iterable[str] | None = None) -> None:
        self._writer = csv.writer(_Lines(file), lineterminator="\r\n")
        if header is not None:
            self.row(header)

    def row(self, fields: Iterable[Any]) -> None:
        """One row."""
        self._writer.writerow(fields)

    def rows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Many rows, each as it comes."""
        self._writer.writerows(rows)


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """A whole table in UTF-8."""
    with path.open("w", newline="", encoding="utf-8") as file:
        Writer(file, header).rows(rows)


def read_rows(stream: TextIO, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The rows of a table and the line that each ends in; ``stream`` was opened with ``newline=""``.

    Raises:
        csv.Error: if a quote is not closed, or closed inside a field.
    """
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    for row in reader:
        yield reader.line_num, row
