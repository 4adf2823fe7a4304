"""Fit a string model: to unlabelled readings of one source, or to labels. Pure numpy.

For each length of strings a mixture of formats is fitted by expectation maximisation (Dempster, Laird, Rubin, 1977),
with Dirichlet smoothing, to the likelihood of each symbol at each place given its pixels. The number of formats is the
one with the greatest held-out likelihood. Where that is not clearly above the likelihood under the uniform component
alone, the strings cannot be told from random ones, and no format is returned.
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
"""Most strings that a model is fitted to: enough for every format, and few enough to keep in memory."""

FIRST_LEARNT = 300
"""Different strings that the form of what has no end is learnt from; more would gain little, and come late."""

_MAX_FORMATS = 4  # for strings of one length
_FOLDS = 4
_ITERATIONS = 25
_CONFUSABLE_SHARE = 0.02  # in the confusion channel; a digit and a letter at or above it are not counted by kind
_START_SHARE = 0.01  # of symbols of other kinds at each place before the first iteration
_MIN_READINGS = 6  # of one length; fewer have no format
# How much likelier formats must make held-out strings than the uniform component alone: in standard errors of the mean
# gain, in nats for all strings together, and in nats a string. Less would turn sure symbols into their look-alikes.
_MIN_STANDARD_ERRORS, _MIN_TOTAL_NATS, _MIN_MEAN_NATS = 2.0, 4.0, 0.5
_READING_PRIOR = 300.0  # pseudo-count of strings whose symbols at a place are uniform within their kind
_LABEL_PRIORS = (300.0, 30.0, 10.0)  # likewise for labels, which are sure: the likeliest for held-out labels is taken
_MIN_STRINGS, _SAME_LENGTH = 20, 0.9  # so many strings with this share of one length have a model of lengths alone
_ABSENT_LIKELIHOOD = 1e-6  # of the symbols that a label does not have at a place
_KIND_PRIOR = 0.5  # pseudo-count of strings whose kinds at a place are as frequent as in the alphabet


def fit_string_model(
    readings: Iterable[Reading], alphabet: str, lookalikes: Lookalikes = SHIPPED_LOOKALIKES
) -> StringModel | None:
    """Fit a string model to readings of one source; None where the strings cannot be told from random ones.

    The result does not depend on the order of readings.

    Args:
        readings: as a reader without a pattern returns them; rejected and empty ones are ignored.
        alphabet: the reader's symbols, in class-id order.
        lookalikes: of the network that read the pictures.
    """
    shares = channel(alphabet, lookalikes)
    usable = sorted((r for r in readings if r.rejected is None and r.characters), key=lambda r: (r.text, r.confidence))
    by_length: dict[int, list[NDArray[np.float64]]] = {}
    for reading in {reading.text: reading for reading in usable}.values():  # repeated strings say nothing new
        by_length.setdefault(len(reading.characters), []).append(_likelihood_of(reading, alphabet, shares))
    return _fit_model(by_length, alphabet, [_Prior(_unambiguous(alphabet, shares), _READING_PRIOR)])


def fit_string_model_to_labels(labels: Iterable[str], alphabet: str) -> StringModel | None:
    """Fit a string model to labels; None where the strings cannot be told from random ones.

    Labels also show single symbols, such as a first letter that is nearly always the same; readings are too unsure for
    that. The result does not depend on the order of labels.

    Args:
        labels: of training pictures; characters that are not in the alphabet, such as spaces, are left out.
        alphabet: the symbols, in class-id order.
    """
    by_length: dict[int, list[NDArray[np.float64]]] = {}
    texts = sorted({"".join(sign for sign in label if sign in alphabet) for label in labels})
    for text in texts if len(texts) <= MAX_LEARNT else sorted(random.Random(0).sample(texts, MAX_LEARNT)):
        if text:
            rows = np.full((len(text), len(alphabet)), _ABSENT_LIKELIHOOD)
            rows[np.arange(len(text)), [alphabet.index(sign) for sign in text]] = 1.0
            by_length.setdefault(len(text), []).append(rows)
    return _fit_model(by_length, alphabet, [_Prior(np.ones(len(alphabet), bool), strings) for strings in _LABEL_PRIORS])


class _Prior(NamedTuple):
    """How symbols at a place are counted and smoothed.

    Args:
        unambiguous: bool (classes,): symbols that count for their kind; the others look like a symbol of another kind.
        strings: pseudo-count of strings whose symbols are uniform within their kind.
    """

    unambiguous: NDArray[np.bool_]
    strings: float


def _fit_model(
    by_length: dict[int, list[NDArray[np.float64]]], alphabet: str, priors: Sequence[_Prior]
) -> StringModel | None:
    """Fit the formats of each length, with the prior that makes held-out strings likeliest.

    Args:
        by_length: for each length the likelihoods, float64 (length, classes), of its strings.
        alphabet: the symbols, in class-id order.
        priors: to choose from, for each length by itself.
    """
    formats = {}
    for length, likelihoods in sorted(by_length.items()):
        stacked = np.stack(likelihoods)  # (n, length, classes)
        candidates = [(*_best_format_count(stacked, alphabet, prior), prior) for prior in priors]
        count, _, prior = max(candidates, key=lambda candidate: candidate[1])
        if count > 0:
            formats[length] = tuple(_fit_mixture(stacked, alphabet, prior, count))
    total = sum(map(len, by_length.values()))
    modal_count = max(map(len, by_length.values()), default=0)
    if not formats and not (total >= _MIN_STRINGS and modal_count >= _SAME_LENGTH * total):
        return None
    return StringModel(alphabet, formats, {n: len(strings) / total for n, strings in sorted(by_length.items())})


def _best_format_count(likelihood: NDArray[np.float64], alphabet: str, prior: _Prior) -> tuple[int, float]:
    """Find the number of formats under which held-out strings are likeliest, by cross-validation.

    (Smyth, "Model selection for probabilistic clustering using cross-validated likelihood", Statistics and Computing
    2000.)

    Args:
        likelihood: (n, length, classes), of each symbol given the pixels of its place.
        alphabet: the symbols, in class-id order.
        prior: to fit with.

    Returns:
        The number of formats, and by how many nats a string they are likelier than under the uniform component alone;
        (0, 0) where the gain may be chance.
    """
    n = len(likelihood)
    if n < _MIN_READINGS:
        return 0, 0.0
    fold = np.arange(n) % _FOLDS
    held_out = np.zeros((1 + _MAX_FORMATS, n))
    for count in range(1 + _MAX_FORMATS):
        for k in range(_FOLDS):
            formats = _fit_mixture(likelihood[fold != k], alphabet, prior, count)
            held_out[count, fold == k] = _log_likelihood(likelihood[fold == k], formats)
    gains = held_out - held_out[0]
    best_count = int(gains.mean(1).argmax())
    gain, error = float(gains[best_count].mean()), float(gains[best_count].std() / np.sqrt(n))
    return (
        (best_count, gain)
        if gain > max(_MIN_MEAN_NATS, _MIN_STANDARD_ERRORS * error, _MIN_TOTAL_NATS / n)
        else (0, 0.0)
    )


def _fit_mixture(likelihood: NDArray[np.float64], alphabet: str, prior: _Prior, count: int) -> list[StringFormat]:
    """Fit the uniform component and ``count`` formats by expectation maximisation.

    Formats start at the most frequent sequences of kinds (digit, letter, other) of the likeliest symbols.

    Args:
        likelihood: (n, length, classes), of each symbol given the pixels of its place.
        alphabet: the symbols, in class-id order.
        prior: to count and smooth with.
        count: of formats, 0 or more.

    Returns:
        1 + ``count`` components, the uniform one first.
    """
    kinds = kinds_of(alphabet)
    sizes = np.maximum(np.bincount(kinds, minlength=OTHER + 1), 1)
    unambiguous = prior.unambiguous
    unambiguous_sizes = np.maximum(np.bincount(kinds[unambiguous], minlength=len(sizes)), 1)
    length, classes = likelihood.shape[1:]
    kind_patterns = Counter(tuple(row) for row in kinds[likelihood.argmax(2)].tolist())
    starts = [np.full((length, classes), 1 / classes)]
    for pattern, _ in sorted(kind_patterns.items(), key=lambda item: (-item[1], item[0]))[:count]:
        agrees = kinds[None] == np.array(pattern)[:, None]
        start = np.where(agrees, 1 - _START_SHARE, _START_SHARE) / sizes[kinds]
        starts.append(start / start.sum(1, keepdims=True))
    symbols = np.array(starts)  # (formats, length, classes)
    weights = np.full(len(symbols), 1 / len(symbols))
    weight_prior = np.where(np.arange(len(symbols)) == 0, 1.0, 0.5)
    for _ in range(_ITERATIONS if count else 0):
        places = np.einsum("nlc,klc->nkl", likelihood, symbols)
        log = np.log(places).sum(2) + np.log(weights)
        share = np.exp(log - log.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)  # (n, formats)
        weights = share.sum(0) + weight_prior
        weights /= weights.sum()
        for k in range(1, len(symbols)):
            counts = np.einsum("nlc,nl->lc", likelihood, share[:, k, None] / places[:, k]) * symbols[k]
            # A kind is counted by its unambiguous symbols alone: a 0 may be an O, and tells no digit from a letter.
            kind_counts = np.stack([counts[:, unambiguous & (kinds == kind)].sum(1) for kind in range(len(sizes))], 1)
            kind_share = kind_counts * sizes / unambiguous_sizes + _KIND_PRIOR * sizes / classes
            kind_share /= kind_share.sum(1, keepdims=True)
            prior_counts = prior.strings * unambiguous_sizes / sizes
            symbol_shares = (counts + prior.strings / sizes[kinds]) / (kind_counts + prior_counts)[:, kinds]
            share_in_kind = np.where(unambiguous, symbol_shares * (unambiguous_sizes / sizes)[kinds], 1 / sizes[kinds])
            symbols[k] = kind_share[:, kinds] * share_in_kind
            symbols[k] /= symbols[k].sum(1, keepdims=True)  # kinds without a symbol in the alphabet have a share, too
    return [StringFormat(float(w), s) for w, s in zip(weights, symbols, strict=True)]


def _log_likelihood(likelihood: NDArray[np.float64], formats: Sequence[StringFormat]) -> NDArray[np.float64]:
    """Return the log-likelihood of each string under the mixture, float64 (n,), in nats."""
    log = [np.log(np.einsum("nlc,lc->nl", likelihood, f.symbols)).sum(1) + np.log(f.weight) for f in formats]
    return np.asarray(np.logaddexp.reduce(np.stack(log), axis=0))


def _unambiguous(alphabet: str, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which symbols look like none of another kind, bool (classes,); all of a kind that would have none.

    Args:
        alphabet: the symbols, in class-id order.
        shares: the confusion channel, (classes, classes).
    """
    kinds = kinds_of(alphabet)
    confusable = (np.maximum(shares, shares.T) >= _CONFUSABLE_SHARE) & (kinds[:, None] != kinds[None])
    unambiguous = ~confusable.any(1)
    for kind in np.unique(kinds):
        if not unambiguous[kinds == kind].any():
            unambiguous[kinds == kind] = True
    return np.asarray(unambiguous)


def _likelihood_of(reading: Reading, alphabet: str, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the likelihood of each true symbol given the network's scores at each place, (length, classes)."""
    top_symbols = [c.likely or ((c.symbol, c.confidence),) for c in reading.characters]
    k = max(map(len, top_symbols)) + 1
    ids, scores = np.zeros((len(top_symbols), k), np.int64), np.zeros((len(top_symbols), k))
    for row, (character, symbols) in enumerate(zip(reading.characters, top_symbols, strict=True)):
        ids[row, 0] = alphabet.index(character.symbol)  # the symbol that was read comes first
        ids[row, 1:] = ids[row, 0]
        for column, (symbol, score) in enumerate(symbols, 1):
            ids[row, column], scores[row, column] = alphabet.index(symbol), score
    return symbol_likelihood(ids, scores, shares)
