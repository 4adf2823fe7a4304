"""A class of characters of other alphabets: not read, and what unknown symbols start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from detector import Reader
from detector.networks.network import OTHER
from detector.networks.shipped import SHIPPED
from detector.networks.ultralytics import new_network, publish
from detector.networks.ultralytics.opening import open_weights
from detector.reading.export import export
from detector.text.reading_config import ReadingConfig
from tests.builders import toy_synthesizer

SYMBOLS = ReadingConfig().symbols


def with_other(folder: Path, logit: float) -> Path:
    """The shipped weights with a class more, whose score is the same everywhere."""
    net = new_network(SYMBOLS + OTHER, None, SHIPPED)
    for branch in net.model[-1].cv3:
        with torch.no_grad():
            branch[-1].weight[-1], branch[-1].bias[-1] = 0, logit
    checkpoint = folder / "net.pt"
    torch.save({"model": net, "train_args": {"task": "detect", "imgsz": 256}, "epoch": -1}, checkpoint)
    target = folder / "other.pt"
    publish(checkpoint, target, ReadingConfig(), {})
    return target


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_other(tmp_path_factory.mktemp("other"), logit=6.0)


@pytest.mark.parametrize("kind", ["pt", "onnx"])
def test_what_is_of_another_alphabet_is_not_read(weights: Path, kind: str) -> None:
    path = weights if kind == "pt" else export(weights)
    images = [toy_synthesizer()(i).image for i in range(6)]
    own, shipped = Reader(path, device="cpu"), Reader(SHIPPED, device="cpu")
    assert own.config.symbols == SYMBOLS
    texts = [reading.text for reading in own.read_many(images)]
    assert texts == [reading.text for reading in shipped.read_many(images)] and any(texts)


def test_unknown_symbols_start_as_another_alphabet(weights: Path) -> None:
    net = new_network("1Жع", None, weights)
    before = open_weights(weights)[0]
    for new, old in zip(net.model[-1].cv3, before.model[-1].cv3, strict=True):
        rows = [SYMBOLS.index("1"), len(SYMBOLS), len(SYMBOLS)]
        np.testing.assert_array_equal(new[-1].bias.detach(), old[-1].bias.detach().float()[rows])
