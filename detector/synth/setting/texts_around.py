"""Other text around a licence plate."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np

from detector.synth.colours import colour_of
from detector.synth.faces.glyphs import Face, GlyphCache
from detector.synth.setting.fittings import COUNTRIES, WORDS
from detector.synth.setting.frame import Setting, small_line
from detector.synth.setting.typesetting import PART, Placed, bounds, corners_of, moved


def with_texts_around(
    rng: Random, setting: Setting, face: Face, cache: GlyphCache, size_wh: tuple[int, int]
) -> Setting:
    """Add small words to what is outside of the frame, cut off by the picture's sides."""
    if setting.frame_xy is None:
        return setting
    x1, y1, x2, y2 = bounds(setting.frame_xy)
    width, height = size_wh
    places = ((x1, 0.0, x2, y1 - 2), (x1, y2 + 2, x2, float(height)), (0.0, y1, x1 - 2, y2), (x2 + 2, y1, width, y2))
    words: list[Placed] = []
    for _ in range(rng.choice((0, 1, 1, 2))):
        row = small_line(rng.choice(WORDS + COUNTRIES), face, cache, 1.0)
        left, top, right, low = rng.choice(places)
        size = min(low - top, setting.cap_px * 0.7) * rng.uniform(0.5, 0.9)
        if not row or size < 4 or right - left < 6:
            continue
        at = rng.uniform(left - 20, right - 0.4 * (right - left)), rng.uniform(top + size, low)
        lean = math.tan(math.radians(rng.gauss(0, 3)))
        row = moved(row, np.array([[size, 0, at[0]], [lean * size, size, at[1]], [0, 0, 1.0]]))
        colour = colour_of(rng, rng.uniform(10, 245), 0.4)
        inside = [sign for sign in row if bounds(corners_of([sign]))[2] < right + 3]
        words += [replace(sign, role=PART, colour=colour) for sign in inside]
    return replace(setting, placed=words + setting.placed)
