"""Folders of single characters as faces: NIST SD19, EMNIST exports, your own crops.

How the symbol of a picture is determined; the first matching rule is used:

1. ``labels.csv`` as :mod:`detector.data.labels.formats` reads it, a symbol a row.
2. Sub-folders, one a class, searched to any depth (NIST's ``41/train_41``, ``41/hsf_0``). Their names are
   - symbols: ``A``, ``7``; so ``0`` to ``9`` are the digits,
   - or exactly the numbers of a known list: 0-35 (``0-9A-Z``), 0-61 (EMNIST by class: ``0-9A-Za-z``), 0-46
     (EMNIST balanced and by merge: ``0-9A-Zabdefghnqrt``), 1-26 (EMNIST letters: ``A-Z``),
   - or code points in hexadecimal: ``41``, ``4a``, ``U+0416``; NIST's merged classes join them: ``43_63`` holds
     both C and c.
3. Files named ``A_12.png``, ``CAP_A_12.png``, ``DIGIT_7_3.png``, ``SMALL_a_4.png`` (or LOWER), in the folder or in its
   ``images``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.data.folders.image_files import image_files
from detector.data.images import read_image
from detector.data.labels.formats import recognise
from detector.errors import ImageError, SourceError
from detector.synth.faces.glyphs import CAP, Glyph, Mask, cropped
from detector.synth.faces.pen import WRITERS, PenFace
from detector.text.alphabet import Alphabet

_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LISTS = {
    range(36): "0123456789" + _CAPITALS,
    range(62): "0123456789" + _CAPITALS + _CAPITALS.lower(),
    range(47): "0123456789" + _CAPITALS + "abdefghnqrt",
    range(1, 27): _CAPITALS,
}
_FLAT = re.compile(r"^(?:(?P<kind>[A-Za-z]{2,})_)?(?P<symbol>[^_])_\d+$")


@dataclass(frozen=True)
class GlyphFolder:
    """Pictures of single characters: ``pictures`` by symbol, ``tall`` the median height of their ink in pixels."""

    root: Path
    pictures: dict[str, tuple[Path, ...]] = field(compare=False)  # they follow from the folder
    tall: float


def open_glyph_folder(root: Path, alphabet: Alphabet) -> GlyphFolder:
    """Find the pictures of the alphabet's symbols.

    Raises:
        SourceError: if the naming is unknown or ambiguous, or a symbol has no picture.
    """
    by_symbol: dict[str, list[Path]] = {}
    for symbol, path in _labelled_pictures(root):
        if symbol in {*alphabet.symbols}:
            by_symbol.setdefault(symbol, []).append(path)
    missing = "".join(s for s in alphabet.symbols if s not in by_symbol)
    if missing:
        raise SourceError(f"{root} holds no picture of {missing!r}: add some, or choose an alphabet without them.")
    pictures = {symbol: tuple(sorted(paths)) for symbol, paths in by_symbol.items()}
    sample = [paths[i % len(paths)] for i in range(3) for paths in pictures.values()][:100]
    heights = [mask.shape[0] for mask in (ink_of(read_grey(path)) for path in sample) if mask is not None]
    return GlyphFolder(root, pictures, float(np.median(heights or [CAP])))


def _labelled_pictures(root: Path) -> Iterable[tuple[str, Path]]:
    """Return (symbol, file) pairs by the first matching rule."""
    if (root / "labels.csv").is_file():
        rows = recognise(root / "labels.csv", "csv", (None, None)).rows()
        return [(row.text.strip(), root / row.image) for row in rows if row.image and row.text]
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))
    if folders and not (len(folders) == 1 and folders[0].name == "images"):
        symbols = class_symbols([folder.name for folder in folders], root)
        return [(s, path) for folder in folders for path in _pictures_in(folder) for s in symbols[folder.name]]
    pairs = []
    for path in _pictures_in(root):
        match = _FLAT.match(path.stem)
        if match:
            small = (match["kind"] or "").upper() in ("SMALL", "LOWER")
            pairs.append((match["symbol"].lower() if small else match["symbol"], path))
    if not pairs:
        raise SourceError(
            f"{root} has no labels.csv, no class folders and no files named like CAP_A_12.png: "
            "make a folder a character, named by it."
        )
    return pairs


def _pictures_in(folder: Path) -> list[Path]:
    return [path for path, unreadable in image_files(folder) if unreadable is None]


def class_symbols(names: list[str], root: Path) -> dict[str, str]:
    """Symbols of class folders, by folder name; the module's docstring has the rules.

    Raises:
        SourceError: if no rule matches all names, or two match and disagree.
    """
    if all(len(name) == 1 for name in names):
        return {name: name for name in names}
    examples = ", ".join(sorted(names)[:8]) + (", ..." if len(names) > 8 else "")
    readings: list[dict[str, str]] = []
    if all(name.isascii() and name.isdigit() for name in names):
        numbers = {int(name): name for name in names}
        for indices, symbols in _LISTS.items():
            if set(numbers) == set(indices) and len(numbers) == len(names):
                return {numbers[i]: symbols[i - indices.start] for i in indices}
        decimal = {name: chr(int(name)) for name in names if int(name) < 0x11000}
        if _sensible(decimal, names):
            readings.append(decimal)
    hexadecimal = {name: joined for name in names if (joined := _code_points(name))}
    if _sensible(hexadecimal, names):
        readings.append(hexadecimal)
    if hexadecimal not in readings:
        raise SourceError(
            f"The class folders of {root} are named {examples}: neither characters, nor hexadecimal code points, nor "
            "a known list of numbers. Name each folder by its character."
        )
    if len(readings) > 1:
        raise SourceError(
            f"The class folders of {root} are named {examples}: these may be decimal or hexadecimal code points. "
            "Name each folder by its character."
        )
    return readings[0]


def _code_points(name: str) -> str:
    """Symbols of "41", "U+0041" or "43_63"; empty if it is none of these."""
    symbols = []
    for part in name.split("_"):
        digits = part[2:] if part.upper().startswith("U+") else part
        if not re.fullmatch(r"[0-9A-Fa-f]{2,5}", digits):
            return ""
        symbols.append(chr(int(digits, 16)))
    return "".join(symbols)


def _sensible(reading: dict[str, str], names: list[str]) -> bool:
    return len(reading) == len(names) and all(s.isalnum() for symbols in reading.values() for s in symbols)


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Read a picture in grey, uint8 (h, w).

    Raises:
        ImageError: if it cannot be decoded.
    """
    try:
        return np.asarray(cv2.cvtColor(read_image(path), cv2.COLOR_BGR2GRAY), np.uint8)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def ink_of(grey: NDArray[np.uint8]) -> Mask | None:
    """Extract the ink of a character, uint8, cropped; dark on light or light on dark. None if empty."""
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    # The median brightness of the rim is the paper's.
    off = grey.astype(np.float32) - float(np.median(rim))
    apart = cv2.convertScaleAbs(off)
    cut, _ = cv2.threshold(apart, 0, 255, cv2.THRESH_OTSU)
    strong = apart > max(float(cut), 12.0)
    if not strong.any():
        return None
    sign = -1.0 if off[strong].sum() < 0 else 1.0
    full = float(np.percentile(np.abs(off[strong]), 60))
    mask = np.clip((sign * off - 0.25 * full) / (0.65 * full), 0, 1)
    clean_mask = _without_specks(np.asarray(mask > 0.4))
    ink = np.asarray((mask * 255 * cv2.dilate(clean_mask, np.ones((3, 3), np.uint8))).astype(np.uint8))
    glyph = cropped(ink, 0, 0, 0)
    return glyph.mask if glyph else None


def _without_specks(ink: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Keep only components of at least a twentieth of the largest one."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray(np.isin(parts, np.flatnonzero(areas >= max(3, areas.max() / 20))).astype(np.uint8))


@dataclass(frozen=True)
class FolderFace:
    """A folder as a face; ``variant`` chooses among the pictures of each symbol.

    Signs without a picture, such as separators, are drawn with a pen.
    """

    folder: GlyphFolder
    variant: int

    def draw(self, sign: str) -> Glyph | None:
        paths = self.folder.pictures.get(sign)
        if not paths:
            return PenFace(self.variant % WRITERS).draw(sign)
        start = self.variant * 7919 % len(paths)
        for path in (*paths[start:], *paths[:start]):  # skip empty crops
            mask = ink_of(read_grey(path))
            if mask is None:
                continue
            scale = float(np.clip(CAP / self.folder.tall, 0.05, 20))
            h, w = mask.shape
            # Sizes vary as written, within limits: one odd crop must not fill the picture.
            scale *= float(np.clip(h * scale, 0.55 * CAP, 1.45 * CAP)) / (h * scale)
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            big = cv2.resize(mask, (max(2, round(w * scale)), max(2, round(h * scale))), interpolation=how)
            return Glyph(np.asarray(big, np.uint8), 0.0, float(big.shape[0]), float(big.shape[1]) * 1.15)
        raise SourceError(f"{self.folder.root}: none of the {len(paths)} pictures of {sign!r} shows any ink.")
