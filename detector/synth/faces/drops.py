"""Signs of ink drops, peened pits or bulbs: a grid of dots, each a little off its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import cv2
import numpy as np

from detector.synth.faces.glyphs import CAP, FontFace, Glyph, cropped
from detector.synth.faces.segments import DOTS, dot_grid
from detector.synth.style import Style

_VARIANTS = 6  # drawings of each sign, so that two in a text differ

_ROWS5 = (
    "0:.###.|#..##|#.#.#|##..#|.###. 1:..#..|.##..|..#..|..#..|.###. 2:####.|....#|.###.|#....|##### "
    "3:####.|....#|.###.|....#|####. 4:#..#.|#..#.|#####|...#.|...#. 5:#####|#....|####.|....#|####. "
    "6:.###.|#....|####.|#...#|.###. 7:#####|....#|...#.|..#..|..#.. 8:.###.|#...#|.###.|#...#|.###. "
    "9:.###.|#...#|.####|....#|.###. A:.###.|#...#|#####|#...#|#...# B:####.|#...#|####.|#...#|####. "
    "C:.####|#....|#....|#....|.#### D:####.|#...#|#...#|#...#|####. E:#####|#....|####.|#....|##### "
    "F:#####|#....|####.|#....|#.... G:.####|#....|#..##|#...#|.#### H:#...#|#...#|#####|#...#|#...# "
    "I:#####|..#..|..#..|..#..|##### J:....#|....#|....#|#...#|.###. K:#...#|#..#.|###..|#..#.|#...# "
    "L:#....|#....|#....|#....|##### M:#...#|##.##|#.#.#|#...#|#...# N:#...#|##..#|#.#.#|#..##|#...# "
    "O:.###.|#...#|#...#|#...#|.###. P:####.|#...#|####.|#....|#.... Q:.###.|#...#|#.#.#|#..#.|.##.# "
    "R:####.|#...#|####.|#..#.|#...# S:.####|#....|.###.|....#|####. T:#####|..#..|..#..|..#..|..#.. "
    "U:#...#|#...#|#...#|#...#|.###. V:#...#|#...#|#...#|.#.#.|..#.. W:#...#|#...#|#.#.#|##.##|#...# "
    "X:#...#|.#.#.|..#..|.#.#.|#...# Y:#...#|.#.#.|..#..|..#..|..#.. Z:#####|...#.|..#..|.#...|#####"
)
DOTS5 = {
    entry[0]: np.array([[dot == "#" for dot in row] for row in entry[2:].split("|")]) for entry in _ROWS5.split(" ")
}
"""Which dots of a 5 x 5 grid are printed, bool (5, 5)."""


@dataclass(frozen=True)
class DropFace:
    """A dot font of ``rows`` dots: tables for 5 and 7 (unless ``from_font``), a font on that grid for others.

    Args:
        rows: dots of a capital's height.
        dot: width of a dot, in distances between two.
        unevenness: of places and sizes; 0: as a display's.
        font: the font for signs without a table.
        from_font: whether all signs come from the font.
        wide: distance of columns over that of rows.
        variant: which drawing of each sign.
    """

    rows: int
    dot: float
    unevenness: float
    font: FontFace
    from_font: bool = False
    wide: float = 1.0
    variant: int = 0

    def draw(self, sign: str) -> Glyph | None:
        grid, top = self._grid(sign)
        if not grid.any():
            return None
        rng = Random(f"{self.variant}:{sign}:{self.rows}")
        rows, columns = grid.shape
        step, off = CAP / self.rows, self.unevenness
        across, radius, pad = step * self.wide, step * self.dot / 2, round(step)
        mask = np.zeros((round(rows * step) + 2 * pad, round(columns * across) + 2 * pad), np.uint8)
        drift = np.cumsum([rng.gauss(0, 0.12 * off) for _ in range(columns)])  # what a nozzle prints moves up and down
        drift -= drift.mean()
        for row, column in np.argwhere(grid).tolist():
            x = pad + (column + 0.5 + rng.gauss(0, 0.09 * off)) * across
            y = pad + (row + 0.5 + rng.gauss(0, 0.09 * off) + drift[column]) * step
            size = radius * min(1.35, max(0.6, rng.gauss(1, 0.14 * off)))
            cv2.circle(mask, (round(x * 16), round(y * 16)), round(size * 16), 255, -1, cv2.LINE_AA, 4)
        return cropped(mask, -float(pad), top + pad, (columns + 1) * across)

    def _grid(self, sign: str) -> tuple[np.ndarray, float]:
        """Return which dots are printed, bool (rows, columns), and how far the upper side is above the baseline."""
        if not self.from_font and self.rows == 5 and sign in DOTS5:
            return DOTS5[sign], float(CAP)
        if not self.from_font and self.rows == 7 and sign in DOTS:
            columns = np.array([int(DOTS[sign][i : i + 2], 16) for i in range(0, 10, 2)])
            return (columns[None, :] >> np.arange(7)[:, None] & 1).astype(bool), float(CAP)
        glyph = self.font.draw(sign)
        if glyph is None:
            return np.zeros((1, 1), bool), 0.0
        return dot_grid(glyph.mask, self.rows, 110), glyph.top


def drop_faces(rng: Random, style: Style, font: FontFace) -> Callable[[], DropFace]:
    """Return a function that gives another drawing of the same dot font at each call."""
    rows, wide = style.drop_rows, rng.choice((0.8, 1.0, 1.0, 1.15))
    from_font = rows > 7 or (rows == 7 and rng.random() < 0.15)
    face = DropFace(rows, style.drop_width, style.unevenness, font, from_font, wide)
    return lambda: replace(face, variant=rng.randrange(_VARIANTS))
