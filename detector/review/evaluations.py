"""Review of the wrong readings of an evaluation: a person decides whether the reader or the label is wrong.

If a converted set was evaluated, decisions go to its ``review.csv``, as those on its suspects. For other sources they
go to a file beside the evaluation, which the argument ``review`` of :func:`detector.convert` takes.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from detector.data.labels.label_rules import rules_of_any
from detector.data.labels.sources import READ_BY
from detector.data.labels.visual_order import to_logical, to_visual
from detector.errors import DatasetError, argument, relative_path
from detector.review.items import NO_BOXES, CharacterBoxes, Item
from detector.review.review_files import ReviewFile, is_outdated
from detector.review.sets import ReviewedSet


class WrongReading(NamedTuple):
    """A wrong reading in the JSON of an evaluation.

    Args:
        name: of the picture in the source.
        path: of the picture.
        label: its label.
        reading: the text that was read.
        confidence: of the reading, in [0, 1].
        boxes: of the characters that were read.
    """

    name: str
    path: Path
    label: str
    reading: str
    confidence: float
    boxes: CharacterBoxes


class _Evaluation(NamedTuple):
    """The JSON of an evaluation.

    Args:
        source: what was evaluated.
        wrong_readings: by name.
        label_options: how the labels of the source were read, where not by default.
        in_visual_order: whether these options put right-to-left labels in the order of the picture.
    """

    source: Path
    wrong_readings: dict[str, WrongReading]
    label_options: dict[str, str | bool]
    in_visual_order: bool


def read_evaluation(path: Path) -> _Evaluation:
    """Read the wrong readings in a file of ``detector evaluate``, in its order, the surest first.

    Raises:
        DatasetError: if it is no such file, or of a version that did not record where the pictures are.
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
        wrong_readings = [_wrong_reading(plain) for plain in evaluation["wrong"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: a wrong reading lacks what is needed ({error!r}): evaluate again.") from None
    options = evaluation.get("label_options")  # which earlier versions did not write
    return _Evaluation(
        Path(evaluation["source"]),
        {reading.name: reading for reading in wrong_readings},
        {name: options[name] for name in READ_BY if name in options} if isinstance(options, dict) else {},
        bool(evaluation.get("in_visual_order")),
    )


def _wrong_reading(plain: Mapping[str, Any]) -> WrongReading:
    """Return a wrong reading from its plain values.

    Raises:
        KeyError, TypeError, ValueError: if values are missing or make no sense.
    """
    characters: Sequence[Mapping[str, Any]] = plain["characters"]
    boxes_xyxy = np.array([c["xyxy"] for c in characters], np.float32).reshape(len(characters), 4)
    if not np.isfinite(boxes_xyxy).all():
        raise ValueError("a box that is no numbers")
    str(plain["name"]).encode()  # raises if it is no valid Unicode, which no table can hold
    boxes = CharacterBoxes(tuple(str(c["symbol"]) for c in characters), boxes_xyxy, "reading")
    return WrongReading(
        name=str(plain["name"]),
        path=Path(plain["path"]),
        label=str(plain["label"]),
        reading=str(plain["reading"]),
        confidence=float(plain["confidence"]),
        boxes=boxes,
    )


class EvaluatedSet(ReviewedSet):
    """The wrongly read pictures of a converted set.

    Args:
        path: of the evaluation's file.
        evaluation: its content.

    Raises:
        DatasetError: if the set is damaged, or has none of the pictures any more.
    """

    kind: Literal["set", "evaluation", "labels"] = "evaluation"

    def __init__(self, path: Path, evaluation: _Evaluation) -> None:
        """Open the set that was evaluated."""
        super().__init__(evaluation.source)
        self.title = path.name
        # By name in the source and not by file, since a correction may move a picture into another split.
        sources = {row.image: name for name, row in self.manifest.items()}
        self._wrong_readings = {
            sources[image]: reading for image, reading in evaluation.wrong_readings.items() if image in sources
        }
        if evaluation.wrong_readings and not self._wrong_readings:
            raise DatasetError(f"{evaluation.source} has no picture of {path} any more: evaluate again.")

    def _names(self) -> Iterable[str]:
        return list(self._wrong_readings)

    def _item(self, name: str) -> Item:
        item, reading = super()._item(name), self._wrong_readings[name]
        text = to_visual(reading.reading) if self._config.visual_order else reading.reading
        return replace(item, read=text, typed_read=self.typed(text), confidence=f"{reading.confidence:.4f}")

    def boxes(self, item: Item, size_wh: tuple[int, int]) -> CharacterBoxes:
        """Return the boxes of the reading."""
        return self._wrong_readings[item.name].boxes


class EvaluatedSource:
    """The wrongly read pictures of a source that is not a converted set.

    Args:
        path: of the evaluation's file.
        evaluation: its content.
    """

    kind: Literal["set", "evaluation", "labels"] = "evaluation"

    def __init__(self, path: Path, evaluation: _Evaluation) -> None:
        """Take the pictures; decisions are read by :meth:`load`."""
        self.title, self.space = path.name, " "
        self.converted: Path | None = None
        self.decisions = path.absolute().with_suffix(".review.csv")
        self.next_step = _conversion_command(evaluation, self.decisions)
        self._rules = rules_of_any(evaluation.label_options)
        self._typed_space = str(evaluation.label_options.get("space") or " ")
        # Whether labels are typed in another order than that of the picture, and whether the evaluation has that one.
        self._is_reordered = bool(evaluation.label_options.get("visual_order"))
        self._in_visual_order = evaluation.in_visual_order
        self._wrong_readings = evaluation.wrong_readings
        self._file = ReviewFile(self.decisions)

    def changed(self) -> bool:
        """Test whether somebody else wrote decisions."""
        return self._file.changed()

    def load(self) -> list[Item]:
        """Read the decisions anew."""
        self._file.load()
        return [self._item(reading) for reading in self._wrong_readings.values()]

    def _item(self, reading: WrongReading) -> Item:
        text, row = self._visual(reading.label), self._file.rows.get(reading.name)
        if row and is_outdated(row, text):
            row = None
        return Item(
            name=reading.name,
            picture=reading.path,
            text=text,
            typed=self._typed(reading.label),
            read=self._visual(reading.reading),
            typed_read=self._typed(reading.reading),
            confidence=f"{reading.confidence:.4f}",
            status="ok",
            decision=row.decision if row else "",
            corrected=row.corrected if row else "",
        )

    def _visual(self, text: str) -> str:
        """Return a text of the evaluation in the order of the picture, as the next conversion has it."""
        return to_visual(text) if self._is_reordered and not self._in_visual_order else text

    def _typed(self, text: str) -> str:
        """Return a text of the evaluation as a person types it in the labels of the source."""
        return (to_logical(text) if self._in_visual_order else text).replace(self.space, self._typed_space)

    def problem(self, corrected: str) -> str:
        """Return why no conversion would take a text; only that which takes the file has an alphabet and a length."""
        return self._rules.problem(corrected)

    def save(self, item: Item) -> bool:
        """Write the file with this decision, unless somebody else changed it; return whether it was written."""
        return self._file.save(item)

    def boxes(self, item: Item, size_wh: tuple[int, int]) -> CharacterBoxes:
        """Return the boxes of the reading."""
        reading = self._wrong_readings.get(item.name)
        return reading.boxes if reading else NO_BOXES


def _conversion_command(evaluation: _Evaluation, decisions: Path) -> str:
    """Return the command that converts the source with the decisions, its labels read as the evaluation read them."""
    options: dict[str, object] = {**evaluation.label_options, "review": relative_path(decisions)}
    if (labels := Path(str(options.get("labels", "")))).is_absolute():
        options["labels"] = relative_path(labels)
    words = shlex.join(["detector", "convert", str(relative_path(evaluation.source)), "OUT"])
    return " ".join([words, *(argument(name, value) for name, value in options.items())])
