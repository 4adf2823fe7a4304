"""Which pictures a person is asked about first, and which readings are sure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.text.detections import Character, Reading
from detector.workflow.label import sure_of
from detector.workflow.questions import informative_order


def reading(text: str, confidence: float = 0.5, weak: str = "", rejected: str | None = None) -> Reading:
    """A reading whose characters are sure but for those that are ``weak``."""
    characters = tuple(Character(sign, 0.5 if sign in weak else 0.99, (0, 0, 1, 1)) for sign in text)
    if rejected:
        return Reading("", confidence, characters, rejected=rejected, rejected_text=text)
    return Reading(text, confidence, characters)


def test_the_unsure_come_first() -> None:
    readings = [reading("AAA", 0.9), reading("BBB", 0.1, "B"), reading("CCC", 0.5, "C")]
    assert informative_order(readings) == [1, 2, 0]


def test_few_of_one_kind() -> None:
    same = [reading("AB1", 0.1, "1") for _ in range(20)]
    others = [reading("XYZ", 0.3, "Z"), reading("Q7", 0.3, "7"), reading("", 0.0)]
    first = informative_order([*same, *others])[:4]
    assert len([place for place in first if place < 20]) == 1, (
        "another of a kind teaches less than the first of another"
    )


@given(st.lists(st.builds(reading, st.text("AB1", max_size=3), st.floats(0, 1), st.text("AB1")), max_size=12))
def test_the_order_is_that_of_trying_all(readings: list[Reading]) -> None:
    order = informative_order(readings)
    assert sorted(order) == list(range(len(readings)))
    taught: dict[object, float] = {}

    def gain(place: int) -> float:
        r = readings[place]
        kinds: dict[object, float] = {("length", len(r.characters)): 1 - r.confidence, r.text: 1 - r.confidence}
        for c in r.characters:
            kinds["symbol", c.symbol] = kinds.get(("symbol", c.symbol), 0.0) + 1 - c.confidence
        gain.kinds = kinds  # type: ignore[attr-defined]
        return sum(math.sqrt(taught.get(k, 0) + v) - math.sqrt(taught.get(k, 0)) for k, v in kinds.items())

    for at, place in enumerate(order):
        best = max(gain(other) for other in order[at:])
        assert gain(place) == pytest.approx(best)
        for kind, unsure in gain.kinds.items():  # type: ignore[attr-defined]
            taught[kind] = taught.get(kind, 0) + unsure


SURE: dict[str, tuple[list[float], float, int]] = {
    "none": ([], 0.02, 0),
    "all are right": ([1.0, 1.0], 0.0, 2),
    "as many as have so many wrong": ([0.99, 0.98, 0.97, 0.9], 0.02, 3),
    "a few unsure ones beside many sure ones": ([1.0] * 98 + [0.6, 0.55], 0.01, 100),
    "none is sure enough": ([0.9, 0.8], 0.02, 0),
    "equals are taken together": ([1.0, 0.97, 0.97], 0.02, 3),
    "none that is likelier wrong than right": ([1.0] * 98 + [0.6, 0.4], 0.5, 99),
    "or not at all": ([1.0, 0.96, 0.96], 0.02, 1),
}


@pytest.mark.parametrize(("confidences", "max_wrong", "taken"), SURE.values(), ids=SURE.keys())
def test_as_many_are_sure_as_a_share_of_wrong_ones_allows(
    confidences: list[float], max_wrong: float, taken: int
) -> None:
    sure = sure_of([reading("AB", confidence) for confidence in confidences], max_wrong)
    assert sum(sure) == taken and sure == sorted(sure, reverse=True)
    assert sum(1 - c for c, ok in zip(confidences, sure, strict=True) if ok) <= max_wrong * sum(sure) + 1e-9


def test_what_was_rejected_or_is_empty_is_never_sure() -> None:
    assert sure_of([reading("AB", 1.0, rejected="unsure"), reading("", 1.0), reading("A", 1.0)], 0.5) == [0, 0, 1]
