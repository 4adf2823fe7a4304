"""What the validation split can tell: done or not, better or lucky."""

from __future__ import annotations

import pytest

from detector.training.validation.evidence import (
    CER,
    EXACT_MATCH,
    FEW,
    best_beyond_chance,
    default_patience,
    gains_beyond_chance,
    say_few,
)
from detector.training.validation.stopping import ending


def rows(*exact: float, cer: tuple[float, ...] | None = None) -> list[dict[str, str]]:
    """Of a run's table, from shares of right strings; a wrong string has one wrong symbol of five."""
    errors = cer or tuple((1 - share) / 5 for share in exact)
    return [{EXACT_MATCH: str(share), CER: str(error)} for share, error in zip(exact, errors, strict=True)]


RISING = tuple(0.5 + 0.01 * i for i in range(40))
FLAT = (0.5, 0.7, *(0.9 + 0.01 * (i % 2) for i in range(20)))


@pytest.mark.parametrize(
    ("exact", "patience", "wanted"),
    [
        ((), 4, None),
        ((1.0,), 4, None),
        ((0.9, 1.0, 1.0), 4, (3, 4)),
        ((0.9, 1.0, 1.0, 0.5, 0.4), 4, (3, 4)),  # what was clear once stays so
        ((1.0, 0.99, 1.0, 0.99, 1.0), 4, None),
        (RISING, 4, None),
        (RISING, 0, None),
        (FLAT, 0, None),
        (FLAT, 4, (10, 4)),
        ((0.0,) * 50, 4, None),  # from nothing it takes long until the first string is right
        ((0.9, 1.0), 1, (2, 1)),
        (tuple(reversed(RISING)), 4, (8, 4)),
    ],
)  # fmt: skip
def test_training_ends_where_nothing_is_gained(
    exact: tuple[float, ...], patience: int, wanted: tuple[int, int] | None
) -> None:
    found = ending(rows(*exact), 100, patience)
    assert (found and (found.after, found.epochs)) == wanted
    if found:
        assert ending(rows(*exact)[: found.after], 100, patience) == found, "a run that goes on finds the same"
        assert ending(rows(*exact)[: found.after - 1], 100, patience) is None


def test_strings_that_are_no_more_may_have_more_right_symbols() -> None:
    errors = tuple(0.5 - 0.01 * i for i in range(20))
    assert ending(rows(*[0.0] * 20, cer=errors), 100, 4) is None


def test_the_learning_rate_comes_down_along_a_line() -> None:
    found = ending(rows(*[1.0] * 2), 100, 4)
    assert found is not None and (found.after, found.end) == (2, 6)
    assert [found.falls_to(epoch) for epoch in range(1, 6)] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert found.falls_to(100) == 0


@pytest.mark.parametrize(
    ("pictures", "steps", "wanted"), [(FEW - 1, 6, 0), (FEW, 6, 25), (100, 23, 7), (5000, 3281, 6)]
)
def test_patience_is_a_number_of_steps_and_few_pictures_end_nothing(pictures: int, steps: int, wanted: int) -> None:
    assert default_patience(pictures, steps) == wanted


def test_few_pictures_are_said_to_be_few() -> None:
    assert say_few(1).startswith("1 picture for validation: next to nothing") and "11 pictures" in say_few(11)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ([], [], False),
        ([3.0], [0.0], False),  # one picture is no validation
        ([1.0, 1.0], [0.5, 0.5], True),
        ([1.0, 0.0], [0.0, 0.0], False),  # one of two
        ([0.30, 0.33, 0.97], [0.32, 0.27, 0.91], False),  # two of three
        ([0.30, 0.33, 0.97] * 10, [0.32, 0.27, 0.91] * 10, True),
        ([1.0] * 6 + [0.0] * 4, [0.0] * 6 + [1.0] * 4, False),
        ([1.0] * 9 + [0.0], [0.0] * 9 + [1.0], True),
        ([0.5] * 9, [0.5] * 9, False),
        ([0.5] * 9, [0.6] * 9, False),
    ],
)
def test_a_gain_is_one_where_chance_does_not_explain_it(before: list[float], after: list[float], wanted: bool) -> None:
    assert gains_beyond_chance(before, after) is wanted


@pytest.mark.parametrize(
    ("shares", "errors", "pictures", "wanted"),
    [
        ((0.2, 0.9, 0.9), (0.5, 0.1, 0.1), 100, False),
        ((0.2, 0.9, 0.85), (0.5, 0.02, 0.03), 100, False),  # as likely by chance
        ((0.2, 0.9, 0.7), (0.5, 0.02, 0.1), 100, True),
        ((0.2, 0.9, 0.7), (0.5, 0.02, 0.05), 10, False),  # of so few, two are nothing
        ((0.2, 1.0, 0.0), (0.5, 0.0, 1.0), 10, True),
        ((0.4, 0.0), (0.2, 0.4), 5, False),  # none of five is not less than two of five beyond chance
        ((0.45, 0.1), (0.18, 0.2), 11, False),  # luck: as many symbols are read
        ((0.9,), (0.1,), 100, False),
        ((0.0, 0.0), (1.0, 1.2), 100, False),
    ],
)
def test_the_best_epoch_is_taken_only_where_chance_does_not_explain_it(
    shares: tuple[float, ...], errors: tuple[float, ...], pictures: int, wanted: bool
) -> None:
    epochs = [
        {"metrics/exact_match": str(share), "metrics/CER": str(error)}
        for share, error in zip(shares, errors, strict=True)
    ]
    assert best_beyond_chance(epochs, pictures, 8 * pictures) is wanted
