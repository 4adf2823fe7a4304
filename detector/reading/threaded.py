"""The steps of reading in threads: batches are prepared, detected in both passes, and decoded at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from detector.data.images import MAX_PIXELS, Picture, read_image
from detector.data.parallel import chunked, cores
from detector.errors import DetectorError, ImageError
from detector.networks.runtimes import ExportedNetwork
from detector.reading.two_pass import Prepared, ReadingPipeline
from detector.text.detections import CharDetections, Reading

AHEAD = 2
"""Batches that are on their way while one is decoded; more gain nothing."""

_DETECTING = 2  # batches that a network is given at once which shares them among the cores: none is idle at their ends
_TOGETHER = 8  # pictures that one thread prepares in one go: handing over costs about as much as a small picture


@dataclass(frozen=True)
class DetectedBatch:
    """Pictures, or the reason where one cannot be read, and what both passes saw in those that can.

    Args:
        prepared: all pictures, in order.
        detections: of those that can be read, merged from both passes.
        settled: readings by row of ``detections``, where the first pass settles them.
    """

    prepared: list[Prepared | str]
    detections: list[CharDetections]
    settled: dict[int, Reading]


class ThreadedPipeline:
    """Prepares on many threads, detects on a few, and decodes on the caller's.

    Args:
        pipeline: the steps.
        finish: what a reading becomes before it is given back.
        max_pixels: maximum of a picture; larger ones are refused before they are decoded.
    """

    def __init__(
        self, pipeline: ReadingPipeline, finish: Callable[[Reading], Reading], max_pixels: int = MAX_PIXELS
    ) -> None:
        self._pipeline, self._finish, self._max_pixels = pipeline, finish, max_pixels
        self._process = os.getpid()
        self._preparing = ThreadPoolExecutor(cores())
        self._detecting = ThreadPoolExecutor(_DETECTING if isinstance(pipeline.network, ExportedNetwork) else 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what runs, and drop what does not yet; in a child that was forked nothing runs."""
        if self._process != os.getpid():
            return
        self._detecting.shutdown(cancel_futures=True)
        self._preparing.shutdown(cancel_futures=True)

    def detect(self, pictures: Sequence[Picture | ImageError]) -> Future[DetectedBatch]:
        """Begin a batch; at once, also where others are on their way.

        Args:
            pictures: at most :data:`detector.networks.network.MAX_BATCH`; an error stands for a picture that could not
                be had.
        """
        parts = [self._preparing.submit(self._prepare, part) for part in chunked(pictures, _TOGETHER)]

        def detected() -> DetectedBatch:
            prepared = [picture for part in parts for picture in part.result()]
            # The second pass, too: where batches are decoded it would be waited for, with all that come after.
            return DetectedBatch(prepared, *self._pipeline.passes([p for p in prepared if isinstance(p, Prepared)]))

        return self._detecting.submit(detected)

    def result(self, task: Future[DetectedBatch]) -> DetectedBatch:
        """Wait for a batch.

        Raises:
            DetectorError: in a child that was forked meanwhile, where its threads are not.
        """
        if self._process != os.getpid():
            raise DetectorError(
                "A stream of readings goes on in the process that began it: begin another one in this one."
            )
        return task.result()

    def decode(self, batch: DetectedBatch) -> list[Reading | str]:
        """Return the readings of a batch, in its order; for a picture that cannot be read, the reason."""
        readable = [picture for picture in batch.prepared if isinstance(picture, Prepared)]
        readings = iter(self._pipeline.decode(readable, batch.detections, batch.settled))
        return [picture if isinstance(picture, str) else self._finish(next(readings)) for picture in batch.prepared]

    def _prepare(self, pictures: Sequence[Picture | ImageError]) -> list[Prepared | str]:
        """Decode and letterbox pictures; the reason stands for one where that cannot be done."""
        prepared: list[Prepared | str] = []
        for picture in pictures:
            try:
                if isinstance(picture, ImageError):
                    raise picture
                prepared.append(self._pipeline.prepare(read_image(picture, self._max_pixels)))
            except ImageError as error:
                prepared.append(str(error))
        return prepared
