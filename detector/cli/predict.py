"""``detector predict``."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from detector.cli.terminal import say
from detector.errors import SOME_REFUSED


class Format(StrEnum):
    """What a line of output is."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def command(
    weights: Annotated[str, typer.Argument(help="Weights; 'shipped' takes those of the package.")],
    source: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders, patterns, .txt lists, videos, a camera's index, addresses of streams."),
    ],
    output: Annotated[Format, typer.Option("--format", "-f", help="text: NAME<tab>STRING; json: a line a picture.")] = (
        Format.TEXT
    ),
    device: Annotated[str | None, typer.Option(help="As yolo spells it: 0, cpu, mps. [a GPU if there is one]")] = None,
) -> None:
    """Read pictures; a line each on stdout, in order. Pictures that cannot be decoded are named on stderr."""
    from detector.predict import Failure, Reader

    reader = Reader(None if weights == "shipped" else weights, device=device)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if output is Format.CSV:
        writer.writerow(("image", "text", "confidence"))
    failed = 0
    for one in source:
        for name, reading in reader.stream(one):
            if isinstance(reading, Failure):
                failed += 1
                say(f"{name}: {reading.reason}")
                if output is Format.JSON:
                    typer.echo(json.dumps({"image": name, "error": reading.reason}, ensure_ascii=False))
            elif output is Format.JSON:
                typer.echo(json.dumps({"image": name, **reading.to_dict()}, ensure_ascii=False))
            elif output is Format.CSV:
                writer.writerow((name, reading.text, f"{reading.confidence:.4f}"))
            else:
                typer.echo(f"{name}\t{reading.text}")
    if failed:
        say(f"{failed} pictures could not be read")
        raise typer.Exit(SOME_REFUSED)
