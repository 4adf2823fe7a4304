"""The only package that imports Ultralytics: its names, weights, and networks in use."""

from __future__ import annotations

from detector.networks.ultralytics.export import write_exported
from detector.networks.ultralytics.network import TorchNetwork
from detector.networks.ultralytics.quantization import write_int8
from detector.networks.ultralytics.weights import averaged, new_network, publish, write_interpolated, write_reader

__all__ = [
    "TorchNetwork",
    "averaged",
    "new_network",
    "publish",
    "write_exported",
    "write_int8",
    "write_interpolated",
    "write_reader",
]
