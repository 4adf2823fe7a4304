"""Displays of segments and dots, and counters with drums."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style, chance


def segments(rng: Random) -> Style:
    """Draw a segment display in any colours."""
    return Style(
        faces="seven" if chance(rng, 0.75) else "fourteen",
        display="any",
        stretch=rng.uniform(0.8, 1.25),
        tracking=rng.uniform(0.0, 0.25),
        cap_px=rng.uniform(22, 58),
        margin=rng.uniform(0.02, 0.12),
        angle=rng.gauss(0, 2),
        shear=rng.choice((0.0, rng.uniform(-0.02, 0.2))),
        perspective=rng.gauss(0, 0.04),
        background=rng.choice(("flat", "gradient", "blobs")),
        ground=rng.choice(("dark", "dark", "light", "pastel", "any")),
        contrast=rng.choice((60, 90, 130)),
        effect=rng.choice(("none", "none", "glow", "shadow")),
        unlit=rng.choice((0, 0, 0.05, 0.12)),
        points=rng.choice((0.0, 0.3)),
        frame=chance(rng, 0.2),
    )


def lcd(rng: Random) -> Style:
    """Draw a liquid crystal display behind a window: dark segments on a light, units and rims around."""
    negative = chance(rng, 0.08)
    pale, common, dark = rng.uniform(0.18, 0.5), rng.uniform(0.4, 0.95), rng.uniform(0.8, 1.0)
    opacity = rng.choice((pale, common, dark))
    tight = chance(rng, 0.65)
    small_signs = rng.choice((0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3))
    return Style(
        faces="seven" if chance(rng, 0.93) else "fourteen",
        display="lcd",
        stretch=rng.uniform(0.85, 1.2) if chance(rng, 0.5) else rng.uniform(1.05, 1.7),
        tracking=rng.choice((rng.uniform(-0.04, 0.12), rng.uniform(0.05, 0.4))),
        cap_px=rng.uniform(20, 60) if chance(rng, 0.5) else rng.uniform(38, 62),
        margin=rng.uniform(0.0, 0.04) if tight else rng.uniform(0.0, 0.12),
        angle=rng.gauss(0, 2.2),
        shear=rng.choice((0.0, rng.uniform(-0.02, 0.12), rng.uniform(0.08, 0.28))),
        perspective=rng.gauss(0, 0.06),
        background=rng.choice(("flat", "gradient", "gradient", "blobs")),
        ground="dark" if negative else "backlight",
        opacity=opacity,
        effect="shadow" if chance(rng, 0.25) else "none",
        unlit=rng.choice((0.0, 0.0, 0.04, 0.1, 0.2)),
        blanks=rng.choice((0, 0, 0, 1, 2)),
        small_signs=small_signs,
        small_size=rng.uniform(0.5 if small_signs == 1 else 0.62, 0.8),
        points=rng.choice((0.0, 0.5)),
        units=rng.choice((0.0, 0.5, 0.8)),
        tight=tight,
        rims=rng.choice((0.0, 0.0, 0.3, 0.6)),
        reflections=rng.uniform(0.15, 0.75) * opacity if chance(rng, 0.45) else 0.0,
    )


def led(rng: Random) -> Style:
    """Draw lamps on a dark ground: light-emitting diodes, fluorescent tubes."""
    faces = rng.choices(("seven", "fourteen", "dots"), (75, 15, 10))[0]
    return Style(
        faces=faces,
        display="lamps",
        stretch=rng.uniform(0.75, 1.4),
        tracking=rng.uniform(0.0, 0.35),
        cap_px=rng.uniform(20, 60),
        margin=rng.uniform(0.0, 0.1),
        angle=rng.gauss(0, 2.5),
        shear=rng.choice((0.0, rng.uniform(0.0, 0.2 if faces != "dots" else 0.03))),
        perspective=rng.gauss(0, 0.06),
        background=rng.choice(("flat", "gradient", "blobs")),
        ground="dark",
        contrast=rng.choice((45, 70, 110)),
        effect="lamp",
        unlit=rng.choice((0.0, 0.0, 0.05, 0.1, 0.15)),
        blanks=rng.choice((0, 0, 0, 1)),
        small_signs=rng.choice((0,) * 9 + (1,)),
        small_size=rng.uniform(0.55, 0.8),
        points=rng.choice((0.0, 0.5)),
        units=rng.choice((0.0, 0.0, 0.5)),
        tight=chance(rng, 0.6),
        rims=rng.choice((0.0, 0.0, 0.4)),
        reflections=rng.uniform(0.05, 0.35) if chance(rng, 0.3) else 0.0,
    )


def dots(rng: Random) -> Style:
    """Draw a dot-matrix display: lamps, liquid crystal, or any colours."""
    kind = rng.random()
    style = lcd(rng) if kind < 0.3 else led(rng) if kind < 0.7 else segments(rng)
    return replace(
        style,
        faces="dots",
        stretch=rng.uniform(0.8, 1.3),
        shear=rng.gauss(0, 0.04),
        tracking=rng.uniform(0, 0.15),
        opacity=max(0.5, style.opacity),
        small_signs=0,
        dead=rng.choice((0.0, 0.0, 0.0, 0.03, 0.08)),
    )


def counter(rng: Random) -> Style:
    """Draw a counter's drums behind a window, the last one turning."""
    return Style(
        faces=rng.choice(("sans", "sans", "plain")),
        display="drums",
        weight=rng.choice((0, 0, 1, 2)),
        stretch=rng.uniform(0.75, 1.35),
        cap_px=rng.uniform(20, 54),
        margin=rng.uniform(0.0, 0.08),
        angle=rng.gauss(0, 2.5),
        shear=rng.gauss(0, 0.03),
        perspective=rng.gauss(0, 0.06),
        background=rng.choice(("flat", "gradient", "blobs", "noise")),
        ground=rng.choice(("any", "light", "dark")),
        small_signs=rng.choice((0, 0, 1, 1, 2, 3)),
        turned=rng.uniform(0.1, 0.55),
        drum_shade=rng.uniform(0.0, 0.7),
        units=rng.choice((0.0, 0.4, 0.7)),
        tight=chance(rng, 0.35),
        reflections=rng.uniform(0.05, 0.4) if chance(rng, 0.35) else 0.0,
    )
