"""The inputs of label files, and which files are read where a folder has several."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from detector.data.folders.image_files import is_image_name
from detector.data.labels.formats import TABLE_SUFFIXES, DrawnBox
from detector.data.labels.formats.drawn import NO_TEXTS
from detector.data.labels.formats.other import SPREADSHEETS, description_of
from detector.data.labels.prelabels import DOUBTFUL, DROPPED, PERSON, UNREADABLE
from detector.errors import SourceError, abridged, argument

MAX_SHOWN = 6
"""Files in one message."""

_MAX_REASONS = 4  # in one message
_MIN_STEM = 4  # characters of a name without its ending, which is no word or number of another table by chance
_LOOKED_INTO = 1 << 20  # bytes
_FIELD_ENDS, _NESTED_ENDS = re.compile(r"[,;\t|]"), re.compile(r"[,;\t|:\"<>{}\[\]]")
_MIN_CONSTANT = 4  # so many rows with one and the same text may be no list of labels


class Entry(NamedTuple):
    """One input: its name, the picture (None if missing), the raw label, and why it cannot be used."""

    name: str
    path: str | None
    raw: str
    reason: str = ""
    line: int = 0
    place: str = ""
    drawn: tuple[DrawnBox, ...] = ()
    status: str = PERSON
    confidence: float = 1.0

    @property
    def waits(self) -> bool:
        """Whether it is no input yet: a pre-label that a person has to decide on."""
        return not self.reason and self.status in (DOUBTFUL, UNREADABLE)

    @property
    def rank(self) -> int:
        """Which row of a picture goes before those of other files: 0 a person drops it, 1 a person, 2 a reader."""
        return {DROPPED: 0, PERSON: 1}.get(self.status, 2)


@dataclass(frozen=True)
class Listing:
    """The inputs of one source or label file; the fields are those of a source, ``second_choice`` that of a table."""

    root: Path
    format: str
    files: tuple[Path, ...]
    detail: str
    entries: list[Entry]
    unlisted: int = 0
    notes: tuple[str, ...] = ()
    searched: bool = False
    second_choice: bool = False

    @cached_property
    def labels(self) -> dict[str, Entry]:
        """Row of each usable picture, that of a person who drops it, too."""
        return {
            entry.path: entry
            for entry in self.entries
            if entry.path is not None and not entry.reason and not entry.waits
        }

    @cached_property
    def is_drawn(self) -> bool:
        """Whether its labels are drawn boxes."""
        return any(entry.drawn for entry in self.entries)

    @property
    def is_called_labels(self) -> bool:
        """Whether its file's name says that it has labels."""
        return self.files[0].stem.lower() == "labels"

    @property
    def is_constant(self) -> bool:
        """Whether all its labels are the same: it may list something else, such as a processing state."""
        return (
            not self.is_called_labels
            and len(self.entries) >= _MIN_CONSTANT
            and len({entry.raw for entry in self.entries}) == 1
        )

    @property
    def names_pictures(self) -> bool:
        """Whether most of its rows name picture files, existing or not."""
        named = sum(is_image_name(os.path.basename(entry.name)) for entry in self.entries)
        return not self.entries or 2 * named > len(self.entries)


def chosen_listings(root: Path, listings: list[Listing], passed_over: dict[str, str]) -> list[Listing]:
    """Choose the label files that are read: no second choices beside others, no subsets of others, no states of files.

    Raises:
        SourceError: if two have different labels for one picture.
    """
    first_choices = [listing for listing in listings if not listing.second_choice]
    texts_of = {path for listing in first_choices if not listing.is_constant for path in listing.labels}
    first_choices = [
        listing for listing in first_choices if not (listing.is_constant and listing.labels.keys() <= texts_of)
    ] or listings
    texts = [listing for listing in first_choices if not listing.is_drawn] or first_choices
    called_so = {listing.files[0].parent for listing in texts if listing.is_called_labels}
    text_listings: list[Listing] = []
    for listing in sorted(texts, key=lambda listing: -len(listing.labels)):
        if listing.files[0].parent in called_so and not listing.is_called_labels:
            continue
        if not any(_covers(other, listing) for other in text_listings):
            text_listings.append(listing)
    text_listings = [listing for listing in listings if listing in text_listings]  # in the order of their names
    for i, listing in enumerate(text_listings):
        for other in text_listings[i + 1 :]:
            for path in listing.labels.keys() & other.labels.keys():
                if _contradict(listing.labels[path], other.labels[path]):
                    raise _contradiction(root, text_listings, listing, other, path)
    box_listings = [listing for listing in first_choices if listing.is_drawn]
    box_listings = [] if any(listing.is_drawn for listing in text_listings) else box_listings
    unread = [listing for listing in listings if listing not in text_listings and listing not in box_listings]
    passed_over |= {name_below(root, listing.files[0]): "" for listing in unread}
    return [_with_boxes(listing, box_listings) for listing in text_listings]


def _covers(other: Listing, listing: Listing) -> bool:
    """Test whether all that a label file says is said by another, where a person's row goes before a reader's."""
    pairs = ((entry, other.labels.get(path)) for path, entry in listing.labels.items())
    return all(row and (row.rank == 0 or (row.rank <= entry.rank and row.raw == entry.raw)) for entry, row in pairs)


def _contradict(one: Entry, other: Entry) -> bool:
    """Test whether neither of two labels of a picture goes before the other, and their texts differ."""
    return one.rank == other.rank != 0 and one.raw.strip() != other.raw.strip()


def before_others(entries: list[Entry]) -> list[Entry]:
    """Leave out rows of pictures for which another file's go before them, as a person's do before a reader's."""
    best: dict[str | None, int] = {}
    for entry in entries:
        if not entry.reason:
            best[entry.path] = min(entry.rank, best.get(entry.path, entry.rank))
    return [entry for entry in entries if entry.reason or entry.rank == best[entry.path]]


def _contradiction(root: Path, listings: Sequence[Listing], listing: Listing, other: Listing, path: str) -> SourceError:
    names = abridged(details_of(root, listings), MAX_SHOWN)
    label = f"{name_below(root, path)} is {listing.labels[path].raw[:40]!r} in {name_below(root, listing.files[0])}"
    return SourceError(
        f"{root} has {len(listings)} label files: {names}, and {label}, {other.labels[path].raw[:40]!r} in "
        f"{name_below(root, other.files[0])}. Choose one, say {argument('labels', listing.files[0])}."
    )


def details_of(root: Path, listings: Iterable[Listing]) -> list[str]:
    """Return how each label file was read, with its path below the root."""
    return [one.detail.replace(one.files[0].name, name_below(root, one.files[0]), 1) for one in listings]


def _with_boxes(listing: Listing, box_listings: Sequence[Listing]) -> Listing:
    """Add boxes that another file has of its pictures."""
    if not box_listings:
        return listing
    boxes = {entry.path: entry.drawn for other in box_listings for entry in other.entries if entry.drawn}
    entries = [entry._replace(drawn=boxes.get(entry.path, ())) for entry in listing.entries]
    names = ", ".join(other.files[0].name for other in box_listings)
    return replace(listing, entries=entries, detail=f"{listing.detail}; drawn boxes from {names}")


def first_reasons(passed_over: dict[str, str]) -> str:
    """Tell why files were skipped, the first few."""
    reasons = [reason for reason in passed_over.values() if reason]
    remainder = f" (and {len(reasons) - _MAX_REASONS} more)" if len(reasons) > _MAX_REASONS else ""
    return " ".join(reasons[:_MAX_REASONS]) + remainder


def check_passed_over(root: Path, names: Collection[str], passed_over: dict[str, str]) -> None:
    """Refuse to take the names of pictures for labels beside a table that may have their labels and cannot be read.

    Args:
        root: the folder.
        names: paths of its pictures relative to it.
        passed_over: why files were skipped, by name.

    Raises:
        SourceError: with the reasons.
    """
    stems = {os.path.splitext(os.path.basename(name))[0].casefold() for name in names} if passed_over else set()
    unread = {
        name: reason for name, reason in passed_over.items()
        if not reason.rstrip(".").endswith(NO_TEXTS) and (_is_spreadsheet(root / name) or _lists(root / name, stems))
    }  # fmt: skip
    if unread:
        raise SourceError(
            f"{root} has tables that may have the labels of its pictures and are not read: {first_reasons(unread)} "
            f"{argument('labels', 'names')} takes the names of the pictures all the same."
        )


def _is_spreadsheet(file: Path) -> bool:
    """Test whether a file is a spreadsheet, which may list anything, by its ending and its content."""
    return file.suffix.lower() in {*SPREADSHEETS, *TABLE_SUFFIXES} and "spreadsheet" in description_of(file)


def _lists(file: Path, stems: Collection[str]) -> bool:
    """Test whether a text file, in whatever encoding, lists pictures of these names with something beside them.

    Prose that mentions some, a log, and a list of nothing but names are no such file.
    """
    if file.suffix.lower() not in TABLE_SUFFIXES or not file.is_file():
        return False
    try:
        with open(file, "rb") as stream:
            data = stream.read(_LOOKED_INTO)
    except OSError:
        return False
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if is_wide else "utf-8-sig", "replace").replace("\0", "")
    is_nested = text.lstrip()[:1] in ("{", "[", "<")
    listed: set[str] = set()
    lines = listing_lines = 0
    for line in filter(str.strip, text.splitlines()):
        fields = [
            part for field in (_NESTED_ENDS if is_nested else _FIELD_ENDS).split(line) if (part := field.strip(" '\""))
        ]
        of_pictures = [stem for stem in map(_stem_in, fields) if stem in stems]
        lines += 1
        if is_nested or len(of_pictures) < len(fields):
            listing_lines += bool(of_pictures)
            listed.update(of_pictures)
    are_many = len(listed) > 1 if is_nested else 4 * listing_lines >= lines
    return bool(listed) and (are_many or 2 * len(listed) >= len(stems))


def _stem_in(field: str) -> str:
    """Name of a picture without its ending, as a field may have it; "" where it has none."""
    name = os.path.basename(field.replace("\\", "/"))
    stem = os.path.splitext(name)[0] if is_image_name(name) else name
    return stem.casefold() if stem != name or len(stem) >= _MIN_STEM else ""


def writable(text: str) -> str:
    """Escape what UTF-8 cannot encode (surrogates of broken names)."""
    return text.encode("utf-8", "backslashreplace").decode()


def name_below(root: Path, path: Path | str) -> str:
    """Path relative to the root, with ``/`` between folders."""
    prefix, full = os.path.join(root, ""), str(path)
    below = full[len(prefix) :] if full.startswith(prefix) else os.path.relpath(full, root)
    return below.replace(os.sep, "/")
