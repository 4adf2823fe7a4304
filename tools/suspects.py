"""Do the suspects of a conversion hold the labels that are wrong?

    python tools/suspects.py [--sets captcha-v2 digits-orand-car] [--share 0.03] [--seeds 0 1 2]

A share of a set's labels is spoilt on purpose: half of them get one symbol changed for another that the set has,
half are swapped with another picture's. Convert sees only the spoilt ones. Then recall (of the spoilt labels, how
many are suspects) and precision (of the suspects, how many are spoilt), in all and by what was done to the label;
and whether "read" says what the label was. The sets have wrong labels of their own: WRONG_IN_THE_SET lists those that
this found and a look at the picture confirmed. Precision is given without them, and with them counted as found.
With so few spoilt labels chance shows: each seed spoils others, and a set's counts are those of all its seeds.
Leaves OUT/SET-SEED.json, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import logging
import random
import time
from collections import Counter
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
        "train_a_car_000669": "157946", "train_a_car_000672": "32712", "train_a_car_000768": "17146",
        "train_a_car_000803": "39300", "train_a_car_000817": "1119", "train_a_car_000977": "19620",
        "train_a_car_001027": "15775", "train_a_car_001037": "110820", "train_a_car_001068": "28304",
        "train_a_car_001086": "97060", "train_a_car_001163": "5965", "train_a_car_001165": "15371",
        "train_a_car_001167": "109", "train_a_car_001192": "198",
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


def run_set(name: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Spoil, convert, count."""
    original = source_of(name, args.data, args.out)
    with original.open(newline="", encoding="utf-8") as file:
        rows = [(original.parent / r["image"], r["text"].upper()) for r in csv.DictReader(file)]
    rows = [(path, text) for path, text in rows if 0 < len(text) <= DEFAULT_LENGTH]
    texts = [text for _, text in rows]
    spoilt, done = spoil(texts, args.share, seed)
    out = args.out / f"{name}-{seed}"
    labels = write_labels(
        args.out / f"{out.name}.labels" / "labels.csv", [(p, t) for (p, _), t in zip(rows, spoilt, strict=True)]
    )
    began, worked = time.perf_counter(), time.process_time()
    detector.convert(labels, out, overwrite=True, seed=seed, budget=args.budget, refine=args.refine)
    minutes, core_minutes = (time.perf_counter() - began) / 60, (time.process_time() - worked) / 60
    place = {path.name: i for i, (path, _) in enumerate(rows)}
    if len(place) != len(rows):
        raise SystemExit(f"{name}: two pictures have one name.")
    manifest = {place[Path(row.source).name]: row for row in read_manifest(out)}
    listed = {i for i, row in manifest.items() if row.status == "suspect"}
    found = listed & done.keys()
    own = {
        i
        for i in listed - done.keys()
        if rows[i][0].name.split("_png")[0].split(".")[0] in WRONG_IN_THE_SET.get(name, {})
    }
    return {
        "set": name, "seed": seed, "pictures": len(rows), "suspects": len(listed),
        "minutes": minutes, "core_minutes": core_minutes,
        "spoilt": {what: len(some) for what, some in by_kind(done).items()},
        "found": {what: len(some & listed) for what, some in by_kind(done).items()},
        "wrong_in_the_set": len(own), "read_is_truth": sum(manifest[i].read == texts[i] for i in found),
        "share": args.share, "refine": args.refine, "machine": machine(),
        "missed": [[rows[i][0].name, texts[i], spoilt[i], manifest[i].confidence] for i in done.keys() - listed
                   if i in manifest],
        "false_alarms": [[rows[i][0].name, texts[i], manifest[i].read, manifest[i].confidence]
                         for i in sorted(listed - done.keys())],
    }  # fmt: skip


def by_kind(done: dict[int, str]) -> dict[str, set[int]]:
    """Places of the labels by what was done to them."""
    return {kind: {i for i, how in done.items() if how == kind} for kind in ("changed", "swapped")}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line a set: its seeds together."""
    lines = [
        "| set | pictures | seeds | spoilt | suspects | recall | changed | swapped | precision "
        "| wrong in the set itself | precision with these | read is the truth | minutes a seed |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(r["set"] for r in results):
        some = [r for r in results if r["set"] == name]
        spoilt, found = (sum((Counter(r[key]) for r in some), Counter[str]()) for key in ("spoilt", "found"))
        suspects, own, read = (sum(r[key] for r in some) for key in ("suspects", "wrong_in_the_set", "read_is_truth"))
        hits = found.total()
        shares = [
            (hits, spoilt.total()), *((found[what], spoilt[what]) for what in ("changed", "swapped")), (hits, suspects)
        ]  # fmt: skip
        lines.append(
            f"| {name} | {some[0]['pictures']} | {len(some)} | {spoilt.total()} | {suspects} | "
            f"{' | '.join(_share(*one) for one in shares)} | {own} | {_share(hits + own, suspects)} | "
            f"{_share(read, hits)} | {sum(r['minutes'] for r in some) / len(some):.1f} |"
        )
    return "\n".join([*lines, "", *machine_lines(results)])


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help="folders of --data")
    parser.add_argument("--share", type=float, default=0.03, help="of the labels, spoilt")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "suspects", help="folder to work in")
    parser.add_argument("--budget", type=float, default=1.0, help="as convert's")
    parser.add_argument("--refine", type=int, default=0, help="as convert's: rounds of refinement at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="each spoils other labels")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        for seed in args.seeds:
            write_json(args.out / f"{name}-{seed}.json", run_set(name, seed, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
