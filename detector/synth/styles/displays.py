"""Displays of segments and dots."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style, chance


def segments(rng: Random) -> Style:
    """Draw a segment display."""
    return Style(
        faces="segments",
        stretch=rng.uniform(0.8, 1.25),
        tracking=rng.uniform(0.0, 0.25),
        cap_px=rng.uniform(22, 58),
        margin=rng.uniform(0.02, 0.12),
        angle=rng.gauss(0, 2),
        shear=rng.choice((0.0, rng.uniform(-0.2, 0.02))),
        perspective=rng.gauss(0, 0.04),
        background=rng.choice(("flat", "gradient", "blobs")),
        ground=rng.choice(("dark", "dark", "light", "pastel", "any")),
        contrast=rng.choice((60, 90, 130)),
        effect=rng.choice(("none", "none", "glow", "shadow")),
        ghosts=rng.choice((0, 0, 6, 12, 18)),
        frame=chance(rng, 0.2),
    )


def dots(rng: Random) -> Style:
    """Draw a dot-matrix display."""
    return replace(segments(rng), faces="dots", ghosts=0, shear=rng.gauss(0, 0.04), tracking=rng.uniform(0, 0.15))
