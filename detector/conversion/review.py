"""``review.csv``: a person's decisions on suspects, applied by the next conversion.

A line a suspect, likeliest label errors first, then a line a picture that was decided on before. Columns:

    source      as in the manifest; what a line is about
    text        the label as it is in the source, spelt as the arguments say
    read        what was read without looking at the label, where that is not the text
    confidence  of the least sure box
    status      "suspect", "ok", "refused", or "missing" if the source has no such picture any more
    decision    empty, "accept" (train on it), "correct" (its text is another one) or "drop" (leave it out)
    corrected   the right text, where the decision is "correct"; spaces as in the labels

A decision holds until it is emptied here or another file has another one; an "accept" holds for the text that was
accepted, and of another text the picture is to be decided on anew.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from detector.data.atomic import atomic_write
from detector.data.labels.label_texts import Spell
from detector.data.labels.sources import LabelledImage, Refused, Source
from detector.data.sets.yolo_dataset import ManifestRow
from detector.data.text_files import read_rows, write_csv
from detector.errors import DatasetError, abridged
from detector.text.alphabet import Alphabet

log = logging.getLogger("detector")

REVIEW = "review.csv"
DECISIONS = ("accept", "correct", "drop")
DROPPED = "dropped in review"
"""Reason in ``rejects.csv``."""

_MAX_SHOWN = 10  # problems of one file in one message


class ReviewRow(NamedTuple):
    """One line; the columns are the module's."""

    source: str
    text: str
    read: str = ""
    confidence: str = ""
    status: str = ""
    decision: str = ""
    corrected: str = ""


class ReviewLine(NamedTuple):
    """One line of a file as it is: where it ends, what it says, and all its fields, those of other columns, too."""

    place: str
    row: ReviewRow
    fields: list[str]


class ReviewTable(NamedTuple):
    """A file as it is, with the columns and notes that a person added; the header names all fields of its lines."""

    header: list[str]
    lines: list[ReviewLine]

    def with_decision(self, row: ReviewRow) -> ReviewTable:
        """Return the table in which all lines about a picture are decided as the row is; it is added if none is."""
        decided = {"text": row.text, "decision": row.decision, "corrected": row.corrected}
        lines = [self._replaced(line, decided) if line.row.source == row.source else line for line in self.lines]
        if all(line.row.source != row.source for line in lines):
            lines.append(self._replaced(ReviewLine("", row, []), row._asdict()))
        return self._replace(lines=lines)

    def _replaced(self, line: ReviewLine, named: Mapping[str, str]) -> ReviewLine:
        """Return a line with other fields in these columns."""
        fields = [*line.fields, *[""] * (len(self.header) - len(line.fields))]
        places = {name: place for place, name in enumerate(self.header)}  # the last of a name counts, as in reading
        for name, value in named.items():
            fields[places[name]] = value
        return ReviewLine(line.place, line.row._replace(**named), fields)


@dataclass(frozen=True)
class Review:
    """Decisions by source, and where each one is written."""

    rows: Mapping[str, ReviewRow]
    places: Mapping[str, str]

    def apply(self, source: Source, spell: Spell) -> Source:
        """Correct texts and drop pictures of a source as decided; ``spell`` is that of its labels."""
        items: list[LabelledImage] = []
        refused = list(source.refused)
        for item in source.items:
            row = self.rows.get(item.name)
            if row is not None and row.decision == "drop":
                refused.append(Refused(item.name, DROPPED))
            elif row is not None and row.decision == "correct":
                items.append(_corrected(item, spell(row.corrected)))
            elif row is not None and row.decision == "accept" and row.text in ("", item.text):
                items.append(replace(item, confidence=None))  # a pre-label no more
            else:
                items.append(item)
        unknown = sorted(self.rows.keys() - {item.name for item in source.items})
        if unknown:
            examples = "; ".join(f"{self.places[name]}: {name!r}" for name in unknown[:3])
            log.warning("decisions about no labelled picture of the source: %d, for example %s", len(unknown), examples)
        if self.rows:
            log.info("decisions taken up from the review: %d", len(self.rows) - len(unknown))
        return replace(source, items=items, refused=refused)

    def check(self, source: Source, alphabet: Alphabet, length: int, spell: Spell) -> None:
        """Refuse corrections that cannot be labels; those of pictures that are gone are ignored.

        Raises:
            DatasetError: naming every one, its line and why.
        """
        names = {item.name for item in source.items}
        corrected = [row for row in self.rows.values() if row.decision == "correct" and row.source in names]
        problems = [
            f"{self.places[row.source]}: {problem}"
            for row in corrected
            if (problem := alphabet.problem(spell(row.corrected), length))
        ]
        _refuse(problems)

    def vouched(self, items: Iterable[LabelledImage], alphabet: Alphabet) -> frozenset[str]:
        """Return the names of pictures whose text a person confirmed: these are no suspects."""
        names, outdated = [], []
        for item in items:
            row = self.rows.get(item.name)
            if row is None:
                continue
            if row.decision == "accept" and row.text and alphabet.clean(row.text) != item.text:
                outdated.append(f"{self.places[row.source]}: {row.text!r} was accepted, the label is {item.text!r} now")
            else:
                names.append(item.name)
        if outdated:
            log.warning(
                "decisions that no longer apply, since the labels have changed: %s",
                abridged(outdated, _MAX_SHOWN, "; "),
            )
        return frozenset(names)


def read_review(*paths: Path) -> Review:
    """Read the decisions of those files that exist; later files replace decisions of earlier ones.

    Raises:
        DatasetError: if a file is no table with the columns ``source`` and ``decision``, or lines make no sense;
            all of them are named.
    """
    rows: dict[str, ReviewRow] = {}
    places: dict[str, str] = {}
    for path in paths:
        for place, row, _ in review_table(path).lines:
            if row.decision:
                rows.pop(row.source, None)  # so that it stands where the later file has it
                rows[row.source], places[row.source] = row, place
    return Review(rows, places)


def write_rows(path: Path, rows: Iterable[ReviewRow]) -> None:
    """Atomically write these lines, replacing the file."""
    with atomic_write(path) as part:
        write_csv(part, ReviewRow._fields, rows)


def write_table(path: Path, table: ReviewTable) -> None:
    """Atomically write a table with all its columns, replacing the file."""
    with atomic_write(path) as part:
        write_csv(part, table.header, (line.fields for line in table.lines))


def own_columns(path: Path) -> list[str]:
    """Return the columns that a person added: they hold something, and no new ``review.csv`` would have them."""
    try:
        header, *rows = [fields for _, fields in _rows(_text_of(path), path)]
    except (DatasetError, ValueError):  # it is missing, empty or no table, which reading it tells
        return []
    if not {"source", "decision"} <= {*header}:
        return []
    review_columns = (*ReviewRow._fields, "")
    return [
        name
        for i, name in enumerate(header)
        if name not in review_columns and any("".join(row[i : i + 1]) for row in rows)
    ]


def write_review(
    path: Path,
    manifest: Iterable[ManifestRow],
    refused: Iterable[str],
    labels: Mapping[str, str],
    review: Review,
    vouched: frozenset[str] = frozenset(),
) -> int:
    """Write the suspects to decide on, then the earlier decisions.

    Args:
        path: of the file.
        manifest: the pictures that are suspects, or were decided on.
        refused: names of refused inputs.
        labels: of the pictures decided on, the text in the source, by name.
        review: earlier decisions, which are written again, except those on labels that have changed and are suspects
            now.
        vouched: what :meth:`Review.vouched` gave.

    Returns:
        How many suspects are there to decide on.
    """
    rows = {row.source: row for row in manifest}
    refused_names = set(refused)
    reopened = {n for n in rows.keys() & review.rows.keys() if rows[n].status == "suspect" and n not in vouched}
    suspects = sorted((row for n, row in rows.items() if n in reopened or n not in review.rows), key=_likeliest_error)
    lines = [ReviewRow(r.source, r.text, r.read, r.confidence, r.status) for r in suspects]
    for name, earlier in review.rows.items():
        if name in reopened:
            continue
        row = rows.get(name)
        status = row.status if row else "refused" if name in refused_names else "missing"
        text = earlier.text if earlier.decision == "accept" and earlier.text else labels.get(name, earlier.text)
        read_and_confidence = (row.read, row.confidence) if row else (earlier.read, earlier.confidence)
        lines.append(ReviewRow(name, text, *read_and_confidence, status, earlier.decision, earlier.corrected))
    write_rows(path, lines)
    return len(suspects)


def _corrected(item: LabelledImage, text: str) -> LabelledImage:
    """Replace a picture's text; drawn boxes are kept where they are as many as its symbols."""
    drawn_xyxy, symbols = item.boxes_xyxy, sum(not sign.isspace() for sign in text)
    boxes_xyxy = drawn_xyxy if drawn_xyxy is not None and len(drawn_xyxy) == symbols else None
    return replace(item, text=text, boxes_xyxy=boxes_xyxy, confidence=None)


def _likeliest_error(row: ManifestRow) -> tuple[bool, float, str]:
    """Sort key, likeliest label errors first: the label was not read, and its own symbols were hardly seen."""
    return row.seems_read, float(row.confidence), row.source


def review_table(path: Path) -> ReviewTable:
    """Read a file as it is.

    Raises:
        DatasetError: as :func:`read_review`.
    """
    raw_rows = _rows(_text_of(path), path)
    header = next(raw_rows, ("", []))[1]
    missing = {"source", "decision"} - set(header)
    if missing:
        columns = ", ".join(ReviewRow._fields)
        raise DatasetError(f"{path} has no column {' and '.join(sorted(missing))}: the columns are {columns}.")
    lines: list[ReviewLine] = []
    first_of: dict[str, tuple[str, ReviewRow]] = {}
    problems: list[str] = []
    for place, fields in raw_rows:
        line = dict(zip(header, fields, strict=False))
        row = ReviewRow(**{name: line.get(name, "") for name in ReviewRow._fields})
        row = row._replace(decision=row.decision.strip().lower())
        if any(row) and not row.source:
            problems.append(f"{place}: no source is named")
        elif row.decision and row.decision not in DECISIONS:
            problems.append(f"{place}: the decision {row.decision!r} is none of {', '.join(DECISIONS)}")
        elif row.decision == "correct" and not row.corrected.strip():
            problems.append(f"{place}: the decision is correct, and the column corrected is empty")
        elif row.corrected.strip() and row.decision != "correct":
            problems.append(
                f"{place}: corrected is {row.corrected!r}, and the decision is {row.decision!r}, not 'correct'"
            )
        if row.source and row.decision:
            earlier = first_of.setdefault(row.source, (place, row))
            if (earlier[1].decision, earlier[1].corrected) != (row.decision, row.corrected):
                problems.append(f"{place}: {row.source!r} is decided otherwise in {earlier[0]}")
        if any(fields):
            lines.append(ReviewLine(place, row, fields))
    _refuse(problems)
    header += [""] * (max((len(line.fields) for line in lines), default=0) - len(header))
    return ReviewTable(header + [name for name in ReviewRow._fields if name not in header], lines)


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"There is no {path}: give a review.csv that `detector convert` wrote.") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 ({error}): save it as CSV in UTF-8.") from None


def _rows(text: str, path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each row and the line where it ends."""
    delimiter, ends = max(",;\t", key=text.split("\n", 1)[0].count), path.name  # what spreadsheets save
    try:
        for line, fields in read_rows(io.StringIO(text, newline=""), delimiter):
            ends = f"{path}:{line}"
            yield ends, fields
    except csv.Error as error:
        raise DatasetError(f"{ends}: after this, {error}; is a quote not closed?") from None


def _refuse(problems: list[str]) -> None:
    if problems:
        raise DatasetError(
            f"{abridged(problems, _MAX_SHOWN, '; ')}. Nothing was written: correct the file and convert again."
        )
