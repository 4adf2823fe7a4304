"""What a check of an input is, and what each must hold of what the package makes of it; no command."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from detector.conversion.inputs import accept
from detector.conversion.settings import Settings
from detector.data.folders.resume_folder import ResumeFolder
from detector.data.labels.sources import Source
from detector.data.packs.shard_rows import shard_of
from detector.data.text_files import read_rows, write_csv
from detector.data.yolo_dataset import RejectRow
from detector.text.alphabet import Alphabet

PARTLY = "some inputs of it are refused"
"""What a check returns of a file that is taken but for some of its lines."""

Check = Callable[[random.Random, Path], str]
"""Makes files in a folder, and returns "" if they are taken, or what the refusal says; the package's own errors are
refusals, too. :class:`BrokenPromiseError` is what it raises where inputs are lost."""


class BrokenPromiseError(AssertionError):
    """An input was lost, or came out as what it cannot be."""


def must(holds: object, message: str) -> None:
    """Raise where something does not hold."""
    if not holds:
        raise BrokenPromiseError(message)


def accepted(source: Source, folder: Path, table: Alphabet | None = None) -> list[str]:
    """Names of the pictures that `convert` would go on with; all others are in its list of refusals."""
    resume = ResumeFolder.open(folder.parent / "work" / "looks", {"of": str(folder)})
    resume.discard()
    inputs = accept(source, Settings(table or Alphabet(), 8), resume, lambda stage, count, total: None)
    names = [item.name for item in inputs.items]
    must(len(names) + len(inputs.rejects) == source.count, f"{len(names)} + {len(inputs.rejects)} of {source.count}")
    must(len(set(names)) == len(names), "a picture is there twice")
    for item in inputs.items:
        must(item.text and (item.path.is_file() or shard_of(item.path)), f"{item.name} has no text or no file")
        must(item.boxes_xyxy is None or np.isfinite(item.boxes_xyxy).all(), f"{item.name} has a box that is nowhere")
    _come_back(folder.parent / "rejects.csv", inputs.rejects)
    return names


def _come_back(path: Path, rows: list[RejectRow]) -> None:
    """Refusals are written and read as the same."""
    write_csv(path, RejectRow._fields, rows)
    with path.open(newline="", encoding="utf-8") as file:
        rejected_rows = [tuple(row) for _, row in read_rows(file)][1:]
    must(rejected_rows == [tuple(row) for row in rows], "rejects.csv does not come back as it was written")
