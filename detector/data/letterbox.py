"""Letterbox pictures into the input shape of a network; what boxes are in pixels and as shares of a picture.

Scaled with the aspect ratio kept, centred, padded with grey; locating, training, validation and reading all use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = 114
"""Value of the padding, that of Ultralytics."""

STRIDE = 32
"""Sides of a network input are multiples of this."""

_Float = TypeVar("_Float", np.float32, np.float64)

DEFAULT_SHAPE_HW = (64, 256)
"""Input shape where neither a set nor weights have one."""

_ROOM = 24  # pixels of width for each character; with fewer, neighbours fall into one cell of the network
_LOW, _HIGH = 64, 512  # minimum height and maximum width


@dataclass(frozen=True)
class LetterboxTransform:
    """Position of a picture in the network input: ``letterboxed = picture * scale + offset``."""

    scale_x: float
    scale_y: float
    left: int
    top: int
    width: int
    height: int

    def to_picture(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """Convert boxes (n, 4) of the letterboxed picture to pixels of the original one, clipped to it."""
        boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        offset = np.array([self.left, self.top] * 2, np.float32)
        limit = np.array([self.width, self.height] * 2, np.float32)
        clipped: NDArray[np.float32] = np.clip((boxes - offset) / scale, 0, limit).astype(np.float32)
        return clipped

    def to_letterboxed(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """Convert boxes (n, 4) of the original picture to pixels of the letterboxed one."""
        boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        offset = np.array([self.left, self.top] * 2, np.float32)
        return (boxes * scale + offset).astype(np.float32)


def ratio_of(size_wh: tuple[int, int], shape_hw: tuple[int, int]) -> float:
    """Scale factor with which a picture is letterboxed."""
    return min(shape_hw[0] / size_wh[1], shape_hw[1] / size_wh[0])


def letterbox(image: NDArray[np.uint8], shape_hw: tuple[int, int]) -> tuple[NDArray[np.uint8], LetterboxTransform]:
    """Letterbox ``image``, (H, W, 3), into ``shape_hw``.

    Returns:
        The letterboxed picture, uint8 (*shape_hw, 3), and its transform.
    """
    height, width = image.shape[:2]
    to_h, to_w = shape_hw
    ratio = ratio_of((width, height), shape_hw)
    new_w, new_h = max(1, min(to_w, round(width * ratio))), max(1, min(to_h, round(height * ratio)))
    if (new_w, new_h) != (width, height):
        # INTER_LINEAR skips pixels when downscaling; thin strokes need the mean of the area. Ultralytics uses it for
        # both.
        method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, (new_w, new_h), interpolation=method)  # type: ignore[assignment]
    left, top = (to_w - new_w) // 2, (to_h - new_h) // 2
    transform = LetterboxTransform(new_w / width, new_h / height, left, top, width, height)
    if (new_h, new_w) == (to_h, to_w):
        return image, transform
    canvas = np.full((to_h, to_w, 3), GREY, np.uint8)
    canvas[top : top + new_h, left : left + new_w] = image
    return canvas, transform


def shape_for(
    sizes_wh: Sequence[tuple[int, int]] | NDArray[np.integer], length: int, lines: float = 1.0
) -> tuple[int, int]:
    """Choose the network input for pictures of these sizes and texts of ``length`` symbols a line.

    Small characters must not share a cell, and every pixel costs time: the width has about 24 pixels for each symbol,
    the height follows from the 90 % quantile of the aspect ratios. ``lines`` is the mean number of lines of a text.

    Returns:
        (height, width), multiples of 32.
    """
    sizes = np.asarray(sizes_wh, np.float64).reshape(-1, 2)
    aspect = float(np.quantile(sizes[:, 0] / sizes[:, 1], 0.9)) if len(sizes) else 4.0
    low = STRIDE * round(_LOW * lines / STRIDE)
    width = max(low * aspect, _ROOM * length)
    width = int(np.clip(STRIDE * round(width / STRIDE), 2 * STRIDE, _HIGH))
    height = int(np.clip(STRIDE * np.ceil(width / aspect / STRIDE - 0.25), low, _HIGH // 2))
    return height, width


def scaled(shape_hw: tuple[int, int], factor: float) -> tuple[int, int]:
    """Scale both sides of a network input, rounded to multiples of 32."""
    height, width = (max(STRIDE, STRIDE * round(side * factor / STRIDE)) for side in shape_hw)
    return height, width


def to_shares(boxes_xyxy: NDArray[_Float], size_wh: tuple[int, int]) -> NDArray[_Float]:
    """Convert boxes (n, 4) in pixels to YOLO's centre x, centre y, width, height as shares of the picture."""
    x1, y1, x2, y2 = boxes_xyxy.reshape(-1, 4).T
    width, height = size_wh
    return np.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height], 1)


def from_shares(shares_cxcywh: NDArray[_Float], size_wh: tuple[int, int]) -> NDArray[_Float]:
    """Invert :func:`to_shares`."""
    cx, cy, w, h = shares_cxcywh.reshape(-1, 4).T
    width, height = size_wh
    return np.stack([(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height], 1)
