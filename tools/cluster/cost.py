"""What reading shards costs as they grow, alone and with Ray: pictures/s, CPU seconds, memory, the object store.

    python tools/cluster/cost.py [--counts 1000 10000 100000 1000000] [--arms here ray chain]

Drawn plates are packed once into shards of 1,000 (after 2,000 pictures their bytes repeat, under other ids). Each arm
reads them in a process of its own, with the same weights on the same cores: "here" is `detector predict --out` without
Ray, "ray" the same with `--ray`, and "chain" Ray Data's own read_parquet, map_batches and write_parquet around the same
reader, in which pictures go through the object store. All processes of an arm are watched: their CPU seconds, which,
unlike seconds of the clock, say the same on a busy machine, and their peaks of memory. Leaves OUT/COUNT-ARM.json, and
prints all of OUT as a Markdown table. What is there already is skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import detector
from tools.cluster.shards import plate_shards
from tools.results import ROOT, machine, machine_lines, read_results, write_json

ARMS = ("here", "ray", "chain")
ROWS = 1000  # of a shard
_TICK = os.sysconf("SC_CLK_TCK")
_PERIOD = 0.5  # seconds between looks at the processes


class Watch(threading.Thread):
    """CPU seconds and peak memory of a process and of all that it has started, by the kind of process."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root, self._over = root, threading.Event()
        self.cpu: dict[tuple[str, int], float] = {}
        self.peak_mib: dict[str, float] = {}

    def run(self) -> None:
        while not self._over.wait(_PERIOD):
            for pid in self._family():
                self._look(pid)

    def cpu_seconds(self) -> dict[str, float]:
        """Of each kind of process: a worker is another before it has its work."""
        kinds = dict.fromkeys(kind for kind, _ in self.cpu)
        last = {pid: (kind, seconds) for (kind, pid), seconds in sorted(self.cpu.items(), key=lambda one: one[1])}
        return {kind: sum(seconds for one, seconds in last.values() if one == kind) for kind in kinds}

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _family(self) -> list[int]:
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := _stat(int(entry))):
                parents[int(entry)] = int(fields[1])
        family = {self._root}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return sorted(family)

    def _look(self, pid: int) -> None:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        # Of a worker's memory the object store, which all of them map, is not its own.
        held = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith(("Rss",))}
        mib = (held.get("RssAnon", 0) + held.get("RssFile", 0)) / 1024
        worker = command.startswith("ray::MapWorker")
        kind = "driver" if pid == self._root else "worker" if worker else "other"
        if fields := _stat(pid):
            self.cpu[kind, pid] = (int(fields[11]) + int(fields[12])) / _TICK
        self.peak_mib[kind] = max(self.peak_mib.get(kind, 0.0), mib)
        shared = held.get("RssShmem", 0) / 1024  # the pages of the object store that were ever written
        self.peak_mib["store"] = max(self.peak_mib.get("store", 0.0), shared)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


class ReadsBatches:
    """The reader in the arm "chain"."""

    def __init__(self, weights: str) -> None:
        self._reader = detector.Reader(weights, device="cpu")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        readings = self._reader.read_many(batch["bytes"].tolist())
        return {"id": batch["id"], "text": [one.text if one else "" for one in readings]}


def chain(weights: str, shards: Path, out: Path) -> None:
    """Ray Data's own verbs."""
    import ray.data

    data = ray.data.read_parquet(str(shards), columns=["id", "bytes"], ray_remote_args={"num_cpus": 0.25})
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=2, initial_size=2)
    read = data.map_batches(ReadsBatches, fn_constructor_args=(weights,), batch_size=ROWS, compute=pool, num_cpus=0.75)
    read.write_parquet(str(out), ray_remote_args={"num_cpus": 0.25})


def child(arm: str, weights: str, shards: Path, out: Path, facts: Path) -> None:
    """The process that is watched."""
    began = time.perf_counter()
    if arm != "here":
        import ray

        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    if arm == "chain":
        chain(weights, shards, out)
    else:
        address = None if arm == "here" else "local"
        detector.predict_shards(weights, shards, out, ray=address, string_format=False, device="cpu")
    seconds = time.perf_counter() - began
    write_json(facts, {"seconds": seconds})


def measure(arm: str, count: int, args: argparse.Namespace) -> None:
    facts, out = args.out / f"{count}-{arm}.json", args.out / f"read-{count}-{arm}"
    if facts.is_file():
        return
    shards = plate_shards(args.out / f"shards-{count}", count, ROWS)
    shutil.rmtree(out, ignore_errors=True)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    told = facts.with_suffix(".child")
    quiet = {"RAY_DATA_USE_DATASOURCE_V2": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", arm, args.weights, str(shards), str(out), str(told)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path, **quiet},
    )  # fmt: skip
    watch, load = Watch(process.pid), os.getloadavg()[0]
    watch.start()
    status = process.wait()
    watch.stop()
    shutil.rmtree(out, ignore_errors=True)
    if status:
        sys.exit(f"{arm} ended with {status}")
    result = json.loads(told.read_text(encoding="utf-8"))
    told.unlink()
    write_json(facts, {
        "arm": arm, "pictures": count, "cpu_seconds": watch.cpu_seconds(), "peak_mib": watch.peak_mib,
        "load": load, "weights": args.weights, **result, "machine": machine(),
    })  # fmt: skip


def print_table(out: Path) -> None:
    results = sorted(read_results(out), key=lambda r: (r["pictures"], ARMS.index(r["arm"])))
    kinds = ("worker", "driver", "other")
    cpu = " | ".join(f"CPU s, {kind}" for kind in kinds)
    print(f"| pictures | arm | seconds | load | CPU s | {cpu} | MiB, driver | MiB, worker | MiB, store |")
    print(f"|{'---|' * 11}")
    for r in results:
        spent, peak = r["cpu_seconds"], r["peak_mib"]
        seconds = [f"{r['seconds']:.0f}", f"{r['load']:.0f}", f"{sum(spent.values()):.1f}"]
        seconds += [f"{spent[kind]:.1f}" if spent.get(kind) else "" for kind in kinds]
        mib = [f"{peak[kind]:.0f}" if kind in peak else "" for kind in ("driver", "worker", "store")]
        print(f"| {r['pictures']:,} | {r['arm']} | {' | '.join([*seconds, *mib])} |")
    print()
    arms = {(r["pictures"], r["arm"]): r for r in results}
    for count, arm in arms:
        if arm != "here" and (here := arms.get((count, "here"))):
            one = arms[count, arm]
            seconds = one["seconds"] / here["seconds"] - 1
            cpu = sum(one["cpu_seconds"].values()) / sum(here["cpu_seconds"].values()) - 1
            print(f"{count:,} pictures: {arm} takes {seconds:+.1%} seconds and {cpu:+.1%} CPU seconds against here")
    print()
    print(*machine_lines(results), sep="\n")


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        arm, weights, shards, out, facts = sys.argv[2:]
        return child(arm, weights, Path(shards), Path(out), Path(facts))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--arms", choices=ARMS, nargs="+", default=ARMS)
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "cluster_cost")
    args = parser.parse_args()
    detector.Reader(args.weights, device="cpu")  # exported once, before anything is measured
    for count in args.counts:
        for arm in args.arms:
            measure(arm, count, args)
    print_table(args.out)


if __name__ == "__main__":
    main()
