"""From candidates to the string: cases, and laws that hold for any candidates."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.errors import AlphabetError, DatasetError
from detector.text.candidates import MAX_CANDIDATES, MIN_SCORE
from detector.text.decode import decode, decode_batch
from detector.text.detections import CharDetections, Reading
from detector.text.patterns import matches
from detector.text.reading_config import ReadingConfig
from detector.text.spacing import MEASURES, TextLayout

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


def config(**changes: Any) -> ReadingConfig:
    return ReadingConfig(**{"symbols": SYMBOLS, "length": 8, "min_count": 1, "max_count": 8, **changes})


THREE = {"length": 3, "min_count": 3, "max_count": 3}
GAPS = TextLayout("proportional", "gap", (0.5, 1.5))

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
    "a space by layout": ([("A", 0.9, 0), ("B", 0.9, 12), ("C", 0.9, 40)], {"layout": GAPS}, "AB C"),
    "two spaces by layout": ([("A", 0.9, 0), ("B", 0.9, 45)], {"layout": GAPS}, "A  B"),
    "no room for spaces": (
        [("A", 0.9, 0), ("B", 0.9, 30), ("C", 0.9, 60)], {**THREE, "layout": GAPS}, "ABC",
    ),
    "a space first by a fixed pitch": (
        [("A", 0.9, 25), ("B", 0.9, 65)], {"layout": TextLayout("fixed", origin=0.1, pitch=0.2), "length": 5,
                                           "max_count": 5}, " A B",
    ),
    "another space": ([("A", 0.9, 0), ("B", 0.9, 30)], {"layout": GAPS, "space": "_"}, "A_B"),
    "scores of one and nearly nothing": ([("A", 1.0, 0), ("B", 1.0, 12), ("C", 0.021, 30)], {}, "AB"),
    "boxes without width": ([("A", 0.9, 0, 0), ("B", 0.8, 5, 0)], {}, "AB"),
}  # fmt: skip


def test_small_text_above_the_line_is_not_read() -> None:
    boxes = np.array([*[(x, 10, x + 10, 30) for x in (0, 14, 50, 64)], (30, 0, 36, 8)], np.float32)
    seen = CharDetections(boxes, np.full(5, 0.9, np.float32), np.arange(5))
    assert decode(seen, config(), 100).text == "ABCD"


@pytest.mark.parametrize(("rows", "changes", "text"), CASES.values(), ids=CASES.keys())
def test_decode(rows: list[Candidate], changes: dict[str, Any], text: str) -> None:
    reading = decode(candidates(*rows), config(**changes), 100)
    assert reading.text == text
    assert "".join(c.symbol for c in reading.characters) == text.replace(config(**changes).space, "")


def test_a_reading_has_its_characters() -> None:
    reading = decode(candidates(("B", 0.5, 20), ("A", 0.8, 0), ("C", 0.3, 1)), config(), 100)
    assert [(c.symbol, c.xyxy) for c in reading.characters] == [("A", (0, 10, 10, 30)), ("B", (20, 10, 30, 30))]
    assert [c.confidence for c in reading.characters] == pytest.approx([0.8, 0.5])
    assert reading.confidence == pytest.approx(0.4)
    assert all(type(v) is float for c in reading.characters for v in (c.confidence, *c.xyxy))


def test_presence_finds_characters_and_scores_name_them() -> None:
    """A zero that may be an O: each has half the score, and yet there is surely one of them."""
    found = candidates(("A", 0.9, 0), ("B", 0.45, 20), ("C", 0.44, 20.5), ("D", 0.4, 40), ("E", 0.25, 60))
    present = np.array([0.95, 0.9, 0.89, 0.41, 0.28], np.float32)
    found = CharDetections(found.xyxy, found.confidence, found.class_id, present)
    assert decode(found, config(), 100).text == "ABD"
    assert decode(found, config(length=2, min_count=2, max_count=2), 100).text == "AB"
    reading = decode(found, config(length=2, min_count=2, max_count=2), 100)
    assert reading.confidence == pytest.approx(0.9 * 0.45)


def test_nothing_read_is_not_believed() -> None:
    assert decode(candidates(), config(), 100) == Reading("", 0.0, ())


def test_batches() -> None:
    assert decode_batch([], config(), []) == []
    read = decode_batch([candidates(), candidates(("A", 0.9, 0)), candidates()], config(), [100, 100, 100])
    assert [r.text for r in read] == ["", "A", ""]
    with pytest.raises(ValueError, match="shorter"):
        decode_batch([candidates()], config(), [])


def test_only_the_best_candidates_are_searched() -> None:
    """Noise under every character cannot push the characters out."""
    noise = [("F", 0.03, float(x)) for x in range(MAX_CANDIDATES * 2)]
    strong = [("A", 0.9, 0.0), ("B", 0.9, 20.0), ("C", 0.9, 40.0)]
    assert decode(candidates(*noise, *strong), config(**THREE), 100).text == "ABC"


def test_inputs_are_not_changed() -> None:
    found = candidates(("B", 0.5, 20), ("A", 0.8, 0), ("C", 0.01, 1))
    before = found.xyxy.copy(), found.confidence.copy(), found.class_id.copy()
    decode(found, config(), 100)
    held = (found.xyxy, found.confidence, found.class_id)
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
def level_candidates(draw: st.DrawFn) -> CharDetections:
    """Candidates that are all as high up and as tall."""
    found = draw(any_candidates())
    boxes = found.xyxy.copy()
    boxes[:, [1, 3]] = 10, 30
    return replace(found, xyxy=boxes)


def level(rows: list[tuple[int, int, int]]) -> CharDetections:
    """Candidates of one class, all as high up and as tall: where each begins, its width, and its score in 64ths."""
    boxes = np.array([(x, 10, x + w, 30) for x, w, _ in rows], np.float32)
    return CharDetections(boxes, np.array([s / 64 for *_, s in rows], np.float32), np.zeros(len(rows), np.int64))


@st.composite
def any_configs(draw: st.DrawFn, kinds: tuple[str, ...] = ("proportional", "fixed")) -> ReadingConfig:
    low, high, length = sorted(draw(st.tuples(*[st.integers(1, 8)] * 3)))
    layout = TextLayout()
    kind = draw(st.sampled_from(("plain", *kinds)))
    if kind == "proportional":
        steps = draw(st.lists(st.integers(0, 24), max_size=3).map(sorted))
        layout = TextLayout("proportional", draw(st.sampled_from(MEASURES)), tuple(s / 8 + 1 / 16 for s in steps))
    elif kind == "fixed":
        layout = TextLayout("fixed", origin=draw(st.floats(0, 0.3)), pitch=draw(st.floats(0.05, 0.3)))
    return config(length=length, min_count=low, max_count=high, layout=layout)


@given(any_candidates(), any_configs(), st.randoms())
def test_the_order_of_candidates_does_not_matter(found: CharDetections, held: ReadingConfig, random: Any) -> None:
    order = list(range(len(found)))
    random.shuffle(order)
    assert decode(found, held, WIDTH) == decode(found[np.array(order, np.intp)], held, WIDTH)


@given(any_candidates(70), st.randoms())
def test_the_order_of_very_many_candidates_does_not_matter(found: CharDetections, random: Any) -> None:
    found = CharDetections(
        np.concatenate([found.xyxy] * 8),
        np.concatenate([found.confidence] * 8),
        np.concatenate([found.class_id] * 8),
    )
    order = list(range(len(found)))
    random.shuffle(order)
    assert decode(found, config(), WIDTH) == decode(found[np.array(order, np.intp)], config(), WIDTH)


@given(st.lists(any_candidates(), max_size=5), any_configs(), st.lists(st.floats(1, 500), min_size=5, max_size=5))
def test_a_batch_is_its_pictures_one_at_a_time(
    batch: list[CharDetections], held: ReadingConfig, widths: list[float]
) -> None:
    widths = widths[: len(batch)]
    assert decode_batch(batch, held, widths) == [decode(d, held, w) for d, w in zip(batch, widths, strict=True)]


@given(any_candidates(), any_configs())
def test_readings_keep_the_configs(found: CharDetections, held: ReadingConfig) -> None:
    reading = decode(found, held, WIDTH)
    symbols = [c.symbol for c in reading.characters]
    assert len(reading.text) <= held.length
    assert len(symbols) <= held.max_count
    assert [s for s in reading.text if s != " "] == symbols
    assert not reading.text.endswith(" ")
    assert 0 <= reading.confidence <= 1
    assert bool(symbols) == bool((np.asarray(found.objectness) >= MIN_SCORE).any())
    product = float(np.prod([c.confidence for c in reading.characters])) * bool(symbols)
    if reading.unconstrained_text is None:
        assert reading.confidence == pytest.approx(product)
    else:  # more characters than may be read
        assert len(reading.unconstrained_text) > held.max_count and reading.confidence <= product


@given(level_candidates(), any_configs())
@example(level([(0, 2, 20), (1, 0, 20), (-1, 1, 20), (-1, 2, 21)]), config(length=2, min_count=1, max_count=2))
def test_characters_of_level_text_do_not_cover_each_other(found: CharDetections, held: ReadingConfig) -> None:
    boxes = [c.xyxy for c in decode(found, held, WIDTH).characters]
    centres = [b[0] + b[2] for b in boxes]
    assert centres == sorted(centres)
    for one, other in pairwise(boxes):
        shared = min(one[2], other[2]) - max(one[0], other[0])
        narrow = min(b[2] - b[0] for b in (one, other))
        # Neighbours that all overlap are a slanted text: then two fifths of a box at least stay its own.
        assert shared <= 0.85 * narrow


@given(any_candidates(), any_configs(("proportional",)), st.integers(-300, 300))
def test_a_shifted_picture_reads_the_same(found: CharDetections, held: ReadingConfig, shift: int) -> None:
    boxes = found.xyxy + np.array([shift, 0, shift, 0], np.float32)
    moved = CharDetections(boxes, found.confidence, found.class_id, found.objectness)
    one, other = decode(found, held, WIDTH), decode(moved, held, WIDTH)
    assert (one.text, one.confidence) == (other.text, other.confidence)


@given(any_candidates(), any_configs(), st.integers(-3, 4))
def test_a_scaled_picture_reads_the_same(found: CharDetections, held: ReadingConfig, power: int) -> None:
    scale = 2.0**power
    moved = CharDetections(found.xyxy * np.float32(scale), found.confidence, found.class_id, found.objectness)
    one, other = decode(found, held, WIDTH), decode(moved, held, WIDTH * scale)
    assert (one.text, one.confidence) == (other.text, other.confidence)


@given(level_candidates(), st.integers(-3, 4))
def test_a_stretched_picture_reads_the_same(found: CharDetections, power: int) -> None:
    """Along x alone, where the layout knows no spaces: those are measured in heights."""
    stretch = np.array([2.0**power, 1, 2.0**power, 1], np.float32)
    moved = CharDetections(found.xyxy * stretch, found.confidence, found.class_id, found.objectness)
    assert decode(found, config(), WIDTH).text == decode(moved, config(), WIDTH * 2.0**power).text


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
sane = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize("coordinates", [sane, finite], ids=["sane", "any finite"])
def test_no_candidates_crash_it(coordinates: Any) -> None:
    @given(
        st.lists(
            st.tuples(*[coordinates] * 4, st.floats(-10, 10, width=32), st.integers(0, len(SYMBOLS) - 1)), max_size=6
        ),
        any_configs(),
        st.floats(1, 1e4),
    )
    def check(rows: list[Any], held: ReadingConfig, width: float) -> None:
        found = CharDetections(
            np.array([r[:4] for r in rows], np.float32).reshape(-1, 4),
            np.array([r[4] for r in rows], np.float32),
            np.array([r[5] for r in rows], np.int64),
        )
        assert len(decode(found, held, width).text) <= held.length

    check()


# Likelier classes, patterns, doubts


def sure(text: str, doubts: dict[int, str] | None = None, pitch: float = 12) -> CharDetections:
    """Characters side by side, a space leaves a gap; ``doubts``: what each may be as well, less and less likely."""
    places = [i for i, s in enumerate(text) if s != " "]
    tops = [(text[p] + (doubts or {}).get(p, "").ljust(3, text[p]))[:4] for p in places]
    top_class_id = np.array([[PLATE.index(s) for s in top] for top in tops]).reshape(-1, 4)
    return CharDetections(
        np.array([(p * pitch, 10, p * pitch + 10, 30) for p in places], np.float32).reshape(-1, 4),
        np.full(len(places), 0.9),  # type: ignore[arg-type]
        top_class_id[:, 0],
        np.full(len(places), 0.95),  # type: ignore[arg-type]
        top_class_id,
        np.tile(np.array([0.9, 0.06, 0.02, 0.01], np.float32), (len(places), 1)),
    )


PLATE = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def plate_configs(pattern: str | None, **changes: Any) -> ReadingConfig:
    return ReadingConfig(**{"symbols": PLATE, "length": 8, "pattern": pattern, **changes})


PATTERNS: dict[str, tuple[str, dict[int, str], str, str, str | None]] = {
    "it fits as it is": ("ABC1D23", {}, "AAA9A99", "ABC1D23", None),
    "a zero that is an O": ("A0C1D23", {1: "O"}, "AAA9A99", "AOC1D23", "A0C1D23"),
    "the likelier of two": ("A8", {1: "BS"}, "AA", "AB", "A8"),
    "the alternative that costs less": ("AB1", {0: "4", 2: "I"}, "999|AAA|AA9", "AB1", None),
    "a regular expression": ("AB0", {2: "O"}, "regex:[A-Z]+", "ABO", "AB0"),
    "a weak one is left out": ("ABCD", {}, "AAA", "ABC", "ABCD"),
    "a space that is seen": ("AB 12", {}, "AA 99|AA99", "AB 12", None),
    "no space is seen": ("AB12", {}, "AA 99|AA99", "AB12", None),
    "a space that must be": ("AB12", {}, "AA 99", "AB 12", "AB12"),
    "a space that must not be": ("AB 12", {}, "AA99", "AB12", "AB 12"),
}


@pytest.mark.parametrize(("seen", "doubts", "pattern", "text", "unconstrained"), PATTERNS.values(), ids=PATTERNS.keys())
def test_patterns(seen: str, doubts: dict[int, str], pattern: str, text: str, unconstrained: str | None) -> None:
    reading = decode(sure(seen, doubts), plate_configs(pattern, layout=GAPS), 100)
    assert (reading.text, reading.unconstrained_text) == (text, unconstrained)
    assert reading.accepted and reading
    assert [c.symbol for c in reading.characters] == list(text.replace(" ", ""))


def test_what_was_unconstrained_is_less_sure() -> None:
    plain, forced = (decode(sure("A0", {1: "O"}), plate_configs(p), 100) for p in (None, "AA"))
    assert [c.confidence for c in forced.characters] == pytest.approx([0.9, 0.06])
    assert forced.confidence == pytest.approx(plain.confidence * 0.06 / 0.9)


def test_nothing_that_fits_is_rejected() -> None:
    reading = decode(sure("ABC"), plate_configs("999"), 100)
    assert not reading and not reading.accepted
    assert (reading.text, reading.rejected_text) == ("", "ABC")
    assert reading.rejected == "nothing that was seen fits the pattern '999'"
    assert [c.symbol for c in reading.characters] == list("ABC")
    assert decode(sure(""), plate_configs("999"), 100).rejected == "no character was seen"


def test_a_string_longer_than_may_be_read_is_shown_and_not_believed() -> None:
    found = candidates(*((s, 0.9 - i / 100, 20 * i) for i, s in enumerate("ABCDE")))
    fitting, reading = decode(found, config(), 100), decode(found, config(**THREE), 100)
    assert (fitting.text, fitting.unconstrained_text) == ("ABCDE", None)
    assert (reading.text, reading.unconstrained_text) == ("ABC", "ABCDE")
    assert reading.confidence == pytest.approx(0.9 * 0.89 * 0.88 * (1 - 0.87) * (1 - 0.86))
    rejected = decode(found, config(**THREE), 100, min_confidence=0.1)
    assert (rejected.text, rejected.rejected_text) == ("", "ABC")
    assert rejected.rejected == "more characters were seen than the 3 that strings may have: 'ABCDE'"
    # What is likelier not there, or stands where another one does, is no more.
    for more in (("D", 0.4, 60), ("D", 0.8, 1)):
        found = candidates(("A", 0.9, 0), ("B", 0.9, 20), ("C", 0.9, 40), more)
        assert decode(found, config(**THREE), 100, min_confidence=0.1).text == "ABC"
        assert decode(found, config(**THREE), 100).unconstrained_text is None


def test_a_doubtful_reading_is_rejected_and_shown() -> None:
    found = candidates(("A", 0.9, 0), ("B", 0.55, 20), ("C", 0.8, 40))
    assert decode(found, config(), 100, min_confidence=0.55).text == "ABC"
    reading = decode(found, config(), 100, min_confidence=0.6, alternatives=1)
    assert not reading
    assert (reading.text, reading.rejected_text) == ("", "ABC")
    assert reading.rejected == "character 2, 'B', has confidence 0.55, below 0.6"
    assert reading.confidence == pytest.approx(0.9 * 0.55 * 0.8)
    assert len(reading.alternatives) == 1
    assert reading.to_dict()["rejected"] == reading.rejected and reading.to_dict()["rejected_text"] == "ABC"
    assert decode(candidates(), config(), 100, min_confidence=0.1).rejected == "no character was seen"
    assert decode(candidates(), config(), 100).accepted


def test_alternatives_are_the_next_likely_strings() -> None:
    reading = decode(sure("A0", {0: "4R", 1: "O"}), plate_configs(None, min_count=2), 100, alternatives=4)
    assert [a.text for a in reading.alternatives] == ["40", "AO", "R0", "4O"] or [
        a.text for a in reading.alternatives
    ] == ["AO", "40", "R0", "4O"]
    assert [a.confidence for a in reading.alternatives] == pytest.approx(
        [0.9 * 0.06, 0.9 * 0.06, 0.9 * 0.02, 0.06 * 0.06], rel=1e-5
    )
    assert reading.to_dict()["alternatives"][2] == {"text": "R0", "confidence": 0.018}
    fitting = decode(sure("A0", {0: "4R", 1: "O"}), plate_configs("99|AA"), 100, alternatives=4)
    assert {a.text for a in fitting.alternatives} | {fitting.text} == {"40", "AO", "RO"}


def test_a_string_may_be_a_character_shorter() -> None:
    reading = decode(candidates(("A", 0.9, 0), ("B", 0.35, 20)), config(), 100, alternatives=5)
    assert reading.text == "AB"
    assert reading.alternatives[0].text == "A"


def test_two_lines_are_read_from_top_to_bottom() -> None:
    found = sure("ABCD")
    boxes = found.xyxy.copy()
    boxes[:2] += np.array([5, 30, 5, 30], np.float32)
    boxes[2:] -= np.array([24, 0, 24, 0], np.float32)
    found = replace(found, xyxy=boxes)
    assert decode(found, plate_configs(None, layout=TextLayout(lines=2)), 100).text == "CDAB"
    assert decode(
        found, plate_configs(None, layout=TextLayout(lines=2, between_lines=1, thresholds=(0.5,))), 100
    ).text == ("CD AB")
    fixed = TextLayout("fixed", origin=0.05, pitch=0.12, lines=2)
    assert decode(found, plate_configs(None, layout=fixed), 100).text == "CD  AB"


def turned(found: CharDetections, degrees: float) -> CharDetections:
    """Upright boxes around the turned ones."""
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    corners = found.xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ matrix.T
    return replace(found, xyxy=np.concatenate([corners.min(1), corners.max(1)], 1))


codes = st.text(PLATE, min_size=1, max_size=8)
SOME_PATTERNS = (
    "AAA9A99|AAA9999",
    "AA 99",
    "X",
    "XXX|99",
    "regex:[A-F]+[0-9]*",
    r"regex:(\w\s?){2,5}",
    "regex:[^O0I1]+",
)


@given(codes, st.floats(-30, 30))
def test_a_line_that_is_turned_reads_the_same(text: str, degrees: float) -> None:
    assert decode(turned(sure(text), degrees), plate_configs(None), 100).text == text


@given(st.text(PLATE, min_size=2, max_size=4), st.text(PLATE, min_size=2, max_size=4), st.floats(-30, 30))
def test_two_lines_that_are_turned_read_the_same(upper: str, lower: str, degrees: float) -> None:
    found = sure(upper + lower)
    down = np.array([-12 * len(upper), 32] * 2, np.float32) * (np.arange(len(found)) >= len(upper))[:, None]
    found = turned(replace(found, xyxy=found.xyxy + down), degrees)
    assert decode(found, plate_configs(None, layout=TextLayout(lines=2)), 100).text == upper + lower


@given(any_candidates(), any_configs(), st.sampled_from(SOME_PATTERNS), st.integers(1, 3), st.integers(0, 3))
def test_a_pattern_s_output_always_fits_it(
    found: CharDetections, held: ReadingConfig, pattern: str, lines: int, more: int
) -> None:
    held = plate_configs(pattern, layout=replace(held.layout, lines=lines))
    reading = decode(found, held, WIDTH, alternatives=more)
    assert len(reading.text) <= held.length
    assert reading.accepted == bool(reading.text)
    for text in [a.text for a in reading.alternatives] + [reading.text] * reading.accepted:
        assert matches(text, pattern, held.alphabet)
    free = decode(found, replace(held, pattern=None), WIDTH)
    if reading.accepted:
        shown = free.unconstrained_text or free.text  # more than strings may have, too
        assert reading.unconstrained_text == (None if shown == reading.text else shown)
    else:
        assert reading.rejected_text == free.text and reading.rejected


@given(any_candidates(), any_configs(), st.integers(1, 4))
def test_alternatives_are_other_strings_and_less_sure(found: CharDetections, held: ReadingConfig, more: int) -> None:
    alone, reading = decode(found, held, WIDTH), decode(found, held, WIDTH, alternatives=more)
    assert replace(reading, alternatives=()) == alone
    texts = [reading.text, *(a.text for a in reading.alternatives)]
    assert len(set(texts)) == len(texts) <= more + 1
    confidences = [reading.confidence, *(a.confidence for a in reading.alternatives)]
    assert confidences == sorted(confidences, reverse=True)
    assert all(text and len(text) <= held.length for text in texts[1:])


@given(any_candidates(), any_configs(), st.floats(0, 1))
def test_what_is_accepted_is_sure_enough(found: CharDetections, held: ReadingConfig, least: float) -> None:
    alone, reading = decode(found, held, WIDTH), decode(found, held, WIDTH, min_confidence=least)
    assert reading.characters == alone.characters
    sure = bool(alone.text) and min(c.confidence for c in alone.characters) >= least
    assert reading.accepted == (least == 0 or (sure and (alone.unconstrained_text is None or held.pattern is not None)))
    assert (reading.text or reading.rejected_text) == alone.text


# The configuration itself


@given(any_configs(), st.booleans())
def test_rules_as_plain_values_and_back(held: ReadingConfig, shaped: bool) -> None:
    import json

    held = ReadingConfig(**{**vars(held), "shape_hw": (64, 192) if shaped else None})
    assert ReadingConfig.from_dict(held.to_dict()) == held
    assert ReadingConfig.from_dict(json.loads(json.dumps(held.to_dict()))) == held


COUNTS: dict[str, dict[str, int]] = {
    "none at all": {"min_count": 0},
    "least over most": {"min_count": 5, "max_count": 4},
    "more than the length": {"max_count": 9},
    "no length": {"length": 0, "min_count": 0, "max_count": 0},
}


@pytest.mark.parametrize("changes", COUNTS.values(), ids=COUNTS.keys())
def test_counts_that_make_no_sense(changes: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match="1 <= min_count <= max_count <= length"):
        config(**changes)


HELD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"colour": "red"}, "colour"),
    "an unknown key of the layout": ({"layout": {"angle": 3}}, "angle"),
    "a layout of another kind": ({"layout": {"kind": "grid"}}, "grid"),
    "no layout": ({"layout": None}, "The reading configuration cannot be understood"),
    "a length in words": ({"length": "eight"}, "The reading configuration cannot be understood"),
    "half a shape": ({"shape_hw": [64]}, "The reading configuration cannot be understood"),
    "half a line": ({"layout": {"lines": 1.5}}, "The reading configuration cannot be understood"),
    "half a space between lines": (
        {"layout": {"between_lines": 1.5}},
        "The reading configuration cannot be understood",
    ),
    "a height in words": ({"layout": {"lowest_line": "x"}}, "The reading configuration cannot be understood"),
    "an origin in words": ({"layout": {"origin": "x"}}, "The reading configuration cannot be understood"),
    "a bound in words": ({"layout": {"plain_most": "x"}}, "The reading configuration cannot be understood"),
    "two passes in words": ({"second_look": "no"}, "second_look is true or false, got 'no'"),
    "an order in words": ({"visual_order": "no"}, "visual_order is true or false, got 'no'"),
    "no order": ({"visual_order": None}, "visual_order is true or false, got None"),
    "symbols that are a number": ({"symbols": 123}, "The reading configuration cannot be understood"),
}


@pytest.mark.parametrize(("changes", "message"), HELD.values(), ids=HELD.keys())
def test_edited_configs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        ReadingConfig.from_dict({**config().to_dict(), **changes})


def test_rules_of_older_weights() -> None:
    held = config().to_dict()
    del held["pattern"]
    held["layout"] = {k: held["layout"][k] for k in ("kind", "measure", "thresholds", "origin", "pitch")}
    assert ReadingConfig.from_dict(held) == config()


@pytest.mark.parametrize("key", ["blank", "space"])
def test_files_name_the_space_by_its_old_and_its_new_key(key: str) -> None:
    held = config(space="_").to_dict()
    held[key] = held.pop("blank")  # what is written stays readable by older readers
    assert ReadingConfig.from_dict(held) == config(space="_")


def test_a_pattern_that_the_rules_do_not_allow() -> None:
    assert plate_configs("").pattern is None
    with pytest.raises(AlphabetError, match="9 symbols, more than length 8"):
        plate_configs("AAAAAAAAA")


def test_rules_of_an_alphabet_that_is_none() -> None:
    with pytest.raises(AlphabetError, match="more than once"):
        config(symbols="AA")
