"""``via``: JSON and CSV of the VGG Image Annotator 1 and 2: a region a character, or one text of a region or a file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from detector.data.labels.formats.drawn import Mark, RowOfMarks, marks_as_labels
from detector.data.labels.formats.fields import TYPED_NAMES, plain
from detector.data.labels.formats.model import HEAD_LINES, Format, Head, Row, Table, csv_rows, json_of

_COLUMNS = ("filename", "file_attributes", "region_shape_attributes", "region_attributes")

_Picture = tuple[int, str, list[Mark]]
"""The line of a picture, its name and its marks."""


def recognise(head: Head) -> Table | str | None:
    header = [name.strip().lstrip("#") for name in next(csv.reader(head.lines[:1]))]
    places = [header.index(name) for name in _COLUMNS] if set(_COLUMNS) <= set(header) else []
    pictures = _of_csv(head, places) if places else _of_json(head.document)
    if not pictures:
        return f"{head.file} is no export of the VGG Image Annotator 1 or 2." if head.is_requested else None
    row_of = marks_as_labels([marks for _, _, marks in pictures[:HEAD_LINES]])
    if isinstance(row_of, str):
        return f"{head.file} {row_of}."
    return Table(head.file, "via", partial(_rows, pictures, row_of), ", regions of each file")


def _of_csv(head: Head, places: Sequence[int]) -> list[_Picture]:
    """Pictures of a table with a region a row; all rows of a file are its own."""
    pictures: dict[str, _Picture] = {}
    for _, line, fields in islice(csv_rows(head.file), 1, None):  # after the header
        name, of_file, shape, attributes = (fields[place] if place < len(fields) else "" for place in places)
        picture = pictures.setdefault(name, (line, name, _of_file(json_of(of_file))))
        if shape.strip() and json_of(shape) != {}:  # what cannot be parsed is a mark without a box, and not nothing
            picture[2].append(_mark({"shape_attributes": json_of(shape), "region_attributes": json_of(attributes)}))
    return [*pictures.values()]


def _of_json(content: Any) -> list[_Picture]:
    """Pictures of a project or an export; none where it is neither."""
    entries = content.get("_via_img_metadata", content) if isinstance(content, Mapping) else None
    values = list(entries.values()) if isinstance(entries, Mapping) else []
    if not all(isinstance(value, Mapping) and "filename" in value and "regions" in value for value in values):
        return []
    pictures = []
    for number, value in enumerate(values, 1):
        regions = value["regions"]
        regions = list(regions.values()) if isinstance(regions, Mapping) else regions
        marks = (
            [_mark(region) for region in regions if isinstance(region, Mapping)] if isinstance(regions, list) else []
        )
        pictures.append((number, str(value["filename"]), _of_file(value.get("file_attributes")) + marks))
    return pictures


def _of_file(attributes: Any) -> list[Mark]:
    return [Mark("", text, None)] if (text := _typed(attributes)) else []


def _typed(attributes: Any) -> str:
    """Return the only text among attributes."""
    items = attributes.items() if isinstance(attributes, Mapping) else ()
    texts = {value.strip() for name, value in items if plain(name) in TYPED_NAMES and isinstance(value, str)} - {""}
    return texts.pop() if len(texts) == 1 else ""


def _mark(region: Mapping[str, Any]) -> Mark:
    attributes, shape = region.get("region_attributes"), region.get("shape_attributes")
    values = list(attributes.values()) if isinstance(attributes, Mapping) else []
    label = values[0].strip() if len(values) == 1 and isinstance(values[0], str) else ""
    return Mark(label, _typed(attributes), _box_xyxy(shape) if isinstance(shape, Mapping) else None)


def _box_xyxy(shape: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    try:
        if "all_points_x" in shape:
            xs, ys = ([float(value) for value in shape[name]] for name in ("all_points_x", "all_points_y"))
            return min(xs), min(ys), max(xs), max(ys)
        x, y, width, height = (float(shape[name]) for name in ("x", "y", "width", "height"))
    except (KeyError, TypeError, ValueError):
        return None
    return x, y, x + width, y + height


def _rows(pictures: Sequence[_Picture], row_of: RowOfMarks) -> Iterator[Row]:
    return (row_of(*picture) for picture in pictures)


FORMAT = Format("via", (".json", ".csv", ""), recognise)
