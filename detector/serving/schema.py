"""The answers of the API, as OpenAPI describes them. A test compares readings with ``Reading.to_dict``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from detector.serving.bodies import UNNAMED

_NAMING = f"the file name or the image that the request gives, else {UNNAMED}-1, {UNNAMED}-2, … in the request's order"


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CharacterAnswer(_Exact):
    """One symbol that was seen."""

    symbol: str
    confidence: float = Field(description="0 to 1")
    xyxy: tuple[float, float, float, float] = Field(description="left, top, right, bottom, in pixels of the picture")


class AlternativeAnswer(_Exact):
    """A string that was not read but might have been."""

    text: str
    confidence: float


class PictureAnswer(_Exact):
    """The string of one picture, or why there is none: ``error`` alone stands where it could not be decoded."""

    image: str = Field(description=f"name of the picture: {_NAMING}")
    text: str | None = Field(None, description="empty where nothing was seen, or the reading is rejected")
    confidence: float | None = Field(None, description="0 to 1; of rejected_text where that is given")
    characters: list[CharacterAnswer] | None = Field(None, description="in reading order; spaces are not among them")
    rejected: str | None = Field(None, description="why the reading is not to be relied on")
    rejected_text: str | None = Field(None, description="what it would have been")
    unconstrained_text: str | None = Field(None, description="what would be read without the pattern or the length")
    alternatives: list[AlternativeAnswer] | None = Field(None, description="the next likely strings, likeliest first")
    error: str | None = Field(None, description="why the picture could not be decoded")


class ReadAnswer(_Exact):
    """Readings of a request, in the order of its pictures."""

    model: str
    readings: list[PictureAnswer]


class ModelAnswer(_Exact):
    """One model that is served."""

    name: str
    symbols: str = Field(description="its alphabet")
    length: int = Field(description="symbols a string may have, spaces included")
    pattern: str | None = Field(description="what strings look like")
    backend: str


class LimitsAnswer(_Exact):
    """What a request may hold."""

    max_pictures: int
    max_bytes: int
    max_pixels: int


class ModelsAnswer(_Exact):
    """The models that are served, the default one first, and what a request may hold."""

    models: list[ModelAnswer]
    limits: LimitsAnswer


class ErrorAnswer(_Exact):
    """Why a request as a whole was not answered."""

    detail: str


_PROBLEMS = {
    400: "the body cannot be taken apart",
    401: "an API key is needed",
    404: "no such model",
    408: "the body did not come in time",
    413: "too many bytes or pictures",
    415: "a body of another type",
    429: "the queue is full: come again after the seconds of Retry-After",
    503: "the readings were not there in time, or the service is ending: come again after Retry-After",
}

READ_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ReadAnswer, "description": "A reading for each picture; one that cannot be decoded has its error."},
    **{status: {"model": ErrorAnswer, "description": text} for status, text in _PROBLEMS.items()},
}

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_PART = {"type": "array", "items": {"type": "string", "format": "binary"}}
_NAMED = {
    "type": "object",
    "required": ["data"],
    "properties": {"image": {"type": "string"}, "data": {"type": "string", "format": "byte"}},
}
_BASE64 = {"type": "string", "format": "byte"}
_LISTED = {"type": "array", "items": {"anyOf": [_NAMED, _BASE64]}}

READ_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One picture as it is, or many: parts with a file name, or base64. Name of a picture in the "
        f"answer: {_NAMING}.",
        "content": {
            "image/*": _IMAGE,
            "application/octet-stream": _IMAGE,
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"pictures": _PART, "model": {"type": "string"}}}
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["pictures"],
                    "properties": {"pictures": _LISTED, "model": {"type": "string"}},
                }
            },
        },
    }
}
"""The body of a request, as OpenAPI describes it; :mod:`detector.serving.bodies` parses it."""
