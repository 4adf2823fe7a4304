"""Networks that run without torch: exported files in ONNX Runtime or OpenVINO, and what is read from their output.

Torch takes seconds to load, and of the three it is the slowest on a CPU in 32-bit floats. So nothing here imports it.
"""

from __future__ import annotations

import ast
import ctypes
import hashlib
import json
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
from typing import Any, Protocol

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from detector.data.parallel import network_threads
from detector.data.yolo_dataset import RULES_KEY
from detector.errors import DependencyError, WeightsError, is_installed
from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.candidates import MAX_CANDIDATES, MIN_SCORE
from detector.text.detections import TOP_CLASSES, CharDetections
from detector.text.reading_config import ReadingRules

log = logging.getLogger("detector")

MOST_AT_ONCE = 32
"""Pictures that readers give to a network in one call, and the most that a TensorRT engine is made for."""

NETWORK = Path(__file__).parent / "models" / "char.yaml"
"""The network that training starts from where no weights are given or fit."""

SHIPPED = Path(__file__).parent / "weights" / "detector.pt"
"""The detector that comes with the package: the default alphabet, trained on artificial pictures."""

SOURCE_KEY = "detector_source"
"""Where an exported file says which weights it was made of: their :func:`digest`."""

BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Backends that run an ONNX file, and the module of each; the fastest that gives torch's own strings first."""

TORCH = ("torch", "torchvision", "ultralytics")
"""What a network needs that torch runs: on a GPU, or from a ``.pt`` file that was not exported."""

_AT_ONCE = 8
"""Pictures in one call of a network: more of them gain nothing, and leave cores without work at the end."""

_WITHIN = 2
"""Threads within one picture that no other waits beside: on two idle cores these took 0.6 of the time of one."""

SAME_PLACE = 0.6
"""IoU above which two candidates are one place."""


def shipped_detector(symbols: str) -> Path | None:
    """The packaged detector's weights, if they know any of these symbols."""
    return None if set(symbols).isdisjoint(DEFAULT_SYMBOLS) or not SHIPPED.is_file() else SHIPPED


def weights_path(weights: str | Path | None) -> Path:
    """Where weights lie; None and "shipped" are the package's own.

    Raises:
        WeightsError: if there is nothing.
    """
    path = SHIPPED if weights in (None, "shipped") else Path(str(weights))
    if not path.exists():
        name, equals, _ = str(weights).partition("=")
        spelt = " The weights come first, without a name and '='." if equals and name.isidentifier() else ""
        raise WeightsError(
            f"There are no weights at {path}: give a file that `detector train` wrote, or 'shipped'.{spelt}"
        )
    return path


class Network(Protocol):
    """Fitted pictures in, candidates out."""

    names: dict[int, str]
    rules: ReadingRules | None
    """As the file holds them; None where it holds none."""
    shape_hw: tuple[int, int] | None
    """The one input that the file takes; None where it takes any."""

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Candidates in pixels of the fitted pictures, uint8 (n, H, W, 3) BGR."""

    def output(self, images: NDArray[np.uint8]) -> Any:
        """Raw output (n, 4 + classes, places), an array or a tensor: cx, cy, w, h in their pixels, scores."""


# --- what an output holds ---------------------------------------------------------------------------------------


def candidates(output: NDArray[np.float32], top_classes: int = TOP_CLASSES) -> list[CharDetections]:
    """A detection head's output as candidates, one for each place where it saw something, the surest first.

    Neighbouring cells see the same character nearly alike: of those whose boxes overlap by ``SAME_PLACE`` the
    surest is kept, whatever its class, or ten of one character would crowd out a faint neighbour.

    Args:
        output: (batch, 4 + classes, places): cx, cy, w, h in pixels of the input, then class scores.
        top_classes: likeliest classes that each is reduced to.
    """
    presence = 1 - (1 - np.clip(output[:, 4:], 0, 1)).prod(1)  # (batch, places)
    return [_candidates(one, seen, top_classes) for one, seen in zip(output, presence, strict=True)]


def _candidates(output: NDArray[np.float32], presence: NDArray[np.float32], top_classes: int) -> CharDetections:
    places = np.flatnonzero(presence >= MIN_SCORE)
    columns = output[:, places].T  # (n, 4 + classes)
    sides, classes, surely = columns[:, 2:4], columns[:, 4:], presence[places]
    corners = columns[:, :2] - sides / 2  # (n, 2)
    kept = np.zeros(0, np.intp)
    if len(places):
        boxes_xywh = np.concatenate([corners, sides], 1).astype(np.float64)
        # `kept` has the surest first; the score threshold is strict, and all of these have passed theirs.
        kept = np.asarray(cv2.dnn.NMSBoxes(boxes_xywh, surely, 0.0, SAME_PLACE), np.intp)[:MAX_CANDIDATES]  # type: ignore[arg-type]
    corners, sides, classes = corners[kept], sides[kept], classes[kept]
    top_ids = np.argsort(-classes, 1, kind="stable")[:, :top_classes]  # (n, k), likeliest first
    top_scores = np.take_along_axis(classes, top_ids, 1)
    boxes_xyxy = np.concatenate([corners, corners + sides], 1)
    return CharDetections(boxes_xyxy, top_scores[:, 0], top_ids[:, 0], surely[kept], top_ids, top_scores)


def check_output(shape: Sequence[int]) -> None:
    """Refuse what is no raw output.

    Raises:
        WeightsError: if it is the output of a head that has suppressed already.
    """
    if len(shape) != 3 or shape[1] < 5 or shape[2] == 6:
        raise WeightsError(
            f"These weights give {tuple(shape)}, not (batch, 4 + classes, places): "
            "export them with `detector export`, or by `yolo export` with `nms=False end2end=False`."
        )


# --- what a file says about itself ------------------------------------------------------------------------------


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def metadata_for(rules: ReadingRules, source: str) -> dict[str, str]:
    """What an exported file of these rules carries, beside Ultralytics' own metadata."""
    return {RULES_KEY: json.dumps(rules.to_dict(), ensure_ascii=False), SOURCE_KEY: source}


def rules_in(metadata: Mapping[str, Any]) -> ReadingRules | None:
    """The rules in an exported file's metadata, or None where plain ``yolo export`` made it."""
    held = metadata.get(RULES_KEY)
    return None if held is None else ReadingRules.from_dict(json.loads(held))


def names_in(metadata: Mapping[str, Any]) -> dict[int, str]:
    """Class names in Ultralytics' metadata, which is text in some formats.

    Raises:
        WeightsError: if there are none.
    """
    held = metadata.get("names")
    try:
        named = ast.literal_eval(held) if isinstance(held, str) else dict(held or {})
        names = {int(i): str(name) for i, name in named.items()}
    except (ValueError, SyntaxError, AttributeError, TypeError):
        names = {}
    if not names:
        raise WeightsError("The file does not name its classes: export it with `detector export` or `yolo export`.")
    return names


def rules_of(network: Network, path: Path) -> ReadingRules:
    """How what a network sees is read: as its file says, or its class names alone where it says nothing.

    Raises:
        WeightsError: if it detects other things than single characters.
    """
    if network.rules is not None:
        return network.rules
    symbols = single_symbols(network.names)
    if symbols is None:
        names = ", ".join(list(network.names.values())[:5])
        raise WeightsError(f"{path} detects {names} …, not single characters: it is no reader's weights.")
    rules = ReadingRules(symbols, shape_hw=network.shape_hw)
    log.warning(
        "%s says nothing of the strings: at most %d symbols are read and no blanks. `detector train` and "
        "`detector export` write weights that say it.", path, rules.length,
    )  # fmt: skip
    return rules


def single_symbols(names: dict[int, str]) -> str | None:
    """Class names as an alphabet, if each is one character."""
    ordered = [names[i] for i in sorted(names)]
    return "".join(ordered) if all(len(n) == 1 for n in ordered) else None


# --- running ----------------------------------------------------------------------------------------------------


_Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class _Engine:
    """A file opened by a backend: run(float32 (n, 3, H, W)) gives float32 (n, 4 + classes, places).

    ``workers`` calls of ``run`` may go on at once, each on a core of its own. ``alone`` does the same on several cores,
    one call at a time; None where there is no such way.
    """

    run: _Run
    metadata: Mapping[str, Any]
    batch: int | None
    shape_hw: tuple[int, int] | None
    workers: int = 1
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
        self.backend = backend
        try:
            self._engine = (_onnxruntime if backend == "onnx" else _openvino)(path)
            self.names = names_in(self._engine.metadata)
            self.rules = rules_in(self._engine.metadata)
        except Exception as error:  # each backend has errors of its own
            raise WeightsError(f"{path} cannot be opened as weights ({type(error).__name__}: {error}).") from error
        self.shape_hw = self._engine.shape_hw
        self._pool = ThreadPoolExecutor(self._engine.workers) if self._engine.workers > 1 else None
        self._one_at_a_time = nullcontext() if self._pool else Lock()  # a reader may be shared by threads

    @property
    def source(self) -> str | None:
        """The :func:`digest` of the weights that the file was made of, where it says so."""
        return self._engine.metadata.get(SOURCE_KEY)

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Candidates in pixels of the fitted pictures, uint8 (n, H, W, 3) BGR."""
        return candidates(self.output(images))

    def output(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Raw output (n, 4 + classes, places) of fitted pictures: cx, cy, w, h in their pixels, scores."""
        # Who reads in threads of their own shares the cores out already.
        if len(images) == 1 and self._engine.alone is not None and current_thread() is main_thread():
            return self._run(images, self._engine.alone)
        workers = self._engine.workers
        shared = len(images) if workers == 1 else min(_AT_ONCE, -(-len(images) // workers))
        size = self._engine.batch or max(1, shared)
        parts = [images[start : start + size] for start in range(0, len(images), size)] or [images]
        run = partial(self._run, run=self._engine.run)
        outputs = self._pool.map(run, parts) if self._pool and len(parts) > 1 else map(run, parts)
        return np.concatenate(list(outputs))

    def _run(self, images: NDArray[np.uint8], run: _Run) -> NDArray[np.float32]:
        """The output of as many pictures as the engine takes in one call, or fewer."""
        blob = np.divide(np.ascontiguousarray(images.transpose(0, 3, 1, 2)[:, ::-1]), np.float32(255), dtype=np.float32)
        if self._engine.batch is not None and len(blob) < self._engine.batch:  # a file that takes so many and no others
            blob = np.concatenate([blob, np.repeat(blob[-1:], self._engine.batch - len(blob), 0)])
        with self._one_at_a_time:
            output = run(blob)
        check_output(output.shape)
        return output[: len(images)]


def is_onnx(path: Path) -> bool:
    """Whether a file is told to be ONNX, by its suffix."""
    return path.suffix.lower() == ".onnx"


def is_openvino(path: Path) -> bool:
    """Whether it is a folder as OpenVINO's export makes them."""
    return path.is_dir() and any(path.glob("*.xml"))


def present(backend: str) -> bool:
    """Whether a backend of ``BACKENDS`` is installed."""
    return is_installed(BACKENDS[backend])


def installed() -> str | None:
    """The fastest backend that is installed."""
    return next((backend for backend in BACKENDS if present(backend)), None)


def may_have_gpu() -> bool:
    """Whether torch could find a GPU: told without torch, by the driver; true too often does no harm.

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
    def opened(within: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = within
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    session = opened(1)
    (taken, *_) = session.get_inputs()
    half = taken.type == "tensor(float16)"

    def run(within: int, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        (output, *_) = opened(within).run(None, {taken.name: blob.astype(np.float16) if half else blob})
        return np.asarray(output, np.float32)

    shape = [side if isinstance(side, int) else None for side in taken.shape]  # names stand for any size
    workers = network_threads()
    return _Engine(
        partial(run, 1), session.get_modelmeta().custom_metadata_map, shape[0], _both(shape[2:]), workers,
        alone=partial(run, _WITHIN) if workers >= _WITHIN else None,
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
        held = dict(model.get_rt_info().items()).get("framework", {})  # where its reader of ONNX puts the metadata
        metadata = {name: value.value for name, value in held.items()}
    else:
        sidecar = file.with_name("metadata.yaml")
        metadata = yaml.safe_load(sidecar.read_text(encoding="utf-8")) if sidecar.is_file() else {}

    def run(blob: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.array(compiled(blob)[0], np.float32)  # a copy: the next call writes over its own

    sides = [side.get_length() if side.is_static else None for side in model.input().partial_shape]
    return _Engine(run, metadata, sides[0], _both(sides[2:]))


def _both(sides: Sequence[int | None]) -> tuple[int, int] | None:
    height, width = sides
    return None if height is None or width is None else (height, width)


def import_openvino() -> Any:
    """OpenVINO without its telemetry, which reports its import over the network: without the package it does not."""
    held = sys.modules.get("openvino_telemetry")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
        import openvino.tools.ovc  # where it reports
    finally:
        if held is None:
            del sys.modules["openvino_telemetry"]
        else:
            sys.modules["openvino_telemetry"] = held
    return openvino
