"""What a conversion, a demo or training did not write is refused, and never deleted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.conversion.convert import convert
from detector.data.sets.yolo_dataset import read_set
from detector.errors import DatasetError, DetectorError
from detector.training.dataset import TextDataset
from detector.workflow.demo import demo
from tests.builders import TOY_OPTIONS, contents
from tests.conftest import Toy

SHAPE_HW = (64, 192)


def put(path: str) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("hours of work")

    return change


def correct_a_box(root: Path) -> None:
    label = min((root / "labels" / "train").iterdir())
    label.write_text(label.read_text().replace("0.4", "0.5").replace("0.3", "0.4") + "\n")


CHANGES = {
    "weights at the top": (put("weights/set.pt"), r"weights/set.pt"),
    "a picture among the pictures": (put("images/train/mine.png"), "images/train/mine.png"),
    "an array of no picture": (put("images/train/mine.npy"), "images/train/mine.npy"),
    "notes beside the pictures": (put("images/notes.txt"), "images/notes.txt"),
    "a file in the kept work": (put("work/mine.npz"), "work/mine.npz"),
    "a file among what is packed": (put("packed/64x192/train-mine.npy"), "packed/64x192/train-mine.npy"),
    "a box that was corrected": (correct_a_box, r"labels/train/\S+.txt"),
    "a description that was edited": (put("data.yaml"), "data.yaml"),
    "a column of notes in the review": (
        lambda root: (root / "review.csv").write_text("source,decision,corrected,note\nx.png,,,ask Ann\n"),
        r"review.csv \(its columns note\)",
    ),
}


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES.keys())
def test_what_a_user_put_into_a_set_stays(toy: Toy, tmp_path: Path, change: Any, named: str) -> None:
    root = Path(shutil.copytree(toy.root, tmp_path / "set"))
    TextDataset(read_set(root), "train", SHAPE_HW)  # packs
    change(root)
    before = contents(root)
    with pytest.raises(DatasetError, match=rf"set also holds {named}, which no conversion wrote or .* changed since"):
        convert(toy.source, root, overwrite=True, **TOY_OPTIONS)
    assert contents(root) == before
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_what_others_made_from_a_set_goes_with_it(toy: Toy, tmp_path: Path) -> None:
    """What training packed, Ultralytics' cache, a file manager's."""
    root = Path(shutil.copytree(toy.root, tmp_path / "set"))
    TextDataset(read_set(root), "train", SHAPE_HW)
    picture = min((root / "images" / "train").iterdir())
    pixels = picture.relative_to(root).with_suffix(".npy").as_posix()
    for path in ("labels/train.cache", "images/.DS_Store", "images/train/Thumbs.db", "Thumbs.db", pixels):
        (root / path).write_text("")
    TextDataset(read_set(root), "train", SHAPE_HW)
    shutil.rmtree(root / "work")  # may be deleted at any time
    convert(toy.source, root, overwrite=True, **TOY_OPTIONS)
    assert not (root / "packed").exists() and not (root / "Thumbs.db").exists()


def test_what_is_put_there_while_a_run_goes_on_stays(toy: Toy, tmp_path: Path) -> None:
    root = Path(shutil.copytree(toy.root, tmp_path / "set"))

    def progress(stage: str, done: int, total: int) -> None:
        (root / "images" / "mine.txt").write_text("mine")

    with pytest.raises(DatasetError, match=r"also holds images/mine.txt"):
        convert(toy.source, root, overwrite=True, progress=progress, **TOY_OPTIONS)
    assert (root / "images" / "mine.txt").read_text() == "mine"
    (root / "images" / "mine.txt").unlink()
    convert(toy.source, root, overwrite=True, **TOY_OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("name", ["set.part", "set.replaced"])
@pytest.mark.parametrize("file", ["work", "work/diary.txt", "manifest.csv", "files.csv"])
def test_a_folder_of_the_user_s_beside_a_set_stays(toy: Toy, tmp_path: Path, name: str, file: str) -> None:
    put(f"{name}/{file}")(tmp_path)
    with pytest.raises(DatasetError, match=rf"{name} is needed .*{file}.*: move it away"):
        convert(toy.source, tmp_path / "set", **TOY_OPTIONS)
    assert contents(tmp_path) == {f"{name}/{file}": b"hours of work"}


def test_what_a_user_put_beside_what_was_stopped_stays(toy: Toy, tmp_path: Path) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "write" and done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(toy.source, tmp_path / "set", progress=progress, **TOY_OPTIONS)
    mine = tmp_path / "set.part" / "images" / "train" / "mine.png"
    put(str(mine.relative_to(tmp_path)))(tmp_path)
    with pytest.raises(DatasetError, match=r"set.part is needed .*images/train/mine.png"):
        convert(toy.source, tmp_path / "set", **TOY_OPTIONS)
    mine.unlink()
    convert(toy.source, tmp_path / "set", **TOY_OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_set_of_an_earlier_version_has_no_list(toy: Toy, tmp_path: Path) -> None:
    root = Path(shutil.copytree(toy.root, tmp_path / "set"))
    (root / "files.csv").unlink()
    before = contents(root)
    with pytest.raises(DatasetError, match=r"has no files.csv.* Move it away .*review.* the decisions in it"):
        convert(toy.source, root, overwrite=True, **TOY_OPTIONS)
    assert contents(root) == before


@pytest.mark.parametrize("file", [".detector-demo", "notes.txt", "seen/labels.csv", "files.csv"])
def test_a_demo_deletes_nothing_of_others(tmp_path: Path, file: str) -> None:
    put(file)(tmp_path)
    with pytest.raises(DetectorError, match="holds something else than an earlier demo"):
        demo(tmp_path)
    assert contents(tmp_path) == {file: b"hours of work"}


def test_a_demo_whose_name_is_no_unicode_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"d.mo: the name is not UTF-8, .* choose another folder"):
        demo(tmp_path / "d\udce4mo", pictures=2)
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("few_fonts")
def test_what_is_put_into_a_demo_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("detector.workflow.demo.fit", stop)
    monkeypatch.setattr("detector.workflow.demo.UNSEEN", 2)
    for _ in range(2):  # the second one goes where the first was stopped
        with pytest.raises(KeyboardInterrupt):
            demo(tmp_path / "demo", pictures=2, say=lambda _: None)
    put("demo/seen/images/mine.png")(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(DetectorError, match=r"also holds seen/images/mine.png"):
        demo(tmp_path / "demo", pictures=2)
    assert contents(tmp_path) == before
