"""Results of benchmarks: JSON files with their figures and the machine, read again for tables; no command."""

from __future__ import annotations

import contextlib
import csv
import json
import platform
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

# At the top nothing but the standard library: peers' Pythons, which have no detector, import this file too.

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
"""Where the real sets are, unless --data says otherwise."""


def machine() -> dict[str, Any]:
    """Return what times depend on: CPU, cores, GPU, versions and the commit."""
    import torch

    from detector.data.parallel import cores

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    # Ultralytics is asked without its import, which sets OMP_NUM_THREADS=1 for all processes that are started later.
    versions = {"python": platform.python_version(), "torch": torch.__version__, "ultralytics": version("ultralytics")}
    return {"cpu": _cpu_model(), "cores": cores(), "gpu": gpu, **versions, "commit": _commit()}


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """Return the short hash of the commit, with a plus if tracked files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Atomically write ``path``; its folder is created if it is missing."""
    from detector.data.atomic import atomic_write

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(json.dumps(result, indent=1), encoding="utf-8")


def measure_once(path: Path, again: bool, measure: Callable[[], dict[str, Any]]) -> None:
    """Write the result of ``measure`` to ``path``, unless a result is there and ``again`` is false."""
    if again or not _is_done(path):
        print(path.stem, file=sys.stderr, flush=True)
        write_json(path, measure())


def _is_done(path: Path) -> bool:
    """Return whether a result is there: figures, or that nothing was learnt, which another run would not change."""
    if not path.exists():
        return False
    from detector.errors import NotLearnedError

    error = json.loads(path.read_text(encoding="utf-8")).get("error")
    return error is None or error["kind"] == NotLearnedError.__name__


def error_facts(error: Exception) -> dict[str, str]:
    """Return kind and message of an error that ended a measurement; print the traceback of one that is not expected."""
    if type(error).__module__ != "detector.errors":  # by name: where a peer's Python runs, there is no detector
        traceback.print_exception(error)
    return {"kind": type(error).__name__, "message": str(error)}


def figures_of(evaluation: Any) -> dict[str, Any]:
    """Return the figures of a :class:`detector.Evaluation` but for the confusions, which are many."""
    figures: dict[str, Any] = evaluation.to_dict()
    del figures["confusions"]
    return figures


def machine_lines(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines under a table: the machines and commits of its results."""
    lines = []
    for host in (result["machine"] for result in results):
        gpu = f", {host['gpu']}" if host["gpu"] else ""
        lines.append(f"{host['cpu']}, {host['cores']} cores{gpu}; torch {host['torch']}; commit {host['commit']}")
    return sorted(set(lines))


def read_results(out: Path) -> list[dict[str, Any]]:
    """Return all results in a folder, sorted by file name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))]


def read_epochs(run: Path) -> list[dict[str, str]]:
    """Return the rows of a training run's results.csv as they are; none if there is no file yet.

    Each finished epoch should have one row. The package's own reader mends a table; this one shows what is wrong in it.
    """
    try:
        with (run / "results.csv").open(newline="", encoding="utf-8") as file:
            return [{key.strip(): value for key, value in row.items() if key} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
