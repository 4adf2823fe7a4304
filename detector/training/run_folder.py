"""A run's folder: how far training got, where it goes on, and which weights to read with it left.

RUN/
  args.yaml            every argument, as `yolo train` writes it
  results.csv          a row an epoch
  arithmetic.json      how it computes on this CPU
  published.json       the weights to read with: :class:`Published`
  processes.json       who trains it, where several processes do: processes/restart.py
  weights/last.pt      the last epoch, to go on from; without its optimizer when training is at its end
  weights/best.pt      the epoch that read best
  weights/start.pt     what training started from

Training can be stopped at any moment, and goes on from what its folder says. The folder is where the named file lies:
paths of the place where the run began, which a copy on another machine holds too, are not followed.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from detector.data.atomic import atomic_write
from detector.data.folders.owned import file_hash
from detector.data.text_files import is_utf8
from detector.errors import ArgumentError, DetectorError

RUNS = Path("runs")
"""Where runs land, and the newest one to resume is looked for."""

ARGUMENTS, RESULTS, LAST, BEST = "args.yaml", "results.csv", "last.pt", "best.pt"

START = "start.pt"
"""In the folder of a run's weights: those that it started from."""

ARITHMETIC = "arithmetic.json"
"""How a run computes on this CPU, so that it goes on in the same way."""

PROCESSES = "processes.json"
"""Which processes train a run, so that they go on with it after they were started again."""

_PUBLISHED = "published.json"

FILES = (ARGUMENTS, RESULTS, ARITHMETIC, _PUBLISHED, *(f"weights/{name}" for name in (LAST, BEST, START)))
"""All that training with the default arguments leaves in a run's folder."""


def check_recordable(values: Iterable[Any]) -> None:
    """Refuse paths and names that :data:`ARGUMENTS`, which Ultralytics writes in UTF-8, cannot hold.

    Raises:
        DetectorError: naming the first.
    """
    for value in values:
        if not is_utf8(str(value)):
            raise DetectorError(
                f"{value}: the name is not UTF-8, and a training run, which records it, takes no other: rename it, or "
                "choose another folder."
            )


@dataclass(frozen=True)
class Published:
    """The weights to read with that a run left, written down before they lie there.

    Attributes:
        run: the run's folder when they were written; a copy of it has published nothing.
        name: of their file, in the folder for weights.
        sha256: what that file may hold: the weights that are being written, and those that they replace.
        done: whether training was at its end, and they lie there.
    """

    run: str
    name: str
    sha256: tuple[str, ...]
    done: bool

    @classmethod
    def read(cls, run: Path) -> Published | None:
        """Read the record; None if it is missing or unreadable."""
        try:
            fields = json.loads((run / _PUBLISHED).read_text(encoding="utf-8"))
            return cls(str(fields["run"]), str(fields["name"]), tuple(map(str, fields["sha256"])), bool(fields["done"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self) -> None:
        """Write the record into the run's folder."""
        with atomic_write(Path(self.run) / _PUBLISHED) as part:
            part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def with_more(self, sha256: str) -> Published:
        """Return the record with one more hash of weights that may lie there."""
        return replace(self, sha256=(*self.sha256, sha256))

    def is_of(self, run: Path) -> bool:
        """Test whether a folder is the run's own, however its path is spelt, and no copy of it."""
        return os.path.realpath(self.run) == os.path.realpath(run)

    def owns(self, path: Path) -> bool:
        """Test whether the path holds these weights, or nothing."""
        return not path.exists() or (path.is_file() and file_hash(path) in self.sha256)


def publishing(run: Path, target: Path, replaces: bool) -> Published:
    """Return the record of a run's weights, written before they are; ``replaces``: what lies there is its own."""
    hashes = (file_hash(target),) if replaces and target.is_file() else ()
    return Published(str(run), target.name, hashes, done=False)


def keep_start(run: Path, weights: str | None) -> None:
    """Copy the weights that a run starts from into its folder; None where it starts from scratch."""
    start = run / "weights" / START
    if weights is None:
        start.unlink(missing_ok=True)  # of another run in this folder (exist_ok)
    elif not (start.exists() and start.samefile(weights)):
        with atomic_write(start) as part:
            shutil.copyfile(weights, part)


def start_of(run: Path) -> Path | None:
    """Return the weights that a run started from, resumed or not; None where it was trained from scratch."""
    start = run / "weights" / START
    return start if start.is_file() else None


def clear_earlier(run: Path, arguments: Mapping[str, Any], start: str | None) -> dict[str, Any]:
    """Delete what an earlier run in the same folder (``exist_ok``) would be resumed by.

    Args:
        run: the folder, which need not be there.
        arguments: of the new run.
        start: which of them names the weights that it starts from; None where that is from scratch.

    Returns:
        The arguments; those weights are where they are kept, as they may have been of the earlier run.

    Raises:
        ArgumentError: if another argument names weights of the earlier run; nothing is deleted then.
    """
    if not run.is_dir():
        return dict(arguments)
    for name in ("model", "pretrained", "distill_model"):
        path = Path(str(arguments.get(name)))
        if name != start and any(_is_same(path, run / "weights" / file) for file in (LAST, BEST, START)):
            raise ArgumentError(
                f"{name}={path} is of the run that exist_ok=True replaces: copy it to another folder first, or give "
                "another name=."
            )
    (run / "weights").mkdir(exist_ok=True)
    keep_start(run, arguments[start] if start else None)
    for path in (run / _PUBLISHED, run / RESULTS, run / "weights" / LAST, run / "weights" / BEST):
        path.unlink(missing_ok=True)
    return {**arguments, start: str(run / "weights" / START)} if start else dict(arguments)


def _is_same(path: Path, other: Path) -> bool:
    return path.is_file() and other.is_file() and path.samefile(other)


def forget(run: Path) -> None:
    """Delete all that a run in this folder would be resumed by; published weights stay."""
    for name in FILES:
        (run / name).unlink(missing_ok=True)


def read_results(run: Path) -> list[dict[str, str]]:
    """Read the rows of a run's table, one for each finished epoch, in order; a truncated line is skipped."""
    try:
        text = (run / RESULTS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    lines = text[: text.rfind("\n") + 1].splitlines()
    rows: dict[int, dict[str, str]] = {}
    for row in csv.DictReader(lines):
        if None not in row.values() and None not in row:
            rows[int(row["epoch"])] = row  # an epoch that was done again has two
    return [rows[epoch] for epoch in sorted(rows)]


def keep_results(run: Path, epochs: int) -> None:
    """Drop rows of a run's table after the last checkpoint: those epochs are done again."""
    rows = [row for row in read_results(run) if int(row["epoch"]) <= epochs]
    if not rows:
        (run / RESULTS).unlink(missing_ok=True)
        return
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]  # no value has a comma
    with atomic_write(run / RESULTS) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def checkpoint_of(resume: str | Path | bool) -> Path:
    """Return the named checkpoint, or ``weights/last.pt`` of the run's folder or of the newest run.

    Raises:
        ArgumentError: if it is no path, and not True.
        DetectorError: if there is none in :data:`RUNS`, the only place where the newest run is looked for.
    """
    if resume is True:
        return _latest_run() / "weights" / LAST
    if not isinstance(resume, (str, Path)):
        raise ArgumentError(f"resume={resume!r}: give a run's folder or checkpoint, or True for the newest run.")
    path = Path(os.path.abspath(resume))
    return path / "weights" / LAST if path.is_dir() else path


def _latest_run() -> Path:
    files = [*RUNS.glob(f"*/weights/{LAST}"), *RUNS.glob(f"*/{ARGUMENTS}")]
    if not files:
        raise DetectorError(f"There is no run to resume in {RUNS.absolute()}: give resume=RUN/weights/last.pt.")
    newest = max(files, key=lambda path: path.stat().st_mtime)
    return (newest.parent if newest.name == ARGUMENTS else newest.parent.parent).absolute()
