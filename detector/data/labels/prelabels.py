"""Pre-labels: the strings that a reader proposes for pictures without a label, in a table with a person's labels.

A row a picture, those that a person is best asked about first. Columns:

    image       the picture, relative to the table
    text        its string: what was read, or what a person says it is
    confidence  the probability that the string is right, in [0, 1]; 1 of a person's
    status      :data:`PERSON`, :data:`SURE`, :data:`DOUBTFUL`, :data:`DROPPED` or :data:`UNREADABLE`

A table with these four columns is a label file like others: a person's labels are labels, sure ones are learnt and
nothing else, doubtful ones are none yet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from detector.data.atomic import atomic_write
from detector.data.text_files import read_rows, write_csv
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


class Prelabel(NamedTuple):
    """One row; the columns are the module's."""

    image: str
    text: str
    confidence: float
    status: str


def write_prelabels(path: Path, rows: Iterable[Prelabel]) -> None:
    """Atomically write the table, in UTF-8."""
    with atomic_write(path) as part:
        plain = ((row.image, row.text, f"{row.confidence:.4f}", row.status) for row in rows)
        write_csv(part, Prelabel._fields, plain)


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


def judged(confidence: str, status: str) -> tuple[float, str]:
    """Return the confidence of a row's fields, 1 where a person decided, and their problem, "" if there is none."""
    name = status.strip().lower()
    if name not in STATUSES:
        return 0.0, f"the status {status!r} is none of {', '.join(STATUSES)}"
    if name in (PERSON, DROPPED):
        return 1.0, ""
    try:
        value = float(confidence)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        return 0.0, f"the confidence {confidence!r} is no number from 0 to 1"
    return value, ""


def are_prelabels(statuses: Iterable[str]) -> bool:
    """Test whether all values of a column are statuses of pre-labels."""
    names = {status.strip().lower() for status in statuses}
    return bool(names) and names <= {*STATUSES}
