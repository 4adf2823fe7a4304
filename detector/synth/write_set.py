"""Write a set of artificial pictures: images/, labels.csv, boxes.csv."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector.data.atomic import atomic_write, writing
from detector.data.parallel import cores
from detector.data.text_files import write_csv
from detector.errors import ArgumentError, DetectorError
from detector.synth.config import SynthConfig
from detector.synth.synthesizer import Synthesizer

_LABELS, _BOXES = "labels.csv", "boxes.csv"
_CHUNK = 64
_worker: tuple[Synthesizer, Path] | None = None  # set once in each process of the pool

Row = tuple[str, str, list[tuple[float, ...]]]  # image, text, boxes


@dataclass(frozen=True)
class SynthReport:
    """Result of :func:`write_set`: the folder, numbers of pictures and characters, seconds."""

    out: Path
    images: int
    characters: int
    seconds: float


def write_set(
    config: SynthConfig,
    out: str | os.PathLike[str],
    count: int,
    *,
    workers: int | None = None,
    start: int = 0,
    progress: Callable[[int], None] | None = None,
) -> SynthReport:
    """Write pictures ``start`` to ``start + count - 1`` of the config's set.

    ``out`` gets ``images/NUMBER.png``, ``labels.csv`` (image,text) and ``boxes.csv`` (image,char,x1,y1,x2,y2 in
    pixels). The tables are written last, so that they never name a missing picture.

    Args:
        workers: processes; None takes one for each core that this process may use.
        progress: called with the number of pictures finished since the last call.

    Raises:
        DetectorError: if count or start make no sense, or ``out`` already has a labels.csv or pictures.
        SourceError: if fonts or characters are missing.
    """
    out = Path(out)
    for name, value, minimum in (("count", count, 1), ("workers", workers, 1), ("start", start, 0)):
        if value is not None and value < minimum:
            raise ArgumentError(f"{name} must be {minimum} or more, got {value}.")
    if out.exists() and not out.is_dir():
        raise DetectorError(f"{out} is a file: name a folder, which need not be there.")
    if (out / _LABELS).exists():
        raise DetectorError(f"{out} already holds a set ({_LABELS}): choose another folder, or delete it.")
    if any((out / "images").glob("*")):
        raise DetectorError(
            f"{out / 'images'} is not empty, say of a run that was stopped: choose another folder, or delete it."
        )
    if (out / _BOXES).exists():
        raise DetectorError(f"{out / _BOXES} is there, and would be replaced: choose another folder, or delete it.")
    synthesizer = Synthesizer(config)  # before any folder is made: it may raise
    with writing(out):
        return _write(synthesizer, out, range(start, start + count), workers or cores(), progress)


def _write(
    synthesizer: Synthesizer, out: Path, indices: range, workers: int, progress: Callable[[int], None] | None
) -> SynthReport:
    began = time.perf_counter()
    (out / "images").mkdir(parents=True, exist_ok=True)
    chunks = [indices[i : i + _CHUNK] for i in range(0, len(indices), _CHUNK)]
    processes = min(len(chunks), workers)
    rows: list[Row] = []
    for done in _run(synthesizer, out, chunks, processes):
        rows += done
        if progress is not None:
            progress(len(done))
    space = synthesizer.config.alphabet.space
    visible_rows = [(name, text.replace(space, ""), boxes) for name, text, boxes in rows]
    boxes = [
        (name, char, *box) for name, chars, of_chars in visible_rows for char, box in zip(chars, of_chars, strict=True)
    ]
    _write_table(out / _BOXES, ("image", "char", "x1", "y1", "x2", "y2"), boxes)
    _write_table(out / _LABELS, ("image", "text"), [(name, text) for name, text, _ in rows])
    return SynthReport(out, len(rows), len(boxes), time.perf_counter() - began)


def file_names(count: int, start: int = 0) -> list[str]:
    """Paths of all files that :func:`write_set` writes, below its folder."""
    return [_LABELS, _BOXES, *map(_image, range(start, start + count))]


def _image(index: int) -> str:
    return f"images/{index:07d}.png"


def _run(synthesizer: Synthesizer, out: Path, chunks: list[range], processes: int) -> Iterator[list[Row]]:
    """Yield the rows of each chunk in order, from this process or a pool."""
    if processes == 1:
        for chunk in chunks:
            yield _write_pictures(synthesizer, out, chunk)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads (torch, OpenCV) may hang
    try:
        with ProcessPoolExecutor(processes, context, _start_worker, (synthesizer, out)) as pool:
            yield from pool.map(_draw_chunk, chunks)
    except BrokenProcessPool as error:
        raise DetectorError(
            "The processes that draw ended early. In a script of your own put the call under "
            '`if __name__ == "__main__":`, since each of them reads the script first; or say workers=1.'
        ) from error


def _start_worker(synthesizer: Synthesizer, out: Path) -> None:
    global _worker
    cv2.setNumThreads(1)
    _worker = (synthesizer, out)


def _draw_chunk(chunk: range) -> list[Row]:
    if _worker is None:
        raise DetectorError("A worker began without its config.")
    return _write_pictures(*_worker, chunk)


def _write_pictures(synthesizer: Synthesizer, out: Path, chunk: range) -> list[Row]:
    rows: list[Row] = []
    for index in chunk:
        picture = synthesizer(index)
        name = _image(index)
        done, data = cv2.imencode(".png", picture.image)
        if not done:
            raise DetectorError(f"{out / name} could not be encoded as PNG.")
        part = out / f"{name}.part"
        try:
            part.write_bytes(np.asarray(data).tobytes())
            part.replace(out / name)
        finally:
            part.unlink(missing_ok=True)
        rows.append((name, picture.text, [tuple(round(float(v), 2) for v in box) for box in picture.boxes_xyxy]))
    return rows


def _write_table(path: Path, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """Atomically write a table."""
    with atomic_write(path) as part:
        write_csv(part, header, rows)
