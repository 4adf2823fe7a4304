"""Networks in use: to read with, and to export."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detector.data.sets.yolo_dataset import CONFIG_KEY
from detector.errors import WeightsError
from detector.networks.arithmetic import autocast
from detector.networks.device import to_device
from detector.networks.metadata import config_in
from detector.networks.network import of_symbols
from detector.networks.nms_torch import candidates, prediction
from detector.networks.ultralytics.library import AutoBackend, in_short
from detector.networks.ultralytics.opening import open_weights, refuse_untrusted
from detector.networks.ultralytics.weights import config_in_checkpoint
from detector.text.detections import CharDetections
from detector.text.reading_config import ReadingConfig


class TorchNetwork:
    """A network in torch, or in a backend of Ultralytics, as a function from letterboxed pictures to candidates.

    Args:
        models: copies of one; as many threads run it at once, since its head keeps what suits the last shape.
        names: of its classes.
        device: where it runs.
        config: as the file holds it; None where it holds none.
        shape_hw: the one input that the file takes; None where it takes any.
        bfloat16: compute in bfloat16, where the device is fast at it.
    """

    def __init__(
        self, models: Sequence[Any], names: dict[int, str], device: torch.device, config: ReadingConfig | None = None,
        shape_hw: tuple[int, int] | None = None, bfloat16: bool = False,
    ) -> None:  # fmt: skip
        self.names, self.device, self.config, self.shape_hw = names, device, config, shape_hw
        self._bfloat16 = bfloat16
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for model in models:
            self._idle.put(model)

    @classmethod
    def open(cls, path: Path, device: torch.device) -> TorchNetwork:
        """Open weights of any format that Ultralytics knows.

        Raises:
            WeightsError: if they cannot be opened.
        """
        try:
            if path.suffix.lower() != ".pt":
                return cls._in_backend(path, device)
            model, content = open_weights(path, fuse=True)
            config = config_in_checkpoint(content.get(CONFIG_KEY))
        except WeightsError:
            raise
        except Exception as error:  # each backend has errors of its own
            raise WeightsError(
                f"{path} cannot be opened as weights: it is damaged, or none ({in_short(error)})."
            ) from error
        # After that: what goes wrong on the device is not the file's fault.
        return cls([_ready(model.to(device))], model.names, device, config)

    @classmethod
    def _in_backend(cls, path: Path, device: torch.device) -> TorchNetwork:
        if path.suffix.lower() == ".engine":
            refuse_untrusted(path, "is machine code for a GPU")
        backend = AutoBackend(model=str(path), device=device, fp16=False, verbose=False)
        is_fixed = not backend.dynamic and getattr(backend, "imgsz", None)
        shape_hw = (int(backend.imgsz[0]), int(backend.imgsz[1])) if is_fixed else None
        return cls([backend], backend.names, device, config_in(backend.backend.metadata), shape_hw)

    @classmethod
    def of(cls, net: Any, device: torch.device, copies: int = 1) -> TorchNetwork:
        """Wrap a trained network of :func:`new_network`; it is not to be trained any further.

        Args:
            net: the network.
            device: to run it on; on a CPU that is fast so, in bfloat16.
            copies: threads that may run it at once.
        """
        net.criterion = None
        model = _ready(net.to(device).fuse(verbose=False))
        models = [model, *(deepcopy(model) for _ in range(copies - 1))]
        return cls(models, model.names, device, bfloat16=device.type == "cpu")

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Detect candidates in pixels of the letterboxed pictures, uint8 (n, H, W, 3) BGR."""
        return candidates(of_symbols(self._output(images), self.names))

    def output(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return raw output (n, 4 + classes, places) of letterboxed pictures: cx, cy, w, h in their pixels, scores."""
        return np.asarray(self._output(images).float().cpu().numpy(), np.float32)

    @torch.inference_mode()
    def _output(self, images: NDArray[np.uint8]) -> torch.Tensor:
        pictures = to_device(images, self.device, flip=True)
        model = self._idle.get()
        try:
            with autocast(self.device) if self._bfloat16 else contextlib.nullcontext():
                return prediction(model(pictures))
        finally:
            self._idle.put(model)


def _ready(model: Any) -> Any:
    """Set the network to give raw output."""
    model.end2end = False
    return model.eval().to(memory_format=torch.channels_last)
