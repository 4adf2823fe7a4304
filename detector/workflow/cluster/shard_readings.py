"""The readings of one shard, as a Parquet file of the same name: written whole by whoever comes first.

The file says in its metadata what it was made of and with, so that work that is done again, after a node or the whole
run was lost, is known to be done.
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

from detector.data.folders.owned import file_hash
from detector.data.folders.resume_folder import package_hash
from detector.data.packs import shards
from detector.errors import DatasetError, DetectorError, SourceError
from detector.reading.reader import Failure, Reader
from detector.text.detections import Reading
from detector.text.forms.fitting import MAX_LEARNT
from detector.text.forms.string_model import StringModel
from detector.workflow.cluster.places import Place, Shard

_METADATA = b"detector"
_ROWS = 1024  # that are read, and written, at once

_CHARACTER = pa.struct([("symbol", pa.string()), ("confidence", pa.float64()), ("xyxy", pa.list_(pa.float64()))])
_ALTERNATIVE = pa.struct([("text", pa.string()), ("confidence", pa.float64())])
READINGS = pa.schema([
    ("id", pa.string()), ("text", pa.string()), ("confidence", pa.float64()), ("rejected", pa.string()),
    ("rejected_text", pa.string()), ("unconstrained_text", pa.string()), ("error", pa.string()),
    ("characters", pa.list_(_CHARACTER)), ("alternatives", pa.list_(_ALTERNATIVE)),
])  # fmt: skip
"""Columns of readings: the keys of :meth:`detector.Reading.to_dict`, the id, and of pictures that cannot be decoded the
reason; null where there is nothing to say."""


@dataclass(frozen=True)
class Tally:
    """What the shards came to.

    Args:
        pictures: rows.
        failed: pictures that could not be decoded.
        rejected: readings that were rejected.
    """

    pictures: int = 0
    failed: int = 0
    rejected: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.pictures + other.pictures, self.failed + other.failed, self.rejected + other.rejected)


@dataclass(frozen=True)
class ReadingRequest:
    """Everything that readings depend on, pictures aside: the same on all machines, or none of them reads.

    Args:
        weights: a path that is good on each machine, or "shipped".
        arguments: of :class:`detector.Reader`.
        weights_hash: of the file; "" for a folder.
        package: hash of this package.
        string_model: what strings look like, fitted to the first pictures; None where nothing was.
    """

    weights: str
    arguments: dict[str, Any]
    weights_hash: str
    package: str
    string_model: StringModel | None

    @cached_property
    def digest(self) -> str:
        """A hash of all but where weights lie and what they run on."""
        model = None if self.string_model is None else self.string_model.to_dict()
        arguments = {name: value for name, value in self.arguments.items() if name not in ("device", "trust")}
        content = [self.weights_hash, arguments, self.package, model]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def open(self) -> Reader:
        """The reader.

        Raises:
            WeightsError: if the weights are missing here.
            DetectorError: if they, or this package, are others than where the request was made.
        """
        reader = Reader(self.weights, **self.arguments)
        if _weights_hash(reader.weights) != self.weights_hash or package_hash() != self.package:
            raise DetectorError(
                f"{os.uname().nodename} has another {self.weights}, or another version of this package, than the "
                "machine that began: readings would depend on where they are made. Install the same on all."
            )
        if self.string_model is not None:
            reader.config = replace(reader.config, string_model=self.string_model)
        return reader


def make_request(
    weights: str, arguments: dict[str, Any], listed: Iterable[Shard], string_format: bool
) -> ReadingRequest:
    """Open the weights, and learn what strings look like from the first 2,000 pictures.

    Raises:
        WeightsError, DependencyError, AlphabetError, ArgumentError: as :class:`detector.Reader`.
        SourceError: if the first shards cannot be read.
    """
    reader = Reader(weights, **arguments)
    model = None
    if string_format and reader.config.pattern is None and reader.string_model is None:
        rows = (data or b"" for shard in listed for _, data in pictures_of(shard))
        model = reader.fitted_to(islice(rows, MAX_LEARNT)).string_model
    return ReadingRequest(weights, arguments, _weights_hash(reader.weights), package_hash(), model)


def _weights_hash(path: Path) -> str:
    return file_hash(path) if path.is_file() else ""


def pictures_of(shard: Shard) -> Iterator[tuple[str, bytes | None]]:
    """(id, bytes) of each row, in constant memory.

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
    """Write the readings of a shard to ``target``, row by row in the order of the shard.

    Raises:
        SourceError: if the shard cannot be read; nothing is written then.
        DiskFullError: if there is no room.
    """
    waiting: deque[tuple[str, bool]] = deque()  # id, and whether there are bytes

    def pictures() -> Iterator[bytes]:
        for name, data in pictures_of(shard):
            waiting.append((name, data is not None))
            yield data or b""

    sink, tally, rows = pa.BufferOutputStream(), Tally(), list[dict[str, Any]]()
    with parquet.ParquetWriter(sink, READINGS, compression="zstd") as writer:
        for _, reading in reader.stream(pictures()):
            name, has_bytes = waiting.popleft()
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
    return {"error": reading.reason} if isinstance(reading, Failure) else reading.to_dict()


def tally_of(target: Place, shard: Shard, digest: str) -> Tally | None:
    """What an earlier run wrote of a shard; None where there is nothing, or the shard has changed.

    Raises:
        DatasetError: if something else is there, which is never replaced.
    """
    if not target.info().is_file:
        return None
    try:
        with target.filesystem.open_input_file(target.path) as stream:
            metadata = json.loads(parquet.read_metadata(stream).metadata[_METADATA])
        if metadata["request"] == digest:
            is_current = metadata["shard_bytes"] == shard.size
            return Tally(metadata["pictures"], metadata["failed"], metadata["rejected"]) if is_current else None
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        pass
    raise DatasetError(
        f"{target.path} is of other weights, options or pictures than these, or not of this package: "
        "move it away, or write to another folder."
    )
