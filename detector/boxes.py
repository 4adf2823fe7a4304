"""Boxes of all pictures of a source, batch by batch in threads, kept as they are found; and what is known of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detector.align import Aligned, wrong_labels
from detector.alphabet import Alphabet
from detector.errors import ImageError
from detector.fit import Fit, fit
from detector.images import read_image
from detector.intake import Progress, chunked
from detector.metrics import edit_distance
from detector.sources import LabelledImage
from detector.threads import ahead
from detector.unfold import Fold, unfold
from detector.work import Work, whole

_BOXES = "boxes"  # pieces of kept work
_BATCH, _BATCHES_A_PIECE = 64, 16
_CHUNK = 64  # pictures that a thread decodes at once
_SAMPLE, _SAMPLE_BYTES = 20_000, 512 << 20  # pictures that a network is taught on at most, and their memory

Fitted = list[tuple[NDArray[np.uint8], Fit]]
Align = Callable[[Sequence[LabelledImage], Fitted], list[Aligned | None]]
"""Called in several threads with some items and their fitted pictures."""

LinesOf = Callable[[LabelledImage], Sequence[int]]
"""How many text lines a picture may have."""


def one_line(_: LabelledImage) -> Sequence[int]:
    """For pictures that are not unfolded."""
    return (1,)


@dataclass(frozen=True)
class Found:
    """One picture's width and height, upright, and its characters; None if its text does not fit into it."""

    size_wh: tuple[int, int]
    aligned: Aligned | None


class KeptBoxes:
    """What was found so far, by name and text: a picture whose text was changed is not found.

    Args:
        work: where it is kept.
        kind: of the pieces that it is kept in.
    """

    def __init__(self, work: Work, kind: str = _BOXES) -> None:
        self._work = work
        self._kind = kind
        self._place: dict[tuple[str, str], tuple[Path, int]] = {}
        self._open = lru_cache(maxsize=4)(_load)
        for piece in work.pieces(kind):
            self._index(piece)

    def __contains__(self, item: LabelledImage) -> bool:
        return (item.name, item.text) in self._place

    def __getitem__(self, item: LabelledImage) -> Found:
        piece, row = self._place[item.name, item.text]
        return _row(self._open(piece), row)

    def add(self, found: Sequence[tuple[LabelledImage, Found]]) -> None:
        """Keep some more, in a piece of their own."""
        piece = self._work.next_piece(self._kind, ".npz")
        with whole(piece) as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **_columns(found))
        self._index(piece)

    def _index(self, piece: Path) -> None:
        try:
            items = json.loads(_load(piece)["items"].tobytes())
        except Exception as error:  # a damaged archive makes numpy and zipfile raise nearly anything
            self._work.drop(piece, error)
            return
        for row, (name, text) in enumerate(items):
            self._place[name, text] = piece, row


def find_boxes(
    items: Sequence[LabelledImage],
    shape_hw: tuple[int, int],
    kept: KeptBoxes,
    align: Align,
    tell: Progress,
    stage: str = "boxes",
    lines: LinesOf = one_line,
) -> None:
    """Put into ``kept`` what it has not of ``items``.

    A picture that may have one or two lines is aligned as either, and has those that its label is likelier with.

    Batches are made of the missing ones in their order, and kept in whole pieces: a run that goes on makes the same
    batches as one that was never stopped.
    """
    missing = [item for item in items if item not in kept]
    done = len(items) - len(missing)
    if done:
        tell(stage, done, len(items))

    def batch(some: Sequence[LabelledImage]) -> list[tuple[LabelledImage, Found]]:
        best: list[Aligned | None] = [None] * len(some)
        laid_out: dict[int, list[tuple[int, Fold, tuple[NDArray[np.uint8], Fit]]]] = {}
        sizes = []
        for row, item in enumerate(some):  # one by one: of a batch of photographs only what was fitted is kept
            image = opened(item)
            sizes.append((image.shape[1], image.shape[0]))
            for count in lines(item):
                unfolded, fold = unfold(image, count)
                laid_out.setdefault(count, []).append((row, fold, fit(unfolded, shape_hw)))
        for _, laid in sorted(laid_out.items()):
            aligned = align([some[row] for row, _, _ in laid], [picture for _, _, picture in laid])
            for (row, fold, _), one in zip(laid, aligned, strict=True):
                if one is not None and ((other := best[row]) is None or one.right > other.right):
                    boxes = one.boxes_xyxy
                    best[row] = replace(one, boxes_xyxy=fold.to_picture(boxes), lines=fold.lines_of(boxes))
        return [(item, Found(size, one)) for item, size, one in zip(some, sizes, best, strict=True)]

    fresh: list[tuple[LabelledImage, Found]] = []
    with _one_thread_an_operation() as workers:
        for made in ahead(batch, chunked(missing, _BATCH), workers):
            fresh += made
            for _ in made:
                done += 1
                tell(stage, done, len(items))
            if len(fresh) >= _BATCH * _BATCHES_A_PIECE:
                kept.add(fresh)
                fresh = []
        if fresh:
            kept.add(fresh)


@contextmanager
def _one_thread_an_operation() -> Iterator[int]:
    """How many threads torch has, each for a batch of its own: cutting is not torch's and would wait for one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _columns(found: Sequence[tuple[LabelledImage, Found]]) -> dict[str, NDArray[Any]]:
    """Rows of all arrays one below the other, and how many each picture has."""
    named = json.dumps([(item.name, item.text) for item, _ in found]).encode()
    aligned = [one.aligned for _, one in found if one.aligned is not None]
    columns: dict[str, NDArray[Any]] = {
        "items": np.frombuffer(named, np.uint8),
        "size_wh": np.array([one.size_wh for _, one in found], np.int64),  # (pictures, 2)
        "fits": np.array([one.aligned is not None for _, one in found]),
    }
    for name in (field.name for field in fields(Aligned)):
        values = [np.asarray(getattr(one, name)) for one in aligned]
        if values and values[0].ndim:
            columns[f"{name}.rows"] = np.array([len(v) for v in values], np.int64)
            columns[name] = np.concatenate(values)
        else:
            columns[name] = np.array(values)
    return columns


def _load(piece: Path) -> dict[str, NDArray[Any]]:
    with piece.open("rb") as file, np.load(file, allow_pickle=False) as held:
        return dict(held)


def _row(held: dict[str, NDArray[Any]], row: int) -> Found:
    """The inverse of :func:`_columns` for one picture."""
    width, height = held["size_wh"][row].tolist()
    if not held["fits"][row]:
        return Found((width, height), None)
    at = int(held["fits"][:row].sum())  # of those that have boxes
    values: dict[str, Any] = {}
    for name in (field.name for field in fields(Aligned)):
        rows = held.get(f"{name}.rows")
        if rows is None:
            values[name] = held[name][at].item()
        else:
            start = int(rows[:at].sum())
            values[name] = held[name][start : start + int(rows[at])]
    return Found((width, height), Aligned(**values))


# --- what is known of pictures and labels ---------------------------------------------------------------------------


def shown(text: str, table: Alphabet) -> str:
    """The symbols that can be seen: the text without its blanks."""
    return text.replace(table.blank, "")


def shown_ids(item: LabelledImage, table: Alphabet) -> NDArray[np.int64]:
    """Class ids of the symbols that can be seen, (n,)."""
    symbols = shown(item.text, table)
    ids: NDArray[np.int64] = table.encode([symbols], len(symbols))[0]
    return ids


def label_doubts(
    items: Sequence[LabelledImage], found: Callable[[LabelledImage], Found], table: Alphabet
) -> dict[str, float]:
    """Probability that the label is wrong, by the picture's name; pictures whose text does not fit are left out."""
    names, right, distance, lengths = [], [], [], []
    for item in items:
        aligned = found(item).aligned
        if aligned is not None:
            own = shown_ids(item, table)
            names.append(item.name)
            right.append(aligned.right + aligned.vouched)
            distance.append(edit_distance(aligned.read.tolist(), own.tolist()))
            lengths.append(len(own))
    texts = {shown(item.text, table) for item in items}
    wrong = wrong_labels(np.array(right), np.array(distance), np.array(lengths), len(set("".join(texts))), len(texts))
    return dict(zip(names, wrong.tolist(), strict=True))


def sureness(found: Found, wrong: float) -> float:
    """A picture's confidence: its least sure box's, times the probability that its label is not ``wrong``."""
    return 0.0 if found.aligned is None else float(found.aligned.confidence.min()) * (1 - wrong)


def opened(item: LabelledImage) -> NDArray[np.uint8]:
    """The picture, decoded.

    Raises:
        ImageError: naming the file, where it could be opened a while ago.
    """
    try:
        return read_image(item.path)
    except ImageError as error:
        raise ImageError(f"{item.path}: {error}; it was changed while this ran.") from error


def sample(
    items: list[LabelledImage], shape_hw: tuple[int, int], rng: np.random.Generator, most: int = _SAMPLE
) -> list[LabelledImage]:
    """At most so many, and no more than there is memory for, in their order."""
    most = min(most, _SAMPLE_BYTES // (3 * shape_hw[0] * shape_hw[1]))
    if len(items) <= most:
        return items
    return [items[i] for i in np.sort(rng.choice(len(items), most, replace=False))]


def fitted(
    items: Sequence[LabelledImage], shape_hw: tuple[int, int], lines: Sequence[int] | None = None
) -> tuple[NDArray[np.uint8], list[Fit]]:
    """Their pictures, unfolded where they have several ``lines``, uint8 (n, H, W, 3), and how each was fitted."""

    def made(some: Sequence[tuple[LabelledImage, int]]) -> Fitted:
        return [fit(unfold(opened(item), count)[0], shape_hw) for item, count in some]

    counted = list(zip(items, lines or [1] * len(items), strict=True))
    images = np.empty((len(items), *shape_hw, 3), np.uint8)
    fits: list[Fit] = []
    for some in ahead(made, chunked(counted, _CHUNK)):
        for image, back in some:
            images[len(fits)] = image
            fits.append(back)
    return images, fits
