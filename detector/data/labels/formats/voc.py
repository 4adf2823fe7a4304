"""``voc``: Pascal VOC's XML beside each picture or in ``Annotations/``: a character's box an object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from detector.data.images import read_file
from detector.data.labels.formats.drawn import are_symbols, drawn_row, no_symbols
from detector.data.labels.formats.model import MAX_BESIDE_BYTES, DrawnBox, ReadBeside, Row, Sidecar
from detector.errors import ImageError

_NAME = re.compile(r"<object>\s*<name>([^<]*)</name>")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def _read(file: Path, picture: Path) -> Row:
    try:
        data = read_file(file, MAX_BESIDE_BYTES)
    except ImageError as error:
        return Row(0, picture.name, "", f"{file.name} cannot be read: {error}")
    if b"<!ENTITY" in data.replace(b"\0", b""):  # in UTF-16, too
        return Row(0, picture.name, "", f"{file.name} defines entities, which VOC's files do not")
    try:
        root = ElementTree.fromstring(data)
        boxes = [
            DrawnBox(
                (element.findtext("name") or "").strip(),
                *(float(element.findtext(f"bndbox/{c}") or "") for c in _CORNERS),
            )
            for element in root.iter("object")
        ]
    except (ElementTree.ParseError, ValueError) as error:
        return Row(0, picture.name, "", f"{file.name} is no VOC file ({error})")
    return drawn_row(0, picture.name, boxes)


def _recognise(root: Path, files: Sequence[Path]) -> ReadBeside | str | None:
    names = [name.strip() for file in files for name in _NAME.findall(_text_of(file))]
    return f"{root} {no_symbols(names)}." if names and not are_symbols(names) else _read


def _text_of(file: Path) -> str:
    """Read the text of a file; "" if it cannot be read."""
    try:
        return read_file(file, MAX_BESIDE_BYTES).decode("utf-8", "replace")
    except ImageError:
        return ""


FORMAT = Sidecar("voc", ".xml", _recognise)
