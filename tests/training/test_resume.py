"""Runs that were stopped: killed at any moment, copied elsewhere, without their set."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import detector
from detector.errors import ArgumentError, DatasetError, DetectorError
from detector.training.run_folder import Published
from tests.builders import contents, toy_folder
from tests.conftest import Toy, char_network
from tests.kills import killed, start_server

KILLS = 5  # at random moments


def results(folder: Path) -> list[str]:
    """The epochs of a run's table."""
    with (folder / "results.csv").open(newline="") as file:
        return [row["epoch"] for row in csv.DictReader(file)]


def train(data: Path, model: str, epochs: int) -> None:
    """What a person does: the run goes on if there is one, or begins."""
    from detector.training import publish
    from detector.training import trainer as text_trainer

    pytest.MonkeyPatch().setattr(publish, "_START_SHARES", (0.5,))
    pytest.MonkeyPatch().setattr(text_trainer, "choose_arithmetic", _fixed)
    if Path("runs/x/args.yaml").exists():
        detector.train(resume="runs/x")
    else:
        detector.train(data, model=model, epochs=epochs, batch=16, device="cpu", name="x")


def _fixed(*_: Any, **__: Any) -> Any:
    from detector.networks.arithmetic import Arithmetic

    return Arithmetic(1, False), {}


@pytest.fixture(scope="module")
def server() -> None:
    start_server()


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights to start from that read nothing yet."""
    from detector.networks.ultralytics import new_network

    torch.manual_seed(1)
    net = new_network("7AKT", char_network(), None)
    path = tmp_path_factory.mktemp("weak") / "weak.pt"
    torch.save({"model": net, "train_args": dict(net.args)}, path)
    return path


# Killed


@pytest.mark.usefixtures("server")
def test_training_that_is_killed_at_any_step_goes_on(toy: Toy, weak: Path, tmp_path: Path) -> None:
    """One run, killed before each epoch's files and then before every atomic step of publishing."""
    work = (toy.report.data_yaml, str(weak), 2)
    run, weights = tmp_path / "runs" / "x", tmp_path / "weights"
    for count, name in enumerate(("start.pt.part", "results.csv", "best.pt", "last.pt")):
        assert killed(train, *work, root=tmp_path, step=0, name=name), f"nothing changed {name}"
        assert not weights.exists() and (run / "weights" / "start.pt").exists() == (count > 0)
    assert killed(train, *work, root=tmp_path, step=1, name="weights/last.pt")
    assert [float(epoch) for epoch in results(run)] == [1, 2]  # the second one is in the table, not in the checkpoint
    steps = 0
    while killed(train, *work, root=tmp_path, step=steps):
        steps += 1
        if (done := Published.read(run)) and done.done:
            break  # killed after the last step
        for path in weights.glob("*.pt"):
            assert detector.Reader(path, device="cpu", backend="torch").config.symbols == "7AKT"
    assert steps > 5, "publishing has more steps than that"
    assert results(run) == ["1", "2"]
    assert sorted(contents(weights)) == ["x.pt"], "one run, one file"
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("mean-*"))
    with pytest.raises(DetectorError, match="nothing to resume"):
        detector.train(resume=run)


@pytest.mark.usefixtures("server")
def test_training_that_is_killed_at_random_moments_goes_on(toy: Toy, weak: Path, tmp_path: Path) -> None:
    """Also between atomic steps; tools/training/killed_training.py does it fifty times."""
    work, moment = (toy.report.data_yaml, str(weak), 3), random.Random(2)

    def is_done(root: Path) -> bool:
        return (published := Published.read(root / "runs" / "x")) is not None and published.done

    kills, seconds, roots = 0, 6.0, [tmp_path / "0"]
    while kills < KILLS or not is_done(roots[-1]):
        roots[-1].mkdir(exist_ok=True)
        limit = moment.uniform(0, seconds) if kills < KILLS else None
        kills += killed(train, *work, root=roots[-1], seconds=limit)
        if is_done(roots[-1]) and kills < KILLS:  # before it could be killed: on a machine as fast, earlier
            roots.append(tmp_path / str(len(roots)))
            seconds /= 2
    for root in roots:
        assert results(root / "runs" / "x") == ["1", "2", "3"]
        assert sorted(contents(root / "weights")) == ["x.pt"] and not list(root.rglob("*.part"))
        assert detector.Reader(root / "weights" / "x.pt", device="cpu", backend="torch").config.symbols == "7AKT"


# Elsewhere


@pytest.fixture(scope="module")
def stopped(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped after one of two epochs; nothing was published."""
    from detector.training import trainer as text_trainer

    class Stopped(Exception):
        pass

    real = text_trainer.TextTrainer.save_model

    def save_then_stop(self: Any) -> Any:
        real(self)
        raise Stopped

    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(text_trainer.TextTrainer, "save_model", save_then_stop)
        with pytest.raises(Stopped):
            detector.train(toy.root, model=str(char_network()), epochs=2, batch=16, device="cpu", name="x")
    return folder / "runs" / "x"


@pytest.fixture
def copied(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in the folder where the test runs."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(stopped, tmp_path / "elsewhere" / "copy"))


def test_a_copied_run_goes_on_where_it_lies(stopped: Path, copied: Path, toy: Toy) -> None:
    before = contents(stopped)
    set_elsewhere = shutil.copytree(toy.root, copied.parent / "set")
    weights = detector.train(set_elsewhere, resume=copied / "weights" / "last.pt")
    assert contents(stopped) == before, "the run that it is a copy of"
    assert results(copied) == ["1", "2"] and weights.path == Path("weights/copy.pt")
    held = (copied / "args.yaml").read_text()
    assert str(copied) in held and str(set_elsewhere) in held and str(stopped) not in held


def test_the_set_of_a_run_is_asked_for_where_it_is_gone(stopped: Path, copied: Path, tmp_path: Path) -> None:
    checkpoint = copied / "weights" / "last.pt"
    held = torch.load(checkpoint, weights_only=False)
    torch.save({**held, "train_args": {**held["train_args"], "data": "/gone/set/data.yaml"}}, checkpoint)
    with pytest.raises(DatasetError, match=r"copy was trained on /gone/set/data.yaml, and nothing .* data=SET"):
        detector.train(resume=copied)
    other = detector.convert(toy_folder(tmp_path / "in", 60, alphabet="0123"), tmp_path / "other", alphabet="0123",
                             length=4, space="_", device="cpu")  # fmt: skip
    with pytest.raises(DatasetError, match=r"other has the characters '0123', and .*copy was trained on '7AKT'"):
        detector.train(other.data_yaml, resume=copied)
    assert contents(copied / "weights").keys() == contents(stopped / "weights").keys()


def move(root: Path) -> Path:
    return root.rename(root.with_name("moved"))


def lose(pattern: str) -> Callable[[Path], Path]:
    """Delete the first file of such a path in the set."""

    def change(root: Path) -> Path:
        min(root.glob(pattern)).unlink()
        return root

    return change


def lose_folder(root: Path) -> Path:
    shutil.rmtree(root / "images" / "val")
    return root


CHANGES = {
    "a picture that is learnt": (lose("images/train/*"), ""),
    "a picture that tells how good it is": (lose("images/val/*"), "1 picture of "),
    "what is packed": (lose("packed/*/train-*.npy"), ""),
    "all pictures that tell how good it is": (lose_folder, "!images/val"),
    "the manifest": (lose("manifest.csv"), "!has no manifest.csv"),
    "the set, which is elsewhere now": (move, "!has no manifest.csv"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES.keys())
def test_a_set_that_changes_while_it_is_learnt(
    change: Callable[[Path], Path], said: str, copied: Path, toy: Toy, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The run ends, or says what is missing and goes on once it is there; nothing of the set is written elsewhere."""
    from detector.training import trainer as text_trainer

    root, places = shutil.copytree(toy.root, tmp_path / "set"), []
    real = text_trainer.TextTrainer.save_model

    def save_then_change(self: Any) -> Any:
        saved = real(self)
        places.append(change(root))
        return saved

    with monkeypatch.context() as patch:
        patch.setattr(text_trainer.TextTrainer, "save_model", save_then_change)
        if said.startswith("!"):
            kept = f"{said[1:]}.*resume={copied}/weights/last.pt publishes it; data=SET"
            with pytest.raises(DatasetError, match=kept):
                detector.train(root, resume=copied)
        else:
            detector.train(root, resume=copied)
            warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
            assert [warning for warning in warned if " not there, and left out" in warning] == warned
            assert bool(warned) == bool(said) and all(warning.startswith(said) for warning in warned)
    assert results(copied) == ["1", "2"] and len(places) == 1
    if said.startswith("!"):
        assert not Path("weights").exists()
        if change is not move:
            shutil.copytree(toy.root, root, dirs_exist_ok=True)
        detector.train(places[0], resume=copied)
        assert results(copied) == ["1", "2"], "nothing is learnt again"
    assert not torch.are_deterministic_algorithms_enabled(), "torch is left as it was"
    assert sorted(contents(Path("weights"))) == ["copy.pt"]
    assert root.exists() == (change is not move), "a set that is gone is not made anew"


def test_a_checkpoint_without_its_run_is_no_run(copied: Path, tmp_path: Path) -> None:
    lone = Path(shutil.copy(copied / "weights" / "last.pt", tmp_path / "last.pt"))
    with pytest.raises(DetectorError, match=r"lies in no run's folder.* copy all of it"):
        detector.train(resume=lone)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "last.pt"]


def test_a_run_that_ends_at_the_same_time_keeps_its_weights(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the name after this one has chosen it, and before its weights lie there."""
    other, write = Path("weights/copy.pt"), Published.write

    def write_beside_another(self: Published) -> None:
        write(self)
        if not other.exists():
            other.write_bytes(b"of another run")

    monkeypatch.setattr(Published, "write", write_beside_another)
    assert detector.train(resume=copied).path == Path("weights/copy-2.pt")
    assert other.read_bytes() == b"of another run"
    assert sorted(contents(Path("weights"))) == ["copy-2.pt", "copy.pt"]
    assert detector.Reader("weights/copy-2.pt", device="cpu", backend="torch").config.symbols == "7AKT"
    assert (published := Published.read(copied)) is not None and (published.name, published.done) == ("copy-2.pt", True)


def go_on_until_ctrl_c(run: Path) -> None:
    from detector.training import trainer as text_trainer

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt, match=r"copy.pt is what was learnt"):
        patch.setattr(text_trainer.TextTrainer, "validate", stop)
        detector.train(resume=run)


def test_a_run_that_a_link_leads_to_is_itself(copied: Path) -> None:
    go_on_until_ctrl_c(copied)
    link = copied.parent.parent / "link"
    link.symlink_to(copied.parent)
    assert detector.train(resume=link / "copy").path == Path("weights/copy.pt")
    assert sorted(contents(Path("weights"))) == ["copy.pt"]
    for place in (copied, link / "copy"):
        with pytest.raises(DetectorError, match=r"is finished, and left the weights copy\.pt"):
            detector.train(resume=place)


def test_weights_of_another_run_are_not_replaced(copied: Path) -> None:
    """Ctrl-C left weights; what lies there when the run has gone on may be something else."""
    go_on_until_ctrl_c(copied)
    again = Path(shutil.copytree(copied, copied.parent / "again"))  # a copy has left nothing
    left = Path("weights/copy.pt").read_bytes()
    assert (
        detector.train(resume=again).path == Path("weights/again.pt") and Path("weights/copy.pt").read_bytes() == left
    )
    Path("weights/copy.pt").write_bytes(b"of somebody else")
    assert detector.train(resume=copied).path == Path("weights/copy-2.pt")
    assert Path("weights/copy.pt").read_bytes() == b"of somebody else"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"epochs": 4, "lr0": 0.5}, "epochs=4, lr0=0.5 would not be followed by .*copy, which goes on with its own"),
        ({"epochs": 1, "progress": lambda *_: None}, "epochs=1 would not be followed"),
        ({"model": "other.pt"}, "model=other.pt would not"),
        ({"pretrained": False}, "pretrained=False would not"),
        ({"name": "other", "project": "elsewhere/other"}, "other would not"),
        ({"exist_ok": True}, "exist_ok=True would not"),
    ],
)
def test_arguments_that_a_run_would_not_follow_are_refused(copied: Path, arguments: dict[str, Any], says: str) -> None:
    before = contents(copied)
    with pytest.raises(ArgumentError, match=says):
        detector.train(resume=copied, **arguments)
    assert contents(copied) == before


def test_arguments_that_a_run_follows_are_taken(copied: Path) -> None:
    """Its own ones, too."""
    own = {"epochs": 2, "name": "copy", "project": "elsewhere", "model": "elsewhere/copy/weights/last.pt", "workers": 0}
    detector.train(resume=copied, batch=24, device="cpu", plots=False, **own)
    assert results(copied) == ["1", "2"]
    assert "batch: 24" in (copied / "args.yaml").read_text()


def test_a_run_that_begins_anew_stays_in_its_folder(copied: Path) -> None:
    (copied / "weights" / "last.pt").unlink()
    with pytest.raises(ArgumentError, match=r"name=other would not be followed by .*copy"):
        detector.train(resume=copied, name="other")


def test_a_line_that_was_cut_off_is_no_epoch(copied: Path) -> None:
    with (copied / "results.csv").open("a") as file:
        file.write("2,3.1")
    detector.train(resume=copied)
    assert results(copied) == ["1", "2"]
