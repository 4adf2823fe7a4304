"""What a conversion leaves to its caller."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from detector.data.sets.yolo_dataset import READER
from detector.text.reading_config import ReadingConfig


@dataclass(frozen=True)
class ConversionReport(os.PathLike[str]):
    """What a conversion did; it stands for its ``data.yaml`` wherever a path is taken, as in ``train(convert(...))``.

    Args:
        data_yaml: for training.
        source: what the labels were recognised as.
        inputs: pictures or lines of the source; always ``converted + suspects + refused``.
        splits: pictures in each split.
        suspects: pictures kept out of training, whose boxes or label are likelier wrong than right.
        reasons: refusals, counted by reason.
        config: what readers of this set must know.
        layout_share: share of the texts that the layout's rule for spaces explains.
        seconds: of wall clock.
        to_review: suspects in ``review.csv`` that a person has not decided on.
        explained: share of the labels that are read by a detector that was not trained on them: the shipped one, then
            that of each round of self-training.
        examples: of each reason, the first refusal in full.
        prelabels: converted pictures and suspects whose text a reader proposed, see
            :mod:`detector.data.labels.prelabels`.
        expected_wrong: how many of these texts are expected to be wrong, by their confidences.
        waiting: pictures whose pre-label a person has to decide on; they are no inputs.
    """

    data_yaml: Path
    source: str
    inputs: int
    splits: dict[str, int]
    suspects: int
    reasons: Counter[str]
    config: ReadingConfig
    layout_share: float
    seconds: float
    to_review: int = 0
    explained: tuple[float, ...] = ()
    examples: dict[str, str] = field(default_factory=dict)
    prelabels: int = 0
    expected_wrong: float = 0.0
    waiting: int = 0

    def __fspath__(self) -> str:
        return str(self.data_yaml)

    @property
    def reader(self) -> Path | None:
        """Weights of self-training, which readers open and training may start from; None where there are none."""
        path = self.data_yaml.with_name(READER)
        return path if path.is_file() else None

    @property
    def converted(self) -> int:
        """Number of pictures in the splits."""
        return sum(self.splits.values())

    @property
    def refused(self) -> int:
        """Number of inputs that are in no split and not suspects."""
        return sum(self.reasons.values())
