"""Which way a text runs and how many lines it has."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.text.line_grouping import deskew, deskew_picture, reading_order

Boxes = NDArray[np.float64]


def line_of(count: int, pitch: float = 14, top: float = 10, left: float = 5) -> Boxes:
    """Characters of 10 by 20 pixels side by side."""
    x = left + pitch * np.arange(count)
    return np.stack([x, np.full(count, top), x + 10, np.full(count, top + 20)], 1)


def turned(boxes: Boxes, degrees: float, about: tuple[float, float] = (64, 32)) -> Boxes:
    """Upright boxes around the turned ones."""
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = (corners - about) @ matrix.T + about
    return np.concatenate([moved.min(1), moved.max(1)], 1)


def slanted(boxes: Boxes, degrees: float) -> Boxes:
    """Boxes of italics."""
    more = 20 * math.tan(math.radians(degrees))
    return boxes + np.array([0, 0, more, 0])


def bowed(boxes: Boxes, height: float) -> Boxes:
    """Boxes of text along an arc."""
    middle, half = boxes[:, [0, 2]].mean(), max(1.0, float(np.ptp(boxes[:, [0, 2]]) / 2))
    down = height * (((boxes[:, 0] + boxes[:, 2]) / 2 - middle) / half) ** 2
    return boxes + np.stack([0 * down, down, 0 * down, down], 1)


def test_straight_text_stays_as_it_is() -> None:
    boxes = line_of(6)
    deskewed = deskew_picture(boxes, 100)
    own = deskewed.boxes_xyxy[0]
    own[:, [0, 2]] += deskewed.start[0]
    assert np.array_equal(own[:, [0, 2]], boxes[:, [0, 2]])
    assert not deskewed.line.any()


def outlier(*more: tuple[float, float, float, float], lines: int = 1) -> list[bool]:
    """Of boxes beside four characters of 10 by 20, whose middle is at 20."""
    boxes = np.concatenate([line_of(4, pitch=30), np.array(more)])
    return deskew_picture(boxes, 200, lines).outlier[0].tolist()


def test_small_boxes_above_or_below_the_line_are_other_text() -> None:
    assert outlier((50, 0, 55, 8), (70, 30, 75, 40)) == [False] * 4 + [True] * 2
    assert (
        outlier((50, 0, 55, 8), (20, 60, 30, 80), (50, 60, 60, 80), (80, 60, 90, 80), lines=2)[4:]
        == [True] + [False] * 3
    )


@pytest.mark.parametrize(
    ("what", "box"),
    [
        ("raised and half as high", (125, 10, 130, 20)),
        ("a point on the line", (125, 26, 129, 30)),
        ("as high, far above", (125, -10, 135, 10)),
        ("a little lower, far above", (125, -8, 135, 8)),
    ],
)
def test_other_boxes_are_the_line_s_own(what: str, box: tuple[float, float, float, float]) -> None:
    assert not any(outlier(box)), what


def test_of_few_boxes_none_is_other_text() -> None:
    assert not deskew_picture(np.array([[0, 10, 10, 30], [20, 0, 25, 5]]), 100).outlier.any()


@pytest.mark.parametrize("degrees", [-30, -18, -7, 0, 7, 18, 30])
def test_turned_text_is_straightened(degrees: float) -> None:
    """In order, none covering its neighbour, and where the picture has it before it is turned about its middle."""
    boxes = line_of(8, top=22, left=10)
    deskewed = deskew_picture(turned(boxes, degrees), 128)
    assert reading_order(deskewed)[0].tolist() == list(range(8))
    own = deskewed.boxes_xyxy[0]
    assert (own[1:, 0] >= own[:-1, 2] - 1).all()
    centres = (own[:, 0] + own[:, 2]) / 2 + deskewed.start[0]
    assert np.allclose(centres, (boxes[:, 0] + boxes[:, 2]) / 2, atol=3)


@pytest.mark.parametrize("change", [lambda b: slanted(b, 25), lambda b: bowed(b, 25), lambda b: bowed(b, -25)])
def test_slants_and_arcs_keep_their_order(change: object) -> None:
    deskewed = deskew_picture(change(line_of(8)), 128)  # type: ignore[operator]
    own = deskewed.boxes_xyxy[0]
    assert reading_order(deskewed)[0].tolist() == list(range(8))
    shared = np.minimum(own[1:, 2], own[:-1, 2]) - np.maximum(own[1:, 0], own[:-1, 0])
    assert (shared < 0.5 * (own[1:, 2] - own[1:, 0])).all()


@given(
    st.integers(3, 6), st.integers(3, 6), st.floats(-30, 30), st.floats(0, 20), st.randoms(use_true_random=False),
    st.integers(2, 4),
)  # fmt: skip
def test_two_lines_turned(upper: int, lower: int, degrees: float, indent: float, random: object, most: int) -> None:
    # Of two short words under each other, four characters, nobody can tell which way they run.
    boxes = np.concatenate([line_of(upper, top=5), line_of(lower, top=37, left=5 + indent)])
    order = list(range(len(boxes)))
    random.shuffle(order)  # type: ignore[attr-defined]
    deskewed = deskew_picture(turned(boxes, degrees)[order], 128, most)
    assert [order[i] for i in reading_order(deskewed)[0]] == list(range(len(boxes)))
    assert sorted(deskewed.line[0].tolist()) == [0] * upper + [1] * lower


def test_one_line_of_a_set_that_has_two() -> None:
    rng = np.random.default_rng(0)
    boxes = line_of(7) + np.tile(rng.uniform(-4, 4, (7, 2)), 2)
    assert not deskew_picture(boxes, 128, 2).line.any()


def test_characters_that_float_are_one_line_where_lines_are_stacked() -> None:
    boxes = line_of(6, pitch=14)
    boxes[::2, [1, 3]] += 15
    present, width = np.ones((1, 6)), np.array([128.0])
    assert not deskew(boxes[None], present, width, 2, stacked=True).line.any()
    assert deskew(boxes[None], present, width, 2).line[0].tolist() == [1, 0] * 3
    below = np.concatenate([boxes, boxes + np.float32([0, 40, 0, 40])])
    assert deskew(below[None], np.ones((1, 12)), width, 2, stacked=True).line[0].tolist() == [0] * 6 + [1] * 6


def test_characters_that_step_down_are_one_line_where_lines_are_stacked() -> None:
    """Captchas let them float farther than they are high."""
    first, last = line_of(3, left=5, top=30), line_of(2, left=50, top=5)
    for up in (0.8, 1.3, 2.0):
        step = np.float32([0, up, 0, up]) * (first[0, 3] - first[0, 1])
        boxes = np.concatenate([first, last - step])
        lines = deskew(boxes[None], np.ones((1, 5)), np.array([160.0]), 2, stacked=True)
        assert not lines.line.any()


def test_a_line_that_is_much_lower_than_another_is_other_text() -> None:
    boxes = np.concatenate([line_of(5, top=30), line_of(3, top=5)])
    boxes[5:, 3] -= 10
    present = np.ones((1, 8))
    for lowest, left_out in ((0.0, False), (0.6, True), (0.4, False)):
        outlier = deskew(boxes[None], present, np.array([128.0]), 2, lowest).outlier[0].tolist()
        assert outlier == [False] * 5 + [left_out] * 3


@pytest.mark.parametrize(
    ("count", "height", "left_out"),
    [(1, 13, True), (2, 13, True), (3, 13, False), (1, 16, False), (2, 20, False)],
)
def test_one_or_two_small_characters_below_a_line_are_no_line(count: int, height: int, left_out: bool) -> None:
    """The last digits of a date, where the others of it were not seen; but where all have two lines, they are one."""
    boxes = np.concatenate([line_of(7, top=0), line_of(count, top=40)])
    boxes[:7, 3], boxes[7:, 3] = 20, 40 + height
    present, width = np.ones((1, len(boxes))), np.array([128.0])
    outlier = deskew(boxes[None], present, width, 2, 0.6, stacked=True).outlier[0].tolist()
    assert outlier == [False] * 7 + [left_out] * count
    assert not deskew(boxes[None], present, width, 2, 0.6).outlier.any()


def test_one_character_is_a_line() -> None:
    one = deskew_picture(np.array([[1, 2, 3, 4]]), 100, 2)
    assert one.line.tolist() == [[0]] and one.boxes_xyxy.tolist() == [[[0, 0, 2, 2]]]
