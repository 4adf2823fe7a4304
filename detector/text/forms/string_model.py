"""What the strings of one source look like, learnt from its readings without any label. Pure numpy.

Plates of one country are three letters and four digits, and on their typeface an O is a 0: which of them it is only its
place tells. A *format* is a product of categorical distributions, one for each place of strings of one length; the
strings of a length are a mixture of formats and of a uniform component. It is fitted by expectation maximisation
(Dempster, Laird, Rubin, 1977) to how likely each symbol is by its pixels, with Dirichlet smoothing, and the number of
formats is that with the greatest held-out likelihood. Where that is not clearly above the uniform component's, strings
are random as far as anybody can tell, and nothing is changed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.text.decode import reject_unsure
from detector.text.detections import Reading

MAX_LEARNT = 2000
"""Readings that a format is learnt from at most: enough for any, and few enough to keep."""

# fmt: off
LOOKALIKES: dict[str, float] = {
    "O0": 0.146, "I1": 0.064, "0O": 0.042, "1I": 0.023, "IL": 0.017, "TI": 0.014, "QO": 0.012, "GC": 0.011, "MN": 0.01,
    "JI": 0.009, "BD": 0.008, "OQ": 0.008, "Z2": 0.008, "FT": 0.007, "HE": 0.007, "S5": 0.007, "VU": 0.007, "VY": 0.007,
    "CE": 0.006, "CO": 0.006, "EB": 0.006, "FE": 0.006, "IT": 0.006, "J1": 0.006, "LI": 0.006, "NM": 0.006, "Q0": 0.006,
    "WV": 0.006, "XK": 0.006, "5S": 0.005, "CG": 0.005, "FR": 0.005, "PR": 0.005, "WH": 0.005, "XR": 0.005,
}
# fmt: on
"""How often the first symbol of a pair is seen as the second: the shipped weights' mean score on artificial pictures of
all typefaces (``tools/weights/lookalikes.py``, pairs of .005 and more)."""

_ANY_OTHER = 1e-4  # as in LOOKALIKES, of any other pair
_MAX_FORMATS = 4  # of one length
_FOLDS = 4
_ROUNDS = 25
_ALIKE = 0.02  # share in LOOKALIKES from which on a digit and a letter cannot be counted apart
_START = 0.01  # share of other kinds in each place, at first: that of look-alikes is told by the others of their kind
_MIN_READINGS = 4  # of one length, below which there is nothing to learn from
_SURE_ERRORS, _SURE_NATS = 2.0, 4.0  # standard errors, and nats in all, that held-out strings must be likelier by
_MIN_NATS = 0.5  # a string, likewise: less is hardly a form, and would turn sure symbols into their look-alikes
_SYMBOL_PRIOR = 300.0  # strings that a place's symbols within a kind are held to be uniform by
_KIND_PRIOR = 0.5  # likewise, of the kinds of a place
_SHOWN_SHARE = 0.9  # of a place, from which on a format's description names its kind
_SHOWN_WEIGHT = 0.05  # of a format that a description names
_DIGIT, _LETTER, _OTHER = 0, 1, 2


class StringFormat(NamedTuple):
    """One format: its share of the strings of its length, and the probability of each symbol at each place.

    Args:
        weight: in (0, 1].
        symbols: float64 (length, classes); rows sum to 1.
    """

    weight: float
    symbols: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StringModel:
    """Formats by the length of strings; a length without any is read one symbol at a time.

    Args:
        alphabet: the symbols, in class-id order.
        formats: by length; the first of each is the uniform component.
        shares: by length, the share of all readings learnt from.
    """

    alphabet: str
    formats: dict[int, tuple[StringFormat, ...]]
    shares: dict[int, float]

    def __str__(self) -> str:
        """As patterns are written: "AAA9999 (97 %), AA9999 (2 %)"; X is any symbol."""
        kinds = _kinds(self.alphabet)
        shares: dict[str, float] = {}
        for length, formats in self.formats.items():
            for form in formats[1:]:
                name = "".join(_sign(row, self.alphabet, kinds) for row in form.symbols)
                shares[name] = shares.get(name, 0.0) + self.shares[length] * form.weight
        likely = [(name, share) for name, share in shares.items() if share >= _SHOWN_WEIGHT]
        likely.sort(key=lambda item: -item[1])
        return ", ".join(f"{name} ({share:.0%})".replace("%", " %") for name, share in likely)

    def applied(self, reading: Reading, min_confidence: float = 0.0) -> Reading:
        """The reading as its source's format has it; ``unconstrained_text`` says what it was without where it differs.

        A reading that was rejected, or of a length without a format, stays as it is. A character's confidence is that
        of its place times the share of its symbol among those that may stand there; where that is below
        ``min_confidence``, the reading is rejected.
        """
        if reading.rejected is not None or (formats := self.formats.get(len(reading.characters))) is None:
            return reading
        if [c.symbol for c in reading.characters] != [sign for sign in reading.text if sign in self.alphabet]:
            return reading
        likelihood = _likelihood(reading, self.alphabet)
        products = [likelihood * form.symbols for form in formats]
        scores = [np.log(p.max(1)).sum() + np.log(f.weight) for p, f in zip(products, formats, strict=True)]
        chosen = products[int(np.argmax(scores))]
        shares = chosen / chosen.sum(1, keepdims=True)
        ids = shares.argmax(1)
        if (symbols := [self.alphabet[i] for i in ids]) == [c.symbol for c in reading.characters]:
            return reading
        characters = tuple(
            c if c.symbol == symbol else replace(c, symbol=symbol, confidence=c.confidence * float(row[i]))
            for c, symbol, row, i in zip(reading.characters, symbols, shares, ids, strict=True)
        )
        coming = iter(symbols)
        text = "".join(next(coming) if sign in self.alphabet else sign for sign in reading.text)
        changes = zip(characters, reading.characters, strict=True)
        sure = math.prod(after.confidence / max(before.confidence, 1e-9) for after, before in changes)
        told = replace(
            reading, text=text, characters=characters, confidence=reading.confidence * min(1.0, sure),
            unconstrained_text=reading.unconstrained_text or reading.text,
        )  # fmt: skip
        return reject_unsure(told, min_confidence)


def fit_string_model(readings: Iterable[Reading], alphabet: str) -> StringModel | None:
    """Learn what strings look like from readings of one source; None where they are random as far as they tell.

    The result does not depend on the order of readings.

    Args:
        readings: as a reader gives them, without a pattern; those rejected or empty say nothing.
        alphabet: the reader's symbols, in class-id order.
    """
    usable = sorted((r for r in readings if r.rejected is None and r.characters), key=lambda r: (r.text, r.confidence))
    if not usable:
        return None
    by_length: dict[int, list[NDArray[np.float64]]] = {}
    for reading in usable:
        by_length.setdefault(len(reading.characters), []).append(_likelihood(reading, alphabet))
    formats = {}
    for length, likelihoods in sorted(by_length.items()):
        stacked = np.stack(likelihoods)  # (n, length, classes)
        if (count := _formats_told(stacked, alphabet)) > 0:
            formats[length] = tuple(_fit(stacked, alphabet, count))
    if not formats:
        return None
    return StringModel(alphabet, formats, {n: len(by_length[n]) / len(usable) for n in formats})


def _formats_told(likelihood: NDArray[np.float64], alphabet: str) -> int:
    """How many formats held-out readings are likeliest under; 0 where that is not clearly more than by chance."""
    n = len(likelihood)
    if n < _MIN_READINGS:
        return 0
    fold = np.arange(n) % _FOLDS
    held_out = np.zeros((1 + _MAX_FORMATS, n))
    for count in range(1 + _MAX_FORMATS):
        for k in range(_FOLDS):
            formats = _fit(likelihood[fold != k], alphabet, count)
            held_out[count, fold == k] = _log_likelihood(likelihood[fold == k], formats)
    gains = held_out - held_out[0]
    best = int(gains.mean(1).argmax())
    gain, error = float(gains[best].mean()), float(gains[best].std() / np.sqrt(n))
    return best if gain > max(_MIN_NATS, _SURE_ERRORS * error, _SURE_NATS / n) else 0


def _fit(likelihood: NDArray[np.float64], alphabet: str, count: int) -> list[StringFormat]:
    """The uniform component and ``count`` formats, by expectation maximisation.

    Args:
        likelihood: (n, length, classes), of each symbol by the pixels of its place.
    """
    kinds = _kinds(alphabet)
    sizes = np.maximum(np.bincount(kinds, minlength=_OTHER + 1), 1)
    clear = _clear(alphabet, kinds)
    clear_sizes = np.maximum(np.bincount(kinds[clear], minlength=len(sizes)), 1)
    length, classes = likelihood.shape[1:]
    seen = Counter(tuple(row) for row in kinds[likelihood.argmax(2)].tolist())
    starts = [np.full((length, classes), 1 / classes)]
    for pattern, _ in sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:count]:
        right = kinds[None] == np.array(pattern)[:, None]
        start = np.where(right, 1 - _START, _START) / sizes[kinds]
        starts.append(start / start.sum(1, keepdims=True))
    symbols = np.array(starts)  # (formats, length, classes)
    weights = np.full(len(symbols), 1 / len(symbols))
    prior = np.where(np.arange(len(symbols)) == 0, 1.0, 0.5)
    for _ in range(_ROUNDS if count else 0):
        places = np.einsum("nlc,klc->nkl", likelihood, symbols)
        log = np.log(places).sum(2) + np.log(weights)
        share = np.exp(log - log.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)  # (n, formats)
        weights = share.sum(0) + prior
        weights /= weights.sum()
        for k in range(1, len(symbols)):
            counts = np.einsum("nlc,nl->lc", likelihood, share[:, k, None] / places[:, k]) * symbols[k]
            # Of a kind only symbols are counted that look like none of another kind: what looks like one tells nothing.
            counted = np.stack([counts[:, clear & (kinds == kind)].sum(1) for kind in range(len(sizes))], 1)
            kind_share = counted * sizes / clear_sizes + _KIND_PRIOR * sizes / classes
            kind_share /= kind_share.sum(1, keepdims=True)
            prior_counts = _SYMBOL_PRIOR * clear_sizes / sizes
            told = (counts + _SYMBOL_PRIOR / sizes[kinds]) / (counted + prior_counts)[:, kinds]
            within = np.where(clear, told * (clear_sizes / sizes)[kinds], 1 / sizes[kinds])
            symbols[k] = kind_share[:, kinds] * within
    return [StringFormat(float(w), s) for w, s in zip(weights, symbols, strict=True)]


def _log_likelihood(likelihood: NDArray[np.float64], formats: Sequence[StringFormat]) -> NDArray[np.float64]:
    """(n,), in nats."""
    log = [np.log(np.einsum("nlc,lc->nl", likelihood, f.symbols)).sum(1) + np.log(f.weight) for f in formats]
    return np.asarray(np.logaddexp.reduce(np.stack(log), axis=0))


def _likelihood(reading: Reading, alphabet: str) -> NDArray[np.float64]:
    """(length, classes): how likely each true symbol makes what the network saw at each place."""
    rows = np.full((len(reading.characters), len(alphabet)), _ANY_OTHER)
    for row, character in zip(rows, reading.characters, strict=True):
        for symbol, score in character.likely or ((character.symbol, character.confidence),):
            at = alphabet.index(symbol)
            row[at] = max(row[at], score)
        row[alphabet.index(character.symbol)] = row.max() + 1e-6  # what was read is the likeliest
    return np.asarray(rows / rows.sum(1, keepdims=True) @ _channel(alphabet).T)


@lru_cache(maxsize=4)  # asked for every reading
def _channel(alphabet: str) -> NDArray[np.float64]:
    """(classes, classes): how often the symbol of a row is seen as that of a column; rows sum to 1."""
    channel = np.eye(len(alphabet)) + _ANY_OTHER
    for pair, share in LOOKALIKES.items():
        row, column = alphabet.find(pair[0]), alphabet.find(pair[1])
        if min(row, column) >= 0:
            channel[row, column] += share
    channel /= channel.sum(1, keepdims=True)
    channel.setflags(write=False)
    return channel


def _kinds(alphabet: str) -> NDArray[np.intp]:
    """(classes,): whether each symbol is a digit, a letter A to Z, or any other."""
    return np.array([_DIGIT if s.isdigit() else _LETTER if s.isascii() and s.isalpha() else _OTHER for s in alphabet])


def _clear(alphabet: str, kinds: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(classes,): symbols that look like none of another kind; of a kind without any, all."""
    channel = _channel(alphabet)
    alike = (np.maximum(channel, channel.T) >= _ALIKE) & (kinds[:, None] != kinds[None])
    clear = ~alike.any(1)
    for kind in np.unique(kinds):
        if not clear[kinds == kind].any():
            clear[kinds == kind] = True
    return np.asarray(clear)


def _sign(row: NDArray[np.float64], alphabet: str, kinds: NDArray[np.intp]) -> str:
    """How a pattern writes one place: a symbol, A, 9, or X for any; ``row`` is (classes,)."""
    if row.max() >= _SHOWN_SHARE:
        return alphabet[int(row.argmax())]
    for sign, kind in (("9", _DIGIT), ("A", _LETTER)):
        if row[kinds == kind].sum() >= _SHOWN_SHARE:
            return sign
    return "X"
