"""Pre-labels: the strings that a reader proposes for pictures without a label, in a table with a person's labels.

A row a picture, those that a person is best asked about first. Columns:

    image       the picture, relative to the table
    text        its string: what was read, or what a person says it is
    confidence  the probability that the string is right, in [0, 1]; 1 of a person's
    status      :data:`PERSON`, :data:`SURE`, :data:`DOUBTFUL`, :data:`DROPPED` or :data:`UNREADABLE`

A table with these four columns is a label file like others: a person's labels are labels, sure ones are learnt and
nothing else, doubtful ones are none yet. A row whose status is mistyped or cleared is refused, and no label.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Iterable
from pathlib import Path
from typing import NamedTuple

from detector.data.atomic import atomic_write
from detector.data.text_files import csv_lines, read_rows, write_csv
from detector.errors import SourceError

PERSON = "person"
"""A person says so: a label as any other."""
SURE = "sure"
"""Read with enough confidence to be learnt; in no held-out split."""
DOUBTFUL = "doubtful"
"""Read, and to be decided on by a person: no label until then."""
DROPPED = "dropped"
"""A person says that the picture is to be left out."""
UNREADABLE = "unreadable"
"""The file cannot be decoded; it has no text."""

STATUSES = (PERSON, SURE, DOUBTFUL, DROPPED, UNREADABLE)
STATUS, CONFIDENCE = "status", "confidence"
"""Names of the columns that label files of others lack."""

READING_COLUMNS = ("image", "text", CONFIDENCE, "rejected_text", "rejected", "error", "unconstrained_text")
"""Columns of readings as ``detector predict`` writes them in CSV: labels only where somebody says so."""
_READINGS = frozenset({"rejected_text", "rejected", "unconstrained_text"})  # that no table of labels has
_READINGS_IN_JSON = frozenset({CONFIDENCE, "characters"})  # of each, as ``predict`` writes it in JSON


class Prelabel(NamedTuple):
    """One row; the columns are the module's."""

    image: str
    text: str
    confidence: float
    status: str


def write_prelabels(path: Path, rows: Iterable[Prelabel]) -> None:
    """Atomically write the table, in UTF-8."""
    with atomic_write(path, through_link=True) as part:
        write_csv(part, Prelabel._fields, map(_plain, rows))


class PrelabelLines:
    """A table as the lines of its file, for writing it again and again with a few other rows: that takes little time.

    Args:
        rows: of the table; several may be of one picture.
        changing: the pictures whose rows may change.
    """

    def __init__(self, rows: Iterable[Prelabel], changing: Container[str]) -> None:
        """Format all rows."""
        rows = list(rows)
        self._lines = csv_lines([Prelabel._fields, *map(_plain, rows)])
        self._places: dict[str, list[int]] = {}
        for place, row in enumerate(rows, 1):
            if row.image in changing:
                self._places.setdefault(row.image, []).append(place)

    def write(self, path: Path, row: Prelabel) -> None:
        """Atomically write the table with this row in place of those of its picture, as :func:`write_prelabels`."""
        lines, (line,) = self._lines.copy(), csv_lines([_plain(row)])
        for place in self._places[row.image]:
            lines[place] = line
        with atomic_write(path, through_link=True) as part:
            part.write_bytes(b"".join(lines))
        self._lines = lines


def _plain(row: Prelabel) -> tuple[str, str, str, str]:
    return row.image, row.text, f"{row.confidence:.4f}", row.status


def read_prelabels(path: Path) -> list[Prelabel]:
    """Read the rows of a table that :func:`write_prelabels` wrote and a person may have edited.

    Raises:
        SourceError: if it is no such table, or rows make no sense; each is named.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        header = text.split("\n", 1)[0]
        table = list(read_rows(io.StringIO(text, newline=""), max(",;\t", key=header.count)))  # what spreadsheets save
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read as a table in UTF-8: {error}.") from None
    if not table or tuple(table[0][1]) != Prelabel._fields:
        raise SourceError(f"{path} has other columns than {', '.join(Prelabel._fields)}: it holds no pre-labels.")
    rows, problems = [], []
    for line, fields in table[1:]:
        if len(fields) != len(Prelabel._fields):
            problems.append(f"{path}:{line}: {len(fields)} fields, not {len(Prelabel._fields)}")
            continue
        image, string, confidence_text, status = fields
        confidence, problem = judged(confidence_text, status)
        if problem:
            problems.append(f"{path}:{line}: {problem}")
        rows.append(Prelabel(image, string, confidence, status.strip().lower()))
    if problems:
        raise SourceError(f"{'; '.join(problems[:10])}: correct the table.")
    return rows


def judged(confidence: str | None, status: str) -> tuple[float, str]:
    """Return the confidence of a row's fields, 1 where a person decided, and their problem, "" if there is none.

    ``confidence`` is None in a table without such a column.
    """
    name = status.strip().lower()
    if name not in STATUSES:
        return 0.0, f"the status {status!r} is none of {', '.join(STATUSES)}"
    if name in (PERSON, DROPPED):
        return 1.0, ""
    if confidence is None:
        return 0.0, f"no column {CONFIDENCE} says how sure it is" if name == SURE else ""
    try:
        value = float(confidence)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        return 0.0, f"the confidence {confidence!r} is no number from 0 to 1"
    return value, ""


def are_readings(columns: Iterable[str]) -> bool:
    """Test whether a table with these columns, or keys of an object, has what ``detector predict`` read."""
    names = {column.strip().lower() for column in columns}
    return names >= _READINGS or names >= _READINGS_IN_JSON


def are_prelabels(columns: Iterable[str], statuses: Iterable[str]) -> bool:
    """Test whether a table has pre-labels, some of which a person may have mistyped or cleared.

    Args:
        columns: their names.
        statuses: of the first rows; where no confidence stands beside them, most of a table of pre-labels are known.
    """
    names = {column.strip().lower() for column in columns} - {""}
    if STATUS not in names:
        return False
    known = [name in STATUSES for status in statuses if (name := status.strip().lower())]
    is_exact = names == {*Prelabel._fields}
    return is_exact or (any(known) if CONFIDENCE in names else 2 * sum(known) > len(known))
