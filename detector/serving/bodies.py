"""Parsing of request bodies: multipart, base64 in JSON, or the bytes of one picture."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

UNNAMED = "picture"
"""What pictures without a name are called, with their number in the request: picture-1."""

_MAX_NAME = 1000  # characters; names are part of the answer, and file systems have shorter ones
_MAX_VALUES = 1000  # of JSON for each picture: a list takes twenty times the memory of its two bytes
_MAX_HEADER, _MAX_PARAMETERS = 4000, 100  # characters and semicolons of a header: the library's time is their product


class BodyError(Exception):
    """A body that cannot be parsed.

    Args:
        message: for the client.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Pictures:
    """The content of a request's body.

    Args:
        names: one for each picture.
        pictures: encoded pictures.
        model: name of the model to read with; None if the body names none.
    """

    names: list[str] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    model: str | None = None

    def add(self, name: str | None, picture: bytes) -> None:
        """Add a picture; without a name it is called :data:`UNNAMED`, by its number in the request."""
        self.names.append((name or f"{UNNAMED}-{len(self.names) + 1}")[:_MAX_NAME])
        self.pictures.append(picture)


def pictures_in(body: bytes, content_type: str, max_pictures: int) -> Pictures:
    """Parse the pictures of a body.

    Args:
        body: of the request.
        content_type: value of the header Content-Type, with parameters; "" means the bytes of one picture.
        max_pictures: most pictures of a request.

    Raises:
        BodyError: if the body cannot be parsed, or has no picture or too many.
    """
    header = Message()
    header["content-type"] = _bounded(content_type) or "application/octet-stream"
    kind = header.get_content_type()
    if kind == "multipart/form-data":
        upload = _multipart(body, _parameter(header, "content-type", "boundary"), max_pictures)
    elif kind == "application/json":
        upload = _json(body, max_pictures)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        upload = Pictures()
        if body:
            upload.add(None, body)
    else:
        raise BodyError(
            f"Content-Type {content_type[:100]!r} is not understood: send one picture as image/png (or image/…, "
            "application/octet-stream), several as multipart/form-data, or application/json with base64.", 415,
        )  # fmt: skip
    if not upload.pictures:
        raise BodyError("there is no picture in the body: send one or more.")
    return upload


def _bounded(header: str) -> str:
    """Return the value of a header that is not too long to be taken apart.

    Raises:
        BodyError: if it is.
    """
    if len(header) > _MAX_HEADER or header.count(";") > _MAX_PARAMETERS:
        most = f"{_MAX_HEADER} characters and {_MAX_PARAMETERS} semicolons"
        raise BodyError(f"the header {header[:100]!r}… is too long to be taken apart: send at most {most}.")
    return header


def _too_many(max_pictures: int) -> BodyError:
    return BodyError(f"more than {max_pictures} pictures in one request: send them in several.", 413)


def _json(body: bytes, max_pictures: int) -> Pictures:
    """Parse ``{"pictures": [{"image": NAME, "data": BASE64} or BASE64, …], "model": NAME}``."""
    if sum(map(body.count, (b"[", b"{", b","))) > _MAX_VALUES * (1 + max_pictures):  # base64 has none of these signs
        raise BodyError(f"the body has more values than a request of {max_pictures} pictures needs.", 413)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"the body is no JSON: {error}.") from None
    if not isinstance(content, dict) or not isinstance(content.get("pictures"), list):
        raise BodyError('the body must be {"pictures": [{"image": NAME, "data": BASE64}, …]}.')
    if len(content["pictures"]) > max_pictures:
        raise _too_many(max_pictures)
    model = content.get("model")
    if model is not None and not isinstance(model, str):
        raise BodyError(f"model {str(model)[:100]!r} is no name.")
    upload = Pictures(model=model)
    for number, entry in enumerate(content["pictures"], 1):
        name, data = (entry.get("image"), entry.get("data")) if isinstance(entry, dict) else (None, entry)
        if not isinstance(data, str) or not (name is None or isinstance(name, str)):
            raise BodyError(f'picture {number} must be base64, or {{"image": NAME, "data": BASE64}}.')
        if data.startswith("data:"):  # as a canvas gives it
            data = data.partition(",")[2]
        try:
            upload.add(name, base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError) as error:
            raise BodyError(f"picture {number} is no base64: {error}.") from None
    return upload


def _multipart(body: bytes, boundary: str | None, max_pictures: int) -> Pictures:
    """Parse multipart/form-data: parts with a file name or an image's type are pictures, ``model`` names the model."""
    if not boundary:
        raise BodyError("multipart/form-data without a boundary: let the client set Content-Type by itself.")
    parts = _Parts(max_pictures)
    try:
        parser = MultipartParser(boundary.encode("latin-1", "replace"), parts.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BodyError(f"the multipart body cannot be taken apart: {error}.") from None
    if not parts.complete:
        raise BodyError("the multipart body ends before its last boundary.")
    return parts.upload


class _Parts:
    """Collects the parts of a multipart body.

    Args:
        max_pictures: most pictures of a request.
    """

    def __init__(self, max_pictures: int) -> None:
        self.upload = Pictures()
        self.complete = False
        self._max_pictures = max_pictures
        self._field, self._value, self._data = bytearray(), bytearray(), list[bytes]()
        self._header = Message()

    def callbacks(self) -> dict[str, Callable[..., Any]]:
        """Return the callbacks by the names that the parser has for them."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": lambda data, start, end: self._data.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._header, self._data = Message(), []

    def _header_end(self) -> None:
        if bytes(self._field).lower() in (b"content-disposition", b"content-type"):
            value = self._value.decode("utf-8", "replace").replace("\r", " ").replace("\n", " ")
            self._header[self._field.decode("ascii", "replace")] = _bounded(value)
        self._field.clear()
        self._value.clear()

    def _end(self) -> None:
        name = _parameter(self._header, "content-disposition", "name")
        file_name = _parameter(self._header, "content-disposition", "filename")
        data = self._data[0] if len(self._data) == 1 else b"".join(self._data)
        if file_name is None and self._header.get_content_maintype() != "image":
            if name != "model":
                raise BodyError(
                    f"the part {(name or '')[:100]!r} is no picture: it has no file name (only model has none)."
                )
            if self.upload.model is not None:
                raise BodyError("the body has more than one part 'model': send one.")
            self.upload.model = data.decode("utf-8", "replace")
            return
        if len(self.upload.pictures) == self._max_pictures:
            raise _too_many(self._max_pictures)
        self.upload.add(file_name, data)

    def _finish(self) -> None:
        self.complete = True


def _parameter(headers: Message, header: str, name: str) -> str | None:
    """Return the text of a header's parameter, which may be a (charset, language, text) of RFC 2231.

    Raises:
        BodyError: if it cannot be taken apart.
    """
    try:
        parameter = headers.get_param(name, header=header)
        return _decoded(*parameter) if isinstance(parameter, tuple) else parameter
    except Exception:  # of the standard library: what it raises for a stranger's header, no page lists
        raise BodyError(
            f"the parameters of {header} {str(headers[header])[:100]!r} cannot be taken apart: send each of them once, "
            "as NAME=\"TEXT\" or NAME*=utf-8''TEXT."
        ) from None


def _decoded(charset: str | None, _: str | None, text: str) -> str:
    try:
        return text.encode("latin-1", "replace").decode(charset or "utf-8", "replace")
    except LookupError:  # no such charset
        return text
