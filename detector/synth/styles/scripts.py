"""Text among signs of other scripts."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.style import Style
from detector.synth.styles.captchas import captcha
from detector.synth.styles.disguised import clear
from detector.synth.styles.plates import plate, vehicle
from detector.synth.styles.printed import label
from detector.synth.styles.scenes import scene


def scripts(rng: Random) -> Style:
    """Draw a plate, a captcha, a label or a scene of which a third to nearly all is of another script."""
    style = rng.choice((plate, vehicle, vehicle, label, scene, captcha, clear))(rng)
    share = rng.choice((0.3, 0.6, 0.9, 1.0))
    return replace(style, foreign_share=share, foreign=0, twins="", slashed="", lower="never", separators="", ending="")
