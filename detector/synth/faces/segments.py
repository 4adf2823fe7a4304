"""Displays without fonts: seven and fourteen segments, and 5x7 dots."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector.synth.faces.glyphs import CAP, FontFace, Glyph, Mask, cropped

# a top, b c right, d bottom, e f left, g middle; in fourteen: g left half, n right half of the middle,
# h i j the upper diagonal-vertical-diagonal, k l m the lower right diagonal, vertical, left diagonal.
SEVEN = {
    **dict(zip("0123456789", "abcdef bc abged abgcd fgbc afgcd afgedc abc abcdefg abcdfg".split(), strict=True)),
    **dict(zip("ABCDEFHLPU", "abcefg cdefg adef bcdeg adefg aefg bcefg def abefg bcdef".split(), strict=True)),
}
"""Segments of each sign that seven segments show unambiguously; B and D as b and d."""

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
"""The sign with every segment, drawn dim behind the others as unlit segments."""

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
    """A segment display; ``thickness`` and ``gap`` in shares of the height, ``fourteen`` chooses the kind."""

    fourteen: bool
    thickness: float = 0.12
    gap: float = 0.015
    width: float = 0.56

    def draw(self, sign: str) -> Glyph | None:
        lit = (FOURTEEN if self.fourteen else SEVEN).get(sign)
        if sign == UNLIT:
            lit = "abcdefghijklmn" if self.fourteen else "abcdefg"
        if lit is None:
            return None
        height, width = CAP, round(CAP * self.width)
        half = self.thickness * CAP / 2 * (0.8 if self.fourteen else 1.0)
        mask = np.zeros((height + 8, width + 8), np.uint8)
        for name in lit:
            for bar in self._bars(name, width - 2 * half, height - 2 * half, half):
                corners = np.round((bar + 4 + half) * 16).astype(np.int32)
                cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, 4)
        # The advance does not depend on what is lit: a display has a fixed pitch.
        return cropped(mask, -4.0, CAP + 4.0, width + CAP * 0.16)

    def _bars(self, name: str, w: float, h: float, half: float) -> list[np.ndarray]:
        """The outline of a segment, float (points, 2) xy in the frame of the bars' centre lines."""
        ends: dict[str, tuple[float, float, float, float]] = {
            "a": (0, 0, w, 0), "b": (w, 0, w, h / 2), "c": (w, h / 2, w, h), "d": (0, h, w, h),
            "e": (0, h / 2, 0, h), "f": (0, 0, 0, h / 2), "g": (0, h / 2, w / 2, h / 2), "n": (w / 2, h / 2, w, h / 2),
            "h": (0, 0, w / 2, h / 2), "i": (w / 2, 0, w / 2, h / 2), "j": (w, 0, w / 2, h / 2),
            "k": (w / 2, h / 2, w, h), "l": (w / 2, h / 2, w / 2, h), "m": (w / 2, h / 2, 0, h),
        }  # fmt: skip
        x1, y1, x2, y2 = (0, h / 2, w, h / 2) if name == "g" and not self.fourteen else ends[name]
        start, end = np.array([x1, y1]), np.array([x2, y2])
        along = (end - start) / np.linalg.norm(end - start)
        across = np.array([-along[1], along[0]]) * half * (0.75 if name in "hjkm" else 1.0)
        room = half * 0.9 if name in "hjkm" else self.gap * CAP
        start, end = start + along * room, end - along * room
        tip = along * half
        first, last = start + tip, end - tip
        return [np.stack([start, first + across, last + across, end, last - across, first - across])]


@dataclass(frozen=True)
class DotFace:
    """A dot matrix; ``dot`` is a dot's width in shares of its cell; signs without a table come from ``font``."""

    dot: float
    round_dots: bool
    font: FontFace

    def draw(self, sign: str) -> Glyph | None:
        grid = self._grid(sign)
        if grid is None:
            return None
        cell = CAP / 7
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
        """Which dots are lit, bool (rows, columns)."""
        if sign in DOTS:
            columns = np.array([int(DOTS[sign][i : i + 2], 16) for i in range(0, 10, 2)])
            return (columns[None, :] >> np.arange(7)[:, None] & 1).astype(bool)  # (7, 5)
        glyph = self.font.draw(sign)
        if glyph is None:
            return None
        h, w = glyph.mask.shape
        size = (max(2, round(w / CAP * 7)), max(2, round(h / CAP * 7)))
        small = cv2.resize(glyph.mask, size, interpolation=cv2.INTER_AREA)
        return np.asarray(small > 96)
