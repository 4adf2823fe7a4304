"""Shards of drawn plates for the benchmarks in this folder; not a command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2

import detector
from detector.data.packs.shards import ShardPicture, write_shards

SIZE_WH = (160, 48)


@cache
def drawn_plates(count: int) -> list[tuple[str, bytes]]:
    """Return (text, JPEG) of ``count`` plates with three letters and four digits."""
    synthesizer = detector.Synthesizer(detector.SynthConfig(pattern="AAA9999", size_wh=SIZE_WH))
    pictures = (synthesizer(number) for number in range(count))
    return [(picture.text, cv2.imencode(".jpg", picture.image)[1].tobytes()) for picture in pictures]


def plates(count: int, different: int) -> Iterator[ShardPicture]:
    """Yield ``count`` plates with different ids; their bytes repeat after ``different`` plates."""
    pictures = drawn_plates(min(count, different))
    for number in range(count):
        text, data = pictures[number % len(pictures)]
        yield ShardPicture(f"{number:09d}", data, text, *SIZE_WH)


def plate_shards(folder: Path, count: int, rows: int, different: int = 2000) -> Path:
    """Write plates into ``folder`` in shards of ``rows``, unless it exists; return the folder."""
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for _ in write_shards(plates(count, different), part, rows=rows):
            pass
        part.rename(folder)
    return folder
