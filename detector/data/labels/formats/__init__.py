"""Formats of labels, one small reader a file: a new format is a new file and a line in a table here.

Nothing is decided here about images or texts, except that a file is likelier a list of images if the listed
files exist. Fields are text throughout: no number is parsed, leading zeros stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detector.data.labels.formats import (
    beside,
    box_table,
    coco,
    cvat,
    delimited,
    json_file,
    jsonl,
    label_studio,
    labelme,
    other,
    paddleocr,
    ppocrlabel,
    spaced,
    via,
    voc,
    yolo,
)
from detector.data.labels.formats.folders import Folders
from detector.data.labels.formats.model import HEAD_BYTES, Columns, DrawnBox, Format, Head, Row, Sidecar, Table, decode
from detector.errors import SourceError

FORMATS: tuple[Format, ...] = (
    cvat.FORMAT,
    via.FORMAT,
    box_table.FORMAT,
    label_studio.FORMAT,
    delimited.HEADED,
    coco.FORMAT,
    json_file.FORMAT,
    jsonl.FORMAT,
    ppocrlabel.FORMAT,
    paddleocr.DDDD,
    paddleocr.FORMAT,
    delimited.TSV,
    delimited.CSV,
    spaced.FORMAT,
)
"""Of files that list images, in the order in which they are tried: the most particular first."""

SIDECARS: tuple[Sidecar, ...] = (beside.GT_TXT, voc.FORMAT, yolo.FORMAT, beside.TXT, labelme.FORMAT)
"""Of a file for each image, likewise."""

TABLE_NAMES = tuple(dict.fromkeys(form.name for form in FORMATS))
SIDECAR_NAMES = tuple(form.name for form in SIDECARS)
TABLE_SUFFIXES = frozenset(suffix for form in FORMATS for suffix in form.suffixes if suffix)
"""Endings of files that may list images."""

__all__ = ("FORMATS", "SIDECARS", "SIDECAR_NAMES", "TABLE_NAMES", "TABLE_SUFFIXES", "Columns", "DrawnBox", "Folders",
           "Row", "Sidecar", "Table", "recognise")  # fmt: skip


def recognise(file: Path, format_name: str | None, columns: Columns, bases: Sequence[Path] = ()) -> Table:
    """Find out from its head how a label file is written.

    Args:
        format_name: the format, if it is known.
        columns: names of the image's and the text's column, where they are not the usual ones.
        bases: where its images may lie, beside its own folder.

    Raises:
        SourceError: if it cannot be read, is no label file, its columns cannot be told, or it is not UTF-8.
    """
    if file.exists() and not file.is_file():
        raise SourceError(f"{file} is not a regular file: give a label file.")
    if description := other.description_of(file):
        raise SourceError(f"{file} is {description}.")
    text = _head_of(file)
    folders = Folders([file.parent, file.parent / "images", *bases])
    head = Head(file, text, columns, folders, format_name is not None)
    if not head.lines:
        raise SourceError(f"{file} is empty, or no text.")
    suffix = file.suffix.lower() if file.suffix.lower() in TABLE_SUFFIXES else ""
    problems: list[str] = []
    for form in FORMATS:
        if format_name != form.name if format_name else suffix not in form.suffixes:
            continue
        try:
            result = form.recognise(head)
        except SourceError as error:
            result = str(error)
        if isinstance(result, Table):
            return result
        if result:
            problems.append(result)
    raise SourceError(
        problems[0] if problems else f"{file} is no label file that is known; its first line is {head.first}."
    )


def _head_of(file: Path) -> str:
    try:
        with open(file, "rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}.") from error
    if len(head) == HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head.decode("utf-8-sig", "ignore").encode()
    return decode(head, file)
