"""Pictures/s of a GPU that trains the shipped network at 256x64, beside its own limit and beside plain `yolo train`.

    python tools/training/gpu_training.py [--set SET] [--pictures 20000] [--batch 128,256,512] [--compile] [--no-yolo]

For each batch size: pictures/s of training with the packed store and augmentation on the device, pictures/s of the
same step on one repeated batch (the limit), memory, and the seconds of an epoch of 105,000. Then epochs of `yolo train`
on the same set, with its defaults. Power is what nvidia-smi reports meanwhile. Without --set, artificial pictures are
drawn in --work. Without CUDA it prints what is skipped, and runs nothing. Prints Markdown, and writes
WORK/gpu_training.json.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch

from detector.networks.shipped import SHIPPED
from detector.training.profiling.measure import profile
from tools.results import machine, read_epochs, write_json
from tools.sets import artificial_set

EPOCH_PICTURES = 105_000
YOLO = "from ultralytics.cfg import entrypoint; entrypoint()"  # where the command `yolo` is not on the path


class Power:
    """Context manager that samples the power of the GPU, in watts, each half second."""

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
        """Median of the samples; None if there is none."""
        return statistics.median(self.watts) if self.watts else None


def measure_own(data: Path, batch: int, args: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of training with this package, after a short run that warms the machine up."""
    profile(data, batch=batch, device="0", seconds=0.5)
    torch.cuda.reset_peak_memory_stats()
    with Power() as power:
        training_profile = profile(data, batch=batch, device="0", seconds=args.seconds)
    return {
        **training_profile.to_dict(),
        "limit_per_s": 1e3 * training_profile.batch / training_profile.limit_ms,
        "epoch_of_105000_s": EPOCH_PICTURES / training_profile.images_per_s,
        "memory_gb": torch.cuda.max_memory_reserved() / 1e9,
        "watts": power.median,
    }


def whole_run(command: list[str], folder: Path, pictures: int) -> dict[str, Any]:
    """Run a command that trains; return the pictures/s of a median epoch after the first, validation included.

    Args:
        command: ends with ``name=NAME``, the name of the run.
        folder: to run it in.
        pictures: in an epoch.
    """
    start_time = time.perf_counter()
    name = command[-1].removeprefix("name=")
    with Power() as power, (folder / f"{name}.txt").open("w") as log:
        subprocess.run(command, cwd=folder, check=True, stdout=log, stderr=log, env={**os.environ, "YOLO_OFFLINE": "1"})
    (results_file,) = folder.glob(f"**/{name}/results.csv")
    ends = [float(row["time"]) for row in read_epochs(results_file.parent)]
    seconds = statistics.median([end - start for start, end in itertools.pairwise(ends)] or ends)
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
    path = args.work / "gpu_training.json"
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
        write_json(path, result)
    best = max(result["ours"], key=lambda batch: result["ours"][batch]["images_per_s"])
    arguments = [f"data={data}", f"epochs={args.epochs}", "device=0"]
    train_command = [sys.executable, "-m", "detector", "train", *arguments, f"batch={best}"]
    commands = {"detector train": [*train_command, "name=ours"]}
    if args.compile:
        commands["detector train compile=True"] = [*train_command, "compile=True", "name=compiled"]
    if not args.no_yolo:
        yolo_command = [sys.executable, "-c", YOLO, "train", *arguments, f"model={SHIPPED}", "imgsz=256"]
        commands["yolo train"] = [
            *yolo_command,
            "plots=False",
            "amp=bf16",
            f"project={args.work.resolve()}",
            "name=yolo",
        ]
    print("\n| whole epochs, validation included | pictures/s | an epoch, s | W |\n|---|---|---|---|")
    for name, command in commands.items():
        figures = result["runs"][name] = whole_run(command, args.work, pictures)
        print(f"| {name} | {figures['images_per_s']:.0f} | {figures['epoch_s']:.2f} | {figures['watts']} |", flush=True)
        write_json(path, result)


if __name__ == "__main__":
    main()
