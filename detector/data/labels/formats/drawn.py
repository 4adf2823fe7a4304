"""What a person drew in a picture -> its row: the text is that of its characters' boxes in order, or what was typed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.data.images import MAX_PIXELS
from detector.data.labels.formats.fields import row_of_texts
from detector.data.labels.formats.model import DrawnBox, Row, quoted
from detector.text.alphabet import MAX_LENGTH
from detector.text.detections import box_iou
from detector.text.line_grouping import deskew_picture, reading_order

MAX_LINES = 2
NO_TEXTS = "no texts"
"""How descriptions end of files that are understood and in which nobody typed a text."""

_MAX_BOXES = 1000  # of a picture, compared with each other
_SAME_PLACE = 0.9  # IoU from which two boxes are of the same character


def is_symbol(name: str) -> bool:
    """Test whether a class's name is a character, alone or with marks that compose with it."""
    return len(unicodedata.normalize("NFC", name)) == 1 and not name.isspace()


def are_symbols(names: Sequence[str]) -> bool:
    """Test whether boxes of these classes are mostly characters'."""
    return 2 * sum(map(is_symbol, names)) > len(names)


def no_symbols(names: Sequence[str]) -> str:
    """Describe boxes that are not around characters, for messages."""
    example = next((name for name in names if not is_symbol(name)), "")
    return f"has boxes of {quoted(example, 40)}, not of single characters, and {NO_TEXTS}"


def drawn_row(line: int, image: str, boxes: Sequence[DrawnBox]) -> Row:
    """Return the row of a picture with these boxes."""
    foreign = [box.symbol for box in boxes if not is_symbol(box.symbol)]
    if foreign:
        return Row(line, image, "", f"the box {quoted(foreign[0], 40)} is of no single character")
    if not all(box.x1 < box.x2 and box.y1 < box.y2 for box in boxes):
        return Row(line, image, "", "a box has no width or no height")
    if not boxes:
        return Row(line, image, "", "no box is drawn")
    if len(boxes) > _MAX_BOXES:
        return Row(line, image, "", f"{len(boxes)} boxes are drawn, and a text has at most {MAX_LENGTH} characters")
    corners = np.array([box[1:] for box in boxes], np.float64)  # (n, 4)
    if not (np.abs(corners) <= MAX_PIXELS).all():
        return Row(line, image, "", "a box lies where no picture reaches")
    named = [box._replace(symbol=unicodedata.normalize("NFC", box.symbol)) for box in boxes]
    once, problem = _without_repeats(named, corners)
    if problem:
        return Row(line, image, "", problem)
    corners = np.array([box[1:] for box in once], np.float64)
    lines = MAX_LINES if _are_stacked(corners) else 1
    order = reading_order(deskew_picture(corners, float(corners[:, 2].max()), lines))[0]
    ordered = tuple(once[i] for i in order)
    return Row(line, image, "".join(box.symbol for box in ordered), "", ordered)


def _without_repeats(boxes: list[DrawnBox], corners: NDArray[np.float64]) -> tuple[list[DrawnBox], str]:
    """Return the boxes without those that are there already, as merged exports have them; and what is wrong.

    Args:
        boxes: of one picture.
        corners: theirs, (n, 4) xyxy.
    """
    firsts, seconds = np.nonzero(np.triu(box_iou(corners, corners) > _SAME_PLACE, 1))
    for first, second in zip(firsts, seconds, strict=True):
        one, other = boxes[first].symbol, boxes[second].symbol
        if one != other:
            return boxes, f"boxes of {quoted(one, 40)} and of {quoted(other, 40)} are at the same place"
    repeats = set(seconds.tolist())
    return [box for place, box in enumerate(boxes) if place not in repeats], ""


class Mark(NamedTuple):
    """Something that a person marked in a picture, or of it as a whole.

    ``label`` is its class, ``text`` what was typed for it, "" if nothing; ``box_xyxy`` is None where it is no upright
    box.
    """

    label: str
    text: str
    box_xyxy: tuple[float, float, float, float] | None

    @property
    def symbol(self) -> str:
        """The character that it is of, where it is of one."""
        return self.label if is_symbol(self.label) else self.text or self.label


RowOfMarks = Callable[[int, str, Sequence[Mark]], Row]
"""Gives the row of a picture from its marks: (line, image, marks)."""


def marks_as_labels(pictures: Sequence[Sequence[Mark]]) -> RowOfMarks | str:
    """Tell by the marks of some pictures what their labels are; a sentence where they are none.

    Texts that were typed for most pictures; else boxes of characters; else classes that differ as texts do, one a
    picture.
    """
    marked = [marks for marks in pictures if marks]
    typed = [any(mark.text and not is_symbol(mark.text) for mark in marks) for marks in marked]
    if 2 * sum(typed) > len(marked):
        return _typed_row
    every = [mark for marks in marked for mark in marks]
    if are_symbols([mark.symbol for mark in every]):
        return _symbols_row
    if len(every) == len(marked) and 2 * len({mark.label for mark in every}) > len(every):
        return lambda line, image, marks: _typed_row(line, image, [m._replace(label="", text=m.label) for m in marks])
    return no_symbols([mark.label for mark in every])


def _typed_row(line: int, image: str, marks: Sequence[Mark]) -> Row:
    typed = [mark.text for mark in marks if mark.text]
    row = row_of_texts(line, image, [text for text in typed if not is_symbol(text)] or typed)
    characters = [mark for mark in marks if is_symbol(mark.symbol) and mark.text != row.text]
    return row if row.problem else row._replace(drawn=_symbols_row(line, image, characters).drawn)


def _symbols_row(line: int, image: str, marks: Sequence[Mark]) -> Row:
    boxes = [DrawnBox(mark.symbol, *mark.box_xyxy) for mark in marks if mark.box_xyxy is not None]
    if len(boxes) == len(marks):
        return drawn_row(line, image, boxes)
    other = next(mark.symbol for mark in marks if mark.box_xyxy is None)
    return Row(line, image, "", f"the mark {quoted(other, 40)} is no upright box")


def _are_stacked(corners: NDArray[np.float64]) -> bool:
    """Test whether half of the boxes or more stand above or below another one, as on square plates."""
    x1, y1, x2, y2 = corners.T
    shared = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)  # (n, n)
    narrower = np.minimum((x2 - x1)[:, None], x2 - x1)
    is_below = np.maximum(y1[:, None], y1) >= np.minimum(y2[:, None], y2)
    return bool(2 * ((shared > narrower / 2) & is_below).any(1).sum() >= len(corners))
