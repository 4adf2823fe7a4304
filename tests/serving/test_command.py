"""The command: what it says of arguments that cannot be served, before it listens."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detector.cli import app
from detector.cli.commands.serve import KEYS_VARIABLE, RequestFormatter, is_for_a_person
from detector.errors import ArgumentError, DetectorError, WeightsError
from detector.serving.logs import FIELDS

REFUSED: dict[str, tuple[list[str], type[DetectorError], str]] = {
    "no weights": (["none.pt"], WeightsError, "no weights at none.pt"),
    "one name for two": (["shipped", "weights/shipped.onnx"], ArgumentError, "both called 'shipped': give them names"),
    "a name that is none": (["a b=shipped"], ArgumentError, "'a b' cannot name a model"),
    "a long name": (["a" * 65 + "=shipped"], ArgumentError, "up to 64 letters, digits, '.', '_' and '-' can. Give it"),
    "a limit below": (["shipped", "--max-pictures", "0"], ArgumentError, "--max-pictures 0: it must be above 0"),
    "a short queue": (["shipped", "--max-queue", "8"], ArgumentError, "--max-queue 8 has no place for a request of"),
    "no keys": (["shipped", "--keys", "none.txt"], ArgumentError, "The keys in none.txt cannot be read"),
    "no such port": (["shipped", "--port", "70000"], ArgumentError, "--port 70000 is none: give 1 to 65535"),
    "not of this machine": (["shipped", "--host", "203.0.113.7"], ArgumentError, "--host 203.0.113.7 with --port 8000"),
}


@pytest.mark.parametrize(("arguments", "kind", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_served(
    arguments: list[str], kind: type[DetectorError], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert type(done.exception) is kind
    assert said in str(done.exception)


REQUEST = {"method": "POST", "path": "/v1/read", "status": 200, "ms": 12.3, "request_id": "a", "client": "127.0.0.1"}

TERMINAL: dict[str, tuple[str, int, str, dict[str, Any], str]] = {
    "the address": ("detector.serving", logging.INFO, "serving on http://[::1]:80/", {}, "serving on http://[::1]:80/"),
    "a reading": ("detector.serving", logging.INFO, "request", REQUEST | {"pictures": 3},
                  "POST /v1/read: 200, 3 pictures, 12 ms"),
    "refused": ("detector.serving", logging.INFO, "request", REQUEST | {"status": 413}, "POST /v1/read: 413, 12 ms"),
    "a path that would move the cursor": ("detector.serving", logging.INFO, "request",
                                          REQUEST | {"path": "/\x1b[2J", "status": 404}, "POST /\\x1b[2J: 404, 12 ms"),
    "a path of two lines": ("detector.serving", logging.INFO, "request",
                            REQUEST | {"path": "/\nPOST /v1/read: 200", "status": 404},
                            "POST /\\nPOST /v1/read: 200: 404, 12 ms"),
    "a file of the page": ("detector.serving", logging.INFO, "request", REQUEST | {"path": "/page.js"}, ""),
    "a fault": ("detector.serving", logging.ERROR, "a request failed", {"request_id": "a"}, "a request failed"),
    "uvicorn starts": ("uvicorn.error", logging.INFO, "Application startup complete.", {}, ""),
    "uvicorn fails": ("uvicorn.error", logging.ERROR, "no address", {}, "no address"),
}  # fmt: skip


@pytest.mark.parametrize(("logger", "level", "message", "fields", "line"), TERMINAL.values(), ids=TERMINAL.keys())
def test_a_terminal_shows_what_a_person_needs(
    logger: str, level: int, message: str, fields: dict[str, Any], line: str
) -> None:
    record = logging.LogRecord(logger, level, __file__, 1, message, None, None)
    setattr(record, FIELDS, fields)
    assert (RequestFormatter("%(message)s").format(record) if is_for_a_person(record) else "") == line
