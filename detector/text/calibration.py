"""Scores as probabilities: a monotone map for characters and one for strings, learnt from readings with labels.

A detector is trained for boxes and classes at once, so its scores order readings well and say little of how many of
them are right. Two numbers a map set that straight: few enough for the readings of a small validation split.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.text.detections import Reading
from detector.text.metrics import differing

_EDGE = 1e-7  # scores of exactly 0 or 1 have no log odds
_SLOPE_SPREAD, _OFFSET_SPREAD = 1.0, 2.0  # of the normal prior around the identity
_MIN_SLOPE = 0.05  # scores that say nothing leave a map that is almost flat, not one that turns their order round
_STEPS = 50


@dataclass(frozen=True)
class PlattScaling:
    """The map ``p = sigmoid(slope * log(s / (1 - s)) + offset)`` of scores in [0, 1]; by default the identity.

    Platt, "Probabilistic outputs for support vector machines", 1999; on log odds, so that it can be the identity.

    Raises:
        ValueError: if a number is not finite, or the slope not above 0.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.offset) and self.slope > 0):
            raise ValueError(f"a calibration needs a slope above 0 and an offset, got {self.slope} and {self.offset}")

    def __call__(self, score: float) -> float:
        """The probability that what has this score is right, in (0, 1)."""
        score = min(max(score, _EDGE), 1 - _EDGE)
        return 1 / (1 + math.exp(-max(-700.0, self.slope * math.log(score / (1 - score)) + self.offset)))


@dataclass(frozen=True)
class Calibration:
    """What scores are worth, of one network.

    Args:
        character: from a character's score to its confidence.
        string: from the product of the characters' confidences to the string's. It knows what the product does not:
            that characters are missed, and that those of one picture are right or wrong together.
    """

    character: PlattScaling = field(default_factory=PlattScaling)
    string: PlattScaling = field(default_factory=PlattScaling)

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Calibration:
        """From plain values, as :func:`dataclasses.asdict` makes them."""
        return Calibration(**{name: PlattScaling(**values) for name, values in plain.items()})


def fit_platt(scores: Sequence[float], correct: Sequence[bool]) -> PlattScaling:
    """The likeliest map of scores that are right or not; the identity where there are none.

    Newton's steps on the logistic loss. A normal prior around the identity counts about as much as two readings: of
    n that are all right the last one is believed (n + 1) / (n + 2) or so, and not altogether.
    """
    s = np.clip(np.asarray(scores, np.float64), _EDGE, 1 - _EDGE)
    logits = np.log(s / (1 - s))
    slope, offset = _newton(logits, np.asarray(correct, np.float64), None)
    if slope < _MIN_SLOPE:
        slope, offset = _newton(logits, np.asarray(correct, np.float64), _MIN_SLOPE)
    return PlattScaling(slope, offset)


def _newton(logits: NDArray[np.float64], correct: NDArray[np.float64], slope: float | None) -> tuple[float, float]:
    """Slope and offset of the greatest posterior; the offset alone where the slope is given."""
    inputs = np.stack([logits, np.ones_like(logits)], 1)  # (n, 2)
    prior = np.array([1 / _SLOPE_SPREAD**2, 1 / _OFFSET_SPREAD**2])
    around, free = np.array([1.0, 0.0]), [0, 1] if slope is None else [1]
    at = around if slope is None else np.array([slope, 0.0])

    def loss(w: NDArray[np.float64]) -> float:
        z = inputs @ w
        return float((np.logaddexp(0, z) - correct * z).sum() + (prior * (w - around) ** 2).sum() / 2)

    for _ in range(_STEPS):
        p = 0.5 * (1 + np.tanh(inputs @ at / 2))  # the sigmoid, without overflow
        gradient = inputs.T @ (p - correct) + prior * (at - around)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + np.diag(prior)
        step = np.zeros(2)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        size = 1.0
        while size > 1e-6 and loss(at - size * step) > loss(at):  # far from the minimum a whole step may overshoot
            size /= 2
        at = at - size * step
        if np.abs(step).max() < 1e-9:
            break
    return float(at[0]), float(at[1])


def right_characters(label: str, reading: Reading, space: str) -> list[bool]:
    """Of each character of a reading, whether the label has it there; spaces are no characters."""
    symbols = [c.symbol for c in reading.characters]
    _, wrong_places = differing([symbol for symbol in label if symbol != space], symbols)
    return [i not in wrong_places for i in range(len(symbols))]


def right_string(label: str, reading: Reading, space: str) -> bool:
    """Whether what was read, rejected or not, is the label; spaces at the end of either do not count."""
    return reading.shown_text.rstrip(space) == label.rstrip(space)


def fit_calibration(readings: Sequence[Reading], labels: Sequence[str], space: str = " ") -> Calibration:
    """Learn from readings without a calibration: of pictures that the network was not trained on.

    Args:
        readings: as they were decoded; those without a character say nothing.
        labels: of each.
        space: the symbol that is never detected.

    Raises:
        ValueError: if there are not as many of one as of the other.
    """
    pairs = [(r, label) for r, label in zip(readings, labels, strict=True) if r.characters]
    scores = [c.confidence for r, _ in pairs for c in r.characters]
    character = fit_platt(scores, [ok for r, label in pairs for ok in right_characters(label, r, space)])
    products = [math.prod(character(c.confidence) for c in r.characters) for r, _ in pairs]
    string = fit_platt(products, [right_string(label, r, space) for r, label in pairs])
    return Calibration(character, string)
