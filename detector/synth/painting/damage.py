"""The damage of lenses, sensors and compression."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from detector.synth.colours import Image
from detector.synth.style import Style


def damaged(rng: Random, style: Style, image: Image, cap_px: float, noise: np.random.Generator) -> Image:
    """Apply the damage of lenses, sensors and compression, in that order."""
    height, width = image.shape[:2]
    if style.shade:
        image = _shaded(rng, image, style.shade)
    if style.blur and cap_px > 16:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), style.blur * min(1.6, cap_px / 30)), np.uint8)
    if style.motion and cap_px > 24:
        kernel = np.zeros((style.motion, style.motion), np.float32)
        kernel[style.motion // 2] = 1 / style.motion
        image = np.asarray(cv2.filter2D(image, -1, kernel), np.uint8)
    shrink = style.low_px / cap_px if style.low_px else 1.0
    small = image
    if shrink < 0.9:
        to = (max(8, round(width * shrink)), max(8, round(height * shrink)))
        small = np.asarray(cv2.resize(image, to, interpolation=cv2.INTER_AREA), np.uint8)
    if style.noise:
        grain = noise.standard_normal(small.shape[:2], np.float32)[..., None] * np.float32(style.noise)
        small = (small + grain).clip(0, 255).astype(np.uint8)
    if style.pepper:
        small = _peppered(small, style.pepper * min(1.0, shrink), noise)
    if shrink < 0.9:
        how = rng.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_CUBIC, cv2.INTER_NEAREST))
        small = np.asarray(cv2.resize(small, (width, height), interpolation=how), np.uint8)
    if style.jpeg:
        is_encoded, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, style.jpeg])
        small = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) if is_encoded else small
    return small


def _shaded(rng: Random, image: Image, loss: float) -> Image:
    """Darken one side of the picture by the share ``loss``, with a sharp or soft edge."""
    height, width = image.shape[:2]
    turn = rng.uniform(0, 2 * math.pi)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None] * np.float32(math.cos(turn))
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(math.sin(turn))
    soft = rng.choice((0.02, 0.1, 0.4, 1.0))
    beyond = ((across + down - np.float32(rng.uniform(-0.35, 0.35))) / np.float32(soft) + 0.5).clip(0, 1)  # (H, W)
    darkness = np.float32(loss) * beyond
    return np.asarray(cv2.blendLinear(image, np.zeros_like(image), 1 - darkness, darkness), np.uint8)


def _peppered(image: Image, share: float, noise: np.random.Generator) -> Image:
    """Make this share of the pixels black, half as many of them white."""
    dice = noise.random(image.shape[:2], np.float32)[..., None]
    return np.where(dice < share * 2 / 3, 0, np.where(dice > 1 - share / 3, 255, image)).astype(np.uint8)
