"""Nothing asks the network for anything: the guard of conftest.py works, and a bare process stays silent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import detector
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
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert any(line.startswith("READ ") for line in lines)
    assert f"LANDED {Path('weights/toy.pt')}" in lines
    assert (tmp_path / "weights" / "toy.pt").is_file()
