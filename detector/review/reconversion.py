"""Conversion of a reviewed set with the decisions on it, in a thread, and what it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal

from detector.conversion.arguments import stored_arguments
from detector.conversion.convert import convert
from detector.data.sets.yolo_dataset import ManifestRow, read_manifest
from detector.errors import DetectorError

log = logging.getLogger("detector")


@dataclass(frozen=True)
class SetDifference:
    """Numbers of pictures that differ between two states of a set.

    Args:
        train_before, train: size of the training split, before and after.
        vouched: suspects that are no longer suspects.
        corrected: pictures with another text.
        left_out: pictures that are no longer in the set.
        returned: pictures that were not in the set before.
        new_suspects: pictures that became suspects.
        to_review: suspects that nobody has decided on.
    """

    train_before: int
    train: int
    vouched: int
    corrected: int
    left_out: int
    returned: int
    new_suspects: int
    to_review: int


def set_difference(before: list[ManifestRow], after: list[ManifestRow], to_review: int) -> SetDifference:
    """Compare two states of a set, by the names of pictures in its source."""
    rows_before, rows_after = ({row.source: row for row in rows} for rows in (before, after))
    pairs = [(rows_before[name], rows_after[name]) for name in rows_before.keys() & rows_after.keys()]
    return SetDifference(
        train_before=_training_count(before),
        train=_training_count(after),
        vouched=sum(a.status == "suspect" != b.status for a, b in pairs),
        corrected=sum(a.text != b.text for a, b in pairs),
        left_out=len(rows_before.keys() - rows_after.keys()),
        returned=len(rows_after.keys() - rows_before.keys()),
        new_suspects=sum(a.status != "suspect" == b.status for a, b in pairs),
        to_review=to_review,
    )


def _training_count(rows: list[ManifestRow]) -> int:
    """Count the pictures of the training split."""
    return sum(row.folder == "train" for row in rows)


@dataclass(frozen=True)
class ConversionProgress:
    """The progress of a conversion.

    Args:
        state: whether one has run.
        stage: the current step, as ``convert`` calls it.
        done, total: how many pictures of that step are done, and of how many.
        message: why it failed.
        difference: what it changed, once it is done.
    """

    state: Literal["never", "running", "done", "failed"] = "never"
    stage: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    difference: SetDifference | None = None


class Reconversion:
    """Converts a set again with its stored arguments, in a thread, one conversion at a time.

    Args:
        root: folder of the set.
        finished: called when the set has changed.
    """

    def __init__(self, root: Path, finished: Callable[[], None]) -> None:
        """Take the set; :meth:`start` converts it."""
        self._root, self._finished, self._lock = root, finished, Lock()
        self._progress = ConversionProgress()

    @property
    def progress(self) -> ConversionProgress:
        """Current progress."""
        with self._lock:
            return self._progress

    @property
    def unknown(self) -> str:
        """Reason why the set cannot be converted again; "" if it can."""
        if stored_arguments(self._root) is None:
            return "It is not kept how this set was converted: run the command that made it again."
        return ""

    def start(self) -> bool:
        """Start a conversion unless one is running; return whether it started."""
        with self._lock:
            if self._progress.state == "running":
                return False
            self._progress = ConversionProgress("running", "begin")
        Thread(target=self._run, name="conversion", daemon=True).start()
        return True

    def _report_progress(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            self._progress = ConversionProgress("running", stage, done, total)

    def _run(self) -> None:
        try:
            outcome = ConversionProgress("done", difference=self._convert())
        except DetectorError as error:
            outcome = ConversionProgress("failed", message=str(error))
        except Exception as error:  # the page waits for an outcome, and nothing else sees errors of this thread
            log.exception("the conversion failed")
            outcome = ConversionProgress("failed", message=f"{type(error).__name__}: {error}")
        with self._lock:
            self._progress = outcome

    def _convert(self) -> SetDifference:
        before, arguments = read_manifest(self._root), stored_arguments(self._root)
        if arguments is None:
            raise DetectorError(self.unknown)
        report = convert(**_known_arguments(arguments), out=self._root, overwrite=True, progress=self._report_progress)
        self._finished()
        return set_difference(before, read_manifest(self._root), report.to_review)


def _known_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Select the stored arguments that this version of ``convert`` takes."""
    return {name: value for name, value in arguments.items() if name in signature(convert).parameters}
