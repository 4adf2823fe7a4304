"""Two-pass reading: a second pass over the part of a picture with the text, where it is not read with confidence.

    prepare ── detect ── zoom ── detect ── merge ── decode

The second pass is test-time augmentation: it enlarges small text, shrinks text that fills its picture, and raises the
contrast of pale text. The candidates of both passes are merged by weighted boxes fusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Integral, Real

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.data.letterbox import GREY, LetterboxTransform, letterbox, shape_for
from detector.errors import ArgumentError
from detector.networks.network import Network, in_batches
from detector.reading.box_fusion import weighted_boxes_fusion
from detector.text.decode import decode_batch
from detector.text.detections import CharDetections, Evidence, Reading
from detector.text.reading_config import ReadingConfig

_MARGIN = 0.25  # around the text in the zoomed pass, in heights of a character
_MAX_SOURCE_SIDE = 1024  # longer side of the picture that is kept for the second pass; bounds memory
_SURE_CONFIDENCE = 0.95  # lowest character confidence from which a second pass changes next to nothing
_FILLED = 0.9  # of a picture's width and height: a text that takes so much of both is as large as it gets
_SHRUNK = 0.8  # of its size, that is what such a text has in the second pass
_PALE = 150  # grey levels between the 2nd and the 98th percentile: a text in glare, haze or the dark has fewer
_CLIP_LIMIT = 2.0  # of the equalization (CLAHE): how much it may raise contrast, and with it noise
_TILES_XY = (8, 2)  # of the equalization: light falls unevenly along a text more than across it


def check_arguments(pattern: object, min_confidence: object, alternatives: object, two_pass: object) -> None:
    """Refuse arguments of a reader that are none, of whatever kind.

    Raises:
        ArgumentError: naming the value, and what it may be.
    """
    if pattern is not None and not isinstance(pattern, str):
        raise ArgumentError(f"pattern={pattern!r} is no text: alternatives are joined, as in 'AAA9999|AAA999'.")
    is_share = isinstance(min_confidence, Real) and 0 <= float(min_confidence) <= 1
    if not is_share or not isinstance(alternatives, Integral) or int(alternatives) < 0:
        raise ArgumentError(
            f"min_confidence runs from 0 to 1 and alternatives from 0 on, in whole numbers, got {min_confidence!r} and "
            f"{alternatives!r}."
        )
    if two_pass is not None and not isinstance(two_pass, (bool, np.bool_)):  # a text, say "no", would count as true
        raise ArgumentError(
            f"two_pass={two_pass!r} is no choice: give True or False, or None for what the weights say."
        )


@dataclass(frozen=True)
class Prepared:
    """A picture as the network takes it.

    Args:
        letterboxed: uint8 (H, W, 3) BGR.
        transform: to it from the picture.
        source_image: the picture for a second pass, ``source_scale`` times its size; None where there is to be none.
    """

    letterboxed: NDArray[np.uint8]
    transform: LetterboxTransform
    source_image: NDArray[np.uint8] | None = None
    source_scale: float = 1.0


@dataclass(frozen=True)
class Zoom:
    """The part of a picture that a second pass is about.

    Args:
        row: of the picture among those of its batch.
        picture: the whole, as the first pass had it.
        part: of the picture's ``source_image``, as the network takes it.
        corner_xy: of the part in ``source_image``; below 0 where it has a border.
    """

    row: int
    picture: Prepared
    part: Prepared
    corner_xy: tuple[int, int]

    def to_first_pass(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert boxes (n, 4) of the letterboxed part to pixels of the letterboxed picture."""
        in_source = self.part.transform.to_picture(boxes_xyxy) + np.array(self.corner_xy * 2, np.float32)
        return self.picture.transform.to_letterboxed(in_source / self.picture.source_scale)


@dataclass(frozen=True)
class ReadingPipeline:
    """A network and its config, from decoded pictures to readings in steps that may run in threads of their own.

    Args:
        network: letterboxed pictures in, candidates out.
        config: of the network.
        two_pass: whether a text that is not read surely gets a second pass.
        min_confidence, alternatives: as :func:`detector.text.decode.decode_batch` takes them.
        keeps_evidence: whether readings bring what they were decoded from.
    """

    network: Network
    config: ReadingConfig
    two_pass: bool
    min_confidence: float = 0.0
    alternatives: int = 0
    keeps_evidence: bool = False

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """Read pictures, uint8 (H, W, 3) BGR of any sizes, in all steps."""
        prepared = [self.prepare(image) for image in images]
        return self.decode(prepared, *self.passes(prepared))

    def passes(self, prepared: Sequence[Prepared]) -> tuple[list[CharDetections], dict[int, Reading]]:
        """Detect, and once more where the text is not read surely.

        Returns:
            The candidates of both passes in each picture, and final readings by row where the first pass settles them.
        """
        detections = self.detect(prepared)
        settled, zooms = self.zoom(prepared, detections)
        return self.merge(detections, zooms, self.detect([zoom.part for zoom in zooms])), settled

    def shape_for(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Return the shape that the weights were trained with, or else one that suits this picture."""
        return self.config.shape_hw or _shape_for(image.shape[1], image.shape[0], self.config.length)

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """Letterbox a picture, and keep what a second pass needs of it."""
        letterboxed, transform = letterbox(image, self.shape_for(image))
        if not self.two_pass:
            return Prepared(letterboxed, transform)
        height, width = image.shape[:2]
        scale = min(1.0, _MAX_SOURCE_SIDE / max(height, width))
        if scale < 1:
            size_wh = max(1, round(width * scale)), max(1, round(height * scale))
            image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        return Prepared(letterboxed, transform, image, scale)

    def detect(self, prepared: Sequence[Prepared]) -> list[CharDetections]:
        """Detect candidates in each letterboxed picture, in its pixels."""
        return in_batches(self.network, [picture.letterboxed for picture in prepared])

    def zoom(
        self, prepared: Sequence[Prepared], detections: Sequence[CharDetections]
    ) -> tuple[dict[int, Reading], list[Zoom]]:
        """Return the readings that one pass settles, and the parts of other pictures that are worth a second one.

        Returns:
            Final readings by row, and the parts of other pictures that are to be detected in.
        """
        if not self.two_pass:
            return {}, []
        # Where to zoom what strings look like has no say: what it overrules is what would be read without it.
        is_constrained = self.config.is_constrained
        free_config = replace(self.config, pattern=None, string_model=None) if is_constrained else self.config
        readings = self._readings(prepared, detections, free_config)
        zooms = [
            zoom
            for row, (picture, reading) in enumerate(zip(prepared, readings, strict=True))
            if (zoom := self._zoom(row, picture, reading)) is not None
        ]
        if self.alternatives or is_constrained:  # these are looked for once, in all that was seen
            return {}, zooms
        unsettled = {zoom.row for zoom in zooms}
        return {row: reading for row, reading in enumerate(readings) if row not in unsettled}, zooms

    def _zoom(self, row: int, picture: Prepared, reading: Reading) -> Zoom | None:
        """Zoom to the text of a picture; None where there is none, or one that is read surely."""
        if picture.source_image is None or not reading.characters or reading.lowest_confidence >= _SURE_CONFIDENCE:
            return None
        boxes = np.array([c.xyxy for c in reading.characters]) * picture.source_scale
        part, corner_xy = second_view(picture.source_image, boxes)
        if not part.size:
            return None
        return Zoom(row, picture, Prepared(*letterbox(part, self.shape_for(part))), corner_xy)

    def merge(
        self, detections: Sequence[CharDetections], zooms: Sequence[Zoom], zoomed: Sequence[CharDetections]
    ) -> list[CharDetections]:
        """Merge the candidates of both passes, in pixels of the first one's letterboxed picture."""
        merged = list(detections)
        for zoom, zoomed_detections in zip(zooms, zoomed, strict=True):
            in_first_pass = replace(zoomed_detections, xyxy=zoom.to_first_pass(zoomed_detections.xyxy))
            merged[zoom.row] = weighted_boxes_fusion(merged[zoom.row], in_first_pass, len(self.config.symbols))
        return merged

    def decode(
        self, prepared: Sequence[Prepared], detections: Sequence[CharDetections], settled: Mapping[int, Reading]
    ) -> list[Reading]:
        """Decode all pictures, with boxes in the pictures' own pixels; readings that are ``settled`` by row stay."""
        rows = [row for row in range(len(prepared)) if row not in settled]
        decoded = self._readings(
            [prepared[row] for row in rows], [detections[row] for row in rows], self.config, self.alternatives
        )
        readings = {**settled, **dict(zip(rows, decoded, strict=True))}
        return [readings[row] for row in range(len(prepared))]

    def _readings(
        self, prepared: Sequence[Prepared], detections: Sequence[CharDetections], config: ReadingConfig,
        alternatives: int = 0,
    ) -> list[Reading]:  # fmt: skip
        # Decoded in the letterboxed picture, as validation does: the same candidates give the same string.
        widths = [float(picture.letterboxed.shape[1]) for picture in prepared]
        readings = decode_batch(
            detections, config, widths, min_confidence=self.min_confidence, alternatives=alternatives
        )
        if self.keeps_evidence:
            readings = [
                replace(reading, evidence=Evidence(picture_detections, width, picture.transform.to_picture))
                for reading, picture_detections, width, picture in zip(
                    readings, detections, widths, prepared, strict=True
                )
            ]
        return [
            reading.mapped(picture.transform.to_picture) for reading, picture in zip(readings, prepared, strict=True)
        ]


def text_part(image: NDArray[np.uint8], boxes_xyxy: NDArray[np.floating]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Cut out the part of a picture (H, W, 3) with boxes (n, 4), n > 0, and some margin; also its corner xy."""
    height, width = image.shape[:2]
    margin = _MARGIN * float(np.median(boxes_xyxy[:, 3] - boxes_xyxy[:, 1]))
    x1, y1 = np.maximum(0, np.floor(boxes_xyxy[:, :2].min(0) - margin)).astype(int).tolist()
    x2, y2 = np.minimum([width, height], np.ceil(boxes_xyxy[:, 2:].max(0) + margin)).astype(int).tolist()
    return image[y1:y2, x1:x2], (x1, y1)


def second_view(
    image: NDArray[np.uint8], boxes_xyxy: NDArray[np.floating]
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Cut out the part of a picture with boxes (n, 4), n > 0, as a second pass sees it; also its corner xy.

    Pale text has its contrast raised; text that fills the picture gets a border, so that it is smaller.
    """
    part, corner_xy = text_part(image, boxes_xyxy)
    if not part.size:
        return part, corner_xy
    if _is_pale(part):
        part = equalized(part)
    if part.shape[1] > _FILLED * image.shape[1] and part.shape[0] > _FILLED * image.shape[0]:
        return _with_border(part, corner_xy)
    return part, corner_xy


def _with_border(image: NDArray[np.uint8], corner_xy: tuple[int, int]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Add a grey border that makes the picture ``_SHRUNK`` of the whole; also return the corner of the whole."""
    height, width = image.shape[:2]
    y, x = (round(side * (1 / _SHRUNK - 1) / 2) for side in (height, width))
    bordered = cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_CONSTANT, value=(GREY,) * 3)
    return np.asarray(bordered, np.uint8), (corner_xy[0] - x, corner_xy[1] - y)


def _is_pale(image: NDArray[np.uint8]) -> bool:
    """Test a picture (H, W, 3) BGR for few grey levels; the darkest and lightest 2 % do not count."""
    dark, light = np.percentile(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), [2, 98])
    return bool(light - dark < _PALE)


def equalized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Raise the local contrast of a picture (H, W, 3) BGR, by contrast-limited adaptive histogram equalization.

    Source: Zuiderveld, Contrast Limited Adaptive Histogram Equalization, Graphics Gems IV, 1994.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    lab[..., 0] = cv2.createCLAHE(_CLIP_LIMIT, _TILES_XY).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), np.uint8)


@lru_cache(maxsize=1024)  # as much as all of the letterboxing, and pictures of one camera have one size
def _shape_for(width: int, height: int, length: int) -> tuple[int, int]:
    return shape_for([(width, height)], length)
