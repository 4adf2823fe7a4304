"""The store of letterboxed pictures: what it holds, what makes it be built again, and what a kill or damage leaves."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.data.atomic import written_as
from detector.data.images import read_image
from detector.data.letterbox import letterbox
from detector.data.sets import packed
from detector.data.sets.packed import Packed, open_packed
from detector.data.sets.yolo_dataset import parse_labels, read_set, split_images
from detector.errors import DatasetError
from tests.conftest import Toy

SHAPE_HW = (64, 192)


@pytest.fixture
def root(toy: Toy, tmp_path: Path) -> Path:
    """A copy of the toy's set, without what others packed there; its files are its own."""
    return Path(shutil.copytree(toy.root, tmp_path / "set", ignore=shutil.ignore_patterns(packed.FOLDER)))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes of each picture that is decoded from now on."""
    seen: list[bytes] = []
    monkeypatch.setattr(packed, "read_image", lambda data: seen.append(data) or read_image(data))
    return seen


def opened(root: Path, split: str = "train") -> Packed:
    return open_packed(read_set(root), split, SHAPE_HW)


def pictures(root: Path, split: str = "train") -> list[tuple[Path, Path]]:
    return list(split_images(root, split))


def check(store: Packed, root: Path, split: str = "train") -> None:
    """It holds what the files say, decoded and letterboxed one by one."""
    files = pictures(root, split)
    assert store.names == [image.name for image, _ in files]
    assert store.images.shape == (len(files), *SHAPE_HW, 3)
    for i, (image, label) in enumerate(files):
        pixels, back = letterbox(read_image(image), SHAPE_HW)
        ids, boxes = parse_labels(label, back.width, back.height, 4)
        assert np.array_equal(store.images[i], pixels)
        assert np.array_equal(store.ids[i], ids)
        assert np.allclose(store.boxes_xyxy[i], back.to_letterboxed(boxes))


def stored(root: Path) -> list[str]:
    return sorted(p.name for p in (root / packed.FOLDER / "64x192").iterdir())


@pytest.mark.parametrize("split", ["train", "val"])
def test_it_holds_the_pictures_and_their_boxes(root: Path, split: str) -> None:
    check(opened(root, split), root, split)
    check(opened(root, split), root, split)


def test_an_unchanged_set_is_decoded_once(root: Path, decoded: list[bytes]) -> None:
    opened(root)
    assert len(decoded) == len(pictures(root))
    before = stored(root)
    opened(root)
    assert len(decoded) == len(pictures(root))
    assert stored(root) == before


def test_the_map_cannot_be_written_to(root: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        opened(root).images[0] = 0


def touch(root: Path) -> int:
    for image, label in pictures(root):
        os.utime(image, ns=(1, 1))
        os.utime(label, ns=(1, 1))
    return 0


def rename(root: Path) -> int:
    image, label = pictures(root)[3]
    image.rename(image.with_name("zz.png"))
    label.rename(label.with_name("zz.txt"))
    return 0


def relabel(root: Path) -> int:
    _, label = pictures(root)[2]
    label.write_text("1 0.5 0.5 0.25 0.25\n")
    return 0


def remove(root: Path) -> int:
    for path in pictures(root)[0]:
        path.unlink()
    return 0


def repaint(root: Path) -> int:
    image, other = pictures(root)[1][0], pictures(root, "val")[0][0]
    shutil.copyfile(other, image)
    return 1


def add(root: Path) -> int:
    (image, label), (other, _) = pictures(root)[1], pictures(root, "val")[0]
    shutil.copyfile(other, image.with_name("aa.png"))
    shutil.copyfile(label, label.with_name("aa.txt"))
    return 1


CHANGES = [touch, rename, relabel, remove, repaint, add]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
def test_only_what_changed_is_decoded(root: Path, decoded: list[bytes], change: Callable[[Path], int]) -> None:
    opened(root)
    decoded.clear()
    expected = change(root)
    check(opened(root), root)
    assert len(decoded) == expected
    decoded.clear()
    check(opened(root), root)
    assert decoded == []
    assert len([name for name in stored(root) if name.endswith(".npy")]) == 1, "the old pixels are gone"


def test_a_box_without_area_is_named(root: Path) -> None:
    _, label = pictures(root)[0]
    label.write_text("0 0.5 0.5 0.0 0.5\n")
    with pytest.raises(DatasetError, match=f"{label.name} has a box without area"):
        opened(root)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("which", [0, 1], ids=["picture", "label"])
@pytest.mark.parametrize("damage", [a_folder, a_link_to_itself, a_link_to_nothing], ids=lambda d: d.__name__)
def test_a_file_that_cannot_be_read_is_named(
    root: Path, damage: Callable[[Path], None], which: int, is_packed: bool
) -> None:
    """Not the store, which is being written."""
    if is_packed:
        opened(root)
    path = pictures(root)[1][which]
    damage(path)
    with pytest.raises(DatasetError, match=rf"{path.name}\b.*: .*convert again") as caught:
        opened(root)
    assert "MB are needed" not in str(caught.value)


def test_a_wrong_label_costs_no_second_decoding(root: Path, decoded: list[bytes]) -> None:
    _, label = pictures(root)[0]
    whole = label.read_text()
    label.write_text("hello\n")
    with pytest.raises(DatasetError, match=r"\.txt:1: expected"):
        opened(root)
    label.write_text(whole)
    decoded.clear()
    check(opened(root), root)
    assert decoded == []


def test_labels_are_read_again_for_another_alphabet(root: Path) -> None:
    opened(root)
    text = (root / "data.yaml").read_text()
    characters = read_set(root)
    assert text and characters.config.symbols
    from dataclasses import replace

    fewer = replace(characters, config=replace(characters.config, symbols=characters.config.symbols[:1]))
    with pytest.raises(DatasetError, match="class must be below 1"):
        open_packed(fewer, "train", SHAPE_HW)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(b ^ 255 for b in data[middle : middle + 64])  # within one picture
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty, Path.unlink], ids=lambda d: d.__name__)
@pytest.mark.parametrize("pattern", ["train-*.npy", "train.npz"])
def test_a_damaged_store_is_built_again_and_says_so(
    root: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], Any], pattern: str
) -> None:
    opened(root)
    (path,) = (root / packed.FOLDER / "64x192").glob(pattern)
    damage(path)
    caplog.clear()
    check(opened(root), root)
    said = [r for r in caplog.records if r.levelno >= logging.WARNING and "damaged" in r.message]
    assert len(said) == (damage is not Path.unlink)
    caplog.clear()
    check(opened(root), root)
    assert "damaged" not in caplog.text


def shortened(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda columns: columns.update({name: columns[name][:2]})


COLUMNS = ("stamps", "digests", "checksums", "scales", "places", "label_stamps", "counts", "ids", "boxes_xyxy", "names")
FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {f"short {name}": shortened(name) for name in COLUMNS} | {
    "no numbers of classes": lambda columns: columns.pop("classes"),
    "many numbers of classes": lambda columns: columns.update(classes=np.array([4, 4])),
    "counts that are too high": lambda columns: columns.update(counts=columns["counts"] + 1),
    "counts below zero": lambda columns: columns["counts"].__setitem__(slice(2), [-1, columns["counts"][:2].sum() + 1]),
    "counts that are no integers": lambda columns: columns.update(counts=columns["counts"].astype(float)),
    "classes that are too high": lambda columns: columns.update(ids=columns["ids"] + 4),
    "classes below zero": lambda columns: columns.update(ids=columns["ids"] - 4),
    "half boxes": lambda columns: columns.update(boxes_xyxy=columns["boxes_xyxy"][:, :2]),
    "half stamps": lambda columns: columns.update(stamps=columns["stamps"][:, :1]),
    "nested names": lambda columns: columns.update(names=np.frombuffer(b"[" * 100_000, np.uint8)),
    "names that are none": lambda columns: columns.update(
        names=np.frombuffer(
            json.dumps([json.loads(columns["names"].tobytes())[0], [7] * len(columns["counts"])]).encode(), np.uint8
        )
    ),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_table_that_holds_what_none_has_is_packed_again(
    root: Path, caplog: pytest.LogCaptureFixture, forge: Callable[[dict[str, Any]], Any]
) -> None:
    opened(root)
    table = root / packed.FOLDER / "64x192" / "train.npz"
    with np.load(table) as held:
        columns = dict(held)
    forge(columns)
    np.savez(table, **columns)
    caplog.clear()
    check(opened(root), root)
    assert "is damaged" in caplog.text and "the pictures are packed again" in caplog.text
    caplog.clear()
    check(opened(root), root)
    assert "damaged" not in caplog.text


def test_one_damaged_picture_is_decoded_alone(root: Path, decoded: list[bytes]) -> None:
    opened(root)
    decoded.clear()
    (path,) = (root / packed.FOLDER / "64x192").glob("train-*.npy")
    flip(path)
    check(opened(root), root)
    assert len(decoded) == 1


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", ["pixels", "table"])
def test_a_kill_leaves_the_old_store(root: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Wherever it strikes, nothing half-written is used, and the next run brings all up to date."""
    before = opened(root)
    repaint(root)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self.suffix == ".part" and written_as(self.name).endswith(".npy" if at == "pixels" else ".npz"):
            raise Killed
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(Killed):
            opened(root)
    assert len(before.images) == len(pictures(root)), "what is mapped stays readable"
    check(opened(root), root)
    assert len(stored(root)) == 3, stored(root)


def _open_and_sum(root: Path, answer: Any) -> None:
    store = opened(root)
    answer.put((len(store.names), int(store.images.sum())))


def test_processes_that_open_it_at_once(root: Path) -> None:
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    answer = context.Queue()
    processes = [context.Process(target=_open_and_sum, args=(root, answer)) for _ in range(3)]
    for process in processes:
        process.start()
    answers = {answer.get(timeout=600) for _ in processes}
    for process in processes:
        process.join()
    assert answers == {(len(pictures(root)), int(opened(root).images.sum()))}


def test_a_set_that_cannot_be_written_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed one is mapped as it is, another is kept in memory; nothing is written."""

    class NoLock:
        def __init__(self, path: Path) -> None: ...

        def acquire(self) -> None:
            raise PermissionError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(packed, "FileLock", NoLock)
        check(opened(root), root)
        assert stored(root) == []
    opened(root)
    with monkeypatch.context() as patch:
        patch.setattr(packed, "FileLock", NoLock)
        store = opened(root)
    check(store, root)
    assert not store.images.flags.owndata


def test_a_full_disk_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed.np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(DatasetError, match=r"No space left on device.*MB are needed there"):
        opened(root)
