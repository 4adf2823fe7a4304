"""``json``: one JSON value of all labels: ``{"a.jpg": "TEXT"}``; an array of objects or pairs; ``{"data_list": […]}``.

Tables of pandas are read in each of its orientations. Of objects the keys are those of JSON lines. MMOCR's have a path
and ``instances`` with a text each, of which there may be one. Numbers are texts as they are spelt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from detector.data.labels.formats.fields import columns_of, text_in
from detector.data.labels.formats.jsonl import judge_of, table_of
from detector.data.labels.formats.model import HEAD_LINES, Format, Head, Repeated, Row, Table, object_of, quoted
from detector.errors import SourceError

_LISTS = ("data_list", "data", "annotations", "images", "labels", "items", "samples", "records")


def recognise(head: Head) -> Table | str | None:
    content = head.document
    if content is None:
        is_expected = head.is_requested or (head.file.suffix.lower() == ".json" and len(head.lines) < 2)
        return f"{head.file} is no JSON file: it begins with {head.first}." if is_expected else None
    if records := _records(content):
        return _of_records(head, records)
    names, in_columns = _of_columns(content)
    if in_columns and _are_named(head, names):
        return table_of(head, "json", names, partial(enumerate, in_columns, 1))
    if in_pairs := _of_pairs(content):
        return _of_records(head, in_pairs)
    if isinstance(content, dict) and content:
        if _is_map(head, content):
            return Table(head.file, "json", partial(_of_any_map, content), ", a text for each name")
        rows = list(content.values())  # pandas' orient="index"
        if all(isinstance(row, dict) for row in rows) and _are_named(head, rows[0]):
            return _of_records(head, rows)
    if in_columns and not any(map(head.folders.plausible, names)):
        columns_of(head.file, names, head.columns)  # says which columns there are
    return f"{head.file} is JSON of another kind than a text for each picture: it begins with {quoted(head.text, 60)}."


def _is_map(head: Head, content: dict[str, Any]) -> bool:
    """Test whether most keys of an object name pictures, and most values are texts."""
    first_items = list(content.items())[:HEAD_LINES]
    readable = sum(text_in(value) is not None or isinstance(value, Repeated) for _, value in first_items)
    plausible = sum(head.folders.plausible(name) for name, _ in first_items)
    plain = all(isinstance(value, str | Repeated) for _, value in first_items)
    return 2 * readable > len(first_items) and (2 * plausible > len(first_items) or plain or head.is_requested)


def _are_named(head: Head, keys: Iterable[str]) -> bool:
    """Test whether one of these columns or keys is of images, and one of texts."""
    try:
        columns_of(head.file, [*keys], head.columns)
    except SourceError:
        return False
    return True


def _records(content: Any) -> list[dict[str, Any]]:
    """Return the only list of objects in a value."""
    if isinstance(content, dict):
        lists = [value for key, value in content.items() if key.lower() in _LISTS and isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else None
    return content if isinstance(content, list) and content and isinstance(content[0], dict) else []


def _of_columns(content: Any) -> tuple[list[str], list[Any]]:
    """Names of columns and an object a row, of a value as pandas writes tables: columns that are lists or objects by
    row, or ``columns`` and ``data``; none of another value."""
    if not isinstance(content, dict) or len(content) < 2:
        return [], []
    names, columns = list(content), list(content.values())
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        names = [str(name) for name in content["columns"]]
        return names, [_of_row(names, row) for row in content["data"]]
    if all(isinstance(column, dict) for column in columns):  # a row's name may stand anywhere in a column
        in_any = dict.fromkeys(name for column in columns for name in column)
        columns = [[column.get(name) for name in in_any] for column in columns]
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) != 1:
        return [], []
    return names, [_of_row(names, row) for row in zip(*columns, strict=True)]


def _of_row(names: Sequence[str], row: Any) -> dict[str, Any] | None:
    """Return the object of a row's values; None of what is no row."""
    are_values = isinstance(row, list | tuple) and len(row) == len(names)
    return object_of([*zip(names, row, strict=True)]) if are_values else None


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
        problem = "" if text is not None else "its text is not a string"
        if isinstance(value, Repeated):
            problem = f"listed with different labels: {value.described}"
        yield Row(number, name, text or "", problem)


FORMAT = Format("json", (".json", ".jsonl", ".ndjson", ".txt", ""), recognise)
