"""``detector export``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from detector.cli import options
from detector.cli.terminal import put, say


class Format(StrEnum):
    """What is written, as ``yolo export`` names it."""

    ONNX = "onnx"
    OPENVINO = "openvino"
    ENGINE = "engine"


def command(
    weights: Annotated[str, typer.Argument(help="A .pt file; 'shipped' takes that of the package.")],
    format: Annotated[Format, typer.Option("--format", "-f", help="engine: TensorRT, on the GPU it will run on.")] = (
        Format.ONNX
    ),
    int8: Annotated[bool, typer.Option("--int8", help="ONNX in 8-bit integers: faster on many CPUs, less exact.")] = (
        False
    ),
    out: Annotated[
        Path | None, typer.Option(help="What to write. [beside the weights; of the package's: in weights/]")
    ] = None,
    sample: Annotated[
        list[str] | None, typer.Option(help="Pictures or folders whose strings are compared, too; may be repeated.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="For engine: the GPU, as yolo spells it.")] = None,
    trust: options.Trust = False,
) -> None:
    """Write weights for another runtime, alphabet inside; one that reads other strings is not written."""
    from detector.errors import ImageError, SourceError
    from detector.reading.export import export
    from detector.reading.inputs import named_pictures, read_named

    pictures = []
    for source in sample or ():
        for name, picture in named_pictures(source):
            try:
                if isinstance(picture, ImageError):
                    raise ImageError(f"{name}: {picture}")
                pictures.append(read_named(picture))
            except ImageError as error:
                if not Path(source).is_dir():
                    raise
                say(f"not compared: {error}", always=True)
    if sample and not pictures:
        raise SourceError(f"There is no picture in {', '.join(sample)} to compare on.")
    path = export(weights, out, format=format.value, int8=int8, sample=pictures, device=device, trust=trust)
    say("written, in 8 bits" if int8 else f"written, and checked to read as {weights} does")
    put(path)
