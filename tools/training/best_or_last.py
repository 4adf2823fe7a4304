"""The best epoch of a training run, its last one and the published weights: exact match on held-out pictures, and ECE.

The published weights are those of one of both epochs, or their mean with the weights that training started from.

    python tools/training/best_or_last.py OUT/SET.COUNT.START …

Takes folders that few_pictures.py left: the set, the run of `detector train` and the held-out fifth. Both checkpoints
are calibrated on the validation split, as `detector train` does it. Leaves OUT/SET.COUNT.START/best_or_last.json.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Any

import detector
from detector.data.sets.yolo_dataset import read_set
from detector.networks import ultralytics
from detector.training.publish import Validation, calibrated
from tools.results import machine, machine_lines, write_json

EPOCHS = ("best", "last", "published")


def evaluate_point(point: Path, device: str) -> dict[str, detector.Evaluation]:
    """Return the evaluation of each of EPOCHS on the held-out pictures of a folder of few_pictures.py."""
    characters = read_set(point / "set")
    published = point / "weights" / "point.pt"
    config = detector.Reader(published, device=device).config
    evaluations = {}
    for epoch in EPOCHS:
        with tempfile.TemporaryDirectory() as folder:
            weights = published if epoch == "published" else Path(folder) / f"{epoch}.pt"
            if epoch != "published":
                checkpoint = point / "runs" / "point" / "weights" / f"{epoch}.pt"
                calibrated_config, _ = calibrated(checkpoint, Validation(characters, config, device=device))
                ultralytics.publish(checkpoint, weights, calibrated_config, {})
            evaluations[epoch] = detector.evaluate(detector.Reader(weights, device=device), point / "held_out")
    return evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", nargs="+", type=Path, help="folders of few_pictures.py")
    parser.add_argument("--device", default="cpu", help="as yolo spells it")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    lines = ["| point | epoch | exact match | CER | ECE of strings (by chance) | ECE of characters (by chance) |"]
    lines.append("|---|---|---|---|---|---|")
    results: list[dict[str, Any]] = []
    for point in args.points:
        evaluations = evaluate_point(point, args.device)
        results.append({"machine": machine(), **{epoch: scores.to_dict() for epoch, scores in evaluations.items()}})
        for epoch, scores in evaluations.items():
            curves = (scores.calibration, scores.character_calibration)
            errors = " | ".join(f"{curve.ece:.3f} ({curve.by_chance:.3f})" for curve in curves)
            lines.append(f"| {point.name} | {epoch} | {scores.exact_match:.1%} | {scores.score.cer:.2%} | {errors} |")
        write_json(point / "best_or_last.json", results[-1])
    print("\n".join([*lines, "", *machine_lines(results)]))


if __name__ == "__main__":
    main()
