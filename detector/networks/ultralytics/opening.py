"""The one place that opens ``.pt`` files: without running code, unless the user trusts who made them.

A ``.pt`` file is a pickle, a small program whose steps make objects. What is refused, and by whom:

    any name but torch's tensors and torch's and Ultralytics' network classes    torch and Ultralytics (weights_only)
    a network class that is called, for a constructor may read files             :class:`Rehearsal`
    an ``activation`` of a structure that is more than a class of ``torch.nn``   Ultralytics (ULTRALYTICS_SAFE_LOAD)
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from typing import Any

import torch

from detector.data.trust import SWITCH, trusted
from detector.errors import WeightsError
from detector.networks.ultralytics.library import DetectionModel, load_checkpoint, quiet, tasks_module
from detector.networks.ultralytics.rehearsal import NETWORKS, CallError, Rehearsal

_ONE_AT_A_TIME = RLock()  # Ultralytics' switch is one of the whole process


def open_weights(path: str | Path, *, fuse: bool = False) -> tuple[Any, dict[str, Any]]:
    """Open a ``.pt`` file: the network in 32 bits, and the file's whole content.

    Args:
        path: of the file.
        fuse: fold what can be folded, to read with.

    Raises:
        WeightsError: if opening it would run code and nobody trusts it, or it is no detection network's.
        Exception: whatever damaged files make torch raise.
    """
    with _ONE_AT_A_TIME, library_trust(), quiet():
        if not trusted():
            _refuse_code(Path(path))
        model, content = load_checkpoint(str(path), fuse=fuse)
    if not isinstance(model, DetectionModel):
        raise WeightsError(f"{path} holds a {type(model).__name__}, not a detection network: no reader's weights.")
    return model, content


@contextlib.contextmanager
def library_trust() -> Iterator[None]:
    """Make Ultralytics itself open files as this module does, inside the block."""
    safe_load, tasks_module.SAFE_LOAD = tasks_module.SAFE_LOAD, not trusted()
    try:
        yield
    finally:
        tasks_module.SAFE_LOAD = safe_load


def refuse_untrusted(path: Path, reason: str) -> None:
    """Refuse a file that can only be opened by running its code.

    Raises:
        WeightsError: unless it is trusted.
    """
    if not trusted():
        raise WeightsError(f"{path} {reason}: open it with {SWITCH}, if you trust who made it.")


def _refuse_code(path: Path) -> None:
    """Refuse a pickle that needs more than tensors, numbers and layers.

    Raises:
        WeightsError: naming what it needs.
        Exception: whatever damaged files make torch raise.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError:  # no archive of torch.save
        with path.open("rb") as file:
            magic = file.read(2)
        if magic in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):  # a network as code, a bare pickle
            refuse_untrusted(path, "is in a format that can run code when it is opened")
        return
    program = torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")
    rehearsed = Rehearsal(io.BytesIO(program))
    try:
        rehearsed.load()
    except CallError as error:
        refuse_untrusted(path, f"calls {error} when it is opened, which can run code")
    except Exception:  # a step that fails here must not hide the ones after it
        refuse_untrusted(path, "takes steps that no weights take when it is opened, which can run code")
    if unsafe_names := sorted(name for name in names if not _is_data_or_layer(name)):
        refuse_untrusted(path, f"needs {', '.join(unsafe_names[:3])} to be opened, which can run code")


_DATA = frozenset(
    "builtins.getattr ultralytics.utils.IterableSimpleNamespace ultralytics.yolo.utils.IterableSimpleNamespace "
    "numpy.dtype numpy.core.multiarray.scalar numpy._core.multiarray.scalar "
    "pathlib.PosixPath pathlib.WindowsPath pathlib._local.PosixPath pathlib._local.WindowsPath".split()
)
"""What Ultralytics writes beside layers; what ``getattr`` may be used for :class:`Rehearsal` says."""


def _is_data_or_layer(name: str) -> bool:
    return name in _DATA or name.startswith((*NETWORKS, "ultralytics.utils.loss.", "ultralytics.utils.tal."))
