"""Calibration: monotone maps from scores to probabilities, one for characters and one for strings.

A detector is trained for boxes and classes at once: its scores rank readings well, but are no probabilities. Each map
has two parameters, few enough to fit them on a small validation split.
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

_MIN_PROBABILITY = 1e-7  # scores are clipped to it and to 1 minus it: 0 and 1 have no log odds
_SLOPE_SPREAD, _OFFSET_SPREAD = 1.0, 2.0  # standard deviations of the normal prior around the identity
_MIN_SLOPE = 0.05  # for scores that say nothing: an almost flat map, never one that reverses their order
_MAX_STEPS = 50


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
        """Return the probability, in (0, 1), that a character or string with this score is right."""
        score = min(max(score, _MIN_PROBABILITY), 1 - _MIN_PROBABILITY)
        return 1 / (1 + math.exp(-max(-700.0, self.slope * math.log(score / (1 - score)) + self.offset)))


@dataclass(frozen=True)
class Calibration:
    """The maps from scores to probabilities for one network.

    Args:
        character: from a character's score to its confidence.
        string: from the product of the characters' confidences to the string's confidence. It corrects for what the
            product ignores: missed characters, and that errors in one picture are not independent.
    """

    character: PlattScaling = field(default_factory=PlattScaling)
    string: PlattScaling = field(default_factory=PlattScaling)

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Calibration:
        """Return the calibration of plain values, as :func:`dataclasses.asdict` makes them."""
        return Calibration(**{name: PlattScaling(**values) for name, values in plain.items()})


def log_odds(probability: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """Return ``log(p / (1 - p))``, of the same shape; probabilities are clipped to ``margin`` and 1 minus it first."""
    clipped = np.clip(probability, margin, 1 - margin)
    return np.asarray(np.log(clipped / (1 - clipped)))


def fit_platt(scores: Sequence[float], correct: Sequence[bool]) -> PlattScaling:
    """Fit the map with the greatest posterior to scores; the identity where there are none.

    Newton's method on the logistic loss. The normal prior around the identity counts about as much as two readings: if
    n readings are all right, their probability becomes about (n + 1) / (n + 2), not 1.

    Args:
        scores: in [0, 1].
        correct: one for each score.
    """
    logits = log_odds(np.asarray(scores, np.float64), _MIN_PROBABILITY)
    slope, offset = _newton(logits, np.asarray(correct, np.float64), None)
    if slope < _MIN_SLOPE:
        slope, offset = _newton(logits, np.asarray(correct, np.float64), _MIN_SLOPE)
    return PlattScaling(slope, offset)


def _newton(logits: NDArray[np.float64], correct: NDArray[np.float64], slope: float | None) -> tuple[float, float]:
    """Return slope and offset with the greatest posterior; only the offset is fitted where the slope is given."""
    inputs = np.stack([logits, np.ones_like(logits)], 1)  # (n, 2)
    precision = np.array([1 / _SLOPE_SPREAD**2, 1 / _OFFSET_SPREAD**2])  # of the prior
    identity, free = np.array([1.0, 0.0]), [0, 1] if slope is None else [1]
    weights = identity if slope is None else np.array([slope, 0.0])

    def loss(w: NDArray[np.float64]) -> float:
        z = inputs @ w
        return float((np.logaddexp(0, z) - correct * z).sum() + (precision * (w - identity) ** 2).sum() / 2)

    for _ in range(_MAX_STEPS):
        p = 0.5 * (1 + np.tanh(inputs @ weights / 2))  # the sigmoid, without overflow
        gradient = inputs.T @ (p - correct) + precision * (weights - identity)
        hessian = (inputs * (p * (1 - p))[:, None]).T @ inputs + np.diag(precision)
        step = np.zeros(2)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        size = 1.0
        while size > 1e-6 and loss(weights - size * step) > loss(weights):  # a whole step may overshoot
            size /= 2
        weights = weights - size * step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def right_characters(label: str, reading: Reading, space: str) -> list[bool]:
    """Test for each character of a reading whether the label has it at that place; spaces are no characters."""
    symbols = [c.symbol for c in reading.characters]
    _, wrong_places = differing([symbol for symbol in label if symbol != space], symbols)
    return [i not in wrong_places for i in range(len(symbols))]


def right_string(label: str, reading: Reading, space: str) -> bool:
    """Test whether the string that was read, rejected or not, is the label; spaces at the end of either are ignored."""
    return reading.shown_text.rstrip(space) == label.rstrip(space)


def fit_calibration(readings: Sequence[Reading], labels: Sequence[str], space: str = " ") -> Calibration:
    """Fit a calibration to readings of pictures that the network was not trained on.

    Args:
        readings: decoded without a calibration; those without a character are ignored.
        labels: one for each reading.
        space: the symbol that is never detected.

    Raises:
        ValueError: if there are not as many labels as readings.
    """
    pairs = [(r, label) for r, label in zip(readings, labels, strict=True) if r.characters]
    scores = [c.confidence for r, _ in pairs for c in r.characters]
    character = fit_platt(scores, [is_right for r, label in pairs for is_right in right_characters(label, r, space)])
    products = [math.prod(character(c.confidence) for c in r.characters) for r, _ in pairs]
    string = fit_platt(products, [right_string(label, r, space) for r, label in pairs])
    return Calibration(character, string)
