"""How long it takes from strings to a reader that is right so often: conversion and training on the wall clock.

    python tools/training/strings_to_reader.py [--set captcha-v2] [--target 0.95] [--epochs 1 2 3 5 8 12 20]
        [--train NAME=VALUE]

Converts the set, anew each time, and trains for the first of --epochs; if the reader gets fewer than --target of the
held-out fifth right, it does the same with the next. What is told is the time of the first that is good enough, from
its strings to its weights, without the tries before it. It uses nothing but the package's functions: another commit is
measured by the same file, `PYTHONPATH=OTHER python tools/training/strings_to_reader.py`. Run it on an idle
machine. Prints a line a try, and leaves OUT.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import time
from pathlib import Path

import detector
from tools.results import DATA, ROOT, machine, write_json


def one_try(source: Path, folder: Path, epochs: int, train: dict[str, str]) -> dict[str, float]:
    """Strings to weights, then the held-out fifth."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start_time = time.perf_counter()
    data = Path(detector.convert(source, folder / "set").data_yaml).resolve()
    converted = time.perf_counter()
    with contextlib.chdir(folder):
        weights = detector.train(data, epochs=epochs, name="reader", **train).path.resolve()
    trained = time.perf_counter()
    score = detector.evaluate(detector.Reader(weights), data, split="test").to_dict()
    return {
        "epochs": epochs, "convert_s": converted - start_time, "train_s": trained - converted,
        "seconds": trained - start_time, "exact_match": score["exact_match"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="captcha-v2")
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--epochs", nargs="+", type=int, default=[1, 2, 3, 5, 8, 12, 20])
    parser.add_argument("--train", nargs="*", default=[], help="further NAME=VALUE, as augment=picture")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "strings_to_reader", help="folder to work in")
    args = parser.parse_args()
    out, tries = args.out.resolve(), []
    for epochs in args.epochs:
        choice = dict(pair.split("=", 1) for pair in args.train)
        tries.append(one_try(args.data.resolve() / args.set / "labels.csv", out / args.set, epochs, choice))
        print(tries[-1], flush=True)
        if tries[-1]["exact_match"] >= args.target:
            break
    write_json(out / f"{args.set}.json", {"set": args.set, "target": args.target, "tries": tries, "machine": machine()})


if __name__ == "__main__":
    main()
