"""What the format of a folder is worth: shipped weights, one by one and as `detector predict FOLDER` reads.

    python tools/reading/string_formats.py [--data ../shared/data] [--sizes 5 10 30 100 300] [--draws 5]

Each set is read once; the format is learnt from its readings, without labels, and applied to them: of all pictures,
and of --draws random folders of each size. Exact match of the labels as they are. Prints a Markdown table and writes
OUT. The sets guided which of two rules were taken, so the gains flatter a little.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detector
from detector.text.detections import Reading
from tools.results import DATA, ROOT, machine, write_json

SETS = (
    "plates-id", "plates-vn8", "plates-us-crops", "meters-lcd", "captcha-generic", "captcha-v2",
    "captcha-swust-20191218", "captcha-thsrc", "captcha-digits-boxes", "digits-orand-car", "words-iiit5k",
)  # fmt: skip
"""Folders of labelled pictures with the default alphabet."""


def exact(readings: Sequence[Reading], texts: Sequence[str]) -> float:
    """Share of readings that are their text."""
    return sum(reading.text == text for reading, text in zip(readings, texts, strict=True)) / len(texts)


def with_format(reader: detector.Reader, readings: Sequence[Reading]) -> tuple[list[Reading], str]:
    """The readings as their common format has them, and that format in words."""
    model = reader.learnt_from(readings)
    return ([model.applied(r) for r in readings], str(model)) if model else (list(readings), "none")


def measured(reader: detector.Reader, folder: Path, sizes: Sequence[int], draws: int) -> dict[str, Any]:
    """Exact match of one set before and after, and of folders of some sizes; milliseconds a picture on top."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    readings = [
        reading if isinstance(reading, Reading) else Reading("", 0.0, ())
        for reading in reader.read_many([folder / row["image"] for row in rows])
    ]
    start = time.perf_counter()
    applied, form = with_format(reader, readings)
    cost = 1000 * (time.perf_counter() - start) / len(rows)
    result: dict[str, Any] = {
        "set": folder.name, "n": len(rows), "one by one": exact(readings, texts), "folder": exact(applied, texts),
        "format": form, "ms": cost, "sizes": {},
    }  # fmt: skip
    rng = random.Random(folder.name)
    for size in (size for size in sizes if size <= len(rows)):
        pairs = []
        for _ in range(draws):
            places = rng.sample(range(len(rows)), size)
            some, wanted = [readings[i] for i in places], [texts[i] for i in places]
            pairs.append((exact(some, wanted), exact(with_format(reader, some)[0], wanted)))
        result["sizes"][size] = [sum(column) / draws for column in zip(*pairs, strict=True)]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=(5, 10, 30, 100, 300))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "string_formats.json")
    args = parser.parse_args()
    reader = detector.Reader(args.weights)
    results = [measured(reader, args.data / name, args.sizes, args.draws) for name in args.sets]
    print(
        "| set | n | one by one | folder | " + " | ".join(f"gain at {size}" for size in args.sizes) + " | ms | format |"
    )
    print("|---" * (6 + len(args.sizes)) + "|")
    for r in results:
        gains = [f"{r['sizes'][s][1] - r['sizes'][s][0]:+.3f}" if s in r["sizes"] else "" for s in args.sizes]
        cells = [
            r["set"],
            r["n"],
            f"{r['one by one']:.3f}",
            f"{r['folder']:.3f}",
            *gains,
            f"{r['ms']:.2f}",
            r["format"],
        ]
        print("| " + " | ".join(map(str, cells)) + " |")
    write_json(args.out, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
