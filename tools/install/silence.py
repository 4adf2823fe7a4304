"""Requests to the network by any command, and files that it leaves outside the package's cache, within a minute.

    .venv/bin/python tools/install/silence.py [--seconds 60]

Every command runs under strace, with an empty home, on a small artificial set, and its process goes on for a minute
after its work, since libraries upload what they gather from time to time. Prints which addresses were asked for and
which files appeared; exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from detector.data.switches import ALWAYS
from tools.results import ROOT

RUN_AND_SLEEP = """
import sys, time
from detector.cli import app
seconds, sys.argv = float(sys.argv[1]), ["detector", *sys.argv[2:]]
try:
    app()
finally:
    time.sleep(seconds)
"""

COMMANDS = (
    "synth pictures --count 40 --styles plain",
    "convert pictures set",
    "predict shipped pictures/images",
    "evaluate shipped pictures",
    "export shipped --out shipped.onnx",
    "profile set --seconds 0.1",
    "train data=set epochs=1",
    "fit pictures epochs=1",
    "label shipped pictures/images pictures.csv",
)
"""In this order, as each uses files of those before it."""


def violations_of(command: str, seconds: float, scratch: Path) -> list[str]:
    """Run a command; list the addresses that it asked for, the files that it left in the home, and its failure."""
    home, calls = scratch / "home", scratch / "calls"
    home.mkdir(exist_ok=True)
    earlier_files = {*home.rglob("*")}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "YOLO_", "MPL", *ALWAYS))
    }
    process = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", calls, sys.executable, "-c", RUN_AND_SLEEP,
         str(seconds), *command.split()],
        cwd=scratch, env=environment | {"HOME": str(home), "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    calls_text = calls.read_text(encoding="utf-8", errors="replace")
    files = [str(path.relative_to(home)) for path in {*home.rglob("*")} - earlier_files if path.is_file()]
    violations = sorted(set(re.findall(r"sa_family=AF_INET6?.*?inet_\w+\([^)]*\)", calls_text)))
    violations += [name for name in files if not name.startswith(".cache/detector/")]
    if process.returncode not in (0, 3, 5):
        violations.insert(0, f"exit code {process.returncode}: {process.stderr[-500:]}")
    return violations


def main() -> None:
    """Check every command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    has_failed = False
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            violations = violations_of(command, seconds, Path(folder))
            has_failed |= bool(violations)
            print(f"detector {command}: {'silent' if not violations else '; '.join(violations)}", flush=True)
    sys.exit(has_failed)


if __name__ == "__main__":
    main()
