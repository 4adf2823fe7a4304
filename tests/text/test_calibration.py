"""Calibration: monotone maps that are learnt from few readings, and travel with the config."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.errors import DatasetError
from detector.text.calibration import Calibration, PlattScaling, fit_calibration, fit_platt, right_characters
from detector.text.decode import decode
from detector.text.detections import Character, CharDetections, Reading
from detector.text.metrics import calibration_curve
from detector.text.reading_config import ReadingConfig


def overconfident(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores whose log odds are twice what they should be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(3, 2, count)
    return 1 / (1 + np.exp(-logits)), rng.random(count) < 1 / (1 + np.exp(-logits / 2))


def ece(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    return calibration_curve(scores.tolist(), right.tolist()).ece


def reading(text: str, *scores: float) -> Reading:
    characters = tuple(Character(s, c, (0, 0, 1, 1)) for s, c in zip(text, scores, strict=True))
    return Reading(text, math.prod(scores), characters)


@pytest.mark.parametrize("count", [300, 3000])
def test_overconfident_scores_are_set_straight(count: int) -> None:
    learnt = fit_platt(*overconfident(count))
    scores, right = overconfident(5000, seed=1)
    calibrated = np.array([learnt(score) for score in scores])
    assert ece(scores, right) > 0.07
    assert ece(calibrated, right) < 0.03


def test_few_readings_do_no_harm() -> None:
    held_out, right = overconfident(5000, seed=1)
    for seed in range(2, 12):
        learnt = fit_platt(*overconfident(30, seed))
        calibrated = np.array([learnt(score) for score in held_out])
        assert ece(calibrated, right) < ece(held_out, right) + 0.03


def test_without_readings_nothing_changes() -> None:
    assert fit_platt([], []) == PlattScaling() == PlattScaling(1.0, 0.0)
    assert fit_calibration([], []) == Calibration()
    assert fit_calibration([Reading("", 0.0, ())], ["AB"]) == Calibration()
    assert PlattScaling()(0.3) == pytest.approx(0.3)


@pytest.mark.parametrize("count", [30, 300])
def test_what_is_always_right_is_believed_by_its_number(count: int) -> None:
    learnt = fit_platt([0.4] * count, [True] * count)
    assert learnt(0.4) == pytest.approx((count + 1) / (count + 2), abs=0.02)
    assert learnt(0.4) < 1


scores = st.floats(0, 1)


@given(st.lists(st.tuples(scores, st.booleans()), max_size=40), st.lists(scores, min_size=2, max_size=8))
def test_every_map_is_monotone_and_a_probability(held: list[tuple[float, bool]], asked: list[float]) -> None:
    learnt = fit_platt([score for score, _ in held], [right for _, right in held])
    assert learnt.slope > 0
    mapped = [learnt(score) for score in sorted(asked)]
    assert mapped == sorted(mapped)
    assert all(0 <= p <= 1 for p in mapped)


def test_scores_that_mislead_are_not_turned_round() -> None:
    learnt = fit_platt([0.05] * 200 + [0.95] * 200, [True] * 200 + [False] * 200)
    assert 0 < learnt.slope < 0.2
    assert learnt(0.05) <= learnt(0.95) == pytest.approx(0.5, abs=0.1)


def test_characters_are_compared_without_spaces() -> None:
    assert right_characters("A BC", reading("ABX", 0.9, 0.9, 0.9), " ") == [True, True, False]
    assert right_characters("ABCD", reading("ABD", 0.9, 0.9, 0.9), " ") == [True, True, True]
    assert right_characters("AB", reading("AXB", 0.9, 0.9, 0.9), " ") == [True, False, True]


def test_strings_learn_what_their_characters_do_not_know() -> None:
    """Every character is right, and yet each second string lacks one."""
    held = [reading("ABC", 0.9, 0.9, 0.9) for _ in range(400)]
    learnt = fit_calibration(held, ["ABC", "ABCD"] * 200)
    character = learnt.character(0.9)
    assert character > 0.98
    assert learnt.string(character**3) == pytest.approx(0.5, abs=0.05)


def test_a_label_with_spaces_at_its_end_is_right() -> None:
    held = [reading("AB", 0.6, 0.6)] * 50
    assert fit_calibration(held, ["AB__"] * 50, "_") == fit_calibration(held, ["AB"] * 50, "_")


# In the config

LEARNT = Calibration(PlattScaling(0.5, 1.0), PlattScaling(0.8, -0.3))
RULES = ReadingConfig("ABC", length=4, max_count=4)


def found(*rows: tuple[int, float]) -> CharDetections:
    boxes = [(20 * i, 10, 20 * i + 10, 30) for i in range(len(rows))]
    return CharDetections(np.array(boxes), np.array([s for _, s in rows]), np.array([c for c, _ in rows]))


def test_rules_carry_it_and_old_ones_have_none() -> None:
    held = replace(RULES, calibration=LEARNT)
    assert ReadingConfig.from_dict(json.loads(json.dumps(held.to_dict()))) == held
    assert "calibration" not in RULES.to_dict()
    assert ReadingConfig.from_dict(RULES.to_dict()).calibration is None


@pytest.mark.parametrize(
    "wrong",
    [5, {"character": {"slope": -1.0, "offset": 0.0}}, {"characters": {}}, {"string": {"slope": float("nan")}},
     {"string": 3}, {"string": {"slope": "1"}}],
    ids=str,
)  # fmt: skip
def test_what_is_no_calibration_is_refused(wrong: object) -> None:
    with pytest.raises(DatasetError, match="The reading configuration cannot be understood"):
        ReadingConfig.from_dict({**RULES.to_dict(), "calibration": wrong})


def test_readings_have_calibrated_confidences() -> None:
    seen = found((0, 0.9), (1, 0.6))
    plain, calibrated = decode(seen, RULES, 100), decode(seen, replace(RULES, calibration=LEARNT), 100)
    assert plain.text == calibrated.text == "AB"
    expected = [LEARNT.character(c.confidence) for c in plain.characters]
    assert [c.confidence for c in calibrated.characters] == expected
    assert calibrated.confidence == LEARNT.string(math.prod(expected))


def test_readings_are_refused_by_the_calibrated_confidence() -> None:
    seen, learnt = found((0, 0.9), (1, 0.6)), replace(RULES, calibration=LEARNT)
    least = LEARNT.character(0.6)
    assert least > 0.7
    assert decode(seen, learnt, 100, min_confidence=0.7).text == "AB"
    assert decode(seen, RULES, 100, min_confidence=0.7).rejected_text == "AB"
    assert not decode(seen, learnt, 100, min_confidence=least + 0.01)


def test_other_strings_are_less_sure_than_the_reading() -> None:
    top_class_id, top_confidence = np.array([[0, 1], [2, 1]]), np.array([[0.6, 0.3], [0.9, 0.05]])
    boxes = np.array([(0, 10, 10, 30), (20, 10, 30, 30)])
    seen = CharDetections(
        boxes, top_confidence[:, 0], top_class_id[:, 0], np.array([0.9, 0.95]), top_class_id, top_confidence
    )
    held = decode(seen, replace(RULES, calibration=LEARNT), 100, alternatives=3)
    confidences = [held.confidence, *(a.confidence for a in held.alternatives)]
    assert len(confidences) > 2 and confidences == sorted(confidences, reverse=True)
