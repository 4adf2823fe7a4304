"""Displays without fonts: seven and fourteen segments, and 5x7 dots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

import cv2
import numpy as np

from detector.synth.faces.glyphs import CAP, Face, FontFace, Glyph, Mask, cropped

# a top, b c right, d bottom, e f left, g middle; in fourteen: g left half, n right half of the middle,
# h i j the upper diagonal-vertical-diagonal, k l m the lower right diagonal, vertical, left diagonal.
SEVEN = {
    **dict(zip("0123456789", "abcdef bc abged abgcd fgbc afgcd afgedc abc abcdefg abcdfg".split(), strict=True)),
    **dict(zip("ACDEFHJLPU-", "abcefg adef bcdeg adefg aefg bcefg bcd def abefg bcdef g".split(), strict=True)),
}
"""Segments of each sign that seven segments show unambiguously; D as d. A small b may be a 6 without its bar."""

_DIGITS14 = "abcdefjm bcj abgned abncd fgnbc afgkd afgnedc abc abcdefgn abcdfgn"
_LETTERS14 = (
    "abcefgn abcdnil adef abcdil adefgn aefg acdefn bcefgn adil bcde efgjk def bcefhj bcefhk abcdef abefgn "
    "abcdefk abefgnk acdfgn ail bcdef efjm bcefkm hjkm hjl adjm"
)
FOURTEEN = {
    **dict(zip("0123456789", _DIGITS14.split(), strict=True)),
    **dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _LETTERS14.split(), strict=True)),
}
"""Segments of each sign in fourteen; 0 has a slash and 5 a diagonal, so that O and S differ from them."""

UNLIT = "\0"
"""The sign with every segment or dot, drawn dim behind the others as what is not lit."""

DESIGNS = 400
"""Numbers of the displays of :func:`segment_design`."""

_DOT_COLUMNS = (
    "3E5149453E 00427F4000 4261514946 2141454B31 1814127F10 2745454539 3C4A494930 0171090503 3649494936 064949291E "
    "7E1111117E 7F49494936 3E41414122 7F4141221C 7F49494941 7F09090901 3E4149497A 7F0808087F 00417F4100 2040413F01 "
    "7F08142241 7F40404040 7F020C027F 7F0408107F 3E4141413E 7F09090906 3E4151215E 7F09192946 4649494931 01017F0101 "
    "3F4040403F 1F2040201F 3F4038403F 6314081463 0708700807 6151494543"
)
DOTS = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", _DOT_COLUMNS.split(), strict=True))
"""Columns of each sign from left to right in hexadecimal, the lowest bit on top."""


@dataclass(frozen=True)
class SegmentFace:
    """A segment display.

    Args:
        fourteen: fourteen segments, otherwise seven.
        thickness, gap, width: in shares of the height.
        ends: of the segments: "pointed", "square", "round" or "mitred" (seven only: slanted where two meet).
        short: digits without the bar that ends them: "6", "9" or both; and "7" with one more at its left.
        plain: digits as seven segments show them, where fourteen would mark 0 and 5.
    """

    fourteen: bool
    thickness: float = 0.12
    gap: float = 0.015
    width: float = 0.56
    ends: str = "pointed"
    short: str = ""
    plain: bool = False

    def draw(self, sign: str) -> Glyph | None:
        lit = self._lit(sign)
        if lit is None:
            return None
        height, width = CAP, round(CAP * self.width)
        mask = np.zeros((height + 8, width + 8), np.uint8)
        bars = self._mitred if self.ends == "mitred" and not self.fourteen else self._bars
        half = self.thickness * CAP / 2 * (0.8 if self.fourteen else 1.0)
        for name in lit:
            corners = np.round((bars(name, width, height, half) + 4) * 16).astype(np.int32)
            cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, 4)
        # The advance does not depend on what is lit: a display has a fixed pitch.
        return cropped(mask, -4.0, CAP + 4.0, width + CAP * 0.16)

    def _lit(self, sign: str) -> str | None:
        """Return the lit segments, None where the display cannot show the sign."""
        if sign == UNLIT:
            return "abcdefghijklmn" if self.fourteen else "abcdefg"
        if sign in self.short:
            return {"6": "cdefg", "9": "abcfg", "7": "abcf"}[sign] + ("n" if self.fourteen and sign != "7" else "")
        if self.fourteen and self.plain and sign in SEVEN:
            return SEVEN[sign] + ("n" if "g" in SEVEN[sign] else "")
        return (FOURTEEN if self.fourteen else SEVEN).get(sign)

    def _bars(self, name: str, width: float, height: float, half: float) -> np.ndarray:
        """Return the outline of a segment, float (points, 2) xy."""
        w, h = width - 2 * half, height - 2 * half
        ends: dict[str, tuple[float, float, float, float]] = {
            "a": (0, 0, w, 0), "b": (w, 0, w, h / 2), "c": (w, h / 2, w, h), "d": (0, h, w, h),
            "e": (0, h / 2, 0, h), "f": (0, 0, 0, h / 2), "g": (0, h / 2, w / 2, h / 2), "n": (w / 2, h / 2, w, h / 2),
            "h": (0, 0, w / 2, h / 2), "i": (w / 2, 0, w / 2, h / 2), "j": (w, 0, w / 2, h / 2),
            "k": (w / 2, h / 2, w, h), "l": (w / 2, h / 2, w / 2, h), "m": (w / 2, h / 2, 0, h),
        }  # fmt: skip
        x1, y1, x2, y2 = (0, h / 2, w, h / 2) if name == "g" and not self.fourteen else ends[name]
        start, end = np.array([x1, y1]) + half, np.array([x2, y2]) + half
        along = (end - start) / np.linalg.norm(end - start)
        across = np.array([-along[1], along[0]]) * half * (0.75 if name in "hjkm" else 1.0)
        room = half * 0.9 if name in "hjkm" else self.gap * CAP
        start, end = start + along * room, end - along * room
        tip = along * half
        first, last = start + tip, end - tip
        if self.ends == "square":
            return np.stack(
                [first - tip / 3 + across, last + tip / 3 + across, last + tip / 3 - across, first - tip / 3 - across]
            )
        if self.ends == "round":
            turns = np.linspace(-np.pi / 2, np.pi / 2, 6)[:, None]
            cap = np.cos(turns) * tip + np.sin(turns) * across  # (6, 2)
            return np.concatenate([last + cap, first - cap])
        return np.stack([start, first + across, last + across, end, last - across, first - across])

    def _mitred(self, name: str, w: float, h: float, half: float) -> np.ndarray:
        """Return the outline of one of seven segments whose ends are cut at 45 degrees."""
        t, g = 2 * half, self.gap * CAP
        if name == "g":
            m = h / 2
            left, right = half + g, w - half - g
            return np.array(
                [[g, m], [left, m - half], [right, m - half], [w - g, m], [right, m + half], [left, m + half]]
            )
        if name in "ad":
            bar = np.array([[g, 0], [w - g, 0], [w - t - g, t], [t + g, t]])
        else:
            bar = np.array([[0, g], [t, t + g], [t, h / 2 - half - g], [half, h / 2 - g], [0, h / 2 - half - g]])
        if name in "bc":
            bar[:, 0] = w - bar[:, 0]
        if name in "cde":
            bar[:, 1] = h - bar[:, 1]
        return bar


@lru_cache(maxsize=2 * DESIGNS)
def segment_design(number: int, fourteen: bool, plain: bool = False) -> SegmentFace:
    """Draw a display's design at random, the same for the same number."""
    rng = Random(number)
    thickness = rng.choice(
        (rng.uniform(0.06, 0.1), rng.uniform(0.09, 0.14), rng.uniform(0.09, 0.14), rng.uniform(0.13, 0.2))
    )
    short = rng.choice(("",) * 6 + ("6", "9", "69", "7", "7"))
    return SegmentFace(
        fourteen,
        thickness=thickness,
        gap=rng.choice((0.0, 0.012, 0.02, 0.035)),
        width=rng.uniform(0.5, 0.64) if rng.random() < 0.6 else rng.uniform(0.42, 0.85),
        ends=rng.choice(("pointed", "pointed", "square", "round", "mitred", "mitred", "mitred")),
        short=short if not fourteen or plain else "",
        plain=plain,
    )


@dataclass(frozen=True)
class SegmentFont:
    """A font of segments, as DSEG; ``every`` is its sign with all segments."""

    font: FontFace
    every: str

    def draw(self, sign: str) -> Glyph | None:
        return self.font.draw(self.every if sign == UNLIT else sign)


@lru_cache(maxsize=2)
def segment_fonts(fourteen: bool) -> tuple[SegmentFont, ...]:
    """Find the faces of DSEG (Keshikan, 2013 to 2020) among the system's fonts."""
    from matplotlib import font_manager  # slow to import, only needed here

    start, every = ("DSEG14", "~") if fourteen else ("DSEG7", "8")
    files = sorted({Path(file).name: Path(file) for file in sorted(font_manager.findSystemFonts())}.items())
    paths = [path for name, path in files if name.startswith(start) and "SEGG" not in name]
    return tuple(SegmentFont(FontFace(path, "8"), every) for path in paths)


def segment_face(rng: Random, faces: str, with_fonts: bool) -> Face:
    """Draw a face of "seven", "fourteen" or "fourteen plain" segments, now and then a font's."""
    fourteen = faces != "seven"
    fonts = segment_fonts(fourteen) if with_fonts and faces != "fourteen plain" and rng.random() < 0.2 else ()
    return rng.choice(fonts) if fonts else segment_design(rng.randrange(DESIGNS), fourteen, faces == "fourteen plain")


@dataclass(frozen=True)
class DotFace:
    """A dot matrix.

    ``dot`` is a dot's width in shares of its cell; signs without a table come from ``font``, and all signs if
    capitals are not 7 ``rows`` high. Where it is ``plain`` a zero has no stroke in it.
    """

    dot: float
    round_dots: bool
    font: FontFace
    rows: int = 7
    plain: bool = False

    def draw(self, sign: str) -> Glyph | None:
        grid = self._grid(sign)
        if grid is None:
            return None
        cell = CAP / self.rows
        rows, columns = grid.shape
        mask = np.zeros((round(rows * cell) + 2, round(columns * cell) + 2), np.uint8)
        for row, column in np.argwhere(grid):
            centre = ((column + 0.5) * cell + 1, (row + 0.5) * cell + 1)
            self._dot(mask, centre, cell * self.dot / 2)
        return cropped(mask, -1.0, CAP + 1.0, (columns + 1) * cell)

    def _dot(self, mask: Mask, centre: tuple[float, float], radius: float) -> None:
        x, y, r = (round(v * 16) for v in (*centre, radius))
        if self.round_dots:
            cv2.circle(mask, (x, y), r, 255, -1, cv2.LINE_AA, 4)
        else:
            corners = np.array([[x - r, y - r], [x + r, y - r], [x + r, y + r], [x - r, y + r]], np.int32)
            cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, 4)

    def _grid(self, sign: str) -> np.ndarray | None:
        """Return which dots are lit, bool (rows, columns)."""
        if sign == UNLIT:
            return np.ones((7, 5), bool) if self.rows == 7 else None
        if sign == "0" and self.plain:
            sign = "O"
        if sign in DOTS and self.rows == 7:
            columns = np.array([int(DOTS[sign][i : i + 2], 16) for i in range(0, 10, 2)])
            return (columns[None, :] >> np.arange(7)[:, None] & 1).astype(bool)  # (7, 5)
        glyph = self.font.draw(sign)
        if glyph is None:
            return None
        return dot_grid(glyph.mask, self.rows, 96 if self.rows == 7 else 70)


def dot_grid(mask: Mask, rows: int, least_ink: int) -> np.ndarray:
    """Return which dots show a sign on a grid with ``rows`` dots to a capital's height, bool (rows, columns).

    Args:
        mask: ink of the sign, uint8 (H, W), CAP pixels to a capital's height.
        rows: dots of a capital's height.
        least_ink: ink of a dot's cell, 0 to 255, where the fullest cell has 255: hairlines leave dots, too.
    """
    h, w = mask.shape
    size = (max(1, round(w / CAP * rows)), max(1, round(h / CAP * rows)))
    cells = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cells > least_ink / 255 * float(cells.max()))
