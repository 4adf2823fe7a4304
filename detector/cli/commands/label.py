"""``detector label``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from detector.cli import options
from detector.cli.progress import progress_bar
from detector.cli.repeated import command_line
from detector.cli.summary import say_format_read
from detector.cli.terminal import put, say
from detector.errors import SOME_REFUSED, ArgumentError, counted

if TYPE_CHECKING:
    from detector.data.labels.sources import SpellingOptions


@options.taking(options.of_spelling)
def command(
    weights: Annotated[str, typer.Argument(help="Weights; 'shipped' takes those of the package.")],
    source: Annotated[Path, typer.Argument(help="Folder of the pictures.")],
    out: Annotated[Path, typer.Argument(help="Table to write, for convert and fit; a person's rows in it stay.")],
    *,
    labels: Annotated[
        str | None,
        typer.Option(help="A person's labels: a file, a format, or another labelled folder. [label files in SOURCE]"),
    ] = None,
    max_wrong: Annotated[float, typer.Option(help="Share of the sure ones that may be expected wrong.")] = 0.02,
    string_format: Annotated[
        bool,
        typer.Option(
            "--format-of-folder/--no-format", help="Learn what strings look like, and read all as that has it."
        ),
    ] = True,
    device: options.Device = None,
    trust: options.Trust = False,
    **spelling: Unpack[SpellingOptions],
) -> None:
    """Pre-labels for pictures that have no label: sure ones to learn from, doubtful ones for a person to decide on."""
    from detector.data.labels import prelabels
    from detector.data.labels.sources import check_source

    check_source(source)  # before a network is loaded: a slip is told at once
    if not 0 <= max_wrong < 1:
        raise ArgumentError(f"--max-wrong is a share, 0 or more and less than 1, got {max_wrong:g}.")
    from detector.workflow.fit_folder import fit_command, takes
    from detector.workflow.label import label

    with progress_bar() as progress:
        report = label(
            weights, source, out, labels=labels, max_wrong=max_wrong, string_format=string_format, device=device,
            trust=trust, progress=progress, **spelling,
        )  # fmt: skip
    say_format_read(report.string_model)
    counts = {status: report.counts[status] for status in prelabels.STATUSES if report.counts[status]}
    say(f"{counted(sum(counts.values()), 'picture')}: {', '.join(f'{status} {n}' for status, n in counts.items())}")
    if sure_count := report.counts[prelabels.SURE]:
        share = report.expected_wrong / sure_count
        say(
            f"sure from a confidence of {report.threshold:.4f} on: about {report.expected_wrong:.1f} of {sure_count} "
            f"are expected wrong, {share:.1%}"
        )
    elif report.counts[prelabels.DOUBTFUL]:
        say(f"none is sure: even of the surest ones more than {100 * max_wrong:g}% are expected wrong")
    for failure in report.failures:
        say(f"{failure.name}: {failure.reason}", always=True)
    statuses = (prelabels.PERSON, prelabels.SURE, prelabels.DOUBTFUL)  # of what a fit may learn
    pictures = [out.parent / row.image for row in prelabels.read_prelabels(out) if row.status in statuses]
    root = Path(weights).parent
    step = fit_command(root if takes(root, pictures) else None, out, spelling.get("space"))
    if report.counts[prelabels.DOUBTFUL]:
        step = f"{command_line('detector', 'review', out)}, as far as you like, then {step}"
    say(f"next: {step}")
    put(report.path)
    if report.failures:
        raise typer.Exit(SOME_REFUSED)
