"""Shards as a source of labelled pictures: the same inputs as from a folder, and rows that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector.data.images import read_file
from detector.data.labels.sources import Source, read_source
from detector.errors import SourceError
from tests.builders import encoded, label_file, noise_picture, pairs, write_pictures, write_shard

pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")

PNG, JPEG = (encoded(noise_picture(16, 8), kind) for kind in ("PNG", "JPEG"))


def reasons(source: Source) -> list[tuple[str, str]]:
    return [(refused.name, refused.reason) for refused in source.refused]


def test_shards_are_found_by_themselves(tmp_path: Path) -> None:
    write_shard(tmp_path / "s" / "b.parquet", [("x/2.png", PNG, "CD ")])
    write_shard(tmp_path / "s" / "a.parquet", [("x/1", JPEG, "ＡＢ"), ("x/3.png", PNG, None)])
    source = read_source(tmp_path / "s")
    assert (source.format, source.unlisted, len(source.label_files)) == ("shards", 1, 2)
    assert pairs(source) == {"x/1": "AB", "x/2.png": "CD"}
    assert [item.path for item in source.items] == [
        tmp_path / "s" / "a.parquet" / "0" / "1.jpg", tmp_path / "s" / "b.parquet" / "0" / "2.png",
    ]  # fmt: skip
    assert [read_file(item.path) for item in source.items] == [JPEG, PNG]
    assert any("compatibility form" in note for note in source.notes)
    assert pairs(read_source(tmp_path / "s" / "b.parquet", labels="shards", upper=True)) == {"x/2.png": "CD"}


ROWS: dict[str, tuple[list[tuple[str | None, bytes | None, str | None]], dict[str, str], list[tuple[str, str]]]] = {
    "ids that lead elsewhere": ([("../../a.png", PNG, "AB")], {"../../a.png": "AB"}, []),
    "one without an id": ([(None, PNG, "AB")], {"a.parquet/0": "AB"}, []),
    "an empty label": ([("a.png", PNG, ""), ("b.png", PNG, "B")], {"b.png": "B"},
                       [("a.png", "the label is empty (a.parquet, row 0)")]),
    "one id twice, one label": (
        [("a.png", PNG, "AB"), ("a.png", PNG, "AB")], {"a.png": "AB"},
        [("a.png", "listed twice with the same label (a.parquet, row 0 and a.parquet, row 1)")],
    ),
    "one id twice, two labels": (
        [("a.png", PNG, "AB"), ("a.png", PNG, "CD")], {},
        [("a.png", "listed with 2 different labels: 'AB' in a.parquet, row 0, 'CD' in a.parquet, row 1")] * 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "texts", "refused"), ROWS.values(), ids=ROWS)
def test_rows(tmp_path: Path, rows: Any, texts: dict[str, str], refused: list[tuple[str, str]]) -> None:
    source = read_source(write_shard(tmp_path / "a.parquet", rows))
    assert (pairs(source), reasons(source)) == (texts, refused)
    assert source.count == len(rows)


def test_nobody_has_labelled_them(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", [("a.png", PNG, None)])
    with pytest.raises(SourceError, match="none of its 1 pictures has a label"):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": "csv"}, "has the labels in Parquet, and not as csv"),
        ({"labels": "names"}, "has the labels in Parquet, and not as names"),
        ({"text_column": "text"}, "the columns of shards are id and text: leave out text_column='text'"),
        ({"image_column": "id"}, "leave out image_column='id'"),
    ],
)
def test_what_shards_have_once_only(tmp_path: Path, options: dict[str, str], said: str) -> None:
    write_shard(tmp_path / "a.parquet", [("a.png", PNG, "AB")])
    with pytest.raises(SourceError, match=said):
        read_source(tmp_path, **options)  # type: ignore[arg-type]


def test_what_is_no_folder_of_shards(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is no Parquet file and no folder of them: 1 files \(1 \.png\)"):
        read_source(write_pictures(tmp_path, ["AB.png"]), labels="shards")


def test_parquet_among_pictures_is_not_what_is_read(tmp_path: Path) -> None:
    label_file(tmp_path, "metadata.parquet", b"PAR1 ...", ("AB.png", "CD.png"))
    assert pairs(read_source(tmp_path)) == {"AB.png": "AB", "CD.png": "CD"}


def test_a_row_group_that_no_memory_holds_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.data.packs.shard_rows.MAX_GROUP_BYTES", 100)
    write_shard(tmp_path / "a.parquet", [("a.png", PNG, "AB")])
    with pytest.raises(SourceError, match=r"a\.parquet has a row group of .* GB"):
        read_source(tmp_path)
