"""``json``: one JSON value of all labels: ``{"a.jpg": "TEXT"}``; an array of objects or pairs; ``{"data_list": […]}``.

Of objects the keys are those of JSON lines. MMOCR's have a path and ``instances`` with a text each, of which there may
be one. Numbers are texts as they are spelt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from detector.data.labels.formats.fields import text_in
from detector.data.labels.formats.jsonl import judge_of, table_of
from detector.data.labels.formats.model import HEAD_LINES, Format, Head, Row, Table, quoted

_LISTS = ("data_list", "data", "annotations", "images", "labels", "items", "samples", "records")


def recognise(head: Head) -> Table | str | None:
    content = head.document
    if content is None:
        is_expected = head.is_requested or (head.file.suffix.lower() == ".json" and len(head.lines) < 2)
        return f"{head.file} is no JSON file: it begins with {head.first}." if is_expected else None
    records = _records(content) or _of_columns(content) or _of_pairs(content)
    if records:
        return _of_records(head, records)
    if isinstance(content, dict) and content:
        first_items = list(content.items())[:HEAD_LINES]
        readable = sum(text_in(value) is not None for _, value in first_items)
        plausible = sum(head.folders.plausible(name) for name, _ in first_items)
        plain = all(isinstance(value, str) for _, value in first_items)
        if 2 * readable > len(first_items) and (2 * plausible > len(first_items) or plain or head.is_requested):
            return Table(head.file, "json", partial(_of_any_map, content), ", a text for each name")
    return f"{head.file} is JSON of another kind than a text for each picture: it begins with {quoted(head.text, 60)}."


def _records(content: Any) -> list[dict[str, Any]]:
    """Return the only list of objects in a value."""
    if isinstance(content, dict):
        lists = [value for key, value in content.items() if key.lower() in _LISTS and isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else None
    return content if isinstance(content, list) and content and isinstance(content[0], dict) else []


def _of_columns(content: Any) -> list[dict[str, Any]]:
    """Objects of a value that has columns, as pandas writes tables: lists, or objects by row."""
    if not isinstance(content, dict) or len(content) < 2:
        return []
    columns = [list(value.values()) if isinstance(value, dict) else value for value in content.values()]
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) != 1:
        return []
    return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]


def _of_pairs(content: Any) -> list[dict[str, Any]]:
    """Objects of an array of pairs of a path and a text."""
    if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        return []
    return [{"image": image, "text": text} for image, text in content]


def _of_records(head: Head, records: Sequence[Any]) -> Table:
    keys = list(records[0])
    if "instances" in keys and isinstance(records[0]["instances"], list):
        flat = [_with_instance(record) if isinstance(record, dict) else record for record in records]
        return _of_records(head, flat)
    return table_of(head, "json", keys, partial(enumerate, records, 1))


def _with_instance(record: dict[str, Any]) -> dict[str, Any]:
    instances = record.get("instances")
    entries = instances if isinstance(instances, list) else []
    texts = [instance.get("text") for instance in entries if isinstance(instance, dict)]
    fields = {key: value for key, value in record.items() if key not in ("instances", "text")}
    return {**fields, "text": texts}


def _of_any_map(values_by_name: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of a map, whose values may be those of pre-labels."""
    values = list(values_by_name.values())
    keys = dict.fromkeys(key for value in values if isinstance(value, dict) for key in value)
    judge = judge_of(keys, values)
    for row, value in zip(_of_map(values_by_name), values, strict=True):
        yield judge(row, value) if judge else row


def _of_map(texts_by_name: dict[str, Any]) -> Iterator[Row]:
    for number, (name, value) in enumerate(texts_by_name.items(), 1):
        text = text_in(value)
        yield Row(number, name, text or "", "" if text is not None else "its text is not a string")


FORMAT = Format("json", (".json", ".jsonl", ".ndjson", ".txt", ""), recognise)
