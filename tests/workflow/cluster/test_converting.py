"""Converting with workers elsewhere: the same set, byte for byte, in whatever order results come."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import detector
from detector.cli import app
from detector.conversion import inputs, set_pictures
from detector.data.labels.sources import read_source
from detector.data.parallel import cores, limit_cores, spread_map, spreading
from detector.errors import DependencyError
from detector.text.alphabet import Alphabet
from detector.text.calibration import PlattScaling
from detector.workflow.cluster.converting import converting_on, ordered_results
from detector.workflow.cluster.ray_cluster import _Worker
from tests.builders import TOY_OPTIONS, toy_folder
from tests.conftest import Toy


class Processes:
    """Workers that share nothing with this process, and whose results come in the reverse order."""

    gpus = 0

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool, self.done = pool, list[int]()

    def call(self, function: Callable[..., Any], *arguments: Any, gpu: bool = False) -> Any:
        raise NotImplementedError

    def map(self, function: Callable[[Any], Any], jobs: Sequence[Any], gpu: bool = False) -> Iterator[Any]:
        pickled = pickle.dumps(function)
        results = [self.pool.submit(_call, pickled, pickle.dumps(job)) for job in jobs]
        self.done.append(len(results))
        yield from (result.result() for result in reversed(results))


def _call(work: bytes, job: bytes) -> Any:
    return pickle.loads(work)(pickle.loads(job))


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def workers(pool: ProcessPoolExecutor) -> Processes:
    return Processes(pool)


def tree(root: Path, names: frozenset[str]) -> dict[str, bytes]:
    """Files of a set by their paths, wherever it lies."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes().replace(str(root).encode(), b"SET")
        for name in names
        for path in ([root / name] if (root / name).is_file() else (root / name).rglob("*"))
        if path.is_file() and path.name != "files.csv"  # of sizes and hashes, with the place in them
    }


def test_a_set_does_not_depend_on_who_checked_and_located(
    toy: Toy, workers: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_CHUNK", 16)
    root = tmp_path / toy.root.name
    with spreading(partial(ordered_results, workers, False)):
        report = detector.convert(toy.source, root, **TOY_OPTIONS)
    assert workers.done[0] == 4 and len(workers.done) >= 2, "60 pictures are checked in four jobs, and located"
    assert report.splits == toy.report.splits and report.explained == toy.report.explained
    assert tree(root, toy.tree - {"packed"}) == tree(toy.root, toy.tree - {"packed"})


def test_a_set_in_shards_does_not_depend_on_who_wrote_them(
    toy: Toy, workers: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="shards need the extra shards")
    monkeypatch.setattr(set_pictures, "MAX_ROWS", 20)
    written = {}
    for folder in ("here", "there"):
        root = tmp_path / folder / toy.root.name
        with spreading(partial(ordered_results, workers, False)) if folder == "there" else nullcontext():
            detector.convert(toy.source, root, shards=True, **TOY_OPTIONS)
        written[folder] = tree(root, frozenset(path.name for path in root.iterdir()))
    assert workers.done[-1] == 5, "of the three splits"
    assert written["here"] == written["there"]


def test_trained_detectors_say_the_same_wherever_they_are_asked(workers: Processes, tmp_path: Path) -> None:
    """Those of both halves, each about the pictures that it was not trained on, with the calibration they have."""
    from detector.conversion.locating.boxes import boxes_of
    from detector.conversion.locating.cross_fitting import CrossFitted, half_of
    from detector.conversion.locating.detectors import Learnt, new_detector, trained_network
    from detector.conversion.locating.locator import Located, Locator
    from detector.networks.arithmetic import one_thread_each

    table, locators = Alphabet("ЖШЮЯ"), list[Locator]()
    for half in (0, 1):
        Learnt(new_detector(table.symbols, half).state_dict(), ()).write(tmp_path / f"{half}.pt")
        network = trained_network(tmp_path / f"{half}.pt", table.symbols, "cpu")
        locators.append(Locator(network, table, length=4, shape_hw=(64, 192)))
        locators[half]._calibration = PlattScaling(1.5, half)
    source = toy_folder(tmp_path / "source", 8, alphabet=table.symbols, min_length=4, spaces=0)
    items = read_source(source, keep=table.symbols).items
    assert {half_of(item.text) for item in items} == {0, 1}
    ask = partial(boxes_of, partial(CrossFitted(tuple(locators), table).locate, 3))
    with one_thread_each():
        here = list(spread_map(ask, [items[:5], items[5:]]))
    with spreading(partial(ordered_results, workers, False)):
        there = list(spread_map(ask, [items[:5], items[5:]]))
    assert [len(batch) for batch in here] == [5, 3]
    located, elsewhere = ([boxes.located for batch in batches for boxes in batch] for batches in (here, there))
    assert [one.round for one in located] == [3] * 8 and any(one.label_log_prob for one in located)
    for one, other in zip(located, elsewhere, strict=True):
        for field in fields(Located):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


def _negative(number: int) -> int:
    return -number


@pytest.mark.parametrize("count", [0, 1, 5])
def test_results_come_in_order(workers: Processes, count: int) -> None:
    with spreading(partial(ordered_results, workers, False)):
        assert list(spread_map(_negative, range(count))) == [-number for number in range(count)]
    assert list(spread_map(_negative, range(count))) == [-number for number in range(count)], "in threads again"


def _cores(_: int) -> int:
    return cores()


@pytest.mark.parametrize("most", [1, None])
def test_a_worker_takes_no_more_cores_than_are_its_own(most: int | None) -> None:
    before = cores()
    try:
        worker = _Worker(pickle.dumps(_cores), most, lambda number: 1, 1)
        (outcome,) = worker({"number": [7], "job": [pickle.dumps(0)]})["outcome"]
        assert pickle.loads(outcome).result() == (most or before)
    finally:
        limit_cores(None)
    assert cores() == before


def test_a_job_that_ended_its_workers_is_begun_no_more() -> None:
    worker = _Worker(pickle.dumps(os._exit), None, {7: 2, 8: 3}.__getitem__, 1)
    outcomes = worker({"number": [7, 8], "job": [pickle.dumps(1)] * 2})["outcome"]
    assert [pickle.loads(outcome).is_lost for outcome in outcomes] == [True, True]


def test_without_an_address_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.errors.is_installed", lambda module: False)
    with converting_on(None):
        assert list(spread_map(_negative, [1])) == [-1]


def test_ray_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.errors.is_installed", lambda module: module != "ray")
    (tmp_path / "ABC-1.png").write_bytes(b"")
    done = CliRunner().invoke(app, ["convert", str(tmp_path), str(tmp_path / "out"), "--ray"])
    assert isinstance(done.exception, DependencyError) and "string-detector[ray]" in str(done.exception)


@pytest.mark.parametrize(
    ("options", "shards"),
    [([], False), (["--shards"], True), (["--ray"], True), (["--ray", "local", "--files"], False)],
)
def test_with_ray_a_set_is_in_shards_unless_files_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], shards: bool
) -> None:
    given: dict[str, Any] = {}

    def convert(source: Path, out: Path, **arguments: Any) -> None:
        given.update(arguments)
        raise KeyboardInterrupt

    (tmp_path / "ABC-1.png").write_bytes(b"")
    monkeypatch.setattr("detector.conversion.convert.convert", convert)
    monkeypatch.setattr("detector.workflow.cluster.converting.converting_on", lambda address, device: nullcontext())
    CliRunner().invoke(app, ["convert", str(tmp_path), str(tmp_path / "out"), *options])
    assert given["shards"] is shards
