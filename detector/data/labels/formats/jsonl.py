"""``jsonl``: one JSON object a line, with keys of an image and a text, as HuggingFace's ``metadata.jsonl`` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detector.data.labels.formats.fields import columns_of, text_in
from detector.data.labels.formats.model import Format, Head, Row, Table, json_of, opened_lines, quoted


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
    return Table(head.file, form, lambda: (_row(*entry, image, text) for entry in entries()), detail)


def _row(number: int, entry: Any, image: str, text: str) -> Row:
    if not isinstance(entry, dict):
        return Row(number, "", "", "not a JSON object")
    listed, label = entry.get(image), text_in(entry.get(text))
    problem = "" if label is not None else f"{text!r} is not a string"
    if not isinstance(listed, str):
        listed, problem = "", f"{image!r} is not a string"
    return Row(number, listed, label or "", problem)


def _entries(file: Path) -> Iterator[tuple[int, Any]]:
    return ((number, json_of(line)) for number, line in opened_lines(file))


FORMAT = Format("jsonl", (".jsonl", ".ndjson", ".json", ".txt", ""), recognise)
