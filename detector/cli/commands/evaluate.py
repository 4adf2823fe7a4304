"""``detector evaluate``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from detector.cli import options
from detector.cli.progress import progress_bar
from detector.cli.repeated import command_line, given, repeated
from detector.cli.summary import say_format
from detector.cli.terminal import json_text, put, say
from detector.errors import SOME_REFUSED, ArgumentError, DetectorError, counted

if TYPE_CHECKING:
    from detector.data.labels.sources import LabelOptions
    from detector.reading.evaluation import Evaluation
    from detector.reading.reader import Reader

_LISTED = 20


@options.taking(options.of_labels, options.of_spelling)
def command(
    context: typer.Context,
    weights: Annotated[str, typer.Argument(help="Weights; 'shipped' takes those of the package.")],
    source: Annotated[Path, typer.Argument(help="Labelled pictures, as for convert; or a converted set's data.yaml.")],
    *,
    split: Annotated[str | None, typer.Option(help="Of a converted set: train, val, test or suspects. [test]")] = None,
    precision: Annotated[float, typer.Option(help="Share of readings taken as they are that must be right.")] = 0.995,
    against: Annotated[str | None, typer.Option(help="Other weights: is the difference real?")] = None,
    pattern: Annotated[str | None, typer.Option(help="As for predict.")] = None,
    min_confidence: Annotated[float, typer.Option(help="As for predict; what is rejected is counted apart.")] = 0.0,
    two_pass: Annotated[bool | None, typer.Option(help="As for predict. [as the weights say]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write figures, curves and the worst pictures as one page.")] = None,
    device: options.Device = None,
    trust: options.Trust = False,
    **label_options: Unpack[LabelOptions],
) -> None:  # fmt: skip
    """Read labelled pictures and compare: exact match with its 95 % interval, CER, calibration, what went wrong."""
    from detector.reading.evaluation import evaluate
    from detector.reading.reader import Reader

    if not 0 < precision <= 1:
        raise ArgumentError(f"--precision is above 0 and at most 1, got {precision:g}: 0.995 is five errors in 1,000.")
    if html is not None and not html.absolute().parent.is_dir():
        raise DetectorError(f"--html {html}: there is no folder {html.parent}; make it first.")
    if html is not None and html.is_dir():
        raise DetectorError(f"--html {html} is a folder: name a file.")
    if html is not None and not os.access(html.absolute().parent, os.W_OK):
        raise DetectorError(f"--html {html}: {html.absolute().parent} cannot be written to; name another folder.")

    def opened(name: str) -> Reader:
        return Reader(
            name, device=device, pattern=pattern, min_confidence=min_confidence, two_pass=two_pass, trust=trust
        )

    def score(reader: Reader, stage: str) -> Evaluation:
        with progress_bar() as progress:
            return evaluate(reader, source, split=split, progress=partial(progress, stage), **label_options)

    # Both are opened before an hour of reading.
    reader, other_reader = opened(weights), None if against is None else opened(against)
    result = score(reader, "read")
    other_result = None if other_reader is None else score(other_reader, "read by the others")
    if as_json:
        put(json_text(result.to_dict(precision, other_result), indent=2))
    else:
        respelt = _respelt(result, reader, context)
        if not respelt:
            _say_scores(result, precision)
        if other_result is not None and against is not None:
            _say_comparison(result, against, other_result)
        _say_next(result, respelt, context)
        put(f"exact match: {result.exact_match:.3f} (n={result.count})")
    if html is not None:
        from detector.reading.pages.evaluation_page import write_evaluation

        write_evaluation(result, html, title=f"{weights} on {source}", precision=precision, against=other_result)
        say(f"page: {html}")
    for failure in (*result.failures[:_LISTED], *result.unusable[:_LISTED]):
        say(f"{failure.name}: {failure.reason}", always=True)
    if result.unusable:
        labels_of = counted(len(result.unusable), "label")
        say(f"{labels_of} not usable, and in no count, for example: {result.unusable[0].reason}")
    if result.failures or result.unusable:
        raise typer.Exit(SOME_REFUSED)


def _say_scores(result: Evaluation, precision: float) -> None:
    from detector.text.metrics import lacks_leading_zeros

    for name, label, reading, confidence in result.wrong[:_LISTED]:
        say(f"{name}: {label!r} read as {reading!r} ({confidence:.2f})")
    if len(result.wrong) > _LISTED:
        say(f"and {len(result.wrong) - _LISTED} more; --json lists all")
    low, high = result.interval
    rate = result.count / max(result.seconds, 1e-9)
    say(
        f"{result.score.right} right, {len(result.wrong)} wrong, {len(result.rejected)} rejected, "
        f"{len(result.failures)} not decoded: {result.exact_match:.1%} right (95 %: {low:.1%} to {high:.1%}); "
        f"CER {result.score.cer:.2%}; {rate:.0f} pictures/s"
    )
    say(
        f"confidences are off by {result.calibration.ece:.3f} on average (ECE); chance alone makes it "
        f"{result.calibration.by_chance:.3f}"
    )
    if result.look_alikes:
        say(f"{result.look_alikes} of the wrong ones only take symbols for others that look like them, such as O for 0")
    if zeros := sum(lacks_leading_zeros(label, reading) for _, label, reading, _ in result.wrong):
        say(f"{zeros} of the wrong ones are the label with zeros before it: did a spreadsheet take them?")
    say_format("labels", result.string_model)
    coverage = result.coverage(precision)
    if coverage.taken:
        bound = f", with --min-confidence {coverage.threshold}" if coverage.threshold else ""
        say(
            f"{counted(coverage.taken, 'reading')} ({coverage.coverage:.1%}) may be taken unchecked{bound}: "
            f"{coverage.right} of them are right (wanted {100 * precision:.4g}%)"
        )
    else:
        say(f"no --min-confidence leaves readings of which {100 * precision:.4g}% are right")


def _respelt(result: Evaluation, reader: Reader, context: typer.Context) -> str:
    """Return the command with options by which most labels are what this reader can give; "" where they are already.

    Without them its scores say nothing.
    """
    from detector.data.labels.remedies import spelling_that_takes_most
    from detector.data.sets.yolo_dataset import is_converted

    if 2 * result.score.right >= result.count or is_converted(Path(context.params["source"])):
        return ""
    labels = [row.label for row in result.rows]
    spelling = spelling_that_takes_most(labels, reader.config.alphabet, reader.config.length)
    if not spelling:
        return ""
    return repeated(context, **{**spelling, "ignore": context.params["ignore"] + spelling.get("ignore", "")})


def _say_next(result: Evaluation, respelt: str, context: typer.Context) -> None:
    """Say the same command with other options, or what to do after the shipped weights were tried, as commands."""
    from detector.data.labels.sources import READ_BY
    from detector.data.sets.yolo_dataset import is_converted

    source = context.params["source"]
    if respelt:
        return say(f"next: {respelt}")
    if context.params["weights"] != "shipped" or is_converted(Path(source)):
        return None
    predict = command_line("detector", "predict", "shipped", "PICTURES")
    if not len(result.wrong) + len(result.rejected):
        return say(f"next: {predict}")
    say(f"where that is enough: {predict}")
    return say(f"next: {command_line('detector', 'fit', source, *given(context, READ_BY))}")


def _say_comparison(result: Evaluation, against: str, other_result: Evaluation) -> None:
    comparison = result.against(other_result)
    say(
        f"{against}: exact match {comparison.other_exact_match:.3f}; only these weights read {comparison.only_this} "
        f"right, only {against} {comparison.only_other}; McNemar's exact p = {comparison.p_value:.3g}: "
        f"{'a real difference' if comparison.real else 'may be chance'}"
    )
