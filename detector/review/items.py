"""Items of a review, one a picture, and the protocol of the sources that have them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from detector.errors import DetectorError

DecisionName = Literal["", "accept", "correct", "drop"]
"""Decisions as in ``review.csv``; "" if there is none yet."""


@dataclass(frozen=True)
class Item:
    """One picture to decide on.

    Args:
        name: of the picture in the source, unique.
        picture: its file; None if there is none.
        text: the label, in visual order, from left to right.
        typed: the label as a person types it, with the source's sign for a space.
        read: the text that was read if it differs from the label, in visual order; else "".
        typed_read: the same as a person types it.
        confidence: of the reading, a number in [0, 1] as text, as the file has it; "" if unknown.
        status: of the picture, as the file has it.
        decision: of a person.
        corrected: the right label as it was typed, if the decision is "correct"; else "".
        version: number of changes of the decision, to detect decisions that are made on an outdated page.
    """

    name: str
    picture: Path | None
    text: str
    typed: str
    read: str = ""
    typed_read: str = ""
    confidence: str = ""
    status: str = ""
    decision: str = ""
    corrected: str = ""
    version: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """Key of the picture in addresses: a hash, since names may have any characters."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogatepass")).hexdigest()[:20]


@dataclass(frozen=True)
class CharacterBoxes:
    """Boxes of a picture's characters.

    Args:
        symbols: one for each box.
        boxes_xyxy: float (n, 4), in pixels of the upright picture.
        shows: whether the symbols are those of the label or of the reading.
    """

    symbols: tuple[str, ...]
    boxes_xyxy: NDArray[np.floating]
    shows: Literal["label", "reading"] = "label"


NO_BOXES = CharacterBoxes((), np.zeros((0, 4), np.float32))


class ConflictError(DetectorError):
    """A decision on an outdated page.

    Args:
        item: with the decision that the page did not show.
    """

    def __init__(self, item: Item) -> None:
        """Name the picture in the message."""
        super().__init__(f"{item.name} was decided on elsewhere in the meantime: look again.")
        self.item = item


class Subject(Protocol):
    """What is reviewed: pictures, and the file of the decisions on them."""

    kind: Literal["set", "evaluation", "labels"]
    title: str
    decisions: Path
    """File of the decisions."""
    space: str
    """Symbol of labels that has no box."""
    next_step: str
    """Command to run when all is decided; "" if there is none."""
    converted: Path | None
    """Folder of the converted set that is reviewed; None if it is something else."""

    def changed(self) -> bool:
        """Test whether somebody else wrote the files since they were loaded or saved here."""
        ...

    def load(self) -> list[Item]:
        """Read the files, and return all items in the order to decide in."""
        ...

    def problem(self, corrected: str) -> str:
        """Return why a text cannot be a label; "" if it can."""
        ...

    def save(self, item: Item) -> bool:
        """Write the decision on an item to disk; False if the files changed, and must be loaded first."""
        ...

    def boxes(self, item: Item, size_wh: tuple[int, int]) -> CharacterBoxes:
        """Return the boxes that are drawn on the picture."""
        ...
