"""Symbols to ids and back, what is refused and in which words."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import AlphabetError
from detector.text.alphabet import (
    DEFAULT_LENGTH,
    DEFAULT_SYMBOLS,
    Alphabet,
    alphabet_of,
    symbols_of,
)

B = 36  # the space's id in the default alphabet

ENCODED: dict[str, tuple[str, list[int]]] = {
    "full": ("01239AYZ", [0, 1, 2, 3, 9, 10, 34, 35]),
    "short": ("AB", [10, 11, B, B, B, B, B, B]),
    "space inside": ("A B", [10, B, 11, B, B, B, B, B]),
    "space first": (" AB", [B, 10, 11, B, B, B, B, B]),
    "spaces at the end do not count": ("AB      ", [10, 11, B, B, B, B, B, B]),
    "more spaces at the end than the length": ("AB            ", [10, 11, B, B, B, B, B, B]),
    "nothing": ("", [B] * 8),
    "spaces only": ("   ", [B] * 8),
}


@pytest.mark.parametrize(("text", "ids"), ENCODED.values(), ids=ENCODED.keys())
def test_encode(text: str, ids: list[int]) -> None:
    encoded = Alphabet().encode([text])
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [ids]
    assert Alphabet().decode(encoded) == [text.rstrip(" ")]


def test_the_default_universe() -> None:
    alphabet = Alphabet()
    assert (len(alphabet), alphabet.space_id, alphabet.space) == (36, 36, " ")
    assert alphabet.symbols == DEFAULT_SYMBOLS
    assert alphabet.one_hot(["AB12"]).shape == (1, 8, 37)
    assert DEFAULT_LENGTH == 8


def test_one_hot_has_one_one_a_row() -> None:
    made = Alphabet().one_hot(["ZZ TOP", "0"])
    assert made.dtype == np.float32
    assert set(np.unique(made)) == {0.0, 1.0}
    assert (made.sum(-1) == 1).all()
    assert made[0, 0, 35] == made[0, 2, B] == made[1, 0, 0] == 1


def test_empty_batches() -> None:
    alphabet = Alphabet("AB")
    assert alphabet.encode([], 4).shape == (0, 4)
    assert alphabet.one_hot([], 4).shape == (0, 4, 3)
    assert alphabet.decode(np.zeros((0, 4), np.int64)) == []
    assert alphabet.decode(np.zeros((2, 0), np.int64)) == ["", ""]
    assert alphabet.from_one_hot(np.zeros((0, 4, 3))) == []


def test_inputs_are_not_changed() -> None:
    texts, ids, scores = ["A ", "B"], np.array([[0, 2], [1, 2]]), np.random.default_rng(0).random((2, 3, 3))
    before = list(texts), ids.copy(), scores.copy()
    alphabet = Alphabet("AB")
    alphabet.encode(texts, 2)
    alphabet.decode(ids)
    alphabet.from_one_hot(scores)
    assert texts == before[0] and np.array_equal(ids, before[1]) and np.array_equal(scores, before[2])


def test_any_scores_decode_to_their_best_class() -> None:
    scores = np.array([[[0.1, 0.7, 0.2], [5.0, 1.0, 2.0], [-3.0, -2.0, -1.0]]])
    assert Alphabet("AB").from_one_hot(scores) == ["BA"]


UNICODE = "京沪粤ÄÖÜßабв٠١٢𝟘😀"


def test_unicode_symbols() -> None:
    alphabet = Alphabet(UNICODE)
    assert alphabet.decode(alphabet.encode(["京Ä😀", "ß ٠"], 5)) == ["京Ä😀", "ß ٠"]


def test_decomposed_texts_are_composed() -> None:
    alphabet = Alphabet("ÄA")
    assert alphabet.encode(["A\u0308"], 2).tolist() == [[0, 2]]
    assert alphabet.clean("A\u0308 ") == "Ä"


def test_symbols_are_composed_as_texts_are() -> None:
    """A shell on macOS hands over decomposed letters; uncomposed ones would never match a text."""
    for symbols in ("A\u0308O\u0308", "\u00c4O\u0308", "ÄÖ"):
        assert Alphabet(symbols).symbols == "ÄÖ"
    assert Alphabet("\u212b").problem("\u212b") is None  # ANGSTROM SIGN composes to Å


@pytest.mark.parametrize("symbol", ["\0", "\n", "\t", "\x7f"], ids=repr)
def test_control_characters_are_no_symbols(symbol: str) -> None:
    """numpy drops a NUL at the end of a string, and a line feed breaks obj.names."""
    with pytest.raises(AlphabetError):
        Alphabet(f"A{symbol}B")


@pytest.mark.parametrize("space", ["_", "-", "\u3000"])
def test_another_space(space: str) -> None:
    alphabet = Alphabet("AB", space)
    assert alphabet.encode([f"A{space}B{space}"], 4).tolist() == [[0, 2, 1, 2]]
    assert alphabet.decode([[0, 2, 1, 2]]) == [f"A{space}B"]
    assert alphabet.problem("A B") is not None


ALPHABETS: dict[str, tuple[tuple[str, ...], str]] = {
    "empty": (("",), "The alphabet is empty: give at least one symbol."),
    "a symbol twice": (("ABCAB",), "The alphabet holds 'AB' more than once: name each symbol once."),
    "the space is a symbol": (("A B",), "The space ' ' is also a symbol of the alphabet: choose another one."),
    "space of two": (("AB", "--"), "The space must be one character, got '--'."),
    "no space": (("AB", ""), "The space must be one character, got ''."),
}


@pytest.mark.parametrize(("arguments", "message"), ALPHABETS.values(), ids=ALPHABETS.keys())
def test_alphabets_that_are_none(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(AlphabetError) as caught:
        Alphabet(*arguments)
    assert str(caught.value) == message


PROBLEMS: dict[str, tuple[str, int | None, str | None]] = {
    "fits": ("ABBA", 4, None),
    "spaces at the end do not count": ("ABBA   ", 4, None),
    "any length": ("A" * 99, None, None),
    "too long": ("ABBAA", 4, "the label 'ABBAA' has 5 symbols, more than 4"),
    "spaces inside count": ("A  BA", 4, "the label 'A  BA' has 5 symbols, more than 4"),
    "unknown": ("AxBy", 4, "the label 'AxBy' has 'xy', not in the alphabet 'AB'"),
    "unknown and too long": (
        "xxxxxx",
        4,
        "the label 'xxxxxx' has 'x', not in the alphabet 'AB': it also has 6 symbols, more than 4",
    ),
    "empty": ("", 4, "the label is empty"),
    "spaces only": ("   ", 4, "the label is empty"),
    "lower case is another symbol": ("ab", 4, "the label 'ab' has 'ab', not in the alphabet 'AB'"),
}


@pytest.mark.parametrize(("text", "length", "problem"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_problems(text: str, length: int | None, problem: str | None) -> None:
    said = Alphabet("AB").problem(text, length)
    assert (said and re.split(r": \w+=", said)[0]) == problem


def test_all_problems_are_told_together() -> None:
    with pytest.raises(AlphabetError) as caught:
        Alphabet("AB").encode(["AB", "ABA", "x"], 2)
    assert str(caught.value) == (
        "2 of 3 texts cannot be encoded: the label 'ABA' has 3 symbols, more than 2; "
        "the label 'x' has 'x', not in the alphabet 'AB': alphabet='auto' takes the symbols that the labels have."
    )


def test_many_problems_are_counted() -> None:
    with pytest.raises(AlphabetError, match=r"^7 of 7 texts cannot be encoded: .*; and 2 more\.$"):
        Alphabet("AB").encode(["x"] * 7, 2)


IDS: dict[str, tuple[Any, str]] = {
    "too high": ([[0, 3]], "Ids run from 0 to 2, got 0 to 3."),
    "negative": ([[-1, 0]], "Ids run from 0 to 2, got -1 to 0."),
    "one text": ([0, 1], "decode takes integers of shape (batch, length), got int64 (2,)."),
    "floats": ([[0.0, 1.0]], "decode takes integers of shape (batch, length), got float64 (1, 2)."),
}


@pytest.mark.parametrize(("ids", "message"), IDS.values(), ids=IDS.keys())
def test_ids_that_are_none(ids: Any, message: str) -> None:
    with pytest.raises(AlphabetError) as caught:
        Alphabet("AB").decode(ids)
    assert str(caught.value) == message


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 2), (1, 2, 4)], ids=str)
def test_scores_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(AlphabetError, match=r"Scores must have shape \(batch, length, 3\)"):
        Alphabet("AB").from_one_hot(np.zeros(shape))


# Laws

NO_SYMBOLS = ("Cc", "Cf", "Zl", "Zp", "Cs", "Mn", "Mc", "Me")
symbols = st.lists(st.characters(exclude_characters=" ", exclude_categories=NO_SYMBOLS), min_size=1, max_size=40).map(
    lambda signs: "".join(dict.fromkeys(s for s in signs if unicodedata.normalize("NFC", s) == s)) or "A"
)


@st.composite
def alphabets_and_texts(draw: st.DrawFn) -> tuple[Alphabet, list[str], int]:
    alphabet = Alphabet(draw(symbols))
    length = draw(st.integers(1, 10))
    texts = draw(st.lists(st.text(alphabet.symbols + " ", max_size=length), max_size=6))
    # Symbols that compose with their neighbour are another symbol then; an alphabet of plates has none.
    return alphabet, [t for t in texts if unicodedata.normalize("NFC", t) == t], length


@given(alphabets_and_texts())
def test_encode_and_decode_are_inverse(drawn: tuple[Alphabet, list[str], int]) -> None:
    alphabet, texts, length = drawn
    encoded = alphabet.encode(texts, length)
    assert encoded.shape == (len(texts), length)
    assert alphabet.decode(encoded) == [t.rstrip(" ") for t in texts]


@given(alphabets_and_texts())
def test_one_hot_and_back(drawn: tuple[Alphabet, list[str], int]) -> None:
    alphabet, texts, length = drawn
    made = alphabet.one_hot(texts, length)
    assert made.shape == (len(texts), length, len(alphabet) + 1)
    assert alphabet.from_one_hot(made) == [t.rstrip(" ") for t in texts]


@given(alphabets_and_texts())
def test_a_batch_is_its_texts_one_at_a_time(drawn: tuple[Alphabet, list[str], int]) -> None:
    alphabet, texts, length = drawn
    one = [alphabet.encode([t], length)[0].tolist() for t in texts]
    assert alphabet.encode(texts, length).tolist() == one


@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), max_size=5))
def test_ids_come_back_but_for_the_end(ids: list[list[int]]) -> None:
    alphabet = Alphabet("ABCDE")
    table = np.array(ids, np.int64).reshape(-1, 4)
    assert np.array_equal(alphabet.encode(alphabet.decode(table), 4), table)


@given(st.lists(st.text("ABC12 ", max_size=5), max_size=6))
def test_the_smallest_alphabet_holds_all_texts(texts: list[str]) -> None:
    held = set("".join(texts)) - {" "}
    if not held:
        with pytest.raises(AlphabetError, match="empty"):
            alphabet_of(texts)
        return
    alphabet = alphabet_of(texts)
    assert alphabet.symbols == "".join(sorted(held))
    assert all(alphabet.problem(t) in (None, "the label is empty") for t in texts)


def test_a_control_character_is_its_label_s_problem() -> None:
    alphabet = alphabet_of(["AB", "A\tB", "C\0", "D\u200e", "E\u0325"])
    assert alphabet.symbols == "AB"
    assert "no alphabet takes control or format characters (U+0009)" in str(alphabet.problem("A\tB"))
    assert "(U+200E)" in str(alphabet.problem("A\u200eB"))
    assert "a combining mark has no box of its own" in str(alphabet.problem("B\u0325A"))


@pytest.mark.parametrize(
    ("spelt", "symbols"),
    [
        ("0-9A-Z", DEFAULT_SYMBOLS),
        ("0-3", "0123"),
        ("AB-", "AB-"),
        ("-AB", "-AB"),
        ("-0-2", "-012"),
        ("0-2-", "012-"),
        ("A\\-Z", "A-Z"),
        ("\\\\A", "\\A"),
        ("A\\B", "A\\B"),
        ("А-В京", "АБВ京"),
        ("-", "-"),
        ("", ""),
        ("7AKT", "7AKT"),
    ],
)
def test_ranges(spelt: str, symbols: str) -> None:
    assert symbols_of(spelt) == symbols


@pytest.mark.parametrize("spelt", ["Z-A", "9-A", "A-z", "ABC-123", "A-A", "!-~", "--Z"])
def test_what_is_no_range_says_how_to_write_the_sign(spelt: str) -> None:
    with pytest.raises(AlphabetError, match=r"no range of digits or of letters .* put the sign - last, or write \\-"):
        symbols_of(spelt)


@pytest.mark.parametrize(
    ("spelt", "says"),
    [
        ("[0-9A-Z]", "brackets around"), ("[0-9]", "brackets around"), ("\\d", "as in patterns"),
        ("A-Z\\d", "as in patterns"),
        ("0\u20139", "a dash that is not"), ("0-9A\u2212Z", "a dash that is not"),
        ("0-9,A-Z", "between its ranges"), ("0-9 A-Z", "between its ranges"), ("a-z, A-Z, 0-9", "between its ranges"),
    ],
)  # fmt: skip
def test_ranges_as_they_are_spelt_elsewhere_make_no_symbols_of_their_signs(spelt: str, says: str) -> None:
    with pytest.raises(AlphabetError, match=f"{says}.* write (0-9A-Z|ranges)"):
        symbols_of(spelt)


@pytest.mark.parametrize("spelt", ["0-9A-Z[]", "0-9,", "0-9A-Z\u2013", "[]", "ABC,;|", "0-9, "])
def test_such_signs_may_be_symbols_elsewhere(spelt: str) -> None:
    assert symbols_of(spelt).endswith(spelt[-1])


@pytest.mark.parametrize("symbols", ["A\u200e", "B\u0325", "A\u2028", "\u00ad"], ids=ascii)
def test_what_cannot_be_seen_or_boxed_is_no_symbol(symbols: str) -> None:
    with pytest.raises(AlphabetError, match=r"U\+[0-9A-F]{4}"):
        Alphabet(symbols)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ab12", "upper=True takes it as capitals"),
        ("AB-12", "ignore='-' leaves out what is not read; alphabet='auto' takes it as symbols"),
        ("AB*12", "alphabet='auto' takes the symbols that the labels have"),
        (" AB123456", "more than 8: it starts with ' '"),
    ],
)
def test_a_refusal_says_what_would_take_it(text: str, says: str) -> None:
    assert str(Alphabet().problem(text, 8)).endswith(says)
    assert "alphabet=" not in str(Alphabet().problem(text, 8, fixed=True))
