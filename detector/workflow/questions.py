"""The order in which pictures are shown to a person: unsure ones first, and few of one kind."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from detector.text.detections import Reading

_Kind = tuple[str, str | int]


def informative_order(readings: Sequence[Reading]) -> list[int]:
    """Return the indices of readings, those first whose right strings would be most informative.

    The information of a set of answers is the sum, over kinds, of the square root of the total uncertainty of its
    readings about that kind, so that a second picture of a kind adds less than the first. Kinds are the symbols, the
    length and the whole string, which a source may repeat. Readings are taken greedily, each time the one that adds
    most (Wei, Iyer, Bilmes, "Submodularity in data subset selection and active learning", ICML 2015), by the lazy
    algorithm of Minoux, 1978, which gives the same order as evaluating all of them.
    """
    kinds = [_kinds(reading) for reading in readings]
    covered: dict[_Kind, float] = {}

    def gain(place: int) -> float:
        return sum(
            math.sqrt(covered.get(kind, 0.0) + uncertainty) - math.sqrt(covered.get(kind, 0.0))
            for kind, uncertainty in kinds[place].items()
        )

    order: list[int] = []
    heap = [(-gain(place), place) for place in range(len(readings))]
    heapq.heapify(heap)
    while heap:
        _, place = heapq.heappop(heap)
        current_gain = gain(place)  # at most the gain in the heap
        if heap and -current_gain > heap[0][0]:
            heapq.heappush(heap, (-current_gain, place))
            continue
        order.append(place)
        for kind, uncertainty in kinds[place].items():
            covered[kind] = covered.get(kind, 0.0) + uncertainty
    return order


def _kinds(reading: Reading) -> dict[_Kind, float]:
    """Return the uncertainty of a reading about each kind, 1 - confidence."""
    uncertainty = 1 - reading.confidence
    kinds: dict[_Kind, float] = {
        ("length", len(reading.characters)): uncertainty,
        ("string", reading.shown_text): uncertainty,
    }
    for character in reading.characters:
        kind = "symbol", character.symbol
        kinds[kind] = kinds.get(kind, 0.0) + 1 - character.confidence
    return kinds
