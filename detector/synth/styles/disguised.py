"""Captchas by what they hide their text with: strokes, outlines, crowding, inverted parts, specks; and clear ones."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style, chance

_GROUNDS = ("white", "white", "pastel", "light", "any")


def clear(rng: Random) -> Style:
    """Draw a captcha that hides nothing: upright or slightly turned signs of any face, often small in their picture."""
    each, coarse = chance(rng, 0.35), chance(rng, 0.12)
    return Style(
        faces="sans" if coarse else rng.choice(("any", "plain", "plain", "sans")),
        mixed_faces=not coarse and chance(rng, 0.2),
        lower=rng.choices(("never", "word", "some"), (6, 2, 2))[0],
        weight=rng.choice((-3, 0, 0, 0, 2)),
        gap=rng.choice((None, rng.uniform(0.04, 0.5), rng.uniform(0.1, 1.2))),
        tracking=rng.uniform(0, 0.3),
        stretch=rng.uniform(0.7, 1.25),
        jitter_y=rng.choice((0, 0, 0.06, 0.2)),
        jitter_size=rng.choice((0, 0, 0.1)),
        rotation=rng.choice((0, 0, 5, 12)),
        cap_px=rng.uniform(11, 24) if not coarse and chance(rng, 0.5) else rng.uniform(22, 54),
        margin=rng.uniform(0.02, 0.15),
        centred=chance(rng, 0.5),
        angle=rng.gauss(0, 1.5) if chance(rng, 0.4) else 0.0,
        shear=rng.gauss(0, 0.15) if chance(rng, 0.4) else 0.0,
        ink="each" if each else "one",
        any_hue=each and chance(rng, 0.4),
        faint=chance(rng, 0.25),
        second_ink=chance(rng, 0.15),
        background=rng.choice(("flat", "flat", "flat", "gradient", "noise", "blobs", "pixels")),
        ground=rng.choice(_GROUNDS),
        contrast=rng.choice((40, 60, 90)),
        grey=not each and chance(rng, 0.3),
        effect=rng.choice(("none", "none", "none", "none", "shadow")),
        coarse=rng.randint(9, 14) if coarse else 0,
        lines_over=rng.choice((0, 0, 0, 1)),
        lines_under=rng.choice((0, 0, 0, 2)),
        line_px=rng.uniform(0.8, 1.5),
        dots=rng.choice((0, 0, 0, 25)),
    )


def struck(rng: Random) -> Style:
    """Draw a captcha with strokes through it, as thick as its own and in its ink, or with a grid."""
    grid = chance(rng, 0.3)
    lines = 0 if grid else rng.choice((0, 0, 0, 0, 0, 0, 3, 6))
    each = chance(rng, 0.3)
    paths = ("straight", "bent", "curve", "sine", "arc", "oval", "short")
    style = _text(rng, each, cap_px=rng.uniform(24, 54), bold=(-2, 0, 0, 3))
    if grid:
        over = chance(rng, 0.5)
        style = replace(
            style,
            grid=rng.uniform(0.15, 0.7),
            grid_over=over,
            grid_ink=rng.choice(("pale", "ground") if over else ("pale", "text")),
            contrast=max(style.contrast, 60),
        )
    return replace(
        style,
        strokes=0 if lines else rng.choice((0, 1, 2)) if grid else rng.choice((1, 1, 2, 2, 3, 4)),
        stroke_paths=tuple(rng.sample(paths, rng.choice((1, 1, 2)))),
        stroke_weight=rng.choice((rng.uniform(0.35, 0.8), rng.uniform(0.7, 1.1))),
        stroke_ink=rng.choice(("text", "text", "text", "other")),
        lines_over=lines,
        line_px=rng.uniform(0.8, 1.4),
        line_ink=rng.choice(("own", "text", "text")),
        dots=rng.choice((0, 0, 0, 30, 80)),
        ticks=rng.choice((0, 0, 0, 0, 20)),
        tick_ink="one",
        pepper=_pepper(rng, 0.1),
        noise=rng.uniform(6, 20) if chance(rng, 0.12) else 0.0,
        effect=rng.choice(("none", "none", "none", "none", "none", "shadow")),
    )


def crowded(rng: Random) -> Style:
    """Draw a captcha whose signs overlap, are strongly turned or slanted, or bent together."""
    kind = rng.choice(("overlap", "overlap", "turned", "slanted", "bent"))
    overlap = kind == "overlap" or chance(rng, 0.2)
    each = chance(rng, 0.5 if overlap else 0.3)
    rim = overlap and (not each or chance(rng, 0.3)) and chance(rng, 0.75)
    mixed = each and not rim and chance(rng, 0.5)
    # What a later sign hides must not make a C of an O.
    closest = -0.34 if mixed else -0.24 if not each and not rim else -0.2
    gap = rng.uniform(closest, -0.03) if overlap else rng.uniform(-0.05, 0.3)
    style = _text(rng, each, cap_px=rng.uniform(28, 58), bold=(-2, 0, 0) if overlap else (-2, 0, 0, 3))
    faces = rng.choice(("plain", "sans", "sans", "any")) if overlap else style.faces
    return replace(
        style,
        faces=faces,
        gap=gap,
        overlapping=overlap,
        stretch=rng.uniform(0.85, 1.35) if overlap else style.stretch,
        rim=rng.uniform(0.015, 0.05) if rim else 0.0,
        mixed_inks=mixed,
        jitter_y=rng.choice((0, 0.1, 0.3)),
        jitter_size=rng.choice((0, 0.12, 0.25)),
        rotation=rng.uniform(20, 38) if kind == "turned" else rng.choice((0, 8, 18)),
        shear=rng.choice((-1, 1)) * rng.uniform(0.2, 0.45) if kind == "slanted" else rng.gauss(0, 0.1),
        wave_px=rng.uniform(2.5, 6.5) if kind == "bent" else style.wave_px,
        whirls=rng.choice((0, 1, 2, 3)) if kind == "bent" else 0,
        perspective=rng.gauss(0, 0.09) if kind == "bent" and chance(rng, 0.4) else 0.0,
        lines_over=rng.choice((0, 0, 1)),
        line_px=rng.uniform(0.8, 1.6),
        strokes=rng.choice((0, 0, 0, 1)),
        stroke_paths=("curve", "sine", "straight"),
        stroke_weight=rng.uniform(0.4, 0.9),
        dots=rng.choice((0, 0, 0, 40)),
        pepper=_pepper(rng, 0.1),
    )


def hollow(rng: Random) -> Style:
    """Draw a captcha of outlines: signs among circles and lines, over each other, or solids with sides."""
    kind = rng.choice(("outline", "outline", "contour", "solid"))
    style = _text(rng, chance(rng, 0.25) and kind != "contour", cap_px=rng.uniform(34, 60), bold=(0, 2, 4))
    effect = rng.choice(("none", "none", "none", "none", "shadow"))
    style = replace(style, contrast=max(style.contrast, 60), faint=False, grid=0.0, effect=effect)
    if kind == "solid":
        return replace(
            style,
            effect="extruded",
            extrusion=rng.uniform(0.05, 0.2),
            outline=rng.choice((0, 0, rng.randint(4, 6))),
            strokes=rng.choice((0, 0, 1)),
            stroke_weight=0.6,
            stroke_paths=("curve", "straight"),
        )
    paths = rng.choice((("oval",), ("oval", "oval", "curve"), ("straight",), ("curve", "sine"), ("oval", "short")))
    if kind == "contour":
        return replace(
            style,
            contour=True,
            gap=rng.uniform(0.05, 0.35),
            strokes=rng.choice((0, 1, 2)),
            stroke_paths=rng.choice((("curve", "sine"), ("straight",), ("oval", "short"), ("arc",))),
            stroke_weight=rng.uniform(0.6, 1.1),
        )
    overlap = chance(rng, 0.3)
    return replace(
        style,
        outline=rng.randint(3, 4) if overlap else rng.randint(3, 6),
        gap=rng.uniform(-0.18, 0.0) if overlap else rng.uniform(0.02, 0.35),
        overlapping=overlap,
        stretch=rng.uniform(0.95, 1.35) if overlap else style.stretch,
        rim=rng.choice((0.01, 0.02)) if overlap or chance(rng, 0.3) else 0.0,
        strokes=rng.choice((0, 0, 1) if overlap else (0, 1, 2, 4, 6)),
        stroke_paths=paths,
        stroke_weight=rng.uniform(0.5, 0.9),
    )


def inverted(rng: Random) -> Style:
    """Draw a captcha in parts of which ink and ground change places."""
    each = chance(rng, 0.2)
    shape = rng.choice(("arcs", "arcs", "arcs", "arcs", "bands", "half", "checks", "blocks", "discs"))
    style = _text(rng, each, cap_px=rng.uniform(28, 56), bold=(0, 0, 3, 5) if shape in ("arcs", "half") else (3, 5))
    grain = rng.uniform(6, 30) if chance(rng, 0.4) else 0.0
    return replace(
        style,
        inverted=shape,
        contrast=max(style.contrast, 60 + grain),
        noise=grain,
        grey=not each and chance(rng, 0.5),
        gap=rng.uniform(-0.02, 0.4),
        jitter_y=rng.choice((0, 0.1, 0.25)),
        background=rng.choice(("flat", "flat", "noise", "gradient")),
        lines_under=0,
        grid=0.0 if shape in ("bands", "checks", "blocks") else style.grid,
        pepper=_pepper(rng, 0.5) if shape in ("arcs", "half") else _pepper(rng, 0.2),
        dots=rng.choice((0, 0, 40)),
        dashed=False,
    )


def fuzzy(rng: Random) -> Style:
    """Draw a captcha whose ink is specks among fewer specks, or dots, or coarse pixels."""
    kind = rng.choice(("specks", "specks", "dots", "coarse"))
    each = chance(rng, 0.3) and kind != "specks"
    style = _text(rng, each, cap_px=rng.uniform(30, 58), bold=(0, 2, 4))
    style = replace(style, contrast=max(style.contrast, 80), gap=rng.uniform(0.03, 0.4), faint=False)
    lost = rng.uniform(0.0, 0.35)
    if kind == "specks":
        return replace(
            style,
            weight=rng.choice((2, 4)),
            faces="sans",
            contrast=100,
            speckle=max(0.01, lost),
            stray=rng.choice((0.0, rng.uniform(0.02, 0.42 - 0.8 * lost))),
            background="flat",
        )
    if kind == "dots":
        return replace(style, faces="plain", weight=rng.choice((3, 5)), halftone=rng.uniform(0.08, 0.13))
    return replace(
        style,
        faces="sans",
        mixed_faces=False,
        coarse=rng.randint(9, 15),
        rotation=rng.choice((0, 0, 10)),
        dots=rng.choice((0, 0, 50)),
        pepper=_pepper(rng, 0.3),
    )


def _pepper(rng: Random, share: float) -> float:
    return rng.uniform(0.01, 0.07) if chance(rng, share) else 0.0


def _text(rng: Random, each: bool, cap_px: float, bold: tuple[int, ...]) -> Style:
    """Signs of any face, set in a loose row, in colours that show; ``bold`` are the weights to draw from."""
    return Style(
        faces=rng.choice(("any", "any", "plain", "sans")),
        mixed_faces=chance(rng, 0.15),
        lower=rng.choices(("never", "word", "some"), (6, 2, 2))[0],
        weight=rng.choice(bold),
        gap=rng.uniform(0.02, 0.5),
        stretch=rng.uniform(0.7, 1.35),
        jitter_y=rng.choice((0, 0.05, 0.15)),
        jitter_size=rng.choice((0, 0, 0.1, 0.2)),
        rotation=rng.choice((0, 5, 12, 22)),
        cap_px=cap_px,
        margin=rng.uniform(0.02, 0.1),
        centred=chance(rng, 0.4),
        angle=rng.gauss(0, 2),
        shear=rng.gauss(0, 0.12),
        arc=rng.gauss(0, 0.2) if chance(rng, 0.15) else 0.0,
        wave_px=rng.uniform(1, 3.5) if chance(rng, 0.25) else 0.0,
        ink="each" if each else "one",
        any_hue=each and chance(rng, 0.4),
        second_ink=chance(rng, 0.2),
        background=rng.choice(("flat", "flat", "flat", "gradient", "noise", "blobs", "guilloche", "pixels")),
        ground=rng.choice(_GROUNDS),
        contrast=rng.choice((40, 60, 90)),
        grey=not each and chance(rng, 0.3),
        grid=rng.uniform(0.2, 0.7) if chance(rng, 0.1) else 0.0,
        lines_under=rng.choice((0, 0, 0, 3)),
    )
