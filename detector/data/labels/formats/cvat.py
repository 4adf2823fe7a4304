"""``cvat``: CVAT's XML "for images": a box a character, or one text typed as an attribute of a box or a tag."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from detector.data.folders.image_files import MAX_BYTES
from detector.data.labels.formats.drawn import Mark, RowOfMarks, marks_as_labels
from detector.data.labels.formats.fields import TYPED_NAMES, plain
from detector.data.labels.formats.model import HEAD_LINES, Format, Head, Row, Table
from detector.errors import SourceError

_SHAPES = ("box", "tag", "polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton")
_MAX_TAG = 1 << 20
_CORNERS = ("xtl", "ytl", "xbr", "ybr")


def recognise(head: Head) -> Table | str | None:
    prolog, root, _ = head.text.partition("<annotations")
    if not root or prolog.lstrip()[:1] not in ("", "<"):
        is_xml = head.is_requested or head.text.lstrip().startswith("<")
        if not is_xml:
            return None
        kind = "XML of another kind than CVAT's for images, or not beside its picture"
        return f"{head.file} is {kind}: write path,text lines to a CSV."
    if "<!" in prolog.replace("<!--", ""):  # an entity may stand for more than memory holds
        return f"{head.file} has a document type, which CVAT's files have not: export it again."
    pictures = [_marks(image) for image in islice(_images(head.file), HEAD_LINES)]
    if not pictures:
        return f'{head.file} has no images: export it from CVAT again, as "CVAT for images 1.1".'
    row_of = marks_as_labels(pictures)
    if isinstance(row_of, str):
        return f"{head.file} {row_of}."
    return Table(head.file, "cvat", partial(_rows, head.file, row_of), ", marks of each image")


class _Source:
    """A file for the parser, whose time grows with the square of what is between two ends of tags."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.unended = stream, 0

    def read(self, size: int = -1, /) -> bytes:
        """Read some bytes.

        Raises:
            ValueError: if no tag ends in more than :data:`_MAX_TAG` bytes.
        """
        data = self.stream.read(size)
        end = data.rfind(b">")
        self.unended = len(data) - 1 - end if end >= 0 else self.unended + len(data)
        if self.unended > _MAX_TAG:
            raise ValueError(f"more than {_MAX_TAG} bytes without the end of a tag")
        return data


def _images(file: Path) -> Iterator[ElementTree.Element]:
    """Yield the elements of images, one by one; others are dropped as they come.

    Raises:
        SourceError: if the file is too large, or damaged.
    """
    if file.stat().st_size > MAX_BYTES:
        raise SourceError(f"{file} has {file.stat().st_size / 1e6:.0f} MB, and at most {MAX_BYTES / 1e6:g} are read.")
    outside: list[ElementTree.Element] = []  # what is not closed yet and is in no image
    depth = 0  # in an image
    try:
        with open(file, "rb") as stream:
            for event, element in ElementTree.iterparse(_Source(stream), ("start", "end")):
                is_start = event == "start"
                if depth or element.tag == "image":
                    depth += 1 if is_start else -1
                    if not (depth or is_start):
                        yield element
                elif is_start:
                    outside.append(element)
                else:
                    outside.pop()
                if outside and not (depth or is_start):
                    outside[-1].clear()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # of an encoding, too
        raise SourceError(f"{file} is damaged ({error}): export it again.") from None


def _marks(image: ElementTree.Element) -> list[Mark]:
    marks = []
    for shape in image:
        if shape.tag in _SHAPES:
            values = {
                (a.text or "").strip() for a in shape.iter("attribute") if plain(a.get("name", "")) in TYPED_NAMES
            } - {""}
            text = values.pop() if len(values) == 1 else ""
            marks.append(Mark(shape.get("label", "").strip(), text, _box_xyxy(shape)))
    return marks


def _box_xyxy(shape: ElementTree.Element) -> tuple[float, float, float, float] | None:
    try:
        x1, y1, x2, y2 = (float(shape.get(corner, "")) for corner in _CORNERS)
        return None if float(shape.get("rotation", "0")) % 360 else (x1, y1, x2, y2)
    except ValueError:
        return None


def _rows(file: Path, row_of: RowOfMarks) -> Iterator[Row]:
    for number, image in enumerate(_images(file), 1):
        yield row_of(number, image.get("name", ""), _marks(image))


FORMAT = Format("cvat", (".xml", ""), recognise)
