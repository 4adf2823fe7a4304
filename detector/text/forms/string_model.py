"""The string model: what the strings of one source look like, as a mixture of formats for each length. Pure numpy.

Say plates of one country are three letters and four digits, and O and 0 look the same on their typeface: then only its
place says which of them a character is. A *format* is a product of categorical distributions, one for each place of
strings of one length. Strings of one length are distributed as a mixture of formats and a uniform component; lengths
have their observed frequencies. The search for the likeliest string (:mod:`detector.text.search`) takes the model as it
takes a pattern, as an automaton (:func:`automaton_of`), but one that forbids nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.text.alphabet import MAX_LENGTH
from detector.text.forms.automaton import Automaton, Edge

DIGIT, LETTER, OTHER = 0, 1, 2
"""Kinds of symbols."""

_NAMED_SHARE = 0.9  # a description names the symbol, or the kind, that has this share of a place
_NAMED_WEIGHT = 0.05  # a description names formats with this share of all strings
_MIN_WEIGHT = 0.005  # the search ignores formats with a smaller share of all strings
_MAX_ROUNDING = 0.006  # of a sum of probabilities that are stored with three digits, each off by at most half a percent
_LEAST = 1e-9  # weight and share, which no number of strings comes near; products of smaller ones may be 0
_MIN_SHARE = 0.03  # that the search gives any length, so that an exception is read where its pixels are sure


class StringFormat(NamedTuple):
    """One format of strings of one length.

    Args:
        weight: its share of the strings of that length, in (0, 1].
        symbols: float64 (length, classes), the probability of each symbol at each place; rows sum to 1.
    """

    weight: float
    symbols: NDArray[np.float64]


@dataclass(frozen=True)
class StringModel:
    """The formats of strings, by length. A length without formats says nothing about its symbols.

    Args:
        alphabet: the symbols, in class-id order.
        formats: by length; the first of each length is the uniform component.
        shares: by length, its share of the strings that the model was fitted to, in (0, 1].

    Raises:
        ValueError: if values are no probabilities, a format does not have (length, classes) of them, or there is none
            beside the uniform component.
    """

    alphabet: str
    formats: dict[int, tuple[StringFormat, ...]]
    shares: dict[int, float]

    def __post_init__(self) -> None:
        for length, formats in self.formats.items():
            if len(formats) < 2:
                raise ValueError(f"strings of {length} symbols have no format beside the uniform component")
            for form in formats:
                sums = form.symbols.sum(1) if form.symbols.shape == (length, len(self.alphabet)) else np.zeros(1)
                if not (
                    _LEAST <= form.weight <= 1 and (form.symbols > 0).all() and np.allclose(sums, 1, atol=_MAX_ROUNDING)
                ):
                    raise ValueError(f"a format of {length} symbols has no probabilities for each")
        if not all(_LEAST <= share <= 1 for share in self.shares.values()) or not {*self.formats} <= {*self.shares}:
            raise ValueError(f"shares of lengths are above 0 and at most 1, got {self.shares}")
        if not all(1 <= length <= MAX_LENGTH for length in self.shares):
            raise ValueError(f"strings have 1 to {MAX_LENGTH} symbols, got {sorted(self.shares)}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StringModel) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        # Of the shares, too: two models of the same lengths are then seldom compared symbol by symbol to be told apart.
        return hash((self.alphabet, frozenset(self.shares.items())))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the alphabet: for each length its share and its formats."""
        return {
            str(length): {
                "share": share,
                "formats": [
                    {"weight": form.weight, "symbols": [[float(f"{p:.3g}") for p in row] for row in form.symbols]}
                    for form in self.formats.get(length, ())
                ],
            }
            for length, share in self.shares.items()
        }

    @staticmethod
    def from_dict(plain: dict[str, Any], alphabet: str) -> StringModel:
        """Return the model of which :meth:`to_dict` gave the values, to three digits.

        Raises:
            ValueError: if the values make no sense.
            LookupError, TypeError, AttributeError: if values are missing, or of another type.
        """
        formats = {
            int(length): tuple(
                StringFormat(float(form["weight"]), np.array(form["symbols"], np.float64)) for form in entry["formats"]
            )
            for length, entry in plain.items() if entry["formats"]
        }  # fmt: skip
        return StringModel(alphabet, formats, {int(length): float(entry["share"]) for length, entry in plain.items()})

    def __str__(self) -> str:
        """Describe the frequent formats as patterns: "AAA9999 (97 %), AA9999 (2 %)"; X is any symbol."""
        kinds = kinds_of(self.alphabet)
        shares: dict[str, float] = {}
        for length, formats in self.formats.items():
            for form in formats[1:]:
                name = "".join(_pattern_sign(row, self.alphabet, kinds) for row in form.symbols)
                shares[name] = shares.get(name, 0.0) + self.shares[length] * form.weight
        shares |= {
            "X" * n: share for n, share in self.shares.items() if n not in self.formats and share >= _NAMED_SHARE
        }
        frequent = [(name, share) for name, share in shares.items() if share >= _NAMED_WEIGHT]
        frequent.sort(key=lambda item: -item[1])
        return ", ".join(f"{name} ({share:.0%})".replace("%", " %") for name, share in frequent)


@lru_cache(maxsize=16)  # needed for every batch
def automaton_of(model: StringModel, max_length: int) -> Automaton:
    """Return the automaton of strings of 1 to ``max_length`` symbols: a chain of states for each format, and one more.

    A symbol adds to the score its log probability minus that of the uniform distribution, so that without a format it
    adds about nothing. The log probability of a string's length and format is added with its last symbol.
    """
    classes = len(model.alphabet)
    all_classes = frozenset(range(classes))
    chains = [
        f for n, formats in sorted(model.formats.items()) if n <= max_length for f in formats[1:]
        if _share(model, n) * f.weight >= _MIN_WEIGHT
    ]  # fmt: skip
    weights = [_share(model, len(f.symbols)) * f.weight for f in chains]
    priors: list[NDArray[np.float64]] = [np.log(_any_symbol(model) * classes)]
    layers: list[tuple[Edge, ...]] = []
    counts: list[tuple[int, ...]] = [(0,)]
    accepting: list[tuple[bool, ...]] = [(False,)]
    state_of: dict[int, int] = {}  # state in the last layer, by index of the chain; only of chains that continue
    for t in range(1, max_length + 1):
        # State 0: any string that continues; state 1: any string that ends here; then one state for each chain.
        unfinished = [k for k, f in enumerate(chains) if len(f.symbols) >= t]
        states = {k: 2 + place for place, k in enumerate(unfinished)}
        uniform = model.formats[t][0].weight if t in model.formats else 1.0
        edges = [Edge(0, 0, all_classes, 0), Edge(0, 1, all_classes, 0, float(np.log(_share(model, t) * uniform)))]
        for k in unfinished:
            form = chains[k]
            weight = float(np.log(weights[k])) if len(form.symbols) == t else 0.0
            edges.append(Edge(state_of.get(k, 0), states[k], all_classes, len(priors), weight))
            priors.append(np.log(form.symbols[t - 1] * classes))
        layers.append(tuple(edges))
        counts.append((t,) * (2 + len(unfinished)))
        accepting.append((False, True, *(len(chains[k].symbols) == t for k in unfinished)))
        state_of = states
    pending = tuple((0,) * len(layer) for layer in counts)
    return Automaton(tuple(layers), tuple(counts), pending, tuple(accepting), is_pattern=False, priors=np.array(priors))


def _any_symbol(model: StringModel) -> NDArray[np.float64]:
    """Return the distribution of symbols in strings without a format, float64 (classes,).

    Half of it is uniform, half as frequent as in all formats together (linear interpolation: Jelinek and Mercer, 1980).
    """
    if not model.formats:
        return np.full(len(model.alphabet), 1 / len(model.alphabet))
    weighted = [
        (model.shares[n] * f.weight, f.symbols.mean(0)) for n, formats in model.formats.items() for f in formats[1:]
    ]
    frequent = sum(weight * symbols for weight, symbols in weighted) / sum(weight for weight, _ in weighted)
    return np.asarray(0.5 * frequent + 0.5 / len(model.alphabet))


def _share(model: StringModel, length: int) -> float:
    """Return the share of a length that the search reckons with."""
    return max(model.shares.get(length, 0.0), _MIN_SHARE)


def _pattern_sign(row: NDArray[np.float64], alphabet: str, kinds: NDArray[np.intp]) -> str:
    """Return how a pattern writes one place: A, 9 or X, or a symbol, in brackets where it is one of these three.

    Args:
        row: (classes,), the probability of each symbol there.
        alphabet: the symbols, in class-id order.
        kinds: (classes,), as :func:`kinds_of` has them.
    """
    if row.max() >= _NAMED_SHARE:
        symbol = alphabet[int(row.argmax())]
        return f"[{symbol}]" if symbol in "A9X" else symbol
    for sign, kind in (("9", DIGIT), ("A", LETTER)):
        if row[kinds == kind].sum() >= _NAMED_SHARE:
            return sign
    return "X"


def kinds_of(alphabet: str) -> NDArray[np.intp]:
    """Return the kind of each symbol, :data:`DIGIT`, :data:`LETTER` or :data:`OTHER`, (classes,)."""
    return np.array([DIGIT if s.isdigit() else LETTER if s.isalpha() else OTHER for s in alphabet])
