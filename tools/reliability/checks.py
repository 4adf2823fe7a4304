"""Checks of one input each, and what all of them check of the package's results; no command."""

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
from detector.data.sets.yolo_dataset import RejectRow
from detector.data.text_files import read_rows, write_csv
from detector.text.alphabet import Alphabet

PARTLY = "some inputs of it are refused"
"""What a check returns for a file that is taken but for some of its lines."""

Check = Callable[[random.Random, Path], str]
"""Writes files into a folder, and returns "" if they are taken, or the message of the refusal; the package's own errors
are refusals, too. It raises :class:`BrokenPromiseError` if inputs are lost."""


class BrokenPromiseError(AssertionError):
    """An input was lost, or a result cannot be right."""


def must(condition: object, message: str) -> None:
    """Raise :class:`BrokenPromiseError` if a condition is false."""
    if not condition:
        raise BrokenPromiseError(message)


def accepted_names(source: Source, folder: Path) -> list[str]:
    """Return the names of the pictures that `convert` accepts; check that all others are in its list of refusals."""
    resume = ResumeFolder.open(folder.parent / "work" / "checks", {"of": str(folder)})
    resume.discard()
    inputs = accept(source, Settings(Alphabet(), 8), resume, lambda stage, count, total: None)
    names = [item.name for item in inputs.items]
    must(len(names) + len(inputs.rejects) == source.count, f"{len(names)} + {len(inputs.rejects)} of {source.count}")
    must(len(set(names)) == len(names), "a picture is there twice")
    for item in inputs.items:
        must(item.text and (item.path.is_file() or shard_of(item.path)), f"{item.name} has no text or no file")
        must(item.boxes_xyxy is None or np.isfinite(item.boxes_xyxy).all(), f"{item.name} has a box that is nowhere")
    _check_round_trip(folder.parent / "rejects.csv", inputs.rejects)
    return names


def _check_round_trip(path: Path, rows: list[RejectRow]) -> None:
    """Check that refusals are read as they were written."""
    write_csv(path, RejectRow._fields, rows)
    with path.open(newline="", encoding="utf-8") as file:
        read_tuples = [tuple(row) for _, row in read_rows(file)][1:]
    must(read_tuples == [tuple(row) for row in rows], "rejects.csv is not read as it was written")
