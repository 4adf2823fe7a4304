"""`detector profile`: every part is measured, the loaders give the same boxes, and the answer has its promised form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from detector.cli import app
from detector.data.sets.yolo_dataset import read_set
from detector.errors import DetectorError
from detector.training.dataset import EpochOrder, TextDataset, TextLoader
from detector.training.profiling.loaders import FileLoader, NaiveLoader
from detector.training.profiling.measure import _advice, _subset, profile
from tests.conftest import Toy, char_network

STAGES = ["decode", "fit", "augment", "collate", "forward", "backward", "validate"]


@pytest.fixture(scope="module")
def measured(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    plot = tmp_path_factory.mktemp("plot") / "deep" / "p.png"
    arguments = [
        "profile", str(toy.root), "--pictures", "20", "--batch", "8", "--model", str(char_network()), "--device", "cpu",
        "--seconds", "0.05", "--augment", "device", "--plot", str(plot), "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout), plot


def test_json_has_the_promised_keys(measured: tuple[dict[str, Any], Path]) -> None:
    held, _ = measured
    assert set(held["loaders"]) == {"naive", "files", "packed"}
    assert all(rate > 0 for rate in held["loaders"].values())
    assert held["step_ms"] > 0 and 0 <= held["input_share"] < 1
    assert list(held["stages"]) == STAGES and all(ms > 0 for ms in held["stages"].values())
    assert (held["pictures"], held["batch"], held["shape_hw"]) == (20, 8, [64, 192])
    assert (held["loader"], held["augment"], held["device"]) == ("packed", "device", "cpu")
    assert held["input_share"] == pytest.approx(max(0, 1 - held["limit_ms"] / held["step_ms"]))
    assert held["images_per_s"] == pytest.approx(8e3 / held["step_ms"])


def test_the_picture_is_drawn(measured: tuple[dict[str, Any], Path]) -> None:
    _, plot = measured
    assert plot.read_bytes().startswith(b"\x89PNG") and [p.name for p in plot.parent.iterdir()] == ["p.png"]


def test_nothing_is_left(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = profile(toy.root, model=char_network(), imgsz=96, batch=8, loader="naive", device="cpu:0", seconds=0.01)
    assert list(tmp_path.iterdir()) == []
    assert found.shape_hw == (32, 96) and found.augment == "off"
    assert not torch.are_deterministic_algorithms_enabled(), "set by the trainer for the whole process"


def test_all_ways_to_load_give_the_same_batch(toy: Toy) -> None:
    dataset = TextDataset(read_set(toy.root), "train", (64, 192))
    files, naive = next(iter(FileLoader(dataset, 8))), next(iter(NaiveLoader(dataset, 8)))
    assert np.array_equal(files["img"].permute(0, 2, 3, 1).numpy()[..., ::-1], dataset.images[:8])
    assert naive["img"].dtype == torch.float64 and naive["img"].shape == files["img"].shape
    assert naive["img"].min() >= 0 and naive["img"].max() <= 1
    assert naive["label"].shape == (8, 8, 37) and naive["label"].sum() == sum(map(len, dataset.ids[:8]))
    for name in ("bboxes", "cls", "batch_idx"):
        assert torch.equal(files[name], naive[name])


def test_of_some_pictures_no_others_go_to_the_device(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    some, moved = _subset(TextDataset(read_set(toy.root), "train", (64, 192)), 5), list[int]()
    real = TextDataset.rgb
    monkeypatch.setattr(TextDataset, "rgb", lambda *called: moved.extend(called[1]) or real(*called))
    (batch,) = TextLoader(some, 8, EpochOrder(some, shuffled=False), resident=True)
    assert moved == [0, 1, 2, 3, 4] and len(batch["img"]) == 5


@pytest.mark.parametrize("wrong", [{"loader": "keras"}, {"augment": "gpu"}], ids=str)
def test_what_there_is_not(toy: Toy, wrong: dict[str, str]) -> None:
    (name,) = wrong
    with pytest.raises(DetectorError, match=f"{name}='{wrong[name]}': give one of"):
        profile(toy.root, **wrong)  # type: ignore[arg-type]


RATES = {"packed": 9000.0, "files": 900.0, "naive": 500.0}
MS = {"augment": 1.2, "collate": 0.01, "forward": 1.0, "backward": 2.0}
CASES = {
    "a slow loader": (0.6, "naive", "off", "loader naive", "use packed"),
    "slow augmentation": (0.2, "packed", "picture", "augment", "augment=device"),
    "augmentation of batches": (0.2, "packed", "device", "augment", "larger batch"),
    "slices": (0.2, "packed", "off", "collate", "larger batch"),
    "the network": (0.01, "packed", "device", "backward", "a GPU"),
}


@pytest.mark.parametrize(("share", "loader", "augment", "bottleneck", "word"), CASES.values(), ids=CASES.keys())
def test_advice(share: float, loader: str, augment: str, bottleneck: str, word: str) -> None:
    found, advice = _advice(RATES, MS, share, loader, augment, 300.0, "cpu")
    assert found == bottleneck and word in advice
