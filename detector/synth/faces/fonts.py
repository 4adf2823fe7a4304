"""Find the fonts of this machine that draw every symbol legibly."""

from __future__ import annotations

import hashlib
import json
import logging
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ImageFont

from detector.data.atomic import atomic_write
from detector.data.folders.user_cache import cache_folder, keep_newest, used_now
from detector.errors import SourceError
from detector.synth.faces.glyphs import FontFace, Glyph
from detector.text.alphabet import Alphabet

log = logging.getLogger("detector")

_SUFFIXES = (".ttf", ".otf", ".ttc", ".pfb", ".t1")
_NEVER = ("dseg", "symbol", "dingbat", "emoji", "barcode", "d050000l", "math", "icon", "lastresort", "cmsy", "cmex")
_HAND = (
    "kristi dancing kaushan comic domestic femke rufscript humor ecolier breip tomson isabella scrawl z003 lobster "
    "leckerli staypuft joscelyn levien hand script penguin brush cursive caveat kalam purisa chancery dkg klee pacifico"
).split()
# Pairs that good fonts draw alike: confusing them does not disqualify a font.
_ALIKE = str.maketrans("O1L5", "0IIS")
_MIN_RECOGNISED = 0.7
_A_FAMILY = 8  # weights and widths of one family that are checked: more add little and take time
_GRID = 20
_CACHED = 8  # cached results: one for each alphabet and collection of fonts


@dataclass(frozen=True)
class FontInfo:
    """A usable font.

    ``kind`` is "sans" or "serif" if it is plain, otherwise "odd" or "hand"; "given" if the user named it. ``lower``
    are the small letters that it may draw for capitals.
    """

    path: Path
    family: str
    kind: str
    lower: str


def find_fonts(alphabet: Alphabet | None = None) -> list[Path]:
    """Find fonts that draw all symbols of ``alphabet`` (default 0-9A-Z) legibly, sorted by path.

    Searches the system's fonts and those of Matplotlib, so there is always one.
    """
    return [font.path for font in described_fonts(alphabet or Alphabet())]


@lru_cache(maxsize=4)
def described_fonts(alphabet: Alphabet) -> tuple[FontInfo, ...]:
    """Fonts of :func:`find_fonts` with their properties; cached between processes while no file changes."""
    files = font_files()
    cached = cache_folder("fonts") / f"{_fingerprint(files, alphabet)}.json"
    if (fonts := _cached_fonts(cached)) is not None:
        used_now(cached)
        return fonts
    log.info("checking %d font files for those that draw all symbols (once; thousands take a minute)", len(files))
    fonts = tuple(usable_fonts(files, alphabet))
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(cached) as part:
            part.write_text(json.dumps([{**vars(font), "path": str(font.path)} for font in fonts]), encoding="utf-8")
        keep_newest(cached.parent, "*.json", _CACHED)
    except OSError as error:  # a read-only home, a full disk, another process that writes the same
        log.info("the list of usable fonts is not cached: %s", error)
    return fonts


def _fingerprint(files: Iterable[Path], alphabet: Alphabet) -> str:
    """Hash of all that decides which fonts are usable: files, symbols, libraries and this code."""
    import matplotlib  # slow to import, only needed here

    digest = hashlib.sha256(repr((alphabet.symbols, PIL.__version__, cv2.__version__, matplotlib.__version__)).encode())
    for code in (Path(__file__), Path(__file__).with_name("glyphs.py")):
        digest.update(code.read_bytes())
    for file in files:
        stat = file.stat()
        digest.update(repr((str(file), stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()[:32]


def _cached_fonts(path: Path) -> tuple[FontInfo, ...] | None:
    """Read a cached list of fonts; None if there is none or it is damaged."""
    try:
        fonts = json.loads(path.read_text(encoding="utf-8"))
        return tuple(FontInfo(**{**font, "path": Path(font["path"])}) for font in fonts)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def font_files() -> list[Path]:
    from matplotlib import font_manager, get_data_path  # slow to import, only needed here

    paths = {Path(p) for p in font_manager.findSystemFonts()}
    for folder in (Path("/usr/share/fonts"), Path(get_data_path()) / "fonts" / "ttf"):
        paths.update(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    path_by_name: dict[str, Path] = {}
    for path in sorted(paths):
        known = path.suffix.lower() in _SUFFIXES and not any(word in path.name.lower() for word in _NEVER)
        if known and path.is_file():  # not a dangling link
            path_by_name.setdefault(path.name, path)  # the same file in two folders counts once
    return sorted(path_by_name.values())


def usable_fonts(paths: Iterable[Path], alphabet: Alphabet) -> list[FontInfo]:
    """Select the fonts that draw every symbol of ``alphabet`` distinctly and recognisably."""
    reference = _reference_shapes(alphabet.symbols)
    fonts = []
    for path in _few_a_family(paths):
        glyphs = _all_glyphs(path, alphabet.symbols)
        if glyphs is None:
            continue
        known, likeness = _recognised(glyphs, alphabet.symbols, reference)
        family = _family(path)
        hand = any(word in f"{path} {family}".lower() for word in _HAND)
        if known < (_MIN_RECOGNISED - 0.15 if hand else _MIN_RECOGNISED):
            continue
        pieces = float(np.mean([_pieces(glyph) for glyph in glyphs.values()]))
        if pieces > 6:  # hatched or shattered letters are not legible 12 pixels high
            continue
        plain = "serif" if _has_serifs(path, alphabet) else "sans"
        kind = "hand" if hand else plain if known > 0.9 and likeness > 0.72 and pieces < 2.6 else "odd"
        fonts.append(FontInfo(path, family, kind, _small_letters(path, alphabet, glyphs)))
    return fonts


def _few_a_family(paths: Iterable[Path]) -> list[Path]:
    """At most _A_FAMILY readable files of each family, evenly spread over the sorted ones."""
    families: dict[str, list[Path]] = {}
    for path in sorted(paths):
        try:
            families.setdefault(_family(path), []).append(path)
        except (OSError, ValueError):  # not a font
            continue
    few = [path for members in families.values() for path in members[:: -(-len(members) // _A_FAMILY)]]
    return sorted(few)


def given_fonts(paths: Iterable[Path], alphabet: Alphabet) -> list[FontInfo]:
    """Describe the fonts that the user named; all that have the symbols are used.

    Raises:
        SourceError: if one is no font.
    """
    fonts = []
    for path in paths:
        try:
            family = _family(path)
        except (OSError, ValueError) as error:
            raise SourceError(f"{path} is no font that can be opened ({error}): name a .ttf or .otf file.") from None
        glyphs = _all_glyphs(path, alphabet.symbols)
        if glyphs is not None:
            fonts.append(FontInfo(path, family, "given", _small_letters(path, alphabet, glyphs)))
    return fonts


def _family(path: Path) -> str:
    return ImageFont.truetype(str(path), 16).getname()[0] or path.stem


def _all_glyphs(path: Path, symbols: str) -> dict[str, Glyph] | None:
    """Draw the glyph of every symbol; None if one is missing, empty, or equal to another."""
    face = FontFace(path, capitals_of(symbols))
    glyphs: dict[str, Glyph] = {}
    symbol_of: dict[bytes, str] = {}
    try:
        for symbol in symbols:
            glyph = face.draw(symbol)
            if glyph is None:
                return None
            picture = glyph.mask.tobytes() + bytes(str((glyph.mask.shape, glyph.top)), "ascii")
            if picture in symbol_of and not _twins(symbol, symbol_of[picture]):
                return None
            symbol_of[picture] = symbol
            glyphs[symbol] = glyph
    except (OSError, ValueError, MemoryError):  # a damaged or bitmap-only font file
        return None
    return glyphs


def capitals_of(symbols: str) -> str:
    """Symbols as high as a capital: capitals and digits, or all if there are none (at most 12)."""
    tall = [s for s in symbols if s.isdigit() or unicodedata.category(s) == "Lu"]
    return "".join(sorted(tall or symbols)[:: max(1, len(tall or symbols) // 12)])


def _twins(a: str, b: str) -> bool:
    """Test whether two symbols of different scripts look alike, as Latin A and Cyrillic A."""
    return unicodedata.name(a, "").split(" ")[0] != unicodedata.name(b, "").split(" ")[0]


def _has_serifs(path: Path, alphabet: Alphabet) -> bool:
    """Test whether the T has a foot wider than its stem."""
    glyph = FontFace(path, capitals_of(alphabet.symbols)).draw("T")
    if glyph is None:
        return False
    ink = glyph.mask > 110
    height = len(ink)
    return bool(ink[int(0.95 * height)].sum() > 1.15 * ink[height // 2].sum())


def _pieces(glyph: Glyph) -> int:
    """Count the contours of the ink, holes included: 3 for an 8."""
    contours, _ = cv2.findContours((glyph.mask > 110).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return len(contours)


def _shape(glyph: Glyph) -> NDArray[np.float32]:
    """The ink in a square grid, stretched unless very narrow, blurred, of mean 0 and norm 1: (GRID * GRID,)."""
    h, w = glyph.mask.shape
    pad = max(0, round((0.45 * h - w) / 2))  # an I stays narrow
    mask = cv2.copyMakeBorder(glyph.mask, 0, 0, pad, pad, cv2.BORDER_CONSTANT, value=0)
    small = cv2.resize(mask, (_GRID, _GRID), interpolation=cv2.INTER_AREA).astype(np.float32)
    flat = cv2.GaussianBlur(cv2.copyMakeBorder(small, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0), (0, 0), 1.2).ravel()
    flat = flat - flat.mean()
    return np.asarray(flat / (np.linalg.norm(flat) + 1e-6), np.float32)


Reference = tuple[NDArray[np.float32], dict[str, NDArray[np.intp]]]


@lru_cache(maxsize=8)
def _reference_shapes(symbols: str) -> Reference:
    """Shapes of Matplotlib's fonts, one a column, and the columns of each symbol."""
    from matplotlib import get_data_path

    shapes: list[NDArray[np.float32]] = []
    columns: dict[str, list[int]] = {}
    for path in sorted((Path(get_data_path()) / "fonts" / "ttf").glob("DejaVuS*.ttf")):
        if "Display" in path.name:
            continue
        face = FontFace(path, capitals_of(symbols))
        for symbol in symbols:
            glyph = face.draw(symbol)
            if glyph is not None:
                columns.setdefault(symbol, []).append(len(shapes))
                shapes.append(_shape(glyph))
    table = np.stack(shapes, axis=1) if shapes else np.zeros((1, 0), np.float32)
    return table, {symbol: np.array(places, np.intp) for symbol, places in columns.items()}


def _recognised(glyphs: dict[str, Glyph], symbols: str, reference: Reference) -> tuple[float, float]:
    """Share of symbols that resemble their own reference most, and the mean similarity to it."""
    shapes, columns = reference
    asked = [s for s in symbols if s in columns]
    if not asked:  # the reference fonts lack this script
        return 1.0, 0.8
    likeness = np.stack([_shape(glyphs[s]) for s in asked]) @ shapes  # (asked, references)
    best = np.stack([likeness[:, columns[s]].max(1) for s in asked], axis=1)  # (asked, asked)
    right = [asked[j].translate(_ALIKE) == asked[i].translate(_ALIKE) for i, j in enumerate(best.argmax(1))]
    return float(np.mean(right)), float(best.diagonal().mean())


def _small_letters(path: Path, alphabet: Alphabet, capitals: dict[str, Glyph]) -> str:
    """Small letters that the font can draw for the alphabet's capitals, not as copies of the capitals."""
    small_letters = "".join(s.lower() for s in alphabet.symbols if s.isupper() and len(s.lower()) == 1)
    small_letters = "".join(s for s in small_letters if s not in alphabet.symbols)
    if not small_letters:
        return ""
    glyphs = _all_glyphs(path, small_letters)
    if glyphs is None:
        return ""
    known, _ = _recognised(glyphs, small_letters, _reference_shapes(small_letters))
    return small_letters if known >= _MIN_RECOGNISED else ""
