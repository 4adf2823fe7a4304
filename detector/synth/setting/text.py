"""Set a text: its lines sign by sign, what stands around it, and where all of it is in the picture."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from detector.synth.config import SynthConfig
from detector.synth.faces.choice import Faces
from detector.synth.faces.foreign import ForeignFace
from detector.synth.faces.glyphs import GlyphCache
from detector.synth.faces.strokes import SlashedFace
from detector.synth.setting.display_lines import display_line, drum_line, units_beside
from detector.synth.setting.fittings import fitted
from detector.synth.setting.frame import Setting, captions, place, place_fixed_pitch
from detector.synth.setting.texts_around import with_texts_around
from detector.synth.setting.typesetting import Placed, Typesetter, arched, bounds, bowed, corners_of, numbered, stacked
from detector.synth.style import Style
from detector.synth.texts import Line, slashable, split_lines, with_small_letters, with_twins


def set_text(
    rng: Random, config: SynthConfig, style: Style, line: Line, foreign: ForeignFace | None, faces: Faces,
    cache: GlyphCache,
) -> Setting:  # fmt: skip
    """Typeset the lines of a text and what stands around it, in the picture's pixels."""
    space = config.alphabet.space
    face_of, small = faces.of(rng, style)
    if style.slashed and (signs := slashable(style.slashed, line, config.alphabet.symbols)):
        slashed = SlashedFace(face_of(), signs)
        face_of = lambda: slashed  # noqa: E731
    cells = -(-config.length // config.lines) if config.layout == "fixed" else None
    line = replace(line, signs=with_twins(style.twins, line, config.alphabet.symbols))
    lines = split_lines(rng, line, config.lines, space, cells)
    setter = Typesetter(rng, style, cache, face_of, foreign)
    cap_px = min(style.cap_px, 0.8 * 64) * config.size_wh[1] / 64
    if cells is not None:
        tallest = config.size_wh[1] * 0.85 / (config.lines * (1 + style.leading))
        cap_px = min(cap_px, tallest, config.size_wh[0] / cells * 1.6)
    rows: list[list[Placed]] = []
    for row, labels in zip(lines, numbered(lines, space, foreign.signs if foreign else ""), strict=True):
        signs = with_small_letters(rng, style.lower, row.signs, row.labelled, small)
        if cells is not None:
            placed = setter.fixed_pitch_line(signs, labels, space, config.size_wh[0] / cells / cap_px)
        elif style.display:
            set_line = drum_line if style.display == "drums" else display_line
            placed = set_line(rng, style, signs, labels, space, face_of(), cache)
        else:
            placed = setter.line(signs, labels, space)
        rows.append(placed)
    placed = stacked(rng, rows, style, centre=cells is None)
    if cells is not None:
        return place_fixed_pitch(placed, config.size_wh, cap_px, -1.0, 0.0)
    if style.arc:
        placed = arched(placed, style.arc)
    if style.bow:
        placed = bowed(placed, style.bow)
    if style.captions and (face := faces.beside(rng, "plain")):
        placed = captions(rng, style, bounds(corners_of(placed)), face, cache) + placed
    if style.units and (face := faces.beside(rng, "sans")):
        placed = placed + units_beside(rng, style, bounds(corners_of(placed)), face, cache)
    if (style.fittings or style.surroundings) and (face := faces.beside(rng, "plain", max_families=24)):
        setting = place(rng, style, fitted(rng, style, placed, face, cache), config.size_wh)
        return with_texts_around(rng, setting, face, cache, config.size_wh) if style.surroundings else setting
    return place(rng, style, placed, config.size_wh)
