"""Runs the service: a socket, uvicorn, and an end that loses nothing which was taken."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from detector.errors import ArgumentError, argument
from detector.serving.app import Service

log = logging.getLogger("detector.serving")

_CONNECTIONS = 900  # at once, of the 1,024 files that a process may have open by default; more get 503
_KEEP_ALIVE = 30  # seconds that a connection may be idle
_END_SECONDS = 60  # that requests on their way have to finish in


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what was taken.

    Args:
        app: of :func:`detector.serving.app.create_app`.
        host: address to listen on.
        port: 0 takes any that is free; the log says which.

    Raises:
        ArgumentError: if the address or the port cannot be had.
    """
    if not 0 <= port <= 65535:
        raise ArgumentError(f"{argument('port', port)} is none: give 1 to 65535, or 0 for one that is free.")
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        reason = error.strerror or error
        raise ArgumentError(
            f"{argument('host', host)} with {argument('port', port)} cannot be listened on ({reason}): give another."
        ) from error
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none", limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=_END_SECONDS, http=_Connection,
    )  # fmt: skip
    address = f"[{host}]" if ":" in host else host
    with listening:
        log.info("serving on http://%s:%d/", address, listening.getsockname()[1])
        _Server(config, app.state.service).run(sockets=[listening])


class _Connection(HttpToolsProtocol):
    """A connection that is closed if the head of a request does not come in time; uvicorn would wait for ever."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Start the time limit of a head that is not complete yet."""
        super().data_received(data)
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Stop the time limit: the application has one for the body."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        seconds = self.config.app.state.service.limits.body_seconds  # type: ignore[union-attr]
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Server(uvicorn.Server):
    """uvicorn that ends in two steps: first every answer ends its connection, then no new ones are taken."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; at the second Ctrl-C at once. To end as told is no failure, so the signal is not raised again."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let clients leave between two requests: a connection that is closed under them might hold one half sent."""
        self._service.is_draining = True
        log.info("ending: what was taken is finished")
        stop = time.monotonic() + self._service.limits.drain_seconds
        while self.server_state.connections and time.monotonic() < stop and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
