"""Training the toy: what it writes, that others open it, that it goes on, that augmentation runs."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import detector
from detector.data.sets.yolo_dataset import read_manifest, read_set
from detector.errors import ArgumentError, DatasetError, DependencyError, DetectorError, DiskFullError, WeightsError
from detector.training.arguments.defaults import DEFAULTS
from detector.training.augment.policy import Augment, Policy
from detector.training.dataset import EpochOrder, TextDataset, TextLoader
from detector.training.validation.evidence import FEW
from tests.builders import TOY_OPTIONS, TOY_SYMBOLS, contents
from tests.conftest import TOY_EPOCHS, Toy, ToyRun, char_network
from tests.training.conftest import SHAPE_HW


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return [{k.strip(): v for k, v in row.items()} for row in csv.DictReader(file)]


def short(toy: Toy, **changes: Any) -> dict[str, Any]:
    return {"data": toy.report.data_yaml, "model": str(char_network()), "batch": 16, "device": "cpu", **changes}


def class_rows(net: Any) -> dict[str, torch.Tensor]:
    """Of each class, all that the head holds for it alone."""
    layers = [layer[-1] for layer in net.model[-1].cv3]
    return {
        name: torch.cat([torch.cat([layer.weight[i].flatten(), layer.bias[i : i + 1]]) for layer in layers]).float()
        for i, name in net.names.items()
    }


def saved(symbols: str, path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """Weights that know these symbols, and what they hold for each."""
    from detector.networks.ultralytics import new_network

    torch.manual_seed(1)
    net = new_network(symbols, char_network(), None)
    torch.save({"model": net, "train_args": dict(net.args)}, path)
    return path, class_rows(net)


@pytest.mark.parametrize(
    ("old", "new"),
    [("0123456789", "0123456789"), ("AB0123456789", "0123456789"), ("ABab", "baBA"), ("ABab", "ABab"), ("A-0", "0A?")],
)
def test_classes_are_carried_over_by_their_symbols(old: str, new: str, tmp_path: Path) -> None:
    """Also where they are digits in their order, which Ultralytics takes for no names, and by case where both are."""
    from detector.networks import ultralytics
    from detector.networks.ultralytics import library
    from detector.training import trainer as text_trainer

    start, rows = saved(old, tmp_path / "start.pt")
    held, _ = library.load_checkpoint(str(start))
    trainer = text_trainer.TextTrainer.__new__(text_trainer.TextTrainer)
    trainer.data = {"nc": len(new), "channels": 3, "names": dict(enumerate(new))}
    trainer.args = library.get_cfg()
    for net in (ultralytics.new_network(new, None, start), trainer.get_model(held.yaml, held, verbose=False)):
        assert net.names == dict(enumerate(new))
        found = class_rows(net)
        assert all(torch.equal(found[symbol], rows[symbol]) for symbol in new if symbol in rows)
    assert held.names == dict(enumerate(old))


def test_a_small_letter_starts_as_its_capital(tmp_path: Path) -> None:
    from detector.networks.ultralytics import new_network

    start, rows = saved("AB", tmp_path / "start.pt")
    found = class_rows(new_network("abB", None, start))
    assert all(torch.equal(found[symbol], rows[symbol.upper()]) for symbol in "abB")


def test_a_symbol_that_the_start_does_not_know_stays_as_it_was_trained(tmp_path: Path) -> None:
    from detector.networks import ultralytics
    from detector.networks.ultralytics import library

    start, before = saved("A0", tmp_path / "start.pt")
    trained, after = saved("0A-", tmp_path / "trained.pt")
    mean = ultralytics.write_interpolated(trained, start, 0.25, "0A-", tmp_path / "mean.pt")
    found = class_rows(library.load_checkpoint(str(mean))[0])
    assert torch.equal(found["-"], after["-"])
    for symbol in "0A":
        assert torch.allclose(found[symbol], 0.75 * after[symbol] + 0.25 * before[symbol], atol=1e-6)


def test_a_checkpoint_that_is_cut_off_leaves_the_one_before(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.networks.ultralytics import library
    from detector.training import trainer as text_trainer

    trainer = object.__new__(text_trainer.TextTrainer)
    trainer.last, trainer.best = tmp_path / "last.pt", tmp_path / "best.pt"
    trainer.last.write_bytes(b"whole")

    def cut_off(self: Any) -> bool:
        self.last.write_bytes(b"hal")
        raise KeyboardInterrupt

    monkeypatch.setattr(library.DetectionTrainer, "save_model", cut_off)
    with pytest.raises(KeyboardInterrupt):
        trainer.save_model()
    assert trainer.last.read_bytes() == b"whole" and [path.name for path in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"time": -1}, "time=-1: give hours"),
        ({"batch": 0}, "batch=0: give pictures of a step, a whole number from 1 on"),
        ({"batch": 2.5}, "batch=2.5: give pictures of a step, a whole number from 1 on"),
        ({"batch": -2}, "batch=-2"),
        ({"seed": 2**32}, "seed=4294967296: give a number from 0 to 4294967295"),
        ({"name": "a/b"}, "name=a/b: give a name without a folder; project=FOLDER says where"),
        ({"name": ".."}, "name=.."),
        ({"imgsz": 0}, "imgsz=0"),
        ({"lr0": -1.0}, "lr0"),
        ({"epochs": "010"}, "epochs"),
        ({"cfg": "mine.yaml"}, "cfg=mine.yaml is not followed: such a file would replace"),
        ({"augment": "foo"}, "augment='foo'"),
        ({"imgsz": 32, "batch": 1}, r"batch=1 leaves a step of one picture .*: give batch=2, or imgsz=64 or more"),
        ({"imgsz": 32, "batch": 47}, r"batch=47 leaves a step of one picture .*: give batch=48, or imgsz=64 or more"),
    ],
)
def test_values_that_make_no_sense_are_refused(toy: Toy, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        detector.train(**short(toy, **arguments))


@pytest.mark.parametrize("value", [8, "int8"])
def test_a_missing_quantizer_is_named(toy: Toy, value: Any) -> None:
    from detector.errors import is_installed

    if is_installed("modelopt"):
        pytest.skip("it is there")
    with pytest.raises(DependencyError, match=rf"quantize={value} needs modelopt.*: run `pip install 'nvidia-modelopt"):
        detector.train(**short(toy, quantize=value))


# What a run leaves


def test_the_best_weights_land_in_weights(toy_run: ToyRun) -> None:
    assert toy_run.weights.parts[-2:] == ("weights", "toy.pt")
    assert toy_run.weights.is_file()
    assert not list(toy_run.weights.parent.glob("*.part"))


def test_results_have_strings_beside_boxes(toy_run: ToyRun) -> None:
    rows = results(toy_run.folder)
    assert [int(row["epoch"]) for row in rows] == list(range(1, TOY_EPOCHS + 1))
    assert all(0 <= float(row["metrics/exact_match"]) <= 1 and float(row["metrics/CER"]) >= 0 for row in rows)
    assert "metrics/mAP50-95(B)" in rows[0]
    assert float(rows[0]["metrics/exact_match"]) < 0.5 < float(rows[-1]["metrics/exact_match"])
    assert float(rows[-1]["metrics/CER"]) < float(rows[0]["metrics/CER"])


def test_the_last_epoch_is_published_where_the_best_is_no_better(toy_run: ToyRun) -> None:
    weights = toy_run.folder / "weights"
    published, last = (torch.load(p, weights_only=False)["model"] for p in (toy_run.weights, weights / "last.pt"))
    mine, theirs = (next(iter(net.half().state_dict().values())) for net in (published, last))
    assert torch.equal(mine, theirs)


def test_a_run_keeps_its_arguments(toy_run: ToyRun) -> None:
    held = (toy_run.folder / "args.yaml").read_text()
    for name in ("fliplr", "flipud", "mosaic", "mixup", "cutmix", "copy_paste", "erasing"):
        assert f"{name}: 0.0" in held


def test_text_safe_defaults_can_be_overruled(toy: Toy) -> None:
    from detector.training.arguments.defaults import training_arguments

    assert all(DEFAULTS[name] == 0 for name in ("mosaic", "mixup", "cutmix", "erasing"))
    assert all(training_arguments(read_set(toy.root), {})[name] == 0 for name in ("fliplr", "flipud", "mosaic"))
    made = training_arguments(read_set(toy.root), {"lr0": 0.5, "fliplr": 0.25, "epochs": 3, "name": "mine"})
    assert (made["lr0"], made["fliplr"], made["epochs"], made["name"]) == (0.5, 0.25, 3, "mine")
    assert made["imgsz"] == max(SHAPE_HW)
    assert training_arguments(read_set(toy.root), {})["epochs"] >= 10


def test_published_weights_hold_plain_values(toy: Toy, toy_run: ToyRun) -> None:
    held = torch.load(toy_run.weights, map_location="cpu", weights_only=False)
    facts = held["detector"].pop("facts")
    learnt = held["detector"].pop("calibration")
    assert all(0 < share < 1 for share in held["detector"].pop("lookalikes").values())
    assert held["detector"].pop("second_look") in (True, False)
    assert held["detector"] == toy.report.config.to_dict()
    assert all(isinstance(learnt[kind][name], float) for kind in ("character", "string") for name in learnt[kind])
    assert json.loads(json.dumps(facts)) == facts
    assert facts["epochs"] == TOY_EPOCHS
    last = results(toy_run.folder)[-1]  # so few validation pictures choose no epoch: it is the last one's weights
    assert facts["validation"]["metrics/exact_match"] == float(last["metrics/exact_match"]) > 0.5
    assert str(toy_run.folder.parent.parent) not in json.dumps({k: str(v) for k, v in held.items() if k != "model"})
    assert str(toy_run.folder.parent.parent).encode() not in toy_run.weights.read_bytes(), "the network tells it, too"
    assert all(p.dtype == torch.float16 for p in held["model"].parameters())


PLAIN_YOLO = """
import json, sys
sys.modules["detector"] = None  # importing it raises
from ultralytics import YOLO
model = YOLO(sys.argv[1])
found = model.predict(sys.argv[2:], imgsz=(64, 192), verbose=False, device="cpu", save=False, agnostic_nms=True)
print("READ", json.dumps([
    "".join(model.names[int(c)] for _, c in sorted(zip(r.boxes.xywh[:, 0].tolist(), r.boxes.cls.tolist())))
    for r in found
]))
assert not [name for name in sys.modules if name.startswith("detector.")]
"""


def test_plain_yolo_reads_the_weights_without_this_package(toy: Toy, toy_run: ToyRun, tmp_path: Path) -> None:
    rows = [row for row in read_manifest(toy.root) if row.split == "val"]
    pictures = [str(toy.root / row.image) for row in rows]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN_YOLO, str(toy_run.weights), *pictures],
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("READ "))
    read = json.loads(line[5:])
    right = [text == row.text.replace(" ", "") for text, row in zip(read, rows, strict=True)]
    assert sum(right) > len(right) / 2


def test_validation_and_reader_give_the_same_strings(toy: Toy, toy_run: ToyRun) -> None:
    reader = detector.Reader(toy_run.weights, device="cpu")
    assert len(toy_run.validated) == toy.report.splits["val"] > 0
    assert any(toy_run.validated.values()), "an empty string everywhere would prove nothing"
    read = {path: reader.read(path).text for path in toy_run.validated}
    assert read == toy_run.validated


# Arguments


def test_an_argument_that_yolo_does_not_know(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DetectorError, match="epoch_count") as caught:
        detector.train(toy.report.data_yaml, epoch_count=3)
    assert "Traceback" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Say what to train on"):
        detector.train()
    with pytest.raises(DatasetError, match=r"There is no .*nowhere\.yaml"):
        detector.train(tmp_path / "nowhere.yaml")


def test_a_set_of_others_has_no_strings(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: {0: car}\n")
    with pytest.raises(DatasetError, match="has no key `detector`"):
        detector.train(tmp_path / "data.yaml")


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"There is no checkpoint .*last\.pt to resume"):
        detector.train(resume=tmp_path / "last.pt")


def test_nothing_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DetectorError, match=r"no run to resume in .*runs"):
        detector.train(resume=True)
    run: Any = 20261130
    with pytest.raises(ArgumentError, match="resume=20261130: give a run's folder"):
        detector.train(resume=run)


@pytest.mark.parametrize(
    ("name", "held", "words"),
    [
        ("nope.pt", None, "is not there, and nothing is downloaded"),
        ("yolo26n.pt", None, "is not there, and nothing is downloaded"),
        ("weights.pt", b"no weights", "is nothing to start training from"),
        ("weights.onnx", b"", r"is no \.pt or \.yaml file"),
        ("none.yaml", None, "is nothing to start training from"),
    ],
)
@pytest.mark.parametrize("argument", ["model", "pretrained"])
def test_what_training_cannot_start_from(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, held: bytes | None, words: str, argument: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if held is not None:
        Path(name).write_bytes(held)
    with pytest.raises(WeightsError, match=words):
        detector.train(**short(toy, **{argument: name}))
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({}, "shipped"),
        ({"pretrained": True}, "shipped"),
        ({"pretrained": False}, None),
        ({"pretrained": "FILE"}, "file"),
        ({"model": str(char_network()), "pretrained": "FILE"}, "file"),
        ({"model": "FILE", "pretrained": False}, None),
        ({"model": str(char_network())}, None),
    ],
)
def test_a_run_keeps_the_weights_that_it_starts_from(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], start: str | None
) -> None:
    """The learning rate of fine-tuning is for these alone."""
    from detector.networks.shipped import SHIPPED
    from detector.training.arguments.defaults import training_arguments

    monkeypatch.chdir(tmp_path)
    file, _ = saved("7AKT", tmp_path / "file.pt")
    given = {name: str(file) if value == "FILE" else value for name, value in arguments.items()}
    assert training_arguments(read_set(toy.root), given)["lr0"] == (0.002 if start is None else 0.001)
    detector.train(toy.root, device="cpu", epochs=1, imgsz=64, name="x", **given)
    kept = tmp_path / "runs" / "x" / "weights" / "start.pt"
    if start is None:
        assert not kept.exists() and "towards_start" not in facts_of(tmp_path / "weights" / "x.pt")
    else:
        assert kept.read_bytes() == (SHIPPED if start == "shipped" else file).read_bytes()


@pytest.mark.parametrize("argument", ["model", "pretrained"])
def test_a_run_may_start_from_the_one_that_it_replaces(
    toy: Toy, toy_run: ToyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(toy_run.folder, tmp_path / "runs" / "x")
    last = tmp_path / "runs" / "x" / "weights" / "last.pt"
    learnt = last.read_bytes()
    detector.train(toy.root, device="cpu", epochs=1, imgsz=64, name="x", exist_ok=True, **{argument: str(last)})
    assert last.with_name("start.pt").read_bytes() == learnt != last.read_bytes()


@pytest.mark.parametrize(
    "arguments", [{"distill_model": "last.pt"}, {"model": "best.pt", "pretrained": False}, {"distill_model": "a link"}]
)
def test_what_a_run_needs_of_the_one_that_it_replaces_is_not_deleted(
    toy: Toy, toy_run: ToyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(toy_run.folder, tmp_path / "runs" / "x")
    (tmp_path / "link.pt").symlink_to(run / "weights" / "last.pt")
    before = contents(run)
    places = {"last.pt": run / "weights" / "last.pt", "best.pt": run / "weights" / "best.pt"}
    given = {
        name: str(places.get(value, tmp_path / "link.pt")) if value else value for name, value in arguments.items()
    }
    with pytest.raises(
        ArgumentError, match=rf"{min(arguments)}=.*pt is of the run that exist_ok=True replaces: copy it"
    ):
        detector.train(toy.root, device="cpu", epochs=1, name="x", exist_ok=True, **given)
    assert contents(run) == before


def test_a_run_that_is_finished_cannot_be_resumed(toy_run: ToyRun, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"junk")
    for weights in (toy_run.weights, toy_run.folder / "weights" / "last.pt"):
        with pytest.raises(DetectorError, match=r"nothing to resume.* model="):
            detector.train(resume=weights)
    with pytest.raises(DetectorError, match=r"last\.pt is no checkpoint"):
        detector.train(resume=tmp_path / "last.pt")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"imgsz": [64, 256]}, "give one number"),
        ({"single_cls": True}, "the characters are the classes"),
        ({"optimizer": "foo"}, "Optimizer 'foo' not found"),
        ({"split": "evening"}, "has no pictures in split 'evening', only in .*train, val"),
    ],
)
def test_arguments_that_no_text_can_be_trained_with(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DetectorError, match=said):
        detector.train(**short(toy, epochs=1, **arguments))


@pytest.mark.parametrize("batch", [-1, 0.7])
def test_a_batch_that_the_gpu_s_memory_tells_counts_as_the_usual_one(toy: Toy, batch: float) -> None:
    from detector.training.arguments.defaults import training_arguments

    usual, told = (training_arguments(read_set(toy.root), {"batch": size}) for size in (32, batch))
    assert told["epochs"] == usual["epochs"] and told["nbs"] == 64


def test_what_a_desktop_leaves_in_a_set_is_no_picture(toy: Toy, tmp_path: Path) -> None:
    root = shutil.copytree(toy.root, tmp_path / "set", symlinks=True)
    (root / "images" / "train" / ".DS_Store").write_bytes(b"junk")
    seen, before = (TextDataset(read_set(folder), "train", SHAPE_HW) for folder in (root, toy.root))
    assert len(seen) == len(before)


@pytest.mark.parametrize(("batch", "sharded"), [(-1, False), (0.5, True)])
def test_a_batch_that_the_gpu_s_memory_tells_needs_no_files(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: float, sharded: bool
) -> None:
    """Nor does it leave any: Ultralytics' own dataset would."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "set"
    if sharded:
        pytest.importorskip("pyarrow")
        detector.convert(toy.source, root, shards=True, **TOY_OPTIONS)
    else:
        shutil.copytree(toy.root, root)
    before = contents(root).keys()
    assert detector.train(root, model=char_network(), batch=batch, imgsz=64, epochs=1, device="cpu").epochs == 1
    left = {name for name in contents(root).keys() - before if not name.startswith("packed/")}
    assert left == set()


def test_a_gpu_that_is_not_there(toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DetectorError, match="asks for a GPU, and torch finds none"):
        detector.train(**short(toy, device="0", epochs=1))


@pytest.mark.parametrize(
    ("device", "says"), [("meta", "is no device"), ("sofa", "is no device"), ("mps", "torch finds none here")]
)
def test_devices_that_are_not_there(device: str, says: str) -> None:
    from detector.networks.device import pick_device

    with pytest.raises(DetectorError, match=says):
        pick_device(device)


def test_the_device_is_said(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    from detector.networks.device import pick_device, say_device

    assert "no GPU in use" in say_device(pick_device("cpu"))


# Stopping and going on


class Interrupted(Exception):
    pass


def test_resume_goes_on_where_a_run_stopped(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.training import trainer as text_trainer

    monkeypatch.chdir(tmp_path)
    real = text_trainer.TextTrainer.save_model

    def save_then_stop(self: Any) -> Any:
        saved = real(self)
        if self.epoch == 1:
            raise Interrupted
        return saved

    with monkeypatch.context() as patch:
        patch.setattr(text_trainer.TextTrainer, "save_model", save_then_stop)
        with pytest.raises(Interrupted):
            detector.train(**short(toy, epochs=4, name="cut"))
    run = tmp_path / "runs" / "cut"
    before = results(run)
    assert [row["epoch"] for row in before] == ["1", "2"]
    assert not (tmp_path / "weights").exists()
    other = tmp_path / "weights" / "cut.pt"
    other.parent.mkdir()
    other.write_bytes(b"of a run in another project")
    weights = detector.train(resume=run / "weights" / "last.pt")
    assert other.read_bytes() == b"of a run in another project"
    after = results(run)
    assert [row["epoch"] for row in after] == ["1", "2", "3", "4"]
    assert after[:2] == before
    assert weights.path == Path("weights/cut-2.pt") and weights.path.is_file()
    config = detector.Reader(weights, device="cpu").config
    assert replace(config, calibration=None, two_pass=None, lookalikes=None) == toy.report.config


def test_ctrl_c_leaves_weights_and_going_on_replaces_them(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.training import trainer as text_trainer

    monkeypatch.chdir(tmp_path)
    with (
        monkeypatch.context() as patch,
        pytest.raises(detector.TrainingStopped, match=r"two.pt .* in 2 epochs") as stopped,
    ):
        stop_after(patch, 2)
        detector.train(**short(toy, epochs=3, name="two", weights="mine"))
    result = stopped.value.result
    assert (result.path, result.epochs, result.interrupted) == (Path("mine/two.pt"), 2, True)
    run, weights = tmp_path / "runs" / "two", tmp_path / "mine" / "two.pt"
    assert facts_of(weights)["epochs"] == 2 == len(results(run))
    assert detector.Reader(weights, device="cpu").config.symbols == toy.report.config.symbols
    kept = (run / "arithmetic.json").read_text()
    monkeypatch.setattr(text_trainer, "choose_arithmetic", pytest.fail)  # as before it was stopped
    assert detector.train(resume=run / "weights" / "last.pt", weights="mine").path == Path("mine/two.pt")
    assert facts_of(weights)["epochs"] == 3 == len(results(run))
    assert [path.name for path in weights.parent.iterdir()] == ["two.pt"]
    assert (run / "arithmetic.json").read_text() == kept


def test_ctrl_c_before_an_epoch_is_finished_leaves_no_weights(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.training import trainer as text_trainer

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(text_trainer.TextTrainer, "validate", stop)
    with pytest.raises(KeyboardInterrupt):
        detector.train(**short(toy, epochs=1))
    assert not (tmp_path / "weights").exists()


def facts_of(weights: Path) -> dict[str, Any]:
    facts: dict[str, Any] = torch.load(weights, weights_only=False)["detector"]["facts"]
    return facts


def stop_after(patch: pytest.MonkeyPatch, epochs: int) -> None:
    """Ctrl-C when the weights of so many epochs are saved."""
    from detector.training import trainer as text_trainer

    real = text_trainer.TextTrainer.save_model

    def save_then_stop(self: Any) -> Any:
        saved = real(self)
        if self.epoch + 1 == epochs:
            raise KeyboardInterrupt
        return saved

    patch.setattr(text_trainer.TextTrainer, "save_model", save_then_stop)


# Ending


def test_training_ends_when_it_is_done_also_if_it_was_stopped(
    toy: Toy, toy_run: ToyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Started where it reads nearly all: a few epochs of thirty, and the learning rate comes down in the last ones."""
    from detector.training.validation.stopping import ending

    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    chosen = {"model": str(toy_run.weights), "epochs": 30, "patience": 4}
    detector.train(**short(toy, **chosen, name="whole"))
    whole = results(tmp_path / "runs" / "whole")
    found = ending(whole, toy.report.splits["val"], 4)
    assert found is not None and len(whole) == found.end < 30
    rates = [float(row["lr/pg0"]) for row in whole]
    assert rates[-1] < 0.5 * rates[found.after - 1] and sorted(rates[1:], reverse=True) == rates[1:]
    assert f"training ends after epoch {found.end} of 30 (patience=0 trains all of them)" in caplog.text
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, found.end - 1)
        detector.train(**short(toy, **chosen, name="cut"))
    detector.train(resume=tmp_path / "runs" / "cut" / "weights" / "last.pt")
    assert [float(row["lr/pg0"]) for row in results(tmp_path / "runs" / "cut")] == rates


def test_patience_and_epochs_that_are_asked_for_are_followed(toy: Toy) -> None:
    from detector.training.arguments.defaults import training_arguments

    characters = read_set(toy.root)
    assert toy.report.splits["val"] < FEW and training_arguments(characters, {})["patience"] == 0
    judged_by_many = {"split": "train"}
    assert training_arguments(characters, judged_by_many)["patience"] > 0
    assert training_arguments(characters, {**judged_by_many, "patience": 3})["patience"] == 3
    for asked in ({"epochs": 200}, {"time": 1.0}):
        assert training_arguments(characters, {**judged_by_many, **asked})["patience"] == 0


@pytest.mark.parametrize("amp", [False, True])
def test_bfloat16_is_measured_unless_it_is_turned_off(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amp: bool
) -> None:
    from detector.networks.arithmetic import Arithmetic
    from detector.training import trainer as text_trainer

    asked: list[bool | None] = []

    def choose(step: Any, bfloat16: bool | None) -> tuple[Arithmetic, dict[Arithmetic, float]]:
        before = [tensor.clone() for tensor in made.model.state_dict().values()]
        step()
        assert all(torch.equal(a, b) for a, b in zip(before, made.model.state_dict().values(), strict=True))
        asked.append(bfloat16)
        return Arithmetic(1, False), {}

    monkeypatch.setattr(text_trainer, "choose_arithmetic", choose)
    made = trainer(toy, tmp_path, amp=amp)
    made._setup_train()
    assert asked == [None if amp else False] and made.amp is False and made.train_loader.epoch == 0


# Where weights land


def test_folders_that_no_weights_can_be_written_into(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights").write_text("a file")
    for folder, said in ((None, "is a file"), ("weights/more", "cannot be written into"), ("x.pt", "give the folder")):
        chosen = {} if folder is None else {"weights": folder}
        with pytest.raises(DetectorError, match=said):
            detector.train(**short(toy, epochs=1, **chosen))
    assert not Path("runs").exists()


@pytest.mark.skipif(os.name == "nt", reason="such names cannot exist there")
@pytest.mark.parametrize("argument", ["project", "name"])
def test_runs_whose_names_are_no_unicode(
    toy: Toy, tmp_path: Path, argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's list of arguments cannot hold them."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DetectorError, match=r"pl.tze: the name is not UTF-8, .* choose another folder"):
        detector.train(**short(toy, epochs=1, **{argument: "pl\udce4tze"}))
    assert not any(tmp_path.iterdir())


# What the network is shown


def loader(dataset: TextDataset, augmented: bool, training: bool = True, seed: int = 0) -> TextLoader:
    augment = Augment(seed=seed) if augmented else None
    return TextLoader(dataset, 16, EpochOrder(dataset, shuffled=training, seed=seed), augment=augment)


def test_a_split_is_whole(toy: Toy, dataset: TextDataset) -> None:
    assert len(dataset) == toy.report.splits["train"]
    assert dataset.images.shape == (len(dataset), *SHAPE_HW, 3)
    for text, ids in zip(dataset.texts, dataset.ids, strict=True):
        assert "".join(TOY_SYMBOLS[i] for i in ids) == text.replace(" ", "")


def test_batches_without_augmentation_are_the_pictures(dataset: TextDataset) -> None:
    batches = list(loader(dataset, False, training=False))
    pictures = torch.cat([b["img"] for b in batches]).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(pictures[..., ::-1], dataset.images)
    assert [t for b in batches for t in b["text"]] == dataset.texts
    assert sum(len(b["bboxes"]) for b in batches) == sum(map(len, dataset.boxes))


def test_augmentation_runs_and_boxes_stay_inside(dataset: TextDataset) -> None:
    place = {path: i for i, path in enumerate(dataset.im_files)}
    changed = dropped = 0
    for batch in loader(dataset, True):
        pictures = batch["img"].permute(0, 2, 3, 1).numpy()[..., ::-1]
        for row, path in enumerate(batch["im_file"]):
            changed += not np.array_equal(pictures[row], dataset.images[place[path]])
            held = batch["batch_idx"] == row
            dropped += len(dataset.ids[place[path]]) - int(held.sum())
            kept = batch["cls"][held, 0].long().tolist()
            assert kept == [k for k in dataset.ids[place[path]].tolist() if k in kept][: len(kept)] or dropped
        cx, cy, w, h = batch["bboxes"].T
        assert (w > 0).all() and (h > 0).all()
        for low, high in ((cx - w / 2, cx + w / 2), (cy - h / 2, cy + h / 2)):
            assert low.min() >= -1e-5 and high.max() <= 1 + 1e-5
    assert changed > 0.8 * len(dataset)
    assert dropped <= 0.02 * sum(map(len, dataset.ids))


def test_epochs_differ_and_repeat_by_seed(dataset: TextDataset) -> None:
    first, again, other = loader(dataset, True), loader(dataset, True), loader(dataset, True, seed=1)
    one, two = next(iter(first)), next(iter(first))
    same, different = next(iter(again)), next(iter(other))
    assert torch.equal(one["img"], same["img"]) and one["im_file"] == same["im_file"]
    assert not torch.equal(one["img"], two["img"])
    assert one["im_file"] != different["im_file"]


def test_an_epoch_can_be_entered_in_the_middle_of_a_run(dataset: TextDataset) -> None:
    whole, resumed = loader(dataset, True), loader(dataset, True)
    epochs = [next(iter(whole)) for _ in range(3)]
    resumed.epoch = 2
    assert torch.equal(next(iter(resumed))["img"], epochs[2]["img"])


def test_every_picture_is_drawn_once_an_epoch(dataset: TextDataset) -> None:
    drawn = [path for batch in loader(dataset, False) for path in batch["im_file"]]
    assert sorted(drawn) == sorted(dataset.im_files)
    assert drawn != dataset.im_files
    assert len(loader(dataset, False)) == -(-len(dataset) // 16)


def test_boxes_move_with_the_ink() -> None:
    """A black square on white: after geometry, the box still frames what is dark."""
    image = np.full((64, 192, 3), 255, np.uint8)
    image[20:44, 60:84] = 0
    boxes, ids = np.array([[60, 20, 84, 44]], np.float32), np.array([3])
    augment = Augment(seed=5)
    moved = 0
    for seed in range(30):
        augment.seed(seed)
        made, framed, kinds = augment(image, boxes, ids)
        assert kinds.tolist() == [3] and framed.shape == (1, 4)
        _, found, stats, _ = cv2.connectedComponentsWithStats((made.max(2) < 90).astype(np.uint8))
        x1, y1, x2, y2 = framed[0]
        left, top, width, height, _ = stats[found[int(y1 + y2) // 2, int(x1 + x2) // 2]]  # what the centre is part of
        seen = np.array([left, top, left + width, top + height])
        assert np.abs(seen - framed[0]).max() < 4
        moved += bool(np.abs(framed - boxes).max() > 1)
    assert moved > 10


def test_inputs_of_augmentation_are_not_changed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 192, 3), dtype=np.uint8)
    boxes, ids = np.array([[10, 10, 30, 40], [40, 10, 60, 40]], np.float32), np.array([0, 1])
    before = image.copy(), boxes.copy(), ids.copy()
    augment = Augment(seed=1)
    for _ in range(10):
        augment(image, boxes, ids)
        augment.image(image)
    assert all(np.array_equal(a, b) for a, b in zip(before, (image, boxes, ids), strict=True))


NOTHING = Policy(degrees=0, translate=0, scale=0, shear=0, perspective=0, photometric=0)


def test_a_policy_of_nothing_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 192, 3), dtype=np.uint8)
    boxes, ids = np.array([[10, 10, 30, 40]], np.float32), np.array([2])
    assert NOTHING.transforms() == []
    augment = Augment(NOTHING)
    made, framed, kinds = augment(image, boxes, ids)
    assert np.array_equal(augment.image(image), image) and np.array_equal(made, image)
    assert np.allclose(framed, boxes, atol=1e-4) and kinds.tolist() == [2]


def test_the_default_policy_does_not_mirror() -> None:
    names = {type(t).__name__ for t in Policy().transforms()}
    assert {"Affine", "Perspective", "RandomBrightnessContrast", "GaussNoise", "ImageCompression"} <= names
    assert not {"HorizontalFlip", "VerticalFlip"} & names
    assert {"HorizontalFlip"} <= {type(t).__name__ for t in Policy(fliplr=0.5).transforms()}


def trainer(toy: Toy, folder: Path, **changes: Any) -> Any:
    """The trainer as `detector.train` would make it, before it trains."""
    from detector.training import trainer as text_trainer
    from detector.training.arguments.defaults import training_arguments

    arguments = {k: v for k, v in short(toy, epochs=1, project=str(folder), **changes).items() if k != "data"}
    return text_trainer.TextTrainer(overrides=training_arguments(read_set(toy.root), arguments))


def test_arguments_of_yolo_steer_the_policy(toy: Toy, tmp_path: Path) -> None:
    """Turned off one by one, nothing is left; `augmentations=[]` takes blur, noise and brightness away."""
    still = {"degrees": 0.0, "translate": 0.0, "scale": 0.0, "shear": 0.0, "perspective": 0.0}
    made = trainer(toy, tmp_path, augmentations=[], **still)
    images = made.get_dataloader("", 16, rank=-1, mode="train").dataset.images
    for batch in made.get_dataloader("", 16, rank=-1, mode="train"):
        pictures = batch["img"].permute(0, 2, 3, 1).numpy()[..., ::-1]
        assert all((images == picture).all((1, 2, 3)).any() for picture in pictures)
    made = trainer(toy, tmp_path)
    batch = next(iter(made.get_dataloader("", 16, rank=-1, mode="train")))
    pictures = batch["img"].permute(0, 2, 3, 1).numpy()[..., ::-1]
    assert sum((images == picture).all((1, 2, 3)).any() for picture in pictures) < 8


def test_augmentations_of_the_user_run(toy: Toy, tmp_path: Path) -> None:
    import albumentations

    made = trainer(toy, tmp_path, augmentations=[albumentations.InvertImg(p=1.0)], degrees=0.0, translate=0.0,
                   scale=0.0, shear=0.0, perspective=0.0)  # fmt: skip
    loading = made.get_dataloader("", 16, rank=-1, mode="train")
    batch = next(iter(loading))
    pictures = 255 - batch["img"].permute(0, 2, 3, 1).numpy()[..., ::-1]
    assert all((loading.dataset.images == picture).all((1, 2, 3)).any() for picture in pictures)


def test_validation_is_not_augmented(toy: Toy, tmp_path: Path) -> None:
    loading = trainer(toy, tmp_path).get_dataloader("", 16, rank=-1, mode="val")
    pictures = torch.cat([b["img"] for b in loading]).permute(0, 2, 3, 1).numpy()[..., ::-1]
    assert np.array_equal(pictures, loading.dataset.images)


SIZES = {192: (64, 192), 96: (32, 96), 384: (128, 384), 32: (32, 32)}


@pytest.mark.parametrize(("imgsz", "shape_hw"), SIZES.items(), ids=map(str, SIZES))
def test_imgsz_is_the_longer_side(toy: Toy, tmp_path: Path, imgsz: int, shape_hw: tuple[int, int]) -> None:
    made = trainer(toy, tmp_path, imgsz=imgsz)
    assert made.config.shape_hw == shape_hw
    batch = next(iter(made.get_dataloader("", 4, rank=-1, mode="val")))
    assert tuple(batch["img"].shape[2:]) == shape_hw


def test_a_network_of_one_cell_is_trained(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert detector.train(**short(toy, imgsz=32, epochs=1, name="x")).epochs == 1


def test_what_is_done_anyway_may_be_said(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.training.arguments.defaults import training_arguments

    monkeypatch.chdir(tmp_path)
    given = {"mosaic": 0.0, "hsv_v": 0, "fliplr": 0.5, "degrees": 9, "workers": 0, "fraction": 1, "rect": False}
    followed = training_arguments(read_set(toy.root), given)
    assert [followed[name] for name in given] == [*given.values()]


DAMAGE = {
    "empty split": "no pictures in images/train",
    "no label file": "is missing; every picture needs one",
    "bad label": r"\.txt:1: expected `class cx cy w h`",
    "class too high": r"class must be below 4",
    "picture gone bad": "the set was changed since it was converted",
    "not in the manifest": "is not in manifest.csv",
}


@pytest.mark.parametrize(("what", "reason"), DAMAGE.items(), ids=DAMAGE.keys())
def test_damaged_sets(toy: Toy, tmp_path: Path, what: str, reason: str) -> None:
    root = shutil.copytree(toy.root, tmp_path / "set")
    image = sorted((root / "images" / "train").iterdir())[0]
    label = root / "labels" / "train" / f"{image.stem}.txt"
    if what == "empty split":
        shutil.rmtree(root / "images" / "train")
    elif what == "no label file":
        label.unlink()
    elif what == "bad label":
        label.write_text("hello\n")
    elif what == "class too high":
        label.write_text("4 0.5 0.5 0.1 0.1\n")
    elif what == "picture gone bad":
        image.unlink()
        image.write_bytes(b"junk")
    else:
        shutil.copyfile(image, image.with_name("more.png"))
        shutil.copyfile(label, label.with_name("more.txt"))
    with pytest.raises(DatasetError, match=reason):
        TextDataset(read_set(root), "train", SHAPE_HW)


@pytest.mark.parametrize(("gone", "said"), [(1, "1 picture"), (7, "7 pictures")])
def test_pictures_that_are_gone_from_a_set_are_counted(
    toy: Toy, tmp_path: Path, gone: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As a warning, which is told under -q, too; also where the split was packed before."""
    root = shutil.copytree(toy.root, tmp_path / "set")
    whole = TextDataset(read_set(root), "train", SHAPE_HW)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    names = sorted(path.name for path in (root / "images" / "train").iterdir())
    for name in names[:gone]:
        (root / "images" / "train" / name).unlink()
    rest = TextDataset(read_set(root), "train", SHAPE_HW)
    assert [Path(path).name for path in rest.im_files] == names[gone:] and len(whole) == len(names)
    [warning] = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith(f"{said} of {root / 'images' / 'train'} ") and names[0] in warning
    assert ("and 2 more" in warning) == (gone == 7)


def test_a_full_disk_is_named_with_what_goes_on(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also: a processor may be given by its number."""
    from detector.training import trainer as text_trainer

    monkeypatch.chdir(tmp_path)
    save = text_trainer.TextTrainer.save_model

    def full(self: text_trainer.TextTrainer) -> bool:
        if self.epoch:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(self)

    with monkeypatch.context() as patch:
        patch.setattr(text_trainer.TextTrainer, "save_model", full)
        with pytest.raises(DiskFullError, match=r"runs/full cannot be written: No space left") as caught:
            detector.train(**short(toy, imgsz=64, epochs=2, device="cpu:0", name="full"))
    last = tmp_path / "runs" / "full" / "weights" / "last.pt"
    assert str(caught.value).endswith(f"With room there, resume={last} goes on.")
    assert detector.train(resume=last, device="cpu:0").epochs == 2
