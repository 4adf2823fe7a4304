"""The HTTP interface of a review, as a function from requests to answers, without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from detector.errors import ArgumentError, DetectorError, relative_path
from detector.reading.pages.cards import compare_symbols
from detector.review.guard import Guard
from detector.review.items import ConflictError, Item, Subject
from detector.review.pictures import encoded_picture, encoded_thumbnail, size_wh_of
from detector.review.reconversion import Reconversion
from detector.review.session import ReviewSession

PAGE = Path(__file__).parent / "page"

_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PICTURE_CACHE = "private, max-age=3600"  # pictures never change under the same address


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    Args:
        method: "GET" or "POST".
        path: of the address, with the token first and the query.
        headers: all values of each header, by its name in lower case.
        body: of a POST.
    """

    method: str
    path: str
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer.

    Args:
        status: of HTTP.
        body: the content.
        content_type: value of Content-Type.
        cache: value of Cache-Control.
    """

    status: HTTPStatus
    body: bytes
    content_type: str
    cache: str = "no-store"


class Answers:
    """Answers the requests of one review's page.

    Args:
        subject: what is reviewed.
        guard: refuses requests of others.
    """

    def __init__(self, subject: Subject, guard: Guard) -> None:
        """Read the items, and the files of the page.

        Raises:
            DetectorError: if the subject cannot be understood.
        """
        self.subject, self._guard = subject, guard
        self.session = ReviewSession(subject)
        converted = subject.converted
        self.reconversion = None if converted is None else Reconversion(converted, self.session.reload)
        self._files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in _CONTENT_TYPES}
        self._get: dict[str, Callable[[str], Answer]] = {
            "items": self._items, "changes": self._changes, "item": self._item, "conversion": self._conversion,
            "picture": lambda key: self._picture(key, encoded_picture),
            "thumbnail": lambda key: self._picture(key, encoded_thumbnail),
        }  # fmt: skip
        self._post: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            "decide": self._decide,
            "convert": self._convert,
        }

    def answer(self, request: Request) -> Answer:
        """Answer a request, also one of somebody else."""
        if refusal := self._guard.refusal(request.method, request.path, request.headers):
            return _text(HTTPStatus.FORBIDDEN, refusal)
        parts = request.path.partition("?")[0].removeprefix("/").split("/", 2)
        if len(parts) == 1:
            return _text(HTTPStatus.NOT_FOUND, "The address of the page ends with a slash.")
        name, argument = parts[1], "/".join(parts[2:])
        try:
            if request.method == "GET":
                if name in self._get:
                    return self._get[name](argument)
                return self._file("/".join(parts[1:]) or "index.html")
            if request.method == "POST" and name in self._post:
                return self._post[name](_parse_json(request))
        except ConflictError as error:
            return _json({"error": str(error), "item": _plain(error.item)}, HTTPStatus.CONFLICT)
        except ArgumentError as error:
            return _json({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except (DetectorError, OSError) as error:
            return _json({"error": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE)
        return _text(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _file(self, name: str) -> Answer:
        data = self._files.get(name)
        if data is None:
            return _text(HTTPStatus.NOT_FOUND, "There is nothing here.")
        return Answer(HTTPStatus.OK, data, _CONTENT_TYPES[Path(name).suffix], "no-cache")

    def _items(self, _: str) -> Answer:
        changes = self.session.since(0)  # before the items: what changes in between is told once more, and not never
        return _json(
            {
                "kind": self.subject.kind,
                "title": self.subject.title,
                "decisions": str(relative_path(self.subject.decisions)),
                "next_step": self.subject.next_step,
                "space": self.subject.space,
                "convertible": self.reconversion is not None,
                "unconvertible": self.reconversion.unknown if self.reconversion else "",
                "number": changes.number,
                "generation": changes.generation,
                "items": [_plain(item) for item in self.session.items()],
            }
        )

    def _changes(self, number: str) -> Answer:
        if not number.isdecimal():
            raise ArgumentError(f"Changes are asked for since a number, got {number[:20]!r}.")
        changes = self.session.since(int(number[:18]))
        return _json({**asdict(changes), "items": [_plain(item) for item in changes.items]})

    def _item(self, key: str) -> Answer:
        item = self.session.item(key)
        if item is None:
            return _text(HTTPStatus.NOT_FOUND, "There is no such picture.")
        text, reading = compare_symbols(item.text, item.read, self.subject.space)
        plain: dict[str, Any] = {
            "text": text, "read": reading, "size_wh": None, "problem": "", "boxes": [], "shows": "",
        }  # fmt: skip
        try:
            if item.picture is None:
                raise ArgumentError("The picture is not in the set.")
            plain["size_wh"] = size_wh_of(item.picture)
            boxes = self.subject.boxes(item, plain["size_wh"])
        except (DetectorError, OSError) as error:
            return _json({**plain, "problem": str(error)})
        pairs = zip(boxes.symbols, boxes.boxes_xyxy.tolist(), strict=True)
        plain["boxes"] = [{"symbol": symbol, "xyxy": [round(v, 1) for v in box]} for symbol, box in pairs]
        return _json({**plain, "shows": boxes.shows})

    def _picture(self, key: str, encode: Callable[[Path], bytes]) -> Answer:
        item = self.session.item(key)
        if item is None or item.picture is None:
            return _text(HTTPStatus.NOT_FOUND, "There is no such picture.")
        try:
            return Answer(HTTPStatus.OK, encode(item.picture), "image/webp", _PICTURE_CACHE)
        except (DetectorError, OSError) as error:
            return _text(HTTPStatus.NOT_FOUND, str(error))

    def _decide(self, body: Mapping[str, Any]) -> Answer:
        key, version = body.get("key"), body.get("version")
        decision, corrected = body.get("decision"), body.get("corrected", "")
        if not isinstance(key, str) or type(version) is not int:
            raise ArgumentError("A decision has the key and the version of its picture.")
        if not isinstance(decision, str) or not isinstance(corrected, str):
            raise ArgumentError("A decision and a label are texts.")
        if self.reconversion and self.reconversion.progress.state == "running":
            return _json({"error": "The set is being converted: decide when that is done."}, HTTPStatus.CONFLICT)
        return _json({"item": _plain(self.session.decide(key, version, decision, corrected))})

    def _conversion(self, _: str) -> Answer:
        if self.reconversion is None:
            return _json({"state": "never"})
        return _json(asdict(self.reconversion.progress))

    def _convert(self, _: Mapping[str, Any]) -> Answer:
        if self.reconversion is None or self.reconversion.unknown:
            raise ArgumentError(self.reconversion.unknown if self.reconversion else "There is no set to convert.")
        self.reconversion.start()
        return self._conversion("")


def _plain(item: Item) -> dict[str, Any]:
    """Return the plain values of an item, for JSON."""
    return {
        "key": item.key, "name": item.name, "text": item.text, "typed": item.typed, "read": item.read,
        "typed_read": item.typed_read, "confidence": item.confidence, "status": item.status,
        "decision": item.decision, "corrected": item.corrected, "version": item.version,
        "has_picture": item.picture is not None,
    }  # fmt: skip


def _parse_json(request: Request) -> Mapping[str, Any]:
    """Return the JSON object in the body of a request.

    Raises:
        ArgumentError: if it is none.
    """
    kinds = [value.partition(";")[0].strip().lower() for value in request.headers.get("content-type", ())]
    if kinds != ["application/json"]:  # other pages may send other types without the browser asking this server first
        raise ArgumentError("Requests are JSON.")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise ArgumentError("This request is no JSON.") from None
    if not isinstance(body, dict):
        raise ArgumentError("This request is no JSON object.")
    return body


def _json(plain: Any, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, json.dumps(plain).encode("ascii"), "application/json")


def _text(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, f"{text}\n".encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8")
