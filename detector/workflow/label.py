"""Pre-labels: unlabelled pictures are read, and their readings divided into sure and doubtful ones."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.conversion.set_folder import WAIT, alone
from detector.data.folders.image_files import image_files
from detector.data.labels.entries import writable
from detector.data.labels.formats import TABLE_NAMES
from detector.data.labels.label_texts import Spelling
from detector.data.labels.prelabels import (
    DOUBTFUL,
    DROPPED,
    PERSON,
    SURE,
    UNREADABLE,
    Prelabel,
    read_prelabels,
    write_prelabels,
)
from detector.data.labels.sources import SpellingOptions, check_source, read_label_files, read_source, reasons_of
from detector.data.packs.shards import is_shards
from detector.data.parallel import Progress
from detector.data.text_files import is_utf8
from detector.errors import ArgumentError, SourceError, counted
from detector.reading.reader import Failure, Reader
from detector.text.detections import Reading
from detector.text.forms.string_model import StringModel
from detector.workflow.questions import informative_order

log = logging.getLogger("detector")

MAX_WRONG = 0.02
"""Default of the share of sure readings that may be expected to be wrong."""

_MIN_CONFIDENCE = 0.5  # of a sure reading: below it, it is likelier wrong than right


@dataclass(frozen=True)
class LabelReport(os.PathLike[str]):
    """The result of pre-labelling; it can be used as a path, that of the table.

    Args:
        path: of the table, see :mod:`detector.data.labels.prelabels`.
        counts: number of pictures by status.
        threshold: lowest confidence of a sure reading; 1 if there is none.
        expected_wrong: how many of the sure readings are expected to be wrong, by their confidences.
        failures: pictures that cannot be decoded; and, which have no row, subfolders that cannot be read and pictures
            whose names are not valid UTF-8.
        string_model: fitted to the folder's readings and used for them; None if none was.
    """

    path: Path
    counts: Mapping[str, int]
    threshold: float
    expected_wrong: float
    failures: tuple[Failure, ...] = ()
    string_model: StringModel | None = None

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


def label(
    weights: Reader | str | os.PathLike[str],
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    space: str | None = None,
    upper: bool = False,
    ignore: str = "",
    text_column: str | None = None,
    image_column: str | None = None,
    max_wrong: float = MAX_WRONG,
    string_format: bool = True,
    device: str | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> LabelReport:
    """Write a table of readings of a folder's unlabelled pictures, together with the labels of the other pictures.

    Sure are the readings with the highest confidences, as many as are expected to have at most the share ``max_wrong``
    of wrong ones: since confidences are calibrated, the expected number of wrong readings is the sum of 1 - confidence.
    The others are doubtful, and a person should decide on them, the most informative ones first. A person's decisions
    in an earlier table are kept, also those that are made while this reads.

    Args:
        weights: the reader, or weights to read with.
        source: folder of the pictures.
        out: table to write, see :mod:`detector.data.labels.prelabels`; ``convert`` and ``fit`` take it.
        labels: a person's labels: a label file or format, as ``convert`` takes them, or another folder of labelled
            pictures, which are added to the table; None takes label files in the folder, if there are any.
        space, upper, ignore, text_column, image_column: for a person's labels, as ``convert`` takes them; the table has
            the stand-in ``space``, too, with which it is read.
        max_wrong: share of sure readings that may be expected to be wrong, in [0, 1).
        string_format: whether to fit a string model to the readings, see :meth:`detector.Reader.fitted_to`.
        device: as Ultralytics spells it.
        trust: as for :class:`detector.Reader`.
        progress: called with (stage, done, total).

    Raises:
        ArgumentError: if ``max_wrong`` is no share.
        SourceError: if there are no pictures, or labels cannot be read; if there is something else at ``out``.
        WeightsError: as :class:`detector.Reader`.
        DatasetError: if another process keeps the table locked.
    """
    if not 0 <= max_wrong < 1:
        raise ArgumentError(f"max_wrong is a share, 0 or more and less than 1, got {max_wrong}.")
    root, target = Path(os.path.abspath(source)), Path(os.path.abspath(out))
    check_source(root)
    for folder in (root, *([] if labels is None else [Path(labels)])):
        if is_shards(folder):
            raise SourceError(
                f"{folder} has pictures in Parquet, and a table of pre-labels names files: give a folder."
            )
    if not root.is_dir():
        raise SourceError(f"{root} is a file: give the folder of the pictures to be labelled.")
    decisions = _decisions_by_picture(target)
    spelling: SpellingOptions = {
        "space": space, "upper": upper, "ignore": ignore, "text_column": text_column, "image_column": image_column,
    }  # fmt: skip
    labelled = _labels_by_picture(root, labels, target, spelling)
    _warn_of_other_texts(labelled, decisions, target, spelling)
    paths, passed_over = _pictures_below(root, target)
    if not paths:
        refused = f"; {reasons_of([(failure.name, failure.reason) for failure in passed_over])}" if passed_over else ""
        raise SourceError(f"There is no picture in {writable(str(root))} to read{refused}.")
    reader = weights if isinstance(weights, Reader) else Reader(weights, device=device, trust=trust)
    if reader.config.calibration is None:
        log.warning("%s: confidences are no probabilities, for these weights are not calibrated", reader.weights)
    undecided = [path for path in paths if str(path) not in labelled and str(path) not in decisions]
    fitted, reading_of, failures = _readings_of(undecided, reader, string_format, progress)
    model = None if fitted.string_model == reader.string_model else fitted.string_model
    are_sure = sure_of(list(reading_of.values()), max_wrong)
    read = _rows(reading_of, are_sure, target, lambda text: _with_stand_in(text, space, fitted.config.space))
    unreadable = [Prelabel(_table_path(path, target), "", 0.0, UNREADABLE) for path, _ in failures]
    with alone(target.resolve(), WAIT):
        latest = _decisions_by_picture(target, decisions.keys() - labelled.keys())  # reading may have taken hours
        decided = {**labelled, **latest}
        rows = [row for row in read if _picture_of(row, target) not in decided]
        rows += decided.values()  # also those on pictures of another folder, or that are deleted
        rows += [row for row in unreadable if _picture_of(row, target) not in decided]
        write_prelabels(target, rows)
    confidences = [row.confidence for row in rows if row.status == SURE]
    return LabelReport(
        target, Counter(row.status for row in rows), min(confidences, default=1.0),
        sum(1 - confidence for confidence in confidences), (*passed_over, *(failure for _, failure in failures)), model,
    )  # fmt: skip


def _pictures_below(root: Path, target: Path) -> tuple[list[Path], list[Failure]]:
    """Return the pictures of a folder, and what can have no row in the table ``target``, with the reasons."""
    paths, passed_over = list[Path](), list[Failure]()
    for path, problem in image_files(root):
        name = writable(str(path))
        if problem is not None:
            passed_over.append(Failure(name, str(problem)))
        elif not is_utf8(_table_path(path, target)):
            passed_over.append(Failure(name, "the file name is not valid UTF-8"))
        else:
            paths.append(path)
    return paths, passed_over


def sure_of(readings: Sequence[Reading], max_wrong: float) -> list[bool]:
    """Test for each reading whether it is one of the surest, as many as the share of expected errors permits.

    Readings of equal confidence are treated alike; rejected and empty ones, and those that are likelier wrong than
    right, are never sure.

    Args:
        readings: with calibrated confidences.
        max_wrong: allowed share of expected errors.
    """
    confidences = sorted((r.confidence for r in readings if _is_candidate(r)), reverse=True)
    threshold, expected_wrong = float("inf"), 0.0
    for count, confidence in enumerate(confidences, 1):
        expected_wrong += 1 - confidence
        is_run_end = count == len(confidences) or confidences[count] != confidence
        if is_run_end and expected_wrong <= max_wrong * count + 1e-9:
            threshold = confidence
    return [_is_candidate(r) and r.confidence >= threshold for r in readings]


def _is_candidate(reading: Reading) -> bool:
    """Test whether a reading may be sure at all."""
    return bool(reading) and reading.confidence >= _MIN_CONFIDENCE


def _readings_of(
    paths: Sequence[Path], reader: Reader, string_format: bool, progress: Progress | None
) -> tuple[Reader, dict[Path, Reading], list[tuple[Path, Failure]]]:
    """Return the reader, fitted to the pictures if wanted, their readings, and pictures that cannot be decoded."""
    told = 0

    def tell(count: int) -> None:
        nonlocal told
        if progress is not None and count > told:  # readings that were kept back come once more
            told = count
            progress("read", count, len(paths))

    fitted, readings = reader.fitted_stream(paths, tell) if string_format else (reader, reader.stream(paths))
    reading_of, failures = dict[Path, Reading](), list[tuple[Path, Failure]]()
    for count, (path, (_, reading)) in enumerate(zip(paths, readings, strict=True), 1):
        if isinstance(reading, Failure):
            failures.append((path, reading))
        else:
            reading_of[path] = reading
        tell(count)
    return fitted, reading_of, failures


def _with_stand_in(text: str, stand_in: str | None, space: str = " ") -> str:
    """Return a text as it is read with the stand-in, by which spaces at both ends count for nothing."""
    return text.replace(space, stand_in) if stand_in else text


def _rows(
    reading_of: Mapping[Path, Reading], are_sure: Sequence[bool], target: Path, spelt: Callable[[str], str]
) -> list[Prelabel]:
    """Return rows in order: doubtful readings, the most informative first; then sure ones, the least sure first.

    ``spelt`` gives a reading the spelling of the table.
    """
    pairs = list(reading_of.items())
    doubtful = [pair for pair, is_sure in zip(pairs, are_sure, strict=True) if not is_sure]
    ordered_doubtful = [doubtful[place] for place in informative_order([reading for _, reading in doubtful])]
    ordered_sure = sorted(
        (pair for pair, is_sure in zip(pairs, are_sure, strict=True) if is_sure), key=lambda pair: pair[1].confidence
    )
    return [
        Prelabel(_table_path(path, target), spelt(reading.shown_text), reading.confidence, status)
        for status, group in ((DOUBTFUL, ordered_doubtful), (SURE, ordered_sure))
        for path, reading in group
    ]


def _labels_by_picture(
    root: Path, labels: str | os.PathLike[str] | None, target: Path, spelling: SpellingOptions
) -> dict[str, Prelabel]:
    """Return the rows of a person's labels, by picture; pre-labels are left out."""
    # The table that is written is no label file beside others: what it says of a picture is their own older text.
    if labels is None:
        source = read_label_files(root, target, None, **spelling)
    elif Path(labels).is_dir():
        source = read_label_files(Path(os.path.abspath(labels)), target, None, **spelling)
        source = source or read_source(labels, **spelling)
    else:
        name = str(labels)
        source = read_label_files(root, target, name, **spelling) if name in TABLE_NAMES else None
        source = source or read_source(root, labels=labels, **spelling)
    if source is None:
        return {}
    for refused in source.refused:
        log.warning("a label that is not usable: %s: %s", refused.name, refused.reason)
    persons = [item for item in source.items if item.confidence is None]
    if persons:
        log.info("labels of a person: %d, from %s", len(persons), source.label_file or source.format)
    return {
        str(item.path): Prelabel(
            _table_path(item.path, target), _with_stand_in(item.text, spelling.get("space")), 1.0, PERSON
        )
        for item in persons
    }


def _warn_of_other_texts(
    labelled: Mapping[str, Prelabel], decisions: Mapping[str, Prelabel], target: Path, spelling: SpellingOptions
) -> None:
    """Warn where a person's labels have another text than a person's row in the table, which stays as it is."""
    spell = Spelling(spelling.get("space"), spelling.get("upper", False), spelling.get("ignore", ""))
    others = [
        (path, labelled[path].text, row.text) for path, row in decisions.items()
        if row.status == PERSON and path in labelled and spell(row.text) != spell(labelled[path].text)
    ]  # fmt: skip
    if others:
        path, text, in_table = others[0]
        log.warning(
            "%s: kept %s of a person although the labels have another text, as of %s: %r in the table, %r in the "
            "labels. Delete what is out of date from the table, and label again",
            target, counted(len(others), "row"), path, in_table, text,
        )  # fmt: skip


def _decisions_by_picture(target: Path, earlier: Collection[str] = ()) -> dict[str, Prelabel]:
    """Return the rows of an existing table that a person decided on, by picture.

    Args:
        target: the table.
        earlier: pictures of decisions, whose rows are also returned where they were taken back.
    """
    rows = [(_picture_of(row, target), row) for row in read_prelabels(target)] if target.exists() else []
    taken_back = {picture: row for picture, row in rows if picture in earlier}
    return {**taken_back, **{picture: row for picture, row in rows if row.status in (PERSON, DROPPED)}}


def _picture_of(row: Prelabel, target: Path) -> str:
    """Return the path of a row's picture."""
    return os.path.normpath(target.parent / row.image)


def _table_path(path: Path, target: Path) -> str:
    """Return a picture's path relative to the table's folder, with ``/``; absolute on another drive."""
    try:
        return Path(os.path.relpath(path, target.parent)).as_posix()
    except ValueError:
        return path.as_posix()
