"""Calibration of confidences on held-out pictures: ECE before and after it, coverage at a wanted precision.

    python tools/reading/calibration.py WEIGHTS SET [WEIGHTS SET …] [--learn] [--precision 0.995]

Each pair is weights ("shipped" for the package's own) and a converted set, or labelled pictures as `detector evaluate`
takes them. The network's own scores are compared with the calibration that the weights carry; for a converted set, with
--learn or if they carry none, with one that is learnt on the set's split "val". Both are measured on the split "test",
or on all of the labelled pictures. Prints a Markdown table, and leaves JSON in OUT. Nothing is trained.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from detector import Reader, evaluate
from detector.data.sets.yolo_dataset import read_set
from detector.networks.shipped import SHIPPED
from detector.training.publish import Validation, calibrated
from tools.results import ROOT, machine, machine_lines, write_json


def measure(weights: str, data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one pair: of the same readings with their scores, and calibrated."""
    reader = Reader(None if weights == "shipped" else weights, device=args.device)
    config, name, learn, learnt_from = reader.config, data.stem, False, 0
    if data.suffix == ".yaml" or (data / "data.yaml").is_file():
        characters = read_set(data)
        config = replace(config, shape_hw=config.shape_hw or characters.config.shape_hw)
        name, learn = characters.root.name, args.learn or config.calibration is None
        learnt_from = sum(row.split == "val" for row in characters.manifest())
        if learn:
            path = SHIPPED if weights == "shipped" else Path(weights)
            config, _ = calibrated(path, Validation(characters, config, device=args.device))
    elif config.calibration is None:
        raise SystemExit(f"{weights} carries no calibration: give a converted set to learn one from, not {data}.")
    figures: dict[str, Any] = {
        "weights": Path(weights).name, "set": name, "learnt_here": learn, "machine": machine(),
        "learnt_from": learnt_from, "calibration": config.to_dict()["calibration"],
    }  # fmt: skip
    for kind, kind_config in (("scores", replace(config, calibration=None)), ("calibrated", config)):
        reader.config = kind_config
        result = evaluate(reader, data, split=args.split).to_dict(args.precision)
        figures[kind] = {key: result[key] for key in ("exact_match", "count", "calibration", "coverage")}
    return figures


def table(results: list[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each pair."""
    lines = [
        "| weights | set | learnt from | pictures | exact match | ECE of strings: scores, calibrated (by chance) "
        "| ECE of characters: scores, calibrated (by chance) | coverage: right of taken | `min_confidence` |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results:
        before, after = row["scores"], row["calibrated"]
        strings, characters = (
            f"{before['calibration'][kind]['ece']:.3f}, {after['calibration'][kind]['ece']:.3f} "
            f"({after['calibration'][kind]['ece_by_chance']:.3f})"
            for kind in ("strings", "characters")
        )
        coverage = after["coverage"]
        source = f"{row['learnt_from']} here" if row["learnt_here"] else "training"
        lines.append(
            f"| {row['weights']} | {row['set']} | {source} "
            f"| {after['count']} | {after['exact_match']:.1%} | {strings} | {characters} "
            f"| {coverage['coverage']:.1%} at {coverage['precision_wanted']:.1%}: "
            f"{coverage['right']} of {coverage['taken']} | {coverage['min_confidence']} |"
        )
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="WEIGHTS SET", help="weights, and what they read")
    parser.add_argument("--split", default=None, help="of a converted set, that is read [test]")
    parser.add_argument("--learn", action="store_true", help="learn anew, from the split val")
    parser.add_argument("--precision", type=float, default=0.995)
    parser.add_argument("--device", help="as yolo spells it")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "calibration.json")
    args = parser.parse_args()
    if len(args.pairs) % 2:
        parser.error("give weights and a set, one after the other")
    pairs = zip(args.pairs[::2], map(Path, args.pairs[1::2]), strict=True)
    results = [measure(weights, data, args) for weights, data in pairs]
    write_json(args.out, {"results": results})
    print(table(results))


if __name__ == "__main__":
    main()
