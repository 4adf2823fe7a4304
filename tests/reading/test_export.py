"""Exported weights: configuration inside, same strings, nothing left behind; and what a reader runs on a CPU."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import detector
from detector import Reader, Reading, errors
from detector.cli import app
from detector.data.folders.owned import file_hash
from detector.data.folders.user_cache import cache_folder
from detector.errors import ArgumentError, DependencyError, DetectorError, DiskFullError, WeightsError
from detector.networks import runtimes
from detector.networks.metadata import config_in, metadata_for
from detector.networks.runtimes import ExportedNetwork
from detector.networks.shipped import SHIPPED
from detector.reading import export as exporting
from detector.reading.opening import exported_before
from tests.conftest import Toy, ToyRun

FORMATS = [
    "onnx",
    pytest.param("openvino", marks=pytest.mark.skipif(find_spec("openvino") is None, reason="no OpenVINO here")),
]


@pytest.fixture
def weights(toy_run: ToyRun, tmp_path: Path) -> Path:
    """The toy's weights, alone in a folder."""
    return Path(shutil.copyfile(toy_run.weights, tmp_path / "toy.pt"))


@pytest.fixture
def pictures(toy: Toy) -> list[Path]:
    return sorted(toy.source.iterdir())[:40]


def texts(reader: Reader, pictures: list[Path]) -> list[str]:
    return [reading.text for reading in reader.read_many(pictures) if isinstance(reading, Reading)]


@pytest.mark.parametrize("format", FORMATS)
def test_exported_weights_read_as_the_pt(weights: Path, pictures: list[Path], format: str) -> None:
    wanted = Reader(weights, device="cpu", backend="torch")
    assert wanted.backend == "torch"
    written = detector.export(weights, format=format, sample=pictures[:3])
    assert written.name == "toy" + exporting.SUFFIXES[format]
    assert {path.name for path in weights.parent.iterdir()} == {"toy.pt", written.name}
    read = Reader(written, device="cpu")
    assert read.backend == format
    assert read.config == wanted.config
    assert texts(read, pictures) == texts(wanted, pictures)
    one, other = (reader.read(pictures[0]) for reader in (read, wanted))
    assert one.text == other.text and one.confidence == pytest.approx(other.confidence, abs=1e-4)
    detector.export(weights, format=format)  # replaces it
    assert {path.name for path in weights.parent.iterdir()} == {"toy.pt", written.name}


@pytest.mark.parametrize("format", FORMATS)
def test_yolo_opens_what_was_exported(weights: Path, exported: Path, format: str) -> None:
    import torch

    from detector.networks.ultralytics import TorchNetwork

    written = exported if format == "onnx" else detector.export(weights, format=format)
    network = TorchNetwork.open(written, torch.device("cpu"))  # through Ultralytics' own backend
    assert network.config == Reader(written, device="cpu").config
    images = np.random.default_rng(0).integers(0, 256, (3, *network.config.shape_hw, 3), dtype=np.uint8)  # type: ignore[union-attr, misc]
    ours = ExportedNetwork(written).output(images)
    assert np.allclose(network.output(images), ours, atol=0.5), "Ultralytics lets OpenVINO compute in bfloat16"


def test_every_rule_travels(weights: Path, exported: Path) -> None:
    held = Reader(exported, device="cpu").config
    assert held == Reader(weights, device="cpu", backend="torch").config
    metadata = metadata_for(held, "x")
    assert config_in(metadata) == held
    assert json.loads(metadata["detector"]) == json.loads(json.dumps(held.to_dict())), "new keys, too"


def test_what_reads_other_strings_is_not_written(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., list[detector.CharDetections]] = ExportedNetwork.__call__

    def one_less(self: ExportedNetwork, images: object) -> list[detector.CharDetections]:
        return [found[1:] for found in real(self, images)]  # without the surest

    monkeypatch.setattr(ExportedNetwork, "__call__", one_less)
    with pytest.raises(WeightsError, match=r"toy\.pt reads otherwise once exported: of \d+ pictures \d+ differ"):
        detector.export(weights)
    assert [path.name for path in weights.parent.iterdir()] == ["toy.pt"]


def test_only_an_earlier_export_is_replaced(weights: Path, exported: Path) -> None:
    target = Path(shutil.copyfile(exported, weights.with_suffix(".onnx")))
    before = target.stat().st_ino
    assert detector.export(weights) == target and target.stat().st_ino != before
    target.write_bytes(b"of somebody else")
    with pytest.raises(DetectorError, match=r"\.onnx is no earlier export: move it away"):
        detector.export(weights)
    assert target.read_bytes() == b"of somebody else"


@pytest.mark.parametrize("edited", [False, True])
def test_a_folder_with_more_than_an_export_is_not_replaced(tmp_path: Path, edited: bool) -> None:
    from detector.data.folders.owned import OwnedFiles
    from detector.reading.export import _check_replaceable

    folder = tmp_path / "x_openvino_model"
    folder.mkdir()
    (folder / "x.xml").write_text("<net/>")
    with pytest.raises(DetectorError, match=r"holds x\.xml, which no export wrote"):
        _check_replaceable(folder)
    OwnedFiles(folder).list_all()
    _check_replaceable(folder)
    name = "x.xml" if edited else "notes.txt"
    (folder / name).write_text("mine")
    with pytest.raises(DetectorError, match=f"holds {name}, which no export wrote or which was changed"):
        _check_replaceable(folder)


def test_a_failed_export_leaves_what_was_there(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.networks import ultralytics

    target = weights.with_suffix(".onnx")
    target.write_text("earlier, with its detector_source")

    def broken(weights: Path, folder: Path, *_: object, any_shape: bool) -> Path:
        (folder / "half.onnx").write_text("half")
        raise RuntimeError("no more room")

    monkeypatch.setattr(ultralytics, "write_exported", broken)
    with pytest.raises(WeightsError, match=r"could not be exported \(RuntimeError: no more room\)"):
        detector.export(weights)
    assert target.read_text() == "earlier, with its detector_source"
    assert len(list(weights.parent.iterdir())) == 2


def test_a_full_disk_is_named_and_nothing_is_left(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.networks import ultralytics

    def full(weights: Path, folder: Path, *_: object, any_shape: bool) -> Path:
        (folder / "half.onnx").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ultralytics, "write_exported", full)
    with pytest.raises(DiskFullError, match=r"plates\.onnx cannot be written: .* Make room there, or choose"):
        detector.export(weights, out=weights.with_name("plates.onnx"))
    assert [*weights.parent.iterdir()] == [weights]


def test_missing_packages_are_named_with_their_extra(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "is_installed", lambda name: name not in ("openvino", "onnx", "tensorrt"))
    with pytest.raises(DependencyError, match=r"needs openvino: run `pip install 'string-detector\[export\]'`"):
        detector.export(weights, format="openvino")
    with pytest.raises(
        DependencyError, match=r"needs onnx and tensorrt: run `pip install 'string-detector\[tensorrt\]'`"
    ):
        detector.export(weights, format="engine")


def test_wrong_arguments(weights: Path) -> None:
    with pytest.raises(DetectorError, match="format='ncnn' is not one of onnx, openvino, engine"):
        detector.export(weights, format="ncnn")
    with pytest.raises(DetectorError, match=r"must end in \.onnx"):
        detector.export(weights, weights.with_name("toy.bin"))
    with pytest.raises(WeightsError, match=r"There are no weights at .*none\.pt"):
        detector.export(weights.with_name("none.pt"))
    with pytest.raises(WeightsError, match="exported already"):
        detector.export(weights.with_suffix(".onnx"))
    with pytest.raises(DetectorError, match="backend='tpu' is not one of onnx, openvino and torch"):
        Reader(weights, device="cpu", backend="tpu")


def test_a_gpu_is_for_engines_alone(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.networks.device.pick_device", lambda _: torch.device("cuda:0"))
    with pytest.raises(ArgumentError, match=r"device='0' has no effect: format=onnx is written on a CPU"):
        detector.export(weights, device="0")


# 8 bits


@pytest.fixture(scope="module")
def in_8_bits(toy: Toy, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the toy's weights are in 8 bits, beside what they are in 32."""
    folder = Path(shutil.copytree(exported.parent, tmp_path_factory.mktemp("8 bits") / "toy"))
    written = detector.export(folder / "toy.pt", int8=True, sample=sorted(toy.source.iterdir())[40:60])
    assert {path.name for path in written.parent.iterdir()} == {"toy.pt", "toy.onnx", "toy.int8.onnx"}
    return written


def test_a_file_in_8_bits_is_smaller_and_reads_nearly_the_same(
    in_8_bits: Path, exported: Path, pictures: list[Path]
) -> None:
    assert in_8_bits.stat().st_size < 0.6 * exported.stat().st_size
    read, wanted = (Reader(path, device="cpu") for path in (in_8_bits, exported))
    assert read.config == wanted.config and read.backend == "onnx"
    differing = sum(a != b for a, b in zip(texts(read, pictures), texts(wanted, pictures), strict=True))
    assert differing <= len(pictures) // 10
    image = np.random.default_rng(0).integers(0, 256, (1, *read.config.shape_hw, 3), dtype=np.uint8)  # type: ignore[misc]
    outputs = [ExportedNetwork(path).output(image) for path in (in_8_bits, exported)]
    assert not np.array_equal(*outputs), "it computes in 8 bits"


def test_its_metadata_is_that_of_the_export_and_says_8_bits(in_8_bits: Path, exported: Path) -> None:
    import onnx

    def entries(path: Path) -> dict[str, str]:
        return {entry.key: entry.value for entry in onnx.load(path).metadata_props if entry.key != "date"}

    assert entries(in_8_bits) == {**entries(exported), "detector_int8": "True"}


@pytest.mark.parametrize("name", ["toy.onnx", "toy.int8.onnx"])
def test_a_pt_is_never_read_in_8_bits(
    in_8_bits: Path, exported: Path, weights: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(weights.parent / "cache"))
    shutil.copyfile(in_8_bits, weights.with_name(name))
    assert exported_before(weights) is None
    shutil.copyfile(exported, weights.with_name("toy.onnx"))
    network = exported_before(weights)
    assert network is not None and not network.is_int8


def test_8_bits_need_no_sample_and_tell_how_many_readings_differ(
    weights: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = list(logging.getLogger().handlers)
    asked = ["export", str(weights), "--int8", "--out", str(weights.with_name("small.onnx"))]
    with caplog.at_level("INFO", "detector"):
        done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0 and done.stdout.strip() == str(weights.with_name("small.onnx"))
    assert re.search(r"in 8 bits .*toy\.pt reads \d+ of 128 pictures otherwise than in 32", caplog.text)
    assert "pre-processing" not in done.output + caplog.text + "".join(capfd.readouterr())
    assert logging.getLogger().handlers == handlers


def test_8_bits_that_read_otherwise_are_not_written(
    weights: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., list[detector.CharDetections]] = ExportedNetwork.__call__

    def one_less(self: ExportedNetwork, images: object) -> list[detector.CharDetections]:
        return [found[1:] if self.is_int8 else found for found in real(self, images)]

    monkeypatch.setattr(ExportedNetwork, "__call__", one_less)
    with pytest.raises(
        WeightsError, match=r"toy\.pt reads otherwise in 8 bits: of \d+ pictures that .* a larger sample"
    ):
        detector.export(weights, int8=True, sample=pictures[:10])
    assert [path.name for path in weights.parent.iterdir()] == ["toy.pt"]


@pytest.mark.parametrize("format", ["openvino", "engine"])
def test_8_bits_are_for_onnx_alone(weights: Path, format: str) -> None:
    with pytest.raises(ArgumentError, match=rf"int8=True is for ONNX alone, not for format='{format}': leave it out"):
        detector.export(weights, format=format, int8=True)


# What a reader runs


def test_a_pt_is_exported_once_and_the_log_says_so(
    weights: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(weights.parent / "cache"))
    with caplog.at_level("INFO", "detector"):
        first = Reader(weights, device="cpu")
    assert first.backend == "onnx"
    assert caplog.text.count(f"exporting {weights} to ONNX once") == 1
    (cached,) = cache_folder("onnx").iterdir()
    monkeypatch.setattr(exporting, "write_checked", lambda *_: pytest.fail("converted twice"))
    again = Reader(weights, device="cpu")
    assert again.backend == "onnx" and again.config == first.config
    assert texts(again, pictures) == texts(Reader(weights, device="cpu", backend="torch"), pictures)
    assert Reader(cached, device="cpu").config == first.config


def test_a_conversion_that_fails_is_no_failure(
    weights: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = weights.parent / "blocked"
    blocked.write_text("a file where the cache should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    reader = Reader(weights, device="cpu")
    assert reader.backend == "torch" and reader.read(pictures[0])
    with pytest.raises(WeightsError, match="cannot be converted for backend='onnx'"):
        Reader(weights, device="cpu", backend="onnx")


def test_an_export_of_other_weights_is_not_taken(
    weights: Path, toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(weights.parent / "cache"))
    assert Reader(weights, device="cpu").backend == "onnx"  # so that the cache has the right one
    beside = weights.with_suffix(".onnx")
    shutil.copyfile(SHIPPED.with_suffix(".onnx"), beside)
    assert Reader(weights, device="cpu").config == Reader(toy_run.weights, device="cpu").config
    beside.write_bytes(b"junk")
    assert Reader(weights, device="cpu").backend == "onnx"


@pytest.mark.parametrize("batch", [1, 3])
def test_a_file_that_takes_one_shape_and_so_many(exported: Path, tmp_path: Path, batch: int) -> None:
    """As plain `yolo export` writes it."""
    import onnx

    model = onnx.load(str(exported))
    config = Reader(exported, device="cpu").config
    assert config.shape_hw is not None
    for dimension, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (batch, 3, *config.shape_hw), strict=True
    ):
        dimension.dim_value = size
    kept = [entry for entry in model.metadata_props if not entry.key.startswith("detector")]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    plain = tmp_path / "plain.onnx"
    onnx.save(model, str(plain))
    reader = Reader(plain, device="cpu")
    assert reader.config.symbols == config.symbols and reader.config.shape_hw == config.shape_hw
    assert ExportedNetwork(plain).config is None
    images = np.random.default_rng(0).integers(0, 256, (4, *config.shape_hw, 3), dtype=np.uint8)
    assert np.allclose(ExportedNetwork(plain).output(images), ExportedNetwork(exported).output(images), atol=1e-4)


def test_a_batch_shared_by_cores_gives_what_single_pictures_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "network_threads", lambda: 3)
    network = ExportedNetwork(SHIPPED.with_suffix(".onnx"), "onnx")
    images = np.random.default_rng(0).integers(0, 255, (29, 64, 128, 3), np.uint8)
    single = np.concatenate([network.output(image[None]) for image in images])
    np.testing.assert_allclose(network.output(images), single, rtol=1e-4, atol=1e-4)


def test_the_shipped_export_is_that_of_the_shipped_weights() -> None:
    network = ExportedNetwork(SHIPPED.with_suffix(".onnx"))
    assert network.source == file_hash(SHIPPED), "run tools/weights/ship_weights.py"


def test_an_export_of_the_shipped_weights_leaves_the_package_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file_hash(SHIPPED.with_suffix(".onnx"))
    monkeypatch.chdir(tmp_path)
    assert detector.export("shipped") == Path("weights") / "detector.onnx"
    assert (tmp_path / "weights" / "detector.onnx").exists() and file_hash(SHIPPED.with_suffix(".onnx")) == before


def test_reading_with_the_shipped_weights_loads_no_torch() -> None:
    code = (
        "import sys, numpy, detector; reader = detector.Reader(); reader.read(numpy.zeros((64, 256, 3), 'uint8'));"
        "reader.read_many([b'junk', numpy.zeros((64, 256, 3), 'uint8')]);"
        "print(reader.backend, *sys.modules.keys() & {'torch', 'ultralytics', 'albumentations', 'matplotlib'})"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(detector.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["onnx"], done.stderr


def test_a_sample_that_cannot_be_decoded_is_named_and_an_empty_one_refused(toy_run: ToyRun, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    out = str(tmp_path / "out.onnx")
    asked = ["export", str(toy_run.weights), "--out", out, "--sample", str(tmp_path / "folder")]
    empty = CliRunner().invoke(app, asked)
    assert "There is no picture in" in str(empty.exception)
    (tmp_path / "folder" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    torn = CliRunner().invoke(app, asked)
    assert "There is no picture in" in str(torn.exception) and "not compared: " in torn.output
    named = CliRunner().invoke(app, [*asked[:-1], str(tmp_path / "folder" / "torn.png")])
    assert "torn.png: " in str(named.exception) and not Path(out).exists()
