"""The reader: pictures in, strings out."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.backends import (
    BACKENDS,
    SHIPPED,
    ExportedNetwork,
    Network,
    installed,
    is_onnx,
    is_openvino,
    may_have_gpu,
    present,
    rules_of,
)
from detector.decode import ReadingRules, decode_batch
from detector.detections import CharDetections, Reading
from detector.errors import DependencyError, DetectorError, ImageError, WeightsError
from detector.fit import Fit, fit, shape_for
from detector.fusion import fuse
from detector.images import Picture, read_image
from detector.media import Named, Source, is_live, live_pictures, many, name_of, named_pictures

log = logging.getLogger("detector")

_WEIGHTS = (".pt", ".onnx", ".engine")
_BATCH = 32
_AHEAD = 2  # batches that are on their way while one is handed out
_AROUND = 0.25  # of a character's height: what is kept around a text that is looked at again
_CLOSER = 1024  # longer side of what is kept for a second look: twice a network's, or memory would follow the pictures
_FILLED = 0.9  # of a picture's width and height: a text that takes so much of both is as large as it gets
_TOGETHER = 8  # pictures that one thread prepares in one go: handing over costs about as much as a small picture


@dataclass(frozen=True)
class _Prepared:
    """A picture as the network takes it, the way back, and what may be looked at again, ``scale`` times its size."""

    fitted: NDArray[np.uint8]
    back: Fit
    image: NDArray[np.uint8] | None = None
    scale: float = 1.0


_Found = tuple[CharDetections, float]
"""Candidates in a fitted picture, and that picture's width."""


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

    On a CPU a ``.pt`` file is run as ONNX, which starts and reads faster and gives the same strings: the file that
    ``detector export`` wrote beside it, or else one that is made once and kept in the user's cache.

    Args:
        weights: a ``.pt`` file of :func:`detector.train`, or what :func:`detector.export` or ``yolo export`` made of
            one; None or "shipped" takes the shipped weights, which know 0-9 and A-Z and any length up to 8.
        device: as Ultralytics spells it; None takes a GPU if there is one.
        backend: on a CPU "onnx" (ONNX Runtime), "openvino" or, for a ``.pt``, "torch"; None takes the fastest there is.
        pattern: what strings look like, as :mod:`detector.patterns` describes; None takes the weights' own, "" none.
        min_confidence: a reading whose least sure character is below this is refused: its text is empty, it is false,
            and ``refused`` and ``candidate`` say why, and what it would have been.
        alternatives: how many of the next likely strings each reading brings.
        second_look: whether a text that does not fill its picture is read again, from the part of the picture that it
            is in, and the string decoded from what both looks saw. It takes up to twice the time. None does so with
            weights that fit no one kind of picture, as the shipped ones; those trained on one set know how large its
            characters are.

    Raises:
        WeightsError: if the weights are missing, damaged, or not for single characters.
        DependencyError: if the backend asked for is not installed.
        AlphabetError: if the pattern is not understood, or allows nothing that these weights read.
        DetectorError: if ``min_confidence`` is no share of 1, or ``alternatives`` below 0.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        device: str | None = None,
        backend: str | None = None,
        pattern: str | None = None,
        min_confidence: float = 0.0,
        alternatives: int = 0,
        second_look: bool | None = None,
    ) -> None:
        if not 0 <= min_confidence <= 1 or alternatives < 0:
            raise DetectorError(
                f"min_confidence runs from 0 to 1 and alternatives from 0 on, got {min_confidence} and {alternatives}."
            )
        self.min_confidence, self.alternatives = min_confidence, alternatives
        path = SHIPPED if weights is None or weights == "shipped" else Path(weights)
        if not path.exists():
            raise WeightsError(f"There are no weights at {path}: give a file that `detector train` wrote.")
        self.weights = path
        self._network = _open_network(path, device, backend)
        rules = rules_of(self._network, path)
        self.rules: ReadingRules = rules if pattern is None else replace(rules, pattern=pattern)
        self.second_look = self.rules.shape_hw is None if second_look is None else second_look

    @property
    def backend(self) -> str:
        """What runs the network: "onnx", "openvino" or "torch"."""
        return self._network.backend if isinstance(self._network, ExportedNetwork) else "torch"

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
        prepared = [self._fitted(image)]
        return self._decode(prepared, self._detect(prepared), self._detect)[0]

    def read_many(self, pictures: Iterable[Picture]) -> list[Reading | Failure]:
        """The strings of many pictures, in their order; those that cannot be decoded are failures, by name.

        Raises:
            DetectorError: if it is one picture.
        """
        return [reading for _, reading in self._stream((name_of(p), p) for p in many(pictures, "read_many"))]

    def stream(self, source: Source) -> Iterator[tuple[str, Reading | Failure]]:
        """(name, reading) of each picture, in order, in constant memory.

        Files are decoded and fitted, pictures detected and readings decoded at the same time, in threads. Of a camera
        or a network stream each frame is read as it comes.

        Args:
            source: as ``yolo predict`` takes it: a picture; a video; a folder, searched through; a pattern such as
                ``new/*.png``; a ``.txt`` file with a source a line; a camera's index, the address of a stream or a
                ``.streams`` file of such; or any iterable of pictures. Frames are named ``video.mp4#12``.

        Raises:
            SourceError: if there is no such folder or file, or a camera or stream cannot be opened.
        """
        if is_live(source):
            return ((name, self.read(image)) for name, image in live_pictures(source))
        return self._stream(named_pictures(source))

    def _stream(self, named: Iterable[Named]) -> Iterator[tuple[str, Reading | Failure]]:
        """Prepare on many threads, detect on one, decode on the caller's: each some batches behind the one before."""
        coming = iter(named)
        waiting: deque[tuple[list[str], Future[tuple[list[_Prepared | str], list[_Found]]]]] = deque()
        pool, detecting = ThreadPoolExecutor(), ThreadPoolExecutor(1)

        def take() -> None:
            batch = list(islice(coming, _BATCH))
            if batch:
                pictures = [picture for _, picture in batch]
                starts = range(0, len(batch), _TOGETHER)
                parts = [pool.submit(self._prepare, pictures[i : i + _TOGETHER]) for i in starts]
                task = detecting.submit(lambda: self._detected([one for part in parts for one in part.result()]))
                waiting.append(([name for name, _ in batch], task))

        def again(prepared: Sequence[_Prepared]) -> list[_Found]:
            return detecting.submit(self._detect, prepared).result()

        try:
            for _ in range(1 + _AHEAD):
                take()
            while waiting:
                names, task = waiting.popleft()
                prepared, found = task.result()
                take()
                readable = [one for one in prepared if isinstance(one, _Prepared)]
                readings = iter(self._decode(readable, found, again))
                for name, one in zip(names, prepared, strict=True):
                    yield name, Failure(name, one) if isinstance(one, str) else next(readings)
        finally:  # the caller may stop early
            detecting.shutdown(cancel_futures=True)
            pool.shutdown(cancel_futures=True)

    def _prepare(self, pictures: Sequence[Picture | ImageError]) -> list[_Prepared | str]:
        """Decoded and fitted; the reason where that cannot be."""
        prepared: list[_Prepared | str] = []
        for picture in pictures:
            try:
                if isinstance(picture, ImageError):
                    raise picture
                prepared.append(self._fitted(read_image(picture)))
            except ImageError as error:
                prepared.append(str(error))
        return prepared

    def _fitted(self, image: NDArray[np.uint8]) -> _Prepared:
        fitted, back = fit(image, self._shape_for(image))
        if not self.second_look:
            return _Prepared(fitted, back)
        height, width = image.shape[:2]
        scale = min(1.0, _CLOSER / max(height, width))
        if scale < 1:
            size_wh = max(1, round(width * scale)), max(1, round(height * scale))
            image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        return _Prepared(fitted, back, image, scale)

    def _detected(self, prepared: list[_Prepared | str]) -> tuple[list[_Prepared | str], list[_Found]]:
        """The same, and what was found in those that are pictures."""
        return prepared, self._detect([one for one in prepared if isinstance(one, _Prepared)])

    def _detect(self, prepared: Sequence[_Prepared]) -> list[_Found]:
        """Candidates and the width that they are in; pictures of one network shape go together."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i, one in enumerate(prepared):
            by_shape.setdefault(one.fitted.shape, []).append(i)
        results: dict[int, _Found] = {}
        for (_, width, _), places in by_shape.items():
            found = self._network(np.stack([prepared[i].fitted for i in places]))
            for i, seen in zip(places, found, strict=True):
                results[i] = (seen, float(width))
        return [results[i] for i in range(len(prepared))]

    def _decode(
        self,
        prepared: Sequence[_Prepared],
        found: Sequence[_Found],
        detect: Callable[[Sequence[_Prepared]], list[_Found]],
    ) -> list[Reading]:
        """Strings, with boxes in the pictures' own pixels; ``detect`` is asked where there is a second look to take."""
        readings = self._strings(prepared, found)
        parts = {i: part for i, one in enumerate(prepared) if (part := _text_of(one, readings[i])) is not None}
        if not parts:
            return readings
        closer = [self._fitted(image) for image, _ in parts.values()]
        both: list[_Found] = []
        for (i, (_, corner)), near, (second, _) in zip(parts.items(), closer, detect(closer), strict=True):
            first, width = found[i]
            boxes = (near.back.to_picture(second.boxes_xyxy) + np.array(corner * 2, np.float32)) / prepared[i].scale
            moved = replace(second, boxes_xyxy=prepared[i].back.to_fitted(boxes))
            both.append((fuse(first, moved, len(self.rules.symbols)), width))
        for i, reading in zip(parts, self._strings([prepared[i] for i in parts], both), strict=True):
            readings[i] = reading
        return readings

    def _strings(self, prepared: Sequence[_Prepared], found: Sequence[_Found]) -> list[Reading]:
        # Decoded in the fitted picture, as validation does: the same candidates give the same string.
        readings = decode_batch(
            [seen for seen, _ in found], self.rules, [width for _, width in found],
            min_confidence=self.min_confidence, alternatives=self.alternatives,
        )  # fmt: skip
        return [_to_picture(reading, one.back) for reading, one in zip(readings, prepared, strict=True)]

    def _shape_for(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """The shape that the weights were trained with; without one, what suits this picture."""
        return self.rules.shape_hw or shape_for([(image.shape[1], image.shape[0])], self.rules.length)

    def detect(self, picture: Picture) -> CharDetections:
        """The candidates in one picture, before they are decoded; boxes in its own pixels."""
        image = read_image(picture)
        fitted, back = fit(image, self._shape_for(image))
        found = self._network(fitted[None])[0]
        return replace(found, boxes_xyxy=back.to_picture(found.boxes_xyxy))


def _open_network(path: Path, device: str | None, backend: str | None) -> Network:
    """The network in what runs it fastest; chosen once. Torch is loaded where nothing else can run it."""
    if not (path.suffix.lower() in _WEIGHTS and path.is_file()) and not is_openvino(path):
        if path.is_dir() and (path / "data.yaml").is_file():
            raise WeightsError(f"{path} is a dataset: the weights that were trained on it are in weights/.")
        raise WeightsError(
            f"{path} is no weights: give a .pt, .onnx or .engine file, or a folder of OpenVINO, as `detector train` "
            "and `detector export` write them."
        )
    if backend not in (None, "torch", *BACKENDS):
        raise DetectorError(f"backend={backend!r} is not one of {', '.join(BACKENDS)} and torch.")
    if backend in BACKENDS and not present(backend):
        raise DependencyError(f"backend={backend!r} needs {BACKENDS[backend]}: run `pip install {BACKENDS[backend]}`.")
    if device != "cpu" and (device not in (None, "") or may_have_gpu()):
        from detector.device import pick_device

        chosen = pick_device(device)
        if chosen.type != "cpu":
            if backend in BACKENDS:
                raise DetectorError(f"backend={backend!r} runs on a CPU: say device=cpu, or leave it out.")
            from detector import _ultralytics

            return _ultralytics.Network(path, chosen)
    if is_onnx(path) or is_openvino(path):
        return ExportedNetwork(path, backend)
    if path.suffix != ".pt" or not path.is_file() or backend == "torch" or not installed():
        return _in_torch(path)
    from detector import exporting

    if (ready := exporting.twin(path, backend)) is not None:
        return ready
    network = _in_torch(path)
    rules_of(network, path)  # what is no reader's weights is not converted
    converted = exporting.convert_once(path, network, backend)
    if converted is None and backend is not None:
        raise WeightsError(f"{path} cannot be converted for backend={backend!r}: see the log, or leave it out.")
    return converted or network


def _in_torch(path: Path) -> Network:
    from detector import _ultralytics
    from detector.device import pick_device

    return _ultralytics.Network(path, pick_device("cpu"))


def _text_of(prepared: _Prepared, reading: Reading) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """The part of a picture that a text is in, and its upper left corner xy; None where there is no closer to get."""
    image = prepared.image
    if image is None or not reading.characters:
        return None
    height, width = image.shape[:2]
    boxes = np.array([c.box_xyxy for c in reading.characters]) * prepared.scale  # (n, 4)
    margin = _AROUND * float(np.median(boxes[:, 3] - boxes[:, 1]))
    x1, y1 = np.maximum(0, np.floor(boxes[:, :2].min(0) - margin)).astype(int).tolist()
    x2, y2 = np.minimum([width, height], np.ceil(boxes[:, 2:].max(0) + margin)).astype(int).tolist()
    if x2 <= x1 or y2 <= y1 or (x2 - x1 > _FILLED * width and y2 - y1 > _FILLED * height):
        return None
    return np.ascontiguousarray(image[y1:y2, x1:x2]), (x1, y1)


def _to_picture(reading: Reading, back: Fit) -> Reading:
    if not reading.characters:
        return reading
    boxes = back.to_picture(np.array([c.box_xyxy for c in reading.characters], np.float32)).tolist()
    moved = tuple(replace(c, box_xyxy=(b[0], b[1], b[2], b[3])) for c, b in zip(reading.characters, boxes, strict=True))
    return replace(reading, characters=moved)
