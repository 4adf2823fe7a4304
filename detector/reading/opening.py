"""Open weights in what runs them fastest; on a CPU that is ONNX, to which a ``.pt`` is exported once."""

from __future__ import annotations

import logging
from pathlib import Path

from detector.data.folders.owned import file_hash
from detector.data.folders.user_cache import cache_folder, keep_newest, used_now
from detector.errors import ArgumentError, DependencyError, DetectorError, WeightsError, is_installed, require
from detector.networks.network import Network, config_of
from detector.networks.runtimes import (
    BACKENDS,
    TORCH,
    ExportedNetwork,
    installed,
    is_onnx,
    is_openvino,
    may_have_gpu,
    present,
)

log = logging.getLogger("detector")

_WEIGHTS = (".pt", ".onnx", ".engine")
_MAX_EXPORTS = 16  # in the user's cache


def open_network(path: Path, device: str | None, backend: str | None) -> Network:
    """Open the network in what runs it fastest; torch is loaded where nothing else can run it.

    For a ``.pt`` on a CPU that was not exported, this takes seconds: see :func:`export_once`.
    """
    _check(path, backend)
    exported = is_onnx(path) or is_openvino(path)  # for a CPU, where no device is asked for
    if device != "cpu" and (device not in (None, "") or (may_have_gpu() and not exported)):
        require(f"device={device!r}", *TORCH)  # where None was asked for, `may_have_gpu` has looked
        from detector.networks.device import pick_device

        torch_device = pick_device(device)
        if torch_device.type != "cpu":
            if backend in BACKENDS:
                raise DetectorError(f"backend={backend!r} runs on a CPU: say device=cpu, or leave it out.")
            from detector.networks import ultralytics

            return ultralytics.TorchNetwork.open(path, torch_device)
    if exported:
        return ExportedNetwork(path, backend)
    if path.suffix.lower() != ".pt" or backend == "torch" or not installed():
        return _in_torch(path)
    return exported_before(path, backend) or export_once(path, backend)


def _check(path: Path, backend: str | None) -> None:
    """Refuse what is no weights, and a backend that there is not."""
    if not (path.suffix.lower() in _WEIGHTS and path.is_file()) and not is_openvino(path):
        if path.is_dir() and (path / "data.yaml").is_file():
            raise WeightsError(f"{path} is a dataset: the weights that were trained on it are in weights/.")
        raise WeightsError(
            f"{path} is no weights: give a .pt, .onnx or .engine file, or a folder of OpenVINO, as `detector train` "
            "and `detector export` write them."
        )
    if backend not in (None, "torch", *BACKENDS):
        raise ArgumentError(f"backend={backend!r} is not one of {', '.join(BACKENDS)} and torch.")
    if backend in BACKENDS and not present(backend):
        raise DependencyError(f"backend={backend!r} needs {BACKENDS[backend]}: run `pip install {BACKENDS[backend]}`.")


def _in_torch(path: Path) -> Network:
    require(f"Without an .onnx that `detector export` made of it, {path}", *TORCH)
    from detector.networks import ultralytics
    from detector.networks.device import pick_device

    return ultralytics.TorchNetwork.open(path, pick_device("cpu"))


def exported_before(weights: Path, backend: str | None = None) -> ExportedNetwork | None:
    """Open the earlier export of a ``.pt``, beside it or in the cache; None if there is none of these weights.

    One in 8 bits is not taken: it may read other strings.
    """
    source = file_hash(weights)
    cached = _cached(source)
    for path in (weights.with_suffix(".onnx"), cached):
        if path.is_file():
            try:
                network = ExportedNetwork(path, backend)
            except DetectorError as error:
                log.info("%s is not used: %s", path, error)
                continue
            if network.source == source and not network.is_int8:
                if path == cached:
                    used_now(path)
                return network
    return None


def export_once(weights: Path, backend: str | None = None) -> Network:
    """Export a ``.pt`` to ONNX in the user's cache, for a faster start and faster reading from now on.

    It takes seconds: torch is loaded, pictures are drawn, and what both networks read of them is compared. The log says
    so. Where it cannot be done, in a read-only home for example, torch reads as well.

    Args:
        weights: the file.
        backend: as for :class:`ExportedNetwork`.

    Returns:
        The exported network, or the one in torch.

    Raises:
        WeightsError: if these are no reader's weights, or a backend is asked for and they cannot be exported.
        DependencyError: if torch is not installed.
    """
    from detector.reading.export import write_checked

    network = _in_torch(weights)
    config_of(network, weights)  # what is no reader's weights is not exported
    if not is_installed("onnx"):
        log.info("with the package onnx installed, %s would be read faster on a CPU", weights)
    else:
        path = _cached(file_hash(weights))
        log.info(
            "exporting %s to ONNX once, for faster reading on a CPU, and comparing what both read of drawn pictures; "
            "kept in %s", weights, path.parent,
        )  # fmt: skip
        try:
            write_checked(weights, network, path)
            keep_newest(path.parent, "*.onnx", _MAX_EXPORTS)
            return ExportedNetwork(path, backend)
        except (DetectorError, OSError) as error:  # a read-only home, a full disk
            log.info("reading with torch: %s", error)
    if backend is not None:
        raise WeightsError(f"{weights} cannot be converted for backend={backend!r}: see the log, or leave it out.")
    return network


def _cached(source: str) -> Path:
    return cache_folder("onnx") / f"{source[:32]}.onnx"
