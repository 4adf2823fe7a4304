"""The likeliest string that candidates can spell: Viterbi's algorithm over an automaton. Pure numpy, a batch at once.

Among all chains of candidates that do not exclude each other, the one with the greatest sum of log odds is taken, of a
length that is allowed. The chain also walks through an automaton, that of a pattern or one that allows any string: each
candidate is read as the likeliest of its classes that may stand there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.text.candidates import NEVER, Candidates
from detector.text.forms.automaton import Automaton

_FREE_SCORE = 0.3  # where the length is free, a character must be likelier than this to be added
_SPACE_COST = 4.0  # log odds that a pattern must be worth to put a space where none is seen, or to leave one out
_MIN_CLASS_SCORE = 1e-6  # of a class, so that its logarithm exists
_UNLIKELY = 12.0  # log odds behind the best string, from which on another one is not worth telling


_Kind = tuple[frozenset[int], int | None]
"""The classes of an edge, and its prior."""


@dataclass(frozen=True)
class Chain:
    """Chosen candidates in reading order, which of its likeliest classes each is read as, and spaces before each.

    ``spaces`` is None where no pattern says how many: the layout does then. ``shares`` says how likely each class is
    among those that the candidate may be read as there.
    """

    candidates: tuple[int, ...]
    classes: tuple[int, ...]
    spaces: tuple[int, ...] | None
    score: float
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Trellis:
    """Scores and backpointers of the search (Viterbi's trellis); layers and states are the automaton's.

    Args:
        total: of each layer, (states, batch, n): the greatest score of a string whose last character is this candidate.
        via: likewise: by which edge, as its place in the layer.
        predecessors: of each layer, by state: (batch, n), the best candidate before each, for edges out of that state.
        gains: of each kind of edge, (batch, n, k): what a candidate adds that is read as each of its likeliest classes.
        choice: likewise, (batch, n): which of them is best.
        ends: as ``total``, where a string may end, less what each of its characters must be worth.
        last: (batch,), the layer at which the best string of each picture ends.
        score: (batch,), what that string has in ``ends``.
    """

    candidates: Candidates
    automaton: Automaton
    total: list[NDArray[np.float64]]
    via: list[NDArray[np.intp]]
    predecessors: list[dict[int, NDArray[np.intp]]]
    gains: dict[_Kind, NDArray[np.float64]]
    choice: dict[_Kind, NDArray[np.intp]]
    ends: list[NDArray[np.float64]]
    last: NDArray[np.intp]
    score: NDArray[np.float64]

    @property
    def by_pattern(self) -> bool:
        """Whether the automaton is a pattern's, and says where spaces are."""
        return self.automaton.is_pattern

    def best(self, row: int) -> Chain | None:
        """The likeliest string of picture ``row``; None if there is none."""
        layer, score = int(self.last[row]), float(self.score[row])
        if score < NEVER / 2:
            return None
        ends = self.ends[layer][:, row]  # (states, n)
        state, j = divmod(int(ends.argmax()), ends.shape[1])
        places, classes, spaces, shares = [], [], [], []
        while self.automaton.counts[layer][state]:
            edge = self.automaton.layers[layer - 1][int(self.via[layer][state, row, j])]
            layer, state = layer - 1, edge.source
            if edge.class_ids is not None:
                places.append(j)
                gains = self.gains[edge.class_ids, edge.prior][row, j]
                classes.append(int(self.choice[edge.class_ids, edge.prior][row, j]))
                shares.append(1 / float(np.exp(gains - gains[classes[-1]]).sum()))
                spaces.append(self.automaton.pending[layer][state])
                if state in self.predecessors[layer]:
                    j = int(self.predecessors[layer][state][row, j])
        chain = self._chain(places[::-1], classes[::-1], spaces[::-1], score)
        return replace(chain, shares=tuple(shares[::-1]))

    def _chain(self, candidates: list[int], classes: list[int], spaces: list[int], score: float) -> Chain:
        return Chain(tuple(candidates), tuple(classes), tuple(spaces) if self.by_pattern else None, score)

    def chains(self, row: int, steps: int) -> Iterator[Chain]:
        """Strings of picture ``row``, the likeliest first, some of them more than once.

        The A* algorithm, from the end of the string to its beginning: ``total`` says exactly how good the rest can
        get. It gives up after so many steps, or where strings are too unlikely.
        """
        order = count()
        heap: list[tuple[float, int, _Suffix]] = []
        for layer, ends in enumerate(self.ends):
            for state, j in np.argwhere(ends[:, row] > NEVER / 2).tolist():
                suffix_score = float(ends[state, row, j] - self.total[layer][state, row, j])
                heap.append((-float(ends[state, row, j]), next(order), _Suffix(layer, state, j, suffix_score)))
        heapify(heap)
        min_score = -heap[0][0] - _UNLIKELY if heap else 0.0
        for _ in range(steps):
            if not heap:
                return
            bound, _, suffix = heappop(heap)
            if suffix.j is None:
                yield self._chain(list(suffix.candidates), list(suffix.classes), list(suffix.spaces), -bound)
                continue
            for upper_bound, extension in self._extensions(row, suffix):
                if upper_bound > min_score:
                    heappush(heap, (-upper_bound, next(order), extension))

    def _extensions(self, row: int, suffix: _Suffix) -> Iterator[tuple[float, _Suffix]]:
        """The suffix, an edge longer: each with the greatest score of a string that ends so."""
        t, j, candidates = suffix.layer - 1, suffix.j, self.candidates
        assert j is not None  # a whole string is not made longer
        for edge in self.automaton.layers[t]:
            if edge.target != suffix.state:
                continue
            totals = self.total[t][edge.source, row]  # (n,)
            if edge.class_ids is None:
                yield suffix.suffix_score + float(totals[j]), suffix._replace(layer=t, state=edge.source)
                continue
            pending = self.automaton.pending[t][edge.source]
            gains = self.gains[edge.class_ids, edge.prior][row, j]
            for choice in np.flatnonzero(gains > NEVER / 2).tolist():
                extension = _Suffix(
                    t, edge.source, None, suffix.suffix_score + float(gains[choice]), (j, *suffix.candidates),
                    (choice, *suffix.classes), (pending, *suffix.spaces),
                )  # fmt: skip
                if self.automaton.counts[t][edge.source] == 0:
                    yield extension.suffix_score + float(_start(candidates, pending, (row, j))), extension
                    continue
                link = _link(candidates, pending, (row, slice(None), j))  # (n,)
                for i in np.flatnonzero(totals + link > NEVER / 2).tolist():
                    linked = extension._replace(j=i, suffix_score=extension.suffix_score + float(link[i]))
                    yield linked.suffix_score + float(totals[i]), linked


class _Suffix(NamedTuple):
    """The end of a string whose beginning is still open.

    ``candidates``, ``classes`` and ``spaces`` are as in a chain; candidate ``j`` stands before them, None where they
    are the whole string; ``suffix_score`` is what they add to the score.
    """

    layer: int
    state: int
    j: int | None
    suffix_score: float
    candidates: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    spaces: tuple[int, ...] = ()


def search(candidates: Candidates, automaton: Automaton, at_least: int = 0) -> Trellis:
    """Viterbi over candidates and the automaton's states, for a batch at once.

    Args:
        candidates: the candidates.
        automaton: the strings that are allowed.
        at_least: characters that a string has where the picture shows so many.
    """
    size, n = candidates.odds.shape
    gains = _gains_of(candidates, automaton)
    choice = {kind: values.argmax(2) for kind, values in gains.items()}
    gain = {kind: values.max(2) for kind, values in gains.items()}
    total = [np.zeros((1, size, n))]
    via = [np.zeros((1, size, n), np.intp)]
    predecessors: list[dict[int, NDArray[np.intp]]] = []
    links = {pending: _link(candidates, pending) for pending in {p for layer in automaton.pending for p in layer}}
    for t, edges in enumerate(automaton.layers):
        states = len(automaton.counts[t + 1])
        total.append(np.full((states, size, n), 2 * NEVER))
        via.append(np.zeros((states, size, n), np.intp))
        predecessors.append({})
        reach: dict[int, NDArray[np.float64]] = {}
        for number, edge in enumerate(edges):
            if edge.class_ids is None:
                value = total[t][edge.source]
            else:
                if edge.source not in reach:
                    reach[edge.source] = _reach(candidates, automaton, t, edge.source, total, predecessors, links)
                value = reach[edge.source] + gain[edge.class_ids, edge.prior]
            improved = value > total[t + 1][edge.target]
            np.copyto(total[t + 1][edge.target], value, where=improved)
            via[t + 1][edge.target][improved] = number
    ends, tops = _ends(automaton, total, at_least)
    return Trellis(candidates, automaton, total, via, predecessors, gains, choice, ends, tops.argmax(0), tops.max(0))


def _gains(candidates: Candidates, class_ids: frozenset[int]) -> NDArray[np.float64]:
    """What each candidate adds as each of its likeliest classes, (batch, n, k); ``NEVER`` where it is none of these.

    Log odds that it is a character, less how much likelier its best class is than this one.
    """
    is_of_edge = np.zeros(max(int(candidates.top_class_id.max()), *class_ids) + 1, bool)
    is_of_edge[list(class_ids)] = True
    allowed = is_of_edge[candidates.top_class_id]
    allowed[..., 1:] &= candidates.top_confidence[..., 1:] > 0
    logs = np.log(np.maximum(candidates.top_confidence, _MIN_CLASS_SCORE))
    return np.asarray(np.where(allowed, candidates.odds[..., None] + np.minimum(logs - logs[..., :1], 0.0), NEVER))


def _gains_of(candidates: Candidates, automaton: Automaton) -> dict[_Kind, NDArray[np.float64]]:
    """The same of each kind of edge, with what its prior adds."""
    kinds = {(edge.class_ids, edge.prior) for layer in automaton.layers for edge in layer if edge.class_ids is not None}
    plain = {class_ids: _gains(candidates, class_ids) for class_ids in {class_ids for class_ids, _ in kinds}}
    gains: dict[_Kind, NDArray[np.float64]] = {}
    for class_ids, prior in kinds:
        if prior is None:
            gains[class_ids, prior] = plain[class_ids]
        else:
            assert automaton.priors is not None  # an edge names a row of it
            gains[class_ids, prior] = plain[class_ids] + automaton.priors[prior][candidates.top_class_id]
    return gains


def _link(candidates: Candidates, pending: int, at: Any = ...) -> NDArray[np.float64]:
    """What it costs to go from one candidate to another with so many spaces between; (batch, i, j), or a part of it."""
    if candidates.spaces is None:
        return np.asarray(candidates.barrier[at])
    return np.asarray(candidates.barrier[at] - _SPACE_COST * abs(candidates.spaces[1][at] - pending))


def _start(candidates: Candidates, pending: int, at: Any = ...) -> NDArray[np.float64]:
    """What it costs to begin with each candidate after so many spaces; (batch, n), or a part of it."""
    if candidates.spaces is None:
        return np.zeros_like(candidates.odds[at])
    return np.asarray(-_SPACE_COST * abs(candidates.spaces[0][at] - pending))


def _reach(
    candidates: Candidates, automaton: Automaton, t: int, state: int, total: list[NDArray[np.float64]],
    predecessors: list[dict[int, NDArray[np.intp]]], links: dict[int, NDArray[np.float64]],
) -> NDArray[np.float64]:  # fmt: skip
    """Greatest score with which each candidate can come next after this state, (batch, n)."""
    pending = automaton.pending[t][state]
    if automaton.counts[t][state] == 0:
        return _start(candidates, pending)
    chain = total[t][state][:, :, None] + links[pending]  # (batch, i, j)
    predecessors[t][state] = chain.argmax(1)
    return np.asarray(chain.max(1))


def _ends(
    automaton: Automaton, total: list[NDArray[np.float64]], at_least: int
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Totals where a string may end, and the greatest of each layer and picture, (layers, batch).

    Where strings may differ in length, each character must be worth its place.
    """
    worth = math.log(_FREE_SCORE / (1 - _FREE_SCORE))
    ends = []
    for counts, accepting, layer in zip(automaton.counts, automaton.accepting, total, strict=True):
        may_end = [
            (0.0 if accepts else 2 * NEVER) - worth * count for accepts, count in zip(accepting, counts, strict=True)
        ]
        ends.append(layer + np.array(may_end)[:, None, None])
    tops = np.stack([layer.max((0, 2)) for layer in ends])
    if at_least:
        longest = np.array([max(counts) for counts in automaton.counts])[:, None]
        reached = np.where(tops > NEVER / 2, longest, 0).max(0)  # (batch,), characters of the longest string there is
        too_short = longest < np.minimum(reached, at_least)  # (layers, batch)
        for k in np.flatnonzero(too_short.any(1)):
            ends[k][:, too_short[k]] = 2 * NEVER
        tops = np.where(too_short, 2 * NEVER, tops)
    return ends, tops
