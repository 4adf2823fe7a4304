"""Training that is killed at random moments and goes on: what it ends in after fifty kills.

    python tools/training/killed_training.py [--kills 50]

A small artificial set is converted once and trained on once without a kill, which tells how long a run takes and when
its folder appears. Then runs are killed (SIGKILL) at moments drawn between these two, and gone on with: `detector train
resume=RUN` where the run has a folder, the first command again where not. A run that reaches its end is checked, and
the next one begins, until all kills are spent: a process that ends with an error, a run without exactly one file of
weights that reads, an epoch that is missing from its table or there twice, and anything half written are failures.
Leaves OUT/kills.json, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import detector
from detector.training.run_folder import Published
from tools.results import ROOT, machine, machine_lines, write_json

NAME = "killed"
PHASES = ("before the first checkpoint", "between epochs", "after the last epoch")


def converted(out: Path, pictures: int, seed: int) -> Path:
    """The set's folder."""
    root = out / "set"
    if not root.exists():
        config = detector.SynthConfig(size_wh=(96, 32), length=4, styles=("plain",), seed=seed)
        shutil.rmtree(out / "drawn", ignore_errors=True)
        detector.write_set(config, out / "drawn", pictures)
        detector.convert(out / "drawn" / "labels.csv", root, length=4, device="cpu")
    return root


def start(folder: Path, root: Path, epochs: int) -> subprocess.Popen[bytes]:
    """``detector train``, of a new run or of the one that is there."""
    new = [f"data={root}", f"name={NAME}", f"epochs={epochs}", "batch=16", "imgsz=96", "device=cpu"]
    run = folder / "runs" / NAME
    arguments = [f"resume={run}"] if (run / "args.yaml").exists() else [*new, "exist_ok=True"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "detector", "train", *arguments],
            cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log,
        )  # fmt: skip


def epochs_of(run: Path) -> list[int]:
    """The epochs of a run's table."""
    with (run / "results.csv").open(newline="", encoding="utf-8") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file) if row["epoch"]]


def phase(run: Path, epochs: int) -> str:
    """Where a run was stopped, as its folder tells."""
    if not (run / "weights" / "last.pt").exists():
        return PHASES[0]
    return PHASES[2] if epochs in epochs_of(run) else PHASES[1]


def is_finished(run: Path) -> bool:
    """Whether a run has said that its weights are published: killed after that, it needs no more."""
    published = Published.read(run)
    return published is not None and published.done


def problems(folder: Path, root: Path, epochs: int) -> list[str]:
    """What is wrong with a run that reached its end."""
    failures = []
    weights = sorted(p.name for p in (folder / "weights").glob("*"))
    if weights != [f"{NAME}.pt"]:
        failures.append(f"weights are {weights}")
    if (table := epochs_of(folder / "runs" / NAME)) != list(range(1, epochs + 1)):
        failures.append(f"epochs are {table}")
    if parts := [str(p.relative_to(folder)) for p in folder.rglob("*.part")]:
        failures.append(f"half written: {parts}")
    reader = detector.Reader(folder / "weights" / f"{NAME}.pt", device="cpu", backend="torch")
    pictures = sorted((root / "images" / "val").iterdir())
    if not all(isinstance(reader.read(path).text, str) for path in pictures):
        failures.append("the weights do not read")
    return failures


def undisturbed(folder: Path, root: Path, epochs: int) -> tuple[float, float]:
    """Seconds until a run's folder is there, and until its end."""
    start_time, appeared = time.perf_counter(), 0.0
    process = start(folder, root, epochs)
    while process.poll() is None:
        if not appeared and (folder / "runs" / NAME).exists():
            appeared = time.perf_counter() - start_time
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"the run that nobody stopped ended with {process.returncode}: {folder / 'log.txt'}")
    return appeared, time.perf_counter() - start_time


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All kills, run after run."""
    root = converted(args.out, args.pictures, args.seed)
    runs = args.out / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    (runs / "whole").mkdir(parents=True)
    appears, seconds = undisturbed(runs / "whole", root, args.epochs)
    failures = [f"whole: {problem}" for problem in problems(runs / "whole", root, args.epochs)]
    moment, stopped, ended, kills = random.Random(args.seed), Counter[str](), 0, 0
    while kills < args.kills:
        folder = runs / f"{ended:03d}"
        folder.mkdir(exist_ok=True)
        process = start(folder, root, args.epochs)
        try:
            process.wait(moment.uniform(0.9 * appears, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            place = phase(folder / "runs" / NAME, args.epochs)
            stopped[place] += 1
            print(f"kill {kills}, run {ended}: {place}", flush=True)
            finished = is_finished(folder / "runs" / NAME)
            if kills < args.kills and not finished:
                continue
            if not finished:
                process = start(folder, root, args.epochs)
                process.wait()
        if process.returncode and not is_finished(folder / "runs" / NAME):
            failures.append(f"{folder.name}: ended with {process.returncode}, see {folder / 'log.txt'}")
        else:
            failures += [f"{folder.name}: {problem}" for problem in problems(folder, root, args.epochs)]
        ended += 1
    return {
        "pictures": args.pictures, "epochs": args.epochs, "seed": args.seed, "kills": kills, "where": dict(stopped),
        "runs": ended, "failures": failures, "seconds": seconds, "machine": machine(),
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Where it was killed, and what came of it."""
    lines = ["| killed | times |", "|---|---|", *(f"| {p} | {result['where'].get(p, 0)} |" for p in PHASES)]
    lines += [
        "",
        f"{result['kills']} kills in {result['runs']} runs of {result['epochs']} epochs; "
        f"failures: {len(result['failures'])}",
        *result["failures"],
    ]
    return "\n".join([*lines, "", *machine_lines([result])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="in all runs together")
    parser.add_argument("--pictures", type=int, default=96, help="of the set")
    parser.add_argument("--epochs", type=int, default=30, help="of each run")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "killed_training", help="folder to work in")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures and of the moments")
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    result = measure(args)
    write_json(args.out / "kills.json", result)
    print(table(result))


if __name__ == "__main__":
    main()
