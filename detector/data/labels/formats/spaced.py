"""``spaced``: ``path TEXT``, a space between, as MMOCR's lists are; the path ends with a picture's ending."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from detector.data.folders.image_files import IMAGE_SUFFIXES
from detector.data.labels.formats.model import Format, Head, Row, Table, opened_lines

_LINE = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))}))[ \t]+(\S.*)", re.IGNORECASE)


def recognise(head: Head) -> Table | str | None:
    if 2 * sum(_LINE.fullmatch(line.strip()) is not None for line in head.lines) > len(head.lines):
        return Table(head.file, "spaced", partial(_rows, head.file))
    return f"{head.file} has no lines `path TEXT`; its first is {head.first}." if head.is_requested else None


def _rows(file: Path) -> Iterator[Row]:
    for number, line in opened_lines(file):
        match = _LINE.fullmatch(line.strip())
        yield Row(number, match[1], match[2]) if match else Row(number, line, "", "no space between path and text")


FORMAT = Format("spaced", (".txt", ".lst", ""), recognise)
