"""Typesetting: from texts and faces to masks with a matrix each.

The layout's space has y down and a capital's height as its unit; the first baseline is y = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Colour
from detector.synth.faces.glyphs import CAP, Face, Glyph, GlyphCache, Mask
from detector.synth.style import Style
from detector.synth.texts import Line, break_places

Matrix = NDArray[np.float64]
Rect = tuple[float, float, float, float]

INK, CAPTION, EMBLEM, GHOST, FIELD, PART = "ink", "caption", "emblem", "ghost", "field", "part"


@dataclass(frozen=True)
class Placed:
    """A mask and the (3, 3) matrix from its pixels to the layout's space, later to the picture's pixels.

    ``label`` is the index among the label's symbols, -1 for unlabelled signs. ``colour`` is set by layouts that
    have colours of their own.
    """

    mask: Mask
    matrix: Matrix
    label: int = -1
    role: str = INK
    colour: Colour | None = None


class Typesetter:
    """Sets lines of signs in the faces that ``face_of`` returns; signs that these lack in ``foreign``, if given."""

    def __init__(
        self, rng: Random, style: Style, cache: GlyphCache, face_of: Callable[[], Face], foreign: Face | None = None
    ) -> None:
        self._rng, self._style, self._cache = rng, style, cache
        self._face_of, self._foreign = face_of, foreign
        self._face = face_of()

    def line(self, signs: str, labels: Sequence[int], space: str) -> list[Placed]:
        """Set one line from x = 0; ``labels`` has a number for each sign, -1 where it is not labelled."""
        placed: list[Placed] = []
        pen = 0.0
        groups_at = self._group_places(signs)
        if self._wants_emblem():
            pen = self._emblem(pen, placed) + self._rng.uniform(0.0, 0.3)
        for i, (sign, label) in enumerate(zip(signs, labels, strict=True)):
            if sign == space:
                # As wide as a sign without ink, with the gaps on both sides.
                pen += self._rng.uniform(0.5, 0.75) * self._style.stretch + self._spread()
                continue
            if i in groups_at:
                pen += self._rng.uniform(0.1, 0.5) * self._style.stretch + self._style.group_gap
                pen = self._emblem(pen, placed) if self._wants_emblem() else pen + 0.2 * self._style.stretch
            glyph = self._glyph(sign)
            if glyph is None:
                continue
            size = 1 + self._rng.uniform(-1, 1) * self._style.jitter_size
            pen = self._place(placed, glyph, pen, size, label)
        if self._wants_emblem():
            self._emblem(pen + self._rng.uniform(0.0, 0.3), placed)
        return placed

    def fixed_pitch_line(self, signs: str, labels: Sequence[int], space: str, pitch: float) -> list[Placed]:
        """Set signs centred ``pitch`` apart, the first at ``pitch / 2``; spaces leave their cell empty."""
        placed: list[Placed] = []
        for i, (sign, label) in enumerate(zip(signs, labels, strict=True)):
            if sign == space:
                continue
            glyph = self._glyph(sign)
            if glyph is None:
                continue
            size = 1 + self._rng.uniform(-1, 1) * self._style.jitter_size
            width = glyph.mask.shape[1] / CAP * size * self._style.stretch
            squeeze = min(1.0, 0.86 * pitch / max(width, 1e-6))
            centre = (i + 0.5) * pitch + self._rng.uniform(-0.03, 0.03) * pitch
            placed.append(self._placed(glyph, centre, size, squeeze, label))
        return placed

    def _glyph(self, sign: str) -> Glyph | None:
        """Draw the sign in its face."""
        if self._foreign is not None and (glyph := self._cache.get(self._foreign, sign)) is not None:
            return glyph
        face = self._face_of() if self._style.mixed_faces else self._face
        return self._cache.get(face, sign)

    def _spread(self) -> float:
        """Width added to a space, so that it grows with the gaps between signs."""
        if self._style.gap is not None:
            return max(0.1, self._style.gap)
        return 0.1 + max(0.0, self._style.tracking)

    def _place(self, placed: list[Placed], glyph: Glyph, pen: float, size: float, label: int) -> float:
        """Append the sign at the pen; return where the next one starts."""
        scale = size * self._style.stretch / CAP
        width = glyph.mask.shape[1] * scale
        if self._style.gap is None:
            left, step = glyph.left * scale, glyph.advance * scale + self._style.tracking
        else:
            gap = max(
                self._style.gap, -(0.34 if self._style.overlapping else 0.22) * width
            )  # otherwise the next sign might hide a narrow one
            left, step = 0.0, width + gap + self._rng.uniform(-0.25, 0.25) * abs(gap)
        placed.append(self._placed(glyph, pen + left + width / 2, size, 1.0, label))
        return pen + step

    def _placed(self, glyph: Glyph, centre: float, size: float, squeeze: float, label: int) -> Placed:
        style, rng = self._style, self._rng
        mask = shaped(glyph.mask, style, rng)
        y = -(glyph.top - glyph.mask.shape[0] / 2) / CAP * size + rng.uniform(-1, 1) * style.jitter_y
        turn = rng.uniform(-style.rotation, style.rotation) if style.rotation else 0.0
        return Placed(mask, local_matrix(mask, centre, y, size * style.stretch * squeeze, size, turn), label)

    def _group_places(self, signs: str) -> list[int]:
        is_grouped = self._style.grouped and len(signs) >= 4
        return break_places(self._rng, signs, self._style.groups) if is_grouped else []

    def _wants_emblem(self) -> bool:
        return self._style.emblems > 0 and self._rng.random() < self._style.emblems

    def _emblem(self, pen: float, placed: list[Placed]) -> float:
        """Append a small picture in place of a sign; return where the next sign starts."""
        rng = self._rng
        size = rng.choice((rng.uniform(0.2, 1.3), rng.uniform(0.8, 1.4)))  # many are as high as the signs
        wide = size * rng.uniform(0.6, 1.3) * self._style.stretch
        x, y = pen + wide / 2, -0.5 + rng.uniform(-0.15, 0.15)
        share, pale = 1.0, rng.choice((1.0, 1.0, rng.uniform(0.15, 0.6)))
        for _ in range(rng.choice((1, 1, 2, 3, 4))):  # each part covers those before it, in another colour
            mask = scaled(emblem(rng), pale)
            off_x, off_y = (rng.uniform(-0.5, 0.5) * (1 - share) * side for side in (wide, size))
            at = local_matrix(mask, x + off_x, y + off_y, wide * share, size * share, rng.uniform(-20, 20))
            placed.append(Placed(mask, at, -1, EMBLEM))
            share = rng.uniform(0.3, 0.9)
        return pen + wide * rng.choice((1.0, 1.0, rng.uniform(0.5, 1.0)))  # the next sign may stand on it


def local_matrix(mask: Mask, x: float, y: float, scale_x: float, scale_y: float, degrees: float) -> Matrix:
    """Return the (3, 3) matrix from the mask's pixels to the layout's space, middle at (x, y), CAP pixels a unit."""
    h, w = mask.shape
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    a, b = scale_x / CAP, scale_y / CAP
    linear = np.array([[cos * a, -sin * b], [sin * a, cos * b]])
    shift = np.array([x, y]) - linear @ np.array([(w - 1) / 2, (h - 1) / 2])
    return np.array([[*linear[0], shift[0]], [*linear[1], shift[1]], [0, 0, 1]])


def shaped(mask: Mask, style: Style, rng: Random) -> Mask:
    """Apply the style's weight, outline and wobble to the mask; its centre stays."""
    if style.wobble:
        mask = _wobbled(mask, style.wobble, rng)
    if style.bridges:
        mask = _bridged(mask, style.bridges)
    if style.weight > 0 and float(mask.mean()) < 110:  # bolder ink would close up
        pad = style.weight // 2 + 1
        mask = _padded(mask, pad)
        mask = np.asarray(cv2.dilate(mask, np.ones((style.weight + 1, style.weight + 1), np.uint8)), np.uint8)
    elif style.weight < 0:
        thin = np.asarray(cv2.erode(mask, np.ones((1 - style.weight, 1 - style.weight), np.uint8)), np.uint8)
        if int(thin.sum()) > 0.45 * int(mask.sum()):  # hairlines would break
            mask = thin
    if style.outline:
        edge = cv2.morphologyEx(_padded(mask, 3), cv2.MORPH_GRADIENT, np.ones((style.outline, style.outline), np.uint8))
        mask = np.asarray(edge, np.uint8)
    return mask


def _bridged(mask: Mask, width: float) -> Mask:
    """Cut the level strokes in the middle of the mask, as a stencil must hold together."""
    h, w = mask.shape
    half = max(2, round(width * CAP / 2))
    left, right = max(0, w // 2 - half), min(w, w // 2 + half)
    ink = np.concatenate([[False], mask[:, w // 2] > 96, [False]])
    turns = np.flatnonzero(ink[1:] != ink[:-1]).reshape(-1, 2)  # (strokes, 2): first row and the row after the last
    cut = mask.copy()
    for start, end in turns if len(turns) > 1 and right - left < 0.5 * w else ():
        if end - start < 0.36 * h:
            cut[max(0, start - 2) : end + 2, left:right] = 0
    return cut


def scaled(mask: Mask, by: float) -> Mask:
    """Multiply the mask by ``by``, saturating at 255."""
    return np.asarray(cv2.convertScaleAbs(mask, alpha=by), np.uint8)


def _padded(mask: Mask, pad: int) -> Mask:
    return np.asarray(cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0), np.uint8)


def _wobbled(mask: Mask, strength: float, rng: Random) -> Mask:
    """Bend the mask by slow waves along both axes."""
    mask = _padded(mask, 5)
    h, w = mask.shape
    waves = [(rng.uniform(1.5, 4) * strength, rng.uniform(0.03, 0.09), rng.uniform(0, 6.3)) for _ in range(2)]
    (ax, fx, px), (ay, fy, py) = waves
    x, y = np.arange(w, dtype=np.float32)[None], np.arange(h, dtype=np.float32)[:, None]
    map_x = x + np.float32(ax) * np.sin(np.float32(fx) * y + np.float32(px))  # (h, w)
    map_y = y + np.float32(ay) * np.sin(np.float32(fy) * x + np.float32(py))  # (h, w)
    return np.asarray(cv2.remap(mask, map_x, map_y, cv2.INTER_LINEAR), np.uint8)


def emblem(rng: Random) -> Mask:
    """Draw a small shape that is no sign: disc, ring, star, shield, blob, drawing or ragged outline."""
    mask = np.zeros((CAP, CAP), np.uint8)
    kinds = ("disc", "ring", "star", "blob", "shield", "coast", "coast", "figure", "drawing", "drawing", "rays")
    kind, c, r = rng.choice(kinds), CAP // 2, CAP // 2 - 3
    if kind == "figure":  # limbs round a body
        for _ in range(rng.randint(3, 7)):
            middle = (rng.randint(c // 2, c + c // 2), rng.randint(c // 2, c + c // 2))
            axes = (rng.randint(3, c // 2), rng.randint(3, c))
            cv2.ellipse(mask, middle, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
        return mask
    if kind in ("drawing", "rays"):  # thin lines, bent or straight
        for _ in range(rng.randint(2, 6)):
            path = np.array([[rng.uniform(4, CAP - 4) for _ in "xy"] for _ in range(2 if kind == "rays" else 5)])
            cv2.polylines(mask, [path.round().astype(np.int32)], False, 255, rng.choice((2, 3, 5)), cv2.LINE_AA)
        return mask
    if kind in ("disc", "ring"):
        cv2.circle(mask, (c, c), r, 255, -1 if kind == "disc" else 7, cv2.LINE_AA)
        if kind == "ring" or rng.random() < 0.5:  # something inside: a bare ring is an O
            cv2.circle(mask, (c, c), round(r * rng.uniform(0.3, 0.6)), 0 if kind == "disc" else 255, -1, cv2.LINE_AA)
        return mask
    points = {"star": 10, "blob": rng.randint(6, 12)}.get(kind, 36)
    radii = [r * (1.0 if i % 2 == 0 else 0.42) if kind == "star" else r * rng.uniform(0.45, 1.0) for i in range(points)]
    if kind == "coast":  # a slow outline with a fast one on it
        slow = [rng.uniform(0.3, 0.95) for _ in range(7)]
        radii = [r * float(np.interp(i * 6 / 36, range(7), slow)) * rng.uniform(0.85, 1.05) for i in range(points)]
    if kind == "shield":
        corners = [(4.0, 4.0), (CAP - 4, 4), (CAP - 4, CAP * 0.55), (c, CAP - 4), (4, CAP * 0.55)]
    else:
        turns = [2 * math.pi * i / points - math.pi / 2 for i in range(points)]
        corners = [(c + q * math.cos(t), c + q * math.sin(t)) for q, t in zip(radii, turns, strict=True)]
    outline = [np.round(np.array(corners)).astype(np.int32)]
    if rng.random() < 0.25:
        cv2.polylines(mask, outline, True, 255, rng.choice((3, 5)), cv2.LINE_AA)
    else:
        cv2.fillPoly(mask, outline, 255, cv2.LINE_AA)
    return mask


def corners_of(placed: Sequence[Placed]) -> NDArray[np.float64]:
    """Corners of all masks in the layout's space, (4 n, 2) xy."""
    points = []
    for sign in placed:
        h, w = sign.mask.shape
        right, low = w - 0.5, h - 0.5
        points.append(np.array([[-0.5, -0.5, 1], [right, -0.5, 1], [right, low, 1], [-0.5, low, 1]]) @ sign.matrix.T)
    flat = np.concatenate(points)
    return np.asarray(flat[:, :2] / flat[:, 2:])


def bounds(points: NDArray[np.float64]) -> Rect:
    """Bounding rectangle x1, y1, x2, y2 of (n, 2) points."""
    (x1, y1), (x2, y2) = points.min(0), points.max(0)
    return float(x1), float(y1), float(x2), float(y2)


def moved(placed: Sequence[Placed], matrix: Matrix) -> list[Placed]:
    """Apply ``matrix`` after the matrix of each sign."""
    return [replace(sign, matrix=matrix @ sign.matrix) for sign in placed]


def arched(placed: Sequence[Placed], arc: float) -> list[Placed]:
    """Bend the line to an arc of height ``arc``, every sign turned along it."""
    x1, _, x2, _ = bounds(corners_of(placed))
    half, middle = max(1e-3, (x2 - x1) / 2), (x1 + x2) / 2
    bent = []
    for sign in placed:
        h, w = sign.mask.shape
        x, y, _ = sign.matrix @ np.array([(w - 1) / 2, (h - 1) / 2, 1.0])
        t = (x - middle) / half
        turn = math.atan(2 * arc * t / half)
        cos, sin = math.cos(turn), math.sin(turn)
        shift_x, shift_y = x - cos * x + sin * y, y - sin * x - cos * y + arc * t * t
        about = np.array([[cos, -sin, shift_x], [sin, cos, shift_y], [0, 0, 1]])
        bent.append(replace(sign, matrix=about @ sign.matrix))
    return bent


def bowed(placed: Sequence[Placed], part: float) -> list[Placed]:
    """Set the line on ``part`` of half a circle, each sign turned along it; above 0 its middle is highest."""
    x1, y1, x2, y2 = bounds(corners_of(placed))
    turn = max(1e-3, abs(part) * math.pi)
    middle, radius = (x1 + x2) / 2, max((x2 - x1) / turn, 1.2 * (y2 - y1))
    up = math.copysign(1.0, part)
    bent = []
    for sign in placed:
        h, w = sign.mask.shape
        x, y, _ = sign.matrix @ np.array([(w - 1) / 2, (h - 1) / 2, 1.0])
        angle = (x - middle) / radius
        cos, sin = math.cos(angle), math.sin(angle) * up
        # On the circle, then as far above it as the sign's middle was above the line.
        to_x = middle + radius * math.sin(angle) - y * sin
        to_y = up * radius * (1 - cos) + y * cos
        about = np.array([[cos, -sin, to_x - cos * x + sin * y], [sin, cos, to_y - sin * x - cos * y], [0, 0, 1]])
        bent.append(replace(sign, matrix=about @ sign.matrix))
    return bent


def numbered(lines: Sequence[Line], space: str, others: str = "") -> list[list[int]]:
    """Number the labelled non-space signs of all lines, then the unlabelled ones of ``others``; -1 for the rest."""
    signs = [pair for line in lines for pair in zip(line.signs, line.labelled, strict=True)]
    text = [labelled and sign != space for sign, labelled in signs]
    foreign = [not labelled and sign in others for sign, labelled in signs]
    numbers = np.where(text, np.cumsum(text) - 1, np.where(foreign, sum(text) + np.cumsum(foreign) - 1, -1)).tolist()
    ends = np.cumsum([len(line.signs) for line in lines]).tolist()
    return [numbers[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def stacked(rng: Random, rows: list[list[Placed]], style: Style, centre: bool) -> list[Placed]:
    """Stack lines, each moved down below the ones above it."""
    rows = [row for row in rows if row]  # a line may be all spaces
    placed = list(rows[0]) if rows else []
    for row in rows[1:]:
        x1, _, x2, bottom = bounds(corners_of(placed))
        rx1, top, rx2, _ = bounds(corners_of(row))
        room = (x2 - x1) - (rx2 - rx1)
        shift = x1 - rx1 + rng.choice((0.0, 0.5, 0.5, 1.0)) * room if centre else 0.0
        placed += moved(row, np.array([[1, 0, shift], [0, 1, bottom - top + style.leading], [0, 0, 1.0]]))
    return placed
