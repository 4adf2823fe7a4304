"""`detector fit` on every labelled set: one command a set, no option that a person would have to know, one table.

    python tools/training/fit_all.py [--sets captcha-v2 plates-id] [--minutes 10]

A set is a folder of --data with a labels.csv whose texts are longer than one symbol. Its alphabet is taken from its
labels, and its length is that of the longest one. Training ends when validation says that it is done, or after
--minutes. Leaves OUT/SET.json a set, skips sets that are there, and prints all of OUT as a Markdown table. A run that
was stopped goes on with the same command; its minutes are then those since.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detector
from detector.errors import DetectorError
from tools.results import DATA, ROOT, is_done, machine, machine_lines, read_results, write_json

LEAST_LENGTH = 8  # as a person has it who says nothing


def longest_text(labels: Path) -> int:
    """Symbols of the longest label."""
    with labels.open(newline="", encoding="utf-8") as file:
        return max(len(row["text"]) for row in csv.DictReader(file))


def labelled_sets(data: Path) -> list[str]:
    """Folders of strings with their pictures, in order."""
    return [path.parent.name for path in sorted(data.glob("*/labels.csv")) if longest_text(path) > 1]


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """One set, or the error that ended it."""
    labels = args.data / name / "labels.csv"
    result: dict[str, Any] = {"set": name, "seed": args.seed, "budget_minutes": args.minutes, "machine": machine()}
    training = {} if args.minutes is None else {"time": args.minutes / 60}
    start_time = time.perf_counter()
    try:
        fitted = detector.fit(
            labels, args.out / name, training=training, alphabet="auto",
            length=max(LEAST_LENGTH, longest_text(labels)), seed=args.seed,
        )  # fmt: skip
    except Exception as error:  # any failure of one set is a line of the table; the others are run all the same
        if not isinstance(error, DetectorError):
            traceback.print_exc()
        return result | {"error": {"kind": type(error).__name__, "message": str(error)}}
    report, test = fitted.conversion, fitted.evaluation.to_dict()
    del test["confusions"]
    return result | {
        "inputs": report.inputs, "refused": report.refused, "reasons": dict(report.reasons),
        "suspects": report.suspects, "splits": report.splits, "explained": report.explained,
        "epochs": fitted.training.epochs, "minutes": (time.perf_counter() - start_time) / 60, "split": fitted.split,
        "test": test, "limits": [{"kind": x.kind, "wrong": x.wrong, "message": x.message} for x in fitted.limits],
    }  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line a set."""
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
    cells = [
        result["set"], result["inputs"], result["refused"], result["suspects"],
        " / ".join(str(splits[split]) for split in ("train", "val", "test")), f"{result['explained'][0]:.1%}",
        f"**{test['exact_match']:.1%}** ({low:.1%} to {high:.1%}, n={test['count']})", f"{test['cer']:.2%}",
        f"{result['minutes']:.1f}", ", ".join(f"{x['kind']}: {x['wrong']}" for x in result["limits"]) or "nothing",
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="all labelled ones, if none is named")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "fit_all", help="folder to work in")
    parser.add_argument("--minutes", type=float, help="of training, a set; until it is done, if nothing is said")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="run sets that are done already, too")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out, args.data = args.out.resolve(), args.data.resolve()
    for name in args.sets or labelled_sets(args.data):
        path = args.out / f"{name}.json"
        if args.again or not is_done(path):
            print(name, flush=True)
            write_json(path, run_set(name, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
