"""``ppocrlabel``: PPOCRLabel's ``Label.txt``: ``path<TAB>[{"transcription": …, "points": …}, …]``.

It lists what was marked in whole pictures. A picture with one text is read as that; one with more belongs cropped, as
PPOCRLabel's "Export Recognition Result" does it, whose ``rec_gt.txt`` goes before this.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from detector.data.labels.formats.fields import row_of_texts
from detector.data.labels.formats.model import Format, Head, Row, Table, json_of, opened_lines

_UNTYPED = ("TEMPORARY", "NULL", "待识别", "无法识别")
"""What PPOCRLabel writes, in its two languages, for a box without a text: drawn only, or not read by its reader."""


def recognise(head: Head) -> Table | str | None:
    hits = sum(_marks(line) is not None for line in head.lines)
    if 2 * hits > len(head.lines):
        return Table(head.file, "ppocrlabel", partial(_rows, head.file), second_choice=True)
    return f"{head.file} is no list of PPOCRLabel; its first line is {head.first}." if head.is_requested else None


def _marks(line: str) -> list[dict[str, Any]] | None:
    _, tab, content = line.partition("\t")
    marks = json_of(content) if tab and content.lstrip().startswith("[") else None
    return marks if isinstance(marks, list) and all(isinstance(m, dict) and "points" in m for m in marks) else None


def _rows(file: Path) -> Iterator[Row]:
    for number, line in opened_lines(file):
        image, marks = line.partition("\t")[0], _marks(line)
        if marks is None:
            yield Row(number, image, "", "no list of marks after a tab")
            continue
        row = row_of_texts(number, image, [mark.get("transcription") for mark in marks])
        if row.text == "###":
            row = row._replace(problem="its text is marked as unreadable (###)")
        elif row.text in _UNTYPED:
            row = row._replace(
                problem=f"its text is {row.text!r}, which PPOCRLabel writes where none was typed: type it"
            )
        yield row


FORMAT = Format("ppocrlabel", (".txt", ""), recognise)
