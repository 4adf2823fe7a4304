"""Networks in use: to read with, and to export."""

from __future__ import annotations

import contextlib
from copy import deepcopy
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from detector.data.yolo_dataset import CONFIG_KEY
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


class Network:
    """Weights of any format that Ultralytics knows, as a function from letterboxed pictures to candidates.

    Raises:
        WeightsError: if they cannot be opened.
    """

    names: dict[int, str]
    shape_hw: tuple[int, int] | None = None

    def __init__(self, path: Path, device: torch.device) -> None:
        self.device, self._autocast = device, False
        # A reader may be shared by threads, and a network's head keeps what suits the last shape: each takes one that
        # no other has.
        self._idle: SimpleQueue[Any] = SimpleQueue()
        try:
            if path.suffix.lower() == ".pt":
                model, content = open_weights(path, fuse=True)
                self.config = config_in_checkpoint(content.get(CONFIG_KEY))
            else:
                if path.suffix.lower() == ".engine":
                    refuse_untrusted(path, "is machine code for a GPU")
                backend = AutoBackend(model=str(path), device=device, fp16=False, verbose=False)
                self.names = backend.names
                self._idle.put(backend)
                self.config = config_in(backend.backend.metadata)
                if not backend.dynamic and getattr(backend, "imgsz", None):
                    self.shape_hw = (int(backend.imgsz[0]), int(backend.imgsz[1]))
        except WeightsError:
            raise
        except Exception as error:  # each backend has errors of its own
            raise WeightsError(
                f"{path} cannot be opened as weights: it is damaged, or none ({in_short(error)})."
            ) from error
        if path.suffix.lower() == ".pt":  # after that: what goes wrong on the device is not the file's fault
            self._hold(model.to(device))

    def _hold(self, model: Any, copies: int = 1) -> None:
        self.names = model.names
        model.end2end = False
        model = model.eval().to(memory_format=torch.channels_last)
        for copy in (model, *(deepcopy(model) for _ in range(copies - 1))):
            self._idle.put(copy)

    @classmethod
    def of(cls, net: Any, device: torch.device, copies: int = 1) -> Network:
        """Wrap a trained network of :func:`new_network`; it is not to be trained any further.

        Args:
            net: the network.
            device: to run it on; on a CPU that is fast so, in bfloat16.
            copies: threads that may run it at once.
        """
        network = cls.__new__(cls)
        network.device, network.config = device, None
        network._autocast, network._idle = device.type == "cpu", SimpleQueue()
        net.criterion = None
        network._hold(net.to(device).fuse(verbose=False), copies)
        return network

    def __call__(self, images: np.ndarray[Any, Any]) -> list[CharDetections]:
        """Detect candidates in pixels of the letterboxed pictures, uint8 (n, H, W, 3) BGR."""
        return candidates(of_symbols(self.output(images), self.names))

    @torch.inference_mode()
    def output(self, images: np.ndarray[Any, Any]) -> torch.Tensor:
        """Return raw output (n, 4 + classes, places) of letterboxed pictures: cx, cy, w, h in their pixels, scores."""
        pictures = to_device(images, self.device, flip=True)
        model = self._idle.get()
        try:
            with autocast(self.device) if self._autocast else contextlib.nullcontext():
                return prediction(model(pictures))
        finally:
            self._idle.put(model)
