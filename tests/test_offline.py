"""Nothing asks the network for anything: the guard of conftest.py works, and a bare process stays silent."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import detector
from detector.data import switches
from tests.conftest import NetworkCallError, Toy, ToyRun, char_network

CALLS = {
    "connect": lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
    "names": lambda: socket.getaddrinfo("example.com", 80),
    "old names": lambda: socket.gethostbyname("example.com"),
    "UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 53)),
    "connect_ex": lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_the_guard_stops_and_remembers(call: object, network_attempts: list[str]) -> None:
    with pytest.raises(NetworkCallError, match="no network in tests"):
        call()  # type: ignore[operator]
    assert len(network_attempts) == 1
    network_attempts.clear()


def test_this_machine_may_be_asked(network_attempts: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    one, other = socket.socketpair()
    one.close()
    other.close()
    assert not network_attempts


ROOT = Path(detector.__file__).parents[1]

PREAMBLE = """
import socket, sys
asked = []
def stop(word):
    def call(*args, **named):
        if args and isinstance(args[0], socket.socket) and args[0].family == socket.AF_UNIX:
            raise OSError("not in this test")
        asked.append(f"{word} {args}")
        raise OSError("no network")
    return call
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, stop(name))
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "create_connection"):
    setattr(socket, name, stop(name))
"""

READ_AND_TRAIN = """
import detector
reader = detector.Reader(sys.argv[1], device="cpu")
print("READ", reader.read(sys.argv[2]).text)
print("LANDED", detector.train(sys.argv[3], model=sys.argv[4], epochs=1, batch=32, device="cpu", plots=True))
assert not asked, asked
"""


def test_reading_and_training_ask_for_nothing(toy: Toy, toy_run: ToyRun, tmp_path: Path) -> None:
    """In a process of its own, with an empty home: the first start is when libraries fetch fonts and settings."""
    picture = sorted(toy.source.iterdir())[0]
    switches = ("YOLO_", "NO_ALBUMENTATIONS", "XDG_", "MPL")  # nothing of these may be needed from outside
    environment = {k: v for k, v in os.environ.items() if not k.startswith(switches)}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(detector.__file__).parents[1])}
    done = subprocess.run(
        [
            sys.executable, "-W", "error::RuntimeWarning", "-c", PREAMBLE + READ_AND_TRAIN, str(toy_run.weights),
            str(picture), str(toy.report.data_yaml), str(char_network()),
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert any(line.startswith("READ ") for line in lines)
    assert f"LANDED {Path('weights/toy.pt')}" in lines
    assert (tmp_path / "weights" / "toy.pt").is_file()


def test_one_place_sets_every_switch() -> None:
    assert switches.ALWAYS == {
        "YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "ULTRALYTICS_SAFE_LOAD": "1", "NO_ALBUMENTATIONS_UPDATE": "1",
        "RAY_USAGE_STATS_ENABLED": "0", "ORT_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    set_elsewhere = [
        path for path in Path(detector.__file__).parent.rglob("*.py")
        if path.name != "switches.py" and any(name in path.read_text(encoding="utf-8") for name in
                                              {*switches.ALWAYS} - {"ULTRALYTICS_SAFE_LOAD"})
    ]  # fmt: skip
    assert not set_elsewhere


@pytest.mark.parametrize(
    "importer", ["detector", "detector.networks.runtimes", "detector.cli", "detector.networks.ultralytics"]
)
def test_every_importer_has_the_switches_set_first(importer: str) -> None:
    code = (
        "import importlib.abc, os, sys\n"
        "class First(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name in ('onnxruntime', 'ultralytics', 'albumentations'):\n"
        "            from detector.data.switches import ALWAYS\n"
        "            assert {k: os.environ.get(k) for k in ALWAYS} == ALWAYS, name\n"
        "sys.meta_path.insert(0, First())\n"
        f"import {importer}\n"
        "from detector.data.switches import ALWAYS\n"
        "assert {k: os.environ.get(k) for k in ALWAYS} == ALWAYS\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in switches.ALWAYS} | {"ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]


READ_AND_LIVE_ON = """
import sys, time, numpy, detector
reader = detector.Reader(device="cpu")
reader.read(numpy.full((64, 256, 3), 255, numpy.uint8))
time.sleep(float(sys.argv[1]))
"""

LIVES = 8.0
"""Seconds; telemetry of ONNX Runtime writes its id after about five. `tools/install/silence.py` waits for a minute."""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_reader_that_lives_on_leaves_nothing_and_asks_nobody(tmp_path: Path) -> None:
    home, calls = tmp_path / "home", tmp_path / "calls"
    home.mkdir()
    kept = ("XDG_", "YOLO_", "MPL", *switches.ALWAYS)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(kept)}
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(calls), sys.executable, "-c",
         READ_AND_LIVE_ON, str(LIVES)],
        cwd=tmp_path, env=environment | {"HOME": str(home), "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    if "ptrace" in done.stderr or "PTRACE" in done.stderr:
        pytest.skip("no process may be traced here")
    assert done.returncode == 0, done.stderr[-2000:]
    left = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    assert all(name.startswith(".cache/detector/") for name in left), left
    assert "AF_INET" not in calls.read_text(encoding="utf-8", errors="replace")
