"""``gt-txt`` and ``txt``: a file beside each picture, ``x.gt.txt`` (Tesseract's) or ``x.txt``, that holds its text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detector.data.labels.formats.model import MAX_BESIDE_BYTES, ReadBeside, Row, Sidecar, readable, text_of
from detector.data.labels.formats.yolo import is_boxes


def _read(file: Path, picture: Path) -> Row:
    lines = [line for line in text_of(file, MAX_BESIDE_BYTES).splitlines() if line.strip()]
    problem = "" if len(lines) < 2 else f"{file.name} has {len(lines)} lines, and a label is one"
    return Row(0, picture.name, lines[0] if lines else "", problem)


def _recognise(root: Path, files: Sequence[Path]) -> ReadBeside | str | None:
    return None if any(map(is_boxes, readable(files))) else _read


GT_TXT = Sidecar("gt-txt", ".gt.txt", _recognise, min_share=0.0)
TXT = Sidecar("txt", ".txt", _recognise)
