"""Right-to-left labels in the order of the picture, and back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.data.labels.sources import read_source
from detector.data.labels.visual_order import (
    has_one_order,
    in_logical_order,
    is_right_to_left,
    logical_order,
    to_logical,
    to_visual,
)
from detector.reading.evaluation import labelled_pictures
from detector.reading.reader import Reader
from detector.text.decode import decode
from detector.text.detections import Alternative, Character, CharDetections, Evidence, Reading
from detector.text.reading_config import ReadingConfig
from tests.builders import label_file

# Escapes throughout: what an editor shows of such strings is not the order that they are in.
ALEF, BEH, JEEM, WAW = "\u0627", "\u0628", "\u062c", "\u0648"
ORDERS: dict[str, tuple[str, str]] = {
    "an Arabic word": (ALEF + BEH + JEEM, JEEM + BEH + ALEF),
    "an Arabic plate": (f"{ALEF}{BEH}{JEEM} 1234", f"1234 {JEEM}{BEH}{ALEF}"),
    "a Persian plate": (f"63813{WAW}81", f"81{WAW}63813"),
    "Persian digits": (f"\u06f6\u06f3{WAW}\u06f8\u06f1", f"\u06f8\u06f1{WAW}\u06f6\u06f3"),
    "Arabic digits": (f"{ALEF}\u0661\u0662", f"\u0661\u0662{ALEF}"),
    "Moroccan": (f"12-{ALEF}-6", f"6-{ALEF}-12"),
    "numbers with a hyphen": (f"{ALEF}12-34", f"34-12{ALEF}"),
    "Hebrew": ("\u05d0\u05d1 123", "123 \u05d1\u05d0"),
    "Latin": ("AB 12-34", "AB 12-34"),
    "digits alone": ("12 34", "12 34"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("typed", "shown"), ORDERS.values(), ids=ORDERS.keys())
def test_orders(typed: str, shown: str) -> None:
    assert to_visual(typed) == shown
    assert to_logical(shown) == typed
    assert has_one_order(typed)
    assert "".join(shown[place] for place in logical_order(shown)) == typed


RTL = st.text(f"{ALEF}{BEH}{JEEM}{WAW}0123\u0661\u06f4 -./", max_size=9).map(str.strip)


@given(RTL)
def test_labels_come_back(typed: str) -> None:
    assert to_logical(to_visual(typed)) == typed


@given(st.text(max_size=9))
def test_any_text_keeps_its_signs(text: str) -> None:
    places = logical_order(text)
    assert sorted(places) == list(range(len(text)))
    if not is_right_to_left(text):
        assert to_visual(text) == to_logical(text) == text


def test_labels_of_no_clear_order_are_refused(tmp_path: Path) -> None:
    content = f"image,text\na.png,AB {ALEF}{BEH}\nb.png,{BEH}{ALEF}\nc.png,({ALEF})\n"
    label_file(tmp_path, "labels.csv", content, ("a.png", "b.png", "c.png"))
    source = read_source(tmp_path, visual_order=True)
    assert [(item.name, item.text) for item in source.items] == [("b.png", ALEF + BEH)]
    assert [refused.name for refused in source.refused] == ["a.png", "c.png"]
    assert "in an order that is not clear" in source.refused[0].reason
    assert len(read_source(tmp_path).items) == 3


def characters(text: str) -> tuple[Character, ...]:
    seen = [(i, symbol) for i, symbol in enumerate(text) if symbol != " "]
    return tuple(Character(symbol, 0.9, (10.0 * i, 0.0, 10.0 * i + 8, 9.0)) for i, symbol in seen)


def test_a_reading_in_the_order_of_the_labels() -> None:
    typed, shown = ORDERS["an Arabic plate"]
    read = Reading(
        shown, 0.9, characters(shown), unconstrained_text=shown, alternatives=(Alternative(shown[::-1], 0.1),)
    )
    back = in_logical_order(read)
    assert (back.text, back.unconstrained_text) == (typed, typed)
    assert back.alternatives[0].text == to_logical(shown[::-1])
    assert "".join(c.symbol for c in back.characters) == typed.replace(" ", "")
    assert {c.xyxy for c in back.characters} == {c.xyxy for c in read.characters}
    assert back.characters[0].xyxy[0] == max(c.xyxy[0] for c in read.characters), "the rightmost is first"
    rejected = in_logical_order(replace(read, text="", rejected_text=shown, rejected="why"))
    assert (rejected.text, rejected.rejected_text, rejected.rejected) == ("", typed, "why")
    latin = Reading("AB 12", 0.9, characters("AB 12"))
    assert in_logical_order(latin) is latin


def test_rules_remember_it() -> None:
    config = ReadingConfig(symbols=ALEF + BEH, visual_order=True)
    assert ReadingConfig.from_dict(config.to_dict()) == config
    assert "visual_order" not in ReadingConfig().to_dict()


def test_readers_give_back_the_order_of_the_labels() -> None:
    typed, shown = ORDERS["a Persian plate"]
    reader = Reader.__new__(Reader)
    reader.config = ReadingConfig(symbols="0123456789" + WAW, visual_order=True)
    assert reader._as_labelled(Reading(shown, 0.9, characters(shown))).text == typed
    reader.config = ReadingConfig(symbols="0123456789" + WAW)
    assert reader._as_labelled(Reading(shown, 0.9, characters(shown))).text == shown


def test_what_strings_look_like_is_learnt_in_the_order_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    shown = [f"{rng.randrange(10, 100)}{WAW}{rng.randrange(10_000, 100_000)}" for _ in range(60)]
    reader = Reader.__new__(Reader)
    reader.config = ReadingConfig(symbols="0123456789" + WAW, visual_order=True)
    reader.min_confidence, reader.alternatives = 0.0, 0
    places = np.arange(8)
    boxes = np.stack([20 * places, 0 * places, 20 * places + 16, 0 * places + 30], 1)

    def decoded(_: Reader, named: Iterator[tuple[str, str]], **__: bool) -> Iterator[tuple[str, Reading]]:
        for number, (name, text) in enumerate(named):
            ids = [reader.config.symbols.index(sign) for sign in text]
            faint = np.where((places == 4) & (number == 7), 0.2, 0.97)
            detections = CharDetections(boxes, np.full(8, 0.95), ids, faint)
            plain = decode(detections, replace(reader.config, string_model=None), 160)
            yield name, replace(plain, evidence=Evidence(detections, 160, lambda boxes: boxes))

    monkeypatch.setattr(Reader, "_decoded", decoded)
    monkeypatch.setattr("detector.reading.reader._finite_pictures", lambda texts: ((text, text) for text in texts))
    fitted, readings = reader.fitted_stream(shown)
    assert str(fitted.string_model) == f"99{WAW}99999 (97 %)"
    assert [reading.text for _, reading in readings if isinstance(reading, Reading)] == [to_logical(t) for t in shown]


@pytest.mark.parametrize(
    ("typed_by_reader", "option", "label"),
    [(True, True, "typed"), (True, False, "typed"), (False, True, "shown"), (False, False, "typed")],
)
def test_evaluation_compares_in_the_order_of_the_reader(
    tmp_path: Path, typed_by_reader: bool, option: bool, label: str
) -> None:
    typed, shown = ORDERS["an Arabic plate"]
    label_file(tmp_path, "labels.csv", f"image,text\na.png,{typed}\nb.png,AB\n")
    config = ReadingConfig("".join({*typed, *"AB"} - {" "}), visual_order=typed_by_reader)
    pictures, *_ = labelled_pictures(tmp_path, None, {"labels": "auto", "visual_order": option}, config)
    assert pictures[0].text == {"typed": typed, "shown": shown}[label]
