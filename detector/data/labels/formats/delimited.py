"""Tables between delimiters: ``csv`` (commas, semicolons, tabs or bars) and ``tsv``.

A header with a column of images and one of texts, in any order; or two columns, no header. Fields are quoted where
needed. Excel's first line ``sep=;`` names the delimiter. A column of statuses makes a table of
:mod:`detector.data.labels.prelabels` of it.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from detector.data.folders.image_files import is_image_name
from detector.data.labels.formats.fields import columns_of, text_in
from detector.data.labels.formats.model import HEAD_LINES, Format, Head, Row, Table, csv_rows, quoted
from detector.data.labels.prelabels import CONFIDENCE, STATUS, are_prelabels, are_readings, judged
from detector.errors import SourceError

_SEPARATOR = re.compile(r"sep=([,;\t|])$", re.IGNORECASE)


class _Delimited(NamedTuple):
    """How lines are parted: by what, and whether a space follows it that is no part of the field."""

    delimiter: str
    padded: bool
    rows: list[list[str]]


class _Columns(NamedTuple):
    """Places of the columns; ``width`` is the number of all of them, 0 without a header, ``prelabel_places``
    those of confidence and status where the table has pre-labels."""

    image: int
    text: int
    width: int
    prelabel_places: tuple[int | None, int] | None = None
    are_longer: bool = False


def _recognise(head: Head, kind: str) -> Table | str | None:
    """Recognise a header with known columns; else two columns, one of which lists images."""
    table, problem = _with_header(head, kind)
    return table or _without_header(head, kind) or problem


def _with_header(head: Head, kind: str) -> tuple[Table | None, str]:
    problem = ""
    for delimited in _delimited(head, kind):
        try:
            image, text = columns_of(head.file, delimited.rows[0], head.columns)
        except SourceError as error:
            problem = problem or str(error) + _no_header(delimited.rows[0])  # of the likeliest delimiter
            continue
        columns = _Columns(image, text, len(delimited.rows[0]), _prelabel_places(delimited.rows))
        lengths = {len(row) for row in delimited.rows[1 : HEAD_LINES - 1]}  # the last row of a head may be cut
        columns = columns._replace(are_longer=min(lengths, default=0) > columns.width)
        return _table(head, kind, delimited, columns), ""
    return None, problem or f"{head.file} has no column of images and one of texts; its first line is {head.first}."


def _no_header(fields: list[str]) -> str:
    """Say what to do where a first line has a picture, or a title alone; "" where it may name columns."""
    filled = [field.strip() for field in fields if field.strip()]
    if pictures := [field for field in filled if _is_image(field)]:
        return f" {quoted(pictures[0], 60)} is a picture: put a line with the columns' names before it."
    return " Or delete what stands above the line with the columns' names." if len(filled) == 1 < len(fields) else ""


def _without_header(head: Head, kind: str) -> Table | None:
    for delimited in _delimited(head, kind):
        if any(head.columns) or len(delimited.rows[0]) != 2 or not any(map(head.folders.plausible, delimited.rows[0])):
            continue
        hits = [sum(head.folders.plausible(row[i]) for row in delimited.rows if len(row) == 2) for i in (0, 1)]
        if 2 * max(hits) > len(delimited.rows):
            image = hits.index(max(hits))
            return _table(head, kind, delimited, _Columns(image, 1 - image, 0))
    return None


def _delimited(head: Head, kind: str) -> Iterator[_Delimited]:
    """Delimiters that the first line has, the likeliest first, and the rows that they make."""
    lines = head.lines
    separator = _SEPARATOR.match(lines[0].strip(" "))
    delimiters: str | list[str] = sorted("\t" if kind == "tsv" else ",;\t|", key=lines[0].count, reverse=True)
    if separator:
        lines, delimiters = lines[1:], separator[1]
    for delimiter in delimiters if lines else ():
        if delimiter not in lines[0]:
            continue
        body = lines[1:] or lines
        padded = 2 * sum(line.count(delimiter) == line.count(delimiter + " ") > 0 for line in body) > len(body)
        try:
            rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=padded))
        except csv.Error:
            continue
        yield _Delimited(delimiter, padded, rows)


def _prelabel_places(rows: list[list[str]]) -> tuple[int | None, int] | None:
    """Places of confidence, None without one, and status in a table of pre-labels; None where it is another."""
    names = [name.strip().lower() for name in rows[0]]
    if STATUS not in names:
        return None
    status = names.index(STATUS)
    is_one = are_prelabels(names, (row[status] for row in rows[1:] if len(row) > status))
    return (names.index(CONFIDENCE) if CONFIDENCE in names else None, status) if is_one else None


def _table(head: Head, kind: str, delimited: _Delimited, columns: _Columns) -> Table:
    header = "" if columns.width else ", no header"
    detail = f"{header}, image in column {columns.image + 1}, text in column {columns.text + 1}"
    detail += ", pre-labels" if columns.prelabel_places else ""
    rows = partial(_rows, head, delimited.delimiter, delimited.padded, columns)
    has_readings = columns.width > 0 and are_readings(delimited.rows[0])
    return Table(head.file, kind, rows, detail, has_readings=has_readings)


def _rows(head: Head, delimiter: str, padded: bool, columns: _Columns) -> Iterator[Row]:
    image, label = columns.image, columns.text
    header, width = columns.width > 0, columns.width or 2
    nameless: list[int] = []
    for first_line, last_line, fields in csv_rows(head.file, delimiter, padded):
        if first_line == 1 and _SEPARATOR.match(delimiter.join(fields).strip(" ")):
            continue
        if header:
            header = False
            nameless = [place for place, name in enumerate(fields) if place > label and not name.strip()]
            continue
        problem = ""
        if _swallows_rows(fields, {image, label}, fields[image] if image < len(fields) else "", delimiter):
            ends = f"closes in line {last_line}" if last_line > first_line else "does not close"
            problem = f"a quote that opens in line {first_line} {ends}: put it where its field ends"
        elif len(fields) < width and len(fields) <= max(image, label):
            problem = f"{len(fields)} of {width} fields"
        elif any(fields[width:]) or (
            len(fields) > width > label + 1 and any(fields[label + 1 :]) and not columns.are_longer
        ):
            problem = f"{len(fields)} fields, not {width}: put quotes around a text that holds {delimiter!r}"
        elif any(fields[place].strip() for place in nameless if place < len(fields)):
            problem = f"a field of a column without a name: put quotes around a text that holds {delimiter!r}"
        fields += [""] * (width - len(fields))
        row = Row(first_line, fields[image], text_in(fields[label]) or "", problem)
        if columns.prelabel_places:
            confidence_place, status = columns.prelabel_places[0], fields[columns.prelabel_places[1]]
            confidence, status_problem = judged(None if confidence_place is None else fields[confidence_place], status)
            row = row._replace(problem=problem or status_problem, status=status.strip().lower(), confidence=confidence)
        yield row


def _swallows_rows(fields: list[str], label_places: set[int], listed: str, delimiter: str) -> bool:
    """Test whether a field of several lines may hold rows after a quote too many; notes in other columns may not.

    Args:
        fields: of one row.
        label_places: of the image and the text, which have one line.
        listed: the row's image; rows are known by the endings of images.
        delimiter: between fields.
    """
    for place, field in enumerate(fields):
        if "\n" in field.strip():
            parts = re.split(f"{re.escape(delimiter)}|\n", field)
            if place in label_places or not _is_image(listed) or any(map(_is_image, parts)):
                return True
    return False


def _is_image(field: str) -> bool:
    return is_image_name(os.path.basename(field.strip(' "').replace("\\", "/")))


HEADED = Format("csv", (".txt", ""), lambda head: _with_header(head, "tsv" if "\t" in head.lines[0] else "csv")[0])
"""Tables with a header in files that are not called so: these come before all lists without one."""
CSV = Format("csv", (".csv", ".txt", ""), lambda head: _recognise(head, "csv"))
TSV = Format("tsv", (".tsv", ".txt", ""), lambda head: _recognise(head, "tsv"))
