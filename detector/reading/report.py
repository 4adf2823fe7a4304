"""``report.html``: a converted set in one page that opens without a network.

Everything comes from the set on disk; nothing here depends on the time or the place, so the same set gives the same
page. Pictures are embedded as thumbnails, a bounded number of them; boxes and symbols are drawn over them as SVG.
"""

from __future__ import annotations

import base64
import heapq
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from detector.data.atomic import atomic_write
from detector.data.images import read_image
from detector.data.parallel import prefetch_map
from detector.data.yolo_dataset import (
    MANIFEST,
    SPLITS,
    SUSPECTS,
    ManifestRow,
    RejectRow,
    label_file,
    parse_labels,
    read_manifest,
    read_rejects,
    read_set,
    set_name,
)
from detector.errors import DatasetError, DetectorError
from detector.text.metrics import differing
from detector.text.reading_config import ReadingConfig

REPORT = "report.html"

MAX_PICTURES = 400
"""Pictures that each gallery shows at most: the suspects, and the least sure of the others."""

GALLERY_BYTES = 5_000_000  # of thumbnails in a gallery; two as base64, and the page around them, are below 15 MB
_THUMBNAIL_WH = (480, 240)  # pixels; larger pictures are made smaller, none is enlarged
TILE_WH = (240.0, 130.0)  # units of the page's drawing into which every picture is scaled
STRIP = 18.0  # units above the picture, where the symbols of characters at its upper edge stand
_PILL_WH = (13.0, 16.0)  # units of the ground behind a symbol
_KINDS, _EXAMPLES = 20, 25  # reasons of refusal that are listed, and inputs under each
_CLASSES = 120  # rarest first where an alphabet has more


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
    """One picture of a gallery: ``text`` and ``read`` symbol by symbol, each with whether it differs in the other."""

    row: ManifestRow
    text: list[tuple[str, bool]]
    read: list[tuple[str, bool]]
    drawing: Drawing | None
    problem: str = ""


class Illustrated(Protocol):
    """A card of any page."""

    @property
    def drawing(self) -> Drawing | None: ...


AnyCard = TypeVar("AnyCard", bound=Illustrated)


class Gallery(NamedTuple):
    """Pictures that are shown, of how many there are."""

    status: str
    cards: list[Card]
    total: int


@dataclass(frozen=True)
class Bar:
    """One line of a table of counts; ``share`` is of the greatest, in [0, 1]."""

    name: str
    count: int
    share: float


@dataclass(frozen=True)
class Refusals:
    """A kind of reason, how many inputs were refused for it, and the first of them."""

    kind: str
    count: int
    rows: list[RejectRow]


def write_report(root: Path, *, final_root: Path | None = None, max_pictures: int = MAX_PICTURES) -> Path:
    """Write ``report.html`` into a converted set, from what lies there.

    Suspects come first, those with a reading that differs from the label before the others; then, as all others, the
    least sure first. Pictures and label files that cannot be read are shown as such.

    Args:
        root: the set's folder.
        final_root: where the set will lie, which names it; ``root``, if None.
        max_pictures: pictures embedded at most, of the suspects and of the others each.

    Returns:
        The page's path.

    Raises:
        DatasetError: if ``root`` is no converted set, or its tables are damaged.
    """
    folder = (final_root or root).resolve()
    config = read_set(root).config
    manifest, rejects = read_manifest(root), read_rejects(root)
    suspects = [row for row in manifest if row.status == "suspect"]
    others = [row for row in manifest if row.status != "suspect"]
    places = Counter(row.folder for row in manifest)
    characters = Counter(_characters(manifest, config))
    learnt = set(_characters((row for row in manifest if row.folder == "train"), config))
    rarest = heapq.nsmallest(_CLASSES, range(len(config.symbols)), key=lambda i: characters[config.symbols[i]])
    page = environment(config.space).get_template(REPORT).stream(
        title=set_name(folder),
        folder=folder.name,
        config=config,
        inputs=len(manifest) + len(rejects),
        counts={"ok": len(others), "suspect": len(suspects), "refused": len(rejects)},
        splits=_bars({**{split: places[split] for split in SPLITS}, "kept out": places[SUSPECTS]}),
        lengths=_bars({str(k): n for k, n in sorted(Counter(len(row.text) for row in manifest).items())}),
        classes=_bars({config.symbols[i]: characters[config.symbols[i]] for i in sorted(rarest)}),
        unlearnt=[symbol for symbol in config.symbols if symbol not in learnt],
        galleries=[
            _gallery("suspect", root, suspects, config, max_pictures),
            _gallery("ok", root, others, config, max_pictures),
        ],
        refusals=_refusals(rejects),
        tile=TILE_WH[0],
        strip=STRIP,
    )  # fmt: skip
    path = root / REPORT
    with atomic_write(path) as part:
        page.dump(str(part), encoding="utf-8")
    return path


def environment(space: str) -> Environment:
    """Templates of the package, with the filters that pages of strings need; spaces are shown as ␣."""
    templates = Environment(
        loader=PackageLoader("detector.reading"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    templates.filters["count"] = lambda number: f"{number:,}"
    templates.filters["visible"] = lambda text: text.replace(space, "␣").replace(" ", "␣")
    templates.filters["quoted"] = shlex.quote
    templates.filters["short"] = lambda text: text if len(text) <= 200 else f"{text[:199]}…"
    return templates


def _characters(rows: Iterable[ManifestRow], config: ReadingConfig) -> Iterable[str]:
    return (symbol for row in rows for symbol in row.text if symbol != config.space)


def _bars(counts: dict[str, int]) -> list[Bar]:
    greatest = max(counts.values(), default=0) or 1
    return [Bar(name, count, count / greatest) for name, count in counts.items()]


def _refusals(rejects: Sequence[RejectRow]) -> list[Refusals]:
    """Commonest reason first."""
    by_kind: dict[str, list[RejectRow]] = {}
    for row in rejects:
        by_kind.setdefault(row.kind, []).append(row)
    kinds = sorted(by_kind.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Refusals(kind, len(rows), rows[:_EXAMPLES]) for kind, rows in kinds[:_KINDS]]


def _gallery(status: str, root: Path, rows: Sequence[ManifestRow], config: ReadingConfig, max_pictures: int) -> Gallery:
    def rank(row: ManifestRow) -> tuple[bool, float, str]:
        try:
            return status == "suspect" and not row.read, float(row.confidence), row.image
        except ValueError:
            raise DatasetError(
                f"{root / MANIFEST}: {row.image} has the confidence {row.confidence!r}, no number: convert again."
            ) from None

    cards = prefetch_map(lambda row: _card(root, row, config), heapq.nsmallest(max_pictures, rows, key=rank))
    return Gallery(status, as_many_as_fit(cards), len(rows))


def as_many_as_fit(cards: Iterable[AnyCard]) -> list[AnyCard]:
    """The first cards whose thumbnails are :data:`GALLERY_BYTES` together; no more are drawn."""
    fitting, bytes_left = [], GALLERY_BYTES
    for card in cards:
        bytes_left -= len(card.drawing.data) * 3 // 4 if card.drawing else 0
        if bytes_left < 0:
            break
        fitting.append(card)
    return fitting


def _card(root: Path, row: ManifestRow, config: ReadingConfig) -> Card:
    text, read = compare_symbols(row.text, row.read, config.space)
    try:
        return Card(row, text, read, _drawing(root, row, config))
    except DetectorError as error:
        return Card(row, text, read, None, str(error))


def compare_symbols(text: str, read: str, space: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Symbols of the label and of the reading, each with whether the other differs there; spaces are not read."""
    places = [i for i, symbol in enumerate(text) if symbol != space]
    in_text, in_read = set[int](), set[int]()
    if read:
        differences, in_read = differing([text[i] for i in places], read)
        in_text = {places[i] for i in differences}
    return [(s, i in in_text) for i, s in enumerate(text)], [(s, i in in_read) for i, s in enumerate(read)]


def _drawing(root: Path, row: ManifestRow, config: ReadingConfig) -> Drawing:
    image = read_image(root / row.image)
    height, width = image.shape[:2]
    class_ids, boxes_xyxy = parse_labels(label_file(root, row.image), width, height, len(config.symbols))
    return draw(image, [config.symbols[c] for c in class_ids], boxes_xyxy)


def draw(image: NDArray[np.uint8], symbols: Sequence[str], boxes_xyxy: NDArray[np.floating]) -> Drawing:
    """A picture, uint8 (H, W, 3) BGR, with its symbols above their boxes, (n, 4) in its pixels."""
    height, width = image.shape[:2]
    unit = min(TILE_WH[0] / width, TILE_WH[1] / height)
    boxes, pills = ["", ""], ["", ""]
    marks = []
    for i, (symbol, box) in enumerate(zip(symbols, boxes_xyxy * unit, strict=True)):
        x1, y1, x2, y2 = (float(v) for v in box)
        boxes[i % 2] += _rectangle(x1, y1, x2 - x1, y2 - y1)
        middle = (x1 + x2) / 2
        pills[i % 2] += _rectangle(middle - _PILL_WH[0] / 2, y1 - _PILL_WH[1] - 1, *_PILL_WH)
        marks.append(Mark(symbol, round(middle, 1), round(y1 - 4, 1)))
    return Drawing(
        _data_uri(image), width * unit, height * unit, (width * unit - TILE_WH[0]) / 2,
        (boxes[0], boxes[1]), (pills[0], pills[1]), marks,
    )  # fmt: skip


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"


def _data_uri(image: NDArray[np.uint8]) -> str:
    """The thumbnail of a picture, uint8 (H, W, 3) BGR."""
    return "data:image/webp;base64," + base64.b64encode(encode_webp(image)).decode("ascii")


def encode_webp(image: NDArray[np.uint8], limit_wh: tuple[int, int] = _THUMBNAIL_WH, quality: int = 75) -> bytes:
    """A picture, uint8 (H, W, 3) BGR, for a page: larger ones are made as small as the limit."""
    height, width = image.shape[:2]
    scale = min(limit_wh[0] / width, limit_wh[1] / height)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, encoded = cv2.imencode(".webp", image, (cv2.IMWRITE_WEBP_QUALITY, quality))
    return encoded.tobytes()
