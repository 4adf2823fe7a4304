"""Read shards of pictures into files of readings, on this machine or on many."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from detector.errors import ArgumentError, SourceError
from detector.reading.reader import Reader
from detector.text.forms.string_model import StringModel
from detector.workflow.cluster.machines import machines_of
from detector.workflow.cluster.places import Place, Shard, shards_of
from detector.workflow.cluster.shard_readings import ReadingRequest, Tally, make_request, read_shard, tally_of

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is."""

_MAX_NAMED = 3  # shards of those that could not be read


@dataclass(frozen=True)
class ShardReadings(os.PathLike[str]):
    """What became of shards; it stands for the folder of readings wherever a path is taken.

    Args:
        folder: where the readings are.
        shards: files of pictures, and of readings.
        pictures: rows of each.
        failed: pictures that could not be decoded; their rows have the reason.
        rejected: readings that were rejected.
        string_model: what strings look like, as far as the first pictures told; None where nothing was learnt.
        seconds: of wall clock.
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
    """Read the pictures of shards; of each shard a file of readings of the same name, row for row, is written.

    Results do not depend on where they are made, or on how many machines: files of readings are the same, byte for
    byte. Each appears whole or not at all, so that a run that was stopped, however that came, is gone on with by the
    same call, and every picture is read into one row. What is in ``out`` and of other weights or options is never
    replaced.

    Args:
        weights: as :class:`detector.Reader` takes them; a path must be good on every machine.
        shards: a folder of Parquet files with the columns ``id`` and ``bytes``, as ``detector pack`` writes them,
            searched through; one such file; or several of both. Paths, or addresses as pyarrow takes them, such as
            ``s3://bucket/shards``.
        out: folder of the readings, likewise.
        ray: None reads on this machine, in this process; otherwise the address of a Ray cluster, see
            :func:`detector.workflow.cluster.machines.machines_of`; each of its GPUs reads, or, if it has none, each
            core.
        string_format: whether to learn what strings look like from the first 2,000 pictures, as
            :meth:`detector.Reader.fitted_to` does.
        device, pattern, min_confidence, alternatives, two_pass, trust: as :class:`detector.Reader` takes them.
        progress: called as the work goes on, with shards that are done.

    Raises:
        SourceError: if there are no shards; if some cannot be read, when all others are done, or at once where what
            strings look like is to be learnt from them.
        ArgumentError: if two shards have the same name, or ``out`` is in their folder.
        DatasetError: if ``out`` holds other files of such names.
        WeightsError, DependencyError, AlphabetError: as :class:`detector.Reader`; of Ray, too.
        DiskFullError: if there is no room.
    """
    began = time.perf_counter()
    listed = shards_of([shards] if isinstance(shards, (str, os.PathLike)) else list(shards))
    target = Place.of(out)
    _check_apart(listed, target)
    target.delete_parts({shard.name for shard in listed})
    arguments: dict[str, Any] = {
        "pattern": pattern, "min_confidence": min_confidence, "alternatives": alternatives, "two_pass": two_pass,
        "trust": trust,
    }  # fmt: skip
    progress = progress or (lambda stage, done, total: None)
    tally, problems = Tally(), list[str]()
    with machines_of(ray) as machines:
        gpu = machines.gpus > 0 and device != "cpu"
        arguments["device"] = device if gpu or ray is None else "cpu"
        progress("learn", 0, 1)
        request = machines.once(make_request, _spelt(weights), arguments, listed, string_format, gpu=gpu)
        progress("learn", 1, 1)
        progress("read", 0, len(listed))
        for done, result in enumerate(machines.map(ReadsShards(request, target), listed, gpu=gpu), 1):
            if isinstance(result, Tally):
                tally += result
            else:
                problems.append(result)
            progress("read", done, len(listed))
    if problems:
        examples = " ".join(sorted(problems)[:_MAX_NAMED])
        raise SourceError(f"{len(problems)} of {len(listed)} shards could not be read; all others are. {examples}")
    return ShardReadings(
        os.fspath(out), len(listed), tally.pictures, tally.failed, tally.rejected, request.string_model,
        time.perf_counter() - began,
    )  # fmt: skip


@dataclass(frozen=True)
class ReadsShards:
    """What a worker does with each shard; it opens its reader with the first one that is not done.

    Args:
        request: what to read with.
        target: the folder of readings.
    """

    request: ReadingRequest
    target: Place

    @cached_property
    def _reader(self) -> Reader:
        return self.request.open()

    def __call__(self, shard: Shard) -> Tally | str:
        """The shard's counts; in words why it could not be read."""
        target = self.target / shard.name
        if (done := tally_of(target, shard, self.request.digest)) is not None:
            return done
        try:
            return read_shard(self._reader, shard, target, self.request.digest)
        except SourceError as error:
            return str(error)


def _spelt(weights: str | os.PathLike[str] | None) -> str:
    """As each machine finds them."""
    return "shipped" if weights in (None, "shipped") else os.path.abspath(weights)


def _check_apart(shards: Sequence[Shard], target: Place) -> None:
    """Refuse to write among the pictures."""
    for shard in shards:
        if shard.place.filesystem.equals(target.filesystem) and (target / shard.name).path == shard.place.path:
            raise ArgumentError(f"{target.path} holds the shards themselves: readings go into another folder.")
