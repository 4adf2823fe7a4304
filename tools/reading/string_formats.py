"""What the format of a folder is worth: shipped weights, one by one and as `detector predict FOLDER` reads.

    python tools/reading/string_formats.py [--data ../shared/data] [--sizes 5 10 30 100 300] [--draws 5]

Each set is read one by one, and as a folder: the format is learnt from its readings, without labels, of all pictures,
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
from detector.networks.network import MAX_BATCH
from detector.reading.inputs import named_pictures
from detector.text.decode import decode_again
from detector.text.detections import Reading
from tools.results import DATA, ROOT, machine, write_json

SETS = (
    "plates-id", "plates-vn8", "plates-us-crops", "meters-lcd", "captcha-generic", "captcha-v2",
    "captcha-swust-20191218", "captcha-thsrc", "captcha-digits-boxes", "digits-orand-car", "words-iiit5k",
)  # fmt: skip
"""Folders of labelled pictures with the default alphabet."""

EXCEPTIONS = 40
"""Pictures of another set that are read by a folder's format."""


def exact(readings: Sequence[Reading], texts: Sequence[str]) -> float:
    """Share of readings that are their text."""
    return sum(reading.text == text for reading, text in zip(readings, texts, strict=True)) / len(texts)


def with_format(reader: detector.Reader, pictures: Sequence[Path]) -> tuple[list[Reading], str]:
    """The readings as `detector predict FOLDER` has them, and their format in words."""
    fitted, readings = reader.fitted_stream(pictures)
    return [shown(reading) for _, reading in readings], str(fitted.string_model or "none")


def shown(reading: Reading | detector.Failure) -> Reading:
    """The reading; an empty one of a picture that cannot be decoded."""
    return reading if isinstance(reading, Reading) else Reading("", 0.0, ())


def measured(reader: detector.Reader, folder: Path, sizes: Sequence[int], draws: int) -> dict[str, Any]:
    """Exact match of one set before and after, and of folders of some sizes; milliseconds a picture on top."""
    pictures, texts = listed(folder)
    readings = [shown(reading) for reading in reader.read_many(pictures)]
    applied, form = with_format(reader, pictures)
    cost = milliseconds(reader, pictures)
    result: dict[str, Any] = {
        "set": folder.name, "n": len(texts), "one by one": exact(readings, texts), "folder": exact(applied, texts),
        "format": form, "ms": cost, "sizes": {},
    }  # fmt: skip
    rng = random.Random(folder.name)
    for size in (size for size in sizes if size <= len(texts)):
        pairs = []
        for _ in range(draws):
            places = rng.sample(range(len(texts)), size)
            wanted = [texts[i] for i in places]
            pairs.append((
                exact([readings[i] for i in places], wanted),
                exact(with_format(reader, [pictures[i] for i in places])[0], wanted),
            ))  # fmt: skip
        result["sizes"][size] = [sum(column) / draws for column in zip(*pairs, strict=True)]
    return result


def milliseconds(reader: detector.Reader, pictures: Sequence[Path]) -> float:
    """What the format takes a picture, beside decoding without it, on one core: the least of five times, in batches."""
    decoded = reader._decoded(named_pictures(pictures), keeps_evidence=True)
    kept = [reading for _, reading in decoded if isinstance(reading, Reading)]
    fitted = reader.fitted_to(pictures)

    def seconds(config: detector.ReadingConfig) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            for at in range(0, len(kept), MAX_BATCH):
                decode_again(kept[at : at + MAX_BATCH], config)
            times.append(time.process_time() - start)
        return min(times)

    return 1000 * (seconds(fitted.config) - seconds(reader.config)) / max(1, len(kept))


def listed(folder: Path) -> tuple[list[Path], list[str]]:
    """The pictures and texts of a set."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [folder / row["image"] for row in rows], [row["text"] for row in rows]


def exceptions(reader: detector.Reader, folder: Path, others: Sequence[Path]) -> dict[str, list[int]]:
    """Of EXCEPTIONS pictures of other sets, those read one by one, and those read by the format of a folder with 1 %.

    The format is that of 297 pictures of ``folder`` and of three of the other set.
    """
    counts = {}
    rng = random.Random(folder.name)
    of_folder = listed(folder)[0][:297]
    for other in others:
        pictures, texts = listed(other)
        places = rng.sample(range(len(texts)), EXCEPTIONS)
        strange, wanted = [pictures[i] for i in places], [texts[i] for i in places]
        fitted = reader.fitted_to([*of_folder, *strange[:3]])
        right = [exact([shown(r) for r in one.read_many(strange)], wanted) for one in (reader, fitted)]
        counts[other.name] = [round(EXCEPTIONS * share) for share in right]
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=(5, 10, 30, 100, 300))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--exceptions", nargs="*", default=(), help="sets whose pictures are exceptions in the others")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "string_formats.json")
    args = parser.parse_args()
    reader = detector.Reader(args.weights)
    results = [measured(reader, args.data / name, args.sizes, args.draws) for name in args.sets]
    if args.exceptions:
        for name in args.exceptions:
            others = [args.data / other for other in args.exceptions if other != name]
            counts = exceptions(reader, args.data / name, others)
            told = ", ".join(f"{other} {before} to {after}" for other, (before, after) in counts.items())
            print(f"{name}, of {EXCEPTIONS} pictures of others: {told}")
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
