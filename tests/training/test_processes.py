"""Several processes that train together, as ``torchrun`` starts them on one machine or two: what is shared, what must
be the same, and what becomes of a machine that is lost."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra train")

import psutil
import torch

import detector
from detector.data.sets.yolo_dataset import read_set
from detector.errors import ArgumentError, DatasetError, DetectorError
from detector.networks.device import first_process
from detector.training.processes import alike, group, restart
from detector.training.processes.restart import Job
from tests.conftest import Toy, char_network

ROOT = Path(detector.__file__).parent.parent
HANGS = 600.0  # seconds


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(folder: Path, launch: list[str], arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    own = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, *launch, "-m", "detector", "train", "device=cpu", *arguments],
        cwd=folder, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def pair(folder: Path, first: list[str], second: list[str]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of two processes that something else than torchrun has started."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    both = [
        start(folder, [], arguments, **shared, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank, arguments in enumerate((first, second))
    ]
    ended = [process.communicate(timeout=HANGS) for process in both]
    return [(process.returncode, *texts) for process, texts in zip(both, ended, strict=True)]


def epochs_of(run: Path) -> list[int]:
    if not (run / "results.csv").exists():
        return []
    with (run / "results.csv").open(newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file) if row["epoch"]]


# Two processes


def test_two_processes_train_together(toy: Toy, tmp_path: Path) -> None:
    """One run folder, one weights file, every picture of val compared once; the first process alone prints."""
    arguments = [f"data={toy.report.data_yaml}", f"model={char_network()}", "epochs=1", "batch=16", "name=two"]
    (code, out, log), (other_code, other, other_log) = pair(tmp_path, arguments, arguments)
    assert (code, other_code) == (0, 0), (log + other_log)[-3000:]
    assert (out.strip(), other.strip()) == ("weights/two.pt", "")
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["two"]
    assert [p.name for p in (tmp_path / "weights").iterdir()] == ["two.pt"]
    with (tmp_path / "runs/two/results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert 0 < float(row["train/cls_loss"]) < 100 and 0 <= float(row["metrics/exact_match"]) <= 1
    facts = torch.load(tmp_path / "weights/two.pt", weights_only=False)["detector"]["facts"]
    assert facts["epochs"] == 1


GROUP = """
import sys, threading
from pathlib import Path
import torch
from detector.errors import DetectorError
from detector.training.processes import group

failing = sys.argv[1] == "failing"
try:
    with group.joining("cpu"):
        net = group.wrapped(torch.nn.Linear(4, 1))
        net(torch.ones(2, 4)).sum().backward()
        group.gather(lambda: None)
        if failing:
            raise DetectorError("on the way")
except DetectorError:
    pass
print(sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed by Linux alone")
@pytest.mark.parametrize("outcome", ["done", "failing"])
def test_no_thread_of_the_group_outlives_it(tmp_path: Path, outcome: str) -> None:
    """One that still runs when the interpreter ends aborts it at times: exit code 134, weights or not."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", GROUP, outcome], stdout=subprocess.PIPE, text=True,
            env={**os.environ, **shared, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in both:
        names = process.communicate(timeout=HANGS)[0]
        assert process.returncode == 0 and names and "gloo" not in names


def test_an_error_in_one_process_is_told_by_all(toy: Toy, tmp_path: Path) -> None:
    """None waits for one that is gone."""
    (code, _, log), (other_code, _, other_log) = pair(
        tmp_path, [f"data={toy.report.data_yaml}", "epochs=1"], ["data=nowhere", "epochs=1"]
    )
    assert other_code == DatasetError.exit_code and "nowhere" in other_log
    assert code == DetectorError.exit_code and "process 1 on" in log and "nowhere" in log
    assert not (tmp_path / "runs").exists()


# Two machines


def machine(folder: Path, port: int, arguments: list[str], *, first: bool) -> subprocess.Popen[str]:
    launch = [
        "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "2",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-conf", f"is_host={int(first)}",
    ]  # fmt: skip
    return start(folder, launch, arguments, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")


def lose(lost: subprocess.Popen[str]) -> None:
    """Kill a launcher and what it has started at once."""
    launcher = psutil.Process(lost.pid)
    for process in (launcher, *launcher.children(recursive=True)):
        process.send_signal(signal.SIGKILL)
    lost.communicate(timeout=HANGS)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_lost_machine_is_replaced_and_training_goes_on(toy: Toy, tmp_path: Path) -> None:
    """The same command again on the second of two machines, nothing else: each epoch is done once in one run."""
    arguments = [f"data={toy.report.data_yaml}", f"model={char_network()}", "epochs=6", "batch=16", "name=two"]
    run, port = tmp_path / "runs/two", free_port()
    first, second = (machine(tmp_path, port, arguments, first=number == 0) for number in range(2))
    ends = time.monotonic() + HANGS
    while not (run / "weights/last.pt").exists() and time.monotonic() < ends:
        assert first.poll() is None and second.poll() is None, first.communicate()[1][-3000:]
        time.sleep(0.05)
    lose(second)
    before = len(epochs_of(run))
    second = machine(tmp_path, port, arguments, first=False)
    while first.poll() is None and second.poll() is None and time.monotonic() < ends:
        time.sleep(0.05)
    if first.returncode or second.returncode:  # the other one would wait for it
        first.kill(), second.kill()
    (out, log), (other, other_log) = (process.communicate(timeout=HANGS) for process in (first, second))
    assert (first.returncode, second.returncode) == (0, 0), (log + other_log)[-3000:]
    assert (out.strip(), other.strip()) == ("weights/two.pt", "")
    assert 1 <= before < 6 and epochs_of(run) == [1, 2, 3, 4, 5, 6]
    assert f"goes on with {run}" in log and "process 0 of 2 has lost another one" in log
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["two"]


# What must be the same, in threads that stand for processes


class Threads:
    """Processes as threads: what each of them makes is gathered."""

    def __init__(self, count: int) -> None:
        self.number, self.barrier = threading.local(), threading.Barrier(count, timeout=HANGS)
        self.made: list[Any] = [None] * count

    def gather(self, make: Callable[[], Any]) -> list[Any]:
        try:
            own = make()
        except DetectorError as error:
            own = error
        self.made[self.number.rank] = own
        self.barrier.wait()
        made = list(self.made)
        self.barrier.wait()
        for error in (own, *made):
            if isinstance(error, DetectorError):
                raise error
        return made

    def run(self, *of_each: Callable[[], Any]) -> list[Any]:
        """What each gives, or its error."""
        results: list[Any] = [None] * len(of_each)

        def one(rank: int) -> None:
            self.number.rank = rank
            try:
                results[rank] = of_each[rank]()
            except DetectorError as error:
                results[rank] = error

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(len(of_each))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Threads:
    threads = Threads(2)
    monkeypatch.setattr(group, "gather", threads.gather)
    monkeypatch.setattr(group, "rank", lambda: threads.number.rank)
    monkeypatch.setattr(group, "count", lambda: 2)
    monkeypatch.setattr(group, "joined", lambda: True)
    return threads


def test_arguments_that_differ_are_named(two: Threads) -> None:
    given = {"epochs": 5, "data": "/a/set", "device": "cpu"}

    def outcome(**other: Any) -> list[Any]:
        return two.run(lambda: alike.check_same_arguments(given), lambda: alike.check_same_arguments(other))

    assert outcome(epochs=5, data="/b/set") == [None, None], "sets may lie elsewhere"
    for other, words in (
        ({"epochs": 6}, "epochs is 5 in process 0 .* and 6 in process 1"),
        ({"epochs": 5, "seed": 1}, "seed is not given in process 0 .* and 1 in process 1"),
    ):
        for error in outcome(**other):
            assert isinstance(error, ArgumentError) and re.search(words, str(error)), error


def test_sets_that_differ_are_named(toy: Toy, tmp_path: Path, two: Threads) -> None:
    shutil.copytree(toy.root, tmp_path / "other", ignore=shutil.ignore_patterns("packed"))
    own, other = read_set(toy.root), read_set(tmp_path / "other")
    assert two.run(lambda: alike.check_same_set(own), lambda: alike.check_same_set(other)) == [None, None]
    manifest = tmp_path / "other/manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text("".join(lines[:-1]), encoding="utf-8")
    for error in two.run(lambda: alike.check_same_set(own), lambda: alike.check_same_set(other)):
        assert isinstance(error, DatasetError)
        assert str(own.root) in str(error) and str(other.root) in str(error) and "process 1" in str(error)


def test_boxes_that_differ_are_named(toy: Toy, tmp_path: Path, two: Threads) -> None:
    """Manifests are alike, and a label file is not."""
    from detector.training.dataset import TextDataset

    shutil.copytree(toy.root, tmp_path / "other", ignore=shutil.ignore_patterns("packed"))

    def opened(root: Path) -> Any:
        split = alike.opened(lambda: TextDataset(read_set(root), "val", (64, 192)), TextDataset.fingerprint, str(root))
        return len(split)

    def both() -> list[Any]:
        return two.run(lambda: opened(toy.root), lambda: opened(tmp_path / "other"))

    first, second = both()
    assert first == second > 0
    label = next(path for path in sorted((tmp_path / "other/labels/val").iterdir()) if path.read_text().count("\n") > 1)
    label.write_text(label.read_text().split("\n", 1)[1])
    assert all(isinstance(error, DatasetError) and "fingerprint" in str(error) for error in both())


@pytest.mark.parametrize(
    ("batch", "words"),
    [(33, "batch=32 or batch=34"), (1, "give batch=2"), (-1, "batch=64"), (32, "")],
)
def test_a_batch_is_divided_among_all(two: Threads, batch: int, words: str) -> None:
    for error in two.run(*[lambda: group.check_shares(batch, 100)] * 2):
        assert (error is None) == (not words)
        assert words in str(error) if words else True


def test_a_run_folder_is_one_for_all_machines(tmp_path: Path, two: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart, "_SECONDS", 0.0)
    job = Job(("a", "b"), "call", "token")
    overrides = {"project": str(tmp_path), "name": "run", "task": "detect", "mode": "train"}
    agreed = two.run(*[lambda: restart.agree_on_folder(job, overrides)] * 2)
    assert [arguments["save_dir"] for arguments in agreed] == [str(tmp_path / "run")] * 2
    real = Job.read
    monkeypatch.setattr(Job, "read", classmethod(lambda cls, run: None if two.number.rank else real(run)))
    *_, error = two.run(*[lambda: restart.agree_on_folder(job, overrides)] * 2)
    assert isinstance(error, DetectorError) and "project=" in str(error) and socket.gethostname() in str(error)


# Restarts


@pytest.mark.parametrize(
    ("launchers", "call", "goes_on"),
    [(("a", "b"), "call", True), (("b", "c"), "call", True), (("c", "d"), "call", False), (("a",), "other", False)],
)
def test_a_job_goes_on_with_the_run_that_it_began(
    tmp_path: Path, launchers: tuple[str, ...], call: str, goes_on: bool
) -> None:
    """One launcher that was there before is enough: the others' machines may be gone."""
    for name, earlier in (("older", Job(("x",), "call", "1")), ("own", Job(("a", "b"), "call", "2"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "args.yaml").touch()
        earlier.write(tmp_path / name)
    expected = str(tmp_path / "own") if goes_on else None
    assert restart.run_to_go_on_with(Job(launchers, call, "3"), tmp_path) == expected


def test_a_process_alone_is_of_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert restart.this_job("set", {}) is None
    assert group.gather(lambda: 7) == [7] and group.broadcast(lambda: 7) == 7


@pytest.mark.parametrize(
    ("world_size", "rank", "is_first"),
    [(None, None, True), (None, "3", True), ("1", "3", True), ("2", "0", True), ("2", "1", False)],
)
def test_which_process_writes_and_prints(
    monkeypatch: pytest.MonkeyPatch, world_size: str | None, rank: str | None, is_first: bool
) -> None:
    for name, value in (("WORLD_SIZE", world_size), ("RANK", rank)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert first_process() is is_first


def test_processes_that_cannot_meet_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DetectorError, match=r"WORLD_SIZE=2 .* torchrun"), group.joining("cpu"):
        pass
