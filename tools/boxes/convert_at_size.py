"""Conversion at size: pictures a second and a core, peak memory by stage; and what is left of it after kills.

    python tools/boxes/convert_at_size.py [--counts 10500 105000] [--kills 10]

Artificial pictures of 256x64 are drawn once, as many as the largest count; a smaller one takes the first of them, so
that the table shows what grows with the count. Each conversion runs in a process of its own. With --kills it is run
again and killed that often, at moments drawn at random, and what it ends in is compared with the undisturbed run byte
by byte. Leaves OUT/COUNT.json a count, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
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
from tools.results import ROOT, machine, machine_lines, read_results, write_json
from tools.sets import write_labels

STAGES = ("check", "locate", "train", "write")
"""As convert names them; the rounds of self-training, each of which trains and locates, are taken together."""


def draw(out: Path, count: int, styles: Sequence[str], workers: int | None, seed: int) -> Path:
    """The folder of at least ``count`` pictures; drawn anew if there are fewer, or of other styles."""
    folder, request = out / "drawn", {"styles": list(styles), "seed": seed}
    facts = folder / "asked.json"
    stored_facts = json.loads(facts.read_text()) if facts.is_file() else {}
    if not (stored_facts.get("asked") == request and stored_facts["count"] >= count):
        shutil.rmtree(folder, ignore_errors=True)
        config = detector.SynthConfig(size_wh=(256, 64), styles=tuple(styles), seed=seed)
        detector.write_set(config, folder, count, workers=workers)
        facts.write_text(json.dumps({"asked": request, "count": count}))
    return folder


def listed(folder: Path, count: int, out: Path) -> Path:
    """A label file of the first ``count`` pictures."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [(folder / row["image"], row["text"]) for row in csv.DictReader(file)]
    return write_labels(out / f"{count}.labels" / "labels.csv", rows[:count])


def child(source: Path, out: Path, facts: Path, train_scale: float) -> None:
    """The process that is measured: converts, and leaves the seconds and the peak of memory of each stage."""
    stages: dict[str, dict[str, float]] = {}
    last_time = time.perf_counter()

    def report_progress(stage: str, done: int, total: int) -> None:
        nonlocal last_time
        current_time = time.perf_counter()
        stored_facts = stages.setdefault(stage.split(",")[0], {"seconds": 0.0, "peak_mib": 0.0})
        stored_facts["seconds"] += current_time - last_time
        stored_facts["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        last_time = current_time

    report = detector.convert(source, out, train_scale=train_scale, progress=report_progress)
    counts = {"inputs": report.inputs, "suspects": report.suspects, "refused": report.refused}
    write_json(facts, {**counts, "explained": report.explained, "seconds": report.seconds, "stages": stages})


def start(source: Path, out: Path, facts: Path, train_scale: float) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        __file__,
        "--child",
        str(source),
        str(out),
        str(facts),
        "--train-scale",
        str(train_scale),
    ]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})


def finish(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """Wait; what the process took."""
    _, status, took = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the conversion ended with {process.returncode}")
    return took


def digest(root: Path) -> str:
    """Of all files of a set but its kept work."""
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.relative_to(root).parts[0] != "work"):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def measure(source: Path, count: int, args: argparse.Namespace) -> dict[str, Any]:
    """One count: an undisturbed run, and one that is killed."""
    root, facts = args.out / f"{count}.set", args.out / f"{count}.facts"
    for folder in (root, root.with_name(root.name + ".part")):
        shutil.rmtree(folder, ignore_errors=True)
    start_time = time.perf_counter()
    took = finish(start(source, root, facts, args.train_scale))
    seconds, cpu = time.perf_counter() - start_time, took.ru_utime + took.ru_stime
    result: dict[str, Any] = {
        "pictures": count, "seed": args.seed, "train_scale": args.train_scale, "machine": machine(),
        **json.loads(facts.read_text()), "wall_seconds": seconds, "cpu_seconds": cpu,
        "pictures_a_second": count / seconds, "pictures_a_core_second": count / cpu,
        "cores_in_use": cpu / seconds, "peak_mib": took.ru_maxrss / 1024,
        "work_kib": sum(p.stat().st_size for p in (root / "work").iterdir()) / 1024,
    }  # fmt: skip
    if args.kills:
        result["kills"] = killed(source, root, facts, seconds, args)
    return result


def killed(source: Path, root: Path, facts: Path, seconds: float, args: argparse.Namespace) -> dict[str, Any]:
    """Kill ``args.kills`` times on the way to the same set, and compare."""
    expected = digest(root)
    shutil.rmtree(root)
    moment = random.Random(args.seed)
    start_time, kill_count = time.perf_counter(), 0
    moments: list[float] = []
    while kill_count < args.kills:
        process = start(source, root, facts, args.train_scale)
        moments.append(moment.uniform(0, 2 * seconds / (args.kills + 1)))
        try:
            process.wait(moments[-1])
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kill_count += 1
        if root.exists():  # done before all kills were: compared, and begun again
            if digest(root) != expected:
                return {"kills": kill_count, "moments": moments, "equal": False}
            shutil.rmtree(root)
    finish(start(source, root, facts, args.train_scale))
    return {
        "kills": kill_count, "moments": moments, "wall_seconds": time.perf_counter() - start_time,
        "equal": digest(root) == expected,
    }  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line a count."""
    lines = [
        "| pictures | minutes | pictures/s | pictures/s a core | cores in use | peak memory, MiB | after "
        f"{', '.join(STAGES)} | kept work, KiB | kills |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(results, key=lambda r: r["pictures"]):
        peaks = ", ".join(f"{r['stages'][s]['peak_mib']:.0f}" if s in r["stages"] else "-" for s in STAGES)
        kills = f"{r['kills']['kills']}, {'equal' if r['kills']['equal'] else 'DIFFERENT'}" if "kills" in r else "-"
        lines.append(
            f"| {r['pictures']} | {r['wall_seconds'] / 60:.1f} | {r['pictures_a_second']:.1f} "
            f"| {r['pictures_a_core_second']:.1f} | {r['cores_in_use']:.1f} | {r['peak_mib']:.0f} | {peaks} "
            f"| {r['work_kib']:.0f} | {kills} |"
        )
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", nargs="+", type=int, default=[10_500, 105_000], help="pictures to convert")
    parser.add_argument("--kills", type=int, default=0, help="kill each count's conversion that often, and compare")
    parser.add_argument("--train-scale", type=float, default=1.0, help="as convert's")
    parser.add_argument("--styles", nargs="+", default=["plate", "label", "captcha"], help="as of `detector synth`")
    parser.add_argument("--workers", type=int, help="processes that draw")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "convert_at_size", help="folder to work in")
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
        write_json(args.out / f"{count}.json", measure(listed(folder, count, args.out), count, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
