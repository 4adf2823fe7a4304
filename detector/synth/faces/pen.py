"""Handwritten signs from strokes, in the hands of many made-up writers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.faces.glyphs import CAP, Glyph, cropped

# Points on a grid of 7 columns and 10 rows, each as column and row, y down; "/" lifts the pen, "," separates variants
# of a sign. A curve goes through the points; a repeated point is a corner.
_VARIANTS = {
    "0": "30 11 04 17 39 57 64 51 30,40 11 04 17 39 57 64 51 20,20 02 05 28 49 67 63 51 31",
    "1": "30 39,12 30 30 39,03 30 30 39,12 30 30 39 39 / 09 69,42 29",
    "2": "02 20 50 62 45 09 09 69,02 20 50 62 35 09 18 39 69,00 60 60 09 09 69,11 30 51 44 18 08 27 69",
    "3": "02 20 50 52 34 34 56 58 39 08,00 60 60 34 34 65 57 39 08,11 30 51 33 24 45 57 39 18",
    "4": "40 06 06 66 / 43 49,10 05 05 65 / 51 49,49 40 40 06 06 66,10 05 05 55 55 60 60 49,20 15 15 64 / 51 38",
    "5": "60 10 10 04 04 34 65 57 39 08,10 04 04 34 65 57 39 08 / 10 60,50 20 13 34 56 38 08",
    "6": "50 22 05 08 39 57 55 34 06,40 12 06 28 48 56 34 07,30 05 08 39 66 54 25 07",
    "7": "00 60 60 29,00 60 60 29 / 14 54,02 00 00 60 60 29,01 20 60 60 35 29 / 15 55,10 22 22 60 60 39 / 25 65",
    "8": "51 30 11 12 34 56 57 39 17 06 34 52 51,30 12 34 52 30 / 34 06 39 66 34,61 30 12 46 48 29 08 26 52 61",
    "9": "52 30 03 24 43 51 51 49,52 30 03 24 43 51 46 29 18,51 20 12 34 52 50 50 39,30 11 13 34 52 41 30 / 52 39",
    "A": "09 30 30 69 / 15 55,09 20 40 69 / 05 65,09 30 30 69 69 15",
    "B": "00 09 / 00 40 52 34 04 04 / 34 65 48 09,09 00 00 40 52 24 24 65 48 09",
    "C": "61 40 13 06 39 68,51 20 03 07 39 58",
    "D": "00 09 / 00 30 63 66 39 09,09 00 00 40 64 48 09",
    "E": "60 00 00 09 09 69 / 04 44,51 20 12 34 34 16 29 58,00 09 / 00 60 / 04 54 / 09 69",
    "F": "60 00 00 09 / 04 44,00 60 / 10 19 / 14 44",
    "G": "61 30 03 06 39 67 65 65 35,61 30 03 06 39 66 / 35 65 65 69,51 20 03 07 39 66 66 36",
    "H": "00 09 / 60 69 / 04 64,10 09 / 60 59 / 05 64",
    "I": "30 39,30 39 / 10 50 / 19 59,30 39 / 20 40 / 29 49",
    "J": "50 57 39 07,20 60 / 50 57 39 07,40 47 28 07",
    "K": "00 09 / 50 05 05 69,00 09 / 60 05 / 24 69",
    "L": "00 09 09 59,10 08 19 69",
    "M": "09 00 00 35 35 60 60 69,09 10 10 36 36 50 50 69",
    "N": "09 00 00 69 69 60,09 10 10 59 59 60",
    "O": "30 03 06 39 66 63 30,40 11 04 17 39 57 64 51 20",
    "P": "00 09 / 00 50 62 45 05,09 00 00 40 62 35 05",
    "Q": "30 03 06 39 66 63 30 / 46 69,30 03 06 39 66 63 30 / 37 57 68",
    "R": "09 00 00 50 62 45 05 05 69,00 09 / 00 50 62 35 05 / 25 69",
    "S": "61 40 12 34 56 48 08,51 20 02 24 56 38 08",
    "T": "00 60 / 30 39,00 60 / 40 29",
    "U": "00 06 39 66 60,00 06 39 66 60 60 69",
    "V": "00 39 39 60,00 28 39 48 60",
    "W": "00 19 19 33 33 59 59 60,00 18 28 33 33 48 58 60",
    "X": "00 69 / 60 09,10 59 / 60 09",
    "Y": "00 34 34 60 / 34 39,00 34 / 60 09,00 04 35 64 60 60 58 29",
    "Z": "00 60 60 09 09 69,00 60 60 09 09 69 / 14 54",
    ".": "38 39,29 39",
    ",": "48 29,38 39 29",
    "-": "05 35,05 55",
    "=": "04 44 / 06 46",
    "/": "50 09",
}

WRITERS = 400
"""Made-up writers, each with one variant of every sign, a slant, a width and a pen."""

_LONG = "1479FJPYZ"  # signs that may be taller than others or descend below the line
_ROWS = 9  # of the grid, between its first points and its last


@dataclass(frozen=True)
class PenFace:
    """The hand of a writer, 0 to WRITERS - 1."""

    writer: int

    def draw(self, sign: str) -> Glyph | None:
        variants = _VARIANTS.get(sign)
        if variants is None:
            return None
        habit, rng = Random(f"writer {self.writer}"), Random(f"writer {self.writer} {sign}")
        pen, wide, slant, careless = habit.randint(3, 8), habit.uniform(0.5, 1.0), habit.gauss(0.1, 0.2), habit.random()
        tall = 1.0
        if sign in _LONG:
            tall = rng.uniform(0.9, 1.0 + 0.6 * careless)
        elif sign == "0":
            tall, wide = rng.uniform(1.0 - 0.45 * careless, 1.05), wide * rng.uniform(0.75, 1.1)
        below = rng.uniform(0, 0.3) * CAP if sign in _LONG and rng.random() < 0.4 * careless else 0.0
        scale = np.array([CAP / _ROWS * wide, CAP / _ROWS * tall])
        variant = rng.choice(variants.split(","))
        strokes = [_curve(_points(stroke, rng, 0.15 + 0.4 * careless) * scale) for stroke in variant.split("/")]
        for stroke in strokes:  # slant about the baseline
            stroke[:, 0] += (CAP * tall - stroke[:, 1]) * np.clip(slant, -0.3, 0.6)
        low = np.concatenate(strokes).min(0) - pen - 2
        size = np.ceil(np.concatenate(strokes).max(0) - low).astype(int) + pen + 2
        mask = np.zeros((size[1], size[0]), np.uint8)
        lines = [((stroke - low) * 16).round().astype(np.int32) for stroke in strokes]
        cv2.polylines(mask, lines, False, 255, pen, cv2.LINE_AA, 4)
        return cropped(mask, 0.0, CAP * tall - low[1] - below, size[0] + 0.1 * CAP)


def can_write(symbols: str) -> bool:
    """Test whether the pen has strokes for all of these signs."""
    return set(symbols) <= _VARIANTS.keys()


def _points(stroke: str, rng: Random, unsteady: float) -> NDArray[np.float64]:
    """Points of a stroke with jitter, its ends longer or shorter: (n, 2) xy."""
    points: list[tuple[float, float]] = []
    for i, point in enumerate(names := stroke.split()):
        if i and point == names[i - 1]:
            points.append(points[-1])
            continue
        points.append((int(point[0]) + rng.gauss(0, unsteady), int(point[1]) + rng.gauss(0, unsteady)))
    curve = np.array(points)
    for end, before in ((0, 1), (-1, -2)):
        curve[end] += (curve[end] - curve[before]) * rng.uniform(-0.05, 0.25) * unsteady
    return curve


def _curve(points: NDArray[np.float64], steps: int = 8) -> NDArray[np.float64]:
    """Draw a Catmull-Rom spline through (n, 2) points, ``steps`` a piece (Catmull and Rom, 1974)."""
    padded = np.concatenate([points[:1], points, points[-1:]])
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))  # (n - 1, 1, 2)
    t = np.linspace(0, 1, steps)[None, :, None]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.asarray(curve.reshape(-1, 2))
