"""What the validation split can tell: which epoch reads best, when training is done, and when it can tell nothing.

Epochs are rows of a run's ``results.csv``. The same pictures are read after each epoch, so that two epochs differ by
what was learnt and by chance; all rules here ask for more than chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from detector.errors import counted
from detector.text.metrics import wilson_interval

EXACT_MATCH, CER = "metrics/exact_match", "metrics/CER"
"""Columns of ``results.csv``."""

FEW = 12
"""Validation pictures below which next to nothing can be told: of eleven that are all right, a quarter of others may be
wrong (95 % interval)."""

_STEPS = 150  # that an epoch may be one of without being better than those before it
_MIN_PATIENCE = 6  # epochs of patience, so that there is something to average


def say_few(pictures: int) -> str:
    """Return the warning for too few validation pictures."""
    return (
        f"{counted(pictures, 'picture')} for validation: next to nothing can be told from so few, "
        f"neither how well it reads nor when training is done (from {FEW} on it is tried)"
    )


def default_patience(pictures: int, steps_an_epoch: int) -> int:
    """Return the default patience in epochs: about 150 steps; 0 (never stop early) with fewer than :data:`FEW`."""
    return 0 if pictures < FEW else max(_MIN_PATIENCE, math.ceil(_STEPS / max(1, steps_an_epoch)))


def right_shares(row: Mapping[str, str]) -> tuple[float, float]:
    """Return the shares of right strings and of right symbols."""
    return float(row.get(EXACT_MATCH) or 0.0), max(0.0, 1.0 - float(row.get(CER) or 0.0))


def best_epoch(epochs: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the row with the most right strings."""
    return max(epochs, key=right_shares)


def best_beyond_chance(epochs: Sequence[Mapping[str, str]], pictures: int, symbols: int) -> bool:
    """Test whether the best epoch reads more than the last beyond chance: more pictures and more symbols.

    The best of a hundred epochs is mostly the luckiest, with few validation pictures by far. On other pictures the last
    one, where the learning rate has come down, reads as well, and its confidences are calibrated on pictures that did
    not choose it.

    Args:
        epochs: rows of the run's ``results.csv``.
        pictures: of the validation split.
        symbols: of their texts.
    """
    return all(
        of_last < wilson_interval(round(of_best * count), count)[0]
        and of_best > wilson_interval(round(of_last * count), count)[1]
        for of_best, of_last, count in zip(
            right_shares(best_epoch(epochs)), right_shares(epochs[-1]), (pictures, symbols), strict=True
        )
    )


def gains_beyond_chance(before: Sequence[float], after: Sequence[float]) -> bool:
    """Test whether mistakes fell, picture for picture, by more than one standard error; one picture tells nothing.

    The standard error is that of Student's t, so that three pictures must agree better than thirty. Its quantile is
    expanded as in Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.

    Args:
        before: mistakes of each picture.
        after: of the same pictures.
    """
    gains = [errors_before - errors_after for errors_before, errors_after in zip(before, after, strict=True)]
    if len(gains) < 2:
        return False
    freedom = len(gains) - 1
    quantile = 1 + 1 / (2 * freedom) + 1 / (4 * freedom**2)
    scatter = math.sqrt(sum(gain * gain for gain in gains))
    return sum(gains) > scatter * quantile * math.sqrt(len(gains) / (freedom + quantile**2))
