"""``paddleocr``: ``path<TAB>text``, no header, no quotes; ``["a.jpg", "b.jpg"]<TAB>text`` is two images.

``dddd``: ``labels.txt`` of dddd_trainer is the same, its paths relative to ``images/`` beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from detector.data.labels.formats.model import Format, Head, Row, Table, json_of, opened_lines


def _listed_before_tab(head: Head) -> bool:
    """Test whether most lines are a path, a tab and more."""
    tabbed = [line.partition("\t") for line in head.lines if "\t" in line]
    listed = sum(image.startswith("[") or head.folders.plausible(image) for image, _, _ in tabbed)
    return 2 * listed > len(head.lines) or (head.is_requested and bool(tabbed))


def _recognise(head: Head, name: str) -> Table | str | None:
    if _listed_before_tab(head):
        return Table(head.file, name, partial(_rows, head.file), images_first=name == "dddd")
    return f"{head.file} has no lines path<TAB>text; its first is {head.first}." if head.is_requested else None


def _recognise_dddd(head: Head) -> Table | str | None:
    is_usual = head.file.name.lower() == "labels.txt" and (head.file.parent / "images").is_dir()
    return _recognise(head, "dddd") if is_usual or head.is_requested else None


def _rows(file: Path) -> Iterator[Row]:
    for number, line in opened_lines(file):
        listed, tab, label = line.partition("\t")
        paths = json_of(listed) if listed.startswith("[") else None
        several = isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths)
        for image in paths if several and isinstance(paths, list) else [listed]:
            yield Row(number, image, label.partition("\t")[0], "" if tab else "no tab between path and text")


FORMAT = Format("paddleocr", (".txt", ".lst", ""), lambda head: _recognise(head, "paddleocr"))
DDDD = Format("dddd", (".txt",), _recognise_dddd)
