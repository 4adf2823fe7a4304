"""Weighted finite automata: which strings may be read, and what each symbol adds to a string's score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edge(NamedTuple):
    """A transition between two neighbouring layers of an automaton.

    Args:
        source: state in the layer that it leaves.
        target: state in the next layer.
        class_ids: the classes that it accepts; None accepts a space.
        prior: row of the automaton's ``priors`` that is added to the score by class; None adds nothing.
        weight: added to the score whatever the class, in nats.
    """

    source: int
    target: int
    class_ids: frozenset[int] | None
    prior: int | None = None
    weight: float = 0.0


Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Automaton:
    """A set of allowed strings, in layers: layer t holds the states after t symbols, spaces included.

    Args:
        layers: ``layers[t]`` has the edges into layer t + 1; layer 0 has one state, the start. Every state lies on a
            path to an accepting one.
        counts: for each layer from 0 on, for each state: number of symbols on the way to it, spaces not counted.
        pending: likewise: number of spaces since the last of these symbols.
        accepting: likewise: whether a string may end in this state.
        is_pattern: whether the automaton also decides where spaces are; otherwise the layout does.
        priors: float64 (rows, classes), in nats: what each class adds to the score on edges that name a row.
    """

    layers: tuple[tuple[Edge, ...], ...]
    counts: tuple[tuple[int, ...], ...]
    pending: tuple[tuple[int, ...], ...]
    accepting: tuple[tuple[bool, ...], ...]
    is_pattern: bool = True
    priors: NDArray[np.float64] | None = None

    @property
    def has_spaces(self) -> bool:
        """Whether some allowed string has a space."""
        return any(edge.class_ids is None for layer in self.layers for edge in layer)

    @cached_property
    def graph(self) -> StateGraph:
        """The same automaton as arrays over the states of all layers, as the search takes it."""
        return _graph(self)

    @cached_property
    def leads(self) -> NDArray[np.float64]:
        """The greatest difference between two classes in any prior, (classes, classes): column less row."""
        assert self.priors is not None  # who asks has some
        return np.stack([(self.priors - of_other[:, None]).max(0) for of_other in self.priors.T])


@dataclass(frozen=True, eq=False)
class StateGraph:
    """An automaton as arrays: states are numbered layer by layer, edges in the order of their layers.

    Edges with the same ``class_ids`` and the same ``prior`` are of one *kind*: they add the same to the score.

    Args:
        layer_of, counts, pending, accepting: (states,): the layer of each state, and its values in the automaton.
        class_sets: the distinct ``class_ids`` of edges, spaces left out.
        kind_sets, kind_priors: (kinds,): index of each kind in ``class_sets``, and its prior, -1 for none.
        sources, targets, kinds, weights: (edges,); the kind of a space is -1.
        symbol_edges: indices of the edges that accept a symbol, in groups without a repeated target.
        space_edges: indices of the edges that accept a space, likewise; in the order of layers, as the search needs.
        incoming: (states, n): indices of the edges into each state, padded with -1.
        reachable: for n = 0, 1, … characters: the smallest (states, edges) such that n characters reach no state and
            no edge numbered higher.
    """

    layer_of: Indices
    counts: NDArray[np.int64]
    pending: NDArray[np.int64]
    accepting: NDArray[np.bool_]
    class_sets: tuple[frozenset[int], ...]
    kind_sets: Indices
    kind_priors: Indices
    sources: Indices
    targets: Indices
    kinds: Indices
    weights: NDArray[np.float64]
    symbol_edges: tuple[Indices, ...]
    space_edges: tuple[Indices, ...]
    incoming: Indices
    reachable: tuple[tuple[int, int], ...]

    @cached_property
    def is_tree(self) -> bool:
        """Whether one edge leads into each state but the first, in the order of the states, and none is a space."""
        return not self.space_edges and np.array_equal(self.targets, np.arange(1, len(self.counts)))


def _graph(automaton: Automaton) -> StateGraph:
    sizes = [len(layer) for layer in automaton.counts]
    offsets = np.cumsum([0, *sizes])  # of each layer's first state
    edges = [
        (t, edge._replace(source=int(offsets[t]) + edge.source, target=int(offsets[t + 1]) + edge.target))
        for t, layer in enumerate(automaton.layers) for edge in layer
    ]  # fmt: skip
    class_sets = {ids: place for place, ids in enumerate(dict.fromkeys(e.class_ids for _, e in edges if e.class_ids))}
    kinds: dict[tuple[frozenset[int] | None, int | None], int] = {}
    for _, edge in edges:
        if edge.class_ids is not None:
            kinds.setdefault((edge.class_ids, edge.prior), len(kinds))
    targets = np.array([edge.target for _, edge in edges], np.intp)
    is_space = np.array([edge.class_ids is None for _, edge in edges], bool)
    layers = np.array([t for t, _ in edges], np.intp)
    counts = np.array([count for layer in automaton.counts for count in layer], np.int64)
    state_counts = [int(np.flatnonzero(counts <= n)[-1]) + 1 for n in range(int(counts.max(initial=0)) + 1)]
    groups = _without_repeated_targets(targets, np.arange(len(edges)))
    incoming = np.full((len(counts), max(1, len(groups))), -1, np.intp)
    for column, places in enumerate(groups):
        incoming[targets[places], column] = places
    return StateGraph(
        layer_of=np.repeat(np.arange(len(sizes)), sizes),
        counts=counts,
        pending=np.array([pending for layer in automaton.pending for pending in layer], np.int64),
        accepting=np.array([accepts for layer in automaton.accepting for accepts in layer], bool),
        class_sets=tuple(class_sets),
        kind_sets=np.array([class_sets[ids] for ids, _ in kinds if ids], np.intp),
        kind_priors=np.array([-1 if prior is None else prior for _, prior in kinds], np.intp),
        sources=np.array([edge.source for _, edge in edges], np.intp),
        targets=targets,
        kinds=np.array([kinds.get((edge.class_ids, edge.prior), -1) for _, edge in edges], np.intp),
        weights=np.array([edge.weight for _, edge in edges]),
        symbol_edges=_without_repeated_targets(targets, np.flatnonzero(~is_space)),
        space_edges=tuple(
            places
            for t in np.unique(layers[is_space])
            for places in _without_repeated_targets(targets, np.flatnonzero(is_space & (layers == t)))
        ),
        incoming=incoming,
        reachable=tuple((count, int(np.flatnonzero(targets < count).max(initial=-1)) + 1) for count in state_counts),
    )


def _without_repeated_targets(targets: Indices, edges: Indices) -> tuple[Indices, ...]:
    """Divide the indices ``edges`` into groups in which no target occurs twice, so that NumPy can update all at once.

    Args:
        targets: (all edges,), the state that each edge leads to.
        edges: indices into ``targets``.
    """
    groups: list[Indices] = []
    while len(edges):
        _, first_occurrences = np.unique(targets[edges], return_index=True)
        groups.append(edges[np.sort(first_occurrences)])
        edges = np.delete(edges, first_occurrences)
    return tuple(groups)


@lru_cache(maxsize=64)
def any_string(classes: int, max_length: int) -> Automaton:
    """Return the automaton of all strings of 1 to ``max_length`` symbols without spaces."""
    all_classes = frozenset(range(classes))
    return Automaton(
        layers=((Edge(0, 0, all_classes),),) * max_length,
        counts=tuple((k,) for k in range(max_length + 1)),
        pending=((0,),) * (max_length + 1),
        accepting=((False,), *((True,),) * max_length),
        is_pattern=False,
    )
