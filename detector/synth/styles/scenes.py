"""Words as they are seen outdoors."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style, chance


def scene(rng: Random) -> Style:
    """Draw a word as signs and shop fronts have it."""
    style = Style(
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
    return _display(rng, style) if chance(rng, 0.5) else style


def _display(rng: Random, style: Style) -> Style:
    """The word as shop fronts, logos and photographs have it: solid, rimmed, coloured, bent, cut out tightly."""
    busy = chance(rng, 0.35)
    effect = rng.choice(("none", "none", "extruded", "extruded", "rimmed", "rimmed", "shadow", "neon", "relief"))
    background = rng.choice(("flat", "gradient", "blobs", "split", "wood", "concrete", "brushed", "weave", "foil"))
    return replace(
        style,
        faces="plain" if effect == "relief" else style.faces,
        lower=rng.choice(("never", "word", "title", "title", "some")),
        weight=rng.choice((1, 2, 3)) if effect == "relief" else rng.choice((0, 0, 1, 3)),
        outline=0,
        tracking=rng.choice((-0.03, 0.0, 0.0, 0.1)),
        cap_px=1e9 if chance(rng, 0.6) else rng.uniform(22, 54),
        margin=rng.uniform(0.0, 0.06),
        angle=rng.choice((rng.gauss(0, 3), rng.gauss(0, 10))),
        shear=rng.choice((rng.gauss(0, 0.06), rng.gauss(0, 0.2))),
        perspective=rng.choice((rng.gauss(0, 0.05), rng.gauss(0, 0.16))),
        arc=0.0,
        bow=rng.choice((-1, 1)) * rng.uniform(0.1, 0.8) if chance(rng, 0.25) else 0.0,
        ink="each" if chance(rng, 0.12) and effect in ("none", "rimmed") else "one",
        fill=rng.choice(("flat", "flat", "flat", "gradient", "gradient", "stripes", "mottled")),
        background="photo" if busy and effect != "relief" else background,
        ground="dark" if effect == "neon" else style.ground,
        contrast=130 if effect == "neon" else rng.choice((38, 50, 70, 110)),
        effect=effect,
        extrusion=rng.uniform(0.05, 0.18),
        captions=("rows",) if chance(rng, 0.15) else (),
        frame=False,
        cut=chance(rng, 0.7),
    )
