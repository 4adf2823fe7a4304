"""Handwriting."""

from __future__ import annotations

from random import Random

from detector.synth.style import Style, chance


def handwriting(rng: Random) -> Style:
    """Draw written signs, by pen or in a font of a hand."""
    return Style(
        faces="pen" if chance(rng, 0.65) else "hand",
        lower=rng.choices(("never", "some"), (8, 2))[0],
        weight=rng.choice((-4, -2, 0, 1)),
        wobble=rng.uniform(0.4, 1.3),
        gap=rng.uniform(-0.08, 0.3),
        stretch=rng.uniform(0.7, 1.4),
        separators=rng.choice(("", "", "", ".", "-", ",")),
        ending=rng.choice(("", "", "", "", "", "-", "=", ".")),
        jitter_y=rng.uniform(0.03, 0.15),
        jitter_size=rng.uniform(0.05, 0.2),
        rotation=rng.uniform(2, 10),
        cap_px=rng.uniform(22, 56),
        margin=rng.uniform(0.01, 0.12),
        centred=chance(rng, 0.4),
        angle=rng.gauss(0, 3),
        shear=rng.gauss(-0.1, 0.15),
        background=rng.choice(("flat", "gradient", "blobs", "noise", "guilloche", "guilloche")),
        ground=rng.choice(("light", "light", "white", "pastel", "any", "dark")),
        contrast=rng.choice((50, 80, 110)),
        grey=chance(rng, 0.5),
        texture=rng.choice((0, 0.1, 0.25)),
        lines_under=rng.choice((0, 0, 1, 3)),
    )
