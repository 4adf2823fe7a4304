"""Networks that run without torch: exported files in ONNX Runtime or OpenVINO.

Torch takes seconds to load, and of the three it is the slowest on a CPU in 32-bit floats. So nothing here imports it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Lock, current_thread, main_thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.data.parallel import network_threads
from detector.data.trust import parse_yaml
from detector.errors import DependencyError, WeightsError, is_installed
from detector.networks.metadata import INT8_KEY, SOURCE_KEY, config_in, names_in
from detector.networks.network import of_symbols
from detector.networks.nms import candidates, check_output
from detector.text.detections import CharDetections

log = logging.getLogger("detector")

BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Backends that run an ONNX file, and the module of each; the fastest that gives torch's own strings first."""

TORCH = ("torch", "torchvision", "ultralytics")
"""What a network needs that torch runs: on a GPU, or from a ``.pt`` file that was not exported."""

_AT_ONCE = 8
"""Pictures in one call of ONNX Runtime: of more each takes longer, as they leave the caches, and cores are without work
at the end."""

_WITHIN = 2
"""Threads within one picture that no other waits beside: on two idle cores these took 0.6 of the time of one."""


_Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class _Engine:
    """A file opened by a backend: run(float32 (n, 3, H, W)) gives float32 (n, 4 + classes, places).

    ``workers`` calls of ``run`` may go on at once, each on a core of its own, and of ``at_once`` pictures at most; None
    takes any number. ``alone`` does the same on several cores, one call at a time; None where there is no such way.
    """

    run: _Run
    metadata: Mapping[str, Any]
    batch: int | None
    shape_hw: tuple[int, int] | None
    workers: int = 1
    at_once: int | None = None
    alone: _Run | None = None


class ExportedNetwork:
    """An ``.onnx`` file or an OpenVINO folder, on the CPU.

    Args:
        path: the file or folder.
        backend: "onnx" or "openvino"; None takes the one that suits the file.

    Raises:
        DependencyError: if no backend is installed.
        WeightsError: if it cannot be opened.
    """

    def __init__(self, path: Path, backend: str | None = None) -> None:
        backend = backend or (installed() if is_onnx(path) else "openvino")
        if backend == "torch":
            raise WeightsError(f"{path} is exported already: torch runs the .pt that it was made of.")
        if backend == "onnx" and not is_onnx(path):
            raise WeightsError(f"{path} is no ONNX file, which is all that ONNX Runtime runs: leave backend= out.")
        if backend is None or not present(backend):
            module = BACKENDS[backend or "onnx"]
            raise DependencyError(f"{path} needs {module}: run `pip install {module}`.")
        self.backend, self._path = backend, path
        try:
            self._engine = (_onnxruntime if backend == "onnx" else _openvino)(path)
            self.names = names_in(self._engine.metadata)
            self.config = config_in(self._engine.metadata)
        except Exception as error:  # each backend has errors of its own
            raise WeightsError(f"{path} cannot be opened as weights ({type(error).__name__}: {error}).") from error
        self.shape_hw = self._engine.shape_hw
        self._pool = ThreadPoolExecutor(self._engine.workers) if self._engine.workers > 1 else None
        self._one_at_a_time = nullcontext() if self._pool else Lock()  # a reader may be shared by threads

    @property
    def source(self) -> str | None:
        """SHA-256 of the weights that the file was exported from, where it says so."""
        return self._engine.metadata.get(SOURCE_KEY)

    @property
    def is_int8(self) -> bool:
        """Whether the file computes in 8-bit integers, and so may read other strings than its weights."""
        return INT8_KEY in self._engine.metadata

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Detect candidates in pixels of the letterboxed pictures, uint8 (n, H, W, 3) BGR."""
        return candidates(of_symbols(self.output(images), self.names))

    def output(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return raw output (n, 4 + classes, places) of letterboxed pictures: cx, cy, w, h in their pixels, scores."""
        # Who reads in threads of their own shares the cores out already.
        if len(images) == 1 and self._engine.alone is not None and current_thread() is main_thread():
            return self._run(images, self._engine.alone)
        shared = -(-len(images) // self._engine.workers)
        size = self._engine.batch or max(1, min(self._engine.at_once or shared, shared))
        parts = [images[start : start + size] for start in range(0, len(images), size)] or [images]
        run = partial(self._run, run=self._engine.run)
        outputs = self._pool.map(run, parts) if self._pool and len(parts) > 1 else map(run, parts)
        return np.concatenate(list(outputs))

    def _run(self, images: NDArray[np.uint8], run: _Run) -> NDArray[np.float32]:
        """Return the output of as many pictures as the engine takes in one call, or fewer."""
        blob = blob_of(images)
        if self._engine.batch is not None and len(blob) < self._engine.batch:  # a file that takes so many and no others
            blob = np.concatenate([blob, np.repeat(blob[-1:], self._engine.batch - len(blob), 0)])
        try:
            with self._one_at_a_time:
                output = run(blob)
        except MemoryError:
            raise
        except Exception as error:  # each backend has errors of its own
            reason = (str(error).splitlines() or [""])[0]
            raise WeightsError(
                f"{self._path} does not run on pictures of {blob.shape[3]}x{blob.shape[2]} pixels "
                f"({type(error).__name__}: {reason}): is it a network as `detector export` writes them?"
            ) from error
        check_output(output.shape)
        return output[: len(images)]


def blob_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert letterboxed pictures uint8 (n, H, W, 3) BGR to what exported files take: (n, 3, H, W) RGB, 0 to 1."""
    return np.divide(np.ascontiguousarray(images.transpose(0, 3, 1, 2)[:, ::-1]), np.float32(255), dtype=np.float32)


def is_onnx(path: Path) -> bool:
    """Test whether a file is ONNX, by its suffix."""
    return path.suffix.lower() == ".onnx"


def is_openvino(path: Path) -> bool:
    """Test whether a folder is an OpenVINO export."""
    return path.is_dir() and any(path.glob("*.xml"))


def present(backend: str) -> bool:
    """Test whether a backend of ``BACKENDS`` is installed."""
    return is_installed(BACKENDS[backend])


def installed() -> str | None:
    """Return the fastest backend that is installed."""
    return next((backend for backend in BACKENDS if present(backend)), None)


def may_have_gpu() -> bool:
    """Test for a GPU's driver without loading torch; false positives do no harm.

    False where what would use it is not installed.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if not all(map(is_installed, TORCH)):
        return False
    if "torch" in sys.modules:
        return bool(sys.modules["torch"].cuda.is_available())
    if os.path.exists("/dev/kfd"):  # AMD's driver
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _onnxruntime(path: Path) -> _Engine:
    import onnxruntime

    # Of many pictures a thread each, not threads within one: the network is so small that those wait for each other
    # much of the time, and they keep a core busy with waiting. One picture alone has no better use for the cores.
    @cache
    def session_of(threads: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    session = session_of(1)
    (network_input, *_) = session.get_inputs()
    is_half = network_input.type == "tensor(float16)"

    def run(threads: int, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        (output, *_) = session_of(threads).run(None, {network_input.name: blob.astype(np.float16) if is_half else blob})
        return np.asarray(output, np.float32)

    shape = [side if isinstance(side, int) else None for side in network_input.shape]  # names stand for any size
    workers = network_threads()
    return _Engine(
        partial(run, 1), session.get_modelmeta().custom_metadata_map, shape[0], _fixed_shape_hw(shape[2:]), workers,
        at_once=_AT_ONCE, alone=partial(run, _WITHIN) if workers >= _WITHIN else None,
    )  # fmt: skip


def _openvino(path: Path) -> _Engine:
    openvino = import_openvino()
    file = path if path.is_file() else next(path.glob("*.xml"))
    core = openvino.Core()
    model = core.read_model(str(file))
    # Some CPUs would otherwise compute in bfloat16: faster, and other strings than torch's where a picture is doubtful.
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": network_threads(),
    }
    compiled = core.compile_model(model, "CPU", options)
    if is_onnx(file):
        # Where OpenVINO's reader of ONNX puts the metadata.
        framework_info = dict(model.get_rt_info().items()).get("framework", {})
        metadata = {name: value.value for name, value in framework_info.items()}
    else:
        sidecar = file.with_name("metadata.yaml")
        metadata = _sidecar_metadata(sidecar) if sidecar.is_file() else {}

    def run(blob: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.array(compiled(blob)[0], np.float32)  # a copy: the next call writes over its own

    sides = [side.get_length() if side.is_static else None for side in model.input().partial_shape]
    return _Engine(run, metadata, sides[0], _fixed_shape_hw(sides[2:]))


def _sidecar_metadata(sidecar: Path) -> dict[str, Any]:
    try:
        content = parse_yaml(sidecar.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, too
        raise WeightsError(f"{sidecar} is no YAML file: {error}") from None
    return content if isinstance(content, dict) else {}


def _fixed_shape_hw(sides: Sequence[int | None]) -> tuple[int, int] | None:
    height, width = sides
    return None if height is None or width is None else (height, width)


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports the import over the network."""
    telemetry = sys.modules.get("openvino_telemetry")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
        import openvino.tools.ovc  # where it reports
    finally:
        if telemetry is None:
            del sys.modules["openvino_telemetry"]
        else:
            sys.modules["openvino_telemetry"] = telemetry
    return openvino
