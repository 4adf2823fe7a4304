"""Which labels are wrong, by what an aligner that was not taught them sees."""

from __future__ import annotations

import numpy as np
import pytest

from detector.align.doubt import Evidence, Judges, evidence, may_judge, wrong_labels
from detector.align.teaching import Check

CLASSES = 4


def columns(ids: list[int], sure: float = 0.9) -> np.ndarray:
    """Log probabilities (1, 3 columns a symbol, classes + 1) of an aligner that reads ``ids``, blank between them."""
    shown = [kind for i in ids for kind in (CLASSES, i, CLASSES)]
    probs = np.full((len(shown), CLASSES + 1), (1 - sure) / CLASSES)
    probs[np.arange(len(shown)), shown] = sure
    return np.log(probs)[None].astype(np.float32)


def test_evidence_for_and_against() -> None:
    log_probs = np.concatenate([columns([0, 1, 2])] * 3)
    strings = [np.array(s) for s in ([0, 1, 2], [0, 1, 3], [3, 3])]
    found = evidence(log_probs, strings)
    assert [r.tolist() for r in found.read] == [[0, 1, 2]] * 3
    assert found.right[0] > -1.5 > found.right[1] > found.right[2]


def test_probability_of_a_label_sums_to_one() -> None:
    """Summed over all strings, so nothing but the label is counted: two columns, strings of up to two symbols."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(CLASSES + 1), (1, 2))
    strings = [
        np.array(s, np.int64) for s in ([], *([a] for a in range(4)), *([a, b] for a in range(4) for b in range(4)))
    ]
    total = sum(np.exp(evidence(np.log(probs).astype(np.float32), [s]).right[0]) for s in strings)
    assert total == pytest.approx(1.0, abs=1e-4)


def of_a_set(spoilt: int, clean: int) -> tuple[np.ndarray, ...]:
    """Evidence of a set that is read well: spoilt labels are improbable, clean ones are not."""
    rng = np.random.default_rng(1)
    right = np.concatenate([rng.uniform(-40, -14, spoilt), rng.uniform(-1.0, -0.01, clean)])
    distance = np.concatenate([np.ones(spoilt, np.int64), np.zeros(clean, np.int64)])
    return right, distance, np.full(spoilt + clean, 6)


@pytest.mark.parametrize("spoilt", [0, 3, 60])
def test_the_wrong_ones_and_no_others(spoilt: int) -> None:
    right, distance, lengths = of_a_set(spoilt, 300)
    wrong = wrong_labels(right, distance, lengths, symbols=36, texts=300)
    assert (wrong > 0.5).tolist() == [True] * spoilt + [False] * 300


def test_a_weak_reader_does_not_accuse() -> None:
    """Half of the pictures read wrongly, with the label nearly as probable: no label is called wrong for it."""
    right, distance = np.full(200, -2.5), np.array([1, 0] * 100)
    assert (wrong_labels(right, distance, np.full(200, 5), symbols=10, texts=200) < 0.5).all()


def test_a_label_that_cannot_be_read_at_all() -> None:
    right, distance = np.array([-np.inf, *[-0.1] * 9]), np.array([5, *[0] * 9])
    wrong = wrong_labels(right, distance, np.full(10, 5), symbols=10, texts=10)
    assert wrong[0] > 0.99 and (wrong[1:] < 0.1).all()


class Says:
    """An aligner that reads a symbol on the first look, and another on those after it; it counts what it looks at."""

    def __init__(self, symbol: int, later: int | None = None) -> None:
        self.first, self.later = columns([symbol]), columns([symbol if later is None else later])
        self.looked: list[int] = []

    def log_probs(self, images: np.ndarray) -> np.ndarray:
        said = self.later if self.looked else self.first
        self.looked.append(len(images))
        return np.repeat(said, len(images), 0)


def said(judges: Judges, taught: list[int | None], labels: list[int]) -> Evidence:
    images = np.zeros((len(labels), 8, 8, 3), np.uint8)
    return judges.evidence(images, taught, [np.array([i]) for i in labels], judges.general.log_probs(images))


def test_pictures_are_judged_by_who_was_not_taught_them() -> None:
    taught, labels = [0, 1, None, 0], [1, 0, 2, 1]
    found = said(Judges(Says(2), (Says(0), Says(1))), taught, labels)  # type: ignore[arg-type]
    assert [r.tolist() for r in found.read] == [[1], [0], [2], [1]]
    alone = said(Judges(Says(2), None), taught, labels)  # type: ignore[arg-type]
    assert [r.tolist() for r in alone.read] == [[2]] * 4


def test_a_doubtful_label_is_looked_at_again_slanted() -> None:
    sure = said(Judges(Says(2), None), [None], [2])  # type: ignore[arg-type]
    never, later = Judges(Says(2), None), Judges(Says(2, later=3), None)  # type: ignore[arg-type]
    denied, found = said(never, [None] * 2, [2, 3]), said(later, [None] * 2, [2, 3])
    assert never.general.looked == [2, 1, 1]  # type: ignore[attr-defined]
    assert denied.right[0] == found.right[0] == sure.right[0]
    assert np.exp(found.right[1]) == pytest.approx(2 / 3 * np.exp(sure.right[0]) + 1 / 3 * np.exp(denied.right[1]))
    assert found.read[1].tolist() == [2]


@pytest.mark.parametrize(
    ("exact_match", "pictures", "may"),
    [(0.3, 80, False), (0.5, 500, False), (0.55, 80, True), (0.58, 500, True), (0.95, 80, True), (0.0, 0, True)],
)
def test_no_judges_where_clearly_too_little_is_read(exact_match: float, pictures: int, may: bool) -> None:
    assert may_judge(Check(exact_match, 0.2, pictures)) is may


def test_without_judges_no_label_is_doubted() -> None:
    images, labels = np.zeros((3, 8, 8, 3), np.uint8), [np.array([i]) for i in (0, 1, 2)]
    judges = Judges(Says(2), None, believed=False)  # type: ignore[arg-type]
    found = judges.evidence(images, [0, 1, None], labels, np.repeat(columns([2]), 3, 0))
    assert judges.general.looked == []  # type: ignore[attr-defined]
    assert [len(r) for r in found.read] == [0, 0, 0]
    assert found.right[2] > found.right[0]  # of two ways to lay a picture out, the label tells the likelier one
    assert not wrong_labels(found.right, np.ones(3), np.ones(3), symbols=10, texts=3).any()


def test_no_pictures() -> None:
    nothing = np.zeros(0)
    assert not len(wrong_labels(nothing, nothing.astype(int), nothing.astype(int), symbols=10, texts=0))
