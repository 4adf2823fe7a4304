"""What the strings of one source look like: a mixture of formats for each length. Pure numpy.

Plates of one country are three letters and four digits, and on their typeface an O is a 0: which of them it is only its
place tells. A *format* is a product of categorical distributions, one for each place of strings of one length; the
strings of a length are a mixture of formats and of a uniform component, and lengths are as frequent as they were seen.
The search for the likeliest string (:mod:`detector.text.search`) walks through it as it walks through a pattern, only
that nothing is forbidden: :func:`automaton_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.text.forms.automaton import Automaton, Edge

DIGIT, LETTER, OTHER = 0, 1, 2
"""Kinds of symbols."""

_SHOWN_SHARE = 0.9  # of a place, from which on a format's description names its kind
_SHOWN_WEIGHT = 0.05  # of a format that a description names
_MIN_WEIGHT = 0.005  # of all strings, below which a format is not worth looking for
_ROUNDED = 0.006  # that probabilities of three digits may be off by in all, each by half a percent of it at most
_MIN_SHARE = 0.03  # of a length, so that an exception is read where its pixels are sure


class StringFormat(NamedTuple):
    """One format: its share of the strings of its length, and the probability of each symbol at each place.

    Args:
        weight: in (0, 1].
        symbols: float64 (length, classes); rows sum to 1.
    """

    weight: float
    symbols: NDArray[np.float64]


@dataclass(frozen=True)
class StringModel:
    """Formats by the length of strings; the symbols of a length without any are read one by one.

    Args:
        alphabet: the symbols, in class-id order.
        formats: by length; the first of each is the uniform component.
        shares: by length, the share of all readings learnt from.

    Raises:
        ValueError: if probabilities are none, or of other lengths or alphabets than they are said to be of.
    """

    alphabet: str
    formats: dict[int, tuple[StringFormat, ...]]
    shares: dict[int, float]

    def __post_init__(self) -> None:
        for length, formats in self.formats.items():
            for form in formats:
                sums = form.symbols.sum(1) if form.symbols.shape == (length, len(self.alphabet)) else np.zeros(1)
                if not (0 < form.weight <= 1 and (form.symbols > 0).all() and np.allclose(sums, 1, atol=_ROUNDED)):
                    raise ValueError(f"a format of {length} symbols has no probabilities for each")
        if not all(0 < share <= 1 for share in self.shares.values()) or not set(self.formats) <= set(self.shares):
            raise ValueError(f"shares of lengths are above 0 and at most 1, got {self.shares}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StringModel) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.alphabet, tuple(self.shares)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the alphabet: of each length its share and its formats."""
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
        """The inverse of :meth:`to_dict`, to three digits.

        Raises:
            ValueError: if the values make no sense; LookupError, TypeError or AttributeError if some are missing.
        """
        formats = {
            int(length): tuple(
                StringFormat(float(form["weight"]), np.array(form["symbols"], np.float64)) for form in entry["formats"]
            )
            for length, entry in plain.items() if entry["formats"]
        }  # fmt: skip
        return StringModel(alphabet, formats, {int(length): float(entry["share"]) for length, entry in plain.items()})

    def __str__(self) -> str:
        """As patterns are written: "AAA9999 (97 %), AA9999 (2 %)"; X is any symbol."""
        kinds = kinds_of(self.alphabet)
        shares: dict[str, float] = {}
        for length, formats in self.formats.items():
            for form in formats[1:]:
                name = "".join(_sign(row, self.alphabet, kinds) for row in form.symbols)
                shares[name] = shares.get(name, 0.0) + self.shares[length] * form.weight
        shares |= {
            "X" * n: share for n, share in self.shares.items() if n not in self.formats and share >= _SHOWN_SHARE
        }
        frequent = [(name, share) for name, share in shares.items() if share >= _SHOWN_WEIGHT]
        frequent.sort(key=lambda item: -item[1])
        return ", ".join(f"{name} ({share:.0%})".replace("%", " %") for name, share in frequent)


@lru_cache(maxsize=16)  # asked for every batch
def automaton_of(model: StringModel, max_length: int) -> Automaton:
    """Strings of up to ``max_length`` symbols: each format a chain of states of its own, and one chain for any string.

    What a symbol adds to the score is its log probability above that of a uniform one, so that a string of no format
    scores as it does without a model; that of a string's length and format is added with its last symbol.
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
    state_of: dict[int, int] = {}  # of the chains that go on
    for t in range(1, max_length + 1):
        # States 0 and 1: any string that goes on, and one that ends here. Then chains that are long enough.
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
    """(classes,): of strings without a format: half uniform, half as frequent as in all formats together."""
    if not model.formats:
        return np.full(len(model.alphabet), 1 / len(model.alphabet))
    weighted = [
        (model.shares[n] * f.weight, f.symbols.mean(0)) for n, formats in model.formats.items() for f in formats[1:]
    ]
    frequent = sum(weight * symbols for weight, symbols in weighted) / sum(weight for weight, _ in weighted)
    return np.asarray(0.5 * frequent + 0.5 / len(model.alphabet))


def _share(model: StringModel, length: int) -> float:
    return max(model.shares.get(length, 0.0), _MIN_SHARE)


def _sign(row: NDArray[np.float64], alphabet: str, kinds: NDArray[np.intp]) -> str:
    """How a pattern writes one place: A, 9, X for any, or a symbol, in brackets where it is one of these.

    ``row`` is (classes,).
    """
    if row.max() >= _SHOWN_SHARE:
        symbol = alphabet[int(row.argmax())]
        return f"[{symbol}]" if symbol in "A9X" else symbol
    for sign, kind in (("9", DIGIT), ("A", LETTER)):
        if row[kinds == kind].sum() >= _SHOWN_SHARE:
            return sign
    return "X"


def kinds_of(alphabet: str) -> NDArray[np.intp]:
    """(classes,): whether each symbol is a digit, a letter, or any other, as formats have it."""
    return np.array([DIGIT if s.isdigit() else LETTER if s.isalpha() else OTHER for s in alphabet])
