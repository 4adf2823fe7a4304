"""Grounds with a structure: what codes are on and in front of, and cars around plates."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Colour, Image, background, colour_of
from detector.synth.style import Style

Field = NDArray[np.float32]

_KRAFT = np.array([0.72, 0.95, 1.18])  # BGR: brown as cardboard, wood and rust are, at the same brightness


def octaves(noise: np.random.Generator, size_wh: tuple[int, int], cells: tuple[int, int], gain: float = 0.5) -> Field:
    """Sum noise of ``cells`` (columns, rows), of twice as many and so on, each ``gain`` times the last; deviation 1."""
    (width, height), (columns, rows) = size_wh, cells
    total, weight, power = np.zeros((height, width), np.float32), 1.0, 0.0
    for _ in range(4):
        table = noise.standard_normal((max(2, min(rows, height)), max(2, min(columns, width))), np.float32)
        total += cv2.resize(table, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(weight)
        power += weight * weight * 0.6  # interpolation loses some of it
        columns, rows, weight = columns * 2, rows * 2, weight * gain
        if columns > width and rows > height:
            break
    return total / np.float32(math.sqrt(power))


def painted_ground(
    rng: Random, style: Style, ground: Colour, size_wh: tuple[int, int], noise: np.random.Generator
) -> Image:
    """Draw the empty picture in about the colour of the ground, uint8 (H, W, 3)."""
    kind, (width, height) = style.background, size_wh
    if kind not in TEXTURES:
        return background(rng, style, ground, size_wh, noise)
    if kind == "photo":
        return _photo(rng, ground, size_wh, noise)
    base = np.array(ground)
    if kind in ("cardboard", "wood", "rust") and rng.random() < 0.6:
        base = np.clip(base.mean() * _KRAFT, 0, 255)
    relief = {
        "cardboard": _cardboard, "wood": _wood, "concrete": _concrete, "brushed": _brushed, "rust": _rust,
        "foil": _foil, "weave": _weave,
    }[kind](rng, (width, height), noise)  # fmt: skip
    tint = np.array([rng.uniform(0.7, 1.0) for _ in "bgr"]) if kind in ("rust", "wood") else np.ones(3)
    image = base.astype(np.float32) + relief[..., None] * tint.astype(np.float32)
    return np.asarray(image.clip(0, 255).astype(np.uint8))


def _cardboard(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Field:
    """Flutes that show through, and fibres."""
    width, height = size_wh
    along = np.arange(height if rng.random() < 0.5 else width, dtype=np.float32)
    flutes = np.sin(along * np.float32(2 * math.pi / rng.uniform(4, 14)) + np.float32(rng.uniform(0, 6)))
    flutes = flutes[:, None] if len(along) == height and height != width else flutes[None]
    fibres = octaves(noise, size_wh, (width // 3, height // 2)) * np.float32(rng.uniform(2, 6))
    return np.asarray(fibres + flutes * np.float32(rng.choice((0.0, rng.uniform(2, 8)))), np.float32)


def _wood(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Field:
    """Grain along the picture, bent round knots, and gaps between boards."""
    height = size_wh[1]
    slow = octaves(noise, size_wh, (3, 3)) * np.float32(rng.uniform(0.3, 1.2))
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(rng.uniform(10, 40) / height)
    grain = np.sin(y + slow * 3) * np.float32(rng.uniform(3, 12))
    grain += octaves(noise, size_wh, (4, height), 0.6) * np.float32(rng.uniform(3, 9))
    for _ in range(rng.choice((0, 0, 1, 2))):
        row, thick = rng.randrange(height), max(1, round(height / 64))
        grain[row : row + thick] -= np.float32(rng.uniform(30, 70))
    return grain


def _concrete(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Field:
    """Stains, grains, pits, and now and then a crack."""
    width, height = size_wh
    stone = octaves(noise, size_wh, (4, 2), 0.7) * np.float32(rng.uniform(5, 12))
    stone += noise.standard_normal((height, width), np.float32) * np.float32(rng.uniform(2, 8))
    for x, y in noise.random((rng.randint(0, 30), 2)):
        cv2.circle(stone, (int(x * width), int(y * height)), rng.choice((0, 1, 1, 2)), -rng.uniform(10, 50), -1)
    if rng.random() < 0.3:
        start, steps = np.array([rng.uniform(0, width), 0]), noise.normal(0, 0.08, (9, 2)) * height
        path = start + np.cumsum(steps + np.array([0, height / 8]), axis=0)
        cv2.polylines(stone, [path.round().astype(np.int32)], False, -rng.uniform(20, 50), 1, cv2.LINE_AA)
    return stone


def _brushed(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Field:
    """Fine streaks one way, a soft reflection the other."""
    width, height = size_wh
    cells = (width // 24, height) if rng.random() < 0.75 else (width, height // 12)
    shine = cv2.resize(noise.standard_normal((2, 4), np.float32), size_wh, interpolation=cv2.INTER_CUBIC)
    return octaves(noise, size_wh, cells) * np.float32(rng.uniform(3, 9)) + shine * np.float32(rng.uniform(4, 22))


def _rust(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Field:
    """Blotches with ragged edges on smooth metal."""
    blotches = octaves(noise, size_wh, (5, 3), 0.7)
    spots = (blotches * 4 - np.float32(rng.uniform(-2, 4))).clip(0, 1)
    grain = noise.standard_normal(blotches.shape, np.float32)
    return np.asarray(grain * (2 + spots * 6) - spots * np.float32(rng.uniform(10, 35)), np.float32)


def _foil(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Field:
    """Creases that mirror lamps."""
    creased = np.abs(octaves(noise, size_wh, (rng.randint(3, 9), rng.randint(2, 5)), 0.4))
    lamps = (creased - np.float32(1.3)).clip(0, 1.5) * np.float32(rng.uniform(20, 70))
    return lamps + (creased - np.float32(0.8)) * np.float32(rng.uniform(8, 22))


def _weave(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Field:
    """Threads over and under each other, or ribs."""
    width, height = size_wh
    step = 2 * math.pi / rng.uniform(2.5, 6)
    x = np.sin(np.arange(width, dtype=np.float32)[None] * np.float32(step))
    y = np.sin(np.arange(height, dtype=np.float32)[:, None] * np.float32(step))
    threads = (x * y if rng.random() < 0.6 else np.broadcast_to(x, (height, width))) * np.float32(rng.uniform(2, 10))
    return threads + octaves(noise, size_wh, (8, 4)) * np.float32(rng.uniform(2, 6))


def _photo(rng: Random, ground: Colour, size_wh: tuple[int, int], noise: np.random.Generator) -> Image:
    """Paint a blurred or sharp view: clouds, leaves, walls, stripes and edges in colours round that of the ground."""
    width, height = size_wh
    spread = rng.uniform(12, 34)
    image = np.empty((height, width, 3), np.float32)
    shared = octaves(noise, size_wh, (rng.randint(3, 8), rng.randint(2, 4)), rng.uniform(0.4, 0.8))
    tints = cv2.resize(noise.standard_normal((3, 5, 3), np.float32), size_wh, interpolation=cv2.INTER_CUBIC)
    image[:] = np.array(ground, np.float32) + shared[..., None] * np.float32(spread) + tints * np.float32(spread * 0.4)
    for _ in range(rng.choice((0, 3, 8, 25))):  # things, or leaves
        colour = [c + rng.gauss(0, spread * 1.2) for c in ground]
        middle = (rng.randrange(width), rng.randrange(height))
        reach = height * rng.choice((0.08, 0.15, 0.5))
        if rng.random() < 0.5:
            axes = (max(1, int(rng.uniform(0.3, 1) * reach)), max(1, int(rng.uniform(0.2, 0.6) * reach)))
            cv2.ellipse(image, middle, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            corners = [[middle[0] + rng.gauss(0, reach), middle[1] + rng.gauss(0, reach)] for _ in range(4)]
            cv2.fillConvexPoly(image, cv2.convexHull(np.array(corners).round().astype(np.int32)), colour, cv2.LINE_AA)
    if rng.random() < 0.3:  # bricks, blinds, fences
        step, thick, change = rng.uniform(0.1, 0.5) * height, rng.choice((1, 2, 4)), rng.choice((-1, 1)) * spread
        level = rng.random() < 0.6
        for at in np.arange(rng.uniform(0, step), height if level else width, step).astype(int).tolist():
            image[np.s_[at : at + thick] if level else np.s_[:, at : at + thick]] += np.float32(change)
    if rng.random() < 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 3) * height / 64), np.float32)
    return np.asarray(image.clip(0, 255).astype(np.uint8))


TEXTURES = ("photo", "cardboard", "wood", "concrete", "brushed", "rust", "foil", "weave")
"""Names of the grounds, as in ``Style.background``."""


def car_parts(rng: Random, size_wh: tuple[int, int], noise: np.random.Generator) -> Image:
    """Paint what is around a plate: paint, a bumper's edges, a grille, lamps, shadows, the road."""
    paint = colour_of(rng, rng.uniform(8, 235), rng.choice((0.0, 0.0, 0.1, 0.1, 0.3, 0.9)))
    table = np.array(paint) + noise.normal(0, rng.uniform(4, 26), (3, 2, 1))
    image: Image = np.asarray(
        cv2.resize(table.astype(np.float32), size_wh, interpolation=cv2.INTER_LINEAR).clip(0, 255), np.float32
    ).astype(np.uint8)
    for _ in range(rng.randint(1, 4)):
        _PARTS[rng.randrange(len(_PARTS))](rng, image)
    return image


def _bumper(rng: Random, image: Image) -> None:
    """Paint a field with a slightly slanted edge, from the upper or the lower side, and the light on the edge."""
    height, width = image.shape[:2]
    y, lean = rng.uniform(0.05, 0.95) * height, rng.gauss(0, 0.12) * height
    low = height if rng.random() < 0.5 else 0
    corners = np.array([(0, y), (width, y + lean), (width, low), (0, low)]).round().astype(np.int32)
    cv2.fillConvexPoly(image, corners, _paint(rng), cv2.LINE_AA)
    if rng.random() < 0.6:
        cv2.line(image, corners[0].tolist(), corners[1].tolist(), _paint(rng), rng.choice((1, 2, 3)), cv2.LINE_AA)


def _grille(rng: Random, image: Image) -> None:
    """Parallel bars, lying or standing, over a part of the picture."""
    height, width = image.shape[:2]
    step, colour, thick = rng.uniform(4, 12), _paint(rng), rng.choice((1, 2, 3))
    lean = rng.gauss(0, 0.08) * height
    x1, x2 = sorted(rng.uniform(-0.2, 1.2) * width for _ in "ab")
    y1, y2 = sorted(rng.uniform(-0.2, 1.2) * height for _ in "ab")
    if rng.random() < 0.65:
        lines = [[(x1, y), (x2, y + lean)] for y in np.arange(y1, y2, step)]
    else:
        lines = [[(x, y1), (x + lean, y2)] for x in np.arange(x1, x2, step)]
    if lines:
        cv2.polylines(image, list(np.array(lines).round().astype(np.int32)), False, colour, thick, cv2.LINE_AA)


def _lamp(rng: Random, image: Image) -> None:
    """Paint a lamp or a badge: an ellipse with another inside."""
    height, width = image.shape[:2]
    at = (round(rng.choice((rng.uniform(-0.05, 0.2), rng.uniform(0.8, 1.05))) * width), rng.randrange(height))
    axes = (round(rng.uniform(0.1, 0.6) * height), round(rng.uniform(0.1, 0.5) * height))
    cv2.ellipse(image, at, axes, rng.uniform(-30, 30), 0, 360, _paint(rng), -1, cv2.LINE_AA)
    inner = (axes[0] // 2 + 1, axes[1] // 2 + 1)
    cv2.ellipse(image, at, inner, 0, 0, 360, _paint(rng), rng.choice((-1, 1, 2)), cv2.LINE_AA)


def _beam(rng: Random, image: Image) -> None:
    """Paint an edge between two panels."""
    height, width = image.shape[:2]
    ys = [rng.choice((-2.0, height + 2.0, rng.uniform(0, height))) for _ in "ab"]
    ends = np.array([[rng.uniform(-0.2, 1.2) * width, y] for y in ys])
    a, b = ends.round().astype(int).tolist()
    cv2.line(image, a, b, _paint(rng), rng.choice((1, 2, 4, 7)), cv2.LINE_AA)


def _paint(rng: Random) -> Colour:
    return colour_of(rng, rng.uniform(0, 255), rng.choice((0.0, 0.0, 0.0, 0.1, 0.2, 1.0)))


_PARTS = (_bumper, _bumper, _grille, _lamp, _beam)
