"""Plates of two text lines, and of one or two: boxes inferred from strings against the true ones, and readers.

    python tools/boxes/two_lines.py [--count 400] [--minutes 3] [--out runs/two_lines]

There are no such plates among the real sets, so `detector synth` draws them. Strings only go in. Of each set: boxes of
all pictures as in box_quality.py, how many pictures were taken to have the lines that they have, and exact match on
the held-out fifth by the shipped weights and by a reader trained for --minutes. Leaves OUT/SET.json a set, and prints
all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import detector
from detector.synth import SynthConfig, write_set
from tools.boxes.box_quality import Boxes, inferred_boxes, measure, read_drawn
from tools.results import ROOT, machine, machine_lines, read_results, write_json
from tools.sets import write_labels
from tools.training.real_sets import forget, train_stage

SETS = {"two lines": {2: 1.0}, "one line or two": {1: 0.5, 2: 0.5}}
"""Of each set, the lines of its plates and how large a share has them."""

SIZES_WH = {1: (256, 64), 2: (190, 140)}


def draw(folder: Path, shares: dict[int, float], count: int, seed: int) -> None:
    """Plates of 6 to 8 symbols with labels.csv and boxes.csv, like a folder of the real sets."""
    labels: list[tuple[Path, str]] = []
    boxes: list[dict[str, str]] = []
    for lines, share in shares.items():
        pictures_folder = folder / f"lines-{lines}"
        config = SynthConfig(min_length=6, size_wh=SIZES_WH[lines], styles=("plate",), lines=lines, seed=seed)
        write_set(config, pictures_folder, round(count * share))
        for name, several in (("labels", labels), ("boxes", boxes)):
            with (pictures_folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
                rows = [{**row, "image": f"{pictures_folder.name}/{row['image']}"} for row in csv.DictReader(file)]
            several += [(Path(row["image"]), row["text"]) for row in rows] if name == "labels" else rows
    write_labels(folder / "labels.csv", labels)
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(boxes[0]))
        writer.writeheader()
        writer.writerows(boxes)


def lines_of(boxes_xyxy: Boxes) -> int:
    """Two where a character stands below all of another and to the left of the one before it."""
    back = np.flatnonzero(np.diff(boxes_xyxy[:, 0]) < 0) + 1
    return 1 + any(boxes_xyxy[i, 1] > boxes_xyxy[i - 1, 3] - 0.25 * np.ptp(boxes_xyxy[i, 1::2]) for i in back)


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """One set from drawing it to its scores."""
    root: Path = args.out / name.replace(" ", "-")
    source = root / "plates"
    if not (source / "labels.csv").is_file():
        draw(source, SETS[name], args.count, args.seed)
    forget(root / "set")
    report = detector.convert(source / "labels.csv", root / "set", overwrite=True, seed=args.seed)
    drawn_pictures = read_drawn(source)
    inferred, _ = inferred_boxes(root / "set")
    as_many = [
        lines_of(inferred[n]) == lines_of(picture.boxes_xyxy) for n, picture in drawn_pictures.items() if n in inferred
    ]
    data = report.data_yaml.resolve()
    weights = train_stage(data, root, "reader", args.minutes, False, args.seed)
    evaluations = {
        reader_name: detector.evaluate(detector.Reader(path), data, split="test").to_dict()
        for reader_name, path in (("shipped", None), ("trained", weights))
    }
    for scores in evaluations.values():
        del scores["confusions"]
    return {
        "set": name, "pictures": report.inputs, "suspects": report.suspects, "convert_s": report.seconds,
        "input_hw": report.config.shape_hw, "lines_right": float(np.mean(as_many)), "minutes": args.minutes,
        "machine": machine(), "boxes": measure(root / "set", drawn_pictures), "read": evaluations,
    }  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line a set."""
    lines = [
        "| set | pictures | lines right | mean IoU | centre right | every centre right | suspects | "
        "exact match, shipped weights | trained | n |",
        "|" + "---|" * 10,
    ]
    for r in results:
        boxes, shipped, trained = r["boxes"]["inferred"], r["read"]["shipped"], r["read"]["trained"]
        lines.append(
            f"| {r['set']} | {r['pictures']} | {r['lines_right']:.1%} | {boxes['mean_iou']:.3f} "
            f"| {boxes['centres']:.1%} | {boxes['whole_pictures']:.1%} | {r['suspects']} "
            f"| {shipped['exact_match']:.1%} | {trained['exact_match']:.1%} | {trained['count']} |"
        )
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--count", type=int, default=400, help="plates of a set")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, a set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "two_lines", help="folder to work in")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        write_json(args.out / f"{name.replace(' ', '-')}.json", run_set(name, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
