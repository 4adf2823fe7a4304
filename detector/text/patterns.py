"""Patterns: which strings are allowed, as a format such as ``AAA9A99`` or as a regular expression.

A *format* has a sign for each symbol: ``A`` a letter, ``9`` a digit, ``X`` any symbol; the space and symbols of the
alphabet stand for themselves, ``|`` separates alternatives. Any other sign (``-``, ``.``) is on the picture only and is
no part of the string.

A *regular expression* follows ``regex:``. It is matched against the whole string. Supported are literals, ``\\`` before
a special sign, ``.``, classes ``[A-Z0-9]`` and ``[^IO]``, ``\\d \\w \\s`` (a digit, any symbol, the space), groups,
``|``, ``?``, ``*``, ``+``, ``{m}``, ``{m,}`` and ``{m,n}``.

Both are compiled into an automaton, which the search walks through.
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
"""Prefix of a pattern that is a regular expression."""

_MAX_REPEATS = 99
_MAX_STATES = 2000


@lru_cache(maxsize=64)  # needed for every sign of every text that is drawn
def pools_of(alphabet: Alphabet) -> dict[str, str]:
    """Return the symbols that each of the signs "A", "9" and "X" of a format stands for."""
    letters, digits = ("".join(filter(is_of_kind, alphabet.symbols)) for is_of_kind in (str.isalpha, str.isdigit))
    return {"A": letters, "9": digits, "X": alphabet.symbols}


def is_labelled(sign: str, alphabet: Alphabet) -> bool:
    """Test whether a sign of a format is part of the string."""
    return sign in pools_of(alphabet) or sign in alphabet.symbols or sign == alphabet.space


def format_problems(pattern: str, alphabet: Alphabet, length: int) -> list[str]:
    """List for a user the reasons why a format cannot be drawn or read; empty if it can."""
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
        for sign, kind in (("A", "letters"), ("9", "digits")):
            if sign in form and not pools_of(alphabet)[sign]:
                problems.append(f"the pattern {form!r} wants {kind} and the alphabet has none")
    return problems


def _parse_format(pattern: str, alphabet: Alphabet) -> Expression:
    """Return the expression of a format."""
    pools = pools_of(alphabet)
    alternatives = []
    for form in pattern.split("|"):
        expr = EMPTY
        for sign in reversed([s for s in form if is_labelled(s, alphabet)]):
            expr = concatenation(one_of(frozenset(pools.get(sign, sign))), expr)
        alternatives.append(expr)
    return union(*alternatives)


class _Parser:
    """A recursive-descent parser of regular expressions.

    Args:
        text: the regular expression.
        alphabet: the symbols and the space that strings may have.
        length: most symbols of a string; more repetitions are not needed.
    """

    def __init__(self, text: str, alphabet: Alphabet, length: int) -> None:
        self.text, self.position, self.length = text, 0, length
        self.symbols = frozenset(alphabet.symbols + alphabet.space)
        self.classes = {
            "d": frozenset(pools_of(alphabet)["9"]), "w": frozenset(alphabet.symbols), "s": frozenset(alphabet.space),
        }  # fmt: skip

    def parse(self) -> Expression:
        """Return the expression of the whole text.

        Raises:
            AlphabetError: if the text is no regular expression, or has what is not supported.
        """
        expr = self._choice()
        if self.position < len(self.text):
            raise self._error("a ')' without its '('")
        return expr

    def _error(self, reason: str) -> AlphabetError:
        return AlphabetError(
            f"The regular expression {self.text!r} is not understood at place {self.position}: {reason}."
        )

    def _next(self) -> str:
        return self.text[self.position] if self.position < len(self.text) else ""

    def _take(self, sign: str) -> bool:
        is_next = self._next() == sign
        self.position += is_next
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
        end = self.text.find("}", self.position)
        low_text, comma, high_text = self.text[self.position : max(end, self.position)].partition(",")
        if end < 0 or not low_text.isdecimal() or (high_text and not high_text.isdecimal()):
            raise self._error("a repetition is {m}, {m,} or {m,n}")
        low, high = int(low_text), int(high_text) if high_text else None if comma else int(low_text)
        if max(low, high or 0) > _MAX_REPEATS or (high is not None and high < low):
            raise self._error(f"a repetition's m and n run from 0 to {_MAX_REPEATS}, m not above n")
        self.position = end + 1
        max_repeats = self.length + 1  # more allow no other strings: each takes a symbol, or may be left out
        return min(low, max_repeats), None if high is None else min(high, max_repeats)

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
        """Parse one sign, escaped or not, or a class such as backslash and d; return its symbols."""
        escaped = self._take("\\")
        sign = self._next()
        if not sign:
            raise self._error("it ends too early")
        if escaped and sign.isalnum():
            if sign not in self.classes:
                raise self._error(f"'\\{sign}' is not known, only \\d, \\w and \\s are")
            if not self.classes[sign]:
                raise self._error(f"the alphabet has nothing that is '\\{sign}'")
            self.position += 1
            return self.classes[sign]
        if sign not in self.symbols:
            raise self._error(f"{sign!r} is neither in the alphabet nor the space")
        self.position += 1
        return frozenset(sign)

    def _range_end(self) -> str:
        """Consume and return a sign that may begin or end a range; "" before ``\\d`` and the like."""
        position = self.position + (self._next() == "\\")
        sign = self.text[position : position + 1]
        if position > self.position and sign.isalnum():
            return ""
        self.position = position + 1
        return sign

    def _class(self) -> frozenset[str]:
        """Parse a class after its ``[``; return its symbols."""
        negated = self._take("^")
        symbols: set[str] = set()
        is_first = True
        while is_first or self._next() != "]":
            is_first = False
            start_position = self.position
            start = self._range_end()
            if start and self._next() == "-" and self.text[self.position + 1 : self.position + 2] not in ("]", ""):
                self.position += 1
                end = self._range_end()
                if not end:
                    raise self._error("a class of signs cannot end a range")
                if end < start:
                    raise self._error(f"the range {start}-{end} runs backwards")
                symbols |= {s for s in self.symbols if start <= s <= end}
            else:
                self.position = start_position
                symbols |= self._sign()
        self.position += 1
        class_symbols = self.symbols - symbols if negated else frozenset(symbols)
        if not class_symbols:
            raise self._error("the class before it holds nothing of the alphabet")
        return class_symbols


@lru_cache(maxsize=64)  # a million labels are matched one by one
def _derivatives(pattern: str, alphabet: Alphabet, length: int) -> Derivatives:
    """Parse a pattern, and return its derivatives.

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
    return Derivatives(_parse_format(plain, alphabet), pattern)


# The automaton


@lru_cache(maxsize=64)
def compile_pattern(pattern: str, alphabet: Alphabet, length: int, min_count: int, max_count: int) -> Automaton:
    """Compile a pattern into the automaton of the strings that fit it.

    Strings do not end with a space: spaces at the end are not significant.

    Args:
        pattern: a format or a regular expression, see above.
        alphabet: the symbols and the space.
        length: most symbols of a string, spaces included.
        min_count, max_count: least and most symbols other than spaces.

    Raises:
        AlphabetError: if the pattern is not understood, or no such string fits it.
    """
    layers, edges = _explore(pattern, alphabet, length, max_count)
    accepting = [[c >= min_count and c > 0 and not p and e.accepts_empty for e, c, p in layer] for layer in layers]
    automaton = _prune(layers, edges, accepting)
    if not automaton.layers:
        counts = f"{min_count}" if min_count == max_count else f"{min_count} to {max_count}"
        raise AlphabetError(
            f"The pattern {pattern!r} allows no string of {counts} symbols, or {length} with spaces, and no other is "
            "read here: change one of them."
        )
    return automaton


_State = tuple[Expression, int, int]
"""The expression that the rest must match, symbols other than spaces so far, and spaces since the last of them."""


def _explore(
    pattern: str, alphabet: Alphabet, length: int, max_count: int
) -> tuple[list[list[_State]], list[list[Edge]]]:
    """Return the states after 0, 1, … ``length`` symbols, and the edges into those after 1, 2, …"""
    derivatives = _derivatives(pattern, alphabet, length)
    expr = derivatives.expression
    groups = [[alphabet.symbols.index(s) for s in group] for group in equivalent_symbols(expr, alphabet.symbols)]
    layers: list[list[_State]] = [[(expr, 0, 0)]]
    edges: list[list[Edge]] = []
    for _ in range(length):
        target_of: dict[_State, int] = {}
        by_pair: dict[tuple[int, int], set[int]] = {}
        spaces: list[Edge] = []
        for source, (expr, count, pending) in enumerate(layers[-1]):
            for ids in groups if count < max_count else ():
                if (derivative := derivatives.after(expr, alphabet.symbols[ids[0]])) != NONE:
                    target = target_of.setdefault((derivative, count + 1, 0), len(target_of))
                    by_pair.setdefault((source, target), set()).update(ids)
            if (derivative := derivatives.after(expr, alphabet.space)) != NONE:
                target = target_of.setdefault((derivative, count, pending + 1), len(target_of))
                spaces.append(Edge(source, target, None))
        if len(target_of) > _MAX_STATES:
            raise AlphabetError(f"The pattern {pattern!r} is too involved ({len(target_of)} states): make it simpler.")
        layers.append(list(target_of))
        edges.append([*spaces, *(Edge(s, t, frozenset(ids)) for (s, t), ids in by_pair.items())])
    return layers, edges


def _prune(layers: list[list[_State]], edges: list[list[Edge]], accepting: list[list[bool]]) -> Automaton:
    """Return the automaton without the states from which no accepting state can be reached."""
    alive = [{i for i, ends in enumerate(layer) if ends} for layer in accepting]
    for t in range(len(edges) - 1, -1, -1):
        alive[t] |= {edge.source for edge in edges[t] if edge.target in alive[t + 1]}
    deepest = max((t for t, states in enumerate(alive) if states), default=0)
    renumbered = [{state: i for i, state in enumerate(sorted(states))} for states in alive[: deepest + 1]]
    return Automaton(
        layers=tuple(
            tuple(Edge(renumbered[t][e.source], renumbered[t + 1][e.target], e.class_ids)
                  for e in edges[t] if e.source in renumbered[t] and e.target in renumbered[t + 1])
            for t in range(deepest)
        ),
        counts=tuple(tuple(layers[t][state][1] for state in states) for t, states in enumerate(renumbered)),
        pending=tuple(tuple(layers[t][state][2] for state in states) for t, states in enumerate(renumbered)),
        accepting=tuple(tuple(accepting[t][state] for state in states) for t, states in enumerate(renumbered)),
    )  # fmt: skip


def matches(text: str, pattern: str, alphabet: Alphabet) -> bool:
    """Test whether ``text``, without spaces at its end, fits ``pattern``.

    Raises:
        AlphabetError: if the pattern is not understood.
    """
    derivatives = _derivatives(pattern, alphabet, max(len(text), len(pattern)))
    expr = derivatives.expression
    for symbol in alphabet.clean(text):
        expr = derivatives.after(expr, symbol)
    return expr.accepts_empty
