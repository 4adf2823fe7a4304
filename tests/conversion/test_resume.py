"""A conversion that was stopped goes on where it was, and ends in the same bytes."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import detector
from detector.conversion.convert import convert
from detector.conversion.locating.locator import Locator
from detector.data.atomic import atomic_write
from detector.data.folders.resume_folder import PACKAGE, ResumeFolder, package_hash
from detector.data.images import read_image as read_picture
from detector.data.sets.yolo_dataset import read_manifest
from detector.errors import DatasetError
from tests.builders import TOY_OPTIONS, TOY_SYMBOLS, contents, toy_folder
from tests.conftest import Toy
from tests.kills import FORKS, start_server

KILLS = 12


def written(root: Path) -> dict[str, bytes]:
    """All of a set but what is kept for the next run."""
    return {name: content for name, content in contents(root).items() if not name.startswith("work/")}


def test_what_is_kept_is_of_this_package_with_its_weights(tmp_path: Path) -> None:
    assert Path(detector.__file__).parent == PACKAGE
    hashes = set()
    for number, name in enumerate(("code.py", "weights/w.pt", "weights/w.onnx", "models/char.yaml", "README.md")):
        package = tmp_path / str(number)
        shutil.copytree(tmp_path / str(number - 1), package) if number else package.mkdir()
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(name)
        hashes.add(package_hash(package))
    assert len(hashes) == 4, "all files but the page"


def small_pieces(set_attribute: Any) -> None:
    """Everything is kept often, so that there is something to go on from."""
    set_attribute("detector.training.training_loop.CHECKPOINT_SECONDS", 0.1)
    set_attribute("detector.conversion.locating.boxes._BATCH", 4)
    set_attribute("detector.conversion.locating.boxes._BATCHES_A_PIECE", 2)
    set_attribute("detector.conversion.inputs._CHUNK", 4)
    set_attribute("detector.conversion.inputs._CHUNKS_A_PIECE", 2)


def convert_apart(source: Path, out: Path, more: dict[str, Any]) -> None:
    """What a process that may be killed does."""
    small_pieces(lambda name, value: pytest.MonkeyPatch().setattr(name, value))
    convert(source, out, **{**TOY_OPTIONS, **more})


def unknown_folder(folder: Path) -> Path:
    """100 pictures of letters that the shipped detector does not know."""
    return toy_folder(folder, 100, alphabet="ЖШЮЯ", min_length=4, spaces=0)


def start(source: Path, out: Path, **more: Any) -> Any:
    """``convert`` in a process of its own."""
    process = FORKS.Process(target=convert_apart, args=(source, out, more))
    process.start()
    return process


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Processes are forked from one that has imported everything."""
    start_server()


def undisturbed(source: Path, out: Path, **more: Any) -> tuple[dict[str, bytes], float]:
    """What a run that nobody stops writes, and how long it takes."""
    began = time.perf_counter()
    process = start(source, out, **more)
    process.join()
    assert process.exitcode == 0
    return written(out), time.perf_counter() - began


def test_killed_at_any_moment_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    source, out = toy_folder(tmp_path / "source", 60), tmp_path / "out"
    expected, seconds = undisturbed(source, out)
    shutil.rmtree(out)
    moment, killed, ended = random.Random(5), 0, 0
    while killed < KILLS or not ended:
        process = start(source, out)
        if killed < KILLS:
            process.join(moment.uniform(0, 0.4 * seconds))
        else:
            process.join()
        if process.exitcode is None:
            process.kill()
            process.join()
            killed += 1
        if out.exists():  # done, or killed right after
            assert written(out) == expected
            shutil.rmtree(out)
            ended += 1
        else:
            assert process.exitcode == -9


def test_killed_while_it_trains_itself_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Letters that the shipped detector does not know: two halves are trained, then all that is explained."""
    source, out = unknown_folder(tmp_path / "source"), tmp_path / "out"
    more: dict[str, Any] = {"alphabet": "auto", "train_scale": 0.2}
    expected, seconds = undisturbed(source, out, **more)
    assert b"trained-1" in expected["boxes.csv"]
    shutil.rmtree(out)
    moment, training = random.Random(3), []
    while not out.exists():
        process = start(source, out, **more)
        process.join(moment.uniform(0.1, 0.6) * seconds)
        process.kill()
        process.join()
        training.append(bool(list((tmp_path / "out.part" / "work").glob("training-*.pt"))))
    assert any(training), "it was never killed in the middle of training"
    assert written(out) == expected


def test_killed_while_a_review_is_taken_up_nothing_is_lost(toy: Toy, tmp_path: Path) -> None:
    before = shutil.copytree(toy.root, tmp_path / "before")
    out = tmp_path / "out"
    dropped, corrected = (row.source for row in read_manifest(before)[:2])
    (before / "review.csv").write_text(f"source,decision,corrected\n{dropped},drop,\n{corrected},correct,KKKK\n")
    shutil.copytree(before, out)
    expected, seconds = undisturbed(toy.source, out, overwrite=True)
    assert b"KKKK" in expected["manifest.csv"] and b"dropped in review" in expected["rejects.csv"]
    shutil.rmtree(out)
    shutil.copytree(before, out)
    moment = random.Random(7)
    for _ in range(6):
        process = start(toy.source, out, overwrite=True)
        process.join(moment.uniform(0, seconds))
        process.kill()
        process.join()
    assert undisturbed(toy.source, out, overwrite=True)[0] == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == ["before", "out"]


# What is taken up, and what is not


class Counted:
    """How many pictures were looked at and located."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.located = self.decoded = 0
        self.stop_after = -1
        real = Locator.locate

        def locate(locator: Locator, images: Any, labels: Any) -> Any:
            if self.located == self.stop_after:
                raise KeyboardInterrupt
            self.located += len(images)
            return real(locator, images, labels)

        def read_image(picture: Any) -> Any:
            self.decoded += 1
            return read_picture(picture)

        monkeypatch.setattr(Locator, "locate", locate)
        monkeypatch.setattr("detector.conversion.inputs.read_image", read_image)
        small_pieces(monkeypatch.setattr)

    def take(self) -> tuple[int, int]:
        """Pictures looked at, pictures located since the last call."""
        counts = self.decoded, self.located
        self.decoded = self.located = 0
        return counts


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    monkeypatch.setattr("detector.data.parallel.cores", lambda: 1)  # batches one after the other
    return Counted(monkeypatch)


def test_what_was_found_is_not_sought_again(toy: Toy, counted: Counted, tmp_path: Path) -> None:
    counted.stop_after = 20
    with pytest.raises(KeyboardInterrupt):
        convert(toy.source, tmp_path / "out", **TOY_OPTIONS)
    assert counted.take() == (60, 20)
    assert not (tmp_path / "out").exists()
    counted.stop_after = -1
    told: list[tuple[str, int, int]] = []
    convert(toy.source, tmp_path / "out", progress=lambda *stage: told.append(stage), **TOY_OPTIONS)
    assert counted.take() == (0, 44)  # 16 of the 20 were kept, in whole pieces of 8
    assert next(stage for stage in told if stage[0] == "locate") == ("locate", 16, 60)  # so that the time left is right
    convert(toy.source, tmp_path / "out", overwrite=True, **TOY_OPTIONS)
    assert counted.take() == (0, 0)  # a finished set keeps it, too


def test_kept_work_is_small(toy: Toy) -> None:
    assert {p.name.split("-")[0] for p in (toy.root / "work").iterdir()} == {
        "request.json", "arguments.json", "files.csv", "boxes", "looked",
    }  # fmt: skip
    boxes = sum(p.stat().st_size for p in (toy.root / "work").glob("boxes-*"))
    assert boxes < 500 * 60


CHANGES: dict[str, dict[str, Any]] = {
    "seed": {"seed": 1}, "steps": {"train_scale": 0.5}, "alphabet": {"alphabet": "".join(sorted(TOY_SYMBOLS + "B"))},
    "shares": {"test": 0.3}, "length": {"length": 5},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_work_of_other_arguments_is_thrown_away(
    toy: Toy, counted: Counted, tmp_path: Path, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(toy.root, tmp_path / "out")
    with caplog.at_level(logging.INFO, "detector"):
        convert(toy.source, tmp_path / "out", overwrite=True, **{**TOY_OPTIONS, **change})
    assert counted.take() == (60, 60)
    assert "is of another request" in caplog.text


def test_work_of_other_pictures_is_thrown_away(counted: Counted, tmp_path: Path) -> None:
    source, out = toy_folder(tmp_path / "source", 40), tmp_path / "out"
    convert(source, out, **TOY_OPTIONS)
    counted.take()
    one = sorted(source.iterdir())[0]
    os.utime(one, ns=(one.stat().st_atime_ns, one.stat().st_mtime_ns + 1))
    convert(source, out, overwrite=True, **TOY_OPTIONS)
    assert counted.take() == (40, 40)
    one.unlink()
    convert(source, out, overwrite=True, **TOY_OPTIONS)
    assert counted.take() == (39, 39)


def test_suspects_may_be_kept_without_finding_boxes_again(toy: Toy, counted: Counted, tmp_path: Path) -> None:
    shutil.copytree(toy.root, tmp_path / "out")
    convert(toy.source, tmp_path / "out", overwrite=True, keep_suspects=True, **TOY_OPTIONS)
    assert counted.take() == (0, 0)


def test_a_replacement_that_was_killed_half_way(toy: Toy, counted: Counted, tmp_path: Path) -> None:
    """Between two renames there is no OUT: the earlier set comes back, with the decisions in it."""
    shutil.copytree(toy.root, tmp_path / "out.replaced")
    (tmp_path / "out.part").mkdir()
    with pytest.raises(DatasetError, match="out exists"):
        convert(toy.source, tmp_path / "out", **TOY_OPTIONS)
    assert written(tmp_path / "out") == written(toy.root)
    shutil.copytree(toy.root, tmp_path / "out.replaced")  # and one that was killed while it cleared up
    shutil.rmtree(tmp_path / "out.replaced" / "images")
    convert(toy.source, tmp_path / "out", overwrite=True, **TOY_OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_damaged_work_is_sought_again(
    toy: Toy, counted: Counted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    convert(toy.source, out, **TOY_OPTIONS)
    counted.take()
    before = written(out)
    for name in ("boxes-000003.npz", "looked-000001.json"):
        piece = out / "work" / name
        piece.write_bytes(piece.read_bytes()[:100])
    convert(toy.source, out, overwrite=True, **TOY_OPTIONS)
    assert counted.take() == (8, 8)
    assert "boxes-000003.npz is damaged" in caplog.text and "looked-000001.json is damaged" in caplog.text
    assert written(out).keys() == before.keys()


def test_files_appear_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(ZeroDivisionError), atomic_write(path) as part:
        part.write_text("half")
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
    with atomic_write(path) as part:
        part.write_text("all")
        assert not path.exists()
    assert path.read_text() == "all" and not part.exists()


def test_work_of_a_lesser_request_goes_on_as_that_of_this_one(tmp_path: Path) -> None:
    asked, lesser, other = {"torch": "2", "seed": 0}, {"torch": None, "seed": 0}, {"torch": "3", "seed": 0}
    for taken in (tmp_path / "work", tmp_path / "next"):  # the same folder, then another one
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        ResumeFolder.open(tmp_path / "work", lesser).next_piece("boxes", ".npz").write_bytes(b"1")
        assert len(ResumeFolder.open(taken, asked, tmp_path / "work", lesser).pieces("boxes")) == 1
        assert json.loads((taken / "request.json").read_text()) == asked
        assert ResumeFolder.open(taken, other, None, lesser).pieces("boxes") == []


def test_work_that_was_being_thrown_away_does_not_count(tmp_path: Path) -> None:
    work = ResumeFolder.open(tmp_path / "work", {"seed": 0})
    work.next_piece("boxes", ".npz").write_bytes(b"1")
    assert len(ResumeFolder.open(tmp_path / "work", {"seed": 0}).pieces("boxes")) == 1
    assert json.loads((tmp_path / "work" / "request.json").read_text()) == {"seed": 0}
    (tmp_path / "work" / "request.json").unlink()
    assert ResumeFolder.open(tmp_path / "work", {"seed": 0}).pieces("boxes") == []
