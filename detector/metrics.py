"""How right strings are: exact match, character error rate, confusion. Pure numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def edit_distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Levenshtein's distance: insertions, deletions and substitutions that turn ``one`` into ``other``."""
    if len(one) < len(other):
        one, other = other, one
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


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
        right: pairs that are equal, blanks included.
        errors: edit distance, summed.
        symbols: symbols of the labels, summed, blanks inside them included.
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


def score_texts(labels: Sequence[str], readings: Sequence[str], blank: str = " ") -> TextScore:
    """Compare readings with labels, pair by pair; blanks at the end do not count.

    Raises:
        ValueError: if there are not as many of one as of the other.
    """
    pairs = [(a.rstrip(blank), b.rstrip(blank)) for a, b in zip(labels, readings, strict=True)]
    confusions = Counter((x, y) for a, b in pairs if len(a) == len(b) for x, y in zip(a, b, strict=True) if x != y)
    return TextScore(
        count=len(pairs),
        right=sum(a == b for a, b in pairs),
        errors=sum(edit_distance(a, b) for a, b in pairs),
        symbols=sum(len(a) for a, _ in pairs),
        confusions=confusions,
    )
