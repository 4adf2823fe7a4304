"""Exporting through Ultralytics."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.networks.network import MAX_BATCH
from detector.networks.runtimes import import_openvino
from detector.networks.ultralytics.library import Exporter, onnx_export, openvino_export, quiet
from detector.networks.ultralytics.opening import open_weights


@contextlib.contextmanager
def any_batch() -> Iterator[None]:
    """Export any number of pictures with fixed height and width inside the block: exporters know both or none."""
    to_onnx, to_openvino = onnx_export.torch2onnx, openvino_export.torch2openvino

    def onnx(*args: Any, dynamic: Any = None, **named: Any) -> Any:
        return to_onnx(*args, dynamic={"images": {0: "batch"}, "output0": {0: "batch"}}, **named)

    def openvino(*args: Any, im: Any, dynamic: bool = False, **named: Any) -> Any:
        model = to_openvino(*args, im=im, dynamic=True, **named)
        model.reshape([-1, *im.shape[1:]])
        return model

    onnx_export.torch2onnx, openvino_export.torch2openvino = onnx, openvino  # the exporter looks them up at each call
    try:
        yield
    finally:
        onnx_export.torch2onnx, openvino_export.torch2openvino = to_onnx, to_openvino


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
    any_shape = any_shape or kind == "engine"
    overrides = {
        "format": kind, "imgsz": list(shape_hw), "dynamic": any_shape, "device": device, "simplify": False,
        "batch": MAX_BATCH if kind == "engine" else 1,  # TensorRT plans for a largest batch
    }  # fmt: skip
    if kind == "openvino":
        import_openvino()
        del overrides["simplify"]
    with quiet(), contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own ways to trace
        exporter = Exporter(overrides=overrides)
        exporter.add_callback("on_export_start", lambda exporter: exporter.metadata.update(metadata))
        with contextlib.nullcontext() if any_shape else any_batch():
            exported = Path(exporter(model=model))
    if kind == "onnx" and not any_shape:
        _unname_batch(exported, 4 + len(model.names))
    return exported


def _unname_batch(path: Path, columns: int) -> None:
    """Of an ONNX file: Ultralytics takes a batch with a name for a sign that height and width are open as well.

    Args:
        path: replaced.
        columns: of its output, which the exporter leaves open.
    """
    import onnx

    model = onnx.load(str(path))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].Clear()
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = columns
    onnx.save(model, str(path))
