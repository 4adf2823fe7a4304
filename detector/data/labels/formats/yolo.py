"""``yolo``: a text file for each picture, ``class cx cy w h`` a character, beside it or in ``labels/``; polygons, too.

The classes' names come from ``data.yaml``, ``classes.txt``, ``obj.names`` or ``_darknet.labels`` in a folder above.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from detector.data.images import read_image
from detector.data.labels.formats.drawn import are_symbols, drawn_row, no_symbols
from detector.data.labels.formats.model import MAX_BESIDE_BYTES, DrawnBox, ReadBeside, Row, Sidecar, readable, text_of
from detector.data.letterbox import from_shares
from detector.errors import ImageError

_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_DIGITS = 10  # of the number of a class, and more
_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")


def _recognise(root: Path, files: Sequence[Path]) -> ReadBeside | str | None:
    if not any(map(is_boxes, readable(files))):
        return None
    classes_in = cache(partial(_classes, root))
    names = classes_in(files[0].parent)
    if not names:
        return f"{root} has boxes of classes whose names are not there: put a data.yaml or classes.txt beside them."
    return partial(_read, classes_in) if are_symbols([*names.values()]) else f"{root} {no_symbols([*names.values()])}."


def _classes(root: Path, of: Path) -> Mapping[int, str]:
    """Names of the classes of the files in a folder: labelImg numbers them anew in each."""
    for folder in (of, *of.parents):
        for name in (*_DESCRIPTIONS, *_LISTS):
            if (folder / name).is_file() and (names := _names(folder / name)):
                return names
        if folder == root:
            break
    return {}


def _names(file: Path) -> dict[int, str]:
    text = text_of(file, MAX_BESIDE_BYTES)
    if file.name in _LISTS:
        return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
    from detector.data.trust import parse_yaml  # not needed for any other format

    try:
        content = parse_yaml(text)
    except ValueError:
        return {}
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        return {i: str(name) for i, name in enumerate(names)}
    names_by_id = names if isinstance(names, dict) else {}
    return {int(k): str(v) for k, v in names_by_id.items() if str(k).isdecimal() and len(str(k)) < _DIGITS}


def is_boxes(text: str) -> bool:
    """Test whether all lines of a file are boxes of classes."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return bool(lines) and all(_numbers(fields) is not None for fields in lines)


def _numbers(fields: list[str]) -> list[float] | None:
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return None
    if not (fields[0].isdecimal() and len(fields[0]) < _DIGITS):
        return None
    inside = all(-0.01 <= number <= 1.01 for number in numbers[1:])
    return numbers if len(numbers) in (5, *range(7, 2000, 2)) and inside else None


def _read(classes_in: Callable[[Path], Mapping[int, str]], file: Path, picture: Path) -> Row:
    boxes, classes = [], classes_in(file.parent)
    try:
        height, width = read_image(picture).shape[:2]
    except ImageError as error:
        return Row(0, picture.name, "", str(error))
    for line in text_of(file, MAX_BESIDE_BYTES).splitlines():
        if not line.strip():
            continue
        numbers = _numbers(line.split())
        if numbers is None:
            return Row(0, picture.name, "", f"{file.name} has a line that is no box: {line[:40]!r}")
        name = classes.get(int(numbers[0]), "")
        if not name:
            return Row(0, picture.name, "", f"the class {int(numbers[0])} of {file.name} has no name")
        if len(numbers) == 5:
            corners = from_shares(np.array(numbers[1:]), (width, height)).reshape(-1).tolist()
        else:
            corners = [side * share for share, side in zip(numbers[1:], (width, height) * len(numbers), strict=False)]
        xs, ys = corners[::2], corners[1::2]
        boxes.append(DrawnBox(name, min(xs), min(ys), max(xs), max(ys)))
    return drawn_row(0, picture.name, boxes)


FORMAT = Sidecar("yolo", ".txt", _recognise)
