"""Results of a benchmark: JSON files with the machine that made them; no command."""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

# At the top nothing but the standard library: peers' Pythons, which have no detector, import this file too.

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
"""Where the real sets are, unless --data says otherwise."""


def machine() -> dict[str, Any]:
    """What the times depend on."""
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
    """The commit, with a plus where tracked files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_json(path: Path, result: dict[str, Any]) -> None:
    """The whole file or none; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1), encoding="utf-8")
    part.replace(path)


def is_done(path: Path) -> bool:
    """Whether a result is there: a score, or that nothing was learnt, which another run would not change."""
    if not path.exists():
        return False
    from detector.errors import NotLearnedError

    error = json.loads(path.read_text(encoding="utf-8")).get("error")
    return error is None or error["kind"] == NotLearnedError.__name__


def machine_lines(results: Sequence[dict[str, Any]]) -> list[str]:
    """Lines under a table that say where it was made."""
    lines = []
    for host in (result["machine"] for result in results):
        gpu = f", {host['gpu']}" if host["gpu"] else ""
        lines.append(f"{host['cpu']}, {host['cores']} cores{gpu}; torch {host['torch']}; commit {host['commit']}")
    return sorted(set(lines))


def read_results(out: Path) -> list[dict[str, Any]]:
    """All results in a folder, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))]
