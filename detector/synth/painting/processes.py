"""How ink came onto its ground: stamped, sprayed, chalked, copied, worn; and grounds that are pressed, not inked."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from detector.synth.colours import Colour, Image, as_colour, colour_of, luma
from detector.synth.painting.canvas import Canvas, Layer, blended
from detector.synth.painting.grounds import octaves
from detector.synth.setting.typesetting import scaled
from detector.synth.style import Style


def processed(rng: Random, process: str, alpha: Layer, cap_px: float, noise: np.random.Generator) -> Layer:
    """Return what the process leaves of the ink, (H, W)."""
    height, width = alpha.shape
    ink = alpha.astype(np.float32)
    if process == "stamp":
        press = octaves(noise, (width, height), (6, 3), 0.6) * np.float32(rng.uniform(0.15, 0.45)) + np.float32(0.85)
        rim = ink - np.asarray(cv2.erode(ink, np.ones((3, 3), np.uint8)), np.float32)
        ink = np.maximum(ink * press.clip(0.25, 1), rim * np.float32(rng.uniform(0.3, 0.9)))
    elif process == "ribbon":
        strikes = cv2.resize(noise.random((1, 12), np.float32), (width, 1), interpolation=cv2.INTER_LINEAR)
        cloth = noise.random((height, width), np.float32)
        ink *= (strikes * np.float32(0.5) + np.float32(0.65)).clip(0.5, 1) * (0.7 + cloth * np.float32(0.5)).clip(0, 1)
    elif process == "thermal":
        broken = np.ones(width, np.float32)
        broken[noise.random(width) < rng.choice((0.0, 0.02, 0.05))] = np.float32(rng.uniform(0, 0.5))
        fading = np.linspace(rng.uniform(0.55, 1), rng.uniform(0.55, 1), width, dtype=np.float32)
        rows = np.where(noise.random((height, 1)) < 0.06, np.float32(0.6), np.float32(1))
        ink *= broken * fading * rows
    elif process == "chalk":
        grain = cv2.GaussianBlur(noise.standard_normal((height, width), np.float32), (0, 0), 0.7)
        ink *= (grain * 2 + np.float32(rng.uniform(0.55, 0.9))).clip(0.1, 1)
    elif process == "spray":
        reach = cap_px * rng.uniform(0.02, 0.06)
        soft = np.asarray(cv2.GaussianBlur(ink, (0, 0), max(0.5, reach)), np.float32)
        far = np.asarray(cv2.GaussianBlur(ink, (0, 0), max(1.0, 4 * reach)), np.float32)
        drops = (noise.random((height, width), np.float32) * np.float32(600) < far) * np.float32(rng.uniform(90, 200))
        ink = np.maximum(np.minimum(soft * np.float32(1.3), 255), drops)
    elif process == "copy":
        soft = np.asarray(cv2.GaussianBlur(ink, (0, 0), max(0.5, cap_px * 0.02)), np.float32)
        grain = noise.standard_normal((height, width), np.float32) * np.float32(rng.uniform(10, 45))
        ink = np.where(soft + grain > rng.uniform(95, 140), np.float32(255), np.float32(0))
        ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.3, 0.6)), np.float32)
    else:  # worn
        flakes = octaves(noise, (width, height), (14, 6), 0.8)
        ink *= ((flakes + np.float32(rng.uniform(0.9, 1.9))) * 4).clip(rng.uniform(0.05, 0.3), 1)
        scratched = np.full((height, width), 1, np.float32)
        for _ in range(rng.choice((0, 0, 2, 5))):
            start, end = ((rng.randrange(width), rng.randrange(height)) for _ in range(2))
            cv2.line(scratched, start, end, 0.2, 1, cv2.LINE_AA)
        ink *= scratched
    if process in ("chalk", "worn", "stamp"):  # small signs have no stroke to lose
        ink_share = np.float32(min(0.75, max(0.0, (34 - cap_px) / 16)))
        ink = np.maximum(ink, alpha * ink_share)
    return np.asarray(ink.clip(0, 255).astype(np.uint8))


def filled(rng: Random, style: Style, image: Image, canvas: Canvas) -> None:
    """Vary the ink's colours along the signs, to others that are no closer in brightness to the ground."""
    ink = canvas.alpha > 24
    if not ink.any():
        return
    height, width = canvas.alpha.shape
    rows = np.flatnonzero(ink.any(1))
    y = np.arange(height, dtype=np.float32)[:, None]
    share = ((y - rows[0]) / max(1, rows[-1] - rows[0])).clip(0, 1)
    if style.fill == "stripes":
        x = np.arange(width, dtype=np.float32)[None] * np.float32(rng.uniform(-1, 1))
        share = np.sin((x + y) * np.float32(2 * math.pi / rng.uniform(0.06, 0.25) / height)) * 0.5 + 0.5
    elif style.fill == "mottled":
        cells = _noise_of(rng).random((rng.randint(3, 12), rng.randint(8, 40)), np.float32)
        share = np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)).clip(0, 1)
    share = np.broadcast_to(share, (height, width))
    bright = luma(as_colour(canvas.colour[ink].mean(0).astype(np.float64)))
    share_left = rng.uniform(0.3, 1)  # of the brightness, or of what it lacks to white
    darker = bright < float(image[::4, ::4].mean())
    other = colour_of(rng, bright * share_left if darker else 255 - (255 - bright) * share_left, 1.0)
    mixed = cv2.blendLinear(
        canvas.colour, np.full_like(canvas.colour, np.array(other).round().clip(0, 255)),
        np.ascontiguousarray(1 - share, np.float32), np.ascontiguousarray(share, np.float32),
    )  # fmt: skip
    canvas.colour = np.asarray(mixed, np.uint8)


def _noise_of(rng: Random) -> np.random.Generator:
    """Return a generator of arrays whose seed is drawn."""
    return np.random.Generator(np.random.PCG64(rng.getrandbits(32)))


def relief(rng: Random, image: Image, alpha: Layer, cap_px: float) -> Image:
    """Press the signs into the ground or out of it: no ink, only light and shadow on their edges."""
    soft = max(0.6, cap_px * rng.uniform(0.015, 0.05))
    heights = np.asarray(cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), soft), np.float32)
    sun = rng.choice((math.radians(225 + rng.uniform(-50, 50)), rng.uniform(0, 2 * math.pi)))
    slope = cv2.Sobel(heights, cv2.CV_32F, 1, 0) * np.float32(math.cos(sun))
    slope = slope + cv2.Sobel(heights, cv2.CV_32F, 0, 1) * np.float32(math.sin(sun))
    slope = slope / np.float32(max(1.0, float(np.abs(slope).max()) * 0.8)) * rng.choice((-1, 1))
    grey = image[::2, ::2].mean(-1)
    bright = float(grey.mean())
    contrast = float((grey - cv2.blur(grey, (7, 7))).std())
    strength = max(38.0 if 60 < bright < 190 else 55.0, 3 * contrast, 0.9 * float(grey.std())) + rng.random() ** 2 * 80
    lights, shades = rng.choice(((1.0, 1.0), (1.0, 1.0), (0.3, 1.3), (1.3, 0.3)))
    # A bright ground cannot become brighter, nor a dark one darker.
    shades, lights = (
        (max(shades, 1.0), lights) if bright > 190 else (shades, max(lights, 1.0) if bright < 60 else lights)
    )
    change = (slope.clip(0, 1) * np.float32(lights) + slope.clip(-1, 0) * np.float32(shades)) * np.float32(strength)
    change = change + heights * np.float32(rng.choice((0.0, -1.0, -1.0, 1.0)) * rng.uniform(0.05, 0.16))
    return np.asarray((image + change[..., None]).clip(0, 255).astype(np.uint8))


def neon(rng: Random, image: Image, colour: Image, alpha: Layer, cap_px: float) -> Image:
    """Tubes that shine: a white core, the colour round it and on the wall."""
    for reach, share in ((0.22, 0.45), (0.07, 0.6)):
        glow = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(0.8, cap_px * reach)), np.uint8)
        spread = np.asarray(cv2.dilate(colour, np.ones((9, 9), np.uint8)), np.uint8)
        image = blended(image, spread, scaled(glow, share * rng.uniform(0.8, 1.2)))
    image = blended(image, colour, alpha)
    core = np.asarray(cv2.erode(alpha, np.ones((3, 3), np.uint8)), np.uint8)
    return blended(image, (255.0, 255.0, 255.0), scaled(core, rng.uniform(0.3, 0.9)))


def rimmed(rng: Random, image: Image, colour: Image, alpha: Layer, cap_px: float) -> Image:
    """Draw a rim of another colour round the signs, and perhaps one round that."""
    bright = luma(as_colour(colour[alpha > 128].mean(0).astype(np.float64))) if (alpha > 128).any() else 0.0
    rims: list[Colour] = []
    for _ in range(rng.choice((1, 1, 2))):
        bright = rng.uniform(0, bright - 90) if bright > 128 else rng.uniform(bright + 90, 255)
        rims.append(colour_of(rng, bright, rng.choice((0.0, 1.0))))
    for number in range(len(rims), 0, -1):
        reach = 2 * max(1, round(cap_px * 0.035 * number)) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        image = blended(image, rims[number - 1], np.asarray(cv2.dilate(alpha, kernel), np.uint8))
    return image
