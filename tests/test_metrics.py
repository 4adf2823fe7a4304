"""Edit distance, intervals and scores, by cases and by laws."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.metrics import TextScore, edit_distance, score_texts, wilson_interval

DISTANCES: dict[str, tuple[str, str, int]] = {
    "equal": ("ABC", "ABC", 0),
    "both empty": ("", "", 0),
    "one empty": ("ABC", "", 3),
    "the other empty": ("", "AB", 2),
    "substitution": ("ABC", "AXC", 1),
    "insertion": ("AC", "ABC", 1),
    "deletion": ("ABC", "AB", 1),
    "shifted": ("ABCD", "BCDE", 2),
    "swapped neighbours": ("AB", "BA", 2),
    "kitten": ("KITTEN", "SITTING", 3),
    "nothing in common": ("ABC", "XYZW", 4),
    "a blank is a symbol": ("A B", "AB", 1),
}


@pytest.mark.parametrize(("one", "other", "distance"), DISTANCES.values(), ids=DISTANCES.keys())
def test_edit_distance(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == distance


def test_edit_distance_of_ids() -> None:
    one, other = [1, 2, 3], [1, 3]
    assert edit_distance(one, other) == 1
    assert (one, other) == ([1, 2, 3], [1, 3])


@cache
def by_definition(one: str, other: str) -> int:
    if not one or not other:
        return len(one) + len(other)
    return min(
        by_definition(one[1:], other) + 1,
        by_definition(one, other[1:]) + 1,
        by_definition(one[1:], other[1:]) + (one[0] != other[0]),
    )


words = st.text("AB ", max_size=7)


@given(words, words)
def test_edit_distance_is_the_recursion(one: str, other: str) -> None:
    assert edit_distance(one, other) == edit_distance(other, one) == by_definition(one, other)


@given(words, words, words)
def test_the_triangle_inequality(a: str, b: str, c: str) -> None:
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


INTERVALS: dict[str, tuple[int, int, tuple[float, float]]] = {
    "nothing": (0, 0, (0.0, 1.0)),
    "half of 10": (5, 10, (0.2366, 0.7634)),
    "none of 10": (0, 10, (0.0, 0.2775)),
    "all of 10": (10, 10, (0.7225, 1.0)),
    "90 of 100": (90, 100, (0.8256, 0.9448)),
}


@pytest.mark.parametrize(("right", "count", "interval"), INTERVALS.values(), ids=INTERVALS.keys())
def test_intervals(right: int, count: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(right, count) == pytest.approx(interval, abs=1e-4)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_hold_the_share(counted: tuple[int, int]) -> None:
    right, count = counted
    low, high = wilson_interval(right, count)
    assert 0 <= low <= right / count + 1e-12 and right / count - 1e-12 <= high <= 1
    assert low < high


def test_scores() -> None:
    labels = ["AB12", "A B", "XY", "LONG", ""]
    readings = ["AB12", "AB", "XZ", "LOG", ""]
    score = score_texts(labels, readings)
    assert (score.count, score.right, score.errors, score.symbols) == (5, 2, 3, 13)
    assert score.exact_match == pytest.approx(2 / 5)
    assert score.cer == pytest.approx(3 / 13)
    assert score.confusions == Counter({("Y", "Z"): 1})
    assert score.interval == wilson_interval(2, 5)


def test_blanks_at_the_end_do_not_count() -> None:
    assert score_texts(["AB  "], ["AB"]).right == 1
    assert score_texts(["AB"], ["AB "]).errors == 0
    assert score_texts(["AB"], [" AB"]).right == 0
    assert score_texts(["AB__"], ["AB"], blank="_").right == 1
    assert score_texts(["AB__"], ["AB"]).right == 0


def test_nothing_compared() -> None:
    score = score_texts([], [])
    assert (score.exact_match, score.cer, score.interval) == (0.0, 0.0, (0.0, 1.0))


def test_empty_labels() -> None:
    score = score_texts(["", ""], ["A", ""])
    assert (score.exact_match, score.errors, score.cer) == (0.5, 1, 0.0)


def test_not_as_many_of_each() -> None:
    with pytest.raises(ValueError, match="shorter"):
        score_texts(["A", "B"], ["A"])


def test_cer_may_pass_one() -> None:
    assert score_texts(["A"], ["BBB"]).cer == 3.0


pairs = st.lists(st.tuples(words, words), max_size=6)


@given(pairs, pairs)
def test_scores_add_up(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    def score(held: list[tuple[str, str]]) -> TextScore:
        return score_texts([a for a, _ in held], [b for _, b in held])

    assert score(one) + score(other) == score(one + other)


@given(st.lists(words, max_size=6))
def test_a_perfect_reader(texts: list[str]) -> None:
    score = score_texts(texts, texts)
    assert (score.right, score.errors, score.confusions) == (len(texts), 0, Counter())
