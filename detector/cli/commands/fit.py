"""``detector fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from detector.cli import options
from detector.cli.commands.train import parse_arguments
from detector.cli.progress import progress_bar
from detector.cli.repeated import command_line, given, repeated
from detector.cli.summary import check_learnt, say_prelabels, say_refused
from detector.cli.terminal import put, say, stoppable
from detector.errors import SOME_REFUSED, counted, relative_path

if TYPE_CHECKING:
    from detector.conversion.settings import ConversionOptions
    from detector.workflow.fit import FitResult
    from detector.workflow.limits import Limit


@options.taking(options.of_labels, options.of_spelling, options.of_conversion)
def command(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="Folder of pictures, or a label file.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Of training, as `yolo train` takes them: epochs=50.", metavar="[NAME=VALUE]…"),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the reader. [readers/NAME, by the source's folder]")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Other labelled pictures to evaluate on, in place of a share of the texts.")
    ] = None,
    **conversion: Unpack[ConversionOptions],
) -> None:
    """Labelled pictures -> a reader: convert, train, and evaluate on texts that training never saw.

    The same command goes on where it was stopped, and takes up what has changed since: labels, decisions, arguments.
    """
    from detector.data.labels.sources import check_source

    check_source(source)  # before torch is loaded: a slip is told at once
    training = parse_arguments(arguments or [])
    from detector.workflow.fit import fit

    test_from = context.get_parameter_source("test")
    if test_from is None or test_from.name == "DEFAULT":
        del conversion["test"]  # none is held out beside other pictures
    with stoppable(f"this goes on where it was: {repeated(context)}"), progress_bar() as progress:
        result = fit(source, out, held_out=held_out, training=training, progress=progress, **conversion)
    _say_summary(result, context)
    put(f"exact match: {result.evaluation.exact_match:.3f} (n={result.evaluation.count})")
    put(relative_path(result.path))
    check_learnt(result.training)
    if result.conversion.refused:
        raise typer.Exit(SOME_REFUSED)


def _say_summary(result: FitResult, context: typer.Context) -> None:
    """Print the summary: what was learnt, how right it is, what limits it, what to do next."""
    from detector.data.sets.yolo_dataset import REJECTS

    report, evaluation = result.conversion, result.evaluation
    splits = ", ".join(f"{split} {count}" for split, count in report.splits.items() if count)
    suspects = counted(report.suspects, "suspect")
    if label_errors := max(0, report.to_review - report.suspects):  # they stay: what is held out must not be chosen
        suspects += f", and {counted(label_errors, 'likely label error')} of val and test"
    say(f"{counted(report.inputs, 'input')}: {splits}; {suspects}; {report.refused} refused")
    say_prelabels(report)
    say_refused(report, relative_path(report.data_yaml.parent) / REJECTS)
    low, high = evaluation.interval
    of = {"test": "held-out pictures", "val": "validation pictures, as too few texts are there to hold any out"}
    say(
        f"{evaluation.score.right} of {evaluation.count} {of.get(result.split, 'other pictures')} are read right, "
        f"{evaluation.exact_match:.1%} (95 %: {low:.1%} to {high:.1%}); CER {evaluation.score.cer:.2%}"
    )
    for limit in result.limits:
        say(f"  {limit.kind}: {limit.message}")
    step = _next(result, context)
    say(f"look at {relative_path(result.page)} and {relative_path(report.data_yaml.parent) / 'report.html'}")
    if step != _predict(result):
        say(f"read pictures with it: {_predict(result)}")
    say(f"next: {step}")


def _next(result: FitResult, context: typer.Context) -> str:
    """Return the most useful next step, as a command."""
    steps = [step for limit in result.limits if (step := _step(limit, result, context))]
    return steps[0] if steps else _predict(result)


def _predict(result: FitResult) -> str:
    return command_line("detector", "predict", relative_path(result.path), "PICTURES")


def _step(limit: Limit, result: FitResult, context: typer.Context) -> str:
    from detector.workflow import limits

    if limit.kind == limits.LABELS and result.conversion.to_review:
        set_folder = relative_path(result.conversion.data_yaml.parent)
        return f"{command_line('detector', 'review', set_folder)}, then {repeated(context)}"
    if limit.kind in (limits.PICTURES, limits.RARE):
        return _label(context, result)
    if "pattern" in limit.settings:
        return repeated(context, pattern=limit.settings["pattern"])
    if "imgsz" in limit.settings:
        return repeated(context, f"imgsz={limit.settings['imgsz']}")
    if limit.kind == limits.UNLEARNT:
        arguments = [
            argument
            for argument in context.params["arguments"] or []
            if argument.partition("=")[0] not in ("epochs", "time")
        ]
        return repeated(context, f"epochs={2 * max(1, result.training.epochs)}", arguments=arguments)
    return ""


def _label(context: typer.Context, result: FitResult) -> str:
    """Return the command that has more pictures labelled: those that wait, those without a label, or else others."""
    from detector.data.labels.sources import SPELLING

    source = Path(context.params["source"])
    label = ("detector", "label", relative_path(result.path))
    spelling = given(context, SPELLING)
    if source.is_file() and result.conversion.waiting:
        return f"{command_line('detector', 'review', source)}, then {repeated(context)}"
    if source.is_file() and result.conversion.prelabels:  # it has a person's labels, too, and takes further pictures
        return command_line(*label, "PICTURES", source)
    if result.unlisted:
        folder = source if source.is_dir() else source.parent
        labels = () if source.is_dir() else ("--labels", source)
        return command_line(*label, folder, folder / "prelabels.csv", *labels, *spelling)
    return command_line(*label, "PICTURES", "prelabels.csv", "--labels", source, *spelling)
