"""When training is done, as far as the validation split can tell: not before the gain is within chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from detector.training.validation.evidence import right_shares


class Ending(NamedTuple):
    """Training has nothing to gain any more.

    Attributes:
        after: epochs that were finished when that was clear.
        epochs: that the learning rate comes down in, from then on.
        why: in words.
    """

    after: int
    epochs: int
    why: str

    @property
    def end(self) -> int:
        """Number of epochs of the whole run."""
        return self.after + self.epochs

    def falls_to(self, epoch: int) -> float:
        """Return the factor of the learning rate in an epoch counted from 0: linear from 1 to nothing."""
        return 1.0 - min(1.0, max(0, epoch + 1 - self.after) / (self.epochs + 1))


def ending(epochs: Sequence[Mapping[str, str]], pictures: int, patience: int) -> Ending | None:
    """When training had nothing to gain any more; None while it has.

    That is where all pictures were read right in half of ``patience`` epochs in a row, or where the last ``patience``
    epochs are no better than as many before them: neither more strings nor more symbols are right on average, by more
    than epochs differ among themselves. Before the first string is right, training may just be slow. Then the learning
    rate needs ``patience`` epochs to come down: half of them cost a point of handwritten numbers (docs/training.md).

    Args:
        epochs: rows of the run's ``results.csv``.
        pictures: of the validation split.
        patience: 0 is endless.
    """
    half = max(1, patience // 2)
    for after in range(1, len(epochs) + 1 if patience else 1):
        past = epochs[:after]
        if after >= half and all(right_shares(row)[0] == 1 for row in past[-half:]):
            return Ending(
                after, patience, f"all {pictures} validation pictures were read right in {half} epochs in a row"
            )
        earlier, latest = past[-2 * patience : -patience], past[-patience:]
        if after >= 2 * patience and any(right_shares(row)[0] for row in latest) and not _has_improved(earlier, latest):
            return Ending(after, patience, f"validation has not improved beyond chance in {patience} epochs")
    return None


def _has_improved(earlier: Sequence[Mapping[str, str]], latest: Sequence[Mapping[str, str]]) -> bool:
    """Test whether a mean share of strings or symbols has grown by more than its standard error."""
    for kind in (0, 1):
        earlier_shares, latest_shares = ([right_shares(row)[kind] for row in rows] for rows in (earlier, latest))
        variance = statistics.pvariance(earlier_shares) + statistics.pvariance(latest_shares)
        error = math.sqrt(variance / len(earlier_shares))
        if statistics.mean(latest_shares) - statistics.mean(earlier_shares) > error:
            return True
    return False
