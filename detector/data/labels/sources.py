"""Read labelled images from disk as a :class:`Source`: each input is an item, or refused with a reason.

Labels come from label files (:mod:`detector.data.labels.formats` reads each), from a file beside each image, or from
the names of the images (:mod:`detector.data.labels.file_names`); :mod:`detector.data.labels.label_texts` says how a
label becomes a text.

**Which label files.** Those in the folder, otherwise those in subfolders; ``labels.csv`` and the like have priority.
Several are read together (``train.csv`` and ``val.csv``) unless they contradict each other. Character boxes that a
person drew (COCO, VOC, YOLO with names, Roboflow's CSV) are labels if there are no others, and are kept with their
image if they agree with its text.

**Paths** in label files are relative to the label file's folder, then to ``images/`` in it; if the caller named both a
label file and a root, the root comes first. Absolute paths, Windows separators and other Unicode compositions are
understood. A path that is not found is searched below the root by its last components, case-insensitively, and used if
exactly one file matches; the log says so.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from detector.data.folders.image_files import image_files, is_image_name
from detector.data.labels.entries import Entry, Listing, check_passed_over, first_reasons, writable
from detector.data.labels.file_names import NAME_FORMATS, Names, bare_stem, recognise_names, stem_of
from detector.data.labels.formats import SIDECAR_NAMES, TABLE_NAMES, Columns, DrawnBox
from detector.data.labels.label_texts import Spelling, are_marked_as_texts, are_whole_numbers, notes_on
from detector.data.labels.listings import (
    find_listings,
    folder_contents,
    join_listings,
    label_file,
    one_listing,
    passed_over_in_short,
    unreadable_folders,
)
from detector.data.labels.prelabels import DROPPED, PERSON, SURE
from detector.data.labels.shards import FORMAT as SHARDS
from detector.data.labels.shards import read_shards
from detector.data.labels.sidecars import read_beside
from detector.data.packs.shards import is_shards
from detector.data.text_files import is_utf8
from detector.errors import SourceError

FORMATS = (*NAME_FORMATS, *TABLE_NAMES, *SIDECAR_NAMES, SHARDS)
"""Values of ``labels`` besides "auto" and a file."""


class SpellingOptions(TypedDict, total=False):
    """Arguments of :func:`detector.convert` and others that say how labels are spelt, for who hands them on."""

    space: str | None
    upper: bool
    ignore: str
    text_column: str | None
    image_column: str | None


class LabelOptions(SpellingOptions, total=False):
    """All arguments of these functions that say how labels are read."""

    labels: str | os.PathLike[str]
    visual_order: bool


SPELLING, READ_BY = tuple(SpellingOptions.__annotations__), tuple(LabelOptions.__annotations__)
"""Names of the arguments of :class:`SpellingOptions` and of :class:`LabelOptions`."""


def absolute_labels(labels: str | os.PathLike[str]) -> str:
    """Return the option ``labels`` for any working folder: of a label file there its absolute path."""
    is_file = os.fspath(labels) not in ("auto", *FORMATS) and Path(labels).is_file()
    return os.path.abspath(labels) if is_file else os.fspath(labels)


def given_options(options: LabelOptions) -> dict[str, str | bool]:
    """Return the options that are no defaults, as plain values for any working folder."""
    values = {**options, "labels": absolute_labels(options.get("labels", "auto"))}
    return {name: value for name, value in values.items() if value not in ("auto", None, False, "")}  # type: ignore[misc]


_ACCEPTED = (
    "Accepted: a label file beside the images (CSV, TSV or JSON lines with columns like image,text; "
    "lines of path<TAB>text in a .txt file; JSON; drawn character boxes), a text file beside each image (x.gt.txt), "
    "or file names that are the texts (TEXT.png, TEXT_12.png, text_hash.jpg)."
)
_MAX_SHOWN = 4  # things of a kind in one message


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One picture that exists, and its text.

    ``path`` is the file; ``text`` is the label, normalised; ``name`` is the path relative to the source's
    root with ``/`` between folders, unique among the items of a source. ``boxes_xyxy``, float32 (n, 4) in pixels of the
    upright picture, are those that a person drew around the text's symbols, in its order without spaces; None if
    nobody did. ``confidence``, in [0, 1], is the probability that the text is right where a reader proposed it; None
    where a person says so.
    """

    path: Path
    text: str
    name: str
    boxes_xyxy: NDArray[np.float32] | None = field(default=None, compare=False)
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused input: its name (as listed if there is no such file; names may repeat) and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Source:
    """All inputs of one source, in order: each row (or file) is in ``items`` or in ``refused``.

    ``label_file`` is the first of ``label_files``, None if the labels are file names or files beside the images.
    ``detail`` describes for the log how it was read; ``notes`` are further log lines. ``unlisted`` counts pictures in
    the same folders that no row names, ``waiting`` those whose pre-label a person has to decide on; they are no inputs.
    ``searched`` says whether subfolders of the root were searched.
    """

    root: Path
    format: str
    label_files: tuple[Path, ...]
    detail: str
    items: list[LabelledImage]
    refused: list[Refused]
    unlisted: int = 0
    notes: tuple[str, ...] = ()
    searched: bool = False
    waiting: int = 0

    @property
    def label_file(self) -> Path | None:
        """The first label file."""
        return self.label_files[0] if self.label_files else None

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self.items) + len(self.refused)


def check_source(source: str | os.PathLike[str]) -> None:
    """Refuse a missing source, and what is neither a folder nor a file.

    Raises:
        SourceError: naming it.
    """
    path = Path(source)
    if not path.exists():
        raise SourceError(f"There is no file or folder {source}.")
    if not (path.is_dir() or path.is_file()):
        raise SourceError(f"{source} is a pipe, a socket or a device: give a folder of pictures, or a label file.")


def read_source(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] = "auto",
    space: str | None = None,
    upper: bool = False,
    ignore: str = "",
    text_column: str | None = None,
    image_column: str | None = None,
    visual_order: bool = False,
    keep: str = "",
) -> Source:
    """Read the labelled images of a folder, a label file or shards.

    Args:
        path: a folder, a label file (then its folder is the root), or a Parquet shard.
        labels: "auto"; one of :data:`FORMATS`; or a label file for the images in the folder ``path``.
        space: the stand-in for a space in labels, say ``"_"``.
        upper: whether texts are converted to upper case.
        ignore: signs that are removed from labels first, such as ``"-."``.
        text_column, image_column: names of columns or keys, where they are not the usual ones.
        visual_order: whether right-to-left labels are as typed; texts are in visual order.
        keep: symbols that are not normalised although they are compatibility forms: those of an alphabet.

    Raises:
        SourceError: if nothing usable is found, the source is ambiguous, or a label file cannot be decoded. Single bad
            rows are refused, not raised.
    """
    listing = read_listing(path, labels, space, ignore, (image_column, text_column))
    return _source_of(listing, Spelling(space, upper, ignore, keep, visual_order))


def read_listing(
    path: str | os.PathLike[str],
    labels: str | os.PathLike[str] = "auto",
    space: str | None = None,
    ignore: str = "",
    columns: Columns = (None, None),
) -> Listing:
    """Read the inputs of a source with their labels as they are spelt there; the arguments are :func:`read_source`'s.

    ``space`` and ``ignore`` are for names of files, of which their marks are no running numbers.
    """
    root = Path(os.path.abspath(path))
    check_source(root)
    return _listing(root, labels, columns, frozenset((space or "") + ignore) - {" ", "("})


def _source_of(listing: Listing, spelling: Spelling) -> Source:
    raws = [entry.raw for entry in listing.entries]
    marked = are_marked_as_texts(raws) and "'" not in spelling.keep
    return _spelt(listing, replace(spelling, whole_numbers=are_whole_numbers(raws), text_marks=marked))


def read_label_files(root: Path, but: Path, kind: str | None, **options: Unpack[SpellingOptions]) -> Source | None:
    """Read the label files of a folder, ``but`` one, of one format or any, as :func:`read_source` does; None if there
    are none, whatever names its pictures have.

    Raises:
        SourceError: if one is ambiguous or damaged.
    """
    columns = options.get("image_column"), options.get("text_column")
    listings, passed_over = find_listings(root, kind, columns, but)
    if not listings:
        return None
    spelling = Spelling(options.get("space"), options.get("upper", False), options.get("ignore", ""))
    return _source_of(join_listings(root, listings, passed_over), spelling)


def _listing(root: Path, labels: str | os.PathLike[str], columns: Columns, label_marks: frozenset[str]) -> Listing:
    """Read all inputs with their raw labels."""
    format_name = str(labels) if str(labels) in FORMATS else None
    if str(labels) != "auto" and format_name is None:
        if not root.is_dir():
            raise SourceError(f"{root} is a file: beside the label file {labels}, give the folder of the images.")
        return one_listing(root, label_file(labels, root, FORMATS), None, columns, is_named=True)
    if is_shards(root):
        if format_name not in (None, SHARDS):
            raise SourceError(f"{root} has the labels in Parquet, and not as {format_name}: leave the format out.")
        return read_shards(root, columns)
    if format_name == SHARDS:
        raise SourceError(f"{root} is no Parquet file and no folder of them: {folder_contents(root)}.")
    if root.is_file():
        if format_name in (*NAME_FORMATS, *SIDECAR_NAMES) or is_image_name(root.name):
            raise SourceError(f"{root} is a file: give the folder of the images, or a label file.")
        return one_listing(root.parent, root, format_name, columns)
    if format_name in NAME_FORMATS:
        return _name_listing(root, format_name, label_marks, {})
    passed_over: dict[str, str] = {}
    listings: list[Listing] = []
    if format_name not in SIDECAR_NAMES:
        listings, passed_over = find_listings(root, format_name, columns)
    if listings:
        return join_listings(root, listings, passed_over)
    if any(columns):
        reason = first_reasons(passed_over) or "there is no label file"
        raise SourceError(f"{root}: columns are named, by which no label file can be read: {reason}")
    if format_name not in TABLE_NAMES and (beside := read_beside(root, format_name, passed_over)) is not None:
        return beside
    if format_name:
        contents = f"{folder_contents(root)}. {first_reasons(passed_over)}".strip()
        raise SourceError(f"No {format_name} label file in {root}: {contents} {_ACCEPTED}")
    return _name_listing(root, None, label_marks, passed_over)


def _name_listing(
    root: Path, format_name: str | None, label_marks: frozenset[str], passed_over: dict[str, str]
) -> Listing:
    """Read labels from file names; a mark in ``label_marks`` is part of labels and starts no running number."""
    start = len(str(root / "x")) - 1
    files = list(image_files(root))
    names = [str(path)[start:] for path, problem in files if problem is None]
    entries = unreadable_folders(root, files)
    alternatives = " ".join(part for part in (first_reasons(passed_over), _ACCEPTED) if part)
    if not names:
        raise SourceError(f"No labelled images in {root}: {folder_contents(root)}. {alternatives}")
    names_format = (
        Names(format_name, label_marks)
        if format_name
        else recognise_names(names, str(root), folder_contents(root), label_marks, alternatives)
    )
    check_passed_over(root, names, passed_over)
    texts = [(name, names_format.text(name)) for name in names]
    for name, (raw, reason) in texts:
        entry_name = writable(name.replace(os.sep, "/"))
        if not reason and entry_name != name.replace(os.sep, "/"):
            reason = "the file name is not valid UTF-8"
        entries.append(Entry(entry_name, None if reason else str(root / name), raw, reason))
    detail = f"{names_format.kind}: the labels are the file names"
    detail += passed_over_in_short(passed_over)
    if numbered := [pair for pair in texts if names_format.kind == "names" and pair[1][0] != stem_of(pair[0])]:
        example = f"{stem_of(numbered[0][0])!r} is {numbered[0][1][0]!r}"
        detail += f"; {len(numbered)} end in a running number that is no text ({example})"
    if added := [name for name, _ in texts if stem_of(name) != bare_stem(name)]:
        detail += f"; {len(added)} have what programs add to names ({bare_stem(added[0])!r} is {stem_of(added[0])!r})"
    return Listing(root, names_format.kind, (), detail, entries, searched=True)


def _spelt(listing: Listing, spelling: Spelling) -> Source:
    """Convert labels to texts; refuse rows without text and images that are listed more than once."""
    outcomes: list[LabelledImage | Refused] = []
    first_outcome: dict[str, int] = {}  # path -> number of its first outcome
    repeats: dict[str, list[tuple[int, str]]] = {}
    unused_boxes = 0
    entries = [entry for entry in listing.entries if not entry.waits]
    waiting = len(listing.entries) - len(entries)
    as_drawn = replace(spelling, visual_order=False)  # drawn boxes are in the order of the picture whatever is typed
    for entry in entries:
        entry_spelling = as_drawn if entry.raw == "".join(box.symbol for box in entry.drawn) else spelling
        text = entry_spelling(entry.raw)
        dropped = "a person dropped it" if entry.status == DROPPED else ""
        reason = entry.reason or dropped or entry_spelling.problem(entry.raw) or _no_text(text)
        place_note = f" ({entry.place})" if entry.place else ""
        if reason or entry.path is None:
            outcomes.append(Refused(entry.name, reason + place_note))
            continue
        if entry.path in first_outcome:
            repeats.setdefault(entry.path, []).append((len(outcomes), text))
        first_outcome.setdefault(entry.path, len(outcomes))
        boxes = _boxes(entry.drawn, text, spelling)
        unused_boxes += bool(entry.drawn) and boxes is None
        confidence = entry.confidence if entry.status == SURE else None
        outcomes.append(LabelledImage(Path(entry.path), text, entry.name, boxes, confidence))
    for path, rows in repeats.items():
        _refuse_repeats(outcomes, entries, first_outcome[path], rows)
    items = [outcome for outcome in outcomes if isinstance(outcome, LabelledImage)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if waiting and not outcomes:
        raise SourceError(
            f"{listing.files[0]}: all {waiting} pre-labels wait for a person: put the right text and the status "
            f"{PERSON!r} into some rows first."
        )
    if not outcomes:
        raise SourceError(f"{', '.join(map(str, listing.files[:_MAX_SHOWN]))} lists no images. {_ACCEPTED}")
    listed = Counter(entry.path for entry in entries)
    usable = [e.raw for e in entries if e.path and not e.reason and listed[e.path] == 1]
    notes = [*listing.notes, *notes_on(usable, spelling)]
    if unused_boxes:
        notes.append(
            f"{unused_boxes} pictures have drawn boxes of other symbols than their text: these boxes are not used"
        )
    return Source(
        listing.root, listing.format, listing.files, listing.detail, items, refused, listing.unlisted,
        tuple(notes), listing.searched, waiting,
    )  # fmt: skip


def _no_text(text: str) -> str:
    if not is_utf8(text):
        return f"the label {writable(text)!r} is not valid Unicode"
    return "" if text else "the label is empty"


def _boxes(drawn_boxes: Sequence[DrawnBox], text: str, spelling: Spelling) -> NDArray[np.float32] | None:
    """Return the drawn boxes if they are of the text's symbols as it spells them, in its order; otherwise None."""
    spelt = [(symbol, box[1:]) for box in drawn_boxes if (symbol := spelling(box.symbol))]  # not of ignored signs
    if not spelt or [symbol for symbol, _ in spelt] != [sign for sign in text if not sign.isspace()]:
        return None
    return np.array([corners for _, corners in spelt], np.float32)  # (n, 4)


def _refuse_repeats(
    outcomes: list[LabelledImage | Refused], entries: Sequence[Entry], at: int, repeats: Sequence[tuple[int, str]]
) -> None:
    """Refuse all but the first row if the label is the same, all rows if labels differ."""
    first_item = outcomes[at]
    assert isinstance(first_item, LabelledImage)
    labels = {first_item.text: entries[at].place}
    for number, text in repeats:
        labels.setdefault(text, entries[number].place)
    if len(labels) > 1:
        listed = ", ".join(f"{text!r} in {place}" for text, place in list(labels.items())[:4])
        reason = f"listed with {len(labels)} different labels: {listed}"
        for number in (at, *(number for number, _ in repeats)):
            outcomes[number] = Refused(first_item.name, reason)
        return
    for number, _ in repeats:
        places = f"{entries[at].place} and {entries[number].place}"
        places = f"lines {entries[at].line} and {entries[number].line}" if places.count("line ") == 2 else places
        outcomes[number] = Refused(first_item.name, f"listed twice with the same label ({places})")


def reasons_of(refused: Sequence[tuple[str, str]]) -> str:
    """Summarise refused inputs, (name, reason) each: how many, and the first few reasons."""
    examples = "; ".join(f"{name}: {reason}" for name, reason in refused[:3])
    return f"{len(refused)} were refused, for example {examples}"
