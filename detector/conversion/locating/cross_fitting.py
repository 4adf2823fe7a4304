"""The detectors of one round, asked about labels that they were not trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from detector.conversion.locating.boxes import visible_ids
from detector.conversion.locating.locator import Image, Located, Locator
from detector.data.labels.sources import LabelledImage
from detector.text.alphabet import Alphabet


def half_of(text: str) -> int:
    """Return the half of the pictures that those of a text fall in: 0 or 1."""
    return hashlib.sha256(b"half:" + text.encode()).digest()[0] & 1


@dataclass(frozen=True)
class CrossFitted:
    """Detectors of one round: one, or two that were trained on a half of the pictures each. It can be pickled where
    their networks can.

    Args:
        locators: theirs.
        alphabet: of the set.
    """

    locators: tuple[Locator, ...]
    alphabet: Alphabet

    def locator(self, item: LabelledImage) -> Locator:
        """Return a locator that was not trained on the item's label, as far as that is not explained."""
        return self.locators[(1 - half_of(item.text)) % len(self.locators)]

    def locate(self, number: int, items: Sequence[LabelledImage], images: Sequence[Image]) -> list[Located]:
        """Locate the items' labels, each by :meth:`locator`; ``number`` is that of the round, 0 of the shipped one."""
        located: dict[int, Located] = {}
        for locator in self.locators:
            rows = [i for i, item in enumerate(items) if self.locator(item) is locator]
            labels = [visible_ids(items[i].text, self.alphabet) for i in rows]
            located.update(zip(rows, locator.locate([images[i] for i in rows], labels), strict=True))
        return [replace(located[i], round=number) for i in range(len(items))]
