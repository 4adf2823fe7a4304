"""Conversion of large sets: pictures a second and a core, peak memory by stage; and whether kills change the result.

    python tools/boxes/convert_at_size.py [--counts 10500 105000] [--kills 10]

Artificial pictures of 256x64 are drawn once, as many as the largest count; a smaller one takes the first of them, so
that the table shows what grows with the count. Each conversion runs in a process of its own. With --kills it is run
again and killed that often, at random moments, and the set is compared with that of the undisturbed run byte by byte.
Leaves OUT/COUNT.json a count, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detector
from tools.arguments import add_out
from tools.processes import environment
from tools.results import machine, machine_lines, read_results, write_json
from tools.sets import read_labels, write_labels

STAGES = ("check", "locate", "train", "write")
"""As convert names them; the rounds of self-training, each of which trains and locates, count as one stage."""


def draw(out: Path, count: int, styles: Sequence[str], workers: int | None, seed: int) -> Path:
    """Draw at least ``count`` pictures, unless they are there in these styles; return their folder."""
    folder, request = out / "drawn", {"styles": list(styles), "seed": seed}
    request_file = folder / "asked.json"
    stored = json.loads(request_file.read_text()) if request_file.is_file() else {}
    if not (stored.get("asked") == request and stored["count"] >= count):
        shutil.rmtree(folder, ignore_errors=True)
        config = detector.SynthConfig(size_wh=(256, 64), styles=tuple(styles), seed=seed)
        detector.write_set(config, folder, count, workers=workers)
        request_file.write_text(json.dumps({"asked": request, "count": count}))
    return folder


def write_source(folder: Path, count: int, out: Path) -> Path:
    """Write a label file of the first ``count`` pictures of a folder; return its path."""
    return write_labels(out / f"{count}.labels" / "labels.csv", read_labels(folder / "labels.csv")[:count])


def child(source: Path, out: Path, facts: Path, train_scale: float) -> None:
    """Convert in the process that is measured; write the seconds and the peak of memory of each stage to ``facts``."""
    stages: dict[str, dict[str, float]] = {}
    last_time = time.perf_counter()

    def report_progress(stage: str, done: int, total: int) -> None:
        nonlocal last_time
        current_time = time.perf_counter()
        figures = stages.setdefault(stage.split(",")[0], {"seconds": 0.0, "peak_mib": 0.0})
        figures["seconds"] += current_time - last_time
        figures["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        last_time = current_time

    report = detector.convert(source, out, train_scale=train_scale, progress=report_progress)
    counts = {"inputs": report.inputs, "suspects": report.suspects, "refused": report.refused}
    write_json(facts, {**counts, "explained": report.explained, "seconds": report.seconds, "stages": stages})


def start(source: Path, out: Path, facts: Path, train_scale: float) -> subprocess.Popen[bytes]:
    """Start :func:`child` in a process."""
    arguments = ["--child", str(source), str(out), str(facts), "--train-scale", str(train_scale)]
    return subprocess.Popen([sys.executable, __file__, *arguments], env=environment())


def finish(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """Wait for the end of a process; return the resources that it used.

    Raises:
        RuntimeError: if it failed.
    """
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the conversion ended with {process.returncode}")
    return usage


def digest(root: Path) -> str:
    """Return the SHA-256 of all files of a set, with their names, but of those in its folder ``work``."""
    sha = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.relative_to(root).parts[0] != "work"):
        sha.update(f"{path.relative_to(root).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


def measure(source: Path, count: int, args: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one count: of an undisturbed run and, with --kills, of one that is killed."""
    root, facts = args.out / f"{count}.set", args.out / f"{count}.facts"
    for folder in (root, root.with_name(root.name + ".part")):
        shutil.rmtree(folder, ignore_errors=True)
    start_time = time.perf_counter()
    usage = finish(start(source, root, facts, args.train_scale))
    seconds, cpu = time.perf_counter() - start_time, usage.ru_utime + usage.ru_stime
    result: dict[str, Any] = {
        "pictures": count, "seed": args.seed, "train_scale": args.train_scale, "machine": machine(),
        **json.loads(facts.read_text()), "wall_seconds": seconds, "cpu_seconds": cpu,
        "pictures_a_second": count / seconds, "pictures_a_core_second": count / cpu,
        "cores_in_use": cpu / seconds, "peak_mib": usage.ru_maxrss / 1024,
        "work_kib": sum(p.stat().st_size for p in (root / "work").iterdir()) / 1024,
    }  # fmt: skip
    if args.kills:
        result["kills"] = convert_with_kills(source, root, facts, seconds, args)
    return result


def convert_with_kills(
    source: Path, root: Path, facts: Path, seconds: float, args: argparse.Namespace
) -> dict[str, Any]:
    """Convert to the same set again with --kills on the way, and compare; ``seconds`` is how long it takes without."""
    expected = digest(root)
    shutil.rmtree(root)
    rng = random.Random(args.seed)
    start_time, kill_count = time.perf_counter(), 0
    moments: list[float] = []
    while kill_count < args.kills:
        process = start(source, root, facts, args.train_scale)
        moments.append(rng.uniform(0, 2 * seconds / (args.kills + 1)))
        try:
            process.wait(moments[-1])
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kill_count += 1
        if root.exists():  # it ended before the last kill: compare, and begin again
            if digest(root) != expected:
                return {"kills": kill_count, "moments": moments, "equal": False}
            shutil.rmtree(root)
    finish(start(source, root, facts, args.train_scale))
    return {
        "kills": kill_count, "moments": moments, "wall_seconds": time.perf_counter() - start_time,
        "equal": digest(root) == expected,
    }  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each count."""
    lines = [
        "| pictures | minutes | pictures/s | pictures/s a core | cores in use | peak memory, MiB | after "
        f"{', '.join(STAGES)} | kept work, KiB | kills |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in sorted(results, key=lambda result: result["pictures"]):
        stages = result["stages"]
        peaks = ", ".join(f"{stages[stage]['peak_mib']:.0f}" if stage in stages else "-" for stage in STAGES)
        kills = "-"
        if "kills" in result:
            kills = f"{result['kills']['kills']}, {'equal' if result['kills']['equal'] else 'DIFFERENT'}"
        lines.append(
            f"| {result['pictures']} | {result['wall_seconds'] / 60:.1f} | {result['pictures_a_second']:.1f} "
            f"| {result['pictures_a_core_second']:.1f} | {result['cores_in_use']:.1f} | {result['peak_mib']:.0f} "
            f"| {peaks} | {result['work_kib']:.0f} | {kills} |"
        )
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", nargs="+", type=int, default=[10_500, 105_000], help="pictures to convert")
    parser.add_argument("--kills", type=int, default=0, help="kill each count's conversion that often, and compare")
    parser.add_argument("--train-scale", type=float, default=1.0, help="as convert's")
    parser.add_argument("--styles", nargs="+", default=["plate", "label", "captcha"], help="as of `detector synth`")
    parser.add_argument("--workers", type=int, help="processes that draw")
    add_out(parser, "convert_at_size")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures and of the kills")
    parser.add_argument("--child", nargs=3, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.child:
        child(*args.child, args.train_scale)
        return
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    folder = draw(args.out, max(args.counts), args.styles, args.workers, args.seed)
    for count in sorted(args.counts):
        write_json(args.out / f"{count}.json", measure(write_source(folder, count, args.out), count, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
