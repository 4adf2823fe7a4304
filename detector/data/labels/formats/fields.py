"""Names of columns and keys, and texts inside of values, as several formats have them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.data.labels.formats.model import Columns, Row, json_of, quoted
from detector.errors import SourceError, argument

_IMAGES = """image images image_path image_name image_file img img_path img_name
    file files file_name filename file_path filepath path picture"""
_IDS = "id image_id img_id file_id"
_TEXTS = """text texts label labels word words string str transcription transcript gt gt_text ground_truth groundtruth
    target plate plate_text plate_number license_plate licence_plate license_number captcha solution ocr ocr_text"""
IMAGE_COLUMNS = frozenset(_IMAGES.split())
TEXT_COLUMNS = frozenset(_TEXTS.split())
"""Names of columns and keys that are known; case, spaces and ``-`` for ``_`` make no difference."""
ID_COLUMNS = frozenset(_IDS.split())
"""Likewise, of pictures where no column of :data:`IMAGE_COLUMNS` is."""
TYPED_NAMES = TEXT_COLUMNS | {"char", "character", "symbol", "value"}
"""Likewise, of what a person types for a box."""

_INSIDE = (*_TEXTS.split(), "text_sequence", "gt_parse", "value")
_JSON = re.compile(r"\s*(?:\{\s*\"|\[\s*[\"{])")
_MAX_SHOWN = 12  # columns in one message


def plain(name: str) -> str:
    """Normalise a column's name to the spelling of the known ones."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def columns_of(file: Path, header: Sequence[str], columns: Columns) -> tuple[int, int]:
    """Return the numbers of the image's and the text's column, from 0.

    Raises:
        SourceError: if one cannot be told; naming the columns, and the option that says it.
    """
    numbers: list[int] = []
    problems, options = [], []
    for kind, requested, usual in zip(("image", "text"), columns, (IMAGE_COLUMNS, TEXT_COLUMNS), strict=True):
        matches = _matches(header, requested, usual, ID_COLUMNS if kind == "image" else frozenset())
        if len(matches) == 1:
            numbers.append(matches[0])
            continue
        problem = f"no column {requested!r}" if requested is not None else f"no known {kind} column"
        if matches:
            matching = ", ".join(quoted(header[i], 30) for i in matches[:_MAX_SHOWN])
            problem = f"{len(matches)} columns that may be the {kind} ({matching})"
        others = [name.strip() for i, name in enumerate(header) if i not in numbers]
        likely = others[0] if kind == "text" and len(others) == 1 else "NAME"
        problems.append(problem)
        options.append(argument(f"{kind}_column", likely))
    if problems:
        listed = ", ".join(quoted(name, 30) for name in header[:_MAX_SHOWN])
        listed += ", …" if len(header) > _MAX_SHOWN else ""
        what, say = " and ".join(problems), " and ".join(options)
        raise SourceError(f"{file} has {what}; its columns are {listed}. Say which: {say}.")
    return numbers[0], numbers[1]


def _matches(
    header: Sequence[str], requested: str | None, usual: frozenset[str], second_choice: frozenset[str]
) -> list[int]:
    """Numbers of the columns that have the requested name, in any case if none has it in that, or a usual one."""
    if requested is None:
        names = [plain(name) for name in header]
        matches = [i for i, name in enumerate(names) if name in usual]
        return matches or [i for i, name in enumerate(names) if name in second_choice]
    wanted = requested.strip()
    matches = [i for i, name in enumerate(header) if name.strip() == wanted]
    return matches or [i for i, name in enumerate(header) if name.strip().lower() == wanted.lower()]


def text_in(value: Any, depth: int = 6) -> str | None:
    """Return the one text of a JSON value: of a string, a number, a list of one, ``{"text": …}``, JSON; else None."""
    if isinstance(value, str):
        inner = json_of(value) if depth and _JSON.match(value) else None
        inside = None if inner is None else text_in(inner, depth - 1)
        return value if inside is None else inside
    if isinstance(value, list):
        return text_in(value[0], depth - 1) if len(value) == 1 and depth else None
    if isinstance(value, Mapping) and depth:
        texts = [value[key] for key in value if plain(str(key)) in _INSIDE]
        if len(texts) == 1:
            return text_in(texts[0], depth - 1)
    return None


def row_of_texts(line: int, image: str, values: Sequence[Any]) -> Row:
    """Return the row of a picture in which these values were typed, one for each mark: the text of the only one."""
    if len(values) > 1:
        return Row(line, image, "", f"{len(values)} texts are marked in it: crop them to pictures of one")
    text = text_in(values[0]) if values else None  # null is no text, and not the text "None"
    return Row(line, image, text or "", "nothing was typed for it" if text is None else "")
