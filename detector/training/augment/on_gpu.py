"""A plan carried out on the device that trains, a whole batch at once: how a GPU augments.

Each change is made on those pictures only that it falls to. Written here since neither library serves: the transforms
of torchvision v2 draw one value for a whole batch, and those of kornia interpolate once a transform and choose pictures
by masks on the device, which stops it each time.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from detector.data.letterbox import GREY
from detector.training.augment.plan import BLUR, Plan


@torch.no_grad()
def apply(plan: Plan, images: Tensor) -> Tensor:
    """Return changed pictures on their device; ``images``, float (n, 3, H, W) RGB in [0, 1], are not modified."""
    device = images.device
    with torch.autocast(device.type, enabled=False):
        images = images.float().clone()  # laid out in memory as they were

        def change(rows: NDArray[np.int64], operation: object, *values: NDArray[np.float32]) -> None:
            if len(rows):
                index = torch.from_numpy(rows).to(device, non_blocking=True)
                numbers = [torch.from_numpy(v).to(device, non_blocking=True) for v in values]
                images[index] = operation(images[index], *numbers).clamp_(0, 1)  # type: ignore[operator]

        change(plan.moved, _warp, np.linalg.inv(plan.matrices[plan.moved]).astype(np.float32))
        change(plan.brightness[0], _brightness, *plan.brightness[1:])
        change(plan.blur[0], _blur, plan.blur[1])
        change(plan.downscale[0], _downscale, plan.downscale[1])
        generator = torch.Generator(device).manual_seed(plan.seed)

        def add_noise(pictures: Tensor, deviation: Tensor) -> Tensor:
            noise = torch.randn(pictures.shape, generator=generator, device=device)
            return pictures + noise * deviation[:, None, None, None]

        change(plan.noise[0], add_noise, plan.noise[1])
        change(plan.jpeg[0], _jpeg, plan.jpeg[1])
        change(plan.grey, _grey)
    return images


def _warp(images: Tensor, inverse: Tensor) -> Tensor:
    """Warp bilinearly by ``inverse``, (k, 3, 3): where each point comes from, in pixels; outside is grey."""
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device)[:, None] + 0.5
    rows = inverse[..., None, None]  # (k, 3, 3, 1, 1)
    u, v, w = (rows[:, i, 0] * x + (rows[:, i, 1] * y + rows[:, i, 2]) for i in range(3))  # (k, H, W) each
    grid = torch.stack([u.div_(w).mul_(2 / width).sub_(1), v.div_(w).mul_(2 / height).sub_(1)], -1)
    fill = GREY / 255
    return F.grid_sample(images.sub_(fill), grid, mode="bilinear", padding_mode="zeros", align_corners=False).add_(fill)


def _brightness(images: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    return images * gain[:, None, None, None] + offset[:, None, None, None]


def _blur(images: Tensor, kernels: Tensor) -> Tensor:
    count, _, height, width = images.shape
    border = BLUR // 2
    padded = F.pad(images, (border,) * 4, mode="reflect").reshape(1, count * 3, height + 2 * border, -1)
    weights = kernels.repeat_interleave(3, 0)[:, None]  # (k * 3, 1, 5, 5)
    return F.conv2d(padded, weights, groups=count * 3).reshape(count, 3, height, width)


def _downscale(images: Tensor, share: Tensor) -> Tensor:
    """Shrink to a share of the sides and enlarge again, by nearest pixels."""

    def places(side: int) -> Tensor:
        small_side = (share * side).floor().clamp(min=1)[:, None]  # (k, 1)
        at = (torch.arange(side, device=images.device) * small_side / side).floor()  # (k, side) of the small picture
        return (at * side / small_side).floor().long().clamp(max=side - 1)

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
    """Return the orthonormal DCT-II of 8 samples as a matrix."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)
    matrix = torch.cos(torch.pi * (2 * n + 1) * k / 16) / 2
    matrix[0] /= 2**0.5
    return matrix


def _jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Quantise as JPEG does, with halved chroma as OpenCV writes it; sides are multiples of 16."""
    red, green, blue = (images * 255).round().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # JFIF 1.02
    colours = torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402], 1)  # (k, 2, H, W), about 0
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None, None, None, None]
    dct = _dct().to(images.device)

    def quantised(planes: Tensor, numbers: str) -> Tensor:
        count, kinds, height, width = planes.shape
        steps = ((_table(numbers).to(images.device) * scale + 50) / 100).floor().clamp(1, 255)
        blocks = planes.reshape(count, kinds, height // 8, 8, width // 8, 8).transpose(3, 4)  # (…, 8, 8)
        quantized = ((dct @ blocks @ dct.T) / steps).round() * steps
        return (dct.T @ quantized @ dct).transpose(3, 4).reshape(planes.shape)

    luma = quantised(luma[:, None] - 128, _LUMA)[:, 0] + 128
    halved = quantised(F.avg_pool2d(colours, 2), _CHROMA)
    from_blue, from_red = F.interpolate(halved, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    red, blue = luma + 1.402 * from_red, luma + 1.772 * from_blue
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], 1).round() / 255
