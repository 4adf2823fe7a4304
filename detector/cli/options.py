"""Options that several commands have: how labels are read, how pictures become a set, and what opens weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

_Command = TypeVar("_Command", bound=Callable[..., None])

Space = Annotated[str | None, typer.Option(help="What stands for a space in the labels, say _.")]
TextColumn = Annotated[str | None, typer.Option(help="Column of the texts.")]
ImageColumn = Annotated[str | None, typer.Option(help="Column of the pictures.")]
Device = Annotated[str | None, typer.Option(help="As yolo spells it: 0, cpu, mps. [a GPU if there is one]")]
Trust = Annotated[bool, typer.Option("--trust", help="Open weights that can run code.")]
Ray = Annotated[
    str | None,
    typer.Option(metavar="[ADDRESS]", help="Work on a Ray cluster; without an address on all cores here."),
]


def of_spelling(
    *,
    space: Space = None,
    upper: Annotated[bool, typer.Option("--upper", help="Upper-case the labels.")] = False,
    ignore: Annotated[str, typer.Option(help="Signs that are taken out of the labels first, say '-.'.")] = "",
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
) -> None:
    """List the options that say how labels are spelt, for :func:`taking`."""


def of_labels(
    *,
    labels: Annotated[
        str, typer.Option(help="auto, a label file, or a format: names, csv, json, paddleocr, gt-txt, coco, … [auto]")
    ] = "auto",
    visual_order: Annotated[
        bool, typer.Option("--visual-order", help="Right-to-left labels are as typed: put them in the picture's order.")
    ] = False,
) -> None:
    """List the options that say where labels are and in which order their signs stand, for :func:`taking`."""


def of_conversion(
    *,
    length: Annotated[int, typer.Option(help="Symbols that a text may have, spaces included.")] = 8,
    alphabet: Annotated[
        str | None,
        typer.Option(help="Symbols or ranges in class-id order; 'auto' takes those of the labels. [0-9A-Z]"),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="What texts look like: AAA9A99|AA 999, or regex:…; others are refused.")
    ] = None,
    val: Annotated[float, typer.Option(help="Share of the texts for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the texts that is held out.")] = 0.2,
    keep_suspects: Annotated[bool, typer.Option("--keep-suspects", help="Train on suspects, too.")] = False,
    allow_refused: Annotated[
        bool, typer.Option("--allow-refused", help="Convert the others also where most inputs are refused.")
    ] = False,
    review: Annotated[
        Path | None, typer.Option(help="A review.csv with decisions, beside that of the OUT that is replaced.")
    ] = None,
    lines: Annotated[int | None, typer.Option(help="Text lines of each picture, 1 or 2. [found out]")] = None,
    train_scale: Annotated[float, typer.Option(help="Multiplies the steps of self-training.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the splits and of training.")] = 0,
    device: Device = None,
) -> None:
    """List the options that say how labelled pictures become a set, for :func:`taking`."""


def taking(*groups: Callable[..., None]) -> Callable[[_Command], _Command]:
    """Let a command take the options of ``groups``, too, as its further keywords (``**``), after those of its own."""

    def with_groups(command: _Command) -> _Command:
        further = list(inspect.signature(command).parameters)[-1]
        del command.__annotations__[further]  # a name for type checkers alone
        own_parameters = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]
        parameters = [p for group in groups for p in inspect.signature(group, eval_str=True).parameters.values()]
        signature = inspect.Signature([*own_parameters, *parameters])
        command.__signature__ = signature  # type: ignore[attr-defined]
        command.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        return command

    return with_groups
