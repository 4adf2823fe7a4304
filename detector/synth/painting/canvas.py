"""The ink of a picture, sign by sign, and the true boxes."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Colour, Image
from detector.synth.setting.typesetting import INK, Placed, scaled

Boxes = NDArray[np.float32]
Layer = NDArray[np.uint8]


class Canvas:
    """The ink of a whole picture: how much (``alpha``, (H, W)) and which colour (``colour``, (H, W, 3)).

    Keeps the ink of labelled signs as points, so that boxes follow all distortions.
    """

    def __init__(
        self, size_wh: tuple[int, int], labels: int, faint: bool = False, rim_px: int = 0, mixed: bool = False
    ) -> None:
        """Canvas without ink; a sign clears ``rim_px`` of the ink around it, or ``mixed`` inks show through."""
        width, height = size_wh
        self._rim_px, self._mixed = rim_px, mixed
        self._thin = 120 if faint else 225  # peak ink of strokes thinner than a pixel
        self.alpha: Layer = np.zeros((height, width), np.uint8)
        self.colour: Image = np.zeros((height, width, 3), np.uint8)
        self.points: list[NDArray[np.float32]] = [np.zeros((0, 2), np.float32)] * labels  # ink's pixels, xy

    def stamp(self, placed: Placed, colour: Colour, outline_points: bool) -> None:
        """Draw a sign; ``outline_points`` keeps its whole outline, otherwise only its extent."""
        window = _window(placed, self.alpha.shape, self._rim_px)
        if window is None:
            return
        mask, x, y = _warped(placed, window)
        peak = int(mask.max())
        if peak < 8 and placed.label >= 0 and min(placed.mask.shape) <= 6:  # a bar that fell between the pixels
            mask, x, y = _warped(_padded(placed), window)
            peak = int(mask.max())
        if peak < 8:
            return
        if peak < self._thin - 10 and placed.role == INK:  # strokes thinner than a pixel would be too pale
            mask = scaled(mask, self._thin / peak)
        h, w = mask.shape
        here = np.s_[y : y + h, x : x + w]
        ink = mask > 24
        if self._rim_px:
            self.alpha[here] = cv2.subtract(self.alpha[here], _filled(mask, self._rim_px))
        if self._mixed:
            shared = ink & (self.alpha[here] > 24)
            mixed = (self.colour[here][shared] // 2 + np.array(colour).round().clip(0, 255) // 2).astype(np.uint8)
        self.alpha[here] = cv2.max(self.alpha[here], mask)
        self.colour[here][ink] = colour
        if self._mixed:
            self.colour[here][shared] = mixed
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

    def whirl(self, centre_xy: tuple[float, float], radius: float, turn: float, power: float) -> None:
        """Turn ink and points by up to ``turn`` radians in a circle, and magnify its middle (``power`` over 1).

        A point at the share r of the radius comes from r ** power, turned by turn * (1 - r) ** 2. Nothing is done
        where labelled ink would leave the picture.
        """
        height, width = self.alpha.shape
        bent = [_whirled(points, centre_xy, radius, turn, power) for points in self.points]
        ends = np.concatenate([*bent, np.ones((1, 2), np.float32)])
        if ends.min() < 0 or (ends.max(0) > (width - 1, height - 1)).any():
            return
        self.points = bent
        u = (np.arange(width, dtype=np.float32)[None] - np.float32(centre_xy[0])) / np.float32(radius)
        v = (np.arange(height, dtype=np.float32)[:, None] - np.float32(centre_xy[1])) / np.float32(radius)
        far = np.sqrt(u * u + v * v)  # (H, W)
        inside = far < 1
        near = np.where(inside, far, np.float32(1))
        angle = np.float32(turn) * (1 - near) ** 2
        scale = np.maximum(near, np.float32(1e-3)) ** np.float32(power - 1) * np.float32(radius)
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        self._bend(u * cos - v * sin + np.float32(centre_xy[0]), u * sin + v * cos + np.float32(centre_xy[1]))

    def fray(self, noise: np.random.Generator, amplitude: float) -> None:
        """Shift each row of ink sideways, in places; the mean position stays, and so do the points."""
        height, width = self.alpha.shape
        places = cv2.resize(noise.random((1, 6), np.float32), (width, 1), interpolation=cv2.INTER_CUBIC)
        strays = noise.standard_normal((height, 1), np.float32) * np.float32(amplitude)  # (H, 1)
        x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
        map_x, map_y = x + strays * places.clip(0, 1), np.broadcast_to(y, (height, width)).copy()
        self._bend(map_x, map_y)

    def follow(self, shift_x: NDArray[np.float32], shift_y: NDArray[np.float32]) -> None:
        """Move the points as a picture is moved whose pixel (x, y) becomes that at (x + shift_x, y + shift_y)."""
        height, width = self.alpha.shape
        ends = np.cumsum([len(points) for points in self.points])
        if not len(ends) or not ends[-1]:
            return
        start = np.concatenate(self.points)
        at = start.copy()
        for _ in range(6):  # a fixed point: the shifts vary slowly
            x = at[:, 0].round().astype(np.intp).clip(0, width - 1)
            y = at[:, 1].round().astype(np.intp).clip(0, height - 1)
            at = start - np.stack([shift_x[y, x], shift_y[y, x]], axis=1)
        self.points = np.split(at.astype(np.float32), ends[:-1])

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


def _whirled(
    points: NDArray[np.float32], centre_xy: tuple[float, float], radius: float, turn: float, power: float
) -> NDArray[np.float32]:
    """Return where (n, 2) points go in :meth:`Canvas.whirl`."""
    u, v = ((points - np.array(centre_xy, np.float32)) / np.float32(radius)).T
    far = np.hypot(u, v)  # (n,)
    inside = far < 1
    near = np.where(inside, np.maximum(far, 1e-4) ** (1 / power), 1.0)
    angle = -turn * (1 - near) ** 2
    scale = np.where(inside, near / np.maximum(far, 1e-4), 1.0) * radius
    bent = np.stack([u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)], 1)
    return np.asarray(bent * scale[:, None] + np.array(centre_xy)).astype(np.float32)


def _filled(mask: Layer, rim_px: int) -> Layer:
    """Return the sign's ink, what it encloses, and a rim around it."""
    ink = (mask > 72).astype(np.uint8)
    contours, _ = cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    area = np.zeros_like(mask)
    cv2.drawContours(area, contours, -1, 255, -1)
    side = 2 * rim_px + 1
    return np.asarray(cv2.dilate(area, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)


def _padded(placed: Placed) -> Placed:
    """Add a rim without ink to a sign, so that it is filtered when it is scaled down."""
    mask, matrix, rim = placed.mask, placed.matrix.copy(), 4
    matrix[:, 2] -= rim * (matrix[:, 0] + matrix[:, 1])
    mask = np.asarray(cv2.copyMakeBorder(mask, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=0), np.uint8)
    return replace(placed, mask=mask, matrix=matrix)


def _window(placed: Placed, shape_hw: tuple[int, ...], pad: int = 0) -> tuple[int, int, int, int] | None:
    """Return the pixels x1, y1, x2, y2 that the sign may touch, ``pad`` more on each side; None outside the picture."""
    h, w = placed.mask.shape
    (a, b, c), (d, e, f), (g, i, j) = placed.matrix.tolist()  # plain numbers: arrays of four are slow
    xs, ys = [], []
    for x, y in ((-1, -1), (w, -1), (w, h), (-1, h)):
        depth = g * x + i * y + j
        xs.append((a * x + b * y + c) / depth)
        ys.append((d * x + e * y + f) / depth)
    x1, y1 = max(0, math.floor(min(xs)) - pad), max(0, math.floor(min(ys)) - pad)
    x2 = min(shape_hw[1], math.ceil(max(xs)) + 1 + pad)
    y2 = min(shape_hw[0], math.ceil(max(ys)) + 1 + pad)
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
