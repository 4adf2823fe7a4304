"""Strokes of the text's own width and ink through it, grids, and the shapes in which ink and ground change places."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Colour, Image
from detector.synth.painting.canvas import Boxes, Canvas, Layer
from detector.synth.style import Style

_COVERED = 0.33  # of a sign's ink, at most, by all strokes together: what tells signs apart stays to be seen
_ADDED = 0.6  # ink of strokes within a sign's box over the sign's own, at most

Path = NDArray[np.float64]


def stroke_px(alpha: Layer) -> float:
    """Mean thickness of the ink's strokes: twice its area over the length of its outline."""
    ink = (alpha > 127).astype(np.uint8)
    area = cv2.countNonZero(ink)
    rim = area - cv2.countNonZero(cv2.erode(ink, np.ones((3, 3), np.uint8)))
    return 2 * area / max(1, rim)


def draw_strokes(rng: Random, style: Style, canvas: Canvas, cap_px: float, inks: list[Colour]) -> None:
    """Add strokes to the canvas's ink, each in one of ``inks``, none where it would hide a sign."""
    boxes = canvas.boxes_xyxy()
    if not len(boxes):
        return
    text_ink = (canvas.alpha > 100).astype(np.uint8)
    thick = max(1, round(stroke_px(canvas.alpha) * style.stroke_weight))
    struck = np.zeros_like(text_ink)
    for _ in range(style.strokes):
        colour = rng.choice(inks)
        for _ in range(4):
            width = max(1, round(thick * rng.uniform(0.75, 1.15)))
            kind = rng.choice(style.stroke_paths)
            path = _path(rng, kind, boxes, cap_px, text_ink.shape[1])
            stroke = np.zeros_like(canvas.alpha)
            cv2.polylines(stroke, [(path * 16).round().astype(np.int32)], False, 255, width, cv2.LINE_AA, 4)
            if kind in ("oval", "short") and not text_ink[stroke > 100].any():
                continue  # alone, it would be an O or an I
            union = np.asarray(cv2.bitwise_or(struck, (stroke > 100).astype(np.uint8)), np.uint8)
            if _legible(text_ink, union, boxes):
                struck = union
                canvas.alpha = np.asarray(cv2.max(canvas.alpha, stroke), np.uint8)
                canvas.colour[stroke > 100] = colour
                soft = (stroke > 24) & (text_ink == 0)
                canvas.colour[soft] = colour
                break


def _legible(text_ink: Layer, struck: Layer, boxes_xyxy: Boxes) -> bool:
    """Test whether each sign keeps most of its ink, (H, W) of 0 and 1, and is not buried."""
    both = cv2.bitwise_and(text_ink, struck)
    for x1, y1, x2, y2 in boxes_xyxy.astype(int).tolist():
        here = np.s_[y1:y2, x1:x2]
        ink = max(1, cv2.countNonZero(text_ink[here]))
        if cv2.countNonZero(both[here]) > _COVERED * ink or cv2.countNonZero(struck[here]) > _ADDED * ink:
            return False
    return True


def _path(rng: Random, kind: str, boxes_xyxy: Boxes, cap_px: float, width: int) -> Path:
    """Points (n, 2) xy of a stroke, most from one edge of the picture or of the text to the other."""
    left, top = (float(v) for v in boxes_xyxy[:, :2].min(0))
    right, bottom = (float(v) for v in boxes_xyxy[:, 2:].max(0))
    if rng.random() < 0.35:  # only as long as the text
        reach = rng.uniform(0.1, 0.6) * cap_px
        x1, x2 = left - reach, right + reach
    else:
        x1, x2 = -4.0, width + 4.0
    y1, y2 = rng.uniform(top, bottom), rng.uniform(top, bottom)
    t = np.linspace(0, 1, 40)[:, None]
    if kind == "oval":
        middle = np.array([rng.uniform(left, right), rng.uniform(top, bottom)])
        radii = cap_px * np.array([rng.uniform(0.15, 0.8), rng.uniform(0.15, 0.6)])
        return np.asarray(middle + radii * np.hstack([np.cos(t * 6.4), np.sin(t * 6.4)]))
    if kind == "short":
        turn, length = rng.uniform(0, math.pi), rng.uniform(0.5, 1.6) * cap_px
        start = np.array([rng.uniform(left, right), rng.uniform(top, bottom)])
        return np.stack([start, start + length * np.array([math.cos(turn), math.sin(turn)])])
    if kind == "bent":
        corners = rng.randint(3, 6)
        ys = [rng.uniform(top - 0.1 * cap_px, bottom + 0.1 * cap_px) for _ in range(corners)]
        return np.stack([np.linspace(x1, x2, corners), np.array(ys)], 1)
    start, end = np.array([x1, y1]), np.array([x2, y2])
    if kind == "curve":
        spread = 0.7 * cap_px
        a = np.array([x1 + (x2 - x1) * rng.uniform(0.1, 0.5), rng.uniform(top - spread, bottom + spread)])
        b = np.array([x1 + (x2 - x1) * rng.uniform(0.5, 0.9), rng.uniform(top - spread, bottom + spread)])
        return np.asarray((1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * b + t**3 * end)
    along = start * (1 - t) + end * t
    if kind == "sine":
        turns, phase = rng.uniform(1, 4) * 2 * math.pi, rng.uniform(0, 6.3)
        along = along + np.hstack([0 * t, rng.uniform(0.12, 0.45) * cap_px * np.sin(t * turns + phase)])
    elif kind == "arc":
        along = along + np.hstack([0 * t, rng.choice((-1, 1)) * rng.uniform(0.2, 0.9) * cap_px * np.sin(t * math.pi)])
    return np.asarray(along)


def draw_grid(rng: Random, image: Image, style: Style, cap_px: float, colour: Colour) -> None:
    """Draw parallel lines all over the picture: one set of them or two that cross, straight or all bent alike."""
    height, width = image.shape[:2]
    step = max({"pale": 5.0, "ground": 10.0, "text": 9.0}[style.grid_ink] + 2.0 * style.grid_over, style.grid * cap_px)
    first = rng.choice((0.0, 0.0, math.pi / 2, math.pi / 4, rng.uniform(0, math.pi)))
    thick = 2 if step > 12 and style.grid_ink == "pale" and not style.grid_over and rng.random() < 0.3 else 1
    smooth = cv2.LINE_AA if rng.random() < 0.6 else cv2.LINE_8
    bow, wave = (rng.uniform(0.1, 0.4) * step * 2 if rng.random() < 0.3 else 0.0), rng.uniform(0.03, 0.1)
    reach = math.hypot(width, height) / 2 + step
    t = np.linspace(-reach, reach, 2 if not bow else 48)
    lines = []
    for turn in (first, first + math.pi / 2)[: rng.choice((1, 2, 2))]:
        for off in np.arange(-reach + rng.uniform(0, step), reach, step):
            across = off + bow * np.sin(t * wave)
            x = width / 2 + t * math.cos(turn) - across * math.sin(turn)
            y = height / 2 + t * math.sin(turn) + across * math.cos(turn)
            if x.max() >= 0 and x.min() < width and y.max() >= 0 and y.min() < height:
                lines.append(np.stack([x, y], 1).round().astype(np.int32))
    cv2.polylines(image, lines, False, colour, thick, smooth)


def inversion(rng: Random, style: Style, canvas: Canvas, cap_px: float) -> Layer:
    """Draw where ink and ground change places: 255 there, uint8 (H, W). Thin shapes spare most of each sign."""
    boxes = canvas.boxes_xyxy()
    text_ink = (canvas.alpha > 100).astype(np.uint8)
    shape = np.zeros_like(canvas.alpha)
    for _ in range(4):
        shape = _SHAPES[style.inverted](rng, text_ink.shape[1], text_ink.shape[0], boxes, cap_px)
        if style.inverted not in ("arcs", "bands") or _spared(text_ink, shape, boxes):
            break
    return shape


def _spared(text_ink: Layer, shape: Layer, boxes_xyxy: Boxes) -> bool:
    """Test whether at least half of each sign's ink is outside of the shape."""
    both = cv2.bitwise_and(text_ink, shape)
    return all(
        2 * cv2.countNonZero(both[y1:y2, x1:x2]) <= cv2.countNonZero(text_ink[y1:y2, x1:x2]) + 1
        for x1, y1, x2, y2 in boxes_xyxy.astype(int).tolist()
    )


def _arcs(rng: Random, width: int, height: int, boxes: Boxes, cap_px: float) -> Layer:
    shape = np.zeros((height, width), np.uint8)
    for _ in range(rng.choice((1, 1, 1, 2))):
        line = np.zeros_like(shape)
        kind = rng.choice(("arc", "arc", "curve", "sine", "straight"))
        path = (_path(rng, kind, boxes, cap_px, width) * 16).round().astype(np.int32)
        cv2.polylines(line, [path], False, 255, max(2, round(cap_px * rng.uniform(0.08, 0.3))), cv2.LINE_AA, 4)
        shape = np.asarray(cv2.absdiff(shape, line), np.uint8)
    return shape


def _bands(rng: Random, width: int, height: int, boxes: Boxes, cap_px: float) -> Layer:
    """Parallel bands as thick as the gaps between them, or thinner."""
    turn = rng.choice((0.0, 0.0, math.pi / 2, rng.uniform(-0.5, 0.5), rng.uniform(0, math.pi)))
    step, bow = cap_px * rng.uniform(0.5, 1.3), cap_px * rng.choice((0.0, 0.0, rng.uniform(0.05, 0.3)))
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    across = y * np.float32(math.cos(turn)) - x * np.float32(math.sin(turn))
    if bow:
        across = across + np.float32(bow) * np.sin(x * np.float32(rng.uniform(0.02, 0.08)))
    share = rng.uniform(0.2, 0.5)
    within = np.abs((across / np.float32(step) + np.float32(rng.random())) % 1 - np.float32(0.5)) * np.float32(step)
    return ((np.float32(share * step / 2) - within + np.float32(0.5)).clip(0, 1) * 255).astype(np.uint8)


def _half(rng: Random, width: int, height: int, boxes: Boxes, cap_px: float) -> Layer:
    """Return one side of a straight or wavy edge through the text."""
    turn = rng.choice((0.0, 0.0, math.pi / 2, rng.uniform(0, math.pi)))
    bow = cap_px * rng.choice((0.0, rng.uniform(0.05, 0.3)))
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    at_x = rng.uniform(float(boxes[:, 0].min()), float(boxes[:, 2].max())) if len(boxes) else width / 2
    middle = np.float32(boxes[:, 1::2].mean()) if len(boxes) else np.float32(height / 2)
    across = (y - middle) * np.float32(math.cos(turn)) - (x - np.float32(at_x)) * np.float32(math.sin(turn))
    across = across + np.float32(bow) * np.sin((x + y) * np.float32(rng.uniform(0.02, 0.1)))
    away = np.float32(rng.uniform(-0.25, 0.25) * cap_px)
    return np.asarray((across + away + np.float32(0.5)).clip(0, 1) * 255).astype(np.uint8)


def _checks(rng: Random, width: int, height: int, boxes: Boxes, cap_px: float) -> Layer:
    high = cap_px * rng.uniform(0.6, 1.5)
    wide = high * rng.choice((1.0, 1.0, rng.uniform(0.6, 2.0)))
    rows = ((np.arange(height) + rng.uniform(0, high)) // high).astype(np.int64)[:, None]
    columns = ((np.arange(width) + rng.uniform(0, wide)) // wide).astype(np.int64)[None]
    return ((rows + columns) % 2 * 255).astype(np.uint8)


def _blocks(rng: Random, width: int, height: int, boxes: Boxes, cap_px: float) -> Layer:
    shape = np.zeros((height, width), np.uint8)
    for _ in range(rng.randint(2, 7)):
        block = np.zeros_like(shape)
        wide, high = (round(cap_px * rng.uniform(0.4, 2.0)) for _ in "xy")
        x, y = rng.randint(-wide // 2, width - wide // 2), rng.randint(-high // 2, height - high // 2)
        cv2.rectangle(block, (x, y), (x + wide, y + high), 255, -1)
        shape = np.asarray(cv2.bitwise_xor(shape, block), np.uint8)
    return shape


def _discs(rng: Random, width: int, height: int, boxes: Boxes, cap_px: float) -> Layer:
    shape = np.zeros((height, width), np.uint8)
    ring = rng.random() < 0.25
    for _ in range(rng.randint(2, 4 if ring else 6)):
        disc = np.zeros_like(shape)
        radius = cap_px * (rng.uniform(0.8, 1.4) if ring else rng.uniform(0.35, 1.1))  # a small ring is an O
        thick = max(3, round(cap_px * rng.uniform(0.12, 0.25))) if ring else -1
        cv2.circle(disc, (rng.randrange(width), rng.randrange(height)), max(3, round(radius)), 255, thick, cv2.LINE_AA)
        shape = np.asarray(cv2.absdiff(shape, disc), np.uint8)
    return shape


_SHAPES = {
    "arcs": _arcs, "bands": _bands, "half": _half, "checks": _checks, "blocks": _blocks, "discs": _discs,
}  # fmt: skip
