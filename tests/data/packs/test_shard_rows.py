"""A picture of a shard as a path: what opens pictures by their paths opens it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from detector.data.images import read_file, read_image
from detector.data.packs import shard_rows
from detector.data.packs.shard_rows import row_path, shard_of
from detector.data.sets.linking import link_or_copy
from detector.errors import ImageError
from tests.builders import encoded, noise_picture, write_shard

pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")

PICTURES = [encoded(noise_picture(16, 8, seed), "PNG") for seed in range(7)]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    rows = [(f"{number}.png", data, None) for number, data in enumerate(PICTURES)]
    return write_shard(tmp_path / "part-00000.parquet", [*rows, ("7.png", None, None)], group=3)


def test_each_row_is_a_file(shard: Path) -> None:
    for number, data in enumerate(PICTURES):
        assert read_file(shard / str(number)) == read_file(row_path(shard, number, "a.png")) == data
        assert np.array_equal(read_image(str(shard / str(number) / "any name.png")), read_image(data))


def test_rows_are_read_in_any_order_and_by_many(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_rows, "_KEPT_BYTES", 1)  # of one row group
    order = [*range(7)] * 20
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: read_file(shard / str(number)), order)) == [PICTURES[n] for n in order]


WRONG = {
    "no bytes": ("part-00000.parquet/7/7.png", "the row has no bytes"),
    "no such row": ("part-00000.parquet/8/8.png", "has 8 rows, and none of number 8"),
    "no row": ("part-00000.parquet/a.png", "no such file"),
    "no shard": ("part-00001.parquet/0/a.png", "no such file"),
    "too deep": ("part-00000.parquet/0/b/a.png", "no such file"),
    "no Parquet": ("broken.parquet/0/a.png", "broken.parquet cannot be read as Parquet"),
}


@pytest.mark.parametrize(("path", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_picture(shard: Path, path: str, said: str) -> None:
    (shard.parent / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImageError, match=said):
        read_image(shard.parent / path)


def test_a_shard_that_was_written_again_is_read_again(shard: Path) -> None:
    assert read_file(shard / "0") == PICTURES[0]
    write_shard(shard, [("a.png", PICTURES[1], None)])
    assert read_file(shard / "0") == PICTURES[1]
    shard.unlink()
    with pytest.raises(ImageError, match="no such file"):
        read_file(shard / "0")


def test_a_row_group_that_no_memory_holds_is_refused(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_rows, "MAX_GROUP_BYTES", 100)
    with pytest.raises(ImageError, match=r"row group of .* GB.*`detector pack .*part-00000\.parquet OUT`"):
        read_file(shard / "0")


NAMES = {
    "plain": ("a.png", "", "a.png"),
    "in folders": ("x/y/a.jpg", "", "a.jpg"),
    "out of a folder": ("../../etc/a.png", "", "a.png"),
    "Windows": ("C:\\x\\a.png", "", "a.png"),
    "no suffix": ("plates/17", ".jpg", "17.jpg"),
    "another suffix": ("17.bin", ".png", "17.bin.png"),
    "nothing": ("", ".png", "picture.png"),
    "only dots": ("x/..", ".png", "picture.png"),
    "hidden": (".png", ".png", "png.png"),
    "an end of the string": ("a\0b.png", "", "a_b.png"),
    "long": ("京" * 500 + ".png", "", "京" * 66 + ".png"),
}


@pytest.mark.parametrize(("picture_id", "suffix", "name"), NAMES.values(), ids=NAMES)
def test_names_are_fit_for_files(picture_id: str, suffix: str, name: str) -> None:
    file = Path("some", "part-00000.parquet")
    assert row_path(file, 17, picture_id, suffix) == file / "17" / name
    assert len(os.fsencode(name)) < 255


def test_a_row_is_copied_to_a_file(shard: Path, tmp_path: Path) -> None:
    assert not link_or_copy(row_path(shard, 2, "a.png"), tmp_path / "set" / "a.png")
    assert (tmp_path / "set" / "a.png").read_bytes() == PICTURES[2]


def test_which_paths_lead_into_a_shard(shard: Path) -> None:
    assert shard_of(row_path(shard, 2, "a.png")) == shard
    assert shard_of(shard) is None and shard_of(shard.parent / "a.png") is None
