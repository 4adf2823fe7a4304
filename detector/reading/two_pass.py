"""Two-pass reading: a second, zoomed pass where the text neither fills its picture nor is read with confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.data.letterbox import LetterboxTransform, letterbox, shape_for
from detector.networks.network import Network
from detector.reading.box_fusion import weighted_boxes_fusion
from detector.text.decode import decode_batch
from detector.text.detections import CharDetections, Reading
from detector.text.reading_config import ReadingConfig

_AROUND = 0.25  # margin of the zoomed pass, in heights of a character
_CLOSER = 1024  # longer side of the picture kept for the second pass; bounds memory
_SURE = 0.95  # lowest character confidence from which a second pass changes next to nothing
_FILLED = 0.9  # of a picture's width and height: a text that takes so much of both is as large as it gets

Found = tuple[CharDetections, float]
"""Candidates in a fitted picture, and that picture's width."""


@dataclass(frozen=True)
class Prepared:
    """A picture as the network takes it, the way back, and what may be looked at again, ``scale`` times its size."""

    fitted: NDArray[np.uint8]
    back: LetterboxTransform
    image: NDArray[np.uint8] | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Looks:
    """A network and its config, from decoded pictures to readings in steps that may run in threads of their own.

    Args:
        network: fitted pictures in, candidates out.
        config: of the network.
        second: whether a text that does not fill its picture, and is not read surely, gets a second pass.
        min_confidence, alternatives: as :func:`detector.text.decode.decode_batch` takes them.
    """

    network: Network
    config: ReadingConfig
    second: bool
    min_confidence: float = 0.0
    alternatives: int = 0

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """All steps, of pictures uint8 (H, W, 3) BGR of any sizes."""
        prepared = [self.prepare(image) for image in images]
        return self.decode(prepared, self.detect(prepared), self.detect)

    def shape_for(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """The shape that the weights were trained with; without one, what suits this picture."""
        return self.config.shape_hw or _shape_for(image.shape[1], image.shape[0], self.config.length)

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """Letterbox a picture, and keep what a second pass needs of it."""
        fitted, back = letterbox(image, self.shape_for(image))
        if not self.second:
            return Prepared(fitted, back)
        height, width = image.shape[:2]
        scale = min(1.0, _CLOSER / max(height, width))
        if scale < 1:
            size_wh = max(1, round(width * scale)), max(1, round(height * scale))
            image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        return Prepared(fitted, back, image, scale)

    def detect(self, prepared: Sequence[Prepared]) -> list[Found]:
        """What the network sees in each; pictures of one network shape go together."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i, one in enumerate(prepared):
            by_shape.setdefault(one.fitted.shape, []).append(i)
        results: dict[int, Found] = {}
        for (_, width, _), places in by_shape.items():
            found = self.network(np.stack([prepared[i].fitted for i in places]))
            for i, seen in zip(places, found, strict=True):
                results[i] = (seen, float(width))
        return [results[i] for i in range(len(prepared))]

    def decode(
        self, prepared: Sequence[Prepared], found: Sequence[Found], detect: Callable[[Sequence[Prepared]], list[Found]]
    ) -> list[Reading]:
        """Strings, with boxes in the pictures' own pixels; ``detect`` runs the second pass."""
        if not self.second:
            return self._strings(prepared, found, self.config, self.alternatives)
        # Where to look again a pattern has no say: what it overrules is what would be read without it.
        free = replace(self.config, pattern=None) if self.config.pattern else self.config
        readings = self._strings(prepared, found, free)
        parts = {i: part for i, one in enumerate(prepared) if (part := _text_of(one, readings[i])) is not None}
        seen = list(found)
        closer = [self.prepare(image) for image, _ in parts.values()]
        nearer = detect(closer) if closer else []  # to ask for nothing may still mean to wait
        for (i, (_, corner)), near, (second, _) in zip(parts.items(), closer, nearer, strict=True):
            first, width = found[i]
            boxes = (near.back.to_picture(second.xyxy) + np.array(corner * 2, np.float32)) / prepared[i].scale
            moved = replace(second, xyxy=prepared[i].back.to_letterboxed(boxes))
            seen[i] = weighted_boxes_fusion(first, moved, len(self.config.symbols)), width
        # Patterns and other strings are looked for once, when nothing more is going to be seen.
        again = list(range(len(prepared)) if self.alternatives or self.config.pattern else parts)
        final = self._strings([prepared[i] for i in again], [seen[i] for i in again], self.config, self.alternatives)
        for i, reading in zip(again, final, strict=True):
            readings[i] = reading
        return readings

    def _strings(
        self, prepared: Sequence[Prepared], found: Sequence[Found], config: ReadingConfig, alternatives: int = 0
    ) -> list[Reading]:
        # Decoded in the fitted picture, as validation does: the same candidates give the same string.
        readings = decode_batch(
            [seen for seen, _ in found], config, [width for _, width in found],
            min_confidence=self.min_confidence, alternatives=alternatives,
        )  # fmt: skip
        return [_to_picture(reading, one.back) for reading, one in zip(readings, prepared, strict=True)]


@lru_cache(maxsize=1024)  # as much as all of the fitting, and pictures of one camera have one size
def _shape_for(width: int, height: int, length: int) -> tuple[int, int]:
    return shape_for([(width, height)], length)


def _text_of(prepared: Prepared, reading: Reading) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """The part of a picture that a text is in, and its corner xy; None where a second pass is not worthwhile."""
    image = prepared.image
    if image is None or not reading.characters or min(c.confidence for c in reading.characters) >= _SURE:
        return None
    height, width = image.shape[:2]
    boxes = np.array([c.xyxy for c in reading.characters]) * prepared.scale  # (n, 4)
    margin = _AROUND * float(np.median(boxes[:, 3] - boxes[:, 1]))
    x1, y1 = np.maximum(0, np.floor(boxes[:, :2].min(0) - margin)).astype(int).tolist()
    x2, y2 = np.minimum([width, height], np.ceil(boxes[:, 2:].max(0) + margin)).astype(int).tolist()
    if x2 <= x1 or y2 <= y1 or (x2 - x1 > _FILLED * width and y2 - y1 > _FILLED * height):
        return None
    return np.ascontiguousarray(image[y1:y2, x1:x2]), (x1, y1)


def _to_picture(reading: Reading, back: LetterboxTransform) -> Reading:
    if not reading.characters:
        return reading
    boxes = back.to_picture(np.array([c.xyxy for c in reading.characters], np.float32)).tolist()
    moved = tuple(replace(c, xyxy=(b[0], b[1], b[2], b[3])) for c, b in zip(reading.characters, boxes, strict=True))
    return replace(reading, characters=moved)
