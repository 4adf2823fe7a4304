"""``paddleocr``: ``path<TAB>text``, no header, no quotes; ``["a.jpg", "b.jpg"]<TAB>text`` is two images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from detector.data.labels.formats.fields import json_of
from detector.data.labels.formats.model import Format, Head, Row, Table, opened_lines


def listed_before_tab(head: Head) -> bool:
    """Whether most lines are a path, a tab and more."""
    tabbed = [line.partition("\t") for line in head.lines if "\t" in line]
    listed = sum(image.startswith("[") or head.folders.plausible(image) for image, _, _ in tabbed)
    return 2 * listed > len(head.lines) or (head.is_requested and bool(tabbed))


def recognise(head: Head) -> Table | str | None:
    if listed_before_tab(head):
        return Table(head.file, "paddleocr", partial(rows, head.file))
    return f"{head.file} has no lines path<TAB>text; its first is {head.first}." if head.is_requested else None


def rows(file: Path) -> Iterator[Row]:
    """All inputs of such a list."""
    for number, line in opened_lines(file):
        listed, tab, label = line.partition("\t")
        paths = json_of(listed) if listed.startswith("[") else None
        several = isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths)
        for image in paths if several and isinstance(paths, list) else [listed]:
            yield Row(number, image, label.partition("\t")[0], "" if tab else "no tab between path and text")


FORMAT = Format("paddleocr", (".txt", ".lst", ""), recognise)
