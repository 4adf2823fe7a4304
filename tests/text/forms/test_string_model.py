"""What strings look like is learnt from readings alone, and never from nothing."""

from __future__ import annotations

import random

import pytest

from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.detections import Character, Reading
from detector.text.forms.string_model import fit_string_model

LETTERS, DIGITS = DEFAULT_SYMBOLS[10:], DEFAULT_SYMBOLS[:10]
POOLS = {"A": LETTERS, "9": DIGITS, "X": DEFAULT_SYMBOLS}
BOX = (0.0, 0.0, 1.0, 1.0)


def reading(text: str, doubts: dict[int, tuple[tuple[str, float], ...]] | None = None) -> Reading:
    """As a reader that is sure of all symbols but those in doubt."""
    characters = tuple(
        Character(symbol, 0.97, BOX, (doubts or {}).get(place, ((symbol, 0.97),)))
        for place, symbol in enumerate(text.replace(" ", ""))
    )
    return Reading(text, 0.9, characters)


def drawn(form: str, count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choice(POOLS[sign]) for sign in form) for _ in range(count)]


def seen_as(text: str) -> str:
    """On a typeface whose O is a 0 and whose I is a 1."""
    return text.replace("O", "0").replace("I", "1")


def test_a_place_tells_letters_from_digits_that_look_the_same() -> None:
    texts = drawn("AAA9999", 200)
    model = fit_string_model([reading(seen_as(text)) for text in texts], DEFAULT_SYMBOLS)
    assert model is not None
    assert str(model) == "AAA9999 (99 %)"
    told = [model.applied(reading(seen_as(text))) for text in texts]
    assert [r.text for r in told] == texts
    changed = [r for r, text in zip(told, texts, strict=True) if seen_as(text) != text]
    assert len(changed) > 20
    assert all(r.unconstrained_text == seen_as(r.text) and r.confidence <= 0.9 for r in changed)


def test_two_formats_of_one_length() -> None:
    texts = drawn("AAA9999", 270) + drawn("99AAAAA", 30, seed=1)
    model = fit_string_model([reading(seen_as(text)) for text in texts], DEFAULT_SYMBOLS)
    assert model is not None
    assert [model.applied(reading(seen_as(text))).text for text in texts] == texts


@pytest.mark.parametrize("count", [0, 1, 3, 5, 30, 300])
@pytest.mark.parametrize("seed", range(3))
def test_random_strings_have_no_format(count: int, seed: int) -> None:
    assert fit_string_model([reading(text) for text in drawn("XXXXXX", count, seed)], DEFAULT_SYMBOLS) is None


def test_a_rare_exception_stays_where_its_pixels_are_sure() -> None:
    exceptions = ["KX8T4RW", "77HV2P3"]
    model = fit_string_model([reading(t) for t in drawn("AAA9999", 198) + exceptions], DEFAULT_SYMBOLS)
    assert model is not None
    assert [model.applied(reading(text)).text for text in exceptions] == exceptions


def test_a_letter_that_never_occurred_stays_possible() -> None:
    texts = [text for text in drawn("AAA9999", 300) if "W" not in text]
    model = fit_string_model([reading(text) for text in texts], DEFAULT_SYMBOLS)
    assert model is not None
    assert model.applied(reading("WAW1234")).text == "WAW1234"


def test_order_of_readings_does_not_matter() -> None:
    readings = [reading(seen_as(text)) for text in drawn("AA999", 40)]
    one, other = (fit_string_model(some, DEFAULT_SYMBOLS) for some in (readings, readings[::-1]))
    assert one is not None
    assert str(one) == str(other)
    assert [one.applied(r) for r in readings] == [other.applied(r) for r in readings]  # type: ignore[union-attr]


def test_spaces_stay_and_rejected_readings_are_left() -> None:
    model = fit_string_model([reading(text) for text in drawn("AA999", 60)], DEFAULT_SYMBOLS)
    assert model is not None
    assert model.applied(reading("0B 1I2")).text == "OB 112"
    rejected = Reading("", 0.2, reading("0B112").characters, rejected="too unsure", rejected_text="0B112")
    assert model.applied(rejected) is rejected
    assert model.applied(Reading("", 0.0, ())).text == ""


def test_a_symbol_that_the_format_makes_less_sure_may_be_too_unsure() -> None:
    model = fit_string_model([reading(text) for text in drawn("AA999", 60)], DEFAULT_SYMBOLS)
    assert model is not None
    told = model.applied(reading("0B112"))
    assert told.accepted and told.text == "OB112"
    least = min(character.confidence for character in told.characters)
    assert least < 0.97
    assert model.applied(reading("0B112"), least) == told
    unsure = model.applied(reading("0B112"), least + 1e-6)
    assert (unsure.text, unsure.rejected_text, unsure.unconstrained_text) == ("", "OB112", "0B112")
    assert unsure.rejected is not None and "character 1, 'O'" in unsure.rejected
    assert model.applied(reading("AB112"), 0.96).accepted  # nothing changed
