"""How a label becomes a text, and what a look at all labels tells."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.data.labels.label_texts import Spelling, are_marked_as_texts, are_whole_numbers, notes_on, plain_form
from detector.text.alphabet import Alphabet

PLAIN: dict[str, tuple[str, str]] = {
    "full width": ("５１Ｆ８８", "51F88"),
    "full-width space": ("A\u3000B", "A B"),
    "hard space": ("A\u00a0B", "A B"),
    "thin and narrow spaces": ("A\u2009B\u202fC", "A B C"),
    "left-to-right mark": ("\u200e68514", "68514"),
    "zero-width space": ("AB\u200b12", "AB12"),
    "byte order mark": ("\ufeffAB", "AB"),
    "soft hyphen": ("AB\u00ad12", "AB12"),
    "embedding": ("\u202aAB\u202c", "AB"),
    "isolates": ("\u2066AB\u2069", "AB"),
    "word joiner": ("A\u2060B", "AB"),
    "variation selector": ("A\ufe0fB", "AB"),
    "Hangul filler": ("A\u3164B", "AB"),
    "mathematical": ("𝟘𝐀", "0A"),
    "presentation form": ("\ufe8d\ufea9", "\u0627\u062f"),
    "half-width kana": ("\uff71", "\u30a2"),
    "ligature": ("\ufb01", "fi"),
    "superscript": ("m\u00b2", "m2"),
    "hyphens stay": ("A\u2010B", "A\u2010B"),
    "an accent of its own stays": ("A\u00b4", "A\u00b4"),
    "Thai stays": ("\u0e33", "\u0e33"),
    "number sign that is seen stays": ("\u060012", "\u060012"),
    "Excel": ('="00123"', "00123"),
    "Excel, space around": (' ="00123" ', "00123"),
    "an equals sign": ("=A", "=A"),
}


@pytest.mark.parametrize(("raw", "text"), PLAIN.values(), ids=PLAIN.keys())
def test_plain_forms(raw: str, text: str) -> None:
    assert Spelling()(raw) == text
    told = notes_on([raw, "AB", "CD"], Spelling())
    assert sum("1 of 3 labels are spelt in other signs, and were normalised" in n for n in told) == (raw != text)


@pytest.mark.parametrize("text", ["\U0001f468\u200d\U0001f469", "\u2764\ufe0f\u200d\U0001f525"])
def test_emoji_that_are_one_picture_do_not_become_several(text: str) -> None:
    """A label with such a sign is refused: no symbol has several code points."""
    assert "\u200d" in Spelling()(text)
    assert Alphabet(text[0]).problem(Spelling()(text)) and not any(
        "U+200D" in n for n in notes_on([text] * 3, Spelling())
    )


def test_symbols_of_an_alphabet_stay() -> None:
    assert Spelling(keep="０²")("０²１") == "０²1"
    assert Spelling(space="\u3000")("A\u3000B") == "A B"
    assert Spelling(ignore="・")("A・Ｂ") == "AB"


@given(st.text())
def test_plain_forms_are_plain(raw: str) -> None:
    once = plain_form(raw)
    assert unicodedata.normalize("NFC", once) == once
    if not once.lstrip().startswith("="):
        assert plain_form(once) == once


WHOLE: dict[str, tuple[list[str], bool]] = {
    "all": (["33019.0", "68514.0", "98786.0"], True),
    "with other labels": (["33019.0", "68514.0", "98786.0", "AB12", ""], True),
    "more zeros, a comma": (["33019,00", "68514,00", "98786,00"], True),
    "true decimals": (["33019.0", "68514.0", "98786.5"], False),
    "thousands": (["33,000", "12,000", "5,000"], False),
    "thousands among decimals": (["330.000", "68514.000", "98786.000"], False),
    "three zeros": (["33019.000", "68514.000", "98786.000"], True),
    "few": (["33019.0", "68514.0"], False),
    "versions": (["1.0.0", "2.0.0", "3.0.0"], False),
    "none": (["A", "B", "C"], False),
}


@pytest.mark.parametrize(("raws", "whole"), WHOLE.values(), ids=WHOLE.keys())
def test_whole_numbers(raws: list[str], whole: bool) -> None:
    assert are_whole_numbers(raws) == whole
    texts = [Spelling(whole_numbers=whole)(raw) for raw in raws]
    assert texts == ([re.sub("[.,]0+$", "", raw) for raw in raws] if whole else raws)


@pytest.mark.parametrize(
    ("options", "texts"),
    [({"keep": "0123456789."}, ["12.0", "7.0", "33.0"]), ({"ignore": "."}, ["120", "70", "330"]),
     ({"ignore": ","}, ["12", "7", "33"])],
)  # fmt: skip
def test_a_point_that_is_kept_or_ignored_is_no_spreadsheet_s(options: dict[str, str], texts: list[str]) -> None:
    spelling = Spelling(whole_numbers=True, **options)
    raws = ["12.0", "7.0", "33.0"]
    assert [spelling(raw) for raw in raws] == texts
    assert len(notes_on(raws, spelling)) == (options == {"ignore": ","})


def test_a_space_before_a_label_is_told() -> None:
    (note,) = notes_on([" AB12", "CD 34", "EF56"], Spelling())
    assert note.startswith("1 of 3 labels begin with a space, as ' AB12'")
    assert notes_on(["_AB12", " CD34"], Spelling(space="_")) == []  # meant so


LONG = ["33019", "68514", "98786", "96755", "44104", "26701", "61709", "73333"]
ZEROS: dict[str, tuple[list[str], str]] = {
    "lost": ([*LONG, "5813", "901"], "2 of 10 labels are digits, shorter than the usual 5"),
    "there": ([*LONG, "0581", "901"], ""),
    "letters are of another length, too": ([*LONG, "AB1"], ""),
    "all of one length": (LONG, ""),
    "few labels": ([*LONG[:3], "12"], ""),
    "more short ones than long ones": ([*LONG[:4], *(str(i) for i in range(1, 9))], ""),
    "beside letters": ([*(f"{text[:-1]}F" for text in LONG), "5813"], "1 of 9 labels"),
    "hex": ([*(f"{text[:-1]}F" for text in LONG), "05813"], ""),
}


@pytest.mark.parametrize(("texts", "says"), ZEROS.values(), ids=ZEROS.keys())
def test_lost_zeros_are_told(texts: list[str], says: str) -> None:
    told = [note for note in notes_on(texts, Spelling()) if "leading zeros" in note]
    assert bool(told) == bool(says)
    assert all(says in note for note in told)


def test_what_a_spreadsheet_rounded_is_a_problem() -> None:
    assert "its digits are lost" in Spelling().problem("1.23457E+11")
    assert Spelling().problem("1E5") == Spelling().problem("AB") == ""


SPREADSHEET_ERRORS = ["#N/A", "#NV", "#Н/Д", "#REF!", "#WERT!", "#NAME?", "#DIV/0!", "#¿NOMBRE?", "Err:508", "########"]


@pytest.mark.parametrize("raw", ["nan", " NaN", *SPREADSHEET_ERRORS])
def test_what_programs_write_for_nothing_is_no_label(raw: str) -> None:
    assert "where there is none" in Spelling().problem(raw)


def test_labels_that_look_like_errors_of_spreadsheets() -> None:
    assert [Spelling().problem(raw) for raw in ("None", "NV", "#12", "#AB", "A#", "##", "ERR508")] == [""] * 7
    assert Spelling(keep="0123456789#").problem("###") == "", "a symbol of the alphabet"


def test_letters_that_look_alike_are_told() -> None:
    (note,) = notes_on(["AB12", "\u0410B12", "AC\u0421"], Spelling())
    assert note.startswith("2 of 3 labels have Cyrillic or Greek letters") and "U+0410" in note
    assert notes_on(["\u0410\u0412777", "\u041a\u041c123"], Spelling()) == []


def test_right_to_left_labels_are_told_once() -> None:
    (note,) = notes_on(["\u0627\u0628", "AB", "81\u064863"], Spelling())
    assert note.startswith("2 of 3 labels have right-to-left letters") and "visual_order=True" in note
    (note,) = notes_on(["\u0627\u0628", "AB"], Spelling(visual_order=True))
    assert "readers give back the order of the labels" in note


MARKED: dict[str, tuple[list[str], bool]] = {
    "all": (["'00123", " '4", "'AB12", ""], True),
    "some": (["'00123", "0004", "'AB12"], False),
    "quotes": (["'00123'", "'0004'", "'AB12'"], False),
    "too few to tell": (["'00123"], False),
    "nothing": ([], False),
}


@pytest.mark.parametrize(("raws", "marked"), MARKED.values(), ids=MARKED.keys())
def test_a_spreadsheets_sign_for_text_is_none_of_the_label(raws: list[str], marked: bool) -> None:
    assert are_marked_as_texts(raws) is marked
    spelling = Spelling(text_marks=marked)
    if marked:
        assert [spelling(raw) for raw in raws] == ["00123", "4", "AB12", ""]
        assert "3 of 4 labels are spelt in other signs" in notes_on(raws, spelling)[0]
    assert Spelling()("'00123") == "'00123"
