"""Converting with workers elsewhere: the same set, byte for byte, in whatever order results come."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import detector
from detector.cli import app
from detector.conversion import inputs
from detector.data.parallel import spread_map, spreading
from detector.errors import DependencyError
from detector.workflow.cluster.converting import converting_on, in_order
from tests.builders import TOY_LENGTH, TOY_SYMBOLS
from tests.conftest import Toy


class Processes:
    """Workers that share nothing with this process, and whose results come in the reverse order."""

    gpus = 0

    def __init__(self) -> None:
        self.done: list[int] = []

    def once(self, function: Callable[..., Any], *arguments: Any, gpu: bool = False) -> Any:
        raise NotImplementedError

    def map(self, work: Callable[[Any], Any], jobs: Sequence[Any], gpu: bool = False) -> Iterator[Any]:
        pickled = pickle.dumps(work)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            results = [pool.submit(_call, pickled, pickle.dumps(job)) for job in jobs]
            self.done.append(len(results))
            yield from (result.result() for result in reversed(results))


def _call(work: bytes, job: bytes) -> Any:
    return pickle.loads(work)(pickle.loads(job))


def tree(root: Path, names: frozenset[str]) -> dict[str, bytes]:
    """Files of a set by their paths, wherever it lies."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes().replace(str(root).encode(), b"SET")
        for name in names
        for path in ([root / name] if (root / name).is_file() else (root / name).rglob("*"))
        if path.is_file() and path.name != "files.csv"  # of sizes and hashes, with the place in them
    }


def test_a_set_does_not_depend_on_who_checked_and_located(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_CHUNK", 16)
    workers, root = Processes(), tmp_path / toy.root.name
    with spreading(partial(in_order, workers, False)):
        report = detector.convert(toy.source, root, alphabet=TOY_SYMBOLS, length=TOY_LENGTH, space="_", device="cpu")
    assert workers.done[0] == 4 and len(workers.done) >= 2, "60 pictures are checked in four jobs, and located"
    assert report.splits == toy.report.splits and report.explained == toy.report.explained
    assert tree(root, toy.tree - {"packed"}) == tree(toy.root, toy.tree - {"packed"})


def _negative(number: int) -> int:
    return -number


@pytest.mark.parametrize("count", [0, 1, 5])
def test_results_come_in_order(count: int) -> None:
    with spreading(partial(in_order, Processes(), False)):
        assert list(spread_map(_negative, range(count))) == [-number for number in range(count)]
    assert list(spread_map(_negative, range(count))) == [-number for number in range(count)], "in threads again"


def test_without_an_address_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.errors.is_installed", lambda module: False)
    with converting_on(None):
        assert list(spread_map(_negative, [1])) == [-1]


def test_ray_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.errors.is_installed", lambda module: module != "ray")
    (tmp_path / "ABC-1.png").write_bytes(b"")
    done = CliRunner().invoke(app, ["convert", str(tmp_path), str(tmp_path / "out"), "--ray"])
    assert isinstance(done.exception, DependencyError) and "string-detector[ray]" in str(done.exception)
