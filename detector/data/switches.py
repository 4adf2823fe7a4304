"""The switches of libraries that would use the network, or run what a file says: set here, before they are imported.

Importing the package sets them: no library is imported by this package before.
"""

from __future__ import annotations

import os

ALWAYS = {
    "YOLO_OFFLINE": "1",  # Ultralytics asks for its address, newer versions and fonts, and counts its users
    "YOLO_AUTOINSTALL": "0",  # it installs what a file asks for
    "ULTRALYTICS_SAFE_LOAD": "1",  # it opens weights without running code, and evaluates nothing of a structure
    "NO_ALBUMENTATIONS_UPDATE": "1",  # asks for newer versions at import
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime tells of its use, and writes an id into the user's cache
}
"""Switches of the environment, which child processes inherit."""


def switch_off() -> None:
    """Set them all; what the user set otherwise is replaced, for this package promises it."""
    os.environ.update(ALWAYS)


def keep_in(folder: str) -> None:
    """What libraries keep for themselves lies in ``folder``: for processes that are this package's alone."""
    os.environ.setdefault("MPLCONFIGDIR", os.path.join(folder, "matplotlib"))  # its list of fonts


def hush() -> None:
    """OpenCV and its decoders say nothing of what they meet: before OpenCV is imported."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


switch_off()
