"""What the policy does to a batch of pictures, drawn as numbers: a :class:`Plan`. Boxes follow it, executors do it.

All geometry of a picture is one homography, so its pixels are interpolated once. Two executors take a plan:
:mod:`detector.training.augment.on_cpu` on the CPU and :mod:`detector.training.augment.on_gpu` on a GPU. Drawing
needs neither of them: the numbers are few, and nothing has to be read back from a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.training.augment.policy import KEEP, Policy

BLUR = 5
"""Side of all blur kernels; smaller ones have a border of zeros."""

_JITTER = 0.32  # no corner moves further, as a share of the sides: Albumentations' own limit


@dataclass(frozen=True)
class Plan:
    """What happens to each of ``n`` pictures; of each change the pictures that it falls to, and how much.

    Attributes:
        matrices: float64 (n, 3, 3): a point (x, y, 1) of the picture, in pixels with (0, 0) the outer corner of the
            first one, to where it goes. The identity where nothing moves.
        brightness: picture, gain, offset: (k,), float32 (k,), float32 (k,).
        blur: picture, kernels: (k,), float32 (k, 5, 5).
        downscale: picture, share: (k,), float32 (k,).
        noise: picture, standard deviation: (k,), float32 (k,).
        jpeg: picture, quality: (k,), float32 (k,).
        grey: picture: (k,).
        seed: of the noise.
    """

    matrices: NDArray[np.float64]
    brightness: tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
    blur: tuple[NDArray[np.int64], NDArray[np.float32]]
    downscale: tuple[NDArray[np.int64], NDArray[np.float32]]
    noise: tuple[NDArray[np.int64], NDArray[np.float32]]
    jpeg: tuple[NDArray[np.int64], NDArray[np.float32]]
    grey: NDArray[np.int64]
    seed: int

    @property
    def moved(self) -> NDArray[np.int64]:
        """Indices of the pictures whose geometry changes."""
        return np.flatnonzero((self.matrices != np.eye(3)).any((1, 2)))


class BatchAugment:
    """Draws plans; deterministic after :meth:`seed`."""

    def __init__(self, policy: Policy | None = None, seed: int = 0) -> None:
        self.policy = policy or Policy()
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Restart the random stream."""
        self._rng = np.random.default_rng(seed)

    def plan(self, count: int, shape_hw: tuple[int, int]) -> Plan:
        """Draw the changes of the next ``count`` pictures."""
        policy, rng = self.policy, self._rng

        def draw_rows(p: float) -> NDArray[np.int64]:
            return np.flatnonzero(rng.random(count) < p)

        def between(limits: tuple[float, float], rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return rng.uniform(*limits, len(rows)).astype(np.float32)

        bright = draw_rows(policy.often(policy.BRIGHTNESS_P))
        change = (-policy.BRIGHTNESS, policy.BRIGHTNESS)
        blurred = draw_rows(policy.often(policy.BLUR_P))
        kind = rng.integers(0, 3, len(blurred))  # Gaussian, motion, downscale
        down = blurred[kind == 2]
        noisy, packed = draw_rows(policy.often(policy.NOISE_P)), draw_rows(policy.often(policy.JPEG_P))
        return Plan(
            self._matrices(count, shape_hw),
            (bright, 1 + between(change, bright), between(change, bright)),
            (blurred[kind < 2], self._kernels(kind[kind < 2])),
            (down, between(policy.DOWNSCALE, down)),
            (noisy, between(policy.NOISE, noisy)),
            (packed, np.floor(between((policy.JPEG[0], policy.JPEG[1] + 1), packed))),
            draw_rows(policy.often(policy.GREY_P)),
            int(rng.integers(2**62)),
        )

    def _kernels(self, kind: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return kernels of pictures with Gaussian (0) or motion blur (1), (k, 5, 5)."""
        rng, count = self._rng, len(kind)
        low, high = self.policy.MOTION_SIZE
        kernels = gaussian_kernels(rng.uniform(*self.policy.GAUSS_SIGMA, count), self.policy.GAUSS_SIZE)
        size = rng.choice(np.arange(low, high + 1, 2), count)
        angle, direction = rng.uniform(0, 2 * np.pi, count), rng.uniform(-1, 1, count)
        shift = rng.uniform(-1, 1, (count, 2))
        for side in range(low, high + 1, 2):
            rows = (kind == 1) & (size == side)
            kernels[rows] = motion_kernels(side, angle[rows], direction[rows], shift[rows])
        return kernels

    def _matrices(self, count: int, shape_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Compose rotation, shear and scale about the middle, then shift, perspective and flips; (count, 3, 3)."""
        policy, rng = self.policy, self._rng
        height, width = shape_hw

        def identity() -> NDArray[np.float64]:
            return np.tile(np.eye(3), (count, 1, 1))

        turn, slant, size = identity(), identity(), identity()
        angle = np.deg2rad(rng.uniform(-policy.degrees, policy.degrees, count))
        turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
        turn[:, 0, 1], turn[:, 1, 0] = np.sin(angle), -np.sin(angle)
        slant[:, 0, 1] = np.tan(np.deg2rad(rng.uniform(-policy.shear, policy.shear, count)))
        size[:, 0, 0], size[:, 1, 1] = rng.uniform(*policy.scales, (2, count))
        middle, inverse = np.eye(3), identity()
        middle[:2, 2] = -width / 2, -height / 2
        shift = rng.uniform(-policy.translate, policy.translate, (count, 2))
        inverse[:, :2, 2] = np.array([width, height]) * (0.5 + shift)
        affine = inverse @ slant @ turn @ size @ middle
        affine[rng.random(count) >= (policy.AFFINE_P if policy.affine else 0)] = np.eye(3)
        tilted = rng.random(count) < (policy.PERSPECTIVE_P if policy.perspective else 0)
        affine[tilted] = self._perspective(int(tilted.sum()), shape_hw) @ affine[tilted]
        for p, axis, side in ((policy.fliplr, 0, width), (policy.flipud, 1, height)):
            mirror = np.eye(3)
            mirror[axis, axis], mirror[axis, 2] = -1, side
            flipped = rng.random(count) < p
            affine[flipped] = mirror @ affine[flipped]
        return affine

    def _perspective(self, count: int, shape_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Return homographies (count, 3, 3) that pull four points near the corners into the corners."""
        spread = self._rng.uniform(*self.policy.perspectives, (count, 1, 1))
        jitter = np.mod(np.abs(self._rng.normal(0, 1, (count, 4, 2)) * spread), _JITTER)
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
        sides = np.array(shape_hw[::-1], np.float64)
        x, y = np.moveaxis(np.abs(corners - jitter) * sides, 2, 0)  # (count, 4) each
        u, v = (np.broadcast_to(c, x.shape) for c in (corners * sides).T)
        ones, zero = np.ones_like(x), np.zeros_like(x)
        # u = (ax + by + c) / (gx + hy + 1) and v likewise: two equations a corner for a to h.
        rows_u = np.stack([x, y, ones, zero, zero, zero, -u * x, -u * y], 2)  # (count, 4, 8)
        rows_v = np.stack([zero, zero, zero, x, y, ones, -v * x, -v * y], 2)
        solved = np.linalg.solve(np.concatenate([rows_u, rows_v], 1), np.concatenate([u, v], 1)[..., None])
        matrices = np.concatenate([solved[..., 0], np.ones((count, 1))], 1).reshape(-1, 3, 3)
        # Albumentations then enlarges what it has stretched already, by how much longer the sides have become.
        points = np.stack([x, y], 2)  # (count, 4, 2)
        lengths = np.linalg.norm(np.roll(points, -1, 1) - points, axis=2)  # top, right, bottom, left
        grown = sides / np.floor(np.maximum(lengths[:, :2], lengths[:, 2:]))  # (count, 2): x, y
        matrices[:, :2] *= grown[..., None]
        return matrices


def gaussian_kernels(sigma: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Return a kernel for each deviation, (k, 5, 5) with a sum of 1, zero outside the middle ``side`` pixels."""
    weights = np.exp(-0.5 * ((np.arange(side) - side // 2) / sigma[:, None]) ** 2)  # (k, side)
    weights /= weights.sum(1, keepdims=True)
    return _bordered(weights[:, :, None] * weights[:, None, :])


def motion_kernels(
    side: int, angle: NDArray[np.float64], direction: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return lines through the middle, (k, 5, 5), as Albumentations' ``create_motion_kernel`` draws one at a time.

    Args:
        side: of the square that they stay in, pixels.
        angle: (k,), radians.
        direction: (k,), from -1 (only backward of the middle) to 1 (only forward).
        shift: (k, 2), x and y in [-1, 1]: by up to half a line.
    """
    half = side // 2
    along = np.linspace(half * (np.maximum(direction, 0) - 1), half * (np.minimum(direction, 0) + 1), side, axis=1)
    x = half + np.cos(angle)[:, None] * along + shift[:, :1] * half / 2  # (k, side)
    y = half + np.sin(angle)[:, None] * along + shift[:, 1:] * half / 2
    kernels = np.zeros((len(angle), side, side))
    column, row = (np.clip(np.round(v), 0, side - 1).astype(np.int64) for v in (x, y))
    kernels[np.arange(len(angle))[:, None], row, column] = 1
    return _bordered(kernels / kernels.sum((1, 2), keepdims=True))


def _bordered(kernels: NDArray[np.float64]) -> NDArray[np.float32]:
    border = (BLUR - kernels.shape[1]) // 2
    return np.pad(kernels, ((0, 0), (border, border), (border, border))).astype(np.float32)


def move_boxes(
    plan: Plan, shape_hw: tuple[int, int], boxes_xyxy: Sequence[NDArray[np.float32]], ids: Sequence[NDArray[np.int64]]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.int64]]]:
    """Where the boxes of each picture go: the upright frame of the moved corners, clipped; those that left are dropped.

    Args:
        plan: for as many pictures.
        shape_hw: of the pictures.
        boxes_xyxy: of each picture, (m, 4) in pixels.
        ids: of each picture, (m,).
    """
    counts = [len(i) for i in ids]
    of = np.repeat(np.arange(len(counts)), counts)
    x1, y1, x2, y2 = np.concatenate(boxes_xyxy).astype(np.float64).reshape(-1, 4).T
    corners = np.stack([np.stack([x1, x2, x2, x1], 1), np.stack([y1, y1, y2, y2], 1), np.ones((len(x1), 4))], 1)
    moved = plan.matrices[of] @ corners  # (boxes, 3, 4)
    xy = moved[:, :2] / moved[:, 2:]
    framed = np.concatenate([xy.min(2), xy.max(2)], 1)  # (boxes, 4)
    clipped = np.clip(framed, 0, [shape_hw[1], shape_hw[0]] * 2)
    keep = _area(clipped) >= KEEP * np.maximum(_area(framed), 1e-7)
    kept_xyxy, kept_ids = clipped[keep].astype(np.float32), np.concatenate(ids)[keep]
    ends = np.cumsum(np.bincount(of[keep], minlength=len(counts)))[:-1]
    return np.split(kept_xyxy, ends), np.split(kept_ids, ends)


def _area(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(1)
    return area
