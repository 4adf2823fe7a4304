"""Micro-batching: pictures of all waiting requests are read together, in batches and stages as ``read_many`` does.

While nothing is being read, nothing waits for a batch to fill: a single picture is read at once. Pictures that arrive
meanwhile form the next batches, so that batches grow with the load.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from detector.networks.network import MAX_BATCH
from detector.reading.threaded import AHEAD, DetectedBatch, ThreadedPipeline
from detector.text.detections import Reading

log = logging.getLogger("detector.serving")

Answer = Reading | str
"""The reading of a picture, or the reason why it cannot be read."""

_MAX_PARTIAL_BATCHES = 2  # running at once; beyond these a batch must be full: two keep the cores busy


class QueueFullError(Exception):
    """The queue is full.

    Args:
        retry_seconds: after which there should be room.
    """

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"the queue is full: come again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


@dataclass(eq=False)
class Job:
    """The pictures of one request.

    Args:
        pictures: encoded pictures.
        answers: one for each picture, once the job is delivered.
        error: set instead of answers if reading failed.
    """

    pictures: Sequence[bytes]
    answers: list[Answer] = field(default_factory=list)
    error: Exception | None = None
    _submitted: int = 0
    _missing: int = 0


_Place = tuple[Job, int]
"""A job, and the index of one of its pictures."""


class Batcher:
    """Reads the jobs of many threads with one pipeline, in the order of their arrival.

    Args:
        pipeline: closed with the batcher.
        max_queue: most pictures that may wait.
        deliver: called in the batcher's thread with finished jobs.
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
        """Number of pictures in the queue, not those of running batches."""
        return self._waiting

    @property
    def is_alive(self) -> bool:
        """Whether jobs are accepted and read."""
        return self._thread.is_alive() and not self._closing

    def submit(self, pictures: Sequence[bytes]) -> Job:
        """Queue pictures as one job.

        Raises:
            QueueFullError: if the queue has no room for all of them, or the batcher is closed.
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
        """Drop a job: those of its pictures that are in no batch yet are not read, and no longer in memory."""
        with self._changed, suppress(ValueError):  # all of its pictures are in batches, or it was dropped before
            self._jobs.remove(job)
            self._waiting -= len(job.pictures) - job._submitted

    def close(self) -> None:
        """Read what is queued, then end the thread and close the pipeline."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._pipeline.close()

    def _retry_seconds(self) -> int:
        return min(60, max(1, math.ceil(self._waiting * self._seconds_a_picture)))

    def _run(self) -> None:
        running: deque[tuple[list[_Place], Future[DetectedBatch], float]] = deque()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_due(running) or (running and running[0][1].done()))
                batch = self._next_batch() if self._may_start(len(running)) else []
            if batch:
                self._on_batch(len(batch))
                running.append((batch, self._detect(batch), time.monotonic()))
            elif running:
                self._finish(*running.popleft())
            elif self._closing:
                return

    def _detect(self, batch: Sequence[_Place]) -> Future[DetectedBatch]:
        """Start the detection of a batch; if it cannot start, return a failed task."""
        try:
            task = self._pipeline.detect([job.pictures[i] for job, i in batch])
        except Exception as error:
            task = Future()
            task.set_exception(error)
        task.add_done_callback(self._notify)
        return task

    def _is_due(self, running: Sequence[object]) -> bool:
        """Test whether a batch may start, or the batcher may end."""
        return self._may_start(len(running)) or (self._closing and not running)

    def _may_start(self, running: int) -> bool:
        """Test whether another batch may start beside so many running ones."""
        return bool(self._waiting) and (
            running < _MAX_PARTIAL_BATCHES or (running <= AHEAD and self._waiting >= MAX_BATCH)
        )

    def _notify(self, _: object) -> None:
        with self._changed:
            self._changed.notify()

    def _next_batch(self) -> list[_Place]:
        """Take the next batch from the queue; it may have parts of jobs."""
        batch: list[_Place] = []
        while self._jobs and len(batch) < MAX_BATCH:
            job = self._jobs[0]
            stop = min(len(job.pictures), job._submitted + MAX_BATCH - len(batch))
            batch += [(job, i) for i in range(job._submitted, stop)]
            self._waiting -= stop - job._submitted
            job._submitted = stop
            if job._submitted == len(job.pictures):
                self._jobs.popleft()
        return batch

    def _finish(self, batch: list[_Place], task: Future[DetectedBatch], start: float) -> None:
        """Decode a batch, and deliver the jobs that are finished with it."""
        try:
            answers: Sequence[Answer | Exception] = self._pipeline.decode(task.result())
        except Exception as error:  # an error in a library must neither end the service nor leave requests waiting
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
        seconds = (time.monotonic() - start) / len(batch)
        self._seconds_a_picture += 0.1 * (seconds - self._seconds_a_picture)
        if completed:
            self._deliver(completed)
