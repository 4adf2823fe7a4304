"""What is around a licence plate: parts of a car, and other text."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import cv2
import numpy as np

from detector.synth.colours import Colour, Image, colour_of
from detector.synth.faces.glyphs import Face, GlyphCache
from detector.synth.frame import Setting, small_line
from detector.synth.painting.plates.fittings import COUNTRIES, WORDS
from detector.synth.typesetting import PART, Placed, bounds, corners_of, moved


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


def car_parts(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Image:
    """What is around a plate: paint, a bumper's edges, a grille, lamps, shadows, the road."""
    paint = colour_of(rng, rng.uniform(8, 235), rng.choice((0.0, 0.0, 0.1, 0.1, 0.3, 0.9)))
    table = np.array(paint) + noise.normal(0, rng.uniform(4, 26), (3, 2, 1))
    image: Image = np.asarray(
        cv2.resize(table.astype(np.float32), size_wh, interpolation=cv2.INTER_LINEAR).clip(0, 255), np.float32
    ).astype(np.uint8)
    for _ in range(rng.randint(1, 4)):
        _PARTS[rng.randrange(len(_PARTS))](rng, image)
    return image


def _bumper(rng: Random, image: Image) -> None:
    """A field with a slightly slanted edge, from the upper or the lower side, and the light on the edge."""
    height, width = image.shape[:2]
    y, lean = rng.uniform(0.05, 0.95) * height, rng.gauss(0, 0.12) * height
    low = height if rng.random() < 0.5 else 0
    corners = np.array([(0, y), (width, y + lean), (width, low), (0, low)]).round().astype(np.int32)
    cv2.fillConvexPoly(image, corners, _paint(rng), cv2.LINE_AA)
    if rng.random() < 0.6:
        cv2.line(image, corners[0].tolist(), corners[1].tolist(), _paint(rng), rng.choice((1, 2, 3)), cv2.LINE_AA)


def _grille(rng: Random, image: Image) -> None:
    """Parallel bars, lying or standing, over a part of the picture."""
    height, width = image.shape[:2]
    step, colour, thick = rng.uniform(4, 12), _paint(rng), rng.choice((1, 2, 3))
    lean = rng.gauss(0, 0.08) * height
    x1, x2 = sorted(rng.uniform(-0.2, 1.2) * width for _ in "ab")
    y1, y2 = sorted(rng.uniform(-0.2, 1.2) * height for _ in "ab")
    if rng.random() < 0.65:
        lines = [[(x1, y), (x2, y + lean)] for y in np.arange(y1, y2, step)]
    else:
        lines = [[(x, y1), (x + lean, y2)] for x in np.arange(x1, x2, step)]
    if lines:
        cv2.polylines(image, list(np.array(lines).round().astype(np.int32)), False, colour, thick, cv2.LINE_AA)


def _lamp(rng: Random, image: Image) -> None:
    """A lamp or a badge: an ellipse with another inside."""
    height, width = image.shape[:2]
    at = (round(rng.choice((rng.uniform(-0.05, 0.2), rng.uniform(0.8, 1.05))) * width), rng.randrange(height))
    axes = (round(rng.uniform(0.1, 0.6) * height), round(rng.uniform(0.1, 0.5) * height))
    cv2.ellipse(image, at, axes, rng.uniform(-30, 30), 0, 360, _paint(rng), -1, cv2.LINE_AA)
    inner = (axes[0] // 2 + 1, axes[1] // 2 + 1)
    cv2.ellipse(image, at, inner, 0, 0, 360, _paint(rng), rng.choice((-1, 1, 2)), cv2.LINE_AA)


def _beam(rng: Random, image: Image) -> None:
    """An edge between two panels."""
    height, width = image.shape[:2]
    ys = [rng.choice((-2.0, height + 2.0, rng.uniform(0, height))) for _ in "ab"]
    ends = np.array([[rng.uniform(-0.2, 1.2) * width, y] for y in ys])
    a, b = ends.round().astype(int).tolist()
    cv2.line(image, a, b, _paint(rng), rng.choice((1, 2, 4, 7)), cv2.LINE_AA)


def _paint(rng: Random) -> Colour:
    return colour_of(rng, rng.uniform(0, 255), rng.choice((0.0, 0.0, 0.0, 0.1, 0.2, 1.0)))


_PARTS = (_bumper, _bumper, _grille, _lamp, _beam)
