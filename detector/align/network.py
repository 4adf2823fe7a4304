"""The aligner's network: a picture in, one class distribution a column out.

A small convolutional network for CTC (Graves et al., "Connectionist Temporal Classification", ICML 2006).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

COLUMN = 4
"""Pixels of the fitted picture in one output column."""

_ROWS = 4  # rows that are left before they are folded into channels, whatever the picture's height


def _conv(c_in: int, c_out: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class AlignerNet(nn.Module):
    """Columns of class scores.

    Rows are folded into channels, not averaged: with pooled rows the network did not leave CTC's plateau
    within 600 steps on captcha-v2, with folded ones it read 94 % after them.

    Args:
        classes: detection classes; one output more is CTC's blank, which comes last.
        width: channels of the first layer, a quarter of the last one's.
    """

    def __init__(self, classes: int, width: int = 24) -> None:
        super().__init__()
        self.classes = classes
        self.width = width
        wide = 4 * width
        self.body = nn.Sequential(
            _conv(3, width, (2, 2)),
            _conv(width, 2 * width, (2, 2)),
            _conv(2 * width, 2 * width),
            _conv(2 * width, wide, (2, 1)),
            _conv(wide, wide),
            _conv(wide, wide, (2, 1)),
        )
        self.columns = nn.Sequential(
            nn.Conv1d(_ROWS * wide, wide, 1, bias=False),
            nn.BatchNorm1d(wide),
            nn.ReLU(inplace=True),
            nn.Conv1d(wide, wide, 5, padding=2, bias=False),
            nn.BatchNorm1d(wide),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Conv1d(wide, classes + 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Log-probabilities, shape (batch, W/4, classes + 1), of pictures (batch, 3, H, W) in [0, 1]."""
        features = self.body(pictures * 2 - 1)  # (B, C, H/16, W/4)
        if features.shape[2] != _ROWS:
            features = nn.functional.interpolate(features, (_ROWS, features.shape[3]), mode="bilinear")
        scores = self.classify(self.columns(features.flatten(1, 2)))  # (B, classes + 1, W/4)
        log_probs: Tensor = scores.float().log_softmax(1).transpose(1, 2)
        return log_probs


def carry_over(net: AlignerNet, symbols: str, old: dict[str, Tensor], old_symbols: str) -> int:
    """Start ``net`` from the weights of another alphabet; returns how many of ``symbols`` were known there.

    Symbols unknown there start from the mean of the known ones, so that none begins with an advantage.
    """
    state = dict(old)
    for name in ("classify.weight", "classify.bias"):
        rows = old[name]
        known = {symbol: rows[i] for i, symbol in enumerate(old_symbols)}
        mean = rows[:-1].mean(0)
        state[name] = torch.stack([*(known.get(s, mean) for s in symbols), rows[-1]])
    net.load_state_dict(state)
    return len(set(symbols) & set(old_symbols))
