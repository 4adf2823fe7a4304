"""``yolo``: a text file for each picture, ``class cx cy w h`` a character, beside it or in ``labels/``; polygons, too.

The classes' names come from ``data.yaml``, ``classes.txt``, ``obj.names`` or ``_darknet.labels`` in a folder above;
where several of one folder name a class differently, it has no name that can be relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from detector.data.images import read_image
from detector.data.labels.formats.drawn import are_symbols, drawn_row, no_symbols
from detector.data.labels.formats.model import (
    MAX_BESIDE_BYTES,
    DrawnBox,
    ReadBeside,
    Row,
    Sidecar,
    quoted,
    readable,
    text_of,
)
from detector.data.letterbox import from_shares
from detector.errors import ImageError

_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_DIGITS = 10  # of the number of a class, and more
_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")


class _Classes(NamedTuple):
    """Names of classes, and what is wrong with those about which two files disagree."""

    names: Mapping[int, str]
    problems: Mapping[int, str]


def _recognise(root: Path, files: Sequence[Path]) -> ReadBeside | str | None:
    if not any(map(is_boxes, readable(files))):
        return None
    classes_in = cache(partial(_classes, root))
    names = [name for name in classes_in(files[0].parent).names.values() if name]
    if not names:
        return f"{root} has boxes of classes whose names are not there: put a data.yaml or classes.txt beside them."
    return partial(_read, classes_in) if are_symbols(names) else f"{root} {no_symbols(names)}."


def _classes(root: Path, of: Path) -> _Classes:
    """Classes of the files in a folder: labelImg numbers them anew in each."""
    for folder in (of, *of.parents):
        files = [folder / name for name in (*_DESCRIPTIONS, *_LISTS) if (folder / name).is_file()]
        if named := [(file.name, names) for file in files if (names := _names(file))]:
            return _agreed(named)
        if folder == root:
            break
    return _Classes({}, {})


def _agreed(named: Sequence[tuple[str, Mapping[int, str]]]) -> _Classes:
    """Return the classes of the first file, with a problem for each that another one names differently."""
    first_file, first_names = named[0]
    problems = {}
    for file, names in named[1:]:
        for number, name in first_names.items():
            other = names.get(number, "")
            if other.strip() and name.strip() and other != name:
                problems[number] = f"{quoted(name, 40)} in {first_file} and {quoted(other, 40)} in {file}"
    return _Classes(first_names, problems)


def _names(file: Path) -> dict[int, str]:
    text = text_of(file, MAX_BESIDE_BYTES)
    if file.name in _LISTS:
        return dict(enumerate(line.strip() for line in text.rstrip().splitlines()))  # an empty line is a class, too
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


def _read(classes_in: Callable[[Path], _Classes], file: Path, picture: Path) -> Row:
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
        number = int(numbers[0])
        name = classes.names.get(number, "")
        if not name or number in classes.problems:
            what = f"is {classes.problems[number]}: correct one of them" if name else "has no name"
            return Row(0, picture.name, "", f"the class {number} of {file.name} {what}")
        if len(numbers) == 5:
            corners = from_shares(np.array(numbers[1:]), (width, height)).reshape(-1).tolist()
        else:
            corners = [side * share for share, side in zip(numbers[1:], (width, height) * len(numbers), strict=False)]
        xs, ys = corners[::2], corners[1::2]
        boxes.append(DrawnBox(name, min(xs), min(ys), max(xs), max(ys)))
    return drawn_row(0, picture.name, boxes)


FORMAT = Sidecar("yolo", ".txt", _recognise)
