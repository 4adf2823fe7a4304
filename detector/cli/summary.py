"""What several commands tell: what strings look like, pre-labels, what was refused, that nothing was learnt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detector.cli.terminal import say
from detector.errors import NotLearnedError, counted, relative_path

if TYPE_CHECKING:
    from detector.conversion.report import ConversionReport
    from detector.text.forms.string_model import StringModel
    from detector.training.result import TrainingResult
    from detector.workflow.pack import PackReport

_LISTED = 20  # reasons of refusal that are told


def say_format(strings: str, model: StringModel | None, advice: str = "") -> None:
    """Say what strings look like, where that is known, and give some advice."""
    if form := str(model or ""):
        say(f"{strings} look like {form}; A is a letter, 9 a digit, X either{advice and f'; {advice}'}")


def say_format_read(model: StringModel | None) -> None:
    """Say what strings look like by their readings, where that is known, and how to read them without it."""
    say_format("these", model, "--no-format reads each by itself")


def say_prelabels(report: ConversionReport) -> None:
    """Say how many pre-labels are learnt and wait, if there are any."""
    if report.prelabels:
        wrong = f"about {report.expected_wrong:.1f} of them expected wrong"
        say(f"{counted(report.prelabels, 'pre-label')} learnt, {wrong}; {report.waiting} wait for a person")


def say_refused(report: ConversionReport | PackReport, rejects: Path) -> None:
    """Each reason with an example, also where only errors are told, and the file that has all."""
    for reason, count in report.reasons.most_common(_LISTED):
        say(f"  refused {count}: {reason}, for example {report.examples[reason]}", always=True)
    if report.refused:
        say(f"refused inputs and their reasons: {rejects}")


def check_learnt(result: TrainingResult) -> None:
    """Check that training learnt anything.

    Raises:
        NotLearnedError: if not one validation picture is read right.
    """
    if not result.learnt:
        raise NotLearnedError(
            f"not one of {result.metrics.count} validation pictures is read right by {result.path}: train longer "
            f"(epochs=…), or look at {relative_path(result.set_folder) / 'report.html'}."
        )
