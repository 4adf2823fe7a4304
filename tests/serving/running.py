"""A service that runs: in a thread of the tests, or in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

import detector
from tests.replies import Reply

GUARD = 600.0  # seconds after which a test is taken to hang


def until(happens: Callable[[], object]) -> None:
    """Wait for what other threads or processes do; something that never happens fails the test."""
    stop = time.monotonic() + GUARD
    while not happens():
        assert time.monotonic() < stop
        time.sleep(0.005)


class Answer(Reply):
    """What a service answered."""

    @property
    def texts(self) -> list[str | None]:
        return [reading.get("text") for reading in self.json["readings"]]


def ask(port: int, path: str, body: bytes | None = None, method: str = "", **headers: str) -> Answer:
    """One request on a connection of its own; names of headers are written with ``_`` for ``-``.

    Without a method it is POST with a body, else GET.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GUARD)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, named)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def multipart(*parts: tuple[str | None, str | None, bytes], boundary: str = "b0undary") -> tuple[bytes, str]:
    """A body and its Content-Type; parts are (field, file name or None, bytes)."""
    lines = b""
    for field, name, data in parts:
        disposition = f'form-data; name="{field}"' + ("" if name is None else f'; filename="{name}"')
        lines += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n"
    return lines + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@contextmanager
def running(app: Any, **options: Any) -> Iterator[int]:
    """Serve an application in a thread, with uvicorn's options; its port."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, ws="none", **options)
    server = uvicorn.Server(config)
    up = threading.Event()

    async def tell_when_up(*_: Any) -> None:
        up.set()

    config.callback_notify = tell_when_up
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert up.wait(GUARD)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(GUARD)
        assert not thread.is_alive()


class Process:
    """``detector serve`` on a free port, and the lines of its log.

    Args:
        arguments: of the command.
        tracer: a command that runs it.
        environment: what it has besides this process's own.
    """

    def __init__(self, *arguments: str, tracer: Sequence[str] = (), **environment: str) -> None:
        root = Path(detector.__file__).parents[1]
        self.process = subprocess.Popen(
            [*tracer, sys.executable, "-m", "detector", "serve", *arguments, "--port", "0"],
            cwd=root, env={**os.environ, "PYTHONPATH": str(root), **environment}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[dict[str, Any]] = []
        self._said: list[str] = []
        self._up = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        if not self._up.wait(GUARD) or not self.port:
            self.process.kill()
            raise AssertionError("".join(self._said))

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.append(line)
            if line.startswith("{"):
                self.lines.append(json.loads(line))
                message = self.lines[-1]["message"]
                if message.startswith("serving on"):
                    self.port = int(message.rsplit(":", 1)[1].rstrip("/"))
                if "startup complete" in message:
                    self._up.set()
        self._up.set()

    def stop(self) -> int:
        """End it by SIGTERM and wait; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(GUARD)
        self._thread.join(GUARD)
        return code

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(GUARD)
        self._thread.join(GUARD)
        assert self.process.stderr is not None
        self.process.stderr.close()
