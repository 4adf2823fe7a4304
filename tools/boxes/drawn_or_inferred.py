"""Exact match of readers trained on inferred boxes and on boxes that a person drew.

    python tools/boxes/drawn_or_inferred.py [--sets digits-orand-car] [--epochs 40] [--seeds 0 1]

Converts a set that has drawn boxes from its strings alone, copies the result, and puts the drawn boxes into the
copy's label files. Both are trained on the same pictures with the same arguments and seeds, and read the held-out
fifth. Leaves OUT/SET.json a set, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detector
from detector.data.images import read_image
from detector.data.sets.yolo_dataset import format_labels, label_file, read_set
from tools.arguments import add_data_and_out, parse_arguments
from tools.boxes.box_quality import DrawnPicture, read_drawn
from tools.results import machine, machine_lines, read_results, write_json
from tools.training.real_sets import score, train_in

SETS = ("digits-orand-car", "captcha-digits-boxes", "words-iiit5k")
BOXES = ("drawn", "inferred")


def put_drawn_boxes(root: Path, drawn: dict[str, DrawnPicture]) -> tuple[int, int]:
    """Replace the boxes of a converted set by drawn ones.

    Returns:
        Number of pictures with drawn boxes, and of those without, which keep their inferred ones.
    """
    characters, replaced, unchanged = read_set(root), 0, 0
    alphabet = characters.config.alphabet
    for row in characters.manifest():
        picture = drawn.get(row.source)
        if picture is None:
            unchanged += 1
            continue
        height, width = read_image(root / row.image).shape[:2]
        text = picture.text.replace(alphabet.space, "")
        ids = alphabet.encode([text], len(text))[0].tolist()
        label_file(root, row.image).write_text(format_labels(ids, picture.boxes_xyxy, width, height), encoding="ascii")
        replaced += 1
    return replaced, unchanged


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Convert once, train on each kind of boxes with each seed, and read the held-out fifth; return the figures."""
    folder = args.out / name
    source = args.data / name
    report = detector.convert(source / "labels.csv", folder / "inferred", overwrite=True, upper=True)
    shutil.rmtree(folder / "drawn", ignore_errors=True)
    shutil.copytree(folder / "inferred", folder / "drawn")  # copies: the label files of both must differ
    replaced, unchanged = put_drawn_boxes(folder / "drawn", read_drawn(source))
    result: dict[str, Any] = {
        "set": name, "epochs": args.epochs, "seeds": args.seeds, "splits": report.splits,
        "suspects": report.suspects, "drawn": replaced, "without_drawn": unchanged, "machine": machine(), "runs": [],
    }  # fmt: skip
    for seed in args.seeds:
        for boxes in BOXES:
            start_time, data = time.perf_counter(), folder / boxes / "data.yaml"
            weights = train_in(folder, data, epochs=args.epochs, name=f"{boxes}-{seed}", seed=seed, exist_ok=True)
            test = score(weights, data)
            minutes = (time.perf_counter() - start_time) / 60
            result["runs"].append({"boxes": boxes, "seed": seed, "test": test, "minutes": minutes})
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set and kind of boxes."""
    lines = [
        "| set | boxes | epochs | exact match on the held-out fifth, a seed each | mean | CER, mean |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        for boxes in BOXES:
            tests = [run["test"] for run in result["runs"] if run["boxes"] == boxes]
            shares = ", ".join(f"{test['exact_match']:.1%}" for test in tests)
            mean, cer = (sum(test[key] for test in tests) / len(tests) for key in ("exact_match", "cer"))
            lines.append(f"| {result['set']} | {boxes} | {result['epochs']} | {shares} | {mean:.1%} | {cer:.2%} |")
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["digits-orand-car"], help=", ".join(SETS))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    add_data_and_out(parser, "drawn_or_inferred")
    args = parse_arguments(parser)
    for name in args.sets:
        write_json(args.out / f"{name}.json", run_set(name, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
