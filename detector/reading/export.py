"""Export weights to ONNX, OpenVINO or TensorRT, with the reading configuration inside, and check the strings."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.data.atomic import folder_beside, writing
from detector.data.folders.owned import OwnedFiles, file_hash
from detector.data.images import Picture
from detector.data.letterbox import DEFAULT_SHAPE_HW
from detector.data.parallel import chunked
from detector.data.trust import trusting
from detector.errors import ArgumentError, DetectorError, WeightsError, argument, counted, require
from detector.networks.metadata import SOURCE_KEY, metadata_for
from detector.networks.network import MAX_BATCH, Network, config_of
from detector.networks.runtimes import TORCH, ExportedNetwork
from detector.networks.shipped import weights_path
from detector.reading.inputs import read_named
from detector.reading.two_pass import ReadingPipeline
from detector.text.detections import Reading
from detector.text.reading_config import ReadingConfig

log = logging.getLogger("detector")

SUFFIXES = {"onnx": ".onnx", "openvino": "_openvino_model", "engine": ".engine"}
"""Formats, and how the name of what is written ends; as ``yolo export`` names them."""

_MODULES_OF = {"onnx": ("onnx",), "openvino": ("openvino",), "engine": ("onnx", "tensorrt")}

_DRAWN_COUNT, _NOISE_COUNT = 24, 8  # pictures that an export is checked with

# The pictures that an 8-bit file is calibrated and judged with: the sample, or artificial ones where it has fewer than
# these, drawn in sizes that bring other shapes to a network which takes any.
_MIN_SAMPLE, _MAX_CALIBRATION = 8, 256
_CALIBRATION_COUNT = 128
_CALIBRATION_SIZES_WH = ((256, 64), (160, 48), (224, 96), (320, 64))
_SURE_CONFIDENCE = 0.5  # readings that are less sure change with the least rounding, and judge nothing
_MAX_DIFFERING = 0.1  # share of the sure readings that may differ in 8 bits

# Height and width that a network for any shape is traced with. TensorRT then takes twice as much, which must be the
# most that `shape_for` gives.
_TRACED_SHAPE_HW = {"onnx": (64, 256), "openvino": (64, 256), "engine": (128, 256)}


def export(
    weights: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    format: str = "onnx",  # as `yolo export` calls it
    int8: bool = False,
    sample: Iterable[Picture] = (),
    device: str | None = None,
    trust: bool = False,
) -> Path:
    """Write weights for another runtime; the file reads the same strings, or nothing is written.

    An 8-bit file may read other strings where a picture is doubtful; the log says how many differ.

    Args:
        weights: a ``.pt`` file; None or "shipped" takes the shipped weights.
        out: what to write, replaced if it is an earlier export; None names it after the weights, beside them (the
            shipped ones: in ``weights/``, for the package stays as it is), an 8-bit file ``….int8.onnx``.
        format: "onnx", "openvino" or "engine" (TensorRT, on the GPU that it will run on).
        int8: compute most convolutions in 8-bit integers (static quantization), for CPUs; ONNX alone. Readers of the
            ``.pt`` do not take such a file for its export.
        sample: pictures to compare the strings of, beside artificial ones and noise; with ``int8`` 8 or more of them
            set the scales, in place of artificial ones.
        device: as Ultralytics spells it; for "engine" the GPU.
        trust: open weights that can run code when they are opened.

    Returns:
        The file, or OpenVINO's folder. The alphabet and all else that reading needs is in its metadata.

    Raises:
        DependencyError: if the package that writes or runs the format is missing.
        WeightsError: if the weights cannot be opened, or what was written reads other strings: an 8-bit file, more than
            a tenth of those of which the confidence is 0.5 or more.
        ImageError: if one of the sample cannot be decoded.
    """
    if format not in SUFFIXES:
        raise ArgumentError(f"format={format!r} is not one of {', '.join(SUFFIXES)}; for others see `yolo export`.")
    if int8 and format != "onnx":
        raise ArgumentError(
            f"{argument('int8')} is for ONNX alone, not for {argument('format', format)}: leave it out."
        )
    if weights is not None and weights != "shipped" and Path(weights).suffix.lower() != ".pt":
        raise WeightsError(
            f"{weights} is exported already, or no weights: give a .pt file that `detector train` wrote."
        )
    path = weights_path(weights)
    require(f"format={format}", *TORCH, "matplotlib", *_MODULES_OF[format])
    folder = Path("weights") if weights in (None, "shipped") else path.parent
    target = Path(out) if out is not None else folder / (path.stem + ".int8" * int8 + SUFFIXES[format])
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
        write_checked(path, reference, target, format, [read_named(picture) for picture in sample], device, int8=int8)
    return target


def write_checked(
    weights: Path,
    reference: Network,
    target: Path,
    format: str = "onnx",
    sample: Sequence[NDArray[np.uint8]] = (),
    device: str | None = None,
    *,
    int8: bool = False,
) -> None:
    """Export, compare strings with ``reference``, the same weights in torch, and only then write ``target``.

    Args:
        weights: a ``.pt`` file.
        reference: the same weights in torch.
        target: what to write.
        format: a key of :data:`SUFFIXES`.
        sample: pictures uint8 (H, W, 3) BGR to compare, beside artificial ones and noise.
        device: for "engine" the GPU, as Ultralytics spells it.
        int8: write the ONNX file in 8 bits, compared with that in 32 bits once that reads as ``reference`` does.

    Raises:
        WeightsError: if the strings differ, in 8 bits more than may, or the export fails.
    """
    from detector.networks import ultralytics
    from detector.networks.device import pick_device

    config = config_of(reference, weights)
    target.parent.mkdir(parents=True, exist_ok=True)
    with writing(target), folder_beside(target) as folder:
        with _exporting(weights, target):
            exported = ultralytics.write_exported(
                weights, folder, format, config.shape_hw or _TRACED_SHAPE_HW[format],
                metadata_for(config, file_hash(weights)),
                ("0" if device is None else device) if format == "engine" else "cpu",
                any_shape=config.shape_hw is None,
            )  # fmt: skip
        network: Network
        if format == "engine":
            with trusting(True):  # it was made here
                network = ultralytics.TorchNetwork.open(exported, pick_device(device))
        else:
            network = ExportedNetwork(exported)
        _compare(weights, reference, network, config, [*sample, *_artificial(config), *_noise(config)])
        if int8:
            exported = _quantized(weights, exported, network, config, sample, target)
        if exported.is_dir():
            OwnedFiles(exported).list_all()
        _move(exported, target)


@contextmanager
def _exporting(weights: Path, target: Path) -> Iterator[None]:
    """Make an error of ours of whatever exporters and the libraries below them raise in the block."""
    try:
        with writing(target):
            yield
    except DetectorError:
        raise
    except Exception as error:
        raise WeightsError(f"{weights} could not be exported ({type(error).__name__}: {error}).") from error


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
    return [reading.text for reading in _readings(network, config, images)]


def _readings(network: Network, config: ReadingConfig, images: Sequence[NDArray[np.uint8]]) -> list[Reading]:
    read = ReadingPipeline(network, config, two_pass=False)
    return [reading for batch in chunked(images, MAX_BATCH) for reading in read(batch)]


def _quantized(
    weights: Path, exported: Path, network: Network, config: ReadingConfig, sample: Sequence[NDArray[np.uint8]],
    target: Path,
) -> Path:  # fmt: skip
    """Write an ONNX file in 8 bits beside it, and return that.

    Args:
        weights: that it was exported from, for messages.
        exported: the file, in 32 bits.
        network: of ``exported``.
        config: of ``network``.
        sample: pictures for the scales, uint8 (H, W, 3) BGR.
        target: what is written in the end, for messages.

    Raises:
        WeightsError: if too many sure readings differ, or there is no picture.
    """
    from detector.networks import ultralytics

    images = list(sample)
    if len(images) < _MIN_SAMPLE:
        images += _calibration_pictures(config)
    if not images:
        raise WeightsError(f"{weights} cannot be put into 8 bits without a sample: no font here has its symbols.")
    prepare = ReadingPipeline(network, config, two_pass=False).prepare
    in_int8 = exported.with_name(f"int8.{exported.name}")
    with _exporting(weights, target):
        step = -(-len(images) // _MAX_CALIBRATION)
        ultralytics.write_int8(exported, in_int8, [prepare(image).letterboxed for image in images[::step]])
    expected, read = (_readings(opened, config, images) for opened in (network, ExportedNetwork(in_int8)))
    pairs = list(zip(expected, read, strict=True))
    sure = [(a.text, b.text) for a, b in pairs if a.confidence >= _SURE_CONFIDENCE]
    differences = [pair for pair in sure if pair[0] != pair[1]]
    log.info(
        "in 8 bits %s reads %d of %s otherwise than in 32; of the %d that it reads with a confidence of %s or more, %d",
        weights, sum(a.text != b.text for a, b in pairs), counted(len(pairs), "picture"), len(sure), _SURE_CONFIDENCE,
        len(differences),
    )  # fmt: skip
    if len(differences) > _MAX_DIFFERING * len(sure):
        float_text, int8_text = differences[0]
        raise WeightsError(
            f"{weights} reads otherwise in 8 bits: of {counted(len(sure), 'picture')} that it reads with a confidence "
            f"of {_SURE_CONFIDENCE} or more {len(differences)} differ, the first reads {float_text!r} in 32 bits and "
            f"{int8_text!r} in 8. Nothing was written: give a larger sample of the pictures that it will read, which "
            f"sets the scales, or leave {argument('int8')} out."
        )
    return in_int8


def _calibration_pictures(config: ReadingConfig) -> list[NDArray[np.uint8]]:
    """Draw pictures of all styles, in several sizes for a network that takes any."""
    from detector.synth import STYLES

    sizes_wh = _CALIBRATION_SIZES_WH if config.shape_hw is None else (config.shape_hw[::-1],)
    count = _CALIBRATION_COUNT // len(sizes_wh)
    return [image for size_wh in sizes_wh for image in _artificial(config, count, size_wh, STYLES)]


def _artificial(
    config: ReadingConfig,
    count: int = _DRAWN_COUNT,
    size_wh: tuple[int, int] | None = None,
    styles: Sequence[str] = ("plain", "plate", "label", "captcha"),
) -> list[NDArray[np.uint8]]:
    """Draw pictures of the alphabet's symbols, of the network's shape without a size; none where no font has them."""
    import matplotlib

    from detector.synth import SynthConfig, Synthesizer
    from detector.text.alphabet import Alphabet

    width, height = size_wh or (config.shape_hw or DEFAULT_SHAPE_HW)[::-1]
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # the same on every machine
    length = min(config.length, width // 12)
    try:
        synthesizer = Synthesizer(SynthConfig(
            Alphabet(config.symbols, config.space), length, min_length=max(1, min(config.min_count, length)),
            size_wh=(width, height), styles=tuple(styles),
            fonts=(fonts / "DejaVuSans.ttf", fonts / "DejaVuSans-Bold.ttf"),
        ))  # fmt: skip
        return [synthesizer(i).image for i in range(count)]
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
