"""Metrics of readings: exact match, character error rate, confusions, calibration, comparison of two readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein


def differing(first: Sequence[Any], second: Sequence[Any]) -> tuple[set[int], set[int]]:
    """Return the indices at which each of two sequences differs from the other.

    Sequences of equal length are compared index by index, others are aligned first.
    """
    if len(first) == len(second):  # the usual error replaces symbols
        indices = {i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b}
        return indices, set(indices)
    in_first, in_second = set[int](), set[int]()
    for kind, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind != "equal":
            in_first.update(range(a, b))
            in_second.update(range(c, d))
    return in_first, in_second


def lacks_leading_zeros(label: str, text: str) -> bool:
    """Test whether a label is the text without its leading zeros, which spreadsheets remove from numbers."""
    return label.isdecimal() and label != text and text.endswith(label) and not text[: -len(label)].strip("0")


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, "Probable inference", JASA 1927); (0, 1) where ``count`` is 0."""
    if count == 0:
        return 0.0, 1.0
    z, p = 1.959964, right / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * float(np.sqrt(p * (1 - p) / count + z * z / (4 * count * count)))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class TextScore:
    """The comparison of readings with labels.

    Args:
        count: number of pairs.
        right: number of pairs that are equal, spaces included.
        errors: sum of the edit distances.
        symbols: number of symbols of all labels, spaces inside them included.
        confusions: how often each (symbol of the label, symbol that was read) occurs, in pairs of equal length.
    """

    count: int
    right: int
    errors: int
    symbols: int
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def exact_match(self) -> float:
        """Share of strings that are entirely right; 0 without any."""
        return self.right / self.count if self.count else 0.0

    @property
    def cer(self) -> float:
        """Character error rate: edit distance over length of the labels; 0 without any."""
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
    """Compare readings with labels, pair by pair; spaces at the end are ignored.

    Raises:
        ValueError: if there are not as many readings as labels.
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
    """Readings of similar confidence.

    Args:
        count: number of readings.
        confidence: their mean confidence, in [0, 1].
        right: the share of them that is right, in [0, 1].
    """

    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class CalibrationCurve:
    """The share of right readings as a function of their confidence.

    Args:
        bins: of about equal counts, from the least sure to the surest.
    """

    bins: tuple[CalibrationBin, ...]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean difference between confidence and share of right readings; 0 without any.

        Guo et al., "On calibration of modern neural networks", ICML 2017; with bins of equal counts (Nixon et al.,
        "Measuring calibration in deep learning", CVPR workshops 2019), since nearly all readings are very sure.
        """
        count = sum(part.count for part in self.bins)
        return sum(part.count * abs(part.confidence - part.right) for part in self.bins) / max(count, 1)

    @property
    def by_chance(self) -> float:
        """The mean calibration error of perfectly calibrated confidences with as many readings, for comparison.

        The share of a bin deviates from its confidence by a binomial error, whose normal approximation has this mean.
        """
        count = sum(part.count for part in self.bins)
        deviations = (np.sqrt(part.count * part.confidence * (1 - part.confidence)) for part in self.bins)
        return float(np.sqrt(2 / np.pi) * sum(deviations)) / max(count, 1)


_MAX_BINS, _MIN_BIN_COUNT = 10, 20


def calibration_curve(confidences: Sequence[float], right: Sequence[bool]) -> CalibrationCurve:
    """Divide readings by confidence into ten bins of about equal counts, or fewer bins of at least 20.

    Readings of equal confidence are in the same bin.

    Args:
        confidences: in [0, 1].
        right: one for each confidence.
    """
    confidence = np.asarray(confidences, np.float64)
    order = np.argsort(confidence, kind="stable")
    confidence, correct = confidence[order], np.asarray(right, np.float64)[order]
    bins = min(_MAX_BINS, max(1, len(confidence) // _MIN_BIN_COUNT))
    quantiles = confidence[len(confidence) * np.arange(1, bins) // bins]
    cuts = np.searchsorted(confidence, quantiles)  # at the first of equal confidences
    parts = zip(np.split(confidence, np.unique(cuts)), np.split(correct, np.unique(cuts)), strict=True)
    return CalibrationCurve(tuple(CalibrationBin(len(c), float(c.mean()), float(r.mean())) for c, r in parts if len(c)))


@dataclass(frozen=True)
class Coverage:
    """How many readings can be used unchecked at a required precision.

    Args:
        wanted: the required precision, in (0, 1].
        threshold: the lowest confidence with this precision, for ``min_confidence``; 1 if there is none.
        taken: number of readings with at least this confidence.
        right: number of these that are right.
        count: number of all pictures.
    """

    wanted: float
    threshold: float
    taken: int
    right: int
    count: int

    @property
    def coverage(self) -> float:
        """Share of all pictures whose readings have at least this confidence."""
        return self.taken / self.count if self.count else 0.0

    @property
    def precision(self) -> float:
        """Share of these readings that is right; 0 without any."""
        return self.right / self.taken if self.taken else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the precision."""
        return wilson_interval(self.right, self.taken)


def coverage_at(confidences: Sequence[float], right: Sequence[bool], wanted: float, count: int) -> Coverage:
    """Find the lowest confidence such that readings with at least this confidence have the precision ``wanted``.

    Args:
        confidences: of each reading the confidence of its least sure character, in [0, 1].
        right: one for each reading.
        wanted: precision, in (0, 1].
        count: number of all pictures, including those without a reading.
    """
    confidence = np.asarray(confidences, np.float64)
    order = np.argsort(-confidence, kind="stable")
    confidence, correct = confidence[order], np.asarray(right, np.int64)[order]
    # A threshold cannot divide equal confidences.
    is_run_end = np.append(confidence[1:] != confidence[:-1], True)[: len(confidence)]
    passing = np.flatnonzero(is_run_end & (correct.cumsum() >= wanted * np.arange(1, len(confidence) + 1) - 1e-9))
    if not len(passing):
        return Coverage(wanted, 1.0, 0, 0, count)
    n = int(passing[-1]) + 1
    threshold = 0.0 if n == len(confidence) else _shortest_decimal(float(confidence[n]), float(confidence[n - 1]))
    return Coverage(wanted, threshold, n, int(correct[:n].sum()), count)


def _shortest_decimal(low: float, high: float) -> float:
    """Return the shortest decimal number above ``low`` and at most ``high``, for a threshold that people write down."""
    for digits in range(2, 12):
        rounded = float(np.floor(high * 10**digits) / 10**digits)
        if low < rounded <= high:
            return rounded
    return high


# Two readers


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test ("Note on the sampling error …", Psychometrika 1947).

    Args:
        only_first, only_second: numbers of pictures that only the first, or only the second, of two readers reads
            right. If both were equally good, each of these pictures would be either's with probability 1/2.
    """
    count, term, tail = only_first + only_second, 1, 0
    for k in range(min(only_first, only_second) + 1):
        tail += term
        term = term * (count - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << count))


@dataclass(frozen=True)
class Comparison:
    """Two readers compared on the same pictures.

    Args:
        other_exact_match: exact match of the other reader.
        both, only_this, only_other, neither: numbers of pictures that both readers, only one or none reads right.
    """

    other_exact_match: float
    both: int
    only_this: int
    only_other: int
    neither: int

    @property
    def p_value(self) -> float:
        """Probability that two equally good readers differ at least as much; see :func:`mcnemar`."""
        return mcnemar(self.only_this, self.only_other)

    @property
    def real(self) -> bool:
        """Whether the difference is significant at 5 %."""
        return self.p_value < 0.05

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "exact_match": round(self.other_exact_match, 4), "both_right": self.both, "only_this": self.only_this,
            "only_other": self.only_other, "neither": self.neither, "p_value": self.p_value, "real": self.real,
        }  # fmt: skip
