"""A reader against labels, and two readers against each other."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from detector.data.labels.prelabels import PERSON
from detector.data.labels.remedies import what_takes_most
from detector.data.labels.sources import LabelledImage, LabelOptions, given_options, read_source, reasons_of
from detector.data.labels.visual_order import to_logical
from detector.data.sets.yolo_dataset import is_converted, read_set
from detector.errors import ArgumentError, DetectorError, SourceError
from detector.reading.inputs import is_several
from detector.reading.reader import Failure, Reader
from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.calibration import right_characters, right_string
from detector.text.detections import Reading
from detector.text.forms.fitting import fit_string_model_to_labels
from detector.text.forms.lookalikes import differ_by_look_alikes
from detector.text.forms.string_model import StringModel
from detector.text.metrics import (
    CalibrationCurve,
    Comparison,
    Coverage,
    TextScore,
    calibration_curve,
    coverage_at,
    differing,
    score_texts,
    wilson_interval,
)
from detector.text.reading_config import ReadingConfig

log = logging.getLogger("detector")

PRECISION = 0.995
"""Precision that readings must have to be taken as they are, where no other is asked for."""


@dataclass(frozen=True)
class EvaluatedPicture:
    """One labelled picture: its file, its name in messages, its label, and what was read."""

    path: Path
    name: str
    label: str
    reading: Reading | Failure


@dataclass(frozen=True)
class Tally:
    """How many of a kind there are, and how many of them are right."""

    count: int
    right: int

    @property
    def share(self) -> float:
        """Share of right ones, in [0, 1]."""
        return self.right / self.count if self.count else 0.0


@dataclass(frozen=True)
class Evaluation:
    """How a reader did.

    Every picture is one of four: right, wrong, rejected by the reader, or failed, as it could not be decoded. All but
    ``exact_match`` and its interval are about the first two.

    Args:
        rows: of each picture, in order.
        space: the reader's; at the end of a label or a reading it does not count.
        seconds: from file to string, for all.
        unusable: inputs of the source without a label or a picture; they are in no count.
        min_confidence: the reader's, below which it rejected.
        pattern: the reader's, without which it refuses what shows more characters than strings may have, once there is
            a ``min_confidence``.
        source: what was evaluated, as it was given.
        symbols: the reader's alphabet, in class-id order.
        label_options: how the labels of the source were read, where not by default.
        in_visual_order: whether these options put right-to-left labels in the order of the picture, as readings are.
    """

    rows: tuple[EvaluatedPicture, ...]
    space: str
    seconds: float
    unusable: tuple[Failure, ...] = ()
    min_confidence: float = 0.0
    pattern: str | None = None
    source: Path | None = None
    symbols: str = DEFAULT_SYMBOLS
    label_options: Mapping[str, str | bool] = field(default_factory=dict)
    in_visual_order: bool = False

    @cached_property
    def accepted(self) -> tuple[tuple[EvaluatedPicture, Reading, bool], ...]:
        """Pictures that were read and not rejected, each with the reading and whether it is right."""
        return tuple(
            (row, reading, right_string(row.label, reading, self.space))
            for row in self.rows
            if isinstance(reading := row.reading, Reading) and reading.accepted
        )

    @cached_property
    def score(self) -> TextScore:
        """Exact match, CER and confusions of the readings that were not rejected."""
        return score_texts(
            [row.label for row, _, _ in self.accepted], [r.text for _, r, _ in self.accepted], self.space
        )

    @property
    def wrong(self) -> tuple[tuple[str, str, str, float], ...]:
        """(name, label, reading, confidence) of wrong readings, the surest first."""
        return tuple((row.name, row.label, r.text, r.confidence) for row, r in self.wrong_rows)

    @cached_property
    def wrong_rows(self) -> tuple[tuple[EvaluatedPicture, Reading], ...]:
        """Wrong readings with all that is known of each."""
        wrong = [(row, reading) for row, reading, right in self.accepted if not right]
        return tuple(sorted(wrong, key=lambda pair: -pair[1].confidence))

    @cached_property
    def rejected(self) -> tuple[tuple[EvaluatedPicture, Reading], ...]:
        """Readings rejected by ``min_confidence`` or the pattern, the surest first."""
        rejected = [(row, r) for row in self.rows if isinstance(r := row.reading, Reading) and not r.accepted]
        return tuple(sorted(rejected, key=lambda pair: -pair[1].confidence))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Pictures that could not be decoded."""
        return tuple(row.reading for row in self.rows if isinstance(row.reading, Failure))

    @property
    def count(self) -> int:
        """Number of labelled pictures."""
        return len(self.rows)

    @property
    def exact_match(self) -> float:
        """Share of all pictures whose whole string is right, spaces included."""
        return self.score.right / self.count if self.count else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the exact match."""
        return wilson_interval(self.score.right, self.count)

    @cached_property
    def look_alikes(self) -> int:
        """Number of wrong readings that only take symbols for others that look like them, such as O for 0."""
        texts = ((row.label.rstrip(self.space), reading.text.rstrip(self.space)) for row, reading in self.wrong_rows)
        return sum(differ_by_look_alikes(label, read) for label, read in texts)

    @cached_property
    def string_model(self) -> StringModel | None:
        """String model of the labels that this reader can give; None where they look random."""
        possible = {*self.symbols, self.space}
        return fit_string_model_to_labels((row.label for row in self.rows if possible >= {*row.label}), self.symbols)

    @cached_property
    def by_length(self) -> dict[int, Tally]:
        """Score by the label's length, spaces inside it included."""
        counts, correct = Counter[int](), Counter[int]()
        for row, _, ok in self.accepted:
            length = len(row.label.rstrip(self.space))
            counts[length] += 1
            correct[length] += ok
        return {length: Tally(counts[length], correct[length]) for length in sorted(counts)}

    @cached_property
    def by_position(self) -> dict[int, Tally]:
        """Score by the place of a label's symbol, from 1, spaces inside it included."""
        counts, errors = Counter[int](), Counter[int]()
        for row, reading, _ in self.accepted:
            label = row.label.rstrip(self.space)
            counts.update(range(1, len(label) + 1))
            errors.update(place + 1 for place in differing(label, reading.text.rstrip(self.space))[0])
        return {place: Tally(counts[place], counts[place] - errors[place]) for place in sorted(counts)}

    @cached_property
    def calibration(self) -> CalibrationCurve:
        """Compare the confidence of strings with the share of right ones."""
        return calibration_curve([r.confidence for _, r, _ in self.accepted], [ok for _, _, ok in self.accepted])

    @cached_property
    def character_calibration(self) -> CalibrationCurve:
        """Compare the confidence of characters with the share of right ones."""
        pairs = [
            (c.confidence, right)
            for row, reading, _ in self.accepted
            for c, right in zip(
                reading.characters, right_characters(row.label, reading, self.space), strict=True
            )
        ]  # fmt: skip
        return calibration_curve([confidence for confidence, _ in pairs], [right for _, right in pairs])

    def coverage(self, precision: float = PRECISION) -> Coverage:
        """Count the readings that may be taken as they are if this share of them must be right, and find the
        ``min_confidence`` that picks them.

        Raises:
            ArgumentError: if ``precision`` is not in (0, 1].
        """
        if not 0 < precision <= 1:
            raise ArgumentError(
                f"A precision is above 0 and at most 1, got {precision}: 0.995 is five errors in 1,000."
            )
        # Any min_confidence refuses what shows no character, and without a pattern what shows too many.
        never_accepted = [not r.characters or (r.shows_more and not self.pattern) for _, r, _ in self.accepted]
        lowest_confidences = [
            0.0 if rejected else r.lowest_confidence
            for rejected, (_, r, _) in zip(never_accepted, self.accepted, strict=True)
        ]
        coverage = coverage_at(lowest_confidences, [ok for *_, ok in self.accepted], precision, self.count)
        # Nothing is known of a threshold below the one that these readings had to pass.
        return replace(coverage, threshold=max(coverage.threshold, self.min_confidence))

    def against(self, other: Evaluation) -> Comparison:
        """Compare this reader with another on the same pictures; what is not right counts as such, rejected or not.

        Raises:
            DetectorError: if they did not read the same pictures.
        """
        if [(row.name, row.label) for row in self.rows] != [(row.name, row.label) for row in other.rows]:
            raise DetectorError("Two readers are compared on the same pictures: evaluate both on one source.")
        own_correct, other_correct = (
            {row.name for row, _, right in evaluation.accepted if right} for evaluation in (self, other)
        )
        return Comparison(
            other.exact_match, both=len(own_correct & other_correct), only_this=len(own_correct - other_correct),
            only_other=len(other_correct - own_correct), neither=self.count - len(own_correct | other_correct),
        )  # fmt: skip

    def to_dict(self, precision: float = PRECISION, against: Evaluation | None = None) -> dict[str, Any]:
        """Return plain values, for JSON; docs/commands.md describes the keys.

        Args:
            precision: as :meth:`coverage` takes it.
            against: another reader, to be compared with.
        """
        rejected = [
            {"name": row.name, "label": row.label, "rejected_text": r.rejected_text, "reason": r.rejected,
             "confidence": round(r.confidence, 4)}
            for row, r in self.rejected
        ]  # fmt: skip
        wrong = [
            {"name": row.name, "label": row.label, "reading": r.text, "confidence": round(r.confidence, 4),
             "path": str(row.path.absolute()), "characters": r.to_dict()["characters"]}
            for row, r in self.wrong_rows
        ]  # fmt: skip
        plain: dict[str, Any] = {
            "source": None if self.source is None else str(self.source.absolute()),
            "label_options": dict(self.label_options),
            "in_visual_order": self.in_visual_order,
            "exact_match": round(self.exact_match, 4),
            "interval_95": _interval(self.interval),
            "cer": round(self.score.cer, 4),
            "count": self.count,
            "right": self.score.right,
            "wrong": wrong,
            "look_alikes": self.look_alikes,
            "labels_look_like": str(self.string_model or "") or None,
            "rejected": rejected,
            "failures": [{"name": f.name, "reason": f.reason} for f in self.failures],
            "unusable": [{"name": f.name, "reason": f.reason} for f in self.unusable],
            "by_length": [{"length": k, **asdict(share)} for k, share in self.by_length.items()],
            "by_position": [{"position": k, **asdict(share)} for k, share in self.by_position.items()],
            "confusions": [{"label": a, "reading": b, "times": n} for (a, b), n in self.score.confusions.most_common()],
            "calibration": {"strings": _curve(self.calibration), "characters": _curve(self.character_calibration)},
            "coverage": _coverage(self.coverage(precision)),
            "seconds": round(self.seconds, 3),
        }
        if against is not None:
            plain["against"] = self.against(against).to_dict()
        return plain


def _interval(interval: tuple[float, float]) -> list[float]:
    return [round(end, 4) for end in interval]


def _curve(curve: CalibrationCurve) -> dict[str, Any]:
    bins = [{"count": b.count, "confidence": round(b.confidence, 4), "right": round(b.right, 4)} for b in curve.bins]
    return {"ece": round(curve.ece, 4), "ece_by_chance": round(curve.by_chance, 4), "bins": bins}


def _coverage(coverage: Coverage) -> dict[str, Any]:
    return {
        "precision_wanted": coverage.wanted, "min_confidence": coverage.threshold,
        "coverage": round(coverage.coverage, 4), "taken": coverage.taken, "right": coverage.right,
        "precision": round(coverage.precision, 4), "interval_95": _interval(coverage.interval),
    }  # fmt: skip


def evaluate(
    reader: Reader | str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    split: str | None = None,
    labels: str | os.PathLike[str] = "auto",
    space: str | None = None,
    upper: bool = False,
    ignore: str = "",
    text_column: str | None = None,
    image_column: str | None = None,
    visual_order: bool = False,
    progress: Callable[[int, int], None] | None = None,
    trust: bool = False,
) -> Evaluation:
    """Read labelled pictures and compare.

    Args:
        reader: the reader, or weights to read with; what it refuses is counted apart.
        source: a folder or label file as ``convert`` takes them; or the ``data.yaml`` of a converted set.
        split: of a converted set, "test" if it is not said; other sources have none.
        labels, space, upper, ignore, text_column, image_column: for other sources, as :func:`detector.convert` takes
            them.
        visual_order: likewise; with weights that give back the order of such labels they are as these give them.
        progress: called with (done, total).
        trust: as for :class:`detector.Reader`, where weights are given.

    Raises:
        SourceError: if there are no labelled pictures.
        ArgumentError: if a split of what has none is asked for, or a converted set's labels are to be read otherwise.
        DatasetError: if a converted set has no such split.
    """
    if not isinstance(reader, Reader):
        reader = Reader(reader, trust=trust)
    options: LabelOptions = {
        "labels": labels, "space": space, "upper": upper, "ignore": ignore, "text_column": text_column,
        "image_column": image_column, "visual_order": visual_order,
    }  # fmt: skip
    pictures, unusable, notes = labelled_pictures(Path(source), split, options, reader.config)
    for note in notes:
        log.warning("%s", note)
    texts = [picture.text for picture in pictures]
    alphabet, length = reader.config.alphabet, reader.config.length
    if problems := [problem for text in texts if (problem := alphabet.problem(text, length, fixed=True))]:
        advice = what_takes_most(texts, alphabet, length, fixed=True)
        summary = f"{problems[0]}; {advice}" if advice else problems[0]
        log.warning("%d of %d labels are none that this reader can give: %s", len(problems), len(pictures), summary)
    rows = []
    began = time.perf_counter()
    readings = reader.stream([picture.path for picture in pictures])
    for picture, (_, reading) in zip(pictures, readings, strict=True):
        named = Failure(picture.name, reading.reason) if isinstance(reading, Failure) else reading
        rows.append(EvaluatedPicture(picture.path, picture.name, picture.text, named))
        if progress is not None:
            progress(len(rows), len(pictures))
    return Evaluation(
        tuple(rows), reader.config.space, time.perf_counter() - began, unusable, reader.min_confidence,
        reader.config.pattern, Path(source), reader.config.symbols, given_options(options),
        visual_order and not reader.config.visual_order,
    )  # fmt: skip


def labelled_pictures(
    path: Path, split: str | None, options: LabelOptions, config: ReadingConfig
) -> tuple[list[LabelledImage], tuple[Failure, ...], tuple[str, ...]]:
    """Return the labelled pictures, the unusable inputs, and notes on what was read.

    Args:
        path: of a converted set, or of labelled pictures.
        split: of a converted set.
        options: by which other labels are read.
        config: the reader's: where it gives right-to-left strings as they are typed, so are the texts.
    """
    if is_converted(path):
        if names := ", ".join(given_options(options)):
            raise ArgumentError(f"{path} is a converted set, whose texts are as they are read: leave out {names}.")
        characters = read_set(path)
        (rows,) = characters.rows(split or "test")
        order = to_logical if config.visual_order else str  # the set's texts are in the order of the picture
        return [LabelledImage(characters.root / row.image, order(row.text), row.image) for row in rows], (), ()
    if split is not None:
        raise ArgumentError(f"{path} is no converted set and has no split {split!r}: leave it out, or name a set.")
    options = {**options, "visual_order": options.get("visual_order", False) and not config.visual_order}
    source = read_source(path, keep=config.symbols, **options)
    proposed = sum(item.confidence is not None for item in source.items)
    left_out = f"pre-labels that no person has confirmed are left out, for they judge no reader: {proposed}"
    notes = (*source.notes, *([f"{path}: {left_out}"] if proposed else []))
    pictures = [item for item in source.items if item.confidence is None and not is_several(item.path)]
    videos = [Failure(item.name, "not a picture") for item in source.items if is_several(item.path)]
    unusable = (*(Failure(reject.name, reject.reason) for reject in source.refused), *videos)
    if not pictures:
        reasons = [reasons_of([(failure.name, failure.reason) for failure in unusable])] if unusable else []
        reasons += [f"{left_out}; put the status {PERSON!r} into rows that are right"] if proposed else []
        raise SourceError(f"{path}: no labelled picture is left; {'; '.join(reasons)}.")
    return pictures, unusable, notes
