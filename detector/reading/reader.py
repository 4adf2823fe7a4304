"""The reader: pictures in, strings out."""

from __future__ import annotations

import ctypes
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from threading import Lock
from typing import Any

from detector.data.images import MAX_PIXELS, Picture
from detector.data.labels.visual_order import in_logical_order
from detector.data.letterbox import letterbox
from detector.data.parallel import chunked
from detector.data.trust import trusting
from detector.errors import ImageError, SourceError
from detector.networks.network import MAX_BATCH, Network, config_of
from detector.networks.runtimes import ExportedNetwork
from detector.networks.shipped import weights_path
from detector.reading.inputs import (
    NamedPicture,
    Source,
    is_live,
    live_pictures,
    name_of,
    named_pictures,
    read_named,
    require_many,
    snapshot,
)
from detector.reading.opening import open_network
from detector.reading.threaded import AHEAD, DetectedBatch, ThreadedPipeline
from detector.reading.two_pass import ReadingPipeline, check_arguments
from detector.text.decode import decode_again
from detector.text.detections import CharDetections, Reading
from detector.text.forms.fitting import FIRST_LEARNT, MAX_LEARNT, fit_string_model
from detector.text.forms.string_model import StringModel
from detector.text.reading_config import ReadingConfig

log = logging.getLogger("detector")

_AFTER_FORK = Lock()


@dataclass(frozen=True)
class Failure:
    """A picture that could not be read: its name, and the reason in the user's terms. It is false."""

    name: str
    reason: str

    def __bool__(self) -> bool:
        return False


class Reader:
    """Reads the strings in pictures.

    Opening weights runs no code: a ``.pt`` file that holds more than a network's layers and numbers is refused, and so
    is a TensorRT engine, which is machine code, unless ``trust`` says that its maker is trusted.

    On a CPU a ``.pt`` file is run as ONNX, which starts and reads faster and gives the same strings: the file that
    ``detector export`` wrote beside it, or else one that is exported once, while the first reader is opened, and kept
    in the user's cache; the log says so.

    A reader may be used in processes that are forked after it was opened, and pickled: it is opened anew there.

    Args:
        weights: a ``.pt`` file of :func:`detector.train`, or what :func:`detector.export` or ``yolo export`` made of
            one; None or "shipped" takes the shipped weights, which know 0-9 and A-Z and any length up to 8.
        device: as Ultralytics spells it; None takes a GPU if there is one, for ONNX and OpenVINO the CPU.
        backend: on a CPU "onnx" (ONNX Runtime), "openvino" or, for a ``.pt``, "torch"; None takes the fastest there is.
        pattern: what strings look like, as :mod:`detector.text.patterns` describes; None takes the weights' own, and
            the string model that they learnt, "" neither.
        min_confidence: a reading whose least sure character is below this is rejected: its text is empty, it is false,
            and ``rejected`` and ``rejected_text`` say why, and what it would have been.
        alternatives: how many of the next likely strings each reading brings.
        two_pass: whether a text that is not read surely is read again, closer, smaller or with more contrast, from the
            part of the picture that it is in, and the string decoded from both passes, in up to twice the time. None
            follows the weights: those for many kinds of pictures, as the shipped ones, use two passes, those
            trained on a set where one pass got symbols of its validation pictures wrong, and two got no more wrong than
            that, or as few more as chance may make.
        trust: open weights that can run code.

    Raises:
        WeightsError: if the weights are missing, damaged, not for single characters, or would run code.
        DependencyError: if the backend asked for is not installed, or torch where only that can run the weights.
        AlphabetError: if the pattern is not understood, or allows nothing that these weights read.
        ArgumentError: if ``min_confidence`` is no share of 1, ``alternatives`` no number from 0 on, or another argument
            of another kind.
    """

    config: ReadingConfig
    """Everything that reading needs besides the network: the weights' own, with the pattern that was asked for."""

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        *,
        device: str | None = None,
        backend: str | None = None,
        pattern: str | None = None,
        min_confidence: float = 0.0,
        alternatives: int = 0,
        two_pass: bool | None = None,
        trust: bool = False,
    ) -> None:
        check_arguments(pattern, min_confidence, alternatives, two_pass)
        self.min_confidence, self.alternatives = min_confidence, alternatives
        self.weights = path = weights_path(weights)
        self._open_arguments: dict[str, Any] = {
            "device": device, "backend": backend, "pattern": pattern, "trust": trust,
        }  # fmt: skip
        self._opened = self._open()
        config = config_of(self._network, path)
        self.config = config if pattern is None else replace(config, pattern=pattern, string_model=None)
        self.two_pass = self.config.is_two_pass if two_pass is None else two_pass

    def _open(self) -> tuple[int, Network]:
        """Open the network, and return it with the number of this process: a forked child lacks its threads."""
        device, backend, trust = (self._open_arguments[name] for name in ("device", "backend", "trust"))
        with trusting(trust):
            return os.getpid(), open_network(self.weights, device, backend)

    @property
    def _network(self) -> Network:
        process, network = self._opened
        if process != os.getpid():
            with _AFTER_FORK:
                if self._opened[0] != os.getpid():
                    # What is left of the parent's is never freed: it would wait for threads that are not here.
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(network))
                    self._opened = self._open()
            network = self._opened[1]
        return network

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments: whoever unpickles it opens the weights anew."""
        arguments: dict[str, Any] = {
            **self._open_arguments, "min_confidence": self.min_confidence, "alternatives": self.alternatives,
            "two_pass": self.two_pass,
        }  # fmt: skip
        return partial(Reader, os.path.abspath(self.weights), **arguments), (), {"config": self.config}

    @property
    def _pipeline(self) -> ReadingPipeline:
        return ReadingPipeline(self._network, self.config, self.two_pass, self.min_confidence, self.alternatives)

    def _as_labelled(self, reading: Reading) -> Reading:
        """Put a reading in the order of the labels that the weights were trained on."""
        return in_logical_order(reading) if self.config.visual_order else reading

    @property
    def string_model(self) -> StringModel | None:
        """What strings look like, where that was learnt: :meth:`fitted_to`, or when the weights were trained."""
        return self.config.string_model

    def fitted_to(self, source: Source) -> Reader:
        """Return a reader that knows what the strings of ``source`` look like, learnt from its first 2,000 readings.

        No label is needed: where nearly all strings are three letters and four digits, an O among the digits is a 0.
        ``string_model`` of the new reader tells what was learnt. Nothing is, and readings are the same, where strings
        look random, or where the weights have a pattern or a string model of their own, which goes before. Pictures
        that cannot be decoded say nothing.

        Args:
            source: pictures of one kind, as :meth:`stream` takes them, but no camera and no live stream.

        Raises:
            SourceError: if there is no such folder or file, or it is live and has no end.
        """
        pictures = _finite_pictures(source)
        if self.config.is_constrained:
            return self
        return self._fitted(reading for _, reading in self._decoded(islice(pictures, MAX_LEARNT)))

    def fitted_stream(
        self, source: Source, on_held: Callable[[int], None] = lambda count: None
    ) -> tuple[Reader, Iterator[tuple[str, Reading | Failure]]]:
        """Return the reader of :meth:`fitted_to`, and all readings of ``source``, as of :meth:`stream`, in one pass.

        The first readings come when 2,000 pictures have been seen, or all; at once where nothing is learnt because
        the reader has a pattern or a string model. ``on_held`` is told how many are kept back so far.

        Raises:
            SourceError: as :meth:`fitted_to`.
        """
        pictures = _finite_pictures(source)
        if self.config.is_constrained:
            return self, self._stream(pictures)
        head, source_error = list[tuple[str, Reading | Failure]](), None
        try:
            for named in self._decoded(islice(pictures, MAX_LEARNT), keeps_evidence=True):
                head.append(named)
                on_held(len(head))
        except Exception as error:  # whatever the caller's iterable raises: after what came before it
            source_error = error
        fitted = self._fitted(reading for _, reading in head)

        def readings() -> Iterator[tuple[str, Reading | Failure]]:
            for batch in chunked(head, MAX_BATCH):
                decoded = [reading for _, reading in batch if isinstance(reading, Reading)]
                if fitted.string_model is not None:
                    decoded = decode_again(
                        decoded, fitted.config, min_confidence=self.min_confidence, alternatives=self.alternatives
                    )
                coming = iter(decoded)
                for name, reading in batch:
                    if isinstance(reading, Reading):
                        reading = fitted._as_labelled(replace(next(coming), evidence=None))
                    yield name, reading
            head.clear()
            if source_error is not None:
                raise source_error
            yield from fitted._stream(pictures)

        return fitted, readings()

    def learning_stream(
        self, source: Source, on_learnt: Callable[[StringModel], None] = lambda model: None
    ) -> Iterator[tuple[str, Reading | Failure]]:
        """Yield readings as :meth:`stream` does; those that come later are read as the first ones look.

        For what has no end or comes slowly: :meth:`fitted_stream` would keep readings back. A live source is learnt
        from until it has shown 300 different strings, any other from its first 300 pictures. Nothing is learnt where
        :meth:`fitted_to` would learn nothing.

        Args:
            source: as of :meth:`stream`.
            on_learnt: called with what was learnt, before the first picture that is read by it.

        Raises:
            SourceError: as :meth:`stream`.
        """
        live = is_live(source)
        return self._learning(iter(live_pictures(source) if live else named_pictures(source)), live, on_learnt)

    def _learning(
        self, pictures: Iterator[NamedPicture], live: bool, on_learnt: Callable[[StringModel], None]
    ) -> Iterator[tuple[str, Reading | Failure]]:
        reader, first = self, dict[str, Reading]()
        if not self.config.is_constrained:
            # Of a list some batches have begun when one is read: so many pictures, to their end.
            head = pictures if live else islice(pictures, FIRST_LEARNT)
            for name, reading in self._frame_by_frame(head) if live else self._decoded(head):
                if isinstance(reading, Reading) and reading:
                    first.setdefault(reading.text, reading)
                yield name, reading if isinstance(reading, Failure) else self._as_labelled(reading)
                if live and len(first) == FIRST_LEARNT:
                    break
            if (following := next(pictures, None)) is None:
                return
            pictures, reader = chain([following], pictures), self._fitted(first.values())
            if reader.string_model is not None:
                on_learnt(reader.string_model)
        yield from reader._stream(pictures, live)

    def _fitted(self, readings: Iterable[Reading | Failure]) -> Reader:
        """Return a reader of the same network that knows what these readings, in pictures' order, look like."""
        reader = Reader.__new__(Reader)
        reader.__dict__.update(self.__dict__)  # `copy` would open the weights again, as pickling does
        decoded = (reading for reading in readings if isinstance(reading, Reading))
        model = fit_string_model(decoded, self.config.symbols, self.config.known_lookalikes)
        reader.config = replace(self.config, string_model=model)
        return reader

    @property
    def backend(self) -> str:
        """What runs the network: "onnx", "openvino" or "torch"."""
        return self._network.backend if isinstance(self._network, ExportedNetwork) else "torch"

    def read(self, picture: Picture) -> Reading:
        """Read the string in one picture.

        Args:
            picture: a path, an image file's bytes, a Pillow image, or an array (H, W, 3) in BGR order.

        Raises:
            ImageError: if it cannot be decoded; the message names a path.
        """
        return self._as_labelled(self._pipeline([read_named(picture)])[0])

    def read_many(self, pictures: Iterable[Picture]) -> list[Reading | Failure]:
        """Read many pictures, in their order; those that cannot be decoded are failures, by name.

        Raises:
            DetectorError: if it is one picture.
        """
        return [
            reading
            for _, reading in self._stream((name_of(p), snapshot(p)) for p in require_many(pictures, "read_many"))
        ]

    def stream(self, source: Source) -> Iterator[tuple[str, Reading | Failure]]:
        """Yield (name, reading) of each picture, in order, in constant memory.

        Files are decoded and letterboxed, pictures detected and readings decoded at the same time, in threads. Of a
        camera or a network stream each frame is read as it comes.

        Args:
            source: as ``yolo predict`` takes it: a picture; a video; a folder, searched through; Parquet shards, see
                :mod:`detector.data.packs.shards`; a pattern such as ``new/*.png``; a ``.txt`` file with a source a
                line; a camera's index, the address of a stream or a ``.streams`` file of such; or any iterable of
                pictures. Frames are named ``video.mp4#12``; what a video or a stream has lost or damaged is a failure.

        Raises:
            SourceError: if there is no such folder or file, or a camera or stream cannot be opened.
        """
        live = is_live(source)
        return self._stream(live_pictures(source) if live else named_pictures(source), live)

    def _stream(self, pictures: Iterable[NamedPicture], live: bool = False) -> Iterator[tuple[str, Reading | Failure]]:
        for name, reading in self._frame_by_frame(pictures) if live else self._decoded(pictures):
            yield name, reading if isinstance(reading, Failure) else self._as_labelled(reading)

    def _frame_by_frame(self, frames: Iterable[NamedPicture]) -> Iterator[tuple[str, Reading | Failure]]:
        """Yield what :meth:`_decoded` does, each picture before the next one is asked for."""
        for name, frame in frames:
            if isinstance(frame, ImageError):
                yield name, Failure(name, str(frame))
            else:
                yield name, self._pipeline([read_named(frame)])[0]

    def _decoded(
        self, pictures: Iterable[NamedPicture], keeps_evidence: bool = False
    ) -> Iterator[tuple[str, Reading | Failure]]:
        """Yield readings with characters from left to right, also where labels are not; batches are read ahead."""
        steps = replace(self._pipeline, keeps_evidence=keeps_evidence)
        coming, errors = iter(pictures), list[Exception]()
        waiting: deque[tuple[list[str], Future[DetectedBatch]]] = deque()

        def submit_batch(pipeline: ThreadedPipeline) -> None:
            batch: list[NamedPicture] = []
            try:
                batch.extend(islice(coming, 0 if errors else MAX_BATCH))
            except Exception as error:  # whatever the caller's iterable raises: after what came before it
                errors.append(error)
            if batch:
                waiting.append(([name for name, _ in batch], pipeline.detect([picture for _, picture in batch])))

        with ThreadedPipeline(steps, lambda reading: reading) as pipeline:  # the caller may stop early
            for _ in range(1 + AHEAD):
                submit_batch(pipeline)
            while waiting:
                names, task = waiting.popleft()
                batch = pipeline.result(task)
                submit_batch(pipeline)
                for name, result in zip(names, pipeline.decode(batch), strict=True):
                    yield name, Failure(name, result) if isinstance(result, str) else result
            if errors:
                raise errors[0]

    def detect(self, picture: Picture) -> CharDetections:
        """Detect the candidates in one picture, before they are decoded; boxes are in its own pixels.

        Raises:
            ImageError: as :meth:`read`.
        """
        image = read_named(picture)
        letterboxed, transform = letterbox(image, self._pipeline.shape_for(image))
        detections = self._network(letterboxed[None])[0]
        return replace(detections, xyxy=transform.to_picture(detections.xyxy))


def threaded_pipeline(reader: Reader, max_pixels: int = MAX_PIXELS) -> ThreadedPipeline:
    """Return the threads by which a reader's ``read_many`` reads, for batches of one's own; the caller closes them.

    Args:
        max_pixels: maximum of a picture; larger ones are refused before they are decoded.
    """
    return ThreadedPipeline(reader._pipeline, reader._as_labelled, max_pixels)


def _finite_pictures(source: Source) -> Iterator[NamedPicture]:
    """Return the pictures of a source that is not live."""
    if is_live(source):
        raise SourceError(f"{source} has no end: give a folder or a list of pictures to learn a format from.")
    return iter(named_pictures(source))


def _renew_lock() -> None:
    """Replace the lock, which may be held by a thread that this child process does not have."""
    global _AFTER_FORK
    _AFTER_FORK = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
