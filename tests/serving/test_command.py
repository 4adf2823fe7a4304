"""The command: what it says of arguments that cannot be served, before it listens."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from detector.cli import app
from detector.cli.commands.serve import KEYS_VARIABLE
from detector.errors import ArgumentError, DetectorError, WeightsError

REFUSED: dict[str, tuple[list[str], type[DetectorError], str]] = {
    "no weights": (["none.pt"], WeightsError, "no weights at none.pt"),
    "one name for two": (["shipped", "weights/shipped.onnx"], ArgumentError, "both called 'shipped': give them names"),
    "a name that is none": (["a b=shipped"], ArgumentError, "'a b' cannot name a model"),
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
