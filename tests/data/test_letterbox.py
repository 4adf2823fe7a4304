"""Letterboxing there and back, and the shape that suits a set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.data.letterbox import GREY, STRIDE, from_shares, letterbox, scaled, shape_for, to_shares

FITS: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]] = {
    # picture (width, height), shape (height, width), where it then lies: left, top, width, height
    "as it is": ((192, 64), (64, 192), (0, 0, 192, 64)),
    "twice as large": ((96, 32), (64, 192), (0, 0, 192, 64)),
    "half": ((384, 128), (64, 192), (0, 0, 192, 64)),
    "too wide": ((200, 20), (64, 192), (0, 22, 192, 19)),
    "too high": ((64, 128), (64, 192), (80, 0, 32, 64)),
    "a line": ((1000, 4), (64, 192), (0, 31, 192, 1)),
    "a column": ((4, 1000), (64, 192), (95, 0, 1, 64)),
    "one pixel": ((1, 1), (64, 192), (64, 0, 64, 64)),
}


@pytest.mark.parametrize(("size_wh", "shape_hw", "lies"), FITS.values(), ids=FITS.keys())
def test_where_a_picture_lies(
    size_wh: tuple[int, int], shape_hw: tuple[int, int], lies: tuple[int, int, int, int]
) -> None:
    image = np.full((size_wh[1], size_wh[0], 3), 7, np.uint8)
    fitted, back = letterbox(image, shape_hw)
    left, top, width, height = lies
    inside = np.zeros(shape_hw, bool)
    inside[top : top + height, left : left + width] = True
    assert (fitted.shape, fitted.dtype) == ((*shape_hw, 3), np.uint8)
    assert (fitted[inside] == 7).all() and (fitted[~inside] == GREY).all()
    assert (back.left, back.top, back.width, back.height) == (left, top, *size_wh)
    whole = np.array([[0, 0, *size_wh]], np.float32)
    assert back.to_letterboxed(whole)[0] == pytest.approx([left, top, left + width, top + height], abs=1e-3)


def test_the_picture_is_not_changed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 90, 3), dtype=np.uint8)
    before = image.copy()
    letterbox(image, (64, 192))
    assert np.array_equal(image, before)


def test_thin_strokes_survive_shrinking() -> None:
    image = np.full((640, 1920, 3), 255, np.uint8)
    image[:, 1003:1007] = 0  # skipped by a filter that looks at one pixel in ten
    fitted, _ = letterbox(image, (64, 192))
    assert fitted.min() < 200


def test_boxes_outside_are_clipped() -> None:
    _, back = letterbox(np.zeros((20, 40, 3), np.uint8), (64, 192))
    assert back.to_picture(np.array([[-50, -50, 500, 500]]))[0].tolist() == [0, 0, 40, 20]


def test_no_boxes() -> None:
    _, back = letterbox(np.zeros((20, 40, 3), np.uint8), (64, 192))
    assert back.to_picture(np.zeros((0, 4))).shape == back.to_letterboxed(np.zeros((0, 4))).shape == (0, 4)


sides = st.integers(1, 400)


@given(sides, sides, st.sampled_from([(32, 64), (64, 192), (96, 256), (256, 64)]), st.integers(0, 10**6))
def test_boxes_come_back(width: int, height: int, shape_hw: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((5, 2, 2)) * [width, height], axis=1)  # (5, 2 corners, 2)
    boxes = corners.reshape(5, 4).astype(np.float32)
    before = boxes.copy()
    _, back = letterbox(np.zeros((height, width, 3), np.uint8), shape_hw)
    fitted = back.to_letterboxed(boxes)
    assert np.array_equal(boxes, before)
    assert fitted.min() >= -1e-3
    assert (fitted[:, [0, 2]] <= shape_hw[1] + 1e-2).all() and (fitted[:, [1, 3]] <= shape_hw[0] + 1e-2).all()
    assert np.allclose(back.to_picture(fitted), boxes, atol=1e-2)


@given(sides, sides, st.sampled_from([(32, 64), (64, 192), (256, 64)]))
def test_the_aspect_is_kept_to_a_pixel(width: int, height: int, shape_hw: tuple[int, int]) -> None:
    _, back = letterbox(np.zeros((height, width, 3), np.uint8), shape_hw)
    ratio = min(shape_hw[0] / height, shape_hw[1] / width)
    assert abs(back.scale_x - ratio) * width <= 1 and abs(back.scale_y - ratio) * height <= 1
    assert max(back.scale_x * width / shape_hw[1], back.scale_y * height / shape_hw[0]) == pytest.approx(1)


SHAPES: dict[str, tuple[list[tuple[int, int]], int, tuple[int, int]]] = {
    "nothing known": ([], 8, (64, 256)),
    "captcha-v2": ([(200, 50)], 5, (64, 256)),
    "the toy": ([(96, 32)], 4, (64, 192)),
    "a line of eight": ([(256, 64)], 8, (64, 256)),
    "a plate": ([(520, 110)], 8, (64, 288)),
    "one symbol, square": ([(40, 40)], 1, (64, 64)),
    "very long": ([(3000, 100)], 8, (64, 512)),
    "square, eight symbols": ([(300, 300)], 8, (192, 192)),
    "two lines": ([(200, 160)], 8, (160, 192)),
    "upright": ([(100, 400)], 8, (256, 192)),
    "the few wide ones do not set it": ([(128, 32)] * 95 + [(1000, 32)] * 5, 4, (64, 256)),
}


@pytest.mark.parametrize(("sizes", "length", "shape_hw"), SHAPES.values(), ids=SHAPES.keys())
def test_shapes(sizes: list[tuple[int, int]], length: int, shape_hw: tuple[int, int]) -> None:
    assert shape_for(sizes, length) == shape_hw


@pytest.mark.parametrize(
    ("sizes", "lines", "shape_hw"),
    [([(190, 140)] * 10, 2.0, (128, 160)), ([(190, 140)] * 5 + [(256, 64)] * 5, 1.5, (96, 384))],
)
def test_two_lines_are_seen_higher(sizes: list[tuple[int, int]], lines: float, shape_hw: tuple[int, int]) -> None:
    assert shape_for(sizes, 4, lines) == shape_hw


@given(st.lists(st.tuples(st.integers(4, 4000), st.integers(4, 4000)), max_size=8), st.integers(1, 40))
def test_shapes_suit_a_network(sizes: list[tuple[int, int]], length: int) -> None:
    height, width = shape_for(sizes, length)
    assert height % STRIDE == width % STRIDE == 0
    assert 64 <= height <= 256 and 64 <= width <= 512
    assert (type(height), type(width)) == (int, int)
    assert shape_for(np.array(sizes, np.int64).reshape(-1, 2), length) == (height, width)


def test_a_shape_is_scaled_in_whole_strides() -> None:
    assert scaled((64, 256), 1.5) == (96, 384)
    assert scaled((64, 256), 0.1) == (STRIDE, STRIDE)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=5), st.integers(1, 4000), st.integers(1, 4000))
def test_shares_and_pixels_are_inverse(shares: list[tuple[float, ...]], width: int, height: int) -> None:
    given_shares = np.array(shares, np.float64).reshape(-1, 4)
    boxes = from_shares(given_shares, (width, height))
    np.testing.assert_allclose(to_shares(boxes, (width, height)), given_shares, atol=1e-9)


def test_shares_are_centre_and_size() -> None:
    boxes = np.array([[10, 0, 30, 20]], np.float32)
    assert to_shares(boxes, (40, 20)).tolist() == [[0.5, 0.5, 0.5, 1.0]]
    assert to_shares(boxes, (40, 20)).dtype == np.float32 and to_shares(boxes[:0], (40, 20)).shape == (0, 4)


@pytest.mark.parametrize("size_wh", [(256, 64), (128, 32), (100, 31), (77, 64), (300, 200), (900, 41), (512, 127)])
def test_it_is_ultralytics_own_but_for_the_pixels_of_what_gets_smaller(size_wh: tuple[int, int]) -> None:
    """docs/export.md says what the difference costs."""
    pytest.importorskip("detector.networks.ultralytics.library")
    from ultralytics.data.augment import LetterBox

    image = np.random.default_rng(0).integers(0, 114, (size_wh[1], size_wh[0], 3), np.uint8)
    ours, transform = letterbox(image, (64, 256))
    theirs = LetterBox((64, 256), auto=False)(image=image)
    assert np.array_equal((ours == GREY).all(2), (theirs == GREY).all(2)), "the same place"
    if min(transform.scale_x, transform.scale_y) >= 1:
        assert np.array_equal(ours, theirs)
