"""Displays and counters: what is lit is what the label says, and what else is there belongs to no box."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random

import cv2
import matplotlib
import numpy as np
import pytest

from detector.synth import SynthConfig, Synthesizer
from detector.synth.faces.glyphs import CAP, Face, FontFace, GlyphCache
from detector.synth.faces.segments import FOURTEEN, SEVEN, DotFace, segment_design
from detector.synth.setting.display_lines import drum_line
from detector.synth.setting.typesetting import FIELD, bounds, corners_of
from detector.synth.style import Style
from tests.builders import check_boxes_hold_ink

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = tuple(FOLDER / name for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"))
CONFIG = SynthConfig(fonts=FONTS, seed=7, min_length=3)
LCD = Style(faces="seven", display="lcd", ground="white", grey=True, cap_px=36, margin=0.1, tracking=0.2)


@pytest.mark.parametrize(
    ("symbols", "face"),
    [
        *(("".join(SEVEN), segment_design(number, False)) for number in range(0, 60, 3)),
        *(("".join(FOURTEEN), segment_design(number, True)) for number in range(5)),
        *(("0123456789", segment_design(number, True, True)) for number in range(5)),
        ("0123456789", DotFace(0.85, True, FontFace(FONTS[0]), plain=True)),
        ("0123456789", DotFace(0.85, True, FontFace(FONTS[0]), rows=14)),
    ],
)
def test_no_two_signs_of_a_display_look_the_same(symbols: str, face: Face) -> None:
    places = {}
    for sign in symbols:
        glyph = face.draw(sign)
        assert glyph is not None, sign
        cell = np.zeros((2 * CAP, 2 * CAP), bool)
        left, top = round(glyph.left) + 10, round(CAP + 10 - glyph.top)
        cell[top : top + glyph.mask.shape[0], left : left + glyph.mask.shape[1]] = glyph.mask > 128
        places[sign] = cell
    for a, b in combinations(symbols, 2):
        differing = (places[a] ^ places[b]).sum()
        assert differing > 0.06 * min(places[a].sum(), places[b].sum()), (a, b)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"small_signs": 1, "small_size": 0.6},
        {"shear": 0.2, "angle": 4.0, "perspective": 0.08},
        {"stretch": 1.5, "tracking": 0.0},
        {"unlit": 0.1, "blanks": 2},
    ],
)
def test_boxes_hold_what_is_lit_and_nothing_more(monkeypatch: pytest.MonkeyPatch, change: dict[str, float]) -> None:
    from detector.synth import synthesizer

    monkeypatch.setattr(synthesizer, "style_of", lambda rng, name: replace(LCD, **change))
    make = Synthesizer(CONFIG)
    for i in range(12):
        drawn = make(i)
        check_boxes_hold_ink(drawn.image.min(-1) < 128, drawn.boxes_xyxy, drawn.text)


def test_a_small_last_sign_has_a_smaller_box(monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.synth import synthesizer

    monkeypatch.setattr(synthesizer, "style_of", lambda rng, name: replace(LCD, small_signs=1, small_size=0.5))
    heights = np.diff(
        Synthesizer(replace(CONFIG, min_length=None, texts=("28805",)))(0).boxes_xyxy[:, [1, 3]], axis=1
    ).ravel()
    assert heights[-1] < 0.65 * heights[:-1].min()


def test_points_units_and_captions_have_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.synth import synthesizer

    beside = 0
    monkeypatch.setattr(synthesizer, "style_of", lambda rng, name: replace(LCD, cap_px=24, points=1.0, units=1.0))
    make = Synthesizer(replace(CONFIG, min_length=None, texts=("2880", "0695")))
    for i in range(8):
        drawn = make(i)
        assert len(drawn.boxes_xyxy) == len(drawn.text)
        lit = drawn.image.min(-1) < 128
        for x1, y1, x2, y2 in drawn.boxes_xyxy.round().astype(int):
            lit[y1:y2, x1:x2] = False
        beside += bool(lit.any())
    assert beside == 8


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("style", ["segments", "lcd", "led", "counter"])
def test_displays_show_numbers_nearly_always(style: str) -> None:
    make = Synthesizer(replace(CONFIG, styles=(style,)))
    share = np.mean([make(i).text.isdigit() for i in range(150)])
    assert 0.7 < share < 1.0


@pytest.mark.parametrize("style", ["lcd", "led", "dots", "counter"])
def test_signs_differ_from_their_ground(style: str) -> None:
    make = Synthesizer(replace(CONFIG, styles=(style,)))
    ranges = []
    for i in range(40):
        drawn = make(i)
        grey = cv2.GaussianBlur(drawn.image, (0, 0), 0.7).max(-1).astype(float)
        for x1, y1, x2, y2 in drawn.boxes_xyxy.round().astype(int):
            low, high = np.percentile(grey[y1:y2, x1:x2], (8, 92))
            ranges.append(high - low)
    assert np.percentile(ranges, 2) > 10


@pytest.mark.parametrize("turned", [0.0, 0.3, 0.6, 2.0])
def test_a_turning_drum_shows_most_of_its_digit(turned: float) -> None:
    face, cache = FontFace(FONTS[0]), GlyphCache()
    style = Style(faces="sans", display="drums", turned=turned, small_signs=1)
    for seed in range(60):
        placed = drum_line(Random(seed), style, "409127", range(6), " ", face, cache)
        fields = [bounds(corners_of([sign])) for sign in placed if sign.role == FIELD]
        assert len(fields) == 7  # the window and six drums
        for sign, digit, field in zip((s for s in placed if s.label >= 0), "409127", sorted(fields[1:]), strict=True):
            glyph = cache.get(face, digit)
            assert glyph is not None
            rows = np.nonzero((sign.mask > 128).any(1))[0]
            shown = (rows[-1] - rows[0] + 1) / glyph.mask.shape[0]
            assert shown > 0.65
            x1, y1, x2, y2 = bounds(corners_of([sign]))
            assert y1 >= field[1] - 0.05 and y2 <= field[3] + 0.05
            assert x1 >= field[0] and x2 <= field[2]
        for sign in placed:
            if sign.label < 0 and sign.role != FIELD:
                rows = np.nonzero((sign.mask > 128).any(1))[0]
                assert len(rows) < 0.5 * CAP
