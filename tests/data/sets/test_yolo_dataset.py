"""What a set looks like on disk: lines, descriptions, tables; and what is said of damaged ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from detector.data.sets.linking import link_or_copy
from detector.data.sets.yolo_dataset import (
    CONFIG_KEY,
    CharacterSet,
    ManifestRow,
    RejectRow,
    format_labels,
    parse_labels,
    read_manifest,
    read_set,
    split_images,
    write_descriptions,
    write_tables,
)
from detector.errors import DatasetError
from detector.text.reading_config import ReadingConfig
from detector.text.spacing import TextLayout
from tests.builders import write_pictures

RULES = ReadingConfig("0AÄ京", " ", 4, 1, 4, TextLayout("proportional", "gap", (0.5, 1.25)), (64, 192))

# Label lines


def test_a_label_line() -> None:
    boxes = np.array([[10, 20, 30, 60], [0, 0, 200, 100]], np.float32)
    assert format_labels([3, 0], boxes, 200, 100) == (
        "3 0.100000 0.400000 0.100000 0.400000\n0 0.500000 0.500000 1.000000 1.000000\n"
    )
    assert format_labels([], np.zeros((0, 4)), 200, 100) == ""


def test_as_many_ids_as_boxes() -> None:
    with pytest.raises(ValueError, match="shorter"):
        format_labels([1, 2], np.zeros((1, 4)), 10, 10)


@given(st.integers(4, 4000), st.integers(4, 4000), st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=9))
def test_lines_and_back(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, rows: list[tuple[float, ...]]
) -> None:
    corners = np.sort(np.array(rows).reshape(-1, 2, 2), axis=1) * [width, height]  # (n, 2 corners, 2)
    boxes = corners.reshape(-1, 4)
    ids = np.arange(len(boxes))
    path = tmp_path_factory.getbasetemp() / "round-trip.txt"
    path.write_text(format_labels(ids.tolist(), boxes, width, height))
    found_ids, found = parse_labels(path, width, height, 9)
    assert np.array_equal(found_ids, ids)
    assert np.abs(found - boxes).max(initial=0) <= 2e-6 * max(width, height)


def test_empty_and_spaced_label_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    ids, boxes = parse_labels(tmp_path / "a.txt", 10, 10, 3)
    assert (ids.shape, boxes.shape, ids.dtype, boxes.dtype) == ((0,), (0, 4), np.int64, np.float32)
    (tmp_path / "b.txt").write_text("\n1 .5 .5 1 1\r\n\n  2  0.5\t0.5 1 1  ")
    assert parse_labels(tmp_path / "b.txt", 10, 10, 3)[0].tolist() == [1, 2]


LINES: dict[str, tuple[bytes, str]] = {
    "words": (b"1 .5 .5 1 1\nhello", r"x\.txt:2: expected `class cx cy w h`, got 'hello'"),
    "four numbers": (b"1 .5 .5 1", r"x\.txt:1: expected `class cx cy w h`"),
    "six numbers": (b"1 .5 .5 1 1 1", r"x\.txt:1: expected `class cx cy w h`"),
    "class too high": (b"\n3 .5 .5 1 1", r"x\.txt:2: class must be below 3"),
    "class below 0": (b"-1 .5 .5 1 1", r"x\.txt:1: class must be below 3"),
    "class between": (b"1.5 .5 .5 1 1", r"x\.txt:1: class must be below 3"),
    "pixels": (b"1 50 50 10 10", r"x\.txt:1: .*shares of 1, got '1 50 50 10 10'"),
    "no number": (b"1 nan .5 1 1", r"x\.txt:1: .*shares of 1"),
    "class no number": (b"nan .5 .5 1 1", r"x\.txt:1: class must be below 3"),
    "endless": (b"inf .5 .5 1 1", r"x\.txt:1: class must be below 3"),
    "not ASCII": (b"1 .5 .5 1 1\n\xff\xfe\x00", r"x\.txt"),
}


@pytest.mark.parametrize(("data", "message"), LINES.values(), ids=LINES.keys())
def test_bad_label_lines_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(DatasetError, match=message):
        parse_labels(tmp_path / "x.txt", 100, 100, 3)


def test_a_missing_label_file_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"x\.txt is missing; every picture needs one"):
        parse_labels(tmp_path / "x.txt", 100, 100, 3)


# Descriptions


def described(root: Path, config: ReadingConfig = RULES, **images: list[str]) -> Path:
    write_descriptions(
        root, root / "final", config, images or {"train": ["images/train/a.png"], "val": ["images/val/b.png"]}
    )
    return root


def test_data_yaml(tmp_path: Path) -> None:
    held = yaml.safe_load((described(tmp_path) / "data.yaml").read_text(encoding="utf-8"))
    assert held == {
        "train": "images/train", "val": "images/val", "names": {0: "0", 1: "A", 2: "Ä", 3: "京"},
        CONFIG_KEY: RULES.to_dict(),
    }  # fmt: skip
    assert "京" in (tmp_path / "data.yaml").read_text(encoding="utf-8"), "readable, not escaped"


def test_splits_without_pictures_are_not_named(tmp_path: Path) -> None:
    described(
        tmp_path, train=["images/train/a.png"], val=["images/val/b.png"], test=[], suspects=["images/suspects/c.png"]
    )
    assert not (tmp_path / "test.txt").exists() and not (tmp_path / "suspects.txt").exists()
    assert "test" not in yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))


def test_darknet_files(tmp_path: Path) -> None:
    described(tmp_path)
    final = tmp_path / "final"
    assert (tmp_path / "obj.names").read_text(encoding="utf-8") == "0\nA\nÄ\n京\n"
    assert (tmp_path / "obj.data").read_text().splitlines() == [
        "classes = 4", f"train = {final / 'train.txt'}", f"valid = {final / 'val.txt'}",
        f"names = {final / 'obj.names'}", "backup = backup/",
    ]  # fmt: skip
    assert (tmp_path / "train.txt").read_text() == f"{final / 'images/train/a.png'}\n"
    assert (tmp_path / "val.txt").read_text() == f"{final / 'images/val/b.png'}\n"


NAMES = {
    "digits": "0123456789", "words of YAML": "YNyn~=", "signs": "-:#&*!|>'\"%@`{}[],?", "exponent": "1e5",
    "Unicode": "京😀Ä",
}  # fmt: skip


@pytest.mark.parametrize("symbols", NAMES.values(), ids=NAMES.keys())
def test_symbols_survive_yaml(tmp_path: Path, ultralytics_offline: None, symbols: str) -> None:
    """Ours and Ultralytics' reader: a bare 1 must not become a number, nor N a no."""
    from ultralytics.utils import YAML

    config = ReadingConfig(symbols)
    described(tmp_path, config)
    assert read_set(tmp_path).config == config
    assert YAML.load(tmp_path / "data.yaml")["names"] == dict(enumerate(symbols))


# Reading a set


def test_a_set_is_read_by_folder_or_file(tmp_path: Path) -> None:
    described(tmp_path)
    for path in (tmp_path, str(tmp_path), tmp_path / "data.yaml"):
        held = read_set(path)
        assert (held.root, held.yaml_path, held.config) == (tmp_path.resolve(), tmp_path.resolve() / "data.yaml", RULES)


SETS: dict[str, tuple[str | bytes | None, str]] = {
    "missing": (None, "There is no .*data.yaml: give the data.yaml that `detector convert` wrote"),
    "no YAML": ("{unclosed: [", "is no YAML file"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff", "is no YAML file"),
    "empty": ("", "has no key `detector`: it was not made by `detector convert`"),
    "a list": ("- 1\n- 2\n", "has no key `detector`"),
    "of others": ("names: {0: car}\ntrain: images\n", "Train it with plain `yolo train`"),
    "the key is no table": ("detector: 8\n", "has no key `detector`"),
    "an unknown rule": (
        "detector: {symbols: AB, colour: red}\n",
        "The reading configuration cannot be understood.*colour",
    ),
}


@pytest.mark.parametrize(("content", "message"), SETS.values(), ids=SETS.keys())
def test_sets_that_are_none(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "data.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError, match=message):
        read_set(tmp_path / "data.yaml")


NAMES_OF_OTHERS: dict[str, tuple[object, str | None]] = {
    "a list": (["0", "A", "Ä", "京"], None),
    "numbers without quotes": ([0, "A", "Ä", "京"], None),
    "in another order of lines": ({3: "京", 1: "A", 0: "0", 2: "Ä"}, None),
    "none": (None, None),
    "another symbol": ({0: "0", 1: "B", 2: "Ä", 3: "京"}, "1: 'B'"),
    "two exchanged, in a list": (["A", "0", "Ä", "京"], "0: 'A'"),
    "one more": (["0", "A", "Ä", "京", "Z"], "4: 'Z'"),
    "one less": (["0", "A", "Ä"], "no 3"),
    "no list": ("0AÄ京", ": '0AÄ京'"),
    "an empty one": ([], "no 0"),
}


@pytest.mark.parametrize(("names", "told"), NAMES_OF_OTHERS.values(), ids=NAMES_OF_OTHERS.keys())
def test_names_that_are_not_the_symbols(tmp_path: Path, names: object, told: str | None) -> None:
    file = described(tmp_path) / "data.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8")) | {"names": names}
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    if told is None:
        assert read_set(tmp_path).config == RULES
        return
    with pytest.raises(DatasetError, match=rf"data\.yaml has {told} among its names, .*: undo that, or convert again"):
        read_set(tmp_path)


def test_pictures_of_a_split_in_order(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images" / "train", ["b.png", "a.jpg", "c.png"])
    assert [(i.name, p.relative_to(tmp_path).as_posix()) for i, p in split_images(tmp_path, "train")] == [
        ("a.jpg", "labels/train/a.txt"), ("b.png", "labels/train/b.txt"), ("c.png", "labels/train/c.txt"),
    ]  # fmt: skip
    assert list(split_images(tmp_path, "val")) == []


def test_what_desktops_and_ultralytics_leave_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "train"
    write_pictures(folder, ["a.png", "B.JPG"])
    for name in (".DS_Store", "._a.png", "Thumbs.db", "desktop.ini", "a.npy", "notes"):
        (folder / name).write_bytes(b"x")
    assert [image.name for image, _ in split_images(tmp_path, "train")] == ["B.JPG", "a.png"]


# Tables

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)


@given(st.lists(st.builds(ManifestRow, *[words] * len(ManifestRow._fields)), max_size=5))
def test_manifests_and_back(tmp_path_factory: pytest.TempPathFactory, rows: list[ManifestRow]) -> None:
    root = tmp_path_factory.getbasetemp()
    write_tables(root, rows, [])
    assert read_manifest(root) == rows


def test_rejects(tmp_path: Path) -> None:
    write_tables(tmp_path, [], [RejectRow("a,b.png", 'the label "A" is\nlong'), RejectRow("c.png", "truncated")])
    with (tmp_path / "rejects.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["source", "reason"], ["a,b.png", 'the label "A" is\nlong'], ["c.png", "truncated"],
        ]  # fmt: skip
    assert b"\r" not in (tmp_path / "rejects.csv").read_bytes()


def test_texts_by_picture(tmp_path: Path) -> None:
    described(tmp_path)
    write_tables(tmp_path, [ManifestRow("a.png", "images/train/a.png", "A A", "train", "cut 2", "0.9", "ok")], [])
    assert read_set(tmp_path).texts() == {"images/train/a.png": "A A"}


MANIFESTS: dict[str, tuple[str | None, str]] = {
    "missing": (None, "has no manifest.csv: is it a set made by `detector convert`"),
    "empty": ("", "has other columns than source, image, text"),
    "other columns": ("image,text\na.png,A\n", "has other columns than source, image, text"),
    "a row too short": (",".join(ManifestRow._fields) + "\na.png,b.png\n", "manifest.csv"),
    "a row too long": (",".join(ManifestRow._fields) + "\n" + ",".join("abcdefghi") + "\n", "manifest.csv"),
}


@pytest.mark.parametrize(("content", "message"), MANIFESTS.values(), ids=MANIFESTS.keys())
def test_manifests_that_are_none(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_manifest(tmp_path)


ELSEWHERE = ("a.png", "images/a.png", "images/train/../a.png", "/images/train/a.png", "images/x/a", "images/train/",
             "images/train/..", "../images/train/a.png")  # fmt: skip


@pytest.mark.parametrize("image", ELSEWHERE)
def test_a_manifest_that_lists_what_is_not_in_the_set(image: str, tmp_path: Path) -> None:
    write_tables(tmp_path, [ManifestRow("a.png", image, "A", "train", "", "1", "ok")], [])
    characters = CharacterSet(tmp_path, tmp_path / "data.yaml", ReadingConfig())
    with pytest.raises(DatasetError, match="pictures of a set are images/train/NAME"):
        characters.rows("train")


CONFIGS: dict[str, dict[str, Any]] = {
    "a length that is none": {"length": 2.5},
    "a length without end": {"length": 10**9, "max_count": 10**9},
    "a count that is none": {"min_count": "1"},
    "a side that is none": {"shape_hw": [32.5, 96]},
    "no side": {"shape_hw": [0, 96]},
    "a side without end": {"shape_hw": [32, 10**9]},
    "one side": {"shape_hw": [32]},
    "a side too many": {"shape_hw": [32, 96, 3]},
}


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_data_yaml_whose_numbers_make_no_sense(changes: dict[str, Any], tmp_path: Path) -> None:
    write_descriptions(tmp_path, tmp_path, ReadingConfig(), {"train": ["images/train/a.png"]})
    described = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    described["detector"] |= changes
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    with pytest.raises(DatasetError):
        read_set(tmp_path)


# Pictures


def test_links_and_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"bytes")
    assert link_or_copy(source, tmp_path / "deep" / "b.png")
    assert (tmp_path / "deep" / "b.png").stat().st_ino == source.stat().st_ino

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    assert not link_or_copy(source, tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes() == b"bytes"
    assert (tmp_path / "c.png").stat().st_ino != source.stat().st_ino
