"""Exact match with pre-labels, and with answers in the order in which `detector label` asks or in random order.

    python tools/training/active_labelling.py [--sets captcha-v2] [--labelled 48] [--unlabelled 800] [--rounds 4]

Of a set's pictures those of few_pictures.py: a held-out fifth of the texts, and the others in order by hash. The first
--labelled have a person's label, the next --unlabelled have none. The arms:

    labelled     `fit` on the labelled ones alone
    all          `fit` on all of them, with all labels
    pre-labels   `fit` on the labelled ones, `label` the others, `fit` on that table; --self-rounds times
    active       from there on --rounds times: a person answers the first --answers doubtful ones, `fit`, `label`
    random       the same, but answers to as many doubtful ones that are drawn

Each arm is evaluated on the held-out fifth, which is used for nothing else. Answers are the set's own labels. Training
ends when validation says that it is done, or after --minutes. Leaves OUT/SET.json a set, written after every arm and
round, from which the same command goes on, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import detector
from detector.data.labels.prelabels import DOUBTFUL, PERSON, SURE, read_prelabels, write_prelabels
from detector.data.labels.sources import LabelledImage
from tools.arguments import add_data_and_out, parse_arguments
from tools.results import machine, machine_lines, read_results, write_json
from tools.sets import source_of
from tools.training.few_pictures import divide, list_pictures

SETS = ("captcha-v2", "captcha-generic")


class Labelling:
    """One set: its pictures copied to a folder, their labels, label files of parts of them, and the held-out fifth.

    Args:
        name: of the set.
        args: of this script.
    """

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        self.name, self.args, self.root = name, args, args.out / name
        pool, held_out = divide(source_of(name, args.data, args.out), args.seed)
        self.sample = pool[: args.labelled + args.unlabelled]
        self.pictures = self.root / "pictures"
        self.pictures.mkdir(parents=True, exist_ok=True)
        for item in self.sample:
            if not (self.pictures / item.path.name).exists():
                shutil.copyfile(item.path, self.pictures / item.path.name)
        self.texts = {item.path.name: item.text for item in self.sample}
        self.held_out = list_pictures(self.root / "held_out" / "labels.csv", held_out)
        self.labelled = self._write_labels("labelled.csv", self.sample[: args.labelled])
        self.all = self._write_labels("all.csv", self.sample)

    def _write_labels(self, name: str, items: Sequence[LabelledImage]) -> Path:
        path = self.root / name
        lines = ["image,text", *(f"pictures/{item.path.name},{item.text}" for item in items)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def fit(self, source: Path, arm: str) -> tuple[detector.FitResult, dict[str, Any]]:
        """Fit a reader to a source, in the folder of an arm; return it and its figures."""
        training = {} if self.args.minutes is None else {"time": self.args.minutes / 60}
        start_time = time.perf_counter()
        # Another seed than that of the held-out fifth: its texts are gone, and with them this seed's test split.
        fitted = detector.fit(
            source, self.root / arm, held_out=self.held_out, training=training, seed=self.args.seed + 1,
        )  # fmt: skip
        report, score = fitted.conversion, fitted.evaluation
        return fitted, {
            "exact_match": score.exact_match, "interval_95": score.interval, "count": score.count,
            "splits": report.splits, "suspects": report.suspects, "refused": report.refused,
            "prelabels": report.prelabels, "expected_wrong": report.expected_wrong, "waiting": report.waiting,
            "epochs": fitted.training.epochs, "minutes": (time.perf_counter() - start_time) / 60,
        }  # fmt: skip

    def label(self, fitted: detector.FitResult, table: Path) -> dict[str, Any]:
        """Write pre-labels of all pictures into ``table``; return their figures, and how many sure ones are wrong."""
        report = detector.label(fitted, self.pictures, table, labels=self.labelled, max_wrong=self.args.max_wrong)
        rows = read_prelabels(table)
        wrong_count = sum(row.text != self.texts[Path(row.image).name] for row in rows if row.status == SURE)
        return {"counts": dict(report.counts), "expected_wrong": report.expected_wrong, "wrong": wrong_count,
                "threshold": report.threshold}  # fmt: skip

    def answer(self, table: Path, order: str, number: int) -> int:
        """Answer --answers doubtful rows of ``table``, in its order or a random one; return how many were answered."""
        rows = read_prelabels(table)
        doubtful_indices = [index for index, row in enumerate(rows) if row.status == DOUBTFUL]
        if order == "random":
            doubtful_indices = random.Random(f"{self.args.seed}:{number}").sample(
                doubtful_indices, len(doubtful_indices)
            )
        for index in doubtful_indices[: self.args.answers]:
            rows[index] = rows[index]._replace(
                text=self.texts[Path(rows[index].image).name], confidence=1.0, status=PERSON
            )
        write_prelabels(table, rows)
        return min(len(doubtful_indices), self.args.answers)


def run_set(name: str, path: Path, args: argparse.Namespace) -> None:
    """Run the arms of one set that ``path`` does not have yet; write it after each one."""
    result: dict[str, Any] = {
        "set": name, "labelled": args.labelled, "unlabelled": args.unlabelled, "answers": args.answers,
        "max_wrong": args.max_wrong, "budget_minutes": args.minutes, "seed": args.seed, "machine": machine(),
        "arms": {},
    }  # fmt: skip
    if path.exists():
        result["arms"] = json.loads(path.read_text(encoding="utf-8"))["arms"]
    labelling = Labelling(name, args)

    def record(arm: str, figures: Mapping[str, Any]) -> None:
        result["arms"][arm] = figures
        write_json(path, result)
        print(f"{name}, {arm}: {figures['exact_match']:.1%}", flush=True)

    for arm, source in (("labelled", labelling.labelled), ("all", labelling.all)):
        if arm not in result["arms"]:
            record(arm, labelling.fit(source, arm)[1])
    fitted, _ = labelling.fit(labelling.labelled, "labelled")  # read from its folder if it is done
    for number in range(1, args.self_rounds + 1):
        arm, table = f"pre-labels {number}", labelling.root / f"pre-labels-{number}.csv"
        prelabel_figures = result["arms"].get(arm, {}).get("label") or labelling.label(fitted, table)
        fitted, figures = labelling.fit(table, f"pre-labels-{number}")
        if arm not in result["arms"]:
            record(arm, {**figures, "label": prelabel_figures})
    for order in ("active", "random"):
        reader = fitted
        for number in range(1, args.rounds + 1):
            arm, table = f"{order} {number}", labelling.root / f"{order}-{number}.csv"
            if arm not in result["arms"]:
                table.unlink(missing_ok=True)
                if number > 1:  # with the answers so far
                    shutil.copyfile(labelling.root / f"{order}-{number - 1}.csv", table)
                prelabel_figures = labelling.label(reader, table)
                answer_count = labelling.answer(table, order, number)
            reader, figures = labelling.fit(table, f"{order}-{number}")
            if arm not in result["arms"]:
                record(arm, {**figures, "label": prelabel_figures, "answered": answer_count})


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each arm."""
    lines = [
        "| set | arm | labels of a person | pre-labels learnt: wrong, expected wrong | exact match (95 %) | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        for arm, figures in result["arms"].items():
            lines.append(_line(result["set"], arm, figures))
    return "\n".join([*lines, "", *machine_lines(results)])


def _line(name: str, arm: str, figures: dict[str, Any]) -> str:
    low, high = figures["interval_95"]
    labels = sum(figures["splits"].values()) + figures["suspects"] - figures["prelabels"]
    prelabels = "-"
    if label := figures.get("label"):
        prelabels = f"{figures['prelabels']}: {label['wrong']}, {label['expected_wrong']:.1f}"
    match = f"**{figures['exact_match']:.1%}** ({low:.1%} to {high:.1%}, n={figures['count']})"
    return f"| {name} | {arm} | {labels} | {prelabels} | {match} | {figures['minutes']:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help="folders of --data")
    parser.add_argument("--labelled", type=int, default=48)
    parser.add_argument("--unlabelled", type=int, default=800)
    parser.add_argument("--answers", type=int, default=50, help="of a person, a round")
    parser.add_argument("--rounds", type=int, default=4, help="of answers, in each order")
    parser.add_argument("--self-rounds", type=int, default=2, help="of pre-labels before any answer")
    parser.add_argument("--max-wrong", type=float, default=0.02, help="as label's")
    parser.add_argument("--minutes", type=float, help="of training, an arm; until it is done, if nothing is said")
    add_data_and_out(parser, "active_labelling")
    parser.add_argument("--seed", type=int, default=0)
    args = parse_arguments(parser)
    for name in args.sets:
        run_set(name, args.out / f"{name}.json", args)
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
