"""Networks in use: to read with, and to export."""

from __future__ import annotations

import contextlib
import sys
import warnings
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
from detector.networks.network import MAX_BATCH
from detector.networks.nms_torch import candidates, prediction
from detector.networks.runtimes import import_openvino
from detector.networks.ultralytics.library import AutoBackend, Exporter, any_batch, in_short, quiet
from detector.networks.ultralytics.opening import open_weights, refuse_untrusted
from detector.networks.ultralytics.weights import config_held
from detector.text.detections import CharDetections


class Network:
    """Weights of any format that Ultralytics knows, as a function from fitted pictures to candidates.

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
                model, held = open_weights(path, fuse=True)
                self.config = config_held(held.get(CONFIG_KEY))
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
        for several in (model, *(deepcopy(model) for _ in range(copies - 1))):
            self._idle.put(several)

    @classmethod
    def of(cls, net: Any, device: torch.device, copies: int = 1) -> Network:
        """One of :func:`new_network` that was trained; it is not to be trained any further.

        Args:
            net: the network.
            device: to run it on; on a CPU that is fast so, in bfloat16.
            copies: threads that may run it at once.
        """
        made = cls.__new__(cls)
        made.device, made.config, made._autocast, made._idle = device, None, device.type == "cpu", SimpleQueue()
        net.criterion = None
        made._hold(net.to(device).fuse(verbose=False), copies)
        return made

    def __call__(self, images: np.ndarray[Any, Any]) -> list[CharDetections]:
        """Candidates in pixels of the fitted pictures, uint8 (n, H, W, 3) BGR."""
        return candidates(self.output(images))

    @torch.inference_mode()
    def output(self, images: np.ndarray[Any, Any]) -> torch.Tensor:
        """Raw output (n, 4 + classes, places) of fitted pictures: cx, cy, w, h in their pixels, scores."""
        pictures = to_device(images, self.device, flip=True)
        model = self._idle.get()
        try:
            with autocast(self.device) if self._autocast else contextlib.nullcontext():
                return prediction(model(pictures))
        finally:
            self._idle.put(model)


def write_exported(
    weights: Path, folder: Path, kind: str, shape_hw: tuple[int, int], metadata: dict[str, str], device: str, *,
    any_shape: bool = False,
) -> Path:  # fmt: skip
    """Export through Ultralytics: raw output, any number of pictures at once, ``metadata`` beside its own.

    Args:
        weights: a ``.pt`` file.
        folder: to write in.
        kind: "onnx", "openvino" or "engine".
        shape_hw: of the pictures that it is for.
        metadata: entries of the file's metadata, or of the ``metadata.yaml`` beside it.
        device: as Ultralytics spells it.
        any_shape: pictures of other shapes are taken, too. Plain ``yolo predict`` then falls back to 640 pixels; of
            other files it takes the shape from the metadata. TensorRT's are always of this kind.

    Returns:
        The file or folder.
    """
    model, _ = open_weights(weights)
    model.pt_path = str(folder / weights.name)  # what it writes goes beside
    most = {"batch": MAX_BATCH if kind == "engine" else 1}  # TensorRT plans for a largest batch
    any_shape = any_shape or kind == "engine"
    overrides = {
        "format": kind, "imgsz": list(shape_hw), "dynamic": any_shape, "device": device, "simplify": False, **most,
    }  # fmt: skip
    if kind == "openvino":
        import_openvino()
        del overrides["simplify"]
    with quiet(), contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own ways to trace
        exporter = Exporter(overrides=overrides)
        exporter.add_callback("on_export_start", lambda exporter: exporter.metadata.update(metadata))
        with contextlib.nullcontext() if any_shape else any_batch():
            written = Path(exporter(model=model))
    if kind == "onnx" and not any_shape:
        _unname_batch(written, 4 + len(model.names))
    return written


def _unname_batch(path: Path, columns: int) -> None:
    """Of an ONNX file: Ultralytics takes a batch with a name for a sign that height and width are open as well.

    Args:
        path: replaced.
        columns: of its output, which the exporter leaves open.
    """
    import onnx

    held = onnx.load(str(path))
    for value in (held.graph.input[0], held.graph.output[0]):
        value.type.tensor_type.shape.dim[0].Clear()
    held.graph.output[0].type.tensor_type.shape.dim[1].dim_value = columns
    onnx.save(held, str(path))
