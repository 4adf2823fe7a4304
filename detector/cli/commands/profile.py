"""``detector profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from detector.cli import options
from detector.cli.progress import progress_bar
from detector.cli.terminal import console, json_text, put, say

if TYPE_CHECKING:
    from detector.training.profiling.measure import Profile


def command(
    data: Annotated[Path, typer.Argument(help="data.yaml of a converted set, or its folder.")],
    pictures: Annotated[int | None, typer.Option(min=1, help="At most so many pictures. [all]")] = None,
    imgsz: Annotated[int | None, typer.Option(help="As for train. [the set's]")] = None,
    model: Annotated[str | None, typer.Option(help="As for train. [the shipped detector]")] = None,
    batch: Annotated[int, typer.Option(min=2, help="Pictures of a step.")] = 32,
    loader: Annotated[str, typer.Option(help="What the step loads with: packed, files or naive.")] = "packed",
    augment: Annotated[str | None, typer.Option(help="device, picture or off. [as train does it]")] = None,
    device: options.Device = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="Spent on each measurement, at least.")] = 3.0,
    plot: Annotated[Path | None, typer.Option(help="Draw the result into this PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON on stdout.")] = False,
    trust: options.Trust = False,
) -> None:
    """Say where a training step's time goes, how fast each way to load is, and what to change."""
    from detector.training.profiling.chart import draw
    from detector.training.profiling.measure import profile

    with progress_bar() as progress:
        result = profile(
            data, pictures=pictures, imgsz=imgsz, model=model, batch=batch, loader=loader, augment=augment,
            device=device, seconds=seconds, trust=trust, progress=progress,
        )  # fmt: skip
    if plot is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
        draw(result, plot)
        say(f"drawn: {plot}")
    if as_json:
        put(json_text(result.to_dict(), indent=2))
        return
    console.print(_table(result))
    say(f"bottleneck: {result.bottleneck}; {result.advice}")
    put(
        f"step: {result.step_ms:.1f} ms for {result.batch} pictures, {result.images_per_s:.0f} pictures/s, "
        f"of which the input {result.input_share:.1%}"
    )


def _table(result: Profile) -> Table:
    height, width = result.shape_hw
    table = Table(title=f"{result.pictures} pictures, {width}x{height}, {result.model}, {result.device}")
    for column, side in (("what", "left"), ("ms a picture", "right"), ("pictures/s", "right")):
        table.add_column(column, justify=side)  # type: ignore[arg-type]
    for name, milliseconds in result.stages.items():
        table.add_row(name, f"{milliseconds:.3f}", f"{1e3 / milliseconds:.0f}")
    table.add_section()
    for name, rate in result.loaders.items():
        table.add_row(f"loader {name}", f"{1e3 / rate:.3f}", f"{rate:.0f}")
    table.add_section()
    for name, step in (
        (f"step, {result.loader}, augment {result.augment}", result.step_ms),
        ("limit", result.limit_ms),
    ):
        table.add_row(name, f"{step / result.batch:.3f}", f"{1e3 * result.batch / step:.0f}")
    return table
