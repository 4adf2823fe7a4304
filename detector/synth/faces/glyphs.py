"""Masks of single signs, from fonts or drawn, and their cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CAP = 56
"""Height of a capital in a mask, in pixels: masks are drawn once at this size and warped down."""

_CACHED_GLYPHS = 30_000  # about 2.5 kB each: 75 MB a process when full

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Glyph:
    """One sign's ink.

    ``mask`` is uint8 (h, w), 255 full ink, cropped to the ink. ``left`` is from the pen to the mask's left
    side, ``top`` from the baseline up to its upper side, ``advance`` to the next pen: pixels, capital = CAP.
    """

    mask: Mask
    left: float
    top: float
    advance: float


class Face(Hashable, Protocol):
    """Anything that can draw signs; equal faces draw the same."""

    def draw(self, sign: str) -> Glyph | None:
        """Draw the sign's glyph; None where the face has none."""


class GlyphCache:
    """Least-recently-used cache of glyphs, by face and sign."""

    def __init__(self, limit: int = _CACHED_GLYPHS) -> None:
        self._limit = limit
        self._glyphs: OrderedDict[tuple[Face, str], Glyph | None] = OrderedDict()

    def get(self, face: Face, sign: str) -> Glyph | None:
        """Return the glyph; draw it if it is not cached."""
        key = (face, sign)
        if key in self._glyphs:
            self._glyphs.move_to_end(key)
            return self._glyphs[key]
        self._glyphs[key] = glyph = face.draw(sign)
        if len(self._glyphs) > self._limit:
            self._glyphs.popitem(last=False)
        return glyph


@dataclass(frozen=True)
class FontFace:
    """A font file; ``capitals`` are the signs whose height counts as a capital's."""

    path: Path
    capitals: str = "HEX0"

    def draw(self, sign: str) -> Glyph | None:
        font, size, missing = _open_font(self.path, self.capitals)
        glyph = _glyph_of(font, size, sign)
        if glyph is None or (missing is not None and np.array_equal(glyph.mask, missing)):
            return None
        return glyph


@lru_cache(maxsize=1024)
def _open_font(path: Path, capitals: str) -> tuple[ImageFont.FreeTypeFont, int, Mask | None]:
    """Open a font at the size that makes capitals CAP high; also that size, and its glyph for missing signs."""
    trial = ImageFont.truetype(str(path), 64, layout_engine=ImageFont.Layout.BASIC)
    heights = [box[3] - box[1] for box in (trial.getbbox(s, anchor="ls") for s in capitals)]
    tall = float(np.median([h for h in heights if h > 0] or [46]))
    size = int(np.clip(round(64 * CAP / tall), 16, 400))
    font = ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    missing = _glyph_of(font, size, "\uffff") or _glyph_of(font, size, "\U000f1234")
    return font, size, missing.mask if missing else None


def _glyph_of(font: ImageFont.FreeTypeFont, size: int, sign: str) -> Glyph | None:
    left, top, right, bottom = (int(v) for v in font.getbbox(sign, anchor="ls"))
    if right <= left or bottom <= top or right - left > 6 * size or bottom - top > 6 * size:
        return None
    canvas = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(canvas).text((2 - left, 2 - top), sign, fill=255, font=font, anchor="ls")
    return cropped(np.asarray(canvas), left - 2, 2 - top, float(font.getlength(sign)))


def cropped(mask: Mask, left: float, top: float, advance: float) -> Glyph | None:
    """Crop the mask to its ink, offsets adjusted; None if there is no ink."""
    x, y, w, h = cv2.boundingRect((mask > 40).astype(np.uint8))
    if not w or not h:
        return None
    ink = np.ascontiguousarray(mask[y : y + h, x : x + w])
    return Glyph(ink, left + x, top - y, advance)
