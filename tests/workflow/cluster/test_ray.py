"""Shards read by Ray: the same files as on one machine, also where nodes and the driver are lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from detector.errors import is_installed
from tests.conftest import Toy, ToyRun

pytestmark = pytest.mark.skipif(not is_installed("ray"), reason="a cluster needs the extra ray")

ROOT = Path(__file__).parents[3]

ON_RAY = """
import functools
import operator
import os
import sys
from pathlib import Path
import detector
from detector.errors import SourceError, WeightsError
from detector.data.packs.shards import ShardPicture, write_shards
from tests.builders import TOY_LENGTH, TOY_SYMBOLS

weights, source, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
pictures = [ShardPicture(file.name, file.read_bytes()) for file in sorted(source.iterdir())]
(folder / "shards").mkdir()
shards = list(write_shards([*pictures, ShardPicture("broken.png", b"")], folder / "shards", rows=20))

import ray
ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)  # the user's own, which stays
told = [detector.predict_shards(weights, shards, folder / name, ray=where, device="cpu")
        for name, where in (("here", None), ("cluster", "local"))]
assert [(one.shards, one.pictures, one.failed) for one in told] == [(len(shards), len(pictures) + 1, 1)] * 2, told
for shard in shards:
    assert (folder / "here" / shard.name).read_bytes() == (folder / "cluster" / shard.name).read_bytes()


def files(root):
    names = [path for path in root.rglob("*") if path.is_file() and path.name != "files.csv"]  # of places
    return {path.relative_to(root): path.read_bytes().replace(str(root.parent).encode(), b"") for path in names}


for name, where in (("one", None), ("many", "local")):
    with detector.converting_on(where):
        detector.convert(source, folder / name / "plates", shards=True, alphabet=TOY_SYMBOLS, length=TOY_LENGTH,
                         space="_", device="cpu")
assert files(folder / "one" / "plates") == files(folder / "many" / "plates"), "a set that workers wrote"

for name, wanted, named in (("no.pt", WeightsError, "no.pt"), (weights, SourceError, shards[1].name)):
    if wanted is SourceError:
        shards[1].write_bytes(b"no shard")
    try:
        detector.predict_shards(name, shards, folder / "others", ray="local", device="cpu",
                                string_format=False)
    except wanted as error:
        assert named in str(error)
    else:
        raise AssertionError(f"{wanted} was not raised")
assert sorted(path.name for path in (folder / "others").iterdir()) == [s.name for s in shards if s != shards[1]]

from detector.workflow.cluster import ray_cluster
from detector.workflow.cluster.lost_jobs import LostJobsError

ray_cluster.MAX_LOSSES = 1
call, ends = operator.methodcaller("__call__"), functools.partial(os._exit, 1)  # ends, as one that takes all memory
with ray_cluster.cluster("local") as machines:
    results = []
    for begin in (lambda: results.extend(machines.map(call, [ends, *(functools.partial(int, i) for i in range(4))])),
                  lambda: machines.call(ends)):
        try:
            begin()
        except LostJobsError as error:
            assert len(error.jobs) == 1 and "ended the worker that had it" in str(error)
        else:
            raise AssertionError("a job that ends its worker was not told")
    assert sorted(results) == [0, 1, 2, 3], results
    for begin in (lambda: list(machines.map(open, ["/nothing/here"])), lambda: machines.call(open, "/nothing/here")):
        try:
            begin()
        except FileNotFoundError as error:
            assert error.filename == "/nothing/here"
        else:
            raise AssertionError("an error of a disk was not told")
assert ray.is_initialized()
"""


def run(*arguments: str) -> None:
    """Run Python in a process of its own, which may talk to this machine."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]


def test_a_cluster_writes_what_one_machine_does_and_raises_what_it_raises(
    toy: Toy, toy_run: ToyRun, tmp_path: Path
) -> None:
    run("-c", ON_RAY, str(toy_run.weights), str(toy.source), str(tmp_path))


@pytest.mark.usefixtures("few_fonts")
def test_no_picture_is_lost_or_read_twice_where_nodes_and_the_driver_are_killed(tmp_path: Path) -> None:
    """`tools/cluster/killed_nodes.py` kills in ten rounds, of 2,000 pictures."""
    small = ("--pictures", "200", "--rows", "10", "--rounds", "1", "--out", str(tmp_path))
    run("tools/cluster/killed_nodes.py", *small)
    told = json.loads((tmp_path / "killed_nodes.json").read_text())
    assert told["problems"] == [] and len(told["rounds"]) == 1 and told["shards"] == 20
