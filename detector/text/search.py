"""Search for the likeliest string that candidates can spell: Viterbi's algorithm. Pure numpy, for a batch at once.

A string is a chain of candidates that do not exclude each other and a path through an automaton, that of a pattern, of
a string model or of any string. Each candidate is read as one of its likeliest classes that the automaton accepts
there. The score of a string is the sum of the log odds of its candidates, of how much less likely the chosen classes
are than the best ones, and of what the automaton adds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import count, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.text.candidates import NEVER, Candidates
from detector.text.forms.automaton import Automaton, Indices, StateGraph

_MIN_CHARACTER_SCORE = 0.3  # objectness of a character that makes a longer string better, other things being equal
_SPACE_COST = 4.0  # log odds, for each space that a pattern has more or fewer than the layout expects
_MIN_CLASS_SCORE = 1e-6  # lower scores are raised to it, so that their logarithm exists
_ROUNDING = 1e-6  # of sums of logarithms, at most
_MAX_SCORE_GAP = 12.0  # log odds between the best string and the last alternative


@dataclass(frozen=True)
class Chain:
    """A string of one picture, as the search returns it.

    Args:
        candidates: indices of the chosen candidates, in reading order.
        classes: for each, the column of ``top_class_id`` that it is read as.
        spaces: for each, the number of spaces before it; None where the layout decides.
        score: of the string, in log odds.
        shares: for each, the probability of its class among all that the candidate may be read as there, in (0, 1].
    """

    candidates: tuple[int, ...]
    classes: tuple[int, ...]
    spaces: tuple[int, ...] | None
    score: float
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Trellis:
    """The scores of a search: Viterbi's trellis. States and edges are those of the automaton's graph.

    Args:
        candidates: of the batch.
        automaton: the strings that are allowed.
        total: (batch, n, states): the greatest score of a path to this state whose last character is this candidate.
        plain: (class sets, batch, n, k): what a candidate adds if it is read as its k-th likeliest class, without
            priors.
        gain: (batch, n, kinds): what a candidate adds on each kind of edge, read as the best class.
        ends: (states,): added to ``total`` where a string ends there; lower for each character of the string, so that
            a character must be likely enough to be added.
        tops: (batch, states): the greatest score of a string that ends in each state; ``NEVER`` where none may end.
    """

    candidates: Candidates
    automaton: Automaton
    total: NDArray[np.float64]
    plain: NDArray[np.float64]
    gain: NDArray[np.float64]
    ends: NDArray[np.float64]
    tops: NDArray[np.float64]

    def best(self, row: int) -> Chain | None:
        """Return the likeliest string of picture ``row``; None if there is none."""
        return self._best[row]

    @cached_property
    def _best(self) -> list[Chain | None]:
        """The likeliest string of each picture, traced back from its end, for all pictures at once."""
        graph = self.automaton.graph
        state, score = self.tops.argmax(1), self.tops.max(1)
        rows = np.flatnonzero((score >= NEVER / 2) & (graph.counts[state] > 0))
        state = state[rows]
        j = self.total[rows, :, state].argmax(1)
        steps: list[tuple[Indices, Indices, Indices]] = []  # pictures, candidates and edges, the last first
        while len(rows):
            edge, previous = self._last_edges(rows, j, state)
            is_symbol = graph.kinds[edge] >= 0
            steps.append((rows[is_symbol], j[is_symbol], edge[is_symbol]))
            state = graph.sources[edge]
            continues = graph.counts[state] > 0
            rows, j, state = rows[continues], previous[continues], state[continues]
        chains: list[Chain | None] = [None] * len(score)
        if steps:
            rows, places, edges = (np.concatenate(column) for column in zip(*steps[::-1], strict=True))
            order = np.argsort(rows, kind="stable")
            rows, places, edges = rows[order], places[order], edges[order]
            gains = self._gains(rows, places, edges)  # (characters, k)
            shares = 1 / np.exp(gains - gains.max(1, keepdims=True)).sum(1)
            columns = [
                column.tolist() for column in (places, gains.argmax(1), graph.pending[graph.sources[edges]], shares)
            ]
            cuts = [0, *(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
            for first, end in pairwise(cuts):
                row = int(rows[first])
                chains[row] = self._chain(*(column[first:end] for column in columns), score=float(score[row]))
        return chains

    def _last_edges(self, rows: Indices, j: Indices, state: Indices) -> tuple[Indices, Indices]:
        """Return the last edges of the best paths to states, and the candidates before the last ones.

        Args:
            rows, j, state: (paths,): picture, last candidate and state of each path.
        """
        graph = self.automaton.graph
        if graph.is_tree:
            edge = graph.incoming[state, 0]
            return edge, self._best_before(rows, j, graph.sources[edge])[1]
        edges = graph.incoming[state]  # (paths, n)
        scores, previous = np.zeros(edges.shape), np.zeros(edges.shape, np.intp)
        for column, edge in enumerate(edges.T):
            source, is_space = graph.sources[edge], graph.kinds[edge] < 0
            before, candidates = self._best_before(rows, j, source)
            with_symbol = before + self.gain[rows, j, graph.kinds[edge]] + graph.weights[edge]
            scores[:, column] = np.where(is_space, self.total[rows, j, source], with_symbol)
            previous[:, column] = np.where(is_space, j, candidates)
        columns, paths = np.where(edges >= 0, scores, -np.inf).argmax(1), np.arange(len(rows))
        return edges[paths, columns], previous[paths, columns]

    def _best_before(self, rows: Indices, j: Indices, source: Indices) -> tuple[NDArray[np.float64], Indices]:
        """Return the greatest scores before candidates that come next after states, and the candidates before them.

        Args:
            rows, j, source: (paths,): picture, next candidate and state of each path.
        """
        pending = self.automaton.graph.pending[source]
        starts = self.automaton.graph.counts[source] == 0
        chain = self.total[rows, :, source] + _link(self.candidates, pending[:, None], (rows, slice(None), j))
        start = _start(self.candidates, pending, (rows, j))
        return np.where(starts, start, chain.max(1)), chain.argmax(1)

    def _gains(self, rows: Indices, places: Indices, edges: Indices) -> NDArray[np.float64]:
        """Return what candidates add on edges if they are read as each of their k likeliest classes, (n, k).

        Args:
            rows, places, edges: (n,): picture, candidate and edge.
        """
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
        decided_spaces = tuple(spaces) if self.automaton.is_pattern else None
        return Chain(tuple(candidates), tuple(classes), decided_spaces, score, tuple(shares))

    def chains(self, row: int, steps: int) -> Iterator[Chain]:
        """Yield strings of picture ``row``, the likeliest first; the same string may come more than once.

        This is the A* algorithm, from the end of a string to its beginning, with ``total`` as the exact bound of the
        missing part. It ends after ``steps`` steps, or where strings become too unlikely.
        """
        order = count()  # of equal scores
        heap: list[tuple[float, int, _Suffix]] = []
        ends = np.where(self.tops[row] > NEVER / 2, self.total[row] + self.ends, 2 * NEVER).T  # (states, n)
        for state, j in np.argwhere(ends > NEVER / 2).tolist():
            suffix_score = float(ends[state, j] - self.total[row, j, state])
            heap.append((-float(ends[state, j]), next(order), _Suffix(state, j, suffix_score)))
        heapify(heap)
        min_score = -heap[0][0] - _MAX_SCORE_GAP if heap else 0.0
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
        """Yield the suffixes that are one edge longer, each with the greatest score of a string that ends with it."""
        graph, j, candidates = self.automaton.graph, suffix.j, self.candidates
        assert j is not None  # a complete string cannot be extended
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
    """The end of a string whose beginning is not decided yet.

    Args:
        state: that the missing part leads to.
        j: the last candidate of the missing part; None if nothing is missing.
        suffix_score: what the suffix adds to the score.
        candidates, classes, spaces: of the suffix, as in a chain.
    """

    state: int
    j: int | None
    suffix_score: float
    candidates: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    spaces: tuple[int, ...] = ()


def search(candidates: Candidates, automaton: Automaton, min_count: int = 0) -> Trellis:
    """Score all strings of a batch by Viterbi's algorithm over candidates and states.

    It goes candidate by candidate, with all states at once: a picture has few candidates, an automaton may have many
    states.

    Args:
        candidates: of the batch, in reading order.
        automaton: the strings that are allowed.
        min_count: least characters of a string, if the picture shows so many; else as many as it shows.
    """
    size, n = candidates.odds.shape
    graph = automaton.graph
    plain = np.stack([_gains(candidates, class_ids) for class_ids in graph.class_sets])
    gain = _best_gains(candidates, automaton, plain)
    total = np.full((size, n, len(graph.counts)), 2 * NEVER)
    total[:, :, graph.counts == 0] = 0.0
    for j in range(n):
        states, edges = graph.reachable[min(j + 1, len(graph.reachable) - 1)]
        before = _best_arrivals(candidates, graph, j, total[:, :j, :states])
        scores = before[:, graph.sources[:edges]] + gain[:, j, graph.kinds[:edges]] + graph.weights[:edges]
        if graph.is_tree:
            np.maximum(scores, 2 * NEVER, out=total[:, j, 1 : 1 + edges])
            continue
        for places in graph.symbol_edges:
            places = places[: np.searchsorted(places, edges)]
            total[:, j, graph.targets[places]] = np.maximum(total[:, j, graph.targets[places]], scores[:, places])
        for places in graph.space_edges:
            sources, targets = graph.sources[places], graph.targets[places]
            total[:, j, targets] = np.maximum(total[:, j, targets], total[:, j, sources])
    return Trellis(candidates, automaton, total, plain, gain, *_ends(graph, total, min_count))


def _gains(candidates: Candidates, class_ids: frozenset[int]) -> NDArray[np.float64]:
    """Return what each candidate adds if it is read as each of its k likeliest classes, (batch, n, k).

    That is the log odds of a character, minus the log ratio of its best class to this one; ``NEVER`` for classes that
    are not in ``class_ids``.
    """
    is_in_set = np.zeros(max(int(candidates.top_class_id.max()), *class_ids) + 1, bool)
    is_in_set[list(class_ids)] = True
    allowed = is_in_set[candidates.top_class_id]
    allowed[..., 1:] &= candidates.top_confidence[..., 1:] > 0
    logs = np.log(np.maximum(candidates.top_confidence, _MIN_CLASS_SCORE))
    return np.asarray(
        np.where(allowed, candidates.odds[..., None] + np.minimum(logs - logs.max(-1, keepdims=True), 0.0), NEVER)
    )


def _best_gains(candidates: Candidates, automaton: Automaton, plain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each candidate adds on each kind of edge, read as the best class, (batch, n, kinds).

    Args:
        candidates: of the batch.
        automaton: whose priors are added.
        plain: (class sets, batch, n, k), without priors.
    """
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
        best[places[:, :1], places[:, 1:], kinds] = _max_plus(by_class, priors, automaton.leads)
    return np.asarray(best)


def _max_plus(
    gains: NDArray[np.float64], priors: NDArray[np.float64], leads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Multiply matrices in the (max, +) semiring: the greatest sum over classes, (candidates, priors).

    Classes that no prior puts ahead of the candidate's own best one are left out: most are too unlikely.

    Args:
        gains: (candidates, classes).
        priors: (priors, classes).
        leads: of the automaton.
    """
    if not len(gains):
        return np.zeros((0, len(priors)))
    may_win = gains + leads[gains.argmax(1)] >= gains.max(1, keepdims=True) - _ROUNDING
    candidates, classes = np.nonzero(may_win)
    sums = gains[candidates, classes, None] + priors.T[classes]
    return np.asarray(np.maximum.reduceat(sums, np.searchsorted(candidates, np.arange(len(gains))), axis=0))


def _link(candidates: Candidates, pending: int | NDArray[Any], index: Any) -> NDArray[np.float64]:
    """Return the score of one candidate following another with ``pending`` spaces between, at most 0.

    ``index`` selects from (batch, n, n).
    """
    if candidates.spaces is None:
        return np.asarray(candidates.barrier[index])
    return np.asarray(candidates.barrier[index] - _SPACE_COST * abs(candidates.spaces[1][index] - pending))


def _start(candidates: Candidates, pending: int | NDArray[Any], index: Any) -> NDArray[np.float64]:
    """Return the score of beginning with a candidate after ``pending`` spaces, at most 0.

    ``index`` selects from (batch, n).
    """
    if candidates.spaces is None:
        return np.zeros_like(candidates.odds[index])
    return np.asarray(-_SPACE_COST * abs(candidates.spaces[0][index] - pending))


def _best_arrivals(
    candidates: Candidates, graph: StateGraph, j: int, earlier: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the greatest score before candidate ``j`` if it comes next after each state, (batch, states).

    Args:
        candidates: of the batch.
        graph: of the automaton.
        j: index of the candidate.
        earlier: (batch, j, states), the totals of the candidates before it.
    """
    states = earlier.shape[2]
    scores = np.full((len(earlier), states), 2 * NEVER)
    if j:
        pending = graph.pending[:states]
        np.max(earlier + _link(candidates, pending, (slice(None), slice(j), j, None)), axis=1, out=scores)
    starts = np.flatnonzero(graph.counts[:states] == 0)
    scores[:, starts] = _start(candidates, graph.pending[starts], (slice(None), j, None))
    return scores


def _ends(
    graph: StateGraph, total: NDArray[np.float64], min_count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what ending in each state adds, (states,), and the greatest score of a string that does, (batch, states).

    Each character subtracts the log odds of :data:`_MIN_CHARACTER_SCORE`: a longer string is better only if the
    additional characters are likelier than that.
    """
    min_odds = math.log(_MIN_CHARACTER_SCORE / (1 - _MIN_CHARACTER_SCORE))
    ends = np.where(graph.accepting, 0.0, 2 * NEVER) - min_odds * graph.counts
    tops = total.max(1) + ends
    if min_count:
        first_states = np.searchsorted(graph.layer_of, np.arange(graph.layer_of[-1] + 1))  # of the layers
        layer_counts = np.maximum.reduceat(graph.counts, first_states)  # characters of the longest string, by layer
        max_counts = np.where(tops > NEVER / 2, layer_counts[graph.layer_of], 0).max(1)  # likewise, by picture
        is_too_short = layer_counts[graph.layer_of] < np.minimum(max_counts, min_count)[:, None]
        tops = np.where(is_too_short, 2 * NEVER, tops)
    return ends, tops
