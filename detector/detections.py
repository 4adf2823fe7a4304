"""What a detector saw and what it reads as: columnar, frozen, checked at birth. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CharDetections:
    """Candidate characters of one picture.

    Args:
        boxes_xyxy: float32 (n, 4): left, top, right, bottom, in pixels.
        scores: float32 (n,), that of the class, in [0, 1].
        class_ids: int64 (n,).
        presence: float32 (n,), that there is a character of whatever class, in [0, 1]; None takes the scores.
            Where a zero may be an O, each has half the score, and yet there is surely one of them.

    Raises:
        ValueError: if the columns differ in length or shape.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    presence: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes_xyxy", np.asarray(self.boxes_xyxy, np.float32).reshape(-1, 4))
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float32).reshape(-1))
        object.__setattr__(self, "class_ids", np.asarray(self.class_ids, np.int64).reshape(-1))
        presence = self.scores if self.presence is None else np.asarray(self.presence, np.float32).reshape(-1)
        object.__setattr__(self, "presence", presence)
        lengths = {len(self.boxes_xyxy), len(self.scores), len(self.class_ids), len(presence)}
        if len(lengths) != 1:
            raise ValueError(
                f"columns differ: {len(self.boxes_xyxy)} boxes, {len(self.scores)} scores, {len(self.class_ids)} ids, "
                f"{len(presence)} presences"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Any) -> CharDetections:
        """The same type for any numpy index: a mask, a slice, an array of places."""
        index = np.atleast_1d(index) if np.isscalar(index) else index
        assert self.presence is not None  # set at birth
        return CharDetections(self.boxes_xyxy[index], self.scores[index], self.class_ids[index], self.presence[index])


@dataclass(frozen=True)
class Character:
    """One symbol of a reading: its confidence in [0, 1] and its box (left, top, right, bottom) in pixels."""

    symbol: str
    confidence: float
    box_xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class Reading:
    """The string read from one picture.

    Args:
        text: symbols in reading order, blanks included, none at the end.
        confidence: product of the characters' confidences, in [0, 1]; 0 where nothing was read.
        characters: the symbols that were seen, in reading order; blanks have no box and are not among them.
    """

    text: str
    confidence: float
    characters: tuple[Character, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "text": self.text,
            "confidence": round(self.confidence, 4),
            "characters": [
                {
                    "symbol": c.symbol,
                    "confidence": round(c.confidence, 4),
                    "box_xyxy": [round(v, 1) for v in c.box_xyxy],
                }
                for c in self.characters
            ],
        }
