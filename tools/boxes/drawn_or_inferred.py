"""Is a reader that learnt from inferred boxes worse than one that learnt from boxes that a person drew?

    python tools/boxes/drawn_or_inferred.py [--sets digits-orand-car] [--epochs 40] [--seeds 0 1]

Converts a set that has drawn boxes from its strings alone, copies the result, and puts the drawn boxes into the
copy's label files. Both are trained on the same pictures with the same arguments and seeds, and read the held-out
fifth. Leaves OUT/SET.json a set, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detector
from detector.data.images import read_image
from detector.data.yolo_dataset import format_labels, label_file, read_set
from tools.boxes.box_quality import DrawnPicture, read_drawn
from tools.results import DATA, ROOT, machine, machine_lines, read_results, write_json
from tools.training.real_sets import score

SETS = ("digits-orand-car", "captcha-digits-boxes", "words-iiit5k")
BOXES = ("drawn", "inferred")


def put_drawn_boxes(root: Path, drawn: dict[str, DrawnPicture]) -> tuple[int, int]:
    """Replace the boxes of a converted set; how many pictures got theirs, and how many have none and keep theirs."""
    characters, replaced, unchanged = read_set(root), 0, 0
    table = characters.config.alphabet
    for row in characters.manifest():
        picture = drawn.get(row.source)
        if picture is None:
            unchanged += 1
            continue
        height, width = read_image(root / row.image).shape[:2]
        text = picture.text.replace(table.space, "")
        ids = table.encode([text], len(text))[0].tolist()
        label_file(root, row.image).write_text(format_labels(ids, picture.boxes_xyxy, width, height), encoding="ascii")
        replaced += 1
    return replaced, unchanged


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Convert once, train each kind of boxes with each seed, read the held-out fifth."""
    folder = args.out / name
    source = args.data.resolve() / name
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
            start_time = time.perf_counter()
            run = f"{boxes}-{seed}"
            with contextlib.chdir(folder):  # weights/ lands where one is
                weights = detector.train(
                    folder / boxes / "data.yaml", epochs=args.epochs, name=run, seed=seed, exist_ok=True
                ).path.resolve()
            test = score(weights, folder / boxes / "data.yaml")
            minutes = (time.perf_counter() - start_time) / 60
            result["runs"].append({"boxes": boxes, "seed": seed, "test": test, "minutes": minutes})
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line a set and kind of boxes."""
    lines = [
        "| set | boxes | epochs | exact match on the held-out fifth, a seed each | mean | CER, mean |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        for boxes in BOXES:
            tests = [run["test"] for run in result["runs"] if run["boxes"] == boxes]
            shares = ", ".join(f"{t['exact_match']:.1%}" for t in tests)
            mean, cer = (sum(t[key] for t in tests) / len(tests) for key in ("exact_match", "cer"))
            lines.append(f"| {result['set']} | {boxes} | {result['epochs']} | {shares} | {mean:.1%} | {cer:.2%} |")
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["digits-orand-car"], help=", ".join(SETS))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "drawn_or_inferred", help="folder to work in")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        write_json(args.out / f"{name}.json", run_set(name, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
