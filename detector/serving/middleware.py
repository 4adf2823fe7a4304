"""Middleware for every request: an id, a line in the log, metrics and security headers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detector.serving.logs import FIELDS
from detector.serving.metrics import Metrics

log = logging.getLogger("detector.serving")

PATHS = ("/v1/read", "/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/")
"""Paths that are counted by name; all others count as "other"."""

PICTURES = "detector_pictures"
"""Key of a request's scope: number of its pictures."""

_UNREAD_SECONDS = 2.0  # for which what a client still sends is thrown away, once it has its answer

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"cache-control", b"no-cache"),  # else browsers guess, and take files of the page from before an update
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Requests:
    """ASGI middleware around the whole service.

    Args:
        app: the service.
        metrics: of the service.
        is_draining: returns whether the service is ending; then each answer closes its connection.
        max_unread: most bytes of a body that are thrown away after its answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, is_draining: Callable[[], bool], max_unread: int) -> None:
        self._app, self._metrics, self._is_draining, self._max_unread = app, metrics, is_draining, max_unread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, is_head = time.perf_counter(), 0, scope["method"] == "HEAD"
        request_id = _request_id(scope)
        is_received = is_unread = False

        async def take() -> Message:
            nonlocal is_received
            message = await receive()
            is_received = not _has_more(message)
            return message

        async def answer(message: Message) -> None:
            nonlocal status, is_unread
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), *_HEADERS, (b"x-request-id", request_id.encode())]
                if self._is_draining():
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            else:
                if is_head:
                    message = {**message, "body": b""}
                if not is_received and not message.get("more_body", False):
                    is_unread, message = True, {**message, "more_body": True}
            await send(message)

        try:
            # HEAD is GET without its body; a route that takes both would be described twice.
            await self._app({**scope, "method": "GET"} if is_head else scope, take, answer)
        except Exception:
            log.exception("a request failed", extra={FIELDS: {"request_id": request_id}})
            if status:
                raise  # the answer has begun
            await send_json(answer, 500, f"this is a fault of the service; its log has it as {request_id}.")
        finally:
            self._log_request(scope, status, time.perf_counter() - start, request_id)
        if is_unread:  # only now, when nothing of the request is in memory any more
            await _throw_away(receive, self._max_unread)
            await send({"type": "http.response.body", "body": b""})

    def _log_request(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        path = path if path in PATHS else "other"
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        if not log.isEnabledFor(logging.INFO):
            return
        record = {
            "request_id": request_id,
            "client": scope["client"][0] if scope.get("client") else None,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        if PICTURES in scope:
            record["pictures"] = scope[PICTURES]
        log.info("request", extra={FIELDS: record})


def _request_id(scope: Scope) -> str:
    """Return the client's id of a request if it is safe in a log, else a new id."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return str(value, "ascii")
    return f"{random.getrandbits(64):016x}"  # need not be secret


def _has_more(message: Message) -> bool:
    return message["type"] == "http.request" and bool(message.get("more_body"))


async def _throw_away(receive: Receive, most: int) -> None:
    """Receive the rest of a body, for a bounded time and number of bytes, and forget it.

    The server closes the connection of an answer that is complete, and with bytes in it that nobody has read, a closed
    connection is reset: a client that sends all before it reads would lose the answer.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_UNREAD_SECONDS):
            while most >= 0 and _has_more(message := await receive()):
                most -= len(message.get("body", b""))


async def send_json(send: Send, status: int, detail: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send the whole answer to a request that is turned away."""
    body = json.dumps({"detail": detail}).encode()
    plain = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*plain, *headers]})
    await send({"type": "http.response.body", "body": body})
