"""Words as they are seen outdoors."""

from __future__ import annotations

from random import Random

from detector.synth.style import Style, chance


def scene(rng: Random) -> Style:
    """Draw a word as signs and shop fronts have it."""
    return Style(
        faces=rng.choice(("plain", "any", "any", "hand")),
        lower=rng.choices(("never", "word", "title"), (5, 2, 2))[0],
        weight=rng.choice((0, 0, 2)),
        outline=rng.choice((0,) * 12 + (5, 7)),
        gap=None,
        tracking=rng.choice((-0.03, 0.0, 0.0, 0.1, 0.3)),
        stretch=rng.choice((rng.uniform(0.35, 0.7), rng.uniform(0.6, 1.5), rng.uniform(0.6, 1.5))),
        ending=rng.choice(("",) * 12 + ("!", "?", ".", ",", "”")),
        cap_px=rng.choice((1e9, rng.uniform(20, 54))),
        margin=rng.uniform(0.0, 0.12),
        centred=chance(rng, 0.6),
        angle=rng.gauss(0, 4),
        shear=rng.gauss(0, 0.08),
        perspective=rng.gauss(0, 0.1),
        arc=rng.gauss(0, 0.3) if chance(rng, 0.15) else 0.0,
        background=rng.choice(("flat", "gradient", "blobs", "blobs", "split", "noise")),
        ground=rng.choice(("any", "dark", "light")),
        contrast=rng.choice((50, 80, 120)),
        effect=rng.choice(("none", "none", "shadow", "halo", "glow", "emboss")),
        captions=tuple(c for c in ("above", "below") if chance(rng, 0.12)),
        frame=chance(rng, 0.1),
    )
