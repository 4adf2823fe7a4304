"""A set converted again with the decisions on it, beside the page that asked for it, and what that changed."""

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
from detector.data.yolo_dataset import ManifestRow, read_manifest
from detector.errors import DetectorError

log = logging.getLogger("detector")


@dataclass(frozen=True)
class SetDifference:
    """What differs between two states of a set, in pictures.

    Args:
        train_before: in the training split.
        train: the same afterwards.
        vouched: suspects that are none any more.
        corrected: with another text.
        left_out: that were in the set.
        returned: that were not.
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
    """Compare the pictures of a set by their names in its source."""
    rows_before, rows_after = ({row.source: row for row in rows} for rows in (before, after))
    pairs = [(rows_before[name], rows_after[name]) for name in rows_before.keys() & rows_after.keys()]
    return SetDifference(
        train_before=_trained(before),
        train=_trained(after),
        vouched=sum(a.status == "suspect" != b.status for a, b in pairs),
        corrected=sum(a.text != b.text for a, b in pairs),
        left_out=len(rows_before.keys() - rows_after.keys()),
        returned=len(rows_after.keys() - rows_before.keys()),
        new_suspects=sum(a.status != "suspect" == b.status for a, b in pairs),
        to_review=to_review,
    )


def _trained(rows: list[ManifestRow]) -> int:
    return sum(row.folder == "train" for row in rows)


@dataclass(frozen=True)
class Progress:
    """Where a conversion is.

    Args:
        state: of it.
        stage: what it does, with ``done`` of ``total``.
        message: why it failed.
        difference: what it changed.
    """

    state: Literal["never", "running", "done", "failed"] = "never"
    stage: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    difference: SetDifference | None = None


class Reconversion:
    """Converts a set again as it was converted, one run at a time, in a thread of its own.

    Args:
        root: the set's folder.
        finished: called when it has another state.
    """

    def __init__(self, root: Path, finished: Callable[[], None]) -> None:
        """Nothing runs yet."""
        self._root, self._finished, self._lock = root, finished, Lock()
        self._progress = Progress()

    @property
    def progress(self) -> Progress:
        """Progress as of now."""
        with self._lock:
            return self._progress

    @property
    def unknown(self) -> str:
        """Why the set cannot be converted from here; "" if it can."""
        if stored_arguments(self._root) is None:
            return "It is not kept how this set was converted: run the command that made it again."
        return ""

    def start(self) -> bool:
        """Start a conversion unless one is running; return whether it started."""
        with self._lock:
            if self._progress.state == "running":
                return False
            self._progress = Progress("running", "begin")
        Thread(target=self._run, name="conversion", daemon=True).start()
        return True

    def _report_progress(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            self._progress = Progress("running", stage, done, total)

    def _run(self) -> None:
        try:
            ended = Progress("done", difference=self._convert())
        except DetectorError as error:
            ended = Progress("failed", message=str(error))
        except Exception as error:  # a thread has nobody else to tell, and the page waits
            log.exception("the conversion failed")
            ended = Progress("failed", message=f"{type(error).__name__}: {error}")
        with self._lock:
            self._progress = ended

    def _convert(self) -> SetDifference:
        before, arguments = read_manifest(self._root), stored_arguments(self._root)
        if arguments is None:
            raise DetectorError(self.unknown)
        report = convert(**_known_arguments(arguments), out=self._root, overwrite=True, progress=self._report_progress)
        self._finished()
        return set_difference(before, read_manifest(self._root), report.to_review)


def _known_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Select the stored arguments that this version has."""
    return {name: value for name, value in arguments.items() if name in signature(convert).parameters}
