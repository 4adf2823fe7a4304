"""The candidates of a batch of pictures as arrays, in reading order. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.text.detections import CharDetections
from detector.text.forms.lookalikes import symbol_likelihood
from detector.text.line_grouping import deskew, reading_order
from detector.text.reading_config import ReadingConfig

MIN_SCORE = 0.02
"""Candidates whose objectness is below this are not looked at."""

MAX_CANDIDATES = 48
"""Best candidates of a picture that enter the search."""

NEVER = -1e9
"""Log odds of what cannot be."""

_OVERLAP = 0.55  # of the narrower one, along the reading line, above which two candidates are one place
_WITHIN = 0.8  # likewise, before boxes are narrowed: one that lies inside another is the same place in slanted text too


_NOT_EACH = ("barrier", "widths", "spaces")  # fields that are not (batch, n, …)


@dataclass(frozen=True)
class Candidates:
    """The best candidates of a batch in reading order, filled up to ``n`` a picture.

    Args:
        boxes: (batch, n, 4), as they are in the picture.
        deskewed: (batch, n, 4), as they would be in straight text.
        line: (batch, n).
        odds: (batch, n), log odds that there is a character; ``NEVER`` where a picture has fewer.
        top_class_id, top_confidence: (batch, n, k), surest first.
        barrier: (batch, n, n), 0 where the second may follow the first, else ``NEVER``.
        widths: (batch,), of the pictures.
        spaces: expected before each candidate and between each two, (batch, n) and (batch, n, n), for a pattern.
    """

    boxes: NDArray[np.float64]
    deskewed: NDArray[np.float64]
    line: NDArray[np.int64]
    odds: NDArray[np.float64]
    top_class_id: NDArray[np.int64]
    top_confidence: NDArray[np.float64]
    barrier: NDArray[np.float64]
    widths: NDArray[np.float64]
    spaces: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def rows(self, rows: NDArray[np.intp]) -> Candidates:
        """Those of some pictures, without what a pattern expects."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "spaces"}
        return Candidates(**columns)

    def at_least(self, min_odds: float) -> Candidates:
        """Only candidates of at least these log odds, still in reading order; without what a pattern expects."""
        is_likely = self.odds >= min_odds
        n = max(1, int(is_likely.sum(1).max(initial=0)))
        places = np.argsort(~is_likely, axis=1, kind="stable")[:, :n]  # (batch, n), those that are kept first
        rows = np.arange(len(places))[:, None]
        columns = {f.name: getattr(self, f.name)[rows, places] for f in fields(self) if f.name not in _NOT_EACH}
        columns["odds"] = np.where(np.take_along_axis(is_likely, places, 1), columns["odds"], NEVER)
        barrier = self.barrier[rows[..., None], places[:, :, None], places[:, None]]
        return Candidates(**columns, barrier=barrier, widths=self.widths)

    def with_likelihoods(self, shares: NDArray[np.float64], slope: float) -> Candidates:
        """With all classes for each, in class-id order: how likely each makes what the network saw, not its score.

        The log odds are taken ``slope`` times; ``shares`` are those of the confusion channel, (classes, classes).
        """
        likelihood = symbol_likelihood(self.top_class_id, self.top_confidence, shares)
        class_ids = np.broadcast_to(np.arange(likelihood.shape[2]), likelihood.shape)
        odds = np.where(self.odds > NEVER / 2, slope * self.odds, NEVER)
        return replace(self, odds=odds, top_class_id=class_ids, top_confidence=likelihood)


def gather(batch: Sequence[CharDetections], config: ReadingConfig, widths: Sequence[float]) -> Candidates:
    """The best candidates of every picture, along its lines; ties are broken by content, so order does not matter."""
    picture = np.repeat(np.arange(len(batch)), [len(d) for d in batch])
    objectness = np.concatenate([d.objectness for d in batch])
    considered = np.flatnonzero(objectness >= MIN_SCORE)
    boxes = np.concatenate([d.xyxy for d in batch])[considered].astype(np.float64)
    scores = np.concatenate([d.confidence for d in batch])[considered]
    ids = np.concatenate([d.class_id for d in batch])[considered]
    picture, objectness = picture[considered], objectness[considered]
    content = (-scores, ids, *boxes.T[::-1], -objectness, picture)  # the last one is looked at first
    order = np.lexsort(content)
    picture = picture[order]
    rank = np.arange(len(order)) - np.searchsorted(picture, picture)
    within_limit = rank < MAX_CANDIDATES
    order, at = order[within_limit], (picture[within_limit], rank[within_limit])
    counts = np.bincount(at[0], minlength=len(batch))
    shape = (len(batch), max(1, int(counts.max())))

    def filled(values: NDArray[Any], filling: float) -> NDArray[Any]:
        full = np.full((*shape, *values.shape[1:]), filling, values.dtype)
        full[at] = values[order]
        return full

    present = filled(objectness.astype(np.float64), 0.0)
    layout = config.layout
    deskewed = deskew(
        filled(boxes, 0.0), present, np.asarray(widths, np.float64), layout.lines,
        lowest_line=layout.lowest_line, stacked=layout.stacked,
    )  # fmt: skip
    place = np.arange(shape[0])[:, None], reading_order(deskewed)
    present = np.where(deskewed.outlier, 0.0, present)
    p = np.clip(present, 1e-4, 1 - 1e-4)
    odds = np.where(present > 0, np.log(p / (1 - p)), NEVER)[place]
    top_class_id, top_confidence = _likeliest(batch, considered)
    along, line = deskewed.boxes_xyxy[place], deskewed.line[place]
    return Candidates(
        boxes=filled(boxes, 0.0)[place],
        deskewed=along + np.stack([deskewed.start, 0 * deskewed.start] * 2, 1)[:, None],
        line=line,
        odds=odds,
        top_class_id=filled(top_class_id, 0)[place],
        top_confidence=filled(top_confidence, 0.0)[place],
        barrier=_barrier(along, deskewed.whole_xyxy[place], line),
        widths=np.asarray(widths, np.float64),
    )


def _likeliest(
    batch: Sequence[CharDetections], considered: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Likeliest classes and their scores, (candidates, k), 0 where a picture of the batch has fewer."""
    k = max(d.top_class_id.shape[1] for d in batch)
    ids, scores = (
        np.concatenate([np.pad(c, ((0, 0), (0, k - c.shape[1]))) if c.shape[1] < k else c for c in columns])[considered]
        for columns in ([d.top_class_id for d in batch], [d.top_confidence for d in batch])
    )
    return ids, scores.astype(np.float64)


def _barrier(along: NDArray[np.float64], whole: NDArray[np.float64], line: NDArray[np.int64]) -> NDArray[np.float64]:
    """Which candidate may follow which: a later one, elsewhere on the line or on a later line."""
    may_follow = _share_at_most(along, _OVERLAP) & _share_at_most(whole, _WITHIN)
    if line.any():
        may_follow |= line[:, :, None] != line[:, None]
    may_follow &= np.tri(along.shape[1], k=-1, dtype=bool).T  # i before j
    return np.where(may_follow, 0.0, NEVER)


def _share_at_most(boxes: NDArray[np.float64], max_share: float) -> NDArray[np.bool_]:
    """Which pairs, (batch, i, j), share at most this part of the narrower one's extent along the line."""
    x1, x2 = boxes[..., 0], boxes[..., 2]
    width = np.maximum(x2 - x1, 1e-6)
    shared = np.minimum(x2[:, :, None], x2[:, None]) - np.maximum(x1[:, :, None], x1[:, None])
    return np.asarray(shared <= max_share * np.minimum(width[:, :, None], width[:, None]))
