"""``jsonl``: one JSON object a line, with keys of an image and a text, as HuggingFace's ``metadata.jsonl`` has them.

A key of statuses makes a table of :mod:`detector.data.labels.prelabels` of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from detector.data.labels.formats.fields import columns_of, text_in
from detector.data.labels.formats.model import (
    HEAD_LINES,
    Format,
    Head,
    Repeated,
    Row,
    Table,
    json_of,
    opened_lines,
    quoted,
)
from detector.data.labels.prelabels import CONFIDENCE, STATUS, are_prelabels, are_readings, judged

Judge = Callable[[Row, Any], Row]
"""Gives the row of an object with the confidence and the status of a pre-label."""


def recognise(head: Head) -> Table | str | None:
    record = json_of(head.lines[0])
    if not isinstance(record, dict) or (len(head.lines) == 1 and head.file.suffix.lower() == ".json"):
        is_expected = head.is_requested or head.file.suffix.lower() in (".jsonl", ".ndjson")
        problem = f"{head.file} is not JSON lines: its first line is no JSON object: {head.first}."
        return problem if is_expected else None
    return table_of(head, "jsonl", list(record), partial(_entries, head.file))


def table_of(head: Head, form: str, keys: Sequence[str], entries: Callable[[], Iterable[tuple[int, Any]]]) -> Table:
    """Return the table of objects with these keys.

    Args:
        form: the format's name.
        entries: gives the objects with their numbers; may be called again and again.

    Raises:
        SourceError: if the keys of image and text cannot be told.
    """
    image, text = (keys[place] for place in columns_of(head.file, keys, head.columns))
    detail = f", keys {quoted(image, 40)} and {quoted(text, 40)}"
    judge = judge_of(keys, (entry for _, entry in entries()))
    rows = partial(_rows, entries, image, text, judge)
    return Table(
        head.file, form, rows, detail + (", pre-labels" if judge else ""), has_readings=are_readings(keys)
    )  # fmt: skip


def _rows(
    entries: Callable[[], Iterable[tuple[int, Any]]], image: str, text: str, judge: Judge | None
) -> Iterator[Row]:
    for number, entry in entries():
        row = _row(number, entry, image, text)
        yield judge(row, entry) if judge else row


def judge_of(keys: Iterable[str], entries: Iterable[Any]) -> Judge | None:
    """Return what takes confidence and status from the objects of pre-labels; None where objects are others.

    Args:
        keys: of the objects.
        entries: the objects, of which the first are looked at.
    """
    own_keys = {key.strip().lower(): key for key in keys}
    status = own_keys.get(STATUS)
    if status is None:
        return None
    statuses = (_spelt(entry.get(status)) for entry in islice(entries, HEAD_LINES) if isinstance(entry, dict))
    is_one = are_prelabels(own_keys, statuses)
    return partial(_judged, status=status, confidence=own_keys.get(CONFIDENCE)) if is_one else None


def _judged(row: Row, entry: Any, status: str, confidence: str | None) -> Row:
    """Return the row of a pre-label, whose status and confidence have these keys."""
    entry = entry if isinstance(entry, dict) else {}
    said = _spelt(entry.get(status))
    value, problem = judged(None if confidence is None else _spelt(entry.get(confidence)), said)
    return row._replace(problem=row.problem or problem, status=said.strip().lower(), confidence=value)


def _spelt(value: Any) -> str:
    """Return a value as a table would have it: null is an empty field."""
    return "" if value is None else str(value)


def _row(number: int, entry: Any, image: str, text: str) -> Row:
    if not isinstance(entry, dict):
        return Row(number, "", "", "not a JSON object")
    listed, label = entry.get(image), text_in(entry.get(text))
    problem = "" if label is not None else _no_string(text, entry.get(text))
    if not isinstance(listed, str):
        listed, problem = "", _no_string(image, listed)
    return Row(number, listed, label or "", problem)


def _no_string(key: str, value: Any) -> str:
    """Say why a key has no string."""
    return f"{key!r} is " + (f"there twice, {value.described}" if isinstance(value, Repeated) else "not a string")


def _entries(file: Path) -> Iterator[tuple[int, Any]]:
    return ((number, json_of(line)) for number, line in opened_lines(file))


FORMAT = Format("jsonl", (".jsonl", ".ndjson", ".json", ".txt", ""), recognise)
