"""What pre-labels are worth, and what it is worth to answer in the order in which `detector label` asks.

    python tools/training/active_labelling.py [--sets captcha-v2] [--labelled 48] [--unlabelled 800] [--rounds 4]

Of a set's pictures those of few_pictures.py: a held-out fifth of the texts, and the others in order by hash. The first
--labelled have a person's label, the next --unlabelled have none. The arms:

    labelled     `fit` on the labelled ones alone
    all          `fit` on all of them, with all labels
    pre-labels   `fit` on the labelled ones, `label` the others, `fit` on that table; --self-rounds times
    active       from there on --rounds times: a person answers the first --answers doubtful ones, `fit`, `label`
    random       the same, but answers to as many doubtful ones that are drawn

Each arm is evaluated on the held-out fifth, which nothing saw. Answers are the set's own labels. Training ends when
validation says that it is done, or after --minutes. Leaves OUT/SET.json a set, written after every arm and round, from
which the same command goes on, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import detector
from detector.data.labels.prelabels import DOUBTFUL, PERSON, SURE, read_prelabels, write_prelabels
from detector.data.labels.sources import LabelledImage
from tools.results import DATA, ROOT, machine, machine_lines, read_results, write_json
from tools.sets import source_of
from tools.training.few_pictures import divide, list_pictures

SETS = ("captcha-v2", "captcha-generic")


class Labelling:
    """One set: its pictures in folders of their own, and what each is labelled by whom."""

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
        self.labelled = self._listed("labelled.csv", self.sample[: args.labelled])
        self.all = self._listed("all.csv", self.sample)

    def _listed(self, file: str, items: Sequence[LabelledImage]) -> Path:
        path = self.root / file
        lines = ["image,text", *(f"pictures/{item.path.name},{item.text}" for item in items)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def fit(self, source: Path, arm: str) -> tuple[detector.FitResult, dict[str, Any]]:
        """A reader, and its figures."""
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
        """Pre-labels by a reader, and how many of the sure ones are wrong."""
        report = detector.label(fitted, self.pictures, table, labels=self.labelled, max_wrong=self.args.max_wrong)
        rows = read_prelabels(table)
        wrong_count = sum(row.text != self.texts[Path(row.image).name] for row in rows if row.status == SURE)
        return {"counts": dict(report.counts), "expected_wrong": report.expected_wrong, "wrong": wrong_count,
                "threshold": report.threshold}  # fmt: skip

    def answer(self, table: Path, order: str, number: int) -> int:
        """A person's answers to some of the doubtful ones, in their order or drawn; how many."""
        rows = read_prelabels(table)
        doubtful = [place for place, row in enumerate(rows) if row.status == DOUBTFUL]
        if order == "random":
            doubtful = random.Random(f"{self.args.seed}:{number}").sample(doubtful, len(doubtful))
        for place in doubtful[: self.args.answers]:
            rows[place] = rows[place]._replace(
                text=self.texts[Path(rows[place].image).name], confidence=1.0, status=PERSON
            )
        write_prelabels(table, rows)
        return min(len(doubtful), self.args.answers)


def run_set(name: str, path: Path, args: argparse.Namespace) -> None:
    """All arms of one set, those that ``path`` has not yet."""
    result: dict[str, Any] = {
        "set": name, "labelled": args.labelled, "unlabelled": args.unlabelled, "answers": args.answers,
        "max_wrong": args.max_wrong, "budget_minutes": args.minutes, "seed": args.seed, "machine": machine(),
        "arms": {},
    }  # fmt: skip
    if path.exists():
        result["arms"] = json.loads(path.read_text(encoding="utf-8"))["arms"]
    labelling = Labelling(name, args)

    def record(arm: str, facts: Mapping[str, Any]) -> None:
        result["arms"][arm] = facts
        write_json(path, result)
        print(f"{name}, {arm}: {facts['exact_match']:.1%}", flush=True)

    for arm, source in (("labelled", labelling.labelled), ("all", labelling.all)):
        if arm not in result["arms"]:
            record(arm, labelling.fit(source, arm)[1])
    fitted, _ = labelling.fit(labelling.labelled, "labelled")  # what is done is not done again
    for number in range(1, args.self_rounds + 1):
        arm, table = f"pre-labels {number}", labelling.root / f"pre-labels-{number}.csv"
        labelled = result["arms"].get(arm, {}).get("label") or labelling.label(fitted, table)
        fitted, facts = labelling.fit(table, f"pre-labels-{number}")
        if arm not in result["arms"]:
            record(arm, {**facts, "label": labelled})
    for order in ("active", "random"):
        reader = fitted
        for number in range(1, args.rounds + 1):
            arm, table = f"{order} {number}", labelling.root / f"{order}-{number}.csv"
            if arm not in result["arms"]:
                table.unlink(missing_ok=True)
                if number > 1:  # with the answers so far
                    shutil.copyfile(labelling.root / f"{order}-{number - 1}.csv", table)
                labelled = labelling.label(reader, table)
                answers = labelling.answer(table, order, number)
            reader, facts = labelling.fit(table, f"{order}-{number}")
            if arm not in result["arms"]:
                record(arm, {**facts, "label": labelled, "answered": answers})


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line an arm."""
    lines = [
        "| set | arm | labels of a person | pre-labels learnt: wrong, expected wrong | exact match (95 %) | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        for arm, facts in result["arms"].items():
            lines.append(_line(result["set"], arm, facts))
    return "\n".join([*lines, "", *machine_lines(results)])


def _line(name: str, arm: str, facts: dict[str, Any]) -> str:
    low, high = facts["interval_95"]
    labels = sum(facts["splits"].values()) + facts["suspects"] - facts["prelabels"]
    learnt = "-"
    if label := facts.get("label"):
        learnt = f"{facts['prelabels']}: {label['wrong']}, {label['expected_wrong']:.1f}"
    match = f"**{facts['exact_match']:.1%}** ({low:.1%} to {high:.1%}, n={facts['count']})"
    return f"| {name} | {arm} | {labels} | {learnt} | {match} | {facts['minutes']:.1f} |"


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
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "active_labelling", help="folder to work in")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out, args.data = args.out.resolve(), args.data.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        run_set(name, args.out / f"{name}.json", args)
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
