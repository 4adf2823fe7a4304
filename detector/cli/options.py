"""Options that several commands have: how labels are read, how pictures become a set, and what opens weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from detector.conversion.settings import ConversionOptions
    from detector.data.labels.sources import LabelOptions

Length = Annotated[int, typer.Option(help="Symbols that a text may have, spaces included.")]
Symbols = Annotated[
    str | None, typer.Option(help="Symbols or ranges in class-id order; 'auto' takes those of the labels. [0-9A-Z]")
]
Space = Annotated[str | None, typer.Option(help="What stands for a space in the labels, say _.")]
Labels = Annotated[
    str, typer.Option(help="auto, a label file, or a format: names, csv, json, paddleocr, gt-txt, coco, … [auto]")
]
Upper = Annotated[bool, typer.Option("--upper", help="Upper-case the labels.")]
Ignore = Annotated[str, typer.Option(help="Signs that are taken out of the labels first, say '-.'.")]
Pattern = Annotated[
    str | None, typer.Option(help="What texts look like: AAA9A99|AA 999, or regex:…; others are refused.")
]
TextColumn = Annotated[str | None, typer.Option(help="Column of the texts.")]
ImageColumn = Annotated[str | None, typer.Option(help="Column of the pictures.")]
VisualOrder = Annotated[
    bool, typer.Option("--visual-order", help="Right-to-left labels are as typed: put them in the picture's order.")
]
Val = Annotated[float, typer.Option(help="Share of the texts for validation.")]
Test = Annotated[float, typer.Option(help="Share of the texts that is held out.")]
KeepSuspects = Annotated[bool, typer.Option("--keep-suspects", help="Train on suspects, too.")]
AllowRefused = Annotated[
    bool, typer.Option("--allow-refused", help="Convert the others also where most inputs are refused.")
]
Review = Annotated[
    Path | None, typer.Option(help="A review.csv with decisions, beside that of the OUT that is replaced.")
]
Lines = Annotated[int | None, typer.Option(help="Text lines of each picture, 1 or 2. [found out]")]
TrainScale = Annotated[float, typer.Option(help="Multiplies the steps of self-training.")]
Seed = Annotated[int, typer.Option(help="Of the splits and of training.")]
Device = Annotated[str | None, typer.Option(help="As yolo spells it: 0, cpu, mps. [a GPU if there is one]")]
Trust = Annotated[bool, typer.Option("--trust", help="Open weights that can run code.")]
Ray = Annotated[
    str | None,
    typer.Option(metavar="[ADDRESS]", help="Work on a Ray cluster; without an address on all cores here."),
]


# What a command only hands on is taken from its context: the signature alone lists it.


def of_labels(context: typer.Context) -> LabelOptions:
    """The options of the command that say how labels are read, by the names that functions have for them."""
    from detector.data.labels.sources import LabelOptions

    return cast(LabelOptions, _named(context, LabelOptions.__optional_keys__))


def of_conversion(context: typer.Context) -> ConversionOptions:
    """The options of the command that :func:`detector.convert` has, too."""
    from detector.conversion.settings import ConversionOptions

    return cast(ConversionOptions, _named(context, ConversionOptions.__optional_keys__))


def _named(context: typer.Context, names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in context.params.items() if name in names}
