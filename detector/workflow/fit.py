"""From labelled pictures to a reader in one call: convert, train, evaluate. An interrupted call can be continued."""

from __future__ import annotations

import inspect
import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack, cast

from detector.conversion.convert import convert
from detector.conversion.report import ConversionReport
from detector.conversion.request import pictures_hash
from detector.conversion.set_folder import alone
from detector.conversion.settings import ConversionOptions
from detector.data.folders.resume_folder import package_hash
from detector.data.labels.sources import (
    FORMATS,
    READ_BY,
    LabelOptions,
    Source,
    absolute_labels,
    check_source,
    read_source,
)
from detector.data.parallel import Progress, no_progress
from detector.data.sets.yolo_dataset import is_converted, read_set
from detector.errors import ArgumentError, DetectorError, SourceError
from detector.reading.evaluation import Evaluation, evaluate, labelled_pictures
from detector.reading.pages.evaluation_page import write_evaluation
from detector.reading.reader import Reader
from detector.text.metrics import TextScore
from detector.text.reading_config import ReadingConfig
from detector.training.result import TrainingResult
from detector.training.run import train
from detector.training.run_folder import ARGUMENTS, Published, check_recordable, forget, read_results
from detector.workflow.fit_folder import FITS, FitFolder, Request, files_hash, pictures_of, request_hash
from detector.workflow.limits import Evidence, Limit, limits_of, score_of_learnt

log = logging.getLogger("detector")

_CONVERSION, _TRAINING, _EVALUATION = "conversion", "training", "evaluation"
"""Names of the steps in the folder's state."""

_DEFAULTS = {name: option.default for name, option in inspect.signature(convert).parameters.items()
             if name in ConversionOptions.__annotations__}  # fmt: skip
"""Defaults of ``convert``: a call that leaves an option out and one that gives its default are the same request."""


@dataclass(frozen=True)
class FitResult(os.PathLike[str]):
    """A trained reader and its evaluation; it can be used as a path, that of the weights: ``Reader(fit(...))``.

    Args:
        path: of the weights.
        evaluation: on pictures that were not trained on.
        split: of the set that was evaluated: "test"; "val", which also chose the weights, if there are too few texts
            for a test split; "" if the caller gave held-out pictures.
        limits: reasons for wrong readings, the one that explains most first.
        conversion: report of the conversion.
        training: result of training.
        folder: of the fit.
        page: path of the evaluation's page.
        unlisted: number of pictures in the source's folder without a label.
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
        """Comparison of the readings with the labels."""
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
    """Convert labelled pictures, train a reader on them, and evaluate it on texts that it was not trained on.

    The same call continues an interrupted one, and repeats only the steps whose input has changed: labels, a person's
    decisions in ``OUT/set/review.csv``, arguments, the package.

    Args:
        source: folder or label file, as :func:`detector.convert` takes it; pre-labels are for training only.
        out: folder to work in; None takes ``readers/NAME``, by the name of the source's folder.
        held_out: other labelled pictures to evaluate on, instead of a share of the texts; a label file that ``labels``
            names is the source's, not theirs.
        epochs: as for :func:`detector.train`.
        training: more arguments of :func:`detector.train`, except those that name files and folders.
        progress: called with (stage, done, total).
        conversion: options of :func:`detector.convert`.

    Raises:
        ArgumentError: if an argument makes no sense.
        DetectorError: if ``out``, or the place of the weights in it, holds something else, or its name is not UTF-8;
            and whatever conversion, training and evaluation raise.
        TrainingStopped: on Ctrl-C, after at least one epoch.
        KeyboardInterrupt: on Ctrl-C elsewhere.
    """
    check_source(source)
    options: ConversionOptions = {**conversion}
    if held_out is not None:
        check_source(held_out)
        options.setdefault("test", 0.0)
    call = _Call(
        source, read_source(source, **_label_options(options)), held_out, options,
        {**({} if epochs is None else {"epochs": epochs}), **(training or {})}, progress or no_progress,
    )  # fmt: skip
    _check_held_out(call)
    pictures = pictures_of(call.labelled)
    folder = FitFolder(FITS / pictures.name if out is None else Path(out), pictures)
    check_recordable([folder.root, *call.training.values()])  # before hours of conversion
    with alone(folder.root):
        folder.keep_request(_request(call))
        report = _convert(folder, call)
        result = _train(folder, call, report)
        return _evaluate(folder, call, report, result)


@dataclass(frozen=True)
class _Call:
    """What was asked for.

    Args:
        source, held_out: as for :func:`fit`.
        labelled: the source's pictures and labels.
        options: of the conversion.
        training: arguments of training, epochs among them.
        progress: as for :func:`fit`.
    """

    source: str | os.PathLike[str]
    labelled: Source
    held_out: str | os.PathLike[str] | None
    options: ConversionOptions
    training: dict[str, Any]
    progress: Progress


def _label_options(options: ConversionOptions) -> LabelOptions:
    """Select the options that say how labels are read."""
    return cast(LabelOptions, {name: value for name, value in options.items() if name in READ_BY})


def _held_out_options(call: _Call) -> LabelOptions:
    """Return the options by which the held-out pictures' labels are read: a label file is the source's alone."""
    assert call.held_out is not None
    if is_converted(Path(call.held_out)):
        return {}
    options = _label_options(call.options)
    if "labels" in options and os.fspath(options["labels"]) not in ("auto", *FORMATS):
        del options["labels"]
    return options


def _check_held_out(call: _Call) -> None:
    """Refuse held-out pictures without labels, and those that the source holds, too.

    Raises:
        SourceError: naming them.
    """
    if call.held_out is None:
        return
    pictures, *_ = labelled_pictures(Path(call.held_out), None, _held_out_options(call), ReadingConfig())
    trained_on = {os.path.realpath(item.path) for item in call.labelled.items}
    if both := [picture.name for picture in pictures if os.path.realpath(picture.path) in trained_on]:
        raise SourceError(
            f"{call.held_out}: {len(both)} of its {len(pictures)} pictures are in {call.source}, too, for example "
            f"{both[0]}: a reader is judged by pictures that it was not trained on. Move them out of one of both."
        )


def _request(call: _Call) -> Request:
    """Return what was asked for, but decisions: these are in the set from then on."""
    defaults = {**_DEFAULTS, "review": call.options.get("review"), **({} if call.held_out is None else {"test": 0.0})}
    conversion = {name: value for name, value in call.options.items() if value != defaults.get(name)}
    if "labels" in conversion:
        conversion["labels"] = absolute_labels(call.options["labels"])
    held_out = "" if call.held_out is None else os.path.abspath(call.held_out)
    return Request(os.path.abspath(call.source), held_out, call.training, conversion)


def _convert(folder: FitFolder, call: _Call) -> ConversionReport:
    """Convert, or return the stored report where nothing has changed."""
    review_hash = files_hash(Path(os.fspath(review))) if (review := call.options.get("review")) else ""

    def key() -> str:
        return request_hash(
            pictures=pictures_hash(call.labelled), labels=files_hash(*call.labelled.label_files),
            refused=len(call.labelled.refused), options={**_DEFAULTS, **call.options}, package=package_hash(),
            decisions=(folder.decisions(), review_hash),
        )  # fmt: skip

    stored = folder.finished(_CONVERSION, key())
    if stored is not None and (folder.set_folder / "data.yaml").is_file():
        return _report_of(stored, folder)
    folder.keep(_CONVERSION, "", None)
    report = convert(call.source, folder.set_folder, overwrite=True, progress=call.progress, **call.options)
    folder.keep(_CONVERSION, key(), _plain(report))  # anew: the conversion may have rewritten the decisions
    return report


def _plain(report: ConversionReport) -> dict[str, Any]:
    """Return the plain values of a report for JSON; the rest is stored in the set."""
    names = [field.name for field in fields(report) if field.name not in ("data_yaml", "config")]
    return {name: getattr(report, name) for name in names}


def _report_of(stored: dict[str, Any], folder: FitFolder) -> ConversionReport:
    """Return the report of which :func:`_plain` gave the values."""
    restored = {"reasons": Counter(stored["reasons"]), "explained": tuple(stored["explained"])}
    characters = read_set(folder.set_folder)
    return ConversionReport(
        data_yaml=folder.set_folder / "data.yaml", config=characters.config, **{**stored, **restored}
    )


def _train(folder: FitFolder, call: _Call, report: ConversionReport) -> TrainingResult:
    """Train, resume a stopped run, or return the stored result where nothing has changed."""
    if reserved := sorted(call.training.keys() & {"data", "project", "name", "weights", "exist_ok", "resume"}):
        raise ArgumentError(f"{', '.join(reserved)}: a fit says itself where things are; leave it out.")
    arguments = {"seed": call.options.get("seed", 0), "device": call.options.get("device"), **call.training}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    key = request_hash(set=folder.set_hash(), arguments=arguments)
    stored = folder.finished(_TRAINING, key)
    if stored is not None and files_hash(folder.weights) == stored["weights"]:
        return _result_of(stored, folder)
    _check_weights(folder)
    place: dict[str, Any] = {"weights": folder.root, "progress": call.progress}
    if folder.is_begun(_TRAINING, key) and (folder.run_folder / ARGUMENTS).is_file():
        result = _resume(folder, report, place)
    else:
        forget(folder.run_folder)  # it belongs to another request, and must not be resumed
        folder.keep(_TRAINING, key, None)
        result = train(report, project=folder.run_folder.parent, name=folder.name, exist_ok=True, **place, **arguments)
    folder.keep(_TRAINING, key, _plain_result(result))
    return result


def _check_weights(folder: FitFolder) -> None:
    """Refuse to replace weights that this fit did not write.

    Raises:
        DetectorError: naming them.
    """
    published = Published.read(folder.run_folder)
    if published is not None and not published.owns(folder.weights):
        raise DetectorError(
            f"{folder.weights} is not what this fit wrote there, and is not replaced: move it away, and fit again."
        )


def _resume(folder: FitFolder, report: ConversionReport, place: dict[str, Any]) -> TrainingResult:
    """Resume a stopped run; if it had finished but was not recorded, rebuild its result from the weights.

    Where these are gone they are chosen and written again, and nothing is trained.
    """
    published = Published.read(folder.run_folder)
    if published is not None and published.done and not folder.weights.exists():
        published = replace(published, run=str(folder.run_folder), done=False)  # a copied fit has another folder
        published.write()
    if published is None or not published.done:
        return train(report, resume=folder.run_folder, **place)
    epochs = len(read_results(folder.run_folder))
    metrics = evaluate(folder.weights, report.data_yaml, split="val").score
    return TrainingResult(
        folder.weights, metrics, folder.run_folder, folder.set_folder, bool(report.splits["test"]), epochs
    )


def _plain_result(result: TrainingResult) -> dict[str, Any]:
    """Return the plain values of a result for JSON, without paths, which follow from the folder."""
    score = result.metrics
    return {
        "weights": files_hash(result.path), "epochs": result.epochs, "has_test_split": result.has_test_split,
        "metrics": [score.count, score.right, score.errors, score.symbols],
    }  # fmt: skip


def _result_of(stored: dict[str, Any], folder: FitFolder) -> TrainingResult:
    """Return the result of which :func:`_plain_result` gave the values."""
    return TrainingResult(
        folder.weights, TextScore(*stored["metrics"]), folder.run_folder, folder.set_folder, stored["has_test_split"],
        stored["epochs"],
    )  # fmt: skip


def _evaluate(folder: FitFolder, call: _Call, report: ConversionReport, trained: TrainingResult) -> FitResult:
    """Evaluate the reader on pictures that it was not trained on, find its limits, and write the page."""
    reader = Reader(trained.path, device=call.options.get("device"))
    split = "" if call.held_out is not None else "test" if report.splits["test"] else "val"
    if call.held_out is None:
        pictures: dict[str, Any] = {"source": report.data_yaml, "split": split}
    else:
        pictures = {"source": call.held_out, **_held_out_options(call)}
    evaluation = evaluate(reader, progress=partial(call.progress, "read"), **pictures)
    characters = read_set(report.data_yaml)
    learnt = score_of_learnt(reader, characters, call.options.get("seed", 0))
    limits = limits_of(Evidence(characters, evaluation, learnt, report.to_review))
    result = FitResult(
        trained.path, evaluation, split, limits, report, trained, folder.root, folder.page, call.labelled.unlisted
    )
    write_evaluation(evaluation, folder.page, title=f"{folder.name}, {split or 'held-out pictures'}")
    folder.keep(_EVALUATION, "", _summary(result))
    return result


def _summary(result: FitResult) -> dict[str, Any]:
    """Return the figures of the evaluation that are stored with the fit."""
    figures = result.evaluation.to_dict()
    names = ("exact_match", "interval_95", "cer", "count", "right", "confusions")
    limits = [{"kind": limit.kind, "wrong": limit.wrong, "message": limit.message} for limit in result.limits]
    return {"split": result.split, **{name: figures[name] for name in names}, "limits": limits}
