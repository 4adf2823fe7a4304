"""What pages have in common: pictures with their boxes as cards in galleries, and templates in which they are shown.

A page opens without a network: pictures are embedded as thumbnails, a bounded number of bytes of them; boxes and
symbols are drawn over them as SVG.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from detector.data.atomic import atomic_write
from detector.errors import DetectorError
from detector.text.metrics import differing

GALLERY_BYTES = 5_000_000  # of thumbnails in a gallery; two as base64, and the page around them, are below 15 MB
_THUMBNAIL_WH = (480, 240)  # pixels; larger pictures are made smaller, none is enlarged
_TILE_WH = (240.0, 130.0)  # units of the page's drawing into which every picture is scaled
_STRIP = 18.0  # units above the picture, where the symbols of characters at its upper edge stand
_PILL_WH = (13.0, 16.0)  # units of the ground behind a symbol

MarkedSymbols = list[tuple[str, bool]]
"""A text symbol by symbol, each with whether the text beside it differs there."""


class Mark(NamedTuple):
    """A symbol above its box, in units of the tile; ``x`` is its centre, ``y`` its base line."""

    symbol: str
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """A picture with its boxes, in units of the tile.

    Args:
        data: the thumbnail, as a data URI.
        width, height: of the picture.
        left: where the tile begins, so that the picture is in its middle.
        boxes, pills: SVG paths: all boxes; and for characters of even and of odd place their box and the ground of
            their symbol, in two colours so that neighbours can be told apart.
        marks: the symbols.
    """

    data: str
    width: float
    height: float
    left: float
    boxes: tuple[str, str]
    pills: tuple[str, str]
    marks: list[Mark]


@dataclass(frozen=True)
class Card:
    """One picture of a gallery.

    Args:
        name: of the picture in its source.
        text, read: label and reading; without a reading there is no line for it.
        confidence: as the page shows it.
        notes: what else is said of the picture.
        drawing: None where it cannot be shown.
        problem: why not.
    """

    name: str
    text: MarkedSymbols
    read: MarkedSymbols | None
    confidence: str
    notes: tuple[str, ...] = ()
    drawing: Drawing | None = None
    problem: str = ""

    def drawn(self, draw: Callable[[], Drawing]) -> Card:
        """Return the card with its drawing, or with the reason why the picture cannot be shown."""
        try:
            return replace(self, drawing=draw())
        except DetectorError as error:
            return replace(self, problem=str(error))


class Gallery(NamedTuple):
    """Pictures that are shown, of how many there are, under a title; ``status`` names it for the page's script."""

    title: str
    explanation: str
    cards: list[Card]
    total: int
    status: str = ""


def write_page(path: Path, template: str, space: str, **content: Any) -> None:
    """Atomically write a page.

    Args:
        path: of the page.
        template: its file name among the templates of this package.
        space: shown as ␣ by the filter ``visible``.
        content: what the template is filled with.

    Raises:
        OSError: if the page cannot be written.
    """
    templates = Environment(
        loader=PackageLoader("detector.reading.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    templates.filters["count"] = lambda number: f"{number:,}"
    templates.filters["visible"] = lambda text: text.replace(space, "␣").replace(" ", "␣")
    templates.filters["quoted"] = shlex.quote
    templates.filters["short"] = lambda text: text if len(text) <= 200 else f"{text[:199]}…"
    templates.globals.update(tile=_TILE_WH[0], strip=_STRIP)
    page = templates.get_template(template).stream(**content)
    with atomic_write(path) as part:
        page.dump(str(part), encoding="utf-8", errors="backslashreplace")  # names of files need not be UTF-8


def as_many_as_fit(cards: Iterable[Card]) -> list[Card]:
    """Return the first cards whose thumbnails are :data:`GALLERY_BYTES` together; no more are drawn."""
    fitting, bytes_left = [], GALLERY_BYTES
    for card in cards:
        bytes_left -= len(card.drawing.data) * 3 // 4 if card.drawing else 0
        if bytes_left < 0:
            break
        fitting.append(card)
    return fitting


def mark_symbols(text: Sequence[str], places: Collection[int]) -> MarkedSymbols:
    """Return the symbols of a text, each with whether its place is among these."""
    return [(symbol, place in places) for place, symbol in enumerate(text)]


def compare_symbols(text: str, read: str, space: str) -> tuple[MarkedSymbols, MarkedSymbols]:
    """Return the symbols of label and reading, each with whether the other differs there; spaces are not read."""
    places = [i for i, symbol in enumerate(text) if symbol != space]
    in_text, in_read = set[int](), set[int]()
    if read:
        differences, in_read = differing([text[i] for i in places], read)
        in_text = {places[i] for i in differences}
    return mark_symbols(text, in_text), mark_symbols(read, in_read)


def draw(image: NDArray[np.uint8], symbols: Sequence[str], boxes_xyxy: NDArray[np.floating]) -> Drawing:
    """Draw a picture, uint8 (H, W, 3) BGR, with its symbols above their boxes, (n, 4) in its pixels."""
    height, width = image.shape[:2]
    unit = min(_TILE_WH[0] / width, _TILE_WH[1] / height)
    boxes, pills = ["", ""], ["", ""]
    marks = []
    for i, (symbol, box) in enumerate(zip(symbols, boxes_xyxy * unit, strict=True)):
        x1, y1, x2, y2 = (float(v) for v in box)
        boxes[i % 2] += _rectangle(x1, y1, x2 - x1, y2 - y1)
        middle = (x1 + x2) / 2
        pills[i % 2] += _rectangle(middle - _PILL_WH[0] / 2, y1 - _PILL_WH[1] - 1, *_PILL_WH)
        marks.append(Mark(symbol, round(middle, 1), round(y1 - 4, 1)))
    return Drawing(
        _data_uri(image), width * unit, height * unit, (width * unit - _TILE_WH[0]) / 2,
        (boxes[0], boxes[1]), (pills[0], pills[1]), marks,
    )  # fmt: skip


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"


def _data_uri(image: NDArray[np.uint8]) -> str:
    """Encode the thumbnail of a picture, uint8 (H, W, 3) BGR, as a data URI."""
    return "data:image/webp;base64," + base64.b64encode(encode_webp(image)).decode("ascii")


def encode_webp(image: NDArray[np.uint8], limit_wh: tuple[int, int] = _THUMBNAIL_WH, quality: int = 75) -> bytes:
    """Encode a picture, uint8 (H, W, 3) BGR, as WebP; larger ones are shrunk to the limit."""
    height, width = image.shape[:2]
    scale = min(limit_wh[0] / width, limit_wh[1] / height)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, encoded = cv2.imencode(".webp", image, (cv2.IMWRITE_WEBP_QUALITY, quality))
    return encoded.tobytes()
