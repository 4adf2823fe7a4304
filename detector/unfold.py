"""Pictures of two text lines laid out as one: what stands below to the right of what stands above.

An aligner reads a picture column by column. Of two lines it would see two characters in one column; unfolded, the text
runs on as its label does, and boxes are folded back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_LINES = 2
"""Lines that a picture can be unfolded from."""

_WIDEST = 2.2  # width over height: two lines of a plate, of whatever country, are less wide
_FEWEST = 4  # symbols that two lines have at least
_BORDER = (0.25, 0.75)  # shares of the height between which the lower line begins


@dataclass(frozen=True)
class Fold:
    """How a picture of ``lines`` was laid out.

    Args:
        size_wh: of the picture.
        lines: 1, and then nothing is changed, or 2.
        border: row at which the lower line's half begins.
        down: rows that the upper half and the lower half were moved down, for their texts to be at one height.
    """

    size_wh: tuple[int, int]
    lines: int = 1
    border: int = 0
    down: tuple[int, int] = (0, 0)

    def to_picture(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes of the unfolded picture, (n, 4), in the picture, clipped to it; each in the half of its centre."""
        if self.lines == 1:
            return boxes_xyxy
        width, height = self.size_wh
        below = self._below(boxes_xyxy)
        dx, dy = np.where(below, -width, 0), np.where(below, self.border - self.down[1], -self.down[0])
        moved = boxes_xyxy + np.stack([dx, dy] * 2, 1).astype(np.float32)
        return np.clip(moved, 0, np.array([width, height] * 2, np.float32)).astype(np.float32)

    def lines_of(self, boxes_xyxy: NDArray[np.float32]) -> int:
        """In how many lines boxes of the unfolded picture, (n, 4), are: all may be above, or all below."""
        return 2 if self.lines == 2 and 0 < self._below(boxes_xyxy).sum() < len(boxes_xyxy) else 1

    def _below(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.bool_]:
        return np.asarray(boxes_xyxy[:, [0, 2]].mean(1) >= self.size_wh[0])


def may_have_two_lines(size_wh: tuple[int, int], symbols: int) -> bool:
    """Whether a picture of this size could show so many symbols on two lines."""
    width, height = size_wh
    return symbols >= _FEWEST and width < _WIDEST * height


def unfolded_size(size_wh: tuple[int, int]) -> tuple[int, int]:
    """About the size of a picture of two lines when it is unfolded."""
    width, height = size_wh
    return 2 * width, max(1, -(-height // 2))


def unfold(image: NDArray[np.uint8], lines: int) -> tuple[NDArray[np.uint8], Fold]:
    """A picture, uint8 (H, W, 3), as one line, and how to go back."""
    height, width = image.shape[:2]
    if lines == 1 or height < 2:
        return image, Fold((width, height))
    strokes = _strokes(image)
    border = _border(strokes)
    middle = [_middle(strokes[:border]), _middle(strokes[border:])]
    down = (max(middle) - middle[0], max(middle) - middle[1])
    high = max(border + down[0], height - border + down[1])
    halves = [
        cv2.copyMakeBorder(half, rows, high - len(half) - rows, 0, 0, cv2.BORDER_REPLICATE)
        for half, rows in zip((image[:border], image[border:]), down, strict=True)
    ]
    return np.asarray(np.hstack(halves), np.uint8), Fold((width, height), 2, border, down)


def _strokes(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much changes from left to right in each row, (H,): frames and shadows along the lines do not count."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.asarray(np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)).mean(1), np.float32)


def _middle(strokes: NDArray[np.float32]) -> int:
    """The row with half of the strokes above it."""
    share = np.cumsum(strokes - strokes.min())
    return int(np.searchsorted(share, share[-1] / 2))


def _border(strokes: NDArray[np.float32]) -> int:
    """The row between two lines: the one with so few strokes between rows with so many above and below it."""
    height = len(strokes)
    reach = max(1, height // 16)
    smooth = cv2.blur(strokes[:, None], (1, 2 * (reach // 2) + 1), borderType=cv2.BORDER_REPLICATE)[:, 0]
    first = max(1, round(_BORDER[0] * height))
    last = max(first + 1, min(height, round(_BORDER[1] * height)))
    above, below = np.maximum.accumulate(smooth), np.maximum.accumulate(smooth[::-1])[::-1]
    depth = np.minimum(above, below) - smooth
    return first + int(np.argmax(depth[first:last]))
