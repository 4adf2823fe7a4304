"""``detector demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detector.cli.progress import progress_bar
from detector.cli.terminal import put, say


def command(
    out: Annotated[Path, typer.Argument(help="Folder to work in; replaced if it is an earlier demo's.")] = Path("demo"),
    pictures: Annotated[int, typer.Option(help="Labelled pictures to make.")] = 1500,
    epochs: Annotated[int, typer.Option(help="Epochs to train.")] = 3,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 0,
) -> None:
    """The whole path in minutes: make labelled pictures, convert, train, read new ones, draw what was read."""
    from detector.workflow.demo import demo

    with progress_bar() as progress:
        result = demo(out, pictures=pictures, epochs=epochs, seed=seed, say=say, progress=progress)
    say(f"open {result.annotated} to see them")
    put(f"exact match: {result.evaluation.exact_match:.3f} (n={result.evaluation.count})")
