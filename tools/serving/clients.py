"""Clients of a service for `load.py`: prepared requests, sent one after another on many connections; no command."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

HANG_SECONDS = 120.0  # after which a service that starts, ends or answers a request counts as hanging
_TEXT = re.compile(rb'"text": ?"([^"]*)"')  # cheap, as the clients run on the same cores
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_BOUNDARY = b"b0undary-of-the-load"

Request = tuple[bytes, list[bytes] | None]
"""A whole HTTP request, and the texts of its answer; None if another reader answers."""


# --- requests ----------------------------------------------------------------------------------------------------


def http(path: str, kind: str, body: bytes) -> bytes:
    """Return a whole POST request with a body of the media type ``kind``."""
    head = f"POST {path} HTTP/1.1\r\nHost: load\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def request_of(pictures: Sequence[bytes], form: str) -> bytes:
    """Return the `POST /v1/read` of pictures, as "raw", "json" or "multipart"."""
    if form == "raw":
        (picture,) = pictures
        return http("/v1/read", "image/png", picture)
    if form == "json":
        content = {"pictures": [base64.b64encode(picture).decode() for picture in pictures]}
        return http("/v1/read", "application/json", json.dumps(content).encode())
    head = b'--%s\r\nContent-Disposition: form-data; name="f"; filename="%d.png"\r\nContent-Type: image/png\r\n\r\n'
    parts = [head % (_BOUNDARY, number) + picture + b"\r\n" for number, picture in enumerate(pictures)]
    body = b"".join(parts) + b"--" + _BOUNDARY + b"--\r\n"
    return http("/v1/read", f"multipart/form-data; boundary={_BOUNDARY.decode()}", body)


def requests_of(pictures: Sequence[bytes], texts: Sequence[str], pictures_each: int, form: str) -> list[Request]:
    """Return requests of ``pictures_each`` pictures that have all of them; the last one may have some of the first."""
    requests = []
    for start in range(0, len(pictures), pictures_each):
        indices = [(start + i) % len(pictures) for i in range(pictures_each)]
        requests.append((request_of([pictures[i] for i in indices], form), [texts[i].encode() for i in indices]))
    return requests


# --- clients ------------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """Answers that clients got.

    Args:
        seconds: of each request.
        pictures: number of texts in all answers.
        swapped: number of answers with other texts than expected.
        errors: how often each occurred.
        total_seconds: from the first request to the last answer.
    """

    seconds: list[float] = field(default_factory=list)
    pictures: int = 0
    swapped: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    total_seconds: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Return rates, times and counts, for JSON."""
        ms = sorted(1000 * value for value in self.seconds) or [0.0]
        return {
            "pictures_per_second": self.pictures / max(self.total_seconds, 1e-9),
            "p50_ms": statistics.median(ms),
            "p99_ms": ms[min(len(ms) - 1, int(0.99 * len(ms)))],
            "requests": len(self.seconds),
            "pictures": self.pictures,
            "swapped": self.swapped,
            "errors": dict(self.errors),
        }


class Client(asyncio.Protocol):
    """Sends requests one after another on one connection, and checks the answers.

    Args:
        requests: to choose from, in a circle.
        first: index of the first one to send.
        load: to record the answers in.
        is_active: whether to send another request.
    """

    def __init__(self, requests: Sequence[Request], first: int, load: Load, is_active: Callable[[], bool]) -> None:
        self._requests, self._next, self._load, self._is_active = requests, first, load, is_active
        self._received = bytearray()
        self._start_time = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if not self._is_active():
            self._transport.close()
            return
        data, self._expected = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._start_time = time.perf_counter()
        self._transport.write(data)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._received, 0, end)
        stop = end + 4 + int(length[1] if length else 0)
        if len(self._received) < stop:
            return
        self._load.seconds.append(time.perf_counter() - self._start_time)
        self._check(bytes(self._received[9:12]), bytes(self._received[end + 4 : stop]))
        del self._received[:stop]
        self._send()

    def _check(self, status: bytes, body: bytes) -> None:
        if status != b"200":
            self._load.errors[f"{status.decode()} {body[:100]!r}"] += 1
            return
        texts = _TEXT.findall(body)
        self._load.pictures += len(texts)
        if self._expected is not None and texts != self._expected:
            self._load.swapped += 1

    def connection_lost(self, error: Exception | None) -> None:
        if self._is_active():
            self._load.errors[f"connection lost: {error}"] += 1
        if not self.done.done():
            self.done.set_result(None)


async def under_load(
    port: int,
    requests: Sequence[Request],
    clients: int,
    seconds: float,
    total: int | None,
    watch: Callable[[int], None],
) -> Load:
    """Run clients at once, for some time or until so many pictures are read; return their answers.

    Args:
        port: of the service, on the loopback address.
        requests: to send.
        clients: number of connections.
        seconds: of the load.
        total: number of pictures instead; None for ``seconds``.
        watch: called each second with the number of pictures so far.
    """
    load, loop, start_time = Load(), asyncio.get_running_loop(), time.monotonic()

    def is_active() -> bool:
        return load.pictures < total if total is not None else time.monotonic() - start_time < seconds

    connections = []
    for number in range(clients):  # each begins with another request, so that their pictures differ
        first = number * len(requests) // clients
        _, client = await loop.create_connection(
            lambda first=first: Client(requests, first, load, is_active),
            "127.0.0.1",
            port,  # type: ignore[misc]
        )
        connections.append(client.done)
    all_done = asyncio.gather(*connections)
    while not all_done.done():
        await asyncio.wait((all_done,), timeout=1.0)
        watch(load.pictures)
        if time.monotonic() - start_time > seconds + HANG_SECONDS and total is None:
            load.errors["a client was not answered"] += 1
            break
    load.total_seconds = time.monotonic() - start_time
    return load
