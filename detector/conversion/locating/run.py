"""What all steps of one conversion have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from detector.conversion.inputs import Inputs, Progress
from detector.conversion.locating.boxes import shown, shown_ids
from detector.conversion.locating.locator import Ids
from detector.data.atomic import ResumeFolder
from detector.data.labels.sources import LabelledImage
from detector.text.alphabet import Alphabet


@dataclass(frozen=True)
class Run:
    """Settings of a conversion, and where it keeps what it finds.

    Args:
        inputs: the pictures.
        table: their alphabet.
        length: symbols that a text may have.
        lines: of text in each picture; None finds out.
        train_scale: multiplies the steps of self-training.
        seed: of training.
        device: as Ultralytics spells it.
        resume: where finished pieces are kept.
        tell: told of the work as it goes on.
    """

    inputs: Inputs
    table: Alphabet
    length: int
    lines: int | None
    train_scale: float
    seed: int
    device: str | None
    resume: ResumeFolder
    tell: Progress

    def labels(self, items: Sequence[LabelledImage]) -> list[Ids]:
        """Class ids of each item's symbols, blanks left out."""
        return [shown_ids(item, self.table) for item in items]

    @cached_property
    def counts(self) -> list[int]:
        """Symbols of each picture's label, blanks left out."""
        return [len(shown(item.text, self.table)) for item in self.inputs.items]
