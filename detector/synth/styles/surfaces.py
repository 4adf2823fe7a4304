"""Codes on things: ink jets on packages, marks pressed and cut into material, cloth and bottles, paint and light."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style, chance
from detector.synth.styles.printed import label

_CLUTTER: tuple[tuple[str, ...], ...] = (*((),) * 7, ("rows",), ("rows",), ("above",), ("below",), ("above", "below"))
_SMOOTH = ("flat", "gradient", "blobs")


def inkjet(rng: Random) -> Style:
    """Draw a date or lot as printers spray and burn them onto packages."""
    dotted = chance(rng, 0.8)
    rows = rng.choices((5, 7, 9, 12, 16), (2, 6, 2, 2, 2))[0]
    sparse = dotted and rows < 9  # each dot counts
    return Style(
        faces="drops" if dotted else "sans",
        drop_rows=rows,
        drop_width=rng.uniform(0.7, 0.85 if rows == 5 else 1.0) if sparse else rng.uniform(0.9, 1.3),
        unevenness=rng.choice((0.2, 0.5, 0.8, 1.2)),
        tracking=rng.choice((0.0, 0.0, 0.1, 0.25)),
        stretch=rng.choice((rng.uniform(0.6, 1.0), rng.uniform(0.9, 1.5))),
        separators=rng.choice(("", "", "", "-", ".", ":", "..") if sparse else ("", "", "", "/", ".", ":", "..", "//")),
        grouped=chance(rng, 0.3),
        jitter_y=rng.choice((0.0, 0.02, 0.05)),
        cap_px=rng.choice((1e9, rng.uniform(18, 54), rng.uniform(18, 54))),
        margin=rng.uniform(0.0, 0.1),
        centred=chance(rng, 0.5),
        angle=rng.gauss(0, 3),
        shear=rng.gauss(0, 0.08),
        perspective=rng.gauss(0, 0.06),
        wave_px=rng.choice((0.0, 0.0, rng.uniform(0.5, 2.0))),
        background=rng.choice((*_SMOOTH, "cardboard", "cardboard", "foil", "photo", "brushed", "weave", "noise")),
        ground=rng.choice(("light", "light", "white", "any", "dark", "pastel")),
        contrast=rng.choice((45, 70, 100)),
        grey=chance(rng, 0.5),
        process=rng.choice(("none",) * 8 + ("spray",) if sparse else ("none", "none", "stamp", "worn")),
        captions=rng.choice(_CLUTTER),
        surface=rng.choice(("flat", "flat", "flat", "film", "film", "bottle", "pipe", "crumpled")),
        cut=chance(rng, 0.3),
    )


def engraved(rng: Random) -> Style:
    """Draw signs that are cut, cast, peened or etched: shaped or toned ground, not ink."""
    peened = chance(rng, 0.25)
    etched = not peened and chance(rng, 0.25)  # a laser leaves a tone, no depth
    return replace(
        label(rng),
        faces="drops" if peened or (etched and chance(rng, 0.3)) else rng.choice(("plain", "plain", "sans", "any")),
        drop_rows=rng.choice((7, 7, 7, 9, 12)),
        drop_width=rng.uniform(0.75, 1.05),
        unevenness=rng.choice((0.1, 0.3, 0.7)),
        weight=0 if etched else rng.choice((1, 2, 2, 4)),
        cap_px=rng.uniform(26, 54),
        separators=rng.choice(("", "", "", "-", ".")),
        bow=rng.choice((-1, 1)) * rng.uniform(0.1, 0.4) if chance(rng, 0.15) else 0.0,
        background=rng.choice(("brushed", "brushed", "rust", "concrete", "metal", "gradient", "blobs", "wood", "foil")),
        ground=rng.choice(("light", "any", "any", "dark")),
        contrast=rng.choice((30, 45, 65)),
        grey=etched or chance(rng, 0.5),
        tiles=False,
        frame=chance(rng, 0.06),
        texture=0.0,
        captions=("rows",) if chance(rng, 0.1) else (),
        effect=rng.choice(("none", "none", "emboss", "halo")) if etched else "relief",
        process=rng.choice(("none", "none", "worn")) if etched else "none",
        surface=rng.choice(("flat", "flat", "flat", "bottle", "pipe")),
        cut=chance(rng, 0.25),
    )


def curved(rng: Random) -> Style:
    """Draw signs on cloth, bottles, pipes and crumpled paper."""
    cloth = chance(rng, 0.5)
    return replace(
        label(rng),
        faces=rng.choice(("sans", "plain", "any", "any")),
        weight=rng.choice((0, 0, 1, 2)),
        outline=rng.choice((0,) * 9 + (6,)),
        stretch=rng.uniform(0.6, 1.3),
        separators="",
        cap_px=rng.choice((1e9, rng.uniform(22, 56))),
        bow=rng.choice((-1, 1)) * rng.uniform(0.1, 0.5) if chance(rng, 0.15) else 0.0,
        angle=rng.gauss(0, 5),
        shear=rng.gauss(0, 0.07),
        perspective=rng.gauss(0, 0.08),
        background=rng.choice(("weave", "weave", "flat", "gradient", "blobs", "split"))
        if cloth
        else rng.choice((*_SMOOTH, "noise", "split", "photo", "cardboard", "brushed")),
        ground=rng.choice(("any", "light", "white", "dark", "pastel")),
        tiles=False,
        frame=False,
        captions=("rows",) if chance(rng, 0.12) else (),
        effect=rng.choice(("none", "none", "none", "rimmed", "shadow")),
        surface="cloth" if cloth else rng.choice(("bottle", "bottle", "pipe", "crumpled", "crumpled", "film")),
        cut=chance(rng, 0.3),
    )


def painted(rng: Random) -> Style:
    """Draw stencils, old paint, chalk, spray, neon and bulbs on walls, boards and metal."""
    means = rng.choice(("stencil", "stencil", "paint", "paint", "chalk", "spray", "neon", "bulbs"))
    shining = means in ("neon", "bulbs")
    faces = {
        "stencil": ("sans", "plain", "plain"), "paint": ("plain", "any"), "chalk": ("hand", "pen", "any"),
        "spray": ("plain", "any", "pen"), "neon": ("any", "hand", "sans"), "bulbs": ("drops",),
    }[means]  # fmt: skip
    return Style(
        faces=rng.choice(faces),
        drop_rows=rng.choice((7, 7, 9)),
        drop_width=rng.uniform(0.5, 0.9),
        unevenness=rng.choice((0.0, 0.2)),
        lower=rng.choices(("never", "word", "title"), (8, 1, 1))[0] if means != "bulbs" else "never",
        weight=0 if shining else rng.choice((0, 0, 1, 3)),
        outline=rng.choice((0, 0, 5)) if means == "neon" else 0,
        bridges=rng.uniform(0.07, 0.13) if means == "stencil" else 0.0,
        gap=None,
        tracking=rng.choice((0.0, 0.05, 0.15)),
        stretch=rng.uniform(0.55, 1.3),
        separators=rng.choice(("", "", "", "-", ".")) if means in ("stencil", "paint") else "",
        grouped=means == "stencil" and chance(rng, 0.5),
        jitter_y=rng.choice((0.0, 0.0, 0.05)) if not shining else 0.0,
        cap_px=rng.choice((1e9, rng.uniform(20, 56))),
        margin=rng.uniform(0.0, 0.1),
        centred=chance(rng, 0.5),
        angle=rng.gauss(0, 3),
        shear=rng.gauss(0, 0.08),
        perspective=rng.gauss(0, 0.09),
        bow=rng.choice((-1, 1)) * rng.uniform(0.1, 0.6) if chance(rng, 0.1) else 0.0,
        background=rng.choice(("flat", "gradient", "photo", "blobs"))
        if shining
        else rng.choice(("wood", "concrete", "brushed", "rust", "cardboard", "photo", "blobs", "split")),
        ground="dark" if shining else rng.choice(("any", "any", "dark", "light")),
        contrast=130 if shining else rng.choice((50, 80, 110)),
        effect={"neon": "neon", "bulbs": "glow"}.get(means, "none"),
        process={"stencil": rng.choice(("spray", "worn", "none")), "paint": "worn", "chalk": "chalk", "spray": "spray"}
        .get(means, "none"),
        frame=not shining and chance(rng, 0.1),
        captions=("rows",) if not shining and chance(rng, 0.12) else (),
        cut=chance(rng, 0.3),
    )  # fmt: skip


def document(rng: Random) -> Style:
    """Draw typewriting, receipts, stamps, copies and screens."""
    means = rng.choice(("ribbon", "thermal", "thermal", "stamp", "stamp", "copy", "scan", "screen", "screen"))
    paper = means != "screen"
    drops = means == "thermal" and chance(rng, 0.3)
    return Style(
        faces="drops" if drops else rng.choice(("plain", "plain", "any")),
        drop_rows=rng.choice((9, 12, 16)),
        drop_width=rng.uniform(0.9, 1.2),
        unevenness=rng.choice((0.0, 0.3)),
        weight=rng.choice((-1, 0, 0, 1)),
        lower=rng.choices(("never", "word", "title"), (8, 1, 1))[0],
        gap=None,
        tracking=rng.choice((0.0, 0.05, 0.2)),
        stretch=rng.uniform(0.55, 1.3),
        separators=rng.choice(("", "", "-", "/", ".", ":", "*")),
        jitter_y=rng.uniform(0.0, 0.05) if means in ("ribbon", "stamp") else 0.0,
        rotation=rng.uniform(0, 3) if means in ("ribbon", "stamp") else 0.0,
        cap_px=rng.choice((rng.uniform(16, 34), rng.uniform(26, 54))),
        margin=rng.uniform(0.01, 0.1),
        centred=chance(rng, 0.5),
        angle=rng.gauss(0, 2.5),
        shear=rng.gauss(0, 0.03),
        perspective=rng.gauss(0, 0.04),
        bow=rng.choice((-1, 1)) * rng.uniform(0.2, 0.6) if means == "stamp" and chance(rng, 0.25) else 0.0,
        background=rng.choice(
            ("flat", "gradient", "blobs", "noise", "guilloche") if paper else ("flat", "gradient", "photo")
        ),
        ground=rng.choice(("white", "white", "light", "pastel") if paper else ("any", "white", "dark")),
        contrast=rng.choice((50, 80, 120)),
        grey=means in ("thermal", "copy", "scan") and chance(rng, 0.8),
        frame=means == "stamp" and chance(rng, 0.2),
        captions=rng.choice(_CLUTTER),
        lines_under=rng.choice((0, 0, 0, 2)) if paper else 0,
        process=means if means in ("ribbon", "thermal", "stamp", "copy") else "none",
        surface="crumpled" if means == "thermal" and chance(rng, 0.35) else "flat",
        medium=rng.choice(("scan", "scan", "fax")) if means == "scan" else "screen" if not paper else "none",
        dots=rng.choice((0, 0, 40)) if means in ("copy", "scan") else 0,
        cut=chance(rng, 0.2),
    )
