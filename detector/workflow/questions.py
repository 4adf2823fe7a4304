"""Which pictures to ask a person about first: those that are unsure, and few of one kind."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from detector.text.detections import Reading

_Kind = tuple[str, str | int]


def informative_order(readings: Sequence[Reading]) -> list[int]:
    """Order readings so that those whose right strings would teach most come first.

    What a set of answers teaches is the sum over kinds of the root of how unsure its readings are of that kind: a
    second picture of a kind teaches less than the first. Kinds are symbols that are not sure, lengths, and strings,
    of which a source may show one again and again. Taken one by one, as each adds most: Wei, Iyer, Bilmes,
    "Submodularity in data subset selection and active learning", ICML 2015; by the lazy greedy algorithm of Minoux,
    1978, which gives the same order as trying all.
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
        current_gain = gain(place)  # it has not grown since it was put there
        if heap and -current_gain > heap[0][0]:
            heapq.heappush(heap, (-current_gain, place))
            continue
        order.append(place)
        for kind, uncertainty in kinds[place].items():
            covered[kind] = covered.get(kind, 0.0) + uncertainty
    return order


def _kinds(reading: Reading) -> dict[_Kind, float]:
    """Return how unsure a reading is, by kind."""
    uncertainty = 1 - reading.confidence
    kinds: dict[_Kind, float] = {
        ("length", len(reading.characters)): uncertainty,
        ("string", reading.shown_text): uncertainty,
    }
    for character in reading.characters:
        kind = "symbol", character.symbol
        kinds[kind] = kinds.get(kind, 0.0) + 1 - character.confidence
    return kinds
