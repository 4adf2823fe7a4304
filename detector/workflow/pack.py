"""Packing of pictures of any source into Parquet shards, see :mod:`detector.data.packs.shards`.

Shards are written to OUT.part, a :class:`detector.data.folders.resume_folder.ResumeFolder`, which is renamed to OUT
when all are there. Beside each shard is a journal (``part-00000.json``): after how many inputs the shard ends, and
their hash. With these the same call can continue, and notices a source that has changed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from detector.conversion.set_folder import alone, check_outside, part_of, target_of
from detector.data.atomic import atomic_write, writing
from detector.data.folders.owned import LIST, OwnedFiles
from detector.data.folders.resume_folder import REQUEST, ResumeFolder, package_hash, request_of
from detector.data.images import picture_size_wh
from detector.data.labels.entries import writable
from detector.data.packs.shards import (
    MAX_ROWS,
    ShardPicture,
    check_shards_folder,
    counts_of,
    require_parquet,
    shard_files,
    shard_name,
    write_shards,
)
from detector.data.parallel import Progress, prefetch_map
from detector.data.sets.yolo_dataset import REJECTS, RejectRow, examples_of, read_rejects
from detector.data.text_files import is_utf8, write_csv
from detector.errors import ArgumentError, DatasetError, ImageError, SourceError
from detector.workflow.packing.items import PackItem, PackSource
from detector.workflow.packing.sources import pack_source

log = logging.getLogger("detector")


@dataclass(frozen=True)
class PackReport(os.PathLike[str]):
    """The result of packing; it can be used as a path, that of its folder: ``convert(pack(...), ...)``.

    Args:
        out: the folder of the shards.
        source: the format that was recognised.
        inputs: number of pictures or lines of the source; always ``pictures + refused``.
        pictures: number of pictures in the shards.
        labelled: number of these with a text.
        shards: number of shards.
        reasons: number of refused inputs by reason.
        examples: for each reason the first refusal in full.
        seconds: wall-clock time.
    """

    out: Path
    source: str
    inputs: int
    pictures: int
    labelled: int
    shards: int
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def __fspath__(self) -> str:
        return str(self.out)

    @property
    def refused(self) -> int:
        """Number of inputs that are in no shard; ``rejects.csv`` has each with its reason."""
        return sum(self.reasons.values())

    @property
    def rejects(self) -> Path:
        """Path of the table of refused inputs, if there are any."""
        return self.out / REJECTS


class _Position(NamedTuple):
    """How far packing has come.

    Args:
        inputs: number of inputs that were taken.
        digest: their hash.
    """

    inputs: int = 0
    digest: str = ""


def pack(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] = "auto",
    space: str | None = None,
    ignore: str = "",
    text_column: str | None = None,
    image_column: str | None = None,
    rows: int = MAX_ROWS,
    progress: Progress | None = None,
) -> PackReport:
    """Pack pictures and their labels into Parquet shards, which predict, evaluate and convert take as their folder.

    Files are packed unchanged, also damaged ones, which are reported when a shard is read. Memory does not grow with
    the number of pictures, except for the names and labels of label files. An interrupted call leaves whole shards in
    ``OUT.part``: the same call continues there, with the same result, byte for byte.

    Args:
        source: what :func:`detector.convert` takes; a tar file or a folder of them, as WebDataset writes them; a data
            set of Hugging Face, saved to disk or as Parquet; shards. With ``labels="none"`` whatever
            :meth:`detector.Reader.stream` takes, except endless sources.
        out: folder to write; it appears when it is complete.
        labels: as for :func:`detector.convert`; "none" packs pictures without texts.
        space, ignore: signs that belong to labels that are file names. Labels are packed as they are spelt, so that
            :func:`detector.convert` needs these options, too.
        text_column, image_column: names of columns or keys, if they are not the usual ones.
        rows: most pictures in a shard.
        progress: called with (stage, done, total) if the total is known.

    Raises:
        ArgumentError: if ``rows`` is below 1.
        DependencyError: if the extra is not installed.
        SourceError: if there is no picture, or the source is ambiguous or broken.
        DatasetError: if ``out`` exists, or its name is not UTF-8; if ``OUT.part`` holds other files.
        DiskFullError: if there is no room.
    """
    if rows < 1:
        raise ArgumentError(f"rows is the number of pictures in a shard, 1 or more, got {rows}.")
    require_parquet("Packing")
    start = time.perf_counter()
    request = {
        "source": os.path.abspath(source), "labels": str(labels), "space": space, "ignore": ignore,
        "text_column": text_column, "image_column": image_column, "rows": rows, "package": package_hash(),
        "pyarrow": version("pyarrow"),
    }  # fmt: skip
    target = target_of(out)
    check_shards_folder(target)
    if target.exists() and request_of(target) != request:
        raise DatasetError(f"{target} exists: choose another folder.")
    if Path(source).is_dir():
        check_outside(target, Path(source))
    pack_input = pack_source(source, labels, space, ignore, (image_column, text_column))
    log.info("%s: %s (%s)", source, pack_input.format, pack_input.detail)
    for note in pack_input.notes:
        log.warning("%s", note)
    part = part_of(target)
    with alone(target), writing(part, lambda: "the same call"):
        if target.exists():  # complete, but the call was killed before it had deleted the journals
            _delete_journals(target)
            return _report(target, pack_input, time.perf_counter() - start)
        if part.exists() and (foreign := OwnedFiles(part).others()):
            raise DatasetError(f"{part} is needed for what is not finished, and holds {foreign[0]}: move it away.")
        packing = _Packing(pack_input, ResumeFolder.open(part, request), progress)
        packing.write(rows)
        packing.write_rejects()
        part.rename(target)
        _delete_journals(target)
    return _report(target, pack_input, time.perf_counter() - start)


class _Packing:
    """Writes the shards of one source, after those that an interrupted call left.

    Args:
        source: to pack.
        folder: to write to.
        progress: as for :func:`pack`.
    """

    def __init__(self, source: PackSource, folder: ResumeFolder, progress: Progress | None) -> None:
        self.source, self.folder, self.progress = source, folder, progress
        self.position = _Position()
        self.shards = 0
        self.rejects: list[RejectRow] = []
        self._digest = hashlib.blake2b(digest_size=16)

    def write(self, rows: int) -> None:
        """Write all missing shards, of at most ``rows`` pictures.

        Raises:
            SourceError: if there is no picture at all.
        """
        items = self._resume()
        pending = write_shards(self._pictures(items), self.folder.folder, rows=rows, first=self.shards)
        while True:
            self.folder.path(shard_name(self.shards))  # puts it on the list of owned files before it is written
            before = len(self.rejects)
            if next(pending, None) is None:
                break
            self._write_journal(self.shards, self.rejects[before:])
            self.shards += 1
            if self.source.count is None:
                log.info("%d inputs are packed", self.position.inputs)
        if not self.shards:
            OwnedFiles(self.folder.folder).delete()  # there is nothing to resume
            examples = "; ".join(f"{row.source}: {row.reason}" for row in self.rejects[:3])
            raise SourceError(f"There is no picture to pack: {examples or 'the source is empty'}.")

    def _pictures(self, items: Iterator[PackItem]) -> Iterator[ShardPicture]:
        """Yield rows of the inputs that can be packed, and record the refusal of the others."""
        inputs = self.position.inputs
        for item, row in prefetch_map(_pack_item, items):
            inputs += 1
            self._count(item)
            if isinstance(row, RejectRow):
                self.rejects.append(row)
            self.position = _Position(inputs, self._digest.hexdigest())
            if self.progress is not None and self.source.count is not None:
                self.progress("pack", inputs, self.source.count)
            if isinstance(row, ShardPicture):
                yield row

    def _count(self, item: PackItem) -> None:
        """Add an input to the hash."""
        text = "-" if item.text is None else f"+{item.text}"
        self._digest.update(f"{item.id}\0{text}\0{item.state}\n".encode("utf-8", "backslashreplace"))

    def _write_journal(self, number: int, rejects: Sequence[RejectRow]) -> None:
        """Record the position after a shard, and the inputs refused since the one before."""
        with atomic_write(self.folder.path(_journal_name(number))) as part:
            part.write_text(json.dumps({**self.position._asdict(), "rejects": rejects}), encoding="utf-8")

    def _resume(self) -> Iterator[PackItem]:
        """Continue after the existing shards, as far as their inputs are unchanged, and return the other inputs."""
        items = self.source.items()
        while (journal := self._journal(self.shards)) is not None:
            position, rejects = journal
            previous_digest = self._digest.copy()
            for item in islice(items, position.inputs - self.position.inputs):
                self._count(item)
            if self._digest.hexdigest() != position.digest:
                self._digest = previous_digest
                log.warning("the source has changed since: from %s on it is packed again", shard_name(self.shards))
                items = islice(self.source.items(), self.position.inputs, None)
                break
            self.position, self.rejects, self.shards = position, [*self.rejects, *rejects], self.shards + 1
        for file in sorted(self.folder.folder.glob("part-*")):
            if int(file.name[5:].split(".")[0]) >= self.shards:
                file.unlink()
        (self.folder.folder / REJECTS).unlink(missing_ok=True)
        if self.shards:
            log.info("%d shards of an earlier call are there: it goes on after them", self.shards)
        return items

    def _journal(self, number: int) -> tuple[_Position, list[RejectRow]] | None:
        """Return the position and the refusals of a shard; None if the shard or its journal is missing or damaged."""
        if not (self.folder.folder / shard_name(number)).is_file():
            return None
        try:
            journal = json.loads((self.folder.folder / _journal_name(number)).read_text(encoding="utf-8"))
            rejects = [RejectRow(*row) for row in journal.pop("rejects")]
            return _Position(**journal), rejects
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write_rejects(self) -> None:
        """Write the table of refused inputs, if there are any."""
        if self.rejects:
            with atomic_write(self.folder.path(REJECTS)) as part:
                write_csv(part, RejectRow._fields, self.rejects)


def _delete_journals(target: Path) -> None:
    """Delete what only an interrupted call needs: journals, then the list of files, then the request."""
    for journal in sorted(target.glob("part-*.json")):
        journal.unlink()
    for name in (LIST, REQUEST):
        (target / name).unlink(missing_ok=True)


def _report(target: Path, source: PackSource, seconds: float) -> PackReport:
    """Report on the finished folder."""
    files = shard_files(target)
    pictures, labelled = map(sum, zip(*map(counts_of, files), strict=True))
    rejects = read_rejects(target) if (target / REJECTS).exists() else []
    return PackReport(
        out=target,
        source=f"{source.format} ({source.detail})",
        inputs=pictures + len(rejects),
        pictures=pictures,
        labelled=labelled,
        shards=len(files),
        reasons=Counter(row.kind for row in rejects),
        examples=examples_of(rejects),
        seconds=seconds,
    )


def _journal_name(number: int) -> str:
    return Path(shard_name(number)).with_suffix(".json").name


def _pack_item(item: PackItem) -> tuple[PackItem, ShardPicture | RejectRow]:
    """Return an input with its row of a shard, or of the refused inputs."""
    try:
        data = item.read()
    except ImageError as error:
        return item, RejectRow(item.id, str(error))
    if not data:
        return item, RejectRow(item.id, "empty file (0 bytes)")
    if item.text is not None and not is_utf8(item.text):
        return item, RejectRow(item.id, f"the label {writable(item.text)!r} is not valid Unicode")
    return item, ShardPicture(item.id, data, item.text, *picture_size_wh(data))
