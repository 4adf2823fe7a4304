"""Read shards of pictures into files of readings, on this machine or on many."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from detector.data.parallel import Progress, no_progress
from detector.errors import ArgumentError, SourceError
from detector.reading.reader import Reader
from detector.text.forms.string_model import StringModel
from detector.workflow.cluster.lost_jobs import MAX_LOSSES, LostJobsError
from detector.workflow.cluster.machines import machines_of
from detector.workflow.cluster.places import Place, Shard, shards_of
from detector.workflow.cluster.shard_readings import ReadingRequest, Tally, make_request, read_shard, stored_tally

_MAX_EXAMPLES = 3  # reasons in the message about shards that could not be read


@dataclass(frozen=True)
class ShardReadings(os.PathLike[str]):
    """The result of reading shards; it can be used as a path, that of the folder of readings.

    Args:
        folder: of the readings, a path or an address.
        shards: number of shards, and of files of readings.
        pictures: number of pictures, and of rows of readings.
        failed: number of pictures that could not be decoded; their rows have the reason.
        rejected: number of rejected readings.
        string_model: fitted to the readings of the first pictures; None if none was fitted.
        seconds: wall-clock time.
    """

    folder: str
    shards: int
    pictures: int
    failed: int
    rejected: int
    string_model: StringModel | None
    seconds: float

    def __fspath__(self) -> str:
        return self.folder


def predict_shards(
    weights: str | os.PathLike[str] | None,
    shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    ray: str | None = None,
    string_format: bool = True,
    device: str | None = None,
    pattern: str | None = None,
    min_confidence: float = 0.0,
    alternatives: int = 0,
    two_pass: bool | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> ShardReadings:
    """Read the pictures of shards, and write for each shard a file of readings of the same name, row for row.

    Files of readings are the same, byte for byte, whatever the number of machines. They are written atomically: after
    an interruption of any kind the same call continues, and every picture ends up in exactly one row. Files in ``out``
    that belong to other weights or options are never replaced.

    Args:
        weights: as :class:`detector.Reader` takes them; a path must exist on every machine.
        shards: a folder of Parquet files with the columns ``id`` and ``bytes``, as ``detector pack`` writes them; one
            such file; or several of both. Paths, or addresses as pyarrow takes them, such as ``s3://bucket/shards``.
        out: folder of the readings, likewise.
        ray: None reads in this process; otherwise the address of a Ray cluster, see
            :func:`detector.workflow.cluster.machines.machines_of`: one reader for each of its GPUs, or, if it has
            none, for each of its cores.
        string_format: whether to fit a string model to the first 2,000 pictures, as
            :meth:`detector.Reader.fitted_to` does.
        device, pattern, min_confidence, alternatives, two_pass, trust: as :class:`detector.Reader` takes them.
        progress: called with (stage, done, total); stage "read" counts shards.

    Raises:
        SourceError: if there are no shards; if some cannot be read, after all others are done, or at once if a string
            model is to be fitted to them.
        ArgumentError: if two shards have the same name, or ``out`` is their folder.
        DatasetError: if ``out`` holds other files with the names of shards, or cannot be written to.
        WeightsError, AlphabetError: as :class:`detector.Reader`.
        DependencyError: as :class:`detector.Reader`; if Ray is not installed, or no cluster answers.
        DiskFullError: if there is no room.
    """
    start = time.perf_counter()
    shard_list = shards_of([shards] if isinstance(shards, (str, os.PathLike)) else list(shards))
    target = Place.of(out)
    _check_separate(shard_list, target)
    target.check_writable()
    target.delete_parts({shard.name for shard in shard_list})
    arguments: dict[str, Any] = {
        "pattern": pattern, "min_confidence": min_confidence, "alternatives": alternatives, "two_pass": two_pass,
        "trust": trust,
    }  # fmt: skip
    progress = progress or no_progress
    tally, problems = Tally(), list[str]()
    with machines_of(ray) as machines:
        gpu = machines.gpus > 0 and device != "cpu"
        arguments["device"] = device if gpu or ray is None else "cpu"
        progress("learn", 0, 1)
        request = machines.call(make_request, _weights_argument(weights), arguments, shard_list, string_format, gpu=gpu)
        progress("learn", 1, 1)
        progress("read", 0, len(shard_list))
        try:
            for count, result in enumerate(machines.map(ShardReader(request, target), shard_list, gpu=gpu), 1):
                if isinstance(result, Tally):
                    tally += result
                else:
                    problems.append(result)
                progress("read", count, len(shard_list))
        except LostJobsError as error:
            problems += [f"{shard.place.path} ended {MAX_LOSSES + 1} workers that read it." for shard in error.jobs]
    if problems:
        examples = " ".join(sorted(problems)[:_MAX_EXAMPLES])
        raise SourceError(f"{len(problems)} of {len(shard_list)} shards could not be read; all others are. {examples}")
    return ShardReadings(
        os.fspath(out), len(shard_list), tally.pictures, tally.failed, tally.rejected, request.string_model,
        time.perf_counter() - start,
    )  # fmt: skip


@dataclass(frozen=True)
class ShardReader:
    """Reads shards on a worker; the reader is opened with the first shard that has no readings yet.

    Args:
        request: weights and options to read with.
        target: the folder of readings.
    """

    request: ReadingRequest
    target: Place

    @cached_property
    def _reader(self) -> Reader:
        return self.request.open()

    def __call__(self, shard: Shard) -> Tally | str:
        """Write the readings of a shard unless they exist; return its counts, or the reason why it cannot be read."""
        target = self.target / shard.name
        if (tally := stored_tally(target, shard, self.request.digest)) is not None:
            return tally
        try:
            return read_shard(self._reader, shard, target, self.request.digest)
        except SourceError as error:
            return str(error)


def _weights_argument(weights: str | os.PathLike[str] | None) -> str:
    """Return weights in a form that other machines understand: "shipped", or an absolute path."""
    return "shipped" if weights in (None, "shipped") else os.path.abspath(weights)


def _check_separate(shards: Sequence[Shard], target: Place) -> None:
    """Check that no file of readings would replace a shard.

    Raises:
        ArgumentError: if one would.
    """
    for shard in shards:
        if shard.place.filesystem.equals(target.filesystem) and (target / shard.name).path == shard.place.path:
            raise ArgumentError(f"{target.path} holds the shards themselves: readings go into another folder.")
