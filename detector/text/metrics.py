"""How right strings are: exact match, character error rate, confusion, calibration, comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein


def differing(sequence: Sequence[Any], other: Sequence[Any]) -> tuple[set[int], set[int]]:
    """Places of each sequence that the other does not have: place by place where they are as long, else aligned."""
    if len(sequence) == len(other):  # symbols that were taken for others, the usual case
        places = {i for i, (a, b) in enumerate(zip(sequence, other, strict=True)) if a != b}
        return places, set(places)
    in_one, in_other = set[int](), set[int]()
    for kind, a, b, c, d in SequenceMatcher(None, sequence, other, autojunk=False).get_opcodes():
        if kind != "equal":
            in_one.update(range(a, b))
            in_other.update(range(c, d))
    return in_one, in_other


def lacks_leading_zeros(label: str, text: str) -> bool:
    """Whether a label is what was read but for zeros before it, as spreadsheets leave numbers."""
    return label.isdecimal() and label != text and text.endswith(label) and not text[: -len(label)].strip("0")


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, "Probable inference", JASA 1927); (0, 1) for nothing counted."""
    if count == 0:
        return 0.0, 1.0
    z, p = 1.959964, right / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * float(np.sqrt(p * (1 - p) / count + z * z / (4 * count * count)))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class TextScore:
    """How readings compare with labels.

    Args:
        count: pairs compared.
        right: pairs that are equal, spaces included.
        errors: edit distance, summed.
        symbols: symbols of the labels, summed, spaces inside them included.
        confusions: (label's symbol, read symbol) -> times, from readings of the label's length.
    """

    count: int
    right: int
    errors: int
    symbols: int
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def exact_match(self) -> float:
        """Share of strings that are right altogether; 0 for nothing compared."""
        return self.right / self.count if self.count else 0.0

    @property
    def cer(self) -> float:
        """Character error rate: edit distance over the labels' length; 0 for nothing compared."""
        return self.errors / self.symbols if self.symbols else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the exact match."""
        return wilson_interval(self.right, self.count)

    def __add__(self, other: TextScore) -> TextScore:
        return TextScore(
            self.count + other.count,
            self.right + other.right,
            self.errors + other.errors,
            self.symbols + other.symbols,
            self.confusions + other.confusions,
        )


def score_texts(labels: Sequence[str], readings: Sequence[str], space: str = " ") -> TextScore:
    """Compare readings with labels, pair by pair; spaces at the end do not count.

    Raises:
        ValueError: if there are not as many of one as of the other.
    """
    pairs = [(a.rstrip(space), b.rstrip(space)) for a, b in zip(labels, readings, strict=True)]
    confusions = Counter((x, y) for a, b in pairs if len(a) == len(b) for x, y in zip(a, b, strict=True) if x != y)
    return TextScore(
        count=len(pairs),
        right=sum(a == b for a, b in pairs),
        errors=sum(Levenshtein.distance(a, b) for a, b in pairs),
        symbols=sum(len(a) for a, _ in pairs),
        confusions=confusions,
    )


# Confidence


@dataclass(frozen=True)
class CalibrationBin:
    """Readings of neighbouring confidence: how many, their mean confidence, and the share of them that is right."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class CalibrationCurve:
    """Confidence against the share that is right.

    Args:
        bins: of equal mass, from the least sure to the surest.
    """

    bins: tuple[CalibrationBin, ...]

    @property
    def ece(self) -> float:
        """Expected calibration error: by how much confidence and share differ, on average; 0 for nothing counted.

        Guo et al., "On calibration of modern neural networks", ICML 2017; with bins of equal mass (Nixon et al.,
        "Measuring calibration in deep learning", CVPR workshops 2019), as nearly all readings are very sure.
        """
        count = sum(part.count for part in self.bins)
        return sum(part.count * abs(part.confidence - part.right) for part in self.bins) / max(count, 1)

    @property
    def by_chance(self) -> float:
        """The error that confidences without a fault would show, on average, with as many readings.

        A bin's share that is right is off by its binomial deviation, whose normal approximation has this mean.
        """
        count = sum(part.count for part in self.bins)
        deviations = (np.sqrt(part.count * part.confidence * (1 - part.confidence)) for part in self.bins)
        return float(np.sqrt(2 / np.pi) * sum(deviations)) / max(count, 1)


_BINS, _IN_A_BIN = 10, 20


def calibration_curve(confidences: Sequence[float], right: Sequence[bool]) -> CalibrationCurve:
    """Ten bins of equal mass, or fewer where one would hold less than 20. Equal confidences share a bin."""
    confidence = np.asarray(confidences, np.float64)
    order = np.argsort(confidence, kind="stable")
    confidence, correct = confidence[order], np.asarray(right, np.float64)[order]
    bins = min(_BINS, max(1, len(confidence) // _IN_A_BIN))
    of_equal_mass = confidence[len(confidence) * np.arange(1, bins) // bins]
    cuts = np.searchsorted(confidence, of_equal_mass)  # to where a run of equals begins
    parts = zip(np.split(confidence, np.unique(cuts)), np.split(correct, np.unique(cuts)), strict=True)
    return CalibrationCurve(tuple(CalibrationBin(len(c), float(c.mean()), float(r.mean())) for c, r in parts if len(c)))


@dataclass(frozen=True)
class Coverage:
    """How many readings may be taken as they are, if only those from a confidence on are.

    Args:
        wanted: precision that they must have.
        threshold: the confidence, as ``min_confidence`` takes it; 1 where no threshold is enough.
        taken: readings from it on.
        right: those of them that are right.
        count: all pictures.
    """

    wanted: float
    threshold: float
    taken: int
    right: int
    count: int

    @property
    def coverage(self) -> float:
        """Share of all pictures that is taken."""
        return self.taken / self.count if self.count else 0.0

    @property
    def precision(self) -> float:
        """Share of what is taken that is right; 0 for nothing."""
        return self.right / self.taken if self.taken else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the precision."""
        return wilson_interval(self.right, self.taken)


def coverage_at(confidences: Sequence[float], right: Sequence[bool], wanted: float, count: int) -> Coverage:
    """The lowest threshold from which on at least a share of ``wanted`` is right.

    Args:
        confidences: of readings: of each its least sure character's.
        right: of each.
        wanted: precision, in (0, 1].
        count: all pictures, those without a reading included.
    """
    confidence = np.asarray(confidences, np.float64)
    order = np.argsort(-confidence, kind="stable")
    confidence, correct = confidence[order], np.asarray(right, np.int64)[order]
    # Equal confidences are taken together or not at all.
    is_run_end = np.append(confidence[1:] != confidence[:-1], True)[: len(confidence)]
    passing = np.flatnonzero(is_run_end & (correct.cumsum() >= wanted * np.arange(1, len(confidence) + 1) - 1e-9))
    if not len(passing):
        return Coverage(wanted, 1.0, 0, 0, count)
    taken = int(passing[-1]) + 1
    threshold = 0.0 if taken == len(confidence) else _between(float(confidence[taken]), float(confidence[taken - 1]))
    return Coverage(wanted, threshold, taken, int(correct[:taken].sum()), count)


def _between(low: float, high: float) -> float:
    """The shortest decimal above ``low`` and not above ``high``: to be written down, and apart from both."""
    for digits in range(2, 12):
        rounded = float(np.floor(high * 10**digits) / 10**digits)
        if low < rounded <= high:
            return rounded
    return high


# Two readers


def mcnemar(only_one: int, only_other: int) -> float:
    """The exact p-value, two-sided, of McNemar's test ("Note on the sampling error …", Psychometrika 1947).

    Args:
        only_one, only_other: pictures that only one of two readers reads right. Were they equally good, each of these
            would be either's with the probability 1/2; the others say nothing.
    """
    count, term, tail = only_one + only_other, 1, 0
    for k in range(min(only_one, only_other) + 1):
        tail += term
        term = term * (count - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << count))


@dataclass(frozen=True)
class Comparison:
    """Two readers on the same pictures: how many both, one of them, and neither read right.

    Args:
        other_exact_match: the other reader's.
        both, only_this, only_other, neither: pictures.
    """

    other_exact_match: float
    both: int
    only_this: int
    only_other: int
    neither: int

    @property
    def p_value(self) -> float:
        """The probability of a difference as large as this, or larger, between two readers that are equally good."""
        return mcnemar(self.only_this, self.only_other)

    @property
    def real(self) -> bool:
        """Whether chance alone would show such a difference less than once in 20 times."""
        return self.p_value < 0.05

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "exact_match": round(self.other_exact_match, 4), "both_right": self.both, "only_this": self.only_this,
            "only_other": self.only_other, "neither": self.neither, "p_value": self.p_value, "real": self.real,
        }  # fmt: skip
