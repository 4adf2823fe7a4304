"""What training leaves: the weights to read with, how right they read, and the folder of the run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from detector.text.metrics import TextScore
from detector.training.run_folder import LAST
from detector.training.validation.evidence import FEW


@dataclass(frozen=True)
class TrainingResult(os.PathLike[str]):
    """A finished run; it stands for its weights wherever a path is taken, as in ``Reader(train(...))``.

    Args:
        path: of the weights to read with.
        metrics: how the strings that these weights read in the validation split compare with its labels.
        run_folder: the run's, with the curves and the last checkpoint.
        set_folder: folder of the set that it was trained on.
        has_test_split: whether that set has one.
        epochs: that were finished.
        interrupted: whether Ctrl-C ended it.
    """

    path: Path
    metrics: TextScore
    run_folder: Path
    set_folder: Path
    has_test_split: bool
    epochs: int
    interrupted: bool = False

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def learnt(self) -> bool:
        """Whether anything was learnt: with a dozen validation pictures or more, at least one is read right."""
        return self.metrics.right > 0 or self.metrics.count < FEW


class TrainingStopped(KeyboardInterrupt):
    """Ctrl-C ended training after an epoch or more: ``result`` is what was learnt so far."""

    def __init__(self, result: TrainingResult) -> None:
        self.result = result
        super().__init__(
            f"{result.path} is what was learnt in {result.epochs} epochs; "
            f"resume={result.run_folder / 'weights' / LAST} goes on"
        )
