"""What a kind of artificial picture is worth elsewhere: networks trained without one of the stores read the real sets.

    python tools/weights/left_out.py STORE STORE [STORE ...] [--pictures 48000] [--processes 2]

Stores of one kind each (synth_store.py --styles). From random weights, with the same seed and as many pictures, a
network is trained on all of them, and one on all but each; so a kind that is left out gives its share of the pictures
to the others. They read all pictures of the sets, each by itself, without a string model; compared is the exact match
of letters and digits, as in zero_shot.py. Leaves OUT/NAME.json, skips what is there, and prints all of OUT as a
Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import detector
from detector.networks import ultralytics
from detector.text.reading_config import ReadingConfig
from tools.arguments import add_data_and_out, parse_arguments
from tools.peers import zero_shot
from tools.processes import environment
from tools.results import machine, machine_lines, measure_once, read_results
from tools.weights.ship_weights import LAYOUT

ALL = "all kinds"


def train(stores: Sequence[Path], out: Path, args: argparse.Namespace) -> None:
    """Train a network from random weights on ``stores``, and write the weights of a reader to ``out``."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "detector.pt"
        options = ("--pictures", str(args.pictures), "--processes", str(args.processes), "--seed", str(args.seed))
        command = (sys.executable, "-m", "tools.weights.train_detector", *map(str, stores), str(checkpoint), *options)
        subprocess.run(command, check=True, env=environment(), stdout=sys.stderr)
        ultralytics.publish(checkpoint, out, ReadingConfig(layout=LAYOUT), {})


def read(reader: detector.Reader, rows: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the score of one set, see :func:`tools.peers.zero_shot.score`."""
    answer = zero_shot.timed(lambda path: reader.read(path).text, [path for path, _ in rows])
    score = zero_shot.score(answer, [text for _, text in rows])
    return {key: score[key] for key in ("exact_match", "interval_95", "cer", "count", "failed")}


def measure(left_out: str, stores: Sequence[Path], args: argparse.Namespace) -> dict[str, Any]:
    """Train on ``stores`` and read all sets."""
    weights = args.out / f"{left_out.replace(' ', '-')}.pt"
    train(stores, weights, args)
    reader = detector.Reader(weights, device="cpu")
    scores = {name: read(reader, zero_shot.sample(name, args.data, 0, args.seed)) for name in args.sets}
    return {"left_out": left_out, "pictures": args.pictures, "sets": scores, "machine": machine()}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set and a column for each network, all kinds first."""
    results = sorted(results, key=lambda result: (result["left_out"] != ALL, result["left_out"]))
    names = [ALL if result["left_out"] == ALL else f"without {result['left_out'].lower()}" for result in results]
    lines = [f"| set | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for half, sets in (("guiding", zero_shot.GUIDING), ("reporting", zero_shot.REPORTING)):
        rows = {
            name: [result["sets"][name]["exact_match"] for result in results]
            for name in sets
            if all(name in result["sets"] for result in results)
        }
        if rows:
            means = [statistics.mean(column) for column in zip(*rows.values(), strict=True)]
            rows[f"*mean of the {half} half*"] = means
        lines += [f"| {name} | {' | '.join(f'{match:.3f}' for match in row)} |" for name, row in rows.items()]
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path, metavar="STORE")
    parser.add_argument("--sets", nargs="+", choices=zero_shot.SETS, default=list(zero_shot.SETS), metavar="SET")
    parser.add_argument("--pictures", type=int, default=48_000, help="that each network learns from")
    parser.add_argument("--seed", type=int, default=0, help="of training")
    parser.add_argument("--processes", type=int, default=2, help="that share each batch")
    parser.add_argument("--again", action="store_true", help="run what is done already, too")
    add_data_and_out(parser, "left_out")
    args = parse_arguments(parser)
    if len(args.stores) < 2:
        parser.error("name two stores at least: one is left out at a time.")
    for left_out in (None, *args.stores):
        name = left_out.name if left_out else ALL
        stores = [store.resolve() for store in args.stores if store != left_out]
        path = args.out / f"{name.replace(' ', '-')}.json"
        measure_once(path, args.again, partial(measure, name, stores, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
