"""Training by ``torchrun --nnodes 2``, both nodes on this machine: exact match, loss of a machine, throughput.

    python tools/training/across_machines.py [--set SET] [--epochs 8] [--seeds 0 1 2]

Each of two ``torchrun`` stands for a machine, with one process on one thread (gloo). For each seed one process trains
alone, two train together, and two train of which one is killed (SIGKILL, launcher and all) after an epoch and started
again: the same batch, epochs and set, from the shipped weights. The weights of each read the held-out fifth. The run's
table must have each epoch once. Pictures a second are those of a median epoch, validation included; the machine must
be idle for them. Leaves OUT/across_machines.json, which it goes on from, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from detector.data.sets.yolo_dataset import read_set
from tools.arguments import add_data_and_out, parse_arguments
from tools.processes import free_port, start_logged
from tools.results import machine, machine_lines, read_epochs, write_json
from tools.training.real_sets import score

WAYS = ("one process", "two machines", "two machines, one lost")
_HANG_SECONDS = 3600.0  # after which training counts as hanging


def start(root: Path, rank: int, port: int | None, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start ``detector train`` by torchrun as the machine of a rank; without torchrun if ``port`` is None."""
    launcher = []
    if port is not None:
        launcher = [
            "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3",
            "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}",
            "--rdzv-conf", f"is_host={int(rank == 0)}",
        ]  # fmt: skip
    command = [sys.executable, *launcher, "-m", "detector", "train", *arguments]
    # A machine that takes the place of a lost one finds the others only where they do not share torchrun's own store.
    variables = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return start_logged(command, root, root / f"log{rank}.txt", **variables)


def kill(launcher: subprocess.Popen[bytes]) -> None:
    """Kill a launcher and the processes that it started, as when a machine loses its power."""
    parent = psutil.Process(launcher.pid)
    for process in (parent, *parent.children(recursive=True)):
        process.send_signal(signal.SIGKILL)
    launcher.wait()


def wait_for_epoch(run: Path, epoch: int, processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait until the checkpoint of an epoch is there.

    Raises:
        SystemExit: if a process ends before.
    """
    deadline = time.monotonic() + _HANG_SECONDS
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if (run / "weights" / "last.pt").exists() and len(read_epochs(run)) >= epoch:
            return
        time.sleep(0.05)
    raise SystemExit(f"{run} has no epoch {epoch}: see {run.parent.parent}/log0.txt")


def train(way: str, data: Path, root: Path, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train one way in the folder ``root``; return the figures on the held-out fifth, pictures/s and seconds."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    run = root / "runs" / "run"
    arguments = [f"data={data}", f"epochs={args.epochs}", f"batch={args.batch}", f"seed={seed}"]
    arguments += ["device=cpu", "amp=False", "name=run"]
    start_time = time.perf_counter()
    port = None if way == WAYS[0] else free_port()
    processes = [start(root, rank, port, arguments) for rank in range(1 if port is None else 2)]
    lost_seconds = 0.0
    if way == WAYS[2]:
        wait_for_epoch(run, args.epochs // 2, processes)
        kill(processes[1])
        kill_time, epoch = time.perf_counter(), len(read_epochs(run))
        processes[1] = start(root, 1, port, arguments)
        wait_for_epoch(run, epoch + 1, processes)
        lost_seconds = time.perf_counter() - kill_time
    if any([process.wait(_HANG_SECONDS) for process in processes]):
        raise SystemExit(f"{way}, seed {seed}: training failed, see {root}/log0.txt and log1.txt")
    seconds = time.perf_counter() - start_time
    rows = read_epochs(run)
    if (epochs := [int(row["epoch"]) for row in rows]) != list(range(1, args.epochs + 1)):
        raise SystemExit(f"{way}, seed {seed}: epochs are {epochs}")
    ends = [float(row["time"]) for row in rows]
    epoch_seconds = [end - start for start, end in itertools.pairwise(ends) if end > start]
    return {
        "way": way, "seed": seed, "test": score(root / "weights" / "run.pt", data), "seconds": seconds,
        "pictures_s": len(read_set(data).rows("train")[0]) / statistics.median(epoch_seconds), "lost_s": lost_seconds,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Return a Markdown table with a line for each way."""
    lines = [
        "| | exact match of each seed | mean | CER | pictures/s, median epoch | seconds, all |",
        "|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        runs = [run for run in result["runs"] if run["way"] == way]
        if not runs:
            continue
        exact_matches = [run["test"]["exact_match"] for run in runs]
        cer = statistics.mean(run["test"]["cer"] for run in runs)
        rate, seconds = (statistics.mean(run[key] for run in runs) for key in ("pictures_s", "seconds"))
        shares = ", ".join(f"{value:.1%}" for value in exact_matches)
        lines.append(
            f"| {way} | {shares} | {statistics.mean(exact_matches):.1%} | {cer:.2%} | {rate:.0f} | {seconds:.0f} |"
        )
    if lost_seconds := [run["lost_s"] for run in result["runs"] if run["lost_s"]]:
        lines += [
            "",
            f"From the loss to the next finished epoch: {', '.join(f'{value:.0f}' for value in lost_seconds)} s.",
        ]
    return "\n".join([*lines, "", *machine_lines([result])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=None, help="data.yaml of a converted set; captcha-v2 is converted")
    add_data_and_out(parser, "across_machines")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32, help="of both processes together")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    args = parse_arguments(parser)
    data = args.set.resolve() if args.set else converted_set(args)
    path = args.out / "across_machines.json"
    if path.is_file():
        result = json.loads(path.read_text(encoding="utf-8"))
    else:
        result = {"set": data.parent.name, "epochs": args.epochs, "batch": args.batch, "machine": machine(), "runs": []}
    for seed in args.seeds:
        for way in args.ways:
            if not any(run["way"] == way and run["seed"] == seed for run in result["runs"]):
                result["runs"].append(train(way, data, args.out / f"{WAYS.index(way)}-{seed}", args, seed))
                write_json(path, result)
    print(table(result))


def converted_set(args: argparse.Namespace) -> Path:
    """Convert captcha-v2 unless that was done; return its data.yaml."""
    import detector

    folder = args.out / "captcha-v2"
    if not (folder / "data.yaml").is_file():
        detector.convert(args.data / "captcha-v2" / "labels.csv", folder, device="cpu")
    return folder / "data.yaml"


if __name__ == "__main__":
    main()
