"""``detector convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from detector.cli import options
from detector.cli.progress import progress_bar
from detector.cli.repeated import command_line
from detector.cli.summary import say_prelabels, say_refused
from detector.cli.terminal import put, say, stoppable
from detector.errors import SOME_REFUSED, counted

if TYPE_CHECKING:
    from detector.conversion.settings import ConversionOptions


@options.taking(options.of_labels, options.of_spelling, options.of_conversion)
def command(
    source: Annotated[Path, typer.Argument(help="Folder of pictures, or a label file.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; appears whole or not at all.")],
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is an earlier conversion.")] = False,
    ray: options.Ray = None,
    shards: Annotated[
        bool | None,
        typer.Option("--shards/--files", help="Write Parquet shards, or a file a picture. [files, with --ray shards]"),
    ] = None,
    **conversion: Unpack[ConversionOptions],
) -> None:
    """Pictures + strings -> a YOLO dataset: every box is inferred, doubts and refusals are written down."""
    from detector.data.labels.sources import check_source

    check_source(source)  # before torch is loaded: a slip is told at once
    from detector.conversion.convert import convert
    from detector.data.sets.yolo_dataset import REJECTS
    from detector.reading.pages.report import REPORT
    from detector.workflow.cluster.converting import converting_on

    state = f"{out} is as it was, and the same command goes on where this one was."
    with stoppable(state), converting_on(ray, conversion["device"]), progress_bar() as progress:
        report = convert(
            source, out, overwrite=overwrite, shards=ray is not None if shards is None else shards, progress=progress,
            **conversion,
        )  # fmt: skip
    splits = ", ".join(f"{split} {count}" for split, count in report.splits.items())
    say(f"{counted(report.inputs, 'input')}: {splits}; {counted(report.suspects, 'suspect')}; {report.refused} refused")
    say_prelabels(report)
    say_refused(report, out / REJECTS)
    shipped_share, *round_shares = report.explained
    by_training = f", and {round_shares[-1]:.1%} after it was trained on those" if round_shares else ""
    weights = report.reader if round_shares else "shipped"
    to_read = f"; where that is enough: {command_line('detector', 'predict', weights, 'PICTURES')}" if weights else ""
    say(f"the shipped detector reads {shipped_share:.1%} of the labels as they are{by_training}{to_read}")
    height, width = report.config.shape_hw or (0, 0)
    layout = report.config.layout
    line_count = f" in {layout.lines} lines" if layout.lines > 1 else ""
    say(f"network input {height}x{width}, layout {layout.kind}{line_count}, {report.seconds:.0f} s")
    if report.layout_share < 0.98:
        say(f"spaces: the best rule explains {report.layout_share:.1%} of the texts; others will be read wrongly")
    say(f"boxes, suspects and refusals to look at: {out / REPORT}")
    if report.to_review:
        undecided = counted(report.to_review, "picture")
        say(f"{undecided} to decide on: {command_line('detector', 'review', out)}")
    say(f"next: {command_line('detector', 'train', f'data={report.data_yaml}')}")
    put(report.data_yaml)
    if report.refused:
        raise typer.Exit(SOME_REFUSED)
