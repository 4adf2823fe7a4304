"""Gain of the string model of a folder: pictures read one by one, and as `detector predict FOLDER` reads them.

    python tools/reading/string_formats.py [--data ../shared/data] [--sizes 5 10 30 100 300] [--draws 5]

Each set is read with the shipped weights, one by one and as a folder, where a string model is fitted to the readings
without labels: for all pictures, and for --draws random folders of each size. The figures are exact matches with the
labels as they are. Prints a Markdown table and writes OUT. Some rules of the string model were chosen with these sets,
so the gains are slightly optimistic.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detector
from detector.data.parallel import chunked
from detector.networks.network import MAX_BATCH
from detector.reading.inputs import named_pictures
from detector.text.decode import decode_again
from detector.text.detections import Reading
from tools.results import DATA, ROOT, machine, write_json
from tools.sets import read_labels

SETS = (
    "plates-id", "plates-vn8", "plates-us-crops", "meters-lcd", "captcha-generic", "captcha-v2",
    "captcha-swust-20191218", "captcha-thsrc", "captcha-digits-boxes", "digits-orand-car", "words-iiit5k",
)  # fmt: skip
"""Folders of labelled pictures with the default alphabet."""

EXCEPTIONS = 40
"""Number of pictures of another set that are read with a folder's string model."""


def exact(readings: Sequence[Reading], texts: Sequence[str]) -> float:
    """Return the share of readings that are equal to their text."""
    return sum(reading.text == text for reading, text in zip(readings, texts, strict=True)) / len(texts)


def read_as_folder(reader: detector.Reader, pictures: Sequence[Path]) -> tuple[list[Reading], str]:
    """Read pictures as `detector predict FOLDER` does; return the readings, and a description of the string model."""
    fitted, readings = reader.fitted_stream(pictures)
    return [as_reading(reading) for _, reading in readings], str(fitted.string_model or "none")


def as_reading(reading: Reading | detector.Failure) -> Reading:
    """Return the reading; an empty one for a picture that cannot be decoded."""
    return reading if isinstance(reading, Reading) else Reading("", 0.0, ())


def measure_set(reader: detector.Reader, folder: Path, sizes: Sequence[int], draws: int) -> dict[str, Any]:
    """Measure one set: exact match without and with the string model, also of smaller folders, and its cost.

    Args:
        reader: to read with.
        folder: of the set.
        sizes: of smaller folders, in pictures.
        draws: number of random folders of each size.
    """
    pictures, texts = read_set(folder)
    readings = [as_reading(reading) for reading in reader.read_many(pictures)]
    folder_readings, description = read_as_folder(reader, pictures)
    cost = decoding_milliseconds(reader, pictures)
    result: dict[str, Any] = {
        "set": folder.name, "n": len(texts), "one by one": exact(readings, texts),
        "folder": exact(folder_readings, texts), "format": description, "ms": cost, "sizes": {},
    }  # fmt: skip
    rng = random.Random(folder.name)
    for size in (size for size in sizes if size <= len(texts)):
        pairs = []
        for _ in range(draws):
            places = rng.sample(range(len(texts)), size)
            labels = [texts[i] for i in places]
            pairs.append((
                exact([readings[i] for i in places], labels),
                exact(read_as_folder(reader, [pictures[i] for i in places])[0], labels),
            ))  # fmt: skip
        result["sizes"][size] = [sum(column) / draws for column in zip(*pairs, strict=True)]
    return result


def decoding_milliseconds(reader: detector.Reader, pictures: Sequence[Path]) -> float:
    """Return milliseconds that the string model adds to decoding a picture on one core: the minimum of five runs."""
    decoded = reader._decoded(named_pictures(pictures), keeps_evidence=True)
    readings = [reading for _, reading in decoded if isinstance(reading, Reading)]
    fitted = reader.fitted_to(pictures)

    def seconds(config: detector.ReadingConfig) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            for batch in chunked(readings, MAX_BATCH):
                decode_again(batch, config)
            times.append(time.process_time() - start)
        return min(times)

    return 1000 * (seconds(fitted.config) - seconds(reader.config)) / max(1, len(readings))


def read_set(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the pictures and texts of a set."""
    rows = read_labels(folder / "labels.csv")
    return [path for path, _ in rows], [text for _, text in rows]


def count_exceptions(reader: detector.Reader, folder: Path, exception_sets: Sequence[Path]) -> dict[str, list[int]]:
    """Count pictures of other sets that are read right one by one, and with the string model of a folder.

    The string model is fitted to 297 pictures of ``folder`` and three of the other set, 1 %. EXCEPTIONS pictures of
    each other set are read.
    """
    counts = {}
    rng = random.Random(folder.name)
    folder_pictures = read_set(folder)[0][:297]
    for exception_set in exception_sets:
        pictures, texts = read_set(exception_set)
        places = rng.sample(range(len(texts)), EXCEPTIONS)
        foreign_pictures, labels = [pictures[i] for i in places], [texts[i] for i in places]
        fitted = reader.fitted_to([*folder_pictures, *foreign_pictures[:3]])
        shares = [
            exact([as_reading(reading) for reading in r.read_many(foreign_pictures)], labels) for r in (reader, fitted)
        ]
        counts[exception_set.name] = [round(EXCEPTIONS * share) for share in shares]
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
    results = [measure_set(reader, args.data / name, args.sizes, args.draws) for name in args.sets]
    for name in args.exceptions:
        exception_sets = [args.data / exception_set for exception_set in args.exceptions if exception_set != name]
        counts = count_exceptions(reader, args.data / name, exception_sets)
        changes = ", ".join(f"{set_name} {before} to {after}" for set_name, (before, after) in counts.items())
        print(f"{name}, of {EXCEPTIONS} pictures of others: {changes}")
    print(
        "| set | n | one by one | folder | " + " | ".join(f"gain at {size}" for size in args.sizes) + " | ms | format |"
    )
    print("|---" * (6 + len(args.sizes)) + "|")
    for result in results:
        matches = [result["sizes"].get(size) for size in args.sizes]
        gains = [f"{pair[1] - pair[0]:+.3f}" if pair else "" for pair in matches]
        cells = [
            result["set"], result["n"], f"{result['one by one']:.3f}", f"{result['folder']:.3f}", *gains,
            f"{result['ms']:.2f}", result["format"],
        ]  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |")
    write_json(args.out, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
