# ruff: noqa: E501  # tables of pieces, a piece a line
"""Files as strangers hand them over, thousands of them, changed at random: is each one taken or refused in words?

    python tools/reliability/fuzz.py [--counts pictures=10000 labels=2000 patterns=500 data.yaml=200 tables=300
        archives=1000 shards=1000]
        [--seed 0] [--first 0]

Each category begins with files as they should be, of every format that the package reads (`seeds.py`), and changes them
(`mutations.py`); seed, category and number make the file. Every input has to end as one that is taken or refused in a
sentence, all inputs accounted for: no other exception, no process that dies, at most ten seconds of processor time, and
the address space of a process is limited. What fails is kept as small files in OUT/failures/. Prints a Markdown table
and leaves OUT/fuzz.json; exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.reliability.checks import PARTLY, BrokenPromiseError
from tools.reliability.inputs import CATEGORIES
from tools.results import ROOT, machine, write_json

SECONDS = 10.0
"""Of processor time that one input may take."""

PATIENCE = 120.0
"""Seconds of the clock after which a process counts as one that hangs; a busy machine is slow."""

ADDRESS_SPACE = 4 << 30
"""Bytes that a process may map, libraries and threads included."""

CHUNK = 250
"""Inputs of one process."""


@dataclass
class Result:
    """What became of the inputs of a category."""

    category: str
    inputs: int = 0
    taken: int = 0
    partly: int = 0
    refused: int = 0
    failures: list[dict[str, object]] = field(default_factory=list)
    slowest_seconds: float = 0.0
    peak_mb: int = 0
    refusals: Counter[str] = field(default_factory=Counter)


def work_off(name: str, seed: int, start: int, stop: int, folder: Path) -> None:
    """Process some inputs of a category, here: a line of JSON on stdout before and after each one."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    warnings.filterwarnings("error", category=RuntimeWarning)  # say of numpy: a number that is none
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    check = CATEGORIES[name].prepare(folder)
    for number in range(start, stop):
        place = folder / "input"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        output.write(json.dumps({"number": number}) + "\n")
        output.flush()
        output.write(json.dumps({"number": number, **_outcome(check, name, seed, number, place)}) + "\n")
        output.flush()


def _outcome(
    check: Callable[[random.Random, Path], str], name: str, seed: int, number: int, place: Path
) -> dict[str, object]:
    from detector.errors import DetectorError

    start_time, outcome, failure = time.process_time(), "", ""
    try:
        outcome = check(random.Random(f"{seed} {name} {number}"), place)
    except DetectorError as error:
        outcome = f"{type(error).__name__}: {error}"
        if len(outcome) > 4000:
            failure = f"a refusal of {len(outcome)} characters: {outcome[:300]}…"
    except BrokenPromiseError as error:
        failure = str(error)
    except Exception:  # whatever it is, it is told
        failure = traceback.format_exc()
    seconds = time.process_time() - start_time
    if seconds > SECONDS and not failure:
        failure = f"{seconds:.0f} s of processor time"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {"said": outcome, "failure": failure, "seconds": seconds, "peak_mb": peak}


def run(name: str, count: int, seed: int, first: int, out: Path) -> Result:
    """Process inputs of a category in processes of their own, one after another."""
    result = Result(name)
    at, stop = first, first + count
    while at < stop:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            at = _chunk(result, seed, at, min(at + CHUNK, stop), Path(folder), out)
    return result


def _chunk(result: Result, seed: int, start: int, stop: int, folder: Path, out: Path) -> int:
    """Inputs of one process; where the next one begins: after one that ended it."""
    command = [
        sys.executable,
        "-m",
        "tools.reliability.fuzz",
        "--work-off",
        result.category,
        str(seed),
        str(start),
        str(stop),
    ]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen([*command, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    at = start - 1
    for line in _lines_of(process):
        record = json.loads(line)
        at = record["number"]
        if "failure" not in record:
            continue
        _count(result, record)
        if record["failure"]:
            _keep(result, at, record["failure"], folder, out)
        at += 1
        if at == stop:
            process.wait()
            return at
    died = process.poll()
    process.kill()
    process.wait()
    at = max(at, start)
    stderr_end = (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-2000:]
    result.inputs += 1
    _keep(
        result,
        at,
        f"hangs for {PATIENCE:.0f} s" if died is None else f"the process died ({died}): {stderr_end}",
        folder,
        out,
    )
    return at + 1


def _lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """Lines as they come, until there is none for too long or no more."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read_lines() -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        process.wait()
        lines.put(None)

    threading.Thread(target=read_lines, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=PATIENCE)
        except queue.Empty:
            return
        if line is None:
            return
        yield line


def _count(result: Result, record: dict[str, object]) -> None:
    result.inputs += 1
    result.slowest_seconds = max(result.slowest_seconds, float(str(record["seconds"])))
    result.peak_mb = max(result.peak_mb, int(str(record["peak_mb"])))
    if record["failure"]:
        return
    outcome = str(record["said"])
    result.taken += not outcome
    result.partly += outcome == PARTLY
    result.refused += outcome not in ("", PARTLY)
    if outcome:
        result.refusals[_kind_of(outcome)] += 1


def _kind_of(outcome: str) -> str:
    """A refusal without what is particular to one input."""
    return re.sub(r"'[^']*'|[0-9]+|/\S+", "…", outcome)[:80]


def _keep(result: Result, number: int, why: str, folder: Path, out: Path) -> None:
    failure_folder = out / "failures" / f"{result.category}-{number}"
    shutil.rmtree(failure_folder, ignore_errors=True)
    failure_folder.mkdir(parents=True)
    if (folder / "input").is_dir():
        shutil.copytree(folder / "input", failure_folder / "input", symlinks=True)
    (failure_folder / "why.txt").write_text(why, encoding="utf-8", errors="backslashreplace")
    result.failures.append({"number": number, "why": why.strip().splitlines()[-1][:300]})
    print(f"{result.category} {number}: {why.strip().splitlines()[-1][:200]}", file=sys.stderr, flush=True)


def table_of(results: list[Result]) -> str:
    """Results as a Markdown table."""
    lines = [
        "| inputs | number | taken | taken but for some lines | refused in words | failed | slowest, s | peak memory, MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for item in results:
        lines.append(
            f"| {CATEGORIES[item.category].title} | {item.inputs} | {item.taken} | {item.partly} | {item.refused} | {len(item.failures)} | "
            f"{item.slowest_seconds:.1f} | {item.peak_mb} |"
        )
    return "\n".join(lines)


def counts_of(options: list[str]) -> dict[str, int]:
    """What --counts says: how many inputs of which categories, by default all of them.

    Raises:
        SystemExit: if there is no such category.
    """
    if not options:
        return {name: category.count for name, category in CATEGORIES.items()}
    counts = {}
    for item in options:
        name, _, number = item.partition("=")
        if name not in CATEGORIES:
            raise SystemExit(f"There is no category {name!r}: {', '.join(CATEGORIES)}.")
        counts[name] = int(number) if number else CATEGORIES[name].count
    return counts


def main() -> None:
    """Process all categories, print the table, write JSON."""
    if sys.argv[1:2] == ["--work-off"]:
        name, seed, start, stop, folder = sys.argv[2:]
        work_off(name, int(seed), int(start), int(stop), Path(folder))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", nargs="+", default=[], metavar="CATEGORY=NUMBER", help="only these categories")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input, to see one again")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "fuzz")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results = [run(name, count, args.seed, args.first, args.out) for name, count in counts_of(args.counts).items()]
    print(table_of(results))
    summary = {
        "seed": args.seed,
        "first": args.first,
        "machine": machine(),
        "results": [vars(item) for item in results],
    }
    write_json(args.out / "fuzz.json", summary)
    sys.exit(any(item.failures for item in results))


if __name__ == "__main__":
    main()
