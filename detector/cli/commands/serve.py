"""``detector serve``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from detector.cli import options
from detector.cli.terminal import PrintableFormatter, is_quiet
from detector.errors import ArgumentError, counted, require
from detector.serving.limits import Limits
from detector.serving.logs import FIELDS, log_as_json

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
    device: options.Device = None,
    trust: options.Trust = False,
) -> None:
    """Read pictures that come over HTTP: POST /v1/read, a page at /, its description at /docs, metrics, health."""
    require("detector serve", "fastapi", "uvicorn", "python_multipart", "prometheus_client")
    from detector.reading.reader import Reader
    from detector.serving.app import create_app
    from detector.serving.keys import read_keys
    from detector.serving.server import serve

    _log(logging.WARNING if is_quiet() else logging.INFO, has_terminal=sys.stderr.isatty())
    readers = {
        name: Reader(
            path, device=device, pattern=pattern, min_confidence=min_confidence, alternatives=alternatives,
            two_pass=two_pass, trust=trust,
        )
        for name, path in _weights_by_name(weights).items()
    }  # fmt: skip
    app = create_app(
        readers, keys=read_keys(keys, KEYS_VARIABLE), max_pictures=max_pictures, max_bytes=max_bytes,
        max_pixels=max_pixels, max_queue=max_queue, max_held_bytes=max_held_bytes, body_seconds=body_seconds,
        read_seconds=read_seconds, drain_seconds=drain_seconds,
    )  # fmt: skip
    serve(app, host, port)


class RequestFormatter(PrintableFormatter):
    """Of the service's log in a terminal: of a request what was asked for and what was answered."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format the message, or the request."""
        request = getattr(record, FIELDS, {})
        if "method" not in request:
            return super().formatMessage(record)
        pictures = f", {counted(request['pictures'], 'picture')}" if "pictures" in request else ""
        path = request["path"].replace("\n", "\\n")  # else a client could write lines of its own
        return f"{request['method']} {path}: {request['status']}{pictures}, {request['ms']:.0f} ms"


def is_for_a_person(record: logging.LogRecord) -> bool:
    """Test whether a terminal shows a record: no good answers but readings, and of uvicorn what went wrong."""
    request = getattr(record, FIELDS, {})
    is_page = "method" in request and "pictures" not in request and request["status"] < 400
    return not is_page and (record.levelno > logging.INFO or not record.name.startswith("uvicorn"))


def _log(level: int, has_terminal: bool) -> None:
    """Lines for a person in a terminal, JSON lines elsewhere."""
    if not has_terminal:
        log_as_json(level)
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RequestFormatter("%(message)s"))
    handler.addFilter(is_for_a_person)
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _weights_by_name(weights: list[str]) -> dict[str, str]:
    """Return weights by name: NAME=WEIGHTS, or that of the file.

    Raises:
        ArgumentError: if two have one name.
    """
    weights_by_name: dict[str, str] = {}
    for text in weights:
        name, equals, path = text.partition("=")
        if not equals or "/" in name or "\\" in name:
            name, path = Path(text).stem, text
        if name in weights_by_name:
            raise ArgumentError(
                f"{weights_by_name[name]} and {path} are both called {name!r}: give them names, say other={path}."
            )
        weights_by_name[name] = path
    return weights_by_name
