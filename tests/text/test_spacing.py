"""Where spaces are, from boxes; and how that rule is found in a set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.text.spacing import MEASURES, TextLayout, find_layout

Boxes = NDArray[np.float32]
WIDE = {"M": 18, "W": 18, "I": 4, "1": 6, "J": 8}  # others are 12 wide


def typeset(text: str, *, gap: float = 3, space: float = 14, left: float = 5, height: float = 20) -> Boxes:
    """Boxes of proportional text: a fixed gap between neighbours, a wide one for each space."""
    boxes, x = [], left
    for symbol in text:
        if symbol == " ":
            x += space
            continue
        boxes.append((x, 10, x + WIDE.get(symbol, 12), 10 + height))
        x = boxes[-1][2] + gap
    return np.array(boxes, np.float32).reshape(-1, 4)


def monospaced(text: str, *, pitch: float = 16, left: float = 5, height: float = 20) -> Boxes:
    """Boxes of text on a fixed pitch, each as wide as its symbol."""
    centres = [(left + (i + 0.5) * pitch, WIDE.get(s, 12)) for i, s in enumerate(text) if s != " "]
    return np.array([(c - w / 2, 10, c + w / 2, 10 + height) for c, w in centres], np.float32).reshape(-1, 4)


def fixed_pitch(text: str, length: int = 8, width: float = 160) -> Boxes:
    """Boxes of text at a fixed pitch over the whole picture."""
    return monospaced(text, pitch=width / length, left=0)


def shown(layout: TextLayout, boxes: Boxes, symbols: str, width: float = 200, length: int = 8) -> str:
    text = [" "] * length
    for symbol, place in zip(symbols.replace(" ", ""), layout.places(boxes, width, length), strict=True):
        text[int(place)] = symbol
    return "".join(text).rstrip()


# The rule at work

PROPORTIONAL = TextLayout("proportional", "gap", (0.4, 1.2))
FLOW_TEXTS: dict[str, str] = {
    "no spaces": "AB12",
    "one symbol": "A",
    "a space": "AB 12",
    "narrow neighbours of a space": "A1 I1",
    "wide neighbours": "MW MW",
    "two spaces apart": "A B C",
    "two spaces together": "AB  C",
    "all eight": "AB CD EF",
}


@pytest.mark.parametrize("text", FLOW_TEXTS.values(), ids=FLOW_TEXTS.keys())
def test_flow(text: str) -> None:
    assert shown(PROPORTIONAL, typeset(text), text) == text


def test_flow_sees_no_space_at_the_start() -> None:
    assert shown(PROPORTIONAL, typeset(" AB"), "AB") == "AB"


def test_more_spaces_than_thresholds() -> None:
    assert PROPORTIONAL.places(typeset("A    B"), 200, 8).tolist() == [0, 3]


FIXED = TextLayout("fixed", origin=1 / 16, pitch=1 / 8)
SLOT_TEXTS: dict[str, str] = {
    "full": "ABCDEFGH",
    "a space first": " ABCDEFG",
    "two spaces first": "  A",
    "short": "AB",
    "inside": "A B  CDE",
    "the last cell only": "       Z",
    "narrow and wide": "MI1 WJ",
}


@pytest.mark.parametrize("text", SLOT_TEXTS.values(), ids=SLOT_TEXTS.keys())
@pytest.mark.parametrize("width", [80.0, 160.0, 1000.0])
def test_slots(text: str, width: float) -> None:
    assert shown(FIXED, fixed_pitch(text, width=width), text, width) == text


def test_boxes_between_slots_do_not_share_one() -> None:
    boxes = np.array([[40, 0, 48, 20], [44, 0, 52, 20], [48, 0, 56, 20]], np.float32)
    assert FIXED.places(boxes, 160, 8).tolist() == [2, 3, 4]


def test_the_last_boxes_push_no_one_over_the_edge() -> None:
    boxes = np.array([[150, 0, 158, 20], [152, 0, 160, 20], [170, 0, 178, 20]], np.float32)
    assert FIXED.places(boxes, 160, 8).tolist() == [5, 6, 7]


LAYOUTS: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"kind": "grid"}, r"a layout is proportional or fixed.* got 'grid', 'gap'"),
    "measure": ({"measure": "angle"}, r"got 'proportional', 'angle'"),
    "no pitch": ({"kind": "fixed"}, "a fixed pitch must be above 0, got 0.0"),
    "negative pitch": ({"kind": "fixed", "pitch": -0.1}, "a fixed pitch must be above 0, got -0.1"),
    "no number": ({"kind": "fixed", "pitch": float("nan")}, "a fixed pitch must be above 0, got nan"),
    "endless pitch": ({"kind": "fixed", "pitch": float("inf")}, "pitch is a number, got inf"),
    "no origin": ({"kind": "fixed", "pitch": 0.1, "origin": float("nan")}, "origin is a number, got nan"),
    "no bound": ({"measure": "ratio", "max_plain": float("nan")}, "max_plain is a number, got nan"),
    "no threshold": ({"thresholds": (0.5, float("nan"))}, r"thresholds are numbers, .* got \[0.5, nan\]"),
    "decreasing thresholds": ({"thresholds": (0.5, 0.1)}, r"none below the one before it, got \[0.5, 0.1\]"),
    "no lines": ({"lines": 0}, "1 to 4 lines .*, got 0 and 0"),
    "many spaces between lines": ({"between_lines": 49}, "0 to 48 spaces between them, got 1 and 49"),
    "no share": ({"lowest_line": float("nan")}, "lowest_line is a share, 0 to 1, got nan"),
    "more than a share": ({"lowest_line": 5}, "lowest_line is a share, 0 to 1, got 5"),
    "a word": ({"stacked": "no"}, "stacked is true or false, got 'no'"),
}


@pytest.mark.parametrize(("arguments", "message"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts_that_are_none(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextLayout(**arguments)


@pytest.mark.parametrize("layout", [TextLayout(), PROPORTIONAL, FIXED], ids=["plain", "proportional", "fixed"])
def test_no_boxes(layout: TextLayout) -> None:
    places = layout.places(np.zeros((0, 4), np.float32), 100, 8)
    assert (places.dtype, places.shape) == (np.int64, (0,))


# Laws

number = st.floats(-500, 500, width=32)
boxes_of_any_kind = st.lists(st.tuples(number, number, number, number), max_size=10).map(
    lambda rows: np.array(rows, np.float32).reshape(-1, 4)
)
layouts = st.one_of(
    st.builds(
        TextLayout,
        st.just("proportional"),
        st.sampled_from(MEASURES),
        st.lists(st.floats(-2, 5), max_size=4).map(lambda held: tuple(sorted(held))),
    ),
    st.builds(
        lambda origin, pitch: TextLayout("fixed", origin=origin, pitch=pitch), st.floats(-1, 1), st.floats(0.01, 1)
    ),
)


@given(boxes_of_any_kind, layouts, st.floats(1, 1000), st.integers(1, 10))
def test_places_rise_and_fit(boxes: Boxes, layout: TextLayout, width: float, length: int) -> None:
    before = boxes.copy()
    places = layout.places(boxes, width, length)
    assert places.dtype == np.int64 and len(places) == len(boxes)
    assert (np.diff(places) > 0).all()
    if len(places):
        assert places[0] >= 0 and places[-1] < max(length, len(boxes))
    assert np.array_equal(boxes, before)


@given(st.text("ABMI1 ", min_size=1, max_size=8).map(str.strip).filter(bool), st.integers(-50, 50), st.integers(-1, 3))
def test_flow_minds_neither_place_nor_size(text: str, shift: int, power: int) -> None:
    boxes, scale = typeset(text), 2.0**power
    moved = (boxes + np.array([shift, 3, shift, 3], np.float32)) * np.float32(scale)
    assert np.array_equal(PROPORTIONAL.places(boxes, 200, 8), PROPORTIONAL.places(moved, 200 * scale, 8))


# The rule found

TEXTS = ["AB12", "MI W1", "A I1", "M W", "1 1", "MW AB", "I1I1I1", "W M W M", "JJ M", "AJ 1M", "MMM II", "1A B1"]


def found(typesetter: Any, texts: list[str], width: float = 200) -> tuple[TextLayout, float]:
    return find_layout([typesetter(t) for t in texts], texts, [width] * len(texts), 8)


def test_proportional_text_is_found_by_its_gaps() -> None:
    layout, share = found(typeset, TEXTS)
    assert (layout.kind, layout.measure, share) == ("proportional", "gap", 1.0)
    assert layout.thresholds == tuple(sorted(layout.thresholds))
    for text in ("MM MM", "I I", "A 1 W"):
        assert shown(layout, typeset(text), text) == text


def test_two_spaces_together_are_found() -> None:
    layout, share = found(typeset, [*TEXTS, "A  B", "M  I", "1  1"])
    assert share == 1.0
    assert shown(layout, typeset("MI  AB"), "MIAB") == "MI  AB"


def test_monospaced_text_is_found() -> None:
    layout, share = found(monospaced, TEXTS)
    assert share == 1.0
    for text in ("MM MM", "I I", "A 1 W", "I  1"):
        assert shown(layout, monospaced(text), text) == text


def test_monospaced_text_anywhere_is_found_by_its_pitch() -> None:
    """The left margin differs, so no cell lies where the last one did, and narrow symbols make wide gaps."""
    boxes = [monospaced(t, left=5 + 7 * i) for i, t in enumerate(TEXTS)]
    layout, share = find_layout(boxes, TEXTS, [200.0] * len(TEXTS), 8)
    assert (layout.kind, layout.measure, share) == ("proportional", "pitch", 1.0)
    assert shown(layout, monospaced("I1 MW", left=33), "I1MW") == "I1 MW"


def test_text_spaced_differently_from_picture_to_picture() -> None:
    """The plain gap of the widest spacing is wider than a gap with a space of the narrowest."""
    texts = ["AB CD", "ABCDE", "A BCDE", "ABC DE", "ABCD E", "AB CDE"] * 4
    gaps = [2 + 3 * (i % 5) for i in range(len(texts))]
    boxes = [typeset(t, gap=g, space=8) for t, g in zip(texts, gaps, strict=True)]
    layout, share = find_layout(boxes, texts, [400.0] * len(texts), 8)
    assert (layout.measure, share) == ("excess", 1.0)
    assert shown(layout, typeset("BC DEA", gap=7, space=8), "BCDEA") == "BC DEA"


@pytest.mark.parametrize("measure", MEASURES)
def test_one_box_and_two(measure: str) -> None:
    layout = TextLayout("proportional", measure, (0.5,))
    assert layout.places(typeset("A"), 100, 8).tolist() == [0]
    assert layout.places(typeset("AB"), 100, 8)[0] == 0


def test_slots_are_found() -> None:
    texts = ["ABCD", " ABC", "A  B", "   1", "MI W M", "  ABCDEF", "       Z", "1 1 1 1"]
    layout, share = found(fixed_pitch, texts, 160)
    assert (layout.kind, share) == ("fixed", 1.0)
    assert layout.pitch == pytest.approx(1 / 8, abs=1e-3) and layout.origin == pytest.approx(1 / 16, abs=1e-3)
    for text in (" MIW", "    A  B", "A"):
        assert shown(layout, fixed_pitch(text), text, 160) == text


def test_slots_of_pictures_of_several_widths() -> None:
    texts = ["ABCD", " ABC", "A  B", "   1", "MI W M", "1 1 1 1"]
    widths = [80.0, 160, 320, 100, 200, 400]
    boxes = [fixed_pitch(t, width=w) for t, w in zip(texts, widths, strict=True)]
    layout, share = find_layout(boxes, texts, widths, 8)
    assert (layout.kind, share) == ("fixed", 1.0)


def two_lines(upper: str, lower: str, typesetter: Any) -> Boxes:
    down = np.array([0, 40, 0, 40], np.float32)
    return np.concatenate([typesetter(upper), typesetter(lower) + down])


def test_two_lines_of_slots_are_found() -> None:
    pairs = [("AB1 ", "MI"), ("A  B", " 1A"), ("1B A", "W"), ("AAAA", "BB B")]
    boxes = [two_lines(*p, fixed_pitch) for p in pairs]
    layout, share = find_layout(boxes, ["".join(p) for p in pairs], [160.0] * 4, 8)
    assert (layout.kind, layout.lines, share) == ("fixed", 2, 1.0)


@pytest.mark.parametrize("between", ["", " "], ids=["nothing", "a space"])
def test_two_lines_of_proportional_text_are_found(between: str) -> None:
    pairs = [(a, b) for a in TEXTS[:6] for b in TEXTS[6:]]
    boxes = [two_lines(a, b, typeset) for a, b in pairs]
    layout, share = find_layout(boxes, [a + between + b for a, b in pairs], [200.0] * len(pairs), 16)
    assert (layout.kind, layout.lines, layout.between_lines, share) == ("proportional", 2, len(between), 1.0)


def test_runs_of_spaces_are_told_by_their_own_width() -> None:
    texts = ["A B", "A  B", "AB", "M   W", "MW", "1  1 1", "A   B"] * 5
    layout, share = find_layout([typeset(t) for t in texts], texts, [200.0] * len(texts), 8)
    assert share == 1.0 and list(layout.thresholds) == sorted(layout.thresholds)


def test_a_few_wrong_boxes_do_not_matter() -> None:
    texts = TEXTS * 5
    boxes = [typeset(t) for t in texts]
    boxes[1] = boxes[1][:, [0, 1, 2, 3]] + np.array([0, 0, 30, 0], np.float32)
    layout, share = find_layout(boxes, texts, [200.0] * len(texts), 8)
    assert share >= 0.95 and shown(layout, typeset("A B"), "AB") == "A B"


def test_spaces_that_no_rule_explains_are_owned_up_to() -> None:
    texts = ["AB", "A B"] * 20
    same = typeset("AB")
    _, share = find_layout([same] * 40, texts, [200.0] * 40, 8)
    assert share == pytest.approx(0.5)


EMPTY: dict[str, tuple[list[Boxes], list[str]]] = {
    "nothing": ([], []),
    "no spaces": ([typeset("AB"), typeset("ABC")], ["AB", "ABC"]),
    "spaces only": ([np.zeros((0, 4), np.float32)], ["   "]),
    "boxes that do not match": ([typeset("AB")], ["A B C"]),
}


@pytest.mark.parametrize(("boxes", "texts"), EMPTY.values(), ids=EMPTY.keys())
def test_nothing_to_find(boxes: list[Boxes], texts: list[str]) -> None:
    assert find_layout(boxes, texts, [200.0] * len(texts), 8) == (TextLayout(), 1.0)


DEGENERATE: dict[str, list[str]] = {
    "one text": ["A B"],
    "one symbol after a space": [" A"],
    "single symbols in their cells": [" A", "  B", "C"],
    "spaces everywhere": ["A B", "B A", "A A"],
}


@pytest.mark.parametrize("texts", DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize("flat", [False, True], ids=["", "without height"])
def test_degenerate_sets(texts: list[str], flat: bool) -> None:
    boxes = [fixed_pitch(t) for t in texts]
    if flat:
        boxes = [b * np.array([1, 0, 1, 0], np.float32) for b in boxes]
    layout, share = find_layout(boxes, texts, [160.0] * len(texts), 8)
    assert isinstance(layout, TextLayout) and 0 <= share <= 1


def test_inputs_are_not_changed() -> None:
    boxes = [typeset(t) for t in TEXTS]
    before = [b.copy() for b in boxes]
    find_layout(boxes, TEXTS, [200.0] * len(TEXTS), 8)
    assert all(np.array_equal(a, b) for a, b in zip(boxes, before, strict=True))


def test_another_space() -> None:
    texts = [t.replace(" ", "_") for t in TEXTS]
    layout, share = find_layout([typeset(t) for t in TEXTS], texts, [200.0] * len(texts), 8, "_")
    assert share == 1.0 and layout.thresholds
