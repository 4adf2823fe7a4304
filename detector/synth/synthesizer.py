"""Draw picture ``index`` of the set that a config describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from detector.errors import SourceError
from detector.synth.colours import Colour, Image, brightness_range, colour_of, ground_of, ink_for
from detector.synth.config import SynthConfig
from detector.synth.faces.drops import drop_faces
from detector.synth.faces.fonts import FontInfo, capitals_of, described_fonts, given_fonts
from detector.synth.faces.foreign import ForeignFace, foreign_face
from detector.synth.faces.glyph_folder import FolderFace, GlyphFolder, open_glyph_folder
from detector.synth.faces.glyphs import Face, FontFace, GlyphCache
from detector.synth.faces.pen import WRITERS, PenFace, can_write
from detector.synth.faces.segments import FOURTEEN, SEVEN, DotFace, segment_face
from detector.synth.faces.strokes import DESIGNS, SlashedFace, StrokeFace, can_stroke
from detector.synth.frame import Setting, captions, place, place_fixed_pitch
from detector.synth.painting.canvas import Canvas
from detector.synth.painting.clutter import Lines, draw_frame, draw_lines, draw_specks, draw_tiles
from detector.synth.painting.damage import damaged
from detector.synth.painting.disguise import disguise, negated
from detector.synth.painting.display_lines import display_line, drum_line, units_beside
from detector.synth.painting.displays import behind_window, display_ink, paint_window
from detector.synth.painting.effects import inked
from detector.synth.painting.grounds import painted_ground
from detector.synth.painting.plates.camera import filmed
from detector.synth.painting.plates.fittings import fitted
from detector.synth.painting.plates.surroundings import car_parts, with_texts_around
from detector.synth.painting.strokes import draw_grid
from detector.synth.painting.surfaces import bent, cut_out, through
from detector.synth.style import Style
from detector.synth.styles import style_of
from detector.synth.texts import (
    Line,
    break_places,
    by_pattern,
    display_symbols,
    free_text,
    partly_foreign,
    slashable,
    split_lines,
    with_foreign,
    with_small_letters,
    with_spaces,
    with_twins,
)
from detector.synth.typesetting import (
    CAPTION,
    EMBLEM,
    FIELD,
    Placed,
    Typesetter,
    arched,
    bounds,
    bowed,
    corners_of,
    numbered,
    scaled,
    stacked,
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
    """The cache of this process, shared by all its synthesizers and never sent to another process."""
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
        self._folder: GlyphFolder | None = None
        if config.glyphs is not None:
            self._folder = open_glyph_folder(config.glyphs, config.alphabet)
        alphabet = config.alphabet
        fonts = described_fonts(alphabet) if config.fonts is None else tuple(given_fonts(config.fonts, alphabet))
        if not fonts and self._folder is None:
            where = "on this machine" if config.fonts is None else f"among the {len(config.fonts)} given"
            raise SourceError(
                f"No font {where} draws all of {alphabet.symbols!r}: name font files that do, or use fewer symbols."
            )
        self._capitals = capitals_of(alphabet.symbols)
        self._by_kind = {kind: _families([f for f in fonts if f.kind in kinds]) for kind, kinds in _KINDS.items()}

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
        wanted = style.foreign or style.foreign_share
        foreign = foreign_face(rng, config.alphabet.symbols, config.fonts is not None) if wanted else None
        if foreign is not None and style.foreign_share:
            line = partly_foreign(rng, line, foreign.signs, style.foreign_share, config.alphabet.space)
        elif foreign is not None:
            line = with_foreign(rng, line, foreign.signs, style.foreign, config.alphabet.space)
        text = "".join(s for s, labelled in zip(line.signs, line.labelled, strict=True) if labelled)
        setting = self._set(rng, style, line, foreign)
        count = sum(s != config.alphabet.space for s in text)
        others = 1 + max((sign.label for sign in setting.placed), default=-1) - count
        image, boxes = self._painted(rng, style, setting, count + max(0, others), noise)
        return SynthImage(image, text, boxes[:count], boxes[count:])

    def _suited(self, rng: Random, style: Style) -> Style:
        """Remove from the style what the config excludes."""
        config = self.config
        cells = config.layout == "fixed"
        if any(given is not None for given in (config.fonts, config.glyphs, config.pattern, config.texts)):
            # Given texts are not disambiguated by neighbours.
            style = replace(style, twins="", slashed=style.slashed[:1])
        if config.spaces or config.pattern is not None or cells:  # their gaps would look like spaces
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
        if self._folder is not None and style.faces not in ("seven", "fourteen", "dots", "drops"):
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

    def _faces(self, rng: Random, style: Style) -> tuple[Callable[[], Face], str]:
        """A function that returns the face of each sign, and the small letters that all these faces can draw."""
        if style.faces == "folder" and self._folder is not None:
            folder = self._folder
            return (lambda: FolderFace(folder, rng.randrange(_VARIANTS))), ""
        if style.faces in ("seven", "fourteen", "fourteen plain"):
            display = segment_face(rng, style.faces, self.config.fonts is None)
            return (lambda: display), ""
        if style.faces == "pen" and self.config.fonts is None and can_write(self.config.alphabet.symbols):
            hand = PenFace(rng.randrange(WRITERS))
            return (lambda: hand), ""
        if style.faces == "strokes" and self.config.fonts is None and can_stroke(self.config.alphabet.symbols):
            sign_plate = StrokeFace(rng.randrange(DESIGNS))
            return (lambda: sign_plate), ""
        kind = {"pen": "hand", "strokes": "sans"}.get(style.faces, style.faces)
        kind = kind if self._by_kind.get(kind) else "any"
        families = self._by_kind[kind]
        if not families:
            raise SourceError("This style needs a font: name one that has the alphabet's symbols.")
        if style.faces in ("dots", "dots plain"):
            font = rng.choice(rng.choice(self._by_kind["sans" if style.display else "plain"] or families))
            rows = rng.choice((7, 7, 7, 10, 14)) if style.display == "lamps" else 7
            dot = rng.choice((0.7, 0.85, 0.95))
            matrix = DotFace(
                dot, rng.random() < 0.6, FontFace(font.path, self._capitals), rows, style.faces == "dots plain"
            )
            return (lambda: matrix), ""
        if style.faces == "drops":
            font = rng.choice(rng.choice(self._by_kind["sans"] or families))
            return drop_faces(rng, style, FontFace(font.path, self._capitals)), ""
        if style.mixed_faces:
            return (lambda: FontFace(rng.choice(rng.choice(families)).path, self._capitals)), ""
        family = rng.choice(families)
        font = rng.choice([f for f in family if f.lower] or family) if style.lower != "never" else rng.choice(family)
        face = FontFace(font.path, self._capitals)
        return (lambda: face), font.lower

    def _set(self, rng: Random, style: Style, line: Line, foreign: ForeignFace | None) -> Setting:
        """Typeset the lines and their surroundings, in the picture's pixels."""
        config = self.config
        space = config.alphabet.space
        face_of, small = self._faces(rng, style)
        if style.slashed and (signs := slashable(style.slashed, line, config.alphabet.symbols)):
            slashed = SlashedFace(face_of(), signs)
            face_of = lambda: slashed  # noqa: E731
        cells = -(-config.length // config.lines) if config.layout == "fixed" else None
        line = replace(line, signs=with_twins(style.twins, line, config.alphabet.symbols))
        lines = split_lines(rng, line, config.lines, space, cells)
        setter = Typesetter(rng, style, _cache(), face_of, foreign)
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
                placed = set_line(rng, style, signs, labels, space, face_of(), _cache())
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
        if style.captions and self._by_kind["any"]:
            face = FontFace(rng.choice(rng.choice(self._by_kind["plain"] or self._by_kind["any"])).path, self._capitals)
            placed = captions(rng, style, bounds(corners_of(placed)), face, _cache()) + placed
        if style.units and self._by_kind["any"]:
            face = FontFace(rng.choice(rng.choice(self._by_kind["sans"] or self._by_kind["any"])).path, self._capitals)
            placed = placed + units_beside(rng, style, bounds(corners_of(placed)), face, _cache())
        if (style.fittings or style.surroundings) and self._by_kind["any"]:
            families = self._by_kind["plain"] or self._by_kind["any"]
            few = families[:: -(-len(families) // 24)]  # a few, whose signs stay in the cache
            face = FontFace(rng.choice(few)[0].path, self._capitals)
            placed = fitted(rng, style, placed, face, _cache())
            setting = place(rng, style, placed, config.size_wh)
            return with_texts_around(rng, setting, face, _cache(), config.size_wh) if style.surroundings else setting
        return place(rng, style, placed, config.size_wh)

    def _painted(
        self, rng: Random, style: Style, setting: Setting, labels: int, noise: np.random.Generator
    ) -> tuple[Image, NDArray[np.float32]]:
        size_wh = self.config.size_wh
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
            canvas.alpha = scaled(
                canvas.alpha, min(1.0, max(style.opacity, 26 / max(low, 1.0)))
            )  # dark grounds hide more
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


_VARIANTS = 10_000  # of a folder's pictures of a symbol, at most

_KINDS = {
    "sans": ("given", "sans"),
    "plain": ("given", "sans", "serif"),
    "hand": ("hand",),
    "any": ("given", "sans", "serif", "odd", "hand"),
}


def _families(fonts: list[FontInfo]) -> list[list[FontInfo]]:
    """Group fonts by family, so that a family of forty weights is drawn as often as a single font."""
    families: dict[str, list[FontInfo]] = {}
    for font in fonts:
        families.setdefault(font.family, []).append(font)
    return [families[name] for name in sorted(families)]
