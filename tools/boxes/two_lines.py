"""Plates of two text lines, and of one or two: boxes inferred from strings beside the true ones, and exact match.

    python tools/boxes/two_lines.py [--count 400] [--minutes 3] [--out runs/two_lines]

There are no such plates among the real sets, so `detector synth` draws them. The input is strings only. For each set:
boxes of all pictures as in box_quality.py, the share of pictures with the right number of lines, and exact match on the
held-out fifth by the shipped weights and by a reader trained for --minutes. Leaves OUT/SET.json a set, and prints
all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import detector
from detector.synth import SynthConfig, write_set
from tools.arguments import add_out, parse_arguments
from tools.boxes.box_quality import Boxes, inferred_boxes, measure, read_drawn
from tools.results import figures_of, machine, machine_lines, read_results, write_json
from tools.sets import read_labels, write_labels
from tools.training.real_sets import discard_work, train_stage

SETS = {"two lines": {2: 1.0}, "one line or two": {1: 0.5, 2: 0.5}}
"""For each set the numbers of lines of its plates, and the share of plates that have so many."""

SIZES_WH = {1: (256, 64), 2: (190, 140)}


def draw(folder: Path, shares: dict[int, float], count: int, seed: int) -> None:
    """Draw plates of 6 to 8 symbols, with labels.csv and boxes.csv as in a folder of the real sets."""
    labels: list[tuple[Path, str]] = []
    boxes: list[dict[str, str]] = []
    for lines, share in shares.items():
        pictures_folder = folder / f"lines-{lines}"
        config = SynthConfig(min_length=6, size_wh=SIZES_WH[lines], styles=("plate",), lines=lines, seed=seed)
        write_set(config, pictures_folder, round(count * share))
        labels += [(path.relative_to(folder), text) for path, text in read_labels(pictures_folder / "labels.csv")]
        with (pictures_folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
            boxes += [{**row, "image": f"{pictures_folder.name}/{row['image']}"} for row in csv.DictReader(file)]
    write_labels(folder / "labels.csv", labels)
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(boxes[0]))
        writer.writeheader()
        writer.writerows(boxes)


def lines_of(boxes_xyxy: Boxes) -> int:
    """Return 2 if a character is to the left of the one before it and below it, else 1; boxes in reading order."""
    backward = np.flatnonzero(np.diff(boxes_xyxy[:, 0]) < 0) + 1
    return 1 + any(boxes_xyxy[i, 1] > boxes_xyxy[i - 1, 3] - 0.25 * np.ptp(boxes_xyxy[i, 1::2]) for i in backward)


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Draw, convert, train and evaluate one set; return its figures."""
    root: Path = args.out / name.replace(" ", "-")
    source = root / "plates"
    if not (source / "labels.csv").is_file():
        draw(source, SETS[name], args.count, args.seed)
    discard_work(root / "set")
    report = detector.convert(source / "labels.csv", root / "set", overwrite=True, seed=args.seed)
    drawn_pictures = read_drawn(source)
    inferred, _ = inferred_boxes(root / "set")
    are_lines_right = [
        lines_of(inferred[name]) == lines_of(picture.boxes_xyxy)
        for name, picture in drawn_pictures.items()
        if name in inferred
    ]
    data = report.data_yaml.resolve()
    weights = train_stage(data, root, "reader", args.minutes, False, args.seed)
    evaluations = {
        reader_name: figures_of(detector.evaluate(detector.Reader(path), data, split="test"))
        for reader_name, path in (("shipped", None), ("trained", weights))
    }
    return {
        "set": name, "pictures": report.inputs, "suspects": report.suspects, "convert_s": report.seconds,
        "input_hw": report.config.shape_hw, "lines_right": float(np.mean(are_lines_right)), "minutes": args.minutes,
        "machine": machine(), "boxes": measure(root / "set", drawn_pictures), "read": evaluations,
    }  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set."""
    lines = [
        "| set | pictures | lines right | mean IoU | centre right | every centre right | suspects | "
        "exact match, shipped weights | trained | n |",
        "|" + "---|" * 10,
    ]
    for result in results:
        boxes, shipped, trained = result["boxes"]["inferred"], result["read"]["shipped"], result["read"]["trained"]
        lines.append(
            f"| {result['set']} | {result['pictures']} | {result['lines_right']:.1%} | {boxes['mean_iou']:.3f} "
            f"| {boxes['centres']:.1%} | {boxes['whole_pictures']:.1%} | {result['suspects']} "
            f"| {shipped['exact_match']:.1%} | {trained['exact_match']:.1%} | {trained['count']} |"
        )
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--count", type=int, default=400, help="plates of a set")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, a set")
    parser.add_argument("--seed", type=int, default=0)
    add_out(parser, "two_lines")
    args = parse_arguments(parser)
    for name in args.sets:
        write_json(args.out / f"{name.replace(' ', '-')}.json", run_set(name, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
