# ruff: noqa: E501  # tables of pieces, a piece a line
"""Tar files and Parquet or Arrow files that are changed at random, and the checks of their results; no command."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from detector.data.labels.sources import read_source
from detector.data.packs.shards import ShardPicture, is_shards, read_shard, shard_files, write_shard
from detector.reading.reader import Failure, Reader
from detector.workflow.pack import pack
from tools.reliability.checks import PARTLY, Check, accepted_names, must
from tools.reliability.mutations import changed_bytes, changed_encoding, changed_json, changed_text
from tools.reliability.seeds import NAMES, TEXTS, clean_picture, pictures

_NAMES = ("../out.png", "/tmp/out.png", "C:\\out.png", "a/../../out.png", "..\\out.png", ".hidden.png", "no_ending", "a" * 300 + ".png",
          "a\nb.png", "a\0b.png", "\udcff.png", "\u202epng.exe", "con.png", "a.tar", "a..png", "", ".", "/", "deep/" * 90 + "a.png")  # fmt: skip
"""Names of files elsewhere, or that a file system may not take."""

_TYPES = (
    tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CONTTYPE, b"S", b"Z",
)  # fmt: skip
"""Types of members that are not regular files."""

_SIZES = (1, 511, 513, 1 << 20, 600_000_000, 1 << 33, 1 << 40)
"""Sizes that a header may declare, whatever follows."""


def _member(name: str, data: bytes, kind: bytes = tarfile.REGTYPE, size: int | None = None) -> tuple[Any, bytes]:
    """Return header and data of a member; ``size`` is what the header declares, if not that of the data."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data) if size is None else size
    info.linkname = NAMES[0] if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE) else ""
    return info, data


def _members(rng: random.Random) -> list[tuple[Any, bytes]]:
    """Return members of a valid WebDataset: pictures with their texts."""
    ending = rng.choice(("txt", "json"))
    members = []
    for number, text in enumerate(TEXTS[:4]):
        label = text if ending == "txt" else f'{{"text": "{text}", "id": {number}}}'
        members += [_member(NAMES[number], clean_picture(number))]
        members += [_member(NAMES[number].replace(".png", f".{ending}"), label.encode())]
    return members


def _change_member(members: list[tuple[Any, bytes]], rng: random.Random) -> None:
    """Replace, repeat or delete one member, or shuffle all of them."""
    index = rng.randrange(len(members))
    info, data = members[index]
    is_label = not info.name.endswith(".png")
    kinds = pictures()

    def label() -> bytes:
        text = data.decode("utf-8", "replace")
        return changed_encoding((changed_json if info.name.endswith("json") else changed_text)(text, rng), rng)

    def nested() -> tuple[Any, bytes]:
        return _member(rng.choice(("inner.tar", info.name)), _tar(_members(rng), tarfile.GNU_FORMAT))

    changes: Sequence[Callable[[], tuple[Any, bytes]]] = (
        lambda: _member(info.name, label() if is_label else changed_bytes(data, rng)),
        lambda: _member(rng.choice(_NAMES), data),
        lambda: _member(info.name, b"", rng.choice(_TYPES), rng.choice((0, 0, 512))),
        lambda: _member(info.name, data, size=rng.choice(_SIZES)),
        lambda: _member(info.name, b""),
        lambda: _member(info.name, rng.choice(kinds[rng.choice(sorted(kinds))])),
        nested,
    )
    kind = rng.random()
    if kind < 0.7:
        members[index] = rng.choice(changes)()
    elif kind < 0.8:
        members.insert(rng.randrange(len(members) + 1), members[index])
    elif kind < 0.9 and len(members) > 1:
        del members[index]
    else:
        rng.shuffle(members)


def _tar(members: Sequence[tuple[Any, bytes]], tar_format: int) -> bytes:
    """Return a tar file in a format of tarfile; a header is followed by the data, whatever size it declares."""
    file = io.BytesIO()
    for info, data in members:
        try:
            file.write(info.tobuf(tar_format, "utf-8", "surrogateescape"))
        except ValueError:  # this format has no such name or size
            file.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        file.write(data + b"\0" * (-len(data) % tarfile.BLOCKSIZE))
    file.write(b"\0" * (2 * tarfile.BLOCKSIZE))
    return file.getvalue()


def changed_archive(rng: random.Random) -> tuple[str, bytes]:
    """Return the name and the bytes of a tar file that was changed."""
    members = _members(rng)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        _change_member(members, rng)
    data = _tar(members, rng.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)))
    if rng.random() < 0.3:
        data = changed_bytes(data, rng, (_tar(_members(rng), tarfile.PAX_FORMAT),))
    if rng.random() < 0.8:
        return "set.tar", data
    data = gzip.compress(data, 1, mtime=0)
    return "set.tar.gz", changed_bytes(data, rng) if rng.random() < 0.5 else data


# --- tables --------------------------------------------------------------------------------------------------------


def _other_values(name: str, count: int, rng: random.Random) -> Any:
    """Return a column of another type, or of unusual values, to replace one."""
    data = [clean_picture(number) for number in range(count)]
    columns: Sequence[Callable[[], Any]] = (
        lambda: pa.array([NAMES[0]] * count),
        lambda: pa.array([*map(str, range(count))]).dictionary_encode(),
        lambda: pa.nulls(count),
        lambda: pa.nulls(count, pa.large_binary() if name == "bytes" else pa.string()),
        lambda: pa.array(range(count), pa.int64()),
        lambda: pa.array([1e300] * count),
        lambda: pa.array([["a"]] * count),
        lambda: pa.array([rng.choice(_NAMES).encode("utf-8", "surrogateescape").decode("utf-8", "replace") for _ in range(count)]),
        lambda: pa.array([b"\xff\xfe\0"] * count).view(pa.string()),
        lambda: pa.array(["\0", "", " ", "\u200b", "A" * 5000, "\u202eAB"][:count] * 6).slice(0, count),
        lambda: pa.array([changed_bytes(picture, rng) for picture in data]),
        lambda: pa.array([b""] * count),
        lambda: pa.array([{"bytes": picture, "path": rng.choice(_NAMES).encode("utf-8", "replace").decode()} for picture in data]),
        lambda: pa.array([2**31 - 1] * count, pa.int32()),
        lambda: pa.array([-1] * count, pa.int32()),
    )  # fmt: skip
    return rng.choice(columns)()


def _table(rng: random.Random) -> Any:
    """Return a table of pictures with the columns of shards or of HuggingFace's data sets, mostly changed."""
    count = rng.choice((1, 3, 4))
    rows = [ShardPicture(NAMES[i], clean_picture(i), TEXTS[i], 160, 40) for i in range(count)]
    if rng.random() < 0.6:
        columns = dict(zip(ShardPicture._fields, map(list, zip(*rows, strict=True)), strict=True))
        columns["bytes"] = columns.pop("data")
    else:
        columns = {"image": [{"bytes": row.data, "path": row.id} for row in rows], "text": [row.text for row in rows]}
    arrays = {name: pa.array(values) for name, values in columns.items()}
    for _ in range(rng.choice((0, 1, 1, 2))):
        name = rng.choice(sorted(arrays))
        kind = rng.random()
        if kind < 0.7:
            arrays[name] = _other_values(name, count, rng)
        elif kind < 0.85 and len(arrays) > 1:
            del arrays[name]
        else:
            arrays[rng.choice(("text", "label", "id", "bytes", "", "x" * 300))] = arrays.pop(name)
    table = pa.table(arrays)
    if rng.random() < 0.1:
        table = pa.Table.from_arrays([*table.columns, table.column(0)], [*table.column_names, table.column_names[0]])
    return table.slice(0, 0) if rng.random() < 0.05 else table


def write_changed_table(rng: random.Random, place: Path) -> None:
    """Write the files of one data set into a folder, of which one is changed."""
    table, kind = _table(rng), rng.choice(("parquet", "parquet", "parquet", "shard", "stream", "file"))
    path = place / ("data.arrow" if kind in ("stream", "file") else "part-00000.parquet")
    if kind == "shard":
        write_shard((ShardPicture(NAMES[i], clean_picture(i), TEXTS[i], 160, 40) for i in range(4)), path)
    elif kind == "parquet":
        group = rng.choice((1, 2, 100))
        pq.write_table(table, path, row_group_size=group, compression=rng.choice(("none", "zstd", "snappy")))
    else:
        with (pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file)(path, table.schema) as writer:
            writer.write_table(table)
    if rng.random() < 0.5:
        path.write_bytes(changed_bytes(path.read_bytes(), rng))
    if path.suffix == ".parquet" and rng.random() < 0.3:  # rows of one id in two files
        write_shard([ShardPicture(NAMES[0], clean_picture(0), rng.choice(TEXTS))], place / "part-00001.parquet")


# --- checks ----------------------------------------------------------------------------------------------------------


def _check_packing(source: Path, place: Path, reader: Reader) -> str:
    """Pack a source and read the shards; check that nothing else is written. Return the outcome."""
    earlier_entries, out = {*place.parent.iterdir()}, place / "packed"
    try:
        report = pack(source, out)
    finally:
        must({*place.parent.iterdir()} == earlier_entries, "something was written elsewhere")
    must(report.inputs == report.pictures + report.refused, f"{report.pictures} + {report.refused} of {report.inputs}")
    rows = [row for file in shard_files(out) for row in read_shard(file)]
    must(len(rows) == report.pictures, f"{len(rows)} rows, and the report says {report.pictures}")
    must(all(row.data for row in rows), "a row without bytes was packed")
    _check_reading(out, len(rows), reader)
    return PARTLY if report.refused else ""


def _check_reading(folder: Path, rows: int, reader: Reader) -> bool:
    """Read a folder of shards, and check the number of readings; return whether all pictures could be read."""
    readings = [reading for _, reading in reader.stream([folder])]
    must(len(readings) == rows, f"{len(readings)} readings of {rows} rows")
    return not any(isinstance(reading, Failure) for reading in readings)


def check_archives(folder: Path) -> Check:
    """Return the check of tar files, see :data:`tools.reliability.inputs.CATEGORIES`."""
    reader = Reader("shipped", device="cpu")

    def check(rng: random.Random, place: Path) -> str:
        name, data = changed_archive(rng)
        (place / "in").mkdir()
        (place / "in" / name).write_bytes(data)
        return _check_packing(place / "in" / name, place, reader)

    return check


def check_tables(folder: Path) -> Check:
    """Return the check of Parquet and Arrow files, see :data:`tools.reliability.inputs.CATEGORIES`."""
    reader = Reader("shipped", device="cpu")

    def check(rng: random.Random, place: Path) -> str:
        shards = place / "in"
        shards.mkdir()
        write_changed_table(rng, shards)
        if rng.random() < 0.5 or not is_shards(shards):
            return _check_packing(shards, place, reader)
        rows = sum(1 for file in shard_files(shards) for _ in read_shard(file))
        all_read = _check_reading(shards, rows, reader)
        source = read_source(shards)
        names = accepted_names(source, shards)
        return "" if all_read and len(names) == source.count == rows else PARTLY

    return check
