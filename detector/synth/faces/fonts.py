"""Fonts of this machine that draw every symbol, each so that a person would know it."""

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
from detector.data.user_cache import cache_folder, keep_newest, used_now
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
# Pairs that careful fonts draw alike: mistaking one for the other is no fault of the font.
_ALIKE = str.maketrans("O1L5", "0IIS")
_MUST_KNOW = 0.7
_A_FAMILY = 8  # weights and widths of one family beyond these add little, and looking at them takes time
_GRID = 20
_CACHED = 8  # alphabets and collections of fonts that are kept


@dataclass(frozen=True)
class FontInfo:
    """A usable font.

    ``kind`` is "sans" or "serif" if it is plain, else "odd" or "hand"; "given" if the user named it. ``lower`` are the
    small letters that it may draw for capitals.
    """

    path: Path
    family: str
    kind: str
    lower: str


def find_fonts(alphabet: Alphabet | None = None) -> list[Path]:
    """Fonts that have all symbols of ``alphabet`` (default 0-9A-Z) and draw them legibly, sorted by path.

    Looks at the system's fonts and at those that Matplotlib brings along, so there is always one.
    """
    return [font.path for font in found_fonts(alphabet or Alphabet())]


@lru_cache(maxsize=4)
def found_fonts(alphabet: Alphabet) -> tuple[FontInfo, ...]:
    """What :func:`find_fonts` finds, with what is known of each; kept between processes while no file changes."""
    files = _font_files()
    kept = cache_folder("fonts") / f"{_fingerprint(files, alphabet)}.json"
    if (fonts := _kept(kept)) is not None:
        used_now(kept)
        return fonts
    log.info("looking through %d font files for those that draw all symbols (once; of thousands, a minute)", len(files))
    fonts = tuple(usable_fonts(files, alphabet))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept) as part:
            part.write_text(json.dumps([{**vars(font), "path": str(font.path)} for font in fonts]), encoding="utf-8")
        keep_newest(kept.parent, "*.json", _CACHED)
    except OSError as error:  # a read-only home, a full disk, another process that writes the same
        log.info("what was found is not kept: %s", error)
    return fonts


def _fingerprint(files: Iterable[Path], alphabet: Alphabet) -> str:
    """Of all that decides which fonts are usable: the files, the symbols, who draws and who judges."""
    import matplotlib  # slow to import, and only wanted here

    asked = hashlib.sha256(repr((alphabet.symbols, PIL.__version__, cv2.__version__, matplotlib.__version__)).encode())
    for code in (Path(__file__), Path(__file__).with_name("glyphs.py")):
        asked.update(code.read_bytes())
    for file in files:
        stat = file.stat()
        asked.update(repr((str(file), stat.st_size, stat.st_mtime_ns)).encode())
    return asked.hexdigest()[:32]


def _kept(path: Path) -> tuple[FontInfo, ...] | None:
    """What another process found."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return tuple(FontInfo(**{**font, "path": Path(font["path"])}) for font in held)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _font_files() -> list[Path]:
    from matplotlib import font_manager, get_data_path  # slow to import, and only wanted here

    found = {Path(p) for p in font_manager.findSystemFonts()}
    for folder in (Path("/usr/share/fonts"), Path(get_data_path()) / "fonts" / "ttf"):
        found.update(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    named: dict[str, Path] = {}
    for path in sorted(found):
        known = path.suffix.lower() in _SUFFIXES and not any(word in path.name.lower() for word in _NEVER)
        if known and path.is_file():  # no link to a font that is gone
            named.setdefault(path.name, path)  # the same file lies in two folders: one is enough
    return sorted(named.values())


def usable_fonts(paths: Iterable[Path], alphabet: Alphabet) -> list[FontInfo]:
    """Those of ``paths`` that draw every symbol of ``alphabet``, distinctly and recognisably."""
    reference = _reference_shapes(alphabet.symbols)
    fonts = []
    for path in _few_a_family(paths):
        glyphs = _all_glyphs(path, alphabet.symbols)
        if glyphs is None:
            continue
        known, likeness = _recognised(glyphs, alphabet.symbols, reference)
        family = _family(path)
        hand = any(word in f"{path} {family}".lower() for word in _HAND)
        if known < (_MUST_KNOW - 0.15 if hand else _MUST_KNOW):
            continue
        pieces = float(np.mean([_pieces(glyph) for glyph in glyphs.values()]))
        if pieces > 6:  # hatched or shattered letters: nobody reads them 12 pixels high
            continue
        plain = "serif" if _has_serifs(path, alphabet) else "sans"
        kind = "hand" if hand else plain if known > 0.9 and likeness > 0.72 and pieces < 2.6 else "odd"
        fonts.append(FontInfo(path, family, kind, _small_letters(path, alphabet, glyphs)))
    return fonts


def _few_a_family(paths: Iterable[Path]) -> list[Path]:
    """At most _A_FAMILY readable files of each family, evenly out of the sorted ones."""
    families: dict[str, list[Path]] = {}
    for path in sorted(paths):
        try:
            families.setdefault(_family(path), []).append(path)
        except (OSError, ValueError):  # not a font after all
            continue
    few = [path for members in families.values() for path in members[:: -(-len(members) // _A_FAMILY)]]
    return sorted(few)


def given_fonts(paths: Iterable[Path], alphabet: Alphabet) -> list[FontInfo]:
    """Fonts that the user named: every one that has the symbols is taken, pretty or not.

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
    """Every symbol's glyph; None where one is missing, empty, or equal to another's."""
    face = FontFace(path, capitals_of(symbols))
    glyphs: dict[str, Glyph] = {}
    seen: dict[bytes, str] = {}
    try:
        for symbol in symbols:
            glyph = face.draw(symbol)
            if glyph is None:
                return None
            picture = glyph.mask.tobytes() + bytes(str((glyph.mask.shape, glyph.top)), "ascii")
            if picture in seen and not _twins(symbol, seen[picture]):
                return None
            seen[picture] = symbol
            glyphs[symbol] = glyph
    except (OSError, ValueError, MemoryError):  # a damaged or bitmap-only font file
        return None
    return glyphs


def capitals_of(symbols: str) -> str:
    """The symbols whose height is a capital's: capitals and digits, or else all (at most 12 of them)."""
    tall = [s for s in symbols if s.isdigit() or unicodedata.category(s) == "Lu"]
    return "".join(sorted(tall or symbols)[:: max(1, len(tall or symbols) // 12)])


def _twins(a: str, b: str) -> bool:
    """Symbols of different scripts that look the same by nature, as Latin A and Cyrillic A do."""
    return unicodedata.name(a, "").split(" ")[0] != unicodedata.name(b, "").split(" ")[0]


def _has_serifs(path: Path, alphabet: Alphabet) -> bool:
    """Whether its T stands on a foot wider than its stem."""
    glyph = FontFace(path, capitals_of(alphabet.symbols)).draw("T")
    if glyph is None:
        return False
    ink = glyph.mask > 110
    height = len(ink)
    return bool(ink[int(0.95 * height)].sum() > 1.15 * ink[height // 2].sum())


def _pieces(glyph: Glyph) -> int:
    """Outlines that the ink has, holes included: 3 for an 8."""
    found, _ = cv2.findContours((glyph.mask > 110).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return len(found)


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
    """Shapes of fonts that Matplotlib brings along, one a column, and the columns of each symbol."""
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
    return table, {symbol: np.array(found, np.intp) for symbol, found in columns.items()}


def _recognised(glyphs: dict[str, Glyph], symbols: str, reference: Reference) -> tuple[float, float]:
    """Share of symbols that are most like their own reference, and the mean likeness to it."""
    shapes, columns = reference
    asked = [s for s in symbols if s in columns]
    if not asked:  # a script that the reference fonts lack: nothing to compare with
        return 1.0, 0.8
    likeness = np.stack([_shape(glyphs[s]) for s in asked]) @ shapes  # (asked, references)
    best = np.stack([likeness[:, columns[s]].max(1) for s in asked], axis=1)  # (asked, asked)
    right = [asked[j].translate(_ALIKE) == asked[i].translate(_ALIKE) for i, j in enumerate(best.argmax(1))]
    return float(np.mean(right)), float(best.diagonal().mean())


def _small_letters(path: Path, alphabet: Alphabet, capitals: dict[str, Glyph]) -> str:
    """Small letters that may stand for the alphabet's capitals: drawn, and not as copies of the capitals."""
    wanted = "".join(s.lower() for s in alphabet.symbols if s.isupper() and len(s.lower()) == 1)
    wanted = "".join(s for s in wanted if s not in alphabet.symbols)
    if not wanted:
        return ""
    glyphs = _all_glyphs(path, wanted)
    if glyphs is None:
        return ""
    known, _ = _recognised(glyphs, wanted, _reference_shapes(wanted))
    return wanted if known >= _MUST_KNOW else ""
