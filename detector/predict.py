"""The reader: pictures in, strings out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.decode import ReadingRules, decode_batch
from detector.detections import CharDetections, Reading
from detector.errors import DetectorError, ImageError, SourceError, WeightsError
from detector.fit import Fit, fit, shape_for
from detector.images import Picture, image_files, read_image

if TYPE_CHECKING:
    from detector._ultralytics import Network

log = logging.getLogger("detector")

_BATCH = 32
_AHEAD = 2  # batches that are decoded while one is read


@dataclass(frozen=True)
class Failure:
    """A picture that could not be read: its name, and the reason in the user's terms. It is false."""

    name: str
    reason: str

    def __bool__(self) -> bool:
        return False


class Reader:
    """Reads the strings in pictures.

    Weights are code as well as numbers where they are a ``.pt`` file: opening one runs what is pickled in it.
    Open only ``.pt`` files whose maker you trust; ONNX is the format to hand around.

    Args:
        weights: a ``.pt`` file of :func:`detector.train`, or what ``yolo export`` made of it; None takes the
            shipped weights, which know 0-9 and A-Z and any length up to 8.
        device: as Ultralytics spells it; None takes a GPU if there is one.
        pattern: what strings look like, as :mod:`detector.patterns` describes; None takes the weights' own, "" none.
        min_confidence: a reading whose least sure character is below this is refused: its text is empty, it is false,
            and ``refused`` and ``candidate`` say why, and what it would have been.
        alternatives: how many of the next likely strings each reading brings.

    Raises:
        WeightsError: if the weights are missing, damaged, or not for single characters.
        AlphabetError: if the pattern is not understood, or allows nothing that these weights read.
        DetectorError: if ``min_confidence`` is no share of 1, or ``alternatives`` below 0.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        device: str | None = None,
        pattern: str | None = None,
        min_confidence: float = 0.0,
        alternatives: int = 0,
    ) -> None:
        from detector import _ultralytics
        from detector.device import pick_device
        from detector.training import SHIPPED

        if not 0 <= min_confidence <= 1 or alternatives < 0:
            raise DetectorError(
                f"min_confidence runs from 0 to 1 and alternatives from 0 on, got {min_confidence} and {alternatives}."
            )
        self.min_confidence, self.alternatives = min_confidence, alternatives
        path = Path(weights) if weights is not None else SHIPPED
        if not path.exists():
            raise WeightsError(f"There are no weights at {path}: give a file that `detector train` wrote.")
        self.weights = path
        rules = _ultralytics.read_rules(path) if path.suffix == ".pt" else None
        self._network: Network = _ultralytics.Network(path, pick_device(device))
        if rules is None:
            symbols = _ultralytics.single_symbols(self._network.names)
            if symbols is None:
                names = ", ".join(list(self._network.names.values())[:5])
                raise WeightsError(f"{path} detects {names} …, not single characters: it is no reader's weights.")
            rules = ReadingRules(symbols)
        self.rules = rules if pattern is None else replace(rules, pattern=pattern)

    def read(self, picture: Picture) -> Reading:
        """The string in one picture.

        Args:
            picture: a path, an image file's bytes, a Pillow image, or an array (H, W, 3) in BGR order.

        Raises:
            ImageError: if it cannot be decoded; the message names a path.
        """
        try:
            image = read_image(picture)
        except ImageError as error:
            raise ImageError(f"{name_of(picture)}: {error}") from None
        return self._read_images([image])[0]

    def read_many(self, pictures: Iterable[Picture]) -> list[Reading | Failure]:
        """The strings of many pictures, in their order; those that cannot be decoded are failures, by name."""
        return [reading for _, reading in self._stream(pictures)]

    def stream(self, source: str | os.PathLike[str] | Iterable[Picture]) -> Iterator[tuple[str, Reading | Failure]]:
        """(name, reading) of each picture, in order, in constant memory.

        Args:
            source: a folder, searched through; one picture; or any iterable of pictures.

        Raises:
            SourceError: if there is no such folder or file.
        """
        return self._stream(pictures_of(source))

    def _stream(self, pictures: Iterable[Picture]) -> Iterator[tuple[str, Reading | Failure]]:
        """Decode on threads a few batches ahead, read batch by batch."""
        coming = iter(pictures)
        with ThreadPoolExecutor() as pool:
            waiting = [[(p, pool.submit(_open, p)) for p in islice(coming, _BATCH)] for _ in range(_AHEAD)]
            while waiting[0]:
                opened = [(name_of(p), task.result()) for p, task in waiting.pop(0)]
                waiting.append([(p, pool.submit(_open, p)) for p in islice(coming, _BATCH)])
                readings = iter(self._read_images([o for _, o in opened if not isinstance(o, str)]))
                for name, image in opened:
                    yield name, Failure(name, image) if isinstance(image, str) else next(readings)

    def _read_images(self, images: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """Fit, detect, decode; pictures of one network shape go together."""
        by_shape: dict[tuple[int, int], list[int]] = {}
        for i, image in enumerate(images):
            by_shape.setdefault(self._shape_for(image), []).append(i)
        readings: list[Reading] = [Reading("", 0.0, ())] * len(images)
        for shape_hw, places in by_shape.items():
            fitted = [fit(images[i], shape_hw) for i in places]
            found = self._network(np.stack([image for image, _ in fitted]))
            # Decoded in the fitted picture, as validation does: the same candidates give the same string.
            decoded = decode_batch(
                found, self.rules, [float(shape_hw[1])] * len(found),
                min_confidence=self.min_confidence, alternatives=self.alternatives,
            )  # fmt: skip
            for i, reading, (_, back) in zip(places, decoded, fitted, strict=True):
                readings[i] = _to_picture(reading, back)
        return readings

    def _shape_for(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """The shape that the weights were trained with; without one, what suits this picture."""
        return self.rules.shape_hw or shape_for([(image.shape[1], image.shape[0])], self.rules.length)

    def detect(self, picture: Picture) -> CharDetections:
        """The candidates in one picture, before they are decoded; boxes in its own pixels."""
        image = read_image(picture)
        fitted, back = fit(image, self._shape_for(image))
        found = self._network(fitted[None])[0]
        return replace(found, boxes_xyxy=back.to_picture(found.boxes_xyxy))


def pictures_of(source: str | os.PathLike[str] | Iterable[Picture]) -> Iterable[Picture]:
    """The pictures that a source names: a folder's files, one file, or the iterable itself."""
    if not isinstance(source, (str, os.PathLike)):
        return source
    path = Path(source)
    if path.is_dir():
        return image_files(path)
    if not path.is_file():
        raise SourceError(f"There is no {path}: give a picture or a folder of pictures.")
    return [path]


def name_of(picture: Picture) -> str:
    """How messages call a picture."""
    return os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else type(picture).__name__


def _open(picture: Picture) -> NDArray[np.uint8] | str:
    try:
        return read_image(picture)
    except ImageError as error:
        return str(error)


def _to_picture(reading: Reading, back: Fit) -> Reading:
    if not reading.characters:
        return reading
    boxes = back.to_picture(np.array([c.box_xyxy for c in reading.characters], np.float32)).tolist()
    moved = tuple(replace(c, box_xyxy=(b[0], b[1], b[2], b[3])) for c, b in zip(reading.characters, boxes, strict=True))
    return replace(reading, characters=moved)
