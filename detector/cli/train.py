"""``detector train``."""

from __future__ import annotations

import ast
from typing import Annotated, Any

import typer

from detector.cli.terminal import say
from detector.errors import STOPPED, ArgumentError


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="NAME=VALUE, as `yolo train` takes them.", metavar="data=DATA [NAME=VALUE]…"),
    ] = None,
) -> None:
    """`yolo train` on a converted set: every argument of it is taken, strings are compared each epoch.

    Starts from the shipped detector unless model= says otherwise; the weights to read with land in weights/NAME.pt.
    """
    parsed = parse_arguments(arguments or [])
    data = parsed.pop("data", None)
    from detector.device import first_process
    from detector.training import train

    try:
        weights = train(data, **parsed)
    except KeyboardInterrupt:
        say(
            "detector: stopped by Ctrl-C; after its first epoch `detector train resume` goes on with this run.",
            always=True,
        )
        raise typer.Exit(STOPPED) from None
    if first_process():
        say(f"weights: {weights}")
        typer.echo(weights)


_TEXTS = ("augment", "data", "model", "name", "project")
"""Arguments that are text whatever they look like: a date, a number."""

_WORDS = {"none": None, "true": True, "false": False}


def parse_arguments(arguments: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs, values as ``yolo`` reads them but for :data:`_TEXTS`; a NAME alone is true.

    Raises:
        ArgumentError: naming what is no pair.
    """
    parsed: dict[str, Any] = {}
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, equals, value = argument.lstrip("-").partition("=")
        if not name.isidentifier():
            if before.startswith("--"):
                raise ArgumentError(f"{before} {argument}: write {before.lstrip('-')}={argument}.")
            raise ArgumentError(f"{argument!r} is not NAME=VALUE: write for example data=datasets/plates/data.yaml.")
        if not equals and name in ("data", "model", "name", "project"):
            raise ArgumentError(
                f"{argument} needs a value: write {name}=…, for example data=datasets/plates/data.yaml."
            )
        parsed[name] = (value if name in _TEXTS else _value(value)) if equals else True
    return parsed


def _value(text: str) -> Any:
    """True, False or None in any capitals, or a Python literal; what is none of these is text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return text if isinstance(value, tuple) else value  # device=0,1
