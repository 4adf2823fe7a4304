"""The readings of one shard, as a Parquet file of the same name, written atomically.

Its metadata has the size of the shard and a hash of everything that it was read with. A worker that is given the same
shard again, after a node or the whole run was lost, sees by them, and by the times of both files, that its readings
exist. Times are in no metadata: readings are the same, byte for byte, wherever they are made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from detector.data.folders.owned import file_hash, tree_hash
from detector.data.folders.resume_folder import package_hash
from detector.data.packs import shards
from detector.errors import DatasetError, DetectorError, SourceError
from detector.reading.reader import Failure, Reader
from detector.text.detections import Reading
from detector.text.forms.fitting import MAX_LEARNT
from detector.text.forms.string_model import StringModel
from detector.workflow.cluster.places import Place, Shard

_METADATA = b"detector"
_ROWS = 1024  # of readings that are written at once

_CHARACTER = pa.struct([("symbol", pa.string()), ("confidence", pa.float64()), ("xyxy", pa.list_(pa.float64()))])
_ALTERNATIVE = pa.struct([("text", pa.string()), ("confidence", pa.float64())])
READINGS = pa.schema([
    ("id", pa.string()), ("text", pa.string()), ("confidence", pa.float64()), ("rejected", pa.string()),
    ("rejected_text", pa.string()), ("unconstrained_text", pa.string()), ("error", pa.string()),
    ("characters", pa.list_(_CHARACTER)), ("alternatives", pa.list_(_ALTERNATIVE)),
])  # fmt: skip
"""Columns of readings: the id, the keys of :meth:`detector.Reading.to_dict`, and ``error``, the reason why a picture
cannot be decoded; null where a column does not apply."""


@dataclass(frozen=True)
class Tally:
    """Counts of one or more shards.

    Args:
        pictures: number of pictures.
        failed: number of pictures that could not be decoded.
        rejected: number of rejected readings.
    """

    pictures: int = 0
    failed: int = 0
    rejected: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.pictures + other.pictures, self.failed + other.failed, self.rejected + other.rejected)


@dataclass(frozen=True)
class ReadingRequest:
    """Everything that readings depend on beside the pictures; a machine where it differs refuses to read.

    Args:
        weights: a path that exists on each machine, or "shipped".
        arguments: of :class:`detector.Reader`.
        weights_hash: of the weights' file, or of the files of an exported folder.
        package: hash of this package.
        string_model: fitted to the readings of the first pictures; None if none was fitted.
    """

    weights: str
    arguments: dict[str, Any]
    weights_hash: str
    package: str
    string_model: StringModel | None

    @cached_property
    def digest(self) -> str:
        """Hash of the request, without the weights' path and the device."""
        model = None if self.string_model is None else self.string_model.to_dict()
        arguments = {name: value for name, value in self.arguments.items() if name not in ("device", "trust")}
        content = [self.weights_hash, arguments, self.package, model]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def open(self) -> Reader:
        """Open the reader on this machine.

        Raises:
            WeightsError: if the weights are missing here.
            DetectorError: if the weights or this package differ from those where the request was made.
        """
        reader = Reader(self.weights, **self.arguments)
        if hash_of_weights(reader.weights) != self.weights_hash or package_hash() != self.package:
            raise DetectorError(
                f"{os.uname().nodename} has another {self.weights}, or another version of this package, than the "
                "machine that began: readings would depend on where they are made. Install the same on all."
            )
        if self.string_model is not None:
            reader.config = replace(reader.config, string_model=self.string_model)
        return reader


def make_request(
    weights: str, arguments: dict[str, Any], shard_list: Iterable[Shard], string_format: bool
) -> ReadingRequest:
    """Open the weights, fit a string model to the first 2,000 pictures if wanted, and return the request.

    Args:
        weights: a path or "shipped".
        arguments: of :class:`detector.Reader`.
        shard_list: shards in their order; only the first are read.
        string_format: whether to fit a string model, unless the reader has a pattern or a model.

    Raises:
        WeightsError, DependencyError, AlphabetError, ArgumentError: as :class:`detector.Reader`.
        SourceError: if the first shards cannot be read.
    """
    reader = Reader(weights, **arguments)
    model = None
    if string_format and not reader.config.is_constrained:
        rows = (data or b"" for shard in shard_list for _, data in pictures_of(shard))
        model = reader.fitted_to(islice(rows, MAX_LEARNT)).string_model
    return ReadingRequest(weights, arguments, hash_of_weights(reader.weights), package_hash(), model)


def hash_of_weights(path: Path) -> str:
    """Hash a file of weights, or the files of an exported folder with their names."""
    if path.is_file():
        return file_hash(path)
    return tree_hash(path, filter(Path.is_file, path.rglob("*")))


def pictures_of(shard: Shard) -> Iterator[tuple[str, bytes | None]]:
    """Yield (id, bytes) of each row, in constant memory; None for a row without bytes.

    Raises:
        SourceError: as :func:`detector.data.packs.shards.read_shard`.
    """
    place, path = shard.place, Path(shard.place.path)
    with contextlib.ExitStack() as stack:
        try:
            stream = None if place.is_local else stack.enter_context(place.filesystem.open_input_file(place.path))
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{place.path} cannot be opened: {error}") from error
        for row in shards.read_shard(path, ("id", "bytes"), stream):
            yield row.id, row.data


def read_shard(reader: Reader, shard: Shard, target: Place, digest: str) -> Tally:
    """Write the readings of a shard to ``target``, in the order of its rows, and return its counts.

    Raises:
        SourceError: if the shard cannot be read; nothing is written then.
        DiskFullError: if there is no room.
    """
    pending: deque[tuple[str, bool]] = deque()  # id, and whether there are bytes

    def pictures() -> Iterator[bytes]:
        for name, data in pictures_of(shard):
            pending.append((name, data is not None))
            yield data or b""

    sink, tally, rows = pa.BufferOutputStream(), Tally(), list[dict[str, Any]]()
    with parquet.ParquetWriter(sink, READINGS, compression="zstd") as writer:
        for _, reading in reader.stream(pictures()):
            name, has_bytes = pending.popleft()
            rows.append({"id": name, **(_columns(reading) if has_bytes else {"error": shards.NO_BYTES})})
            tally += Tally(1, isinstance(reading, Failure), isinstance(reading, Reading) and not reading.accepted)
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, READINGS))
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, READINGS))
        metadata = {"request": digest, "shard_bytes": shard.size, **asdict(tally)}
        writer.add_key_value_metadata({_METADATA: json.dumps(metadata)})
    target.write(sink.getvalue())
    return tally


def _columns(reading: Reading | Failure) -> dict[str, Any]:
    """Return a reading's values by column, without the id."""
    return {"error": reading.reason} if isinstance(reading, Failure) else reading.to_dict()


def stored_tally(target: Place, shard: Shard, digest: str) -> Tally | None:
    """Return the counts of existing readings of a shard; None if there are none, or the shard has changed since.

    It has where its size is another, or it was written after its readings, where file systems tell when.

    Args:
        target: file of the readings.
        shard: the shard.
        digest: of the request.

    Raises:
        DatasetError: if ``target`` is another file, which is never replaced.
    """
    info = target.info()
    if not info.is_file:
        return None
    try:
        with target.filesystem.open_input_file(target.path) as stream:
            metadata = json.loads(parquet.read_metadata(stream).metadata[_METADATA])
        if metadata["request"] == digest:
            is_later = None not in (shard.mtime_ns, info.mtime_ns) and shard.mtime_ns > info.mtime_ns
            is_current = metadata["shard_bytes"] == shard.size and not is_later
            return Tally(metadata["pictures"], metadata["failed"], metadata["rejected"]) if is_current else None
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        pass
    raise DatasetError(
        f"{target.path} is of other weights or options, not of this package, or of another version of it; or the first "
        "pictures, from which is learnt what strings look like, have changed: move it away, or write to another folder."
    )
