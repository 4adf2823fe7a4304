"""What a person decides on, picture by picture, and what holds the pictures and the decisions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from detector.errors import DetectorError

DecisionName = Literal["", "accept", "correct", "drop"]
"""As in ``review.csv``; empty: not decided."""


@dataclass(frozen=True)
class Item:
    """One picture to decide on.

    Args:
        name: in the source, unique; what a decision is about.
        picture: its file, if there is one.
        text: the label, in the order of the picture.
        typed: the label as one types it, with the source's sign for a space.
        read: what was read instead, in the order of the picture; "" if nothing else was.
        typed_read: the same as one types it.
        confidence: in [0, 1], as it was written.
        status: what became of the picture so far, a word of its file.
        decision: of a person.
        corrected: the right label, as it was typed; only where the decision is "correct".
        version: counts the changes of the decision, so that one made on an outdated page is noticed.
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
        """Key of the picture in addresses, where its name may hold anything."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogatepass")).hexdigest()[:20]


@dataclass(frozen=True)
class CharacterBoxes:
    """Boxes of a picture's characters.

    Args:
        symbols: one a box.
        boxes_xyxy: float (n, 4), in pixels of the upright picture.
        shows: whose symbols they are.
    """

    symbols: tuple[str, ...]
    boxes_xyxy: NDArray[np.floating]
    shows: Literal["label", "reading"] = "label"


NO_BOXES = CharacterBoxes((), np.zeros((0, 4), np.float32))


class ConflictError(DetectorError):
    """A decision was made on a page that did not know of another one; ``item`` has that one."""

    def __init__(self, item: Item) -> None:
        """Tell what is decided already."""
        super().__init__(f"{item.name} was decided on elsewhere in the meantime: look again.")
        self.item = item


class Subject(Protocol):
    """What is reviewed: a source of pictures, and the one file that holds the decisions on them."""

    kind: Literal["set", "evaluation", "labels"]
    title: str
    decisions: Path
    """The file of the decisions."""
    space: str
    """The sign between characters that have no box."""
    next_step: str
    """A command for when all is decided; "" if there is none to tell."""
    converted: Path | None
    """The set that the decisions are on, if they are on one."""

    def changed(self) -> bool:
        """Test whether somebody else wrote a file since it was loaded or saved here."""
        ...

    def load(self) -> list[Item]:
        """Read everything anew, in the order to decide in."""
        ...

    def problem(self, corrected: str) -> str:
        """Return why this can be no label; "" if it can."""
        ...

    def save(self, item: Item) -> bool:
        """Have its decision on disk, beside those on others, before this returns; False: it is to be loaded first."""
        ...

    def boxes(self, item: Item, size_wh: tuple[int, int]) -> CharacterBoxes:
        """Return the boxes that are drawn on the picture."""
        ...
