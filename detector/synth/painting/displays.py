"""Paint what displays and counters have: back lights, lamps, rims of the window, reflections, round drums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import cv2
import numpy as np

from detector.synth.colours import Colour, Image, as_colour, colour_of, luma
from detector.synth.painting.canvas import Layer, blended
from detector.synth.setting.typesetting import FIELD, Placed, bounds, corners_of, scaled
from detector.synth.style import Style

_LAMPS = (  # BGR
    (30, 30, 255), (30, 30, 255), (40, 60, 255), (60, 255, 60), (90, 255, 120), (20, 150, 255), (40, 200, 255),
    (255, 110, 40), (255, 190, 60), (220, 255, 90), (220, 255, 90), (255, 255, 255), (240, 245, 255),
)  # fmt: skip


def display_ink(rng: Random, style: Style, low: float, high: float) -> Colour:
    """Draw the colour of a display's signs; ``low`` and ``high`` are the ground's brightness."""
    if style.display == "lcd":
        if style.ground == "dark":  # negative: light signs
            return colour_of(rng, rng.uniform(max(150.0, min(245.0, high + 90)), 250), rng.choice((0.0, 0.2, 0.6)))
        brightest = 45.0 if rng.random() < 0.8 else max(45.0, low - 90 / style.opacity)  # in glare ink is pale, too
        return colour_of(rng, rng.uniform(0, brightest), rng.choice((0.0, 0.1, 0.5)))
    colour = np.array(rng.choice(_LAMPS), float) * rng.uniform(0.65, 1.0)
    colour = np.clip(colour + [rng.uniform(-18, 18) for _ in "bgr"], 0, 255)
    while luma(as_colour(colour)) < min(250.0, high + style.contrast):
        colour += (255 - colour) * 0.15
    return as_colour(colour)


def paint_window(rng: Random, image: Image, style: Style, placed: Sequence[Placed]) -> None:
    """Paint what is behind the signs: the window's rims, and the fields of drums."""
    if style.rims:
        _paint_rims(rng, image, style, placed)
    for sign in placed:
        if sign.role == FIELD and sign.colour is not None:
            corners = (corners_of([sign]) * 16).round().astype(np.int32)
            cv2.fillConvexPoly(image, corners, sign.colour, cv2.LINE_AA, 4)


def behind_window(
    rng: Random, image: Image, style: Style, placed: Sequence[Placed], noise: np.random.Generator
) -> Image:
    """Paint what comes over the signs: the drums' shade and the window's reflections."""
    if style.drum_shade:
        image = _rounded(rng, image, style, placed)
    return _reflected(rng, image, style, noise) if style.reflections else image


def _paint_rims(rng: Random, image: Image, style: Style, placed: Sequence[Placed]) -> None:
    """Paint what is around the window, on some sides, between the labelled signs and the picture's edge."""
    text_signs = [sign for sign in placed if sign.label >= 0]
    if not text_signs:
        return
    height, width = image.shape[:2]
    x1, y1, x2, y2 = bounds(corners_of(text_signs))
    rim = colour_of(rng, rng.choice((rng.uniform(5, 50), rng.uniform(5, 240))), rng.choice((0.0, 0.1, 0.5)))
    for side, room in enumerate((y1, height - y2, x1, width - x2)):
        if rng.random() >= style.rims * (1.0 if side < 2 else 0.4) or room < 2:
            continue
        # A tilted edge, its two ends at different distances.
        a, b = (rng.uniform(0.1, 0.95) * room for _ in "ab")
        a, b = (a, a * 0.7 + b * 0.3) if side < 2 else (a, a * 0.8 + b * 0.2)
        low = side % 2 == 1
        if side < 2:
            edge, (a, b) = (height if low else 0), (height - a if low else a, height - b if low else b)
            corners = np.array([[-1, edge], [width, edge], [width, b], [-1, a]])
        else:
            edge, (a, b) = (width if low else 0), (width - a if low else a, width - b if low else b)
            corners = np.array([[edge, -1], [edge, height], [b, height], [a, -1]])
        area = (corners * 16).round().astype(np.int32)
        cv2.fillConvexPoly(image, area, rim, cv2.LINE_AA, 4)
        if rng.random() < 0.4:  # a bright or dark line along it
            line = colour_of(rng, rng.uniform(0, 255), 0.1)
            cv2.polylines(image, [area[2:]], False, line, rng.choice((1, 1, 2)), cv2.LINE_AA, 4)


def lit(rng: Random, image: Image, colour: Image, alpha: Layer, cap_px: float) -> Image:
    """Draw lamps: their light around them, and middles that are brighter than the camera can take."""
    strength, reach = rng.choice((0.0, rng.uniform(0.2, 0.6), rng.uniform(0.5, 0.95))), rng.uniform(0.04, 0.16)
    ink = colour[alpha > 128].mean(0) if (alpha > 128).any() else np.zeros(3)
    if strength:
        around = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(0.8, cap_px * reach)), np.uint8)
        image = blended(image, as_colour(ink), scaled(around, strength))
    image = blended(image, colour, alpha)
    white = rng.choice((0.0, rng.uniform(0.2, 1.0)))
    if white:
        soft = cv2.GaussianBlur(alpha, (0, 0), max(0.6, cap_px * 0.03)).astype(np.float32)
        core = ((soft - 120) * 1.9 * white).clip(0, 255).astype(np.uint8)
        image = blended(image, as_colour(255 - (255 - ink) * 0.15), core)
    return image


def _reflected(rng: Random, image: Image, style: Style, noise: np.random.Generator) -> Image:
    """Paint what a window reflects: soft light fields, a band across, small bright spots."""
    height, width = image.shape[:2]
    light = np.zeros((height, width), np.float32)
    kinds = rng.sample(("clouds", "band", "spots", "lamp"), rng.choice((1, 1, 2)))
    if "clouds" in kinds:
        cells = noise.random((rng.randint(2, 4), rng.randint(3, 9)), np.float32) ** 2
        light += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    if "band" in kinds:
        turn = rng.uniform(0, math.pi)
        x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
        along = (x - rng.uniform(0, width)) * np.float32(math.cos(turn)) + (y - height / 2) * np.float32(math.sin(turn))
        edge = np.float32(rng.uniform(0.03, 0.5) * height)
        light += ((rng.uniform(0.2, 1.0) * height - abs(along)) / edge).clip(0, 1)
    if "lamp" in kinds:
        at = (round(rng.uniform(0, width)), round(rng.uniform(0, height)))
        axes = (round(rng.uniform(0.1, 0.8) * height), round(rng.uniform(0.1, 0.5) * height))
        spot = np.zeros((height, width), np.float32)
        cv2.ellipse(spot, at, axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
        light += cv2.GaussianBlur(spot, (0, 0), rng.uniform(2, 9))
    share = (light.clip(0, 1) * (255 * style.reflections)).astype(np.uint8)
    if "spots" in kinds:
        for _ in range(rng.randint(1, 6)):  # smaller than a stroke
            at = (rng.randrange(width), rng.randrange(height))
            cv2.circle(share, at, rng.choice((1, 1, 2, 3)), rng.randint(150, 255), -1, cv2.LINE_AA)
        share = np.asarray(cv2.GaussianBlur(share, (0, 0), 0.7), np.uint8)
    return blended(image, colour_of(rng, rng.uniform(190, 255), rng.choice((0.0, 0.1, 0.4))), share)


def _rounded(rng: Random, image: Image, style: Style, placed: Sequence[Placed]) -> Image:
    """Darken drums towards their upper and lower ends, and under the window's upper edge."""
    row = next((sign for sign in placed if sign.role == FIELD), None)
    if row is None:
        return image
    height, width = image.shape[:2]
    v = np.linspace(-1, 1, 32, dtype=np.float32) + np.float32(rng.uniform(-0.25, 0.25))
    brightness = 1 - np.float32(style.drum_shade) * abs(v).clip(0, 1) ** rng.choice((2, 3, 5))
    if rng.random() < 0.4:
        brightness[: rng.randint(3, 8)] *= np.float32(rng.uniform(0.4, 0.8))
    profile = np.repeat(brightness[:, None], 8, axis=1)  # (32, 8)
    into = row.matrix @ np.array([[1, 0, 0], [0, 8 / 32, -0.375], [0, 0, 1.0]])
    shade = cv2.warpPerspective(
        profile, into, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1.0
    )
    return np.asarray(cv2.blendLinear(image, np.zeros_like(image), shade, 1 - shade), np.uint8)
