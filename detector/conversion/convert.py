"""Convert pictures and strings to a YOLO dataset with inferred boxes, suspects and refusals listed."""

from __future__ import annotations

import logging
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detector.conversion.arguments import ARGUMENTS, keep_arguments
from detector.conversion.inputs import Inputs, accept, alphabet_of_accepted, with_alphabets_space
from detector.conversion.locating import LocatedLabels, locate_labels
from detector.conversion.locating.run import Run
from detector.conversion.report import ConversionReport
from detector.conversion.request import before_training, request_for
from detector.conversion.review import REVIEW, read_review
from detector.conversion.set_folder import (
    WORK,
    alone,
    begin,
    bytes_of,
    check_outside,
    check_pictures,
    check_target,
    discard_part,
    part_of,
    put_in_place,
    recover,
    target_of,
)
from detector.conversion.set_writer import SetWriter
from detector.conversion.settings import TEST_SHARE, VAL_SHARE, Settings
from detector.data.atomic import writing
from detector.data.folders.resume_folder import ResumeFolder
from detector.data.labels.label_texts import Spelling
from detector.data.labels.remedies import what_takes_most
from detector.data.labels.sources import Source, read_source
from detector.data.labels.visual_order import is_right_to_left
from detector.data.packs.shards import check_shards_folder, require_parquet
from detector.data.parallel import Progress, no_progress
from detector.data.sets.yolo_dataset import SPLITS, SUSPECTS, RejectRow, examples_of
from detector.errors import (
    ArgumentError,
    DependencyError,
    DetectorError,
    DiskFullError,
    ImageError,
    NotLearnedError,
    SourceError,
    argument,
    counted,
)
from detector.text.alphabet import DEFAULT_LENGTH, DEFAULT_SYMBOLS, MAX_LENGTH, Alphabet, symbols_of
from detector.text.patterns import compile_pattern

log = logging.getLogger("detector")

MIN_CONFIDENCE = 0.5
"""Pictures whose boxes and label are likelier wrong than right are suspects: kept, listed, not trained on."""

_MAX_LINES = 2  # of text in a picture


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    length: int = DEFAULT_LENGTH,
    alphabet: str | None = None,
    space: str | None = None,
    labels: str | os.PathLike[str] = "auto",
    upper: bool = False,
    ignore: str = "",
    pattern: str | None = None,
    text_column: str | None = None,
    image_column: str | None = None,
    visual_order: bool = False,
    val: float = VAL_SHARE,
    test: float = TEST_SHARE,
    keep_suspects: bool = False,
    allow_refused: bool = False,
    overwrite: bool = False,
    review: str | os.PathLike[str] | None = None,
    lines: int | None = None,
    train_scale: float = 1.0,
    seed: int = 0,
    device: str | None = None,
    shards: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Convert labelled pictures to a YOLO dataset.

    A run that was stopped, however that came, leaves what it found so far in ``OUT.part``: the same call goes on
    there, and ends in the same set. A finished set keeps it in ``OUT/work``: with ``overwrite`` the detectors and the
    boxes of pictures whose text is the same are taken from there, if source, arguments and package are the same.

    Args:
        source: folder or label file; see :func:`detector.data.labels.sources.read_source` for the formats.
        out: folder to write; it appears whole or not at all.
        length: symbols that a text may have, spaces included.
        alphabet: its symbols in class-id order, or ranges such as ``0-9A-Z``, see
            :func:`detector.text.alphabet.symbols_of`;
            "auto" takes those of the labels that can be used; None takes 0-9A-Z.
        space: what stands for a space in the labels, say ``"_"``.
        labels, upper, ignore, text_column, image_column: passed to ``read_source``.
        visual_order: whether labels with right-to-left letters are as one types them. They are put in the order of the
            picture, which a pattern is about, too; readers of this set give back the order of the labels.
        pattern: what texts look like, as :mod:`detector.text.patterns` describes, a format with ``space`` as the labels
            have it; labels that do not fit are refused, and readers of this set read nothing else.
        val, test: shares of the texts for these splits; all pictures of a text fall in one split.
        keep_suspects: train on suspects, too.
        allow_refused: convert the others also where most inputs are refused.
        overwrite: replace ``out`` if it is an earlier conversion; the decisions in its review.csv are taken up.
        review: a file with more decisions, see :mod:`detector.conversion.review`.
        lines: text lines of every picture, 1 or 2, read from top to bottom. None finds out, picture by picture.
        train_scale: multiplies the steps of self-training; see :mod:`detector.conversion.locating.self_training`.
        seed: of the splits and of training.
        device: as Ultralytics spells it.
        shards: write the set as Parquet shards, with pictures and labels in them, in place of files of their own.
        progress: called as the work goes on.

    Raises:
        ArgumentError: if a number makes no sense.
        SourceError: if no labelled pictures can be made out, or most are refused.
        AlphabetError: if the pattern is not understood, or allows no text of this length.
        NotLearnedError: if labels and pictures have nothing to do with each other, as far as can be told; nothing is
            written then.
        DependencyError: if the set must be trained on, and the extra "train" is not installed, when what was found out
            so far is kept; or if shards are to be written without the extra "shards".
        DiskFullError: if the disk is full; what was found out so far is kept.
        DatasetError: if ``out`` exists, or would be replaced and is no converted set or holds the pictures; if
            something else is in the way beside it; if lines of a review make no sense; if shards are to lie where
            the name is not UTF-8.
    """
    arguments = {**locals()}  # first of all: just the arguments
    began = time.perf_counter()
    _check_numbers(length, val, test, lines, train_scale, seed)
    target = target_of(out)
    if shards:
        require_parquet("A converted set in shards")
        check_shards_folder(target)
    progress = progress or no_progress
    part, final_review = part_of(target), target / REVIEW
    check_target(target, Path(source), overwrite)  # before anything is made for it
    with alone(target), writing(part, lambda: "the same call"):
        recover(target)
        check_target(target, Path(source), overwrite)  # what is there now, be it another run's
        earlier_review = bytes_of(final_review)
        decisions = read_review(
            *([final_review] if earlier_review is not None else []), *([Path(review)] if review else [])
        )
        symbols = None if alphabet == "auto" else symbols_of(DEFAULT_SYMBOLS if alphabet is None else alphabet)
        labelled = read_source(
            source, labels=labels, space=space, upper=upper, ignore=ignore, text_column=text_column,
            image_column=image_column, visual_order=visual_order, keep=symbols or "",
        )  # fmt: skip
        _check_apart(target, labelled)
        _log_source(labelled)
        spell = Spelling(space, upper, ignore, symbols or "", visual_order)
        reviewed = decisions.apply(labelled, spell)
        set_alphabet = alphabet_of_accepted(reviewed, length, pattern, space) if symbols is None else Alphabet(symbols)
        decisions.check(reviewed, set_alphabet, length, spell)
        if pattern:
            pattern = with_alphabets_space(pattern, space, set_alphabet)
            compile_pattern(pattern, set_alphabet, length, 1, length)  # an error in it is told before anything is done
        settings = Settings(
            set_alphabet, length, pattern, val, test, lines, train_scale, seed, device, keep_suspects, visual_order
        )
        request = request_for(labelled, settings)
        begin(target)
        resume = ResumeFolder.open(part / WORK, request, target / WORK, before_training(request))
        try:
            inputs = accept(reviewed, settings, resume, progress)
            _check_refused(inputs, reviewed, settings, allow_refused)
            located = _locate(reviewed, Run(settings, inputs, resume, progress))
        except (ImageError, DependencyError, DiskFullError):
            raise  # what was found out so far is kept for the next run
        except DetectorError:
            discard_part(target)  # something must change before this can go on
            raise
        vouched = decisions.vouched(inputs.items, set_alphabet)
        writer = SetWriter(
            part, target, settings, inputs, limit=MIN_CONFIDENCE, shards=shards, vouched=vouched, learnt=located.learnt
        )
        texts = {item.name: item.text for item in labelled.items if item.name in decisions.rows}
        config, layout_share = writer.write(located.boxes.__getitem__, located.shape_hw, decisions, texts, progress)
        keep_arguments(resume.path(ARGUMENTS), arguments)
        put_in_place(target, earlier_review)
    error_shares = [1 - item.confidence for item in inputs.items if item.confidence is not None]
    return ConversionReport(
        data_yaml=target / "data.yaml",
        source=f"{reviewed.format} ({reviewed.detail})",
        inputs=reviewed.count,
        splits={split: len(writer.images[split]) for split in SPLITS},
        suspects=len(writer.images[SUSPECTS]),
        reasons=Counter(row.kind for row in writer.rejects),
        config=config,
        layout_share=layout_share,
        seconds=time.perf_counter() - began,
        to_review=writer.to_review,
        explained=located.explained,
        examples=examples_of(writer.rejects),
        prelabels=len(error_shares),
        expected_wrong=sum(error_shares),
        waiting=reviewed.waiting,
    )


def _log_source(source: Source) -> None:
    """Log how the labels were read, and what is left out."""
    log.info("%s: %d inputs as %s (%s)", source.root, source.count, source.format, source.detail)
    if source.unlisted:
        unlisted = counted(source.unlisted, "more picture")
        log.warning("%s beside these, not listed in %s, left out", unlisted, source.label_file)
    for note in source.notes:
        log.warning("%s", note)
    if source.waiting:
        log.info("%d pre-labels wait for a person, and are left out", source.waiting)


def _check_refused(inputs: Inputs, source: Source, settings: Settings, allow_refused: bool) -> None:
    """Warn of refused inputs.

    Raises:
        SourceError: if most are refused, unless that is allowed.
    """
    if not inputs.rejects:
        return
    summary = f"{len(inputs.rejects)} of {source.count} inputs are refused"
    advice = what_takes_most([item.text for item in source.items], settings.alphabet, settings.length)
    if _are_most_refused(inputs, source) and not allow_refused:
        raise SourceError(
            f"{summary}, for example {_examples(inputs.rejects)}. Nothing was converted: "
            f"{advice + '; ' if advice else ''}correct them, or say {argument('allow_refused')} to convert the others."
        )
    first = inputs.rejects[0]
    log.warning("%s, as %s: %s%s", summary, first.source, first.reason, f"; {advice}" if advice else "")


def _are_most_refused(inputs: Inputs, source: Source) -> bool:
    return 2 * len(inputs.rejects) > source.count


def _locate(source: Source, run: Run) -> LocatedLabels:
    """Locate all labels; where nothing was learnt, the error says what else may be the reason.

    Raises:
        NotLearnedError: as :func:`detector.conversion.locating.locate_labels`.
    """
    try:
        return locate_labels(run)
    except NotLearnedError as error:
        if hint := _likelier_reason(source, run.inputs, run.settings.visual_order):
            raise NotLearnedError(f"{error} But look at this first: {hint}.") from error
        raise


def _examples(rejects: Sequence[RejectRow]) -> str:
    """Give an input of each of the three most frequent kinds, and how many there are like it."""
    examples, counts = examples_of(rejects), Counter(row.kind for row in rejects).most_common(3)
    return "; ".join(examples[kind] + (f" ({count} such)" if count > 1 else "") for kind, count in counts)


def _check_numbers(length: int, val: float, test: float, lines: int | None, train_scale: float, seed: int) -> None:
    """Refuse numbers that make no sense, all at once."""
    problems = []
    if not 1 <= length <= MAX_LENGTH:
        problems.append(f"length is the most symbols that a text may have, 1 to {MAX_LENGTH}, got {length}")
    if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
        rule = "val, more than 0, and test, 0 or more, are shares of 1 that leave some for training"
        problems.append(f"{rule}, got {val} and {test}")
    if lines not in (None, *range(1, _MAX_LINES + 1)):
        problems.append(f"lines is the number of text lines in each picture, 1 or {_MAX_LINES}, got {lines}")
    if not 0 < train_scale < math.inf:
        problems.append(f"train_scale multiplies the steps and is more than 0, got {train_scale}")
    if seed < 0:
        problems.append(f"seed is a whole number, 0 or more, got {seed}")
    if problems:
        raise ArgumentError(f"Nothing was converted: {'; '.join(problems)}.")


def _check_apart(target: Path, listing: Source) -> None:
    """Refuse to write among the pictures."""
    if listing.searched:
        check_outside(target, listing.root)
    check_pictures(target, {item.path.parent for item in listing.items})


def _likelier_reason(source: Source, inputs: Inputs, visual_order: bool) -> str:
    """Return a likelier reason than too little training where nothing was learnt; "" if there is none."""
    if _are_most_refused(inputs, source):
        first = inputs.rejects[0]
        return f"{len(inputs.rejects)} of {source.count} inputs were refused, as {first.source}: {first.reason}"
    leftward = sum(is_right_to_left(item.text) for item in inputs.items)
    if leftward and not visual_order:
        return (
            f"{leftward} of {len(inputs.items)} labels have right-to-left letters, and were taken to be in the order "
            f"of the picture: where they are as one types them, say {argument('visual_order')}"
        )
    return ""
