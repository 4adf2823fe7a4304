"""How fast a GPU trains the shipped network at 256x64, beside its own limit and beside plain `yolo train`.

    python tools/training/gpu_training.py [--set SET] [--pictures 20000] [--batch 128,256,512] [--compile] [--no-yolo]

For each batch size: pictures/s of training with the packed store and augmentation on the device, pictures/s of the
same step on one repeated batch (the limit), memory, and what an epoch of 105,000 takes. Then an epoch of `yolo train`
on the same set, as it is. Power is what nvidia-smi says meanwhile. Without --set, artificial pictures are made in
--work. Without CUDA it says what is skipped, and runs nothing. Prints Markdown and writes WORK/gpu_training.json.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from detector.networks.shipped import SHIPPED
from detector.training.profiling.measure import profile
from tools.results import machine
from tools.sets import artificial_set

QUESTION = 105_000  # pictures
YOLO = "from ultralytics.cfg import entrypoint; entrypoint()"  # where the command `yolo` is not on the path


class Power:
    """Watts, each half second while the block runs."""

    def __enter__(self) -> Power:
        self.watts: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        command_line = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
        while shutil.which(command_line[0]) and not self._stop.wait(0.5):
            output = subprocess.run(command_line, capture_output=True, text=True).stdout.split()
            if output and output[0].replace(".", "").isdigit():
                self.watts.append(float(output[0]))

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def median(self) -> float | None:
        return statistics.median(self.watts) if self.watts else None


def measure_own(data: Path, batch: int, args: argparse.Namespace) -> dict[str, Any]:
    """Training with this package, after one short run that warms the machine up."""
    profile(data, batch=batch, device="0", seconds=0.5)
    torch.cuda.reset_peak_memory_stats()
    with Power() as power:
        measured = profile(data, batch=batch, device="0", seconds=args.seconds)
    return {
        **measured.to_dict(),
        "limit_per_s": 1e3 * measured.batch / measured.limit_ms,
        "epoch_of_105000_s": QUESTION / measured.images_per_s,
        "memory_gb": torch.cuda.max_memory_reserved() / 1e9,
        "watts": power.median,
    }


def whole_run(command: list[str], folder: Path, pictures: int) -> dict[str, Any]:
    """Pictures/s of the epochs after the first, by the times in results.csv; validation counts."""
    start_time = time.perf_counter()
    with Power() as power, (folder / f"{command[-1].partition('=')[2]}.txt").open("w") as log:
        subprocess.run(command, cwd=folder, check=True, stdout=log, stderr=log, env={**os.environ, "YOLO_OFFLINE": "1"})
    name = next(part.partition("=")[2] for part in command if part.startswith("name="))
    (results_file,) = folder.glob(f"**/{name}/results.csv")
    with results_file.open(newline="") as file:
        times = [float({k.strip(): v for k, v in row.items()}["time"]) for row in csv.DictReader(file)]
    epochs = [b - a for a, b in itertools.pairwise(times)] or times
    seconds = statistics.median(epochs)
    return {
        "images_per_s": pictures / seconds, "epoch_s": seconds, "watts": power.median,
        "seconds": time.perf_counter() - start_time,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=None, help="data.yaml of a converted set")
    parser.add_argument("--work", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--pictures", type=int, default=20_000, help="artificial ones, where no set is given")
    parser.add_argument("--batch", default="128,256,512,1024")
    parser.add_argument("--seconds", type=float, default=5.0, help="a measurement")
    parser.add_argument("--epochs", type=int, default=3, help="of the whole runs, ours and yolo's")
    parser.add_argument("--compile", action="store_true", help="a whole run with compile=True too")
    parser.add_argument("--no-yolo", action="store_true", help="leave plain `yolo train` out")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("torch finds no CUDA device: skipped are training at all batch sizes, whole runs, memory and power.")
        return
    args.work.mkdir(parents=True, exist_ok=True)
    data = (args.set or artificial_set(args.work / f"set{args.pictures}", args.pictures)).resolve()
    result: dict[str, Any] = {"machine": machine(), "data": str(data), "ours": {}, "runs": {}}
    save: Callable[[], object] = lambda: (args.work / "gpu_training.json").write_text(json.dumps(result, indent=2))  # noqa: E731
    print(
        "| batch | pictures/s | limit | input's share | 105,000 in, s | memory, GB | W |\n|---|---|---|---|---|---|---|"
    )
    pictures = 0
    for batch in map(int, args.batch.split(",")):
        figures = result["ours"][batch] = measure_own(data, batch, args)
        pictures = figures["pictures"]
        print(
            f"| {batch} | {figures['images_per_s']:.0f} | {figures['limit_per_s']:.0f} | {figures['input_share']:.1%} "
            f"| {figures['epoch_of_105000_s']:.1f} | {figures['memory_gb']:.1f} | {figures['watts']} |",
            flush=True,
        )
        save()
    best = max(result["ours"], key=lambda b: result["ours"][b]["images_per_s"])
    train = [f"data={data}", f"epochs={args.epochs}", "device=0"]
    detector = [sys.executable, "-m", "detector", "train", *train, f"batch={best}"]
    runs = {"detector train": [*detector, "name=ours"]}
    if args.compile:
        runs["detector train compile=True"] = [*detector, "compile=True", "name=compiled"]
    if not args.no_yolo:
        yolo = [sys.executable, "-c", YOLO, "train", *train, f"model={SHIPPED}", "imgsz=256", "plots=False"]
        runs["yolo train"] = [*yolo, "amp=bf16", f"project={args.work.resolve()}", "name=yolo"]
    print("\n| whole epochs, validation included | pictures/s | an epoch, s | W |\n|---|---|---|---|")
    for name, command in runs.items():
        figures = result["runs"][name] = whole_run(command, args.work, pictures)
        print(f"| {name} | {figures['images_per_s']:.0f} | {figures['epoch_s']:.2f} | {figures['watts']} |", flush=True)
        save()


if __name__ == "__main__":
    main()
