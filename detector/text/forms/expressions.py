"""Regular expressions over symbols, and their derivatives, with a limit on the work.

The derivative of an expression with respect to a symbol matches whatever may follow that symbol (Brzozowski,
"Derivatives of regular expressions", JACM 1964); an expression and all its derivatives are the states of an automaton.
Equal expressions are one object, so that a part which occurs several times is processed once: as a tree,
`((A{0,9}){0,9}){0,9}` would have a thousand times as many parts.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from detector.errors import AlphabetError

_MAX_WORK = 2_000_000
"""Most alternatives that the derivatives of one pattern may combine: about a second of work."""

_MAX_SHOWN_SIGNS = 60


class Expression:
    """A regular expression. The functions below make them; equal ones are the same object.

    Args:
        kind: "nothing" matches no string, "empty" the empty string, "symbol" one of ``symbols``, "union" a string of
            any of ``choices``, "concatenation" two ``parts`` in a row, "star" any number of strings of ``parts[0]``.
        symbols: of "symbol".
        parts: of "concatenation" (two) and "star" (one).
        choices: of "union".
    """

    __slots__ = ("__weakref__", "accepts_empty", "choices", "kind", "parts", "symbols")

    def __init__(
        self, kind: str, symbols: frozenset[str], parts: tuple[Expression, ...], choices: frozenset[Expression]
    ) -> None:
        self.kind, self.symbols, self.parts, self.choices = kind, symbols, parts, choices
        self.accepts_empty: bool = (
            all(part.accepts_empty for part in parts) if kind == "concatenation"
            else kind in ("empty", "star") or any(choice.accepts_empty for choice in choices)
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


NONE, EMPTY = _interned("nothing"), _interned("empty")


def one_of(symbols: frozenset[str]) -> Expression:
    """Return the expression that matches any one of ``symbols``."""
    return _interned("symbol", symbols)


def concatenation(first: Expression, second: Expression) -> Expression:
    """Return the expression of all strings of ``first`` followed by a string of ``second``."""
    if NONE in (first, second):
        return NONE
    if first is EMPTY or second is EMPTY:
        return second if first is EMPTY else first
    if first.kind == "concatenation":  # always nested to the right, so that equal expressions look equal
        return concatenation(first.parts[0], concatenation(first.parts[1], second))
    return _interned("concatenation", parts=(first, second))


def union(*choices: Expression) -> Expression:
    """Return the expression of all strings of any of ``choices``."""
    flat = {part for choice in choices for part in (choice.choices or (choice,)) if part is not NONE}
    if len(flat) < 2:
        return flat.pop() if flat else NONE
    return _interned("union", choices=frozenset(flat))


def star(inner: Expression) -> Expression:
    """Return the expression of zero or more strings of ``inner`` in a row (Kleene star)."""
    if inner.kind == "star":
        return inner
    return EMPTY if inner in (NONE, EMPTY) else _interned("star", parts=(inner,))


class Derivatives:
    """The derivatives of one expression, each computed once.

    Args:
        expression: the expression.
        pattern: the pattern that it was parsed from, for messages.
    """

    def __init__(self, expression: Expression, pattern: str) -> None:
        self.expression, self.pattern = expression, pattern
        self._cache: dict[tuple[Expression, str], Expression] = {}
        self._work = 0

    def after(self, expression: Expression, symbol: str) -> Expression:
        """Return the derivative of ``expression``, itself or a derivative of this one, with respect to ``symbol``.

        Raises:
            AlphabetError: if the pattern is nested too deeply, or its derivatives take too much work.
        """
        try:
            return self._after(expression, symbol)
        except RecursionError:
            raise AlphabetError(
                f"The pattern {abbreviated(self.pattern)} is nested too deeply: make it simpler."
            ) from None

    def _after(self, expression: Expression, symbol: str) -> Expression:
        if expression.kind == "symbol":
            return EMPTY if symbol in expression.symbols else NONE
        if expression.kind in ("nothing", "empty"):
            return NONE
        cached = self._cache.get((expression, symbol))
        if cached is not None:
            return cached
        if expression.kind == "union":
            derivative = union(*self._counted([self._after(part, symbol) for part in expression.choices]))
        elif expression.kind == "star":
            derivative = concatenation(self._after(expression.parts[0], symbol), expression)
        else:
            first, second = expression.parts
            derivative = concatenation(self._after(first, symbol), second)
            if first.accepts_empty:
                derivative = union(*self._counted([derivative, self._after(second, symbol)]))
        self._cache[expression, symbol] = derivative
        return derivative

    def _counted(self, choices: list[Expression]) -> list[Expression]:
        """Return ``choices`` unchanged, after adding them to the work that was done.

        Raises:
            AlphabetError: if that exceeds :data:`_MAX_WORK`.
        """
        self._work += sum(max(1, len(choice.choices)) for choice in choices)
        if self._work > _MAX_WORK:
            raise AlphabetError(f"The pattern {abbreviated(self.pattern)} is too involved: make it simpler.")
        return choices


def abbreviated(pattern: str) -> str:
    """Return a pattern as messages show it: quoted, and cut where it is long."""
    return repr(pattern if len(pattern) <= _MAX_SHOWN_SIGNS else f"{pattern[:_MAX_SHOWN_SIGNS]}…")


def equivalent_symbols(expression: Expression, symbols: str) -> list[str]:
    """Divide ``symbols`` into groups whose members occur in the same parts of the expression.

    All symbols of a group have the same derivatives, so one of them stands for all.
    """
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
