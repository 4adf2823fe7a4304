"""How likely a label is wrong, by what a detector reads that was not trained on it.

A label that the detector reads by itself is right. Of the others, a label is either right, and then the detector gives
it a probability; or it is wrong, and then something was done to what stands in the picture: a symbol was changed, left
out or added, leading symbols were lost, as spreadsheets lose zeros, or it is another picture's label. Bayes' rule
weighs them. After "Confident learning" (Northcutt, Jiang, Chuang, JAIR 2021), with strings in place of classes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

_SLIPS = 0.015  # share of labels expected to be one symbol off, of any set
_SYSTEMATIC = 0.0075  # expected of each kind that whole parts of a set may have: their shares are estimated
_PRIOR_PICTURES = 20  # that the expected shares count as, beside the set's own
_ROUNDS = 20  # of expectation maximisation; the shares stand still long before
_CONFUSED, _CONFUSED_SHARE = 4, 0.03  # how often, at least, one symbol is read for another that looks like it
_MIN_AGREEMENT = 0.6  # share of labels read as they are, below which the reader is the likelier culprit of a slip

Ids = NDArray[np.int64]


def label_error_probabilities(
    labels: Sequence[Ids], read: Sequence[Ids], log_probs: NDArray[np.float64], symbols: int
) -> NDArray[np.float64]:
    """Return the probability that each label of a set is wrong, float64 (n,).

    Args:
        labels: class ids of each.
        read: what was read blind to them.
        log_probs: (n,), log probability that the reader gives to each label.
        symbols: different symbols that the labels have.
    """
    if not len(labels):
        return np.zeros(0)
    label_ids, read_ids = [label.tolist() for label in labels], [ids.tolist() for ids in read]
    distance = np.array([Levenshtein.distance(a, b) for a, b in zip(label_ids, read_ids, strict=True)])
    lengths = np.array([max(len(label), 1) for label in label_ids])
    agrees = distance == 0
    texts = len({tuple(label) for label in label_ids})
    is_other = 2 * distance > np.maximum(lengths, 2)
    slips = np.array(
        [_slip(a, b, symbols) if edits == 1 else 0.0 for a, b, edits in zip(label_ids, read_ids, distance, strict=True)]
    )
    if not (~is_other).any() or agrees[~is_other].mean() < _MIN_AGREEMENT:
        slips[:] = 0  # a weak reader misreads some symbols here and there
    else:
        is_other |= distance > 1
    missing = np.array([_lost_front(a, b) for a, b in zip(label_ids, read_ids, strict=True)], np.float64)
    # (kinds, n): probability of the label if that was done to what was read.
    kinds = np.where(agrees, 0.0, np.stack([slips, missing, np.where(is_other, 1 / max(texts, 1), 0.0)]))
    share = np.array([_SLIPS, _SYSTEMATIC, _SYSTEMATIC])
    is_right = np.maximum(np.exp(np.maximum(log_probs, -700)), _confusions(label_ids, read_ids))
    prior = share.copy()
    posterior = np.zeros((3, len(labels)))
    for _ in range(_ROUNDS):
        weighed = share[:, None] * kinds
        total = weighed.sum(0) + (1 - share.sum()) * is_right
        posterior = weighed / np.maximum(total, 1e-300)
        # Slips are what misreadings look like, and keep their share: a reader must not talk itself into them.
        share[1:] = (_PRIOR_PICTURES * prior[1:] + posterior[1:].sum(1)) / (_PRIOR_PICTURES + len(labels))
    return np.asarray(posterior.sum(0))


def _confusions(labels: Sequence[list[int]], read: Sequence[list[int]]) -> NDArray[np.float64]:
    """Return the probability that each reading is how this set shows its label, (n,); 0 where that is nothing usual.

    Where many labels have a symbol that is read as another one, it is drawn like that one, as O and 0 on some plates;
    label errors hardly ever agree on a pair.
    """
    usual = Counter(symbol for label in labels for symbol in label)
    pairs = Counter(
        pair for a, b in zip(labels, read, strict=True) if len(a) == len(b)
        for pair in {(x, y) for x, y in zip(a, b, strict=True) if x != y}
    )  # fmt: skip
    rate = {(x, y): n / usual[x] for (x, y), n in pairs.items() if n >= _CONFUSED and n >= _CONFUSED_SHARE * usual[x]}
    return np.array([
        math.prod(rate.get((x, y), 0.0) for x, y in zip(a, b, strict=True) if x != y)
        if a != b and len(a) == len(b) else 0.0
        for a, b in zip(labels, read, strict=True)
    ])  # fmt: skip


def _slip(label: list[int], read: list[int], symbols: int) -> float:
    """Return the probability of a label that is the reading with one symbol changed, left out or added."""
    if len(label) == len(read):
        return 1 / (3 * len(label) * max(symbols - 1, 1))
    return 1 / (3 * len(read)) if len(label) < len(read) else 1 / (3 * len(label) * max(symbols, 1))


def _lost_front(label: list[int], read: list[int]) -> bool:
    """Test whether the label is the reading without one or several equal leading symbols."""
    front = len(list(takewhile(lambda symbol: symbol == read[0], read))) if read else 0
    missing = len(read) - len(label)
    return 0 < missing <= front and read[missing:] == label
