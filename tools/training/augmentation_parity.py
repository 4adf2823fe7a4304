"""Whether the ways to follow the augmentation policy train equally well: the same reader, three seeds, each way.

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
import logging
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

import detector
from detector.training.augment import on_cpu as augment_opencv
from detector.training.augment import on_gpu as augment_torch
from tools.results import DATA, ROOT, machine, machine_lines, read_results, write_json
from tools.training.real_sets import SETS, score

WAYS = {"Albumentations, a picture": "picture", "plan, OpenCV": "device", "plan, torch": "device"}
"""Ways to augment, and the argument ``augment`` of each."""


@contextlib.contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """The plan carried out by torch, as on a GPU, while everything else stays on the CPU."""

    def apply(plan: Any, images: Sequence[Any]) -> Any:
        stacked = torch.stack([torch.from_numpy(image[..., ::-1].copy()) for image in images]).permute(
            0, 3, 1, 2
        )  # RGB
        changed = augment_torch.apply(plan, stacked.float() / 255)
        return np.ascontiguousarray((changed * 255).round().byte().permute(0, 2, 3, 1).numpy()[..., ::-1])

    with mock.patch.object(augment_opencv, "apply", apply):
        yield


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Convert once, train each way with each seed, read the held-out fifth."""
    place, facts = args.out / name, args.out / f"{name}.json"
    if facts.is_file():
        result = json.loads(facts.read_text())
    else:
        detector.convert(args.data.resolve() / name / "labels.csv", place / "set", overwrite=True)
        result = {"set": name, "epochs": args.epochs, "machine": machine(), "runs": []}
    finished = {(run["way"], run["seed"]) for run in result["runs"]}
    for seed in args.seeds:
        for way, augment in WAYS.items():
            if (way, seed) in finished:
                continue
            start_time = time.perf_counter()
            run = f"{'torch' if way.endswith('torch') else augment}-{seed}"
            with contextlib.chdir(place), as_on_a_gpu() if way.endswith("torch") else contextlib.nullcontext():
                weights = detector.train(
                    place / "set" / "data.yaml", epochs=args.epochs, name=run, seed=seed, augment=augment, exist_ok=True
                ).path.resolve()
            minutes = (time.perf_counter() - start_time) / 60
            test = score(weights, place / "set" / "data.yaml")
            result["runs"].append({"way": way, "seed": seed, "test": test, "minutes": minutes})
            write_json(facts, result)
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line a set and way."""
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
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "augmentation_parity", help="folder to work in")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.threads:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # training measures otherwise
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        run_set(name, args)
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
