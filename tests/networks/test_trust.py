"""Files of strangers run nothing: weights of many evil kinds, structures, data.yaml, exported networks."""

from __future__ import annotations

import builtins
import functools
import io
import os
import pickle
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import detector
from detector.data.trust import trusted, trusting
from detector.errors import DatasetError, DetectorError, WeightsError
from detector.networks.shipped import SHIPPED
from tests.conftest import Toy, ToyRun, char_network

CASES = Path(__file__).parents[3] / "shared" / "cases" / "danger"
RAN = "RAN"
TOUCH = f"open({RAN!r}, 'w').close()"


@pytest.fixture(autouse=True)
def _in_a_folder_where_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield
    assert not Path(RAN).exists(), "something ran"


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *args: Any, state: Any = None) -> None:
        self.function, self.args, self.state = function, args, state

    def __reduce__(self) -> Any:
        return (self.function, self.args) if self.state is None else (self.function, self.args, self.state)


def harmless() -> dict[str, Any]:
    held: dict[str, Any] = torch.load(SHIPPED, map_location="cpu", weights_only=False)
    return held


def saved(path: Path, held: Any, **how: Any) -> Path:
    torch.save(held, path, **how)
    return path


def in_archive(path: Path, program: bytes, *more: tuple[str, bytes]) -> Path:
    """An archive of torch.save with another pickle."""
    saved(path, {"model": 1})
    with zipfile.ZipFile(path) as archive:
        held = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in held:
            archive.writestr(name, program if name.endswith("data.pkl") else data)
        for name, data in more:
            archive.writestr(name, data)
    return path


def stepwise(module: str, name: str, text: str) -> bytes:
    """A pickle, written by hand, that calls module.name(text)."""
    return (
        b"\x80\x02c"
        + f"{module}\n{name}\n".encode()
        + b"X"
        + len(text).to_bytes(4, "little")
        + text.encode()
        + b"\x85R."
    )


def with_(key: str, value: Any) -> Callable[[Path], Path]:
    return lambda path: saved(path, {**harmless(), key: value})


def in_the_network(path: Path) -> Path:
    held = harmless()
    held["model"].model[0].conv.extra = Calls(os.system, f"touch {RAN}")
    return saved(path, held)


def in_an_array(path: Path) -> Path:
    held = np.empty(1, object)
    held[0] = Calls(os.system, f"touch {RAN}")
    return saved(path, {**harmless(), "best_fitness": held})


def behind_a_failing_step(path: Path) -> Path:
    """A network class is called, after a step that only a rehearsal stumbles over."""
    return saved(path, {**harmless(), "a": Calls(torch.device, "cpu", state={"x": 1}), "b": called_network()})


def called_network(structure: str = "evil.yaml") -> Calls:
    from ultralytics.nn.tasks import DetectionModel

    return Calls(DetectionModel, structure)


def calls_a_network(path: Path) -> Path:
    Path("evil.yaml").write_text(evil_structure(), encoding="utf-8")
    return saved(path, {**harmless(), "extra": called_network(str(Path("evil.yaml").absolute()))})


def method_of_a_network(path: Path) -> Path:
    from ultralytics.nn.tasks import DetectionModel

    return saved(path, {**harmless(), "extra": Calls(builtins.getattr, DetectionModel, "load")})


def two_programs(path: Path) -> Path:
    """Which of two members of one name is read is a matter of the reader."""
    evil = stepwise("builtins", "exec", TOUCH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two names
        in_archive(path, evil, ("archive/data.pkl", pickle.dumps(1, 2)), (f"{path.stem}/data.pkl", pickle.dumps(1, 2)))
    return path


def script(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an old way
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(path))
    return path


EVIL: dict[str, Callable[[Path], Path]] = {
    "os.system": with_("extra", Calls(os.system, f"touch {RAN}")),
    "exec": with_("extra", Calls(builtins.exec, TOUCH)),
    "eval": with_("extra", Calls(builtins.eval, TOUCH)),
    "subprocess": with_("extra", Calls(subprocess.check_call, ["touch", RAN])),
    "nested in the arguments": with_("train_args", {"data": [{"a": (Calls(os.system, f"touch {RAN}"),)}]}),
    "in place of the network": with_("model", Calls(os.system, f"touch {RAN}")),
    "in a layer": in_the_network,
    "in an array of objects": in_an_array,
    "a method of a network class": method_of_a_network,
    "partial": with_("extra", functools.partial(os.system, f"touch {RAN}")),
    "pickle in a pickle": with_("extra", Calls(pickle.loads, stepwise("builtins", "exec", TOUCH))),
    "torch.load of another file": with_("extra", Calls(torch.load, "other.pt", state={"weights_only": False})),
    "a network class that is called": calls_a_network,
    "a network class behind a step that fails": behind_a_failing_step,
    "no archive, a pickle": lambda path: path.write_bytes(stepwise("posix", "system", f"touch {RAN}")) and path,
    "the old format": lambda path: saved(
        path, {**harmless(), "extra": Calls(os.system, f"touch {RAN}")}, _use_new_zipfile_serialization=False
    ),
    "written by hand": lambda path: in_archive(path, stepwise("builtins", "exec", TOUCH)),
    "a module beside it": lambda path: in_archive(path, b"\x80\x02cevil_module\nthing\n."),
    "two programs in one archive": two_programs,
    "a network as code": script,
    "a namespace of its own": with_("extra", SimpleNamespace(run=Calls(os.system, f"touch {RAN}"))),
}  # fmt: skip

USES: dict[str, Callable[[Path], Any]] = {
    "read": lambda path: detector.Reader(path, device="cpu"),
    "read with torch": lambda path: detector.Reader(path, device="cpu", backend="torch"),
    "export": lambda path: detector.export(path),
}


def evil_structure() -> str:
    held = yaml.safe_load(char_network().read_text(encoding="utf-8"))
    return yaml.safe_dump(
        {**held, "activation": f"[{TOUCH}, torch.nn.SiLU()][1]".replace("open", "__builtins__['open']")}
    )


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
@pytest.mark.parametrize("make", EVIL.values(), ids=EVIL.keys())
def test_evil_weights_are_refused_and_nothing_runs(
    make: Callable[[Path], Path], use: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("evil_module.py").write_text(TOUCH, encoding="utf-8")
    monkeypatch.syspath_prepend(os.getcwd())
    path = make(tmp_path / "weights.pt")
    with pytest.raises(WeightsError) as caught:
        use(path)
    assert "evil_module" not in sys.modules
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and len(message) < 400
    assert not path.with_suffix(".onnx").exists()


@pytest.mark.parametrize(
    "kind", ["os.system", "exec", "in a layer", "the old format", "a network class that is called"]
)
def test_the_refusal_names_the_switch(kind: str, tmp_path: Path) -> None:
    path = EVIL[kind](tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"code.*: open it with --trust \(in Python trust=True\)"):
        detector.Reader(path, device="cpu")


def test_the_switch_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = EVIL["os.system"](tmp_path / "weights.pt")
    assert detector.Reader(path, device="cpu", backend="torch", trust=True).config.length == 8
    assert Path(RAN).exists()
    Path(RAN).unlink()
    assert not trusted()
    with pytest.raises(WeightsError):
        detector.Reader(path, device="cpu", backend="torch")


def test_trust_ends_with_its_block() -> None:
    with trusting(True):
        assert trusted()
        with trusting(False):
            assert not trusted()
        assert trusted()
    assert not trusted()


STRUCTURES = ("yolo26n", "yolo12n", "yolo11n", "yolov10n", "yolov9t", "yolov8n", "yolov5nu", "yolov3-tinyu")


@pytest.mark.parametrize("name", STRUCTURES)
def test_weights_as_ultralytics_writes_them_open(name: str, tmp_path: Path) -> None:
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import IterableSimpleNamespace

    from detector.networks.ultralytics.opening import open_weights

    net = DetectionModel(f"{name.removesuffix('u')}.yaml", nc=3, verbose=False)
    net.args, net.names = IterableSimpleNamespace(imgsz=64), {0: "A", 1: "B", 2: "C"}
    optimizer = torch.optim.AdamW(net.parameters())
    held = {
        "epoch": 3, "best_fitness": np.float64(0.5), "model": None, "ema": deepcopy(net).half(), "updates": 4,
        "optimizer": optimizer.state_dict(), "scaler": {}, "train_args": {"data": "data.yaml", "project": None},
        "train_metrics": {"fitness": np.float64(0.5)}, "train_results": {"epoch": [1, 2]}, "stopper": {"best": 0.5},
        "date": "2026-01-01", "version": "8.4.190", "git": {"root": None}, "license": "AGPL", "docs": "",
    }  # fmt: skip
    opened, back = open_weights(saved(tmp_path / "last.pt", held))
    assert opened.names == net.names and back["epoch"] == 3


def test_other_networks_are_no_readers_weights(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.pt", {"model": torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1))})
    with pytest.raises(WeightsError, match=r"net.pt holds a Sequential, not a detection network"):
        detector.Reader(path, device="cpu", backend="torch")


def test_structures_that_are_code(toy: Toy, tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(evil_structure(), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"model.yaml has an activation that is no class of torch.nn"):
        detector.train(toy.root, model=str(path), epochs=1, device="cpu")


def test_structures_in_weights_that_are_code(tmp_path: Path) -> None:
    """Training that starts from weights builds their structure anew."""
    from detector.networks.ultralytics import new_network

    held = harmless()
    held["model"].yaml = yaml.safe_load(evil_structure())
    with pytest.raises(TypeError, match="activation"):
        new_network("AB", None, saved(tmp_path / "weights.pt", held))


def test_layers_whose_weights_would_be_downloaded(toy: Toy, tmp_path: Path) -> None:
    held = yaml.safe_load(char_network().read_text(encoding="utf-8"))
    held["backbone"][0] = [-1, 1, "TorchVision", [768, "convnext_tiny", "DEFAULT"]]
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(held), encoding="utf-8")
    with pytest.raises(WeightsError, match="TorchVision, whose weights would be downloaded"):
        detector.train(toy.root, model=str(path), epochs=1, device="cpu")


@pytest.mark.parametrize("name", ["model", "pretrained", "distill_model"])
def test_training_starts_from_nothing_that_runs(name: str, toy: Toy, tmp_path: Path) -> None:
    path = EVIL["os.system"](tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="--trust"):
        detector.train(toy.root, epochs=1, device="cpu", **{name: str(path)})


def test_training_goes_on_from_nothing_that_runs(toy_run: ToyRun, tmp_path: Path) -> None:
    weights = tmp_path / "runs" / "evil" / "weights"
    weights.mkdir(parents=True)
    with pytest.raises(WeightsError, match="--trust"):
        detector.train(resume=str(EVIL["os.system"](weights / "last.pt")))
    from detector.training.arguments.resumed import check_resumable

    stopped = torch.load(toy_run.folder / "weights" / "last.pt", weights_only=False)
    saved(weights / "last.pt", {**stopped, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}})
    check_resumable(weights / "last.pt")
    EVIL["os.system"](weights / "best.pt")
    with pytest.raises(WeightsError, match=r"best.pt.*--trust"):
        check_resumable(weights / "last.pt")


def test_the_newest_run_is_one_of_ours(toy: Toy, tmp_path: Path) -> None:
    for folder in ("elsewhere/weights", "weights", "runs/a/b/weights", "runs/weights"):
        Path(folder).mkdir(parents=True)
        EVIL["os.system"](Path(folder, "last.pt"))
    with pytest.raises(DetectorError, match=r"There is no run to resume in .*runs"):
        detector.train(resume=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"download": TOUCH}, "has download,"), ({"path": "/elsewhere"}, "has path,"),
     ({"val": "images/nowhere"}, "says val:"),
     ({"nc": 3, "download": TOUCH, "kpt_shape": [1, 2]}, "has download, kpt_shape, nc,")],
    ids=str,
)  # fmt: skip
def test_sets_that_say_more(change: dict[str, Any], told: str, toy: Toy, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(toy.root, root, ignore=shutil.ignore_patterns("work", "packed"))
    held = yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))
    (root / "data.yaml").write_text(yaml.safe_dump({**held, **change}, allow_unicode=True), encoding="utf-8")
    from detector.training.profiling.measure import profile

    for use in (lambda: detector.train(root, epochs=1, device="cpu"), lambda: profile(root, device="cpu")):
        with pytest.raises(DatasetError, match=told):
            use()


def test_ultralytics_sees_no_file_of_the_set(toy: Toy) -> None:
    from detector.data.sets.yolo_dataset import read_set
    from detector.training import trainer as text_trainer
    from detector.training.arguments.defaults import training_arguments

    chosen = {"epochs": 1, "device": "cpu", "model": str(char_network()), "project": str(Path("runs").absolute())}
    trainer = text_trainer.TextTrainer(overrides=training_arguments(read_set(toy.root), chosen))
    assert trainer.data == {
        "path": toy.root.resolve(), "names": dict(enumerate("7AKT")), "nc": 4, "channels": 3,
        **{split: str(toy.root.resolve() / "images" / split) for split in ("train", "val", "test")},
    }  # fmt: skip


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_the_cases(toy: Toy) -> None:
    with pytest.raises(DatasetError, match="download"):
        detector.train(CASES / "data.yaml", epochs=1, device="cpu")
    with pytest.raises(WeightsError, match="activation"):
        detector.train(toy.root, model=str(CASES / "model.yaml"), epochs=1, device="cpu")


def test_engines_are_machine_code(tmp_path: Path) -> None:
    from detector.networks.ultralytics import TorchNetwork

    path = tmp_path / "plates.engine"
    path.write_bytes(b"\x02\x00\x00\x00{}" + bytes(100))
    with pytest.raises(WeightsError, match=r"plates.engine is machine code.*--trust"):
        TorchNetwork.open(path, torch.device("cpu"))


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "a/../../secret"])
def test_exported_networks_read_nothing_outside_their_folder(location: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "secret").write_bytes(np.zeros(1 << 16, np.float32).tobytes())
    (tmp_path / "weights" / "a").mkdir(parents=True)
    model = onnx.load(SHIPPED.with_suffix(".onnx"))
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(size))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path = tmp_path / "weights" / "reader.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=r"reader.onnx cannot be opened"):
        detector.Reader(path, device="cpu")


def test_the_cache_of_one_process_opens_nothing_for_another() -> None:
    """What one load allows stays allowed to later ones: it is layers alone."""
    from detector.networks.ultralytics.opening import open_weights

    open_weights(SHIPPED)
    stream = io.BytesIO()
    torch.save({"extra": Calls(os.system, f"touch {RAN}")}, stream)
    stream.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(stream, weights_only=True)


def other_channels(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7


def another_input(model: Any) -> None:
    added = model.graph.input.add()
    added.CopyFrom(model.graph.input[0])
    added.name = "other"


def no_output(model: Any) -> None:
    del model.graph.output[:]


@pytest.mark.parametrize("change", [other_channels, another_input, no_output])
def test_networks_of_other_shapes_are_refused_in_words(change: Callable[[Any], None], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(SHIPPED.with_suffix(".onnx"))
    change(model)
    path = tmp_path / "other.onnx"
    onnx.save(model, str(path))
    with pytest.raises(WeightsError, match=r"other\.onnx (cannot be opened|does not run on pictures of 256x64)"):
        detector.Reader(path, device="cpu").read(np.zeros((64, 256, 3), np.uint8))
