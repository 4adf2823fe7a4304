"""What 8-bit files read, and in what time: strings and CPU time beside those of the same weights in 32 bits.

    OMP_NUM_THREADS=1 python tools/reading/int8.py [--sets plates-id captcha-v2] [--pictures 400] [--weights PT]

Exports the shipped weights or --weights twice into a temporary folder, once with int8, and reads the same pictures one
by one with both, as `Reader` does (two passes where the weights say so). Exact match of letters and digits as
zero_shot.py compares them; "read otherwise" counts pictures whose strings differ between the two. Times are CPU time of
this process a picture, from file to string, which other work on the machine changes little; with more than one thread
it counts their waiting for each other, too. Pictures go to the one and to the other in turn. Prints a Markdown table
and writes OUT.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import detector
from detector.text.metrics import mcnemar
from tools.arguments import add_sample
from tools.peers.zero_shot import SETS, normalise, sample
from tools.results import ROOT, machine, machine_lines, write_json


def measure(name: str, readers: list[detector.Reader], rows: list[tuple[str, str]]) -> dict[str, Any]:
    """Exact match and milliseconds of CPU time a picture, of each reader in turn."""
    for reader in readers:
        reader.read(rows[0][0])  # the first picture pays for what is set up then
    texts: list[list[str]] = [[], []]
    seconds = [0.0, 0.0]
    for path, _ in rows:
        for i, reader in enumerate(readers):
            start_time = time.process_time()
            reading = reader.read(path)
            seconds[i] += time.process_time() - start_time
            texts[i].append(normalise(reading.shown_text))
    labels = [normalise(text) for _, text in rows]
    hits = [[text == label for text, label in zip(column, labels, strict=True)] for column in texts]
    only = [sum(a and not b for a, b in zip(*pair, strict=True)) for pair in (hits, hits[::-1])]
    return {
        "set": name, "pictures": len(rows), "exact_match": [sum(hit) / len(rows) for hit in hits], "only": only,
        "p": mcnemar(*only), "otherwise": sum(a != b for a, b in zip(*texts, strict=True)),
        "cpu_ms": [1000 * total / len(rows) for total in seconds],
    }  # fmt: skip


def table(sets: list[dict[str, Any]]) -> str:
    """Markdown: a line a set, and of all sets the means over pictures."""
    pictures = sum(row["pictures"] for row in sets)

    def mean(key: str, i: int) -> float:
        return float(sum(row[key][i] * row["pictures"] for row in sets) / pictures)

    only = [sum(row["only"][i] for row in sets) for i in range(2)]
    total = {
        "set": "*all*", "pictures": pictures, "exact_match": [mean("exact_match", i) for i in range(2)], "only": only,
        "p": mcnemar(*only), "otherwise": sum(row["otherwise"] for row in sets),
        "cpu_ms": [mean("cpu_ms", i) for i in range(2)],
    }  # fmt: skip
    lines = [
        "| set | pictures | exact match: 32 bits, 8 bits | right with one alone | p | read otherwise "
        "| CPU ms a picture: 32 bits, 8 bits | share |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in [*sets, total]:
        (match, match_8), (ms, ms_8) = row["exact_match"], row["cpu_ms"]
        lines.append(
            f"| {row['set']} | {row['pictures']} | {match:.1%}, {match_8:.1%} | {row['only'][0]}, {row['only'][1]} "
            f"| {row['p']:.2g} | {row['otherwise']} | {ms:.2f}, {ms_8:.2f} | {ms_8 / ms:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sample(parser, SETS, SETS, 400)
    parser.add_argument("--weights", type=Path, default=None, help="a .pt others than the shipped ones")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "int8.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = [detector.export(args.weights, Path(folder) / f"{name}.onnx", int8=name == "8") for name in ("32", "8")]
        megabytes = [file.stat().st_size / 1e6 for file in files]
        readers = [detector.Reader(file, device="cpu") for file in files]
        sets = [
            measure(name, readers, sample(name, args.data.resolve(), args.pictures, args.seed)) for name in args.sets
        ]
    result = {
        "sets": sets, "megabytes": megabytes, "weights": args.weights.name if args.weights else "shipped",
        "seed": args.seed, "machine": machine(),
    }  # fmt: skip
    write_json(args.out, result)
    print(table(sets))
    print(f"\n{megabytes[0]:.2f} and {megabytes[1]:.2f} MB; " + "; ".join(machine_lines([result])))


if __name__ == "__main__":
    main()
