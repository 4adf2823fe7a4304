"""Plates of vehicles: what is beside the text is never labelled, effects leave it legible, positions tell O from 0."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random

import matplotlib
import numpy as np
import pytest

from detector.synth import SynthConfig
from detector.synth.faces.fonts import capitals_of
from detector.synth.faces.foreign import foreign_face
from detector.synth.faces.glyphs import CAP, FontFace, GlyphCache
from detector.synth.faces.strokes import DESIGNS, SlashedFace, StrokeFace, can_stroke
from detector.synth.painting.camera import EFFECTS
from detector.synth.painting.canvas import Canvas
from detector.synth.setting.fittings import FITTINGS, fitted
from detector.synth.setting.typesetting import Placed, Typesetter, bounds, corners_of
from detector.synth.style import Style
from detector.synth.texts import Line, free_text, slashable, with_foreign
from detector.text.alphabet import Alphabet
from tests.synth.conftest import styled, styled_once

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONT = FOLDER / "DejaVuSans.ttf"
SYMBOLS = Alphabet().symbols
CONFIG = SynthConfig(fonts=(FONT,), seed=5, styles=("plain",), min_length=4)
CLEAR = Style(faces="plain", gap=0.3, ground="white", contrast=220, grey=True, cap_px=30, margin=0.1)


@pytest.mark.parametrize("name", FITTINGS)
def test_a_fitting_stands_beside_the_signs_and_has_no_label(name: str) -> None:
    cache, face = GlyphCache(), FontFace(FONT, capitals_of(SYMBOLS))
    style = replace(CLEAR, fittings=(name,), grouped=True, group_gap=0.5)
    # Heads of screws may touch signs, as they do; a turned mask's empty corners may.
    near = {"screws": 9.0, "seals": 0.15}.get(name, 0.02)
    count = 0
    for seed in range(20):
        rng = Random(seed)
        signs = Typesetter(rng, style, cache, lambda: face).line("AB1234", range(6), " ")
        placed = fitted(rng, style, signs, face, cache)
        assert [sign for sign in placed if sign.label >= 0] == signs
        parts = [bounds(corners_of([part])) for part in placed if part.label < 0]
        count += len(parts)
        for sign in (bounds(corners_of([sign])) for sign in signs):
            for x1, y1, x2, y2 in parts:
                beside = max(sign[0] - x2, x1 - sign[2], sign[1] - y2, y1 - sign[3])
                assert beside > -near, (seed, sign)
    assert count >= 20


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_changes_the_picture_and_leaves_it_legible(name: str) -> None:
    clear = [styled_once(CLEAR, i, CONFIG) for i in range(12)]
    changed = [styled(replace(CLEAR, camera=(name,)), i, CONFIG) for i in range(12)]
    for before, after in zip(clear, changed, strict=True):
        assert after.text == before.text
        np.testing.assert_array_equal(after.boxes_xyxy, before.boxes_xyxy)
        for x1, y1, x2, y2 in after.boxes_xyxy.round().astype(int):
            ink = before.image[y1:y2, x1:x2].min(-1) < 60
            ground = before.image[y1:y2, x1:x2].min(-1) > 200
            grey = after.image[y1:y2, x1:x2].mean(-1)
            assert abs(grey[ink].mean() - grey[ground].mean()) > 8, (name, after.text)
    assert any((a.image != b.image).any() for a, b in zip(clear, changed, strict=True))


def test_signs_of_another_script_are_drawn_and_not_labelled() -> None:
    ink_beside = 0
    for i in range(20):
        made = styled(replace(CLEAR, foreign=1), i, CONFIG)
        assert len(made.boxes_xyxy) == len(made.text) and set(made.text) <= set(SYMBOLS)
        for x1, y1, x2, y2 in made.boxes_xyxy.round().astype(int):
            made.image[y1:y2, x1:x2] = 255
        ink_beside += (made.image.min(-1) < 128).sum() > 20
    assert ink_beside == 20
    plain = [styled_once(CLEAR, i, CONFIG) for i in range(5)]
    assert all(len(made.boxes_xyxy) == len(made.text) for made in plain)


@pytest.mark.parametrize("symbols", [SYMBOLS, "ЖЩЯ0189", "ب123"])
def test_no_other_sign_is_of_the_alphabets_own_script(symbols: str) -> None:
    own = {range(0x400, 0x530), range(0x600, 0x700)}
    for seed in range(60):
        face = foreign_face(Random(seed), symbols, shipped=True)
        assert face is not None
        for block in own:
            if any(ord(s) in block for s in symbols):
                assert not any(ord(s) in block for s in face.signs)
        glyph = face.draw(face.signs[0])
        assert glyph is not None and abs(glyph.top - glyph.mask.shape[0] / 2 - CAP / 2) < 1
        assert not set(face.signs) & set(SYMBOLS)


@pytest.mark.parametrize("seed", range(12))
def test_foreign_signs_leave_the_labelled_ones_in_order(seed: int) -> None:
    line = with_foreign(Random(seed), Line("A 12", (True,) * 4), "京沪", 2, " ")
    assert "".join(s for s, labelled in zip(line.signs, line.labelled, strict=True) if labelled) == "A 12"
    assert sum(s in "京沪" for s in line.signs) == 2 and line.signs.strip() == line.signs


def test_every_design_of_strokes_tells_its_signs_apart() -> None:
    assert can_stroke(SYMBOLS) and not can_stroke("É")
    alike = [{"O", "0"}, {"I", "1"}]
    for design in range(0, DESIGNS, 97):
        glyphs = {s: StrokeFace(design).draw(s) for s in SYMBOLS}
        masks = {s: glyph.mask for s, glyph in glyphs.items() if glyph is not None}
        assert len(masks) == len(SYMBOLS)
        for (a, one), (b, other) in combinations(masks.items(), 2):
            if {a, b} not in alike and one.shape == other.shape:
                assert (np.abs(one.astype(int) - other) > 128).mean() > 0.02, (design, a, b)
        assert all(0.9 * CAP < mask.shape[0] < 1.25 * CAP for mask in masks.values())


def test_a_slash_goes_through_its_signs_alone() -> None:
    face = StrokeFace(3)
    slashed = SlashedFace(face, "0")
    for sign in "0O8":
        before, after = face.draw(sign), slashed.draw(sign)
        assert before is not None and after is not None
        assert (before.mask.shape == after.mask.shape) and ((after.mask.sum() > before.mask.sum()) == (sign == "0"))


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        pytest.param("B2160TOB", "0O", id="neighbours tell"),
        pytest.param("AB12", "0O", id="neither is there"),
        pytest.param("O123", "0", id="a letter beside a digit"),
        pytest.param("AB0", "0", id="a zero beside a letter"),
        pytest.param("0", "0", id="nothing beside it"),
    ],
)
def test_letter_and_zero_have_a_slash_only_where_neighbours_tell(text: str, signs: str) -> None:
    assert slashable("0O", Line(text, (True,) * len(text)), SYMBOLS) == signs
    assert slashable("0", Line(text, (True,) * len(text)), SYMBOLS) == "0"
    assert slashable("0O", Line(text, (True,) * len(text)), "ABO") == ""


def test_most_texts_have_the_form_of_a_plate() -> None:
    rng, forms = Random(1), "[A-Z]{3}[0-9]{4}|[A-Z]{3}[0-9][A-Z][0-9]{2}|[A-Z]{2}[0-9]{3}[A-Z]{2}|[A-Z][0-9]{4}[A-Z]{2}"
    texts = [free_text(rng, SYMBOLS, 7, "vehicle") for _ in range(400)]
    assert np.mean([re.fullmatch(forms, text) is not None for text in texts]) > 0.1
    assert {s for text in texts for s in text} == set(SYMBOLS)
    assert free_text(rng, "01", 5, "vehicle").strip("01") == ""


@pytest.mark.parametrize("height", [8.0, 10.0, 14.0])
def test_a_thin_bar_is_drawn_wherever_it_falls(height: float) -> None:
    """Warped without a filter, a bar of three of the mask's pixels would fall between those of the picture."""
    bar = np.full((CAP, 3), 255, np.uint8)
    for offset in np.linspace(0, 1, 9):
        canvas = Canvas((40, 20), 1)
        scale = height / CAP
        canvas.stamp(Placed(bar, np.array([[scale, 0, 8 + offset], [0, scale, 2], [0, 0, 1]]), 0), (0, 0, 0), False)
        x1, y1, x2, y2 = canvas.boxes_xyxy()[0]
        assert 2 <= x2 - x1 <= 6 and abs((x1 + x2) / 2 - 8.5 - offset) < 1.5
        assert height - 2 <= y2 - y1 <= height + 4


def test_every_colour_of_a_fitting_can_be_painted() -> None:
    cache, face = GlyphCache(), FontFace(FONT, capitals_of(SYMBOLS))
    style = replace(CLEAR, fittings=FITTINGS, grouped=True, groups=2, group_gap=0.5)
    for seed in range(300):
        rng = Random(seed)
        signs = Typesetter(rng, style, cache, lambda: face).line("AB12", range(4), " ")
        for part in fitted(rng, style, signs, face, cache):
            assert part.colour is None or (min(part.colour) > -0.5 and max(part.colour) < 255.5)
