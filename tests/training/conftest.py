"""What tests of training share: the toy's pictures as the network sees them."""

from __future__ import annotations

import pytest

from detector.data.sets.yolo_dataset import read_set
from detector.training.dataset import TextDataset
from tests.conftest import Toy

SHAPE_HW = (64, 192)
"""Of the toy."""


@pytest.fixture(scope="session")
def dataset(toy: Toy) -> TextDataset:
    """Its split that is learnt; read-only."""
    return TextDataset(read_set(toy.root), "train", SHAPE_HW)


@pytest.fixture(scope="module", autouse=True)
def _fixed_arithmetic(fixed_arithmetic: None) -> None:
    """Of all its modules; trainings in processes of their own do measure."""
