"""Reading on a cluster whose nodes, and then the driver, are killed at random moments: what it ends in.

    python tools/cluster/killed_nodes.py [--pictures 2000] [--rounds 10]

Pictures are drawn into shards and read once on this machine. Then a Ray cluster of three nodes (beside its head) is
simulated on it, and in each round `detector predict --ray` reads the same shards there: one node is killed (SIGKILL),
then another, then the driver, at moments drawn at random: when so many files of readings are there, and up to a second
later. Then the same command is given again. Every id must be there once, and every file of readings must be the
one-machine
run's, byte for byte. Leaves OUT/killed_nodes.json, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pyarrow import parquet

import detector
from tools.cluster.shards import plate_shards
from tools.results import ROOT, machine, machine_lines, write_json

NODES = 3
_TRIES = 5
_HANG = 600  # seconds after which a driver is taken to hang


def start(weights: str, shards: Path, out: Path, address: str) -> subprocess.Popen[bytes]:
    """``detector predict`` on the cluster."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "detector", "predict", weights, str(shards), "--out", str(out), "--ray", address],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log,
        )  # fmt: skip


def ended(driver: subprocess.Popen[bytes], out: Path) -> None:
    """Wait for a driver.

    Raises:
        RuntimeError: if it fails.
    """
    if driver.wait(timeout=_HANG):
        raise RuntimeError(f"the driver ended with {driver.returncode}:\n{out.with_suffix('.log').read_text()[-3000:]}")


def problems(expected: Path, out: Path) -> list[str]:
    """What differs from the one-machine run; nothing should."""
    names = sorted(path.name for path in expected.iterdir())
    others = sorted({path.name for path in out.iterdir()} - {*names})
    different = [name for name in names if (out / name).read_bytes() != (expected / name).read_bytes()]
    ids = [i for path in sorted(out.glob("*.parquet")) for i in parquet.read_table(path).column("id").to_pylist()]
    wanted = [i for name in names for i in parquet.read_table(expected / name).column("id").to_pylist()]
    told = [f"{name} is no file of readings" for name in others] + [f"{name} differs" for name in different]
    return told + ([] if sorted(ids) == sorted(wanted) else [f"{len(ids)} rows, {len({*ids})} ids of {len(wanted)}"])


def wait_for(driver: subprocess.Popen[bytes], out: Path, files: int, pause: float) -> None:
    """Until so many files of readings are there, and a while longer; or until the driver ends."""
    until = time.monotonic() + _HANG
    while driver.poll() is None and len(list(out.glob("*.parquet"))) < files:
        if time.monotonic() > until:
            raise RuntimeError(f"no file of readings came in {_HANG} s")
        time.sleep(0.05)
    time.sleep(pause)


def fill(cluster: Any) -> None:
    """As many nodes as there should be; Ray gives one half a minute to start, which a busy machine may exceed."""
    for _ in range(_TRIES):
        missing = NODES - len(cluster.worker_nodes)
        try:
            for _ in range(missing):
                cluster.add_node(num_cpus=1)
            return
        except Exception as error:  # Ray raises no other
            print(f"a node did not start: {error}", flush=True)
    raise RuntimeError(f"no node started in {_TRIES} tries")


def one_round(cluster: Any, weights: str, shards: Path, out: Path, rng: random.Random) -> dict[str, Any]:
    """Two nodes and a driver that are killed; when, in files of readings, and whether the driver still ran."""
    shutil.rmtree(out, ignore_errors=True)
    count = len(list(shards.iterdir()))
    moments = sorted(rng.randrange(count - 1) for _ in range(3))
    nodes = rng.sample(sorted(cluster.worker_nodes, key=lambda node: node.unique_id), 2)
    began, killed = time.perf_counter(), False
    driver = start(weights, shards, out, cluster.address)
    for files, node in zip(moments, (*nodes, None), strict=True):
        wait_for(driver, out, files, rng.random())
        if node is not None:
            cluster.remove_node(node, allow_graceful=False)
        elif driver.poll() is None:
            driver.kill()
            driver.wait()
            killed = True
    if killed:
        driver = start(weights, shards, out, cluster.address)
    ended(driver, out)
    taken = time.perf_counter() - began
    return {"files": moments, "driver_killed": killed, "seconds": taken}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=50, help="pictures in a shard")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "killed_nodes")
    args = parser.parse_args()
    from ray.cluster_utils import Cluster

    args.out.mkdir(parents=True, exist_ok=True)
    shards = plate_shards(args.out / f"shards-{args.pictures}", args.pictures, args.rows)
    expected, read = args.out / "one_machine", args.out / "cluster"
    shutil.rmtree(expected, ignore_errors=True)
    detector.predict_shards(args.weights, shards, expected, device="cpu")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # of the nodes' workers
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        told, rounds = list[str](), list[dict[str, Any]]()
        rng = random.Random(args.seed)
        for number in range(args.rounds):
            fill(cluster)
            rounds.append(one_round(cluster, args.weights, shards, read, rng))
            told += [f"round {number + 1}: {problem}" for problem in problems(expected, read)]
            print(rounds[-1], told, flush=True)
    finally:
        cluster.shutdown()
    write_json(
        args.out / "killed_nodes.json",
        {"pictures": args.pictures, "shards": len(list(shards.iterdir())),
         "rounds": rounds, "problems": told, "machine": machine()},
    )  # fmt: skip
    killed = sum(one["driver_killed"] for one in rounds)
    print("| rounds | nodes killed | drivers killed | pictures | rows missing, twice or different |")
    print("|---|---|---|---|---|")
    print(f"| {len(rounds)} | {2 * len(rounds)} | {killed} | {args.pictures} | {len(told)} |")
    print(*machine_lines([{"machine": machine()}]), sep="\n")
    sys.exit(bool(told))


if __name__ == "__main__":
    main()
