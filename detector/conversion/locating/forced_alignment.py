"""Forced alignment: which of a detector's candidates are the symbols of a known label. Pure numpy, a batch at once.

The label is an automaton of one path. Viterbi's algorithm finds the best chain of candidates through it, in reading
order, none covering another; a symbol for which nothing was seen is skipped at a cost. The forward algorithm over the
same chains gives the label's probability among all strings that the candidates can spell: a conditional random field
over segments (Sarawagi, Cohen, "Semi-Markov conditional random fields", NIPS 2004) whose weights are the detector's
own log odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.text.calibration import PlattScaling
from detector.text.candidates import NEVER, Candidates

UNKNOWN = -1
"""Class id of a label's symbol that the detector does not know: any character may be it."""

MISSED = -1
"""Candidate of a symbol for which nothing was seen."""

_OTHER_CLASS = -5.0  # log of how much likelier its best class is than another one: a candidate may still be misread
_SKIP = -9.0  # log odds of leaving a symbol without a candidate: any candidate that is likelier than that is taken
_MISCLASSIFIED = 1e-3  # share of characters whose symbol gets no score at all
_OVERLOOKED = 5e-3  # share of characters that a detector has no candidate for

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """The best chain of one label.

    Args:
        candidates: int64 (n,), place of each symbol's candidate in its picture's row; :data:`MISSED` for none.
        score: of the chain, log odds.
    """

    candidates: NDArray[np.int64]
    score: float


def force_align(candidates: Candidates, labels: Sequence[NDArray[np.int64]]) -> list[Alignment]:
    """Find the best chain of candidates for each picture's label.

    Args:
        candidates: ``n`` a picture.
        labels: class ids of each label's symbols in reading order, :data:`UNKNOWN` for those that are none.
    """
    size, n = candidates.odds.shape
    ids = _padded(labels)
    gains = _gains(candidates, ids)  # (batch, symbols, n)
    barrier = _with_start(candidates.barrier)  # (batch, n + 1, n)
    total = np.full((size, n + 1), 2 * NEVER)  # by the last candidate that was taken; the last column is none yet
    total[:, n] = 0
    backpointers = np.full((ids.shape[1], size, n + 1), MISSED, np.int64)
    totals = []
    for t in range(ids.shape[1]):
        chain = total[:, :, None] + barrier
        matched = chain.max(1) + gains[:, t]  # (batch, n)
        skipped = total + _SKIP
        is_matched = matched > skipped[:, :n]
        backpointers[t][:, :n] = np.where(is_matched, chain.argmax(1), MISSED)
        total = skipped
        total[:, :n] = np.where(is_matched, matched, skipped[:, :n])
        totals.append(total)
    return [_traced(row, len(label), totals, backpointers) for row, label in enumerate(labels)]


def _traced(row: int, length: int, totals: Sequence[Floats], backpointers: NDArray[np.int64]) -> Alignment:
    candidates = np.full(length, MISSED, np.int64)
    if not length:
        return Alignment(candidates, 0.0)
    final = totals[length - 1][row]
    at = int(final.argmax())
    score = float(final[at])
    for t in range(length - 1, -1, -1):
        if (previous := int(backpointers[t, row, at])) != MISSED:
            candidates[t], at = at, previous
    return Alignment(candidates, score)


def label_log_probs(
    candidates: Candidates, labels: Sequence[NDArray[np.int64]], calibration: PlattScaling | None = None
) -> Floats:
    """Return the log probability of each label, (batch,), among all strings that its candidates can spell.

    Args:
        candidates: ``n`` a picture.
        labels: as in :func:`force_align`; of a symbol that is unknown every class is as likely.
        calibration: what the odds of being a character are worth.
    """
    size, n = candidates.odds.shape
    scale = calibration or PlattScaling()
    odds = np.where(candidates.odds > NEVER / 2, scale.slope * candidates.odds + scale.offset, NEVER)
    ids = _padded(labels)
    shares = _dense(candidates, ids)
    classes = shares.shape[2]
    shares /= np.maximum(shares.sum(2, keepdims=True), 1e-9)
    shares = (1 - _MISCLASSIFIED) * shares + _MISCLASSIFIED / classes
    log_shares = np.log(np.concatenate([shares, np.full((size, n, 1), 1 / classes)], 2))  # UNKNOWN takes the last one
    barrier = _with_start(candidates.barrier)
    all_strings = np.full((size, n + 1), 2 * NEVER)
    all_strings[:, n] = 0
    for j in range(n):  # candidates are in reading order: all that may stand before one are done
        all_strings[:, j] = odds[:, j] + np.logaddexp.reduce(all_strings + barrier[:, :, j], 1)
    total = np.full((size, n + 1), 2 * NEVER)
    total[:, n] = 0
    ends = [total]
    rows = np.arange(size)[:, None], np.arange(n)[None]
    for t in range(ids.shape[1]):
        emitted = odds + log_shares[(*rows, ids[:, t][:, None])]  # (batch, n)
        matched = emitted + np.logaddexp.reduce(total[:, :, None] + barrier, 1)
        total = total + np.log(_OVERLOOKED)
        total[:, :n] = np.logaddexp(total[:, :n], matched)
        ends.append(total)
    lengths = np.array([len(label) for label in labels], np.intp)
    of_label = np.stack(ends)[lengths, np.arange(size)]  # (batch, n + 1)
    return np.asarray(np.minimum(np.logaddexp.reduce(of_label, 1) - np.logaddexp.reduce(all_strings, 1), 0.0))


def calibration_pairs(candidates: Candidates, alignments: Sequence[Alignment]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return log odds of candidates known to be characters or not, (m,), and which they are, (m,).

    Where each label is right and complete, its candidates are characters, and those that could stand beside them in the
    string are none; candidates of a place that is taken say nothing.
    """
    odds, is_character = [], []
    for row, alignment in enumerate(alignments):
        chain = alignment.candidates[alignment.candidates != MISSED]
        follows = candidates.barrier[row] > NEVER / 2
        free = follows | follows.T  # one may follow the other
        is_none = free[:, chain].all(1) & (candidates.odds[row] > NEVER / 2)
        is_none[chain] = False
        odds += [candidates.odds[row, chain], candidates.odds[row, is_none]]
        is_character += [np.ones(len(chain), bool), np.zeros(int(is_none.sum()), bool)]
    return np.concatenate([*odds, np.zeros(0)]), np.concatenate([*is_character, np.zeros(0, bool)])


def _padded(labels: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Pad the labels' ids to the longest, (batch, symbols)."""
    ids = np.full((len(labels), max((len(label) for label in labels), default=0)), UNKNOWN, np.int64)
    for row, label in enumerate(labels):
        ids[row, : len(label)] = label
    return ids


def _dense(candidates: Candidates, ids: NDArray[np.int64]) -> Floats:
    """Return scores of all classes that are detected or labelled, (batch, n, classes)."""
    classes = int(max(candidates.top_class_id.max(initial=0), ids.max(initial=0))) + 1
    scores = np.zeros((*candidates.odds.shape, classes))
    # A picture with fewer classes than others is filled up with zeros of class 0: of one class twice the first stays,
    # which is set last.
    np.put_along_axis(scores, candidates.top_class_id[..., ::-1], candidates.top_confidence[..., ::-1], 2)
    return scores


def _gains(candidates: Candidates, ids: NDArray[np.int64]) -> Floats:
    """Return what each candidate adds as each symbol of its picture's label, (batch, symbols, n)."""
    logs = np.log(np.maximum(_dense(candidates, ids), 1e-9))
    log_ratios = np.maximum(logs - logs.max(2, keepdims=True), _OTHER_CLASS)
    log_ratios = np.concatenate([log_ratios, np.zeros((*log_ratios.shape[:2], 1))], 2)  # UNKNOWN takes the last one
    rows = np.arange(len(ids))[:, None, None], np.arange(log_ratios.shape[1])[None, None]
    return np.asarray(candidates.odds[:, None] + log_ratios[(*rows, ids[:, :, None])])


def _with_start(barrier: Floats) -> Floats:
    """Add a row for the start, from where all candidates may follow, (batch, n + 1, n); it is the last row."""
    return np.concatenate([barrier, np.zeros((len(barrier), 1, barrier.shape[2]))], 1)
