"""Expressions over symbols, and what may follow a symbol in them: with a bound on the work.

An expression's derivative by a symbol matches what may follow that symbol (Brzozowski, "Derivatives of regular
expressions", JACM 1964): the expressions that derivatives lead to are the states of an automaton. Equal expressions are
one object, so that parts which a repetition shares are gone through once: as a tree, `((A{0,9}){0,9}){0,9}` has a
thousand times the parts.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from detector.errors import AlphabetError

_MAX_PARTS = 2_000_000
"""Parts that are gone through for one pattern: about a second."""

_MAX_SHOWN = 60


class Expression:
    """``kind`` is "none" (matches nothing), "empty", "one" of ``symbols``, "or" of ``choices``, "then" or "many".

    Made by the functions below; equal ones are the same object.
    """

    __slots__ = ("__weakref__", "accepts_empty", "choices", "kind", "parts", "symbols")

    def __init__(
        self, kind: str, symbols: frozenset[str], parts: tuple[Expression, ...], choices: frozenset[Expression]
    ) -> None:
        self.kind, self.symbols, self.parts, self.choices = kind, symbols, parts, choices
        self.accepts_empty: bool = (
            all(part.accepts_empty for part in parts) if kind == "then"
            else kind in ("empty", "many") or any(choice.accepts_empty for choice in choices)
        )  # fmt: skip


_Key = tuple[str, frozenset[str], tuple[Expression, ...], frozenset[Expression]]
_INTERNED: WeakValueDictionary[_Key, Expression] = WeakValueDictionary()


def _interned(
    kind: str,
    symbols: frozenset[str] = frozenset(),
    parts: tuple[Expression, ...] = (),
    choices: frozenset[Expression] = frozenset(),
) -> Expression:
    key = (kind, symbols, parts, choices)
    if (expression := _INTERNED.get(key)) is None:
        expression = _INTERNED.setdefault(key, Expression(*key))
    return expression


NONE, EMPTY = _interned("none"), _interned("empty")


def one_of(symbols: frozenset[str]) -> Expression:
    """Any one of ``symbols``."""
    return _interned("one", symbols)


def concatenation(first: Expression, second: Expression) -> Expression:
    """The strings of ``first``, each followed by one of ``second``."""
    if NONE in (first, second):
        return NONE
    if first is EMPTY or second is EMPTY:
        return second if first is EMPTY else first
    if first.kind == "then":  # always nested to the right, so that equal expressions look equal
        return concatenation(first.parts[0], concatenation(first.parts[1], second))
    return _interned("then", parts=(first, second))


def union(*choices: Expression) -> Expression:
    """The strings of any of ``choices``."""
    flat = {part for choice in choices for part in (choice.choices or (choice,)) if part is not NONE}
    if len(flat) < 2:
        return flat.pop() if flat else NONE
    return _interned("or", choices=frozenset(flat))


def star(inner: Expression) -> Expression:
    """Any number of strings of ``inner`` in a row, none included (Kleene star)."""
    if inner.kind == "many":
        return inner
    return EMPTY if inner in (NONE, EMPTY) else _interned("many", parts=(inner,))


class Derivatives:
    """Derivatives of one expression, each computed once.

    Args:
        of: the expression.
        pattern: what messages call it.
    """

    def __init__(self, of: Expression, pattern: str) -> None:
        self.of, self.pattern = of, pattern
        self._cache: dict[tuple[Expression, str], Expression] = {}
        self._work = 0

    def after(self, expression: Expression, symbol: str) -> Expression:
        """What may follow ``symbol`` where ``expression`` is due.

        Raises:
            AlphabetError: if that takes too much work.
        """
        try:
            return self._after(expression, symbol)
        except RecursionError:
            raise AlphabetError(
                f"The pattern {in_short(self.pattern)} is nested too deeply: make it simpler."
            ) from None

    def _after(self, expression: Expression, symbol: str) -> Expression:
        if expression.kind == "one":
            return EMPTY if symbol in expression.symbols else NONE
        if expression.kind in ("none", "empty"):
            return NONE
        cached = self._cache.get((expression, symbol))
        if cached is not None:
            return cached
        if expression.kind == "or":
            derivative = union(*self._counted([self._after(part, symbol) for part in expression.choices]))
        elif expression.kind == "many":
            derivative = concatenation(self._after(expression.parts[0], symbol), expression)
        else:
            first, second = expression.parts
            derivative = concatenation(self._after(first, symbol), second)
            if first.accepts_empty:
                derivative = union(*self._counted([derivative, self._after(second, symbol)]))
        self._cache[expression, symbol] = derivative
        return derivative

    def _counted(self, choices: list[Expression]) -> list[Expression]:
        self._work += sum(max(1, len(choice.choices)) for choice in choices)
        if self._work > _MAX_PARTS:
            raise AlphabetError(f"The pattern {in_short(self.pattern)} is too involved: make it simpler.")
        return choices


def in_short(pattern: str) -> str:
    """A pattern as messages show it."""
    return repr(pattern if len(pattern) <= _MAX_SHOWN else f"{pattern[:_MAX_SHOWN]}…")


def equivalent_symbols(expression: Expression, symbols: str) -> list[str]:
    """``symbols`` in groups that no part of the expression tells apart: one derivative does for all of a group."""
    symbol_sets: set[frozenset[str]] = set()
    pending, visited = [expression], {expression}
    while pending:
        part = pending.pop()
        symbol_sets.add(part.symbols)
        unvisited = {*part.parts, *part.choices} - visited
        visited |= unvisited
        pending += unvisited
    groups: dict[tuple[bool, ...], str] = {}
    ordered_sets = sorted(symbol_sets, key=sorted)
    for symbol in symbols:
        membership = tuple(symbol in symbol_set for symbol_set in ordered_sets)
        groups[membership] = groups.get(membership, "") + symbol
    return list(groups.values())
