"""Do the suspects of a conversion hold the labels that are wrong?

    python tools/boxes/suspects.py [--sets captcha-v2 digits-orand-car] [--share 0.03] [--kinds changed swapped]
        [--seeds 0 1]

Labels are spoilt on purpose, and convert sees only the spoilt ones. Of a share of them, divided among the kinds:

changed   one symbol for another that the set has
swapped   two pictures' labels for each other
dropped   one symbol left out

Of whole parts of the set, whatever the share:

zeros     labels of digits lose their leading zeros, as in a spreadsheet; only sets that have such labels
shifted   from a random row of the last half on, each label is the next row's

Then recall (of the spoilt labels, how many are suspects) and precision (of the suspects, how many are spoilt), in all
and by what was done to the label; and whether "read" says what the label was. The sets have wrong labels of their own:
WRONG_IN_THE_SET lists those that this found and a look at the picture confirmed. Precision is given without them, and
with them counted as found. With so few spoilt labels chance shows: each seed spoils others, and a set's counts are
those of all its seeds.
Leaves OUT/SET-SEED-KINDS.json, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import logging
import random
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import detector
from detector.data.yolo_dataset import read_manifest
from detector.errors import NotLearnedError
from detector.text.alphabet import DEFAULT_LENGTH
from tools.results import DATA, ROOT, machine, machine_lines, read_results, write_json
from tools.sets import source_of, write_labels
from tools.training.real_sets import forget

SETS = ("captcha-v2", "digits-orand-car")
KINDS = ("changed", "swapped", "dropped", "zeros", "shifted")

WRONG_IN_THE_SET = {
    "captcha-v2": {"cdcb3": "EDCB3", "mxnw4": "MXMW4", "wgnwp": "WGMWP"},
    "digits-orand-car": {
        "train_a_car_000232": "49575", "train_a_car_000285": "89800", "train_a_car_000340": "7393",
        "train_a_car_000414": "30800", "train_a_car_000525": "22107", "train_a_car_000669": "157946",
        "train_a_car_000672": "32712", "train_a_car_000768": "17146", "train_a_car_000803": "39300",
        "train_a_car_000817": "1119", "train_a_car_000819": "671", "train_a_car_000885": "40000",
        "train_a_car_000977": "19620", "train_a_car_001027": "15775", "train_a_car_001037": "110820",
        "train_a_car_001068": "28304", "train_a_car_001086": "97060", "train_a_car_001163": "5965",
        "train_a_car_001165": "15371", "train_a_car_001167": "109", "train_a_car_001192": "198",
    },
}  # fmt: skip
"""What stands in pictures whose labels are wrong in the set, by the first part of the file's name."""


def spoil(texts: Sequence[str], kinds: Collection[str], share: float, seed: int) -> tuple[list[str], dict[int, str]]:
    """Texts with some of them wrong, and of which place what was done."""
    spoilt, kind_of = systematic(texts, kinds, seed)
    rng = random.Random(seed)
    symbols = sorted(set("".join(texts)))
    single = [kind for kind in ("changed", "swapped", "dropped") if kind in kinds]
    unspoilt = [i for i in range(len(texts)) if i not in kind_of]
    places = rng.sample(unspoilt, min(len(unspoilt), round(share * len(texts)))) if single else []
    pairs = len(places) // (2 * len(single)) if "swapped" in single else 0
    for a, b in zip(places[:pairs], places[pairs : 2 * pairs], strict=True):
        if texts[a] != texts[b]:
            spoilt[a], spoilt[b] = texts[b], texts[a]
            kind_of |= {a: "swapped", b: "swapped"}
    kinds_left = [kind for kind in single if kind != "swapped"]
    for nth, i in enumerate(places[2 * pairs :] if kinds_left else ()):
        place, kind = rng.randrange(len(texts[i])), kinds_left[nth % len(kinds_left)]
        symbol = rng.choice([s for s in symbols if s != texts[i][place]]) if kind == "changed" else ""
        if len(texts[i]) > 1 or symbol:  # a label of one symbol has none to spare
            spoilt[i] = texts[i][:place] + symbol + texts[i][place + 1 :]
            kind_of[i] = kind
    return spoilt, kind_of


def systematic(texts: Sequence[str], kinds: Collection[str], seed: int) -> tuple[list[str], dict[int, str]]:
    """The same of errors that whole parts of a set have."""
    spoilt, kind_of = list(texts), {}
    if "zeros" in kinds:
        for i, text in enumerate(texts):
            if text.isdecimal() and (number := text.lstrip("0") or "0") != text:
                spoilt[i], kind_of[i] = number, "zeros"
    if "shifted" in kinds:
        first = random.Random(f"{seed}: shifted").randrange(len(texts) // 2, len(texts) - 1)
        spoilt[first:-1] = spoilt[first + 1 :]
        kind_of = {i: kind for i, kind in kind_of.items() if not first <= i < len(texts) - 1}
        kind_of |= {i: "shifted" for i in range(first, len(texts) - 1) if spoilt[i] != texts[i]}
    return spoilt, kind_of


def run_set(name: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Spoil, convert, count."""
    original = source_of(name, args.data, args.out)
    with original.open(newline="", encoding="utf-8") as file:
        rows = [(original.parent / r["image"], r["text"].upper()) for r in csv.DictReader(file)]
    rows = [(path, text) for path, text in rows if 0 < len(text) <= DEFAULT_LENGTH]
    texts = [text for _, text in rows]
    spoilt, kind_of = spoil(texts, args.kinds, args.share, seed)
    result: dict[str, Any] = {
        "set": name, "seed": seed, "kinds": args.kinds, "share": args.share, "pictures": len(rows),
        "spoilt": Counter(kind_of.values()), "machine": machine(),
    }  # fmt: skip
    if missing := [kind for kind in args.kinds if kind not in kind_of.values()]:
        return {**result, "error": f"no label that could be spoilt so: {', '.join(missing)}"}
    out = args.out / file_name(name, seed, args.kinds)
    labels = write_labels(
        args.out / f"{out.name}.labels" / "labels.csv", [(p, t) for (p, _), t in zip(rows, spoilt, strict=True)]
    )
    start_time, start_cpu = time.perf_counter(), time.process_time()
    forget(out)
    try:
        report = detector.convert(labels, out, overwrite=True, seed=seed, train_scale=args.train_scale)
    except NotLearnedError as error:
        return {**result, "error": str(error)}
    minutes, core_minutes = (time.perf_counter() - start_time) / 60, (time.process_time() - start_cpu) / 60
    place = {path.name: i for i, (path, _) in enumerate(rows)}
    if len(place) != len(rows):
        raise SystemExit(f"{name}: two pictures have one name.")
    manifest = {place[Path(row.source).name]: row for row in read_manifest(out)}
    listed = {i for i, row in manifest.items() if row.status == "suspect"}
    caught = listed & kind_of.keys()
    wrong = {
        i
        for i in listed - kind_of.keys()
        if rows[i][0].name.split("_png")[0].split(".")[0] in WRONG_IN_THE_SET.get(name, {})
    }
    return {
        **result, "suspects": len(listed), "explained": report.explained, "minutes": minutes,
        "core_minutes": core_minutes, "found": Counter(kind_of[i] for i in caught), "wrong_in_the_set": len(wrong),
        "read_is_truth": sum(manifest[i].read == texts[i] for i in caught),
        "missed": [[rows[i][0].name, texts[i], spoilt[i], manifest[i].read, manifest[i].confidence]
                   for i in sorted(kind_of.keys() - listed) if i in manifest],
        "false_alarms": [[rows[i][0].name, texts[i], manifest[i].read, manifest[i].confidence]
                         for i in sorted(listed - kind_of.keys())],
    }  # fmt: skip


def file_name(name: str, seed: int, kinds: Sequence[str]) -> str:
    """Of what a run leaves."""
    return f"{name}-{seed}-{'-'.join(kinds)}"


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line for what was done to a set, its seeds together; and one for each kind of error."""
    lines = [
        "| set | pictures | seeds | spoilt | suspects | recall | precision | wrong in the set itself "
        "| precision with these | read is the truth | minutes a seed |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    by_kind = ["| set | kind of error | spoilt | suspects | recall |", "|---|---|---|---|---|"]
    failed = []
    for name, kinds in dict.fromkeys((r["set"], tuple(r["kinds"])) for r in results):
        of_set = [r for r in results if (r["set"], tuple(r["kinds"])) == (name, kinds)]
        failed += [f"{name}, seed {r['seed']}, {', '.join(kinds)}: {r['error']}" for r in of_set if "error" in r]
        runs = [r for r in of_set if "error" not in r]
        if not runs:
            continue
        spoilt, caught = (sum((Counter(r[key]) for r in runs), Counter[str]()) for key in ("spoilt", "found"))
        suspects, wrong_in_set, right_readings = (
            sum(r[key] for r in runs) for key in ("suspects", "wrong_in_the_set", "read_is_truth")
        )
        hits = caught.total()
        lines.append(
            f"| {name} | {runs[0]['pictures']} | {len(runs)} | {spoilt.total()} | {suspects} "
            f"| {_share(hits, spoilt.total())} | {_share(hits, suspects)} | {wrong_in_set} "
            f"| {_share(hits + wrong_in_set, suspects)} "
            f"| {_share(right_readings, hits)} | {sum(r['minutes'] for r in runs) / len(runs):.1f} |"
        )
        by_kind += [f"| {name} | {k} | {spoilt[k]} | {caught[k]} | {_share(caught[k], spoilt[k])} |" for k in kinds]
    return "\n".join([*lines, "", *by_kind, "", *failed, *machine_lines(results)])


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help="folders of --data")
    parser.add_argument("--share", type=float, default=0.03, help="of the labels, spoilt")
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=list(KINDS[:2]), help="of errors, at once in a set"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "suspects", help="folder to work in")
    parser.add_argument("--train-scale", type=float, default=1.0, help="as convert's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="each spoils other labels")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.sets:
        for seed in args.seeds:
            write_json(args.out / f"{file_name(name, seed, args.kinds)}.json", run_set(name, seed, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
