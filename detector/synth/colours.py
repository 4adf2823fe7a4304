"""Background colours and inks that contrast with them. Colours are BGR, brightness is Rec. 601 luma, 0-255."""

from __future__ import annotations

import colorsys
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.style import Style

Image = NDArray[np.uint8]
Colour = tuple[float, float, float]

_LUMA = (0.114, 0.587, 0.299)
_GROUNDS = {"white": (245, 255), "pastel": (185, 245), "light": (130, 235), "dark": (8, 90), "any": (8, 248)}
_BACKLIGHTS = (
    # Hue in degrees, saturation, value; each from and to.
    ((95, 145), (0.75, 1.0), (0.35, 1.0)),  # green
    ((95, 165), (0.2, 0.75), (0.3, 0.95)),
    ((140, 190), (0.4, 1.0), (0.5, 1.0)),  # cyan
    ((195, 235), (0.25, 0.9), (0.45, 1.0)),  # blue
    ((195, 260), (0.05, 0.35), (0.5, 1.0)),
    ((14, 60), (0.6, 1.0), (0.45, 1.0)),  # orange to yellow
    ((10, 60), (0.1, 0.5), (0.4, 0.85)),  # brown, beige
    ((50, 100), (0.1, 0.45), (0.4, 0.85)),  # the grey green of liquid crystal without a light
    ((50, 100), (0.1, 0.45), (0.4, 0.85)),
    ((0, 360), (0.0, 0.12), (0.3, 1.0)),  # grey
    ((0, 360), (0.0, 0.12), (0.3, 1.0)),
    ((290, 380), (0.1, 0.5), (0.4, 0.95)),  # pink
)


def luma(colour: Colour) -> float:
    """Rec. 601 luma of a colour."""
    return sum(c * w for c, w in zip(colour, _LUMA, strict=True))


def as_colour(values: NDArray[np.float64]) -> Colour:
    """Convert an array of three numbers to a colour."""
    return float(values[0]), float(values[1]), float(values[2])


def colour_of(rng: Random, brightness: float, saturation: float) -> Colour:
    """Draw a random hue of about this brightness; ``saturation`` 0 is grey, 1 the most saturated possible."""
    raw = (rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1))
    middle = luma(raw)
    hue = [(c - middle) * 150 * saturation for c in raw]
    # Scale the hue into 0 to 255 at this brightness: clipping would change the brightness.
    room = min([1.0] + [(255 - brightness) / h if h > 0 else brightness / -h for h in hue if abs(h) > 1e-6])
    b, g, r = (float(brightness + max(0.0, room) * h) for h in hue)
    return b, g, r


def ink_for(rng: Random, style: Style, low: float, high: float) -> Colour:
    """Draw a colour at least ``style.contrast`` darker than ``low`` or brighter than ``high``, if possible."""
    if style.ink_bgr is not None and style.ink == "one":
        return style.ink_bgr
    if style.ink == "each" and style.any_hue:
        return _any_hue(rng, style.contrast, low, high)
    contrast = style.contrast
    if style.ink == "each":
        contrast = max(contrast, 28.0)
    below, above = low - contrast, 255 - (high + contrast)
    if max(below, above) <= 0:
        brightness = 0.0 if low > 255 - high else 255.0
    elif rng.random() < max(0.0, below) ** 1.5 / (max(0.0, below) ** 1.5 + max(0.0, above) ** 1.5):
        brightness = below * rng.random() ** (1.6 if style.ink == "one" else 0.8)
    else:
        brightness = 255 - above * rng.random() ** 1.6
    saturation = 0.0 if style.grey else rng.choice((0.0, 0.2, 0.6, 1.0)) if style.ink == "one" else 1.0
    return colour_of(rng, brightness, saturation)


def _any_hue(rng: Random, contrast: float, low: float, high: float) -> Colour:
    """Draw a colour with one channel at least ``contrast`` outside of ``low`` to ``high``, as pale yellow on white."""
    min_contrast = max(24.0, min(contrast, 0.5 * max(low, 255 - high)))
    power = rng.choice((1.0, 1.0, 1.0, 0.4))  # below 1: most are close to the ground
    for _ in range(20):
        far = [rng.random() ** power for _ in _LUMA]
        colour = as_colour(255 * np.array(far if low > 255 - high else [1 - f for f in far]))
        if max(max(low - c, c - high) for c in colour) >= min_contrast:
            break
    return colour


def ground_of(rng: Random, style: Style) -> Colour:
    """Draw the main colour of the background."""
    if style.ground == "backlight":
        return backlight(rng)
    if style.ground_bgr is not None:
        return style.ground_bgr
    low, high = _GROUNDS[style.ground]
    saturation = 0.0 if style.grey else rng.choice((0.0, 0.1, 0.4, 0.9))
    return colour_of(rng, rng.uniform(low, high), saturation)


def backlight(rng: Random) -> Colour:
    """Draw the colour of a liquid crystal display's light."""
    hue, saturation, value = (rng.uniform(*ends) for ends in rng.choice(_BACKLIGHTS))
    r, g, b = colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
    return 255 * b, 255 * g, 255 * r


def background(
    rng: Random, style: Style, ground: Colour, size_wh: tuple[int, int], noise: np.random.Generator
) -> Image:
    """Draw the empty picture, uint8 (H, W, 3)."""
    width, height = size_wh
    kind = style.background
    if kind in ("gradient", "blobs", "metal", "split", "pixels"):
        return _clouds(rng, kind, ground, (width, height), noise)
    image: Image = np.full((height, width, 3), ground, np.float64).round().clip(0, 255).astype(np.uint8)
    if kind == "noise":
        strength = rng.uniform(6, max(8.0, min(26.0, style.contrast * 0.28)))
        shrink = rng.choice((1, 1, 2, 3))
        small = noise.standard_normal((-(-height // shrink), -(-width // shrink), 1), np.float32) * strength
        grain = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 1)
        return (image + grain).clip(0, 255).astype(np.uint8)
    if kind == "guilloche":
        _guilloche(rng, image, ground)
    return image


def _clouds(rng: Random, kind: str, ground: Colour, size_wh: tuple[int, int], noise: np.random.Generator) -> Image:
    """Upscale a few cells of colour to the picture: two give a gradient, more give blurred blobs."""
    cells = {"gradient": (2, 2), "blobs": (rng.randint(2, 5), rng.randint(3, 10)), "metal": (rng.randint(12, 40), 3)}
    rows, columns = cells.get(kind, (2, 2))
    if kind == "pixels":
        side = rng.choice((2, 3, 4, 6))
        rows, columns = -(-size_wh[1] // side), -(-size_wh[0] // side)
    spread = rng.uniform(5, 28 if kind != "pixels" else 16)
    table = noise.normal(0, spread, (rows, columns, 1)) + noise.normal(0, spread * 0.35, (rows, columns, 3))
    if kind == "split":  # two plain fields, one of them a band at a side
        table = np.zeros((8, 8, 3))
        cut = rng.randint(1, 3)
        field = np.s_[:cut] if rng.random() < 0.4 else np.s_[-cut:] if rng.random() < 0.6 else np.s_[:, :1]
        table[field] = noise.normal(0, 38, 3)
    how = cv2.INTER_NEAREST if kind in ("split", "pixels") else cv2.INTER_CUBIC if kind == "blobs" else cv2.INTER_LINEAR
    image = cv2.resize((table + np.array(ground)).astype(np.float32), size_wh, interpolation=how)
    return np.asarray(image.clip(0, 255).astype(np.uint8))


def _guilloche(rng: Random, image: Image, ground: Colour) -> None:
    """Draw fine wavy lines close to the brightness of the ground, as on cheques."""
    height, width = image.shape[:2]
    change = rng.choice((-1, 1)) * rng.uniform(14, 34)
    colour = tuple(min(255.0, max(0.0, c + change)) for c in ground)
    x = np.linspace(-8, width + 8, 24)
    wave = rng.uniform(1, 7) * np.sin(x * rng.uniform(0.01, 0.08) + rng.uniform(0, 6))
    lean, step = rng.uniform(-0.5, 0.5), rng.uniform(4, 11)
    lines = [
        np.column_stack([x, y0 + wave + lean * (x - width / 2)]).round().astype(np.int32)
        for y0 in np.arange(-width * abs(lean) / 2, height + width * abs(lean) / 2, step)
    ]
    cv2.polylines(image, lines, False, colour, 1, cv2.LINE_AA)


def brightness_range(image: Image) -> tuple[float, float]:
    """Brightness of the darkest and brightest parts, single pixels excluded."""
    small = cv2.resize(image, (16, 8), interpolation=cv2.INTER_AREA).reshape(-1, 3) @ np.array(_LUMA)
    ordered = np.sort(small)
    return float(ordered[5]), float(ordered[-6])
