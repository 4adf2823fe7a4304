"""Review of doubtful pre-labels: decisions are written into their table, which the next conversion takes."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Literal

from detector.conversion.set_folder import WAIT, alone
from detector.data.labels.label_rules import LabelRules, rules_of_any, rules_of_next
from detector.data.labels.prelabels import (
    DOUBTFUL,
    DROPPED,
    PERSON,
    UNREADABLE,
    Prelabel,
    PrelabelLines,
    read_prelabels,
)
from detector.data.labels.sources import SPELLING
from detector.errors import AlphabetError
from detector.review.items import NO_BOXES, CharacterBoxes, Item
from detector.review.review_files import file_state
from detector.workflow.fit_folder import conversion_of, fit_command, fit_of


class ReviewedPrelabels:
    """The doubtful rows of a table of pre-labels, in its order; rows that are decided on stay until the review ends.

    Args:
        path: of the table.
    """

    kind: Literal["set", "evaluation", "labels"] = "labels"

    def __init__(self, path: Path) -> None:
        """Take the path; the table is read by :meth:`load`."""
        self.title, self.space = path.name, " "
        self.converted: Path | None = None
        self.decisions = path.resolve()
        self.next_step = ""
        self._rules = rules_of_any({})
        self._lines = PrelabelLines([], ())
        self._proposed: dict[str, Prelabel] = {}  # rows as the reader wrote them, to undo decisions
        self._state: Hashable = None

    def changed(self) -> bool:
        """Test whether somebody else wrote the table."""
        return file_state(self.decisions) != self._state

    def load(self) -> list[Item]:
        """Read the table, and return its items.

        Raises:
            SourceError: if it is no table of pre-labels.
        """
        self._state = file_state(self.decisions)
        rows = read_prelabels(self.decisions)
        labelled = (self.decisions.parent / row.image for row in rows if row.status == PERSON)
        fit = fit_of(labelled)
        self.next_step = fit_command(fit, self.decisions)
        self._rules = _rules_of_fit(fit)
        for row in rows:
            if row.status in (DOUBTFUL, UNREADABLE):
                self._proposed[row.image] = row
        self._lines = PrelabelLines(rows, self._proposed)
        return [self._item(row, self._proposed[row.image]) for row in rows if row.image in self._proposed]

    def _item(self, row: Prelabel, proposed: Prelabel) -> Item:
        decision, corrected = "", ""
        if row.status == DROPPED:
            decision = "drop"
        elif row.status == PERSON:
            decision, corrected = ("accept", "") if row.text == proposed.text else ("correct", row.text)
        return Item(
            name=row.image,
            picture=self.decisions.parent / row.image,
            text=proposed.text,
            typed=proposed.text,
            confidence=f"{proposed.confidence:.4f}",
            status=row.status,
            decision=decision,
            corrected=corrected,
        )

    def problem(self, corrected: str) -> str:
        """Return why the fit that takes the table would refuse a text; of a new fit, why any would."""
        return self._rules.problem(corrected)

    def save(self, item: Item) -> bool:
        """Write the table with this decision, unless somebody else changed it; return whether it was written.

        Raises:
            DatasetError: if another process is writing it.
        """
        with alone(self.decisions, WAIT):
            if self.changed():
                return False
            proposed = self._proposed[item.name]
            decided = {
                "": proposed,
                "accept": proposed._replace(confidence=1.0, status=PERSON),
                "correct": proposed._replace(text=item.corrected, confidence=1.0, status=PERSON),
                "drop": proposed._replace(status=DROPPED),
            }[item.decision]
            self._lines.write(self.decisions, decided)
            self._state = file_state(self.decisions)
            return True

    def boxes(self, item: Item, size_wh: tuple[int, int]) -> CharacterBoxes:
        """Return no boxes: the table has only texts."""
        return NO_BOXES


def _rules_of_fit(fit: Path | None) -> LabelRules:
    """Return the rules of the fit that takes a table, with its options but for the spelling of its own source.

    The stand-in for spaces stays: the fit is told with it once a text of the table has it.
    """
    conversion = None if fit is None else conversion_of(fit)
    if conversion is None:
        return rules_of_any({})
    options = {name: value for name, value in conversion.items() if name == "space" or name not in SPELLING}
    try:
        return rules_of_next(options)
    except AlphabetError:  # the fit was refused for it
        return rules_of_any(options)
