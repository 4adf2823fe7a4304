"""Parquet shards: what is written is read, whole shards appear or none, and what is no shard is named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from detector.data.images import read_file
from detector.data.packs import shard_rows, shards
from detector.data.packs.shard_rows import row_path
from detector.data.packs.shards import ShardPicture, is_shards, write_shards
from detector.errors import DependencyError, SourceError
from tests.builders import read_shards, write_pictures

pa = pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")
pq = pytest.importorskip("pyarrow.parquet")


def pictures(count: int, size: int = 10) -> list[ShardPicture]:
    return [
        ShardPicture(f"a/{i}.png", bytes([i % 256]) * size, None if i % 3 == 2 else f"京{i}", 16, i)
        for i in range(count)
    ]


@pytest.mark.parametrize(("count", "rows"), [(0, 3), (1, 3), (3, 3), (4, 3), (2500, 10_000)])
def test_what_is_written_is_read(tmp_path: Path, count: int, rows: int) -> None:
    files = list(write_shards(pictures(count), tmp_path, rows=rows))
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(-(-count // rows))]
    assert sorted(tmp_path.iterdir()) == files
    if count:
        assert list(read_shards(tmp_path)) == pictures(count)
        assert list(read_shards(files[0])) == pictures(count)[:rows]
        assert pq.read_schema(files[0]).equals(shards.schema())


def test_a_shard_ends_at_a_size_and_row_groups_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_SHARD_BYTES", 100)
    monkeypatch.setattr(shards, "_GROUP_BYTES", 30)
    files = list(write_shards(pictures(25), tmp_path))
    assert [pq.read_metadata(file).num_rows for file in files] == [10, 10, 5]
    assert pq.read_metadata(files[0]).num_row_groups == 4
    assert list(read_shards(tmp_path)) == pictures(25)


def test_a_shard_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fails() -> Iterator[ShardPicture]:
        yield from pictures(5)
        raise RuntimeError("stopped")

    writing = write_shards(fails(), tmp_path, rows=3)
    first = next(writing)
    with pytest.raises(RuntimeError, match="stopped"):
        next(writing)
    assert list(tmp_path.iterdir()) == [first]
    assert list(write_shards(pictures(5)[3:], tmp_path, rows=3, first=1)) == [tmp_path / "part-00001.parquet"]
    assert list(read_shards(tmp_path)) == pictures(5)


def test_the_same_pictures_are_the_same_bytes(tmp_path: Path) -> None:
    both = [tmp_path / "a", tmp_path / "b"]
    for folder in both:
        folder.mkdir()
        list(write_shards(pictures(7), folder, rows=4))
    assert len({tuple(file.read_bytes() for file in sorted(folder.iterdir())) for folder in both}) == 1


def table(**columns: Any) -> Any:
    return pa.table(columns)


TYPES: dict[str, tuple[Any, list[ShardPicture]]] = {
    "small binary": (table(id=["a"], bytes=pa.array([b"x"], pa.binary())), [ShardPicture("a", b"x")]),
    "large strings": (
        table(id=pa.array(["a"], pa.large_string()), bytes=[b"x"], text=pa.array(["T"], pa.large_string())),
        [ShardPicture("a", b"x", "T")],
    ),
    "a dictionary of texts": (
        table(id=["a", "b"], bytes=[b"x", b"y"], text=pa.array(["T", "T"]).dictionary_encode()),
        [ShardPicture("a", b"x", "T"), ShardPicture("b", b"y", "T")],
    ),
    "more columns, in another order": (
        table(height=pa.array([2], pa.int64()), camera=["c"], bytes=[b"x"], id=["a"]),
        [ShardPicture("a", b"x", None, 0, 2)],
    ),
    "nulls": (
        table(
            id=[None, "b"], bytes=[b"x", None], text=pa.array([None, None], pa.null()), width=pa.array([None, 3], "i4")
        ),
        [ShardPicture("part-00000.parquet/0", b"x"), ShardPicture("b", None, None, 3)],
    ),
    "no rows": (table(id=pa.array([], "string"), bytes=pa.array([], "binary")), []),
}


@pytest.mark.parametrize(("held", "rows"), TYPES.values(), ids=TYPES)
def test_shards_of_others(tmp_path: Path, held: Any, rows: list[ShardPicture]) -> None:
    pq.write_table(held, tmp_path / "part-00000.parquet", row_group_size=1)
    assert list(read_shards(tmp_path)) == rows


def test_an_id_that_is_no_utf8_is_escaped(tmp_path: Path) -> None:
    ids = pa.array([b"\xffa"], pa.binary()).cast(pa.string(), safe=False).view(pa.string())
    pq.write_table(table(id=ids, bytes=[b"x"]), tmp_path / "a.parquet")
    assert next(read_shards(tmp_path)).id == "\\xffa"


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda file: file.write_bytes(b""), "cannot be read as Parquet"),
    "no Parquet": (lambda file: file.write_bytes(b"PAR1 and more" * 9), "cannot be read as Parquet"),
    "cut": (lambda file: file.write_bytes(written(file)[:-9]), "cannot be read as Parquet"),
    "no bytes": (lambda file: pq.write_table(table(id=["a"], image=[b""]), file), "no column 'bytes'.*are id, image"),
    "no id": (lambda file: pq.write_table(table(bytes=[b""]), file), "no column 'id'"),
    "numbers for ids": (lambda file: pq.write_table(table(id=[1], bytes=[b""]), file), "'id' is int64.*is string"),
    "texts for bytes": (lambda file: pq.write_table(table(id=["a"], bytes=["x"]), file), "'bytes' is string"),
    "numbers for texts": (
        lambda file: pq.write_table(table(id=["a"], bytes=[b""], text=[1.5]), file),
        "'text' is double.*is string",
    ),
    "a column twice": (
        lambda file: pq.write_table(pa.table([["a"], ["b"], [b""]], names=["id", "id", "bytes"]), file),
        "no column 'id'",
    ),
}


def written(file: Path) -> bytes:
    pq.write_table(table(id=["a"], bytes=[b"x"]), file)
    return file.read_bytes()


@pytest.mark.parametrize(("write", "said"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(tmp_path: Path, write: Callable[[Path], Any], said: str) -> None:
    file = tmp_path / "x.parquet"
    write(file)
    with pytest.raises(SourceError, match=rf"x\.parquet.*{said}"):
        list(read_shards(tmp_path))


def test_rows_before_damage_are_read(tmp_path: Path) -> None:
    list(write_shards(pictures(2500, 100), tmp_path))
    file = tmp_path / "part-00000.parquet"
    data = bytearray(file.read_bytes())
    start = pq.read_metadata(file).row_group(2).column(1).data_page_offset
    data[start : start + 30] = b"\xff" * 30
    file.write_bytes(data)
    rows = read_shards(tmp_path)
    assert [next(rows) for _ in range(1500)] == pictures(2500, 100)[:1500]
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        list(rows)


def test_a_value_that_stands_for_many_rows_is_not_in_memory_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a dictionary a picture is once for all its rows: a file of some kilobytes may be any number of gigabytes."""
    monkeypatch.setattr(shards, "_BATCH_BYTES", 1_000_000)
    monkeypatch.setattr(shard_rows, "_process_groups", (0, None))
    file, value = tmp_path / "a.parquet", bytes(400_000)
    table = pa.table({"id": [f"{i}" for i in range(20)], "bytes": pa.array([value] * 20, pa.large_binary())})
    pq.write_table(table, file, compression="zstd", use_dictionary=["bytes"])
    assert file.stat().st_size < 5000
    with shards.opened_shard(file) as parquet:
        batches = parquet.iter_batches(shards.rows_at_once(parquet))
        assert [batch.num_rows for batch in batches] == [2] * 10
    assert [picture.data for picture in read_shards(file)] == [value] * 20
    assert read_file(row_path(file, 13, "a.png")) == value
    assert sum(column.nbytes for column in shard_rows._groups()._columns.values()) < 2 * len(value)


PLACES: dict[str, tuple[list[str], str, bool]] = {
    "a folder of shards": (["a.parquet", "b.PARQUET"], "", True),
    "one of them": (["a.parquet"], "a.parquet", True),
    "beside other files": (["a.parquet", "rejects.csv", "_SUCCESS"], "", True),
    "beside pictures": (["a.parquet", "b.png"], "", False),
    "of other programs": (["_a.parquet", ".b.parquet", "c.parquet.part"], "", False),
    "no file": ([], "a.parquet", False),
    "pictures": (["a.png"], "", False),
}


@pytest.mark.parametrize(("names", "path", "said"), PLACES.values(), ids=PLACES)
def test_what_is_a_folder_of_shards(
    tmp_path: Path, names: list[str], path: str, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    write_pictures(tmp_path, names)
    assert is_shards(tmp_path / path) is said
    passed_over = names == ["a.parquet", "b.png"]
    assert ("b.png, beside 1 .parquet file, which are passed over" in caplog.text) is passed_over


def test_shards_are_read_by_their_numbers(tmp_path: Path) -> None:
    for number in (100_000, 9, 10, 99_999):
        list(write_shards([ShardPicture(str(number), b"")], tmp_path, first=number))
    assert [row.id for row in read_shards(tmp_path, ["id"])] == ["9", "10", "99999", "100000"]


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("detector.errors.is_installed", lambda module: module != "pyarrow")
    with pytest.raises(DependencyError, match=r"needs pyarrow: run `pip install 'string-detector\[shards\]'`"):
        list(write_shards([ShardPicture("a", b"")], tmp_path))
    assert not list(tmp_path.iterdir())
