"""Which faces the signs of a picture are drawn with: fonts, single characters of a folder, pens and displays."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from detector.errors import SourceError
from detector.synth.config import SynthConfig
from detector.synth.faces.drops import drop_faces
from detector.synth.faces.fonts import FontInfo, capitals_of, described_fonts, given_fonts
from detector.synth.faces.glyph_folder import FolderFace, GlyphFolder, open_glyph_folder
from detector.synth.faces.glyphs import Face, FontFace
from detector.synth.faces.pen import WRITERS, PenFace, can_write
from detector.synth.faces.segments import DotFace, segment_face
from detector.synth.faces.strokes import DESIGNS, StrokeFace, can_stroke
from detector.synth.style import Style

_VARIANTS = 10_000  # of a folder's pictures of a symbol, at most

_KINDS = {
    "sans": ("given", "sans"),
    "plain": ("given", "sans", "serif"),
    "hand": ("hand",),
    "any": ("given", "sans", "serif", "odd", "hand"),
}


class Faces:
    """Chooses faces as a config and styles have them.

    Raises:
        SourceError: if no font has the alphabet's symbols, or the folder of characters lacks some.
    """

    def __init__(self, config: SynthConfig) -> None:
        self._config = config
        self.folder: GlyphFolder | None = None
        if config.glyphs is not None:
            self.folder = open_glyph_folder(config.glyphs, config.alphabet)
        alphabet = config.alphabet
        fonts = described_fonts(alphabet) if config.fonts is None else tuple(given_fonts(config.fonts, alphabet))
        if not fonts and self.folder is None:
            where = "on this machine" if config.fonts is None else f"among the {len(config.fonts)} given"
            raise SourceError(
                f"No font {where} draws all of {alphabet.symbols!r}: name font files that do, or use fewer symbols."
            )
        self._capitals = capitals_of(alphabet.symbols)
        self._by_kind = {kind: _families([f for f in fonts if f.kind in kinds]) for kind, kinds in _KINDS.items()}

    def of(self, rng: Random, style: Style) -> tuple[Callable[[], Face], str]:
        """Return a function that gives the face of each sign, and the small letters that all these faces can draw."""
        if style.faces == "folder" and self.folder is not None:
            folder = self.folder
            return (lambda: FolderFace(folder, rng.randrange(_VARIANTS))), ""
        if style.faces in ("seven", "fourteen", "fourteen plain"):
            display = segment_face(rng, style.faces, self._config.fonts is None)
            return (lambda: display), ""
        if style.faces == "pen" and self._config.fonts is None and can_write(self._config.alphabet.symbols):
            hand = PenFace(rng.randrange(WRITERS))
            return (lambda: hand), ""
        if style.faces == "strokes" and self._config.fonts is None and can_stroke(self._config.alphabet.symbols):
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

    def beside(self, rng: Random, kind: str, max_families: int | None = None) -> Face | None:
        """Draw the face of what stands beside the text, of a kind such as "plain"; None where there is no font.

        Args:
            rng: draws the family and its font.
            kind: of font; any where there is none of it.
            max_families: families to choose from, for their signs stay in the cache then; the first font of each. None
                takes all families and fonts.
        """
        families = self._by_kind[kind] or self._by_kind["any"]
        if not families:
            return None
        if max_families is not None:
            font = rng.choice(families[:: -(-len(families) // max_families)])[0]
        else:
            font = rng.choice(rng.choice(families))
        return FontFace(font.path, self._capitals)


def _families(fonts: list[FontInfo]) -> list[list[FontInfo]]:
    """Group fonts by family, so that a family of forty weights is drawn as often as a single font."""
    families: dict[str, list[FontInfo]] = {}
    for font in fonts:
        families.setdefault(font.family, []).append(font)
    return [families[name] for name in sorted(families)]
