"""Training across machines by ``torchrun --nnodes 2``, on this one: exact match, a machine that is lost, throughput.

    python tools/training/across_machines.py [--set SET] [--epochs 8] [--seeds 0 1 2]

Each of two ``torchrun`` is a machine, with one process on one thread (gloo). For each seed one process trains alone,
two train together, and two do of which one is killed (SIGKILL, launcher and all) after an epoch, and started again: the
same batch, epochs and set, from the shipped weights. Weights of each read the held-out fifth. The run's table must hold
each epoch once. Pictures a second are those of a median epoch, validation included; the machine must be idle for them.
Leaves OUT/across_machines.json, which it goes on from, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from detector.data.yolo_dataset import read_set
from tools.results import DATA, ROOT, machine, machine_lines, write_json
from tools.training.real_sets import score

WAYS = ("one process", "two machines", "two machines, one lost")
_HANGS = 3600.0  # seconds


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(root: Path, number: int, port: int | None, arguments: list[str]) -> subprocess.Popen[bytes]:
    """``detector train`` alone, or as the machine of that number."""
    launch = []
    if port is not None:
        launch = [
            "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3",
            "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}",
            "--rdzv-conf", f"is_host={int(number == 0)}",
        ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    # A machine that takes the place of a lost one finds the others only where they do not share torchrun's own store.
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    with (root / f"log{number}.txt").open("ab") as log:
        command = [sys.executable, *launch, "-m", "detector", "train", *arguments]
        return subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)


def lose(machine: subprocess.Popen[bytes]) -> None:
    """Kill a launcher and what it has started, as when a machine loses its power."""
    launcher = psutil.Process(machine.pid)
    for process in (launcher, *launcher.children(recursive=True)):
        process.send_signal(signal.SIGKILL)
    machine.wait()


def epochs_of(run: Path) -> list[tuple[int, float]]:
    """Epochs of a run's table, and the seconds at their ends."""
    try:
        with (run / "results.csv").open(newline="", encoding="utf-8") as file:
            return [(int(row["epoch"]), float(row["time"])) for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []


def wait_for_epoch(run: Path, epoch: int, processes: list[subprocess.Popen[bytes]]) -> None:
    """Until the checkpoint of an epoch is there."""
    ends = time.monotonic() + _HANGS
    while time.monotonic() < ends and all(process.poll() is None for process in processes):
        if (run / "weights" / "last.pt").exists() and len(epochs_of(run)) >= epoch:
            return
        time.sleep(0.05)
    raise SystemExit(f"{run} has no epoch {epoch}: see {run.parent.parent}/log0.txt")


def train(way: str, data: Path, root: Path, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One training: exact match on the held-out fifth, pictures a second, seconds that the loss cost."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    run = root / "runs" / "run"
    arguments = [f"data={data}", f"epochs={args.epochs}", f"batch={args.batch}", f"seed={seed}"]
    arguments += ["device=cpu", "amp=False", "name=run"]
    start_time = time.perf_counter()
    port = None if way == WAYS[0] else free_port()
    processes = [start(root, number, port, arguments) for number in range(1 if port is None else 2)]
    lost_seconds = 0.0
    if way == WAYS[2]:
        wait_for_epoch(run, args.epochs // 2, processes)
        lose(processes[1])
        lost_seconds, before = time.perf_counter(), len(epochs_of(run))
        processes[1] = start(root, 1, port, arguments)
        wait_for_epoch(run, before + 1, processes)
        lost_seconds = time.perf_counter() - lost_seconds
    if any([process.wait(_HANGS) for process in processes]):
        raise SystemExit(f"{way}, seed {seed}: training failed, see {root}/log0.txt and log1.txt")
    seconds = time.perf_counter() - start_time
    table = epochs_of(run)
    if [epoch for epoch, _ in table] != list(range(1, args.epochs + 1)):
        raise SystemExit(f"{way}, seed {seed}: epochs are {[epoch for epoch, _ in table]}")
    epoch_seconds = [after - before for (_, before), (_, after) in itertools.pairwise(table) if after > before]
    return {
        "way": way, "seed": seed, "test": score(root / "weights" / "run.pt", data), "seconds": seconds,
        "pictures_s": len(read_set(data).rows("train")[0]) / statistics.median(epoch_seconds), "lost_s": lost_seconds,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """A line a way."""
    lines = [
        "| | exact match of each seed | mean | CER | pictures/s, median epoch | seconds, all |",
        "|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        runs = [run for run in result["runs"] if run["way"] == way]
        if not runs:
            continue
        exact_matches = [run["test"]["exact_match"] for run in runs]
        errors, rate, seconds = (
            statistics.mean(values)
            for values in zip(*((r["test"]["cer"], r["pictures_s"], r["seconds"]) for r in runs), strict=True)
        )
        shares = ", ".join(f"{value:.1%}" for value in exact_matches)
        lines.append(
            f"| {way} | {shares} | {statistics.mean(exact_matches):.1%} | {errors:.2%} | {rate:.0f} | {seconds:.0f} |"
        )
    if waits := [run["lost_s"] for run in result["runs"] if run["lost_s"]]:
        lines += ["", f"From the loss to the next finished epoch: {', '.join(f'{value:.0f}' for value in waits)} s."]
    return "\n".join([*lines, "", *machine_lines([result])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=None, help="data.yaml of a converted set; captcha-v2 is converted")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the labelled sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "across_machines", help="folder to work in")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32, help="of both processes together")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    data = args.set.resolve() if args.set else converted(args)
    facts = args.out / "across_machines.json"
    result = {
        "set": str(data.parent.name),
        "epochs": args.epochs,
        "batch": args.batch,
        "machine": machine(),
        "runs": [],
    }
    if facts.is_file():
        result = json.loads(facts.read_text(encoding="utf-8"))
    for seed in args.seeds:
        for way in args.ways:
            if not any(run["way"] == way and run["seed"] == seed for run in result["runs"]):
                result["runs"].append(train(way, data, args.out / f"{WAYS.index(way)}-{seed}", args, seed))
                write_json(facts, result)
    print(table(result))


def converted(args: argparse.Namespace) -> Path:
    """The set captcha-v2, converted once."""
    import detector

    folder = args.out / "captcha-v2"
    if not (folder / "data.yaml").is_file():
        detector.convert(args.data.resolve() / "captcha-v2" / "labels.csv", folder, device="cpu")
    return folder / "data.yaml"


if __name__ == "__main__":
    main()
