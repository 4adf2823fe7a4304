"""The strings that are allowed, and how likely each is, as the search walks through them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edge(NamedTuple):
    """From state ``source`` of one layer to ``target`` of the next, by any of ``class_ids``; None is a space.

    ``prior`` is the row of the automaton's ``priors`` that says how likely each of them is, None where all are alike;
    ``weight`` is what the edge itself adds to the score.
    """

    source: int
    target: int
    class_ids: frozenset[int] | None
    prior: int | None = None
    weight: float = 0.0


Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Automaton:
    """The strings that are allowed, as layers: layer t holds the states after t symbols, spaces included.

    Args:
        layers: edges into layers 1, 2, …; layer 0 is the start, one state. Only states are kept from which a string
            that is allowed can be ended.
        counts: of each layer from 0 on and each state, how many symbols other than spaces it has seen.
        pending: likewise, spaces since the last such symbol.
        accepting: likewise, whether a string may end here.
        is_pattern: whether it says where spaces are, too.
        priors: float64 (rows, classes): what each class adds to the score, for edges that name a row.
    """

    layers: tuple[tuple[Edge, ...], ...]
    counts: tuple[tuple[int, ...], ...]
    pending: tuple[tuple[int, ...], ...]
    accepting: tuple[tuple[bool, ...], ...]
    is_pattern: bool = True
    priors: NDArray[np.float64] | None = None

    @property
    def has_spaces(self) -> bool:
        """Whether a string that is allowed has a space."""
        return any(edge.class_ids is None for layer in self.layers for edge in layer)

    @cached_property
    def graph(self) -> StateGraph:
        """The same as arrays over the states of all layers, for the search."""
        return _graph(self)


@dataclass(frozen=True, eq=False)
class StateGraph:
    """An automaton as arrays: its states in one row, layer by layer, and its edges in the order of layers.

    Args:
        layer_of, counts, pending, accepting: (states,), the layer of each state, and as the automaton has it.
        class_sets: the sets of classes that edges have.
        kind_sets, kind_priors: (kinds,), of each kind of edge its place in ``class_sets``, and its prior; -1 for none.
        sources, targets, kinds, weights: (edges,); the kind of a space is -1.
        rounds: those that take a candidate, in groups in which each target occurs once.
        spaces: the others, likewise, in the order in which they are gone along.
        incoming: (states, n), the edges into each state, filled up with -1.
        limits: by characters from 0 on, how many states, and how many edges, hold all that so many can reach.
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
    rounds: tuple[Indices, ...]
    spaces: tuple[Indices, ...]
    incoming: Indices
    limits: tuple[tuple[int, int], ...]


def _graph(automaton: Automaton) -> StateGraph:
    sizes = [len(layer) for layer in automaton.counts]
    first = np.cumsum([0, *sizes])
    edges = [
        (t, edge._replace(source=int(first[t]) + edge.source, target=int(first[t + 1]) + edge.target))
        for t, layer in enumerate(automaton.layers) for edge in layer
    ]  # fmt: skip
    class_sets = {ids: place for place, ids in enumerate(dict.fromkeys(e.class_ids for _, e in edges if e.class_ids))}
    kinds: dict[tuple[frozenset[int] | None, int | None], int] = {}
    for _, edge in edges:
        if edge.class_ids is not None:
            kinds.setdefault((edge.class_ids, edge.prior), len(kinds))
    targets = np.array([edge.target for _, edge in edges], np.intp)
    spaces = np.array([edge.class_ids is None for _, edge in edges], bool)
    layers = np.array([t for t, _ in edges], np.intp)
    counts = np.array([count for layer in automaton.counts for count in layer], np.int64)
    within = [int(np.flatnonzero(counts <= characters)[-1]) + 1 for characters in range(int(counts.max(initial=0)) + 1)]
    rounds = _rounds(targets, np.arange(len(edges)))
    incoming = np.full((len(counts), max(1, len(rounds))), -1, np.intp)
    for column, places in enumerate(rounds):
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
        rounds=_rounds(targets, np.flatnonzero(~spaces)),
        spaces=tuple(
            places
            for t in np.unique(layers[spaces])
            for places in _rounds(targets, np.flatnonzero(spaces & (layers == t)))
        ),
        incoming=incoming,
        limits=tuple((states, int(np.flatnonzero(targets < states).max(initial=-1)) + 1) for states in within),
    )


def _rounds(targets: Indices, places: Indices) -> tuple[Indices, ...]:
    """``places`` of ``targets``, in groups in each of which no target occurs twice."""
    groups: list[Indices] = []
    while len(places):
        _, first = np.unique(targets[places], return_index=True)
        groups.append(places[np.sort(first)])
        places = np.delete(places, first)
    return tuple(groups)


@lru_cache(maxsize=64)
def any_string(classes: int, max_length: int) -> Automaton:
    """All strings of up to ``max_length`` symbols without spaces."""
    all_classes = frozenset(range(classes))
    return Automaton(
        layers=((Edge(0, 0, all_classes),),) * max_length,
        counts=tuple((k,) for k in range(max_length + 1)),
        pending=((0,),) * (max_length + 1),
        accepting=((False,), *((True,),) * max_length),
        is_pattern=False,
    )
