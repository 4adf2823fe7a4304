"""What a detector saw and what it reads as: columnar, frozen, checked at birth. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TOP_CLASSES = 8
"""Likeliest classes of a candidate that a detector's output is reduced to."""


@dataclass(frozen=True, eq=False)
class CharDetections:
    """Candidate characters of one picture.

    Args:
        xyxy: float32 (n, 4): left, top, right, bottom, in pixels.
        confidence: float32 (n,), that of the class, in [0, 1].
        class_id: int64 (n,).
        objectness: float32 (n,), that there is a character of whatever class, in [0, 1]; None takes the scores.
            Where a zero may be an O, each has half the score, and yet there is surely one of them.
        top_class_id: int64 (n, k), the likeliest classes of each, surest first; None takes ``class_id`` alone.
        top_confidence: float32 (n, k), their scores.

    Raises:
        ValueError: if the columns differ in length or shape.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    # None only on the way in: none of these is None once the object is there, and users need not ask.
    objectness: NDArray[np.float32] = None  # type: ignore[assignment]
    top_class_id: NDArray[np.int64] = None  # type: ignore[assignment]
    top_confidence: NDArray[np.float32] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy", np.asarray(self.xyxy, np.float32).reshape(-1, 4))
        object.__setattr__(self, "confidence", np.asarray(self.confidence, np.float32).reshape(-1))
        object.__setattr__(self, "class_id", np.asarray(self.class_id, np.int64).reshape(-1))
        objectness = self.confidence if self.objectness is None else np.asarray(self.objectness, np.float32).reshape(-1)
        object.__setattr__(self, "objectness", objectness)
        alone = self.top_class_id is None or self.top_confidence is None
        top_class_id = self.class_id[:, None] if alone else np.asarray(self.top_class_id, np.int64)
        top_confidence = self.confidence[:, None] if alone else np.asarray(self.top_confidence, np.float32)
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
        """The same type for any numpy index: a mask, a slice, an array of places."""
        index = np.atleast_1d(index) if np.isscalar(index) else index
        columns = (self.xyxy, self.confidence, self.class_id, self.objectness, self.top_class_id, self.top_confidence)
        return CharDetections(*(column[index] for column in columns))


@dataclass(frozen=True)
class Character:
    """One symbol of a reading: its confidence in [0, 1] and its box (left, top, right, bottom) in pixels.

    The confidence is the probability that it is right where the weights are calibrated, else the class's score.
    ``likely`` are the symbols that the network sees there, surest first, with its own scores, in [0, 1].
    """

    symbol: str
    confidence: float
    xyxy: tuple[float, float, float, float]
    likely: tuple[tuple[str, float], ...] = field(default=(), compare=False, repr=False)


class Alternative(NamedTuple):
    """A string that was not read but might have been, and its confidence."""

    text: str
    confidence: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a reading was decoded from.

    Args:
        detections: candidates, in the pixels of the network's input.
        width: of that input, in pixels.
        to_picture: from boxes xyxy (n, 4) in these pixels to those in the picture's own.
    """

    detections: CharDetections
    width: float
    to_picture: Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Reading:
    """The string read from one picture. It is false without a string: nothing was seen, or it was rejected.

    Args:
        text: symbols in reading order, spaces included, none at the end; empty where the reading is rejected.
        confidence: in [0, 1]: the probability that the string is right where the weights are calibrated, else the
            product of the characters' scores; 0 where nothing was read.
        characters: the symbols that were seen, in reading order; spaces have no box and are not among them.
        unconstrained_text: what would have been read without the pattern, or if strings might be longer, where that
            is another.
        alternatives: the next likely strings, the likeliest first, where they were asked for.
        rejected: why this is no reading to be relied on; None where it is one.
        rejected_text: what was rejected: ``confidence``, ``characters`` and ``alternatives`` are about it.
        shows_more: whether the picture shows more characters than strings may have.
        evidence: what it was decoded from, where that is kept to decode it again.
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
        """What the picture shows, rejected or not: the text, or the rejected one."""
        return self.rejected_text if self.rejected is not None else self.text

    @property
    def lowest_confidence(self) -> float:
        """The confidence of the least sure character, which ``min_confidence`` is compared with; 0 without any."""
        return min((c.confidence for c in self.characters), default=0.0)

    @property
    def accepted(self) -> bool:
        """Whether it was not rejected; so is the empty string of a picture in which nothing was seen."""
        return self.rejected is None

    def mapped(self, to_picture: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Reading:
        """With the characters' boxes, xyxy (n, 4), as the function maps them."""
        if not self.characters:
            return self
        boxes = to_picture(np.array([c.xyxy for c in self.characters], np.float32)).tolist()
        moved = (replace(c, xyxy=(b[0], b[1], b[2], b[3])) for c, b in zip(self.characters, boxes, strict=True))
        return replace(self, characters=tuple(moved))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what does not apply is left out."""
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
