"""Opening of whatever can be reviewed, by its path."""

from __future__ import annotations

from pathlib import Path

from detector.data.sets.yolo_dataset import is_converted
from detector.errors import DatasetError
from detector.review.evaluations import EvaluatedSet, EvaluatedSource, read_evaluation
from detector.review.items import Subject
from detector.review.prelabels import ReviewedPrelabels
from detector.review.sets import ReviewedSet

_ADVICE = "give a set of `detector convert`, the JSON of `detector evaluate` or the pre-labels of `detector label`"


def open_subject(path: Path) -> Subject:
    """Open a converted set, a fit, an evaluation's JSON or a table of pre-labels, by its path.

    Raises:
        DatasetError: if it is none of them, or cannot be understood.
        SourceError: if it is a table without pre-labels.
    """
    if not path.exists():
        raise DatasetError(f"There is no {path}: {_ADVICE}.")
    if path.suffix.lower() == ".json":
        evaluation = read_evaluation(path)
        is_set = is_converted(evaluation.source)
        return EvaluatedSet(path, evaluation) if is_set else EvaluatedSource(path, evaluation)
    if path.name in ("review.csv", "report.html") and (path.parent / "data.yaml").is_file():
        return ReviewedSet(path.parent)
    if path.is_dir() or path.suffix in (".yaml", ".yml"):
        return ReviewedSet(path)
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return ReviewedPrelabels(path)
    raise DatasetError(f"{path} is nothing to review: {_ADVICE}.")
