"""What a picture lies on and went through: bent surfaces with their light, screens and scanners, a tight crop."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.data.letterbox import letterbox
from detector.synth.colours import Image
from detector.synth.painting.canvas import Canvas, Layer
from detector.synth.painting.grounds import Field, octaves
from detector.synth.style import Style


def bent(rng: Random, style: Style, image: Image, canvas: Canvas, cap_px: float, noise: np.random.Generator) -> Image:
    """Bend the picture over the style's surface; the canvas's points follow."""
    if style.surface == "flat":
        return image
    height, width = image.shape[:2]
    size_wh = (width, height)
    if style.surface in ("bottle", "pipe"):
        shift_x, shift_y, light = _round(rng, style.surface == "bottle", size_wh)
    elif style.surface == "crumpled":
        shift_x, shift_y, light = _crumpled(rng, size_wh, cap_px, noise)
    else:
        shift_x, shift_y, light = _folds(rng, size_wh, cap_px, noise)
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    moved = cv2.remap(image, x + shift_x, y + shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    canvas.follow(shift_x, shift_y)
    lit = moved.astype(np.float32) * light[..., None]
    if style.surface == "film":  # plastic over it mirrors a lamp
        glare = (octaves(noise, size_wh, (6, 2), 0.3) - np.float32(0.9)).clip(0, 1) * np.float32(rng.uniform(0.2, 0.55))
        lit += (255 - lit) * glare[..., None]
    return np.asarray(lit.clip(0, 255).astype(np.uint8))


def _folds(
    rng: Random, size_wh: tuple[int, int], cap_px: float, noise: np.random.Generator
) -> tuple[Field, Field, Field]:
    """Soft folds of cloth: shifts in x and y, and the light on them, each (H, W)."""
    width, height = size_wh
    heights = octaves(noise, size_wh, (rng.randint(2, 5), rng.randint(2, 3)), 0.3)
    turn, step = rng.uniform(0, math.pi), rng.uniform(0.7, 3.0) * height
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    across = (x * np.float32(math.cos(turn)) + y * np.float32(math.sin(turn))) * np.float32(2 * math.pi / step)
    heights = heights * np.float32(0.6) + np.sin(across + heights * np.float32(rng.uniform(0.3, 1.5)))
    slope_x, slope_y = _slopes(heights)
    steepest = np.float32(max(1e-6, float(np.abs(slope_x).max()), float(np.abs(slope_y).max())))
    slope_x, slope_y = slope_x / steepest, slope_y / steepest
    sun = rng.uniform(0, 2 * math.pi)
    lit = (slope_x * np.float32(math.cos(sun)) + slope_y * np.float32(math.sin(sun))) * np.float32(
        rng.uniform(0.1, 0.4)
    )
    reach = np.float32(min(rng.uniform(0.04, 0.13) * cap_px, 0.05 * height))  # pixels
    return slope_x * reach, slope_y * reach, np.asarray(1 + lit, np.float32)


def _crumpled(
    rng: Random, size_wh: tuple[int, int], cap_px: float, noise: np.random.Generator
) -> tuple[Field, Field, Field]:
    """Creases of paper: flat facets, each with a light of its own."""
    width, height = size_wh
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    heights = np.zeros((height, width), np.float32)
    for _ in range(rng.randint(3, 9)):
        turn, at = rng.uniform(0, math.pi), (rng.uniform(0, width), rng.uniform(0, height))
        across = (x - np.float32(at[0])) * np.float32(math.cos(turn)) + (y - np.float32(at[1])) * np.float32(
            math.sin(turn)
        )
        heights += np.abs(across) * np.float32(rng.choice((-1, 1)) * rng.uniform(0.3, 1) / height)
    slope_x, slope_y = _slopes(heights)
    sun = rng.uniform(0, 2 * math.pi)
    lit = slope_x * np.float32(math.cos(sun)) + slope_y * np.float32(math.sin(sun))
    lit = (lit - lit.mean()) / np.float32(max(1e-6, float(np.abs(lit).max())))
    heights = (heights - heights.mean()) / np.float32(max(1e-6, float(heights.std())))
    heights = heights.clip(-2, 2) * np.float32(min(rng.uniform(0.02, 0.07) * cap_px, 0.03 * height))
    soft = np.asarray(cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.5, 1.2)), np.float32)
    lean = rng.uniform(-1, 1)
    return heights * np.float32(lean), heights, 1 + soft * np.float32(rng.uniform(0.1, 0.35))


def _round(rng: Random, upright: bool, size_wh: tuple[int, int]) -> tuple[Field, Field, Field]:
    """Bend a surface as a bottle (``upright``) or a pipe: its sides are narrower and darker, rings are bows."""
    width, height = size_wh
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    side = width if upright else height
    along, middle = (x if upright else y), side * rng.uniform(0.4, 0.6)
    radius = side * rng.uniform(0.72, 1.3) if upright else side * rng.uniform(0.75, 1.2)
    turn = np.arcsin(((along - np.float32(middle)) / np.float32(radius)).clip(-0.83, 0.83))
    bow = (1 - np.cos(turn)) * np.float32(rng.uniform(-0.35, 0.35) * height)  # seen from above or below
    narrow = turn * np.float32(radius) - (along - np.float32(middle))
    narrow = narrow * np.float32(0.6)  # the first and last sign stay legible
    lamp = np.float32(rng.uniform(-0.5, 0.5))
    light = np.float32(rng.uniform(0.35, 0.6)) + np.float32(0.6) * np.cos(turn - lamp)
    shine = np.exp(-(((turn - lamp) / np.float32(rng.uniform(0.03, 0.15))) ** 2)) * np.float32(
        rng.choice((0, 0.1, 0.3))
    )
    shifts = (narrow, bow) if upright else (np.zeros_like(narrow), narrow)
    shift_x, shift_y, lit = (
        np.ascontiguousarray(np.broadcast_to(field, (height, width))) for field in (*shifts, light + shine)
    )
    return shift_x, shift_y, lit


def _slopes(heights: Field) -> tuple[Field, Field]:
    """Derivatives in x and y, each (H, W)."""
    slope_x = cv2.Sobel(heights, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(heights, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray(slope_x, np.float32), np.asarray(slope_y, np.float32)


def through(rng: Random, style: Style, image: Image, alpha: Layer, noise: np.random.Generator) -> Image:
    """The picture after its medium: "screen", "scan" (paper with the other side's print) or "fax" (black and white)."""
    if style.medium == "none":
        return image
    if style.medium == "screen":
        return _screen(rng, image)
    height, width = image.shape[:2]
    if style.medium == "scan":
        other = np.asarray(cv2.GaussianBlur(cv2.flip(alpha, 1), (0, 0), rng.uniform(0.8, 2)), np.float32)
        change = -other * np.float32(rng.uniform(0.03, 0.13))
        change += octaves(noise, (width, height), (5, 2)) * np.float32(rng.uniform(0, 6))
        return np.asarray((image + change[..., None]).clip(0, 255).astype(np.uint8))
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    grain = noise.standard_normal((height, width), np.float32) * np.float32(rng.uniform(2, 22))
    black = (grey + grain) < level + rng.uniform(-12, 12)
    fax = np.where(black, np.uint8(rng.randint(0, 40)), np.uint8(rng.randint(225, 255)))
    specks = noise.random((height, width)) < rng.choice((0.0, 0.002, 0.01))
    return np.asarray(np.repeat(np.where(specks, 255 - fax, fax)[..., None], 3, axis=2), np.uint8)


def _screen(rng: Random, image: Image) -> Image:
    """Stripes of red, green and blue, and the waves where they beat against the camera's pixels."""
    height, width = image.shape[:2]
    period, lean = rng.uniform(2.2, 4.5), rng.uniform(-0.25, 0.25)
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    phase = (x + y * np.float32(lean)) * np.float32(2 * math.pi / period)
    bars = np.stack([np.cos(phase + np.float32(k * 2 * math.pi / 3)) for k in range(3)], axis=-1)  # (H, W, 3)
    wave = np.float32(rng.uniform(1, 6) * 2 * math.pi / width)
    beat = np.sin(x * wave + y * wave * np.float32(rng.uniform(-2, 2)) + np.sin(y * wave) * np.float32(2))
    rows = np.sin(y * np.float32(2 * math.pi / rng.uniform(2.2, 5)))
    light = 1 + bars * np.float32(rng.uniform(0.05, 0.2)) + (rows * np.float32(rng.uniform(0, 0.1)))[..., None]
    light = light + beat[..., None] * np.array([rng.uniform(0.0, 0.13) for _ in "bgr"], np.float32)
    return np.asarray((image * light + np.float32(rng.uniform(0, 25))).clip(0, 255).astype(np.uint8))


def cut_out(rng: Random, image: Image, boxes_xyxy: NDArray[np.float32]) -> tuple[Image, NDArray[np.float32]]:
    """Crop to the signs, with little room on each side, and letterbox to the picture's own size; boxes follow."""
    height, width = image.shape[:2]
    (x1, y1), (x2, y2) = boxes_xyxy[:, :2].min(0).tolist(), boxes_xyxy[:, 2:].max(0).tolist()
    room = (y2 - y1) * rng.choice((0.08, 0.2, 0.45))
    left, top = max(0, int(x1 - rng.random() * room)), max(0, int(y1 - rng.random() * room))
    right = min(width, math.ceil(x2 + rng.random() * room))
    bottom = min(height, math.ceil(y2 + rng.random() * room))
    part, transform = letterbox(np.ascontiguousarray(image[top:bottom, left:right]), (height, width))
    corner = np.array([left, top] * 2, np.float32)
    return np.asarray(part, np.uint8), transform.to_letterboxed(boxes_xyxy - corner)
