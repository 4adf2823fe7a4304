"""``label-studio``: exports of Label Studio: JSON with its annotations, JSON-MIN and CSV.

The picture is the task's value that is a path or an address; the text is what was typed, the same by every person.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import unquote

from detector.data.folders.image_files import is_image_name
from detector.data.labels.formats.fields import TEXT_COLUMNS, plain, row_of_texts, text_in
from detector.data.labels.formats.model import Format, Head, Row, Table, csv_rows, json_of, quoted

_OWN_KEYS = frozenset(
    "id annotation_id annotator created_at updated_at lead_time annotations predictions data meta project".split()
)


def recognise(head: Head) -> Table | str | None:
    if head.file.suffix.lower() == ".csv":
        header = next(csv.reader(head.lines[:1]))
        if {"annotation_id", "lead_time"} <= set(header):
            return Table(head.file, "label-studio", partial(_of_csv, head, header))
    elif isinstance(content := head.document, list) and content and isinstance(content[0], dict):
        if {"data", "annotations"} <= content[0].keys() or {"data", "completions"} <= content[0].keys():
            return Table(head.file, "label-studio", partial(_of_tasks, content))
        if {"annotation_id", "lead_time"} <= content[0].keys():
            return Table(head.file, "label-studio", partial(_of_short, content))
    return f"{head.file} is no export of Label Studio." if head.is_requested else None


def _of_csv(head: Head, header: Sequence[str]) -> Iterator[Row]:
    for line, _, fields in islice(csv_rows(head.file), 1, None):  # after the header
        yield _row(line, dict(zip(header, fields, strict=False)))


def _of_short(entries: Sequence[Any]) -> Iterator[Row]:
    for number, entry in enumerate(entries, 1):
        yield _row(number, entry) if isinstance(entry, dict) else Row(number, "", "", "not a JSON object")


def _of_tasks(tasks: Sequence[Any]) -> Iterator[Row]:
    for number, task in enumerate(tasks, 1):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            yield Row(number, "", "", "no task of Label Studio")
            continue
        image = _image(task["data"])
        typed = [texts for annotation in _annotations(task) if (texts := _typed(annotation))]
        if any(texts != typed[0] for texts in typed):
            differing = ", ".join(quoted(text, 40) for texts in typed for text in texts)
            yield Row(number, image, "", f"its annotations differ ({differing}): keep one of them")
        else:
            yield row_of_texts(number, image, typed[0] if typed else [])


def _annotations(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    marks = task.get("annotations") or task.get("completions") or []
    marks = [mark for mark in marks if isinstance(mark, dict)] if isinstance(marks, list) else []
    return [mark for mark in marks if not mark.get("was_cancelled")]


def _typed(annotation: Mapping[str, Any]) -> list[Any]:
    results = annotation.get("result")
    values = (
        [result.get("value") for result in results if isinstance(result, dict)] if isinstance(results, list) else []
    )
    typed = [value["text"] for value in values if isinstance(value, dict) and "text" in value]
    return [text for value in typed for text in (value if isinstance(value, list) else [value])]


def _row(number: int, entry: Mapping[str, Any]) -> Row:
    """Return the input of an annotation whose values have the names that the project gave them."""
    values_by_name = {key: value for key, value in entry.items() if key not in _OWN_KEYS}
    image = _image(values_by_name)
    values = [value for key, value in values_by_name.items() if plain(key) in TEXT_COLUMNS and value not in ("", None)]
    typed = [value for value in values if not _is_shape(value)]
    return row_of_texts(number, image, [text for value in typed for text in _texts(value)])


def _texts(value: Any) -> list[Any]:
    content = json_of(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
    if isinstance(content, dict):
        content = content.get("text", content)
    if isinstance(content, list):
        return content
    text = text_in(value)
    return [] if text is None else [text]


def _is_shape(value: Any) -> bool:
    content = json_of(value) if isinstance(value, str) else value
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict)


def _image(values: Mapping[str, Any]) -> str:
    paths = [value for value in values.values() if isinstance(value, str) and is_image_name(_name(value))]
    return paths[0] if len(paths) == 1 else ""


def _name(path: str) -> str:
    return os.path.basename(unquote(path).replace("\\", "/"))


FORMAT = Format("label-studio", (".json", ".csv"), recognise)
