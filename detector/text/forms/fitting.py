"""Learn a string model: from readings of one source without any label, or from labels. Pure numpy.

The mixture is fitted by expectation maximisation (Dempster, Laird, Rubin, 1977) to how likely each symbol is by its
pixels, with Dirichlet smoothing, and the number of formats is that with the greatest held-out likelihood. Where that is
not clearly above the uniform component's, strings are random as far as anybody can tell, and there is no model.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.text.detections import Reading
from detector.text.forms.lookalikes import SHIPPED_LOOKALIKES, Lookalikes, channel, symbol_likelihood
from detector.text.forms.string_model import OTHER, StringFormat, StringModel, kinds_of

MAX_LEARNT = 2000
"""Readings that a format is learnt from at most: enough for any, and few enough to keep."""

_MAX_FORMATS = 4  # of one length
_FOLDS = 4
_ROUNDS = 25
_ALIKE = 0.02  # share in the confusion channel from which on a digit and a letter cannot be counted apart
_START = 0.01  # share of other kinds in each place, at first: that of look-alikes is told by the others of their kind
_MIN_READINGS = 6  # of one length, below which there is nothing to learn from
_SURE_ERRORS, _SURE_NATS = 2.0, 4.0  # standard errors, and nats in all, that held-out strings must be likelier by
_MIN_NATS = 0.5  # a string, likewise: less is hardly a form, and would turn sure symbols into their look-alikes
_SYMBOL_PRIOR = 300.0  # strings that a place's symbols within a kind are held to be uniform by
_LABEL_PRIORS = (300.0, 30.0, 10.0)  # likewise, where labels say which symbols: the one that held-out labels want
_MANY, _SAME_LENGTH = 20, 0.9  # strings, and the share of them of one length, from which on that alone is a form
_NEVER_READ = 1e-6  # of a symbol that a label does not have
_KIND_PRIOR = 0.5  # likewise, of the kinds of a place


def fit_string_model(
    readings: Iterable[Reading], alphabet: str, lookalikes: Lookalikes = SHIPPED_LOOKALIKES
) -> StringModel | None:
    """Learn what strings look like from readings of one source; None where they are random as far as they tell.

    The result does not depend on the order of readings.

    Args:
        readings: as a reader gives them, without a pattern; those rejected or empty say nothing.
        alphabet: the reader's symbols, in class-id order.
        lookalikes: of the network that read them.
    """
    shares = channel(alphabet, lookalikes)
    usable = sorted((r for r in readings if r.rejected is None and r.characters), key=lambda r: (r.text, r.confidence))
    by_length: dict[int, list[NDArray[np.float64]]] = {}
    for reading in {reading.text: reading for reading in usable}.values():  # what is seen again tells nothing more
        by_length.setdefault(len(reading.characters), []).append(_of_reading(reading, alphabet, shares))
    return _fit_model(by_length, alphabet, [_Prior(_clear(alphabet, shares), _SYMBOL_PRIOR)])


def fit_string_model_to_labels(labels: Iterable[str], alphabet: str) -> StringModel | None:
    """Learn what strings look like from labels; None where they are random as far as they tell.

    More is learnt than from readings, such as a first letter that is nearly always the same. The result does not
    depend on the order of labels.

    Args:
        labels: of training pictures; signs that the alphabet lacks, such as spaces, are left out.
        alphabet: the symbols, in class-id order.
    """
    by_length: dict[int, list[NDArray[np.float64]]] = {}
    texts = sorted({"".join(sign for sign in label if sign in alphabet) for label in labels})
    for text in texts if len(texts) <= MAX_LEARNT else sorted(random.Random(0).sample(texts, MAX_LEARNT)):
        if text:
            rows = np.full((len(text), len(alphabet)), _NEVER_READ)
            rows[np.arange(len(text)), [alphabet.index(sign) for sign in text]] = 1.0
            by_length.setdefault(len(text), []).append(rows)
    return _fit_model(by_length, alphabet, [_Prior(np.ones(len(alphabet), bool), strings) for strings in _LABEL_PRIORS])


class _Prior(NamedTuple):
    """What symbols are counted by: those that tell their kind, (classes,); and strings that count as uniform."""

    clear: NDArray[np.bool_]
    strings: float


def _fit_model(
    by_length: dict[int, list[NDArray[np.float64]]], alphabet: str, priors: Sequence[_Prior]
) -> StringModel | None:
    """The model of symbols' likelihoods (length, classes) of each string, by length."""
    formats = {}
    for length, likelihoods in sorted(by_length.items()):
        stacked = np.stack(likelihoods)  # (n, length, classes)
        fits = [(*_best_format_count(stacked, alphabet, prior), prior) for prior in priors]
        count, _, prior = max(fits, key=lambda fit: fit[1])
        if count > 0:
            formats[length] = tuple(_fit(stacked, alphabet, prior, count))
    total = sum(map(len, by_length.values()))
    modal_count = max(map(len, by_length.values()), default=0)
    if not formats and not (total >= _MANY and modal_count >= _SAME_LENGTH * total):
        return None
    return StringModel(alphabet, formats, {n: len(strings) / total for n, strings in sorted(by_length.items())})


def _best_format_count(likelihood: NDArray[np.float64], alphabet: str, prior: _Prior) -> tuple[int, float]:
    """How many formats held-out strings are likeliest under, and by how many nats a string.

    Both are 0 where that is not clearly more than by chance.
    """
    n = len(likelihood)
    if n < _MIN_READINGS:
        return 0, 0.0
    fold = np.arange(n) % _FOLDS
    held_out = np.zeros((1 + _MAX_FORMATS, n))
    for count in range(1 + _MAX_FORMATS):
        for k in range(_FOLDS):
            formats = _fit(likelihood[fold != k], alphabet, prior, count)
            held_out[count, fold == k] = _log_likelihood(likelihood[fold == k], formats)
    gains = held_out - held_out[0]
    best_count = int(gains.mean(1).argmax())
    gain, error = float(gains[best_count].mean()), float(gains[best_count].std() / np.sqrt(n))
    return (best_count, gain) if gain > max(_MIN_NATS, _SURE_ERRORS * error, _SURE_NATS / n) else (0, 0.0)


def _fit(likelihood: NDArray[np.float64], alphabet: str, prior: _Prior, count: int) -> list[StringFormat]:
    """The uniform component and ``count`` formats, by expectation maximisation.

    Args:
        likelihood: (n, length, classes), of each symbol by the pixels of its place.
    """
    kinds = kinds_of(alphabet)
    sizes = np.maximum(np.bincount(kinds, minlength=OTHER + 1), 1)
    clear = prior.clear
    clear_sizes = np.maximum(np.bincount(kinds[clear], minlength=len(sizes)), 1)
    length, classes = likelihood.shape[1:]
    kind_patterns = Counter(tuple(row) for row in kinds[likelihood.argmax(2)].tolist())
    starts = [np.full((length, classes), 1 / classes)]
    for pattern, _ in sorted(kind_patterns.items(), key=lambda item: (-item[1], item[0]))[:count]:
        agrees = kinds[None] == np.array(pattern)[:, None]
        start = np.where(agrees, 1 - _START, _START) / sizes[kinds]
        starts.append(start / start.sum(1, keepdims=True))
    symbols = np.array(starts)  # (formats, length, classes)
    weights = np.full(len(symbols), 1 / len(symbols))
    weight_prior = np.where(np.arange(len(symbols)) == 0, 1.0, 0.5)
    for _ in range(_ROUNDS if count else 0):
        places = np.einsum("nlc,klc->nkl", likelihood, symbols)
        log = np.log(places).sum(2) + np.log(weights)
        share = np.exp(log - log.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)  # (n, formats)
        weights = share.sum(0) + weight_prior
        weights /= weights.sum()
        for k in range(1, len(symbols)):
            counts = np.einsum("nlc,nl->lc", likelihood, share[:, k, None] / places[:, k]) * symbols[k]
            # Of a kind only symbols are counted that look like none of another kind: what looks like one tells nothing.
            kind_counts = np.stack([counts[:, clear & (kinds == kind)].sum(1) for kind in range(len(sizes))], 1)
            kind_share = kind_counts * sizes / clear_sizes + _KIND_PRIOR * sizes / classes
            kind_share /= kind_share.sum(1, keepdims=True)
            prior_counts = prior.strings * clear_sizes / sizes
            symbol_shares = (counts + prior.strings / sizes[kinds]) / (kind_counts + prior_counts)[:, kinds]
            within = np.where(clear, symbol_shares * (clear_sizes / sizes)[kinds], 1 / sizes[kinds])
            symbols[k] = kind_share[:, kinds] * within
            symbols[k] /= symbols[k].sum(1, keepdims=True)  # kinds that the alphabet lacks have a share, too
    return [StringFormat(float(w), s) for w, s in zip(weights, symbols, strict=True)]


def _log_likelihood(likelihood: NDArray[np.float64], formats: Sequence[StringFormat]) -> NDArray[np.float64]:
    """(n,), in nats."""
    log = [np.log(np.einsum("nlc,lc->nl", likelihood, f.symbols)).sum(1) + np.log(f.weight) for f in formats]
    return np.asarray(np.logaddexp.reduce(np.stack(log), axis=0))


def _clear(alphabet: str, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(classes,): symbols that look like none of another kind; of a kind without any, all."""
    kinds = kinds_of(alphabet)
    alike = (np.maximum(shares, shares.T) >= _ALIKE) & (kinds[:, None] != kinds[None])
    clear = ~alike.any(1)
    for kind in np.unique(kinds):
        if not clear[kinds == kind].any():
            clear[kinds == kind] = True
    return np.asarray(clear)


def _of_reading(reading: Reading, alphabet: str, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(length, classes): how likely each true symbol makes what the network saw at each place."""
    top_symbols = [c.likely or ((c.symbol, c.confidence),) for c in reading.characters]
    k = max(map(len, top_symbols)) + 1
    ids, scores = np.zeros((len(top_symbols), k), np.int64), np.zeros((len(top_symbols), k))
    for row, (character, symbols) in enumerate(zip(reading.characters, top_symbols, strict=True)):
        ids[row, 0] = alphabet.index(character.symbol)  # what was read is the likeliest
        ids[row, 1:] = ids[row, 0]
        for column, (symbol, score) in enumerate(symbols, 1):
            ids[row, column], scores[row, column] = alphabet.index(symbol), score
    return symbol_likelihood(ids, scores, shares)
