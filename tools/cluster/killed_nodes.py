"""Reading on a cluster whose nodes and driver are killed at random moments: readings missing, doubled or different.

    python tools/cluster/killed_nodes.py [--pictures 2000] [--rounds 10]

Pictures are drawn into shards and read once without a cluster. Then a Ray cluster of three nodes beside its head is
simulated on this machine, and in each round `detector predict --ray` reads the same shards on it. One node, another one
and then the driver are killed (SIGKILL), each up to a second after a random number of files of readings have appeared;
then the same command is run again. Every id must occur once, and every file of readings must be the same, byte for
byte, as without a cluster. Writes OUT/killed_nodes.json, and prints a Markdown table.
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
from tools.processes import environment, start_logged
from tools.results import ROOT, machine, machine_lines, write_json

NODES = 3
_MAX_ATTEMPTS = 5
_HANG_SECONDS = 600  # after which a driver counts as hanging


def start(weights: str, shards: Path, out: Path, address: str) -> subprocess.Popen[bytes]:
    """Start ``detector predict`` on the cluster."""
    command = [sys.executable, "-m", "detector", "predict", weights, str(shards), "--out", str(out), "--ray", address]
    return start_logged(command, ROOT, out.with_suffix(".log"))


def wait_for_end(driver: subprocess.Popen[bytes], out: Path) -> None:
    """Wait until a driver has ended.

    Raises:
        RuntimeError: if it failed.
    """
    if driver.wait(timeout=_HANG_SECONDS):
        raise RuntimeError(f"the driver ended with {driver.returncode}:\n{out.with_suffix('.log').read_text()[-3000:]}")


def problems(expected: Path, out: Path) -> list[str]:
    """List the differences between readings without a cluster and readings on it; there should be none."""
    names = sorted(path.name for path in expected.iterdir())
    unexpected = sorted({path.name for path in out.iterdir()} - {*names})
    different = [name for name in names if (out / name).read_bytes() != (expected / name).read_bytes()]
    ids = [i for path in sorted(out.glob("*.parquet")) for i in parquet.read_table(path).column("id").to_pylist()]
    expected_ids = [i for name in names for i in parquet.read_table(expected / name).column("id").to_pylist()]
    faults = [f"{name} is no file of readings" for name in unexpected] + [f"{name} differs" for name in different]
    if sorted(ids) != sorted(expected_ids):
        faults.append(f"{len(ids)} rows, {len({*ids})} ids of {len(expected_ids)}")
    return faults


def wait_for_files(driver: subprocess.Popen[bytes], out: Path, files: int, pause: float) -> None:
    """Wait until there are so many files of readings, or the driver ends; then wait ``pause`` seconds."""
    deadline = time.monotonic() + _HANG_SECONDS
    while driver.poll() is None and len(list(out.glob("*.parquet"))) < files:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no file of readings came in {_HANG_SECONDS} s")
        time.sleep(0.05)
    time.sleep(pause)


def fill_cluster(cluster: Any) -> None:
    """Add the missing nodes, in several attempts: Ray allows half a minute, which a busy machine may exceed."""
    for _ in range(_MAX_ATTEMPTS):
        missing = NODES - len(cluster.worker_nodes)
        try:
            for _ in range(missing):
                cluster.add_node(num_cpus=1)
            return
        except Exception as error:  # Ray raises plain ones
            print(f"a node did not start: {error}", flush=True)
    raise RuntimeError(f"no node started in {_MAX_ATTEMPTS} tries")


def run_round(cluster: Any, weights: str, shards: Path, out: Path, rng: random.Random) -> dict[str, Any]:
    """Read on the cluster, and kill two nodes and the driver at random moments.

    Returns:
        The moments, as numbers of files of readings, whether the driver was still running, and the seconds.
    """
    shutil.rmtree(out, ignore_errors=True)
    count = len(list(shards.iterdir()))
    moments = sorted(rng.randrange(count - 1) for _ in range(3))
    nodes = rng.sample(sorted(cluster.worker_nodes, key=lambda node: node.unique_id), 2)
    start_time, is_driver_killed = time.perf_counter(), False
    driver = start(weights, shards, out, cluster.address)
    for files, node in zip(moments, (*nodes, None), strict=True):
        wait_for_files(driver, out, files, rng.random())
        if node is not None:
            cluster.remove_node(node, allow_graceful=False)
        elif driver.poll() is None:
            driver.kill()
            driver.wait()
            is_driver_killed = True
    if is_driver_killed:
        driver = start(weights, shards, out, cluster.address)
    wait_for_end(driver, out)
    seconds = time.perf_counter() - start_time
    return {"files": moments, "driver_killed": is_driver_killed, "seconds": seconds}


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
    expected, readings = args.out / "one_machine", args.out / "cluster"
    shutil.rmtree(expected, ignore_errors=True)
    detector.predict_shards(args.weights, shards, expected, device="cpu")
    os.environ |= environment()  # for the nodes' workers
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        faults, rounds = list[str](), list[dict[str, Any]]()
        rng = random.Random(args.seed)
        for number in range(args.rounds):
            fill_cluster(cluster)
            rounds.append(run_round(cluster, args.weights, shards, readings, rng))
            faults += [f"round {number + 1}: {problem}" for problem in problems(expected, readings)]
            print(rounds[-1], faults, flush=True)
    finally:
        cluster.shutdown()
    write_json(
        args.out / "killed_nodes.json",
        {"pictures": args.pictures, "shards": len(list(shards.iterdir())),
         "rounds": rounds, "problems": faults, "machine": machine()},
    )  # fmt: skip
    driver_kills = sum(result["driver_killed"] for result in rounds)
    print("| rounds | nodes killed | drivers killed | pictures | rows missing, twice or different |")
    print("|---|---|---|---|---|")
    print(f"| {len(rounds)} | {2 * len(rounds)} | {driver_kills} | {args.pictures} | {len(faults)} |")
    print(*machine_lines([{"machine": machine()}]), sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
