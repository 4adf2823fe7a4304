"""Review of a converted set's suspects: decisions are written into its ``review.csv``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from detector.conversion.arguments import stored_arguments
from detector.conversion.review import REVIEW, ReviewRow
from detector.data.labels.label_rules import rules_of
from detector.data.labels.visual_order import to_logical
from detector.data.sets.yolo_dataset import MANIFEST, ManifestRow, label_file, parse_labels, read_set, set_name
from detector.errors import ArgumentError, relative_path
from detector.review.items import NO_BOXES, CharacterBoxes, Item
from detector.review.review_files import ReviewFile, file_state, is_outdated
from detector.text.alphabet import Alphabet
from detector.workflow.fit_folder import STATE, fit_command


class ReviewedSet:
    """The pictures in the ``review.csv`` of a converted set, and suspects that are not in it.

    Args:
        path: folder of the set, or its ``data.yaml``.

    Raises:
        DatasetError: if it is no set, or one of its tables is damaged.
    """

    kind: Literal["set", "evaluation", "labels"] = "set"

    def __init__(self, path: Path) -> None:
        """Open the set."""
        self.root = read_set(path).root
        self.converted: Path | None = self.root
        is_of_fit = (self.root.parent / STATE).is_file()
        self.title = set_name(self.root)
        self.decisions = self.root / REVIEW
        train = shlex.join(["detector", "train", f"data={relative_path(self.root / 'data.yaml')}"])
        self.next_step = fit_command(self.root.parent) if is_of_fit else train
        self._file = ReviewFile(self.decisions, self.root)
        self._open()

    def _open(self) -> None:
        characters = read_set(self.root)
        self._config, arguments = characters.config, stored_arguments(self.root) or {}
        self.space = self._config.space
        # How labels are spelt in the source follows from the arguments of the conversion, if they are stored.
        self._source = arguments.get("source")
        self._typed_space = str(arguments.get("space") or " ")
        self._rules = rules_of(
            {**arguments, "visual_order": self._config.visual_order},
            Alphabet(self._config.symbols, self.space),
            arguments.get("alphabet") == "auto",  # then the next conversion takes all symbols of the labels
            int(arguments.get("length", self._config.length)),
        )
        self._state = file_state(self.root / MANIFEST)
        self.manifest = {row.source: row for row in characters.manifest()}

    def changed(self) -> bool:
        """Test whether somebody else edited the review or converted the set."""
        return self._file.changed() or file_state(self.root / MANIFEST) != self._state

    def load(self) -> list[Item]:
        """Read the tables, and return the items."""
        self._open()
        self._file.load()
        return [self._item(name) for name in self._names()]

    def _names(self) -> Iterable[str]:
        suspects = (name for name, row in self.manifest.items() if row.status == "suspect")
        return dict.fromkeys((*self._file.rows, *suspects))

    def problem(self, corrected: str) -> str:
        """Return why the next conversion would refuse a text; "" if it would not."""
        return self._rules.problem(corrected)

    def save(self, item: Item) -> bool:
        """Write ``review.csv`` with the decision on an item, unless the set was changed; return whether it was written.

        Where the set may have a corrected label and the file the source's, only a conversion finds out what the source
        has: the label that is accepted is written as a correction, which holds whatever that is.

        Raises:
            ArgumentError: if a label is accepted that the next conversion would refuse.
            DatasetError: if a conversion of the set is going on.
        """
        manifest, row = self.manifest.get(item.name), self._file.rows.get(item.name)
        if item.decision == "accept" and manifest and row and _may_be_corrected(manifest, row):
            if problem := self.problem(item.typed):
                raise ArgumentError(problem)
            item = replace(item, decision="correct", corrected=item.typed)
        return not self.changed() and self._file.save(item)

    def boxes(self, item: Item, size_wh: tuple[int, int]) -> CharacterBoxes:
        """Return the boxes of the label in the set."""
        row = self.manifest.get(item.name)
        if row is None:
            return NO_BOXES
        ids, boxes_xyxy = parse_labels(label_file(self.root, row.image), *size_wh, len(self._config.symbols))
        return CharacterBoxes(tuple(self._config.symbols[i] for i in ids), boxes_xyxy)

    def typed(self, text: str) -> str:
        """Return a text of the set as a person types it in the labels of its source."""
        return (to_logical(text) if self._config.visual_order else text).replace(self.space, self._typed_space)

    def _item(self, name: str) -> Item:
        manifest, row = self.manifest.get(name), self._file.rows.get(name, ReviewRow(name, ""))
        if manifest is not None and is_outdated(row, manifest.text):
            row = row._replace(text="", decision="")
        # What the next conversion takes if a correction is taken back is the source's label, which the row has.
        current = row if manifest is None or _may_be_corrected(manifest, row) else manifest
        return Item(
            name=name,
            picture=self._picture(name, manifest),
            text=current.text,
            typed=self.typed(current.text),
            read=current.read,
            typed_read=self.typed(current.read),
            confidence=current.confidence,
            status=(manifest or row).status,
            decision=row.decision,
            corrected=row.corrected,
        )

    def _picture(self, name: str, manifest: ManifestRow | None) -> Path | None:
        """Return a picture's file in the set or, if it was left out, in the source; None if that is gone or unknown."""
        if manifest is not None:
            return self.root / manifest.image
        if self._source is None:
            return None
        source = Path(self._source)
        picture = (source if source.is_dir() else source.parent) / name
        return picture if picture.is_file() else None


def _may_be_corrected(manifest: ManifestRow, row: ReviewRow) -> bool:
    """Test whether the set may have a corrected label and the row the source's; of suspects the set has that, too."""
    return manifest.status != "suspect" and row.text not in ("", manifest.text)
