"""Decode candidate characters into strings, by a search over chains of candidates. Pure numpy, for a batch at once.

Neighbouring cells of a detector report the same character, often as different classes. Candidates that overlap along
the reading line exclude each other; the string is the best chain of candidates that do not.

    candidates.gather: the best, as arrays, along their lines ── search.search: best chain ── spacing: spaces ── Reading
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detector.text.candidates import Candidates, gather
from detector.text.detections import Alternative, Character, CharDetections, Reading
from detector.text.forms.automaton import any_string
from detector.text.forms.string_model import automaton_of
from detector.text.reading_config import ReadingConfig, allowed_strings
from detector.text.search import Chain, Trellis, search
from detector.text.spacing import TextLayout

_SEARCH_STEPS = 400  # at most, for each alternative
_MIN_TOP_SCORE = 1e-3  # of a symbol in Character.likely
_ODDS_SLOPE = 3.0  # factor of the network's log odds of a character where they are weighed against the string model
_MIN_ODDS = -3.0  # log odds of a character that the string model may add to a string
_NO_CHARACTER = "no character was seen"


def decode(
    detections: CharDetections,
    config: ReadingConfig,
    width: float,
    *,
    min_confidence: float = 0.0,
    alternatives: int = 0,
) -> Reading:
    """Decode the string of one picture; see :func:`decode_batch`."""
    return decode_batch([detections], config, [width], min_confidence=min_confidence, alternatives=alternatives)[0]


def decode_batch(
    batch: Sequence[CharDetections],
    config: ReadingConfig,
    widths: Sequence[float],
    *,
    min_confidence: float = 0.0,
    alternatives: int = 0,
) -> list[Reading]:
    """Decode the strings of several pictures, each as it would be decoded alone.

    The result does not depend on the order of a picture's candidates.

    Args:
        batch: candidates of each picture, before any suppression.
        config: of the reader: alphabet, length, layout, pattern or string model.
        widths: of each picture, in the boxes' pixels.
        min_confidence: in [0, 1]; if above 0, a reading is rejected if its least sure character is below it, and,
            without a pattern, if the picture shows more characters than ``config.max_count``.
        alternatives: how many of the next likely strings to return with each reading.

    Returns:
        One reading for each picture, of at most ``config.length`` symbols; empty if there is no candidate. With a
        pattern, the text fits it or the reading is rejected.

    Raises:
        ValueError: if there are not as many widths as pictures.
    """
    if len(batch) != len(widths):
        raise ValueError(f"{len(batch)} pictures and {len(widths)} widths: one is shorter")
    if not batch:
        return []
    candidates = gather(batch, config, widths)
    strings = any_string(len(config.symbols), min(config.max_count, candidates.odds.shape[1]))
    trellis = search(candidates, strings, config.min_count)
    chains = [trellis.best(row) for row in range(len(batch))]
    readings = [_to_reading(candidates, row, chain, config) for row, chain in enumerate(chains)]
    readings = _with_full_texts(candidates, chains, readings, config)
    if (allowed := allowed_strings(config)) is not None:
        if allowed.has_spaces:
            candidates = replace(candidates, spaces=_expected_spaces(candidates, chains, config))
        trellis = search(candidates, allowed)
        readings = [_fit_to_pattern(candidates, row, trellis.best(row), r, config) for row, r in enumerate(readings)]
    elif config.string_model is not None:
        candidates = candidates.at_least(_MIN_ODDS)
        max_count = min(config.max_count, candidates.odds.shape[1])
        likelihoods = candidates.with_likelihoods(config.channel, _ODDS_SLOPE)
        trellis = search(likelihoods, automaton_of(config.string_model, max_count), config.min_count)
        readings = [_fit_to_model(candidates, trellis, row, r, config) for row, r in enumerate(readings)]
    if alternatives > 0:
        readings = [_with_alternatives(trellis, row, r, config, alternatives) for row, r in enumerate(readings)]
    if min_confidence > 0:
        readings = [_apply_min_confidence(reading, min_confidence, config) for reading in readings]
    return readings


def decode_again(
    readings: Sequence[Reading], config: ReadingConfig, *, min_confidence: float = 0.0, alternatives: int = 0
) -> list[Reading]:
    """Decode readings again from their evidence, with another config; boxes are in the pictures' pixels.

    Raises:
        ValueError: if a reading has no evidence.
    """
    evidence = [reading.evidence for reading in readings if reading.evidence is not None]
    if len(evidence) < len(readings):
        raise ValueError(f"{len(readings) - len(evidence)} of {len(readings)} readings have no evidence")
    batch, widths = [e.detections for e in evidence], [e.width for e in evidence]
    decoded = decode_batch(batch, config, widths, min_confidence=min_confidence, alternatives=alternatives)
    return [reading.mapped(e.to_picture) for reading, e in zip(decoded, evidence, strict=True)]


def _expected_spaces(
    candidates: Candidates, chains: list[Chain | None], config: ReadingConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many spaces the layout expects at each place, see :meth:`TextLayout.spaces`.

    The chains, which were read without a pattern, show how far apart characters stand.
    """
    size, n = candidates.odds.shape
    first, between = np.zeros((size, n), np.int64), np.zeros((size, n, n), np.int64)
    for row, chain in enumerate(chains):
        if chain is not None:
            first[row], between[row] = config.layout.spaces(
                candidates.deskewed[row],
                candidates.widths[row],
                config.length,
                candidates.line[row],
                np.array(chain.candidates),
            )
    return first, between


def _to_reading(candidates: Candidates, row: int, chain: Chain | None, config: ReadingConfig) -> Reading:
    """Return the reading of a chain: with the spaces of its pattern, or else of the layout."""
    if chain is None:
        return Reading("", 0.0, ())
    indices = list(chain.candidates)
    if chain.spaces is None:
        deskewed, line = candidates.deskewed[row, indices], candidates.line[row, indices]
        places = config.layout.places(deskewed, float(candidates.widths[row]), config.length, line).tolist()
    else:
        places = (np.cumsum(np.array(chain.spaces) + 1) - 1).tolist()
    ids = candidates.top_class_id[row, indices, chain.classes].tolist()
    scores = candidates.top_confidence[row, indices, chain.classes].tolist()
    if config.calibration is not None:
        scores = [config.calibration.character(score) for score in scores]
    text = [config.space] * (places[-1] + 1)
    characters = []
    boxes, top_symbols = candidates.boxes[row, indices].tolist(), _top_symbols(candidates, row, indices, config.symbols)
    for place, class_id, score, box, symbols in zip(places, ids, scores, boxes, top_symbols, strict=True):
        text[place] = config.symbols[class_id]
        characters.append(Character(text[place], score, tuple(box), symbols))
    confidence = math.prod(scores)
    if config.calibration is not None:
        confidence = config.calibration.string(confidence)
    return Reading("".join(text), confidence, tuple(characters))


def _top_symbols(
    candidates: Candidates, row: int, indices: list[int], symbols: str
) -> list[tuple[tuple[str, float], ...]]:
    """Return the likeliest symbols of each of these candidates with the network's scores, surest first."""
    ids, scores = candidates.top_class_id[row, indices].tolist(), candidates.top_confidence[row, indices].tolist()
    return [
        tuple((symbols[i], score) for i, score in zip(*columns, strict=True) if score >= _MIN_TOP_SCORE)
        for columns in zip(ids, scores, strict=True)
    ]


def _with_full_texts(
    candidates: Candidates, chains: list[Chain | None], readings: list[Reading], config: ReadingConfig
) -> list[Reading]:
    """Add the text of all characters to readings of pictures with more than ``max_count``; lower their confidence."""
    rows = np.flatnonzero((candidates.odds > 0).sum(1) > config.max_count)
    if not len(rows):
        return readings
    crowded = candidates.rows(rows)
    trellis = search(crowded, any_string(len(config.symbols), crowded.odds.shape[1]))
    no_spaces = replace(config, layout=TextLayout())  # nothing says where so long a string would have spaces
    for place, row in enumerate(rows.tolist()):
        full_chain, chain = trellis.best(place), chains[row]
        assert full_chain is not None and chain is not None  # there are candidates
        if (candidates.odds[row, list(full_chain.candidates)] > 0).sum() <= config.max_count:
            continue  # some of them stand for the same character
        full_reading = _to_reading(candidates, row, full_chain, no_spaces)
        false_alarms = 1.0  # the probability that all characters that are left out are false detections
        for candidate, character in zip(full_chain.candidates, full_reading.characters, strict=True):
            if candidate not in chain.candidates:
                false_alarms *= 1 - character.confidence
        confidence = readings[row].confidence * false_alarms
        readings[row] = replace(
            readings[row], unconstrained_text=full_reading.text, confidence=confidence, shows_more=True
        )
    return readings


def _fit_to_pattern(
    candidates: Candidates, row: int, chain: Chain | None, unconstrained: Reading, config: ReadingConfig
) -> Reading:
    """Return the reading that fits the pattern, with the unconstrained text if that differs; rejected if none fits.

    Args:
        candidates: of the batch.
        row: of the picture in it.
        chain: the best one that fits the pattern; None if none does.
        unconstrained: the reading without the pattern.
        config: of the reader.
    """
    if chain is None:
        reason = f"nothing that was seen fits the pattern {config.pattern!r}" if unconstrained.text else _NO_CHARACTER
        return replace(unconstrained, text="", rejected=reason, rejected_text=unconstrained.text)
    reading = _to_reading(candidates, row, chain, config)
    unconstrained_text = unconstrained.unconstrained_text or unconstrained.text
    return reading if reading.text == unconstrained_text else replace(reading, unconstrained_text=unconstrained_text)


def _fit_to_model(
    candidates: Candidates, trellis: Trellis, row: int, unconstrained: Reading, config: ReadingConfig
) -> Reading:
    """Return the likeliest reading under the string model, with the unconstrained text if that differs.

    The confidence falls with each symbol that the model changes, by the new symbol's share of the likelihood.

    Args:
        candidates: of the batch, with the network's scores.
        trellis: of the search with the model.
        row: of the picture in the batch.
        unconstrained: the reading without the model.
        config: of the reader.
    """
    chain = trellis.best(row)
    if chain is None:
        return unconstrained
    ids = trellis.candidates.top_class_id[row, chain.candidates, chain.classes].tolist()
    symbols = [config.symbols[i] for i in ids]
    if symbols == [c.symbol for c in unconstrained.characters]:
        return unconstrained
    reading = _to_reading(candidates, row, replace(chain, classes=(0,) * len(ids)), config)
    characters = tuple(
        c if c.symbol == symbol else replace(c, symbol=symbol, confidence=c.confidence * share)
        for c, symbol, share in zip(reading.characters, symbols, chain.shares, strict=True)
    )
    remaining = iter(symbols)
    text = "".join(symbol if symbol == config.space else next(remaining) for symbol in reading.text)
    ratio = math.prod(
        after.confidence / max(before.confidence, 1e-9)
        for after, before in zip(characters, reading.characters, strict=True)
    )
    unconstrained_text = unconstrained.unconstrained_text or unconstrained.text
    reading = replace(
        reading, text=text, characters=characters, confidence=reading.confidence * min(1.0, ratio),
        shows_more=unconstrained.shows_more,
    )  # fmt: skip
    return reading if text == unconstrained_text else replace(reading, unconstrained_text=unconstrained_text)


def _apply_min_confidence(reading: Reading, min_confidence: float, config: ReadingConfig) -> Reading:
    """Reject a reading whose least sure character is below ``min_confidence``, or which leaves characters out."""
    if reading.rejected is not None:
        return reading
    if not reading.characters:
        return replace(reading, rejected=_NO_CHARACTER)
    if config.pattern is None and reading.shows_more:
        full_text = reading.unconstrained_text
        reason = f"more characters were seen than the {config.max_count} that strings may have: {full_text!r}"
        return replace(reading, text="", rejected=reason, rejected_text=reading.text)
    return reject_unsure(reading, min_confidence)


def reject_unsure(reading: Reading, min_confidence: float) -> Reading:
    """Reject a reading whose least sure character is below ``min_confidence``; it must have a character."""
    number, weakest = min(enumerate(reading.characters, 1), key=lambda pair: pair[1].confidence)
    if weakest.confidence >= min_confidence:
        return reading
    reason = (
        f"character {number}, {weakest.symbol!r}, has confidence {weakest.confidence:.4g}, below {min_confidence:.10g}"
    )
    return replace(reading, text="", rejected=reason, rejected_text=reading.text)


def _with_alternatives(trellis: Trellis, row: int, reading: Reading, config: ReadingConfig, count: int) -> Reading:
    """Add up to ``count`` other strings to a reading; the confidence of each falls with its score."""
    best_score, confidences = None, {reading.text: 0.0}
    for chain in trellis.chains(row, (count + 1) * _SEARCH_STEPS):
        best_score = chain.score if best_score is None else best_score
        text = _to_reading(trellis.candidates, row, chain, config).text
        confidences.setdefault(text, reading.confidence * math.exp(min(0.0, chain.score - best_score)))
        if len(confidences) > count:
            break
    return replace(reading, alternatives=tuple(Alternative(*pair) for pair in list(confidences.items())[1:]))
