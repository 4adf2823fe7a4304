"""The likeliest string that candidates can spell: Viterbi's algorithm over an automaton. Pure numpy, a batch at once.

Among all chains of candidates that do not exclude each other, the one with the greatest sum of log odds is taken, of a
length that is allowed. The chain also walks through an automaton, that of a pattern or one that allows any string: each
candidate is read as the likeliest of its classes that may stand there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.text.candidates import NEVER, Candidates
from detector.text.forms.automaton import Automaton, Indices, StateGraph

_FREE_SCORE = 0.3  # where the length is free, a character must be likelier than this to be added
_SPACE_COST = 4.0  # log odds that a pattern must be worth to put a space where none is seen, or to leave one out
_MIN_CLASS_SCORE = 1e-6  # of a class, so that its logarithm exists
_UNLIKELY = 12.0  # log odds behind the best string, from which on another one is not worth telling


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
    """Scores of the search (Viterbi's trellis); states and edges are those of the automaton's graph.

    Args:
        total: (batch, n, states): the greatest score of a string whose last character is this candidate.
        plain: (sets of classes, batch, n, k): what a candidate adds that is read as each of its likeliest classes,
            before any prior.
        gain: (batch, n, kinds): what a candidate adds on each kind of edge, as the best of its classes.
        ends: (states,), what is added to ``total`` where a string ends: less what each of its characters must be worth.
        tops: (batch, states), the greatest score of a string that ends in each state; ``NEVER`` where none may.
    """

    candidates: Candidates
    automaton: Automaton
    total: NDArray[np.float64]
    plain: NDArray[np.float64]
    gain: NDArray[np.float64]
    ends: NDArray[np.float64]
    tops: NDArray[np.float64]

    @property
    def by_pattern(self) -> bool:
        """Whether the automaton is a pattern's, and says where spaces are."""
        return self.automaton.is_pattern

    def best(self, row: int) -> Chain | None:
        """The likeliest string of picture ``row``; None if there is none."""
        return self._best[row]

    @cached_property
    def _best(self) -> list[Chain | None]:
        """Of each picture, traced back from its end: a character of all pictures at once."""
        graph = self.automaton.graph
        state, score = self.tops.argmax(1), self.tops.max(1)
        rows = np.flatnonzero((score >= NEVER / 2) & (graph.counts[state] > 0))
        state = state[rows]
        j = self.total[rows, :, state].argmax(1)
        steps: list[tuple[Indices, Indices, Indices]] = []  # pictures, candidates and edges, from the end on
        while len(rows):
            edge, before = self._last_edges(rows, j, state)
            takes = graph.kinds[edge] >= 0
            steps.append((rows[takes], j[takes], edge[takes]))
            state = graph.sources[edge]
            goes_on = graph.counts[state] > 0
            rows, j, state = rows[goes_on], before[goes_on], state[goes_on]
        chains: list[Chain | None] = [None] * len(score)
        if steps:
            rows, places, edges = (np.concatenate(column) for column in zip(*steps[::-1], strict=True))
            order = np.argsort(rows, kind="stable")
            rows, places, edges = rows[order], places[order], edges[order]
            gains = self._gains(rows, places, edges)  # (characters, k)
            shares = 1 / np.exp(gains - gains.max(1, keepdims=True)).sum(1)
            columns = (places, gains.argmax(1), graph.pending[graph.sources[edges]], shares)
            cuts = np.flatnonzero(np.diff(rows)) + 1
            of_pictures = zip(*(np.split(column, cuts) for column in columns), strict=True)
            for row, of_picture in zip(rows[np.r_[0, cuts]].tolist(), of_pictures, strict=True):
                chains[row] = self._chain(*(column.tolist() for column in of_picture), score=float(score[row]))
        return chains

    def _last_edges(self, rows: Indices, j: Indices, state: Indices) -> tuple[Indices, Indices]:
        """The edges by which the best strings reach states with candidates, and the candidates before those."""
        graph = self.automaton.graph
        edges = graph.incoming[state]  # (rows, n)
        values, before = np.zeros(edges.shape), np.zeros(edges.shape, np.intp)
        for column, edge in enumerate(edges.T):
            source, is_space = graph.sources[edge], graph.kinds[edge] < 0
            reached, candidates = self._reached(rows, j, source)
            taking = reached + self.gain[rows, j, graph.kinds[edge]] + graph.weights[edge]
            values[:, column] = np.where(is_space, self.total[rows, j, source], taking)
            before[:, column] = np.where(is_space, j, candidates)
        best, places = np.where(edges >= 0, values, -np.inf).argmax(1), np.arange(len(rows))
        return edges[places, best], before[places, best]

    def _reached(self, rows: Indices, j: Indices, source: Indices) -> tuple[NDArray[np.float64], Indices]:
        """The greatest scores with which candidates come next after states, and the candidates before them."""
        pending = self.automaton.graph.pending[source]
        starts = self.automaton.graph.counts[source] == 0
        chain = self.total[rows, :, source] + _link(self.candidates, pending[:, None], (rows, slice(None), j))
        start = _start(self.candidates, pending, (rows, j))
        return np.where(starts, start, chain.max(1)), chain.argmax(1)

    def _gains(self, rows: Indices, places: Indices, edges: Indices) -> NDArray[np.float64]:
        """What candidates add on edges as each of their likeliest classes, (edges, k)."""
        graph = self.automaton.graph
        kinds = graph.kinds[edges]
        gains = self.plain[graph.kind_sets[kinds], rows, places]
        if self.automaton.priors is None:
            return gains
        ids = self.candidates.top_class_id[rows, places]
        priors = self.automaton.priors[graph.kind_priors[kinds][:, None], ids]
        return gains + np.where(graph.kind_priors[kinds][:, None] >= 0, priors, 0.0)

    def _chain(
        self, candidates: Sequence[int], classes: Sequence[int], spaces: Sequence[int], shares: Sequence[float] = (),
        *, score: float,
    ) -> Chain:  # fmt: skip
        return Chain(
            tuple(candidates), tuple(classes), tuple(spaces) if self.by_pattern else None, score, tuple(shares)
        )

    def chains(self, row: int, steps: int) -> Iterator[Chain]:
        """Strings of picture ``row``, the likeliest first, some of them more than once.

        The A* algorithm, from the end of the string to its beginning: ``total`` says exactly how good the rest can
        get. It gives up after so many steps, or where strings are too unlikely.
        """
        order = count()
        heap: list[tuple[float, int, _Suffix]] = []
        ends = np.where(self.tops[row] > NEVER / 2, self.total[row] + self.ends, 2 * NEVER).T  # (states, n)
        for state, j in np.argwhere(ends > NEVER / 2).tolist():
            suffix_score = float(ends[state, j] - self.total[row, j, state])
            heap.append((-float(ends[state, j]), next(order), _Suffix(state, j, suffix_score)))
        heapify(heap)
        min_score = -heap[0][0] - _UNLIKELY if heap else 0.0
        for _ in range(steps):
            if not heap:
                return
            bound, _, suffix = heappop(heap)
            if suffix.j is None:
                yield self._chain(suffix.candidates, suffix.classes, suffix.spaces, score=-bound)
                continue
            for upper_bound, extension in self._extensions(row, suffix):
                if upper_bound > min_score:
                    heappush(heap, (-upper_bound, next(order), extension))

    def _extensions(self, row: int, suffix: _Suffix) -> Iterator[tuple[float, _Suffix]]:
        """The suffix, an edge longer: each with the greatest score of a string that ends so."""
        graph, j, candidates = self.automaton.graph, suffix.j, self.candidates
        assert j is not None  # a whole string is not made longer
        incoming = graph.incoming[suffix.state]
        for edge in incoming[incoming >= 0].tolist():
            source = int(graph.sources[edge])
            totals = self.total[row, :, source]  # (n,)
            if graph.kinds[edge] < 0:
                yield suffix.suffix_score + float(totals[j]), suffix._replace(state=source)
                continue
            pending = int(graph.pending[source])
            gains = self._gains(*np.array([[row], [j], [edge]]))[0] + graph.weights[edge]
            for choice in np.flatnonzero(gains > NEVER / 2).tolist():
                extension = _Suffix(
                    source, None, suffix.suffix_score + float(gains[choice]), (j, *suffix.candidates),
                    (choice, *suffix.classes), (pending, *suffix.spaces),
                )  # fmt: skip
                if graph.counts[source] == 0:
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

    state: int
    j: int | None
    suffix_score: float
    candidates: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    spaces: tuple[int, ...] = ()


def search(candidates: Candidates, automaton: Automaton, at_least: int = 0) -> Trellis:
    """Viterbi over candidates and the automaton's states, for a batch at once.

    Candidate by candidate, all states together: a picture has few candidates, and an automaton may have many states.

    Args:
        candidates: the candidates.
        automaton: the strings that are allowed.
        at_least: characters that a string has where the picture shows so many.
    """
    size, n = candidates.odds.shape
    graph = automaton.graph
    plain = np.stack([_gains(candidates, class_ids) for class_ids in graph.class_sets])
    gain = _best_gains(candidates, automaton, plain)
    total = np.full((size, n, len(graph.counts)), 2 * NEVER)
    total[:, :, graph.counts == 0] = 0.0
    for j in range(n):
        states, edges = graph.reachable[min(j + 1, len(graph.reachable) - 1)]
        reach = _reach(candidates, graph, j, total[:, :j, :states])
        value = reach[:, graph.sources[:edges]] + gain[:, j, graph.kinds[:edges]] + graph.weights[:edges]
        for places in graph.symbol_edges:
            places = places[: np.searchsorted(places, edges)]
            total[:, j, graph.targets[places]] = np.maximum(total[:, j, graph.targets[places]], value[:, places])
        for places in graph.space_edges:
            sources, targets = graph.sources[places], graph.targets[places]
            total[:, j, targets] = np.maximum(total[:, j, targets], total[:, j, sources])
    return Trellis(candidates, automaton, total, plain, gain, *_ends(graph, total, at_least))


def _gains(candidates: Candidates, class_ids: frozenset[int]) -> NDArray[np.float64]:
    """What each candidate adds as each of its likeliest classes, (batch, n, k); ``NEVER`` where it is none of these.

    Log odds that it is a character, less how much likelier its best class is than this one.
    """
    is_of_edge = np.zeros(max(int(candidates.top_class_id.max()), *class_ids) + 1, bool)
    is_of_edge[list(class_ids)] = True
    allowed = is_of_edge[candidates.top_class_id]
    allowed[..., 1:] &= candidates.top_confidence[..., 1:] > 0
    logs = np.log(np.maximum(candidates.top_confidence, _MIN_CLASS_SCORE))
    return np.asarray(
        np.where(allowed, candidates.odds[..., None] + np.minimum(logs - logs.max(-1, keepdims=True), 0.0), NEVER)
    )


def _best_gains(candidates: Candidates, automaton: Automaton, plain: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each candidate adds on each kind of edge, as the best of its classes, (batch, n, kinds)."""
    graph = automaton.graph
    best = np.moveaxis(plain.max(3), 0, 2)[..., graph.kind_sets]
    if automaton.priors is None:
        return np.asarray(best)
    present = candidates.odds > NEVER / 2
    for number, gains in enumerate(plain):
        kinds = np.flatnonzero((graph.kind_sets == number) & (graph.kind_priors >= 0))
        priors = automaton.priors[graph.kind_priors[kinds]]
        by_class = np.full((int(present.sum()), priors.shape[1]), NEVER)
        np.put_along_axis(by_class, candidates.top_class_id[present], gains[present], 1)
        places = np.argwhere(present)
        best[places[:, :1], places[:, 1:], kinds] = _max_plus(by_class, priors)
    return np.asarray(best)


def _max_plus(gains: NDArray[np.float64], priors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The greatest sum over classes, (candidates, priors): a product of matrices whose sums are maxima."""
    best = np.full((len(gains), len(priors)), 2 * NEVER)
    term = np.empty_like(best)
    for gain, prior in zip(gains.T, priors.T, strict=True):
        np.add(gain[:, None], prior, out=term)
        np.maximum(best, term, out=best)
    return best


def _link(candidates: Candidates, pending: int | NDArray[Any], at: Any) -> NDArray[np.float64]:
    """What it costs to go from one candidate to another with so many spaces between: a part of (batch, i, j)."""
    if candidates.spaces is None:
        return np.asarray(candidates.barrier[at])
    return np.asarray(candidates.barrier[at] - _SPACE_COST * abs(candidates.spaces[1][at] - pending))


def _start(candidates: Candidates, pending: int | NDArray[Any], at: Any) -> NDArray[np.float64]:
    """What it costs to begin with each candidate after so many spaces: a part of (batch, n)."""
    if candidates.spaces is None:
        return np.zeros_like(candidates.odds[at])
    return np.asarray(-_SPACE_COST * abs(candidates.spaces[0][at] - pending))


def _reach(candidates: Candidates, graph: StateGraph, j: int, before: NDArray[np.float64]) -> NDArray[np.float64]:
    """Greatest score with which candidate ``j`` can come next after each state, (batch, states).

    ``before`` has the totals of the candidates before it, (batch, j, states).
    """
    states = before.shape[2]
    reach = np.full((len(before), states), 2 * NEVER)
    if j:
        pending = graph.pending[:states]
        np.max(before + _link(candidates, pending, (slice(None), slice(j), j, None)), axis=1, out=reach)
    starts = np.flatnonzero(graph.counts[:states] == 0)
    reach[:, starts] = _start(candidates, graph.pending[starts], (slice(None), j, None))
    return reach


def _ends(
    graph: StateGraph, total: NDArray[np.float64], at_least: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What ending in each state adds, (states,), and the greatest score of a string that does, (batch, states).

    Where strings may differ in length, each character must be worth its place.
    """
    worth = math.log(_FREE_SCORE / (1 - _FREE_SCORE))
    ends = np.where(graph.accepting, 0.0, 2 * NEVER) - worth * graph.counts
    tops = total.max(1) + ends
    if at_least:
        first = np.searchsorted(graph.layer_of, np.arange(graph.layer_of[-1] + 1))  # states of the layers
        longest = np.maximum.reduceat(graph.counts, first)  # characters of the longest string, by layer
        reached = np.where(tops > NEVER / 2, longest[graph.layer_of], 0).max(1)  # likewise, by picture
        too_short = longest[graph.layer_of] < np.minimum(reached, at_least)[:, None]
        tops = np.where(too_short, 2 * NEVER, tops)
    return ends, tops
