"""Licence plates."""

from __future__ import annotations

from random import Random

from detector.synth.style import Style, chance


def plate(rng: Random) -> Style:
    """Draw a licence plate: long, or squarish with captions around."""
    wide = chance(rng, 0.45)  # a long plate that fills the picture, or a squarish one with captions
    shares = (("above", 0.75), ("below", 0.65), ("corner", 0.35), ("corner", 0.35), ("stack", 0.12))
    captions = () if wide else tuple(where for where, share in shares if chance(rng, share))
    return Style(
        faces="sans" if chance(rng, 0.85) else "plain",  # few plates have serifs
        lower="never",
        twins=rng.choice(("", "", "0", "1", "01")),
        weight=rng.choice((0, 0, 0, 1, 2)),
        gap=rng.uniform(0.06, 0.3),
        stretch=rng.uniform(0.7, 1.3) if wide else rng.choice((rng.uniform(0.5, 1.0), rng.uniform(1.0, 1.9))),
        separators=rng.choice(("", "", "", "", "-", "-", ".", "-.", "·", "•")),
        grouped=chance(rng, 0.6),
        emblems=rng.choice((0.0, 0.2, 0.6)) if wide else rng.choice((0.0, 0.4, 0.8)),
        cap_px=1e9 if wide or chance(rng, 0.5) else rng.uniform(22, 46),
        margin=rng.uniform(0.0, 0.1) if wide else rng.uniform(0.0, 0.08),
        angle=rng.gauss(0, 2.5),
        shear=rng.gauss(0, 0.06),
        perspective=rng.gauss(0, 0.06),
        background=rng.choice(("flat", "flat", "gradient", "blobs", "split", "guilloche")),
        ground=rng.choice(("light", "light", "white", "pastel", "dark", "any")),
        contrast=rng.choice((40, 70, 100, 130)),
        grey=chance(rng, 0.15),
        effect=rng.choice(("none", "none", "none", "emboss", "shadow", "halo")),
        frame=chance(rng, 0.75),
        captions=captions,
        bolts=chance(rng, 0.4),
    )
