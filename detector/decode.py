"""From candidate characters to the string: a small search, not a sort. Pure numpy, for a batch at once.

Neighbouring cells of a detector see the same character, often as different classes. Candidates that cover
the same stretch of the reading axis exclude each other; among all chains of candidates that do not, the one
with the greatest sum of log odds is taken, of the length that the rules ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.alphabet import DEFAULT_LENGTH, DEFAULT_SYMBOLS, Alphabet
from detector.detections import Character, CharDetections, Reading
from detector.errors import DatasetError
from detector.layout import Layout

MIN_SCORE = 0.02
"""Candidates whose presence is below this are not looked at."""

MAX_CANDIDATES = 48
"""Best candidates of a picture that enter the search."""

_FREE_SCORE = 0.3  # where the length is free, a character must be likelier than this to be added
_OVERLAP = 0.55  # of the narrower one, along the reading axis, above which two candidates are one place
_NEVER = -1e9


@dataclass(frozen=True)
class ReadingRules:
    """What a reader must know besides its network; travels in data.yaml and in the weights.

    Args:
        symbols: the alphabet, in class-id order.
        blank: the symbol that is never detected.
        length: symbols that a string may have, blanks included.
        min_count, max_count: symbols other than blanks that strings have; equal where all have as many.
        layout: where blanks are.
        shape_hw: height and width of the network's input; None where it fits any.
    """

    symbols: str = DEFAULT_SYMBOLS
    blank: str = " "
    length: int = DEFAULT_LENGTH
    min_count: int = 1
    max_count: int = DEFAULT_LENGTH
    layout: Layout = field(default_factory=Layout)
    shape_hw: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        Alphabet(self.symbols, self.blank)
        if not 1 <= self.min_count <= self.max_count <= self.length:
            raise DatasetError(
                "Reading rules need 1 <= min_count <= max_count <= length, "
                f"got {self.min_count}, {self.max_count}, {self.length}."
            )
        if self.shape_hw is not None:
            object.__setattr__(self, "shape_hw", (int(self.shape_hw[0]), int(self.shape_hw[1])))

    @property
    def alphabet(self) -> Alphabet:
        """The symbols and the blank as a table."""
        return Alphabet(self.symbols, self.blank)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML, JSON and weights."""
        plain = asdict(self)
        plain["layout"]["thresholds"] = list(self.layout.thresholds)
        plain["shape_hw"] = list(self.shape_hw) if self.shape_hw else None
        return plain

    @staticmethod
    def from_dict(held: dict[str, Any]) -> ReadingRules:
        """The inverse of :meth:`to_dict`.

        Raises:
            DatasetError: naming keys that are unknown, or values that make no sense.
        """
        try:
            values = dict(held)
            layout = Layout(**values.pop("layout", {}))
            return ReadingRules(**values, layout=layout)
        except (TypeError, ValueError, LookupError) as error:
            raise DatasetError(f"Reading rules cannot be understood ({error}); was this file edited?") from error


def decode(detections: CharDetections, rules: ReadingRules, width: float) -> Reading:
    """The string of one picture; see :func:`decode_batch`."""
    return decode_batch([detections], rules, [width])[0]


def decode_batch(batch: Sequence[CharDetections], rules: ReadingRules, widths: Sequence[float]) -> list[Reading]:
    """The strings of many pictures, the same as one at a time and whatever the order of their candidates.

    Args:
        batch: candidates of each picture, before any suppression.
        rules: the alphabet, the length and the layout.
        widths: of each picture, in the boxes' pixels.

    Returns:
        One reading a picture, with at most ``rules.length`` symbols; empty where no candidate was found.
    """
    if not batch:
        return []
    picked = [_strongest(d) for d in batch]
    chosen = _best_chains(picked, rules)
    return [_to_reading(d[c], rules, w) for d, c, w in zip(picked, chosen, widths, strict=True)]


def _strongest(detections: CharDetections) -> CharDetections:
    """The best candidates, from left to right; ties broken by content, so that their order does not matter."""
    seen = detections[_presence(detections) >= MIN_SCORE]
    keys = _content(seen)
    if len(seen) > MAX_CANDIDATES:
        seen = seen[np.lexsort((*keys, -_presence(seen)))[:MAX_CANDIDATES]]
        keys = _content(seen)
    return seen[np.lexsort((*keys, keys[-1] + keys[-2]))]


def _content(seen: CharDetections) -> tuple[NDArray[Any], ...]:
    """Everything a candidate holds, as keys for a sort."""
    x1, y1, x2, y2 = seen.boxes_xyxy.astype(np.float64).T  # sums of float32's largest overflow
    return (-seen.scores, -_presence(seen), seen.class_ids, y2, y1, x2, x1)


def _presence(seen: CharDetections) -> NDArray[np.float32]:
    assert seen.presence is not None  # set at birth
    return seen.presence


def _best_chains(batch: list[CharDetections], rules: ReadingRules) -> list[NDArray[np.intp]]:
    """Places of the chosen candidates of each picture, left to right.

    ``total[k, b, j]`` is the greatest sum of log odds of a chain of k + 1 candidates that ends at j.
    """
    most = max(len(d) for d in batch)
    if most == 0:
        return [np.zeros(0, np.intp) for _ in batch]
    size = len(batch)
    x1, x2 = np.zeros((size, most)), np.zeros((size, most))
    odds = np.full((size, most), _NEVER)
    for row, d in enumerate(batch):
        x1[row, : len(d)], x2[row, : len(d)] = d.boxes_xyxy[:, 0], d.boxes_xyxy[:, 2]
        p = np.clip(_presence(d).astype(np.float64), 1e-4, 1 - 1e-4)
        odds[row, : len(d)] = np.log(p / (1 - p))
    width = np.maximum(x2 - x1, 1e-6)
    shared = np.minimum(x2[:, :, None], x2[:, None]) - np.maximum(x1[:, :, None], x1[:, None])  # (size, i, j)
    apart = shared <= _OVERLAP * np.minimum(width[:, :, None], width[:, None])
    apart &= np.tri(most, k=-1, dtype=bool).T  # i before j
    barrier = np.where(apart, 0.0, _NEVER)
    steps = min(rules.max_count, most)
    total = np.full((steps, size, most), 2 * _NEVER)
    back = np.zeros((steps, size, most), np.intp)
    total[0] = odds
    for k in range(1, steps):
        chain = total[k - 1][:, :, None] + barrier  # (size, i, j)
        back[k] = chain.argmax(1)
        total[k] = np.take_along_axis(chain, back[k][:, None], 1)[:, 0] + odds
    ends = total.max(2)  # (steps, size)
    threshold = float(np.log(_FREE_SCORE / (1 - _FREE_SCORE)))
    gains = ends - threshold * np.arange(1, steps + 1)[:, None]
    possible = ends > _NEVER / 2
    chosen = []
    for row in range(size):
        counts = int(possible[:, row].sum())  # chains of every length up to this one exist
        if counts == 0:
            chosen.append(np.zeros(0, np.intp))
            continue
        low = min(rules.min_count, counts) - 1
        k = low + int(gains[low:counts, row].argmax())
        path = [int(total[k, row].argmax())]
        for step in range(k, 0, -1):
            path.append(int(back[step, row, path[-1]]))
        chosen.append(np.array(path[::-1], np.intp))
    return chosen


def _to_reading(chosen: CharDetections, rules: ReadingRules, width: float) -> Reading:
    if not len(chosen):
        return Reading("", 0.0, ())
    text = [rules.blank] * max(rules.length, len(chosen))
    characters = []
    for i, place in enumerate(rules.layout.places(chosen.boxes_xyxy, width, rules.length)):
        symbol = rules.symbols[int(chosen.class_ids[i])]
        text[int(place)] = symbol
        x1, y1, x2, y2 = (float(v) for v in chosen.boxes_xyxy[i])
        characters.append(Character(symbol, float(chosen.scores[i]), (x1, y1, x2, y2)))
    confidence = float(np.prod([c.confidence for c in characters]))
    return Reading("".join(text).rstrip(rules.blank), confidence, tuple(characters))
