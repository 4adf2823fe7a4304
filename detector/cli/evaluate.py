"""``detector evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.terminal import progress_bar, say
from detector.errors import SOME_REFUSED


def command(
    weights: Annotated[str, typer.Argument(help="Weights; 'shipped' takes those of the package.")],
    source: Annotated[Path, typer.Argument(help="Labelled pictures, as for convert; or a converted set's data.yaml.")],
    split: Annotated[str, typer.Option(help="Of a converted set: train, val, test or suspects.")] = "test",
    labels: Annotated[str, typer.Option(help="As for convert.")] = "auto",
    blank: Annotated[str | None, typer.Option(help="What stands for a blank in the labels, if not a space.")] = None,
    upper: Annotated[bool, typer.Option("--upper", help="Upper-case the labels.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON on stdout.")] = False,
    device: Annotated[str | None, typer.Option(help="As yolo spells it: 0, cpu, mps. [a GPU if there is one]")] = None,
) -> None:
    """Read labelled pictures and compare: exact match with its 95 % interval, CER, what was read wrongly."""
    from detector.evaluation import evaluate
    from detector.predict import Reader

    reader = Reader(None if weights == "shipped" else weights, device=device)
    with progress_bar() as tell:
        result = evaluate(
            reader, source, split=split, labels=labels, blank=blank, upper=upper,
            progress=lambda done, total: tell("read", done, total),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False, indent=2))
    else:
        for name, label, reading, confidence in result.wrong[:20]:
            say(f"{name}: {label!r} read as {reading!r} ({confidence:.2f})")
        if len(result.wrong) > 20:
            say(f"and {len(result.wrong) - 20} more; --json lists all")
        low, high = result.score.interval
        rate = result.count / max(result.seconds, 1e-9)
        say(f"95 % interval {low:.3f} to {high:.3f}; CER {result.score.cer:.4f}; {rate:.0f} pictures/s")
        typer.echo(f"exact match: {result.exact_match:.3f} (n={result.count})")
    if result.failures:
        for failure in result.failures[:20]:
            say(f"{failure.name}: {failure.reason}")
        raise typer.Exit(SOME_REFUSED)
