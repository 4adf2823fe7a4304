"""Detected characters and readings: immutable, as columns, validated when they are made. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TOP_CLASSES = 8
"""Number of likeliest classes that are kept of a candidate's scores."""


@dataclass(frozen=True, eq=False)
class CharDetections:
    """Candidate characters of one picture.

    Args:
        xyxy: float32 (n, 4): left, top, right, bottom, in pixels.
        confidence: float32 (n,), the score of the class, in [0, 1].
        class_id: int64 (n,), the likeliest class.
        objectness: float32 (n,), how likely there is a character of any class, in [0, 1]; None takes ``confidence``.
            It may be far higher: a sign that may be 0 or O has half the score for each, but is surely a character.
        top_class_id: int64 (n, k), the likeliest classes, surest first; None takes ``class_id`` alone.
        top_confidence: float32 (n, k), their scores.

    Raises:
        ValueError: if the columns differ in length or shape.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    # None only as an argument: the attributes are always arrays, and their types say so to users.
    objectness: NDArray[np.float32] = None  # type: ignore[assignment]
    top_class_id: NDArray[np.int64] = None  # type: ignore[assignment]
    top_confidence: NDArray[np.float32] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy", np.asarray(self.xyxy, np.float32).reshape(-1, 4))
        object.__setattr__(self, "confidence", np.asarray(self.confidence, np.float32).reshape(-1))
        object.__setattr__(self, "class_id", np.asarray(self.class_id, np.int64).reshape(-1))
        objectness = self.confidence if self.objectness is None else np.asarray(self.objectness, np.float32).reshape(-1)
        object.__setattr__(self, "objectness", objectness)
        has_top = self.top_class_id is not None and self.top_confidence is not None
        top_class_id = np.asarray(self.top_class_id, np.int64) if has_top else self.class_id[:, None]
        top_confidence = np.asarray(self.top_confidence, np.float32) if has_top else self.confidence[:, None]
        object.__setattr__(self, "top_class_id", top_class_id)
        object.__setattr__(self, "top_confidence", top_confidence)
        lengths = {len(self.xyxy), len(self.confidence), len(self.class_id), len(objectness), len(top_class_id)}
        if len(lengths) != 1 or top_class_id.ndim != 2 or top_class_id.shape != top_confidence.shape:
            raise ValueError(
                f"columns differ: xyxy {self.xyxy.shape}, confidence {self.confidence.shape}, class_id "
                f"{self.class_id.shape}, objectness {objectness.shape}, top_class_id {top_class_id.shape}, "
                f"top_confidence {top_confidence.shape}"
            )

    def __len__(self) -> int:
        return len(self.confidence)

    def __getitem__(self, index: Any) -> CharDetections:
        """Select candidates by any numpy index: a mask, a slice, an array of indices or one index."""
        index = np.atleast_1d(index) if np.isscalar(index) else index
        columns = (self.xyxy, self.confidence, self.class_id, self.objectness, self.top_class_id, self.top_confidence)
        return CharDetections(*(column[index] for column in columns))


@dataclass(frozen=True)
class Character:
    """One symbol of a reading.

    Args:
        symbol: the symbol.
        confidence: in [0, 1]: the probability that the symbol is right where the weights are calibrated, else the
            score of its class.
        xyxy: its box, left, top, right, bottom, in pixels.
        likely: the likeliest symbols there with the network's scores, in [0, 1], surest first.
    """

    symbol: str
    confidence: float
    xyxy: tuple[float, float, float, float]
    likely: tuple[tuple[str, float], ...] = field(default=(), compare=False, repr=False)


class Alternative(NamedTuple):
    """Another likely string of a picture, and its confidence in [0, 1]."""

    text: str
    confidence: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """The detector's output that a reading was decoded from.

    Args:
        detections: candidates, in pixels of the network's input.
        width: of that input, in pixels.
        to_picture: maps boxes xyxy (n, 4) from pixels of that input to pixels of the picture.
    """

    detections: CharDetections
    width: float
    to_picture: Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Reading:
    """The string read from one picture. Its truth value is false if the text is empty: nothing seen, or rejected.

    Args:
        text: symbols in reading order, spaces included, none at the end; empty where the reading is rejected.
        confidence: in [0, 1]: the probability that the string is right where the weights are calibrated, else the
            product of the characters' scores; 0 where nothing was read.
        characters: the symbols that were seen, in reading order; spaces have no box and are not among them.
        unconstrained_text: the text without the pattern, the string model or the limit of the length, if that differs;
            else None.
        alternatives: the next likely strings, the likeliest first, if they were requested.
        rejected: the reason why the reading is rejected; None if it is not.
        rejected_text: the text of a rejected reading; ``confidence``, ``characters`` and ``alternatives`` belong to it.
        shows_more: whether the picture shows more characters than strings may have.
        evidence: what the reading was decoded from, if it is kept for decoding again.
    """

    text: str
    confidence: float
    characters: tuple[Character, ...]
    unconstrained_text: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    rejected: str | None = None
    rejected_text: str = ""
    shows_more: bool = field(default=False, compare=False, repr=False)
    evidence: Evidence | None = field(default=None, compare=False, repr=False)

    def __bool__(self) -> bool:
        return bool(self.text)

    @property
    def shown_text(self) -> str:
        """The text that was read, rejected or not."""
        return self.rejected_text if self.rejected is not None else self.text

    @property
    def lowest_confidence(self) -> float:
        """Confidence of the least sure character, which is compared with ``min_confidence``; 0 without characters."""
        return min((c.confidence for c in self.characters), default=0.0)

    @property
    def accepted(self) -> bool:
        """Whether the reading is not rejected; true also of an empty reading, in which nothing was seen."""
        return self.rejected is None

    def mapped(self, to_picture: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Reading:
        """Return the reading with its boxes mapped by ``to_picture``, a function of boxes xyxy (n, 4)."""
        if not self.characters:
            return self
        boxes = to_picture(np.array([c.xyxy for c in self.characters], np.float32)).tolist()
        moved = (replace(c, xyxy=(b[0], b[1], b[2], b[3])) for c, b in zip(self.characters, boxes, strict=True))
        return replace(self, characters=tuple(moved))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; keys that do not apply are left out."""
        plain: dict[str, Any] = {
            "text": self.text,
            "confidence": round(self.confidence, 4),
            "characters": [
                {
                    "symbol": c.symbol,
                    "confidence": round(c.confidence, 4),
                    "xyxy": [round(v, 1) for v in c.xyxy],
                }
                for c in self.characters
            ],
        }
        if self.unconstrained_text is not None:
            plain["unconstrained_text"] = self.unconstrained_text
        if self.alternatives:
            plain["alternatives"] = [{"text": a.text, "confidence": round(a.confidence, 4)} for a in self.alternatives]
        if self.rejected is not None:
            plain |= {"rejected": self.rejected, "rejected_text": self.rejected_text}
        return plain


def box_iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return intersection over union of boxes xyxy, (n, 4) and (m, 4): (n, m)."""
    a, b = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])  # (n, m, 2)
    shared = np.maximum(sides, 0).prod(2)
    first_area, second_area = (a[..., 2:] - a[..., :2]).prod(2), (b[..., 2:] - b[..., :2]).prod(2)
    return np.asarray(shared / np.maximum(first_area + second_area - shared, 1e-9))
