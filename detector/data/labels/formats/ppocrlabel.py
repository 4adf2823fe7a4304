"""``ppocrlabel``: PPOCRLabel's ``Label.txt``: ``path<TAB>[{"transcription": …, "points": …}, …]``.

It lists what was marked in whole pictures. A picture with one text is read as that; one with more belongs cropped, as
PPOCRLabel's "Export Recognition Result" does it, whose ``rec_gt.txt`` goes before this.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from detector.data.labels.formats.model import Format, Head, Row, Table, json_of, opened_lines


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
        texts = [str(mark.get("transcription", "")) for mark in marks]
        problem = "" if len(texts) == 1 else f"{len(texts)} texts are marked in it: crop them to pictures of one"
        if texts == ["###"]:
            problem = "its text is marked as unreadable (###)"
        yield Row(number, image, texts[0] if texts else "", problem)


FORMAT = Format("ppocrlabel", (".txt", ""), recognise)
