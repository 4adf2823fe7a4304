"""Wrong readings of an evaluation: is the reader wrong, or the label?

Where a converted set was evaluated, its pictures are decided on as its suspects are, in its ``review.csv``. Of other
sources the decisions go to a file beside the evaluation, which the argument ``review`` of :func:`detector.convert`
takes.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from detector.data.labels.visual_order import to_visual
from detector.errors import DatasetError, argument
from detector.review.items import NO_BOXES, CharacterBoxes, Item
from detector.review.review_files import ReviewFile, shown_path
from detector.review.sets import ReviewedSet


class WrongReading(NamedTuple):
    """One picture of an evaluation, as its JSON has it."""

    name: str
    path: Path
    label: str
    reading: str
    confidence: float
    boxes: CharacterBoxes


class _Evaluation(NamedTuple):
    source: Path
    wrong: dict[str, WrongReading]


def read_evaluation(path: Path) -> _Evaluation:
    """Read the wrong readings in a file of ``detector evaluate``, the surest first.

    Raises:
        DatasetError: if it is no such file, or of a version that did not say where the pictures are.
    """
    try:
        evaluation = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as JSON ({error}): give what `detector evaluate` printed.") from None
    if not isinstance(evaluation, dict) or not isinstance(evaluation.get("wrong"), list):
        raise DatasetError(f"{path} is no evaluation: it has no list `wrong` as `detector evaluate` prints it as JSON.")
    if not isinstance(evaluation.get("source"), str):
        raise DatasetError(f"{path} does not say what was evaluated: evaluate again with this version.")
    try:
        wrong = [_wrong_reading(reading) for reading in evaluation["wrong"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: a wrong reading lacks what is needed ({error!r}): evaluate again.") from None
    return _Evaluation(Path(evaluation["source"]), {reading.name: reading for reading in wrong})


def _wrong_reading(reading: Mapping[str, Any]) -> WrongReading:
    characters: Sequence[Mapping[str, Any]] = reading["characters"]
    boxes_xyxy = np.array([c["xyxy"] for c in characters], np.float32).reshape(len(characters), 4)
    if not np.isfinite(boxes_xyxy).all():
        raise ValueError("a box that is no numbers")
    str(reading["name"]).encode()  # no table can hold what is no Unicode
    boxes = CharacterBoxes(tuple(str(c["symbol"]) for c in characters), boxes_xyxy, "reading")
    return WrongReading(
        name=str(reading["name"]),
        path=Path(reading["path"]),
        label=str(reading["label"]),
        reading=str(reading["reading"]),
        confidence=float(reading["confidence"]),
        boxes=boxes,
    )


class EvaluatedSet(ReviewedSet):
    """The pictures of a set that were read wrongly.

    Args:
        path: the file of it.
        evaluation: what it holds.
    """

    kind: Literal["set", "evaluation", "labels"] = "evaluation"

    def __init__(self, path: Path, evaluation: _Evaluation) -> None:
        """Open the set that was evaluated."""
        super().__init__(evaluation.source)
        self.title = path.name
        # By name and not by file, for a correction may move a picture into another split.
        sources = {row.image: name for name, row in self.manifest.items()}
        self._wrong_readings = {
            sources[image]: reading for image, reading in evaluation.wrong.items() if image in sources
        }
        if evaluation.wrong and not self._wrong_readings:
            raise DatasetError(f"{evaluation.source} has no picture of {path} any more: evaluate again.")

    def _names(self) -> Iterable[str]:
        return list(self._wrong_readings)

    def _item(self, name: str) -> Item:
        item, reading = super()._item(name), self._wrong_readings[name]
        read = to_visual(reading.reading) if self._config.visual_order else reading.reading
        return replace(item, read=read, typed_read=self.typed(read), confidence=f"{reading.confidence:.4f}")

    def boxes(self, item: Item, size_wh: tuple[int, int]) -> CharacterBoxes:
        """Return the boxes of the reading."""
        return self._wrong_readings[item.name].boxes


class EvaluatedSource:
    """Labelled pictures that were read wrongly and are in no set.

    Args:
        path: the file of it.
        evaluation: what it holds.
    """

    kind: Literal["set", "evaluation", "labels"] = "evaluation"

    def __init__(self, path: Path, evaluation: _Evaluation) -> None:
        """Know the pictures."""
        self.title, self.space = path.name, " "
        self.converted: Path | None = None
        self.decisions = path.absolute().with_suffix(".review.csv")
        conversion = shlex.join(["detector", "convert", shown_path(evaluation.source), "OUT"])
        self.next_step = f"{conversion} {argument('review', shown_path(self.decisions))}"
        self._wrong_readings = evaluation.wrong
        self._file = ReviewFile(self.decisions)

    def changed(self) -> bool:
        """Whether somebody else wrote decisions."""
        return self._file.changed()

    def load(self) -> list[Item]:
        """Read the decisions anew."""
        self._file.load()
        return [self._item(reading) for reading in self._wrong_readings.values()]

    def _item(self, reading: WrongReading) -> Item:
        row = self._file.rows.get(reading.name)
        return Item(
            name=reading.name,
            picture=reading.path,
            text=reading.label,
            typed=reading.label,
            read=reading.reading,
            typed_read=reading.reading,
            confidence=f"{reading.confidence:.4f}",
            status="ok",
            decision=row.decision if row else "",
            corrected=row.corrected if row else "",
        )

    def problem(self, corrected: str) -> str:
        """Nothing is known of what labels may be here: the conversion that takes the file checks it."""
        return ""

    def save(self, item: Item) -> bool:
        """Write the file with this decision, unless it was changed."""
        return self._file.save(item)

    def boxes(self, item: Item, size_wh: tuple[int, int]) -> CharacterBoxes:
        """Those of the reading."""
        reading = self._wrong_readings.get(item.name)
        return reading.boxes if reading else NO_BOXES
