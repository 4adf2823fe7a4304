"""The weights of a run to read with: between start and end, looks, how sure the right symbols are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

import detector
from detector.data.sets.yolo_dataset import read_set
from detector.text.decode import decode
from detector.text.detections import Character, Evidence, Reading
from detector.text.reading_config import ReadingConfig
from detector.training.dataset import TextDataset
from tests.builders import drawn_texts, seen
from tests.conftest import Toy, ToyRun
from tests.training.conftest import SHAPE_HW

# Between where training started and where it ended


def worse(weights: Path, target: Path) -> Path:
    """The same network with some of what it learnt lost."""
    from detector.networks.ultralytics import library

    held, _ = library.load_checkpoint(str(weights))
    torch.manual_seed(0)
    for tensor in held.parameters():
        tensor.data += 0.5 * tensor.float().std().nan_to_num() * torch.randn_like(tensor)
    torch.save({"model": held, "train_args": held.args}, target)
    return target


def test_what_training_unlearnt_is_taken_from_where_it_started(toy: Toy, toy_run: ToyRun, tmp_path: Path) -> None:
    from detector.networks.ultralytics import publish
    from detector.training.publish import Validation, interpolate_weights

    characters = read_set(toy.report.data_yaml)
    config = replace(characters.config, shape_hw=SHAPE_HW)
    good, bad = toy_run.folder / "weights" / "last.pt", worse(toy_run.weights, tmp_path / "bad.pt")
    validation = Validation(characters, config, device="cpu")
    chosen, share = interpolate_weights(bad, good, validation)
    assert share > 0 and chosen.parent == tmp_path
    dataset = TextDataset(characters, "val", SHAPE_HW)
    published = tmp_path / "published.pt"
    publish(chosen, published, config, {})
    read = detector.Reader(published, device="cpu", two_pass=False).read_many(dataset.im_files)
    assert [reading.text for reading in read if reading] == dataset.texts
    # Where nothing was unlearnt, the start reads as well, or training was from scratch, it is the trained weights.
    for start in (bad, good):
        assert interpolate_weights(good, start, validation) == (good, 0.0)
    assert interpolate_weights(good, None, validation) == (good, 0.0)


@dataclass
class Split:
    """Stands for a dataset, sorted by its texts."""

    texts: list[str]

    def __len__(self) -> int:
        return len(self.texts)


def test_of_a_large_split_pictures_are_drawn(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training unlearnt all but the texts that sort first, so that the first pictures would not tell."""
    from detector.networks import ultralytics
    from detector.training import dataset, publish

    texts, first = [f"{i:02}" for i in range(60)], 20
    trained, start = tmp_path / "trained.pt", tmp_path / "start.pt"

    def read(weights: Path, config: Any, split: Split, rows: Sequence[int]) -> list[Reading]:
        assert len(rows) == len(set(rows)) == first
        known = range(first if weights == trained else len(texts))
        return [Reading(split.texts[row] if row in known else "", 1.0, ()) for row in rows]

    def write(trained: Path, start: Path, share: float, symbols: str, target: Path) -> Path:
        target.touch()
        return target

    monkeypatch.setattr(publish, "_SCORED", first)
    monkeypatch.setattr(publish, "_read_letterboxed", read)
    monkeypatch.setattr(dataset, "TextDataset", lambda *_: Split(texts))
    monkeypatch.setattr(ultralytics.TorchNetwork, "open", lambda weights, device: weights)
    monkeypatch.setattr(ultralytics, "write_interpolated", write)
    characters = read_set(toy.report.data_yaml)
    config = replace(characters.config, shape_hw=SHAPE_HW)
    for seed in range(3):
        validation = publish.Validation(characters, config, device="cpu", seed=seed)
        chosen = publish.interpolate_weights(trained, start, validation)
        assert chosen == publish.interpolate_weights(trained, start, validation)
        assert chosen[1] > 0


# How often readers look


def all_of(text: str) -> str:
    return text


def but_one(text: str) -> str:
    return text[:-1]


@pytest.mark.parametrize(
    ("once", "twice", "wanted"),
    [
        (but_one, all_of, True),
        (but_one, but_one, True),  # as many are wrong: there is something to gain
        (but_one, lambda text: "", False),
        (all_of, all_of, False),  # nothing is
    ],
)
def test_readers_take_two_passes_where_one_is_wrong_and_two_are_not_more_so(
    toy: Toy, toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch, once: Any, twice: Any, wanted: bool
) -> None:
    from detector.training import publish as publishing

    characters = read_set(toy.report.data_yaml)
    texts = TextDataset(characters, "val", SHAPE_HW).texts
    first, second_time = iter(texts), iter(texts)

    def pipeline(*_: Any, two_pass: bool, keeps_evidence: bool) -> Any:
        assert two_pass and keeps_evidence
        return lambda images: [Reading(twice(next(second_time)), 0.5, ()) for _ in images]

    monkeypatch.setattr(publishing, "ReadingPipeline", pipeline)
    monkeypatch.setattr(
        publishing, "decode_batch", lambda found, *_: [Reading(once(next(first)), 0.5, ()) for _ in found]
    )
    trained_config = replace(characters.config, shape_hw=SHAPE_HW)
    config, score = publishing.calibrated(
        toy_run.weights, publishing.Validation(characters, trained_config, device="cpu")
    )
    assert config.two_pass is config.is_two_pass is wanted
    look = twice if wanted else once
    assert (score.count, score.right) == (len(texts), sum(look(text) == text for text in texts)), "of what is read then"


def test_surer_weights_miss_less_where_both_read_the_same() -> None:
    from detector.training.publish import _missed

    def reading(text: str, confidence: float) -> Reading:
        return Reading(text, confidence, tuple(Character(s, confidence, (0, 0, 1, 1)) for s in text))

    sure, unsure = reading("A1", 0.9), reading("A1", 0.6)
    assert _missed("A1", sure, " ") < _missed("A1", unsure, " ") < 1
    assert _missed("A2", sure, " ") >= 1, "a symbol that is wrong counts as one, however sure it is"
    assert _missed("A2", reading("A1", 0.99), " ") < _missed("A2", sure, " ") < 2, "the right one beside it counts"


# Which symbols it takes for others

_WIDTH = 140.0


@dataclass
class LabelledSplit:
    """Stands for a dataset, and for a set whose splits all are this one."""

    texts: list[str]
    im_files: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.im_files = list(range(len(self.texts)))

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, _: str) -> tuple[list[Row], int]:
        return [Row(text) for text in self.texts], 0


@dataclass
class Row:
    text: str


def readings_of(texts: Sequence[str], h_as: str, config: ReadingConfig) -> list[Reading]:
    """Of two pictures in four each H is seen as ``h_as``."""
    detections = [seen(text.replace("H", h_as) if i % 4 > 1 else text) for i, text in enumerate(texts)]
    return [
        replace(decode(found, config, _WIDTH), evidence=Evidence(found, _WIDTH, lambda boxes: boxes))
        for found in detections
    ]


@pytest.mark.parametrize(("h_as", "wanted"), [("4", "AHC1234"), ("H", "A4C1234")])
def test_symbols_that_look_alike_in_a_typeface_are_read_by_their_place(
    h_as: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped weights never take an H for a 4; these do, or where none of their pictures says so, pixels count."""
    split, config = LabelledSplit(drawn_texts("AAA9999", 200)), ReadingConfig(shape_hw=(64, 192))
    readings = readings_of(split.texts, h_as, config)
    from detector.networks import ultralytics
    from detector.training import dataset, publish

    monkeypatch.setattr(dataset, "TextDataset", lambda *_: split)
    monkeypatch.setattr(ultralytics.TorchNetwork, "open", lambda *_: None)
    monkeypatch.setattr(publish, "_read_letterboxed", lambda *_: readings)
    monkeypatch.setattr(publish, "read_image", lambda place: place)
    monkeypatch.setattr(publish, "ReadingPipeline", lambda *_, **__: lambda places: [readings[i] for i in places])
    learnt, score = publish.calibrated(Path("w.pt"), publish.Validation(split, config, device="cpu"))  # type: ignore[arg-type]
    assert str(learnt.string_model) == "AAA9999 (100 %)"
    assert score.exact_match == 1
    in_weights = ReadingConfig.from_dict(learnt.to_dict())

    def read(text: str) -> str:
        return decode(seen(text), in_weights, _WIDTH).text

    assert read("A4C1234") == wanted
    assert [read(text) for text in ("AHC1234", "AKC4444")] == ["AHC1234", "AKC4444"]
