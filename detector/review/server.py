"""The server of a review: HTTP/1.1 on the loopback address, with a thread for each connection."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from detector.errors import ArgumentError
from detector.review.answers import Answer, Answers, Request
from detector.review.guard import HEADERS, HOST, Guard, new_token
from detector.review.items import Subject

log = logging.getLogger("detector")

_MAX_BODY = 1 << 16  # bytes of a request's body
_IDLE_SECONDS = 60.0  # that a connection may be idle


class ReviewServer:
    """The HTTP server of one review.

    Args:
        subject: what is reviewed.
        port: to listen on; 0 takes a free one.

    Raises:
        ArgumentError: if the port is not available.
        DetectorError: if the subject cannot be understood.
    """

    def __init__(self, subject: Subject, port: int = 0) -> None:
        """Open the socket; requests wait until :meth:`serve`."""
        token = new_token()
        try:
            self._http = _Server((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ArgumentError(f"Port {port} cannot be had ({error}): choose another, or 0 for a free one.") from None
        self.port: int = self._http.server_address[1]
        self.url = f"http://{HOST}:{self.port}/{token}/"
        try:
            self._http.answers = self.answers = Answers(subject, Guard(self.port, token))
        except BaseException:
            self._http.server_close()
            raise

    def serve(self) -> None:
        """Serve until the block of :meth:`serving` ends, or Ctrl-C."""
        try:
            self._http.serve_forever(poll_interval=0.2)
        finally:
            self._http.server_close()

    @contextmanager
    def serving(self) -> Iterator[ReviewServer]:
        """Serve in another thread, within the block."""
        thread = Thread(target=self.serve, name="review", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    """A thread for each connection; none of them keeps the process from ending."""

    daemon_threads = True
    block_on_close = False
    answers: Answers


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "detector", ""
    timeout = _IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._send(self.server.answers.answer(self._request(b"")))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        is_large = len(length) > 9 or (length.isdecimal() and int(length) > _MAX_BODY)  # int() refuses 4,301 digits
        if is_large or not length.isdecimal():
            self.close_connection = True  # the body would be taken for the next request
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if is_large else HTTPStatus.LENGTH_REQUIRED)
            return
        self._send(self.server.answers.answer(self._request(self.rfile.read(int(length)))))

    def _request(self, body: bytes) -> Request:
        headers = {name.lower(): tuple(self.headers.get_all(name, ())) for name in self.headers}
        return Request(str(self.command), self.path, headers, body)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", answer.cache)
        self.end_headers()
        self.wfile.write(answer.body)

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: addresses contain the token."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):  # the page was closed
            self.close_connection = True
