"""What tests of reading share: the toy's reader, and its weights as they are exported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import detector
from detector import Reader
from tests.conftest import ToyRun


@pytest.fixture(scope="session")
def reader(toy_run: ToyRun) -> Reader:
    """The toy's reader as anyone opens it; read-only."""
    return Reader(toy_run.weights, device="cpu")


@pytest.fixture(scope="session")
def exported(toy_run: ToyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's weights as ONNX, beside them; read-only."""
    weights = Path(shutil.copyfile(toy_run.weights, tmp_path_factory.mktemp("exported") / "toy.pt"))
    return detector.export(weights)
