"""Print on surfaces: what bends signs bends their boxes, and what wears them leaves them to be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import cv2
import matplotlib
import numpy as np
import pytest

from detector.synth import SynthConfig, Synthesizer, SynthImage
from detector.synth.faces.drops import DOTS5, DropFace
from detector.synth.faces.glyphs import CAP, FontFace
from detector.synth.faces.segments import dot_grid
from detector.synth.painting.grounds import TEXTURES
from detector.synth.style import Style
from detector.synth.styles import KINDS
from detector.text.alphabet import Alphabet
from tests.synth.conftest import styled, styled_once

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
CONFIG = SynthConfig(fonts=(FONT,), seed=5, styles=("plain",), length=6)
FLAT = Style(faces="plain", gap=0.4, ground="white", contrast=220, grey=True, cap_px=28, margin=0.12)
SURFACES = ("cloth", "film", "crumpled", "bottle", "pipe")
PROCESSES = ("stamp", "ribbon", "thermal", "chalk", "spray", "copy", "worn")
NEW = ("inkjet", "engraved", "curved", "painted", "document")


def draw(style: Style, index: int, config: SynthConfig = CONFIG) -> SynthImage:
    return styled(style, index, config)


def draw_once(style: Style, index: int) -> SynthImage:
    return styled_once(style, index, CONFIG)


def _assert_boxes_hold_the_ink(image: np.ndarray, boxes_xyxy: np.ndarray, slack: int) -> None:
    ink = image.min(-1) < 100
    for x1, y1, x2, y2 in boxes_xyxy.round().astype(int):
        rows, columns = np.nonzero(ink[y1:y2, x1:x2])
        assert max(rows.min(), columns.min(), y2 - y1 - 1 - rows.max(), x2 - x1 - 1 - columns.max()) <= slack
    outside = ink.copy()
    for x1, y1, x2, y2 in boxes_xyxy.round().astype(int):
        outside[y1:y2, x1:x2] = False
    assert outside.sum() <= 0.01 * ink.sum()


@pytest.mark.parametrize("surface", SURFACES)
def test_boxes_follow_a_surface(surface: str) -> None:
    for i in range(10):
        picture = draw(replace(FLAT, surface=surface), i)
        levelled = cv2.divide(picture.image, cv2.blur(cv2.dilate(picture.image, np.ones((15, 15))), (9, 9)), scale=255)
        _assert_boxes_hold_the_ink(levelled, picture.boxes_xyxy, 4)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_surface_moves_signs(surface: str) -> None:
    flat, bent = draw_once(replace(FLAT, surface="flat"), 3), draw(replace(FLAT, surface=surface), 3)
    assert bent.text == flat.text
    moved = np.abs(bent.boxes_xyxy - flat.boxes_xyxy).max()
    assert 0.3 < moved < 30


@pytest.mark.parametrize("bow", [-0.6, 0.6])
def test_a_bow_lifts_the_middle_or_lowers_it(bow: float) -> None:
    for i in range(6):
        picture = draw(replace(FLAT, bow=bow, cap_px=16), i)
        middles = picture.boxes_xyxy[:, [1, 3]].mean(1)
        ends, inner = middles[[0, -1]].mean(), middles[2:4].mean()
        assert (ends - inner) * np.sign(bow) > 4
        _assert_boxes_hold_the_ink(picture.image, picture.boxes_xyxy, 4)


def test_a_cut_is_letterboxed_with_its_boxes() -> None:
    for i in range(10):
        picture = draw(replace(FLAT, cut=True, cap_px=20), i, replace(CONFIG, length=3))
        assert picture.image.shape == (64, 256, 3)
        assert (picture.image[:, :4] == 114).all() and (picture.image[:, -4:] == 114).all()
        assert np.ptp(picture.boxes_xyxy[:, [1, 3]]) > 64 / 2.1, "the signs fill the picture's height"
        _assert_boxes_hold_the_ink(picture.image, picture.boxes_xyxy, 6)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_leaves_most_of_each_sign(process: str) -> None:
    for i in range(10):
        whole, worn = draw_once(replace(FLAT, process="none"), i), draw(replace(FLAT, process=process), i)
        np.testing.assert_array_equal(worn.boxes_xyxy, whole.boxes_xyxy)
        for x1, y1, x2, y2 in whole.boxes_xyxy.round().astype(int):
            before = 255 - whole.image[y1:y2, x1:x2].min(-1).astype(float)
            after = 255 - worn.image[y1:y2, x1:x2].min(-1).astype(float)
            assert after[before > 128].mean() > 0.35 * before[before > 128].mean()


@pytest.mark.parametrize("effect", ["relief", "neon", "rimmed", "extruded"])
@pytest.mark.parametrize("ground", ["white", "dark", "any"])
def test_an_effect_shows_each_sign(effect: str, ground: str) -> None:
    for i in range(6):
        picture = draw(replace(FLAT, effect=effect, ground=ground, contrast=60, cap_px=36), i)
        grey = picture.image.mean(-1)
        paper = np.median(grey[:4])
        for x1, y1, x2, y2 in picture.boxes_xyxy.round().astype(int):
            assert np.abs(grey[y1:y2, x1:x2] - paper).max() > 20, (picture.text, effect)


@pytest.mark.parametrize("texture", TEXTURES)
def test_ink_shows_on_a_texture(texture: str) -> None:
    for i in range(6):
        style = replace(FLAT, background=texture, ground="any", contrast=60, cap_px=40)
        picture = draw(style, i)
        for x1, y1, x2, y2 in picture.boxes_xyxy.round().astype(int):
            sign = picture.image[y1:y2, x1:x2].mean(-1)
            assert np.ptp(sign) > 50, picture.text


@pytest.mark.parametrize("rows", [5, 7, 9, 12])
def test_drops_draw_every_sign_another_way_each_time(rows: int) -> None:
    symbols = Alphabet().symbols
    face = DropFace(rows, 0.9, 0.6, FontFace(FONT))
    shapes = set()
    for symbol in symbols:
        first, again, other = (replace(face, variant=v).draw(symbol) for v in (0, 0, 1))
        assert first is not None and again is not None and other is not None
        np.testing.assert_array_equal(first.mask, again.mask)
        assert first.mask.shape != other.mask.shape or (first.mask != other.mask).any()
        assert 0.75 * CAP < first.mask.shape[0] < 1.5 * CAP
        even = replace(face, unevenness=0.0).draw(symbol)
        assert even is not None
        shapes.add((even.mask.shape, even.mask.tobytes()))
    assert len(shapes) == len(symbols), "no two signs look alike"


@pytest.mark.parametrize("rows", [7, 9, 14])
def test_dots_show_signs_of_hairlines(rows: int) -> None:
    hairline = np.zeros((CAP, CAP // 2), np.uint8)
    hairline[:, CAP // 4] = 255
    hairline[0] = 255
    grid = dot_grid(hairline, rows, least_ink=110)
    assert grid.shape[0] == rows
    assert grid.any(1).all(), "the upright stroke leaves a dot in each row"
    assert grid[0].all(), "and the level one in each column"


def test_five_rows_have_every_sign_of_the_alphabet() -> None:
    assert set(DOTS5) == set(Alphabet().symbols)
    assert all(grid.shape == (5, 5) for grid in DOTS5.values())


def test_a_stencil_s_strokes_are_bridged_and_stems_stay() -> None:
    pieces = {}
    for text in ("0", "8", "I", "T"):
        for bridges in (0.0, 0.12):
            picture = draw(replace(FLAT, bridges=bridges, cap_px=40), 0, replace(CONFIG, texts=(text,), length=1))
            count, _ = cv2.connectedComponents((picture.image.min(-1) < 128).astype(np.uint8))
            pieces[text, bridges] = count - 1
    assert pieces["0", 0.12] == 2 > pieces["0", 0.0] == 1
    assert pieces["8", 0.12] > 1
    assert pieces["I", 0.12] == pieces["T", 0.12] == 1


@pytest.mark.parametrize("name", NEW)
def test_every_sign_can_be_told_from_its_ground(name: str) -> None:
    make = Synthesizer(replace(CONFIG, styles=(name,)))
    for i in range(40):
        picture = make(i)
        for x1, y1, x2, y2 in picture.boxes_xyxy.round().astype(int):
            sign = picture.image[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1].astype(int)
            assert np.ptp(sign.reshape(-1, 3), axis=0).max() > 12, (i, picture.text)


@pytest.mark.parametrize("name", NEW)
def test_a_kind_draws_many_looks(name: str) -> None:
    rng = Random(1)
    styles = [KINDS[name](rng) for _ in range(200)]
    assert len({style.background for style in styles}) > 3
    assert len({(style.faces, style.effect, style.process, style.surface, style.medium) for style in styles}) > 5
