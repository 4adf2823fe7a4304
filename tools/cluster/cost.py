"""Cost of reading shards as their number grows, without and with Ray: time, CPU seconds, memory, object store.

    python tools/cluster/cost.py [--counts 1000 10000 100000 1000000] [--arms here ray chain] [--rows 1000]

Drawn plates are packed once into shards of so many rows; few rows show what a driver keeps of many shards. (After
2,000 pictures their bytes repeat, under other ids.) Each arm reads them in a separate process, with the same weights on
the same cores: "here" is `detector predict --out` without Ray, "ray" the same with `--ray`, and "chain" Ray Data's own
read_parquet, map_batches and write_parquet around the same reader, in which pictures pass through the object store. For
all processes of an arm, CPU seconds, which hardly depend on other load of the machine, and peaks of memory are
measured. Writes OUT/COUNT-ARM.json unless it exists, and prints all results in OUT as a Markdown table.
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
from functools import partial
from pathlib import Path
from typing import Any

import detector
from tools.cluster.shards import plate_shards
from tools.processes import environment
from tools.results import ROOT, machine, machine_lines, measure_once, read_results, write_json

ARMS = ("here", "ray", "chain")
ROWS = 1000  # of a shard, and of a batch of the arm "chain"
_TICK = os.sysconf("SC_CLK_TCK")
_SAMPLING_SECONDS = 0.5  # between samples of the processes


class Watch(threading.Thread):
    """Samples CPU seconds and peak memory of a process and its descendants, by kind of process.

    Args:
        root: id of the process.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root, self._stopped = root, threading.Event()
        self.cpu: dict[tuple[str, int], float] = {}
        self.peak_mib: dict[str, float] = {}

    def run(self) -> None:
        while not self._stopped.wait(_SAMPLING_SECONDS):
            for pid in self._family():
                self._sample(pid)

    def cpu_seconds(self) -> dict[str, float]:
        """Return CPU seconds by kind of process; a process counts as its last kind, since workers start as others."""
        kinds = dict.fromkeys(kind for kind, _ in self.cpu)
        last = {pid: (kind, seconds) for (kind, pid), seconds in sorted(self.cpu.items(), key=lambda item: item[1])}
        return {kind: sum(seconds for last_kind, seconds in last.values() if last_kind == kind) for kind in kinds}

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _family(self) -> list[int]:
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := _stat(int(entry))):
                parents[int(entry)] = int(fields[1])
        family = {self._root}
        while children := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= children
        return sorted(family)

    def _sample(self, pid: int) -> None:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        # Without shared memory: all workers map the object store.
        rss = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith(("Rss",))}
        mib = (rss.get("RssAnon", 0) + rss.get("RssFile", 0)) / 1024
        is_worker = command.startswith("ray::MapWorker")
        kind = "driver" if pid == self._root else "worker" if is_worker else "other"
        if fields := _stat(pid):
            self.cpu[kind, pid] = (int(fields[11]) + int(fields[12])) / _TICK
        self.peak_mib[kind] = max(self.peak_mib.get(kind, 0.0), mib)
        shared_mib = rss.get("RssShmem", 0) / 1024  # the written pages of the object store
        self.peak_mib["store"] = max(self.peak_mib.get("store", 0.0), shared_mib)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


class BatchReader:
    """Reads the batches of the arm "chain"."""

    def __init__(self, weights: str) -> None:
        self._reader = detector.Reader(weights, device="cpu")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        readings = self._reader.read_many(batch["bytes"].tolist())
        return {"id": batch["id"], "text": [reading.text if reading else "" for reading in readings]}


def chain(weights: str, shards: Path, out: Path) -> None:
    """Read shards with Ray Data's own functions."""
    import ray.data

    data = ray.data.read_parquet(str(shards), columns=["id", "bytes"], ray_remote_args={"num_cpus": 0.25})
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=2, initial_size=2)
    readings = data.map_batches(
        BatchReader, fn_constructor_args=(weights,), batch_size=ROWS, compute=pool, num_cpus=0.75
    )
    readings.write_parquet(str(out), ray_remote_args={"num_cpus": 0.25})


def child(arm: str, weights: str, shards: Path, out: Path, facts: Path) -> None:
    """Run an arm in the process that is measured, and write its seconds to ``facts``."""
    start = time.perf_counter()
    if arm != "here":
        import ray

        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    if arm == "chain":
        chain(weights, shards, out)
    else:
        address = None if arm == "here" else "local"
        detector.predict_shards(weights, shards, out, ray=address, string_format=False, device="cpu")
    seconds = time.perf_counter() - start
    write_json(facts, {"seconds": seconds})


def measure(arm: str, count: int, args: argparse.Namespace) -> dict[str, Any]:
    """Run an arm in a process; return its result."""
    name = _name(count, args.rows)
    out, child_facts = args.out / f"read-{name}-{arm}", args.out / f"{name}-{arm}.child"
    shards = plate_shards(args.out / f"shards-{name}", count, args.rows)
    shutil.rmtree(out, ignore_errors=True)
    switches = {"RAY_DATA_USE_DATASOURCE_V2": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", arm, args.weights, str(shards), str(out), str(child_facts)],
        cwd=ROOT, env=environment(**switches),
    )  # fmt: skip
    watch, load = Watch(process.pid), os.getloadavg()[0]
    watch.start()
    status = process.wait()
    watch.stop()
    shutil.rmtree(out, ignore_errors=True)
    if status:
        sys.exit(f"{arm} ended with {status}")
    result = json.loads(child_facts.read_text(encoding="utf-8"))
    child_facts.unlink()
    return {
        "arm": arm, "pictures": count, "rows": args.rows, "cpu_seconds": watch.cpu_seconds(),
        "peak_mib": watch.peak_mib, "load": load, "weights": args.weights, **result, "machine": machine(),
    }  # fmt: skip


def print_table(out: Path) -> None:
    """Print all results of a folder as a Markdown table, and what each arm costs more than "here"."""
    results = sorted(read_results(out), key=lambda r: (r["pictures"], _shards(r), ARMS.index(r["arm"])))
    kinds = ("worker", "driver", "other")
    cpu = " | ".join(f"CPU s, {kind}" for kind in kinds)
    print(f"| pictures | shards | arm | seconds | load | CPU s | {cpu} | MiB, driver | MiB, worker | MiB, store |")
    print(f"|{'---|' * 12}")
    for result in results:
        cpu_seconds, peak = result["cpu_seconds"], result["peak_mib"]
        seconds = [f"{result['seconds']:.0f}", f"{result['load']:.0f}", f"{sum(cpu_seconds.values()):.1f}"]
        seconds += [f"{cpu_seconds[kind]:.1f}" if cpu_seconds.get(kind) else "" for kind in kinds]
        mib = [f"{peak[kind]:.0f}" if kind in peak else "" for kind in ("driver", "worker", "store")]
        print(f"| {result['pictures']:,} | {_shards(result):,} | {result['arm']} | {' | '.join([*seconds, *mib])} |")
    print()
    arms = {(r["pictures"], _shards(r), r["arm"]): r for r in results}
    for (count, shards, arm), result in arms.items():
        if arm != "here" and (baseline := arms.get((count, shards, "here"))):
            extra_seconds = result["seconds"] / baseline["seconds"] - 1
            extra_cpu = sum(result["cpu_seconds"].values()) / sum(baseline["cpu_seconds"].values()) - 1
            costs = f"{extra_seconds:+.1%} seconds and {extra_cpu:+.1%} CPU seconds"
            print(f"{count:,} pictures of {shards:,} shards: {arm} takes {costs} against here")
    print()
    print(*machine_lines(results), sep="\n")


def _name(count: int, rows: int) -> str:
    """Return what files of such shards are called."""
    return str(count) if rows == ROWS else f"{count}-{rows}"


def _shards(result: dict[str, Any]) -> int:
    """Return the number of shards that a result is of."""
    return -(-int(result["pictures"]) // int(result.get("rows", ROWS)))


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        arm, weights, shards, out, facts = sys.argv[2:]
        return child(arm, weights, Path(shards), Path(out), Path(facts))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--arms", choices=ARMS, nargs="+", default=ARMS)
    parser.add_argument("--rows", type=int, default=ROWS, help="pictures in a shard")
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "cluster_cost")
    args = parser.parse_args()
    detector.Reader(args.weights, device="cpu")  # exported once, before anything is measured
    for count in args.counts:
        for arm in args.arms:
            measure_once(args.out / f"{_name(count, args.rows)}-{arm}.json", False, partial(measure, arm, count, args))
    print_table(args.out)


if __name__ == "__main__":
    main()
