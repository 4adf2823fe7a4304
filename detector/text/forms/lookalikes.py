"""How alike symbols look: what a network's scores say of each symbol that may truly stand there. Pure numpy."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detector.text.detections import Reading

# fmt: off
LOOKALIKES: dict[str, float] = {
    "O0": 0.146, "I1": 0.064, "0O": 0.042, "1I": 0.023, "IL": 0.017, "TI": 0.014, "QO": 0.012, "GC": 0.011, "MN": 0.01,
    "JI": 0.009, "BD": 0.008, "OQ": 0.008, "Z2": 0.008, "FT": 0.007, "HE": 0.007, "S5": 0.007, "VU": 0.007, "VY": 0.007,
    "CE": 0.006, "CO": 0.006, "EB": 0.006, "FE": 0.006, "IT": 0.006, "J1": 0.006, "LI": 0.006, "NM": 0.006, "Q0": 0.006,
    "WV": 0.006, "XK": 0.006, "5S": 0.005, "CG": 0.005, "FR": 0.005, "PR": 0.005, "WH": 0.005, "XR": 0.005,
}
# fmt: on
"""How often the first symbol of a pair is seen as the second: the mean score of the weights of stage 11 on artificial
pictures of all typefaces (``tools/weights/lookalikes.py``, pairs of .005 and more)."""

Lookalikes = tuple[tuple[str, float], ...]
"""Pairs as in :data:`LOOKALIKES`, of one network."""

SHIPPED_LOOKALIKES: Lookalikes = tuple(LOOKALIKES.items())

_ANY_OTHER = 1e-4  # as in LOOKALIKES, of any other pair
_PRIOR_OCCURRENCES = 30.0  # of each symbol, that LOOKALIKES counts for beside what a network showed
_MIN_TOLD = 0.001  # share from which on a pair is worth keeping


def look_alike(symbol: str, other: str) -> bool:
    """Whether two symbols are taken for each other, by :data:`LOOKALIKES`."""
    return symbol + other in LOOKALIKES or other + symbol in LOOKALIKES


def differ_by_look_alikes(label: str, text: str) -> bool:
    """Whether two strings differ, and only in symbols that look like each other."""
    if len(label) != len(text) or label == text:
        return False
    return all(a == b or look_alike(a, b) for a, b in zip(label, text, strict=True))


def measured_lookalikes(readings: Iterable[Reading], labels: Iterable[str], alphabet: str) -> Lookalikes:
    """How often a network sees one symbol as another, from what it read of pictures that it was not trained on.

    The posterior mean under a Dirichlet prior for each symbol, centred on :data:`LOOKALIKES`: a few pictures change
    little.

    Args:
        readings: with what the network saw at each place.
        labels: of each.
        alphabet: the symbols, in class-id order.
    """
    counts = seen_as(readings, labels, alphabet) + _PRIOR_OCCURRENCES * channel(alphabet)
    shares = counts / counts.sum(1, keepdims=True)
    return tuple(
        (alphabet[row] + alphabet[column], round(float(shares[row, column]), 4))
        for row, column in np.argwhere(shares >= _MIN_TOLD).tolist()
        if row != column
    )


def seen_as(readings: Iterable[Reading], labels: Iterable[str], alphabet: str) -> NDArray[np.float64]:
    """(classes, classes): how often the symbol of a row was seen as that of a column, each time by the scores' shares.

    Readings of as many characters as their label has are compared place by place; signs that the alphabet lacks, such
    as spaces, do not count.
    """
    class_of = {symbol: place for place, symbol in enumerate(alphabet)}
    counts = np.zeros((len(alphabet), len(alphabet)))
    for reading, label in zip(readings, labels, strict=True):
        symbols = [symbol for symbol in label if symbol in class_of]
        if len(symbols) != len(reading.characters):
            continue
        for true, character in zip(symbols, reading.characters, strict=True):
            likely = character.likely or ((character.symbol, 1.0),)
            total = sum(score for _, score in likely)
            for symbol, score in likely:
                counts[class_of[true], class_of[symbol]] += score / total
    return counts


def symbol_likelihood(
    class_ids: NDArray[np.int64], scores: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How likely each true symbol makes the scores that a network gives at each place.

    Class scores alone are too sure: an O is often seen as nothing but a 0. The confusion channel is put before them.

    Args:
        class_ids: (..., k), the likeliest classes, surest first.
        scores: (..., k), of these; 0 where there are fewer.
        shares: (classes, classes), the :func:`channel`.

    Returns:
        (..., classes), up to a factor of each place.
    """
    rows = np.full((*class_ids.shape[:-1], len(shares)), _ANY_OTHER)
    for k in range(class_ids.shape[-1] - 1, -1, -1):
        ids = class_ids[..., k, None]
        np.put_along_axis(rows, ids, np.maximum(scores[..., k, None], np.take_along_axis(rows, ids, -1)), -1)
    best = class_ids[..., :1]
    np.put_along_axis(rows, best, rows.max(-1, keepdims=True) + 1e-6, -1)  # what is read is the likeliest
    return np.asarray(rows / rows.sum(-1, keepdims=True) @ shares.T)


@lru_cache(maxsize=16)  # asked for every batch
def channel(alphabet: str, lookalikes: Lookalikes = SHIPPED_LOOKALIKES) -> NDArray[np.float64]:
    """(classes, classes): how often the symbol of a row is seen as that of a column; rows sum to 1."""
    shares = np.zeros((len(alphabet), len(alphabet)))
    for pair, share in lookalikes:
        row, column = alphabet.find(pair[0]), alphabet.find(pair[1])
        if min(row, column) >= 0:
            shares[row, column] = share
    np.fill_diagonal(shares, np.maximum(1 - shares.sum(1), 0.0))
    shares += _ANY_OTHER
    shares /= shares.sum(1, keepdims=True)
    shares.setflags(write=False)
    return shares
