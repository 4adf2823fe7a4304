"""From candidates to the string: cases, and laws that hold for any candidates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.decode import MAX_CANDIDATES, MIN_SCORE, ReadingRules, decode, decode_batch
from detector.detections import CharDetections, Reading
from detector.errors import AlphabetError, DatasetError
from detector.layout import MEASURES, Layout

SYMBOLS = "ABCDEF"
Candidate = tuple[str, float, float] | tuple[str, float, float, float]  # symbol, score, left, width


def candidates(*rows: Candidate) -> CharDetections:
    """Candidates 20 pixels high and, unless said, 10 wide."""
    boxes = [(r[2], 10, r[2] + (r[3] if len(r) > 3 else 10), 30) for r in rows]
    return CharDetections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([r[1] for r in rows], np.float32),
        np.array([SYMBOLS.index(r[0]) for r in rows], np.int64),
    )


def rules(**changes: Any) -> ReadingRules:
    return ReadingRules(**{"symbols": SYMBOLS, "length": 8, "min_count": 1, "max_count": 8, **changes})


THREE = {"length": 3, "min_count": 3, "max_count": 3}
GAPS = Layout("flow", "gap", (0.5, 1.5))

CASES: dict[str, tuple[list[Candidate], dict[str, Any], str]] = {
    "none": ([], {}, ""),
    "one": ([("A", 0.9, 5)], {}, "A"),
    "left to right": ([("C", 0.9, 40), ("A", 0.7, 0), ("B", 0.8, 20)], {}, "ABC"),
    "the best class of one place": ([("A", 0.5, 0), ("B", 0.9, 1), ("C", 0.6, 2), ("D", 0.9, 30)], {}, "BD"),
    "duplicates of every character": (
        [("A", 0.9, 0), ("A", 0.8, 2), ("B", 0.7, 1), ("C", 0.9, 20), ("C", 0.6, 18), ("D", 0.3, 21)], {}, "AC",
    ),
    "the same symbol twice": ([("A", 0.9, 0), ("A", 0.9, 12)], {}, "AA"),
    "a little overlap is no duplicate": ([("A", 0.9, 0), ("B", 0.8, 6)], {}, "AB"),
    "a narrow one inside a wide one is a duplicate": ([("A", 0.9, 0, 20), ("B", 0.8, 8, 4)], {}, "A"),
    "a wide one over two": ([("A", 0.8, 0), ("B", 0.8, 12), ("C", 0.85, 0, 22)], {}, "AB"),
    "a strong wide one over two weak": ([("A", 0.2, 0), ("B", 0.2, 12), ("C", 0.9, 0, 22)], {}, "C"),
    "exactly three of five places": (
        [("A", 0.9, 0), ("B", 0.4, 20), ("C", 0.8, 40), ("D", 0.5, 60), ("E", 0.3, 80)], THREE, "ACD",
    ),
    "exactly three, one of them weak": ([("A", 0.9, 0), ("B", 0.05, 20), ("C", 0.9, 40)], THREE, "ABC"),
    "exactly three, duplicates are no help": (
        [("A", 0.9, 0), ("B", 0.8, 1), ("C", 0.7, 2), ("D", 0.1, 20), ("E", 0.1, 40)], THREE, "ADE",
    ),
    "giving up the best one for the length": (
        [("A", 0.9, 3, 18), ("B", 0.6, 0), ("C", 0.6, 14), ("D", 0.8, 40)], THREE, "BCD",
    ),
    "fewer than the length asks for": ([("A", 0.9, 0), ("B", 0.8, 20)], THREE, "AB"),
    "fewer places than the length asks for": ([("A", 0.9, 0), ("B", 0.8, 1), ("C", 0.8, 2)], THREE, "A"),
    "more than the length": ([(s, 0.9 - i / 20, 20 * i) for i, s in enumerate("ABCDEF")], THREE, "ABC"),
    "free length leaves weak ones out": ([("A", 0.9, 0), ("B", 0.2, 20), ("C", 0.9, 40)], {}, "AC"),
    "free length keeps likely ones": ([("A", 0.9, 0), ("B", 0.4, 20), ("C", 0.9, 40)], {}, "ABC"),
    "free length, at least two": ([("A", 0.9, 0), ("B", 0.2, 20), ("C", 0.1, 40)], {"min_count": 2}, "AB"),
    "free length, at most two": ([("A", 0.9, 0), ("B", 0.7, 20), ("C", 0.8, 40)], {"max_count": 2}, "AC"),
    "one is read, however weak": ([("A", 0.03, 0)], {}, "A"),
    "below the least score": ([("A", MIN_SCORE / 2, 0)], {}, ""),
    "below the least score among others": ([("A", MIN_SCORE / 2, 0), ("B", 0.9, 20)], THREE, "B"),
    "a blank by layout": ([("A", 0.9, 0), ("B", 0.9, 12), ("C", 0.9, 40)], {"layout": GAPS}, "AB C"),
    "two blanks by layout": ([("A", 0.9, 0), ("B", 0.9, 45)], {"layout": GAPS}, "A  B"),
    "no room for blanks": (
        [("A", 0.9, 0), ("B", 0.9, 30), ("C", 0.9, 60)], {**THREE, "layout": GAPS}, "ABC",
    ),
    "a blank first by slots": (
        [("A", 0.9, 25), ("B", 0.9, 65)], {"layout": Layout("slots", origin=0.1, pitch=0.2), "length": 5,
                                           "max_count": 5}, " A B",
    ),
    "another blank": ([("A", 0.9, 0), ("B", 0.9, 30)], {"layout": GAPS, "blank": "_"}, "A_B"),
    "scores of one and nearly nothing": ([("A", 1.0, 0), ("B", 1.0, 12), ("C", 0.021, 30)], {}, "AB"),
    "boxes without width": ([("A", 0.9, 0, 0), ("B", 0.8, 5, 0)], {}, "AB"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "changes", "text"), CASES.values(), ids=CASES.keys())
def test_decode(rows: list[Candidate], changes: dict[str, Any], text: str) -> None:
    reading = decode(candidates(*rows), rules(**changes), 100)
    assert reading.text == text
    assert "".join(c.symbol for c in reading.characters) == text.replace(rules(**changes).blank, "")


def test_a_reading_has_its_characters() -> None:
    reading = decode(candidates(("B", 0.5, 20), ("A", 0.8, 0), ("C", 0.3, 1)), rules(), 100)
    assert [(c.symbol, c.box_xyxy) for c in reading.characters] == [("A", (0, 10, 10, 30)), ("B", (20, 10, 30, 30))]
    assert [c.confidence for c in reading.characters] == pytest.approx([0.8, 0.5])
    assert reading.confidence == pytest.approx(0.4)
    assert all(type(v) is float for c in reading.characters for v in (c.confidence, *c.box_xyxy))


def test_presence_finds_characters_and_scores_name_them() -> None:
    """A zero that may be an O: each has half the score, and yet there is surely one of them."""
    found = candidates(("A", 0.9, 0), ("B", 0.45, 20), ("C", 0.44, 20.5), ("D", 0.4, 40), ("E", 0.25, 60))
    present = np.array([0.95, 0.9, 0.89, 0.41, 0.28], np.float32)
    found = CharDetections(found.boxes_xyxy, found.scores, found.class_ids, present)
    assert decode(found, rules(), 100).text == "ABD"
    assert decode(found, rules(length=2, min_count=2, max_count=2), 100).text == "AB"
    reading = decode(found, rules(length=2, min_count=2, max_count=2), 100)
    assert reading.confidence == pytest.approx(0.9 * 0.45)


def test_nothing_read_is_not_believed() -> None:
    assert decode(candidates(), rules(), 100) == Reading("", 0.0, ())


def test_batches() -> None:
    assert decode_batch([], rules(), []) == []
    read = decode_batch([candidates(), candidates(("A", 0.9, 0)), candidates()], rules(), [100, 100, 100])
    assert [r.text for r in read] == ["", "A", ""]
    with pytest.raises(ValueError, match="shorter"):
        decode_batch([candidates()], rules(), [])


def test_only_the_best_candidates_are_searched() -> None:
    """Noise under every character cannot push the characters out."""
    noise = [("F", 0.03, float(x)) for x in range(MAX_CANDIDATES * 2)]
    strong = [("A", 0.9, 0.0), ("B", 0.9, 20.0), ("C", 0.9, 40.0)]
    assert decode(candidates(*noise, *strong), rules(**THREE), 100).text == "ABC"


def test_inputs_are_not_changed() -> None:
    found = candidates(("B", 0.5, 20), ("A", 0.8, 0), ("C", 0.01, 1))
    before = found.boxes_xyxy.copy(), found.scores.copy(), found.class_ids.copy()
    decode(found, rules(), 100)
    held = (found.boxes_xyxy, found.scores, found.class_ids)
    assert all(np.array_equal(a, b) for a, b in zip(held, before, strict=True))


# Laws

WIDTH = 128.0


@st.composite
def any_candidates(draw: st.DrawFn, most: int = 12) -> CharDetections:
    """Up to ``most`` candidates at whole pixels, so that moving and doubling them loses nothing."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(-10, 130), st.integers(0, 40), st.integers(0, 30), st.integers(0, 40),
                st.integers(0, 64), st.integers(0, len(SYMBOLS) - 1), st.integers(0, 64),
            ),
            max_size=most,
        )
    )  # fmt: skip
    boxes = [(x, y, x + w, y + h) for x, w, y, h, *_ in rows]
    return CharDetections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([r[4] / 64 for r in rows], np.float32),
        np.array([r[5] for r in rows], np.int64),
        np.array([max(r[4], r[6]) / 64 for r in rows], np.float32) if draw(st.booleans()) else None,
    )


@st.composite
def any_rules(draw: st.DrawFn, kinds: tuple[str, ...] = ("flow", "slots")) -> ReadingRules:
    low, high, length = sorted(draw(st.tuples(*[st.integers(1, 8)] * 3)))
    layout = Layout()
    kind = draw(st.sampled_from(("plain", *kinds)))
    if kind == "flow":
        steps = draw(st.lists(st.integers(0, 24), max_size=3).map(sorted))
        layout = Layout("flow", draw(st.sampled_from(MEASURES)), tuple(s / 8 + 1 / 16 for s in steps))
    elif kind == "slots":
        layout = Layout("slots", origin=draw(st.floats(0, 0.3)), pitch=draw(st.floats(0.05, 0.3)))
    return rules(length=length, min_count=low, max_count=high, layout=layout)


@given(any_candidates(), any_rules(), st.randoms())
def test_the_order_of_candidates_does_not_matter(found: CharDetections, held: ReadingRules, random: Any) -> None:
    order = list(range(len(found)))
    random.shuffle(order)
    assert decode(found, held, WIDTH) == decode(found[np.array(order, np.intp)], held, WIDTH)


@given(any_candidates(70), st.randoms())
def test_the_order_of_very_many_candidates_does_not_matter(found: CharDetections, random: Any) -> None:
    found = CharDetections(
        np.concatenate([found.boxes_xyxy] * 8),
        np.concatenate([found.scores] * 8),
        np.concatenate([found.class_ids] * 8),
    )
    order = list(range(len(found)))
    random.shuffle(order)
    assert decode(found, rules(), WIDTH) == decode(found[np.array(order, np.intp)], rules(), WIDTH)


@given(st.lists(any_candidates(), max_size=5), any_rules(), st.lists(st.floats(1, 500), min_size=5, max_size=5))
def test_a_batch_is_its_pictures_one_at_a_time(
    batch: list[CharDetections], held: ReadingRules, widths: list[float]
) -> None:
    widths = widths[: len(batch)]
    assert decode_batch(batch, held, widths) == [decode(d, held, w) for d, w in zip(batch, widths, strict=True)]


@given(any_candidates(), any_rules())
def test_readings_keep_the_rules(found: CharDetections, held: ReadingRules) -> None:
    reading = decode(found, held, WIDTH)
    symbols = [c.symbol for c in reading.characters]
    assert len(reading.text) <= held.length
    assert len(symbols) <= held.max_count
    assert [s for s in reading.text if s != " "] == symbols
    assert not reading.text.endswith(" ")
    assert 0 <= reading.confidence <= 1
    assert bool(symbols) == bool((np.asarray(found.presence) >= MIN_SCORE).any())
    assert reading.confidence == pytest.approx(
        float(np.prod([c.confidence for c in reading.characters])) * bool(symbols)
    )
    centres = [c.box_xyxy[0] + c.box_xyxy[2] for c in reading.characters]
    assert centres == sorted(centres)
    for one, other in zip(reading.characters, reading.characters[1:], strict=False):
        shared = min(one.box_xyxy[2], other.box_xyxy[2]) - max(one.box_xyxy[0], other.box_xyxy[0])
        narrow = min(b.box_xyxy[2] - b.box_xyxy[0] for b in (one, other))
        assert shared <= 0.56 * narrow


@given(any_candidates(), any_rules(("flow",)), st.integers(-300, 300))
def test_a_shifted_picture_reads_the_same(found: CharDetections, held: ReadingRules, shift: int) -> None:
    boxes = found.boxes_xyxy + np.array([shift, 0, shift, 0], np.float32)
    moved = CharDetections(boxes, found.scores, found.class_ids, found.presence)
    one, other = decode(found, held, WIDTH), decode(moved, held, WIDTH)
    assert (one.text, one.confidence) == (other.text, other.confidence)


@given(any_candidates(), any_rules(), st.integers(-3, 4))
def test_a_scaled_picture_reads_the_same(found: CharDetections, held: ReadingRules, power: int) -> None:
    scale = 2.0**power
    moved = CharDetections(found.boxes_xyxy * np.float32(scale), found.scores, found.class_ids, found.presence)
    one, other = decode(found, held, WIDTH), decode(moved, held, WIDTH * scale)
    assert (one.text, one.confidence) == (other.text, other.confidence)


@given(any_candidates(), st.integers(-3, 4))
def test_a_stretched_picture_reads_the_same(found: CharDetections, power: int) -> None:
    """Along x alone, where the layout knows no blanks: those are measured in heights."""
    stretch = np.array([2.0**power, 1, 2.0**power, 1], np.float32)
    moved = CharDetections(found.boxes_xyxy * stretch, found.scores, found.class_ids, found.presence)
    assert decode(found, rules(), WIDTH).text == decode(moved, rules(), WIDTH * 2.0**power).text


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
sane = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize("coordinates", [sane, finite], ids=["sane", "any finite"])
def test_no_candidates_crash_it(coordinates: Any) -> None:
    @given(
        st.lists(
            st.tuples(*[coordinates] * 4, st.floats(-10, 10, width=32), st.integers(0, len(SYMBOLS) - 1)), max_size=6
        ),
        any_rules(),
        st.floats(1, 1e4),
    )
    def check(rows: list[Any], held: ReadingRules, width: float) -> None:
        found = CharDetections(
            np.array([r[:4] for r in rows], np.float32).reshape(-1, 4),
            np.array([r[4] for r in rows], np.float32),
            np.array([r[5] for r in rows], np.int64),
        )
        assert len(decode(found, held, width).text) <= held.length

    check()


# The rules themselves


@given(any_rules(), st.booleans())
def test_rules_as_plain_values_and_back(held: ReadingRules, shaped: bool) -> None:
    import json

    held = ReadingRules(**{**vars(held), "shape_hw": (64, 192) if shaped else None})
    assert ReadingRules.from_dict(held.to_dict()) == held
    assert ReadingRules.from_dict(json.loads(json.dumps(held.to_dict()))) == held


COUNTS: dict[str, dict[str, int]] = {
    "none at all": {"min_count": 0},
    "least over most": {"min_count": 5, "max_count": 4},
    "more than the length": {"max_count": 9},
    "no length": {"length": 0, "min_count": 0, "max_count": 0},
}


@pytest.mark.parametrize("changes", COUNTS.values(), ids=COUNTS.keys())
def test_counts_that_make_no_sense(changes: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match="1 <= min_count <= max_count <= length"):
        rules(**changes)


HELD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"colour": "red"}, "colour"),
    "an unknown key of the layout": ({"layout": {"angle": 3}}, "angle"),
    "a layout of another kind": ({"layout": {"kind": "grid"}}, "grid"),
    "no layout": ({"layout": None}, "Reading rules cannot be understood"),
    "a length in words": ({"length": "eight"}, "Reading rules cannot be understood"),
    "half a shape": ({"shape_hw": [64]}, "Reading rules cannot be understood"),
    "symbols that are a number": ({"symbols": 123}, "Reading rules cannot be understood"),
}


@pytest.mark.parametrize(("changes", "message"), HELD.values(), ids=HELD.keys())
def test_edited_rules(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        ReadingRules.from_dict({**rules().to_dict(), **changes})


def test_rules_of_an_alphabet_that_is_none() -> None:
    with pytest.raises(AlphabetError, match="more than once"):
        rules(symbols="AA")
