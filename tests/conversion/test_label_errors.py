"""Which labels are likelier wrong than right: single slips, whole parts of a set, and weak readers."""

from __future__ import annotations

import numpy as np
import pytest

from detector.conversion.locating.label_errors import label_error_probabilities

DIGITS = "0123456789"


def texts(count: int, seed: int = 0, length: int = 5) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(DIGITS), length)) for _ in range(count)]


def judged(labels: list[str], read: list[str], right: list[float]) -> list[bool]:
    def ids(some: list[str]) -> list[np.ndarray]:
        return [np.array([DIGITS.index(s) for s in text], np.int64) for text in some]

    return (label_error_probabilities(ids(labels), ids(read), np.array(right), len(DIGITS)) > 0.5).tolist()


def changed(text: str) -> str:
    return text[:2] + DIGITS[(DIGITS.index(text[2]) + 1) % 10] + text[3:]


CASES = {
    "one symbol changed": (changed, -14.0, True),
    "one symbol changed, and hardly seen": (changed, -2.0, False),
    "another text": (lambda text: text[::-1], -30.0, True),
    "a symbol left out": (lambda text: text[:2] + text[3:], -14.0, True),
    "a symbol that was overlooked": (lambda text: text + "7", -5.3, False),
}


@pytest.mark.parametrize(("spoil", "right", "wrong"), CASES.values(), ids=CASES.keys())
def test_one_label_among_many(spoil: object, right: float, wrong: bool) -> None:
    read = ["12345", *texts(99)]
    labels = [spoil("12345"), *read[1:]]  # type: ignore[operator]
    assert judged(labels, read, [right, *[0.0] * 99]) == [wrong, *[False] * 99]


def test_what_one_label_may_not_say_many_do() -> None:
    """Leading zeros, each of which may have been overlooked: one is believed, twenty are not."""
    read = [f"0{text[1:]}" for text in texts(20)] + [f"1{text[1:]}" for text in texts(80, 1)]
    lost = [text.lstrip("0") for text in read]
    many = judged(lost, read, [-3.0 if a != b else 0.0 for a, b in zip(lost, read, strict=True)])
    assert many == [True] * 20 + [False] * 80
    one = judged([lost[0], *read[1:]], read, [-3.0, *[0.0] * 99])
    assert one == [False] * 100


def test_a_shifted_half_is_found_though_hardly_half_is_read() -> None:
    read = texts(100)
    labels = [*read[:45], *read[46:], read[45]]
    wrong = [a != b for a, b in zip(labels, read, strict=True)]
    assert judged(labels, read, [-25.0 if bad else 0.0 for bad in wrong]) == wrong


def test_a_weak_reader_accuses_nobody_of_a_slip() -> None:
    labels = texts(100)
    read = [changed(text) if i % 2 else text for i, text in enumerate(labels)]
    assert not any(judged(labels, read, [-12.0 if i % 2 else 0.0 for i in range(100)]))


def test_symbols_that_look_alike_in_a_set_are_no_errors() -> None:
    """Every third 5 is drawn like a 6: whoever reads a 6 there is misled, and the labels are right."""
    labels = [f"{text[:2]}5{text[3:]}" for text in texts(90)] + texts(60, 1)
    read = [f"{text[:2]}6{text[3:]}" if i < 90 and i % 3 == 0 else text for i, text in enumerate(labels)]
    right = [0.0 if a == b else -14.0 for a, b in zip(labels, read, strict=True)]
    assert not any(judged(labels, read, right))
    labels[149], right[149] = changed(labels[149]), -14.0
    assert judged(labels, read, right)[149], "others are found all the same"


def test_no_pictures() -> None:
    assert judged([], [], []) == []
