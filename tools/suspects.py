"""Do the suspects of a conversion hold the labels that are wrong?

    python tools/suspects.py [--sets captcha-v2 digits-orand-car] [--share 0.03]

A share of a set's labels is spoilt on purpose: half of them get one symbol changed for another that the set has,
half are swapped with another picture's. Convert sees only the spoilt ones. Then recall (of the spoilt labels, how
many are suspects) and precision (of the suspects, how many are spoilt), in all and by what was done to the label;
and whether "read" says what the label was. The sets have wrong labels of their own: WRONG_IN_THE_SET lists those that
this found and a look at the picture confirmed. Precision is given without them, and with them counted as found.
Leaves OUT/SET.json, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import logging
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from real_sets import ROOT, machine, machine_lines, read_results, source_of, write_json, write_labels

import detector
from detector.alphabet import DEFAULT_LENGTH
from detector.yolo_format import read_manifest

SETS = ("captcha-v2", "digits-orand-car")

WRONG_IN_THE_SET = {
    "captcha-v2": {"cdcb3": "EDCB3", "mxnw4": "MXMW4", "wgnwp": "WGMWP"},
    "digits-orand-car": {
        "train_a_car_000285": "89800", "train_a_car_000340": "7393", "train_a_car_000525": "22107",
        "train_a_car_000672": "32712", "train_a_car_000768": "17146", "train_a_car_000803": "39300",
        "train_a_car_000817": "1119", "train_a_car_000977": "19620", "train_a_car_001027": "15775",
        "train_a_car_001068": "28304", "train_a_car_001086": "97060", "train_a_car_001163": "5965",
        "train_a_car_001165": "15371", "train_a_car_001167": "109", "train_a_car_001192": "198",
    },
}  # fmt: skip
"""What stands in pictures whose labels are wrong in the set, by the first part of the file's name."""


def spoil(texts: Sequence[str], share: float, seed: int) -> tuple[list[str], dict[int, str]]:
    """Texts with so many of them wrong, and of which place what was done: "changed" or "swapped"."""
    rng = random.Random(seed)
    symbols = sorted(set("".join(texts)))
    spoilt, done = list(texts), {}
    places = rng.sample(range(len(texts)), round(share * len(texts)))
    pairs = len(places) // 4
    for a, b in zip(places[:pairs], places[pairs : 2 * pairs], strict=True):
        if texts[a] != texts[b]:
            spoilt[a], spoilt[b] = texts[b], texts[a]
            done |= {a: "swapped", b: "swapped"}
    for i in places[2 * pairs :]:
        at = rng.randrange(len(texts[i]))
        other = rng.choice([s for s in symbols if s != texts[i][at]])
        spoilt[i] = texts[i][:at] + other + texts[i][at + 1 :]
        done[i] = "changed"
    return spoilt, done


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Spoil, convert, count."""
    original = source_of(name, args.data, args.out)
    with original.open(newline="", encoding="utf-8") as file:
        rows = [(original.parent / r["image"], r["text"].upper()) for r in csv.DictReader(file)]
    rows = [(path, text) for path, text in rows if 0 < len(text) <= DEFAULT_LENGTH]
    texts = [text for _, text in rows]
    spoilt, done = spoil(texts, args.share, args.seed)
    labels = write_labels(
        args.out / f"{name}.labels" / "labels.csv", [(p, t) for (p, _), t in zip(rows, spoilt, strict=True)]
    )
    began, worked = time.perf_counter(), time.process_time()
    detector.convert(labels, args.out / name, overwrite=True, seed=args.seed, budget=args.budget, refine=args.refine)
    minutes, core_minutes = (time.perf_counter() - began) / 60, (time.process_time() - worked) / 60
    place = {path.name: i for i, (path, _) in enumerate(rows)}
    if len(place) != len(rows):
        raise SystemExit(f"{name}: two pictures have one name.")
    manifest = {place[Path(row.source).name]: row for row in read_manifest(args.out / name)}
    listed = {i for i, row in manifest.items() if row.status == "suspect"}
    found = listed & done.keys()
    own = {
        i
        for i in listed - done.keys()
        if rows[i][0].name.split("_png")[0].split(".")[0] in WRONG_IN_THE_SET.get(name, {})
    }
    result: dict[str, Any] = {
        "set": name, "pictures": len(rows), "spoilt": len(done), "suspects": len(listed),
        "minutes": minutes, "core_minutes": core_minutes,
        "recall": len(found) / len(done), "precision": len(found) / len(listed) if listed else 1.0,
        "wrong_in_the_set": len(own), "precision_with_own": (len(found) + len(own)) / max(len(listed), 1),
        "read_is_truth": sum(manifest[i].read == texts[i] for i in found) / max(len(found), 1),
        "share": args.share, "refine": args.refine, "seed": args.seed, "machine": machine(),
        "missed": [[rows[i][0].name, texts[i], spoilt[i], manifest[i].confidence] for i in done.keys() - listed
                   if i in manifest],
        "false_alarms": [[rows[i][0].name, texts[i], manifest[i].read, manifest[i].confidence]
                         for i in sorted(listed - done.keys())],
    }  # fmt: skip
    for what in ("changed", "swapped"):
        of = {i for i, how in done.items() if how == what}
        result[f"recall_{what}"] = len(of & listed) / max(len(of), 1)
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line a set."""
    lines = [
        "| set | pictures | spoilt | suspects | recall | changed | swapped | precision | wrong in the set itself "
        "| precision with these | read is the truth | minutes |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        shares = [f"{r[k]:.1%}" for k in ("recall", "recall_changed", "recall_swapped", "precision")]
        counts = f"{r['pictures']} | {r['spoilt']} | {r['suspects']}"
        own = f"{r['wrong_in_the_set']} | {r['precision_with_own']:.1%} | {r['read_is_truth']:.1%}"
        lines.append(f"| {r['set']} | {counts} | {' | '.join(shares)} | {own} | {r['minutes']:.1f} |")
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help="folders of --data")
    parser.add_argument("--share", type=float, default=0.03, help="of the labels, spoilt")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "suspects", help="folder to work in")
    parser.add_argument("--budget", type=float, default=1.0, help="as convert's")
    parser.add_argument("--refine", type=int, default=0, help="as convert's: rounds of refinement at most")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        write_json(args.out / f"{name}.json", run_set(name, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
