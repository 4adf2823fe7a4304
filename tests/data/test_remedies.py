"""Which signs of labels only separate, and which arguments take most of the labels that are refused."""

from __future__ import annotations

import pytest

from detector.data.labels.remedies import separators_of, what_takes_most
from detector.text.alphabet import Alphabet

SEPARATORS: dict[str, tuple[list[str], str, bool]] = {
    "between parts": (["51F-88270", "51F-01234", "30A-37715", "29A-86594"], "-", True),
    "one label": (["AB-12"], "-", True),
    "with a dot": (["51F-882.70", "51F-012.34", "30A-377.15"], ".", True),
    "the same tail": (["33019.0", "68514.0", "98786.0"], ".", False),
    "thousands": (["33,000", "12,000", "5,000"], ",", True),
    "thousands and others": (["33,471", "1,200,000", "950"], ",", True),
    "counted on": (["AB12", "AB12.1", "AB12.2", "CD34"], ".", False),
    "the same text again": (["AB12-1", "AB12-7", "CD34-3", "CD34-9", "EF56-2"], "-", False),
    "numbers in front": (["0001_AB12", "0002_CD34", "0003_EF56", "0004_GH78"], "_", False),
    "numbers at the end": (["AB12_7", "CD34_8", "EF56_9", "GH78_10"], "_", False),
    "numbers in front that nobody counted": (["51-AB", "29-CD", "30-EF", "61-GH"], "-", True),
    "longer than all others": (["AB12", "CD34", "EF56", "GH78", "JK90.3", "LM11.7"], ".", False),
    "one longer than all others": (["AB12", "CD34", "GH78.5"], ".", False),
}


@pytest.mark.parametrize(("texts", "sign", "may"), SEPARATORS.values(), ids=SEPARATORS.keys())
def test_signs_are_advised_to_be_ignored_after_a_look_at_all_labels(texts: list[str], sign: str, may: bool) -> None:
    separators = separators_of(texts)
    assert (sign in separators) == may
    odd = next(text for text in texts if sign in text)
    assert ("ignore=" in str(Alphabet().problem(odd, 99, separators=separators))) == may


REMEDIES: dict[str, tuple[list[str], str, str]] = {
    "nothing is refused": (["AB12", "CD34"], "", ""),
    "no labels": ([], "", ""),
    "small letters": (["ab12", "CD34"], "upper=True takes 1 of them", "upper=True takes 1 of them"),
    "longer": (["ABCDEFGHI", "ABCDEFGHIJ"], "length=10 takes 2 of them", ""),
    "parted by a sign": (["AB-12", "CD-34", "ZX-33"], "ignore='-' takes 3 of them", "ignore='-' takes 3 of them"),
    "all of it, and one that is none": (
        ["B 9140 BCD", "b 2407 uzo", "AD 7631 HS", "b-1995-jvk", "BA 1709 DW", "?"],
        "upper=True ignore='- ' takes 5 of them",
        "upper=True ignore='- ' takes 5 of them",
    ),
    "spaces may be read": (
        ["B 9140 BCD", "B 2407 UZO", "AD 7631 HS"],
        "ignore=' ' takes 3 of them, and length=10 takes them with their spaces",
        "ignore=' ' takes 3 of them",
    ),
    "longer than any reader reads": (["A" * 49, "B" * 50], "", ""),
    "another script": (["АБВ", "ГДЕ"], "alphabet='auto' takes 2 of them", ""),
    "no symbols at all": (["", " ", "\u0301"], "", ""),
    "a sign that parts off a running number": (["0001_AB", "0002_CD", "0003_EF", "0004_GH"], "alphabet='auto'", ""),
}


@pytest.mark.parametrize(("texts", "advice", "fixed"), REMEDIES.values(), ids=REMEDIES.keys())
def test_what_would_take_most_of_the_labels_that_are_refused(texts: list[str], advice: str, fixed: str) -> None:
    for expected, is_fixed in ((advice, False), (fixed, True)):
        told = what_takes_most(texts, Alphabet(), 8, fixed=is_fixed)
        assert told.startswith(expected) and bool(told) == bool(expected)
