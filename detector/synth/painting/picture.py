"""Paint a picture, from its ground to the damage of the camera."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Colour, Image, brightness_range, colour_of, ground_of, ink_for
from detector.synth.painting.camera import filmed
from detector.synth.painting.canvas import Canvas
from detector.synth.painting.clutter import Lines, draw_frame, draw_lines, draw_specks, draw_tiles
from detector.synth.painting.damage import damaged
from detector.synth.painting.disguise import disguise, negated
from detector.synth.painting.displays import behind_window, display_ink, paint_window
from detector.synth.painting.effects import inked
from detector.synth.painting.grounds import car_parts, painted_ground
from detector.synth.painting.strokes import draw_grid
from detector.synth.painting.surfaces import bent, cut_out, through
from detector.synth.setting.frame import Setting
from detector.synth.setting.typesetting import CAPTION, EMBLEM, FIELD, Placed, scaled
from detector.synth.style import Style


def paint(
    rng: Random, style: Style, setting: Setting, size_wh: tuple[int, int], labels: int, noise: np.random.Generator
) -> tuple[Image, NDArray[np.float32]]:
    """Paint a set text: ground, ink, what lies over it, what cameras and files do to it.

    Returns:
        The picture, uint8 (H, W, 3) BGR, and the boxes of the signs labelled 0 to ``labels``, float32 (labels, 4) xyxy.
    """
    ground = ground_of(rng, style)
    image = painted_ground(rng, style, ground, size_wh, noise)
    low, high = brightness_range(image)
    lights = style.display in ("lcd", "lamps")
    ink = display_ink(rng, style, low, high) if lights else ink_for(rng, style, low, high)
    if setting.frame_xy is not None:
        around = car_parts(rng, size_wh, noise) if style.surroundings else None
        draw_frame(rng, image, setting.frame_xy, ground, style, around)
    pale = [colour_of(rng, rng.uniform(max(0, low - 60), min(255, high + 60)), 0.7) for _ in range(4)]
    draw_lines(rng, image, Lines(style.lines_under, 1), pale)
    roles = {CAPTION: ink_for(rng, style, low, high) if rng.random() < (0.1 if lights else 0.5) else ink}
    if style.grid and not style.grid_over:
        draw_grid(rng, image, style, setting.cap_px, ink if style.grid_ink == "text" else rng.choice(pale))
    rim_px = max(1, round(style.rim * setting.cap_px)) if style.rim else 0
    canvas = Canvas(size_wh, labels, style.faint, rim_px, style.mixed_inks)
    if style.display:
        paint_window(rng, image, style, setting.placed)
        canvas.colour[:] = np.array(ink).round()
    inks = [(sign, _ink_of(rng, style, sign, ink, low, high)) for sign in setting.placed]
    if style.tiles:
        draw_tiles(rng, image, [(sign, colour) for sign, colour in inks if sign.label >= 0])
        inks = [(sign, ground if sign.label >= 0 else colour) for sign, colour in inks]
    for sign, colour in inks:
        if sign.role != FIELD:
            outlines = style.wave_px > 0 or style.whirls > 0 or style.surface != "flat"
            canvas.stamp(sign, roles.get(sign.role, colour), outlines)
    if style.opacity < 1:
        canvas.alpha = scaled(canvas.alpha, min(1.0, max(style.opacity, 26 / max(low, 1.0))))  # dark grounds hide more
    if style.wave_px:
        canvas.wave(rng, style.wave_px * size_wh[1] / 64 * min(1.0, setting.cap_px / 24))
    if style.fray_px:
        canvas.fray(noise, style.fray_px * size_wh[1] / 64 * min(1.0, setting.cap_px / 36))
    disguise(rng, style, canvas, setting.cap_px, ink, (low, high), noise)
    image = inked(rng, style, image, canvas, setting.cap_px, noise)
    if style.inverted and style.ink == "each":
        image = negated(rng, style, image, canvas, setting.cap_px)
    if style.grid and style.grid_over:
        draw_grid(rng, image, style, setting.cap_px, ground if style.grid_ink == "ground" else rng.choice(pale))
    if style.display:
        image = behind_window(rng, image, style, setting.placed, noise)
    image = bent(rng, style, image, canvas, setting.cap_px, noise)
    over = [ink] if style.line_ink == "text" else [*pale, ink_for(rng, replace(style, ink="each"), low, high)]
    # A line must stay thinner than the strokes of the signs that it crosses.
    line_px = setting.cap_px * 0.11 if style.bold_lines else min(style.line_px, setting.cap_px * 0.06)
    count = min(1, style.lines_over) if style.bold_lines else style.lines_over  # two bold ones would hide the text
    boxes = canvas.boxes_xyxy()
    first_x = float(boxes[:, 0].min()) if style.bold_lines and len(boxes) and rng.random() < 0.6 else None
    draw_lines(rng, image, Lines(count, line_px, style.bold_lines, first_x, style.dashed), over)
    draw_specks(rng, image, over, style, setting.cap_px, noise)
    if style.camera:
        image = filmed(rng, style.camera, image, boxes, setting.cap_px, noise)
    image = through(rng, style, image, canvas.alpha, noise)
    image = damaged(rng, style, image, setting.cap_px, noise)
    return cut_out(rng, image, boxes) if style.cut and len(boxes) else (image, boxes)


def _ink_of(rng: Random, style: Style, sign: Placed, ink: Colour, low: float, high: float) -> Colour:
    """Colour of one sign; ``ink`` is that of the text."""
    if sign.colour is not None:
        return sign.colour
    if sign.role == EMBLEM:
        return colour_of(rng, rng.uniform(30, 225), 0.0 if style.grey else 1.0)
    return ink_for(rng, style, low, high) if style.ink == "each" else ink
