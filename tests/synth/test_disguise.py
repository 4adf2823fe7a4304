"""Captchas by what hides their text: boxes follow whirls, strokes leave every sign to be seen, parts are inverted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import cv2
import matplotlib
import numpy as np
import pytest

from detector.synth import SynthConfig, Synthesizer
from detector.synth.painting import disguise as disguises
from detector.synth.painting.canvas import Canvas
from detector.synth.style import Style
from detector.synth.texts import CAPTCHAS
from tests.synth.conftest import styled, styled_once

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
CONFIG = SynthConfig(
    fonts=tuple(FOLDER / name for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")), seed=4, styles=("plain",)
)
CLEAN = Style(faces="plain", gap=0.4, ground="white", contrast=220, grey=True, cap_px=32, margin=0.12)

draw, draw_once = partial(styled, config=CONFIG), partial(styled_once, config=CONFIG)


@pytest.mark.parametrize(
    ("looks", "slack"),
    [
        ({"whirls": 3}, 4),
        ({"effect": "none", "outline": 5, "rim": 0.02}, 2),
        ({"contour": True}, 2),
        ({"coarse": 11}, 4),
        ({"second_ink": True}, 2),
        ({"mixed_inks": True, "ink": "each"}, 2),
        ({"halftone": 0.09}, 4),
    ],
    ids=str,
)
def test_boxes_hold_the_ink_and_nothing_else(looks: dict[str, object], slack: int) -> None:
    for i in range(15):
        made = draw(replace(CLEAN, **looks), i)
        ink = made.image.min(-1) < 150
        for x1, y1, x2, y2 in made.boxes_xyxy.round().astype(int):
            rows, columns = np.nonzero(ink[y1:y2, x1:x2])
            edges = (rows.min(), columns.min(), y2 - y1 - 1 - rows.max(), x2 - x1 - 1 - columns.max())
            assert max(edges) <= slack, made.text
            ink[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1] = False
        assert ink.sum() <= 3, f"{made.text}: ink outside of all boxes"


@pytest.mark.parametrize("path", ["straight", "bent", "curve", "sine", "arc", "oval", "short"])
def test_strokes_cross_the_text_and_spare_each_sign(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    inks: list[tuple[np.ndarray, np.ndarray]] = []

    def strokes(rng: Random, style: Style, canvas: Canvas, cap_px: float, colours: list) -> None:
        before = canvas.alpha > 100
        own(rng, style, canvas, cap_px, colours)
        inks.append((before, (canvas.colour[..., 2] == 255) & (canvas.alpha > 100)))

    own = disguises.draw_strokes
    monkeypatch.setattr(disguises, "draw_strokes", strokes)
    monkeypatch.setattr(disguises, "ink_for", lambda *_: (0.0, 0.0, 255.0))
    struck = []
    for i in range(20):
        made = draw(replace(CLEAN, strokes=2, stroke_paths=(path,), stroke_ink="other"), i)
        text, stroke = inks[-1]
        for x1, y1, x2, y2 in made.boxes_xyxy.astype(int):
            ink, over = text[y1:y2, x1:x2], (text & stroke)[y1:y2, x1:x2]
            assert over.sum() <= 0.4 * ink.sum(), made.text
        struck.append((text & stroke).any())
        assert path not in ("oval", "short") or struck[-1] == stroke.any(), "an oval by itself is an O"
    assert np.mean(struck) > 0.4


@pytest.mark.parametrize("shape", ["arcs", "bands", "half", "checks", "blocks", "discs"])
@pytest.mark.parametrize("ink", ["one", "each"])
def test_ink_and_ground_change_places_in_a_shape(shape: str, ink: str) -> None:
    style = replace(CLEAN, ink=ink, grey=ink == "one", contrast=150)
    changed = []
    for i in range(12):
        plain, made = draw_once(style, i), draw(replace(style, inverted=shape), i)
        np.testing.assert_array_equal(made.boxes_xyxy, plain.boxes_xyxy)
        before, after = (picture.image.min(-1) < 150 for picture in (plain, made))
        differs = before != after
        changed.append(bool((differs & before).any() and (differs & ~before).any()))
    assert np.mean(changed) > 0.5


def test_specks_keep_ink_denser_than_ground() -> None:
    style = replace(CLEAN, weight=4, speckle=0.3, stray=0.15, faces="sans", cap_px=44)
    for i in range(15):
        made, plain = draw(style, i), draw(replace(style, speckle=0.0, stray=0.0), i)
        text, ink = plain.image.min(-1) < 100, made.image.min(-1) < 128
        assert ink[text].mean() > 0.6
        assert 0.05 < ink[plain.image.min(-1) > 200].mean() < 0.3


@pytest.mark.parametrize("grid_over", [False, True])
@pytest.mark.parametrize("grid_ink", ["pale", "text", "ground"])
def test_a_grid_leaves_the_text(grid_over: bool, grid_ink: str) -> None:
    for i in range(8):
        style = replace(CLEAN, grid=0.4, grid_ink=grid_ink, grid_over=grid_over)
        made, plain = draw(style, i), draw_once(CLEAN, i)
        text = plain.image.min(-1) < 100
        assert (made.image != plain.image).any()
        assert (made.image.min(-1)[text] < 160).mean() > 0.6


def test_solids_have_sides_that_differ_from_their_faces() -> None:
    for i in range(8):
        made, plain = draw(replace(CLEAN, effect="extruded", extrusion=0.15), i), draw_once(CLEAN, i)
        sides = (made.image.min(-1) < 235) & (plain.image.min(-1) > 240)
        assert sides.sum() > 30
        assert np.median(made.image.min(-1)[sides]) > np.median(made.image.min(-1)[plain.image.min(-1) < 60]) + 30


def test_pepper_is_black_and_white() -> None:
    style = replace(CLEAN, ground="light", contrast=60)
    made, plain = draw(replace(style, pepper=0.06), 1), draw(style, 1)
    differs = (made.image != plain.image).any(-1)
    assert 0.03 < differs.mean() < 0.09
    assert {*np.unique(made.image[differs]).tolist()} <= {0, 255}


@pytest.mark.parametrize("style", [name for name in CAPTCHAS if name != "captcha"])
def test_every_symbol_stands_out_from_its_ground(style: str) -> None:
    """The same picture in any process, all symbols among the texts, and something to see in every box."""
    make, again = (Synthesizer(replace(CONFIG, styles=(style,), length=8)) for _ in "ab")
    symbols: set[str] = set()
    for i in range(40):
        made = make(i)
        symbols |= {*made.text}
        if i % 10 == 0:
            np.testing.assert_array_equal(made.image, again(i).image)
        for x1, y1, x2, y2 in made.boxes_xyxy.round().astype(int):
            sign = cv2.GaussianBlur(made.image[y1:y2, x1:x2], (3, 3), 0).reshape(-1, 3).astype(int)
            assert (np.percentile(sign, 95, axis=0) - np.percentile(sign, 5, axis=0)).max() > 18, (i, made.text)
    assert len(symbols) > 32
