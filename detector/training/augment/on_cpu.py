"""A plan carried out on the CPU with OpenCV, on pictures of bytes: how training on a CPU augments.

Each change is made on those pictures only that it falls to, in one call that OpenCV has vectorised. A change ends in
whole levels of 0 to 255, where :mod:`detector.training.augment.on_gpu` keeps fractions until the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.data.letterbox import GREY
from detector.training.augment.plan import Plan

_NOISES = 4  # pictures' worth of normal numbers that all noise is cut from


def apply(plan: Plan, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return changed pictures, uint8 (n, H, W, 3) BGR; ``images``, n > 0 of (H, W, 3), are not modified.

    They may be views of a store: each is read once, and where geometry falls to it, straight by the interpolation.
    """
    changed = np.empty((len(images), *images[0].shape), np.uint8)
    moved, matrices = set(plan.moved.tolist()), _about_centres(plan.matrices)
    for i, image in enumerate(images):
        if i in moved:
            _warp(image, matrices[i], changed[i])
        else:
            changed[i] = image
    for i, gain, offset in zip(*plan.brightness, strict=True):
        cv2.addWeighted(changed[i], gain, changed[i], 0, offset * 255, dst=changed[i])
    for i, kernel in zip(*plan.blur, strict=True):
        cv2.filter2D(changed[i], -1, _tight(kernel), dst=changed[i], borderType=cv2.BORDER_REFLECT_101)
    for i, share in zip(*plan.downscale, strict=True):
        _downscale(changed[i], share)
    _add_noise(plan, changed)
    for i, quality in zip(*plan.jpeg, strict=True):
        encoded = cv2.imencode(".jpg", changed[i], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
        changed[i] = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    for i in plan.grey:
        cv2.cvtColor(cv2.cvtColor(changed[i], cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR, dst=changed[i])
    return changed


def _about_centres(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift homographies so that (0, 0) is the centre of the first pixel, as in OpenCV."""
    to_centre, from_centre = np.eye(3), np.eye(3)
    to_centre[:2, 2], from_centre[:2, 2] = 0.5, -0.5
    moved: NDArray[np.float64] = from_centre @ matrices @ to_centre
    return moved


def _warp(image: NDArray[np.uint8], matrix: NDArray[np.float64], changed: NDArray[np.uint8]) -> None:
    """Warp bilinearly; pixels from outside are grey."""
    size_wh = image.shape[1::-1]
    grey = (GREY,) * 3
    cv2.warpPerspective(image, matrix, size_wh, changed, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT, grey)


def _tight(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Crop a kernel's border of zeros: a third of the work."""
    inner = kernel[1:-1, 1:-1]
    return inner if np.count_nonzero(inner) == np.count_nonzero(kernel) else kernel


def _downscale(image: NDArray[np.uint8], share: np.float32) -> None:
    """Shrink to a share of the sides and enlarge again, in place, by nearest pixels."""
    height, width = image.shape[:2]
    small_wh = max(1, int(width * share)), max(1, int(height * share))
    small = cv2.resize(image, small_wh, interpolation=cv2.INTER_NEAREST)
    cv2.resize(small, (width, height), dst=image, interpolation=cv2.INTER_NEAREST)


def _add_noise(plan: Plan, images: NDArray[np.uint8]) -> None:
    """Add normal noise in place: each time another stretch of the same numbers, with either sign."""
    rows, deviations = plan.noise
    if not len(rows):
        return
    rng = np.random.default_rng(plan.seed)
    shape, size = images.shape[1:], images[0].size
    numbers = _normal(_NOISES * size)
    starts = rng.integers(len(numbers) - size + 1, size=len(rows))
    signed = deviations * rng.choice((-255, 255), len(rows))
    for i, start, deviation in zip(rows, starts, signed, strict=True):
        noise = numbers[start : start + size].reshape(shape)
        cv2.addWeighted(images[i], 1, noise, deviation, 0, dst=images[i], dtype=cv2.CV_8U)


@lru_cache(maxsize=2)
def _normal(count: int) -> NDArray[np.float32]:
    """Draw normal numbers once: drawing them anew would cost more than all the rest."""
    return np.random.default_rng(0).standard_normal(count, np.float32)
