"""Licence plates."""

from __future__ import annotations

import math
from random import Random

from detector.synth.style import Style, chance

# Ground and ink of plates, BGR, and how often they are drawn.
_PAINTS = (
    ((240, 240, 240), (20, 20, 20), 10), ((225, 230, 230), (90, 40, 20), 3), ((240, 240, 240), (30, 30, 190), 2),
    ((240, 245, 240), (50, 110, 20), 2), ((40, 200, 240), (15, 15, 15), 5), ((30, 160, 220), (30, 20, 10), 2),
    ((25, 25, 25), (230, 230, 230), 7), ((40, 30, 25), (200, 210, 215), 3), ((180, 80, 20), (245, 245, 245), 7),
    ((140, 50, 10), (240, 240, 240), 3), ((210, 130, 30), (250, 250, 250), 2), ((70, 120, 20), (240, 240, 240), 3),
    ((150, 200, 120), (20, 30, 20), 3), ((40, 30, 170), (240, 240, 240), 3), ((235, 210, 160), (60, 40, 20), 2),
    ((130, 130, 135), (25, 25, 25), 2), ((60, 130, 230), (20, 20, 20), 2), ((20, 20, 20), (60, 200, 240), 1),
    ((120, 30, 30), (60, 200, 240), 1),
)  # fmt: skip


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


def vehicle(rng: Random) -> Style:
    """Draw a licence plate of anywhere as a camera on the road sees it, with all that plates have beside their text."""
    relief = chance(rng, 0.12)
    ground, ink = _paint(rng, relief)
    painted = relief or chance(rng, 0.65)
    loose = chance(rng, 0.35)
    seals, foreign = chance(rng, 0.25), rng.choice((1, 1, 1, 2)) if chance(rng, 0.22) else 0
    grouped = seals or chance(rng, 0.7)
    angle = rng.gauss(0, 2.5) if chance(rng, 0.7) else rng.uniform(-20, 20)
    upright = chance(rng, 0.6)  # seen from the side: the line leans, the signs hardly do
    return Style(
        faces="strokes" if chance(rng, 0.5) else "sans",
        twins="" if foreign else rng.choice(("", "", "0", "01")),
        weight=rng.choice((0, 0, 0, 1, 2)),
        gap=rng.uniform(0.06, 0.3),
        stretch=rng.uniform(0.65, 1.25),
        separators="" if seals else rng.choice(("", "", "", "-", ".", "·", "•")),
        grouped=grouped,
        groups=rng.choice((1, 1, 2)),
        group_gap=rng.uniform(0.2, 0.6) if seals else rng.choice((0.0, rng.uniform(0.1, 0.8))),
        emblems=0.0 if seals else rng.choice((0.0, 0.0, 0.3)),
        slashed=rng.choice(("", "", "", "", "0", "0O")),
        foreign=foreign,
        cap_px=1e9 if loose or chance(rng, 0.6) else rng.uniform(24, 46),
        margin=rng.uniform(0.02, 0.2) if loose else rng.uniform(0.0, 0.06),
        centred=not loose,
        angle=angle,
        shear=math.tan(math.radians(angle)) * rng.uniform(-1.1, -0.5) if upright else rng.gauss(0, 0.08),
        perspective=rng.gauss(0, 0.08),
        background=rng.choice(("flat", "flat", "gradient", "gradient", "blobs", "guilloche")),
        ground=rng.choice(("light", "white", "pastel", "dark", "any")),
        ground_bgr=ground if painted else None,
        ink_bgr=ink if painted else None,
        contrast=rng.choice((45, 70, 100, 130)),
        effect="emboss" if relief else rng.choice(("none", "none", "none", "none", "emboss", "shadow")),
        frame=loose or chance(rng, 0.8),
        bolts=chance(rng, 0.2),
        fittings=_fittings(rng, seals),
        surroundings=loose or chance(rng, 0.5),
        texture=rng.choice((0.0, 0.0, 0.0, 0.0, 0.15)),
        camera=_camera(rng),
    )


def _paint(rng: Random, relief: bool) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Colours of ground and ink, faded; the same for both where signs are only pressed in."""
    ground, ink, _ = rng.choices(_PAINTS, [weight for *_, weight in _PAINTS])[0]
    if relief and chance(rng, 0.6):
        ink = ground
    fade, grey = rng.uniform(0.0, 0.25), rng.uniform(90, 150)
    (gb, gg, gr), (ib, ig, ir) = (
        [min(255.0, max(0.0, c + (grey - c) * fade + rng.gauss(0, 12 if not relief else 4))) for c in colour]
        for colour in (ground, ink)
    )
    return (gb, gg, gr), (ib, ig, ir)


def _fittings(rng: Random, seals: bool) -> tuple[str, ...]:
    """Parts beside the text; see `setting.fittings`."""
    shares = (("row", 0.3), ("name", 0.15), ("stack", 0.15), ("screws", 0.3), ("upper", 0.2), ("lower", 0.1),
              ("left", 0.25), ("right", 0.06), ("dividers", 0.0 if seals else 0.12))  # fmt: skip
    names = [name for name, share in shares if chance(rng, share)]
    return (*("seals",) * seals, *names)


def _camera(rng: Random) -> tuple[str, ...]:
    """At most one effect of the place, one of the light and one of the lens; see `painting.camera`."""
    place = rng.choice(("", "", "shadow", "dirt", "drops", "scratches", "sun"))
    light = rng.choice(("", "", "", "infrared", "night", "night", "cast", "haze", "overexposed", "bloom"))
    lens = rng.choice(("", "", "", "motion", "defocus", "interlaced"))
    return tuple(name for name in (place, light, "cast" if light == "night" and chance(rng, 0.5) else "", lens) if name)
