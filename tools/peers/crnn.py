"""A plain CRNN with CTC loss, as published, to compare with; no command.

Shi, Bai and Yao, "An End-to-End Trainable Neural Network for Image-based Sequence Recognition and Its Application to
Scene Text Recognition", 2015, table 1: grey pictures of 32x100, seven convolutions, two bidirectional LSTMs, greedy
decoding. Not from the paper, but useful in few minutes: this project's augmentation, Adam, a cosine learning rate that
follows the clock, the best weights of ten validations.
"""

from __future__ import annotations

import copy
import itertools
import string
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detector.data.images import read_image
from detector.networks.arithmetic import autocast
from detector.networks.device import pick_device
from detector.text.metrics import score_texts
from detector.training.augment.policy import Augment

SYMBOLS = string.digits + string.ascii_uppercase
BLANK = len(SYMBOLS)  # CTC's, the last class
SHAPE_HW = (32, 100)
AUGMENTED_HW = (64, 200)  # the size of pictures when they are augmented, before they become grey and small
BATCH = 16  # small, for many steps in few minutes
VALIDATIONS = 10  # evenly over the time

Pairs = Sequence[tuple[str, str]]
"""Paths and texts."""


def _conv(c_in: int, c_out: int, kernel: int = 3, norm: bool = False) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, kernel, padding=1 if kernel == 3 else 0, bias=not norm)]
    return [*layers, *([nn.BatchNorm2d(c_out)] if norm else []), nn.ReLU(inplace=True)]


class Crnn(nn.Module):
    """Network from pictures (batch, 1, 32, 100) in [-1, 1] to class scores (batch, 24, classes).

    Args:
        classes: number of symbols, and CTC's blank.
        hidden: size of each LSTM.
    """

    def __init__(self, classes: int = len(SYMBOLS) + 1, hidden: int = 256) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv(1, 64), nn.MaxPool2d(2),
            *_conv(64, 128), nn.MaxPool2d(2),
            *_conv(128, 256), *_conv(256, 256), nn.MaxPool2d((2, 1)),
            *_conv(256, 512, norm=True), *_conv(512, 512, norm=True), nn.MaxPool2d((2, 1)),
            *_conv(512, 512, kernel=2),
        )  # fmt: skip
        self.sequence = nn.LSTM(512, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.classify = nn.Linear(2 * hidden, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        columns = self.body(pictures).squeeze(2).transpose(1, 2)
        scores: Tensor = self.classify(self.sequence(columns)[0])
        return scores


def load(path: str) -> NDArray[np.uint8]:
    """Read a picture and stretch it, as the paper does; uint8 (64, 200, 3) BGR."""
    image = read_image(path)
    method = cv2.INTER_AREA if image.shape[1] > AUGMENTED_HW[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, AUGMENTED_HW[::-1], interpolation=method), np.uint8)


def to_input(images: Sequence[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Return the network's input, (n, 1, 32, 100) in [-1, 1], for pictures of :func:`load`."""
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images]
    small = np.stack([cv2.resize(image, SHAPE_HW[::-1], interpolation=cv2.INTER_AREA) for image in grey])
    return torch.from_numpy(small)[:, None].to(device).float().div(127.5).sub(1)


def decode(scores: Tensor) -> list[str]:
    """Decode class scores (n, columns, classes) greedily: the best class of each column, without repeats and blanks."""
    texts = []
    for row in scores.argmax(2).tolist():
        class_ids = [class_id for class_id, _ in itertools.groupby(row)]
        texts.append("".join(SYMBOLS[class_id] for class_id in class_ids if class_id != BLANK))
    return texts


@torch.inference_mode()
def read(net: Crnn, images: Sequence[NDArray[np.uint8]], device: torch.device) -> list[str]:
    """Return the texts of pictures of :func:`load`."""
    net.eval()
    texts: list[str] = []
    for start in range(0, len(images), 4 * BATCH):
        with autocast(device):
            scores = net(to_input(images[start : start + 4 * BATCH], device))
        texts += decode(scores.float())
    return texts


def train_crnn(
    train: Pairs, val: Pairs, minutes: float, seed: int = 0, lr: float = 1e-3
) -> tuple[Crnn, dict[str, Any]]:
    """Train for some minutes; return the network with the weights that read the validation pictures best, and figures.

    Texts consist of SYMBOLS.
    """
    start_time = time.perf_counter()
    torch.manual_seed(seed)
    rng, augment, device = np.random.default_rng(seed), Augment(seed=seed), pick_device(None)
    net = Crnn().to(device=device, memory_format=torch.channels_last)
    loss_of = nn.CTCLoss(blank=BLANK, zero_infinity=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    images, validation_images = [load(path) for path, _ in train], [load(path) for path, _ in val]
    targets = [torch.tensor([SYMBOLS.index(c) for c in text]) for _, text in train]
    best_score, best_state, order = (-1, 0), copy.deepcopy(net.state_dict()), np.arange(0)
    step = validations = picture_count = 0

    def validate() -> None:
        """Keep the weights if no earlier ones were better: by right strings, then by errors of characters."""
        nonlocal best_score, best_state
        result = score_texts([text for _, text in val], read(net, validation_images, device))
        if (score := (result.right, -result.errors)) >= best_score:
            best_score, best_state = score, copy.deepcopy(net.state_dict())

    while (share := (time.perf_counter() - start_time) / 60 / minutes) < 1 or not step:
        if share * VALIDATIONS >= validations + 1:
            validations = int(share * VALIDATIONS)
            validate()
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * min(share, 1.0))))
        if not len(order):
            order = rng.permutation(len(images))
        batch_indices, order = order[:BATCH], order[BATCH:]
        net.train()
        with autocast(device):
            scores = net(to_input([augment.image(images[i]) for i in batch_indices], device))
        log_probs = scores.float().log_softmax(2).transpose(0, 1)
        lengths = torch.tensor([len(targets[i]) for i in batch_indices])
        columns = torch.full((len(batch_indices),), len(log_probs))
        loss = loss_of(log_probs, torch.cat([targets[i] for i in batch_indices]).to(device), columns, lengths)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        step, picture_count = step + 1, picture_count + len(batch_indices)
    validate()
    net.load_state_dict(best_state)
    figures = {
        "steps": step,
        "epochs": picture_count / len(images),
        "val_exact_match": best_score[0] / max(len(val), 1),
    }
    return net, {**figures, "minutes": {"train": (time.perf_counter() - start_time) / 60}}


def learn(question: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Train for ``trained_peers.py``; return a function from path to text, and figures."""
    cv2.setNumThreads(1)  # its threads would wait for torch's
    net, figures = train_crnn(question["train"], question["val"], question["minutes"], question["seed"])
    device = next(net.parameters()).device
    return lambda path: read(net, [load(Path(path).as_posix())], device)[0], figures
