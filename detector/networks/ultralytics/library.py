"""Ultralytics itself: imported here and nowhere else, its switches set before."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image

from detector.data.folders.user_cache import cache_folder

__all__ = [
    "DDP_BUFFERS",
    "DEFAULT_CFG_DICT",
    "LOCAL_RANK",
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
    "strip_optimizer",
    "tasks_module",
    "torch_distributed_zero_first",
    "unset_deterministic",
    "yaml_model_load",
]  # fmt: skip


INTEGRATIONS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")
"""Keys of `yolo settings` that send a run's numbers to another program."""


def _before_import() -> tuple[Any, str | None]:
    """Say where Ultralytics keeps its settings; what its import would change is returned for :func:`_after_import`."""
    os.environ.setdefault("YOLO_VERBOSE", "true")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder()))
    return PIL.Image.open, os.environ.get("OMP_NUM_THREADS")


def _users_settings() -> Path:
    """Return the path of the user's `yolo settings`, as Ultralytics' ``get_user_config_dir`` has it."""
    places = {"win32": "AppData/Roaming", "darwin": "Library/Application Support"}
    base = Path(os.path.expanduser("~"), places.get(sys.platform, ".config"))
    if sys.platform not in places:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or base)
    return base / "Ultralytics" / "settings.json"


def _respect_settings() -> None:
    """Turn on the integrations that the user turned on in `yolo settings`, and no others; nothing is written.

    Ultralytics' own defaults would take part in whatever is installed.
    """
    if os.environ["YOLO_CONFIG_DIR"] == str(cache_folder()):  # else the user's own choice, which Ultralytics has read
        try:
            settings = json.loads(_users_settings().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            settings = {}
        integrations = {key: isinstance(settings, dict) and settings.get(key) is True for key in INTEGRATIONS}
        dict.update(SETTINGS, integrations)
    if "ray" not in sys.modules:  # no session of Ray Tune: its callback would import Ray and warn at every epoch
        dict.update(SETTINGS, {"raytune": False})


_import_state = _before_import()
with contextlib.redirect_stdout(sys.stderr):  # its first start says so; stdout is for results
    from ultralytics import __version__
    from ultralytics.cfg import DEFAULT_CFG_DICT, check_dict_alignment, get_cfg, get_save_dir
    from ultralytics.engine.exporter import Exporter
    from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
    from ultralytics.nn import tasks as tasks_module
    from ultralytics.nn.autobackend import AutoBackend
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint, yaml_model_load
    from ultralytics.utils import LOCAL_RANK, LOGGER, RANK, SETTINGS, TQDM, remove_colorstr
    from ultralytics.utils.export import engine as onnx_export
    from ultralytics.utils.export import openvino as openvino_export
    from ultralytics.utils.files import increment_path
    from ultralytics.utils.torch_utils import (
        TORCH_2_13,
        ModelEMA,
        intersect_dicts,
        strip_optimizer,
        torch_distributed_zero_first,
        unset_deterministic,
    )

DDP_BUFFERS = "forward_sync_buffers" if TORCH_2_13 else "broadcast_buffers"
"""How torch calls the argument of ``DistributedDataParallel`` that Ultralytics turns off."""


def _after_import(image_open: Any, omp_threads: str | None) -> None:
    """Undo what the import changed for the whole process; messages go to stderr."""
    PIL.Image.open = image_open  # Ultralytics' own wants pi-heif for every file that Pillow cannot identify
    # Ultralytics sets it to 1, and nobody could tell that from what the user asked for.
    if omp_threads is None:
        os.environ.pop("OMP_NUM_THREADS", None)
    else:
        os.environ["OMP_NUM_THREADS"] = omp_threads
    for handler in LOGGER.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
            handler.addFilter(_uncoloured(handler))
    _respect_settings()


def _uncoloured(handler: Any) -> Callable[[logging.LogRecord], bool]:
    """Make a filter that removes colours from what goes to no terminal."""

    def let_pass(record: logging.LogRecord) -> bool:
        if not handler.stream.isatty():
            record.msg, record.args = remove_colorstr(record.getMessage()), ()
        return True

    return let_pass


def _without_bars() -> None:
    """Print a progress bar as one line at its end where it goes to no terminal."""
    display, close = TQDM._display, TQDM.close

    def display_in_terminal(self: Any, final: bool = False) -> None:
        if self.file.isatty():
            display(self, final)

    def close_with_line(self: Any) -> None:
        if self.file.isatty():
            close(self)
        elif not self.closed:
            self.closed = True
            if self.desc and not self.disable:
                self.file.write(f"{self.desc}\n")
                self.file.flush()

    TQDM._display, TQDM.close = display_in_terminal, close_with_line


_after_import(*_import_state)
_without_bars()


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
    """Silence Ultralytics inside the block, errors excepted."""
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        yield
    finally:
        LOGGER.setLevel(level)


def in_short(error: Exception) -> str:
    """Return an error's message, without Ultralytics' advice to download other weights."""
    cause = error.__cause__ or error.__context__ or error
    return f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no more is said'}"
