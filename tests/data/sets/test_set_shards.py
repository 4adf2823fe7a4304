"""Labels in shards: which rows are taken for them, and what is said of damaged ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.data.packs.shards import read_shard
from detector.data.sets.set_shards import SetPicture, ShardJob, row_labels, table_of, write_set_shard
from detector.data.sets.yolo_dataset import parse_labels, rounded_shares, split_images
from detector.errors import DatasetError, ImageError
from tests.builders import write_pictures

pa = pytest.importorskip("pyarrow", reason="shards need the extra shards")
pq = pytest.importorskip("pyarrow.parquet")

BOXES = np.array([[10, 20, 30, 60], [0, 0, 200, 100]], np.float32)


def picture(name: str, boxes: np.ndarray[Any, Any] = BOXES) -> SetPicture:
    count = len(boxes)
    return SetPicture(
        name, "A1"[:count], 200, 100, "train", "ok", 0.5, "", [*range(count)], rounded_shares(boxes, 200, 100),
        [0.25] * count, ["detected"] * count,
    )  # fmt: skip


def shard(folder: Path, names: tuple[str, ...] = ("a.png", "b/Ä b.png", "c.png")) -> Path:
    """Written as a worker does."""
    write_pictures(folder / "source", names)
    job = ShardJob(
        folder / "images" / "train" / "part-00000.parquet", [folder / "source" / name for name in names],
        table_of([picture(name, BOXES[: number % 3]) for number, name in enumerate(names)]),
    )  # fmt: skip
    written = write_set_shard(job)
    assert written.rows == len(names) and written.size == job.path.stat().st_size
    assert [path.name for path in job.path.parent.iterdir()] == [job.path.name]
    return job.path


def test_rows_are_pictures_and_labels_of_a_set(tmp_path: Path) -> None:
    file = shard(tmp_path)
    pairs = list(split_images(tmp_path, "train"))
    assert [(image, label.relative_to(file).as_posix()) for image, label in pairs] == [
        (file / "0" / "a.png", "0/a.png"), (file / "1" / "Ä b.png", "1/Ä b.png"), (file / "2" / "c.png", "2/c.png"),
    ]  # fmt: skip
    for count, (_, label) in enumerate(pairs):
        ids, boxes = parse_labels(label, 200, 100, 2)
        assert ids.tolist() == [*range(count)] and np.abs(boxes - BOXES[:count]).max(initial=0) < 1e-3
    sources = [(tmp_path / "source" / name).read_bytes() for name in ("a.png", "b/Ä b.png", "c.png")]
    assert [row.data for row in read_shard(file)] == sources, "it is a shard of pictures, too"


def test_no_shard_has_no_labels(tmp_path: Path) -> None:
    assert row_labels(tmp_path / "labels" / "train" / "a.txt") is None
    with pytest.raises(DatasetError, match=r"The label file .*a\.txt is missing"):
        parse_labels(tmp_path / "a.txt", 200, 100, 2)


def test_a_picture_that_is_gone_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    job = ShardJob(tmp_path / "part-00000.parquet", [tmp_path / "gone.png"], table_of([picture("gone.png")]))
    with pytest.raises(ImageError, match=r"gone\.png: no such file; it was changed while this ran"):
        write_set_shard(job)
    assert not list(tmp_path.iterdir())


DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no labels": ({"classes": None}, "has no columns classes and boxes"),
    "labels of another type": ({"classes": pa.array([["0"], ["1"], []])}, "has no columns classes and boxes"),
    "a class too many": (
        {"classes": pa.array([[0], [1, 0], []], pa.list_(pa.int32()))}, "2 classes and 1 boxes",
    ),
    "a class of another alphabet": (
        {"classes": pa.array([[], [7], [0, 1]], pa.list_(pa.int32()))}, "1/b: class must be below 2|:1: class must",
    ),
    "a class that is null": (
        {"classes": pa.array([[], [None], [0, 1]], pa.list_(pa.int32()))}, "or numbers are missing",
    ),
    "a box of pixels": (
        {"boxes": pa.array([[], [[10, 20, 30, 60]], [[0.5] * 4] * 2], pa.list_(pa.list_(pa.float64(), 4)))},
        "the rest shares of 1",
    ),
    "a row too few": ({"slice": 1}, "has 1 rows, and none of number 1"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_labels_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = shard(tmp_path)
    table = pq.read_table(file)
    for name, column in change.items():
        if name == "slice":
            table = table.slice(0, column)
        elif column is None:
            table = table.drop([name])
        else:
            number = table.schema.get_field_index(name)
            table = table.set_column(number, name, column)
    pq.write_table(table, file)
    with pytest.raises(DatasetError, match=said):
        parse_labels(file / "1" / "b", 200, 100, 2)
