"""Ultralytics itself: imported here and nowhere else, its switches set before."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image

from detector.data.user_cache import cache_folder

__all__ = [
    "DDP_BUFFERS",
    "DEFAULT_CFG_DICT",
    "LOGGER",
    "RANK",
    "AutoBackend",
    "DetectionModel",
    "DetectionTrainer",
    "DetectionValidator",
    "Exporter",
    "ModelEMA",
    "__version__",
    "check_dict_alignment",
    "get_cfg",
    "get_save_dir",
    "in_short",
    "increment_path",
    "intersect_dicts",
    "load_checkpoint",
    "onnx_export",
    "openvino_export",
    "put_fonts_in_place",
    "quiet",
    "tasks_module",
    "yaml_model_load",
]  # fmt: skip


def _before_import() -> tuple[Any, str | None]:
    """Say where Ultralytics keeps its settings; what its import would change is returned for :func:`_after_import`."""
    os.environ.setdefault("YOLO_VERBOSE", "true")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder()))
    return PIL.Image.open, os.environ.get("OMP_NUM_THREADS")


_before = _before_import()
with contextlib.redirect_stdout(sys.stderr):  # its first start says so; stdout is for results
    from ultralytics import __version__
    from ultralytics.cfg import DEFAULT_CFG_DICT, check_dict_alignment, get_cfg, get_save_dir
    from ultralytics.engine.exporter import Exporter
    from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
    from ultralytics.nn import tasks as tasks_module
    from ultralytics.nn.autobackend import AutoBackend
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint, yaml_model_load
    from ultralytics.utils import LOGGER, RANK
    from ultralytics.utils.export import engine as onnx_export
    from ultralytics.utils.export import openvino as openvino_export
    from ultralytics.utils.files import increment_path
    from ultralytics.utils.torch_utils import TORCH_2_13, ModelEMA, intersect_dicts

DDP_BUFFERS = "forward_sync_buffers" if TORCH_2_13 else "broadcast_buffers"
"""How torch calls the argument of ``DistributedDataParallel`` that Ultralytics turns off."""


def _after_import(image_open: Any, asked_threads: str | None) -> None:
    """Take back what the import changed for the whole process; messages go to stderr."""
    PIL.Image.open = image_open  # Ultralytics' own wants pi-heif for every file that Pillow cannot identify
    if asked_threads is None:  # Ultralytics sets it to 1, and nobody could tell that from what the user asked for
        os.environ.pop("OMP_NUM_THREADS", None)
    for handler in LOGGER.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)


_after_import(*_before)


def put_fonts_in_place() -> None:
    """Give Ultralytics' plots of training a font, which it would otherwise fetch."""
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    folder = Path(os.environ["YOLO_CONFIG_DIR"]) / "Ultralytics"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("Arial.ttf", "Arial.Unicode.ttf"):
            if not (folder / name).exists():
                shutil.copyfile(font, folder / name)
    except OSError:  # a read-only home: plots are then drawn without a font
        return


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Ultralytics says only what goes wrong."""
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        yield
    finally:
        LOGGER.setLevel(level)


def in_short(error: Exception) -> str:
    """What went wrong, without Ultralytics' advice to download other weights."""
    cause = error.__cause__ or error.__context__ or error
    return f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no more is said'}"
