"""How one picture is drawn: a Style, and for each style name a function that draws one at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random


@dataclass(frozen=True)
class Style:
    """All parameters of one drawn text. Lengths are in heights of a capital unless stated otherwise."""

    # signs
    # "sans", "plain", "any", "hand" (fonts), "pen" (strokes), "folder", "dots", "segments" (then "seven" or "fourteen")
    faces: str = "any"
    mixed_faces: bool = False  # another face for each sign
    lower: str = "never"  # "never", "word" (all signs small), "title" (all but the first), "some" (each may be)
    twins: str = ""  # digits that are drawn as the similar letter, where a digit beside them disambiguates
    weight: int = 0  # pixels that strokes gain (or lose) at the masks' size
    outline: int = 0  # stroke of hollow signs at the masks' size; 0: filled
    wobble: float = 0.0  # distortion of each sign by itself
    # setting
    gap: float | None = None  # between the ink of two signs; None: as the font has it
    tracking: float = 0.0  # added to the font's own advance
    stretch: float = 1.0  # width over the font's own
    separators: str = ""  # drawn between signs now and then, never labelled
    ending: str = ""  # drawn after the text, never labelled
    grouped: bool = False  # a wide unlabelled gap somewhere
    emblems: float = 0.0  # probability of a small picture in that gap, before the text and after it
    jitter_y: float = 0.0
    jitter_size: float = 0.0
    rotation: float = 0.0  # of each sign, degrees, at most
    leading: float = 0.3  # between two lines
    # place
    cap_px: float = 1e9  # height of capitals in a picture 64 high; very large: as high as fits
    margin: float = 0.05  # shares of the picture kept free
    centred: bool = True
    angle: float = 0.0  # degrees
    shear: float = 0.0
    perspective: float = 0.0
    arc: float = 0.0
    wave_px: float = 0.0
    fray_px: float = 0.0  # sideways shift of rows of ink, varying along the text
    # colours
    ink: str = "one"  # "one", "each" (a colour a sign)
    any_hue: bool = False  # these colours may be as bright as the ground: pale yellow on white
    faint: bool = False  # strokes thinner than a pixel stay pale
    tiles: bool = False  # signs are cut out of filled fields, as on a counter's wheels
    background: str = "flat"  # "flat", "gradient", "blobs", "noise", "guilloche", "metal", "split"
    ground: str = "any"  # "light", "dark", "any", "white", "pastel"
    contrast: float = 90.0  # minimum difference of brightness between ink and ground, 0-255
    grey: bool = False
    effect: str = "none"  # "none", "shadow", "halo", "emboss", "glow"
    texture: float = 0.0  # share of ink lost in patches
    fine_texture: bool = False  # patches narrower than a stroke
    # around and over the text
    frame: bool = False
    captions: tuple[str, ...] = ()  # "above", "below", "corner", "stack"
    bolts: bool = False
    lines_over: int = 0
    lines_under: int = 0
    line_px: float = 1.0
    bold_lines: bool = False  # nearly as thick as strokes, and bent
    dashed: bool = False  # each line may be
    line_ink: str = "own"  # "own" (a colour of the line), "text" (that of the text)
    ticks: int = 0
    tick_reach: float = 0.14  # share of the picture's height, each way at most
    tick_ink: str = "each"  # "each" (a colour a tick), "one", "black"
    dots: int = 0
    ghosts: int = 0  # brightness of unlit segments; 0: none
    # damage
    shade: float = 0.0  # share of the light lost on one side of a shadow's edge
    blur: float = 0.0  # sigma, pixels
    motion: int = 0  # length, pixels
    low_px: float = 0.0  # height of capitals that the picture is downscaled to; 0: not downscaled
    noise: float = 0.0
    jpeg: int = 0  # quality; 0: none


def _chance(rng: Random, share: float) -> bool:
    return rng.random() < share


def _plate(rng: Random) -> Style:
    wide = _chance(rng, 0.45)  # a long plate that fills the picture, or a squarish one with captions
    shares = (("above", 0.75), ("below", 0.65), ("corner", 0.35), ("corner", 0.35), ("stack", 0.12))
    captions = () if wide else tuple(where for where, share in shares if _chance(rng, share))
    return Style(
        faces="sans" if _chance(rng, 0.85) else "plain",  # few plates have serifs
        lower="never",
        twins=rng.choice(("", "", "0", "1", "01")),
        weight=rng.choice((0, 0, 0, 1, 2)),
        gap=rng.uniform(0.06, 0.3),
        stretch=rng.uniform(0.7, 1.3) if wide else rng.choice((rng.uniform(0.5, 1.0), rng.uniform(1.0, 1.9))),
        separators=rng.choice(("", "", "", "", "-", "-", ".", "-.", "·", "•")),
        grouped=_chance(rng, 0.6),
        emblems=rng.choice((0.0, 0.2, 0.6)) if wide else rng.choice((0.0, 0.4, 0.8)),
        cap_px=1e9 if wide or _chance(rng, 0.5) else rng.uniform(22, 46),
        margin=rng.uniform(0.0, 0.1) if wide else rng.uniform(0.0, 0.08),
        angle=rng.gauss(0, 2.5),
        shear=rng.gauss(0, 0.06),
        perspective=rng.gauss(0, 0.06),
        background=rng.choice(("flat", "flat", "gradient", "blobs", "split", "guilloche")),
        ground=rng.choice(("light", "light", "white", "pastel", "dark", "any")),
        contrast=rng.choice((40, 70, 100, 130)),
        grey=_chance(rng, 0.15),
        effect=rng.choice(("none", "none", "none", "emboss", "shadow", "halo")),
        frame=_chance(rng, 0.75),
        captions=captions,
        bolts=_chance(rng, 0.4),
    )


def _captcha(rng: Random) -> Style:
    touching = _chance(rng, 0.35)
    floating = not touching and _chance(rng, 0.6)
    thin = _chance(rng, 0.2)
    each = _chance(rng, 0.55)
    return Style(
        faces="any",
        mixed_faces=_chance(rng, 0.25),
        lower=rng.choices(("never", "word", "some"), (5, 3, 2))[0],
        weight=0 if thin else rng.choice((-2, 0, 0)) if touching else rng.choice((-2, 0, 0, 2, 4)),
        outline=rng.randint(4, 7) if thin else 0,
        gap=rng.uniform(-0.1, 0.04) if touching else rng.uniform(0.05, 1.1) if floating else rng.uniform(0.02, 0.35),
        stretch=rng.uniform(0.6, 1.4) if floating else rng.uniform(0.65, 1.4),
        jitter_y=rng.choice((0, 0.05, 0.12, 0.35)),
        jitter_size=rng.choice((0, 0.08, 0.2)),
        rotation=rng.choice((0, 6, 15, 25)),
        cap_px=rng.uniform(15, 36) if floating else rng.uniform(26, 56),
        margin=rng.uniform(0.02, 0.12),
        centred=_chance(rng, 0.3),
        angle=rng.gauss(0, 3),
        shear=rng.gauss(0, 0.12),
        perspective=rng.gauss(0, 0.03),
        arc=rng.gauss(0, 0.25) if _chance(rng, 0.25) else 0.0,
        wave_px=rng.uniform(1, 3.5) if _chance(rng, 0.3) else 0.0,
        fray_px=rng.uniform(1, 3) if _chance(rng, 0.15) else 0.0,
        ink="each" if each else "one",
        any_hue=each and _chance(rng, 0.6),
        faint=_chance(rng, 0.3),
        tiles=_chance(rng, 0.04),
        background=rng.choice(("flat", "flat", "flat", "gradient", "noise", "blobs", "guilloche")),
        ground=rng.choice(("white", "white", "pastel", "light", "any")),
        contrast=rng.choice((14, 26, 40, 60, 90) if each else (26, 40, 60, 90)),
        grey=not each and _chance(rng, 0.3),
        effect=rng.choice(("none", "none", "none", "none", "shadow", "halo")),
        lines_over=rng.choice((0, 1, 1, 2, 3)),
        lines_under=rng.choice((0, 0, 3, 6)),
        line_px=rng.uniform(0.8, 2.6),
        bold_lines=_chance(rng, 0.4),
        line_ink=rng.choice(("own", "text", "text")),
        dashed=_chance(rng, 0.25),
        ticks=rng.choice((0, 0, 0, 25, 60, 90)),
        tick_reach=rng.uniform(0.08, 0.3),
        tick_ink=rng.choice(("each", "each", "one", "black")),
        dots=rng.choice((0, 0, 40, 150)),
        texture=rng.choice((0, 0, 0.15, 0.3)),
        fine_texture=_chance(rng, 0.5),
    )


def _label(rng: Random) -> Style:
    return Style(
        faces=rng.choice(("plain", "plain", "any")),
        weight=rng.choice((-1, 0, 0, 1)),
        gap=None,
        tracking=rng.choice((0.0, 0.0, 0.08, 0.2)),
        stretch=rng.uniform(0.45, 1.4),
        separators=rng.choice(("", "", "-", "/", ".")),
        cap_px=rng.uniform(18, 54),
        margin=rng.uniform(0.01, 0.1),
        centred=_chance(rng, 0.5),
        angle=rng.gauss(0, 2.5),
        shear=rng.gauss(0, 0.04),
        perspective=rng.gauss(0, 0.05),
        arc=rng.gauss(0, 0.2) if _chance(rng, 0.12) else 0.0,
        background=rng.choice(("flat", "gradient", "blobs", "noise", "metal", "split")),
        ground=rng.choice(("light", "white", "any", "pastel", "dark")),
        contrast=rng.choice((50, 90, 130)),
        tiles=_chance(rng, 0.1),
        frame=_chance(rng, 0.2),
        captions=tuple(c for c in ("above", "below") if _chance(rng, 0.25)),
        texture=rng.choice((0, 0, 0.1, 0.2)),
        grey=_chance(rng, 0.3),
    )


def _embossed(rng: Random) -> Style:
    return replace(
        _label(rng),
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


def _segments(rng: Random) -> Style:
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
        frame=_chance(rng, 0.2),
    )


def _dots(rng: Random) -> Style:
    return replace(_segments(rng), faces="dots", ghosts=0, shear=rng.gauss(0, 0.04), tracking=rng.uniform(0, 0.15))


def _handwriting(rng: Random) -> Style:
    return Style(
        faces="pen" if _chance(rng, 0.65) else "hand",
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
        centred=_chance(rng, 0.4),
        angle=rng.gauss(0, 3),
        shear=rng.gauss(-0.1, 0.15),
        background=rng.choice(("flat", "gradient", "blobs", "noise", "guilloche", "guilloche")),
        ground=rng.choice(("light", "light", "white", "pastel", "any", "dark")),
        contrast=rng.choice((50, 80, 110)),
        grey=_chance(rng, 0.5),
        texture=rng.choice((0, 0.1, 0.25)),
        lines_under=rng.choice((0, 0, 1, 3)),
    )


def _scene(rng: Random) -> Style:
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
        centred=_chance(rng, 0.6),
        angle=rng.gauss(0, 4),
        shear=rng.gauss(0, 0.08),
        perspective=rng.gauss(0, 0.1),
        arc=rng.gauss(0, 0.3) if _chance(rng, 0.15) else 0.0,
        background=rng.choice(("flat", "gradient", "blobs", "blobs", "split", "noise")),
        ground=rng.choice(("any", "dark", "light")),
        contrast=rng.choice((50, 80, 120)),
        effect=rng.choice(("none", "none", "shadow", "halo", "glow", "emboss")),
        captions=tuple(c for c in ("above", "below") if _chance(rng, 0.12)),
        frame=_chance(rng, 0.1),
    )


def _damaged(rng: Random, style: Style) -> Style:
    """``style`` with the damage of cameras, scanners and compression."""
    hard = rng.random()
    return replace(
        style,
        shade=rng.uniform(0.2, 0.75) if _chance(rng, 0.2) else 0.0,
        blur=rng.uniform(0.4, 1.3) if _chance(rng, 0.3) else 0.0,
        motion=rng.randint(3, 6) if hard < 0.08 else 0,
        low_px=rng.uniform(10, 26) if hard > 0.7 else 0.0,
        noise=abs(rng.gauss(0, 7)) if _chance(rng, 0.45) else 0.0,
        jpeg=rng.randint(25, 90) if _chance(rng, 0.4) else 0,
    )


def _plain(rng: Random) -> Style:
    gap = rng.uniform(0.08, 0.3)
    return Style(faces="plain", gap=gap, ground="white", contrast=200, grey=True, cap_px=40, margin=0.08)


_SAMPLERS: dict[str, Callable[[Random], Style]] = {
    "plate": _plate,
    "captcha": _captcha,
    "label": _label,
    "embossed": _embossed,
    "segments": _segments,
    "dots": _dots,
    "handwriting": _handwriting,
    "scene": _scene,
    "plain": _plain,
}


def style_of(rng: Random, name: str) -> Style:
    """Draw the style of that name at random."""
    style = _SAMPLERS[name](rng)
    if name == "plain" or (name == "captcha" and rng.random() < 0.5):
        return style
    style = _damaged(rng, style)
    if name in ("captcha", "handwriting"):  # touching and thin signs do not survive downscaling
        low_px = max(18.0, style.low_px) if style.low_px else 0.0
        style = replace(style, low_px=low_px, motion=0, blur=min(style.blur, 0.8), shade=min(style.shade, 0.4))
    return style
