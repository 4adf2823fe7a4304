"""The learning curve: exact match on the held-out fifth against the number of labelled pictures.

    python tools/training/few_pictures.py [--sets captcha-v2] [--counts 48 100 200 400 800] [--minutes 5]

The held-out fifth of a set is the split "test" that convert would make of the whole set, grouped by text; every
point is scored on it. Of the rest, put in order by hash, a point of n pictures takes the first n, so each smaller
subset is part of each larger one; its tenth for validation comes out of these n. Training starts from
the shipped weights or, with --starts scratch, from random ones, on the same boxes; conversion and training together
take --minutes.

If the weights have a string model, the exact match without it is in brackets.

Leaves OUT/SET.COUNT.START.json a point, skips points that are there, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import detector
from detector.conversion.inputs import assign_splits
from detector.conversion.settings import TEST_SHARE, VAL_SHARE
from detector.data.labels.sources import LabelledImage, read_source
from tools.arguments import add_data_and_out, parse_arguments
from tools.results import error_facts, figures_of, machine, machine_lines, measure_once, read_results
from tools.sets import source_of, write_labels
from tools.training.real_sets import MIN_TRAINING_MINUTES, SETS, discard_work, train_stage

COUNTS = (48, 100, 200, 400, 800)
STARTS = ("shipped", "scratch")


def divide(source: Path, seed: int) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Return the pictures to learn from, in the order in which subsets take them, and the held-out fifth."""
    items = read_source(source).items
    split_of = assign_splits({item.text for item in items}, VAL_SHARE, TEST_SHARE, seed)
    ordered = sorted(items, key=lambda item: hashlib.sha256(f"{seed}:{item.path.name}".encode()).digest())
    pool = [item for item in ordered if split_of[item.text] != "test"]
    return pool, [item for item in items if split_of[item.text] == "test"]


def list_pictures(path: Path, items: Sequence[LabelledImage]) -> Path:
    """Write a labels.csv of pictures; return its path."""
    return write_labels(path, [(item.path, item.text) for item in items])


def learn(source: Path, folder: Path, from_scratch: bool, args: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """Convert a source and train within --minutes; return the weights, and figures of the conversion and minutes."""
    start_time = time.perf_counter()
    discard_work(folder / "set")
    # Another seed than that of the held-out fifth: its texts are gone, and with them this seed's validation.
    report = detector.convert(source, folder / "set", test=0.0, overwrite=True, seed=args.seed + 1)
    convert_minutes = (time.perf_counter() - start_time) / 60
    minutes_left = max(args.minutes - convert_minutes, MIN_TRAINING_MINUTES)
    weights = train_stage(report.data_yaml.resolve(), folder, "point", minutes_left, from_scratch, args.seed)
    train_minutes = (time.perf_counter() - start_time) / 60 - convert_minutes
    return weights, {
        "splits": report.splits, "suspects": report.suspects, "explained": report.explained,
        "minutes": {"convert": convert_minutes, "train": train_minutes},
    }  # fmt: skip


def run_point(name: str, count: int, start: str, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one point of the curve; return its figures, or the error that ended it."""
    folder = args.out / f"{name}.{count}.{start}"
    pool, held_out = divide(source_of(name, args.data, args.out), args.seed)
    result: dict[str, Any] = {
        "set": name, "pictures": count, "of": len(pool), "start": start, "seed": args.seed,
        "budget_minutes": args.minutes, "machine": machine(),
    }  # fmt: skip
    try:
        weights, figures = learn(list_pictures(folder / "labels.csv", pool[:count]), folder, start == "scratch", args)
        result |= figures
        test = list_pictures(folder / "held_out" / "labels.csv", held_out)
        reader = detector.Reader(weights)
        result["test"] = figures_of(detector.evaluate(reader, test))
        if reader.string_model is not None:
            unconstrained = detector.evaluate(detector.Reader(weights, pattern=""), test)
            result["without_string_model"] = unconstrained.exact_match
    except Exception as error:  # one point that fails is a cell of the table; the others are run all the same
        result["error"] = error_facts(error)
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set and start, and a column for each count."""
    counts = sorted({r["pictures"] for r in results})
    cells = {(r["set"], r["start"], r["pictures"]): _cell(r) for r in results}
    lines = [f"| set | start | {' | '.join(map(str, counts))} |", "|---|---|" + "---|" * len(counts)]
    for name, start in sorted({(r["set"], r["start"]) for r in results}, key=lambda key: (key[0], key[1] != "shipped")):
        row = [cells.get((name, start, count), "-") for count in counts]
        lines.append(f"| {name} | {start} | {' | '.join(row)} |")
    return "\n".join([*lines, "", *machine_lines(results)])


def _cell(result: dict[str, Any]) -> str:
    if "error" in result:
        return "not learnt" if result["error"]["kind"] == "NotLearnedError" else result["error"]["kind"]
    unconstrained = f" ({result['without_string_model']:.1%})" if "without_string_model" in result else ""
    return f"{result['test']['exact_match']:.1%}{unconstrained}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = (*SETS, "captcha-thsrc", "digits-orand-car", "meters-lcd", "plates-cn", "plates-id", "plates-us-crops")
    parser.add_argument(
        "--sets", nargs="+", choices=choices, default=list(SETS), metavar="SET", help=f"of {', '.join(choices)}"
    )
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS), help="cut to what a set has")
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=["shipped"])
    add_data_and_out(parser, "few_pictures")
    parser.add_argument("--minutes", type=float, default=5.0, help="of conversion and training together, a point")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="run points that are done already, too")
    args = parse_arguments(parser)
    for name in args.sets:
        pool, _ = divide(source_of(name, args.data, args.out), args.seed)
        for count in sorted({min(count, len(pool)) for count in args.counts}):
            for start in args.starts:
                path = args.out / f"{name}.{count}.{start}.json"
                measure_once(path, args.again, partial(run_point, name, count, start, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
