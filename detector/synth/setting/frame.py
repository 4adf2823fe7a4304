"""Captions and frames around a text, and the placement of everything in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np

from detector.synth.faces.glyphs import CAP, Face, GlyphCache
from detector.synth.setting.typesetting import (
    CAPTION,
    EMBLEM,
    Matrix,
    Placed,
    Rect,
    bounds,
    corners_of,
    local_matrix,
    moved,
)
from detector.synth.style import Style

CAPTION_WORDS = (
    "GEORGIA|Wisconsin|California|Maryland|DELAWARE|Tennessee|OREGON|Illinois|Connecticut|ARIZONA|VERMONT|Nevada|"
    "Garden State|Ocean State|LIVE FREE|The First State|America's Best|First in Flight|Sunshine|visit us.com|"
    "KNOX|CLAYTON|COUNTY|PASSENGER|TRUCK|DEALER|MADE IN EU|SERIAL NO.|MODEL|S/N|P/N|LOT|EXP|No.|TYPE|kWh|m3|INPUT"
).split("|")


@dataclass(frozen=True)
class Setting:
    """Signs with matrices to the picture's pixels, and the corners of the frame, (4, 2) xy, or None."""

    placed: list[Placed]
    frame_xy: np.ndarray | None
    cap_px: float


def captions(rng: Random, style: Style, main: Rect, face: Face, cache: GlyphCache) -> list[Placed]:
    """Set small unlabelled lines above, below and in the corners of the main text."""
    placed: list[Placed] = []
    x1, y1, x2, y2 = main
    for where in style.captions:
        if where == "stack":
            placed += _stack(rng, main, face, cache)
            continue
        if where == "rows":
            placed += _small_print(rng, main, face, cache)
            continue
        size = rng.uniform(0.2, 0.42) if where != "corner" else rng.uniform(0.15, 0.26)
        stamp = f"{rng.choice(('JAN', 'APR', 'DEC', ''))}{rng.randint(1, 99):02d}"
        text = rng.choice(CAPTION_WORDS) if where != "corner" else stamp
        row = small_line(text, face, cache, size)
        if not row:
            continue
        bx1, by1, bx2, by2 = bounds(corners_of(row))
        width = bx2 - bx1
        squeeze = min(1.0, 1.05 * (x2 - x1) / width)
        room = rng.uniform(0.1, 0.25)
        if where == "corner":
            left = x1 if rng.random() < 0.5 else x2 - width * squeeze
            shift_y = (y1 - room - by2) if rng.random() < 0.5 else (y2 + room - by1)
        else:
            left = (x1 + x2) / 2 - width * squeeze / 2 + rng.uniform(-0.1, 0.1) * (x2 - x1)
            shift_y = (y1 - room - by2) if where == "above" else (y2 + room - by1)
        row = moved(row, np.array([[squeeze, 0, left - bx1 * squeeze], [0, 1, shift_y], [0, 0, 1.0]]))
        if where == "corner" and rng.random() < 0.5:
            placed.append(_sticker(row))
        placed += row
    return placed


def _stack(rng: Random, main: Rect, face: Face, cache: GlyphCache) -> list[Placed]:
    """Set two or three small letters above each other, beside the main text."""
    count = rng.choice((2, 2, 3))
    size = rng.uniform(0.75, 0.95) / count
    placed: list[Placed] = []
    room, left = rng.uniform(0.1, 0.3), rng.random() < 0.6
    for i in range(count):
        row = small_line(rng.choice("ABCDEFGHKLMNPRSTUVWXYZ0123456789"), face, cache, size)
        if row:
            x1, _, x2, _ = bounds(corners_of(row))
            shift_x = main[0] - room - x2 if left else main[2] + room - x1
            down = main[1] + (main[3] - main[1]) * (i + 1) / count - 0.04
            placed += moved(row, np.array([[1, 0, shift_x], [0, 1, down], [0, 0, 1.0]]))
    return placed


def _small_print(rng: Random, main: Rect, face: Face, cache: GlyphCache) -> list[Placed]:
    """Set one or two small lines of words and numbers above or below the main text, about as wide."""
    x1, y1, x2, y2 = main
    size = rng.uniform(0.2, 0.4)
    above, count, pitch = rng.random() < 0.5, rng.choice((1, 1, 1, 2)), size * rng.uniform(1.3, 1.8)
    placed: list[Placed] = []
    for number in range(count):
        words = [rng.choice(CAPTION_WORDS) for _ in range(rng.randint(1, 3))]
        numbers = ["".join(rng.choices("0123456789./:-", k=rng.randint(3, 8))) for _ in words]
        text = " ".join(rng.choice((word, word, number)) for word, number in zip(words, numbers, strict=True))
        row = small_line(text, face, cache, size)
        if not row:
            continue
        left, _, right, _ = bounds(corners_of(row))
        squeeze = min(1.0, 1.1 * (x2 - x1) / (right - left))
        down = y1 - 0.15 - pitch * number if above else y2 + 0.15 + size + pitch * number
        at = x1 + rng.choice((0.0, 0.0, 0.5, 1.0)) * ((x2 - x1) - (right - left) * squeeze)
        placed += moved(row, np.array([[squeeze, 0, at - left * squeeze], [0, 1, down], [0, 0, 1.0]]))
    return placed


def _sticker(row: list[Placed]) -> Placed:
    """Return a filled rectangle behind a small line."""
    x1, y1, x2, y2 = bounds(corners_of(row))
    field, rim = np.full((8, 8), 255, np.uint8), 0.25 * (y2 - y1)
    scale_x, scale_y = (x2 - x1 + 2 * rim) / 8, (y2 - y1 + 2 * rim) / 8
    into = np.array([[scale_x, 0, x1 - rim + scale_x / 2], [0, scale_y, y1 - rim + scale_y / 2], [0, 0, 1.0]])
    return Placed(field, into, -1, EMBLEM)


def small_line(text: str, face: Face, cache: GlyphCache, size: float) -> list[Placed]:
    """Set an unlabelled line from x = 0 on the baseline y = 0, capitals ``size`` high."""
    row: list[Placed] = []
    pen = 0.0
    for sign in text:
        glyph = cache.get(face, sign) if sign != " " else None
        if glyph is None:
            pen += 0.4 * size
            continue
        h, w = glyph.mask.shape
        scale = size / CAP
        at = local_matrix(glyph.mask, pen + (glyph.left + w / 2) * scale, (h / 2 - glyph.top) * scale, size, size, 0)
        row.append(Placed(glyph.mask, at, -1, CAPTION))
        pen += glyph.advance * size / CAP
    return row


def place(rng: Random, style: Style, placed: list[Placed], size_wh: tuple[int, int]) -> Setting:
    """Rotate, shear, tilt and scale everything so that it lies inside the picture."""
    width, height = size_wh
    points = corners_of(placed)
    x1, y1, x2, y2 = bounds(points)
    rim = rng.uniform(0.08, 0.3) if style.frame else 0.0
    rect = (x1 - rim * 1.5, y1 - rim, x2 + rim * 1.5, y2 + rim)
    tilt = _tilt(style, rect)
    corners = _mapped(np.array([[rect[0], rect[1]], [rect[2], rect[1]], [rect[2], rect[3]], [rect[0], rect[3]]]), tilt)
    # A frame may be cut off, as in a tight crop; signs may not.
    visible = corners if style.frame and rng.random() < 0.6 else _mapped(points, tilt)
    if style.tight:
        visible = _mapped(corners_of([sign for sign in placed if sign.label >= 0] or placed), tilt)
    bx1, by1, bx2, by2 = bounds(visible)
    room_x = width * (1 - 2 * style.margin) - 2 * style.wave_px - 2
    room_y = height * (1 - 2 * style.margin) - 2 * style.wave_px - 2
    scale_y = min(style.cap_px * height / 64, room_y / (by2 - by1))
    scale_x = min(scale_y * rng.uniform(1.0, 1.3), room_x / (bx2 - bx1))
    if scale_x < 0.72 * scale_y:  # narrow signs stay readable; flat ones would not
        scale_y = scale_x / 0.72
    free_x = width - (bx2 - bx1) * scale_x
    free_y = height - (by2 - by1) * scale_y
    share_x, share_y = (0.5, 0.5) if style.centred else (rng.random(), rng.random())
    at_x = _between(free_x, share_x, style.margin * width + style.wave_px + 1)
    at_y = _between(free_y, share_y, style.margin * height + style.wave_px + 1)
    into = np.array([[scale_x, 0, at_x - bx1 * scale_x], [0, scale_y, at_y - by1 * scale_y], [0, 0, 1.0]])
    return Setting(moved(placed, into @ tilt), _mapped(corners, into) if style.frame else None, scale_y)


def place_fixed_pitch(
    placed: list[Placed], size_wh: tuple[int, int], cap_px: float, top: float, bottom: float
) -> Setting:
    """Scale a fixed-pitch layout evenly, only as tall as the picture allows; cells keep their places.

    ``top`` and ``bottom`` are the y of the text's upper and lower side in the layout's space.
    """
    height = size_wh[1]
    _, y1, _, y2 = bounds(corners_of(placed))
    y1, y2 = min(y1, top), max(y2, bottom)
    scale_y = min(cap_px, (height - 4) / (y2 - y1))
    into = np.array([[cap_px, 0, 0], [0, scale_y, height / 2 - (y1 + y2) / 2 * scale_y], [0, 0, 1.0]])
    return Setting(moved(placed, into), None, min(cap_px, scale_y))


def _between(free: float, share: float, margin: float) -> float:
    """Draw a position in the free room that leaves ``margin`` on both sides if there is enough."""
    return min(max(share * free, min(margin, free / 2)), max(free - margin, free / 2))


def _tilt(style: Style, rect: Rect) -> Matrix:
    """Rotation, shear and perspective about the middle of ``rect``."""
    x, y = (rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2
    half = max(1.0, (rect[2] - rect[0]) / 2)
    # A rotated long text gains height quickly: limit the rotation so that it costs at most half of the size.
    turn = math.radians(float(np.clip(style.angle, -70 / half, 70 / half)))
    cos, sin = math.cos(turn), math.sin(turn)
    lean = np.array([[1, -float(np.clip(style.shear, -0.45, 0.45)), 0], [0, 1, 0], [0, 0, 1.0]])
    rotate = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    view = np.array([[1, 0, 0], [0, 1, 0], [float(np.clip(style.perspective, -0.16, 0.16)) / half, 0, 1.0]])
    centre = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
    return np.asarray(view @ rotate @ lean @ centre)


def _mapped(points: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Map (n, 2) points through a (3, 3) matrix."""
    flat = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(flat[:, :2] / flat[:, 2:])
