"""Export weights to ONNX, OpenVINO or TensorRT, with the reading configuration inside, and check the strings."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.data.atomic import folder_beside, writing
from detector.data.folders.owned import OwnedFiles, file_hash
from detector.data.images import Picture
from detector.data.letterbox import DEFAULT_SHAPE_HW
from detector.data.parallel import chunked
from detector.data.trust import trusting
from detector.errors import ArgumentError, DetectorError, WeightsError, argument, require
from detector.networks.metadata import SOURCE_KEY, metadata_for
from detector.networks.network import MAX_BATCH, Network, config_of
from detector.networks.runtimes import TORCH, ExportedNetwork
from detector.networks.shipped import weights_path
from detector.reading.inputs import read_named
from detector.reading.two_pass import ReadingPipeline
from detector.text.reading_config import ReadingConfig

log = logging.getLogger("detector")

SUFFIXES = {"onnx": ".onnx", "openvino": "_openvino_model", "engine": ".engine"}
"""Formats, and how the name of what is written ends; as ``yolo export`` names them."""

_MODULES_OF = {"onnx": ("onnx",), "openvino": ("openvino",), "engine": ("onnx", "tensorrt")}

_DRAWN_COUNT, _NOISE_COUNT = 24, 8  # pictures that an export is checked with
# Height and width that a network for any shape is traced with. TensorRT then takes twice as much, which must be the
# most that `shape_for` gives.
_TRACED_SHAPE_HW = {"onnx": (64, 256), "openvino": (64, 256), "engine": (128, 256)}


def export(
    weights: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    format: str = "onnx",  # as `yolo export` calls it
    sample: Iterable[Picture] = (),
    device: str | None = None,
    trust: bool = False,
) -> Path:
    """Write weights for another runtime; the file reads the same strings, or nothing is written.

    Args:
        weights: a ``.pt`` file; None or "shipped" takes the shipped weights.
        out: what to write, replaced if it is an earlier export; None names it after the weights, beside them.
        format: "onnx", "openvino" or "engine" (TensorRT, on the GPU that it will run on).
        sample: pictures to compare the strings of, beside artificial ones and noise.
        device: as Ultralytics spells it; for "engine" the GPU.
        trust: open weights that can run code when they are opened.

    Returns:
        The file, or OpenVINO's folder. The alphabet and all else that reading needs is in its metadata.

    Raises:
        DependencyError: if the package that writes or runs the format is missing.
        WeightsError: if the weights cannot be opened, or what was written reads other strings.
        ImageError: if one of the sample cannot be decoded.
    """
    if format not in SUFFIXES:
        raise ArgumentError(f"format={format!r} is not one of {', '.join(SUFFIXES)}; for others see `yolo export`.")
    if weights is not None and weights != "shipped" and Path(weights).suffix.lower() != ".pt":
        raise WeightsError(
            f"{weights} is exported already, or no weights: give a .pt file that `detector train` wrote."
        )
    path = weights_path(weights)
    require(f"format={format}", *TORCH, "matplotlib", *_MODULES_OF[format])
    target = Path(out) if out is not None else path.with_name(path.stem + SUFFIXES[format])
    if not target.name.endswith(SUFFIXES[format]):
        raise ArgumentError(f"{target} must end in {SUFFIXES[format]}, by which Ultralytics tells the format.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(target.parent, os.W_OK):
        raise DetectorError(f"{target.parent} cannot be written to: name another place with out.")
    _check_replaceable(target)
    from detector.networks.device import pick_device
    from detector.networks.ultralytics import TorchNetwork

    if format != "engine" and device and pick_device(device).type != "cpu":
        raise ArgumentError(f"{argument('device', device)} has no effect: format={format} is written on a CPU for any.")
    with trusting(trust):
        reference = TorchNetwork.open(path, pick_device(device if format == "engine" else "cpu"))
        write_checked(path, reference, target, format, [read_named(picture) for picture in sample], device)
    return target


def write_checked(
    weights: Path,
    reference: Network,
    target: Path,
    format: str = "onnx",
    sample: Sequence[NDArray[np.uint8]] = (),
    device: str | None = None,
) -> None:
    """Export, compare strings with ``reference``, the same weights in torch, and only then write ``target``.

    Raises:
        WeightsError: if the strings differ, or the export fails.
    """
    from detector.networks import ultralytics
    from detector.networks.device import pick_device

    config = config_of(reference, weights)
    target.parent.mkdir(parents=True, exist_ok=True)
    with writing(target), folder_beside(target) as folder:
        try:
            with writing(target):
                exported = ultralytics.write_exported(
                    weights, folder, format, config.shape_hw or _TRACED_SHAPE_HW[format],
                    metadata_for(config, file_hash(weights)),
                    ("0" if device is None else device) if format == "engine" else "cpu",
                    any_shape=config.shape_hw is None,
                )  # fmt: skip
        except DetectorError:
            raise
        except Exception as error:  # exporters raise whatever the libraries below them do
            raise WeightsError(f"{weights} could not be exported ({type(error).__name__}: {error}).") from error
        network: Network
        if format == "engine":
            with trusting(True):  # it was made here
                network = ultralytics.TorchNetwork.open(exported, pick_device(device))
        else:
            network = ExportedNetwork(exported)
        _compare(weights, reference, network, config, [*sample, *_artificial(config), *_noise(config)])
        if exported.is_dir():
            OwnedFiles(exported).list_all()
        _move(exported, target)


def _check_replaceable(target: Path) -> None:
    """Refuse to replace what is no earlier export: a file tells by its metadata, OpenVINO's folder by its list.

    Raises:
        DetectorError: naming what is there.
    """
    if target.is_dir():
        owned = OwnedFiles(target)
        foreign = owned.others() if owned.exists else sorted(path.name for path in target.iterdir())
        if foreign:
            raise DetectorError(
                f"{target} holds {', '.join(foreign[:5])}, which no export wrote or which was changed since: move it "
                "away, or name another place with out."
            )
    elif target.exists() and SOURCE_KEY.encode() not in target.read_bytes():
        raise DetectorError(f"{target} is no earlier export: move it away, or name another place with out.")


def _compare(
    weights: Path, reference: Network, exported: Network, config: ReadingConfig, images: Sequence[NDArray[np.uint8]]
) -> None:
    if exported.config != config:
        raise WeightsError(f"{weights} lost its reading configuration in the export, which was taken back.")
    expected, read = (strings(network, config, images) for network in (reference, exported))
    differences = [(a, b) for a, b in zip(expected, read, strict=True) if a != b]
    if differences:
        torch_text, exported_text = differences[0]
        raise WeightsError(
            f"{weights} reads otherwise once exported: of {len(images)} pictures {len(differences)} differ, the first "
            f"reads {torch_text!r} in torch and {exported_text!r} exported. Nothing was written."
        )


def strings(network: Network, config: ReadingConfig, images: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Read pictures in one pass, in batches as large as a reader's."""
    read = ReadingPipeline(network, config, two_pass=False)
    return [reading.text for batch in chunked(images, MAX_BATCH) for reading in read(batch)]


def _artificial(config: ReadingConfig) -> list[NDArray[np.uint8]]:
    """Draw pictures of the alphabet's symbols; none where no font has them."""
    import matplotlib

    from detector.synth import PLAIN, SynthConfig, Synthesizer
    from detector.text.alphabet import Alphabet

    height, width = config.shape_hw or DEFAULT_SHAPE_HW
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # the same on every machine
    length = min(config.length, width // 12)
    try:
        synthesizer = Synthesizer(SynthConfig(
            Alphabet(config.symbols, config.space), length, min_length=max(1, min(config.min_count, length)),
            size_wh=(width, height), styles=(PLAIN, "plate", "label", "captcha"),
            fonts=(fonts / "DejaVuSans.ttf", fonts / "DejaVuSans-Bold.ttf"),
        ))  # fmt: skip
        return [synthesizer(i).image for i in range(_DRAWN_COUNT)]
    except DetectorError:
        return []


def _noise(config: ReadingConfig) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    height, width = config.shape_hw or DEFAULT_SHAPE_HW
    coarse = rng.integers(0, 256, (_NOISE_COUNT, height // 8, width // 8, 3), dtype=np.uint8)
    return list(coarse.repeat(8, 1).repeat(8, 2))  # blots, in which a reader sees something


def _move(exported: Path, target: Path) -> None:
    """Move ``exported`` to ``target``, replacing what is there."""
    if exported.is_dir() and target.exists():
        target.rename(exported.with_name("replaced"))  # goes with the temporary folder
    os.replace(exported, target)
