"""Pictures as a browser gets them: decoded here and encoded anew, so that it shows what detectors see.

No byte of a file of others reaches the browser; formats that browsers do not know, rotation by EXIF and 16-bit grey
are as everywhere in this package.
"""

from __future__ import annotations

from pathlib import Path

from detector.data.images import read_image
from detector.reading.report import encode_webp

LARGEST_WH, THUMBNAIL_WH = (2400, 2400), (240, 120)
"""Pixels of a picture, and of its thumbnail, at most."""


def encoded_picture(path: Path) -> bytes:
    """Encode the picture as WebP.

    Raises:
        ImageError: if it cannot be decoded.
    """
    return encode_webp(read_image(path), LARGEST_WH, 90)


def encoded_thumbnail(path: Path) -> bytes:
    """Encode a small picture as WebP."""
    return encode_webp(read_image(path), THUMBNAIL_WH)


def size_wh_of(path: Path) -> tuple[int, int]:
    """Return width and height of the upright picture, in pixels.

    Raises:
        ImageError: if it cannot be decoded.
    """
    height, width = read_image(path).shape[:2]
    return width, height
