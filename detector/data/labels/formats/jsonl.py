"""``jsonl``: one JSON object a line, with keys of an image and a text, as HuggingFace's ``metadata.jsonl`` has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    keys = list(record)
    image, text = columns_of(head.file, keys, head.columns)
    detail = f", keys {quoted(keys[image], 40)} and {quoted(keys[text], 40)}"
    return Table(head.file, "jsonl", partial(_rows, head.file, keys[image], keys[text]), detail)


def entry_row(number: int, entry: Mapping[str, Any], image: str, text: str) -> Row:
    """Return the input that an object describes with these keys."""
    listed, label = entry.get(image), text_in(entry.get(text))
    problem = "" if label is not None else f"{text!r} is not a string"
    if not isinstance(listed, str):
        listed, problem = "", f"{image!r} is not a string"
    return Row(number, listed, label or "", problem)


def _rows(file: Path, image: str, text: str) -> Iterator[Row]:
    for number, line in opened_lines(file):
        entry = json_of(line)
        yield (
            entry_row(number, entry, image, text)
            if isinstance(entry, dict)
            else Row(number, "", "", "not a JSON object")
        )


FORMAT = Format("jsonl", (".jsonl", ".ndjson", ".json", ".txt", ""), recognise)
