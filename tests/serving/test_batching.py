"""Batches across requests: who is read with whom, what finds no place, and that nothing is lost or swapped."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from detector.serving.batching import Batcher, Job, QueueFullError
from tests.serving.running import GUARD, until


class Pipeline:
    """Reads each picture as its own bytes, when it is let go; counts what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.go = threading.Event()
        self.closed = False

    def detect(self, pictures: Sequence[bytes]) -> Future[Any]:
        self.batches.append(list(pictures))
        if b"no thread" in pictures:
            raise RuntimeError("can't start new thread")
        task: Future[Any] = Future()

        def answer() -> None:
            self.go.wait(GUARD)
            if b"breaks" in pictures:
                task.set_exception(RuntimeError("a library's fault"))
            else:
                task.set_result(list(pictures))

        threading.Thread(target=answer).start()
        return task

    def decode(self, detected: list[bytes]) -> list[str]:
        return [picture.decode() for picture in detected]

    def close(self) -> None:
        self.closed = True


class Rig:
    """A batcher over such a pipeline, and the jobs that it delivered."""

    def __init__(self, max_queue: int = 100) -> None:
        self.pipeline = Pipeline()
        self.delivered: list[Job] = []
        self.sizes: list[int] = []
        self.batcher = Batcher(self.pipeline, max_queue, self.delivered.extend, self.sizes.append)  # type: ignore[arg-type]

    def submit(self, first: int, count: int) -> Job:
        return self.batcher.submit([str(number).encode() for number in range(first, first + count)])


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.pipeline.go.set()
    rig.batcher.close()


def until_two_are_under_way(rig: Rig) -> list[Job]:
    """Two jobs of a picture that are being read: what comes next must wait."""
    jobs = []
    for number in range(2):
        jobs.append(rig.submit(900 + number, 1))
        until(lambda: len(rig.sizes) == len(jobs))
    return jobs


def test_one_alone_is_read_at_once(rig: Rig) -> None:
    rig.pipeline.go.set()
    job = rig.submit(7, 1)
    rig.batcher.close()
    assert job.answers == ["7"] and rig.sizes == [1] and rig.delivered == [job]


def test_jobs_that_wait_share_batches_and_get_their_own(rig: Rig) -> None:
    first = until_two_are_under_way(rig)
    jobs = [rig.submit(100 * i, size) for i, size in enumerate([3, 1, 40, 7, 20])]
    rig.pipeline.go.set()
    rig.batcher.close()
    for i, job in enumerate(jobs):
        assert job.answers == [str(100 * i + k) for k in range(len(job.pictures))]
    assert sorted(map(id, rig.delivered)) == sorted(map(id, [*first, *jobs]))
    assert rig.sizes == [1, 1, 32, 32, 7], "full batches while more waits, the rest at the end"


def test_what_finds_no_place_is_told_so_whole(rig: Rig) -> None:
    until_two_are_under_way(rig)
    small = Rig(max_queue=4)
    try:
        until_two_are_under_way(small)
        taken = small.submit(0, 3)
        with pytest.raises(QueueFullError, match="come again in 1 s"):
            small.submit(3, 2)
        assert small.batcher.waiting == 3
        last = small.submit(9, 1)
    finally:
        small.pipeline.go.set()
        small.batcher.close()
    assert taken.answers == ["0", "1", "2"] and last.answers == ["9"]


def test_what_nobody_waits_for_is_not_read(rig: Rig) -> None:
    until_two_are_under_way(rig)
    kept, dropped, after = rig.submit(0, 2), rig.submit(10, 5), rig.submit(20, 2)
    rig.batcher.drop(dropped)
    rig.batcher.drop(dropped)
    assert rig.batcher.waiting == 4
    rig.pipeline.go.set()
    rig.batcher.close()
    assert kept.answers == ["0", "1"] and after.answers == ["20", "21"]
    assert dropped not in rig.delivered
    assert rig.pipeline.batches[2] == [b"0", b"1", b"20", b"21"]


def test_what_nobody_waits_for_is_not_kept(rig: Rig) -> None:
    """Clients that send much and leave take memory until they leave, however long the running batches take."""
    until_two_are_under_way(rig)
    job = rig.submit(0, 1)
    reference = weakref.ref(job)
    rig.batcher.drop(job)
    del job
    assert reference() is None and rig.batcher.waiting == 0


@pytest.mark.parametrize("fault", [b"breaks", b"no thread"], ids=str)
def test_a_fault_is_told_to_those_it_hit(rig: Rig, fault: bytes) -> None:
    until_two_are_under_way(rig)
    hit = rig.batcher.submit([fault, b"beside"])
    rig.pipeline.go.set()
    until(lambda: hit.error)
    assert rig.batcher.is_alive
    later = rig.submit(5, 1)
    rig.batcher.close()
    assert isinstance(hit.error, RuntimeError) and hit in rig.delivered
    assert later.answers == ["5"] and later.error is None


def test_the_end_finishes_what_was_taken_and_takes_no_more(rig: Rig) -> None:
    until_two_are_under_way(rig)
    jobs = [rig.submit(i, 1) for i in range(50)]
    ending = threading.Thread(target=rig.batcher.close)
    ending.start()
    until(lambda: not rig.batcher.is_alive)
    with pytest.raises(QueueFullError):
        rig.submit(99, 1)
    assert not rig.pipeline.closed
    rig.pipeline.go.set()
    ending.join(GUARD)
    assert [job.answers for job in jobs] == [[str(i)] for i in range(50)]
    assert rig.pipeline.closed and not rig.batcher.is_alive


def test_many_threads_lose_and_swap_nothing() -> None:
    rig = Rig(max_queue=10_000)
    rig.pipeline.go.set()
    jobs: list[tuple[int, Job]] = []

    def client(number: int) -> None:
        for i in range(20):
            first = 1000 * number + 10 * i
            jobs.append((first, rig.submit(first, 1 + i % 5)))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD)
    rig.batcher.close()
    assert len(jobs) == 160
    for first, job in jobs:
        assert job.answers == [str(first + k) for k in range(len(job.pictures))]
    assert sum(rig.sizes) == sum(len(job.pictures) for _, job in jobs)
