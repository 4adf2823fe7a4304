"""Exact match of the shipped weights on real pictures, beside RapidOCR and ddddocr, on the same pictures in one run.

    python tools/peers/zero_shot.py [--pictures 110] [--weights PT] [--peers-python PEERS/bin/python]

The peers are optional: each is run by --peers-python (by default the Python that runs this), and left out, with
the reason, where it cannot be imported there. Their requirements may clash with this project's, so give them an
environment of their own: `python -m venv PEERS && PEERS/bin/pip install rapidocr ddddocr onnxruntime`.

Compared is the exact match of letters and digits only, upper case: readings and labels are upper-cased, and all
but 0-9 and A-Z is removed (of plates-cn the province, too). Nothing is trained. "detector" reads one picture after
another, "detector, folder" as `detector predict FOLDER` does: with a string model that is fitted to the readings. Times
are medians a set, of one picture after another, from file to string, and means of a folder: compare them on an idle
machine only. Sets are in two halves of the same kinds: artificial pictures are designed after mistakes on GUIDING
alone, and REPORTING shows what they are worth. Prints a Markdown table and writes OUT.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.arguments import add_sample
from tools.processes import answer_as_peer, ask_peer
from tools.results import ROOT, machine, write_json

# At the top nothing but the standard library: the peers' Python, which has no detector, runs this file too.

GUIDING = (
    "captcha-generic", "captcha-generic-8", "captcha-v2", "captcha-thsrc", "plates-id", "plates-cn", "meters-lcd",
    "words-iiit5k",
)  # fmt: skip
"""Sets whose mistakes may guide the design of artificial pictures: their figures are optimistic. captcha-generic-8 is
the 8-character part."""

REPORTING = ("captcha-swust-20191218", "captcha-digits-boxes", "plates-vn8", "plates-us-crops", "digits-orand-car")
"""Sets that no artificial picture is designed after from version 0.2 on (before that, all of them guided)."""

SETS = GUIDING + REPORTING

COUNTED_SYMBOLS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
OURS = "detector"
FOLDER = "detector, folder"

Read = Callable[[str], str]


def normalise(text: str) -> str:
    """Return the letters and digits of a text in upper case, which alone are compared."""
    return "".join(c for c in text.upper() if c in COUNTED_SYMBOLS)


def sample(name: str, data: Path, pictures: int, seed: int) -> list[tuple[str, str]]:
    """Return (path, text) of ``pictures`` pictures of a set, the same ones each time; of all of them for 0."""
    from tools.sets import read_labels

    rows = [(str(path), text) for path, text in read_labels(data / name.removesuffix("-8") / "labels.csv")]
    if name.endswith("-8"):
        rows = [row for row in rows if len(row[1]) == 8]
    rows.sort()
    if not 0 < pictures < len(rows):
        return rows
    return random.Random(f"{name}:{seed}").sample(rows, pictures)


# --- readers ------------------------------------------------------------------------------------------------------


def rapidocr() -> Read:
    """Return PP-OCR's recognition network alone, since the pictures are cropped to their text."""
    import logging

    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    engine = RapidOCR()

    def read(path: str) -> str:
        return "".join(engine(path, use_det=False, use_cls=False, use_rec=True).txts or ())

    return read


def ddddocr() -> Read:
    """Return its default classification network, with its option to lay transparent pictures over white."""
    import ddddocr as library

    engine = library.DdddOcr(show_ad=False)

    def read(path: str) -> str:
        return str(engine.classification(Path(path).read_bytes(), png_fix=True))

    return read


PEERS: dict[str, Callable[[], Read]] = {"rapidocr": rapidocr, "ddddocr": ddddocr}


def timed(read: Read, files: Sequence[str]) -> dict[str, Any]:
    """Read files one after another; return the texts, empty for files in ``failed``, and the median of milliseconds."""
    texts, seconds, failed = [], [], {}
    for path in files[:1]:
        _try(read, path)  # the first picture takes longer
    for path in files:
        start_time = time.perf_counter()
        text, problem = _try(read, path)
        seconds.append(time.perf_counter() - start_time)
        texts.append(text)
        if problem:
            failed[path] = problem
    return {"texts": texts, "failed": failed, "ms": 1000 * statistics.median(seconds) if seconds else 0.0}


def _try(read: Read, path: str) -> tuple[str, str]:
    """Return the text, or an empty one and the error."""
    try:
        return read(path), ""
    except Exception as error:  # whatever another library raises: it cannot read the picture
        return "", f"{type(error).__name__}: {error}"


def read_by_us(weights: Path | None, files_by_set: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Read one by one, and whole sets as folders; return answers as :func:`timed`'s, by reader and set."""
    import detector

    try:
        reader = detector.Reader(weights)
    except detector.DetectorError as error:
        return {name: {"skipped": str(error)} for name in (OURS, FOLDER)}
    one_by_one = {name: timed(lambda path: reader.read(path).text, files) for name, files in files_by_set.items()}
    return {OURS: one_by_one, FOLDER: {name: _as_folder(reader, files) for name, files in files_by_set.items()}}


def _as_folder(reader: Any, files: Sequence[str]) -> dict[str, Any]:
    """Read as :func:`timed` does, with a string model fitted to the readings of all files; milliseconds are a mean."""
    import detector

    start_time = time.perf_counter()
    _, stream = reader.fitted_stream([Path(file) for file in files])
    readings = list(stream)
    failed = {path: str(reading) for path, reading in readings if isinstance(reading, detector.Failure)}
    texts = ["" if path in failed else reading.text for path, reading in readings]
    return {"texts": texts, "failed": failed, "ms": 1000 * (time.perf_counter() - start_time) / max(len(files), 1)}


def read_by_peer(peer: str, python: str, files_by_set: dict[str, list[str]]) -> dict[str, Any]:
    """Read files of each set by a peer in a process of its own; return its answers as :func:`timed`'s, by set."""
    return ask_peer(__file__, peer, python, files_by_set)


def answer(peer: str, files_by_set: dict[str, list[str]]) -> dict[str, Any]:
    """Read files of each set, in the process that :func:`read_by_peer` starts."""
    read = PEERS[peer]()
    return {name: timed(read, files) for name, files in files_by_set.items()}


# --- comparing ----------------------------------------------------------------------------------------------------


def score(answer: dict[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """Return exact match with its 95 % interval and CER of normalised texts, and (label, text) of wrong readings."""
    from detector.text.metrics import score_texts

    pairs = [(normalise(label), normalise(text)) for label, text in zip(labels, answer["texts"], strict=True)]
    result = score_texts([label for label, _ in pairs], [text for _, text in pairs])
    return {
        "exact_match": result.exact_match, "interval_95": result.interval, "cer": result.cer, "count": result.count,
        "ms": answer["ms"], "failed": answer["failed"], "wrong": [pair for pair in pairs if pair[0] != pair[1]],
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Return a Markdown table with a line for each set, a column for each reader, and the times; the best in bold."""
    scores = {name: row for name, row in result["readers"].items() if "skipped" not in row}
    skipped = [f"{name} left out: {row['skipped']}" for name, row in result["readers"].items() if "skipped" in row]
    if not scores:
        return "\n".join(skipped)
    lines = [f"| set | pictures | {' | '.join(scores)} |", "|---|---|" + "---|" * len(scores)]
    for half, names in (("guiding", GUIDING), ("reporting", REPORTING)):
        present = [name for name in names if name in result["pictures"]]
        rows = {name: [row[name]["exact_match"] for row in scores.values()] for name in present}
        lines += [_row(name, result["pictures"][name], matches) for name, matches in rows.items()]
        if present:
            means = [statistics.mean(column) for column in zip(*rows.values(), strict=True)]
            lines.append(_row(f"*mean of the {half} half*", sum(result["pictures"][name] for name in present), means))
    times = {reader: _mean_ms(row, result["pictures"]) for reader, row in scores.items()}
    first = next(iter(times.values()), 0.0) or 1.0
    cells = [f"{ms:.1f} ({ms / first:.1f}x)" for ms in times.values()]
    lines.append(f"| *ms a picture* | {sum(result['pictures'].values())} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *skipped])


def _row(name: str, pictures: int, matches: Sequence[float]) -> str:
    """Return a line of the table, the best in bold."""
    best = max(matches, default=0.0)
    cells = [f"**{match:.3f}**" if match == best else f"{match:.3f}" for match in matches]
    return f"| {name} | {pictures} | {' | '.join(cells)} |"


def _mean_ms(answers: dict[str, Any], pictures: dict[str, int]) -> float:
    return sum(answers[name]["ms"] * count for name, count in pictures.items()) / max(sum(pictures.values()), 1)


def main() -> None:
    if answer_as_peer(answer):
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sample(parser, SETS, SETS, 110)
    parser.add_argument("--weights", type=Path, default=None, help="others than the shipped ones")
    parser.add_argument("--peers-python", default=sys.executable, help="that runs RapidOCR and ddddocr")
    parser.add_argument("--no-peers", action="store_true", help="read with this project's weights only")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "zero_shot.json")
    args = parser.parse_args()
    rows = {name: sample(name, args.data.resolve(), args.pictures, args.seed) for name in args.sets}
    files_by_set = {name: [path for path, _ in pairs] for name, pairs in rows.items()}
    answers = read_by_us(args.weights, files_by_set)
    for peer in () if args.no_peers else PEERS:
        print(f"reading with {peer}", file=sys.stderr, flush=True)
        answers[peer] = read_by_peer(peer, args.peers_python, files_by_set)
    labels = {name: [text for _, text in pairs] for name, pairs in rows.items()}
    readers = {
        reader: results if "skipped" in results else {name: score(results[name], labels[name]) for name in args.sets}
        for reader, results in answers.items()
    }
    result = {
        "pictures": {name: len(pairs) for name, pairs in rows.items()}, "seed": args.seed,
        "weights": args.weights.name if args.weights else "shipped", "machine": machine(), "readers": readers,
    }  # fmt: skip
    write_json(args.out, result)
    print(table(result))


if __name__ == "__main__":
    main()
