"""Boxes that a person drew around characters -> the row of their picture: its text is their symbols in order."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detector.data.images import MAX_PIXELS
from detector.data.labels.formats.model import DrawnBox, Row, quoted
from detector.text.line_grouping import deskew_picture, reading_order

MAX_LINES = 2


def is_symbol(name: str) -> bool:
    """Whether a class's name is a character, alone or with marks that compose with it."""
    return len(unicodedata.normalize("NFC", name)) == 1 and not name.isspace()


def are_symbols(names: Sequence[str]) -> bool:
    """Whether boxes of these classes are mostly characters'."""
    return 2 * sum(map(is_symbol, names)) > len(names)


def no_symbols(names: Sequence[str]) -> str:
    """What to say of boxes that are not around characters."""
    example = next((name for name in names if not is_symbol(name)), "")
    return f"has boxes of {quoted(example, 40)}, not of single characters, and no texts"


def drawn_row(line: int, image: str, boxes: Sequence[DrawnBox]) -> Row:
    """The row of a picture with these boxes."""
    foreign = [box.symbol for box in boxes if not is_symbol(box.symbol)]
    if foreign:
        return Row(line, image, "", f"the box {quoted(foreign[0], 40)} is of no single character")
    if not all(box.x1 < box.x2 and box.y1 < box.y2 for box in boxes):
        return Row(line, image, "", "a box has no width or no height")
    if not boxes:
        return Row(line, image, "", "no box is drawn")
    corners = np.array([box[1:] for box in boxes], np.float64)  # (n, 4)
    if not (np.abs(corners) <= MAX_PIXELS).all():
        return Row(line, image, "", "a box lies where no picture reaches")
    lines = MAX_LINES if _are_stacked(corners) else 1
    order = reading_order(deskew_picture(corners, float(corners[:, 2].max()), lines))[0]
    ordered = tuple(boxes[i]._replace(symbol=unicodedata.normalize("NFC", boxes[i].symbol)) for i in order)
    return Row(line, image, "".join(box.symbol for box in ordered), "", ordered)


def _are_stacked(corners: NDArray[np.float64]) -> bool:
    """Whether half of the boxes or more stand above or below another one, as on square plates."""
    x1, y1, x2, y2 = corners.T
    shared = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)  # (n, n)
    narrower = np.minimum((x2 - x1)[:, None], x2 - x1)
    is_below = np.maximum(y1[:, None], y1) >= np.minimum(y2[:, None], y2)
    return bool(2 * ((shared > narrower / 2) & is_below).any(1).sum() >= len(corners))
