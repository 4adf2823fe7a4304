"""What is drawn around and over a text: lines, specks, tiles, frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Colour, Image, as_colour, luma
from detector.synth.setting.typesetting import Placed, bounds, corners_of
from detector.synth.style import Style


@dataclass(frozen=True)
class Lines:
    """Lines and arcs across a picture.

    Args:
        count: of them.
        thickness: in a picture of 64 pixels' height.
        bent: whether they have corners.
        near_x: bent ones start there and zigzag, over the first sign as if they were another one.
        dashed: whether half of them are dashed.
    """

    count: int
    thickness: float
    bent: bool = False
    near_x: float | None = None
    dashed: bool = False


def draw_lines(rng: Random, image: Image, lines: Lines, colours: Sequence[Colour]) -> None:
    """Draw the lines, each in one of ``colours``."""
    height, width = image.shape[:2]
    for _ in range(lines.count):
        thick = max(1, round(lines.thickness * rng.uniform(0.7, 1.3) * height / 64))
        path = _line_path(rng, lines, (height, width))
        pieces = _dashes(rng, path, height) if lines.dashed and rng.random() < 0.5 else [path]
        drawn = [piece.round().astype(np.int32) for piece in pieces]
        cv2.polylines(image, drawn, False, rng.choice(colours), thick, cv2.LINE_AA)


def _line_path(rng: Random, lines: Lines, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Points (n, 2) xy of one of the lines."""
    height, width = size_hw
    start = np.array([rng.uniform(-0.1, 0.45) * width, rng.uniform(0, 1) * height])
    if lines.near_x is not None:
        start[0] = lines.near_x + rng.uniform(-0.4, 0.3) * height
    end = np.array([rng.uniform(0.4, 1.1) * width, rng.uniform(0, 1) * height])
    t = np.linspace(0, 1, 16)[:, None]
    bow = rng.gauss(0, 0.25) * height if rng.random() < 0.5 else 0.0
    along = start * (1 - t) + end * t
    path: NDArray[np.float64] = along + np.array([0, bow]) * np.sin(t * math.pi * rng.choice((1, 1, 2)))
    if lines.bent and lines.near_x is None:
        corners = sorted(rng.sample(range(1, 15), rng.randint(1, 3)))
        path = path[[0, *corners, 15]]
        path[:, 1] += [rng.uniform(-0.25, 0.25) * height for _ in path]
    elif lines.bent:  # zigzag at the start, then away
        early = start + np.array([[rng.uniform(-0.35, 0.35) * height for _ in "xy"] for _ in range(rng.randint(1, 4))])
        path = np.concatenate([early, path[[rng.randint(2, 8), 15]]])
    return path


def _dashes(rng: Random, path_xy: NDArray[np.float64], height: int) -> list[NDArray[np.float64]]:
    """Cut a path into equal dashes with equal gaps, between a stroke's and a sign's length."""
    period, share = rng.uniform(0.06, 0.4) * height, rng.uniform(0.35, 0.75)
    along = np.concatenate([[0.0], np.hypot(*np.diff(path_xy, axis=0).T).cumsum()])
    starts = np.arange(0.0, along[-1], max(3.0, period))
    ends = np.stack([starts, starts + share * period], axis=1)  # (dashes, 2)
    return list(np.stack([np.interp(ends, along, path_xy[:, axis]) for axis in (0, 1)], axis=2))


def draw_specks(
    rng: Random, image: Image, colours: Sequence[Colour], style: Style, cap_px: float, noise: np.random.Generator
) -> None:
    """Draw dots and short strokes all over the picture, fewer where signs are small."""
    height, width = image.shape[:2]
    share = width * height / (256 * 64) * min(1.0, (cap_px / 30) ** 2)
    for x, y in noise.random((round(style.dots * share), 2)):
        cv2.circle(image, (int(x * width), int(y * height)), rng.choice((0, 0, 1, 1, 2)), rng.choice(colours), -1)
    reach = style.tick_reach * height
    inks = {"each": colours, "one": [rng.choice(colours)], "black": [(0.0, 0.0, 0.0)]}[style.tick_ink]
    thick = rng.choice((1, 1, 1, 2)) if style.ticks else 1
    for x, y, dx, dy in noise.random((round(style.ticks * share), 4)):
        start = (int(x * width), int(y * height))
        end = (int(x * width + (dx - 0.5) * 2 * reach), int(y * height + (dy - 0.5) * 2 * reach))
        cv2.line(image, start, end, rng.choice(inks), thick, cv2.LINE_8)


def draw_tiles(rng: Random, image: Image, signs: Sequence[tuple[Placed, Colour]]) -> None:
    """Draw a filled rectangle in the sign's ink behind each sign, all of one size, at the signs' distance or closer."""
    if not signs:
        return
    rects = np.array([bounds(corners_of([sign])) for sign, _ in signs])  # (n, 4) xyxy
    sizes, middles = rects[:, 2:] - rects[:, :2], (rects[:, 2:] + rects[:, :2]) / 2
    steps = np.abs(np.diff(middles[:, 0]))
    high = sizes[:, 1].max() * rng.uniform(1.05, 1.5)
    wide = max(high * rng.uniform(0.5, 1.0), sizes[:, 0].max() * 1.05)
    if len(steps):  # signs of narrow fonts stand closer
        wide = min(wide, float(np.median(steps)) * rng.uniform(0.85, 1.02))
    half = np.array([max(wide, float(np.median(sizes[:, 0]))), high]) / 2
    for middle, (_, ink) in zip(middles, signs, strict=True):
        (x1, y1), (x2, y2) = (middle - half).round().astype(int).tolist(), (middle + half).round().astype(int).tolist()
        cv2.rectangle(image, (x1, y1), (x2, y2), ink, -1)


def draw_frame(
    rng: Random, image: Image, corners_xy: np.ndarray, ground: Colour, style: Style, around: Image | None = None
) -> None:
    """Draw the plate's edge with ``around``, or another ground, outside of it, and bolts if the style has them."""
    outside = np.array([rng.uniform(0, 255)] * 3) + np.array([rng.uniform(-25, 25) for _ in range(3)])
    plate = image.copy()
    image[:] = np.clip(outside, 0, 255).astype(np.uint8) if around is None else around
    area = np.zeros(image.shape[:2], np.uint8)
    points = (corners_xy * 16).round().astype(np.int32)
    cv2.fillConvexPoly(area, points, 255, cv2.LINE_AA, 4)
    np.copyto(image, plate, where=(area > 127)[..., None])
    shade = -1.0 if luma(ground) > 110 else 1.0
    edge = as_colour(np.clip(np.array(ground) + shade * rng.uniform(40, 200), 0, 255))
    inset = rng.uniform(0.93, 0.99)
    middle = corners_xy.mean(0)
    ring = ((middle + (corners_xy - middle) * inset) * 16).round().astype(np.int32)
    cv2.polylines(image, [ring], True, edge, rng.choice((1, 1, 2, 3)), cv2.LINE_AA, 4)
    if style.bolts:
        for share in (rng.uniform(0.15, 0.3), rng.uniform(0.7, 0.85)):
            for top in (True, False):
                a, b = (corners_xy[0], corners_xy[1]) if top else (corners_xy[3], corners_xy[2])
                at = (a + (b - a) * share) * 0.94 + middle * 0.06
                cv2.circle(image, (int(at[0]), int(at[1])), rng.choice((1, 2, 2, 3)), edge, -1, cv2.LINE_AA)
