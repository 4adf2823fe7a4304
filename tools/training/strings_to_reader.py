"""Seconds from strings to a reader with the exact match --target: conversion and training on the wall clock.

    python tools/training/strings_to_reader.py [--set captcha-v2] [--target 0.95] [--epochs 0 1 2 3 5 8 12 20]
        [--train NAME=VALUE]

Converts the set, anew each time, and trains for the first of --epochs, where 0 takes the weights that the conversion
itself left, or else the shipped ones; if the reader gets fewer than --target of the held-out fifth right, it does the
same with the next. The result is the time of the first that is good enough, from its strings to its weights, without
the tries before it. Only public functions of the package are used: another commit is measured by the same file,
`PYTHONPATH=OTHER python tools/training/strings_to_reader.py`. Run it on an idle machine. Prints a line a try, and
leaves OUT.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import time
from pathlib import Path

import detector
from tools.arguments import add_data_and_out, parse_arguments
from tools.results import machine, write_json


def measure(source: Path, folder: Path, epochs: int, arguments: dict[str, str]) -> dict[str, float]:
    """Convert, train with ``arguments`` and evaluate on the held-out fifth; return seconds and exact match."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start_time = time.perf_counter()
    data = Path(detector.convert(source, folder / "set").data_yaml).resolve()
    convert_end = time.perf_counter()
    if epochs:
        with contextlib.chdir(folder):  # older commits have no arguments for folders
            weights = detector.train(data, epochs=epochs, name="reader", **arguments).path.resolve()
    else:
        learnt = data.with_name("reader.pt")
        weights = learnt if learnt.is_file() else None
    train_end = time.perf_counter()
    score = detector.evaluate(detector.Reader(weights), data, split="test").to_dict()
    return {
        "epochs": epochs, "convert_s": convert_end - start_time, "train_s": train_end - convert_end,
        "seconds": train_end - start_time, "exact_match": score["exact_match"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="captcha-v2")
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--epochs", nargs="+", type=int, default=[0, 1, 2, 3, 5, 8, 12, 20])
    parser.add_argument("--train", nargs="*", default=[], help="further NAME=VALUE, as augment=picture")
    add_data_and_out(parser, "strings_to_reader")
    args = parse_arguments(parser)
    arguments = dict(pair.split("=", 1) for pair in args.train)
    tries: list[dict[str, float]] = []
    for epochs in args.epochs:
        tries.append(measure(args.data / args.set / "labels.csv", args.out / args.set, epochs, arguments))
        print(tries[-1], flush=True)
        if tries[-1]["exact_match"] >= args.target:
            break
    result = {"set": args.set, "target": args.target, "tries": tries, "machine": machine()}
    write_json(args.out / f"{args.set}.json", result)


if __name__ == "__main__":
    main()
