"""Detectors that were trained on a set, as networks that can be pickled, and what is asked of them: whoever gets one
opens the file of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.conversion.locating.boxes import visible_ids
from detector.conversion.locating.locator import Image, Located, Locator
from detector.data.labels.sources import LabelledImage
from detector.data.parallel import cores
from detector.networks.shipped import SHIPPED
from detector.text.alphabet import Alphabet
from detector.text.detections import CharDetections

if TYPE_CHECKING:
    import torch


def new_detector(symbols: str, seed: int) -> torch.nn.Module:
    """The network before it is trained: the shipped one, whatever the alphabet."""
    import torch

    from detector.networks.ultralytics import new_network

    torch.manual_seed(seed)
    net: torch.nn.Module = new_network(symbols, None, SHIPPED)
    return net


def read_state(path: Path) -> dict[str, Any]:
    """Weights of a file, float32; whatever torch raises for a damaged one."""
    import torch

    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


class TrainedNetwork:
    """A detector of a round of self-training; see :class:`detector.networks.network.Network`.

    Args:
        path: of its weights, the same on all machines.
        symbols: its alphabet.
        device: as Ultralytics spells it.
    """

    def __init__(self, path: Path, symbols: str, device: str | None) -> None:
        from detector.networks.device import pick_device
        from detector.networks.ultralytics import Network

        self._arguments = path.absolute(), symbols, device
        net = new_detector(symbols, 0)
        net.load_state_dict(read_state(path))
        self._network = Network.of(net, pick_device(device), cores())
        self.names, self.config, self.shape_hw = self._network.names, self._network.config, self._network.shape_hw

    def __reduce__(self) -> tuple[Any, ...]:
        return _on_a_worker, self._arguments

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Candidates in pixels of the letterboxed pictures."""
        return self._network(images)

    def output(self, images: NDArray[np.uint8]) -> Any:
        """Raw output of letterboxed pictures."""
        return self._network.output(images)


def _on_a_worker(path: Path, symbols: str, device: str | None) -> TrainedNetwork:
    """With one thread, as each has where :func:`detector.networks.arithmetic.one_thread_each` shares the cores out."""
    import torch

    torch.set_num_threads(1)
    return TrainedNetwork(path, symbols, device)


def half_of(text: str) -> int:
    """In which half of the pictures those of a text fall: 0 or 1."""
    return hashlib.sha256(b"half:" + text.encode()).digest()[0] & 1


@dataclass(frozen=True)
class CrossFitted:
    """Detectors of one round: one, or two that were trained on a half of the pictures each. It can be pickled where
    their networks can.

    Args:
        locators: theirs.
        alphabet: of the set.
    """

    locators: tuple[Locator, ...]
    alphabet: Alphabet

    def locator(self, item: LabelledImage) -> Locator:
        """One that was not trained on the item's label, as far as that is not explained."""
        return self.locators[(1 - half_of(item.text)) % len(self.locators)]


@dataclass(frozen=True)
class LocatesUnseen:
    """Locates labels by detectors that were not trained on them.

    Args:
        detectors: of a round, or the shipped one.
        number: of the round.
    """

    detectors: CrossFitted
    number: int = 0

    def __call__(self, items: Sequence[LabelledImage], images: Sequence[Image]) -> list[Located]:
        located: dict[int, Located] = {}
        for locator in self.detectors.locators:
            rows = [i for i, item in enumerate(items) if self.detectors.locator(item) is locator]
            labels = [visible_ids(items[i], self.detectors.alphabet) for i in rows]
            located.update(zip(rows, locator.locate([images[i] for i in rows], labels), strict=True))
        return [replace(located[i], round=self.number) for i in range(len(items))]
