"""From labelled pictures to a reader in one call: convert, train, evaluate. Stopped at any moment, it goes on."""

from __future__ import annotations

import inspect
import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from detector.conversion.convert import ConversionReport, convert, pictures_hash
from detector.conversion.inputs import Progress
from detector.conversion.set_folder import alone
from detector.conversion.settings import ConversionOptions
from detector.data.folders.resume_folder import package_hash
from detector.data.labels.sources import Source, check_source, read_source
from detector.data.yolo_dataset import read_set
from detector.errors import ArgumentError
from detector.reading.evaluation import Evaluation, evaluate
from detector.reading.evaluation_page import write_evaluation
from detector.reading.reader import Reader
from detector.text.metrics import TextScore
from detector.training.result import TrainingResult
from detector.training.run import train
from detector.training.run_folder import ARGUMENTS, Published, forget, read_results
from detector.workflow.fit_folder import FITS, FitFolder, files_hash, pictures_of, request_hash
from detector.workflow.limits import Evidence, Limit, limits_of, score_of_learnt

log = logging.getLogger("detector")

_CONVERSION, _TRAINING, _EVALUATION = "conversion", "training", "evaluation"
"""Steps, as the folder calls them."""

_DEFAULTS = {name: option.default for name, option in inspect.signature(convert).parameters.items()
             if name in ConversionOptions.__annotations__}  # fmt: skip
"""What ``convert`` does where nothing is said: the same request as one that says so."""

_READ_BY = ("labels", "space", "upper", "ignore", "text_column", "image_column", "visual_order")
"""Options of ``convert`` that say how labels are read, and are those of held-out pictures of the user's, too."""


@dataclass(frozen=True)
class FitResult(os.PathLike[str]):
    """A reader, and how right it is; it stands for its weights wherever a path is taken, as in ``Reader(fit(...))``.

    Args:
        path: of the weights to read with.
        evaluation: what these read of pictures that were not learnt.
        split: of the set that these pictures are of: "test"; "val", which chose the weights, where there are too few
            texts to hold any out; "" where the caller named others.
        limits: what keeps it from reading more, what explains most first.
        conversion: report of the set.
        training: result of the run.
        folder: where all of it is.
        page: the evaluation to look at.
        unlisted: pictures beside those of the source that have no label.
    """

    path: Path
    evaluation: Evaluation
    split: str
    limits: tuple[Limit, ...]
    conversion: ConversionReport
    training: TrainingResult
    folder: Path
    page: Path
    unlisted: int = 0

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def metrics(self) -> TextScore:
        """Scores of the strings that were read against the labels."""
        return self.evaluation.score


def fit(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    held_out: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    training: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **conversion: Unpack[ConversionOptions],
) -> FitResult:
    """Convert labelled pictures, train a reader on them, and evaluate it on texts that training never saw.

    The same call goes on where a stopped one was, and does again only what has changed since: labels, a person's
    decisions in ``OUT/set/review.csv``, arguments, the package.

    Args:
        source: folder or label file, as :func:`detector.convert` takes it; pre-labels are learnt only.
        out: folder to work in; None takes ``readers/NAME`` by the name of the source's folder.
        held_out: other labelled pictures to evaluate on, in place of a share of the texts.
        epochs: as :func:`detector.train` takes them.
        training: more arguments of it, as ``yolo train`` calls them, but those that name files and folders.
        progress: called with a step's name, what is done and what there is.
        conversion: options of :func:`detector.convert`.

    Raises:
        ArgumentError: if an argument makes no sense.
        DetectorError: if ``out`` holds something else; and all that converting, training and evaluating raise.
        TrainingStopped: on Ctrl-C, if an epoch was finished.
        KeyboardInterrupt: on Ctrl-C elsewhere.
    """
    check_source(source)
    progress = progress or (lambda stage, done, total: None)
    options: ConversionOptions = {**conversion}
    if held_out is not None:
        check_source(held_out)
        options.setdefault("test", 0.0)
    listed = _listed(source, options)
    pictures = pictures_of(listed)
    folder = FitFolder(FITS / pictures.name if out is None else Path(out), pictures)
    with alone(folder.root):
        report = _converted(folder, source, listed, options, progress)
        trained = _trained(folder, report, epochs, dict(training or {}), options, progress)
        return _evaluated(folder, report, trained, held_out, listed.unlisted, options, progress)


def _listed(source: str | os.PathLike[str], options: ConversionOptions) -> Source:
    return read_source(source, **_read_by(options))


def _read_by(options: ConversionOptions) -> dict[str, Any]:
    """Select the options by which labels are read."""
    return {name: value for name, value in options.items() if name in _READ_BY}


def _converted(
    folder: FitFolder, source: str | os.PathLike[str], listed: Source, options: ConversionOptions, progress: Progress
) -> ConversionReport:
    """Convert, or return the stored report where nothing has changed."""
    review_hash = files_hash(Path(os.fspath(review))) if (review := options.get("review")) else ""

    def key() -> str:
        return request_hash(
            pictures=pictures_hash(listed), labels=files_hash(*listed.label_files), refused=len(listed.refused),
            options={**_DEFAULTS, **options}, package=package_hash(), decisions=(folder.decisions(), review_hash),
        )  # fmt: skip

    stored = folder.finished(_CONVERSION, key())
    if stored is not None and (folder.set_folder / "data.yaml").is_file():
        return _report_of(stored, folder)
    folder.keep(_CONVERSION, "", None)
    report = convert(source, folder.set_folder, overwrite=True, progress=progress, **options)
    folder.keep(_CONVERSION, key(), _plain(report))  # with the decisions as they stand now
    return report


def _plain(report: ConversionReport) -> dict[str, Any]:
    """Return what JSON can hold of a report; the rest is in the set."""
    return {
        "source": report.source, "inputs": report.inputs, "splits": report.splits, "suspects": report.suspects,
        "reasons": dict(report.reasons), "layout_share": report.layout_share, "seconds": report.seconds,
        "to_review": report.to_review, "explained": list(report.explained), "examples": report.examples,
        "prelabels": report.prelabels, "expected_wrong": report.expected_wrong, "waiting": report.waiting,
    }  # fmt: skip


def _report_of(stored: dict[str, Any], folder: FitFolder) -> ConversionReport:
    restored = {"reasons": Counter(stored["reasons"]), "explained": tuple(stored["explained"])}
    characters = read_set(folder.set_folder)
    return ConversionReport(
        data_yaml=folder.set_folder / "data.yaml", config=characters.config, **{**stored, **restored}
    )


def _trained(
    folder: FitFolder, report: ConversionReport, epochs: int | None, training: dict[str, Any],
    options: ConversionOptions, progress: Progress,
) -> TrainingResult:  # fmt: skip
    """Train, resume a stopped run, or return the stored result where nothing has changed."""
    if reserved := sorted(training.keys() & {"data", "project", "name", "weights", "exist_ok", "resume"}):
        raise ArgumentError(f"{', '.join(reserved)}: a fit says itself where things are; leave it out.")
    arguments = {"seed": options.get("seed", 0), "device": options.get("device"), "epochs": epochs, **training}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    key = request_hash(set=folder.set_hash(), arguments=arguments)
    stored = folder.finished(_TRAINING, key)
    if stored is not None and files_hash(folder.weights) == stored["weights"]:
        return _result_of(stored, folder)
    place: dict[str, Any] = {"weights": folder.root, "progress": progress}
    if folder.began(_TRAINING, key) and (folder.run_folder / ARGUMENTS).is_file():
        result = _gone_on(folder, report, place)
    else:
        forget(folder.run_folder)  # of another request: this one must not go on from it
        folder.keep(_TRAINING, key, None)
        result = train(report, project=folder.run_folder.parent, name=folder.name, exist_ok=True, **place, **arguments)
    folder.keep(_TRAINING, key, _plain_result(result))
    return result


def _gone_on(folder: FitFolder, report: ConversionReport, place: dict[str, Any]) -> TrainingResult:
    """Resume a stopped run; where only its record is missing, rebuild the result from its weights."""
    published = Published.read(folder.run_folder)
    if published is None or not published.done or not (folder.weights.exists() and published.owns(folder.weights)):
        return train(report, resume=folder.run_folder, **place)
    epochs = len(read_results(folder.run_folder))
    metrics = evaluate(folder.weights, report.data_yaml, split="val").score
    return TrainingResult(
        folder.weights, metrics, folder.run_folder, folder.set_folder, bool(report.splits["test"]), epochs
    )


def _plain_result(result: TrainingResult) -> dict[str, Any]:
    """Return what JSON can hold of a result; paths are the folder's."""
    score = result.metrics
    return {
        "weights": files_hash(result.path), "epochs": result.epochs, "has_test_split": result.has_test_split,
        "metrics": [score.count, score.right, score.errors, score.symbols],
    }  # fmt: skip


def _result_of(stored: dict[str, Any], folder: FitFolder) -> TrainingResult:
    return TrainingResult(
        folder.weights, TextScore(*stored["metrics"]), folder.run_folder, folder.set_folder, stored["has_test_split"],
        stored["epochs"],
    )  # fmt: skip


def _evaluated(
    folder: FitFolder, report: ConversionReport, trained: TrainingResult,
    held_out: str | os.PathLike[str] | None, unlisted: int, options: ConversionOptions, progress: Progress,
) -> FitResult:  # fmt: skip
    """Evaluate the reader on texts that it has not learnt, find its limits, and write the page."""
    reader = Reader(trained.path, device=options.get("device"))
    split = "" if held_out is not None else "test" if report.splits["test"] else "val"
    if held_out is None:
        pictures: dict[str, Any] = {"source": report.data_yaml, "split": split}
    else:
        pictures = {"source": held_out, **_read_by(options)}
    evaluation = evaluate(reader, progress=lambda done, total: progress("read", done, total), **pictures)
    characters = read_set(report.data_yaml)
    learnt = score_of_learnt(reader, characters, options.get("seed", 0))
    limits = limits_of(Evidence(characters, evaluation, learnt, report.to_review))
    result = FitResult(trained.path, evaluation, split, limits, report, trained, folder.root, folder.page, unlisted)
    write_evaluation(evaluation, folder.page, title=f"{folder.name}, {split or 'held-out pictures'}")
    folder.keep(_EVALUATION, "", _summary(result))
    return result


def _summary(result: FitResult) -> dict[str, Any]:
    """Return the figures that are stored with the fit."""
    figures = result.evaluation.to_dict()
    names = ("exact_match", "interval_95", "cer", "count", "right", "confusions")
    limits = [{"kind": limit.kind, "wrong": limit.wrong, "message": limit.message} for limit in result.limits]
    return {"split": result.split, **{name: figures[name] for name in names}, "limits": limits}
