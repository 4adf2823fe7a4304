"""Paint signs with their true boxes, effects, clutter and damage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Colour, Image, as_colour, luma
from detector.synth.style import Style
from detector.synth.typesetting import INK, Placed, bounds, corners_of, scaled

Boxes = NDArray[np.float32]
Layer = NDArray[np.uint8]


class Canvas:
    """The ink of a whole picture: how much (``alpha``, (H, W)) and which colour (``colour``, (H, W, 3)).

    Keeps the ink of labelled signs as points, so that boxes follow all distortions.
    """

    def __init__(self, size_wh: tuple[int, int], labels: int, faint: bool = False) -> None:
        width, height = size_wh
        self._thin = 120 if faint else 225  # peak ink of strokes thinner than a pixel
        self.alpha: Layer = np.zeros((height, width), np.uint8)
        self.colour: Image = np.zeros((height, width, 3), np.uint8)
        self.points: list[NDArray[np.float32]] = [np.zeros((0, 2), np.float32)] * labels  # ink's pixels, xy

    def stamp(self, placed: Placed, colour: Colour, outline_points: bool) -> None:
        """Draw a sign; ``outline_points`` keeps its whole outline, otherwise only its extent."""
        window = _window(placed, self.alpha.shape)
        if window is None:
            return
        mask, x, y = _warped(placed, window)
        peak = int(mask.max())
        if peak < 8:
            return
        if peak < self._thin - 10 and placed.role == INK:  # strokes thinner than a pixel would be too pale
            mask = scaled(mask, self._thin / peak)
        h, w = mask.shape
        here = np.s_[y : y + h, x : x + w]
        ink = mask > 24
        self.alpha[here] = cv2.max(self.alpha[here], mask)
        self.colour[here][ink] = colour
        if placed.label >= 0:
            self.points[placed.label] = _ink_points(mask, x, y, outline_points)

    def wave(self, rng: Random, amplitude: float) -> None:
        """Bend ink and points by y' = y + f(x), then x' = x + g(y')."""
        height, width = self.alpha.shape
        fx, fy = rng.uniform(3, 9) / width, rng.uniform(2, 5) / height
        px, py, ax = rng.uniform(0, 6.3), rng.uniform(0, 6.3), amplitude * rng.uniform(0.2, 0.8)
        x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
        map_x = x - np.float32(ax) * np.sin(y * np.float32(fy) + np.float32(py))  # (H, W): undo the second step
        map_y = y - np.float32(amplitude) * np.sin(map_x * np.float32(fx * 2) + np.float32(px))
        self._bend(map_x, map_y)
        for i, points in enumerate(self.points):
            v = points[:, 1] + amplitude * np.sin(points[:, 0] * fx * 2 + px)
            u = points[:, 0] + ax * np.sin(v * fy + py)
            self.points[i] = np.column_stack([u, v]).astype(np.float32)

    def fray(self, noise: np.random.Generator, amplitude: float) -> None:
        """Shift each row of ink sideways, in places; the mean position stays, and so do the points."""
        height, width = self.alpha.shape
        places = cv2.resize(noise.random((1, 6), np.float32), (width, 1), interpolation=cv2.INTER_CUBIC)
        strays = noise.standard_normal((height, 1), np.float32) * np.float32(amplitude)  # (H, 1)
        x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
        map_x, map_y = x + strays * places.clip(0, 1), np.broadcast_to(y, (height, width)).copy()
        self._bend(map_x, map_y)

    def _bend(self, map_x: NDArray[np.float32], map_y: NDArray[np.float32]) -> None:
        """Remap the ink by the maps, (H, W)."""
        self.alpha = np.asarray(cv2.remap(self.alpha, map_x, map_y, cv2.INTER_LINEAR), np.uint8)
        self.colour = np.asarray(cv2.remap(self.colour, map_x, map_y, cv2.INTER_NEAREST), np.uint8)

    def boxes_xyxy(self) -> Boxes:
        """Extent of the ink of each labelled sign plus one pixel, clipped: float32 (n, 4)."""
        height, width = self.alpha.shape
        boxes = np.zeros((len(self.points), 4), np.float32)
        for i, points in enumerate(self.points):
            if len(points):
                boxes[i] = (*(points.min(0) - 1), *(points.max(0) + 2))  # pixel i covers i to i + 1
        return np.clip(boxes, 0, np.array([width, height, width, height], np.float32))


def _window(placed: Placed, shape_hw: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Pixels x1, y1, x2, y2 that the sign may touch; None outside of the picture."""
    h, w = placed.mask.shape
    (a, b, c), (d, e, f), (g, i, j) = placed.matrix.tolist()  # plain numbers: arrays of four are slow
    xs, ys = [], []
    for x, y in ((-1, -1), (w, -1), (w, h), (-1, h)):
        depth = g * x + i * y + j
        xs.append((a * x + b * y + c) / depth)
        ys.append((d * x + e * y + f) / depth)
    x1, y1 = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    x2, y2 = min(shape_hw[1], math.ceil(max(xs)) + 1), min(shape_hw[0], math.ceil(max(ys)) + 1)
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _warped(placed: Placed, window: tuple[int, int, int, int]) -> tuple[Layer, int, int]:
    """Warp the sign's ink into the window; also the window's x and y."""
    x1, y1, x2, y2 = window
    mask, matrix = placed.mask, placed.matrix.copy()
    (a, b, _), (d, e, _), (_, _, depth) = matrix.tolist()
    scale = min(math.hypot(a, d), math.hypot(b, e)) / depth
    if scale < 0.6 and min(mask.shape) > 6:
        # Downscale first: bilinear warping alone would lose thin strokes.
        h, w = mask.shape
        factor = max(scale, 0.15) * 1.2
        mask = np.asarray(
            cv2.resize(mask, (max(3, round(w * factor)), max(3, round(h * factor))), interpolation=cv2.INTER_AREA)
        )
        sx, sy = w / mask.shape[1], h / mask.shape[0]
        matrix[:, 2] += matrix[:, 0] * ((sx - 1) / 2) + matrix[:, 1] * ((sy - 1) / 2)
        matrix[:, 0] *= sx
        matrix[:, 1] *= sy
    matrix[0] -= x1 * matrix[2]
    matrix[1] -= y1 * matrix[2]
    out = cv2.warpPerspective(mask, matrix, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR)
    return np.asarray(out, np.uint8), x1, y1


def _ink_points(mask: Layer, x: int, y: int, outline: bool) -> NDArray[np.float32]:
    """Outline pixels of the ink, or two corners of its extent, float32 (n, 2) xy."""
    ink = (mask > 72).astype(np.uint8)
    if outline:
        contours, _ = cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if contours:
            return np.concatenate(contours).reshape(-1, 2).astype(np.float32) + np.array([x, y], np.float32)
    bx, by, bw, bh = cv2.boundingRect(ink)
    return np.array([[x + bx, y + by], [x + bx + bw - 1, y + by + bh - 1]], np.float32)


def blended(image: Image, colour: Image | Colour, alpha: Layer) -> Image:
    """Blend ``colour`` over ``image`` by ``alpha``, uint8 (H, W)."""
    if isinstance(colour, tuple):
        colour = np.full_like(image, np.array(colour).round().clip(0, 255))
    over = alpha.astype(np.float32) * np.float32(1 / 255)
    return np.asarray(cv2.blendLinear(colour, image, over, 1 - over), np.uint8)


def shifted(alpha: Layer, dx: float, dy: float) -> Layer:
    """Translate the layer with sub-pixel precision."""
    h, w = alpha.shape
    return np.asarray(cv2.warpAffine(alpha, np.array([[1, 0, dx], [0, 1, dy]], np.float64), (w, h)), np.uint8)


def inked(rng: Random, style: Style, image: Image, canvas: Canvas, cap_px: float, noise: np.random.Generator) -> Image:
    """Draw the canvas's ink on the picture, with the style's effect."""
    alpha, step = canvas.alpha, max(0.7, cap_px * 0.035)
    if style.texture:
        worn = noise.random((32, 128) if style.fine_texture else (16, 48), np.float32)
        mottle = cv2.resize(worn, (alpha.shape[1], alpha.shape[0]), interpolation=cv2.INTER_CUBIC)
        alpha = (alpha * np.clip((mottle - style.texture) * 3 + 0.75, 0.35, 1)).astype(np.uint8)
    if style.effect == "shadow":
        dark = tuple(float(v) * 0.35 for v in image.reshape(-1, 3).mean(0))
        soft = np.asarray(
            cv2.GaussianBlur(shifted(alpha, step * 1.6, step * 1.6), (0, 0), rng.uniform(0.3, 1.2)), np.uint8
        )
        image = blended(image, (dark[0], dark[1], dark[2]), scaled(soft, 0.5))
    elif style.effect in ("halo", "glow"):
        middle = canvas.colour[alpha > 128].mean(0) if (alpha > 128).any() else np.zeros(3)
        bright = luma((float(middle[0]), float(middle[1]), float(middle[2])))
        if style.effect == "glow":
            soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(1.0, cap_px * 0.08)), np.uint8)
            image = blended(image, as_colour(middle), scaled(soft, 0.5))
        else:
            reach = 2 * max(1, round(step)) + 1
            around = np.asarray(cv2.dilate(alpha, np.ones((reach, reach), np.uint8)), np.uint8)
            rim = 0.0 if bright > 128 else 255.0
            image = blended(image, (rim, rim, rim), around)
    elif style.effect == "emboss":
        side = rng.choice((-1, 1))
        depth = max(1.0, step * 1.3)
        for shade, way in (((255.0,) * 3, -side), ((0.0,) * 3, side)):
            image = blended(image, shade, scaled(shifted(alpha, way * depth, way * depth), 0.7))
    return blended(image, canvas.colour, alpha)


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


def draw_frame(rng: Random, image: Image, corners_xy: np.ndarray, ground: Colour, style: Style) -> None:
    """Draw the plate's edge with another ground outside of it, and bolts if the style has them."""
    outside = np.array([rng.uniform(0, 255)] * 3) + np.array([rng.uniform(-25, 25) for _ in range(3)])
    plate = image.copy()
    image[:] = np.clip(outside, 0, 255).astype(np.uint8)
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
    if shrink < 0.9:
        how = rng.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_CUBIC, cv2.INTER_NEAREST))
        small = np.asarray(cv2.resize(small, (width, height), interpolation=how), np.uint8)
    if style.jpeg:
        done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, style.jpeg])
        small = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) if done else small
    return small


def _shaded(rng: Random, image: Image, loss: float) -> Image:
    """Darken one side of the picture by the share ``loss``, with a sharp or soft edge."""
    height, width = image.shape[:2]
    turn = rng.uniform(0, 2 * math.pi)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None] * np.float32(math.cos(turn))
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(math.sin(turn))
    soft = rng.choice((0.02, 0.1, 0.4, 1.0))
    beyond = ((across + down - np.float32(rng.uniform(-0.35, 0.35))) / np.float32(soft) + 0.5).clip(0, 1)  # (H, W)
    lost = np.float32(loss) * beyond
    return np.asarray(cv2.blendLinear(image, np.zeros_like(image), 1 - lost, lost), np.uint8)
