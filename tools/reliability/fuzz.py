# ruff: noqa: E501  # tables of pieces, a piece a line
"""Thousands of files of every format, changed at random: each must be taken, or refused in words.

    python tools/reliability/fuzz.py [--counts pictures=10000 labels=2000 patterns=500 data.yaml=200 tables=300
        archives=1000 shards=1000]
        [--seed 0] [--first 0]

Each category begins with valid files of every format that the package reads (`seeds.py`), and changes them
(`mutations.py`); a file depends on the seed, the category and its number alone. Every input must be taken, or refused in
a sentence, and all inputs must be accounted for: no other exception, no process that dies, at most ten seconds of CPU
time and a limited address space. Inputs that fail are kept in OUT/failures/. Prints a Markdown table and leaves
OUT/fuzz.json; exit code 1 if anything failed.
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

MAX_CPU_SECONDS = 10.0
"""For one input."""

HANG_SECONDS = 120.0
"""By the wall clock, after which a process counts as hanging; a busy machine is slow."""

MAX_ADDRESS_SPACE = 4 << 30
"""Of a process in bytes, libraries and threads included."""

CHUNK = 250
"""Number of inputs of one process."""


@dataclass
class Result:
    """Outcomes of the inputs of a category.

    Args:
        category: its name.
        inputs: how many there were.
        taken, partly, refused: how many were taken, taken but for some lines, and refused in words.
        failures: number and reason of each input that failed.
        slowest_seconds: maximum CPU time of an input.
        peak_mb: maximum memory of a process.
        refusals: number of refusals by kind.
    """

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
    """Process inputs of a category in this process; print a line of JSON before and after each one.

    Args:
        name: of the category.
        seed: of the inputs.
        start, stop: range of their numbers.
        folder: to work in.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    warnings.filterwarnings("error", category=RuntimeWarning)  # as by numpy for NaN
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
    """Check one input; return its outcome, failure, CPU seconds and the peak of memory."""
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
    except Exception:  # any other exception is a failure
        failure = traceback.format_exc()
    seconds = time.process_time() - start_time
    if seconds > MAX_CPU_SECONDS and not failure:
        failure = f"{seconds:.0f} s of CPU time"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {"outcome": outcome, "failure": failure, "seconds": seconds, "peak_mb": peak}


def run(name: str, count: int, seed: int, first: int, out: Path) -> Result:
    """Process inputs of a category, a chunk in a process, one process after another.

    Args:
        name: of the category.
        count: number of inputs.
        seed: of the inputs.
        first: number of the first input.
        out: folder that failures are kept in.
    """
    result = Result(name)
    number, stop = first, first + count
    while number < stop:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            number = _run_chunk(result, seed, number, min(number + CHUNK, stop), Path(folder), out)
    return result


def _run_chunk(result: Result, seed: int, start: int, stop: int, folder: Path, out: Path) -> int:
    """Process inputs in one process; return the number of the next one, which follows the one that ended the process."""
    arguments = [result.category, str(seed), str(start), str(stop), str(folder)]
    command = [sys.executable, "-m", "tools.reliability.fuzz", "--work-off", *arguments]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    number = start - 1
    for line in _lines_of(process):
        record = json.loads(line)
        number = record["number"]
        if "failure" not in record:
            continue
        _count(result, record)
        if record["failure"]:
            _keep(result, number, record["failure"], folder, out)
        number += 1
        if number == stop:
            process.wait()
            return number
    exit_code = process.poll()
    process.kill()
    process.wait()
    number = max(number, start)
    stderr_end = (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-2000:]
    reason = f"the process died ({exit_code}): {stderr_end}"
    if exit_code is None:
        reason = f"hangs for {HANG_SECONDS:.0f} s"
    result.inputs += 1
    _keep(result, number, reason, folder, out)
    return number + 1


def _lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield lines of a process as they come, until it ends or there is none for HANG_SECONDS."""
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
            line = lines.get(timeout=HANG_SECONDS)
        except queue.Empty:
            return
        if line is None:
            return
        yield line


def _count(result: Result, record: dict[str, object]) -> None:
    """Add the record of an input, as by :func:`_outcome`, to the result."""
    result.inputs += 1
    result.slowest_seconds = max(result.slowest_seconds, float(str(record["seconds"])))
    result.peak_mb = max(result.peak_mb, int(str(record["peak_mb"])))
    if record["failure"]:
        return
    outcome = str(record["outcome"])
    result.taken += not outcome
    result.partly += outcome == PARTLY
    result.refused += outcome not in ("", PARTLY)
    if outcome:
        result.refusals[_kind_of(outcome)] += 1


def _kind_of(outcome: str) -> str:
    """Return a refusal without the names and numbers of one input."""
    return re.sub(r"'[^']*'|[0-9]+|/\S+", "…", outcome)[:80]


def _keep(result: Result, number: int, reason: str, folder: Path, out: Path) -> None:
    """Record a failure, and copy its input and reason into OUT/failures."""
    failure_folder = out / "failures" / f"{result.category}-{number}"
    shutil.rmtree(failure_folder, ignore_errors=True)
    failure_folder.mkdir(parents=True)
    if (folder / "input").is_dir():
        shutil.copytree(folder / "input", failure_folder / "input", symlinks=True)
    (failure_folder / "why.txt").write_text(reason, encoding="utf-8", errors="backslashreplace")
    result.failures.append({"number": number, "why": reason.strip().splitlines()[-1][:300]})
    print(f"{result.category} {number}: {reason.strip().splitlines()[-1][:200]}", file=sys.stderr, flush=True)


def table_of(results: list[Result]) -> str:
    """Return a Markdown table with a line for each category."""
    lines = [
        "| inputs | number | taken | taken but for some lines | refused in words | failed | slowest, s | peak memory, MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results:
        counts = (result.inputs, result.taken, result.partly, result.refused, len(result.failures))
        cells = [CATEGORIES[result.category].title, *counts, f"{result.slowest_seconds:.1f}", result.peak_mb]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def counts_of(options: list[str]) -> dict[str, int]:
    """Parse --counts; return the number of inputs by category, by default of all of them.

    Raises:
        SystemExit: if there is no such category.
    """
    if not options:
        return {name: category.count for name, category in CATEGORIES.items()}
    counts = {}
    for option in options:
        name, _, number = option.partition("=")
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
        "results": [vars(result) for result in results],
    }
    write_json(args.out / "fuzz.json", summary)
    sys.exit(any(result.failures for result in results))


if __name__ == "__main__":
    main()
