"""One stage of the shipped weights on a GPU within a time limit: measure, then train for the remaining time.

    python tools/weights/gpu_stage.py OUT [--minutes 13] [--start detector/networks/weights/detector.pt]
        [--words FILE] [--digits FOLDER] [--seed 20] [--count 1200000]

1. `tools/training/gpu_training.py --compile` and `tools/peers/reading_speed.py --no-peers`, which write their JSON into
   OUT; --no-measure leaves them out.
2. A store is drawn into memory (/dev/shm) by all cores but three, while training continues from --start on the part
   that is drawn, until the minutes are over: OUT/detector.pt.
3. `tools/peers/zero_shot.py --no-peers` scores the new weights on the sets in --data.

A step that fails is reported, and the next one runs. Without CUDA, training runs on the CPU for --minutes, on a small
store that is drawn first; this is for testing the script.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from detector.networks.shipped import SHIPPED
from tools.processes import environment
from tools.results import DATA

SCORING_MINUTES = 0.5  # reserved for zero_shot.py


def run(*command: object, seconds: float, env: dict[str, str] | None = None) -> bool:
    """Run a tool of this repository for at most ``seconds``, print the outcome, and return whether it succeeded."""
    command_line = " ".join(map(str, command))
    start = time.perf_counter()
    try:
        process = subprocess.run([sys.executable, *map(str, command)], timeout=max(1.0, seconds), env=env, check=False)
        outcome = f"exit code {process.returncode}" if process.returncode else "done"
    except subprocess.TimeoutExpired:
        outcome = "stopped: its time was over"
    print(f"{command_line}: {outcome} after {time.perf_counter() - start:.0f} s", flush=True)
    return outcome == "done"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=13.0, help="of the whole")
    parser.add_argument("--start", type=Path, default=SHIPPED)
    parser.add_argument("--words", type=Path, default=None)
    parser.add_argument("--digits", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--count", type=int, default=1_200_000, help="pictures of the store, at most")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--no-measure", action="store_true")
    args = parser.parse_args()
    deadline = time.perf_counter() + 60 * args.minutes

    def remaining_seconds() -> float:
        return deadline - time.perf_counter()

    args.out.mkdir(parents=True, exist_ok=True)
    env = environment()
    cuda = torch.cuda.is_available()
    if not args.no_measure:
        work = args.out / "gpu"
        run("tools/training/gpu_training.py", "--compile", "--epochs", 1, "--pictures", 10_000, "--work", work,
            seconds=min(240, 0.3 * remaining_seconds()), env=env)  # fmt: skip
        run("tools/peers/reading_speed.py", "--no-peers", "--out", args.out / "reading_speed.json",
            seconds=min(90, 0.15 * remaining_seconds()), env=env)  # fmt: skip
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="store-", dir=memory if memory.is_dir() else None))
    extra = [part for name in ("words", "digits") if (value := getattr(args, name)) for part in (f"--{name}", value)]
    count = args.count if cuda else min(args.count, 4000)
    workers = max(1, (os.cpu_count() or 1) - 3) if cuda else None
    store = folder / "store"
    drawing = [sys.executable, "tools/weights/synth_store.py", store, "--count", count, "--seed", args.seed, *extra]
    drawing += ["--workers", workers] if workers else []
    try:
        with subprocess.Popen([str(part) for part in drawing], env=env, stdout=subprocess.DEVNULL) as process:
            if not cuda:
                process.wait()
            while not (store / "drawn.npy").exists() and process.poll() is None:
                time.sleep(0.2)
            minutes = remaining_seconds() / 60 - SCORING_MINUTES
            options = ("--device", "cuda", "--batch", 512, "--lr", 3e-3) if cuda else ("--lr", 1e-3)
            options += ("--start", args.start, "--minutes", f"{minutes:.2f}", "--seed", args.seed)
            command = ("tools/weights/train_detector.py", store, args.out / "detector.pt", *options)
            run(*command, seconds=60 * minutes + 30, env=env)
            process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    run("tools/peers/zero_shot.py", "--no-peers", "--weights", args.out / "detector.pt", "--data", args.data,
        "--out", args.out / "zero_shot.json", seconds=max(30.0, remaining_seconds()), env=env)  # fmt: skip


if __name__ == "__main__":
    main()
