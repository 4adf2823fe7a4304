"""``boxes``: a table with a drawn character box a line, as Roboflow's ``_annotations.csv`` or a ``boxes.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

from detector.data.labels.formats.drawn import are_symbols, drawn_row, no_symbols
from detector.data.labels.formats.fields import IMAGE_COLUMNS, TEXT_COLUMNS, plain
from detector.data.labels.formats.model import DrawnBox, Format, Head, Row, Table, csv_rows

_SYMBOLS = ("class", "char", "character", "symbol", "label", "name", "category", "class_name", "label_name")
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("x_min", "y_min", "x_max", "y_max"),
            ("left", "top", "right", "bottom"))  # fmt: skip


class _Columns(NamedTuple):
    delimiter: str
    image: int
    symbol: int
    corners: tuple[int, ...]


def recognise(head: Head) -> Table | str | None:
    columns = _columns(head)
    if columns is None:
        return (
            f"{head.file} has no columns of an image, a class and xmin,ymin,xmax,ymax." if head.is_requested else None
        )
    rows = list(csv.reader(head.lines[1:], delimiter=columns.delimiter))
    names = [row[columns.symbol].strip() for row in rows if len(row) > columns.symbol]
    if not are_symbols(names):
        header = map(plain, head.lines[0].split(columns.delimiter))
        return None if TEXT_COLUMNS & set(header) else f"{head.file} {no_symbols(names)}."
    return Table(head.file, "boxes", partial(_rows, head, columns), ", a character's box a line")


def _columns(head: Head) -> _Columns | None:
    for delimiter in ",;\t":
        header = [plain(name.strip('"')) for name in head.lines[0].split(delimiter)]
        corners = [names for names in _CORNERS if set(names) <= set(header)]
        images = [name for name in header if name in IMAGE_COLUMNS]
        symbols = [name for name in _SYMBOLS if name in header]
        if corners and len(images) == 1 and symbols:
            at = header.index
            return _Columns(delimiter, at(images[0]), at(symbols[0]), tuple(map(at, corners[0])))
    return None


def _rows(head: Head, columns: _Columns) -> Iterator[Row]:
    boxes: dict[str, list[DrawnBox]] = {}
    first_lines: dict[str, int] = {}
    problems: dict[str, str] = {}
    for _, line, fields in islice(csv_rows(head.file, columns.delimiter), 1, None):  # after the header
        image = fields[columns.image] if len(fields) > columns.image else ""
        first_lines.setdefault(image, line)
        if len(fields) <= max(columns.image, columns.symbol, *columns.corners):
            problems[image] = f"a box has too few fields (line {line})"  # its text would lack a character
            continue
        try:
            x1, y1, x2, y2 = (float(fields[i]) for i in columns.corners)
        except ValueError:
            problems[image] = f"a box has a corner that is no number (line {line})"
            continue
        boxes.setdefault(image, []).append(DrawnBox(fields[columns.symbol].strip(), x1, y1, x2, y2))
    for image, line in first_lines.items():
        problem = problems.get(image)
        yield Row(line, image, "", problem) if problem else drawn_row(line, image, boxes[image])


FORMAT = Format("boxes", (".csv", ".tsv", ".txt", ""), recognise)
