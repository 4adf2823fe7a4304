"""Which inputs of a source can be used, and in which split each one falls; pure bookkeeping before any network."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from detector.conversion.settings import Settings
from detector.data.atomic import atomic_write
from detector.data.folders.resume_folder import ResumeFolder
from detector.data.images import read_file, read_image
from detector.data.labels.remedies import separators_of, what_takes_most
from detector.data.labels.sources import LabelledImage, Source, reasons_of
from detector.data.parallel import Progress, chunked, spread_map
from detector.data.sets.yolo_dataset import RejectRow
from detector.errors import ImageError, SourceError, counted
from detector.text.alphabet import Alphabet, alphabet_of, first_cluster, is_unseen
from detector.text.patterns import REGEX, matches

log = logging.getLogger("detector")

_YOLO_READS = frozenset(".bmp .jpeg .jpg .png .tif .tiff .webp .jp2 .avif".split())
SAME_AS = {".jpe": ".jpg", ".jfif": ".jpg", ".dib": ".bmp"}  # other names of formats that yolo reads

_CHECKED = "looked"  # pieces of kept work
_CHUNK, _CHUNKS_A_PIECE = 64, 64
_NARROWEST = 2  # pixels of width for each symbol: with fewer nothing can be told
_MAX_MARKED = 0.1  # of the labels may be refused one by one for what a set of such labels is refused for


class FileCheck(NamedTuple):
    """What opening a file told: a hash of its bytes, its size upright; or why it cannot be decoded."""

    digest: str
    width: int
    height: int
    problem: str = ""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height, upright."""
        return self.width, self.height


@dataclass
class Inputs:
    """The labelled pictures of one run and what became of them."""

    items: list[LabelledImage]
    sizes_wh: list[tuple[int, int]]  # of each item, upright
    split: dict[str, str]  # of each text
    rejects: list[RejectRow] = field(default_factory=list)


def accept(source: Source, settings: Settings, resume: ResumeFolder, progress: Progress) -> Inputs:
    """Check labels and files, assign splits, and list every input that is refused with its reason.

    Every file is decoded once; what that told is kept in ``work``.
    """
    alphabet = settings.alphabet
    rejects = [RejectRow(r.name, r.reason) for r in source.refused]
    fitting = []
    separators = separators_of({item.text for item in source.items})
    for item in source.items:
        if problem := _problem(item, alphabet, settings.length, settings.pattern, separators):
            rejects.append(RejectRow(item.name, problem))
        else:
            fitting.append(replace(item, text=alphabet.clean(item.text)))
    checks = _checks(fitting, resume, progress)
    items, contradictions = _without_contradictions(fitting, checks)
    rejects += contradictions
    texts = {item.text for item in items}
    if rejects and len(texts) < 2:
        left = f"only pictures of the text {texts.pop()!r} are left" if texts else "no labelled picture is left"
        advice = what_takes_most([item.text for item in source.items], alphabet, settings.length)
        raise SourceError(f"{source.root}: {left}; {reasons_of(rejects)}{'; ' + advice if advice else ''}.")
    split = _splits(source, items, settings)
    held_out = [item for item in items if item.confidence is not None and split[item.text] != "train"]
    rejects += [RejectRow(i.name, f"the pre-label {i.text!r} is the text of a held-out picture") for i in held_out]
    held_out_names = {item.name for item in held_out}
    accepted = _with_boxes_inside([item for item in items if item.name not in held_out_names], checks)
    return Inputs(accepted, [checks[item.name].size_wh for item in accepted], split, rejects)


def _splits(source: Source, items: Sequence[LabelledImage], settings: Settings) -> dict[str, str]:
    """Assign a split to each text: pre-labels go to "train" alone, texts of a person fill val and test.

    Raises:
        SourceError: if there are fewer than two texts that a person stands for.
    """
    texts = {item.text for item in items if item.confidence is None}
    if len(texts) < 2 and any(item.confidence is not None for item in items):
        raise SourceError(
            f"{source.root}: {len(items)} pictures have labels, {len(texts)} of them a person's text. Pre-labels are "
            "learnt only, so that two different texts of a person are the least."
        )
    split = assign_splits(texts, settings.val, settings.test, settings.seed)
    return {item.text: "train" for item in items} | split


def alphabet_of_accepted(source: Source, length: int, pattern: str | None, space: str | None = None) -> Alphabet:
    """Derive the alphabet from the labels that are not refused for another reason than their symbols.

    Pictures are opened as long as their labels have symbols that no other has shown.

    Raises:
        SourceError: if there are none; or if many have letters with combining marks.
    """
    items = [item for item in source.items if not _unreadable(item)]
    marked = [item.text for item in items if first_cluster(item.text)]
    if len(marked) > _MAX_MARKED * len(items):
        raise SourceError(
            f"{source.root}: {len(marked)} of {len(items)} labels, as {marked[0]!r}, have combining marks, which have "
            "no box of their own. Spell each letter with its mark as one code point, or leave the marks out."
        )
    clean = [
        item
        for item in items
        if len(item.text) <= length and not first_cluster(item.text) and not any(map(is_unseen, item.text))
    ]
    if pattern and clean:
        alphabet = alphabet_of(item.text for item in clean)
        pattern = with_alphabets_space(pattern, space, alphabet)
        clean = [item for item in clean if matches(item.text, pattern, alphabet)] or clean
    symbols: set[str] = set()
    for item in clean:
        if not symbols.issuperset(item.text) and not _checked(item).problem:
            symbols.update(item.text)
    if not symbols - {" "}:
        reasons = [(r.name, r.reason) for r in source.refused]
        reasons += [(i.name, _unreadable(i) or f"the label {i.text!r} cannot be one") for i in source.items]
        raise SourceError(f"{source.root}: no label is left to take an alphabet from; {reasons_of(reasons)}.")
    return alphabet_of(symbols)


def with_alphabets_space(pattern: str, space: str | None, alphabet: Alphabet) -> str:
    """Replace the labels' space in a format by the alphabet's; a regular expression has that already."""
    return pattern.replace(space, alphabet.space) if space and not pattern.startswith(REGEX) else pattern


def _problem(item: LabelledImage, alphabet: Alphabet, length: int, pattern: str | None, separators: str) -> str | None:
    """Return why a label or its file name cannot be used; None if it can."""
    problem = alphabet.problem(item.text, length, separators=separators)
    if problem is None and pattern and not matches(item.text, pattern, alphabet):
        problem = f"the label {alphabet.clean(item.text)!r} does not fit the pattern {pattern!r}"
    return problem or _unreadable(item) or None


def _unreadable(item: LabelledImage) -> str:
    """Return why yolo would not read a file of this name; "" if it would."""
    if item.path.suffix.lower() in (*_YOLO_READS, *SAME_AS):
        return ""
    kind = f"{item.path.suffix} files" if item.path.suffix else "files whose names have no ending"
    return f"yolo does not read {kind}: save it as PNG"


def _checks(items: Sequence[LabelledImage], resume: ResumeFolder, progress: Progress) -> dict[str, FileCheck]:
    """Open each picture once and return its check by name; checks of an earlier run are reused."""
    checks: dict[str, FileCheck] = {}
    for piece in resume.pieces(_CHECKED):
        try:
            stored_checks = json.loads(piece.read_text(encoding="utf-8"))
        except ValueError as error:
            resume.drop(piece, error)
        else:
            checks.update((name, FileCheck(*check)) for name, check in stored_checks.items())
    unchecked = [item for item in items if item.name not in checks]
    before = done = len(items) - len(unchecked)
    if before:
        progress("check", before, len(items))
    new_checks: dict[str, FileCheck] = {}

    def save() -> None:
        with atomic_write(resume.next_piece(_CHECKED, ".json")) as part:
            # A problem may be gone next time, say one of access, without a trace in size or time.
            part.write_text(
                json.dumps({n: check for n, check in new_checks.items() if not check.problem}), encoding="utf-8"
            )
        checks.update(new_checks)
        new_checks.clear()

    for chunk in spread_map(_checked_by_name, list(chunked(unchecked, _CHUNK))):
        for name, check in chunk:
            new_checks[name] = check
            done += 1
            progress("check", done, len(items))
        if len(new_checks) >= _CHUNK * _CHUNKS_A_PIECE:
            save()
    if new_checks:
        save()
    return checks


def _checked_by_name(items: Sequence[LabelledImage]) -> list[tuple[str, FileCheck]]:
    return [(item.name, _checked(item)) for item in items]


def _checked(item: LabelledImage) -> FileCheck:
    try:
        data = read_file(item.path)
        height, width = read_image(data).shape[:2]
        return FileCheck(hashlib.blake2b(data, digest_size=16).hexdigest(), width, height)
    except ImageError as error:
        return FileCheck("", 0, 0, str(error))


def _without_contradictions(
    items: list[LabelledImage], checks: dict[str, FileCheck]
) -> tuple[list[LabelledImage], list[RejectRow]]:
    """Drop pictures that cannot be decoded or are too narrow, and equal files that are labelled differently.

    Returns:
        What is left, and the others with their reasons.
    """
    rejects = [RejectRow(item.name, checks[item.name].problem) for item in items if checks[item.name].problem]
    readable = [item for item in items if not checks[item.name].problem]
    by_person, by_reader = dict[str, set[str]](), dict[str, set[str]]()  # texts of each digest
    for item in readable:
        texts_of = by_person if item.confidence is None else by_reader
        texts_of.setdefault(checks[item.name].digest, set()).add(item.text)
    labels = by_reader | by_person  # a person's go before pre-labels
    accepted = []
    for item in readable:
        check = checks[item.name]
        if check.width < _NARROWEST * len(item.text):
            rejects.append(RejectRow(item.name, f"the picture is too narrow for its text {item.text!r}"))
        elif labels[check.digest] != {item.text}:
            texts = ", ".join(sorted(labels[check.digest] | {item.text}))
            rejects.append(RejectRow(item.name, f"the same picture is labelled differently: {texts}"))
        else:
            accepted.append(item)
    return accepted, rejects


def _with_boxes_inside(items: list[LabelledImage], checks: dict[str, FileCheck]) -> list[LabelledImage]:
    """Leave out drawn boxes of another picture or of another size of it: those of which a centre is not inside."""
    outside = {item.name for item in items if not _is_drawn_inside(item, checks[item.name].size_wh)}
    if outside:
        log.warning(
            "drawn boxes of %s lie outside, as of %s, and are not used: were they drawn on pictures of another size?",
            counted(len(outside), "picture"), min(outside),
        )  # fmt: skip
    return [replace(item, boxes_xyxy=None) if item.name in outside else item for item in items]


def _is_drawn_inside(item: LabelledImage, size_wh: tuple[int, int]) -> bool:
    """Test whether the centre of every drawn box is in the picture."""
    if item.boxes_xyxy is None:
        return True
    centres = (item.boxes_xyxy[:, :2] + item.boxes_xyxy[:, 2:]) / 2
    return bool(((centres >= 0) & (centres <= np.array(size_wh))).all())


def assign_splits(texts: set[str], val: float, test: float, seed: int = 0) -> dict[str, str]:
    """Assign a split to each text by hash, so that a text keeps its split when others come or go.

    Raises:
        SourceError: if there are fewer than two texts.
    """
    if len(texts) < 2:
        raise SourceError(f"All pictures show the text {next(iter(texts))!r}: two different ones are the least.")
    place = {t: int.from_bytes(hashlib.sha256(f"{seed}:{t}".encode()).digest()[:8]) / 2**64 for t in texts}
    split = {t: "test" if p < test else "val" if p < test + val else "train" for t, p in place.items()}
    by_place = sorted(texts, key=lambda t: place[t])
    for needed, candidates in (("train", by_place[::-1]), ("val", by_place)):
        if needed not in split.values():  # so few texts that none fell there
            split[next(t for t in candidates if list(split.values()).count(split[t]) > 1 or len(texts) == 2)] = needed
    return split
