"""Which inputs of a source can be used, and in which split each one falls; pure bookkeeping before any network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from detector.alphabet import Alphabet
from detector.errors import ImageError, SourceError
from detector.images import read_image
from detector.patterns import matches
from detector.sources import LabelledImage, Source
from detector.yolo_format import RejectRow

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is."""

_YOLO_READS = frozenset(".bmp .jpeg .jpg .png .tif .tiff .webp .jp2 .avif".split())
SAME_AS = {".jpe": ".jpg", ".jfif": ".jpg", ".dib": ".bmp"}  # other names of formats that yolo reads


@dataclass
class Inputs:
    """The labelled pictures of one run and what became of them."""

    items: list[LabelledImage]
    sizes_wh: list[tuple[int, int]]  # of each item, upright
    split: dict[str, str]  # of each text
    rejects: list[RejectRow] = field(default_factory=list)


def accept(
    found: Source, table: Alphabet, length: int, pattern: str | None, val: float, test: float, seed: int, tell: Progress
) -> Inputs:
    """Labels that fit, the pattern too, and files that can be opened, with their splits; the rest with its reason."""
    rejects = [RejectRow(r.name, r.reason) for r in found.refused]
    fitting = []
    for item in found.items:
        problem = table.problem(item.text, length)
        if problem is None and pattern and not matches(item.text, pattern, table):
            problem = f"the label {table.clean(item.text)!r} does not fit the pattern {pattern!r}"
        if problem is None and item.path.suffix.lower() not in (*_YOLO_READS, *SAME_AS):
            problem = f"yolo does not read {item.path.suffix} files: save it as PNG"
        if problem:
            rejects.append(RejectRow(item.name, problem))
        else:
            fitting.append(LabelledImage(item.path, table.clean(item.text), item.name))
    items, sizes_wh, more = _without_contradictions(fitting, tell)
    rejects += more
    if not items:
        raise SourceError(f"{found.root}: no labelled picture is left: {reasons_of(rejects)}.")
    return Inputs(items, sizes_wh, assign_splits({i.text for i in items}, val, test, seed), rejects)


def _without_contradictions(
    items: list[LabelledImage], tell: Progress
) -> tuple[list[LabelledImage], list[tuple[int, int]], list[RejectRow]]:
    """Drop pictures that cannot be decoded, and equal files that are labelled differently.

    Returns:
        What is left, the width and height of each, and the others with their reasons.
    """

    def look(item: LabelledImage) -> tuple[bytes, tuple[int, int] | str]:
        try:
            data = item.path.read_bytes()
            height, width = read_image(data).shape[:2]
            return hashlib.sha256(data).digest(), (width, height)
        except (ImageError, OSError) as error:
            return b"", str(error)

    good, rejects = [], []
    labels: dict[bytes, set[str]] = {}
    with ThreadPoolExecutor() as pool:
        for done, (item, (digest, seen)) in enumerate(zip(items, pool.map(look, items), strict=True), 1):
            if isinstance(seen, str):
                rejects.append(RejectRow(item.name, seen))
            else:
                good.append((item, seen, digest))
                labels.setdefault(digest, set()).add(item.text)
            tell("check", done, len(items))
    kept, sizes_wh = [], []
    for item, size_wh, digest in good:
        if len(labels[digest]) > 1:
            texts = ", ".join(sorted(labels[digest]))
            rejects.append(RejectRow(item.name, f"the same picture is labelled differently: {texts}"))
        else:
            kept.append(item)
            sizes_wh.append(size_wh)
    return kept, sizes_wh, rejects


def assign_splits(texts: set[str], val: float, test: float, seed: int = 0) -> dict[str, str]:
    """Split of each text: by hash, so that a text keeps its split when others come or go.

    Raises:
        SourceError: if there are fewer than two texts.
    """
    if len(texts) < 2:
        raise SourceError(f"All pictures show the text {next(iter(texts))!r}: two different ones are the least.")
    place = {t: int.from_bytes(hashlib.sha256(f"{seed}:{t}".encode()).digest()[:8]) / 2**64 for t in texts}
    split = {t: "test" if p < test else "val" if p < test + val else "train" for t, p in place.items()}
    by_place = sorted(texts, key=lambda t: place[t])
    for wanted, candidates in (("train", by_place[::-1]), ("val", by_place)):
        if wanted not in split.values():  # so few texts that none fell there
            split[next(t for t in candidates if list(split.values()).count(split[t]) > 1 or len(texts) == 2)] = wanted
    return split


def reasons_of(refused: Sequence[tuple[str, str]]) -> str:
    """How many inputs were refused, and why the first few were: (name, reason) of each."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in refused[:3])
    return f"all {len(refused)} were refused, for example {shown}"
