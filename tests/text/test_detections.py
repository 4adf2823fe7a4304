"""Columns that belong together, checked at birth; readings as plain values."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from detector.text.detections import Character, CharDetections, Reading

BOXES = np.array([[0, 1, 10, 21], [12, 0, 20, 20], [22, 2, 30, 22]], np.float32)


def three() -> CharDetections:
    return CharDetections(BOXES.copy(), np.array([0.9, 0.8, 0.7], np.float32), np.array([5, 6, 7]))


def test_columns_have_their_types() -> None:
    found = CharDetections(BOXES.astype(np.float64).tolist(), [1, 0, 0.5], [1.0, 2.0, 3.0])  # type: ignore[arg-type]
    assert (found.xyxy.dtype, found.xyxy.shape) == (np.float32, (3, 4))
    assert (found.confidence.dtype, found.confidence.shape) == (np.float32, (3,))
    assert (found.class_id.dtype, found.class_id.shape) == (np.int64, (3,))
    assert len(found) == 3


def test_none() -> None:
    found = CharDetections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))  # type: ignore[arg-type]
    assert len(found) == 0
    assert len(found[found.confidence > 0]) == 0
    assert found.xyxy.shape == (0, 4)


def test_presence_is_the_score_unless_given() -> None:
    found = three()
    assert np.array_equal(found.objectness, found.confidence)
    given = CharDetections(BOXES, np.zeros(3), np.arange(3), [0.5, 0.25, 1])  # type: ignore[arg-type]
    assert given.objectness.dtype == np.float32
    part = given[::-1]
    assert part.objectness.tolist() == [1, 0.25, 0.5]
    with pytest.raises(ValueError, match=r"class_id \(3,\), objectness \(2,\)"):
        CharDetections(BOXES, np.zeros(3), np.arange(3), np.zeros(2))  # type: ignore[arg-type]


INDICES: dict[str, tuple[Any, list[int]]] = {
    "mask": (np.array([True, False, True]), [5, 7]),
    "empty mask": (np.zeros(3, bool), []),
    "places": (np.array([2, 0, 0]), [7, 5, 5]),
    "a list": ([1, 2], [6, 7]),
    "slice": (slice(1, None), [6, 7]),
    "reverse": (slice(None, None, -1), [7, 6, 5]),
    "one place": (1, [6]),
    "a numpy integer": (np.int64(2), [7]),
    "the last": (-1, [7]),
}


@pytest.mark.parametrize(("index", "ids"), INDICES.values(), ids=INDICES.keys())
def test_indexing_gives_the_same_type(index: Any, ids: list[int]) -> None:
    found = three()
    part = found[index]
    assert isinstance(part, CharDetections)
    assert part.class_id.tolist() == ids
    assert part.xyxy.shape == (len(ids), 4)
    assert all(np.array_equal(b, BOXES[i - 5]) for b, i in zip(part.xyxy, ids, strict=True))
    assert len(found) == 3


def test_outside() -> None:
    with pytest.raises(IndexError):
        three()[3]


COLUMNS: dict[str, tuple[Any, Any, Any]] = {
    "a score too few": (BOXES, [0.1, 0.2], [1, 2, 3]),
    "an id too many": (BOXES, [0.1, 0.2, 0.3], [1, 2, 3, 4]),
    "no boxes": (np.zeros((0, 4)), [0.1], [1]),
    "boxes of three": (np.zeros((3, 3)), [0.1, 0.2, 0.3], [1, 2, 3]),
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS.keys())
def test_columns_that_differ(columns: tuple[Any, Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"columns differ|reshape"):
        CharDetections(*columns)


def test_the_message_counts() -> None:
    with pytest.raises(ValueError, match=r"columns differ: xyxy \(3, 4\), confidence \(2,\), class_id \(3,\)"):
        CharDetections(BOXES, np.zeros(2), np.zeros(3, np.int64))  # type: ignore[arg-type]


@pytest.mark.parametrize("held", [three(), Reading("A", 0.5, ()), Character("A", 0.5, (0, 0, 1, 1))], ids=repr)
def test_they_are_frozen(held: Any) -> None:
    field = dataclasses.fields(held)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(held, field, None)


TRUTHS = {
    "a string": (Reading("A", 0.5, (Character("A", 0.5, (0, 0, 1, 1)),)), True, True),
    "one that starts with a space": (Reading(" A", 0.5, (Character("A", 0.5, (0, 0, 1, 1)),)), True, True),
    "nothing seen": (Reading("", 0.0, ()), False, True),
    "nothing seen, where something is wanted": (Reading("", 0.0, (), rejected="no character was seen"), False, False),
    "rejected": (Reading("", 0.5, (), rejected="below 0.6", rejected_text="A"), False, False),
}


@pytest.mark.parametrize(("reading", "true", "accepted"), TRUTHS.values(), ids=TRUTHS.keys())
def test_a_reading_is_true_if_it_has_a_string(reading: Reading, true: bool, accepted: bool) -> None:
    assert (bool(reading), reading.accepted) == (true, accepted)


def test_a_reading_as_plain_values() -> None:
    reading = Reading("A B", 0.123456, (Character("A", 0.98765, (1.23, 2, 3, 4)), Character("B", 0.125, (5, 6, 7, 8))))
    plain = reading.to_dict()
    assert json.loads(json.dumps(plain)) == {
        "text": "A B",
        "confidence": 0.1235,
        "characters": [
            {"symbol": "A", "confidence": 0.9877, "xyxy": [1.2, 2, 3, 4]},
            {"symbol": "B", "confidence": 0.125, "xyxy": [5, 6, 7, 8]},
        ],
    }
    assert Reading("", 0.0, ()).to_dict() == {"text": "", "confidence": 0.0, "characters": []}
