"""Clients of a service for `load.py`: ready requests, sent one after another on many connections; no command."""

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

GUARD = 120.0  # seconds in which a service starts or ends, and a request is answered
_TEXT = re.compile(rb'"text": ?"([^"]*)"')  # cheap: the clients take time of the same cores
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_BOUNDARY = b"b0undary-of-the-load"

Request = tuple[bytes, list[bytes] | None]
"""What is sent, and the texts that must come back; None where another reader answers."""


# --- what is sent -------------------------------------------------------------------------------------------------


def http(path: str, kind: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: load\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def request_of(pictures: Sequence[bytes], form: str) -> bytes:
    """Pictures as `POST /v1/read` takes them."""
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
    """Requests of ``each`` pictures that cover all of them, those at the end and the beginning together."""
    requests = []
    for start in range(0, len(pictures), pictures_each):
        rows = [(start + i) % len(pictures) for i in range(pictures_each)]
        requests.append((request_of([pictures[i] for i in rows], form), [texts[i].encode() for i in rows]))
    return requests


# --- clients ------------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """What clients saw."""

    seconds: list[float] = field(default_factory=list)
    pictures: int = 0
    swapped: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    took: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Figures."""
        ms = sorted(1000 * value for value in self.seconds) or [0.0]
        return {
            "pictures_per_second": self.pictures / max(self.took, 1e-9),
            "p50_ms": statistics.median(ms),
            "p99_ms": ms[min(len(ms) - 1, int(0.99 * len(ms)))],
            "requests": len(self.seconds),
            "pictures": self.pictures,
            "swapped": self.swapped,
            "errors": dict(self.errors),
        }


class Client(asyncio.Protocol):
    """Sends requests one after another on one connection, and checks the answers."""

    def __init__(self, requests: Sequence[Request], first: int, load: Load, goes_on: Callable[[], bool]) -> None:
        self._requests, self._next, self._load, self._goes_on = requests, first, load, goes_on
        self._received = bytearray()
        self._start_time = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if not self._goes_on():
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
        if self._goes_on():
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
    """Clients that ask at once, for a time or until so many pictures were read."""
    load, loop, start_time = Load(), asyncio.get_running_loop(), time.monotonic()

    def goes_on() -> bool:
        return load.pictures < total if total is not None else time.monotonic() - start_time < seconds

    started = []
    for number in range(clients):  # each begins elsewhere, so that they ask for other pictures
        first = number * len(requests) // clients
        _, client = await loop.create_connection(
            lambda first=first: Client(requests, first, load, goes_on),
            "127.0.0.1",
            port,  # type: ignore[misc]
        )
        started.append(client.done)
    ended = asyncio.gather(*started)
    while not ended.done():
        await asyncio.wait((ended,), timeout=1.0)
        watch(load.pictures)
        if time.monotonic() - start_time > seconds + GUARD and total is None:
            load.errors["a client was not answered"] += 1
            break
    load.took = time.monotonic() - start_time
    return load
