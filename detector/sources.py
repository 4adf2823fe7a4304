"""Labelled images on disk -> :class:`Source`: every input either an item or refused, with the reason.

=============  =====================================================================================
``names``      ``TEXT.png``, ``TEXT_12.png``, ``TEXT-0.jpg``, ``TEXT (2).png``: the file name is the text
``hash-names`` ``text_hash.jpg`` of dddd_trainer: the text is what stands before the last ``_``
``csv``        a header with a column of images and one of texts, in any order; or two columns, no header;
``tsv``        fields between commas, semicolons or tabs, quoted where needed
``jsonl``      one JSON object a line, with such keys
``paddleocr``  ``path<TAB>text``, no header, no quotes; ``["a.jpg", "b.jpg"]<TAB>text`` is two images
``dddd``       ``labels.txt`` of dddd_trainer: the same, paths relative to ``images/`` beside it
=============  =====================================================================================

**Texts** are put in Unicode's composed form (NFC). Blanks at the end are dropped, inner ones kept. Blanks at the
start are kept, unless most lines of a table have a blank after every delimiter: those count only inside quotes. With
a declared stand-in, plain blanks at both ends are dropped first, then every stand-in becomes a blank. dddd_trainer
deletes blanks from its labels; here they are symbols and stay.

**Running numbers** in ``names``: one ``_digits``, ``-digits`` or `` (digits)`` at the end of the name is a number,
not text, unless nothing stands before it or its ``_`` or ``-`` is the declared stand-in: with ``blank="_"``,
``AB_12.png`` reads ``AB 12`` and ``AB_12-0.png`` reads ``AB 12`` too.

**Paths** in label files are tried relative to the label file's folder, then to ``images/`` in it, then to the root.
If the caller named both a label file and a root, the root comes first; ``dddd`` tries ``images/`` first. Absolute
paths and Windows separators are understood, and accents may be composed otherwise. Existence is looked up in one
listing a folder, not file by file.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from detector.errors import SourceError
from detector.images import image_files, is_image_name
from detector.label_files import (
    OTHER_SUFFIXES,
    TABLE_FORMATS,
    Columns,
    Folders,
    Row,
    Table,
    other_kind,
    read_rows,
    recognise,
)

FORMATS = ("names", "hash-names", *TABLE_FORMATS)
"""What ``labels`` may name beside "auto" and a file."""

_ACCEPTED = (
    "Accepted: a label file beside the images (CSV, TSV or JSON lines with columns like image,text; "
    "lines of path<TAB>text in a .txt file), or file names that are the texts (TEXT.png, TEXT_12.png, text_hash.jpg)."
)
_RUNNING_NUMBER = re.compile(r"(?:[_-][0-9]+| ?\([0-9]+\))$")
_HASHED = re.compile(r"(.+)_([0-9A-Za-z]+)$", re.DOTALL)
_HASH_TAIL = re.compile(r"._[0-9a-fA-F]{8,}$")
_PLAIN_BLANKS = " \t\r\n"

Spell = Callable[[str], str]
"""A label as it stands in a file -> the text: :func:`label_text` with the choices made for a source."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One picture that exists, and its text.

    ``path`` opens it; ``text`` is as labelled, by the module's rules; ``name`` is the path relative to the source's
    root with ``/`` between folders, unique among the items of a source.
    """

    path: Path
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Refused:
    """One input that is no item: its name (as listed if there is no such file; names repeat if lines do) and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Source:
    """All inputs of one source, in their order: each line (or file) is in ``items`` or in ``refused``.

    ``label_file`` is None if the names are the labels. ``detail`` says for the log how it was read. ``unlisted``
    counts pictures in the folders looked into that no line names; they are no inputs.
    """

    root: Path
    format: str
    label_file: Path | None
    detail: str
    items: list[LabelledImage]
    refused: list[Refused]
    unlisted: int = 0

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self.items) + len(self.refused)


def check_source(source: str | Path) -> None:
    """Refuse what is not there.

    Raises:
        SourceError: naming it.
    """
    if not Path(source).exists():
        raise SourceError(f"There is no file or folder {source}.")


def read_source(
    path: str | Path,
    *,
    labels: str | Path = "auto",
    blank: str | None = None,
    upper: bool = False,
    ignore: str = "",
    text_column: str | None = None,
    image_column: str | None = None,
) -> Source:
    """Find the labelled images of a folder or label file.

    Args:
        path: a folder, or a label file (then its folder is the root).
        labels: "auto"; one of :data:`FORMATS`; or a label file for the images in the folder ``path``.
        blank: the stand-in for a blank in labels, say ``"_"``.
        upper: whether texts are turned into upper case.
        ignore: signs that are taken out of labels before anything else, say ``"-."``.
        text_column, image_column: names of columns or keys, where they are not the usual ones.

    Raises:
        SourceError: if nothing usable is found, more than one reading is plausible, or a label file cannot be
            decoded. Single bad lines are refused, not raised.
    """
    root, columns = Path(os.path.abspath(path)), (image_column, text_column)
    wanted = str(labels) if str(labels) in FORMATS else None
    spell = partial(label_text, blank=blank, upper=upper, ignore=ignore)
    meant = {"_", "-"}.intersection((blank or "") + ignore)
    check_source(root)
    if str(labels) != "auto" and wanted is None:
        if not root.is_dir():
            raise SourceError(f"{root} is a file: beside the label file {labels}, give the folder of the images.")
        table = recognise(_label_file(labels, root), None, columns, [root])
        folder = table.file.parent
        return _read_table(root, table, [root, folder, folder / "images"], spell)
    if root.is_file():
        if wanted in ("names", "hash-names") or is_image_name(root.name):
            raise SourceError(f"{root} is a file: give the folder of the images, or a label file.")
        table, root = recognise(root, wanted, columns), root.parent
        return _read_table(root, table, _bases(table), spell)
    if wanted in ("names", "hash-names"):
        return _read_names(root, wanted, spell, meant, {})
    found, passed_over = _find_table(root, wanted, columns)
    if found is None:
        if any(columns):
            why = " ".join(passed_over.values()) or "there is no label file"
            raise SourceError(f"{root}: columns are named, by which no label file can be read: {why}")
        return _read_names(root, None, spell, meant, passed_over)
    return _read_table(root, found, _bases(found), spell, passed_over)


def label_text(raw: str, blank: str | None = None, upper: bool = False, ignore: str = "") -> str:
    """A label as it stands in a file -> the text, by the module's rules; "" if there is none."""
    text = unicodedata.normalize("NFC", raw)
    for sign in ignore:
        text = text.replace(sign, "")
    if blank and blank != " ":
        text = text.strip(_PLAIN_BLANKS).replace(unicodedata.normalize("NFC", blank), " ")
    text = text.rstrip(_PLAIN_BLANKS)
    return unicodedata.normalize("NFC", text.upper()) if upper else text


# --- file names ---------------------------------------------------------------------------------------------------


def _without_number(stem: str, meant: set[str]) -> str:
    """The name without a running number at its end."""
    match = _RUNNING_NUMBER.search(stem)
    return stem[: match.start()] if match and match.start() and match[0][0] not in meant else stem


def _read_names(root: Path, wanted: str | None, spell: Spell, meant: set[str], passed_over: dict[str, str]) -> Source:
    """Texts from file names; a mark in ``meant`` is a part of labels and does not begin a running number."""
    start = len(str(root / "x")) - 1
    files = list(image_files(root))
    names = [str(path)[start:] for path, problem in files if problem is None]
    unread = [
        Refused(_writable(str(path)[start:].replace(os.sep, "/")), str(problem)) for path, problem in files if problem
    ]
    stems = [os.path.splitext(os.path.basename(name))[0] for name in names]
    kind = wanted
    if not names:
        raise SourceError(f"No labelled images in {root}: {_what_is_there(root)}. {_ACCEPTED}")
    if kind is None:
        doubt = _not_texts(stems, meant)
        if doubt:
            raise SourceError(
                f"{root} has {_what_is_there(root)} and no label file; the names of the images are hardly their texts: "
                f"{doubt}. {' '.join([*passed_over.values(), _ACCEPTED])} "
                "--labels names takes the names all the same."
            )
        hashed = 0 if "_" in meant else sum(_HASH_TAIL.search(stem) is not None for stem in stems)
        kind = "hash-names" if hashed >= 0.9 * len(stems) else "names"
        if kind == "names" and (odd := _no_running_number(stems, meant)):
            text = _without_number(odd, meant)
            raise SourceError(
                f"The names of the images in {root} can be read in more than one way: is {odd!r} the text {text!r} and "
                f"a running number? The numbers are too odd for that. --ignore '{odd[len(text)]}' takes the digits as "
                "text, --labels names takes them for numbers."
            )
    items: list[LabelledImage] = []
    refused = unread
    numbered, example = 0, ""
    for name, stem in zip(names, stems, strict=True):
        raw, reason = stem, ""
        if kind == "hash-names":
            match = _HASHED.fullmatch(stem)
            raw, reason = (match[1], "") if match else ("", "the name has no text, _ and letters or digits (text_hash)")
        elif (raw := _without_number(stem, meant)) != stem:
            numbered += 1
            example = example or f"{stem!r} is {raw!r}"
        text, shown = spell(raw), _writable(name.replace(os.sep, "/"))
        if not reason and shown != name.replace(os.sep, "/"):
            reason = "the file name is not valid UTF-8"
        reason = reason or ("" if text else "the label is empty")
        if reason:
            refused.append(Refused(shown, reason))
        else:
            items.append(LabelledImage(root / name, text, shown))
    detail = f"{kind}: the labels are the file names"
    detail += f"; passed over: {', '.join(passed_over)}" if passed_over else ""
    detail += f"; {numbered} end in a running number that is no text ({example})" if numbered else ""
    return Source(root, kind, None, detail, items, refused)


def _no_running_number(stems: Sequence[str], meant: set[str]) -> str:
    """One of these names if most end in ``_`` or ``-`` and digits that nobody counted with, as plates do (51F-88270).

    Who counts begins at 0 or 1, for each text or for all of them, and leaves out few numbers. "" if they did.
    """
    numbers: dict[str, set[int]] = {}
    long, first = 0, ""
    for stem in stems:
        text = _without_number(stem, meant)
        if text != stem and stem[len(text)] in "_-":
            digits = stem[len(text) + 1 :]
            numbers.setdefault(text, set()).add(int(digits))
            long += len(digits) >= 3
            first = first or stem
    if len(stems) < 4 or 2 * long <= len(stems):
        return ""
    counted = sum(len(own) for own in numbers.values() if max(own) - len(own) in (-1, 0))
    every = set().union(*numbers.values())
    total = sum(map(len, numbers.values()))
    for_all = len(every) >= 0.99 * total and max(every) - min(every) < 10 * total
    return "" if counted >= 0.9 * total or for_all else first


def _not_texts(stems: Sequence[str], meant: set[str]) -> str:
    """Why these file names are hardly texts, or "". Few names are always taken for texts."""
    some = ", ".join(repr(stem) for stem in stems[:3])
    texts = [_without_number(stem, meant) for stem in stems]
    if len(stems) < 4:
        return ""
    if len(set(texts)) == 1:
        return f"they differ by a running number only ({some})"
    if all(text.isascii() and text.isdigit() for text in texts):
        numbers = {int(text) for text in texts}
        if len(numbers) == len(texts) and max(numbers) - min(numbers) < len(numbers) + len(numbers) // 10:
            return f"they are running numbers ({some})"
    if 2 * sum(len(text) > 24 and not _HASH_TAIL.search(text) for text in texts) > len(texts):
        return f"they are long ({some})"
    template, times = Counter(re.sub(r"[0-9]+", "#", stem) for stem in stems).most_common(1)[0]
    if times > len(stems) / 2 and "#" in template and re.search(r"[^\W\d_]{3}", template):
        return f"most differ by numbers only ({some})"
    return ""


def _what_is_there(root: Path) -> str:
    suffixes = Counter(os.path.splitext(name)[1].lower() or "without suffix" for _, _, n in os.walk(root) for name in n)
    kinds = ", ".join(
        f"{times} {suffix}" for suffix, times in sorted(suffixes.items(), key=lambda x: (-x[1], x[0]))[:6]
    )
    return f"{suffixes.total()} files ({kinds})" if kinds else "no files at all"


# --- label files ---------------------------------------------------------------------------------------------------


def _label_file(named: str | Path, root: Path) -> Path:
    for file in (Path(named), root / named):
        if file.is_file():
            return Path(os.path.abspath(file))
    raise SourceError(
        f"--labels {named}: there is no such file. Give a label file, auto, or one of {', '.join(FORMATS)}."
    )


def _find_table(root: Path, wanted: str | None, columns: Columns) -> tuple[Table | None, dict[str, str]]:
    """The one label file directly in ``root``, and why the others were passed over, by name."""
    listing = Folders([root]).listing(str(root))
    pictures = {os.path.splitext(name)[0] for name in listing if is_image_name(name)}  # x.txt beside x.png is no list
    suffixes = TABLE_FORMATS[wanted] if wanted else {suffix for every in TABLE_FORMATS.values() for suffix in every}
    found: list[Table] = []
    passed_over: dict[str, str] = {}
    problem: SourceError | None = None
    for name in sorted(listing):
        stem, suffix = os.path.splitext(name)
        if not wanted and suffix.lower() in OTHER_SUFFIXES and (said := other_kind(root / name)):
            passed_over[name] = f"{name} is {said}."
        if name.startswith(".") or suffix.lower() not in suffixes or stem in pictures:
            continue
        try:
            found.append(recognise(root / name, wanted, columns))
        except SourceError as error:
            passed_over[name] = str(error).replace(str(root / name), name)
            if stem.lower() == "labels":
                problem = error
    if not found and problem is not None:
        raise problem
    best = [table for table in found if table.file.stem.lower() == "labels"] or found  # labels.csv before others
    if len(best) > 1:
        names = ", ".join(str(table) for table in best)
        raise SourceError(f"{root} has {len(best)} label files: {names}. Choose one, say --labels {best[0].file}.")
    if wanted and not best:
        reasons = " ".join(passed_over.values())
        raise SourceError(f"No {wanted} label file in {root}: {_what_is_there(root)}. {reasons} {_ACCEPTED}")
    passed_over |= {table.file.name: "" for table in found if table not in best}
    return (best[0] if best else None), passed_over


def _bases(table: Table) -> list[Path]:
    folder = table.file.parent
    return [folder / "images", folder] if table.format == "dddd" else [folder, folder / "images"]


def _read_table(
    root: Path,
    table: Table,
    bases: list[Path],
    spell: Spell,
    passed_over: dict[str, str] | None = None,
) -> Source:
    """Look up every row's image; refuse rows without one, without a text, and images listed more than once."""
    folders = Folders(bases)
    prefix = os.path.join(root, "")
    outcomes: list[LabelledImage | Refused] = []
    first: dict[str, tuple[int, int]] = {}  # path -> number of its first outcome, line
    repeats: dict[str, list[tuple[int, Row, str]]] = {}
    unusable: set[str] = set()
    for row in read_rows(table):
        text, listed = spell(row.text), row.image.strip()
        path = folders.find(listed) if listed else None
        reason = _why_not(row, listed, path, text, bases)
        if path is None:
            name = _writable(listed.replace("\\", "/")) or f"{table.file.name}:{row.line}"
            outcomes.append(Refused(name, f"{reason} (line {row.line})"))
            continue
        name = path.removeprefix(prefix) if path.startswith(prefix) else os.path.relpath(path, root)
        name = name.replace(os.sep, "/")
        if reason:
            unusable.add(path)
            outcomes.append(Refused(_writable(name), f"{reason} (line {row.line})"))
            continue
        if path in first:
            repeats.setdefault(path, []).append((len(outcomes), row, text))
        first.setdefault(path, (len(outcomes), row.line))
        outcomes.append(LabelledImage(Path(path), text, name))
    for path, again in repeats.items():
        _refuse_repeats(outcomes, first[path], again)
    images = sum(is_image_name(name) for names in folders.listings.values() for name in names)
    unlisted = images - sum(is_image_name(os.path.basename(path)) for path in first.keys() | unusable)
    items = [outcome for outcome in outcomes if isinstance(outcome, LabelledImage)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if not outcomes:
        raise SourceError(f"{table.file} lists no images. {_ACCEPTED}")
    detail = str(table) + (f"; passed over: {', '.join(passed_over)}" if passed_over else "")
    return Source(root, table.format, table.file, detail, items, refused, unlisted)


def _why_not(row: Row, listed: str, path: str | None, text: str, bases: list[Path]) -> str:
    if row.problem:
        return row.problem
    if not listed:
        return "no image is named"
    if path is None:
        return f"no such file: {_writable(listed)}, looked for in {', '.join(map(str, dict.fromkeys(bases)))}"
    if _writable(listed) != listed:
        return "the file name is not valid UTF-8"
    if _writable(text) != text:
        return f"the label {_writable(text)!r} is not valid Unicode"
    return "" if text else "the label is empty"


def _refuse_repeats(
    outcomes: list[LabelledImage | Refused], first: tuple[int, int], again: list[tuple[int, Row, str]]
) -> None:
    """The same label again: all but the first line are refused. Different labels: all are."""
    at, line = first
    kept = outcomes[at]
    assert isinstance(kept, LabelledImage)
    labels = {kept.text: line}
    for _, row, text in again:
        labels.setdefault(text, row.line)
    if len(labels) > 1:
        shown = ", ".join(f"{text!r} in line {number}" for text, number in list(labels.items())[:4])
        reason = f"listed with {len(labels)} different labels: {shown}"
        for number in (at, *(number for number, _, _ in again)):
            outcomes[number] = Refused(kept.name, reason)
        return
    for number, row, _ in again:
        outcomes[number] = Refused(kept.name, f"listed twice with the same label (lines {line} and {row.line})")


def _writable(text: str) -> str:
    """``text`` with what UTF-8 cannot hold (half characters of broken names) written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def reasons_of(refused: Sequence[tuple[str, str]]) -> str:
    """How many inputs were refused, and why the first few were: (name, reason) of each."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in refused[:3])
    return f"all {len(refused)} were refused, for example {shown}"
