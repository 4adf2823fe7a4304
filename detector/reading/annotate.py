"""One picture of many readings, boxes and strings drawn over them, for a person to open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from detector.data.atomic import atomic_write
from detector.data.images import Picture, read_image
from detector.data.letterbox import letterbox
from detector.text.detections import Reading

_TILE_HW = (96, 300)
_CAPTION = 22
_COLUMNS = 4


def annotated(picture: Picture, reading: Reading, shape_hw: tuple[int, int] = _TILE_HW) -> NDArray[np.uint8]:
    """Draw one tile: the picture letterboxed into ``shape_hw`` with the characters' boxes, uint8 (H, W, 3) BGR."""
    tile, transform = letterbox(read_image(picture), shape_hw)
    tile = tile.copy()
    if reading.characters:
        boxes = transform.to_letterboxed(np.array([c.xyxy for c in reading.characters], np.float32))
        detections = sv.Detections(xyxy=boxes, class_id=np.arange(len(boxes)))
        tile = sv.BoxAnnotator(thickness=1, color_lookup=sv.ColorLookup.INDEX).annotate(tile, detections)
    return tile


def write_annotated(
    path: Path, readings: Sequence[tuple[Picture, Reading]], captions: Sequence[str] | None = None
) -> None:
    """Write tiles with their strings and confidences beneath, as one PNG."""
    rows = -(-len(readings) // _COLUMNS)
    height, width = _TILE_HW
    page: Any = Image.new("RGB", (_COLUMNS * width, rows * (height + _CAPTION)), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(15)  # bundled with Pillow: any script that it has
    for i, (picture, reading) in enumerate(readings):
        left, top = i % _COLUMNS * width, i // _COLUMNS * (height + _CAPTION)
        page.paste(Image.fromarray(cv2.cvtColor(annotated(picture, reading), cv2.COLOR_BGR2RGB)), (left, top))
        caption = captions[i] if captions is not None else f"{reading.text or '(nothing)'}   {reading.confidence:.2f}"
        pen.text((left + 4, top + height + 1), caption, fill="black", font=font)
    with atomic_write(path) as part:
        page.save(part, format="PNG")
