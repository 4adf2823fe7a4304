"""The settings of one conversion, which its steps have in common."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from detector.data.labels.sources import LabelOptions
from detector.text.alphabet import Alphabet

VAL_SHARE, TEST_SHARE = 0.1, 0.2
"""Shares of the texts that go to validation and to the held-out test split."""


@dataclass(frozen=True)
class Settings:
    """What :func:`detector.convert` was asked for, checked.

    Args:
        alphabet: symbols in class-id order, and the space.
        length: symbols that a text may have.
        pattern: that all texts fit; None takes any.
        val, test: shares of the texts for these splits.
        lines: of text in each picture; None finds out.
        train_scale: multiplies the steps of self-training.
        seed: of the splits and of training.
        device: as Ultralytics spells it.
        keep_suspects: train on suspects, too.
        visual_order: whether labels were put in the order of the picture.
    """

    alphabet: Alphabet
    length: int
    pattern: str | None = None
    val: float = VAL_SHARE
    test: float = TEST_SHARE
    lines: int | None = None
    train_scale: float = 1.0
    seed: int = 0
    device: str | None = None
    keep_suspects: bool = False
    visual_order: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return what detectors and boxes depend on, as plain values."""
        return {
            "symbols": self.alphabet.symbols, "length": self.length, "pattern": self.pattern, "val": self.val,
            "test": self.test, "lines": self.lines, "train_scale": self.train_scale, "seed": self.seed,
            "device": self.device,
        }  # fmt: skip


class ConversionOptions(LabelOptions, total=False):
    """Arguments of :func:`detector.convert` that say how labels are read and boxes are found, for who hands them on."""

    length: int
    alphabet: str | None
    pattern: str | None
    val: float
    test: float
    keep_suspects: bool
    allow_refused: bool
    review: str | os.PathLike[str] | None
    lines: int | None
    train_scale: float
    seed: int
    device: str | None
