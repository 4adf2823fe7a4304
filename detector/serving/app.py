"""The HTTP service of readers, as a FastAPI application."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.requests import ClientDisconnect
from starlette.types import Scope

import detector
from detector.errors import ArgumentError
from detector.reading.reader import Reader, threaded_pipeline
from detector.serving import schema
from detector.serving.batching import Answer, Batcher, Job, QueueFullError
from detector.serving.bodies import BodyError, Pictures, pictures_in
from detector.serving.keys import Keys
from detector.serving.limits import Limits
from detector.serving.metrics import MEDIA_TYPE, Metrics
from detector.serving.middleware import PICTURES, Requests

STATIC = Path(__file__).parent / "static"

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LARGE_BODY = 1_000_000  # bytes; larger bodies are parsed in a thread, so that they do not delay other requests
_UNREAD_BODIES = 8  # times the largest body: so much of one that is too large is thrown away, for its client to hear so
_WARM_UP_PICTURE = np.full((64, 256, 3), 255, np.uint8)
_CLIENT_GONE = 499  # nginx's status of a client that closed its connection; it is only logged


def create_app(models: Reader | Mapping[str, Reader], *, keys: Iterable[str] = (), **limits: Any) -> FastAPI:
    """Return the service of ``detector serve`` as an ASGI application, for any ASGI server.

    Pictures of all requests are read together in batches, in threads that start with the application; each worker
    process of a server has its own threads.

    Args:
        models: a reader, or several by name; requests name one of them, or get the first.
        keys: API keys, one of which requests must have; without keys every request is answered.
        limits: of :class:`detector.serving.limits.Limits`, such as ``max_pictures=16``.

    Raises:
        ArgumentError: if there is no model, a model's name cannot be part of an address, or a key or a limit makes no
            sense.
    """
    readers = {"model": models} if isinstance(models, Reader) else dict(models)
    if not readers:
        raise ArgumentError("There is no model to serve: give a Reader, or several by name.")
    for name in readers:
        if not _NAME.fullmatch(name):
            raise ArgumentError(
                f"{name!r} cannot name a model: up to 64 letters, digits, '.', '_' and '-' can. Give it such a name, "
                "as NAME=WEIGHTS or as a key of models."
            )
    service = Service(readers, Limits(**limits), Keys(keys))
    app = FastAPI(
        title="detector", version=detector.__version__, docs_url=None, redoc_url=None, lifespan=service.lifespan,
        description="Reads the strings in pictures of short codes.",
        redirect_slashes=False,  # clients that follow lose the body; behind a proxy the key would go to plain HTTP
    )  # fmt: skip
    app.state.service = service
    _add_routes(app, service)
    app.add_middleware(
        Requests, metrics=service.metrics, is_draining=lambda: service.is_draining,
        max_unread=_UNREAD_BODIES * service.limits.max_bytes,
    )  # fmt: skip
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    parameter = {
        "name": "model", "in": "query", "required": False, "schema": {"type": "string", "enum": list(service.readers)},
        "description": "which model reads; the first where none is named",
    }  # fmt: skip
    app.add_api_route(
        "/v1/read", service.read, methods=["POST"], summary="Read pictures", response_model=None,
        responses=schema.READ_RESPONSES, openapi_extra={**schema.READ_BODY, "parameters": [parameter]},
    )  # fmt: skip
    app.add_api_route(
        "/v1/models", service.models, methods=["GET"], summary="Models that are served, and limits of a request",
        response_model=schema.ModelsAnswer,
    )  # fmt: skip
    app.add_api_route("/healthz", service.healthz, methods=["GET"], summary="Whether the process answers")
    app.add_api_route(
        "/readyz", service.readyz, methods=["GET"], summary="Whether new requests should be sent here",
        response_model=None, responses={503: {"description": "the service is ending"}},
    )  # fmt: skip
    app.add_api_route(
        "/metrics", service.tell_metrics, methods=["GET"], summary="Counters, for Prometheus", response_model=None,
        responses={200: {"content": {"text/plain": {}}}},
    )  # fmt: skip
    app.add_api_route("/docs", _docs, methods=["GET"], include_in_schema=False)
    # Not mounted, since a mount at "/" has every path and method: of other methods routes would not say what they take.
    app.router.default = _Page(directory=STATIC, html=True)


async def _docs() -> FileResponse:
    return FileResponse(STATIC / "docs.html")


class _Page(StaticFiles):
    """The files of the page, for paths that no route has."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file.

        Raises:
            HTTPException: if there is none, or another method than GET is asked for.
        """
        if Path(path).parts[:1] == ("v1",):
            detail = f"there is nothing at {scope['path'][:100]!r}: POST to /v1/read, or GET /v1/models."
            raise HTTPException(404, detail)
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        return await super().get_response(path, scope)


class _Body:
    """The part of a request's body that has been received."""

    def __init__(self) -> None:
        self.size = 0
        self._chunks: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        """Append the next part."""
        self._chunks.append(chunk)
        self.size += len(chunk)

    def joined(self) -> bytes:
        """Return the whole body."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


class Service:
    """The handlers of the API, with a reader and a batcher for each model.

    Args:
        readers: by name of the model, at least one; the first is the default.
        limits: of requests.
        keys: that requests to ``/v1`` need.
    """

    def __init__(self, readers: Mapping[str, Reader], limits: Limits, keys: Keys) -> None:
        self.readers, self.limits, self._keys = readers, limits, keys
        self.metrics = Metrics()
        self.metrics.queue_limit.set(limits.max_queue)
        self.metrics.held_bytes.set_function(lambda: self._buffered_bytes)
        self.is_draining = False
        self._batchers: dict[str, Batcher] = {}
        self._pending: dict[Job, asyncio.Future[list[Answer]]] = {}
        self._buffered_bytes = 0

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Start the batchers, and when the application ends, wait until they have read what they took."""
        loop = asyncio.get_running_loop()
        self.is_draining = False

        def deliver(jobs: Sequence[Job]) -> None:
            loop.call_soon_threadsafe(self._resolve, jobs)

        for name, reader in self.readers.items():
            batcher = Batcher(
                threaded_pipeline(reader, self.limits.max_pixels), self.limits.max_queue, deliver,
                self.metrics.batch_pictures.labels(name).observe,
            )  # fmt: skip
            self.metrics.watch_queue(name, lambda batcher=batcher: batcher.waiting)  # type: ignore[misc]
            self._batchers[name] = batcher
            await asyncio.to_thread(reader.read, _WARM_UP_PICTURE)  # the first picture takes longer
        try:
            yield
        finally:
            self.is_draining = True
            for batcher in self._batchers.values():
                await asyncio.to_thread(batcher.close)
            self._batchers.clear()

    def _resolve(self, jobs: Sequence[Job]) -> None:
        """Hand the answers of finished jobs to the requests that wait for them."""
        for job in jobs:
            future = self._pending.pop(job, None)
            if future is None or future.done():
                continue
            if job.error is not None:
                future.set_exception(job.error)
            else:
                future.set_result(job.answers)

    async def read(self, request: Request) -> Response:
        """Read one or many pictures: raw bytes, multipart, or base64 in JSON."""
        self._admit(request)
        body = _Body()
        try:
            upload = await self._pictures(request, body)
            request.scope[PICTURES] = len(upload.pictures)
            name = self._model(request.query_params.get("model") or upload.model)
            answers = await self._answers(request, name, upload.pictures)
            return Response(self._json(name, upload.names, answers), media_type="application/json")
        except ClientDisconnect:
            self.metrics.turned_away.labels("client gone").inc()
            return Response(status_code=_CLIENT_GONE)
        finally:
            self._buffered_bytes -= body.size

    def _admit(self, request: Request) -> None:
        """Check the API key. Called by handlers, since paths differ where the service is mounted below an address.

        Raises:
            HTTPException: if it is missing or wrong.
        """
        if not self._keys.admit(request.headers.raw):
            detail = "an API key is needed: send it as Authorization: Bearer KEY, or as X-API-Key."
            raise self._refusal("no key", 401, detail, headers={"WWW-Authenticate": "Bearer"})

    async def _pictures(self, request: Request, body: _Body) -> Pictures:
        """Receive and parse the pictures of a request; received bytes are added to ``body``.

        Raises:
            HTTPException: if the body is too large, too slow or malformed, or too many bytes are in memory.
        """
        limits = self.limits
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > limits.max_bytes:
            raise self._refusal("too large", 413, f"the body has {length} bytes, at most {limits.max_bytes} are taken.")
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for chunk in request.stream():
                    body.add(chunk)
                    self._buffered_bytes += len(chunk)
                    if body.size > limits.max_bytes:
                        raise self._refusal(
                            "too large", 413, f"the body has more than the {limits.max_bytes} bytes that are taken."
                        )
                    if self._buffered_bytes > limits.max_held_bytes:
                        raise self._refusal("memory", 429, "too many bytes wait already: come again.", 1)
        except TimeoutError:
            detail = f"the body did not come within {limits.body_seconds:g} s."
            raise self._refusal("slow body", 408, detail) from None
        content_type = request.headers.get("content-type", "")
        try:
            if body.size > _LARGE_BODY:
                return await asyncio.to_thread(pictures_in, body.joined(), content_type, limits.max_pictures)
            return pictures_in(body.joined(), content_type, limits.max_pictures)
        except BodyError as error:
            raise self._refusal("bad body", error.status, str(error)) from None

    def _refusal(
        self,
        reason: str,
        status: int,
        detail: str,
        retry_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTTPException:
        """Count a refused request, and return the error to raise.

        A connection whose request was not received completely is closed.

        Args:
            reason: for the metrics.
            status: of HTTP.
            detail: message to the client.
            retry_seconds: value of Retry-After.
            headers: more headers of the answer.
        """
        self.metrics.turned_away.labels(reason).inc()
        response_headers = dict(headers or {})
        if retry_seconds is not None:
            response_headers["Retry-After"] = str(retry_seconds)
        if status in (401, 408, 413) or reason == "memory":
            response_headers["Connection"] = "close"
        return HTTPException(status, detail, response_headers)

    def _model(self, name: str | None) -> str:
        """Return the name of the model to read with: the one requested, or the default."""
        if name is None:
            return next(iter(self.readers))
        if name not in self.readers:
            raise self._refusal(
                "no such model", 404, f"there is no model {name[:100]!r}: {', '.join(self.readers)} can be asked."
            )
        return name

    async def _answers(self, request: Request, name: str, pictures: Sequence[bytes]) -> list[Answer]:
        """Read pictures; stop if the client disconnects, or when the time limit is reached.

        Raises:
            ClientDisconnect: if the client has closed its connection.
            HTTPException: if the queue is full, or the time limit is reached.
        """
        if not self._batchers:
            detail = "the service has not started: the application that it is a part of must run its lifespan."
            raise self._refusal("not started", 503, detail)
        batcher = self._batchers[name]
        try:
            job = batcher.submit(pictures)
        except QueueFullError as error:
            raise self._refusal("queue full", 429, f"{error}.", error.retry_seconds) from None
        answers: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._pending[job] = answers
        disconnect = asyncio.create_task(_client_gone(request))
        try:
            await asyncio.wait(
                (answers, disconnect), timeout=self.limits.read_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            disconnect.cancel()
            if not answers.done():
                self._pending.pop(job, None)
                batcher.drop(job)
        if answers.done():
            return answers.result()
        if disconnect.done() and not disconnect.cancelled():
            raise ClientDisconnect
        detail = f"the readings were not there within {self.limits.read_seconds:g} s: come again."
        raise self._refusal("timeout", 503, detail, 1)

    def _json(self, name: str, images: Sequence[str], answers: Sequence[Answer]) -> bytes:
        """Return the body of an answer, and count its pictures by their outcome."""
        readings: list[dict[str, Any]] = []
        outcomes = {"read": 0, "rejected": 0, "failed": 0}
        for image, answer in zip(images, answers, strict=True):
            if isinstance(answer, str):
                outcomes["failed"] += 1
                readings.append({"image": image, "error": answer})
            else:
                outcomes["read" if answer.accepted else "rejected"] += 1
                readings.append({"image": image, **answer.to_dict()})
        for outcome, count in outcomes.items():
            if count:
                self.metrics.pictures.labels(name, outcome).inc(count)
        return json.dumps({"model": name, "readings": readings}).encode()

    async def models(self, request: Request) -> schema.ModelsAnswer:
        """Return the models, the default first, and the limits of a request."""
        self._admit(request)
        models = [
            schema.ModelAnswer(
                name=name, symbols=reader.config.symbols, length=reader.config.length, pattern=reader.config.pattern,
                backend=reader.backend,
            )
            for name, reader in self.readers.items()
        ]  # fmt: skip
        limits = schema.LimitsAnswer(
            max_pictures=self.limits.max_pictures, max_bytes=self.limits.max_bytes, max_pixels=self.limits.max_pixels
        )
        return schema.ModelsAnswer(models=models, limits=limits)

    async def healthz(self) -> dict[str, str]:
        """Answer that the process is alive."""
        return {"status": "ok"}

    async def readyz(self) -> Response:
        """Answer whether requests should be sent here."""
        batchers = self._batchers.values()
        ready = len(batchers) > 0 and not self.is_draining and all(batcher.is_alive for batcher in batchers)
        return Response(
            json.dumps({"status": "ready" if ready else "ending"}), 200 if ready else 503, media_type="application/json"
        )

    async def tell_metrics(self) -> Response:
        """Return all metrics, for Prometheus."""
        return Response(self.metrics.text(), headers={"Content-Type": MEDIA_TYPE})


async def _client_gone(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
