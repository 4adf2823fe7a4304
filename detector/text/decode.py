"""From candidate characters to the string: a small search, not a sort. Pure numpy, for a batch at once.

Neighbouring cells of a detector see the same character, often as different classes. Candidates that cover
the same stretch of the reading line exclude each other; the best chain of others is the string.

    candidates.gather: the best, as arrays, along their lines ── search.search: best chain ── layout: spaces ── Reading
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
from detector.text.search import Chain, Searched, search
from detector.text.spacing import TextLayout

_TRIES = 400  # steps of the search for one more string
_MIN_LIKELY = 1e-3  # score from which on a symbol is told among the likely ones
_ODDS_SLOPE = 3.0  # what a network's log odds of a character are worth beside what strings look like
_LEAST_ODDS = -3.0  # of a character, to be looked for because strings look like that
_NOTHING_SEEN = "no character was seen"


def decode(
    detections: CharDetections,
    config: ReadingConfig,
    width: float,
    *,
    min_confidence: float = 0.0,
    alternatives: int = 0,
) -> Reading:
    """The string of one picture; see :func:`decode_batch`."""
    return decode_batch([detections], config, [width], min_confidence=min_confidence, alternatives=alternatives)[0]


def decode_batch(
    batch: Sequence[CharDetections],
    config: ReadingConfig,
    widths: Sequence[float],
    *,
    min_confidence: float = 0.0,
    alternatives: int = 0,
) -> list[Reading]:
    """The strings of many pictures, the same as one at a time and whatever the order of their candidates.

    Args:
        batch: candidates of each picture, before any suppression.
        config: the alphabet, the length, the layout and the pattern.
        widths: of each picture, in the boxes' pixels.
        min_confidence: a reading whose least sure character is below this is rejected, and without a pattern, which
            may well choose among them, one of a picture that shows more characters than ``config.max_count``.
        alternatives: how many of the next likely strings are wanted with each.

    Returns:
        One reading a picture, with at most ``config.length`` symbols; empty where no candidate was found. With a
        pattern, the text fits it or the reading is rejected.
    """
    if len(batch) != len(widths):
        raise ValueError(f"{len(batch)} pictures and {len(widths)} widths: one is shorter")
    if not batch:
        return []
    seen = gather(batch, config, widths)
    free = search(seen, any_string(len(config.symbols), min(config.max_count, seen.odds.shape[1])), config.min_count)
    chains = [free.best(row) for row in range(len(batch))]
    readings = [_to_reading(seen, row, chain, config) for row, chain in enumerate(chains)]
    readings, searched = _too_long(seen, chains, readings, config), free
    if (allowed := allowed_strings(config)) is not None:
        if allowed.has_spaces:
            seen = replace(seen, spaces=_expected_spaces(seen, chains, config))
        searched = search(seen, allowed)
        readings = [_by_pattern(seen, row, searched.best(row), read, config) for row, read in enumerate(readings)]
    elif config.string_model is not None:
        seen = seen.likely(_LEAST_ODDS)
        most = min(config.max_count, seen.odds.shape[1])
        likelihoods = seen.with_likelihoods(config.symbols, _ODDS_SLOPE)
        searched = search(likelihoods, automaton_of(config.string_model, most), config.min_count)
        readings = [_by_model(seen, searched, row, read, config) for row, read in enumerate(readings)]
    if alternatives > 0:
        readings = [_alternatives(searched, row, r, config, alternatives) for row, r in enumerate(readings)]
    return [_believed(reading, min_confidence, config) for reading in readings] if min_confidence > 0 else readings


def decode_again(
    readings: Sequence[Reading], config: ReadingConfig, *, min_confidence: float = 0.0, alternatives: int = 0
) -> list[Reading]:
    """The readings, decoded from their evidence by another config; boxes in the pictures' own pixels.

    Raises:
        ValueError: if one has no evidence.
    """
    kept = [reading.evidence for reading in readings if reading.evidence is not None]
    if len(kept) < len(readings):
        raise ValueError(f"{len(readings) - len(kept)} of {len(readings)} readings have no evidence")
    batch, widths = [e.detections for e in kept], [e.width for e in kept]
    decoded = decode_batch(batch, config, widths, min_confidence=min_confidence, alternatives=alternatives)
    return [reading.mapped(e.to_picture) for reading, e in zip(decoded, kept, strict=True)]


def _expected_spaces(
    seen: Candidates, chains: list[Chain | None], config: ReadingConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By the layout, see :meth:`TextLayout.spaces`; chains read without a pattern show how far apart letters are."""
    size, n = seen.odds.shape
    first, between = np.zeros((size, n), np.int64), np.zeros((size, n, n), np.int64)
    for row, chain in enumerate(chains):
        if chain is not None:
            first[row], between[row] = config.layout.spaces(
                seen.deskewed[row], seen.widths[row], config.length, seen.line[row], np.array(chain.candidates)
            )
    return first, between


def _to_reading(seen: Candidates, row: int, chain: Chain | None, config: ReadingConfig) -> Reading:
    """The string of a chain: with the pattern's spaces, or else with the layout's."""
    if chain is None:
        return Reading("", 0.0, ())
    chosen = list(chain.candidates)
    if chain.spaces is None:
        deskewed, line = seen.deskewed[row, chosen], seen.line[row, chosen]
        places = config.layout.places(deskewed, float(seen.widths[row]), config.length, line).tolist()
    else:
        places = (np.cumsum(np.array(chain.spaces) + 1) - 1).tolist()
    ids = seen.top_class_id[row, chosen, chain.classes].tolist()
    scores = seen.top_confidence[row, chosen, chain.classes].tolist()
    if config.calibration is not None:
        scores = [config.calibration.character(score) for score in scores]
    text = [config.space] * (places[-1] + 1)
    characters = []
    boxes, likely = seen.boxes[row, chosen].tolist(), _likely(seen, row, chosen, config.symbols)
    for place, class_id, score, box, symbols in zip(places, ids, scores, boxes, likely, strict=True):
        text[place] = config.symbols[class_id]
        characters.append(Character(text[place], score, tuple(box), symbols))
    confidence = math.prod(scores)
    if config.calibration is not None:
        confidence = config.calibration.string(confidence)
    return Reading("".join(text), confidence, tuple(characters))


def _likely(seen: Candidates, row: int, chosen: list[int], symbols: str) -> list[tuple[tuple[str, float], ...]]:
    """The symbols of each chosen candidate with the network's scores, surest first."""
    ids, scores = seen.top_class_id[row, chosen].tolist(), seen.top_confidence[row, chosen].tolist()
    return [
        tuple((symbols[i], score) for i, score in zip(*columns, strict=True) if score >= _MIN_LIKELY)
        for columns in zip(ids, scores, strict=True)
    ]


def _too_long(
    seen: Candidates, chains: list[Chain | None], readings: list[Reading], config: ReadingConfig
) -> list[Reading]:
    """The readings; where a picture shows more characters than may be read, with these, and less sure for each."""
    rows = np.flatnonzero((seen.odds > 0).sum(1) > config.max_count)
    if not len(rows):
        return readings
    some = seen.rows(rows)
    searched = search(some, any_string(len(config.symbols), some.odds.shape[1]))
    plain = replace(config, layout=TextLayout())  # where spaces would be, nobody knows
    for place, row in enumerate(rows.tolist()):
        whole, read = searched.best(place), chains[row]
        assert whole is not None and read is not None  # there are candidates
        if (seen.odds[row, list(whole.candidates)] > 0).sum() <= config.max_count:
            continue  # some of them stand for the same character
        shown = _to_reading(seen, row, whole, plain)
        no_more = 1.0
        for candidate, character in zip(whole.candidates, shown.characters, strict=True):
            if candidate not in read.candidates:
                no_more *= 1 - character.confidence
        confidence = readings[row].confidence * no_more
        readings[row] = replace(readings[row], unconstrained_text=shown.text, confidence=confidence, shows_more=True)
    return readings


def _by_pattern(seen: Candidates, row: int, chain: Chain | None, without: Reading, config: ReadingConfig) -> Reading:
    """The string that fits the pattern, and what would be read without it; rejected where none does."""
    if chain is None:
        reason = f"nothing that was seen fits the pattern {config.pattern!r}" if without.text else _NOTHING_SEEN
        return replace(without, text="", rejected=reason, rejected_text=without.text)
    reading = _to_reading(seen, row, chain, config)
    shown = without.unconstrained_text or without.text
    return reading if reading.text == shown else replace(reading, unconstrained_text=shown)


def _by_model(seen: Candidates, searched: Searched, row: int, without: Reading, config: ReadingConfig) -> Reading:
    """The string that is likeliest as strings look like; what was read of symbols that stay the same stays, too."""
    chain = searched.best(row)
    if chain is None:
        return without
    ids = searched.seen.top_class_id[row, list(chain.candidates), chain.classes]
    signs = [config.symbols[i] for i in ids]
    if signs == [c.symbol for c in without.characters]:
        return without
    reading = _to_reading(seen, row, replace(chain, classes=(0,) * len(ids)), config)
    characters = tuple(
        c if c.symbol == sign else replace(c, symbol=sign, confidence=c.confidence * share)
        for c, sign, share in zip(reading.characters, signs, chain.shares, strict=True)
    )
    coming = iter(signs)
    text = "".join(sign if sign == config.space else next(coming) for sign in reading.text)
    surer = math.prod(
        c.confidence / max(b.confidence, 1e-9) for c, b in zip(characters, reading.characters, strict=True)
    )
    shown = without.unconstrained_text or without.text
    reading = replace(
        reading, text=text, characters=characters, confidence=reading.confidence * min(1.0, surer),
        shows_more=without.shows_more,
    )  # fmt: skip
    return reading if text == shown else replace(reading, unconstrained_text=shown)


def _believed(reading: Reading, min_confidence: float, config: ReadingConfig) -> Reading:
    """The reading, rejected where its least sure character is below ``min_confidence``, or where it leaves some out."""
    if reading.rejected is not None:
        return reading
    if not reading.characters:
        return replace(reading, rejected=_NOTHING_SEEN)
    if config.pattern is None and reading.shows_more:
        shown = reading.unconstrained_text
        reason = f"more characters were seen than the {config.max_count} that strings may have: {shown!r}"
        return replace(reading, text="", rejected=reason, rejected_text=reading.text)
    return reject_unsure(reading, min_confidence)


def reject_unsure(reading: Reading, min_confidence: float) -> Reading:
    """Reject a reading, of one character at least, whose least sure one is below ``min_confidence``."""
    number, least = min(enumerate(reading.characters, 1), key=lambda pair: pair[1].confidence)
    if least.confidence >= min_confidence:
        return reading
    reason = f"character {number}, {least.symbol!r}, has confidence {least.confidence:.4g}, below {min_confidence:.10g}"
    return replace(reading, text="", rejected=reason, rejected_text=reading.text)


def _alternatives(searched: Searched, row: int, reading: Reading, config: ReadingConfig, most: int) -> Reading:
    """The reading with up to ``most`` other strings; each is as much less sure as its score is behind."""
    best, found = None, {reading.text: 0.0}
    for chain in searched.chains(row, (most + 1) * _TRIES):
        best = chain.score if best is None else best
        text = _to_reading(searched.seen, row, chain, config).text
        found.setdefault(text, reading.confidence * math.exp(min(0.0, chain.score - best)))
        if len(found) > most:
            break
    return replace(reading, alternatives=tuple(Alternative(*pair) for pair in list(found.items())[1:]))
