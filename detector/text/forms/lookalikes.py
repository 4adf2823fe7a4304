"""The confusion channel: how often a network takes one symbol for another. Pure numpy."""

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
"""Pairs of symbols, the true one first, and how often it is seen as the second one: the mean score of the weights of
stage 11 on artificial pictures of all typefaces (``tools/weights/lookalikes.py``, pairs of .005 and more)."""

Lookalikes = tuple[tuple[str, float], ...]
"""Pairs and shares as in :data:`LOOKALIKES`, for one network."""

SHIPPED_LOOKALIKES: Lookalikes = tuple(LOOKALIKES.items())

_MIN_CONFUSION = 1e-4  # share of every pair that is not listed
_PRIOR_OCCURRENCES = 30.0  # pseudo-count of each symbol, confused as in LOOKALIKES
_MIN_LISTED = 0.001  # pairs with a smaller share are not listed


def look_alike(first: str, second: str) -> bool:
    """Test whether :data:`LOOKALIKES` has two symbols as a pair, in either order."""
    return first + second in LOOKALIKES or second + first in LOOKALIKES


def differ_by_look_alikes(label: str, text: str) -> bool:
    """Test whether two strings differ, and only in symbols that look like each other."""
    if len(label) != len(text) or label == text:
        return False
    return all(a == b or look_alike(a, b) for a, b in zip(label, text, strict=True))


def measured_lookalikes(readings: Iterable[Reading], labels: Iterable[str], alphabet: str) -> Lookalikes:
    """Measure how often a network takes one symbol for another, on pictures that it was not trained on.

    The shares are posterior means under a Dirichlet prior for each symbol, centred on :data:`LOOKALIKES`, so that a
    few pictures change little.

    Args:
        readings: with the likeliest symbols of each character.
        labels: one for each reading.
        alphabet: the symbols, in class-id order.
    """
    counts = confusion_counts(readings, labels, alphabet) + _PRIOR_OCCURRENCES * channel(alphabet)
    shares = counts / counts.sum(1, keepdims=True)
    return tuple(
        (alphabet[row] + alphabet[column], round(float(shares[row, column]), 4))
        for row, column in np.argwhere(shares >= _MIN_LISTED).tolist()
        if row != column
    )


def confusion_counts(readings: Iterable[Reading], labels: Iterable[str], alphabet: str) -> NDArray[np.float64]:
    """Count how often the symbol of a row is seen as the symbol of a column, float64 (classes, classes).

    Each character counts 1, divided among its likeliest symbols in proportion to their scores. Readings with as many
    characters as their label are compared place by place, the others are ignored; characters of labels that are not in
    the alphabet, such as spaces, do not count.

    Args:
        readings: with the likeliest symbols of each character.
        labels: one for each reading.
        alphabet: the symbols, in class-id order.
    """
    class_of = {symbol: place for place, symbol in enumerate(alphabet)}
    counts = np.zeros((len(alphabet), len(alphabet)))
    for reading, label in zip(readings, labels, strict=True):
        symbols = [symbol for symbol in label if symbol in class_of]
        if len(symbols) != len(reading.characters):
            continue
        for true_symbol, character in zip(symbols, reading.characters, strict=True):
            top_symbols = character.likely or ((character.symbol, 1.0),)
            total = sum(score for _, score in top_symbols)
            for symbol, score in top_symbols:
                counts[class_of[true_symbol], class_of[symbol]] += score / total
    return counts


def symbol_likelihood(
    class_ids: NDArray[np.int64], scores: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the likelihood of each true symbol given a network's class scores at each place.

    Class scores alone are too sure, for an O is often seen as nothing but a 0: they are multiplied with the confusion
    channel.

    Args:
        class_ids: (..., k), the likeliest classes, surest first.
        scores: (..., k), their scores; 0 where there are fewer than k.
        shares: the :func:`channel`, (classes, classes).

    Returns:
        (..., classes), up to a factor for each place.
    """
    rows = np.full((*class_ids.shape[:-1], len(shares)), _MIN_CONFUSION)
    of_places = rows.reshape(-1, len(shares))  # the same memory
    ids, places = class_ids.reshape(len(of_places), class_ids.shape[-1]), np.arange(len(of_places))
    np.maximum.at(of_places.reshape(-1), (places[:, None] * len(shares) + ids).reshape(-1), scores.reshape(-1))
    of_places[places, ids[:, 0]] = of_places.max(1) + 1e-6  # the symbol that is read comes first
    rows /= rows.sum(-1, keepdims=True)
    return np.asarray(rows @ shares.T)


@lru_cache(maxsize=16)  # needed for every batch
def channel(alphabet: str, lookalikes: Lookalikes = SHIPPED_LOOKALIKES) -> NDArray[np.float64]:
    """Return the confusion channel, float64 (classes, classes), read-only.

    An entry is the share of the occurrences of its row's symbol that are seen as its column's symbol; rows sum to 1.
    """
    shares = np.zeros((len(alphabet), len(alphabet)))
    for pair, share in lookalikes:
        row, column = alphabet.find(pair[0]), alphabet.find(pair[1])
        if min(row, column) >= 0:
            shares[row, column] = share
    np.fill_diagonal(shares, np.maximum(1 - shares.sum(1), 0.0))
    shares += _MIN_CONFUSION
    shares /= shares.sum(1, keepdims=True)
    shares.setflags(write=False)
    return shares
