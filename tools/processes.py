"""Processes that benchmarks start: their environment, ports, and readers that run in another Python; no command."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.results import ROOT

# At the top nothing but the standard library: peers' Pythons, which have no detector, import this file too.


def environment(**variables: str) -> dict[str, str]:
    """Return the environment for a child process that imports this repository's modules, with more ``variables``."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **variables}


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def start_logged(command: list[str], folder: Path, log: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start a command in ``folder`` whose output is appended to ``log``, in :func:`environment` of ``variables``."""
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=folder, env=environment(**variables), stdout=file, stderr=file)


def ask_peer(script: str, peer: str, python: str, question: Any) -> dict[str, Any]:
    """Run a script by another Python, and return its answer.

    Args:
        script: path of a script whose ``main`` calls :func:`answer_as_peer`.
        peer: what it is to be, say the name of a reader.
        python: path of the interpreter.
        question: what the peer is given, as JSON.

    Returns:
        The answer; or ``skipped``, with the last line of the error output, if there is none.
    """
    with tempfile.TemporaryDirectory() as folder:
        question_file, answer_file = Path(folder) / "question.json", Path(folder) / "answer.json"
        question_file.write_text(json.dumps(question), encoding="utf-8")
        command = (python, script, "--peer", peer, str(question_file), str(answer_file))
        try:
            process = subprocess.run(
                command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
            )
        except OSError as error:
            return {"skipped": f"{python} does not run: {error.strerror}"}
        if process.returncode or not answer_file.exists():
            last_lines = process.stderr.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
            return {"skipped": last_lines[0]}
        answer: dict[str, Any] = json.loads(answer_file.read_text(encoding="utf-8"))
        return answer


def answer_as_peer(answer: Callable[[str, Any], Any]) -> bool:
    """Write the result of ``answer(peer, question)`` if :func:`ask_peer` started this process; return whether so."""
    if sys.argv[1:2] != ["--peer"]:
        return False
    peer, question_file, answer_file = sys.argv[2:]
    question = json.loads(Path(question_file).read_text(encoding="utf-8"))
    Path(answer_file).write_text(json.dumps(answer(peer, question)), encoding="utf-8")
    return True
