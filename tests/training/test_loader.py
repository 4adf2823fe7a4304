"""Batches sliced from a store: the same pictures wherever they lie, plans for the device, shares of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import detector
from detector.data.sets.packed import Share
from detector.data.sets.yolo_dataset import read_set
from detector.errors import DetectorError
from detector.training import dataset as text_data
from detector.training.arguments.defaults import batch_for, lr_factor
from detector.training.augment import on_cpu as augment_opencv
from detector.training.augment.on_gpu import apply
from detector.training.augment.plan import BatchAugment
from detector.training.augment.policy import Augment, Policy
from detector.training.dataset import EpochOrder, TextDataset, TextLoader, fits_in_memory
from tests.conftest import Toy, char_network
from tests.training.conftest import SHAPE_HW

ROOT = Path(detector.__file__).parent.parent
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


def loader(
    dataset: TextDataset, augment: Any = None, *, shuffled: bool = True, size: int = 16, **changes: Any
) -> TextLoader:
    return TextLoader(dataset, size, EpochOrder(dataset, shuffled=shuffled), augment=augment, **changes)


def as_numbers(batch: dict[str, Any]) -> dict[str, Any]:
    return {k: v.cpu().numpy().tolist() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


# Where pictures lie


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
@pytest.mark.parametrize("resident", [True, False])
def test_batches_are_the_same_from_the_map_and_from_the_devices_memory(
    dataset: TextDataset, device: str, resident: bool
) -> None:
    plain = list(loader(dataset))
    other = list(loader(dataset, device=torch.device(device), resident=resident))
    assert [as_numbers(b) for b in plain] == [as_numbers(b) for b in other]
    assert all(b["img"].device.type == (device if resident else "cpu") for b in other)
    assert all(b["img"].is_pinned() == (device == "cuda" and not resident) for b in other)


def test_a_split_goes_to_the_device_in_pieces(dataset: TextDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_data, "_MOVED_AT_ONCE", 7)
    (plain, *_), (held, *_) = loader(dataset), loader(dataset, resident=True)
    assert torch.equal(plain["img"], held["img"])


SIZES = {"fits": (100, True), "just fits": (200, True), "too large": (201, False)}


@pytest.mark.parametrize(("size", "there"), SIZES.values(), ids=SIZES.keys())
def test_a_third_of_a_gpus_memory_may_be_taken(size: int, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (600, 1000))
    assert fits_in_memory(size, torch.device("cuda")) is there
    assert not fits_in_memory(size, torch.device("cpu"))


def test_batches_are_laid_out_as_the_network_wants_them(dataset: TextDataset) -> None:
    for batch in (next(iter(loader(dataset))), next(iter(loader(dataset, resident=True)))):
        assert batch["img"].is_contiguous(memory_format=torch.channels_last)


def test_a_compiled_network_gets_one_shape(dataset: TextDataset) -> None:
    size = next(n for n in range(13, 20) if len(dataset) % n)  # so that the last batch would be smaller
    whole = loader(dataset, size=size, drop_last=True)
    shapes = [b["img"].shape for b in whole]
    assert set(shapes) == {(size, 3, *SHAPE_HW)} and len(shapes) == len(dataset) // size
    small = loader(dataset, size=10**6, drop_last=True)
    assert len(list(small)) == len(small) == 1, "one batch is left"


# Plans

ELSEWHERE = torch.device("mps")  # any device but the CPU: that of a Mac needs no pinned memory, nor that it is there


def test_a_plan_comes_with_its_boxes(dataset: TextDataset) -> None:
    """The pictures are untouched, the boxes are where the plan puts them."""
    plain, planned = next(iter(loader(dataset))), next(iter(loader(dataset, BatchAugment(), device=ELSEWHERE)))
    assert torch.equal(plain["img"], planned["img"]) and plain["im_file"] == planned["im_file"]
    assert not torch.equal(plain["bboxes"], planned["bboxes"]) or len(plain["bboxes"]) != len(planned["bboxes"])
    nothing = Policy(degrees=0, translate=0, scale=0, shear=0, perspective=0, photometric=0)
    still = next(iter(loader(dataset, BatchAugment(nothing), device=ELSEWHERE)))
    assert torch.allclose(plain["bboxes"], still["bboxes"], atol=1e-6) and torch.equal(plain["cls"], still["cls"])
    ink = apply(planned["plan"], planned["img"].float() / 255).min(1).values < 0.35  # (16, H, W)
    inside = total = 0
    for row, picture in enumerate(ink):
        cx, cy, w, h = (planned["bboxes"][planned["batch_idx"] == row].numpy() * [192, 64, 192, 64]).T
        y, x = np.nonzero(picture.numpy())
        total += len(x)
        inside += (
            ((np.abs(x[:, None] + 0.5 - cx) < w / 2 + 1) & (np.abs(y[:, None] + 0.5 - cy) < h / 2 + 1)).any(1).sum()
        )
    assert total > 1000 and inside > 0.9 * total


def test_on_the_cpu_the_plan_is_carried_out_with_the_batch(dataset: TextDataset) -> None:
    """What another device gets as a plan: the same boxes, and the pictures that the plan makes."""
    for here, there in zip(
        loader(dataset, BatchAugment()), loader(dataset, BatchAugment(), device=ELSEWHERE), strict=True
    ):
        assert "plan" not in here
        plan = there.pop("plan")
        pictures = there["img"].permute(0, 2, 3, 1).numpy()[..., ::-1]
        made = augment_opencv.apply(plan, np.ascontiguousarray(pictures))
        assert np.array_equal(here["img"].permute(0, 2, 3, 1).numpy()[..., ::-1], made)
        assert not np.array_equal(made, pictures)
        assert here["img"].is_contiguous(memory_format=torch.channels_last)
        assert as_numbers({k: v for k, v in here.items() if k != "img"}) == as_numbers(
            {k: v for k, v in there.items() if k != "img"}
        )


def test_epochs_of_plans_differ_and_repeat_by_seed(dataset: TextDataset) -> None:
    first, again = (loader(dataset, BatchAugment(), device=ELSEWHERE) for _ in range(2))
    again.epoch = 1
    one, two, same = next(iter(first)), next(iter(first)), next(iter(again))
    assert as_numbers({k: v for k, v in two.items() if k != "plan"}) == as_numbers(
        {k: v for k, v in same.items() if k != "plan"}
    )
    assert np.array_equal(two["plan"].matrices, same["plan"].matrices)
    assert not np.array_equal(one["plan"].matrices, two["plan"].matrices)


def test_the_trainer_follows_the_plan(toy: Toy, tmp_path: Path) -> None:
    from detector.training import trainer as text_trainer
    from detector.training.arguments.defaults import training_arguments

    characters = read_set(toy.root)
    chosen = {"model": str(char_network()), "epochs": 1, "device": "cpu", "project": str(tmp_path)}
    made = text_trainer.TextTrainer(overrides=training_arguments(characters, chosen))
    assert isinstance(made.augmentation(), BatchAugment), "a batch at a time"
    loading = made.get_dataloader("", 16, rank=-1, mode="train")
    batch = next(iter(loading))
    assert "plan" not in batch, "it was carried out already"
    given = batch["img"].clone()
    assert torch.equal(made.preprocess_batch(batch)["img"], given.float() / 255)
    batch = next(iter(loader(loading.dataset, BatchAugment(), device=ELSEWHERE)))
    given, plan = batch["img"].clone(), batch["plan"]
    ready = made.preprocess_batch(batch)
    assert "plan" not in ready
    assert torch.equal(ready["img"], apply(plan, given.float() / 255))
    assert not torch.equal(ready["img"], given.float() / 255)
    assert ready["img"].is_contiguous(memory_format=torch.channels_last)
    assert "plan" not in next(iter(made.get_dataloader("", 16, rank=-1, mode="val")))


@pytest.mark.parametrize(("augment", "kind"), [("device", BatchAugment), ("picture", Augment)])
def test_training_with_either_way_to_augment(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: str, kind: type
) -> None:
    from detector.training import trainer as text_trainer

    monkeypatch.chdir(tmp_path)
    used = []
    made = text_trainer.TextTrainer.augmentation
    monkeypatch.setattr(text_trainer.TextTrainer, "augmentation", lambda self: (used.append(made(self)), used[-1])[1])
    weights = detector.train(
        toy.report.data_yaml, model=str(char_network()), epochs=1, batch=16, device="cpu", augment=augment
    )
    assert {type(u) for u in used} == {kind}
    assert weights.path.is_file()


def test_what_augments_is_one_of_two(toy: Toy) -> None:
    with pytest.raises(DetectorError, match="augment='gpu': give one of device, picture"):
        detector.train(toy.report.data_yaml, augment="gpu")


def test_transforms_of_the_user_need_pictures_one_at_a_time(toy: Toy, tmp_path: Path) -> None:
    import albumentations

    from detector.training import trainer as text_trainer
    from detector.training.arguments.defaults import training_arguments

    chosen = {"model": str(char_network()), "epochs": 1, "device": "cpu", "project": str(tmp_path)}
    invert = [albumentations.InvertImg(p=1.0)]
    made = text_trainer.TextTrainer(
        overrides={**training_arguments(read_set(toy.root), chosen), "augmentations": invert}
    )
    assert isinstance(made.augmentation(), Augment), "without being asked"
    made.augment_on = "device"
    with pytest.raises(DetectorError, match="one picture at a time"):
        made.get_dataloader("", 16, rank=-1, mode="train")


# Larger batches

BATCHES = {
    "cpu": ("cpu", 10**6, 32),
    "few": ("cuda", 832, 32),
    "some": ("cuda", 13_000, 128),
    "many": ("cuda", 105_000, 512),
}


@pytest.mark.parametrize(("kind", "pictures", "batch"), BATCHES.values(), ids=BATCHES.keys())
def test_a_gpu_gets_larger_batches_of_larger_sets(kind: str, pictures: int, batch: int) -> None:
    assert batch_for(kind, pictures) == batch


def test_a_larger_batch_raises_the_learning_rate(toy: Toy) -> None:
    from detector.training.arguments.defaults import training_arguments

    assert [lr_factor(b) for b in (8, 32, 128, -1)] == [1, 1, 2, 1]
    characters = read_set(toy.root)
    plain, large = training_arguments(characters, {}), training_arguments(characters, {"batch": 128})
    assert large["lr0"] == 2 * plain["lr0"] and large["nbs"] == 128
    assert training_arguments(characters, {"batch": 128, "lr0": 0.5})["lr0"] == 0.5


# Several processes


@pytest.mark.parametrize("training", [True, False])
def test_processes_share_an_epoch(toy: Toy, dataset: TextDataset, training: bool) -> None:
    """In training equally many batches each; in validation each picture once. Together it is the whole split.

    A process takes the same pictures in each epoch, in another order, so that a machine needs no others in memory.
    """
    drawn: list[list[str]] = []
    batches = []
    for rank in range(3):
        own = TextDataset(read_set(toy.root), "train", SHAPE_HW, Share(rank, 3))
        batches_of = loader(own, shuffled=training)
        epochs = [list(batches_of), list(batches_of)]
        first, second = ([path for batch in epoch for path in batch["im_file"]] for epoch in epochs)
        assert set(first) == set(second) and (first != second) == training
        batches.append(len(epochs[0]))
        drawn.append(first)
    together = [path for share in drawn for path in share]
    assert set(together) == set(dataset.im_files)
    if training:
        assert len(set(batches)) == 1 and len(set(map(len, drawn))) == 1
        assert len(together) - len(dataset) < 3, "at most one is drawn twice to make them equal"
    else:
        assert sorted(together) == sorted(dataset.im_files)
