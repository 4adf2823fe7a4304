"""What all steps of one conversion have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from detector.conversion.inputs import Inputs
from detector.conversion.locating.boxes import visible_ids, visible_symbols
from detector.conversion.locating.locator import Ids, Locator
from detector.conversion.settings import Settings
from detector.data.folders.resume_folder import ResumeFolder
from detector.data.labels.sources import LabelledImage
from detector.data.parallel import Progress
from detector.networks.network import Network

_ROUND_ITEMS = 10_000  # pictures that rounds are held on at most: training takes fewer


@dataclass(frozen=True)
class Run:
    """A conversion under way.

    Args:
        settings: what was asked for.
        inputs: the pictures.
        resume: where finished pieces are kept.
        progress: called as the work goes on.
    """

    settings: Settings
    inputs: Inputs
    resume: ResumeFolder
    progress: Progress

    def labels(self, items: Sequence[LabelledImage]) -> list[Ids]:
        """Return the class ids of each item's symbols, without spaces."""
        return [visible_ids(item.text, self.settings.alphabet) for item in items]

    def locator(self, network: Network, *, shape_hw: tuple[int, int] | None = None, by_class: bool = True) -> Locator:
        """Make a detector that locates this set's labels; see :class:`Locator`."""
        settings = self.settings
        return Locator(
            network, settings.alphabet, length=settings.length, min_count=min(self.counts), lines=settings.lines,
            shape_hw=shape_hw, by_class=by_class,
        )  # fmt: skip

    @cached_property
    def round_items(self) -> list[LabelledImage]:
        """Pictures that self-training looks at: of a large set some, drawn at random."""
        return random_sample(self.inputs.items, _ROUND_ITEMS, self.settings.seed)

    @cached_property
    def counts(self) -> list[int]:
        """Number of symbols of each picture's label, without spaces."""
        return [len(visible_symbols(item.text, self.settings.alphabet)) for item in self.inputs.items]


def random_sample(items: list[LabelledImage], max_count: int, seed: int) -> list[LabelledImage]:
    """Draw at most so many of the items, in their order."""
    if len(items) <= max_count:
        return items
    rng = np.random.default_rng(seed)
    return [items[i] for i in np.sort(rng.choice(len(items), max_count, replace=False))]
