"""How ink meets its ground: worn, with a shadow or a halo, glowing, pressed in."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from detector.synth.colours import Image, as_colour, luma
from detector.synth.painting.canvas import Canvas, blended, shifted
from detector.synth.painting.disguise import extruded
from detector.synth.painting.displays import lit
from detector.synth.painting.processes import filled, neon, processed, relief, rimmed
from detector.synth.setting.typesetting import scaled
from detector.synth.style import Style


def inked(rng: Random, style: Style, image: Image, canvas: Canvas, cap_px: float, noise: np.random.Generator) -> Image:
    """Draw the canvas's ink on the picture, with the style's effect."""
    alpha, step = canvas.alpha, max(0.7, cap_px * 0.035)
    if style.texture:
        worn = noise.random((32, 128) if style.fine_texture else (16, 48), np.float32)
        mottle = cv2.resize(worn, (alpha.shape[1], alpha.shape[0]), interpolation=cv2.INTER_CUBIC)
        alpha = (alpha * np.clip((mottle - style.texture) * 3 + 0.75, 0.35, 1)).astype(np.uint8)
    if style.process != "none":
        alpha = processed(rng, style.process, alpha, cap_px, noise)
    if style.fill != "flat":
        filled(rng, style, image, canvas)
    if style.effect == "shadow":
        dark = tuple(float(v) * 0.35 for v in image.reshape(-1, 3).mean(0))
        soft = np.asarray(
            cv2.GaussianBlur(shifted(alpha, step * 1.6, step * 1.6), (0, 0), rng.uniform(0.3, 1.2)), np.uint8
        )
        image = blended(image, (dark[0], dark[1], dark[2]), scaled(soft, 0.5))
    elif style.effect == "extruded":
        face = canvas.colour[alpha > 128].mean(0) if (alpha > 128).any() else np.zeros(3)
        # Sides of a bright face are darker, those of a dark one paler: they must differ from it.
        beside = np.zeros(3) if luma(as_colour(face)) > 110 else image.reshape(-1, 3).mean(0)
        share = rng.uniform(0.4, 0.65)
        image = blended(image, as_colour(face * share + beside * (1 - share)), extruded(rng, style, alpha, cap_px))
    elif style.effect in ("halo", "glow"):
        middle = canvas.colour[alpha > 128].mean(0) if (alpha > 128).any() else np.zeros(3)
        bright = luma((float(middle[0]), float(middle[1]), float(middle[2])))
        if style.effect == "glow":
            soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(1.0, cap_px * 0.08)), np.uint8)
            image = blended(image, as_colour(middle), scaled(soft, 0.5))
        else:
            reach = 2 * max(1, round(step)) + 1
            around = np.asarray(cv2.dilate(alpha, np.ones((reach, reach), np.uint8)), np.uint8)
            rim = 0.0 if bright > 128 else 255.0
            image = blended(image, (rim, rim, rim), around)
    elif style.effect == "lamp":
        return lit(rng, image, canvas.colour, alpha, cap_px)
    elif style.effect == "relief":
        return relief(rng, image, alpha, cap_px)
    elif style.effect == "neon":
        return neon(rng, image, canvas.colour, alpha, cap_px)
    elif style.effect == "rimmed":
        image = rimmed(rng, image, canvas.colour, alpha, cap_px)
    elif style.effect == "emboss":
        side = rng.choice((-1, 1))
        depth = max(1.0, step * 1.3)
        for shade, way in (((255.0,) * 3, -side), ((0.0,) * 3, side)):
            image = blended(image, shade, scaled(shifted(alpha, way * depth, way * depth), 0.7))
    return blended(image, canvas.colour, alpha)
