"""Put convolutions of an ONNX file as Ultralytics exports it into 8-bit integers, which many CPUs compute faster."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.networks.metadata import INT8_KEY
from detector.networks.runtimes import blob_of

_MODULE = re.compile(r"/model\.(\d+)/")  # of a network's modules, in the names that its nodes get from torch
_ATTENTION = "/attn/"


def write_int8(exported: Path, out: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    """Write an exported ONNX file with convolutions in 8-bit integers; what goes in and comes out stays float32.

    Static quantization (Jacob et al. 2018, arXiv:1712.05877): weights have a scale for each output channel, what goes
    into and comes out of a convolution has one scale between the least and the greatest value that ``images`` give.

    Args:
        exported: an ONNX file that takes any number of pictures.
        out: what to write. The metadata is that of ``exported``, and says that this is an 8-bit file.
        images: letterboxed pictures uint8 (H, W, 3) BGR that are like those that it will read, of shapes that the file
            takes.

    Raises:
        ValueError: if the file's nodes are not called as Ultralytics' are.
        Exception: whatever ONNX Runtime raises.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = onnx.load(str(exported))
    with _quiet():
        quantize_static(
            str(exported), str(out), _Calibration(model.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ, per_channel=True, calibrate_method=CalibrationMethod.MinMax,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"], nodes_to_quantize=_quantized(model.graph),
        )  # fmt: skip
    quantized = onnx.load(str(out))
    del quantized.metadata_props[:]  # ONNX Runtime adds its own
    quantized.metadata_props.extend(model.metadata_props)
    quantized.metadata_props.add(key=INT8_KEY, value="True")
    onnx.save(quantized, str(out))


def _quantized(graph: Any) -> list[str]:
    """Name the convolutions to quantize: not the first module's and the head's, nor those of attention.

    On these exactness hangs, and they are few.

    Raises:
        ValueError: if there is none.
    """
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    modules = {name: int(match[1]) for name in convolutions if (match := _MODULE.match(name))}
    ends = (min(modules.values(), default=0), max(modules.values(), default=0))
    names = [name for name, module in modules.items() if module not in ends and _ATTENTION not in name]
    if not names:
        raise ValueError("it has no convolutions between its first module and its head, by the names of its nodes")
    return names


class _Calibration:
    """Pictures one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, input_name: str, images: Sequence[NDArray[np.uint8]]) -> None:
        self._inputs = ({input_name: blob_of(image[None])} for image in images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._inputs, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what quantization logs; its warnings would set up logging for the whole process where nobody has."""
    root = logging.getLogger()
    nowhere = logging.NullHandler()
    root.addHandler(nowhere)
    root.addFilter(_let_pass)
    try:
        yield
    finally:
        root.removeFilter(_let_pass)
        root.removeHandler(nowhere)


def _let_pass(record: logging.LogRecord) -> bool:
    return "quantization" not in Path(record.pathname).parts
