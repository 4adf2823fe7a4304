"""Exact match of readers trained on the same strings for the same minutes, on the same held-out fifth.

    python tools/peers/trained_peers.py --peers-python PEERS/bin/python [--sets captcha-v2] [--readers detector crnn]

The splits are those that convert makes of the whole set, grouped by text. Every reader gets the same pictures to learn
from and the same to select on, and none sees the held-out ones. --minutes are wall clock on the cores that this process
may use (taskset): conversion and training together for this project, training alone for fast-plate-ocr and for the CRNN
(crnn.py), which start from scratch; "detector, from scratch" trains random weights on the boxes that the shipped ones
locate. fast-plate-ocr needs a short trial to end in time (fast_plate_peer.py), which is not counted. RapidOCR and
ddddocr read as they are.

Every reader runs in a process of its own, the peers by --peers-python, an environment with `pip install rapidocr
ddddocr onnxruntime "fast-plate-ocr[train]"`. Strings are compared as zero_shot.py does. Leaves
OUT/SET.READER.json, skips what is there, and prints all of OUT as a Markdown table. OUT/SET.held-out.csv and the
weights in OUT/SET.detector/weights are what calibration.py takes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tools.arguments import add_data_and_out, parse_arguments
from tools.peers import zero_shot
from tools.processes import answer_as_peer, ask_peer
from tools.results import error_facts, machine, machine_lines, measure_once, read_results

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
"""Names of the readers in files and options, and in the table."""

MODULES = {
    "fast-plate-ocr-xs": "tools.peers.fast_plate_peer",
    "fast-plate-ocr-s": "tools.peers.fast_plate_peer",
    "crnn": "tools.peers.crnn",
}
"""Modules with ``learn`` of the readers that are not this project's."""

Row = tuple[str, str]
"""Path and text of a picture."""


def set_threads() -> int:
    """Give all libraries, here and in processes started from here, as many threads as there are cores to use.

    OMP_NUM_THREADS lowers that. It must be set before Ultralytics is imported, which would set it to 1.
    """
    core_count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    requested = os.environ.get("OMP_NUM_THREADS", "")
    threads = max(1, min(int(requested), core_count)) if requested.isdigit() else core_count
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(threads)
    return threads


def divide(name: str, data: Path, out: Path, seed: int) -> dict[str, list[Row]]:
    """Return the pictures of a set by split, as convert would split it."""
    from detector.conversion.inputs import assign_splits
    from detector.conversion.settings import TEST_SHARE, VAL_SHARE
    from detector.data.labels.sources import read_source
    from tools.sets import source_of

    items = read_source(source_of(name, data, out)).items
    split_of = assign_splits({item.text for item in items}, VAL_SHARE, TEST_SHARE, seed)
    rows: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for item in items:
        rows[split_of[item.text]].append((str(item.path.resolve()), item.text))
    return rows


# --- in a process of its own --------------------------------------------------------------------------------------


def learn_ours(question: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Convert and train by this project; return a function from path to text, and figures."""
    import torch

    torch.set_num_threads(question["threads"])
    import detector
    from tools.training.real_sets import MIN_TRAINING_MINUTES, train_stage

    folder, seed, from_scratch = Path(question["work"]), question["seed"], question["reader"] != "detector"
    start_time = time.perf_counter()
    report = convert_without_test(question, folder / "labels.csv", folder / "set", seed)
    convert_minutes = (time.perf_counter() - start_time) / 60
    minutes_left = max(question["minutes"] - convert_minutes, MIN_TRAINING_MINUTES)
    weights = train_stage(report.data_yaml.resolve(), folder, "reader", minutes_left, from_scratch, seed)
    minutes = {"convert": convert_minutes, "train": (time.perf_counter() - start_time) / 60 - convert_minutes}
    reader = detector.Reader(weights)
    figures = {"minutes": minutes, "splits": report.splits, "suspects": report.suspects, "refused": report.refused}
    return lambda path: reader.read(path).text, figures


def convert_without_test(rows: dict[str, list[Row]], labels: Path, root: Path, seed: int) -> Any:
    """Convert the pictures of the splits "train" and "val" to a set at ``root``; return the report.

    Args:
        rows: as :func:`divide` returns them for the same seed.
        labels: path of the label file to write.
        root: folder of the set; what earlier conversions to it keep is deleted.
        seed: of the splits.
    """
    import detector
    from detector.conversion.settings import TEST_SHARE, VAL_SHARE
    from tools.sets import write_labels
    from tools.training.real_sets import discard_work

    discard_work(root)
    write_labels(labels, [(Path(path), text) for path, text in (*rows["train"], *rows["val"])])
    # A text's split is its place by hash: the held-out ones are missing, the next ones are validation as before.
    return detector.convert(labels, root, overwrite=True, seed=seed, test=0.0, val=TEST_SHARE + VAL_SHARE)


def answer(reader: str, question: dict[str, Any]) -> dict[str, Any]:
    """Learn, and read the held-out pictures, in a process of its own; return ``error`` if that fails."""
    question |= {"reader": reader, "threads": set_threads()}
    try:
        learn = importlib.import_module(MODULES[reader]).learn if reader in MODULES else learn_ours
        read, figures = learn(question)
        return figures | zero_shot.timed(read, question["test"])
    except Exception as error:  # whatever a library raises is this reader's result; the others are run all the same
        return {"error": error_facts(error)}


# --- here ---------------------------------------------------------------------------------------------------------


def texts_of(reader: str, rows: dict[str, list[Row]], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the texts that a reader reads of the held-out pictures, with figures; or ``error``."""
    test = [path for path, _ in rows["test"]]
    if reader in zero_shot.PEERS:
        reply = zero_shot.read_by_peer(reader, args.peers_python, {"test": test})
        reply = {**reply.get("test", reply), "minutes": {}}
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        question = {"test": test, "minutes": args.minutes, "seed": args.seed, "work": str(folder)}
        for split in ("train", "val"):  # others learn the symbols that are compared only
            texts = [zero_shot.normalise(text) if reader in MODULES else text for _, text in rows[split]]
            question[split] = [(path, text) for (path, _), text in zip(rows[split], texts, strict=True)]
        python = args.peers_python if reader.startswith("fast-plate-ocr") else sys.executable
        reply = ask_peer(__file__, reader, python, question)
    if "skipped" in reply:
        return {"error": {"kind": "Skipped", "message": reply["skipped"]}}
    return reply


def run_reader(name: str, reader: str, rows: dict[str, list[Row]], args: argparse.Namespace) -> dict[str, Any]:
    """Measure one reader on one set; return its figures, or the error that ended it."""
    result: dict[str, Any] = {
        "set": name, "reader": reader, "seed": args.seed, "budget_minutes": args.minutes,
        "pictures": {part: len(pairs) for part, pairs in rows.items()}, "machine": machine(),
        "threads": set_threads(),
    }  # fmt: skip
    reply = texts_of(reader, rows, args.out / f"{name}.{reader}", args)
    if "error" in reply:
        print(f"{name}: {reader} failed: {reply['error']['kind']}: {reply['error']['message']}", file=sys.stderr)
        return {**result, **reply}
    result["test"] = zero_shot.score(reply, [text for _, text in rows["test"]])
    return {**result, **{key: value for key, value in reply.items() if key not in ("texts", "failed", "ms")}}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set and a column for each reader; the best of each line in bold."""
    readers = [reader for reader in READERS if any(r["reader"] == reader for r in results)]
    by_reader = {(r["set"], r["reader"]): r for r in results}
    lines = [
        f"| set | train / val / test | {' | '.join(READERS[reader] for reader in readers)} |",
        "|---|---|" + "---|" * len(readers),
    ]
    for name in dict.fromkeys(r["set"] for r in results):
        row = [by_reader.get((name, reader)) for reader in readers]
        best = max((r["test"]["exact_match"] for r in row if r and "test" in r), default=0.0)
        cells = [_cell(r, best) if r else "-" for r in row]
        counts = next(r["pictures"] for r in row if r)
        lines.append(f"| {name} | {' / '.join(map(str, counts.values()))} | {' | '.join(cells)} |")
    budgets = ", ".join(sorted({f"{r['budget_minutes']:g}" for r in results}))
    notes = [f"Exact match (95 %); {budgets} minutes of training each, of which were taken:"]
    notes += [f"- {READERS[reader]}: {text}" for reader in readers if (text := _minutes_text(results, reader))]
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


def _minutes_text(results: Sequence[dict[str, Any]], reader: str) -> str:
    """Return the minimum and maximum minutes of each stage over the sets; empty for a reader that is not trained."""
    minutes = [r["minutes"] for r in results if r["reader"] == reader and r.get("minutes")]
    stages = {stage: [by_stage[stage] for by_stage in minutes] for stage in (minutes[0] if minutes else ())}
    return ", ".join(f"{stage} {min(values):.1f} to {max(values):.1f}" for stage, values in stages.items())


def add_run_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments of all comparisons of trained readers; --out is runs/``name`` by default."""
    add_data_and_out(parser, name)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, a set and reader")
    parser.add_argument("--peers-python", default=sys.executable, help="that runs the peers")
    parser.add_argument("--seed", type=int, default=0, help="of the splits and of training")
    parser.add_argument("--again", action="store_true", help="run what is done already, too")


def main() -> None:
    if answer_as_peer(answer):
        return
    set_threads()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    parser.add_argument(
        "--readers", nargs="+", choices=READERS, default=list(READERS), metavar="READER", help=", ".join(READERS)
    )
    add_run_arguments(parser, "trained_peers")
    args = parse_arguments(parser)
    from tools.sets import write_labels

    for name in args.sets:
        rows = divide(name, args.data, args.out, args.seed)
        write_labels(args.out / f"{name}.held-out.csv", [(Path(path), text) for path, text in rows["test"]])
        for reader in args.readers:
            path = args.out / f"{name}.{reader}.json"
            measure_once(path, args.again, partial(run_reader, name, reader, rows, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
