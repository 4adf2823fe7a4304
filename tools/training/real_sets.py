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
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import detector
from tools.arguments import add_data_and_out, parse_arguments
from tools.results import error_facts, figures_of, machine, machine_lines, measure_once, read_results
from tools.sets import source_of

SETS = ("captcha-v2", "plates-vn8", "captcha-generic-8")
MIN_TRAINING_MINUTES = 0.5  # also where conversion took all of --minutes


def discard_work(root: Path) -> None:
    """Delete what earlier conversions to ``root`` keep, so that the next one does all of the work."""
    for leftover in (root / "work", root.with_name(root.name + ".part")):
        shutil.rmtree(leftover, ignore_errors=True)


def convert_stage(source: Path, folder: Path, name: str, args: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """Convert a set; return its data.yaml, and figures of the conversion."""
    discard_work(folder / name)
    report = detector.convert(source, folder / name, overwrite=True, train_scale=args.train_scale, seed=args.seed)
    return report.data_yaml.resolve(), conversion_figures(report) | {"input_hw": report.config.shape_hw}


def conversion_figures(report: detector.ConversionReport) -> dict[str, Any]:
    """Return the numbers of a conversion's inputs by outcome, and the shares of labels that were read."""
    return {
        "inputs": report.inputs, "refused": report.refused, "reasons": dict(report.reasons),
        "suspects": report.suspects, "splits": report.splits, "explained": report.explained,
    }  # fmt: skip


def train_stage(data: Path, folder: Path, name: str, minutes: float, from_scratch: bool, seed: int) -> Path:
    """Train on the set ``data`` for so many minutes; return the weights, which are in ``folder``/weights."""
    from detector.networks.shipped import NETWORK

    shutil.rmtree(folder / "runs" / name, ignore_errors=True)  # otherwise the run would get another name
    model = {"model": str(NETWORK)} if from_scratch else {}
    return train_in(folder, data, time=minutes / 60, name=name, seed=seed, **model)


def train_in(folder: Path, data: Path, **arguments: Any) -> Path:
    """Train with ``arguments`` of :func:`detector.train`; return the weights, in ``folder``/weights."""
    result = detector.train(data, project=folder / "runs", weights=folder / "weights", **arguments)
    return result.path.resolve()


def score(weights: Path, data: Path) -> dict[str, Any]:
    """Return the figures of weights on the split "test", the held-out fifth with its doubtful pictures."""
    return figures_of(detector.evaluate(detector.Reader(weights), data, split="test"))


def run_set(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Convert, train and evaluate; return all figures, or those up to the error that ended it."""
    result: dict[str, Any] = {
        "set": name, "from_scratch": args.from_scratch, "seed": args.seed, "budget_minutes": args.minutes,
        "train_scale": args.train_scale, "minutes": {}, "machine": machine(),
    }  # fmt: skip
    minutes = result["minutes"]
    stage, start_time = "convert", time.perf_counter()

    def end_stage() -> float:
        """Record the minutes of the stage, start the next one's clock, and return them."""
        nonlocal start_time
        minutes[stage] = (time.perf_counter() - start_time) / 60
        start_time = time.perf_counter()
        return float(minutes[stage])

    try:
        source = source_of(name, args.data, folder)
        data, figures = convert_stage(source, folder, name, args)
        result |= figures
        minutes_left = max(args.minutes - end_stage(), MIN_TRAINING_MINUTES)
        stage = "train"
        weights = train_stage(data, folder, name, minutes_left, args.from_scratch, args.seed)
        end_stage()
        stage = "evaluate"
        result["test"] = score(weights, data)
    except Exception as error:  # any failure of one set is a line of the table; the others are run all the same
        result["error"] = {"stage": stage, **error_facts(error)}
    end_stage()
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set."""
    lines = [
        "| set | inputs | refused | suspects | train / val / test | labels read: shipped, then by self-training "
        "| exact match on test (95 %) | CER | minutes: convert + train | start |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(result) for result in results] + ["", *machine_lines(results)])


def _line(result: dict[str, Any]) -> str:
    minutes, splits = result["minutes"], result.get("splits", {})
    counts = " / ".join(str(splits[s]) for s in ("train", "val", "test")) if splits else "-"
    explained = ", ".join(f"{share:.1%}" for share in result["explained"]) if splits else "-"
    minutes_cell = " + ".join(f"{minutes[stage]:.1f}" for stage in ("convert", "train") if stage in minutes)
    cells = [result["set"], *(result.get(key, "-") for key in ("inputs", "refused", "suspects")), counts, explained]
    if "error" in result:
        error = result["error"]
        cells += [f"none: {error['kind']} in {error['stage']}", "-"]
    else:
        test = result["test"]
        low, high = test["interval_95"]
        cells.append(f"**{test['exact_match']:.1%}** ({low:.1%} to {high:.1%}, n={test['count']})")
        cells.append(f"{test['cer']:.2%}")
    cells += [minutes_cell, "scratch" if result["from_scratch"] else "shipped weights"]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    add_data_and_out(parser, "real_sets")
    parser.add_argument("--minutes", type=float, default=10.0, help="of conversion and training together, a set")
    parser.add_argument("--train-scale", type=float, default=1.0, help="as convert's")
    parser.add_argument("--from-scratch", action="store_true", help="train from random weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="run sets that are done already, too")
    args = parse_arguments(parser)
    for name in args.sets:
        folder = args.out / ("from-scratch" if args.from_scratch else "from-shipped")
        folder.mkdir(exist_ok=True)
        path = args.out / f"{name}{'.scratch' if args.from_scratch else ''}.json"
        measure_once(path, args.again, partial(run_set, name, folder, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
