"""Formats and regular expressions: what they allow, what is wrong with them, and the automaton that they become."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import AlphabetError
from detector.text.alphabet import Alphabet
from detector.text.patterns import compile_pattern, format_problems, matches

TABLE = Alphabet("AB12")

FITS: dict[str, tuple[str, list[str], list[str]]] = {
    "a format": ("AA9", ["AB1", "BB2"], ["A11", "AA", "AA11", "", "A A1"]),
    "any symbol": ("X", ["A", "2"], ["", " ", "AA"]),
    "alternatives": ("A9|99A", ["A1", "12B"], ["1A", "A1A"]),
    "a symbol as it is": ("19", ["11", "12"], ["21"]),
    "a space inside": ("A 9", ["A 1"], ["A1", "A  1"]),
    "signs that are only drawn": ("A-9.9", ["A12"], ["A-1.2"]),
    "spaces at the end of the text": ("A9", ["A1", "A1  "], [" A1"]),
    "literals": ("regex:AB", ["AB"], ["A", "ABA", "BA"]),
    "classes": ("regex:[AB][^AB]", ["A1", "B2"], ["11", "AA", "A "]),
    "ranges": ("regex:[A-Z][0-9]", ["A1", "B2"], ["1A"]),
    "escapes": (r"regex:\d\w\s\d", ["1A 2"], ["AA 2", "1A2"]),
    "any sign": ("regex:.A", ["AA", "1A", " A"], ["A1"]),
    "repetitions": ("regex:A{2}1{1,2}2*", ["AA1", "AA11", "AA1222"], ["A1", "AA", "AA111"]),
    "at least": ("regex:A{2,}1+", ["AA1", "AAA11"], ["A1", "AA"]),
    "may be there": ("regex:A?1", ["A1", "1"], ["AA1", "A"]),
    "groups": ("regex:(A1)+(?:2|B)", ["A12", "A1A1B"], ["A1", "2"]),
    "none of it": ("regex:(A{0})1", ["1"], ["A1"]),
    "more repetitions than there are symbols": ("regex:(A{1,99}1?){2,99}", ["AA", "A1A", "AAAA1"], ["A", "1A", "A11A"]),
}


@pytest.mark.parametrize(("pattern", "good", "bad"), FITS.values(), ids=FITS.keys())
def test_what_fits(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [matches(text, pattern, TABLE) for text in good] == [True] * len(good)
    assert [matches(text, pattern, TABLE) for text in bad] == [False] * len(bad)


WRONG: dict[str, tuple[str, str]] = {
    "no symbol": ("-.-", "names no symbol of the alphabet"),
    "too long a format": ("AAAAAA", "6 symbols, more than length 5"),
    "a space at its end": ("A |9", "begins or ends with a space"),
    "an unknown sign": ("regex:A-1", "'-' is neither in the alphabet nor the space"),
    "an open group": ("regex:(A", r"a '\(' without its '\)'"),
    "a closed group": ("regex:A)", r"a '\)' without its '\('"),
    "an open class": ("regex:[AB", "it ends too early"),
    "an empty class": ("regex:[C-Z]", "nothing of the alphabet"),
    "a range backwards": ("regex:[B-A]", "runs backwards"),
    "anchors": ("regex:^A$", "leave '\\^' out"),
    "lookahead": ("regex:(?=A)", "only '\\(\\?:' is known"),
    "a backreference": (r"regex:(A)\1", r"only \\d, \\w and \\s are"),
    "nothing to repeat": ("regex:*A", "nothing before '\\*' to repeat"),
    "two repetitions": ("regex:A+?", "after a repetition"),
    "bounds in words": ("regex:A{two}", "{m}, {m,} or {m,n}"),
    "bounds backwards": ("regex:A{3,2}", "m not above n"),
    "too many": ("regex:A{1000}", "from 0 to 99"),
    "too long": ("regex:A{6}", "allows no string of 1 to 5 symbols"),
    "spaces only": ("regex: +", "allows no string of 1 to 5 symbols"),
    "nothing": ("regex:", "allows no string of 1 to 5 symbols"),
}


@pytest.mark.parametrize(("pattern", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong(pattern: str, message: str) -> None:
    with pytest.raises(AlphabetError, match=message):
        compile_pattern(pattern, TABLE, 5, 1, 5)


def test_a_pattern_that_the_counts_do_not_allow() -> None:
    with pytest.raises(AlphabetError, match="allows no string of 4 to 5 symbols"):
        compile_pattern("AA9", TABLE, 5, 4, 5)


def test_a_regular_expression_is_not_drawn() -> None:
    assert format_problems("regex:A", TABLE, 5) == ["'regex:A' is a regular expression, and a format is wanted here"]


def strings_of(pattern: str, length: int, least: int, most: int) -> set[str]:
    """All strings that the automaton of a pattern allows."""
    automaton = compile_pattern(pattern, TABLE, length, least, most)
    found: set[str] = set()
    here = {(0, "")}
    for t, edges in enumerate(automaton.layers, 1):
        after = set()
        for edge in edges:
            symbols = [" "] if edge.class_ids is None else [TABLE.symbols[i] for i in edge.class_ids]
            after |= {(edge.target, text + s) for state, text in here if state == edge.source for s in symbols}
        here = after
        assert {state for state, _ in here} == set(range(len(automaton.counts[t]))), "no state is out of reach"
        for state, text in here:
            assert automaton.counts[t][state] == len(text.replace(" ", ""))
            assert automaton.pending[t][state] == len(text) - len(text.rstrip())
            if automaton.accepting[t][state]:
                found.add(text)
    return found


atoms = st.sampled_from(["A", "B", "1", "[AB]", "[^A]", ".", r"\d", " "])
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,2}", "{2,}"])).map(lambda p: f"({p[0]}){p[1]}"),
    ),
    max_leaves=5,
)


@given(expressions)
def test_the_automaton_allows_what_the_expression_does(expression: str) -> None:
    """Against Python's own, over all strings of up to three symbols."""
    known = re.compile(expression.replace("[^A]", "[B12 ]").replace(".", "[AB12 ]").replace(r"\d", "[12]"))
    texts = {"".join(t) for n in range(1, 4) for t in itertools.product("AB12 ", repeat=n)}
    wanted = {t for t in texts if known.fullmatch(t) and not t.endswith(" ")}
    assert {t for t in texts if not t.endswith(" ") and matches(t, "regex:" + expression, TABLE)} == wanted
    if wanted:
        assert strings_of("regex:" + expression, 3, 1, 3) == wanted
    else:
        with pytest.raises(AlphabetError, match="allows no string"):
            strings_of("regex:" + expression, 3, 1, 3)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"regex:[\-a-z]+", "a-b", True),
        (r"regex:[a-z\-]+", "a-b", True),
        (r"regex:[a\-z]+", "a-z", True),
        (r"regex:[a\-z]+", "b", False),
    ],
)
def test_an_escaped_sign_in_a_class_is_that_sign(pattern: str, text: str, fits: bool) -> None:
    assert matches(text, pattern, Alphabet("0123456789abcdefghijklmnopqrstuvwxyz-")) == fits


@pytest.mark.parametrize("form", ["aa9", "AAx", "Aa-9"])
def test_a_small_letter_is_no_place_of_a_format(form: str) -> None:
    with pytest.raises(AlphabetError, match="no symbol of the alphabet: A stands for a letter"):
        compile_pattern(form, Alphabet(), 8, 1, 8)


@pytest.mark.parametrize("form", ["AA -|99", "AA 9 .", "- A9"])
def test_a_format_that_begins_or_ends_with_a_space_beside_a_sign_that_is_not_read(form: str) -> None:
    with pytest.raises(AlphabetError, match="begins or ends with a space"):
        compile_pattern(form, Alphabet(), 8, 1, 8)


def test_a_class_of_signs_is_no_end_of_a_range() -> None:
    with pytest.raises(AlphabetError, match="cannot end a range"):
        compile_pattern(r"regex:[A-\d]+", Alphabet(), 8, 1, 8)


def test_nested_counts_become_few_states() -> None:
    automaton = compile_pattern(r"regex:(\w{1,3}\s?){1,99}", Alphabet(), 8, 1, 8)
    assert len(automaton.layers) == 8


def test_a_regular_expression_that_is_nested_too_deeply_is_named() -> None:
    with pytest.raises(AlphabetError, match="nested too deeply"):
        compile_pattern("regex:" + "(" * 2000 + "A" + ")" * 2000, Alphabet(), 8, 1, 8)


def test_a_pattern_is_composed_as_labels_are() -> None:
    table = Alphabet("\u00c4\u00d6")  # A and O with dots, one code point each
    assert matches("\u00c4\u00d6", "A\u0308O\u0308", table)
    assert matches("\u00c4\u00c4", "regex:A\u0308+", table)


INVOLVED = {
    "nested counted repetitions": "regex:((((A{0,9}){0,9}){0,9}){0,9}){0,9}",
    "many that may be left out": f"regex:{'A?' * 500}",
    "many choices that may be left out": f"regex:{'(A|B|AB)?' * 200}",
    "any symbols in nested repetitions": "regex:((.{0,9}){0,9}A){0,9}",
    "a large repetition of many": "regex:(.?.?.?.?.?.?){0,99}",
    "fixed repetitions, nested": "regex:((((A{9}){9}){9}){9}){9}",
    "stars in stars": "regex:(((((A*)*)*B*)*)*)*",
    "alternatives in one another": f"regex:{'(A|' * 200}B{')' * 200}",
}


@pytest.mark.parametrize("length", [8, 40])
@pytest.mark.parametrize("pattern", INVOLVED.values(), ids=INVOLVED.keys())
def test_the_work_for_a_pattern_is_bounded(pattern: str, length: int) -> None:
    """Compiled or refused, in no more than seconds: also a file brings its own pattern."""
    began = time.process_time()
    for use in (
        lambda: compile_pattern(pattern, Alphabet(), length, 1, length),
        lambda: matches("AAAAAAAB", pattern, Alphabet()),
    ):
        try:
            use()
        except AlphabetError as error:
            assert re.search("too involved|nested too deeply|allows no string", str(error)) and len(str(error)) < 250
    assert time.process_time() - began < 10


def test_nested_repetitions_mean_what_they_say() -> None:
    nested = "regex:((((A{0,9}){0,9}){0,9}){0,9}){0,9}"
    assert [matches("A" * n, nested, Alphabet()) for n in (0, 1, 30)] == [True, True, True]
    assert not matches("AB", nested, Alphabet())
    assert [len(layer) for layer in compile_pattern(nested, Alphabet(), 8, 1, 8).layers] == [1] * 8
