"""Forced alignment: which columns of the network's output belong to which symbol of a known string.

The Viterbi path through CTC's states (blank, s1, blank, s2, ..., blank), as in section 4 of Graves et al.
(2006) with maxima in place of sums, for a whole batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NEVER = -1e9


@dataclass(frozen=True)
class Alignment:
    """Where each symbol of one string lies, in columns.

    Args:
        first: int64 (n,), first column of each symbol.
        last: int64 (n,), last column, inclusive.
        centre: float64 (n,), mean of its columns, weighted by the symbol's probability.
        confidence: float64 (n,), highest probability of the symbol in its own columns, in [0, 1].
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    centre: NDArray[np.float64]
    confidence: NDArray[np.float64]


def force_align(log_probs: NDArray[np.floating], strings: list[NDArray[np.int64]]) -> list[Alignment | None]:
    """Best path of each string through its picture's columns.

    Args:
        log_probs: (batch, columns, classes + 1), CTC's blank last.
        strings: class ids of each picture's symbols, blanks of the text left out.

    Returns:
        One a picture; None where the string is empty or cannot fit into the columns.
    """
    batch, columns, outputs = log_probs.shape
    longest = max((len(s) for s in strings), default=0)
    if batch == 0 or longest == 0:
        return [None] * batch
    states = 2 * longest + 1
    labels = np.full((batch, states), outputs - 1, np.int64)
    for row, string in enumerate(strings):
        labels[row, 1 : 2 * len(string) : 2] = string
    emit = np.take_along_axis(np.asarray(log_probs, np.float64), labels[:, None, :].repeat(columns, 1), 2)
    # A symbol may follow the last one directly only if they differ; equal ones need CTC's blank between.
    skip = np.zeros((batch, states), bool)
    skip[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    score = np.full((batch, states), _NEVER)
    score[:, :2] = emit[:, 0, :2]
    back = np.zeros((columns, batch, states), np.int8)
    for t in range(1, columns):
        step = np.full((3, batch, states), _NEVER)
        step[0] = score
        step[1, :, 1:] = score[:, :-1]
        step[2, :, 2:] = np.where(skip[:, 2:], score[:, :-2], _NEVER)
        back[t] = step.argmax(0)
        score = step.max(0) + emit[:, t]
    found: list[Alignment | None] = []
    for row, string in enumerate(strings):
        end = 2 * len(string)
        state = end if score[row, end] >= score[row, end - 1] else end - 1
        if not len(string) or score[row, state] < _NEVER / 2:
            found.append(None)
            continue
        path = np.empty(columns, np.int64)
        for t in range(columns - 1, -1, -1):
            path[t] = state
            state -= int(back[t, row, state])
        found.append(_read_path(path, np.exp(emit[row]), len(string)))
    return found


def _read_path(path: NDArray[np.int64], probs: NDArray[np.float64], count: int) -> Alignment:
    first, last = np.empty(count, np.int64), np.empty(count, np.int64)
    centre, confidence = np.empty(count), np.empty(count)
    for i in range(count):
        state = 2 * i + 1
        (own,) = np.nonzero(path == state)
        first[i], last[i] = own[0], own[-1]
        weight = probs[own, state]
        centre[i] = np.average(own, weights=weight + 1e-9)
        confidence[i] = weight.max()
    return Alignment(first, last, centre, confidence)


def greedy(log_probs: NDArray[np.floating]) -> list[NDArray[np.int64]]:
    """What the network reads by itself, class ids of each picture: the best class of each column, repeats as one."""
    best = np.asarray(log_probs).argmax(-1)  # (batch, columns)
    blank = log_probs.shape[-1] - 1
    return [ids[(ids != blank) & np.r_[True, ids[1:] != ids[:-1]]].astype(np.int64) for ids in best]
