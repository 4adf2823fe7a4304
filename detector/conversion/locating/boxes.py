"""Boxes of all pictures of a source, batch by batch in threads, kept as they are found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.conversion.locating.locator import Ids, Image, Located, as_drawn
from detector.data.atomic import atomic_write
from detector.data.folders.resume_folder import ResumeFolder
from detector.data.images import read_image
from detector.data.labels.sources import LabelledImage
from detector.data.parallel import Progress, chunked, spread_map
from detector.errors import ImageError
from detector.text.alphabet import Alphabet

_BATCH, _BATCHES_A_PIECE = 64, 16
_LOCATED = tuple(field.name for field in fields(Located))

Locate = Callable[[Sequence[LabelledImage], Sequence[Image]], Sequence[Located]]
"""Called in several threads, or by workers elsewhere, for which it is pickled, with some items and their pictures."""


@dataclass(frozen=True)
class Boxes:
    """One picture's width and height, upright, and the characters of its label."""

    size_wh: tuple[int, int]
    located: Located


class BoxStore:
    """Boxes of pictures, by name and text: those of a picture whose text was changed are not found.

    Args:
        resume: where they are kept.
        kind: of the pieces that they are kept in.
    """

    def __init__(self, resume: ResumeFolder, kind: str) -> None:
        self._resume = resume
        self._kind = kind
        self._place: dict[tuple[str, str], tuple[Path, int]] = {}
        self._open = lru_cache(maxsize=4)(_load)
        for piece in resume.pieces(kind):
            self._index(piece)

    def __contains__(self, item: LabelledImage) -> bool:
        return (item.name, item.text) in self._place

    def __getitem__(self, item: LabelledImage) -> Boxes:
        piece, row = self._place[item.name, item.text]
        return _row(self._open(piece), row)

    def add(self, pairs: Sequence[tuple[LabelledImage, Boxes]]) -> None:
        """Store more boxes, in a piece of their own."""
        piece = self._resume.next_piece(self._kind, ".npz")
        with atomic_write(piece) as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **_columns(pairs))
        self._index(piece)

    def _index(self, piece: Path) -> None:
        try:
            items = json.loads(_load(piece)["items"].tobytes())
        except Exception as error:  # a damaged archive makes numpy and zipfile raise nearly anything
            self._resume.drop(piece, error)
            return
        for row, (name, text) in enumerate(items):
            self._place[name, text] = piece, row


class LatestBoxes:
    """Boxes of each picture from the last store that has them: later rounds look at some pictures only."""

    def __init__(self, *stores: BoxStore) -> None:
        self._stores = stores

    def __getitem__(self, item: LabelledImage) -> Boxes:
        return next(store[item] for store in reversed(self._stores) if item in store)

    def __contains__(self, item: LabelledImage) -> bool:
        return any(item in store for store in self._stores)

    def with_store(self, store: BoxStore) -> LatestBoxes:
        """Return a store that looks into ``store`` first."""
        return LatestBoxes(*self._stores, store)


def locate_all(items: Sequence[LabelledImage], store: BoxStore, locate: Locate, progress: Progress, stage: str) -> None:
    """Put into ``store`` what it has not of ``items``.

    Batches are made of the missing ones in their order, and kept in whole pieces: a run that goes on makes the same
    batches as one that was never stopped.

    Args:
        items: with their texts.
        store: of their boxes.
        locate: what locates a batch, by whatever workers there are, see :func:`detector.data.parallel.spread_map`.
        progress: called as the work goes on.
        stage: its name.
    """
    missing = [item for item in items if item not in store]
    completed = len(items) - len(missing)
    progress(stage, completed, len(items))

    unsaved: list[tuple[LabelledImage, Boxes]] = []
    batches = list(chunked(missing, _BATCH))
    for batch, boxes in zip(batches, spread_map(partial(boxes_of, locate), batches), strict=True):
        unsaved += zip(batch, boxes, strict=True)
        completed += len(batch)
        progress(stage, completed, len(items))
        if len(unsaved) >= _BATCH * _BATCHES_A_PIECE:
            store.add(unsaved)
            unsaved = []
    if unsaved:
        store.add(unsaved)


def boxes_of(locate: Locate, batch: Sequence[LabelledImage]) -> list[Boxes]:
    """Locate the labels of one batch."""
    images = [picture_of(item) for item in batch]
    sizes = [(image.shape[1], image.shape[0]) for image in images]
    located = locate(batch, images)
    return [
        Boxes(size_wh, as_drawn(characters, item.boxes_xyxy, size_wh[::-1]))
        for item, size_wh, characters in zip(batch, sizes, located, strict=True)
    ]


def _columns(pairs: Sequence[tuple[LabelledImage, Boxes]]) -> dict[str, NDArray[Any]]:
    """Concatenate the rows of all arrays, and return how many each picture has."""
    names = json.dumps([(item.name, item.text) for item, _ in pairs]).encode()
    columns: dict[str, NDArray[Any]] = {
        "items": np.frombuffer(names, np.uint8),
        "size_wh": np.array([boxes.size_wh for _, boxes in pairs], np.int64),  # (pictures, 2)
    }
    for name in _LOCATED:
        values = [np.asarray(getattr(boxes.located, name)) for _, boxes in pairs]
        if values[0].ndim:
            columns[f"{name}.rows"] = np.array([len(v) for v in values], np.int64)
            columns[name] = np.concatenate(values)
        else:
            columns[name] = np.array(values)
    return columns


def _load(piece: Path) -> dict[str, NDArray[Any]]:
    with piece.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {
            **arrays,
            **{f"{n[:-5]}.start": np.cumsum(arrays[n]) - arrays[n] for n in arrays if n.endswith(".rows")},
        }


def _row(arrays: dict[str, NDArray[Any]], row: int) -> Boxes:
    """Invert :func:`_columns` for one picture."""
    values: dict[str, Any] = {}
    for name in _LOCATED:
        if f"{name}.rows" in arrays:
            start = int(arrays[f"{name}.start"][row])
            values[name] = arrays[name][start : start + int(arrays[f"{name}.rows"][row])]
        else:
            values[name] = arrays[name][row].item()
    width, height = arrays["size_wh"][row].tolist()
    return Boxes((width, height), Located(**values))


# --- what is asked of items in many places --------------------------------------------------------------------------


def visible_symbols(text: str, alphabet: Alphabet) -> str:
    """Return the symbols that have boxes: the text without its spaces."""
    return text.replace(alphabet.space, "")


def visible_ids(text: str, alphabet: Alphabet) -> Ids:
    """Return the class ids of the symbols that have boxes, int64 (n,)."""
    symbols = visible_symbols(text, alphabet)
    ids: Ids = alphabet.encode([symbols], len(symbols))[0]
    return ids


def picture_of(item: LabelledImage) -> Image:
    """Decode the item's picture.

    Raises:
        ImageError: naming the file, where it could be opened a while ago.
    """
    try:
        return read_image(item.path)
    except ImageError as error:
        raise ImageError(f"{item.path}: {error}; it was changed while this ran.") from error
