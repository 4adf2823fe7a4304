"""Exact match after this package's letterbox and after Ultralytics', which shrinks linearly.

    python tools/reading/letterbox.py [--sets plates-us-crops plates-vn8] [--pictures 500] [--weights PT]

Both scale, place and pad alike (a test compares them); if a picture gets smaller, this package takes the mean of the
area that a pixel covers, and Ultralytics, so also plain `yolo predict`, interpolates between four pixels. One pass of
the shipped weights or of --weights on the same pictures; exact match of letters and digits as zero_shot.py compares
them. Prints a Markdown table and writes OUT.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import detector
from detector.data.images import read_image
from detector.data.letterbox import ratio_of
from detector.networks.runtimes import ExportedNetwork
from detector.networks.shipped import SHIPPED
from detector.reading.export import export
from detector.reading.two_pass import Prepared, ReadingPipeline
from detector.text.metrics import mcnemar
from tools.arguments import add_sample
from tools.peers.zero_shot import SETS, normalise, sample
from tools.results import ROOT, machine, machine_lines, write_json

SHRUNK = ("plates-us-crops", "plates-vn8", "captcha-generic")
"""Sets most of whose pictures are larger than the network's input."""


def measure(name: str, pipeline: ReadingPipeline, rows: list[tuple[str, str]]) -> dict[str, Any]:
    """Return exact match after each letterbox, over all pictures and over those that get smaller.

    Pairs of figures are this package's first, Ultralytics' second.
    """
    import detector.networks.ultralytics  # noqa: F401, sets its switches

    from ultralytics.data.augment import LetterBox  # isort: skip

    labels = [normalise(text) for _, text in rows]
    images = [read_image(path) for path, _ in rows]
    ours = [pipeline.prepare(image) for image in images]
    theirs = [
        Prepared(LetterBox(prepared.letterboxed.shape[:2], auto=False)(image=image), prepared.transform)
        for image, prepared in zip(images, ours, strict=True)
    ]
    ratios = [
        ratio_of(image.shape[1::-1], prepared.letterboxed.shape[:2])
        for image, prepared in zip(images, ours, strict=True)
    ]
    is_smaller = np.array(ratios) < 1
    differing = np.array([(a.letterboxed != b.letterboxed).any(2).mean() for a, b in zip(ours, theirs, strict=True)])
    hits = []
    for inputs in (ours, theirs):
        readings = pipeline.decode(inputs, pipeline.detect(inputs), {})
        texts = [normalise(reading.shown_text) for reading in readings]
        hits.append(np.array([text == label for text, label in zip(texts, labels, strict=True)]))
    hits_alone = [int((hits[i] & ~hits[1 - i]).sum()) for i in range(2)]
    return {
        "set": name, "pictures": len(rows), "smaller": int(is_smaller.sum()),
        "differing": float(differing[is_smaller].mean()) if is_smaller.any() else 0.0,
        "exact_match": [float(hit.mean()) for hit in hits],
        "of_smaller": [float(hit[is_smaller].mean()) if is_smaller.any() else 0.0 for hit in hits],
        "only": hits_alone, "p": mcnemar(*hits_alone),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sample(parser, SETS, SHRUNK, 500)
    parser.add_argument("--weights", type=Path, default=None, help="an exported .onnx file, or a .pt that is exported")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "letterbox.json")
    args = parser.parse_args()
    weights = args.weights or SHIPPED.with_suffix(".onnx")
    network = ExportedNetwork(weights if weights.suffix == ".onnx" else export(weights), "onnx")
    pipeline = ReadingPipeline(network, detector.Reader(weights).config, two_pass=False)
    sets = [measure(name, pipeline, sample(name, args.data.resolve(), args.pictures, args.seed)) for name in args.sets]
    result = {"sets": sets, "weights": weights.name, "seed": args.seed, "machine": machine()}
    write_json(args.out, result)
    print("| set | pictures | made smaller | of their pixels differ | exact match: this package's, Ultralytics' "
          "| right with one alone | p |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for row in sets:
        ours, theirs = row["exact_match"]
        print(f"| {row['set']} | {row['pictures']} | {row['smaller']} | {row['differing']:.0%} | {ours:.1%}, "
              f"{theirs:.1%} | {row['only'][0]}, {row['only'][1]} | {row['p']:.2g} |")  # fmt: skip
    print("\n" + "\n".join(machine_lines([result])))


if __name__ == "__main__":
    main()
