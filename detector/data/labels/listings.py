"""Find the label files of a folder, and the picture of each of their rows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from detector.data.folders.image_files import image_files, is_image_name
from detector.data.labels.entries import (
    MAX_SHOWN,
    Entry,
    Listing,
    before_others,
    chosen_listings,
    details_of,
    name_below,
    writable,
)
from detector.data.labels.formats import (
    SIDECARS,
    TABLE_SUFFIXES,
    Columns,
    Folders,
    Row,
    Table,
    recognise,
)
from detector.data.labels.formats.folders import Guess, Tails
from detector.data.labels.formats.other import SUFFIXES as OTHER_SUFFIXES
from detector.data.labels.formats.other import description_of
from detector.data.text_files import is_utf8
from detector.errors import ImageError, SourceError, abridged, argument

_BESIDE_SUFFIXES = frozenset(os.path.splitext(f"x{sidecar.suffix}")[1] for sidecar in SIDECARS)
_FIRST = frozenset({"csv", "tsv", "jsonl"})  # endings of the labels.* that is read whatever other tables there are


def label_file(name: str | os.PathLike[str], root: Path, formats: Sequence[str]) -> Path:
    """Find the label file of that name, in the working directory or in the root.

    Raises:
        SourceError: if there is none, or another in each and the name does not say which: a path that is absolute or
            begins with ``./`` or ``../`` is the working directory's.
    """
    files = [Path(os.path.abspath(file)) for file in (name, root / name) if os.path.isfile(file)]
    if not files:
        raise SourceError(
            f"{argument('labels', name)}: there is no such file. Give a label file, auto, or one of "
            f"{', '.join(formats)}."
        )
    says_which = Path(name).is_absolute() or os.fspath(name).replace(os.sep, "/").startswith(("./", "../"))
    if len(files) > 1 and not says_which and not os.path.samefile(*files):
        raise SourceError(
            f"{argument('labels', name)} may be {files[0]} or {files[1]}. Say {argument('labels', files[0])} or "
            f"{argument('labels', files[1])}."
        )
    return files[0]


def one_listing(root: Path, file: Path, format_name: str | None, columns: Columns, is_named: bool = False) -> Listing:
    """Read the inputs of one label file; if ``is_named`` beside a folder of images, that folder is searched first."""
    table = recognise(file, format_name, columns, [root] if is_named else ())
    if not is_named:
        return _resolved(root, table, table.bases, Tails(root))
    listing = _resolved(root, table, [root, file.parent, file.parent / "images"], Tails(root))
    return replace(listing, detail=listing.detail.replace(file.name, str(file), 1))  # which of some with that name


def find_listings(
    root: Path, format_name: str | None, columns: Columns, but: Path | None = None
) -> tuple[list[Listing], dict[str, str]]:
    """Find the label files in ``root``, otherwise those below it, ``but`` one; and why others were skipped, by name."""
    tails = Tails(root)
    passed_over: dict[str, str] = {}
    problem: SourceError | None = None
    useless: list[Listing] = []
    for folders in ([root], _folders_below(root)):
        listings: list[Listing] = []
        for folder in folders:
            tables, error = _tables(root, folder, format_name, columns, passed_over, tails, but)
            problem = problem or error
            listings += [_resolved(root, table, table.bases, tails) for table in tables]
        listings_with_labels = [listing for listing in listings if listing.labels]
        useless += [listing for listing in listings if not listing.labels]
        if listings_with_labels:
            for listing in useless:
                passed_over[name_below(root, listing.files[0])] = _without_pictures(listing)
            return chosen_listings(root, listings_with_labels, passed_over), passed_over
        if problem is not None and folders == [root]:
            raise problem
    for listing in useless:
        if format_name or listing.names_pictures:
            return [listing], passed_over
        passed_over[name_below(root, listing.files[0])] = _without_pictures(listing)
    return [], passed_over


def _without_pictures(listing: Listing) -> str:
    """Say that no row of a label file has a picture and a label, with the first row's reason."""
    refused = next((entry for entry in listing.entries if entry.reason), None)
    example = f", for example: {refused.reason} ({refused.place or refused.name})" if refused else ""
    return f"{listing.files[0].name}: none of its pictures is there{example}."


def _folders_below(root: Path) -> list[Path]:
    folders = []
    for folder, below, _ in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        folders.append(Path(folder))
    return folders[1:]


def _tables(
    root: Path, folder: Path, format_name: str | None, columns: Columns, passed_over: dict[str, str], tails: Tails,
    but: Path | None,
) -> tuple[list[Table], SourceError | None]:  # fmt: skip
    """Recognise the label files of a folder, ``but`` one; also the error of a file that is named labels.

    Raises:
        SourceError: if a table that goes before all others cannot be read, and others can.
    """
    listing = Folders([folder]).listing(str(folder))
    pictures = {os.path.splitext(name)[0] for name in listing if is_image_name(name)}  # x.txt beside x.png is no list
    tables: list[Table] = []
    problem: SourceError | None = None
    is_first = False  # whether the problem is that of the table that goes before others
    for name in sorted(listing):
        stem, suffix = os.path.splitext(name)
        relative = name_below(root, folder / name)
        if not format_name and suffix.lower() in OTHER_SUFFIXES and (description := description_of(folder / name)):
            passed_over[relative] = f"{name} is {description}."
        is_elsewhere = folder != root and suffix.lower() in _BESIDE_SUFFIXES and tails.has_stem(stem)
        beside = stem.removesuffix(".gt") in pictures or is_elsewhere
        if name.startswith(".") or suffix.lower() not in TABLE_SUFFIXES or beside or folder / name == but:
            continue
        try:
            tables.append(_recognised(folder / name, format_name, columns))
        except SourceError as error:
            passed_over[relative] = str(error).replace(str(folder / name), name)
            if stem.lower() == "labels":
                kind = suffix.lower().removeprefix(".")  # a labels.txt may as well be a list of classes
                problem = problem if is_first else error
                is_first |= folder == root and kind in _FIRST and format_name in (None, kind)
    if is_first and tables:
        choice = argument("labels", tables[0].file)
        raise SourceError(f"{problem} It goes before other label files: mend it, or choose another, say {choice}.")
    return tables, None if tables else problem


def join_listings(root: Path, listings: Sequence[Listing], passed_over: dict[str, str]) -> Listing:
    """Join the inputs of some label files."""
    detail = abridged(details_of(root, listings), MAX_SHOWN) + passed_over_in_short(passed_over)
    entries = [entry for listing in listings for entry in listing.entries]
    if len(listings) > 1:  # a line number alone is ambiguous
        entries = [
            entry._replace(place=entry.place and f"{name_below(root, listing.files[0])}, {entry.place}")
            for listing in listings
            for entry in listing.entries
        ]
        entries = before_others(entries)
    listed = {entry.path for entry in entries}
    searched = any(listing.searched or listing.files[0].parent != root for listing in listings)
    unlisted = listings[0].unlisted
    if len(listings) > 1 or listings[0].files[0].parent != root:
        files = list(image_files(root)) if searched else []
        picture_count = sum(problem is None for _, problem in files) if searched else _pictures_in(listed)
        unlisted = max(0, picture_count - len(listed - {None}))
        entries = [*entries, *unreadable_folders(root, files)]
    return Listing(
        root,
        listings[0].format,
        tuple(file for listing in listings for file in listing.files),
        detail,
        entries,
        unlisted,
        tuple(note for listing in listings for note in listing.notes),
        searched,
    )


def unreadable_folders(root: Path, files: Iterable[tuple[Path, ImageError | None]]) -> list[Entry]:
    """Return an input for each folder below the root that could not be searched."""
    return [Entry(writable(name_below(root, path)), None, "", str(problem)) for path, problem in files if problem]


def _pictures_in(paths: Collection[str | None]) -> int:
    """Count the pictures in the folders of these paths."""
    folders = {os.path.dirname(path) for path in paths if path}
    return sum(is_image_name(name) for folder in folders for name in Folders([]).listing(folder))


def _recognised(file: Path, format_name: str | None, columns: Columns) -> Table:
    """Recognise a label file that nobody named: what a reader read is none."""
    table = recognise(file, format_name, columns)
    if table.has_readings:
        say_so = argument("labels", file)
        raise SourceError(
            f"{file} has readings of `detector predict`, which are labels only where you say so: {say_so}."
        )
    return table


def _resolved(root: Path, table: Table, bases: Sequence[Path], tails: Tails) -> Listing:
    """Find the image of every row, and refuse rows without one."""
    folders = Folders(bases)
    rows = [row._replace(image=_as_listed(row.image, folders)) for row in table.rows()]
    path_of = {image: folders.find(image) for image in dict.fromkeys(row.image for row in rows) if image}
    missing = [image for image, path in path_of.items() if path is None]
    guesses = tails.guesses(missing, table.file, {i: path for i, path in path_of.items() if path}) if missing else {}
    path_of |= {image: guess.path or None for image, guess in guesses.items()}
    entries = [_entry(root, table, row, path_of.get(row.image), guesses.get(row.image), bases) for row in rows]
    images = sum(is_image_name(name) for names in folders.listings.values() for name in names)
    pictures = [path for path in path_of.values() if path and is_image_name(os.path.basename(path))]
    in_listings = len({p for p in pictures if os.path.basename(p) in folders.listings.get(os.path.dirname(p), ())})
    notes = *_note_on_readings(table), *_note_on_guesses(root, table, path_of, guesses)
    return Listing(
        root, table.format, (table.file,), str(table), entries, images - in_listings, notes, bool(guesses),
        table.second_choice,
    )  # fmt: skip


def _as_listed(name: str, folders: Folders) -> str:
    """Strip a name of blanks, which are part of few names and of many tables."""
    plain = name.strip()
    return name if plain != name and folders.find(name) and not folders.find(plain) else plain


def _entry(root: Path, table: Table, row: Row, path: str | None, guess: Guess | None, bases: Sequence[Path]) -> Entry:
    place = f"line {row.line}" if row.line else ""
    if path is None:
        name = writable(row.image.replace("\\", "/"))[:300] or f"{table.file.name}:{row.line}"
        reason = row.problem or (_missing(row.image, guess, bases) if row.image else "no image is named")
        return Entry(name, None, row.text, reason, row.line, place)
    reason = row.problem or ("" if is_utf8(row.image) else "the file name is not valid UTF-8")
    return Entry(writable(name_below(root, path)), path, row.text, reason, row.line, place, row.drawn,
                 row.status, row.confidence)  # fmt: skip


def _missing(listed: str, guess: Guess | None, bases: Sequence[Path]) -> str:
    path = writable(listed)
    path = path if len(path) <= 300 else f"{path[:300]}…"
    why = f"; {guess.how}" if guess is not None and guess.how else ""
    return f"no such file: {path}, looked for in {', '.join(map(str, dict.fromkeys(bases)))}{why}"


def _note_on_readings(table: Table) -> tuple[str, ...]:
    """Return one log line where the labels are a reader's."""
    note = "the labels are readings of `detector predict`, right only as far as a person has looked at them"
    return (f"{table.file.name}: {note}",) if table.has_readings else ()


def _note_on_guesses(
    root: Path, table: Table, path_of: dict[str, str | None], guesses: dict[str, Guess]
) -> tuple[str, ...]:
    """Return one log line about all paths that were not found as listed."""
    matches = {listed: guess for listed, guess in guesses.items() if guess.path}
    if not matches:
        return ()
    listed, guess = next(iter(matches.items()))
    kinds = Counter(guess.how for guess in matches.values())
    choices = " or ".join(kinds)
    example = f"{writable(listed)[:200]} is {writable(name_below(root, guess.path))}"
    return (f"{len(matches)} of {len(path_of)} paths in {table.file.name} were found only {choices}, as {example}",)


def passed_over_in_short(passed_over: dict[str, str]) -> str:
    """Name skipped files, the first few, for the log."""
    if not passed_over:
        return ""
    return f"; passed over: {abridged(passed_over, MAX_SHOWN)}"


def folder_contents(root: Path) -> str:
    """Describe how many files of which kinds a folder holds."""
    walked = list(os.walk(root))
    suffixes = Counter(os.path.splitext(name)[1].lower() or "without suffix" for _, _, n in walked for name in n)
    kinds = ", ".join(
        f"{times} {suffix}" for suffix, times in sorted(suffixes.items(), key=lambda x: (-x[1], x[0]))[:6]
    )
    contents = f"{suffixes.total()} files ({kinds})" if kinds else "no files at all"
    links = [os.path.join(folder, name) for folder, names, _ in walked for name in names]
    links = [name_below(root, path) for path in links if os.path.islink(path)]
    return f"{contents}, and links to folders, which are not followed ({abridged(links, 3)})" if links else contents
