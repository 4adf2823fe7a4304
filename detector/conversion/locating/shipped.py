"""The shipped detector as a network that can be pickled: whoever gets it opens the weights of its own package."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.networks.shipped import SHIPPED
from detector.reading.opening import open_network
from detector.text.detections import CharDetections


class ShippedNetwork:
    """The shipped detector; see :class:`detector.networks.network.Network`.

    Args:
        device: as Ultralytics spells it.

    Raises:
        WeightsError, DependencyError: as :func:`detector.reading.opening.open_network`.
    """

    def __init__(self, device: str | None) -> None:
        self._device, self._network = device, open_network(SHIPPED, device, None)
        self.names, self.config = self._network.names, self._network.config
        self.shape_hw = self._network.shape_hw

    def __reduce__(self) -> tuple[Any, ...]:
        return ShippedNetwork, (self._device,)

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Candidates in pixels of the letterboxed pictures."""
        return self._network(images)

    def output(self, images: NDArray[np.uint8]) -> Any:
        """Raw output of letterboxed pictures."""
        return self._network.output(images)
