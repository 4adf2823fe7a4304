"""The strings that are allowed, and how likely each is, as the search walks through them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edge(NamedTuple):
    """From state ``source`` of one layer to ``target`` of the next, by any of ``class_ids``; None is a space.

    ``prior`` is the row of the automaton's ``priors`` that says how likely each of them is, None where all are alike.
    """

    source: int
    target: int
    class_ids: frozenset[int] | None
    prior: int | None = None


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
