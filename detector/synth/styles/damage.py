"""The damage of cameras, scanners and compression."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style, chance


def damaged(rng: Random, style: Style) -> Style:
    """``style`` with the damage of cameras, scanners and compression."""
    hard = rng.random()
    return replace(
        style,
        shade=rng.uniform(0.2, 0.75) if chance(rng, 0.2) else 0.0,
        blur=rng.uniform(0.4, 1.3) if chance(rng, 0.3) else 0.0,
        motion=rng.randint(3, 6) if hard < 0.08 else 0,
        low_px=rng.uniform(10, 26) if hard > 0.7 else 0.0,
        noise=abs(rng.gauss(0, 7)) if chance(rng, 0.45) else 0.0,
        jpeg=rng.randint(25, 90) if chance(rng, 0.4) else 0,
    )
