"""Exact match of the same reader trained with each executor of the augmentation policy, with three seeds each.

    python tools/training/augmentation_parity.py [--sets captcha-v2] [--epochs 15] [--seeds 0 1 2] [--threads 1]

One conversion a set; then each way trains with each seed from the shipped weights, with the same epochs, and reads
the held-out fifth: Albumentations a picture at a time (augment=picture, the reference), and the batched plan by
OpenCV, the default on a CPU, and by torch, as a GPU does it, here on the CPU. Leaves OUT/SET.json, which it goes on
from, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

import detector
from detector.training.augment import on_cpu as augment_opencv
from detector.training.augment import on_gpu as augment_torch
from tools.arguments import add_data_and_out, parse_arguments
from tools.results import machine, machine_lines, read_results, write_json
from tools.training.real_sets import SETS, score, train_in

WAYS = {"Albumentations, a picture": "picture", "plan, OpenCV": "device", "plan, torch": "device"}
"""Ways to augment, and the argument ``augment`` of each."""


@contextlib.contextmanager
def augmenting_with_torch() -> Iterator[None]:
    """Carry out the plan by torch, as on a GPU, while everything else stays on the CPU."""

    def apply(plan: Any, images: Sequence[Any]) -> Any:
        rgb = torch.from_numpy(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2)  # (n, 3, H, W)
        augmented = augment_torch.apply(plan, rgb.float() / 255)
        return np.ascontiguousarray((augmented * 255).round().byte().permute(0, 2, 3, 1).numpy()[..., ::-1])

    with mock.patch.object(augment_opencv, "apply", apply):
        yield


def run_set(name: str, args: argparse.Namespace) -> None:
    """Convert a set once, train it each way with each seed, and read the held-out fifth; write each run's figures."""
    folder, path = args.out / name, args.out / f"{name}.json"
    data = folder / "set" / "data.yaml"
    if path.is_file():
        result = json.loads(path.read_text(encoding="utf-8"))
    else:
        detector.convert(args.data / name / "labels.csv", data.parent, overwrite=True)
        result = {"set": name, "epochs": args.epochs, "machine": machine(), "runs": []}
    finished = {(run["way"], run["seed"]) for run in result["runs"]}
    for seed in args.seeds:
        for way, augment in WAYS.items():
            if (way, seed) in finished:
                continue
            start_time = time.perf_counter()
            is_torch = way.endswith("torch")
            run_name = f"{'torch' if is_torch else augment}-{seed}"
            with augmenting_with_torch() if is_torch else contextlib.nullcontext():
                weights = train_in(
                    folder, data, epochs=args.epochs, name=run_name, seed=seed, augment=augment, exist_ok=True
                )
            minutes = (time.perf_counter() - start_time) / 60
            result["runs"].append({"way": way, "seed": seed, "test": score(weights, data), "minutes": minutes})
            write_json(path, result)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set and way."""
    lines = [
        "| set | augmentation | epochs | exact match on the held-out fifth, a seed each | mean | CER, mean | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for way in WAYS:
            runs = [run for run in result["runs"] if run["way"] == way]
            shares = ", ".join(f"{run['test']['exact_match']:.1%}" for run in runs)
            mean, cer = (statistics.mean(run["test"][key] for run in runs) for key in ("exact_match", "cer"))
            minutes = statistics.mean(run["minutes"] for run in runs)
            lines.append(
                f"| {result['set']} | {way} | {result['epochs']} | {shares} | {mean:.1%} | {cer:.2%} | {minutes:.1f} |"
            )
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=["captcha-v2"], help=", ".join(SETS))
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=None)
    add_data_and_out(parser, "augmentation_parity")
    args = parse_arguments(parser)
    if args.threads:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # otherwise training measures how many are fastest
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    for name in args.sets:
        run_set(name, args)
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
