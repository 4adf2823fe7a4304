"""Print: labels, pressed signs, and the plain print that tests draw."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style, chance


def label(rng: Random) -> Style:
    """Draw a printed label or type plate."""
    return Style(
        faces=rng.choice(("plain", "plain", "any")),
        weight=rng.choice((-1, 0, 0, 1)),
        gap=None,
        tracking=rng.choice((0.0, 0.0, 0.08, 0.2)),
        stretch=rng.uniform(0.45, 1.4),
        separators=rng.choice(("", "", "-", "/", ".")),
        cap_px=rng.uniform(18, 54),
        margin=rng.uniform(0.01, 0.1),
        centred=chance(rng, 0.5),
        angle=rng.gauss(0, 2.5),
        shear=rng.gauss(0, 0.04),
        perspective=rng.gauss(0, 0.05),
        arc=rng.gauss(0, 0.2) if chance(rng, 0.12) else 0.0,
        background=rng.choice(("flat", "gradient", "blobs", "noise", "metal", "split")),
        ground=rng.choice(("light", "white", "any", "pastel", "dark")),
        contrast=rng.choice((50, 90, 130)),
        tiles=chance(rng, 0.1),
        frame=chance(rng, 0.2),
        captions=tuple(c for c in ("above", "below") if chance(rng, 0.25)),
        texture=rng.choice((0, 0, 0.1, 0.2)),
        grey=chance(rng, 0.3),
        cut=chance(rng, 0.15),
    )


def embossed(rng: Random) -> Style:
    """Draw signs pressed into metal or plastic."""
    return replace(
        label(rng),
        faces="plain",
        weight=rng.choice((1, 2, 4)),
        background=rng.choice(("metal", "metal", "blobs", "gradient")),
        ground=rng.choice(("any", "light", "dark")),
        cap_px=rng.uniform(26, 54),
        effect="emboss",
        contrast=rng.choice((0, 0, 30)),
        texture=0.0,
        captions=(),
    )


def plain(rng: Random) -> Style:
    """Draw dark upright signs on white, undamaged."""
    gap = rng.uniform(0.08, 0.3)
    return Style(faces="plain", gap=gap, ground="white", contrast=200, grey=True, cap_px=40, margin=0.08)
