"""Edit distance, intervals and scores, by cases and by laws."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.text.metrics import (
    TextScore,
    calibration_curve,
    coverage_at,
    differing,
    lacks_leading_zeros,
    mcnemar,
    score_texts,
    wilson_interval,
)

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
    "a space is a symbol": ("A B", "AB", 1),
}


@pytest.mark.parametrize(("one", "other", "distance"), DISTANCES.values(), ids=DISTANCES.keys())
def test_errors_are_insertions_deletions_and_substitutions(one: str, other: str, distance: int) -> None:
    assert score_texts([one], [other]).errors == score_texts([other], [one]).errors == distance


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


def test_spaces_at_the_end_do_not_count() -> None:
    assert score_texts(["AB  "], ["AB"]).right == 1
    assert score_texts(["AB"], ["AB "]).errors == 0
    assert score_texts(["AB"], [" AB"]).right == 0
    assert score_texts(["AB__"], ["AB"], space="_").right == 1
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


words = st.text("AB ", max_size=7)
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


DIFFERING: dict[str, tuple[str, str, set[int], set[int]]] = {
    "equal": ("ABC", "ABC", set(), set()),
    "taken for another": ("ABC", "AXC", {1}, {1}),
    "as long: place by place": ("ABCD", "BCDE", {0, 1, 2, 3}, {0, 1, 2, 3}),
    "one missed": ("ABCD", "ABD", {2}, set()),
    "one too many": ("ABD", "ABCD", set(), {2}),
    "nothing read": ("AB", "", {0, 1}, set()),
}


@pytest.mark.parametrize(("one", "other", "first", "second"), DIFFERING.values(), ids=DIFFERING.keys())
def test_what_differs(one: str, other: str, first: set[int], second: set[int]) -> None:
    assert differing(one, other) == (first, second)


# Confidence


def test_the_calibration_error_of_known_bins() -> None:
    confidences = [0.6] * 20 + [0.9] * 20
    right = [True] * 10 + [False] * 10 + [True] * 20
    curve = calibration_curve(confidences, right)
    assert [(b.count, b.confidence, b.right) for b in curve.bins] == [
        (20, pytest.approx(0.6), 0.5), (20, pytest.approx(0.9), 1.0)
    ]  # fmt: skip
    assert curve.ece == pytest.approx((0.1 + 0.1) / 2)


def test_what_chance_alone_shows() -> None:
    rng = np.random.default_rng(0)
    seen, expected = [], []
    for _ in range(200):
        confidences = rng.uniform(0.5, 1, 400)
        curve = calibration_curve(confidences.tolist(), (rng.random(400) < confidences).tolist())
        seen.append(curve.ece)
        expected.append(curve.by_chance)
    assert np.mean(seen) == pytest.approx(np.mean(expected), rel=0.1)
    assert calibration_curve([], []).by_chance == 0.0


def test_bins_have_equal_mass_and_at_least_20() -> None:
    def masses(count: int) -> list[int]:
        confidences = [(i + 1) / (count + 1) for i in range(count)]
        return [b.count for b in calibration_curve(confidences, [True] * count).bins]

    assert masses(1000) == [100] * 10
    assert masses(65) == [21, 22, 22]
    assert masses(5) == [5]
    assert masses(0) == []
    assert calibration_curve([], []).ece == 0.0


shares = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 0.99, 1.0]), st.booleans()), max_size=120)


@given(shares, st.randoms(use_true_random=False))
def test_the_order_of_readings_does_not_matter(held: list[tuple[float, bool]], random: Random) -> None:
    def curve(some: list[tuple[float, bool]]) -> list[tuple[int, float, float]]:
        found = calibration_curve([c for c, _ in some], [r for _, r in some])
        return [(b.count, pytest.approx(b.confidence), pytest.approx(b.right)) for b in found.bins]

    mixed = random.sample(held, len(held))
    assert curve(mixed) == curve(held)
    assert sum(count for count, _, _ in curve(held)) == len(held)


def test_coverage() -> None:
    confidences, right = [0.99, 0.97, 0.9, 0.8, 0.7], [True, True, False, True, True]
    found = coverage_at(confidences, right, 1.0, 10)
    assert (found.taken, found.right, found.coverage, found.precision) == (2, 2, 0.2, 1.0)
    assert 0.9 < found.threshold <= 0.97
    found = coverage_at(confidences, right, 0.8, 10)
    assert (found.taken, found.right, found.threshold) == (5, 4, 0.0), "all of them are good enough"
    assert found.interval == wilson_interval(4, 5)


def test_no_threshold_is_enough() -> None:
    found = coverage_at([0.9, 0.8], [False, True], 0.995, 2)
    assert (found.taken, found.precision, found.threshold) == (0, 0.0, 1.0)
    assert coverage_at([], [], 0.995, 0).coverage == 0.0


def test_thresholds_can_be_written_down() -> None:
    assert coverage_at([0.9876543, 0.5], [True, False], 1.0, 2).threshold == 0.98
    assert coverage_at([0.98765432, 0.98765431], [True, False], 1.0, 2).threshold == 0.98765432


@given(shares, st.sampled_from([0.5, 0.9, 0.995, 1.0]))
def test_the_threshold_gives_what_the_coverage_says(held: list[tuple[float, bool]], wanted: float) -> None:
    found = coverage_at([c for c, _ in held], [r for _, r in held], wanted, len(held))
    taken = [right for confidence, right in held if confidence >= found.threshold]
    if found.taken:
        assert (len(taken), sum(taken)) == (found.taken, found.right)
        assert found.precision >= wanted
    for threshold in {confidence for confidence, _ in held}:  # no lower one would do
        lower = [right for confidence, right in held if confidence >= threshold]
        assert len(lower) <= found.taken or sum(lower) < wanted * len(lower)


# Two readers

P_VALUES: dict[str, tuple[int, int, float]] = {  # 2 * (sum of C(n, k) for k up to the smaller) / 2**n, at most 1
    "no difference": (0, 0, 1.0),
    "as many": (7, 7, 1.0),
    "five to none": (5, 0, 0.0625),
    "none to six": (0, 6, 0.03125),
    "eight to two": (8, 2, 0.109375),
    "ten to two": (10, 2, 158 / 4096),
}


@pytest.mark.parametrize(("one", "other", "p"), P_VALUES.values(), ids=P_VALUES.keys())
def test_mcnemar(one: int, other: int, p: float) -> None:
    assert mcnemar(one, other) == mcnemar(other, one) == pytest.approx(p)


def test_mcnemar_of_many_pictures() -> None:
    assert mcnemar(2000, 2000) == 1.0
    assert mcnemar(2100, 1900) == pytest.approx(0.00165, abs=5e-5)


@pytest.mark.parametrize(
    ("label", "text", "lacks"),
    [
        ("7", "007", True),
        ("470", "0470", True),
        ("0470", "0470", False),
        ("470", "1470", False),
        ("470", "047O", False),
        ("A7", "0A7", False),
        ("", "00", False),
        ("007", "7", False),
    ],
)
def test_a_label_that_lost_its_zeros(label: str, text: str, lacks: bool) -> None:
    assert lacks_leading_zeros(label, text) == lacks
