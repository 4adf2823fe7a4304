"""Recall and precision of the suspects of a conversion, for labels that are spoilt on purpose.

    python tools/boxes/suspects.py [--sets captcha-v2 digits-orand-car] [--share 0.03] [--kinds changed swapped]
        [--seeds 0 1]

convert is given the spoilt labels only. Kinds of errors in a share of the labels, which is divided among them:

changed   one symbol for another that the set has
swapped   two pictures' labels for each other
dropped   one symbol left out

Kinds of errors in whole parts of the set, whatever the share:

zeros     labels of digits lose their leading zeros, as in a spreadsheet; only sets that have such labels
shifted   from a random row of the last half on, each label is the next row's

Recall is the share of spoilt labels that are suspects, precision the share of suspects that are spoilt, in all and by
kind of error; "read is the truth" is the share of these suspects whose column "read" has the true label. The sets have
wrong labels of their own: WRONG_IN_THE_SET lists those that this script showed and a look at the picture confirmed.
Precision is given without them, and with them counted as right. Few labels are spoilt, so chance matters: each seed
spoils others, and the counts of a set are sums over its seeds. Leaves OUT/SET-SEED-KINDS.json, and prints all of OUT as
a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import detector
from detector.data.sets.yolo_dataset import read_manifest
from detector.errors import NotLearnedError
from detector.text.alphabet import DEFAULT_LENGTH
from tools.arguments import add_data_and_out, parse_arguments
from tools.results import machine, machine_lines, read_results, write_json
from tools.sets import read_labels, source_of, write_labels
from tools.training.real_sets import discard_work

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
        "train_a_car_001209": "11574",
    },
}  # fmt: skip
"""The true texts of pictures whose labels are wrong in the set, by the first part of the file's name."""


def spoil(texts: Sequence[str], kinds: Collection[str], share: float, seed: int) -> tuple[list[str], dict[int, str]]:
    """Spoil some texts; return all texts, and the kind of error by index.

    Args:
        texts: the labels of a set.
        kinds: of errors, out of KINDS.
        share: of the texts, that errors in single labels are made in.
        seed: of the choice.
    """
    spoilt, kind_of = spoil_parts(texts, kinds, seed)
    rng = random.Random(seed)
    symbols = sorted(set("".join(texts)))
    single = [kind for kind in ("changed", "swapped", "dropped") if kind in kinds]
    unspoilt = [i for i in range(len(texts)) if i not in kind_of]
    indices = rng.sample(unspoilt, min(len(unspoilt), round(share * len(texts)))) if single else []
    pairs = len(indices) // (2 * len(single)) if "swapped" in single else 0
    for i, j in zip(indices[:pairs], indices[pairs : 2 * pairs], strict=True):
        if texts[i] != texts[j]:
            spoilt[i], spoilt[j] = texts[j], texts[i]
            kind_of |= {i: "swapped", j: "swapped"}
    symbol_kinds = [kind for kind in single if kind != "swapped"]
    for number, i in enumerate(indices[2 * pairs :] if symbol_kinds else ()):
        text, kind = texts[i], symbol_kinds[number % len(symbol_kinds)]
        place = rng.randrange(len(text))
        symbol = rng.choice([s for s in symbols if s != text[place]]) if kind == "changed" else ""
        if len(text) > 1 or symbol:  # a label of one symbol would be empty
            spoilt[i] = text[:place] + symbol + text[place + 1 :]
            kind_of[i] = kind
    return spoilt, kind_of


def spoil_parts(texts: Sequence[str], kinds: Collection[str], seed: int) -> tuple[list[str], dict[int, str]]:
    """As :func:`spoil`, for errors that whole parts of a set have."""
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
    """Spoil the labels of a set and convert it; return the counts of spoilt labels and suspects."""
    rows = [(path, text.upper()) for path, text in read_labels(source_of(name, args.data, args.out))]
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
    spoilt_rows = [(path, text) for (path, _), text in zip(rows, spoilt, strict=True)]
    labels = write_labels(args.out / f"{out.name}.labels" / "labels.csv", spoilt_rows)
    start_time, start_cpu = time.perf_counter(), time.process_time()
    discard_work(out)
    try:
        report = detector.convert(labels, out, overwrite=True, seed=seed, train_scale=args.train_scale)
    except NotLearnedError as error:
        return {**result, "error": str(error)}
    minutes, core_minutes = (time.perf_counter() - start_time) / 60, (time.process_time() - start_cpu) / 60
    index_of = {path.name: i for i, (path, _) in enumerate(rows)}
    if len(index_of) != len(rows):
        raise SystemExit(f"{name}: two pictures have one name.")
    manifest = {index_of[Path(row.source).name]: row for row in read_manifest(out)}
    suspects = {i for i, row in manifest.items() if row.status == "suspect"}
    hits, false_alarms = suspects & kind_of.keys(), suspects - kind_of.keys()
    stems = [rows[i][0].name.split("_png")[0].split(".")[0] for i in false_alarms]
    wrong_in_set = sum(stem in WRONG_IN_THE_SET.get(name, {}) for stem in stems)
    return {
        **result, "suspects": len(suspects), "explained": report.explained, "minutes": minutes,
        "core_minutes": core_minutes, "found": Counter(kind_of[i] for i in hits), "wrong_in_the_set": wrong_in_set,
        "read_is_truth": sum(manifest[i].read == texts[i] for i in hits),
        "missed": [[rows[i][0].name, texts[i], spoilt[i], manifest[i].read, manifest[i].confidence]
                   for i in sorted(kind_of.keys() - suspects) if i in manifest],
        "false_alarms": [[rows[i][0].name, texts[i], manifest[i].read, manifest[i].confidence]
                         for i in sorted(false_alarms)],
    }  # fmt: skip


def file_name(name: str, seed: int, kinds: Sequence[str]) -> str:
    """Return the name of a run's files, without their ending."""
    return f"{name}-{seed}-{'-'.join(kinds)}"


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return two Markdown tables, over all seeds: a line for each set and its kinds, and one for each kind alone."""
    lines = [
        "| set | pictures | seeds | spoilt | suspects | recall | precision | wrong in the set itself "
        "| precision with these | read is the truth | minutes a seed |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    by_kind = ["| set | kind of error | spoilt | suspects | recall |", "|---|---|---|---|---|"]
    failures = []
    for name, kinds in dict.fromkeys((r["set"], tuple(r["kinds"])) for r in results):
        runs = [r for r in results if (r["set"], tuple(r["kinds"])) == (name, kinds)]
        failures += [f"{name}, seed {r['seed']}, {', '.join(kinds)}: {r['error']}" for r in runs if "error" in r]
        runs = [r for r in runs if "error" not in r]
        if not runs:
            continue
        spoilt, hits_by_kind = (sum((Counter(r[key]) for r in runs), Counter[str]()) for key in ("spoilt", "found"))
        suspects, wrong_in_set, right_readings = (
            sum(r[key] for r in runs) for key in ("suspects", "wrong_in_the_set", "read_is_truth")
        )
        hit_count = hits_by_kind.total()
        lines.append(
            f"| {name} | {runs[0]['pictures']} | {len(runs)} | {spoilt.total()} | {suspects} "
            f"| {_share(hit_count, spoilt.total())} | {_share(hit_count, suspects)} | {wrong_in_set} "
            f"| {_share(hit_count + wrong_in_set, suspects)} "
            f"| {_share(right_readings, hit_count)} | {sum(r['minutes'] for r in runs) / len(runs):.1f} |"
        )
        by_kind += [
            f"| {name} | {k} | {spoilt[k]} | {hits_by_kind[k]} | {_share(hits_by_kind[k], spoilt[k])} |" for k in kinds
        ]
    return "\n".join([*lines, "", *by_kind, "", *failures, *machine_lines(results)])


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help="folders of --data")
    parser.add_argument("--share", type=float, default=0.03, help="of the labels, spoilt")
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=list(KINDS[:2]), help="of errors, at once in a set"
    )
    add_data_and_out(parser, "suspects")
    parser.add_argument("--train-scale", type=float, default=1.0, help="as convert's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="each spoils other labels")
    args = parse_arguments(parser)
    for name in args.sets:
        for seed in args.seeds:
            write_json(args.out / f"{file_name(name, seed, args.kinds)}.json", run_set(name, seed, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
