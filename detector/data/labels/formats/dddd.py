"""``dddd``: ``labels.txt`` of dddd_trainer: ``path<TAB>text``, paths relative to ``images/`` beside it."""

from __future__ import annotations

from functools import partial

from detector.data.labels.formats.model import Format, Head, Table
from detector.data.labels.formats.paddleocr import listed_before_tab, rows


def recognise(head: Head) -> Table | str | None:
    usual = head.file.name.lower() == "labels.txt" and (head.file.parent / "images").is_dir()
    if (usual or head.is_requested) and listed_before_tab(head):
        return Table(head.file, "dddd", partial(rows, head.file), images_first=True)
    return f"{head.file} has no lines path<TAB>text; its first is {head.first}." if head.is_requested else None


FORMAT = Format("dddd", (".txt",), recognise)
