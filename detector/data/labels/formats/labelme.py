"""``labelme``: labelme's JSON beside each picture: a shape a character, or one shape with the text as its label or
description."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from detector.data.labels.formats.drawn import Mark, RowOfMarks, marks_as_labels
from detector.data.labels.formats.model import ReadBeside, Row, Sidecar, json_of, text_of
from detector.errors import SourceError

_BOXES = ("rectangle", "polygon")


def _recognise(root: Path, files: Sequence[Path]) -> ReadBeside | str | None:
    pictures = []
    for file in files:
        with suppress(SourceError):
            if (marks := _marks(file)) is not None:
                pictures.append(marks)
    if 2 * len(pictures) <= len(files):
        return None
    row_of = marks_as_labels(pictures)
    return f"{root} {row_of}." if isinstance(row_of, str) else partial(_read, row_of)


def _read(row_of: RowOfMarks, file: Path, picture: Path) -> Row:
    marks = _marks(file)
    if marks is None:
        return Row(0, picture.name, "", f"{file.name} is no JSON of labelme")
    return row_of(0, picture.name, marks)


def _marks(file: Path) -> list[Mark] | None:
    content = json_of(text_of(file))
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) and "points" in shape for shape in shapes):
        return None
    return [
        Mark(str(shape.get("label") or "").strip(), str(shape.get("description") or "").strip(), _box_xyxy(shape))
        for shape in shapes
    ]


def _box_xyxy(shape: dict[str, Any]) -> tuple[float, float, float, float] | None:
    try:
        xs, ys = zip(*((float(x), float(y)) for x, y in shape["points"]), strict=True)
    except (TypeError, ValueError):
        return None
    return (min(xs), min(ys), max(xs), max(ys)) if shape.get("shape_type", "polygon") in _BOXES else None


FORMAT = Sidecar("labelme", ".json", _recognise, min_share=0.0)
