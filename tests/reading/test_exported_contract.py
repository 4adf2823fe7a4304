"""What docs/export.md promises of exported files, kept without this package: its own code, beside the reader."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import detector
from detector import Reader, Reading
from detector.networks.shipped import SHIPPED
from tests.conftest import Toy, ToyRun

ROOT = Path(detector.__file__).parents[1]
EXAMPLES = ROOT / "examples"
OPENVINO = pytest.mark.skipif(find_spec("openvino") is None, reason="no OpenVINO here")


@pytest.fixture(scope="module")
def pictures(toy: Toy) -> list[Path]:
    return sorted(toy.source.iterdir())[:40]


def read_by_reader(weights: Path, pictures: list[Path]) -> list[str]:
    """Strings without spaces, which are no class."""
    reader = Reader(weights, device="cpu", two_pass=False)
    readings = [reading for reading in reader.read_many(pictures) if isinstance(reading, Reading)]
    return [reading.text.replace(reader.config.space, "") for reading in readings]


def test_only_the_batch_is_open_where_a_set_has_one_shape(exported: Path, pictures: list[Path]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported))
    config = Reader(exported, device="cpu").config
    assert config.shape_hw is not None
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.shape[1:]) == ("images", [3, *config.shape_hw])
    assert (given.name, given.shape[1]) == ("output0", 4 + len(config.symbols)) and isinstance(given.shape[2], int)
    for side in (taken.shape[0], given.shape[0]):
        assert side is None, "a name would be taken for a sign that height and width are open"
    held = session.get_modelmeta().custom_metadata_map
    assert ast.literal_eval(held["names"]) == dict(enumerate(config.symbols))
    assert ast.literal_eval(held["imgsz"]) == list(config.shape_hw)
    assert held["task"] == "detect" and int(held["stride"]) > 0
    assert json.loads(held["detector"])["symbols"] == config.symbols and len(held["detector_source"]) == 64


def test_weights_for_pictures_of_any_shape_stay_open(tmp_path: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(SHIPPED.with_suffix(".onnx")))
    assert not any(isinstance(side, int) for side in session.get_inputs()[0].shape[2:])


@OPENVINO
def test_an_openvino_folder_has_one_shape_too(toy_run: ToyRun, tmp_path: Path) -> None:
    folder = detector.export(toy_run.weights, tmp_path / "toy_openvino_model", format="openvino")
    import openvino

    sides = openvino.Core().read_model(str(next(folder.glob("*.xml")))).input().partial_shape
    shape_hw = Reader(folder, device="cpu").config.shape_hw
    assert shape_hw is not None
    assert sides[0].is_dynamic and [side.get_length() for side in list(sides)[2:]] == list(shape_hw)
    assert yaml.safe_load((folder / "metadata.yaml").read_text())["imgsz"] == list(shape_hw)


def test_the_code_of_the_page_reads_as_the_reader_without_this_package(exported: Path, pictures: list[Path]) -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    alone = "\nassert not sys.modules.keys() & {'detector', 'torch', 'ultralytics'}\n"
    done = subprocess.run(
        [sys.executable, "-c", block + alone, str(exported), *map(str, pictures)],
        cwd=exported.parent, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = dict(line.split("\t") for line in done.stdout.splitlines())
    assert [read[str(path)] for path in pictures] == read_by_reader(exported, pictures)


@pytest.mark.skipif(
    shutil.which("node") is None or not (EXAMPLES / "node_modules" / "onnxruntime-node").is_dir(),
    reason="needs node, and `npm install --ignore-scripts` in examples/",
)
def test_the_javascript_reads_as_the_reader(exported: Path, pictures: list[Path]) -> None:
    symbols = Reader(exported, device="cpu").config.symbols
    done = subprocess.run(
        ["node", str(EXAMPLES / "read.mjs"), str(exported), symbols, *map(str, pictures)],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = dict(line.split("\t") for line in done.stdout.splitlines())
    assert [read[str(path)] for path in pictures] == read_by_reader(exported, pictures)


@pytest.mark.usefixtures("ultralytics_offline")
@pytest.mark.filterwarnings("ignore")  # Ultralytics' own
def test_plain_ultralytics_reads_the_file_as_it_reads_the_pt(
    toy_run: ToyRun, exported: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics import YOLO

    monkeypatch.chdir(tmp_path)

    def strings(weights: Path) -> list[str]:
        results = YOLO(weights, task="detect").predict(pictures[:20], agnostic_nms=True, device="cpu", verbose=False)
        return [
            "".join(result.names[int(result.boxes.cls[i])] for i in result.boxes.xywh[:, 0].argsort())
            for result in results
        ]

    read = strings(exported)
    assert read == strings(toy_run.weights) and any(read)
