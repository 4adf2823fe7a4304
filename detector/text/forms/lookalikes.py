"""How alike symbols look: what a network's scores say of each symbol that may truly stand there. Pure numpy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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

_ANY_OTHER = 1e-4  # as in LOOKALIKES, of any other pair


def look_alike(symbol: str, other: str) -> bool:
    """Whether two symbols are taken for each other, by :data:`LOOKALIKES`."""
    return symbol + other in LOOKALIKES or other + symbol in LOOKALIKES


def differ_by_look_alikes(label: str, text: str) -> bool:
    """Whether two strings differ, and only in symbols that look like each other."""
    if len(label) != len(text) or label == text:
        return False
    return all(a == b or look_alike(a, b) for a, b in zip(label, text, strict=True))


def symbol_likelihood(class_ids: NDArray[np.int64], scores: NDArray[np.float64], alphabet: str) -> NDArray[np.float64]:
    """How likely each true symbol makes the scores that a network gives at each place.

    Class scores alone are too sure: an O is often seen as nothing but a 0. The channel of :data:`LOOKALIKES` is put
    before them.

    Args:
        class_ids: (..., k), the likeliest classes, surest first.
        scores: (..., k), of these; 0 where there are fewer.
        alphabet: the symbols, in class-id order.

    Returns:
        (..., classes), up to a factor of each place.
    """
    rows = np.full((*class_ids.shape[:-1], len(alphabet)), _ANY_OTHER)
    for k in range(class_ids.shape[-1] - 1, -1, -1):
        ids = class_ids[..., k, None]
        np.put_along_axis(rows, ids, np.maximum(scores[..., k, None], np.take_along_axis(rows, ids, -1)), -1)
    best = class_ids[..., :1]
    np.put_along_axis(rows, best, rows.max(-1, keepdims=True) + 1e-6, -1)  # what is read is the likeliest
    return np.asarray(rows / rows.sum(-1, keepdims=True) @ channel(alphabet).T)


@lru_cache(maxsize=4)  # asked for every batch
def channel(alphabet: str) -> NDArray[np.float64]:
    """(classes, classes): how often the symbol of a row is seen as that of a column; rows sum to 1."""
    shares = np.eye(len(alphabet)) + _ANY_OTHER
    for pair, share in LOOKALIKES.items():
        row, column = alphabet.find(pair[0]), alphabet.find(pair[1])
        if min(row, column) >= 0:
            shares[row, column] += share
    shares /= shares.sum(1, keepdims=True)
    shares.setflags(write=False)
    return shares
