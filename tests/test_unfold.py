"""Pictures of two text lines: laid out as one, found out, and converted."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import torch

import detector
from detector.align import Aligner, shipped_aligner
from detector.alphabet import Alphabet
from detector.errors import DetectorError
from detector.intake import Inputs
from detector.rules import ReadingRules
from detector.sources import LabelledImage
from detector.synth import SynthConfig, Synthesizer, SynthImage, write_set
from detector.text_lines import TextLines
from detector.unfold import may_have_two_lines, unfold
from detector.yolo_format import read_set

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = tuple(FOLDER / name for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"))
TWO = SynthConfig(length=8, min_length=6, size_wh=(120, 90), looks=("plain",), fonts=FONTS, lines=2, seed=3)
ONE = SynthConfig(length=8, min_length=6, size_wh=(120, 90), looks=("plain",), fonts=FONTS, seed=4)


def lower(made: SynthImage) -> np.ndarray:
    """Which characters stand on the second line: to the left of the one before them."""
    x1 = made.boxes_xyxy[:, 0]
    return np.arange(len(x1)) >= 1 + int(np.argmin(np.diff(x1)))


@pytest.mark.parametrize("above", [0, 40], ids=["in the middle", "low in the picture"])
def test_two_lines_become_one_and_boxes_go_back(above: int) -> None:
    make = Synthesizer(TWO)
    for i in range(20):
        made = make(i)
        image = np.asarray(cv2.copyMakeBorder(made.image, above, 0, 0, 0, cv2.BORDER_CONSTANT, value=(255,) * 3))
        boxes, below = made.boxes_xyxy + np.float32([0, above, 0, above]), lower(made)
        flat, fold = unfold(image, 2)
        assert boxes[~below, 3].max() <= fold.border + 2 and boxes[below, 1].min() >= fold.border - 2, made.text
        assert flat.shape[1] == 2 * image.shape[1]
        laid_out = boxes + np.where(
            below[:, None],
            np.float32([120, fold.down[1] - fold.border] * 2),
            np.float32([0, fold.down[0]] * 2),
        )
        np.testing.assert_allclose(fold.to_picture(laid_out.astype(np.float32)), boxes, atol=0.01)
        for box, (x1, y1, x2, y2) in zip(boxes.astype(int), laid_out.astype(int), strict=True):
            there = image[box[1] + 2 : box[3] - 2, box[0] : box[2]]
            np.testing.assert_array_equal(flat[y1 + 2 : y2 - 2, x1:x2], there)
        middle = laid_out[:, [1, 3]].mean(1)
        assert np.ptp([middle[~below].mean(), middle[below].mean()]) < 6, "both lines at one height"


def test_one_line_stays_as_it_is() -> None:
    image = Synthesizer(ONE)(0).image
    flat, fold = unfold(image, 1)
    assert flat is image
    boxes = np.float32([[1, 2, 3, 4]])
    assert fold.to_picture(boxes) is boxes


def test_a_picture_of_one_row_has_one_line() -> None:
    flat, fold = unfold(np.zeros((1, 30, 3), np.uint8), 2)
    assert flat.shape == (1, 30, 3) and fold.lines == 1


@pytest.mark.parametrize(
    ("size_wh", "symbols", "may"), [((190, 140), 8, True), ((256, 64), 8, False), ((190, 140), 3, False)]
)
def test_what_may_have_two_lines(size_wh: tuple[int, int], symbols: int, may: bool) -> None:
    assert may_have_two_lines(size_wh, symbols) == may


def inputs_of(folder: Path, configs: dict[str, SynthConfig], count: int) -> Inputs:
    items, sizes = [], []
    for name, config in configs.items():
        make = Synthesizer(config)
        for i in range(count):
            made, path = make(i), folder / f"{name}{i}.png"
            cv2.imwrite(str(path), made.image)
            items.append(LabelledImage(path, made.text, path.name))
            sizes.append(config.size_wh)
    return Inputs(items, sizes, {item.text: "train" for item in items})


@pytest.fixture(scope="module")
def judge() -> Aligner:
    path = shipped_aligner(Alphabet().symbols)
    assert path is not None
    return Aligner.load(path, device=torch.device("cpu"))


def test_lines_are_found_out(tmp_path: Path, judge: Aligner) -> None:
    inputs = inputs_of(tmp_path, {"one": ONE, "two": TWO}, 20)
    lines = TextLines(inputs, Alphabet(), None, judge, 0)
    assert {tuple(lines(item)) for item in inputs.items} == {(1, 2)}
    wanted = [2 if item.name.startswith("two") else 1 for item in inputs.items]
    assert np.mean(np.array(lines.likeliest(inputs.items)) == wanted) >= 0.95
    assert lines.sizes_wh(inputs)[0] == (240, 45)


def test_one_picture_that_seems_to_have_two_lines_sets_none(tmp_path: Path, judge: Aligner) -> None:
    lines = TextLines(inputs_of(tmp_path, {"two": TWO}, 1), Alphabet(), None, judge, 0)
    assert lines.most == 1


@pytest.mark.parametrize(("config", "counts"), [(ONE, (1,)), (TWO, (2,))], ids=["one", "two"])
def test_where_all_have_as_many_none_is_judged_by_itself(
    tmp_path: Path, judge: Aligner, config: SynthConfig, counts: tuple[int, ...]
) -> None:
    inputs = inputs_of(tmp_path, {"some": config}, 20)
    lines = TextLines(inputs, Alphabet(), None, judge, 0)
    assert {tuple(lines(item)) for item in inputs.items} == {counts}
    assert lines.likeliest(inputs.items) == [counts[0]] * 20


@pytest.mark.parametrize(("asked", "counts"), [(1, (1,)), (2, (2,)), (None, (1,))])
def test_what_is_asked_for_needs_no_judge(tmp_path: Path, asked: int | None, counts: tuple[int, ...]) -> None:
    inputs = inputs_of(tmp_path, {"two": TWO}, 3)
    lines = TextLines(inputs, Alphabet(), asked, None, 0)
    assert {tuple(lines(item)) for item in inputs.items} == {counts}


def test_a_wrong_number_of_lines_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="1 or 2, got 3"):
        detector.convert(tmp_path, tmp_path / "out", lines=3)


def test_two_lines_are_converted(tmp_path: Path) -> None:
    write_set(TWO, tmp_path / "made", 60, workers=1)
    report = detector.convert(tmp_path / "made", tmp_path / "set", budget=0.3)
    assert report.rules.layout.lines == 2
    height, width = report.rules.shape_hw or (0, 0)
    assert width < 2 * height, "readers see the picture as it is"
    true, ours = defaultdict(list), defaultdict(list)
    for boxes, path in ((true, tmp_path / "made" / "boxes.csv"), (ours, tmp_path / "set" / "boxes.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                boxes[Path(row["image"]).name].append([float(row[k]) for k in ("x1", "y1", "x2", "y2")])
    inside = []
    for name, found in ours.items():
        centres, (x1, y1, x2, y2) = np.array(found).reshape(-1, 2, 2).mean(1), np.array(true[name]).T
        inside += [(x1 < centres[:, 0]) & (centres[:, 0] < x2) & (y1 < centres[:, 1]) & (centres[:, 1] < y2)]
    assert np.concatenate(inside).mean() >= 0.98
    rules: ReadingRules = read_set(report.data_yaml).rules
    assert rules.layout.lines == 2
