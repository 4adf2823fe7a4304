"""``detector pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detector.cli import options
from detector.cli.progress import progress_bar
from detector.cli.summary import say_refused
from detector.cli.terminal import put, say, stoppable
from detector.errors import SOME_REFUSED, counted


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="Pictures as for convert; tar files (WebDataset); a data set of HuggingFace; shards. "
            "With --labels none, pictures as for predict."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write; it appears when all shards are there.")],
    labels: Annotated[str, typer.Option(help="As for convert; none: pack pictures without texts.")] = "auto",
    space: options.Space = None,
    ignore: Annotated[str, typer.Option(help="Signs that belong to labels where they are names of files.")] = "",
    text_column: options.TextColumn = None,
    image_column: options.ImageColumn = None,
    rows: Annotated[int, typer.Option(help="Pictures in a shard, at most.")] = 10_000,
) -> None:
    """Pictures and their labels -> Parquet shards, which predict, evaluate and convert take as their folder."""
    from detector.workflow.pack import pack

    with stoppable("the same command goes on where this one was."), progress_bar() as progress:
        report = pack(
            source, out, labels=labels, space=space, ignore=ignore, text_column=text_column,
            image_column=image_column, rows=rows, progress=progress,
        )  # fmt: skip
    shards, without = counted(report.shards, "shard"), report.pictures - report.labelled
    say(f"{counted(report.pictures, 'picture')} in {shards}, {without} without a text; {report.refused} refused")
    say_refused(report, report.rejects)
    put(report.out)
    if report.refused:
        raise typer.Exit(SOME_REFUSED)
