"""Shards of drawn plates for the benchmarks of this folder; no command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2

import detector
from detector.data.packs.shards import PackedPicture, write_shards

SIZE_WH = (160, 48)


@cache
def drawn(count: int) -> list[tuple[str, bytes]]:
    """(text, JPEG) of plates: three letters and four digits."""
    synthesizer = detector.Synthesizer(detector.SynthConfig(pattern="AAA9999", size_wh=SIZE_WH))
    pictures = (synthesizer(number) for number in range(count))
    return [(one.text, cv2.imencode(".jpg", one.image)[1].tobytes()) for one in pictures]


def plates(count: int, different: int) -> Iterator[PackedPicture]:
    """So many plates with ids of their own; their bytes repeat after ``different``."""
    pictures = drawn(min(count, different))
    for number in range(count):
        text, data = pictures[number % len(pictures)]
        yield PackedPicture(f"{number:09d}", data, text, *SIZE_WH)


def plate_shards(folder: Path, count: int, rows: int, different: int = 2000) -> Path:
    """The folder with these plates in shards of ``rows``, written where it is not there already."""
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for _ in write_shards(plates(count, different), part, rows=rows):
            pass
        part.rename(folder)
    return folder
