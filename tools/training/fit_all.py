"""`detector fit` on every labelled set: one command a set, no option that a person would have to know, one table.

    python tools/training/fit_all.py [--sets captcha-v2 plates-id] [--minutes 10]

A set is a folder of --data with a labels.csv whose texts are longer than one symbol. Its alphabet is taken from its
labels, and its length is that of the longest one. Training ends when validation says that it is done, or after
--minutes. Leaves OUT/SET.json a set, skips sets that are there, and prints all of OUT as a Markdown table. A run that
was stopped goes on with the same command; its minutes are then those since.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import detector
from detector.text.alphabet import DEFAULT_LENGTH
from tools.arguments import add_data_and_out, parse_arguments
from tools.results import error_facts, figures_of, machine, machine_lines, measure_once, read_results
from tools.sets import read_labels
from tools.training.real_sets import conversion_figures


def longest_text(labels: Path) -> int:
    """Return the number of symbols of the longest label."""
    return max(len(text) for _, text in read_labels(labels))


def labelled_sets(data: Path) -> list[str]:
    """Return the names of the sets whose labels are longer than one symbol, sorted."""
    return [path.parent.name for path in sorted(data.glob("*/labels.csv")) if longest_text(path) > 1]


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Fit a reader to a set; return its figures, or the error that ended it."""
    labels = args.data / name / "labels.csv"
    result: dict[str, Any] = {"set": name, "seed": args.seed, "budget_minutes": args.minutes, "machine": machine()}
    training = {} if args.minutes is None else {"time": args.minutes / 60}
    start_time = time.perf_counter()
    try:
        fitted = detector.fit(
            labels, args.out / name, training=training, alphabet="auto",
            length=max(DEFAULT_LENGTH, longest_text(labels)), seed=args.seed,
        )  # fmt: skip
    except Exception as error:  # any failure of one set is a line of the table; the others are run all the same
        return result | {"error": error_facts(error)}
    return result | conversion_figures(fitted.conversion) | {
        "epochs": fitted.training.epochs, "minutes": (time.perf_counter() - start_time) / 60, "split": fitted.split,
        "test": figures_of(fitted.evaluation),
        "limits": [{"kind": limit.kind, "wrong": limit.wrong, "message": limit.message} for limit in fitted.limits],
    }  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set."""
    lines = [
        "| set | inputs | refused | suspects | train / val / test | labels that the shipped weights read "
        "| exact match on held-out texts (95 %) | CER | minutes | what limits it: wrong readings |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, results), "", *machine_lines(results)])


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"| {result['set']} " + "| - " * 5 + f"| none: {result['error']['kind']} | - | - | - |"
    splits, test = result["splits"], result["test"]
    low, high = test["interval_95"]
    limits = ", ".join(f"{limit['kind']}: {limit['wrong']}" for limit in result["limits"])
    cells = [
        result["set"], result["inputs"], result["refused"], result["suspects"],
        " / ".join(str(splits[split]) for split in ("train", "val", "test")), f"{result['explained'][0]:.1%}",
        f"**{test['exact_match']:.1%}** ({low:.1%} to {high:.1%}, n={test['count']})", f"{test['cer']:.2%}",
        f"{result['minutes']:.1f}", limits or "nothing",
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="all labelled ones, if none is named")
    add_data_and_out(parser, "fit_all")
    parser.add_argument("--minutes", type=float, help="of training, a set; until it is done, if nothing is said")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="run sets that are done already, too")
    args = parse_arguments(parser)
    for name in args.sets or labelled_sets(args.data):
        measure_once(args.out / f"{name}.json", args.again, partial(run_set, name, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
