"""Environment variables that keep libraries from using the network or running code of files.

Importing the package sets them, before it imports any library.
"""

from __future__ import annotations

import os

ALWAYS = {
    "YOLO_OFFLINE": "1",  # Ultralytics looks up its address, newer versions and fonts, and reports usage
    "YOLO_AUTOINSTALL": "0",  # it installs packages that a file asks for
    "ULTRALYTICS_SAFE_LOAD": "1",  # it opens weights without running code, and evaluates no code of a model YAML
    "NO_ALBUMENTATIONS_UPDATE": "1",  # looks up newer versions at import
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports the size of its cluster, and what is imported
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime reports usage and writes an id into the user's cache
}
"""Environment variables; child processes inherit them."""


def switch_off() -> None:
    """Set them all, replacing the user's values: this package promises not to use the network."""
    os.environ.update(ALWAYS)


def keep_in(folder: str) -> None:
    """Move the caches of libraries into ``folder``; only for processes that this package owns."""
    os.environ.setdefault("MPLCONFIGDIR", os.path.join(folder, "matplotlib"))  # its font list


def hush() -> None:
    """Silence OpenCV, its decoders and Ultralytics; before they are imported. Child processes inherit it."""
    os.environ["YOLO_VERBOSE"] = "false"
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def hush_ray() -> None:
    """Leave Ray's warnings about its own actors out of stderr; before it connects."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")


switch_off()
