"""The whole path on real pictures: strings in, boxes, a trained reader, exact match on the held-out fifth.

    python tools/training/real_sets.py [--sets captcha-v2 plates-vn8 captcha-generic-8] [--minutes 10] [--from-scratch]

For each set: convert, train, evaluate on the split "test", which is grouped by text. Conversion and training
together take at most --minutes a set; training gets what conversion left. With --from-scratch the network that is
trained starts from random weights; its boxes are those that the shipped detector locates all the same. Leaves
OUT/SET.json a set, and prints all of OUT as a Markdown table. A set that is there already is not run again without
--again.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import shutil
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detector
from detector.errors import DetectorError
from tools.results import DATA, ROOT, is_done, machine, machine_lines, read_results, write_json
from tools.sets import source_of

SETS = ("captcha-v2", "plates-vn8", "captcha-generic-8")
LEAST_TRAINING = 0.5  # minutes that training gets even where conversion took the whole budget


def forget(root: Path) -> None:
    """Drop what earlier conversions to ``root`` keep: the minutes are to be those of all the work."""
    for leftover in (root / "work", root.with_name(root.name + ".part")):
        shutil.rmtree(leftover, ignore_errors=True)


def convert_stage(source: Path, folder: Path, name: str, args: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """Convert; the set's data.yaml and what there is to say about it."""
    forget(folder / name)
    report = detector.convert(source, folder / name, overwrite=True, train_scale=args.train_scale, seed=args.seed)
    facts = {
        "inputs": report.inputs,
        "refused": report.refused,
        "reasons": dict(report.reasons),
        "suspects": report.suspects,
        "splits": report.splits,
        "explained": report.explained,
        "input_hw": report.config.shape_hw,
    }
    return report.data_yaml.resolve(), facts


def train_stage(data: Path, folder: Path, name: str, minutes: float, from_scratch: bool, seed: int) -> Path:
    """Train for so many minutes; the weights, in ``work``."""
    from detector.networks.shipped import NETWORK

    shutil.rmtree(folder / "runs" / name, ignore_errors=True)  # or the run would get another name
    model = {"model": str(NETWORK)} if from_scratch else {}
    with contextlib.chdir(folder):  # weights/ lands where one is
        return detector.train(data, time=minutes / 60, name=name, seed=seed, **model).path.resolve()


def score(weights: Path, data: Path) -> dict[str, Any]:
    """Exact match on the split "test": the held-out fifth, its doubtful pictures included."""
    result = detector.evaluate(detector.Reader(weights), data, split="test").to_dict()
    del result["confusions"]
    return result


def run_set(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One set from its strings to its score, or to the error that ended it."""
    result: dict[str, Any] = {
        "set": name, "from_scratch": args.from_scratch, "seed": args.seed, "budget_minutes": args.minutes,
        "train_scale": args.train_scale, "minutes": {}, "machine": machine(),
    }  # fmt: skip
    minutes = result["minutes"]
    stage, start_time = "convert", time.perf_counter()

    def ended() -> float:
        nonlocal start_time
        minutes[stage] = (time.perf_counter() - start_time) / 60
        start_time = time.perf_counter()
        return float(minutes[stage])

    try:
        source = source_of(name, args.data, folder)
        data, facts = convert_stage(source, folder, name, args)
        result |= facts
        minutes_left = max(args.minutes - ended(), LEAST_TRAINING)
        stage = "train"
        weights = train_stage(data, folder, name, minutes_left, args.from_scratch, args.seed)
        ended()
        stage = "evaluate"
        result["test"] = score(weights, data)
    except Exception as error:  # any failure of one set is a line of the table; the others are run all the same
        if not isinstance(error, DetectorError):
            traceback.print_exc()
        result["error"] = {"stage": stage, "kind": type(error).__name__, "message": str(error)}
    ended()
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line a set."""
    lines = [
        "| set | inputs | refused | suspects | train / val / test | labels read: shipped, then by self-training "
        "| exact match on test (95 %) | CER | minutes: convert + train | start |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(result) for result in results] + ["", *machine_lines(results)])


def _line(result: dict[str, Any]) -> str:
    spent, splits = result["minutes"], result.get("splits", {})
    counts = " / ".join(str(splits[s]) for s in ("train", "val", "test")) if splits else "-"
    explained = ", ".join(f"{share:.1%}" for share in result["explained"]) if splits else "-"
    took = " + ".join(f"{spent[stage]:.1f}" for stage in ("convert", "train") if stage in spent)
    cells = [result["set"], *(result.get(key, "-") for key in ("inputs", "refused", "suspects")), counts, explained]
    if "error" in result:
        error = result["error"]
        cells += [f"none: {error['kind']} in {error['stage']}", "-"]
    else:
        test = result["test"]
        low, high = test["interval_95"]
        cells.append(f"**{test['exact_match']:.1%}** ({low:.1%} to {high:.1%}, n={test['count']})")
        cells.append(f"{test['cer']:.2%}")
    cells += [took, "scratch" if result["from_scratch"] else "shipped weights"]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "real_sets", help="folder to work in")
    parser.add_argument("--minutes", type=float, default=10.0, help="of conversion and training together, a set")
    parser.add_argument("--train-scale", type=float, default=1.0, help="as convert's")
    parser.add_argument("--from-scratch", action="store_true", help="train from random weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="run sets that are done already, too")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        path = out / f"{name}{'.scratch' if args.from_scratch else ''}.json"
        if is_done(path) and not args.again:
            print(f"{name}: done already, see {path}", flush=True)
            continue
        folder = out / ("from-scratch" if args.from_scratch else "from-shipped")
        folder.mkdir(exist_ok=True)
        write_json(path, run_set(name, folder, args))
    print(table(read_results(out)))


if __name__ == "__main__":
    main()
