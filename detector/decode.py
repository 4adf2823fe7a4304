"""From candidate characters to the string: a small search, not a sort. Pure numpy, for a batch at once.

Neighbouring cells of a detector see the same character, often as different classes. Candidates that cover
the same stretch of the reading line exclude each other; among all chains of candidates that do not, the one
with the greatest sum of log odds is taken, of the length that the rules ask for. A pattern, where there is one,
says which symbols may follow which: the chain then also walks through its automaton, and each candidate is read as
the likeliest of its classes that the pattern allows there.

    candidates ── _gather: the best, as arrays ── straighten, reading_order ── _search: best chain ── layout: blanks
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.alphabet import DEFAULT_LENGTH, DEFAULT_SYMBOLS, Alphabet
from detector.calibration import Calibration
from detector.detections import Alternative, Character, CharDetections, Reading
from detector.errors import DatasetError
from detector.layout import Layout
from detector.lines import reading_order, straighten
from detector.patterns import Automaton, any_string, compile_pattern

MIN_SCORE = 0.02
"""Candidates whose presence is below this are not looked at."""

MAX_CANDIDATES = 48
"""Best candidates of a picture that enter the search."""

_FREE_SCORE = 0.3  # where the length is free, a character must be likelier than this to be added
_OVERLAP = 0.55  # of the narrower one, along the reading line, above which two candidates are one place
_WITHIN = 0.8  # likewise, before boxes are narrowed: one that lies inside another is the same place in slanted text too
_BLANK_COST = 4.0  # log odds that a pattern must be worth to put a blank where none is seen, or to leave one out
_LEAST_SCORE = 1e-6  # of a class, so that its logarithm exists
_NEVER = -1e9
_UNLIKELY = 12.0  # log odds behind the best string, from which on another one is not worth telling
_TRIES = 400  # steps of the search for one more string
_NOTHING_SEEN = "no character was seen"


@dataclass(frozen=True)
class ReadingRules:
    """What a reader must know besides its network; travels in data.yaml and in the weights.

    Args:
        symbols: the alphabet, in class-id order.
        blank: the symbol that is never detected.
        length: symbols that a string may have, blanks included.
        min_count, max_count: symbols other than blanks that strings have; equal where all have as many.
        layout: where blanks are.
        shape_hw: height and width of the network's input; None where it fits any.
        pattern: what strings look like, as :mod:`detector.patterns` describes; None where they may be anything.
        calibration: what the network's scores are worth; None where that was not learnt.
        second_look: whether readers look twice, see :mod:`detector.looks`; None where nobody has tried.

    Raises:
        AlphabetError: if the alphabet is none, or the pattern is not understood or allows no string of this length.
        DatasetError: if the counts make no sense.
    """

    symbols: str = DEFAULT_SYMBOLS
    blank: str = " "
    length: int = DEFAULT_LENGTH
    min_count: int = 1
    max_count: int = DEFAULT_LENGTH
    layout: Layout = field(default_factory=Layout)
    shape_hw: tuple[int, int] | None = None
    pattern: str | None = None
    calibration: Calibration | None = None
    second_look: bool | None = None

    def __post_init__(self) -> None:
        Alphabet(self.symbols, self.blank)
        if not 1 <= self.min_count <= self.max_count <= self.length:
            raise DatasetError(
                "Reading rules need 1 <= min_count <= max_count <= length, "
                f"got {self.min_count}, {self.max_count}, {self.length}."
            )
        if self.shape_hw is not None:
            object.__setattr__(self, "shape_hw", (int(self.shape_hw[0]), int(self.shape_hw[1])))
        object.__setattr__(self, "pattern", self.pattern or None)
        if self.pattern is not None:  # one that cannot be met is refused here, not with the first picture
            compile_pattern(self.pattern, self.alphabet, self.length, self.min_count, self.max_count)

    @property
    def alphabet(self) -> Alphabet:
        """The symbols and the blank as a table."""
        return Alphabet(self.symbols, self.blank)

    @property
    def looks_twice(self) -> bool:
        """Whether readers look twice if they are not told: untried, where the network fits no one kind of picture."""
        return self.shape_hw is None if self.second_look is None else self.second_look

    @property
    def allowed(self) -> Automaton | None:
        """The strings that the pattern allows; None without one."""
        if self.pattern is None:
            return None
        return compile_pattern(self.pattern, self.alphabet, self.length, self.min_count, self.max_count)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML, JSON and weights; without what was not learnt."""
        plain = asdict(self)
        for learnt in ("calibration", "second_look"):
            if plain[learnt] is None:
                del plain[learnt]
        plain["layout"]["thresholds"] = list(self.layout.thresholds)
        plain["shape_hw"] = list(self.shape_hw) if self.shape_hw else None
        return plain

    @staticmethod
    def from_dict(held: dict[str, Any]) -> ReadingRules:
        """The inverse of :meth:`to_dict`.

        Raises:
            DatasetError: naming keys that are unknown, or values that make no sense.
        """
        try:
            values = dict(held)
            layout = Layout(**values.pop("layout", {}))
            learnt = values.pop("calibration", None)
            calibration = None if learnt is None else Calibration.from_dict(learnt)
            return ReadingRules(**values, layout=layout, calibration=calibration)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DatasetError(f"Reading rules cannot be understood ({error}); was this file edited?") from error


def decode(
    detections: CharDetections, rules: ReadingRules, width: float, *, min_confidence: float = 0.0, alternatives: int = 0
) -> Reading:
    """The string of one picture; see :func:`decode_batch`."""
    return decode_batch([detections], rules, [width], min_confidence=min_confidence, alternatives=alternatives)[0]


def decode_batch(
    batch: Sequence[CharDetections],
    rules: ReadingRules,
    widths: Sequence[float],
    *,
    min_confidence: float = 0.0,
    alternatives: int = 0,
) -> list[Reading]:
    """The strings of many pictures, the same as one at a time and whatever the order of their candidates.

    Args:
        batch: candidates of each picture, before any suppression.
        rules: the alphabet, the length, the layout and the pattern.
        widths: of each picture, in the boxes' pixels.
        min_confidence: a reading whose least sure character is below this is refused, and one of a picture that
            shows more characters than ``rules.max_count``.
        alternatives: how many of the next likely strings are wanted with each.

    Returns:
        One reading a picture, with at most ``rules.length`` symbols; empty where no candidate was found. With a
        pattern, the text fits it or the reading is refused.
    """
    if len(batch) != len(widths):
        raise ValueError(f"{len(batch)} pictures and {len(widths)} widths: one is shorter")
    if not batch:
        return []
    seen = _gather(batch, rules, widths)
    free = _search(seen, any_string(len(rules.symbols), min(rules.max_count, seen.odds.shape[1])), rules.min_count)
    chains = [free.best(row) for row in range(len(batch))]
    if rules.allowed is None:
        readings = [_to_reading(seen, row, chain, rules) for row, chain in enumerate(chains)]
        readings = _too_long(seen, chains, readings, rules)
        searched = free
    else:
        if rules.allowed.has_blanks:
            seen = replace(seen, blanks=_expected_blanks(seen, chains, rules))
        searched = _search(seen, rules.allowed)
        readings = [_by_pattern(seen, row, searched.best(row), chain, rules) for row, chain in enumerate(chains)]
    if alternatives > 0:
        readings = [_alternatives(searched, row, r, rules, alternatives) for row, r in enumerate(readings)]
    return [_believed(reading, min_confidence, rules) for reading in readings] if min_confidence > 0 else readings


# Candidates as arrays


@dataclass(frozen=True)
class _Seen:
    """The best candidates of a batch in reading order, filled up to ``n`` a picture.

    Args:
        boxes: (batch, n, 4), as they are in the picture.
        straight: (batch, n, 4), as they would be in straight text.
        line: (batch, n).
        odds: (batch, n), log odds that there is a character; ``_NEVER`` where a picture has fewer.
        top_ids, top_scores: (batch, n, k), surest first.
        barrier: (batch, n, n), 0 where the second may follow the first, else ``_NEVER``.
        widths: (batch,), of the pictures.
        blanks: expected before each candidate and between each two, (batch, n) and (batch, n, n), for a pattern.
    """

    boxes: NDArray[np.float64]
    straight: NDArray[np.float64]
    line: NDArray[np.int64]
    odds: NDArray[np.float64]
    top_ids: NDArray[np.int64]
    top_scores: NDArray[np.float64]
    barrier: NDArray[np.float64]
    widths: NDArray[np.float64]
    blanks: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


def _gather(batch: Sequence[CharDetections], rules: ReadingRules, widths: Sequence[float]) -> _Seen:
    """The best candidates of every picture, along its lines; ties are broken by content, so order does not matter."""
    picture = np.repeat(np.arange(len(batch)), [len(d) for d in batch])
    presence = np.concatenate([d.presence for d in batch])
    seen = np.flatnonzero(presence >= MIN_SCORE)
    boxes = np.concatenate([d.boxes_xyxy for d in batch])[seen].astype(np.float64)
    scores, ids = (np.concatenate([getattr(d, name) for d in batch])[seen] for name in ("scores", "class_ids"))
    picture, presence = picture[seen], presence[seen]
    content = (-scores, ids, *boxes.T[::-1], -presence, picture)  # the last one is looked at first
    order = np.lexsort(content)
    picture = picture[order]
    rank = np.arange(len(order)) - np.searchsorted(picture, picture)
    kept = rank < MAX_CANDIDATES
    order, at = order[kept], (picture[kept], rank[kept])
    counts = np.bincount(at[0], minlength=len(batch))
    shape = (len(batch), max(1, int(counts.max())))

    def filled(values: NDArray[Any], filling: float) -> NDArray[Any]:
        full = np.full((*shape, *values.shape[1:]), filling, values.dtype)
        full[at] = values[order]
        return full

    present = filled(presence.astype(np.float64), 0.0)
    layout = rules.layout
    straight = straighten(
        filled(boxes, 0.0), present, np.asarray(widths, np.float64), layout.lines,
        lowest_line=layout.lowest_line, stacked=layout.stacked,
    )  # fmt: skip
    place = np.arange(shape[0])[:, None], reading_order(straight)
    present = np.where(straight.aside, 0.0, present)
    p = np.clip(present, 1e-4, 1 - 1e-4)
    odds = np.where(present > 0, np.log(p / (1 - p)), _NEVER)[place]
    top_ids, top_scores = _likeliest(batch, seen)
    along, line = straight.boxes_xyxy[place], straight.line[place]
    return _Seen(
        boxes=filled(boxes, 0.0)[place],
        straight=along + np.stack([straight.start, 0 * straight.start] * 2, 1)[:, None],
        line=line,
        odds=odds,
        top_ids=filled(top_ids, 0)[place],
        top_scores=filled(top_scores, 0.0)[place],
        barrier=_barrier(along, straight.whole_xyxy[place], line),
        widths=np.asarray(widths, np.float64),
    )


def _likeliest(
    batch: Sequence[CharDetections], seen: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Likeliest classes and their scores, (candidates, k), 0 where a picture of the batch has fewer."""
    k = max(d.top_ids.shape[1] for d in batch)
    ids, scores = (
        np.concatenate([np.pad(c, ((0, 0), (0, k - c.shape[1]))) if c.shape[1] < k else c for c in columns])[seen]
        for columns in ([d.top_ids for d in batch], [d.top_scores for d in batch])
    )
    return ids, scores.astype(np.float64)


def _barrier(along: NDArray[np.float64], whole: NDArray[np.float64], line: NDArray[np.int64]) -> NDArray[np.float64]:
    """Which candidate may follow which: a later one, elsewhere on the line or on a later line."""
    apart = _share_at_most(along, _OVERLAP) & _share_at_most(whole, _WITHIN)
    if line.any():
        apart |= line[:, :, None] != line[:, None]
    apart &= np.tri(along.shape[1], k=-1, dtype=bool).T  # i before j
    return np.where(apart, 0.0, _NEVER)


def _share_at_most(boxes: NDArray[np.float64], most: float) -> NDArray[np.bool_]:
    """Which pairs, (batch, i, j), share at most this part of the narrower one's extent along the line."""
    x1, x2 = boxes[..., 0], boxes[..., 2]
    width = np.maximum(x2 - x1, 1e-6)
    shared = np.minimum(x2[:, :, None], x2[:, None]) - np.maximum(x1[:, :, None], x1[:, None])
    return np.asarray(shared <= most * np.minimum(width[:, :, None], width[:, None]))


def _expected_blanks(
    seen: _Seen, chains: list[_Chain | None], rules: ReadingRules
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By the layout, see :meth:`Layout.blanks`; the chains read without a pattern show how far letters stand apart."""
    size, n = seen.odds.shape
    first, between = np.zeros((size, n), np.int64), np.zeros((size, n, n), np.int64)
    for row, chain in enumerate(chains):
        if chain is not None:
            first[row], between[row] = rules.layout.blanks(
                seen.straight[row], seen.widths[row], rules.length, seen.line[row], np.array(chain.candidates)
            )
    return first, between


# The search


@dataclass(frozen=True)
class _Chain:
    """Chosen candidates in reading order, which of its likeliest classes each is read as, and blanks before each.

    ``blanks`` is None where no pattern says how many: the layout does then.
    """

    candidates: tuple[int, ...]
    classes: tuple[int, ...]
    blanks: tuple[int, ...] | None
    score: float


@dataclass(frozen=True)
class _Searched:
    """Everything that the search knows; layers and states are the automaton's.

    Args:
        total: of each layer, (states, batch, n): the greatest score of a string whose last character is this candidate.
        via: likewise: by which edge, as its place in the layer.
        before: of each layer, by state: (batch, n), the candidate before, for an edge out of that state to each one.
        gains: of each class set, (batch, n, k): what a candidate adds that is read as each of its likeliest classes.
        choice: likewise, (batch, n): which of them is best.
        ends: as ``total``, where a string may end, less what each of its characters must be worth.
        last: (batch,), the layer at which the best string of each picture ends.
        score: (batch,), what that string has in ``ends``.
    """

    seen: _Seen
    automaton: Automaton
    total: list[NDArray[np.float64]]
    via: list[NDArray[np.intp]]
    before: list[dict[int, NDArray[np.intp]]]
    gains: dict[frozenset[int], NDArray[np.float64]]
    choice: dict[frozenset[int], NDArray[np.intp]]
    ends: list[NDArray[np.float64]]
    last: NDArray[np.intp]
    score: NDArray[np.float64]

    @property
    def by_pattern(self) -> bool:
        """Whether the automaton is a pattern's, and says where blanks are."""
        return self.automaton.is_pattern

    def best(self, row: int) -> _Chain | None:
        """The likeliest string of picture ``row``; None if there is none."""
        layer, score = int(self.last[row]), float(self.score[row])
        if score < _NEVER / 2:
            return None
        ends = self.ends[layer][:, row]  # (states, n)
        state, j = divmod(int(ends.argmax()), ends.shape[1])
        candidates, classes, blanks = [], [], []
        while self.automaton.counts[layer][state]:
            edge = self.automaton.layers[layer - 1][int(self.via[layer][state, row, j])]
            layer, state = layer - 1, edge.source
            if edge.class_ids is not None:
                candidates.append(j)
                classes.append(int(self.choice[edge.class_ids][row, j]))
                blanks.append(self.automaton.pending[layer][state])
                if state in self.before[layer]:
                    j = int(self.before[layer][state][row, j])
        return self._chain(candidates[::-1], classes[::-1], blanks[::-1], score)

    def _chain(self, candidates: list[int], classes: list[int], blanks: list[int], score: float) -> _Chain:
        return _Chain(tuple(candidates), tuple(classes), tuple(blanks) if self.by_pattern else None, score)

    def chains(self, row: int, steps: int) -> Iterator[_Chain]:
        """Strings of picture ``row``, the likeliest first, some of them more than once.

        The A* algorithm, from the end of the string to its beginning: ``total`` says exactly how good the rest can
        get. It gives up after so many steps, or where strings are too unlikely.
        """
        order = count()
        heap: list[tuple[float, int, _Part]] = []
        for layer, ends in enumerate(self.ends):
            for state, j in np.argwhere(ends[:, row] > _NEVER / 2).tolist():
                after = float(ends[state, row, j] - self.total[layer][state, row, j])
                heap.append((-float(ends[state, row, j]), next(order), _Part(layer, state, j, after)))
        heapify(heap)
        least = -heap[0][0] - _UNLIKELY if heap else 0.0
        for _ in range(steps):
            if not heap:
                return
            bound, _, part = heappop(heap)
            if part.j is None:
                yield self._chain(list(part.candidates), list(part.classes), list(part.blanks), -bound)
                continue
            for likely, longer in self._longer(row, part):
                if likely > least:
                    heappush(heap, (-likely, next(order), longer))

    def _longer(self, row: int, part: _Part) -> Iterator[tuple[float, _Part]]:
        """The ways on towards the beginning, each with the score of the best string that goes it."""
        t, j, seen = part.layer - 1, part.j, self.seen
        assert j is not None  # a whole string is not made longer
        for edge in self.automaton.layers[t]:
            if edge.target != part.state:
                continue
            rest = self.total[t][edge.source, row]  # (n,)
            if edge.class_ids is None:
                yield part.after + float(rest[j]), part._replace(layer=t, state=edge.source)
                continue
            pending = self.automaton.pending[t][edge.source]
            gains = self.gains[edge.class_ids][row, j]
            for choice in np.flatnonzero(gains > _NEVER / 2).tolist():
                longer = _Part(
                    t, edge.source, None, part.after + float(gains[choice]), (j, *part.candidates),
                    (choice, *part.classes), (pending, *part.blanks),
                )  # fmt: skip
                if self.automaton.counts[t][edge.source] == 0:
                    yield longer.after + float(_start(seen, pending, (row, j))), longer
                    continue
                link = _link(seen, pending, (row, slice(None), j))  # (n,)
                for i in np.flatnonzero(rest + link > _NEVER / 2).tolist():
                    whole = longer._replace(j=i, after=longer.after + float(link[i]))
                    yield whole.after + float(rest[i]), whole


class _Part(NamedTuple):
    """The end of a string whose beginning is still open.

    ``candidates``, ``classes`` and ``blanks`` are as in a chain; candidate ``j`` stands before them, None where they
    are the whole string; ``after`` is what they add to the score.
    """

    layer: int
    state: int
    j: int | None
    after: float
    candidates: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    blanks: tuple[int, ...] = ()


def _search(seen: _Seen, automaton: Automaton, at_least: int = 0) -> _Searched:
    """Viterbi over candidates and the automaton's states, for a batch at once.

    Args:
        seen: the candidates.
        automaton: the strings that are allowed.
        at_least: characters that a string has where the picture shows so many.
    """
    size, n = seen.odds.shape
    sets = {edge.class_ids for layer in automaton.layers for edge in layer if edge.class_ids is not None}
    gains = {class_ids: _gains(seen, class_ids) for class_ids in sets}
    choice = {class_ids: values.argmax(2) for class_ids, values in gains.items()}
    gain = {class_ids: values.max(2) for class_ids, values in gains.items()}
    total = [np.zeros((1, size, n))]
    via = [np.zeros((1, size, n), np.intp)]
    before: list[dict[int, NDArray[np.intp]]] = []
    links = {pending: _link(seen, pending) for pending in {p for layer in automaton.pending for p in layer}}
    for t, edges in enumerate(automaton.layers):
        states = len(automaton.counts[t + 1])
        total.append(np.full((states, size, n), 2 * _NEVER))
        via.append(np.zeros((states, size, n), np.intp))
        before.append({})
        reach: dict[int, NDArray[np.float64]] = {}
        for number, edge in enumerate(edges):
            if edge.class_ids is None:
                value = total[t][edge.source]
            else:
                if edge.source not in reach:
                    reach[edge.source] = _reach(seen, automaton, t, edge.source, total, before, links)
                value = reach[edge.source] + gain[edge.class_ids]
            better = value > total[t + 1][edge.target]
            np.copyto(total[t + 1][edge.target], value, where=better)
            via[t + 1][edge.target][better] = number
    ends, tops = _ends(automaton, total, at_least)
    return _Searched(seen, automaton, total, via, before, gains, choice, ends, tops.argmax(0), tops.max(0))


def _gains(seen: _Seen, class_ids: frozenset[int]) -> NDArray[np.float64]:
    """What each candidate adds as each of its likeliest classes, (batch, n, k); ``_NEVER`` where it is none of these.

    Log odds that it is a character, less how much likelier its best class is than this one.
    """
    known = np.zeros(max(int(seen.top_ids.max()), *class_ids) + 1, bool)
    known[list(class_ids)] = True
    allowed = known[seen.top_ids]
    allowed[..., 1:] &= seen.top_scores[..., 1:] > 0
    logs = np.log(np.maximum(seen.top_scores, _LEAST_SCORE))
    return np.asarray(np.where(allowed, seen.odds[..., None] + np.minimum(logs - logs[..., :1], 0.0), _NEVER))


def _link(seen: _Seen, pending: int, at: Any = ...) -> NDArray[np.float64]:
    """What it costs to go from one candidate to another with so many blanks between; (batch, i, j), or a part of it."""
    if seen.blanks is None:
        return np.asarray(seen.barrier[at])
    return np.asarray(seen.barrier[at] - _BLANK_COST * abs(seen.blanks[1][at] - pending))


def _start(seen: _Seen, pending: int, at: Any = ...) -> NDArray[np.float64]:
    """What it costs to begin with each candidate after so many blanks; (batch, n), or a part of it."""
    if seen.blanks is None:
        return np.zeros_like(seen.odds[at])
    return np.asarray(-_BLANK_COST * abs(seen.blanks[0][at] - pending))


def _reach(
    seen: _Seen, automaton: Automaton, t: int, state: int, total: list[NDArray[np.float64]],
    before: list[dict[int, NDArray[np.intp]]], links: dict[int, NDArray[np.float64]],
) -> NDArray[np.float64]:  # fmt: skip
    """Greatest score with which each candidate can come next after this state, (batch, n)."""
    pending = automaton.pending[t][state]
    if automaton.counts[t][state] == 0:
        return _start(seen, pending)
    chain = total[t][state][:, :, None] + links[pending]  # (batch, i, j)
    best = chain.argmax(1)
    before[t][state] = best
    return np.take_along_axis(chain, best[:, None], 1)[:, 0]


def _ends(
    automaton: Automaton, total: list[NDArray[np.float64]], at_least: int
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Totals where a string may end, and the greatest of each layer and picture, (layers, batch).

    Where strings may differ in length, each character must be worth its place.
    """
    worth = math.log(_FREE_SCORE / (1 - _FREE_SCORE))
    ends = []
    for counts, accepting, layer in zip(automaton.counts, automaton.accepting, total, strict=True):
        may_end = [(0.0 if yes else 2 * _NEVER) - worth * count for yes, count in zip(accepting, counts, strict=True)]
        ends.append(layer + np.array(may_end)[:, None, None])
    tops = np.stack([layer.max((0, 2)) for layer in ends])
    if at_least:
        longest = np.array([max(counts) for counts in automaton.counts])[:, None]
        most = np.where(tops > _NEVER / 2, longest, 0).max(0)  # characters of the longest string that a picture shows
        short = longest < np.minimum(most, at_least)  # (layers, batch)
        for k in np.flatnonzero(short.any(1)):
            ends[k][:, short[k]] = 2 * _NEVER
        tops = np.where(short, 2 * _NEVER, tops)
    return ends, tops


# Readings


def _to_reading(seen: _Seen, row: int, chain: _Chain | None, rules: ReadingRules) -> Reading:
    """The string of a chain: with the pattern's blanks, or else with the layout's."""
    if chain is None:
        return Reading("", 0.0, ())
    chosen = list(chain.candidates)
    if chain.blanks is None:
        straight, line = seen.straight[row, chosen], seen.line[row, chosen]
        places = rules.layout.places(straight, float(seen.widths[row]), rules.length, line).tolist()
    else:
        places = (np.cumsum(np.array(chain.blanks) + 1) - 1).tolist()
    ids = seen.top_ids[row, chosen, chain.classes].tolist()
    scores = seen.top_scores[row, chosen, chain.classes].tolist()
    if rules.calibration is not None:
        scores = [rules.calibration.character(score) for score in scores]
    text = [rules.blank] * (places[-1] + 1)
    characters = []
    for place, class_id, score, box in zip(places, ids, scores, seen.boxes[row, chosen].tolist(), strict=True):
        text[place] = rules.symbols[class_id]
        characters.append(Character(text[place], score, tuple(box)))
    confidence = math.prod(scores)
    if rules.calibration is not None:
        confidence = rules.calibration.string(confidence)
    return Reading("".join(text), confidence, tuple(characters))


def _too_long(seen: _Seen, chains: list[_Chain | None], readings: list[Reading], rules: ReadingRules) -> list[Reading]:
    """The readings; where a picture shows more characters than may be read, with these, and less sure for each."""
    rows = np.flatnonzero((seen.odds > 0).sum(1) > rules.max_count)
    if not len(rows):
        return readings
    columns: dict[str, Any] = {f.name: getattr(seen, f.name)[rows] for f in fields(seen) if f.name != "blanks"}
    some = _Seen(**columns)
    searched = _search(some, any_string(len(rules.symbols), some.odds.shape[1]))
    plain = replace(rules, layout=Layout())  # where blanks would be, nobody knows
    for place, row in enumerate(rows.tolist()):
        whole, read = searched.best(place), chains[row]
        assert whole is not None and read is not None  # there are candidates
        if (seen.odds[row, list(whole.candidates)] > 0).sum() <= rules.max_count:
            continue  # some of them stand for the same character
        shown = _to_reading(seen, row, whole, plain)
        no_more = 1.0
        for candidate, character in zip(whole.candidates, shown.characters, strict=True):
            if candidate not in read.candidates:
                no_more *= 1 - character.confidence
        confidence = readings[row].confidence * no_more
        readings[row] = replace(readings[row], overruled=shown.text, confidence=confidence)
    return readings


def _by_pattern(seen: _Seen, row: int, chain: _Chain | None, free: _Chain | None, rules: ReadingRules) -> Reading:
    """The string that fits the pattern, and what it overruled; refused where none does."""
    without = _to_reading(seen, row, free, rules)
    if chain is None:
        reason = f"nothing that was seen fits the pattern {rules.pattern!r}" if without.text else _NOTHING_SEEN
        return replace(without, text="", refused=reason, candidate=without.text)
    reading = _to_reading(seen, row, chain, rules)
    return reading if reading.text == without.text else replace(reading, overruled=without.text)


def _believed(reading: Reading, min_confidence: float, rules: ReadingRules) -> Reading:
    """The reading, refused where its least sure character is below ``min_confidence``, or where it leaves some out."""
    if reading.refused is not None:
        return reading
    if not reading.characters:
        return replace(reading, refused=_NOTHING_SEEN)
    if rules.pattern is None and reading.overruled is not None:
        reason = f"more characters were seen than the {rules.max_count} that strings may have: {reading.overruled!r}"
        return replace(reading, text="", refused=reason, candidate=reading.text)
    number, least = min(enumerate(reading.characters, 1), key=lambda pair: pair[1].confidence)
    if least.confidence >= min_confidence:
        return reading
    reason = f"character {number}, {least.symbol!r}, has confidence {least.confidence:.4g}, below {min_confidence:.10g}"
    return replace(reading, text="", refused=reason, candidate=reading.text)


def _alternatives(searched: _Searched, row: int, reading: Reading, rules: ReadingRules, most: int) -> Reading:
    """The reading with up to ``most`` other strings; each is as much less sure as its score is behind."""
    best, found = None, {reading.text: 0.0}
    for chain in searched.chains(row, (most + 1) * _TRIES):
        best = chain.score if best is None else best
        text = _to_reading(searched.seen, row, chain, rules).text
        found.setdefault(text, reading.confidence * math.exp(min(0.0, chain.score - best)))
        if len(found) > most:
            break
    return replace(reading, alternatives=tuple(Alternative(*pair) for pair in list(found.items())[1:]))
