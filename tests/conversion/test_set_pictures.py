"""A converted set in shards: the same pictures, labels and tables as in files, and taken wherever a set is taken."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import detector
from detector.conversion import set_pictures
from detector.data.atomic import part_name
from detector.data.folders.owned import OwnedFiles
from detector.data.packs.shards import ShardPicture, write_shards
from detector.data.sets.packed import open_packed
from detector.data.sets.set_shards import WrittenShard
from detector.data.sets.yolo_dataset import BOXES, MANIFEST, SPLITS, ManifestRow, read_set
from detector.errors import DatasetError, DependencyError, ImageError
from detector.review.sets import ReviewedSet
from tests.builders import TOY_OPTIONS
from tests.conftest import Toy, char_network

pyarrow = pytest.importorskip("pyarrow", reason="shards need the extra shards")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = 20


@dataclass(frozen=True)
class InShards:
    """The toy, whose shards have 20 pictures at most, and what ``convert`` reported."""

    root: Path
    report: Any


@pytest.fixture(scope="module")
def in_shards(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> InShards:
    root = tmp_path_factory.mktemp("shards") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(set_pictures, "MAX_ROWS", ROWS)
        return InShards(root, detector.convert(toy.source, root, shards=True, **TOY_OPTIONS))


def rows_of(root: Path) -> list[dict[str, Any]]:
    """All rows of all shards of a set, each with its path there."""
    return [
        {**row, "image": f"{file.relative_to(root).as_posix()}/{number}/{row['id']}"}
        for file in sorted(root.glob("images/*/*.parquet"))
        for number, row in enumerate(parquet.read_table(file).to_pylist())
    ]


def test_tables_and_counts_are_those_of_a_set_in_files(toy: Toy, in_shards: InShards) -> None:
    assert in_shards.report.splits == toy.report.splits and in_shards.report.config == toy.report.config
    manifest, as_files = read_set(in_shards.root).manifest(), read_set(toy.root).manifest()
    assert [row._replace(image="") for row in manifest] == [row._replace(image="") for row in as_files]
    assert [row.folder for row in manifest] == [row.folder for row in as_files]
    for name in ("data.yaml", "rejects.csv", "review.csv"):
        assert (in_shards.root / name).read_bytes() == (toy.root / name).read_bytes()
    assert {path.name for path in in_shards.root.iterdir()} == toy.tree - {
        "labels", BOXES, "obj.data", "obj.names", "packed", *(f"{split}.txt" for split in SPLITS),
    }  # fmt: skip
    assert OwnedFiles(in_shards.root).others() == [], "every file is known by its hash"


def test_each_picture_is_in_one_row_with_what_tables_of_files_have(toy: Toy, in_shards: InShards) -> None:
    rows, config = rows_of(in_shards.root), read_set(toy.root).config
    files = {row.source: row for row in read_set(toy.root).manifest()}
    assert len(rows) == len(files) == 60 and {row["id"] for row in rows} == {*files}
    assert [len(list((in_shards.root / "images" / split).iterdir())) for split in SPLITS] == [3, 1, 1]
    boxes: dict[str, list[list[str]]] = {}
    with (toy.root / BOXES).open(newline="", encoding="utf-8") as file:
        for image, *character in list(csv.reader(file))[1:]:
            boxes.setdefault(image, []).append(character)
    shown = {row.image: row for row in read_set(in_shards.root).manifest()}
    for row in rows:
        before = files[row["id"]]
        assert row["bytes"] == (toy.source / row["id"]).read_bytes()
        assert shown[row["image"]] == before._replace(image=row["image"])
        assert (row["text"], row["split"], row["status"], row["read"]) == (
            before.text, before.split, before.status, before.read,
        )  # fmt: skip
        assert f"{row['confidence']:.4f}" == before.confidence
        line = [f"{c} {' '.join(f'{v:.6f}' for v in box)}" for c, box in zip(row["classes"], row["boxes"], strict=True)]
        label = toy.root / "labels" / before.folder / f"{Path(before.image).stem}.txt"
        assert label.read_text().splitlines() == line
        told = zip(row["classes"], row["box_confidences"], row["stages"], strict=True)
        assert [[config.symbols[c], f"{p:.4f}", stage] for c, p, stage in told] == [
            [character[0], *character[-2:]] for character in boxes[before.image]
        ]


def test_what_is_trained_on_is_the_same_to_the_bit(toy: Toy, in_shards: InShards) -> None:
    sets = [read_set(toy.root), read_set(in_shards.root)]
    for split in SPLITS:
        by_name = []
        for characters in sets:
            packed = open_packed(characters, split, (64, 192))
            columns = zip(packed.images, packed.boxes_xyxy, packed.ids, packed.digests, strict=True)
            by_name.append({name.split("/")[-1]: row for name, row in zip(packed.names, columns, strict=True)})
        assert by_name[0].keys() == by_name[1].keys()
        for name, (image, boxes, ids, digest) in by_name[0].items():
            other = by_name[1][name]
            assert np.array_equal(image, other[0]) and np.array_equal(boxes, other[1])
            assert np.array_equal(ids, other[2]) and digest == other[3]


def test_a_set_in_shards_is_trained_on_evaluated_read_and_reviewed(
    toy: Toy, in_shards: InShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained = detector.train(in_shards.report, model=str(char_network()), epochs=1, batch=8, device="cpu")
    assert trained.path.is_file() and trained.metrics.count == toy.report.splits["val"]

    evaluations = [detector.evaluate("shipped", root) for root in (toy.root, in_shards.root)]
    assert [evaluation.count for evaluation in evaluations] == [toy.report.splits["test"]] * 2
    read = [{row.path.name: (row.label, row.reading) for row in evaluation.rows} for evaluation in evaluations]
    assert read[0].keys() == read[1].keys()
    for name, (label, reading) in read[0].items():
        assert (label, str(reading)) == (read[1][name][0], str(read[1][name][1]))

    reviewed = ReviewedSet(in_shards.root)
    assert reviewed.load() == []
    picture = read_set(in_shards.root).manifest()[0]
    reviewed._file.rows[picture.source] = reviewed._file.rows.get(picture.source) or _decided(picture)
    (item,) = [reviewed._item(picture.source)]
    boxes = reviewed.boxes(item, (96, 32))
    assert "".join(boxes.symbols) == picture.text.replace(" ", "") and len(boxes.boxes_xyxy) == len(boxes.symbols)
    assert item.picture == in_shards.root / picture.image
    page = (in_shards.root / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 60, "pictures are shown from the shards"


def _decided(picture: ManifestRow) -> Any:
    from detector.conversion.review import ReviewRow

    return ReviewRow(picture.source, picture.text)


def test_shards_become_shards(toy: Toy, in_shards: InShards, tmp_path: Path) -> None:
    files = sorted(toy.source.iterdir())
    packed = [ShardPicture(file.name, file.read_bytes(), file.name.split("-")[0]) for file in files]
    (tmp_path / "packed").mkdir()
    assert len(list(write_shards([*packed, ShardPicture("x-1.png", b"", "A")], tmp_path / "packed", rows=25))) == 3
    report = detector.convert(tmp_path / "packed", tmp_path / "toy", shards=True, **TOY_OPTIONS)
    assert (report.converted, report.refused, report.inputs) == (60, 1, 61)
    told = [{(row.source, row.text, row.split) for row in read_set(root).manifest()}
            for root in (tmp_path / "toy", in_shards.root)]  # fmt: skip
    assert told[0] == told[1]
    assert {row["id"]: row["bytes"] for row in rows_of(tmp_path / "toy")} == {one.id: one.data for one in packed}


def test_one_form_replaces_the_other_and_takes_up_its_work(toy: Toy, tmp_path: Path) -> None:
    root, stages = tmp_path / "toy", set[str]()
    for shards in (True, False, True):
        stages.clear()

        def tell(stage: str, done: int, total: int) -> None:
            if done < total:
                stages.add(stage)

        detector.convert(toy.source, root, overwrite=True, shards=shards, progress=tell, **TOY_OPTIONS)
        assert (root / BOXES).is_file() != shards and (root / "labels").is_dir() != shards
        assert bool(list(root.glob("images/train/*.parquet"))) == shards
    assert not stages & {"check", "locate"}, "what was found out is the same in both"


def test_what_killed_workers_left_is_gone(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = set_pictures.write_set_shard

    def after_another(job: Any) -> WrittenShard:
        job.path.parent.mkdir(parents=True, exist_ok=True)
        job.path.with_name(part_name(job.path.name)).write_bytes(b"of a killed worker")
        if "test" in str(job.path):
            raise ImageError("a picture is gone")
        return real(job)

    with monkeypatch.context() as patch:
        patch.setattr(set_pictures, "write_set_shard", after_another)
        with pytest.raises(ImageError, match="a picture is gone"):
            detector.convert(toy.source, tmp_path / "toy", shards=True, **TOY_OPTIONS)
    assert list((tmp_path / "toy.part").rglob("*.part"))
    detector.convert(toy.source, tmp_path / "toy", shards=True, **TOY_OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["toy"] and not list(tmp_path.rglob("*.part"))


def test_a_shard_that_lacks_rows_ends_the_conversion(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = set_pictures.write_set_shard

    def short(job: Any) -> WrittenShard:
        written = real(job)
        return written._replace(rows=written.rows - 1)

    monkeypatch.setattr(set_pictures, "write_set_shard", short)
    with pytest.raises(DatasetError, match=r"part-00000\.parquet has \d+ rows, and should have \d+: convert again"):
        detector.convert(toy.source, tmp_path / "toy", shards=True, **TOY_OPTIONS)
    assert not (tmp_path / "toy").exists()


def test_without_the_extra_it_is_said_before_anything_is_done(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector.errors.is_installed", lambda module: module != "pyarrow")
    with pytest.raises(DependencyError, match=r"A converted set in shards .*string-detector\[shards\]"):
        detector.convert(toy.source, tmp_path / "toy", shards=True, **TOY_OPTIONS)
    assert not list(tmp_path.iterdir())


def test_a_set_that_is_left_without_a_shard(in_shards: InShards, tmp_path: Path) -> None:
    characters = read_set(in_shards.root)
    (tmp_path / "data.yaml").write_bytes(characters.yaml_path.read_bytes())
    (tmp_path / MANIFEST).write_bytes((in_shards.root / MANIFEST).read_bytes())
    (tmp_path / "images" / "val").mkdir(parents=True)
    (tmp_path / "images" / "val" / "part-00000.parquet").write_bytes(b"no shard")
    with pytest.raises(DatasetError, match=r"part-00000\.parquet .*the set is damaged: convert again"):
        open_packed(read_set(tmp_path), "val", (64, 192))
    with pytest.raises(DatasetError, match="no pictures in images/train"):
        open_packed(read_set(tmp_path), "train", (64, 192))
