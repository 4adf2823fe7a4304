"""Pictures and strings in, a YOLO dataset out: every box inferred, every doubt written down."""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from detector.align import (
    Aligned,
    Aligner,
    Check,
    Judges,
    Locator,
    align_fitted,
    half_of,
    may_judge,
    shipped_aligner,
    teach,
)
from detector.alphabet import DEFAULT_LENGTH, DEFAULT_SYMBOLS, Alphabet, alphabet_of
from detector.backends import SHIPPED
from detector.boxes import Fitted, KeptBoxes, find_boxes, fitted, sample, shown, shown_ids
from detector.decode import ReadingRules
from detector.device import pick_device
from detector.errors import DatasetError, DetectorError, ImageError, NotLearnedError, SourceError
from detector.fit import shape_for
from detector.intake import Inputs, Progress, accept, reasons_of
from detector.patterns import REGEX, compile_pattern
from detector.refine import DetectorLocator, Refiner
from detector.review import NAME, read_review
from detector.sources import LabelledImage, Source, label_text, read_source
from detector.text_lines import TextLines
from detector.tree import (
    WORK,
    SetWriter,
    alone,
    check_outside,
    check_pictures,
    check_target,
    part_of,
    put_in_place,
    recover,
    target_of,
)
from detector.unfold import MOST_LINES
from detector.work import Work, package_hash, whole
from detector.yolo_format import SPLITS, SUSPECTS

log = logging.getLogger("detector")

VAL_SHARE, TEST_SHARE = 0.1, 0.2
"""Shares of the texts that go to validation and to the held-out test split."""

MIN_CONFIDENCE = 0.5
"""Pictures whose boxes and label are likelier wrong than right are suspects: kept, listed, not trained on."""

_CHECKED = 500  # validation pictures that tell whether an aligner has learnt
_LEAST_HALF = 12  # pictures that a judge is taught on at least
_TEACHING = "teaching.pt"  # piece of kept work


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Args:
        data_yaml: for training.
        source: what the labels were recognised as.
        inputs: pictures or lines of the source; always ``converted + suspects + refused``.
        splits: pictures in each split.
        suspects: pictures kept out of training, for their boxes are doubted.
        reasons: refusals, counted by reason.
        check: how the aligner read pictures that it was not taught.
        rules: what readers of this set must know.
        layout_share: share of the texts that the layout's rule for blanks explains.
        seconds: of wall clock.
        to_review: suspects in ``review.csv`` that a person has not decided on.
        explained: of each round of refinement that was taken, the share of the training and validation pictures that
            its detector reads as they are labelled.
        examples: of each reason, the first refusal in full.
    """

    data_yaml: Path
    source: str
    inputs: int
    splits: dict[str, int]
    suspects: int
    reasons: Counter[str]
    check: Check
    rules: ReadingRules
    layout_share: float
    seconds: float
    to_review: int = 0
    explained: tuple[float, ...] = ()
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def converted(self) -> int:
        """Pictures in the splits."""
        return sum(self.splits.values())

    @property
    def refused(self) -> int:
        """Inputs that are in no split and not suspects."""
        return sum(self.reasons.values())


def convert(
    source: str | Path,
    out: str | Path,
    *,
    length: int = DEFAULT_LENGTH,
    alphabet: str | None = None,
    blank: str | None = None,
    labels: str | Path = "auto",
    upper: bool = False,
    ignore: str = "",
    pattern: str | None = None,
    text_column: str | None = None,
    image_column: str | None = None,
    val: float = VAL_SHARE,
    test: float = TEST_SHARE,
    keep_suspects: bool = False,
    overwrite: bool = False,
    review: str | Path | None = None,
    lines: int | None = None,
    refine: int = 0,
    from_nothing: bool = False,
    budget: float = 1.0,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> ConversionReport:
    """Convert labelled pictures to a YOLO dataset.

    A run that was stopped, however that came, leaves what it found so far in ``OUT.part``: the same call goes on
    there, and ends in the same set. A finished set keeps it in ``OUT/work``: with ``overwrite`` the aligner and the
    boxes of pictures whose text is the same are taken from there, if source, arguments and package are the same.

    Args:
        source: folder or label file; see :func:`detector.sources.read_source` for the formats.
        out: folder to write; it appears whole or not at all.
        length: symbols that a text may have, blanks included.
        alphabet: its symbols in class-id order; "auto" takes those of the labels; None takes 0-9A-Z.
        blank: what stands for a blank in the labels, if not a space.
        labels, upper, ignore, text_column, image_column: passed to ``read_source``.
        pattern: what texts look like, as :mod:`detector.patterns` describes, a format with ``blank`` as the labels have
            it; labels that do not fit are refused, and readers of this set read nothing else.
        val, test: shares of the texts for these splits; all pictures of a text fall in one split.
        keep_suspects: train on pictures whose boxes are doubted, too.
        overwrite: replace ``out`` if it is an earlier conversion; the decisions in its review.csv are taken up.
        review: a file with more decisions, see :mod:`detector.review`.
        lines: text lines of every picture, 1 or 2, read from top to bottom. None finds out, picture by picture, where
            the shipped aligner knows the symbols, and takes all to have one where not.
        refine: rounds of refinement at most: a detector is taught the boxes of the confident pictures, and places
            the known symbols of all pictures anew; see :mod:`detector.refine`.
        from_nothing: use no shipped weights.
        budget: multiplies the time that aligner and detectors are taught.
        seed: of the splits and of teaching.
        device: as Ultralytics spells it.
        progress: called as the work goes on.

    Raises:
        SourceError: if no labelled pictures can be made out, or all are refused.
        AlphabetError: if the pattern is not understood, or allows no text of this length.
        NotLearnedError: if the aligner did not learn; nothing is written then.
        DatasetError: if ``out`` exists, or would be replaced and is no converted set or holds the pictures; if
            something else is in the way beside it; if lines of a review make no sense.
    """
    began = time.perf_counter()
    target = target_of(out)
    recover(target)
    check_target(target, Path(source), overwrite)
    if refine < 0:
        raise DatasetError(f"refine is a number of rounds, 0 or more, got {refine}.")
    if lines not in (None, *range(1, MOST_LINES + 1)):
        raise DatasetError(f"lines is the number of text lines in each picture, 1 or {MOST_LINES}, got {lines}.")
    if seed < 0:
        raise DatasetError(f"seed is a whole number, 0 or more, got {seed}.")
    if not 0 < budget < math.inf:
        raise DatasetError(f"budget multiplies the time and is more than 0, got {budget}.")
    if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
        raise DatasetError(f"val and test are shares of 1 that leave some for training, got {val} and {test}.")
    tell = progress or (lambda stage, done, total: None)
    earlier = _bytes_of(target / NAME)
    decided = read_review(*([target / NAME] if earlier is not None else []), *([Path(review)] if review else []))
    listed = read_source(
        source,
        labels=labels,
        blank=blank,
        upper=upper,
        ignore=ignore,
        text_column=text_column,
        image_column=image_column,
    )
    if listed.label_file is None:
        check_outside(target, listed.root)
    check_pictures(target, {item.path.parent for item in listed.items})
    log.info("%s: %d inputs as %s (%s)", listed.root, listed.count, listed.format, listed.detail)
    spell = partial(label_text, blank=blank, upper=upper, ignore=ignore)
    found = decided.apply(listed, spell)
    table = _alphabet(alphabet, found)
    decided.check(found, table, length, spell)
    if pattern:
        if blank and not pattern.startswith(REGEX):  # a format has blanks as the labels have them
            pattern = pattern.replace(blank, table.blank)
        compile_pattern(pattern, table, length, 1, length)  # an error in it is told before anything is done
    on = pick_device(device)
    request = _request(
        listed, symbols=table.symbols, length=length, pattern=pattern, val=val, test=test, lines=lines,
        from_nothing=from_nothing, budget=budget, seed=seed, device=on.type,
    )  # fmt: skip
    part = part_of(target)
    with alone(target):
        work = Work.open(part / WORK, request, target / WORK)
        try:
            inputs = accept(found, table, length, pattern, val, test, seed, work, tell)
            if inputs.rejects:
                name, why = inputs.rejects[0][:2]
                log.warning("%d of %d inputs are refused, as %s: %s", len(inputs.rejects), found.count, name, why)
            start = None if from_nothing else shipped_aligner(table.symbols)
            text_lines = TextLines(inputs, table, lines, _judge(start, table, on) if lines is None else None, seed)
            judges, check = _taught(inputs, table, text_lines, start, budget, seed, device, work, tell)
        except ImageError:
            raise  # what was found out so far is kept for the next run
        except DetectorError:
            shutil.rmtree(part)  # something must change before this can go on
            raise
        kept = KeptBoxes(work)
        if not all(item in kept for item in inputs.items):
            align = _Align(judges, inputs, table, from_nothing, device)
            find_boxes(inputs.items, judges.general.shape_hw, kept, align, tell, lines=text_lines)
        shape_hw, most_lines = judges.general.shape_hw, text_lines.most
        if most_lines > 1:
            shape_hw, most_lines = _reading_shape(inputs, table, kept, shape_hw)
        refiner = Refiner(
            inputs, table, shape_hw, length, most_lines, limit=MIN_CONFIDENCE, from_nothing=from_nothing,
            budget=budget, seed=seed, device=device, work=work, tell=tell,
        )  # fmt: skip
        kept, explained = refiner(refine, kept)
        vouched = decided.vouched(inputs.items, table)
        written = SetWriter(
            part, target, table, inputs, limit=MIN_CONFIDENCE, vouched=vouched, keep_suspects=keep_suspects
        )
        texts = {item.name: item.text for item in listed.items if item.name in decided.rows}
        rules, share = written.write(kept.__getitem__, length, shape_hw, pattern, decided, texts, tell)
        if (edited := _bytes_of(target / NAME)) != earlier and edited is not None:
            (part / NAME).write_bytes(edited)
            log.warning("%s was edited while this ran, and stays as it is: convert again to take it up", target / NAME)
        put_in_place(target)
    return ConversionReport(
        data_yaml=target / "data.yaml",
        source=f"{found.format} ({found.detail})",
        inputs=found.count,
        splits={s: len(written.images[s]) for s in SPLITS},
        suspects=len(written.images[SUSPECTS]),
        reasons=Counter(row.kind for row in written.rejects),
        check=check,
        rules=rules,
        layout_share=share,
        seconds=time.perf_counter() - began,
        to_review=written.to_review,
        explained=explained,
        examples={row.kind: f"{row.source}: {row.reason}" for row in reversed(written.rejects)},
    )


def _alphabet(asked: str | None, found: Source) -> Alphabet:
    if asked == "auto":
        if not found.items:
            why = reasons_of([(r.name, r.reason) for r in found.refused])
            raise SourceError(f"{found.root}: no label is left to take an alphabet from; {why}.")
        return alphabet_of(item.text for item in found.items)
    return Alphabet(asked or DEFAULT_SYMBOLS)


def _bytes_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _request(listed: Source, **arguments: object) -> dict[str, object]:
    """What aligner and boxes depend on: the pictures and their labels, the arguments, the software."""
    digest = hashlib.sha256()
    for item in listed.items:
        try:
            seen = item.path.stat()
            state = f"{seen.st_size} {seen.st_mtime_ns}"
        except OSError as error:  # say a link that leads nowhere: refused when it is looked at
            state = type(error).__name__
        digest.update(f"{item.name}\0{item.text}\0{state}\n".encode())
    libraries = {"cv2": cv2.__version__, **{name: version(name) for name in ("albumentations", "numpy", "torch")}}
    return {
        **arguments,
        "pictures": digest.hexdigest(),
        "package": package_hash(),
        "libraries": libraries,
    }


def _taught(
    inputs: Inputs,
    table: Alphabet,
    text_lines: TextLines,
    start: Path | None,
    budget: float,
    seed: int,
    device: str | None,
    work: Work,
    tell: Progress,
) -> tuple[Judges, Check]:
    """Aligners that have learnt these pictures, in the shape that suits them; the kept ones as far as there are any."""
    longest = max(len(shown(item.text, table)) for item in inputs.items)
    shape_hw = shape_for(text_lines.sizes_wh(inputs), longest)
    rng = np.random.default_rng(seed)
    train = sample([i for i in inputs.items if inputs.split[i.text] == "train"], shape_hw, rng)
    val = sample([i for i in inputs.items if inputs.split[i.text] == "val"], shape_hw, rng, _CHECKED)
    half = np.array([half_of(item.text) for item in train])  # (train,)

    @cache
    def pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        one, other = (fitted(some, shape_hw, text_lines.likeliest(some))[0] for some in (train, val))
        return one, other

    def aligner(name: str, what: str, picked: NDArray[np.intp]) -> tuple[Aligner, Check]:
        path = work.path(f"{name}.pt")
        if path.is_file():
            try:
                return _kept_aligner(path, device)
            except Exception as error:  # a damaged file makes pickle raise nearly anything
                work.drop(path, error)
        images, checked = pictures()
        made, check = teach(
            images[picked] if len(picked) < len(images) else images,
            [shown_ids(train[i], table) for i in picked],
            table.symbols,
            check=(checked, [shown_ids(item, table) for item in val]),
            start=start,
            budget=budget,
            seed=seed,
            device=device,
            progress=lambda step, steps, said: tell(f"{what} ({said})", step, steps),
            checkpoint=work.path(_TEACHING),
        )
        with whole(path) as part:
            torch.save({**made.state(torch.float32), "shape_hw": shape_hw, "check": astuple(check)}, part)
        work.path(_TEACHING).unlink(missing_ok=True)
        # Also the one that was just taught comes from the file: a run that goes on has no other.
        return _kept_aligner(path, device)

    general, check = aligner("aligner", "align", np.arange(len(train)))
    if not check.learnt:
        raise NotLearnedError(
            f"The aligner did not learn to read these pictures: of {check.pictures} that it was not taught it read "
            f"{check.exact_match:.1%} exactly, with a character error rate of {check.cer:.0%}. Boxes cut by it would "
            "not be worth training on, so none were written. Check some labels against their pictures, add pictures "
            f"({len(train)} were taught), or give it more time with --budget {2 * budget:g}."
            f"{' If they show two lines of text, say --lines 2.' if text_lines.untold else ''}"
        )
    if not may_judge(check):
        log.info("labels are not judged: the aligner reads %.0f%% of what it was not taught", 100 * check.exact_match)
        return Judges(general, None, believed=False), check
    # From nothing, half of a small set is often too little to learn from at all, and takes three times as long.
    if start is None or min((half == 0).sum(), (half == 1).sum()) < _LEAST_HALF:
        return Judges(general, None), check
    one, other = (aligner(f"half-{k}", f"judge {k + 1} of 2", np.flatnonzero(half == k))[0] for k in (0, 1))
    return Judges(general, (one, other)), check


def _kept_aligner(path: Path, device: str | None) -> tuple[Aligner, Check]:
    check = Check(*torch.load(path, weights_only=True)["check"])
    return Aligner.load(path, device=pick_device(device)), check


def _judge(start: Path | None, table: Alphabet, device: torch.device) -> Aligner | None:
    """The shipped aligner as it is, where it knows all symbols."""
    if start is None:
        return None
    aligner = Aligner.load(start, device=device)
    return aligner if {*table.symbols} <= {*aligner.symbols} else None


def _reading_shape(
    inputs: Inputs, table: Alphabet, kept: KeptBoxes, aligner_hw: tuple[int, int]
) -> tuple[tuple[int, int], int]:
    """Height and width of what reads these pictures as they are, and the lines that they have at most.

    Where all have one line, readers see them as the aligner did.
    """
    lines = [1 if (aligned := kept[item].aligned) is None else aligned.lines for item in inputs.items]
    if max(lines) == 1:
        return aligner_hw, 1
    symbols = [-(-len(shown(i.text, table)) // n) for i, n in zip(inputs.items, lines, strict=True)]
    usual = int(np.quantile(symbols, 0.9))  # a few may be misjudged
    return shape_for(inputs.sizes_wh, usual, float(np.mean(lines))), max(lines)


def _shipped_locator(table: Alphabet, device: str | None) -> Locator | None:
    from detector._ultralytics import Network

    if not SHIPPED.is_file():
        return None
    locate = DetectorLocator(Network(SHIPPED, pick_device(device)), table)
    return locate if (locate.class_ids >= 0).any() else None


class _Align:
    """Boxes of fitted pictures by the aligners and, where it knows symbols, the shipped detector."""

    def __init__(self, judges: Judges, inputs: Inputs, table: Alphabet, from_nothing: bool, device: str | None) -> None:
        self._judges, self._inputs, self._table = judges, inputs, table
        self._locate = None if from_nothing else _shipped_locator(table, device)

    def __call__(self, items: Sequence[LabelledImage], pictures: Fitted) -> list[Aligned | None]:
        images, fits = zip(*pictures, strict=True)
        strings = [shown_ids(item, self._table) for item in items]
        taught = [half_of(item.text) if self._inputs.split[item.text] == "train" else None for item in items]
        return align_fitted(self._judges, np.stack(images), fits, strings, taught, self._locate)
