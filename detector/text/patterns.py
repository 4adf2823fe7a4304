"""What strings a set allows: a format such as ``AAA9A99``, or a regular expression; both become one automaton.

A *format* names each symbol: ``A`` a letter, ``9`` a digit, ``X`` any symbol, the space and symbols of the alphabet as
they are, ``|`` between alternatives. Any other sign (``-``, ``.``) stands on the picture and is no part of the string.

A *regular expression* follows ``regex:``. It is matched against the whole string and knows literals, ``\\`` before a
sign that is meant as such, ``.``, classes ``[A-Z0-9]`` and ``[^IO]``, ``\\d \\w \\s`` (a digit, any symbol, the space),
groups, ``|``, ``?``, ``*``, ``+``, ``{m}``, ``{m,}`` and ``{m,n}``.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from detector.errors import AlphabetError
from detector.text.alphabet import Alphabet
from detector.text.forms.automaton import Automaton, Edge
from detector.text.forms.expressions import (
    EMPTY,
    NONE,
    Derivatives,
    Expression,
    abbreviated,
    concatenation,
    equivalent_symbols,
    one_of,
    star,
    union,
)

REGEX = "regex:"
"""What a pattern begins with that is a regular expression and no format."""

_MAX_REPEATS = 99
_MAX_STATES = 2000


def letters_of(alphabet: Alphabet) -> str:
    """Symbols that "A" stands for in a format."""
    return "".join(s for s in alphabet.symbols if s.isalpha())


def digits_of(alphabet: Alphabet) -> str:
    """Symbols that "9" stands for in a format."""
    return "".join(s for s in alphabet.symbols if s.isdigit())


@lru_cache(maxsize=64)  # asked of every sign of every text that is drawn
def pools_of(alphabet: Alphabet) -> dict[str, str]:
    """The signs of a format that stand for others, and the symbols that each stands for."""
    return {"A": letters_of(alphabet), "9": digits_of(alphabet), "X": alphabet.symbols}


def is_labelled(sign: str, alphabet: Alphabet) -> bool:
    """Whether a sign of a format is part of the string."""
    return sign in pools_of(alphabet) or sign in alphabet.symbols or sign == alphabet.space


def format_problems(pattern: str, alphabet: Alphabet, length: int) -> list[str]:
    """Why a format cannot be drawn or read, in words for a user; empty where it can."""
    if pattern.startswith(REGEX):
        return [f"{pattern!r} is a regular expression, and a format is wanted here"]
    problems = []
    for form in pattern.split("|"):
        labelled = [s for s in form if is_labelled(s, alphabet)]
        if not [s for s in labelled if s != alphabet.space]:
            problems.append(f"the pattern {form!r} names no symbol of the alphabet")
        elif alphabet.space in (labelled[0], labelled[-1]):  # also beside a sign that is not read
            problems.append(f"the pattern {form!r} begins or ends with a space")
        format_signs = f"AX{alphabet.symbols}"
        slips = [s for s in form if s.isalpha() and not is_labelled(s, alphabet) and s.upper() in format_signs]
        if slips:
            problems.append(f"the pattern {form!r} has {slips[0]!r}, no symbol of the alphabet: A stands for a letter")
        if len(labelled) > length:
            problems.append(f"the pattern {form!r} has {len(labelled)} symbols, more than length {length}")
        if "A" in form and not letters_of(alphabet):
            problems.append(f"the pattern {form!r} wants letters and the alphabet has none")
        if "9" in form and not digits_of(alphabet):
            problems.append(f"the pattern {form!r} wants digits and the alphabet has none")
    return problems


def _of_format(pattern: str, alphabet: Alphabet) -> Expression:
    pools = pools_of(alphabet)
    forms = []
    for form in pattern.split("|"):
        expr = EMPTY
        for sign in reversed([s for s in form if is_labelled(s, alphabet)]):
            expr = concatenation(one_of(frozenset(pools.get(sign, sign))), expr)
        forms.append(expr)
    return union(*forms)


class _Parser:
    """Recursive descent over a regular expression, for strings of at most ``length`` symbols."""

    def __init__(self, text: str, alphabet: Alphabet, length: int) -> None:
        self.text, self.at, self.length = text, 0, length
        self.symbols = frozenset(alphabet.symbols + alphabet.space)
        self.classes = {
            "d": frozenset(digits_of(alphabet)), "w": frozenset(alphabet.symbols), "s": frozenset(alphabet.space),
        }  # fmt: skip

    def parse(self) -> Expression:
        expr = self._choice()
        if self.at < len(self.text):
            raise self._error("a ')' without its '('")
        return expr

    def _error(self, reason: str) -> AlphabetError:
        return AlphabetError(f"The regular expression {self.text!r} is not understood at place {self.at}: {reason}.")

    def _next(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _take(self, sign: str) -> bool:
        is_next = self._next() == sign
        self.at += is_next
        return is_next

    def _choice(self) -> Expression:
        choices = [self._sequence()]
        while self._take("|"):
            choices.append(self._sequence())
        return union(*choices)

    def _sequence(self) -> Expression:
        parts = []
        while self._next() and self._next() not in "|)":
            parts.append(self._repeated(self._atom()))
        expr = EMPTY
        for part in reversed(parts):
            expr = concatenation(part, expr)
        return expr

    def _repeated(self, atom: Expression) -> Expression:
        expr = atom
        if self._take("?"):
            expr = union(atom, EMPTY)
        elif self._take("*"):
            expr = star(atom)
        elif self._take("+"):
            expr = concatenation(atom, star(atom))
        elif self._take("{"):
            low, high = self._bounds()
            expr = star(atom) if high is None else EMPTY
            for _ in range((high or low) - low):
                expr = union(EMPTY, concatenation(atom, expr))
            for _ in range(low):
                expr = concatenation(atom, expr)
        if self._next() and self._next() in "?*+{":
            raise self._error(f"{self._next()!r} after a repetition; put the repetition in brackets")
        return expr

    def _bounds(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.at)
        low_text, comma, high_text = self.text[self.at : max(end, self.at)].partition(",")
        if end < 0 or not low_text.isdecimal() or (high_text and not high_text.isdecimal()):
            raise self._error("a repetition is {m}, {m,} or {m,n}")
        low, high = int(low_text), int(high_text) if high_text else None if comma else int(low_text)
        if max(low, high or 0) > _MAX_REPEATS or (high is not None and high < low):
            raise self._error(f"a repetition's m and n run from 0 to {_MAX_REPEATS}, m not above n")
        self.at = end + 1
        enough = self.length + 1  # more repetitions are no other strings: each takes a symbol, or may be left out
        return min(low, enough), None if high is None else min(high, enough)

    def _atom(self) -> Expression:
        if self._take("("):
            if self._take("?") and not self._take(":"):
                raise self._error("of groups with '?' only '(?:' is known")
            inner = self._choice()
            if not self._take(")"):
                raise self._error("a '(' without its ')'")
            return inner
        if self._take("["):
            return one_of(self._class())
        if self._take("."):
            return one_of(self.symbols)
        if self._next() in "^$":
            raise self._error(f"the whole string is matched anyway, leave {self._next()!r} out")
        if self._next() in "?*+{":
            raise self._error(f"nothing before {self._next()!r} to repeat")
        return one_of(self._sign())

    def _sign(self) -> frozenset[str]:
        """One sign, escaped or not, or a class such as backslash and d."""
        escaped = self._take("\\")
        sign = self._next()
        if not sign:
            raise self._error("it ends too early")
        if escaped and sign.isalnum():
            if sign not in self.classes:
                raise self._error(f"'\\{sign}' is not known, only \\d, \\w and \\s are")
            if not self.classes[sign]:
                raise self._error(f"the alphabet has nothing that is '\\{sign}'")
            self.at += 1
            return self.classes[sign]
        if sign not in self.symbols:
            raise self._error(f"{sign!r} is neither in the alphabet nor the space")
        self.at += 1
        return frozenset(sign)

    def _end(self) -> str:
        """The sign that may begin or end a range here, passed over; empty before ``\\d`` and the like."""
        at = self.at + (self._next() == "\\")
        sign = self.text[at : at + 1]
        if at > self.at and sign.isalnum():
            return ""
        self.at = at + 1
        return sign

    def _class(self) -> frozenset[str]:
        negated = self._take("^")
        symbols: set[str] = set()
        is_first = True
        while is_first or self._next() != "]":
            is_first = False
            start_at = self.at
            start = self._end()
            if start and self._next() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                end = self._end()
                if not end:
                    raise self._error("a class of signs cannot end a range")
                if end < start:
                    raise self._error(f"the range {start}-{end} runs backwards")
                symbols |= {s for s in self.symbols if start <= s <= end}
            else:
                self.at = start_at
                symbols |= self._sign()
        self.at += 1
        class_symbols = self.symbols - symbols if negated else frozenset(symbols)
        if not class_symbols:
            raise self._error("the class before it holds nothing of the alphabet")
        return class_symbols


@lru_cache(maxsize=64)  # a million labels are matched one by one
def _derivatives(pattern: str, alphabet: Alphabet, length: int) -> Derivatives:
    """What may follow what.

    Raises:
        AlphabetError: if the pattern is not understood.
    """
    plain = unicodedata.normalize("NFC", pattern)  # as labels are
    if plain.startswith(REGEX):
        try:
            return Derivatives(_Parser(plain[len(REGEX) :], alphabet, length).parse(), pattern)
        except RecursionError:
            raise AlphabetError(f"The pattern {abbreviated(pattern)} is nested too deeply: make it simpler.") from None
    problems = format_problems(plain, alphabet, length)
    if problems:
        raise AlphabetError("This pattern cannot be read: " + "; ".join(problems) + ".")
    return Derivatives(_of_format(plain, alphabet), pattern)


# The automaton


@lru_cache(maxsize=64)
def compile_pattern(pattern: str, alphabet: Alphabet, length: int, min_count: int, max_count: int) -> Automaton:
    """The strings of up to ``length`` symbols, ``min_count`` to ``max_count`` of them no spaces, that fit ``pattern``.

    Strings never end with a space: those at the end are not significant.

    Raises:
        AlphabetError: if the pattern is not understood, or no such string fits it.
    """
    layers, edges = _explored(pattern, alphabet, length, max_count)
    accepting = [
        [c >= min_count and c > 0 and not p and e.accepts_empty for e, c, p in sorted(layer, key=layer.__getitem__)]
        for layer in layers
    ]
    automaton = _pruned(layers, edges, accepting)
    if not automaton.layers:
        counts = f"{min_count}" if min_count == max_count else f"{min_count} to {max_count}"
        raise AlphabetError(
            f"The pattern {pattern!r} allows no string of {counts} symbols, or {length} with spaces, and no other is "
            "read here: change one of them."
        )
    return automaton


_State = tuple[Expression, int, int]
"""What may follow, how many symbols other than spaces there were, and spaces since the last of them."""


def _explored(
    pattern: str, alphabet: Alphabet, length: int, max_count: int
) -> tuple[list[dict[_State, int]], list[list[Edge]]]:
    """The states after 0, 1, … ``length`` symbols, numbered, and the edges into those after 1, 2, …"""
    derivatives = _derivatives(pattern, alphabet, length)
    expr = derivatives.expression
    groups = [[alphabet.symbols.index(s) for s in group] for group in equivalent_symbols(expr, alphabet.symbols)]
    layers: list[dict[_State, int]] = [{(expr, 0, 0): 0}]
    edges: list[list[Edge]] = []
    for _ in range(length):
        target_of: dict[_State, int] = {}
        by_pair: dict[tuple[int, int], set[int]] = {}
        spaces: list[Edge] = []
        for state, source in layers[-1].items():
            expr, count, pending = state
            for ids in groups if count < max_count else ():
                if (derivative := derivatives.after(expr, alphabet.symbols[ids[0]])) != NONE:
                    target = target_of.setdefault((derivative, count + 1, 0), len(target_of))
                    by_pair.setdefault((source, target), set()).update(ids)
            if (derivative := derivatives.after(expr, alphabet.space)) != NONE:
                target = target_of.setdefault((derivative, count, pending + 1), len(target_of))
                spaces.append(Edge(source, target, None))
        if len(target_of) > _MAX_STATES:
            raise AlphabetError(f"The pattern {pattern!r} is too involved ({len(target_of)} states): make it simpler.")
        layers.append(target_of)
        edges.append([*spaces, *(Edge(s, t, frozenset(ids)) for (s, t), ids in by_pair.items())])
    return layers, edges


def _pruned(layers: list[dict[_State, int]], edges: list[list[Edge]], accepting: list[list[bool]]) -> Automaton:
    """Without the states from which no string that is allowed can be ended."""
    alive = [{i for i, ends in enumerate(layer) if ends} for layer in accepting]
    for t in range(len(edges) - 1, -1, -1):
        alive[t] |= {edge.source for edge in edges[t] if edge.target in alive[t + 1]}
    deepest = max((t for t, states in enumerate(alive) if states), default=0)
    renumbered = [{state: i for i, state in enumerate(sorted(states))} for states in alive[: deepest + 1]]
    states_of = [{i: state for state, i in layer.items()} for layer in layers]
    return Automaton(
        layers=tuple(
            tuple(Edge(renumbered[t][e.source], renumbered[t + 1][e.target], e.class_ids)
                  for e in edges[t] if e.source in renumbered[t] and e.target in renumbered[t + 1])
            for t in range(deepest)
        ),
        counts=tuple(tuple(states_of[t][state][1] for state in states) for t, states in enumerate(renumbered)),
        pending=tuple(tuple(states_of[t][state][2] for state in states) for t, states in enumerate(renumbered)),
        accepting=tuple(tuple(accepting[t][state] for state in states) for t, states in enumerate(renumbered)),
    )  # fmt: skip


def matches(text: str, pattern: str, alphabet: Alphabet) -> bool:
    """Whether ``text``, without spaces at its end, is what ``pattern`` allows.

    Raises:
        AlphabetError: if the pattern is not understood.
    """
    derivatives = _derivatives(pattern, alphabet, max(len(text), len(pattern)))
    expr = derivatives.expression
    for symbol in alphabet.clean(text):
        expr = derivatives.after(expr, symbol)
    return expr.accepts_empty
