"""Micro-batches: pictures of all requests that wait are read together, in batches and stages as ``read_many`` does.

Nothing waits for a batch to fill while nothing is being read. What comes meanwhile makes up the next batches, so
batches grow with the load by themselves, and one picture alone is read at once.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from detector.networks.network import MAX_BATCH
from detector.reading.threaded import AHEAD, DetectedBatch, ThreadedPipeline
from detector.text.detections import Reading

log = logging.getLogger("detector.serving")

Answer = Reading | str
"""What a picture reads as; where it cannot be read, the reason."""

_BESIDE = 2  # batches under way from which a new one must be full: each keeps a core busy, and the next will be larger


class QueueFullError(Exception):
    """There is no place in the queue; ``retry_seconds`` from now there should be one."""

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"the queue is full: come again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


@dataclass(eq=False)
class Job:
    """Pictures of one request, and what they read as, in their order; ``error`` is why there are no answers."""

    pictures: Sequence[bytes]
    answers: list[Answer] = field(default_factory=list)
    error: Exception | None = None
    _submitted: int = 0
    _missing: int = 0
    _dropped: bool = False


_Place = tuple[Job, int]


class Batcher:
    """Reads jobs of many threads with one pipeline, first come, first served.

    Args:
        pipeline: it is closed with this.
        max_queue: pictures that may wait.
        deliver: called in the batcher's thread with the jobs that are done, some at a time.
        on_batch: called with the number of pictures of each batch.
    """

    def __init__(
        self,
        pipeline: ThreadedPipeline,
        max_queue: int,
        deliver: Callable[[Sequence[Job]], None],
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._pipeline, self._max_queue = pipeline, max_queue
        self._deliver, self._on_batch = deliver, on_batch
        self._jobs: deque[Job] = deque()
        self._waiting = 0
        self._closing = False
        self._changed = threading.Condition()
        self._seconds_a_picture = 0.0
        self._thread = threading.Thread(target=self._run, name="detector-batches", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of pictures in the queue."""
        return self._waiting

    @property
    def is_alive(self) -> bool:
        """Whether jobs are accepted and read."""
        return self._thread.is_alive() and not self._closing

    def submit(self, pictures: Sequence[bytes]) -> Job:
        """Queue a job, whole or not at all.

        Raises:
            QueueFullError: if its pictures find no place, or the batcher is closed.
        """
        job = Job(pictures, [""] * len(pictures), _missing=len(pictures))
        with self._changed:
            if self._closing or self._waiting + len(pictures) > self._max_queue:
                raise QueueFullError(self._retry_seconds())
            self._jobs.append(job)
            self._waiting += len(pictures)
            self._changed.notify()
        return job

    def drop(self, job: Job) -> None:
        """Drop a job that nobody waits for any more: those of its pictures that are in no batch yet are not read."""
        with self._changed:
            if not job._dropped:
                job._dropped = True
                self._waiting -= len(job.pictures) - job._submitted

    def close(self) -> None:
        """Read what is queued, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._pipeline.close()

    def _retry_seconds(self) -> int:
        return min(60, max(1, math.ceil(self._waiting * self._seconds_a_picture)))

    def _run(self) -> None:
        under_way: deque[tuple[list[_Place], Future[DetectedBatch], float]] = deque()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_due(under_way) or (under_way and under_way[0][1].done()))
                batch = self._next_batch() if self._may_start(len(under_way)) else []
            if batch:
                self._on_batch(len(batch))
                under_way.append((batch, self._detect(batch), time.monotonic()))
            elif under_way:
                self._finish(*under_way.popleft())
            elif self._closing:
                return

    def _detect(self, batch: Sequence[_Place]) -> Future[DetectedBatch]:
        """Start a batch; where that fails, as without a thread, return a failed task."""
        try:
            task = self._pipeline.detect([job.pictures[i] for job, i in batch])
        except Exception as error:
            task = Future()
            task.set_exception(error)
        task.add_done_callback(self._wake)
        return task

    def _is_due(self, under_way: Sequence[object]) -> bool:
        """Test whether there is something to do before the next batch is detected."""
        return self._may_start(len(under_way)) or (self._closing and not under_way)

    def _may_start(self, under_way: int) -> bool:
        return bool(self._waiting) and (under_way < _BESIDE or (under_way <= AHEAD and self._waiting >= MAX_BATCH))

    def _wake(self, _: object) -> None:
        with self._changed:
            self._changed.notify()

    def _next_batch(self) -> list[_Place]:
        """Take the next batch from the queue, of whole jobs and parts of jobs."""
        batch: list[_Place] = []
        while self._jobs and len(batch) < MAX_BATCH:
            job = self._jobs[0]
            if not job._dropped:
                stop = min(len(job.pictures), job._submitted + MAX_BATCH - len(batch))
                batch += [(job, i) for i in range(job._submitted, stop)]
                self._waiting -= stop - job._submitted
                job._submitted = stop
            if job._dropped or job._submitted == len(job.pictures):
                self._jobs.popleft()
        return batch

    def _finish(self, batch: list[_Place], task: Future[DetectedBatch], began: float) -> None:
        """Decode a batch, and deliver the jobs that are done with it."""
        try:
            answers: Sequence[Answer | Exception] = self._pipeline.decode(task.result())
        except Exception as error:  # the fault of a library must not end the service, nor hang who waits
            log.exception("a batch of %d pictures failed", len(batch))
            answers = [error] * len(batch)
        completed = []
        for (job, i), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                job.error = answer
            else:
                job.answers[i] = answer
            job._missing -= 1
            if not job._missing:
                completed.append(job)
        seconds = (time.monotonic() - began) / len(batch)
        self._seconds_a_picture += 0.1 * (seconds - self._seconds_a_picture)
        if completed:
            self._deliver(completed)
