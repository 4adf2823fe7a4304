"""YAML of strangers: values, or a sentence."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import yaml

from detector.data.trust import parse_yaml

VALUES: list[tuple[str, Any]] = [
    ("", None),
    ("a: [1, 2.5, x, null]\n", {"a": [1, 2.5, "x", None]}),
    ("names:\n  0: '0'\n", {"names": {0: "0"}}),
    ("a: &anchor 1\n", {"a": 1}),
    ("[-7, 0x1f, 1_000, .5, -2.0e+3, .inf]", [-7, 31, 1000, 0.5, -2000.0, float("inf")]),
    ("2026-11-29", date(2026, 11, 29)),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values(text: str, value: Any) -> None:
    assert parse_yaml(text) == value == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["1:30", "-1:30", "1:30.5", "1" + ":1" * 200_000])
def test_numbers_of_base_60_are_texts(text: str) -> None:
    """YAML 1.1 has them; a long one took as many seconds as its length's square."""
    assert parse_yaml(f"a: {text}\nb: [{text}]\n") == {"a": text, "b": [text]}


NONE = {
    "a tag that runs code": "!!python/object/apply:os.system ['true']",
    "an alias": "a: &a [x]\nb: *a\n",
    "a value of itself": "&a [*a]",
    "nested": "[" * 30_000,
    "nested in blocks": "- " * 30_000,
    "a number that is none": "!!int ''",
    "a truth that is none": "!!bool x",
    "a date that is none": "2026-99-99",
    "a date of another kind": "!!timestamp x",
    "a number of many digits": "9" * 5000,
    "no YAML": "a: b: c",
    "a control character": "\0",
    "a long one": "# " + "x" * 1_000_000,
}


@pytest.mark.parametrize("text", NONE.values(), ids=NONE.keys())
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_yaml(text)
