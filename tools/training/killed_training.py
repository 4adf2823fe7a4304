"""Training that is killed at random moments and continued: what is wrong with its results.

    python tools/training/killed_training.py [--kills 50]

A small artificial set is converted once and trained on once without a kill, which shows how long a run takes and when
its folder appears. Then runs are killed (SIGKILL) at moments drawn between these two, and continued: by `detector train
resume=RUN` if the run has a folder, otherwise by the first command. A run that reaches its end is checked, and the next
one begins, until there were --kills: a process that ends with an error, a run without exactly one file of weights that
reads, an epoch that is missing from its table or there twice, and a partly written file are failures.
Leaves OUT/kills.json, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
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
from tools.arguments import add_out, parse_arguments
from tools.processes import start_logged
from tools.results import machine, machine_lines, read_epochs, write_json

NAME = "killed"
PHASES = ("before the first checkpoint", "between epochs", "after the last epoch")


def converted_set(out: Path, pictures: int, seed: int) -> Path:
    """Draw and convert a set unless that was done; return its folder."""
    root = out / "set"
    if not root.exists():
        config = detector.SynthConfig(size_wh=(96, 32), length=4, styles=("plain",), seed=seed)
        shutil.rmtree(out / "drawn", ignore_errors=True)
        detector.write_set(config, out / "drawn", pictures)
        detector.convert(out / "drawn" / "labels.csv", root, length=4, device="cpu")
    return root


def start(folder: Path, root: Path, epochs: int) -> subprocess.Popen[bytes]:
    """Start ``detector train`` in ``folder``, for a new run or to continue the one that is there."""
    arguments = [
        f"data={root}",
        f"name={NAME}",
        f"epochs={epochs}",
        "batch=16",
        "imgsz=96",
        "device=cpu",
        "exist_ok=True",
    ]
    run = folder / "runs" / NAME
    if (run / "args.yaml").exists():
        arguments = [f"resume={run}"]
    return start_logged([sys.executable, "-m", "detector", "train", *arguments], folder, folder / "log.txt")


def epochs_of(run: Path) -> list[int]:
    """Return the epochs of a run's table, in its order."""
    return [int(row["epoch"]) for row in read_epochs(run) if row["epoch"]]


def phase(run: Path, epochs: int) -> str:
    """Return which of PHASES a run was stopped in, by the files of its folder."""
    if not (run / "weights" / "last.pt").exists():
        return PHASES[0]
    return PHASES[2] if epochs in epochs_of(run) else PHASES[1]


def is_finished(run: Path) -> bool:
    """Return whether a run has recorded that its weights are published: killed after that, it needs no more."""
    published = Published.read(run)
    return published is not None and published.done


def problems(folder: Path, root: Path, epochs: int) -> list[str]:
    """List what is wrong with a run that reached its end."""
    failures = []
    weights = sorted(p.name for p in (folder / "weights").glob("*"))
    if weights != [f"{NAME}.pt"]:
        failures.append(f"weights are {weights}")
    if (epoch_list := epochs_of(folder / "runs" / NAME)) != list(range(1, epochs + 1)):
        failures.append(f"epochs are {epoch_list}")
    if parts := [str(p.relative_to(folder)) for p in folder.rglob("*.part")]:
        failures.append(f"partly written: {parts}")
    reader = detector.Reader(folder / "weights" / f"{NAME}.pt", device="cpu", backend="torch")
    pictures = sorted((root / "images" / "val").iterdir())
    if not all(isinstance(reader.read(path).text, str) for path in pictures):
        failures.append("the weights do not read")
    return failures


def measure_whole_run(folder: Path, root: Path, epochs: int) -> tuple[float, float]:
    """Train without a kill; return the seconds until the run's folder is there, and until its end."""
    start_time, folder_seconds = time.perf_counter(), 0.0
    process = start(folder, root, epochs)
    while process.poll() is None:
        if not folder_seconds and (folder / "runs" / NAME).exists():
            folder_seconds = time.perf_counter() - start_time
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"the run without a kill ended with {process.returncode}: {folder / 'log.txt'}")
    return folder_seconds, time.perf_counter() - start_time


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Kill and continue runs, one after another, until there were --kills; return the counts and failures."""
    root = converted_set(args.out, args.pictures, args.seed)
    runs = args.out / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    (runs / "whole").mkdir(parents=True)
    folder_seconds, seconds = measure_whole_run(runs / "whole", root, args.epochs)
    failures = [f"whole: {problem}" for problem in problems(runs / "whole", root, args.epochs)]
    rng, kills_by_phase, run_count, kills = random.Random(args.seed), Counter[str](), 0, 0
    while kills < args.kills:
        folder = runs / f"{run_count:03d}"
        folder.mkdir(exist_ok=True)
        process = start(folder, root, args.epochs)
        try:
            process.wait(rng.uniform(0.9 * folder_seconds, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            phase_name = phase(folder / "runs" / NAME, args.epochs)
            kills_by_phase[phase_name] += 1
            print(f"kill {kills}, run {run_count}: {phase_name}", flush=True)
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
        run_count += 1
    return {
        "pictures": args.pictures, "epochs": args.epochs, "seed": args.seed, "kills": kills,
        "where": dict(kills_by_phase), "runs": run_count, "failures": failures, "seconds": seconds,
        "machine": machine(),
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Return a Markdown table of the kills by phase, with the failures."""
    lines = ["| killed | times |", "|---|---|", *(f"| {phase} | {result['where'].get(phase, 0)} |" for phase in PHASES)]
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
    add_out(parser, "killed_training")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures and of the moments")
    args = parse_arguments(parser)
    result = measure(args)
    write_json(args.out / "kills.json", result)
    print(table(result))


if __name__ == "__main__":
    main()
