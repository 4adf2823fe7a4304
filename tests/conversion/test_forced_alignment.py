"""Forced alignment: the best chain of a known label, its probability, and what happens where nothing was seen."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.conversion.locating import forced_alignment
from detector.conversion.locating.forced_alignment import (
    MISSED,
    UNKNOWN,
    Alignment,
    calibration_pairs,
    force_align,
    label_log_probs,
)
from detector.text.calibration import PlattScaling
from detector.text.candidates import NEVER, Candidates, gather
from detector.text.detections import CharDetections
from detector.text.reading_config import ReadingConfig

SYMBOLS = "ABC"
RULES = ReadingConfig(SYMBOLS, length=8)


def seen(*pictures: list[tuple[float, float, list[float]]], width: float = 100) -> Candidates:
    """Candidates of pictures, each a list of (left, width, score of each class); 20 pixels high."""
    batch = []
    for rows in pictures:
        boxes = np.array([[x, 10, x + w, 30] for x, w, _ in rows], np.float32).reshape(-1, 4)
        scores = np.array([s for *_, s in rows], np.float32).reshape(-1, len(SYMBOLS))
        ids = np.argsort(-scores, 1, kind="stable")
        top = np.take_along_axis(scores, ids, 1)
        objectness = 1 - (1 - scores).prod(1)
        batch.append(CharDetections(boxes, top[:, 0], ids[:, 0], objectness, ids, top))
    return gather(batch, RULES, [width] * len(batch))


def ids(text: str) -> NDArray[np.int64]:
    return np.array([UNKNOWN if s == "?" else SYMBOLS.index(s) for s in text], np.int64)


def aligned(held: Candidates, text: str) -> list[float]:
    """The left side of each symbol's candidate, -1 for one that was missed."""
    (one,) = force_align(held, [ids(text)])
    return [-1.0 if i == MISSED else float(held.boxes[0, i, 0]) for i in one.candidates]


A, B, C = [0.9, 0.02, 0.02], [0.02, 0.9, 0.02], [0.02, 0.02, 0.9]

CASES: dict[str, tuple[list[tuple[float, float, list[float]]], str, list[float]]] = {
    "as it is read": ([(0, 10, A), (20, 10, B), (40, 10, C)], "ABC", [0, 20, 40]),
    "the label leaves out what is seen": ([(0, 10, A), (20, 10, B), (40, 10, C)], "AC", [0, 40]),
    "a symbol that looks like another": ([(0, 10, A), (20, 10, B), (40, 10, C)], "AAC", [0, 20, 40]),
    "a fainter one that is the label's": ([(0, 10, A), (20, 10, [0.5, 0.4, 0.02]), (40, 10, B)], "AB", [0, 40]),
    "a hyphen is passed over": ([(0, 10, A), (20, 4, [0.03, 0.03, 0.03]), (40, 10, B)], "AB", [0, 40]),
    "one symbol more than is seen": ([(0, 10, A), (20, 10, B)], "ACB", [0, -1, 20]),
    "unknown symbols are any character": ([(0, 10, A), (20, 10, [0.5, 0.4, 0.3]), (40, 10, C)], "???", [0, 20, 40]),
    "known ones hold the unknown in place": ([(0, 10, A), (20, 10, B), (40, 10, C), (60, 10, A)], "A?A", [0, 20, 60]),
    "nothing seen": ([], "AB", [-1, -1]),
}


@pytest.mark.parametrize(("rows", "text", "lefts"), CASES.values(), ids=CASES.keys())
def test_each_symbol_gets_its_candidate(
    rows: list[tuple[float, float, list[float]]], text: str, lefts: list[float]
) -> None:
    assert aligned(seen(rows), text) == lefts


def test_two_candidates_of_one_place_are_one_symbol() -> None:
    held = seen([(0, 20, A), (1, 20, [0.6, 0.02, 0.02]), (30, 20, B)])
    assert aligned(held, "AB") == [0, 30]
    assert -1 in aligned(held, "AAB"), "no place is two symbols"


rows = st.lists(
    st.tuples(
        st.integers(0, 90).map(float), st.integers(5, 30).map(float),
        st.lists(st.floats(0.03, 0.95), min_size=3, max_size=3),
    ),
    max_size=4,
)  # fmt: skip
labels = st.text("ABC?", min_size=1, max_size=3)


def chains(held: Candidates, row: int, length: int) -> Any:
    """All ways to give each symbol a candidate or none, in order and none covering another."""
    n = int((held.odds[row] > NEVER / 2).sum())
    for way in itertools.product([MISSED, *range(n)], repeat=length):
        taken = [i for i in way if i != MISSED]
        if all(held.barrier[row, i, j] > NEVER / 2 for i, j in itertools.pairwise(taken)):
            yield way


@given(rows, labels)
def test_the_best_chain_is_found(some: list[Any], text: str) -> None:
    held = seen(some)
    (best,) = force_align(held, [ids(text)])

    def score(way: tuple[int, ...]) -> float:
        total = 0.0
        for i, class_id in zip(way, ids(text).tolist(), strict=True):
            if i == MISSED:
                total += forced_alignment._SKIP
                continue
            of_class = dict(zip(held.top_class_id[0, i].tolist(), held.top_confidence[0, i].tolist(), strict=True))
            behind = 0.0 if class_id == UNKNOWN else np.log(of_class[class_id]) - np.log(max(of_class.values()))
            total += held.odds[0, i] + max(behind, forced_alignment._OTHER_CLASS)
        return total

    scores = [score(way) for way in chains(held, 0, len(text))]
    assert best.score == pytest.approx(max(scores))
    assert score(tuple(best.candidates.tolist())) == pytest.approx(best.score)


@given(rows, labels)
def test_the_probability_is_the_sum_over_all_chains(some: list[Any], text: str) -> None:
    held = seen(some)
    classes = max(len(SYMBOLS), int(held.top_class_id.max()) + 1) if len(some) else int(max(0, *ids(text))) + 1

    def weight(i: int, class_id: int) -> float:
        of_class = dict(zip(held.top_class_id[0, i].tolist(), held.top_confidence[0, i].tolist(), strict=True))
        share = of_class.get(class_id, 0.0) / max(sum(of_class.values()), 1e-9)
        eps = forced_alignment._MISCLASSIFIED
        likely = 1 / classes if class_id == UNKNOWN else (1 - eps) * share + eps / classes
        return float(np.exp(held.odds[0, i]) * likely)

    def product(way: tuple[int, ...]) -> float:
        over = forced_alignment._OVERLOOKED
        return float(np.prod([over if i == MISSED else weight(i, c) for i, c in zip(way, ids(text), strict=True)]))

    n = int((held.odds[0] > NEVER / 2).sum())
    everything = sum(
        float(np.prod([np.exp(held.odds[0, i]) for i in way]))
        for k in range(n + 1) for way in itertools.combinations(range(n), k)
        if all(held.barrier[0, i, j] > NEVER / 2 for i, j in itertools.pairwise(way))
    )  # fmt: skip
    wanted = sum(product(way) for way in chains(held, 0, len(text))) / everything
    (found,) = label_log_probs(held, [ids(text)])
    assert found == pytest.approx(min(np.log(wanted), 0.0), abs=1e-6)


def _boxes(held: Candidates, row: int, one: Alignment) -> list[list[float] | None]:
    """Of each symbol; places differ, for a batch fills its pictures up."""
    return [None if i == MISSED else held.boxes[row, i].tolist() for i in one.candidates]


@given(st.lists(st.tuples(rows, labels), min_size=1, max_size=4))
def test_a_batch_is_its_pictures_one_at_a_time(pictures: list[tuple[list[Any], str]]) -> None:
    together = seen(*(some for some, _ in pictures))
    strings = [ids(text) for _, text in pictures]
    probabilities = label_log_probs(together, strings)
    chosen = zip(force_align(together, strings), pictures, probabilities, strict=True)
    for row, (one, (some, text), probability) in enumerate(chosen):
        alone = seen(some)
        (expected,) = force_align(alone, [ids(text)])
        assert one.score == pytest.approx(expected.score)
        assert _boxes(together, row, one) == _boxes(alone, 0, expected)
        if some:  # a picture without candidates has no classes of its own
            assert probability == pytest.approx(label_log_probs(alone, [ids(text)])[0], abs=1e-6)


def test_a_label_that_is_read_is_likely_and_others_are_not() -> None:
    held = seen([(0, 10, A), (20, 10, B), (40, 10, C)])
    given_ = ["ABC", "ABB", "AB", "CBA"]
    right, changed, shorter, other = label_log_probs(
        Candidates(**{f: np.repeat(getattr(held, f), 4, 0) for f in (
            "boxes", "deskewed", "line", "odds", "top_class_id", "top_confidence", "barrier", "widths")}),
        [ids(text) for text in given_],
    )  # fmt: skip
    assert right > -0.5 > -2 > max(changed, shorter) > other


def test_no_pictures() -> None:
    assert force_align(seen([]), [ids("")])[0].candidates.tolist() == []


def test_places_whose_truth_is_known() -> None:
    """The label's candidates are characters, what could stand beside them is none; the rest says nothing."""
    held = seen([(0, 10, A), (1, 9, [0.3, 0.02, 0.02]), (20, 10, B), (40, 10, [0.1, 0.02, 0.02])])
    odds, right = calibration_pairs(held, force_align(held, [ids("AB")]))
    assert sorted(right.tolist()) == [False, True, True], "the second one covers the first"
    assert odds[~right].max() < odds[right].min()


def test_a_missing_symbol_costs_what_a_character_is_worth() -> None:
    """A character that is surely there and is not in the label: the surer scores are, the likelier that is an error."""
    held = seen([(0, 10, A), (20, 10, B), (40, 10, C)])
    (plain,) = label_log_probs(held, [ids("AC")])
    (sharp,) = label_log_probs(held, [ids("AC")], PlattScaling(3.0, 0.0))
    assert sharp < 2 * plain
