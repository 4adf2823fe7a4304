"""Refinement: a detector learns the boxes of the confident pictures and places them anew."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detector import loop, refine
from detector._ultralytics import new_network
from detector.align import Aligned, judged, relocated, stage_name
from detector.alphabet import Alphabet
from detector.boxes import Found, label_doubts
from detector.conversion import ConversionReport, convert
from detector.fit import Fit
from detector.loop import Checkpoint, learn
from detector.refine import Plan, Refiner
from detector.sources import LabelledImage
from detector.yolo_format import parse_labels, read_manifest
from tests.builders import TOY_LENGTH, TOY_SYMBOLS, iou, toy_folder, toy_synthesizer
from tests.conftest import char_network

OPTIONS: dict[str, Any] = {
    "alphabet": TOY_SYMBOLS, "length": TOY_LENGTH, "blank": "_", "budget": 0.05, "device": "cpu",
}  # fmt: skip


class Refined:
    """The toy, converted with one round of refinement."""

    def __init__(self, folder: Path) -> None:
        self.source, self.root = toy_folder(folder / "source", 60), folder / "out"
        self.told: list[tuple[str, int, int]] = []
        self.report: ConversionReport = convert(
            self.source, self.root, refine=1, progress=lambda *stage: self.told.append(stage), **OPTIONS
        )


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> Refined:
    return Refined(tmp_path_factory.mktemp("refined"))


def stages(root: Path) -> dict[str, list[str]]:
    """What made each box, by the set's name of the picture."""
    found: dict[str, list[str]] = {}
    with (root / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["image"], []).append(row["stage"])
    return found


def tables(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in ("boxes.csv", "manifest.csv", "review.csv", "data.yaml")}


def test_each_box_says_which_stage_made_it(refined: Refined) -> None:
    found = stages(refined.root)
    counts = Counter(stage for several in found.values() for stage in several)
    assert set(counts) <= {"cut", "detected", "refined-1"}
    assert counts["refined-1"] > 0.8 * counts.total()
    for row in read_manifest(refined.root):
        of = Counter(found[row.image])
        rest = f", refined-1 {of['refined-1']}" if of["refined-1"] else ""
        assert row.method == f"cut {of['cut']}, detected {of['detected']}{rest}"


def test_the_boxes_are_where_the_characters_are(refined: Refined) -> None:
    make, overlaps = toy_synthesizer(), []
    for row in read_manifest(refined.root):
        label = refined.root / "labels" / Path(row.image).relative_to("images").with_suffix(".txt")
        ids, boxes = parse_labels(label, 96, 32, len(TOY_SYMBOLS))
        assert "".join(TOY_SYMBOLS[i] for i in ids) == row.text.replace(" ", "")
        overlaps.append(iou(boxes, make(int(row.source.split("-")[1].split(".")[0])).boxes_xyxy))
    assert np.mean(np.concatenate(overlaps) >= 0.6) > 0.95


def test_what_was_explained_is_reported(refined: Refined) -> None:
    (share,) = refined.report.explained
    assert 0.8 < share <= 1


def test_progress_names_the_round(refined: Refined) -> None:
    teaching = [(done, total) for stage, done, total in refined.told if stage.startswith("refine 1: teach (loss ")]
    assert teaching == [(step, 20) for step in range(1, 21)]
    assert [done for stage, done, _ in refined.told if stage == "refine 1: boxes"] == list(range(1, 61))


def test_rounds_are_kept_and_may_be_left_out_again(
    refined: Refined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: Any, **__: Any) -> Any:
        raise AssertionError("something is taught again")

    monkeypatch.setattr("detector.aligners.teach", again)
    monkeypatch.setattr(loop, "learn", again)
    out = shutil.copytree(refined.root, tmp_path / "out")
    plain = convert(refined.source, out, overwrite=True, **OPTIONS)
    assert plain.explained == ()
    assert {stage for several in stages(out).values() for stage in several} <= {"cut", "detected"}
    assert convert(refined.source, out, overwrite=True, refine=1, **OPTIONS).explained == refined.report.explained
    (out / "images").rename(tmp_path / "images")  # names of files only; the tables are the same
    assert {k: v for k, v in tables(out).items() if k != "data.yaml"} == {
        k: v for k, v in tables(refined.root).items() if k != "data.yaml"
    }


def test_a_corrected_picture_is_placed_by_the_kept_detector(
    refined: Refined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "learn", None)
    out = shutil.copytree(refined.root, tmp_path / "out")
    row = next(row for row in read_manifest(out) if len(row.text) == 4 and " " not in row.text)
    other = "".join("K" if c == "A" else "A" for c in row.text)
    (out / "review.csv").write_text(f"source,decision,corrected\n{row.source},correct,{other}\n")
    convert(refined.source, out, overwrite=True, refine=1, **OPTIONS)
    (now,) = (one for one in read_manifest(out) if one.source == row.source)
    assert now.text == other and len(stages(out)[now.image]) == 4


def test_a_damaged_detector_is_taught_again(refined: Refined, tmp_path: Path) -> None:
    out = shutil.copytree(refined.root, tmp_path / "out")
    for piece in (out / "work").glob("refined1*"):
        piece.write_bytes(piece.read_bytes()[:1000])
    convert(refined.source, out, overwrite=True, refine=1, **OPTIONS)
    assert (out / "boxes.csv").read_bytes() == (refined.root / "boxes.csv").read_bytes()


def test_later_rounds_leave_alone_what_was_explained(
    refined: Refined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taught its own boxes, a detector lets them drift."""
    monkeypatch.setattr(Refiner, "_explained", lambda self, boxes: next(growing))
    growing = iter((0.1, 0.2))
    out = shutil.copytree(refined.root, tmp_path / "out")
    report = convert(refined.source, out, overwrite=True, refine=2, **OPTIONS)
    assert len(report.explained) == 2
    (share,) = refined.report.explained
    again = [several for several in stages(out).values() if "refined-2" in several]
    assert len(again) <= (1 - share) * 60 + 9  # nine are held out, and not counted in the share


# When to stop


@pytest.mark.parametrize(
    ("shares", "rounds", "taken"),
    [
        ((0.5, 0.7, 0.7, 0.9), 5, (0.5, 0.7)),
        ((0.5, 0.7, 0.9), 2, (0.5, 0.7)),
        ((0.5, 0.4), 2, (0.5,)),
        ((0.0, 0.4), 2, ()),
        ((1.0, 1.0), 2, (1.0,)),
        ((), 0, ()),
        ((0.5, None), 3, (0.5,)),
    ],
)
def test_rounds_stop_when_no_more_is_explained(
    monkeypatch: pytest.MonkeyPatch, shares: tuple[float | None, ...], rounds: int, taken: tuple[float, ...]
) -> None:
    """Boxes are numbers of rounds here; a round that explains no more is not taken, and None has nothing to teach."""
    monkeypatch.setattr(Refiner, "_round", lambda self, number, before: None if shares[number - 1] is None else number)
    monkeypatch.setattr(Refiner, "_explained", lambda self, number: shares[number - 1])
    refiner = Refiner(**dict.fromkeys(Refiner.__dataclass_fields__))  # type: ignore[arg-type]
    assert refiner(rounds, 0) == (len(taken), taken)  # type: ignore[arg-type]


def test_a_larger_set_is_taught_longer_up_to_a_limit() -> None:
    steps = [Plan.of(n, False, 1.0).steps for n in (1, 100, 1000, 10_000, 1_000_000)]
    assert steps == sorted(steps) and steps[0] == steps[1] and steps[-1] == steps[-2]
    assert Plan.of(1000, True, 1.0).steps > Plan.of(1000, False, 1.0).steps
    assert Plan.of(1000, False, 0.5).steps == Plan.of(1000, False, 1.0).steps // 2


# One picture


def two_boxes() -> Aligned:
    boxes = np.array([[10, 5, 20, 25], [30, 5, 40, 25]], np.float32)
    half = np.array([0.5, 0.5])
    return Aligned(boxes, half, np.array([0.9, 0.9]), np.array([0, 1]), np.array([0, 1]), -0.1)


BACK = Fit(scale_x=2.0, scale_y=2.0, left=0, top=4, width=50, height=28)


def sees(*places: tuple[float, float, float, float, float, float]) -> np.ndarray:
    """(4 + 2 classes, places) in pixels of the fitted picture."""
    return np.array(places, np.float32).T


def test_a_box_that_the_detector_sees_is_its_own() -> None:
    output = sees((32, 34, 20, 40, 0.9, 0.0), (200, 34, 20, 40, 0.9, 0.9))
    found = relocated(two_boxes(), BACK, np.array([0, 1]), output, 2)
    assert found.boxes_xyxy.tolist() == [[11, 5, 21, 25], [30, 5, 40, 25]]
    assert [stage_name(stage) for stage in found.stage] == ["refined-2", "detected"]
    assert found.confidence[0] > 0.95 and found.confidence[1] == 0.5


def test_another_symbol_at_the_place_moves_nothing() -> None:
    found = relocated(two_boxes(), BACK, np.array([0, 1]), sees((32, 34, 20, 40, 0.1, 0.9)), 1)
    assert np.array_equal(found.boxes_xyxy, two_boxes().boxes_xyxy)
    assert [stage_name(stage) for stage in found.stage] == ["cut", "detected"]


def test_who_was_taught_a_label_is_no_witness_of_it() -> None:
    """Ten pictures whose labels the aligner doubts a little; a detector explains half of them."""
    table = Alphabet(TOY_SYMBOLS)
    items = [LabelledImage(Path(f"{i}.png"), "7A", f"{i}.png") for i in range(10)]

    def doubts(taught: bool) -> list[float]:
        of = {
            item.name: replace(judged(two_boxes(), explained=i % 2 == 0, taught=taught), right=-6.0)
            for i, item in enumerate(items)
        }
        return list(label_doubts(items, lambda item: Found((50, 28), of[item.name]), table).values())

    assert min(doubts(taught=True)) == max(doubts(taught=True)) > 0.5
    assert all((wrong < 0.5) == (i % 2 == 0) for i, wrong in enumerate(doubts(taught=False)))


def test_a_witness_is_not_forgotten_in_the_next_round() -> None:
    once = judged(two_boxes(), explained=True, taught=False)
    assert once.vouched > 0 and judged(once, explained=False, taught=True).vouched == once.vouched


# The loop


def test_teaching_goes_on_from_its_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.align.teaching.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(refine, "_BATCH", 2)
    made = [toy_synthesizer()(i) for i in range(4)]
    images = np.zeros((4, 64, 96, 3), np.uint8)
    images[:, :32] = [one.image for one in made]
    ids = [np.array([TOY_SYMBOLS.index(c) for c in one.text.replace(" ", "")]) for one in made]
    batches = refine._Batches(images, [one.boxes_xyxy for one in made], ids, 0)
    checkpoint = Checkpoint(tmp_path / "refining.pt", "this")

    def taught(after: Any, checkpoint: Checkpoint | None) -> torch.Tensor:
        torch.manual_seed(0)
        net = new_network(TOY_SYMBOLS, char_network(), None)
        given: dict[str, Any] = {"lr": 1e-3, "device": torch.device("cpu"), "warm_up": 2}
        state = learn(net, batches, lambda step: step / 6, **given, after=after, checkpoint=checkpoint).state_dict()
        return torch.cat([value.flatten().double() for value in state.values()])

    def stop(step: int, *_: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    expected = taught(None, None)
    with pytest.raises(KeyboardInterrupt):
        taught(stop, checkpoint)
    steps: list[int] = []
    assert torch.equal(taught(lambda step, *_: steps.append(step), checkpoint), expected)
    assert steps == [4, 5, 6]
    steps.clear()
    taught(lambda step, *_: steps.append(step), Checkpoint(checkpoint.path, "something else"))
    assert steps == [1, 2, 3, 4, 5, 6]
