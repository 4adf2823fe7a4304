"""Signs of one stroke width, as licence plates and road signs have them: straight strokes with rounded corners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.faces.glyphs import CAP, Face, Glyph, cropped

DESIGNS = 1_000
"""Faces that there are: `StrokeFace(0)` to `StrokeFace(DESIGNS - 1)`."""

_BOWL, _ROUND = "(0,0)R (1,0)R (1,1)R (0,1)R", "(1,.24) (1,0)R (0,0)R (0,1)R (1,1)R (1,.76)"
# Strokes are separated by ";"; corners marked R are rounded, those marked S slightly; "@" closes a stroke. x and y
# run from 0 to 1 in the sign's box, y down. Alternatives of a sign are separated by "|".
_STROKES = {
    "A": "(0,1) (.5,0)S (1,1) ; (.17,.68) (.83,.68)|(0,1) (.38,0)S (.62,0)S (1,1) ; (.14,.66) (.86,.66)",
    "B": "@(0,0) (.95,0)R (.95,.47)R (0,.47) ; @(0,.47) (1,.47)R (1,1)R (0,1)",
    "C": _ROUND,
    "D": "@(0,0) (1,0)R (1,1)R (0,1)",
    "E": "(1,0) (0,0) (0,1) (1,1) ; (0,.48) (.85,.48)",
    "F": "(1,0) (0,0) (0,1) ; (0,.5) (.85,.5)",
    "G": "(1,.24) (1,0)R (0,0)R (0,1)R (1,1)R (1,.54)S (.5,.54)|(1,.24) (1,0)R (0,0)R (0,1)R (1,1)R (1,.56) (.55,.56)",
    "H": "(0,0) (0,1) ; (1,0) (1,1) ; (0,.49) (1,.49)",
    "I": "(.5,0) (.5,1)|(.5,0) (.5,1) ; (.12,0) (.88,0) ; (.12,1) (.88,1)",
    "J": "(1,0) (1,1)R (0,1)R (0,.72)|(.3,0) (1,0) (1,1)R (0,1)R (0,.72)",
    "K": "(0,0) (0,1) ; (1,0) (0,.62) ; (.32,.42) (1,1)|(0,0) (0,1) ; (1,0) (.1,.5) (1,1)",
    "L": "(0,0) (0,1) (1,1)",
    "M": "(0,1) (0,0) (.5,.62) (1,0) (1,1)|(0,1) (0,0) (.5,1) (1,0) (1,1)|(0,1) (.12,0) (.5,.7) (.88,0) (1,1)",
    "N": "(0,1) (0,0) (1,1) (1,0)",
    "O": "@" + _BOWL,
    "P": "(0,1) (0,0) (1,0)R (1,.54)R (0,.54)",
    "Q": f"@{_BOWL} ; (.55,.68) (1.05,1.06)|@{_BOWL} ; (.5,.8) (.92,1.12)",
    "R": "(0,1) (0,0) (1,0)R (1,.53)R (0,.53) ; (.45,.53) (1,1)",
    "S": "(1,.22) (1,0)R (0,0)R (0,.47)R (1,.5)R (1,1)R (0,1)R (0,.78)",
    "T": "(0,0) (1,0) ; (.5,0) (.5,1)",
    "U": "(0,0) (0,1)R (1,1)R (1,0)",
    "V": "(0,0) (.5,1)S (1,0)",
    "W": "(0,0) (.25,1) (.5,.2) (.75,1) (1,0)|(0,0) (.22,1) (.5,0) (.78,1) (1,0)|(0,0) (.05,1) (.5,.4) (.95,1) (1,0)",
    "X": "(0,0) (1,1) ; (1,0) (0,1)",
    "Y": "(0,0) (.5,.52) (1,0) ; (.5,.52) (.5,1)",
    "Z": "(0,0) (1,0) (0,1) (1,1)",
    "0": "@" + _BOWL,
    "1": "(.05,.22) (.6,0) (.6,1)|(.1,.3) (.6,0) (.6,1) ; (.1,1) (1,1)|(.5,0) (.5,1)|(.15,.02) (.6,.02) (.6,1)",
    "2": "(0,.26) (0,0)R (1,0)R (1,.42)R (0,1) (1,1)|(0,.24) (0,0)R (1,0)R (1,.5)R (0,.62)R (0,1) (1,1)",
    "3": "(0,.22) (0,0)R (.96,0)R (.96,.47)R (.35,.47) ; (.35,.47) (1,.47)R (1,1)R (0,1)R (0,.78)"
    "|(0,0) (1,0) (.42,.42) (1,.42)R (1,1)R (0,1)R (0,.78)",
    "4": "(.75,1) (.75,0)S (0,.7) (1,.7)|(.5,0) (0,.7) (1,.7) ; (.72,.4) (.72,1)"
    "|(.3,0) (0,.66) (1,.66) ; (.7,.3) (.7,1)",
    "5": "(.95,0) (.08,0) (.03,.44) (1,.38)R (1,1)R (0,1)R (0,.78)|(1,0) (0,0) (0,.43) (1,.43)R (1,1)R (0,1)R (0,.8)",
    "6": "@(0,.42)R (1,.42)R (1,1)R (0,1)R ; (0,.7) (0,0)R (1,0)R (1,.2)"
    "|@(0,.4)R (1,.4)R (1,1)R (0,1)R ; (.75,0) (.04,.6)",
    "7": "(0,0) (1,0) (.35,1)|(0,.14) (0,0) (1,0)S (.4,1)",
    "8": "@(.04,0)R (.96,0)R (.96,.47)R (.04,.47)R ; @(0,.47)R (1,.47)R (1,1)R (0,1)R",
    "9": "@(0,0)R (1,0)R (1,.58)R (0,.58)R ; (1,.3) (1,1)R (0,1)R (0,.8)"
    "|@(0,0)R (1,0)R (1,.6)R (0,.6)R ; (.96,.4) (.25,1)",
}
_WIDTHS = {"I": 0.55, "1": 0.6, "M": 1.2, "W": 1.3, "J": 0.85, "L": 0.9, "E": 0.9, "F": 0.9}
_T = np.linspace(0, 1, 9)[:, None]  # along a corner's parabola
_LETTER_O = 1.12  # widths of round letters over those of digits, where the two differ


def can_stroke(symbols: str) -> bool:
    """Test whether a StrokeFace has all of the symbols."""
    return all(symbol in _STROKES for symbol in symbols)


@dataclass(frozen=True)
class StrokeFace:
    """The strokes of a design, a number below DESIGNS: widths, thickness, corners, which alternative of each sign."""

    design: int

    def draw(self, sign: str) -> Glyph | None:
        if sign not in _STROKES:
            return None
        choice = np.random.Generator(np.random.PCG64(self.design))
        width, thick = choice.uniform(0.42, 0.78), choice.uniform(0.09, 0.2)
        radius, wide_letters, forms = choice.uniform(0.26, 0.54), choice.random() < 0.4, choice.random(len(_STROKES))
        square = choice.random() < 0.35  # ends are cut off straight
        thick = min(thick, 0.3 * width)
        alternatives = _STROKES[sign].split("|")
        form = alternatives[int(forms[sorted(_STROKES).index(sign)] * len(alternatives))]
        upright_bar = sign in "1I" and form.count("(") == 2
        wide = width * (_LETTER_O if wide_letters and sign in "OQCGD" else _WIDTHS.get(sign, 1.0))
        wide = max(wide if not upright_bar else thick, thick * 1.05)
        px, pad = CAP * (1 - thick), 4 + round(CAP * thick)  # the strokes' middle lines end half a stroke inside
        across = CAP * (wide - thick)
        corner = max(radius, 0.4) if sign in "O0Q" else radius  # else an O is a D
        mask = np.zeros((CAP + 2 * pad + 8, round(CAP * wide) + 2 * pad + 8), np.uint8)
        for stroke in form.split(";"):
            xy, closed = _path(stroke.strip(), (across, px), corner * CAP * width)
            xy = xy + pad + CAP * thick / 2
            # Sharp corners of a D and a B tell them from O and 8.
            sharp = xy[[0, -1]] if closed and sign in "DB" else xy[:0] if closed or not square else xy[[0, -1]]
            points = [(xy * 16).round().astype(np.int32)]
            cv2.polylines(mask, points, closed, 255, max(2, round(CAP * thick)), cv2.LINE_AA, 4)
            for end in sharp:  # these reach half a stroke further
                half = CAP * thick / 2
                low, high = (((end + way) * 16).round().astype(int).tolist() for way in (-half, half))
                cv2.rectangle(mask, low, high, 255, -1, cv2.LINE_AA, 4)
        return cropped(mask, -pad, float(CAP + pad), CAP * (wide + 0.16))


@lru_cache(maxsize=512)
def _corners(stroke: str) -> tuple[tuple[tuple[float, float, float], ...], bool]:
    """Corners (x, y, share of the radius) of a stroke, and whether it is closed."""
    corners = []
    for word in stroke.lstrip("@").split():
        place, mark = word[1:].split(")")
        x, y = place.split(",")
        corners.append((float(x), float(y), {"R": 1.0, "S": 0.15}.get(mark, 0.0)))
    return tuple(corners), stroke.startswith("@")


def _path(stroke: str, size_xy: tuple[float, float], radius: float) -> tuple[NDArray[np.float64], bool]:
    """Points (n, 2) xy of the stroke in a box of this size, corners rounded, and whether it is closed."""
    corners, closed = _corners(stroke)
    xy = np.array([(x * size_xy[0], y * size_xy[1]) for x, y, _ in corners])
    path: list[NDArray[np.float64]] = []
    last = len(xy) - 1
    for i, (_, _, share) in enumerate(corners):
        if not share or (not closed and i in (0, last)):
            path.append(xy[i][None])
            continue
        ways = xy[i - 1] - xy[i], xy[(i + 1) % len(xy)] - xy[i]
        # An edge between two corners is shared by them, one that ends a stroke is not.
        max_shares = [0.5 if closed or 0 < beside < last else 0.95 for beside in (i - 1, i + 1)]
        start, end = (
            xy[i] + way * min(radius * share / float(np.hypot(*way)), max_share)
            for way, max_share in zip(ways, max_shares, strict=True)
        )
        path.append((1 - _T) ** 2 * start + 2 * _T * (1 - _T) * xy[i] + _T**2 * end)
    return np.concatenate(path), closed


@dataclass(frozen=True)
class SlashedFace:
    """A face whose signs in ``signs`` have a stroke through them, from the lower left to the upper right."""

    face: Face
    signs: str

    def draw(self, sign: str) -> Glyph | None:
        glyph = self.face.draw(sign)
        if glyph is None or sign not in self.signs:
            return glyph
        mask = glyph.mask.copy()
        h, w = mask.shape
        middle = mask[h // 2]
        stroke = max(2, int((middle > 128).sum() / 2 * 0.75))  # two stems are crossed there
        start, end = (round(w * 0.18), round(h * 0.82)), (round(w * 0.82), round(h * 0.18))
        cv2.line(mask, start, end, 255, min(stroke, max(2, w // 6)), cv2.LINE_AA)
        return Glyph(mask, glyph.left, glyph.top, glyph.advance)
