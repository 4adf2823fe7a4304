"""Readers trained on the same strings for the same time, on the same held-out fifth; beside them two as they are.

    python tools/peers/trained_peers.py --peers-python PEERS/bin/python [--sets captcha-v2] [--readers detector crnn]

The splits are those that convert makes of the whole set, grouped by text. Every reader gets the same pictures to learn
from and the same to select on, and none sees the held-out ones. --minutes are wall clock on the cores that this process
may use (taskset): conversion and training together for this project, training alone for fast-plate-ocr and for the CRNN
(crnn.py), which start from scratch; "detector, from scratch" trains random weights on the boxes that the shipped ones
locate. fast_plate_peer.py says how fast-plate-ocr ends in time; that takes a short trial,
which is not counted. RapidOCR and ddddocr read as they are.

Every reader runs in a process of its own, the peers by --peers-python, an environment with `pip install rapidocr
ddddocr onnxruntime "fast-plate-ocr[train]"`. Strings are compared as zero_shot.py does. Leaves
OUT/SET.READER.json, skips what is there, and prints all of OUT as a Markdown table. OUT/SET.held-out.csv and the
weights in OUT/SET.detector/weights are what calibration.py takes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.peers import zero_shot
from tools.results import DATA, ROOT, is_done, machine, machine_lines, read_results, write_json

# At the top nothing but the standard library: the peers' Python, which has no detector, runs this file too.

SETS = ("captcha-v2", "captcha-generic-8", "plates-vn8", "digits-orand-car")
READERS = {
    "detector": "detector",
    "detector-from-scratch": "detector, from scratch",
    "fast-plate-ocr-xs": "fast-plate-ocr CCT-XS",
    "fast-plate-ocr-s": "fast-plate-ocr CCT-S",
    "crnn": "CRNN + CTC",
    "rapidocr": "RapidOCR, untrained",
    "ddddocr": "ddddocr, untrained",
}
"""How each is called in files and options, and in the table."""

MODULES = {
    "fast-plate-ocr-xs": "tools.peers.fast_plate_peer",
    "fast-plate-ocr-s": "tools.peers.fast_plate_peer",
    "crnn": "tools.peers.crnn",
}
"""Where ``learn`` of the readers that are not this project's is."""

Row = tuple[str, str]
"""Path and text of a picture."""


def hold_threads() -> int:
    """Give all libraries, here and in processes started from here, as many threads as there are cores to use.

    OMP_NUM_THREADS lowers that. It must be set before Ultralytics is imported, which would set it to 1.
    """
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    requested = os.environ.get("OMP_NUM_THREADS", "")
    threads = max(1, min(int(requested), free)) if requested.isdigit() else free
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(threads)
    return threads


def divide(name: str, data: Path, out: Path, seed: int) -> dict[str, list[Row]]:
    """Pictures of a set by split, as convert would split it."""
    from detector.conversion.inputs import assign_splits
    from detector.conversion.settings import TEST_SHARE, VAL_SHARE
    from detector.data.labels.sources import read_source
    from tools.sets import source_of

    items = read_source(source_of(name, data, out)).items
    split = assign_splits({item.text for item in items}, VAL_SHARE, TEST_SHARE, seed)
    rows: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for item in items:
        rows[split[item.text]].append((str(item.path.resolve()), item.text))
    return rows


# --- in a process of its own --------------------------------------------------------------------------------------


def learn_ours(question: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """This project: convert and train; a function from path to text, and facts."""
    import torch

    torch.set_num_threads(question["threads"])
    import detector
    from detector.conversion.settings import TEST_SHARE, VAL_SHARE
    from tools.sets import write_labels
    from tools.training.real_sets import LEAST_TRAINING, forget, train_stage

    folder, seed, from_scratch = Path(question["work"]), question["seed"], question["reader"] != "detector"
    rows = [(Path(path), text) for path, text in (*question["train"], *question["val"])]
    start_time = time.perf_counter()
    forget(folder / "set")
    report = detector.convert(
        write_labels(folder / "labels.csv", rows), folder / "set", overwrite=True, seed=seed,
        # A text's split is its place by hash: the held-out ones are gone, the next ones are validation as before.
        test=0.0, val=TEST_SHARE + VAL_SHARE,
    )  # fmt: skip
    converted = (time.perf_counter() - start_time) / 60
    minutes_left = max(question["minutes"] - converted, LEAST_TRAINING)
    weights = train_stage(report.data_yaml.resolve(), folder, "reader", minutes_left, from_scratch, seed)
    minutes = {"convert": converted, "train": (time.perf_counter() - start_time) / 60 - converted}
    reader = detector.Reader(weights)
    facts = {"minutes": minutes, "splits": report.splits, "suspects": report.suspects, "refused": report.refused}
    return lambda path: reader.read(path).text, facts


def be_peer(reader: str, question_file: Path, answer_file: Path) -> None:
    """The other end of :func:`zero_shot.ask_peer`: learn, read the held-out pictures; or what went wrong."""
    question = json.loads(question_file.read_text(encoding="utf-8"))
    question |= {"reader": reader, "threads": hold_threads()}
    try:
        learn = importlib.import_module(MODULES[reader]).learn if reader in MODULES else learn_ours
        read, answer = learn(question)
        answer |= zero_shot.timed(read, question["test"])
    except Exception as error:  # whatever a library raises is this reader's result; the others are run all the same
        traceback.print_exc()
        answer = {"error": {"kind": type(error).__name__, "message": str(error)}}
    answer_file.write_text(json.dumps(answer), encoding="utf-8")


# --- here ---------------------------------------------------------------------------------------------------------


def texts_of(reader: str, rows: dict[str, list[Row]], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the texts that a reader reads of the held-out pictures, and facts about it; or ``error``."""
    test = [path for path, _ in rows["test"]]
    if reader in zero_shot.PEERS:
        reply = zero_shot.read_by_peer(reader, args.peers_python, {"test": test})
        reply = {**reply.get("test", reply), "minutes": {}}
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        upper = {part: [(path, zero_shot.compared(text)) for path, text in rows[part]] for part in ("train", "val")}
        learnt = rows if reader not in MODULES else upper
        question = {
            "train": learnt["train"], "val": learnt["val"], "test": test, "minutes": args.minutes, "seed": args.seed,
            "work": str(folder),
        }  # fmt: skip
        python = args.peers_python if reader.startswith("fast-plate-ocr") else sys.executable
        reply = zero_shot.ask_peer(__file__, reader, python, question)
    if "skipped" in reply:
        return {"error": {"kind": "Skipped", "message": reply["skipped"]}}
    return reply


def run_reader(name: str, reader: str, rows: dict[str, list[Row]], args: argparse.Namespace) -> dict[str, Any]:
    """One reader on one set: its score, or the error that ended it."""
    result: dict[str, Any] = {
        "set": name, "reader": reader, "seed": args.seed, "budget_minutes": args.minutes,
        "pictures": {part: len(pairs) for part, pairs in rows.items()}, "machine": machine(),
        "threads": hold_threads(),
    }  # fmt: skip
    reply = texts_of(reader, rows, args.out / f"{name}.{reader}", args)
    if "error" in reply:
        print(f"{name}: {reader} failed: {reply['error']['kind']}: {reply['error']['message']}", file=sys.stderr)
        return {**result, **reply}
    result["test"] = zero_shot.score(reply, [text for _, text in rows["test"]])
    return {**result, **{key: value for key, value in reply.items() if key not in ("texts", "failed", "ms")}}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line a set, a column a reader, the best of each line in bold."""
    readers = [reader for reader in READERS if any(r["reader"] == reader for r in results)]
    by_reader = {(r["set"], r["reader"]): r for r in results}
    lines = [
        f"| set | train / val / test | {' | '.join(READERS[reader] for reader in readers)} |",
        "|---|---|" + "---|" * len(readers),
    ]
    for name in dict.fromkeys(r["set"] for r in results):
        row = [by_reader.get((name, reader)) for reader in readers]
        scored = [r["test"]["exact_match"] for r in row if r and "test" in r]
        cells = [_cell(r, max(scored, default=0.0)) if r else "-" for r in row]
        counts = next(r["pictures"] for r in row if r)
        lines.append(f"| {name} | {' / '.join(map(str, counts.values()))} | {' | '.join(cells)} |")
    budgets = ", ".join(sorted({f"{r['budget_minutes']:g}" for r in results}))
    notes = [f"Exact match (95 %); {budgets} minutes of training each, of which were taken:"]
    notes += [f"- {READERS[reader]}: {_spent(results, reader)}" for reader in readers if _spent(results, reader)]
    failures = [
        f"{r['set']}, {READERS[r['reader']]}: {r['error']['kind']}: {r['error']['message']}"
        for r in results if "error" in r
    ]  # fmt: skip
    return "\n".join([*lines, "", *notes, "", *failures, *machine_lines(results)])


def _cell(result: dict[str, Any], best: float) -> str:
    if "error" in result:
        return {"NotLearnedError": "not learnt", "Skipped": "left out"}.get(
            result["error"]["kind"], result["error"]["kind"]
        )
    match, (low, high) = result["test"]["exact_match"], result["test"]["interval_95"]
    cell = f"{match:.1%}"
    return f"{f'**{cell}**' if match == best > 0 else cell} ({100 * low:.1f} to {100 * high:.1f})"


def _spent(results: Sequence[dict[str, Any]], reader: str) -> str:
    """Least and most minutes of each stage over the sets."""
    spent = [r["minutes"] for r in results if r["reader"] == reader and r.get("minutes")]
    stages = list(spent[0]) if spent else []
    return ", ".join(f"{s} {min(m[s] for m in spent):.1f} to {max(m[s] for m in spent):.1f}" for s in stages)


def add_run_arguments(parser: argparse.ArgumentParser, out: Path) -> None:
    """What every comparison of trained readers is told of its data, its time and its results."""
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, a set and reader")
    parser.add_argument("--peers-python", default=sys.executable, help="that runs the peers")
    parser.add_argument("--out", type=Path, default=out, help="folder to work in")
    parser.add_argument("--seed", type=int, default=0, help="of the splits and of training")
    parser.add_argument("--again", action="store_true", help="run what is done already, too")


def main() -> None:
    if sys.argv[1:2] == ["--peer"]:
        be_peer(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    hold_threads()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    parser.add_argument(
        "--readers", nargs="+", choices=READERS, default=list(READERS), metavar="READER", help=", ".join(READERS)
    )
    add_run_arguments(parser, ROOT / "runs" / "trained_peers")
    args = parser.parse_args()
    from tools.sets import write_labels

    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        rows = divide(name, args.data, args.out, args.seed)
        write_labels(args.out / f"{name}.held-out.csv", [(Path(path), text) for path, text in rows["test"]])
        for reader in args.readers:
            path = args.out / f"{name}.{reader}.json"
            if args.again or not is_done(path):
                print(f"{name}: {READERS[reader]}", file=sys.stderr, flush=True)
                write_json(path, run_reader(name, reader, rows, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
