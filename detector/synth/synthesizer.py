"""Draw picture ``index`` of the set that a config describes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Image
from detector.synth.config import SynthConfig
from detector.synth.faces.choice import Faces
from detector.synth.faces.foreign import foreign_face
from detector.synth.faces.glyphs import GlyphCache
from detector.synth.faces.segments import FOURTEEN, SEVEN
from detector.synth.painting.picture import paint
from detector.synth.setting.text import set_text
from detector.synth.style import Style
from detector.synth.styles import style_of
from detector.synth.texts import (
    Line,
    break_places,
    by_pattern,
    display_symbols,
    free_text,
    partly_foreign,
    with_foreign,
    with_spaces,
)


@dataclass(frozen=True)
class SynthImage:
    """A picture with its text and the true box of every character.

    ``image`` is uint8 (H, W, 3), BGR. ``text`` includes spaces and never ends with one. ``boxes_xyxy`` is
    float32 (n, 4) in pixels, x right and y down, one row for each non-space symbol in reading order: the
    ink's extent and one pixel around it, clipped to the picture. ``others_xyxy``, float32 (m, 4), are boxes of
    characters among them that are none of the alphabet's.
    """

    image: Image
    text: str
    boxes_xyxy: NDArray[np.float32]
    others_xyxy: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))


@lru_cache(maxsize=1)
def _cache() -> GlyphCache:
    """Return the cache of this process, shared by all its synthesizers and never sent to another process."""
    return GlyphCache()


class Synthesizer:
    """Draws picture ``index`` of the unlimited set that a config describes.

    The same config and index give the same picture in any order and any process on one machine (other
    machines have other fonts, unless the config names them). Picklable; holds no picture.

    Raises:
        SourceError: if no font has the alphabet's symbols, or the folder of characters lacks some.
    """

    def __init__(self, config: SynthConfig) -> None:
        self.config = config
        self._faces = Faces(config)
        self._has_spaces = bool(config.spaces) or any(config.alphabet.space in text for text in config.texts or ())

    def __call__(self, index: int) -> SynthImage:
        """Picture ``index``, 0 or more."""
        config = self.config
        rng = Random(f"{config.seed}:{index}")
        noise = np.random.Generator(np.random.PCG64(rng.getrandbits(64)))
        style_name = rng.choice(config.styles)
        style = self._suited(rng, style_of(rng, style_name))
        line = self._line(rng, style, style_name)
        if style.faces in ("seven", "fourteen", "dots"):
            style = self._display(rng, style, set(line.signs) - {config.alphabet.space})
        line, style = self._with_separators(rng, style, line)
        wants_foreign = style.foreign or style.foreign_share
        foreign = foreign_face(rng, config.alphabet.symbols, config.fonts is not None) if wants_foreign else None
        if foreign is not None and style.foreign_share:
            line = partly_foreign(rng, line, foreign.signs, style.foreign_share, config.alphabet.space)
        elif foreign is not None:
            line = with_foreign(rng, line, foreign.signs, style.foreign, config.alphabet.space)
        text = "".join(s for s, labelled in zip(line.signs, line.labelled, strict=True) if labelled)
        setting = set_text(rng, config, style, line, foreign, self._faces, _cache())
        count = sum(s != config.alphabet.space for s in text)
        other_count = 1 + max((sign.label for sign in setting.placed), default=-1) - count
        image, boxes = paint(rng, style, setting, config.size_wh, count + max(0, other_count), noise)
        return SynthImage(image, text, boxes[:count], boxes[count:])

    def _suited(self, rng: Random, style: Style) -> Style:
        """Remove from the style what the config excludes."""
        config = self.config
        cells = config.layout == "fixed"
        if any(option is not None for option in (config.fonts, config.glyphs, config.pattern, config.texts)):
            # Given texts are not disambiguated by neighbours.
            style = replace(style, twins="", slashed=style.slashed[:1])
        if self._has_spaces or config.pattern is not None or cells:  # their gaps would look like spaces
            style = replace(style, separators="", ending="", grouped=False, emblems=0.0, foreign=0, foreign_share=0.0)
        if cells:
            style = replace(
                style,
                captions=(),
                fittings=(),
                surroundings=False,
                frame=False,
                arc=0.0,
                units=0.0,
                tight=False,
                wave_px=min(style.wave_px, 1.5),
                whirls=0,
                bow=0.0,
                surface="flat",
                cut=False,
            )
        if config.lines == 2:
            style = replace(style, captions=tuple(c for c in style.captions if c == "corner"), arc=0.0, bow=0.0)
            style = replace(style, small_signs=0, units=0.0, unlit=0.0, blanks=0, drum_shade=0.0, tight=False)
            style = replace(style, fittings=tuple(f for f in style.fittings if f in ("screws", "left")), foreign=0)
        if self._faces.folder is not None and style.faces not in ("seven", "fourteen", "dots", "drops"):
            only = config.fonts is None or rng.random() < 0.5
            if only:
                gap = rng.uniform(-0.05, 0.4) if style.gap is None else style.gap
                style = replace(style, faces="folder", mixed_faces=rng.random() < 0.7, outline=0, gap=gap)
        return style

    def _line(self, rng: Random, style: Style, style_name: str) -> Line:
        config = self.config
        alphabet = config.alphabet
        if config.pattern is not None:
            return by_pattern(rng, config.pattern, alphabet)
        symbols = alphabet.symbols
        if style.faces == "seven" or style.display == "drums":
            symbols = display_symbols(rng, symbols, SEVEN if style.faces == "seven" else symbols)
        if config.texts is not None:
            text = rng.choice(config.texts)
            return Line(text, (True,) * len(text))
        text = free_text(rng, symbols, rng.randint(config.shortest, config.length), style_name)
        if rng.random() < config.spaces:
            text = with_spaces(rng, text, alphabet.space, config.layout == "fixed")
        return Line(text, (True,) * len(text))

    def _display(self, rng: Random, style: Style, signs: set[str]) -> Style:
        """Choose the display that can show all signs: seven segments, fourteen, or dots; numbers need no marked 0."""
        plain = signs <= {*"0123456789"} and rng.random() < 0.7
        if style.faces == "dots":
            return replace(style, faces="dots plain") if plain else style
        if style.faces == "seven" and signs <= SEVEN.keys():
            return style
        if signs <= FOURTEEN.keys():
            return replace(style, faces="fourteen plain" if plain else "fourteen")
        return replace(style, faces="dots", unlit=0.0)

    def _with_separators(self, rng: Random, style: Style, line: Line) -> tuple[Line, Style]:
        """Insert unlabelled separators between symbols, and the style's ending."""
        space, symbols = self.config.alphabet.space, self.config.alphabet.symbols
        marks = [s for s in style.separators if s not in symbols and s != space]
        signs, labelled = list(line.signs), list(line.labelled)
        if marks and style.faces in ("sans", "plain", "any", "hand", "pen", "folder", "drops"):
            places = sorted(break_places(rng, line.signs, len(marks)), reverse=True)
            for place, mark in zip(places, marks[::-1], strict=False):
                if space not in signs[place - 1 : place + 1]:
                    signs.insert(place, mark)
                    labelled.insert(place, False)
            if len(signs) > len(line.signs):
                style = replace(style, grouped=False)
        if style.ending and style.ending not in symbols:
            signs.append(style.ending)
            labelled.append(False)
        return Line("".join(signs), tuple(labelled)), style
