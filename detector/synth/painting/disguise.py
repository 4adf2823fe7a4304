"""What becomes of a captcha's ink after it is set and before it is drawn: bent, struck, hollow, inverted, in specks."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from detector.synth.colours import Colour, Image, as_colour, ink_for, luma
from detector.synth.painting.canvas import Canvas, Layer
from detector.synth.painting.strokes import draw_strokes, inversion, stroke_px
from detector.synth.style import Style


def disguise(
    rng: Random, style: Style, canvas: Canvas, cap_px: float, ink: Colour, ground_range: tuple[float, float],
    noise: np.random.Generator,
) -> None:  # fmt: skip
    """Change the canvas's ink as the style says; ``ground_range`` is the brightness of the ground."""
    height, width = canvas.alpha.shape
    for _ in range(style.whirls):
        centre = (rng.uniform(0.1, 0.9) * width, rng.uniform(0.3, 0.7) * height)
        turn, power = rng.uniform(-0.8, 0.8), rng.choice((1.0, rng.uniform(0.75, 1.4)))
        canvas.whirl(centre, rng.uniform(0.7, 2.0) * height, turn, power)
    if style.strokes:
        inks = [ink] if style.stroke_ink == "text" else [ink_for(rng, style, *ground_range) for _ in range(3)]
        ink_pixels = canvas.colour[canvas.alpha > 200]
        if len(ink_pixels) and style.stroke_ink == "text" and style.ink == "each":
            inks = [as_colour(ink_pixels[rng.randrange(len(ink_pixels))].astype(np.float64)) for _ in range(4)]
        draw_strokes(rng, style, canvas, cap_px, inks)
    if style.coarse:
        _coarsen(canvas, max(1.0, min(cap_px / style.coarse, stroke_px(canvas.alpha))))
    if style.contour:
        _hollow(rng, canvas, ink)
    if style.second_ink:
        _run(rng, style, canvas, ink, ground_range, noise)
    if style.inverted and style.ink == "one":
        _exchange(canvas, inversion(rng, style, canvas, cap_px), ink)
    if style.halftone:
        _screen(rng, canvas, max(3.0, style.halftone * cap_px))
    if style.speckle or style.stray:
        _speckle(rng, style, canvas, ink, noise)


def negated(rng: Random, style: Style, image: Image, canvas: Canvas, cap_px: float) -> Image:
    """Invert the picture within a shape, where signs have colours of their own."""
    share = inversion(rng, style, canvas, cap_px).astype(np.float32) / 255
    return np.asarray(cv2.blendLinear(255 - image, image, share, 1 - share), np.uint8)


def extruded(rng: Random, style: Style, alpha: Layer, cap_px: float) -> Layer:
    """Ink of the sides of solid signs whose faces are ``alpha``, uint8 (H, W)."""
    turn = rng.uniform(0, 2 * math.pi)
    depth = max(1.5, style.extrusion * cap_px)
    sides = np.zeros_like(alpha)
    height, width = sides.shape
    for far in np.arange(1.0, depth + 0.5):
        move = np.array([[1, 0, far * math.cos(turn)], [0, 1, far * math.sin(turn)]])
        sides = np.asarray(cv2.max(sides, cv2.warpAffine(alpha, move, (width, height))), np.uint8)
    return sides


def _coarsen(canvas: Canvas, cell: float) -> None:
    """Redraw the ink in square pixels of this side."""
    height, width = canvas.alpha.shape
    small = (max(8, round(width / cell)), max(4, round(height / cell)))
    cells = cv2.resize(canvas.alpha, small, interpolation=cv2.INTER_AREA)
    inked = np.where(cells > 70, 255, 0).astype(np.uint8)
    canvas.alpha = np.asarray(cv2.resize(inked, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    reach = 2 * math.ceil(cell) + 1  # a pixel's colour goes on in its cell; where there is no ink, it is 0
    canvas.colour = np.asarray(cv2.dilate(canvas.colour, np.ones((reach, reach), np.uint8)), np.uint8)
    sides = np.array([width / small[0], height / small[1]], np.float32)
    for i, points in enumerate(canvas.points):
        if len(points):
            (x1, y1), (x2, y2) = (points.min(0) / sides).astype(int), np.ceil((points.max(0) + 1) / sides).astype(int)
            x, y, wide, high = cv2.boundingRect(inked[y1:y2, x1:x2])
            if not wide:
                continue
            corners = np.array([[x1 + x, y1 + y], [x1 + x + wide, y1 + y + high]], np.float32) * sides
            canvas.points[i] = corners - np.array([[0, 0], [1, 1]], np.float32)


def _hollow(rng: Random, canvas: Canvas, ink: Colour) -> None:
    """Keep the outline of all ink together."""
    inner = stroke_px(canvas.alpha) > 5.5
    alpha = canvas.alpha
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    rim = cv2.subtract(alpha, cv2.erode(alpha, kernel)) if inner else cv2.subtract(cv2.dilate(alpha, kernel), alpha)
    if inner and rng.random() < 0.4:
        rim = cv2.max(rim, cv2.subtract(cv2.dilate(alpha, kernel), alpha))
    canvas.alpha = np.asarray(cv2.convertScaleAbs(rim, alpha=1.3), np.uint8)
    canvas.colour[:] = ink


def _run(
    rng: Random, style: Style, canvas: Canvas, ink: Colour, ground_range: tuple[float, float],
    noise: np.random.Generator,
) -> None:  # fmt: skip
    """Let the ink run into a second colour on the same side of the ground's brightness."""
    height, width = canvas.alpha.shape
    middle = sum(ground_range) / 2
    second = ink
    for _ in range(6):
        other = ink_for(rng, style, *ground_range)
        if (luma(other) - middle) * (luma(ink) - middle) > 0:
            second = other
            break
    cells = rng.choice(((1, 2), (2, 1), (2, 2), (3, 8), (1, 6)))
    table = noise.random(cells, np.float32)
    if cells in ((1, 2), (2, 1)):
        table = np.array([0, 1], np.float32).reshape(cells)
    share = cv2.resize(table, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width).clip(0, 1)
    field: Image = np.full_like(canvas.colour, np.array(second).round().clip(0, 255))
    canvas.colour = np.asarray(cv2.blendLinear(field, canvas.colour, share, 1 - share), np.uint8)


def _exchange(canvas: Canvas, shape: Layer, ink: Colour) -> None:
    """Let ink and ground change places in the shape."""
    canvas.colour[canvas.alpha <= 24] = ink
    a, s = canvas.alpha.astype(np.float32) / 255, shape.astype(np.float32) / 255
    canvas.alpha = ((a + s - 2 * a * s) * 255).astype(np.uint8)


def _screen(rng: Random, canvas: Canvas, step: float) -> None:
    """Draw the ink as dots on a turned square lattice."""
    height, width = canvas.alpha.shape
    turn = rng.choice((0.0, math.pi / 4, rng.uniform(0, math.pi / 2)))
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    u = (x * np.float32(math.cos(turn)) + y * np.float32(math.sin(turn))) * np.float32(2 * math.pi / step)
    v = (y * np.float32(math.cos(turn)) - x * np.float32(math.sin(turn))) * np.float32(2 * math.pi / step)
    wave = (np.cos(u) + np.cos(v)) / 4 + np.float32(0.5)  # 1 in the middle of a dot
    cover = np.float32(rng.uniform(0.45, 0.75))
    dots = ((wave - (1 - cover)) * np.float32(step * 1.5) + np.float32(0.5)).clip(0, 1)
    canvas.alpha = (canvas.alpha * dots).astype(np.uint8)


def _speckle(rng: Random, style: Style, canvas: Canvas, ink: Colour, noise: np.random.Generator) -> None:
    """Replace ink and ground by specks of each other, one to three pixels wide."""
    height, width = canvas.alpha.shape
    side = min(rng.choice((1, 1, 2, 2, 3)), max(1, int(stroke_px(canvas.alpha) / 2.5)))
    table = noise.random((-(-height // side), -(-width // side)), np.float32)
    dice = np.repeat(np.repeat(table, side, 0), side, 1)[:height, :width]
    canvas.colour[canvas.alpha <= 24] = ink
    share = canvas.alpha.astype(np.float32) / 255
    density = share * (1 - style.speckle) + (1 - share) * style.stray
    canvas.alpha = np.where(dice < density, 255, 0).astype(np.uint8)
