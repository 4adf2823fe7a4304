"""Forced alignment against brute force; cutting against true boxes; weights carried to another alphabet."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.align import Judges, align_fitted
from detector.align.cut import cut, ink_map
from detector.align.network import COLUMN, AlignerNet, carry_over
from detector.align.relocate import relocate
from detector.align.teaching import Aligner, Check, Schedule
from detector.align.viterbi import Alignment, force_align, greedy
from detector.alphabet import Alphabet
from detector.errors import WeightsError
from detector.fit import Fit, fit
from tests.builders import dejavu, iou, toy_synthesizer

# Viterbi


def log_probs(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    scores = rng.normal(size=shape) * 3
    logs: NDArray[np.float64] = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return logs


def collapsed(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """CTC's reading of a path: runs become one symbol, blanks go."""
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def brute_force(logs: NDArray[np.float64], string: tuple[int, ...]) -> float | None:
    """Log-probability of the best path that reads ``string``."""
    columns, outputs = logs.shape
    paths = (p for p in itertools.product(range(outputs), repeat=columns) if collapsed(p, outputs - 1) == string)
    return max((float(sum(logs[t, s] for t, s in enumerate(p))) for p in paths), default=None)


def path_of(found: Alignment, string: tuple[int, ...], columns: int, blank: int) -> tuple[int, ...]:
    path = [blank] * columns
    for symbol, first, last in zip(string, found.first, found.last, strict=True):
        path[first : last + 1] = [symbol] * (last - first + 1)
    return tuple(path)


@given(st.integers(1, 6), st.lists(st.integers(0, 1), min_size=1, max_size=4).map(tuple), st.integers(0, 10**6))
def test_the_best_path_is_found(columns: int, string: tuple[int, ...], seed: int) -> None:
    logs = log_probs(np.random.default_rng(seed), columns, 3)
    before = logs.copy()
    (found,) = force_align(logs[None], [np.array(string)])
    best = brute_force(logs, string)
    assert np.array_equal(logs, before)
    if best is None:
        assert found is None
        return
    assert found is not None
    path = path_of(found, string, columns, 2)
    assert collapsed(path, 2) == string
    assert sum(logs[t, s] for t, s in enumerate(path)) == pytest.approx(best)
    for symbol, first, last, centre, confidence in zip(
        string, found.first, found.last, found.centre, found.confidence, strict=True
    ):
        assert first - 1e-9 <= centre <= last + 1e-9
        assert confidence == pytest.approx(np.exp(logs[first : last + 1, symbol].max()))


def one_hot_columns(symbols: list[int], outputs: int = 3) -> NDArray[np.float64]:
    """Columns that are nearly sure of these classes."""
    probs = np.full((len(symbols), outputs), 0.01)
    probs[np.arange(len(symbols)), symbols] = 1 - 0.01 * (outputs - 1)
    logs: NDArray[np.float64] = np.log(probs)
    return logs


def test_symbols_lie_where_the_columns_say() -> None:
    (found,) = force_align(one_hot_columns([2, 0, 0, 2, 1, 2])[None], [np.array([0, 1])])
    assert found is not None
    assert (found.first.tolist(), found.last.tolist()) == ([1, 4], [2, 4])
    assert found.centre.tolist() == pytest.approx([1.5, 4.0])
    assert found.confidence.tolist() == pytest.approx([0.98, 0.98])


def test_equal_neighbours_need_a_blank_between() -> None:
    logs = one_hot_columns([0, 0, 0, 0])
    (found,) = force_align(logs[None], [np.array([0, 0])])
    assert found is not None
    assert found.first[1] - found.last[0] >= 2
    assert force_align(logs[None, :2], [np.array([0, 0])]) == [None]
    assert force_align(logs[None, :2], [np.array([0, 1])]) != [None]


IMPOSSIBLE: dict[str, tuple[int, list[int]]] = {
    "longer than the columns": (3, [0, 1, 0, 1]),
    "too long with its blanks": (4, [0, 0, 0]),
    "empty": (4, []),
    "one column, two symbols": (1, [0, 1]),
}


@pytest.mark.parametrize(("columns", "string"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_strings_that_cannot_lie_there(columns: int, string: list[int]) -> None:
    logs = log_probs(np.random.default_rng(0), 2, columns, 3)
    found = force_align(logs, [np.array(string, np.int64), np.array([0])])
    assert found[0] is None and found[1] is not None


def test_no_pictures() -> None:
    assert force_align(np.zeros((0, 4, 3)), []) == []
    assert force_align(np.zeros((2, 4, 3)), [np.zeros(0, np.int64)] * 2) == [None, None]


@given(st.lists(st.lists(st.integers(0, 2), max_size=5), min_size=1, max_size=5), st.integers(0, 10**6))
def test_a_batch_is_its_pictures_one_at_a_time(strings: list[list[int]], seed: int) -> None:
    logs = log_probs(np.random.default_rng(seed), len(strings), 8, 4)
    arrays = [np.array(s, np.int64) for s in strings]
    together = force_align(logs, arrays)
    for i, found in enumerate(together):
        (alone,) = force_align(logs[i : i + 1], arrays[i : i + 1])
        if found is None or alone is None:
            assert found is alone is None
            continue
        assert all(np.array_equal(a, b) for a, b in zip(vars(found).values(), vars(alone).values(), strict=True))


READ: dict[str, tuple[list[int], list[int]]] = {
    "runs are one": ([0, 0, 2, 1, 1], [0, 1]),
    "a blank parts equal ones": ([0, 2, 0], [0, 0]),
    "no blank between others": ([0, 1, 0], [0, 1, 0]),
    "blanks only": ([2, 2, 2], []),
    "from edge to edge": ([1, 1, 1], [1]),
}


@pytest.mark.parametrize(("columns", "ids"), READ.values(), ids=READ.keys())
def test_greedy(columns: list[int], ids: list[int]) -> None:
    (read,) = greedy(one_hot_columns(columns)[None])
    assert read.tolist() == ids == list(collapsed(tuple(columns), 2))


# Cutting


def lines_of_text(seed: int = 0) -> Any:
    return toy_synthesizer(
        alphabet=Alphabet(), length=6, min_length=4, size_wh=(160, 40), blanks=0.0, seed=seed,
        fonts=(dejavu("DejaVuSans"), dejavu(), dejavu("DejaVuSerif"), dejavu("DejaVuSansMono")),
    )  # fmt: skip


def cut_at_true_centres(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> tuple[NDArray[np.float64], list[bool]]:
    centres = (boxes[:, 0] + boxes[:, 2]).astype(np.float64) / 2
    before = image.copy()
    made = cut(image, centres, boxes[:, [0, 2]].astype(np.float64))
    assert np.array_equal(image, before)
    assert made.boxes_xyxy.shape == boxes.shape and made.boxes_xyxy.dtype == np.float32
    return iou(made.boxes_xyxy, boxes), made.told_apart.tolist()


PAINTS = {
    "dark on light": lambda image: image,
    "light on dark": lambda image: 255 - image,
    "faint": lambda image: (image // 4 + 150).astype(np.uint8),
    "red on blue": lambda image: np.dstack([image[..., 0], image[..., 0] * 0, 255 - image[..., 0]]),
}


@pytest.mark.parametrize("paint", PAINTS.values(), ids=PAINTS.keys())
def test_boxes_are_tight(paint: Any) -> None:
    make = lines_of_text()
    overlaps, certainties = [], []
    for i in range(40):
        made = make(i)
        found, certainty = cut_at_true_centres(np.ascontiguousarray(paint(made.image)), made.boxes_xyxy)
        overlaps.append(found)
        certainties += certainty
    assert np.mean(np.concatenate(overlaps) >= 0.7) > 0.9
    assert np.mean(certainties) > 0.9


EMPTY = {
    "white": np.full((40, 160, 3), 255, np.uint8),
    "black": np.zeros((40, 160, 3), np.uint8),
    "one row": np.full((4, 160, 3), 200, np.uint8),
    "narrow": np.full((40, 12, 3), 200, np.uint8),
}


@pytest.mark.parametrize("image", EMPTY.values(), ids=EMPTY.keys())
@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_ink_gives_boxes_that_are_less_sure(image: NDArray[np.uint8], count: int) -> None:
    height, width = image.shape[:2]
    centres = (np.arange(count) + 0.5) * width / count
    made = cut(image, centres, np.stack([centres - 2, centres + 2], 1))
    boxes = made.boxes_xyxy
    assert not made.told_apart.any()
    assert (boxes[:, 2] > boxes[:, 0]).all() and (boxes[:, 3] > boxes[:, 1]).all()
    assert boxes.min() >= 0 and boxes[:, [0, 2]].max() <= width and boxes[:, [1, 3]].max() <= height
    assert (np.diff(boxes[:, [0, 2]].sum(1)) > 0).all()


@given(
    st.integers(4, 60), st.integers(4, 120), st.lists(st.floats(-10, 130), min_size=1, max_size=6), st.integers(0, 999)
)
def test_any_picture_and_centres_give_boxes_inside(height: int, width: int, held: list[float], seed: int) -> None:
    """Also where an aligner puts a symbol over the edge, or two at one place."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    centres = np.sort(np.clip(np.array(held), 0, width))
    boxes = cut(image, centres, np.stack([centres - 2, centres + 2], 1)).boxes_xyxy
    assert np.isfinite(boxes).all()
    assert (boxes[:, 2] >= boxes[:, 0]).all() and (boxes[:, 3] >= boxes[:, 1]).all()
    assert boxes.min() >= 0 and boxes[:, [0, 2]].max() <= width and boxes[:, [1, 3]].max() <= height


def test_ink_is_what_differs_from_the_ground() -> None:
    image = np.full((40, 160, 3), 200, np.uint8)
    image[10:30, 50:54] = 40
    ink = ink_map(image)
    assert (ink.shape, ink.dtype) == ((40, 160), np.float32)
    assert ink[15:25, 51:53].min() > 0.9 and ink[:, 100:].max() < 0.1
    assert ink_map(image[:2, :2]).shape == (2, 2)


# Another detector's boxes

CUT = np.array([[10, 10, 20, 30], [22, 10, 32, 30], [34, 10, 44, 30]], np.float32)


def output(*rows: tuple[float, float, float, float, int, float]) -> NDArray[np.float32]:
    """(4 + 3 classes, places) of (cx, cy, w, h, class, score)."""
    made = np.zeros((7, max(len(rows), 1)), np.float32)
    for place, (cx, cy, w, h, kind, score) in enumerate(rows):
        made[:4, place] = cx, cy, w, h
        made[4 + kind, place] = score
    return made


SEEN: dict[str, tuple[list[tuple[float, float, float, float, int, float]], list[bool]]] = {
    "nothing": ([], [False, False, False]),
    "the middle one": ([(27, 20, 12, 22, 1, 0.9)], [False, True, False]),
    "another class there": ([(27, 20, 12, 22, 0, 0.9)], [False, False, False]),
    "unsure": ([(27, 20, 12, 22, 1, 0.1)], [False, False, False]),
    "too far away": ([(60, 20, 12, 22, 1, 0.9)], [False, False, False]),
    "on another line": ([(27, 60, 12, 22, 1, 0.9)], [False, False, False]),
    "all": ([(15, 20, 9, 9, 0, 0.5), (27, 20, 9, 9, 1, 0.5), (39, 20, 9, 9, 2, 0.5)], [True, True, True]),
}


@pytest.mark.parametrize(("rows", "taken"), SEEN.values(), ids=SEEN.keys())
def test_a_detector_s_boxes(rows: list[tuple[float, float, float, float, int, float]], taken: list[bool]) -> None:
    before = CUT.copy()
    boxes, found = relocate(CUT, np.array([0, 1, 2]), output(*rows))
    assert found.tolist() == taken
    assert np.array_equal(CUT, before) and np.array_equal(boxes[~found], CUT[~found])
    for cx, cy, w, h, kind, _ in rows:
        if taken[kind]:
            assert boxes[kind].tolist() == [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def test_symbols_that_the_detector_does_not_know_stay_cut() -> None:
    rows = [(15.0, 20.0, 9.0, 9.0, 0, 0.9), (27.0, 20.0, 9.0, 9.0, 1, 0.9)]
    _, found = relocate(CUT, np.array([0, -1, -1]), output(*rows))
    assert found.tolist() == [True, False, False]


def test_boxes_that_would_change_places_stay_cut() -> None:
    near = np.array([[10, 10, 30, 30], [14, 10, 34, 30]], np.float32)
    boxes, found = relocate(near, np.array([0, 1]), output((28, 20, 9, 9, 0, 0.9), (18, 20, 9, 9, 1, 0.9)))
    assert found.tolist() == [False, False]
    assert np.array_equal(boxes, near)


# Networks


@pytest.mark.parametrize("shape_hw", [(64, 192), (96, 128), (32, 64)], ids=str)
def test_a_column_is_four_pixels(shape_hw: tuple[int, int]) -> None:
    net = AlignerNet(5, width=8).eval()
    with torch.inference_mode():
        out = net(torch.zeros(2, 3, *shape_hw))
    assert out.shape == (2, shape_hw[1] // COLUMN, 6)
    assert torch.allclose(out.exp().sum(-1), torch.ones(2, shape_hw[1] // COLUMN), atol=1e-4)


def test_carry_over_keeps_known_symbols() -> None:
    torch.manual_seed(0)
    old, new = AlignerNet(4, width=8), AlignerNet(3, width=8)
    assert carry_over(new, "CXA", old.state_dict(), "ABCD") == 2
    for name in ("weight", "bias"):
        rows, made = getattr(old.classify, name), getattr(new.classify, name)
        assert torch.equal(made[0], rows[2]) and torch.equal(made[2], rows[0])
        assert torch.equal(made[3], rows[4]), "CTC's blank comes last in both"
        assert torch.allclose(made[1], rows[:4].mean(0))
    assert all(torch.equal(a, b) for a, b in zip(old.body.parameters(), new.body.parameters(), strict=True))
    pictures = torch.rand(1, 3, 32, 64)
    with torch.inference_mode():
        one, other = old.eval()(pictures), new.eval()(pictures)
    assert torch.allclose(one[..., 2] - one[..., 4], other[..., 0] - other[..., 3], atol=1e-4)


def test_an_aligner_is_kept_and_loaded(tmp_path: Path) -> None:
    torch.manual_seed(1)
    cpu = torch.device("cpu")
    aligner = Aligner(AlignerNet(3, width=8), "ABC", (32, 64), cpu)
    torch.save(aligner.state(), tmp_path / "aligner.pt")
    loaded = Aligner.load(tmp_path / "aligner.pt", device=cpu)
    assert (loaded.symbols, loaded.shape_hw) == ("ABC", (32, 64))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), dtype=np.uint8)
    assert np.allclose(loaded.log_probs(images), aligner.log_probs(images), atol=0.05)


@pytest.mark.parametrize("data", [b"junk", b""], ids=["junk", "empty"])
def test_files_that_are_no_aligner(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(WeightsError, match=r"a\.pt is not an aligner's weights file"):
        Aligner.load(tmp_path / "a.pt")
    torch.save({"symbols": "AB"}, tmp_path / "b.pt")
    with pytest.raises(WeightsError, match=r"b\.pt is not an aligner's weights file"):
        Aligner.load(tmp_path / "b.pt")
    with pytest.raises(WeightsError, match="There is no aligner at"):
        Aligner.load(tmp_path / "none.pt")


class Sure:
    """An aligner whose columns are sure of the true places."""

    def __init__(self, back: Fit, boxes_xyxy: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        self.columns = ((back.to_fitted(boxes_xyxy)[:, [0, 2]].sum(1) / 2) // COLUMN).astype(int)
        self.ids = ids

    def log_probs(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        labels = [36] * (images.shape[2] // COLUMN)
        for column, symbol in zip(self.columns, self.ids, strict=True):
            labels[column] = int(symbol)
        return one_hot_columns(labels, 37)[None]


def test_boxes_come_in_the_picture_s_own_pixels() -> None:
    """Boxes are right in pictures of any size."""
    made = lines_of_text(seed=4)(0)
    image = np.ascontiguousarray(np.kron(made.image, np.ones((3, 3, 1), np.uint8)))
    true = made.boxes_xyxy * 3
    fitted, back = fit(image, (64, 288))
    ids = Alphabet().encode([made.text], len(made.text))[0]
    judges = Judges(Sure(back, true, ids), None)  # type: ignore[arg-type]
    (found,) = align_fitted(judges, fitted[None], [back], [ids], [None])
    assert found is not None
    assert np.mean(iou(found.boxes_xyxy, true) >= 0.7) > 0.8
    assert not found.stage.any() and found.confidence.max() <= 1
    assert align_fitted(judges, fitted[None], [back], [np.zeros(0, np.int64)], [None]) == [None]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_margin_is_a_pixel_of_the_picture(size: int) -> None:
    """In a picture a quarter as large as the network's input, too."""
    ink = np.array([[8, 10, 14, 54], [32, 10, 36, 54], [56, 10, 60, 54]], np.float32) * size / 4
    image = np.full((16 * size, 24 * size, 3), 255, np.uint8)
    for x1, y1, x2, y2 in ink.round().astype(int):
        image[y1:y2, x1:x2] = 0
    fitted, back = fit(image, (64, 256))
    ids = np.array([1, 2, 3])
    judges = Judges(Sure(back, ink, ids), None)  # type: ignore[arg-type]
    (found,) = align_fitted(judges, fitted[None], [back], [ids], [None])
    assert found is not None
    margins = (found.boxes_xyxy - ink.round()) * [-1, -1, 1, 1]
    assert margins.min() >= 0.9 and margins.max() <= 1.6  # half a pixel of grey is ink where it was made larger


def test_what_is_aligned_to_the_padding_gets_a_box_with_area() -> None:
    """A picture narrower than the network's input: the aligner may put its last symbol beside it."""
    image = np.full((64, 100, 3), 255, np.uint8)
    fitted, back = fit(image, (64, 256))

    class Beside:
        def log_probs(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
            labels = [36] * 64
            labels[30], labels[50], labels[62] = 1, 2, 3  # the picture ends at column 44
            return one_hot_columns(labels, 37)[None]

    (found,) = align_fitted(Judges(Beside(), None), fitted[None], [back], [np.array([1, 2, 3])], [None])  # type: ignore[arg-type]
    assert found is not None
    x1, y1, x2, y2 = found.boxes_xyxy.T
    assert (x2 - x1 >= 1).all() and (y2 - y1 >= 1).all()
    assert x1.min() >= 0 and x2.max() <= 100


# Plans


@given(st.integers(1, 10**6), st.booleans(), st.floats(0.01, 10))
def test_plans_are_bounded(pictures: int, from_nothing: bool, budget: float) -> None:
    plan = Schedule.plan(pictures, from_nothing, budget)
    assert 20 <= plan.steps <= max(20, 6000 * budget)
    assert Schedule.plan(2 * pictures, from_nothing, budget).steps >= plan.steps
    assert Schedule.plan(pictures, from_nothing, 2 * budget).steps >= plan.steps


def test_what_counts_as_learnt() -> None:
    assert Check(0.0, 0.4, 10).learnt and not Check(0.0, 0.9, 10).learnt
    assert Check(0.0, 0.0, 0).learnt  # nothing to tell by


@pytest.mark.parametrize("shape_hw", [(1, 250), (2, 250), (64, 256)])
def test_a_picture_with_as_much_ink_in_every_row_is_cut_all_the_same(shape_hw: tuple[int, int]) -> None:
    """Bars from top to bottom, or a picture of a pixel's height: there is no line of text to be found."""
    image = np.full((*shape_hw, 3), 255, np.uint8)
    image[:, 40:200:20] = 0
    centres = np.array([60.0, 120.0, 180.0])
    boxes = cut(image, centres, np.stack([centres - 5, centres + 5], 1)).boxes_xyxy
    assert boxes.shape == (3, 4) and np.isfinite(boxes).all()


def test_boxes_at_the_end_of_a_line_and_the_beginning_of_the_next_are_moved_too() -> None:
    boxes = np.array([[x, y, x + 20, y + 24] for y in (4, 36) for x in (10, 50, 90)], np.float32)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    output = np.zeros((4 + 3, len(boxes)), np.float32)
    output[:2], output[2:4] = centre.T + 2, np.array([[16.0], [20.0]])
    output[4:] = 0.9
    moved, taken = relocate(boxes, np.array([0, 1, 2, 0, 1, 2]), output)
    assert taken.all() and np.allclose(moved[:, 0], centre[:, 0] + 2 - 8)
