"""How many text lines the pictures of a source have: as asked, or whichever their labels are likelier with."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from detector.align import Aligner, label_log_probs
from detector.align.network import COLUMN
from detector.align.viterbi import force_align
from detector.alphabet import Alphabet
from detector.boxes import fitted, shown
from detector.intake import Inputs, chunked
from detector.sources import LabelledImage
from detector.unfold import may_have_two_lines, unfolded_size

log = logging.getLogger("detector")

_TRIED = 300  # pictures that tell whether there are some of two lines at all
_FEW = 0.02  # share of these that may be misjudged: less than that, and no picture is taken to have two lines
_LEAST = 3  # pictures of two lines: of one or two among some dozens nobody knows whether they are misjudged
_BATCH = 64


class TextLines:
    """Of each picture of a source, the numbers of lines that it may have.

    Where nothing is asked for, pictures that are not wide are judged by an aligner that knows the symbols: by how
    likely it finds the label in the picture as it is and unfolded. A few hundred tell whether all of them have one
    line, all two, or some one and some two; only then is each picture judged by itself.

    Args:
        inputs: the source's pictures.
        table: their alphabet.
        asked: 1 or 2; None to find out.
        aligner: judges, knows all symbols; without one, all have one line where nothing is asked for. Else not used.
        seed: of the choice of those that are tried.

    Attributes:
        untold: whether most pictures could have two lines, and nothing was asked for and no aligner can tell.
    """

    def __init__(self, inputs: Inputs, table: Alphabet, asked: int | None, aligner: Aligner | None, seed: int) -> None:
        self._table, self._aligner = table, aligner
        self._foldable: frozenset[str] = frozenset()  # names of those that may have two lines
        self._counts: tuple[int, ...] = (1,)  # of these
        symbols = [len(shown(item.text, table)) for item in inputs.items]
        sizes = zip(inputs.items, inputs.sizes_wh, symbols, strict=True)
        able = [item for item, size, n in sizes if may_have_two_lines(size, n)]
        self.untold = asked is None and aligner is None and 2 * len(able) > len(symbols)
        if asked == 2:
            self._counts = (2,)
            self._foldable = frozenset(i.name for i, n in zip(inputs.items, symbols, strict=True) if n > 1)
        elif asked is None and aligner is not None:
            self._counts = self._found(able, aligner, seed)
            if self._counts != (1,):
                self._foldable = frozenset(item.name for item in able)

    def _found(self, able: Sequence[LabelledImage], aligner: Aligner, seed: int) -> tuple[int, ...]:
        """Lines that these may have."""
        if not able:
            return (1,)
        some = able
        if len(able) > _TRIED:
            some = [able[i] for i in np.sort(np.random.default_rng(seed).choice(len(able), _TRIED, replace=False))]
        two = sum(lines == 2 for lines in self._likelier(some, aligner))
        share = two / len(some)
        if share < _FEW or two < _LEAST:
            return (1,)
        log.info("%d of %d pictures that are not wide show two lines of text", two, len(some))
        return (2,) if share > 1 - _FEW else (1, 2)

    def __call__(self, item: LabelledImage) -> Sequence[int]:
        """See :data:`detector.boxes.LinesOf`."""
        return self._counts if item.name in self._foldable else (1,)

    @property
    def most(self) -> int:
        """Lines that a picture may have at most."""
        return max(self._counts) if self._foldable else 1

    def likeliest(self, items: Sequence[LabelledImage]) -> list[int]:
        """Lines of each picture."""
        judged: dict[str, int] = {}
        if self._aligner is not None:
            doubtful = [item for item in items if len(self(item)) > 1]
            judged.update(zip([i.name for i in doubtful], self._likelier(doubtful, self._aligner), strict=True))
        return [judged.get(item.name, self(item)[0]) for item in items]

    def sizes_wh(self, inputs: Inputs) -> list[tuple[int, int]]:
        """Sizes of all pictures, those that may have two lines unfolded."""
        pairs = zip(inputs.items, inputs.sizes_wh, strict=True)
        return [unfolded_size(size) if 2 in self(item) else size for item, size in pairs]

    def _likelier(self, items: Sequence[LabelledImage], aligner: Aligner) -> list[int]:
        """One or two lines, whichever the aligner finds the label likelier with."""
        found: list[int] = []
        known = aligner.symbols
        for some in chunked(items, _BATCH):
            strings = [np.array([known.index(s) for s in shown(item.text, self._table)]) for item in some]
            right = []
            for lines in (1, 2):
                images, fits = fitted(some, aligner.shape_hw, [lines] * len(some))
                columns = aligner.log_probs(images)
                right.append(label_log_probs(columns, strings))
            # Small text in one half of its picture is read better unfolded, too, for that half is seen larger.
            seams = [back.left + back.scale_x * back.width / 2 for back in fits]
            both = [
                path is not None and 0 < ((path.centre + 0.5) * COLUMN < seam).sum() < len(path.centre)
                for path, seam in zip(force_align(columns, strings), seams, strict=True)
            ]
            found += np.where((right[1] > right[0]) & both, 2, 1).tolist()
        return found
