"""``detector serve``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.terminal import is_quiet
from detector.errors import ArgumentError, require
from detector.serving.limits import Limits

_DEFAULT = Limits()

KEYS_VARIABLE = "DETECTOR_API_KEYS"


def command(
    weights: Annotated[
        list[str],
        typer.Argument(help="Weights, or NAME=WEIGHTS, as many as are wanted; 'shipped' takes those of the package."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes one that is free.")] = 8000,
    keys: Annotated[
        Path | None, typer.Option(help=f"A file with an API key a line; {KEYS_VARIABLE} may hold some, too.")
    ] = None,
    pattern: Annotated[str | None, typer.Option(help="As for predict.")] = None,
    min_confidence: Annotated[float, typer.Option(help="As for predict.")] = 0.0,
    alternatives: Annotated[int, typer.Option(help="Next likely strings that each reading brings.")] = 0,
    two_pass: Annotated[bool | None, typer.Option(help="As for predict. [as the weights say]")] = None,
    max_pictures: Annotated[int, typer.Option(help="Pictures of a request.")] = _DEFAULT.max_pictures,
    max_bytes: Annotated[int, typer.Option(help="Bytes of a request.")] = _DEFAULT.max_bytes,
    max_pixels: Annotated[int, typer.Option(help="Pixels of a picture.")] = _DEFAULT.max_pixels,
    max_queue: Annotated[int, typer.Option(help="Pictures that may wait; more are told to come again.")] = (
        _DEFAULT.max_queue
    ),
    max_held_bytes: Annotated[int, typer.Option(help="Bytes of all requests in memory at once.")] = (
        _DEFAULT.max_held_bytes
    ),
    body_seconds: Annotated[float, typer.Option(help="Seconds in which a request must have come.")] = (
        _DEFAULT.body_seconds
    ),
    read_seconds: Annotated[float, typer.Option(help="Seconds that a request may wait for its readings.")] = (
        _DEFAULT.read_seconds
    ),
    drain_seconds: Annotated[float, typer.Option(help="Seconds that clients have to leave when the service ends.")] = (
        _DEFAULT.drain_seconds
    ),
    device: Annotated[str | None, typer.Option(help="As yolo spells it: 0, cpu, mps. [a GPU if there is one]")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Open weights that can run code.")] = False,
) -> None:
    """Read pictures that come over HTTP: POST /v1/read, a page at /, its description at /docs, metrics, health."""
    require("detector serve", "fastapi", "uvicorn", "python_multipart", "prometheus_client")
    from detector.reading.reader import Reader
    from detector.serving.app import create_app
    from detector.serving.keys import read_keys
    from detector.serving.logs import log_as_json
    from detector.serving.server import serve

    log_as_json(logging.WARNING if is_quiet() else logging.INFO)
    readers = {
        name: Reader(
            path, device=device, pattern=pattern, min_confidence=min_confidence, alternatives=alternatives,
            two_pass=two_pass, trust=trust,
        )
        for name, path in _named(weights).items()
    }  # fmt: skip
    app = create_app(
        readers, keys=read_keys(keys, KEYS_VARIABLE), max_pictures=max_pictures, max_bytes=max_bytes,
        max_pixels=max_pixels, max_queue=max_queue, max_held_bytes=max_held_bytes, body_seconds=body_seconds,
        read_seconds=read_seconds, drain_seconds=drain_seconds,
    )  # fmt: skip
    serve(app, host, port)


def _named(weights: list[str]) -> dict[str, str]:
    """Weights by name: NAME=WEIGHTS, or that of the file.

    Raises:
        ArgumentError: if two have one name.
    """
    named: dict[str, str] = {}
    for text in weights:
        name, equals, path = text.partition("=")
        if not equals or "/" in name or "\\" in name:
            name, path = Path(text).stem, text
        if name in named:
            raise ArgumentError(
                f"{named[name]} and {path} are both called {name!r}: give them names, say other={path}."
            )
        named[name] = path
    return named
