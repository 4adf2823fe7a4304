"""How alike symbols look to one network: measured on what it read, and never from a few pictures alone."""

from __future__ import annotations

import numpy as np
import pytest

from detector.errors import DatasetError
from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.detections import Character, Reading
from detector.text.forms.lookalikes import channel, measured_lookalikes
from detector.text.reading_config import ReadingConfig


def reading(text: str, likely: tuple[tuple[str, float], ...] = ()) -> Reading:
    return Reading(text, 0.9, tuple(Character(symbol, 0.9, (0, 0, 1, 1), likely) for symbol in text))


def share(pair: str, readings: list[Reading], labels: list[str]) -> float:
    return dict(measured_lookalikes(readings, labels, DEFAULT_SYMBOLS)).get(pair, 0.0)


def test_of_no_pictures_it_is_that_of_the_shipped_weights() -> None:
    for readings, labels in (([], []), ([Reading("", 0.0, ())], ["AB"]), ([reading("ABC")], ["AB"])):
        own = channel(DEFAULT_SYMBOLS, measured_lookalikes(readings, labels, DEFAULT_SYMBOLS))
        np.testing.assert_allclose(own, channel(DEFAULT_SYMBOLS), atol=0.005)


@pytest.mark.parametrize(
    ("wrong", "right", "least", "greatest"),
    [
        (1, 0, 0.02, 0.05),  # one picture is not believed
        (1, 100, 0.005, 0.02),
        (50, 50, 0.3, 0.5),
        (0, 100, 0.0, 0.0),
    ],
)
def test_few_pictures_change_little_and_many_much(wrong: int, right: int, least: float, greatest: float) -> None:
    readings, labels = [reading("4")] * wrong + [reading("H")] * right, ["H"] * (wrong + right)
    measured = share("H4", readings, labels)
    assert least <= measured <= greatest


def test_what_is_told_apart_is_trusted() -> None:
    """The shipped weights take many an O for a 0; a network that never does says so."""
    assert share("O0", [reading("O0")] * 300, ["O0"] * 300) < 0.02 < share("O0", [], [])


def test_scores_count_and_spaces_do_not() -> None:
    unsure = reading("HH", (("H", 0.6), ("4", 0.2)))
    assert 0.15 < share("H4", [unsure] * 100, ["H H"] * 100) < 0.25


@pytest.mark.parametrize("pairs", [7, {"O": 0.1}, {"OO0": 0.1}, {"O0": 1.5}, {"O?": 0.1}, {"O0": "much"}])
def test_damaged_pairs_are_refused(pairs: object) -> None:
    with pytest.raises(DatasetError, match=r"look alike|cannot be understood"):
        ReadingConfig.from_dict({**ReadingConfig().to_dict(), "lookalikes": pairs})


def test_a_config_holds_them() -> None:
    config = ReadingConfig(lookalikes=(("H4", 0.3), ("O0", 0.01)))
    assert ReadingConfig.from_dict(config.to_dict()) == config
    assert "lookalikes" not in ReadingConfig().to_dict()
    assert config.channel[DEFAULT_SYMBOLS.index("H"), 4] == pytest.approx(0.3, rel=0.01)
