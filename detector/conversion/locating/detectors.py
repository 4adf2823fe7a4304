"""The detectors that locate: the shipped one, and those of self-training; workers elsewhere open them anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.data.atomic import atomic_write
from detector.data.parallel import cores
from detector.networks.network import Network
from detector.networks.shipped import SHIPPED
from detector.reading.opening import open_network
from detector.text.detections import CharDetections
from detector.text.reading_config import ReadingConfig

if TYPE_CHECKING:
    import torch


class PicklableNetwork:
    """A network that is opened anew where it is unpickled; see :class:`detector.networks.network.Network`.

    Args:
        network: as it was opened here.
        reopen: opens it elsewhere; it can be pickled.
    """

    def __init__(self, network: Network, reopen: Callable[[], Network]) -> None:
        self._network, self._reopen = network, reopen
        self.names, self.config, self.shape_hw = network.names, network.config, network.shape_hw

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reopen, ()

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Candidates in pixels of the letterboxed pictures."""
        return self._network(images)

    def output(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Raw output of letterboxed pictures."""
        return self._network.output(images)


def shipped_network(device: str | None) -> PicklableNetwork:
    """Open the shipped detector; who unpickles it opens the weights of its own package.

    Args:
        device: as Ultralytics spells it.

    Raises:
        WeightsError, DependencyError: as :func:`detector.reading.opening.open_network`.
    """
    return PicklableNetwork(open_network(SHIPPED, device, None), partial(shipped_network, device))


def trained_network(path: Path, symbols: str, device: str | None) -> PicklableNetwork:
    """Open a detector of a round of self-training.

    Args:
        path: of its weights, the same on all machines.
        symbols: its alphabet.
        device: as Ultralytics spells it.
    """
    from detector.networks.device import pick_device
    from detector.networks.ultralytics import TorchNetwork

    network = TorchNetwork.of(_restored(path, symbols), pick_device(device), cores())
    return PicklableNetwork(network, partial(_trained_on_a_worker, path.absolute(), symbols, device))


def _trained_on_a_worker(path: Path, symbols: str, device: str | None) -> PicklableNetwork:
    """Open it with one thread for each caller, as :func:`detector.networks.arithmetic.one_thread_each` does here."""
    import torch

    torch.set_num_threads(1)
    return trained_network(path, symbols, device)


def new_detector(symbols: str, seed: int) -> torch.nn.Module:
    """Make the network before it is trained: the shipped one, whatever the alphabet."""
    import torch

    from detector.networks.ultralytics import new_network

    torch.manual_seed(seed)
    net: torch.nn.Module = new_network(symbols, None, SHIPPED)
    return net


@dataclass(frozen=True)
class Learnt:
    """What a detector of self-training has learnt.

    Args:
        state: its weights, float32.
        pictures: names of all that it was trained on, in the rounds before, too.
    """

    state: dict[str, Any]
    pictures: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Learnt:
        """Read a file that :meth:`write` wrote; whatever torch raises for a damaged one."""
        import torch

        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state = {k: v.float() if v.is_floating_point() else v for k, v in content["state"].items()}
        return cls(state, tuple(content["pictures"]))

    def write(self, path: Path) -> None:
        """Atomically write it, weights in half precision."""
        import torch

        state = {k: v.half() if v.is_floating_point() else v for k, v in self.state.items()}
        with atomic_write(path) as part, part.open("wb") as file:
            torch.save({"state": state, "pictures": list(self.pictures)}, file)


def write_reader(path: Path, config: ReadingConfig, target: Path) -> None:
    """Write a detector of self-training as weights that readers open.

    Args:
        path: of its :class:`Learnt`.
        config: of the set.
        target: file to write.
    """
    from detector.networks import ultralytics

    ultralytics.write_reader(_restored(path, config.symbols), target, config, {})


def _restored(path: Path, symbols: str) -> torch.nn.Module:
    """Return the network of a kept :class:`Learnt`."""
    net = new_detector(symbols, 0)
    net.load_state_dict(Learnt.read(path).state)
    return net
