"""The server of the service: a socket, uvicorn, and a shutdown that answers every accepted request."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from detector.errors import ArgumentError, argument
from detector.serving.app import Service
from detector.serving.middleware import send_json

log = logging.getLogger("detector.serving")

_MAX_CONNECTIONS = 900  # at once; by default a process may open 1,024 files. More are answered with 503
_MAX_HEAD = 65_536  # bytes of a head, and of anything else between the parts of a body
_KEEP_ALIVE_SECONDS = 30  # that a connection may be idle
_END_SECONDS = 60  # that accepted requests may take when the server ends


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer all accepted requests.

    Args:
        app: of :func:`detector.serving.app.create_app`.
        host: address to listen on.
        port: to listen on; 0 takes a free one, which is logged.

    Raises:
        ArgumentError: if the address or the port is not available.
    """
    if not 0 <= port <= 65535:
        raise ArgumentError(f"{argument('port', port)} is none: give 1 to 65535, or 0 for one that is free.")
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        reason = error.strerror or error
        raise ArgumentError(
            f"{argument('host', host)} with {argument('port', port)} cannot be listened on ({reason}): give another."
        ) from error
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=_END_SECONDS, http=_Connection,
    )  # fmt: skip
    address = f"[{host}]" if ":" in host else host
    with listener:
        log.info("serving on http://%s:%d/", address, listener.getsockname()[1])
        _Server(config, app.state.service).run(sockets=[listener])


class _Connection(HttpToolsProtocol):
    """A connection with limits of time and size for the head of a request; uvicorn and its parser have none.

    What it turns away itself has the form of all other refusals; uvicorn sends plain text.
    """

    _timer: asyncio.TimerHandle | None = None
    _head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Start the time limit of a head that is not complete yet; close the connection of one that is too long."""
        rest = memoryview(data)
        while rest and not self.transport.is_closing():
            # Never more than a head may still have, else one that ends within these bytes would not be measured.
            part, rest = rest[: _MAX_HEAD - self._head_size], rest[_MAX_HEAD - self._head_size :]
            self._head_size += len(part)
            if part:
                super().data_received(part)  # type: ignore[arg-type]  # the parser takes any buffer
            elif self._timer is not None:
                self.send_400_response(f"the head of a request has at most {_MAX_HEAD} bytes.")
            else:  # trailers, or what is beside the bytes of a chunk: the application may have begun its answer
                self.transport.close()
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Stop the time limit: the application has one for the body."""
        self._stop_waiting()
        self._head_size = 0
        crowded = len(self.connections) >= _MAX_CONNECTIONS
        self.app = _turn_away if crowded else self.config.loaded_app
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; what comes between two parts counts as a head."""
        self._head_size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of a request; the next one has a head of its own."""
        self._head_size = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and close the connection."""
        body = json.dumps({"detail": msg}).encode()
        headers = [
            *self.server_state.default_headers, (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)), (b"connection", b"close"),
        ]  # fmt: skip
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + lines + b"\r\n" + body)
        self.transport.close()

    def _wait_for_head(self) -> None:
        seconds = self.config.app.state.service.limits.body_seconds  # type: ignore[union-attr]
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _turn_away(_: Scope, __: Receive, send: Send) -> None:
    log.warning("too many connections: a request is answered with 503")
    detail = f"{_MAX_CONNECTIONS} connections are open, as many as are served at once: come again."
    await send_json(send, 503, detail, [(b"connection", b"close"), (b"retry-after", b"1")])


class _Server(uvicorn.Server):
    """A uvicorn server that ends in two steps: first each answer closes its connection, then no more are accepted.

    Args:
        config: of uvicorn.
        service: that is served.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, or end at once at the second Ctrl-C; the signal is not raised again, as uvicorn would."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait until clients have left, since closing a connection could cut off a request that is being sent.

        Without connections, too: who sends requests here, a balancer, has to see at ``/readyz`` that it ends.
        """
        seconds = self._service.limits.drain_seconds
        self._service.is_draining = True
        log.info("ending in %g s: what was taken is finished. Ctrl-C ends it at once", seconds)
        stop = time.monotonic() + seconds
        while time.monotonic() < stop and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
