"""The kinds of pictures: a name, and a function that draws the style of one picture at random.

A new kind is a function in a module of this folder and a line in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from detector.synth.style import Style
from detector.synth.styles.captchas import captcha
from detector.synth.styles.damage import damaged, from_afar
from detector.synth.styles.disguised import clear, crowded, fuzzy, hollow, inverted, struck
from detector.synth.styles.displays import counter, dots, lcd, led, segments
from detector.synth.styles.handwriting import handwriting
from detector.synth.styles.plates import plate, vehicle
from detector.synth.styles.printed import embossed, label, plain
from detector.synth.styles.scenes import scene
from detector.synth.styles.scripts import scripts
from detector.synth.styles.surfaces import curved, document, engraved, inkjet, painted
from detector.synth.texts import CAPTCHAS

PLAIN = "plain"
"""Dark upright text on white, undamaged; not in STYLES. For tests and for inspecting boxes."""

SCRIPTS = "scripts"
"""Text among signs of other scripts, which are not labelled; not in STYLES. For detectors that find any character."""

KINDS: dict[str, Callable[[Random], Style]] = {
    "plate": plate,
    "vehicle": vehicle,
    "captcha": captcha,
    "clear": clear,
    "struck": struck,
    "crowded": crowded,
    "hollow": hollow,
    "inverted": inverted,
    "fuzzy": fuzzy,
    "label": label,
    "embossed": embossed,
    "segments": segments,
    "lcd": lcd,
    "led": led,
    "dots": dots,
    "counter": counter,
    "handwriting": handwriting,
    "scene": scene,
    "inkjet": inkjet,
    "engraved": engraved,
    "curved": curved,
    "painted": painted,
    "document": document,
    SCRIPTS: scripts,
    PLAIN: plain,
}

STYLES = tuple(name for name in KINDS if name not in (PLAIN, SCRIPTS))
"""Styles that a set mixes by default."""

_THIN = ("hollow", "fuzzy")  # lines and specks of a pixel, which little downscaling leaves
_FINE = ("handwriting", "inkjet", "engraved", "curved", "painted", "document")
"""Those whose touching, thin, broken or pale signs do not survive downscaling, beside captchas."""


def style_of(rng: Random, name: str) -> Style:
    """Draw the style of that name at random."""
    style = KINDS[name](rng)
    if name == PLAIN or (name in CAPTCHAS and rng.random() < 0.5):
        return style
    if name == "vehicle":
        return from_afar(rng, style)
    grain = style.noise  # the kind's own
    style = damaged(rng, style)
    style = replace(style, noise=max(grain, style.noise))
    if name in _THIN:
        low_px = max(28.0, style.low_px) if style.low_px else 0.0
        return replace(style, low_px=low_px, motion=0, blur=min(style.blur, 0.6), shade=min(style.shade, 0.3))
    if name in (*CAPTCHAS, *_FINE) or style.effect == "relief":
        low_px = max(18.0, style.low_px) if style.low_px else 0.0
        style = replace(style, low_px=low_px, motion=0, blur=min(style.blur, 0.8), shade=min(style.shade, 0.4))
    if style.display:  # segments are thinner than strokes
        min_low_px = 26.0 if style.small_signs and style.display == "lcd" else 18.0
        style = replace(style, low_px=max(min_low_px, style.low_px) if style.low_px else 0.0)
    if style.opacity < 1:  # pale signs do not survive all of it
        noise, shade = min(style.noise, 14 * style.opacity**2), min(style.shade, 0.5 * style.opacity)
        low_px = max(24.0, style.low_px) if style.low_px and style.opacity < 0.55 else style.low_px
        motion = min(3, style.motion) if style.opacity > 0.5 else 0
        style = replace(style, motion=motion, low_px=low_px, noise=noise, shade=shade)
    return style
