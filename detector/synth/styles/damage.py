"""The damage of cameras, scanners and compression."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style, chance


def damaged(rng: Random, style: Style) -> Style:
    """Return ``style`` with the damage of cameras, scanners and compression."""
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


def from_afar(rng: Random, style: Style) -> Style:
    """Return ``style`` as a camera on the road takes and keeps it: few pixels, grain, strong compression."""
    blurred = any(name in style.camera for name in ("motion", "defocus", "interlaced"))
    lowest, highest, share = (12, 24, 0.3) if blurred else (8.5, 16, 0.4)
    return replace(
        style,
        low_px=rng.uniform(lowest, highest) if chance(rng, share) else 0.0,
        noise=abs(rng.gauss(0, 5)) if chance(rng, 0.35) else 0.0,
        jpeg=rng.randint(20, 40) if chance(rng, 0.35) else rng.randint(40, 90) if chance(rng, 0.4) else 0,
    )
