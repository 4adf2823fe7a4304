"""The augmentation policy on a batch at once, on the device that trains: the second executor of ``augment.Policy``.

What happens to each picture is drawn on the CPU, as numbers (a :class:`Plan`), and so are the boxes moved: they are
few, and nothing has to be read back from a GPU. The pixels are changed on the device, each change on those pictures
only that it fell to. All geometry of a picture is one homography, so its pixels are interpolated once.

Written here since neither library serves: the transforms of torchvision v2 draw one value for a whole batch, and
those of kornia interpolate once a transform and choose pictures by masks on the device, which stops it each time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from albumentations.augmentations.blur.functional import create_gaussian_kernel, create_motion_kernel
from numpy.typing import NDArray
from torch import Tensor

from detector.augment import KEEP, Policy
from detector.fit import GREY

_BLUR = 5  # side of all blur kernels; smaller ones have a border of zeros
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


class BatchAugment:
    """Draws plans; deterministic after :meth:`seed`."""

    def __init__(self, policy: Policy | None = None, seed: int = 0) -> None:
        self.policy = policy or Policy()
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start the random stream anew."""
        self._rng = np.random.default_rng(seed)

    def plan(self, count: int, shape_hw: tuple[int, int]) -> Plan:
        """What happens to the next ``count`` pictures."""
        policy, rng = self.policy, self._rng

        def some(p: float) -> NDArray[np.int64]:
            return np.flatnonzero(rng.random(count) < p)

        def between(limits: tuple[float, float], rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return rng.uniform(*limits, len(rows)).astype(np.float32)

        bright = some(policy.often(policy.BRIGHTNESS_P))
        change = (-policy.BRIGHTNESS, policy.BRIGHTNESS)
        blurred = some(policy.often(policy.BLUR_P))
        kind = rng.integers(0, 3, len(blurred))  # Gaussian, motion, downscale
        kernels = [self._kernel(k) for k in kind[kind < 2]]
        down = blurred[kind == 2]
        noisy, packed = some(policy.often(policy.NOISE_P)), some(policy.often(policy.JPEG_P))
        return Plan(
            self._matrices(count, shape_hw),
            (bright, 1 + between(change, bright), between(change, bright)),
            (blurred[kind < 2], np.array(kernels, np.float32).reshape(-1, _BLUR, _BLUR)),
            (down, between(policy.DOWNSCALE, down)),
            (noisy, between(policy.NOISE, noisy)),
            (packed, np.floor(between((policy.JPEG[0], policy.JPEG[1] + 1), packed))),
            some(policy.often(policy.GREY_P)),
            int(rng.integers(2**62)),
        )

    def _kernel(self, kind: int) -> NDArray[np.float32]:
        if kind == 0:
            kernel = create_gaussian_kernel(self._rng.uniform(*self.policy.GAUSS_SIGMA), self.policy.GAUSS_SIZE)
        else:
            low, high = self.policy.MOTION_SIZE
            size = int(self._rng.choice(np.arange(low, high + 1, 2)))
            shift = random.Random(int(self._rng.integers(2**62)))
            kernel = create_motion_kernel(size, self._rng.uniform(0, 360), self._rng.uniform(-1, 1), True, shift)
            kernel = kernel / kernel.sum()
        border = (_BLUR - len(kernel)) // 2
        return np.pad(kernel, border).astype(np.float32)

    def _matrices(self, count: int, shape_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Turn, slant and size about the middle, then shift, then perspective, then flips; (count, 3, 3)."""
        policy, rng = self.policy, self._rng
        height, width = shape_hw

        def identity() -> NDArray[np.float64]:
            return np.tile(np.eye(3), (count, 1, 1))

        affine, turn, slant, size = identity(), identity(), identity(), identity()
        angle = np.deg2rad(rng.uniform(-policy.degrees, policy.degrees, count))
        turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
        turn[:, 0, 1], turn[:, 1, 0] = np.sin(angle), -np.sin(angle)
        slant[:, 0, 1] = np.tan(np.deg2rad(rng.uniform(-policy.shear, policy.shear, count)))
        size[:, 0, 0], size[:, 1, 1] = rng.uniform(*policy.scales, (2, count))
        middle, back = np.eye(3), identity()
        middle[:2, 2] = -width / 2, -height / 2
        shift = rng.uniform(-policy.translate, policy.translate, (count, 2))
        back[:, :2, 2] = np.array([width, height]) * (0.5 + shift)
        affine = back @ slant @ turn @ size @ middle
        affine[rng.random(count) >= (policy.AFFINE_P if policy.affine else 0)] = np.eye(3)
        seen = rng.random(count) < (policy.PERSPECTIVE_P if policy.perspective else 0)
        affine[seen] = self._perspective(int(seen.sum()), shape_hw) @ affine[seen]
        for p, axis, side in ((policy.fliplr, 0, width), (policy.flipud, 1, height)):
            mirror = np.eye(3)
            mirror[axis, axis], mirror[axis, 2] = -1, side
            flipped = rng.random(count) < p
            affine[flipped] = mirror @ affine[flipped]
        return affine

    def _perspective(self, count: int, shape_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Homographies (count, 3, 3) that pull four points near the corners into the corners."""
        spread = self._rng.uniform(*self.policy.perspectives, (count, 1, 1))
        jitter = np.mod(np.abs(self._rng.normal(0, 1, (count, 4, 2)) * spread), _JITTER)
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
        sides = np.array(shape_hw[::-1], np.float64)
        x, y = np.moveaxis(np.abs(corners - jitter) * sides, 2, 0)  # (count, 4) each
        u, v = (np.broadcast_to(c, x.shape) for c in (corners * sides).T)
        one, zero = np.ones_like(x), np.zeros_like(x)
        # u = (ax + by + c) / (gx + hy + 1) and v likewise: two equations a corner for a to h.
        rows_u = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], 2)  # (count, 4, 8)
        rows_v = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], 2)
        solved = np.linalg.solve(np.concatenate([rows_u, rows_v], 1), np.concatenate([u, v], 1)[..., None])
        matrices = np.concatenate([solved[..., 0], np.ones((count, 1))], 1).reshape(-1, 3, 3)
        # Albumentations then enlarges what it has stretched already, by how much longer the sides have become.
        points = np.stack([x, y], 2)  # (count, 4, 2)
        lengths = np.linalg.norm(np.roll(points, -1, 1) - points, axis=2)  # top, right, bottom, left
        grown = sides / np.floor(np.maximum(lengths[:, :2], lengths[:, 2:]))  # (count, 2): x, y
        matrices[:, :2] *= grown[..., None]
        return matrices


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
    kept, kinds = clipped[keep].astype(np.float32), np.concatenate(ids)[keep]
    ends = np.cumsum(np.bincount(of[keep], minlength=len(counts)))[:-1]
    return np.split(kept, ends), np.split(kinds, ends)


def _area(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(1)
    return area


@torch.no_grad()
def apply(plan: Plan, images: Tensor) -> Tensor:
    """The pictures changed, on their device; ``images``, float (n, 3, H, W) RGB in [0, 1], stay as they are."""
    device = images.device
    with torch.autocast(device.type, enabled=False):
        images = images.float().clone()  # laid out in memory as they were

        def change(rows: NDArray[np.int64], how: object, *values: NDArray[np.float32]) -> None:
            if len(rows):
                index = torch.from_numpy(rows).to(device, non_blocking=True)
                numbers = [torch.from_numpy(v).to(device, non_blocking=True) for v in values]
                images[index] = how(images[index], *numbers).clamp_(0, 1)  # type: ignore[operator]

        moved = np.flatnonzero((plan.matrices != np.eye(3)).any((1, 2)))
        change(moved, _warp, np.linalg.inv(plan.matrices[moved]).astype(np.float32))
        change(plan.brightness[0], _brightness, *plan.brightness[1:])
        change(plan.blur[0], _blur, plan.blur[1])
        change(plan.downscale[0], _downscale, plan.downscale[1])
        generator = torch.Generator(device).manual_seed(plan.seed)

        def add_noise(some: Tensor, deviation: Tensor) -> Tensor:
            noise = torch.randn(some.shape, generator=generator, device=device)
            return some + noise * deviation[:, None, None, None]

        change(plan.noise[0], add_noise, plan.noise[1])
        change(plan.jpeg[0], _jpeg, plan.jpeg[1])
        change(plan.grey, _grey)
    return images


def _warp(images: Tensor, back: Tensor) -> Tensor:
    """Bilinear; ``back``, (k, 3, 3), says where each point comes from, in pixels; from outside comes grey."""
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device)[:, None] + 0.5
    rows = back[..., None, None]  # (k, 3, 3, 1, 1)
    u, v, w = (rows[:, i, 0] * x + (rows[:, i, 1] * y + rows[:, i, 2]) for i in range(3))  # (k, H, W) each
    grid = torch.stack([u.div_(w).mul_(2 / width).sub_(1), v.div_(w).mul_(2 / height).sub_(1)], -1)
    fill = GREY / 255
    return F.grid_sample(images.sub_(fill), grid, mode="bilinear", padding_mode="zeros", align_corners=False).add_(fill)


def _brightness(images: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    return images * gain[:, None, None, None] + offset[:, None, None, None]


def _blur(images: Tensor, kernels: Tensor) -> Tensor:
    count, _, height, width = images.shape
    border = _BLUR // 2
    padded = F.pad(images, (border,) * 4, mode="reflect").reshape(1, count * 3, height + 2 * border, -1)
    weights = kernels.repeat_interleave(3, 0)[:, None]  # (k * 3, 1, 5, 5)
    return F.conv2d(padded, weights, groups=count * 3).reshape(count, 3, height, width)


def _downscale(images: Tensor, share: Tensor) -> Tensor:
    """To a share of the sides and back, the nearest pixel each time."""

    def places(side: int) -> Tensor:
        small = (share * side).floor().clamp(min=1)[:, None]  # (k, 1)
        at = (torch.arange(side, device=images.device) * small / side).floor()  # (k, side) of the small picture
        return (at * side / small).floor().long().clamp(max=side - 1)

    rows, columns = places(images.shape[2]), places(images.shape[3])
    picture = torch.arange(len(images), device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None].expand_as(images).clone()


# ITU-T T.81 (JPEG), annex K: quantisation tables K.1 and K.2.
_LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMA = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99"
    + " 99" * 32
)  # fmt: skip


def _table(numbers: str) -> Tensor:
    return torch.tensor([float(n) for n in numbers.split()]).reshape(8, 8)


def _dct() -> Tensor:
    """The orthonormal DCT-II of 8 samples as a matrix."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)
    matrix = torch.cos(torch.pi * (2 * n + 1) * k / 16) / 2
    matrix[0] /= 2**0.5
    return matrix


def _jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """What JPEG's quantisation loses, with halved colours as OpenCV writes them; sides are multiples of 16."""
    red, green, blue = (images * 255).round().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # JFIF 1.02
    colours = torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402], 1)  # (k, 2, H, W), about 0
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None, None, None, None]
    dct = _dct().to(images.device)

    def quantised(planes: Tensor, numbers: str) -> Tensor:
        count, kinds, height, width = planes.shape
        steps = ((_table(numbers).to(images.device) * scale + 50) / 100).floor().clamp(1, 255)
        blocks = planes.reshape(count, kinds, height // 8, 8, width // 8, 8).transpose(3, 4)  # (…, 8, 8)
        kept = ((dct @ blocks @ dct.T) / steps).round() * steps
        return (dct.T @ kept @ dct).transpose(3, 4).reshape(planes.shape)

    luma = quantised(luma[:, None] - 128, _LUMA)[:, 0] + 128
    halved = quantised(F.avg_pool2d(colours, 2), _CHROMA)
    from_blue, from_red = F.interpolate(halved, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    red, blue = luma + 1.402 * from_red, luma + 1.772 * from_blue
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], 1).round() / 255
