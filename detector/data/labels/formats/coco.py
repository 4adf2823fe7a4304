"""``coco``: COCO's JSON: character boxes by category, or a text with each annotation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from detector.data.labels.formats.drawn import are_symbols, drawn_row, no_symbols
from detector.data.labels.formats.fields import row_of_texts
from detector.data.labels.formats.model import DrawnBox, Format, Head, Row, Table, quoted

_TEXTS = ("text", "utf8_string", "transcription", "caption")


def recognise(head: Head) -> Table | str | None:
    content = head.document
    if not _is_coco(content):
        return f"{head.file} is no COCO file: it needs images and annotations." if head.is_requested else None
    annotations = content["annotations"]
    if any(key in annotation for annotation in annotations for key in _TEXTS):
        return Table(
            head.file, "coco", partial(_rows, content, _text_row), ", a text for each annotation", second_choice=True
        )
    names = _names(content)
    used = [names.get(_id(a.get("category_id")), ("",))[0] for a in annotations]
    if not are_symbols(used):
        return f"{head.file} {no_symbols(used)}."
    return Table(head.file, "coco", partial(_rows, content, partial(_box_row, names)), ", character boxes")


def _is_coco(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    images, annotations = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        return False
    return all(isinstance(entry, dict) for entry in (*images, *annotations)) and all("file_name" in i for i in images)


def _id(value: Any) -> str:
    """Return an id as the key that it is, be it a number (which stands as it is spelt), a string or nonsense."""
    return str(value)


def _names(content: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Different names of each category's id: one, but in files that were joined or edited."""
    categories = content.get("categories")
    names: dict[str, tuple[str, ...]] = {}
    for category in categories if isinstance(categories, list) else []:
        if isinstance(category, dict):
            key, name = _id(category.get("id")), str(category.get("name", ""))
            names[key] = tuple(dict.fromkeys((*names.get(key, ()), name)))
    return names


def _rows(content: Mapping[str, Any], row_of: Callable[[int, str, list[dict[str, Any]]], Row]) -> Iterator[Row]:
    by_image: dict[str, list[dict[str, Any]]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(_id(annotation.get("image_id")), []).append(annotation)
    images = [(_id(image.get("id")), str(image["file_name"])) for image in content["images"]]
    uses = Counter(image_id for image_id, _ in {*images})
    for number, (image_id, name) in enumerate(images, 1):
        if uses[image_id] > 1:  # as in files that were joined: whose annotations are they?
            yield Row(
                number, name, "", f"its id {image_id} is that of another picture, too: give each an id of its own"
            )
        else:
            yield row_of(number, name, by_image.get(image_id, []))


def _text_row(number: int, name: str, annotations: Sequence[Mapping[str, Any]]) -> Row:
    return row_of_texts(number, name, [a[key] for a in annotations for key in _TEXTS if key in a])


def _box_row(
    names_of: Mapping[str, tuple[str, ...]], number: int, name: str, annotations: Sequence[Mapping[str, Any]]
) -> Row:
    boxes = []
    for annotation in annotations:
        category = _id(annotation.get("category_id"))
        names = names_of.get(category, ("",))
        if len(names) > 1:
            of_category = " and ".join(quoted(name, 40) for name in names)
            return Row(number, name, "", f"the category {category} is {of_category}: give each an id of its own")
        try:
            x, y, width, height = map(float, annotation.get("bbox", ()))
        except (TypeError, ValueError):
            return Row(number, name, "", "a box is not x, y, width, height")
        boxes.append(DrawnBox(names[0], x, y, x + width, y + height))
    return drawn_row(number, name, boxes)


FORMAT = Format("coco", (".json", ""), recognise)
