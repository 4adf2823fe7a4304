"""Sets that benchmarks start from: parts of real ones, and artificial pictures with their true boxes; no command."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from detector.data.parallel import cores
from detector.data.sets.yolo_dataset import ManifestRow, format_labels, write_descriptions, write_tables
from detector.synth import SynthConfig, Synthesizer
from detector.text.reading_config import ReadingConfig

SIZE_WH = (256, 64)
_CHUNK = 250


def source_of(name: str, data: Path, folder: Path) -> Path:
    """Return the label file of a set; ``NAME-8`` is the 8-character part of NAME, which is listed in ``folder``."""
    original = data.resolve() / name.removesuffix("-8") / "labels.csv"
    if not name.endswith("-8"):
        return original
    rows = [(path, text) for path, text in read_labels(original) if len(text) == 8]
    return write_labels(folder / f"{name}.labels" / "labels.csv", rows)


def read_labels(path: Path) -> list[tuple[Path, str]]:
    """Return (picture, text) of each row of a labels.csv, in its order."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(path.parent / row["image"], row["text"]) for row in csv.DictReader(file)]


def write_labels(path: Path, rows: Sequence[tuple[Path, str]]) -> Path:
    """Write a labels.csv of (picture, text), with paths as they are given; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "text"))
        writer.writerows(rows)
    return path


def _draw(job: tuple[Path, int, int, int]) -> list[ManifestRow]:
    """Draw the pictures ``start`` to ``stop`` of a set; those from ``first_val`` on are for validation."""
    root, start, stop, first_val = job
    cv2.setNumThreads(1)
    synthesizer = Synthesizer(SynthConfig(size_wh=SIZE_WH, styles=("captcha", "plate", "label")))
    rows = []
    for number in range(start, stop):
        picture, split = synthesizer(number), "val" if number >= first_val else "train"
        name = f"images/{split}/{number:07}.png"
        cv2.imwrite(str(root / name), np.ascontiguousarray(picture.image))
        ids = [synthesizer.config.alphabet.symbols.index(c) for c in picture.text.replace(" ", "")]
        label = root / f"labels/{split}/{number:07}.txt"
        label.write_text(format_labels(ids, picture.boxes_xyxy, *SIZE_WH), encoding="ascii")
        rows.append(ManifestRow(name, name, picture.text, split, "true", "1", "ok"))
    return rows


def artificial_set(root: Path, count: int, val: int = 256) -> Path:
    """Draw a converted set of 256x64 pictures with their true boxes, unless it exists; return its data.yaml.

    Args:
        root: folder of the set.
        count: of pictures for training.
        val: number of pictures for validation.
    """
    if (root / "data.yaml").is_file():
        return root / "data.yaml"
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True, exist_ok=True)
        (root / "labels" / split).mkdir(parents=True, exist_ok=True)
    total = count + val
    jobs = [(root, i, min(i + _CHUNK, total), count) for i in range(0, total, _CHUNK)]
    with ProcessPoolExecutor(cores()) as pool:
        rows = [row for chunk_rows in pool.map(_draw, jobs) for row in chunk_rows]
    write_tables(root, rows, [])
    config = ReadingConfig(shape_hw=(SIZE_WH[1], SIZE_WH[0]))
    images = {split: [row.image for row in rows if row.split == split] for split in ("train", "val")}
    write_descriptions(root, root.resolve(), config, images)
    return root / "data.yaml"
