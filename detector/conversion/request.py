"""What the kept work of a conversion depends on, so that a run that goes on takes up that of the same request alone."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cv2

from detector.conversion.settings import Settings
from detector.data.folders.resume_folder import package_hash
from detector.data.labels.sources import Source
from detector.data.packs.shard_rows import shard_of

_LOCATE, _TRAIN = ("numpy", "onnxruntime", "pillow"), ("torch", "ultralytics")  # what boxes and pictures come from


def pictures_hash(source: Source) -> str:
    """Hash the pictures of a source and their labels; files count by size and modification time."""
    digest = hashlib.sha256()
    for item in source.items:
        try:
            status = (shard_of(item.path) or item.path).stat()
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError as error:  # say a link that leads nowhere: refused when it is looked at
            state = type(error).__name__
        digest.update(f"{item.name}\0{item.text}\0{state}\n".encode())
        if item.boxes_xyxy is not None:
            digest.update(item.boxes_xyxy.tobytes())
        if item.confidence is not None:  # it decides on the split, and the split on what rounds learn
            digest.update(b"pre-label")
    return digest.hexdigest()


def request_for(source: Source, settings: Settings) -> dict[str, Any]:
    """Return all that detectors and boxes depend on: pictures and labels, arguments, software versions."""
    return {
        **settings.to_dict(),
        "pictures": pictures_hash(source),
        "package": package_hash(),
        "libraries": {"cv2": cv2.__version__, **{name: _version(name) for name in (*_LOCATE, *_TRAIN)}},
    }


def before_training(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request of a run without the training libraries, whose boxes are the shipped detector's."""
    return {**request, "libraries": {**request["libraries"], **dict.fromkeys(_TRAIN)}}


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
