"""Cameras and network streams: frames as they come, those that come faster than they are read passed over.

A line that drops is opened again a few times, a second apart. What was lost is told in the place of a frame: no frame
is made up. A video or picture at an address has an end, as a file has, and all its frames are read. OpenCV opens and
decodes; its ``read`` hands out old frames where reading is slow, and ends where a line drops, and so does
supervision's generator of frames. Ultralytics' loader gives black frames for lost ones, and is not in the base
install.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Thread
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.data.folders.image_files import IMAGE_SUFFIXES
from detector.errors import ImageError, SourceError

AGAIN_SECONDS = (1.0, 1.0, 2.0)
"""Before each try to open a line again that dropped; after them it is given up."""

_PAUSE = 0.05  # seconds between looks at whether a line is wanted any longer

Frame = tuple[str, NDArray[np.uint8] | ImageError]
"""A frame, or what was lost, and its name."""


class _Line:
    """One source, read in a thread of its own; ``news`` is notified of whatever there is to take."""

    def __init__(self, source: str, news: Condition) -> None:
        self.source, self.news = source, news
        # Without a password, which may have an @ itself: FFmpeg's host begins after the last one, too.
        self.name = re.sub(r"//[^/?#]*@", "//", source)
        self.video = _opened(source)
        if not self.video.isOpened():
            self.video.release()
            raise SourceError(f"{self.name} cannot be opened as a camera or stream.")
        # A stream does not know how many frames it has; a picture is one, which FFmpeg would give again and again.
        is_picture = os.path.splitext(urlsplit(source).path)[1].lower() in IMAGE_SUFFIXES
        self.is_file = os.path.exists(source) or is_picture or self.video.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self.frame: NDArray[np.uint8] | None = None
        self.losses: list[str] = []
        self.number, self.has_ended, self.is_running = 0, False, True
        self.thread = Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        frame_count = 0
        try:
            while self.is_running:
                has_frame, image = self.video.read()
                if has_frame:
                    frame_count += 1
                    self._report(image)
                elif self.is_file:
                    break
                elif self._opened_again():
                    self._report(loss=f"the line was lost after {frame_count} frames, and is there again")
                elif self.is_running:
                    self._report(loss=f"the line was lost after {frame_count} frames")
                    break
        finally:
            self.video.release()
            with self.news:
                self.has_ended = True
                self.news.notify_all()

    def _report(self, image: Any = None, loss: str | None = None) -> None:
        with self.news:
            if loss is None:
                while self.is_file and self.frame is not None and self.is_running:
                    self.news.wait(_PAUSE)
                self.frame = np.asarray(image, np.uint8)  # of a stream the one before may be passed over
            else:
                self.losses.append(loss)
            self.news.notify_all()

    def _opened_again(self) -> bool:
        for seconds in AGAIN_SECONDS:
            until = time.monotonic() + seconds
            while self.is_running and time.monotonic() < until:
                time.sleep(_PAUSE)
            if not self.is_running:
                return False
            self.video.release()
            self.video = _opened(self.source)
            if self.video.isOpened():
                return True
        return False

    def newest(self) -> list[Frame]:
        """Return the newest frame, if there is one, and the losses since the last one."""
        frames: list[Frame] = []
        if self.frame is not None:
            self.number += 1
            frames.append((f"{self.name}#{self.number}", self.frame))
            self.frame = None
            self.news.notify_all()
        frames += [(self.name, ImageError(loss)) for loss in self.losses]
        self.losses.clear()
        return frames


def live_frames(source: str) -> Iterator[Frame]:
    """Yield (name, picture) of each frame of live sources as it comes, and (name, reason) of what was lost.

    Args:
        source: a camera's index, an address, or a ``.streams`` file that lists some.

    Raises:
        SourceError: if one cannot be opened.
    """
    news, lines = Condition(), list[_Line]()
    try:
        for address in _listed(source):
            lines.append(_Line(address, news))
        for line in lines:
            line.thread.start()
        while True:
            with news:
                while not (frames := [frame for line in lines for frame in line.newest()]):
                    if all(line.has_ended for line in lines):
                        return
                    news.wait()
            yield from frames
    finally:
        for line in lines:
            line.is_running = False
            if line.thread.is_alive():
                line.thread.join(timeout=5)
            elif not line.has_ended:
                line.video.release()


def _opened(source: str) -> cv2.VideoCapture:
    return cv2.VideoCapture(int(source)) if source.isdecimal() else cv2.VideoCapture(source)


def _listed(source: str) -> list[str]:
    if not os.path.isfile(source):
        return [source]
    try:
        lines = Path(source).read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The list {source} cannot be read ({error}).") from error
    if not lines:
        raise SourceError(f"{source} lists no camera or stream: write an address a line.")
    return lines
