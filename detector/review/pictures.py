"""Pictures for the browser: decoded and encoded again, so that the page shows what the detector sees.

The browser never gets the bytes of a foreign file. Formats that browsers do not know, EXIF rotation and 16-bit grey are
treated as everywhere in this package.
"""

from __future__ import annotations

from pathlib import Path

from detector.data.images import read_image
from detector.reading.pages.cards import encode_webp

LARGEST_WH, THUMBNAIL_WH = (2400, 2400), (240, 120)
"""Largest width and height of a picture, and of its thumbnail, in pixels."""


def encoded_picture(path: Path) -> bytes:
    """Decode a picture, and encode it as WebP.

    Raises:
        ImageError: if it cannot be decoded.
    """
    return encode_webp(read_image(path), LARGEST_WH, 90)


def encoded_thumbnail(path: Path) -> bytes:
    """Decode a picture, and encode its thumbnail as WebP.

    Raises:
        ImageError: if it cannot be decoded.
    """
    return encode_webp(read_image(path), THUMBNAIL_WH)


def size_wh_of(path: Path) -> tuple[int, int]:
    """Return width and height of the upright picture, in pixels.

    Raises:
        ImageError: if it cannot be decoded.
    """
    height, width = read_image(path).shape[:2]
    return width, height
