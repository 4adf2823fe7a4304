"""A stage of the shipped weights on a GPU machine that is lent for minutes: measure first, then train until the end.

    python tools/weights/gpu_stage.py OUT [--minutes 13] [--start detector/networks/weights/detector.pt]
        [--words FILE] [--digits FOLDER] [--seed 20] [--count 1200000]

1. `tools/training/gpu_training.py --compile` and `tools/peers/reading_speed.py --no-peers`, which write their JSON into
   OUT; --no-measure leaves them out.
2. A store is drawn in memory (/dev/shm) by all cores but three, and training goes on from --start on what is drawn so
   far, until the minutes are over: OUT/detector.pt. What fails is said, and the rest goes on.
3. `tools/peers/zero_shot.py --no-peers` of the new weights, where the sets lie in --data.

Without CUDA it trains on the CPU for --minutes, from a small store that is drawn first: to try the script.
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
from tools.results import DATA, ROOT

LEFT_FOR_SCORES = 0.5  # minutes


def run(*command: object, seconds: float, env: dict[str, str] | None = None) -> bool:
    """Run a tool of this repository; it is stopped after ``seconds``. Say what failed and go on."""
    shown = " ".join(map(str, command))
    began = time.perf_counter()
    try:
        ended = subprocess.run([sys.executable, *map(str, command)], timeout=max(1.0, seconds), env=env, check=False)
        said = f"exit code {ended.returncode}" if ended.returncode else "done"
    except subprocess.TimeoutExpired:
        said = "stopped: its time was over"
    print(f"{shown}: {said} after {time.perf_counter() - began:.0f} s", flush=True)
    return said == "done"


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
    ends = time.perf_counter() + 60 * args.minutes

    def left() -> float:
        return ends - time.perf_counter()

    args.out.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    cuda = torch.cuda.is_available()
    if not args.no_measure:
        work = args.out / "gpu"
        run("tools/training/gpu_training.py", "--compile", "--epochs", 1, "--pictures", 10_000, "--work", work,
            seconds=min(240, 0.3 * left()), env=env)  # fmt: skip
        run("tools/peers/reading_speed.py", "--no-peers", "--out", args.out / "reading_speed.json",
            seconds=min(90, 0.15 * left()), env=env)  # fmt: skip
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="store-", dir=memory if memory.is_dir() else None))
    extra = [part for name in ("words", "digits") if (value := getattr(args, name)) for part in (f"--{name}", value)]
    count = args.count if cuda else min(args.count, 4000)
    workers = max(1, (os.cpu_count() or 1) - 3) if cuda else None
    store = folder / "store"
    drawing = [sys.executable, "tools/weights/synth_store.py", store, "--count", count, "--seed", args.seed, *extra]
    drawing += ["--workers", workers] if workers else []
    try:
        with subprocess.Popen([str(part) for part in drawing], env=env, stdout=subprocess.DEVNULL) as drawn:
            if not cuda:
                drawn.wait()
            while not (store / "drawn.npy").exists() and drawn.poll() is None:
                time.sleep(0.2)
            minutes = left() / 60 - LEFT_FOR_SCORES
            how = ("--device", "cuda", "--batch", 512, "--lr", 3e-3) if cuda else ("--lr", 1e-3)
            how += ("--start", args.start, "--minutes", f"{minutes:.2f}", "--seed", args.seed)
            command = ("tools/weights/train_detector.py", store, args.out / "detector.pt", *how)
            run(*command, seconds=60 * minutes + 30, env=env)
            drawn.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    run("tools/peers/zero_shot.py", "--no-peers", "--weights", args.out / "detector.pt", "--data", args.data,
        "--out", args.out / "zero_shot.json", seconds=max(30.0, left()), env=env)  # fmt: skip


if __name__ == "__main__":
    main()
