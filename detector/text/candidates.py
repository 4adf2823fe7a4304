"""The candidates of a batch of pictures as arrays, in reading order. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.text.alphabet import MAX_LENGTH
from detector.text.calibration import log_odds
from detector.text.detections import CharDetections
from detector.text.forms.lookalikes import symbol_likelihood
from detector.text.line_grouping import deskew, pairwise_overlap, reading_order
from detector.text.reading_config import ReadingConfig

MIN_SCORE = 0.02
"""Least objectness of a candidate that enters the search."""

MAX_CANDIDATES = MAX_LENGTH
"""Most candidates of a picture that enter the search: the best ones."""

NEVER = -1e9
"""Log odds of what is impossible."""

# Shares of the narrower box along the reading line, above which two candidates stand for the same character: of boxes
# that are narrowed to their part of slanted text, and of whole boxes.
_MAX_OVERLAP, _MAX_SLANTED_OVERLAP = 0.55, 0.8


_OTHER_SHAPES = ("barrier", "widths", "spaces")  # fields whose shape is not (batch, n, …)


@dataclass(frozen=True)
class Candidates:
    """The best candidates of a batch of pictures in reading order, padded to ``n`` candidates a picture.

    Args:
        boxes: (batch, n, 4) xyxy in the picture, in pixels.
        deskewed: (batch, n, 4) xyxy as if the text were straight, in pixels.
        line: (batch, n), the number of its line, 0 at the top.
        odds: (batch, n), log odds that there is a character; ``NEVER`` for padding.
        top_class_id, top_confidence: (batch, n, k), the likeliest classes and their scores, surest first.
        barrier: (batch, n, n), 0 where the second candidate may follow the first, else ``NEVER``.
        widths: (batch,), of the pictures, in pixels.
        spaces: for patterns: how many spaces the layout expects before each candidate if it came first, (batch, n),
            and between each two, (batch, n, n).
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
        """Return the candidates of some pictures of the batch, without ``spaces``."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "spaces"}
        return Candidates(**columns)

    def at_least(self, min_odds: float) -> Candidates:
        """Return the candidates with at least these log odds, in the same order, without ``spaces``."""
        is_likely = self.odds >= min_odds
        n = max(1, int(is_likely.sum(1).max(initial=0)))
        places = np.argsort(~is_likely, axis=1, kind="stable")[:, :n]  # (batch, n), likely candidates first
        rows = np.arange(len(places))[:, None]
        columns = {f.name: getattr(self, f.name)[rows, places] for f in fields(self) if f.name not in _OTHER_SHAPES}
        columns["odds"] = np.where(np.take_along_axis(is_likely, places, 1), columns["odds"], NEVER)
        barrier = self.barrier[rows[..., None], places[:, :, None], places[:, None]]
        return Candidates(**columns, barrier=barrier, widths=self.widths)

    def with_likelihoods(self, shares: NDArray[np.float64], slope: float) -> Candidates:
        """Return the candidates with the likelihood of every class in place of the scores of the top classes.

        Args:
            shares: the confusion channel, (classes, classes).
            slope: factor of the log odds.
        """
        likelihood = symbol_likelihood(self.top_class_id, self.top_confidence, shares)
        class_ids = np.broadcast_to(np.arange(likelihood.shape[2]), likelihood.shape)
        odds = np.where(self.odds > NEVER / 2, slope * self.odds, NEVER)
        return replace(self, odds=odds, top_class_id=class_ids, top_confidence=likelihood)


def gather(batch: Sequence[CharDetections], config: ReadingConfig, widths: Sequence[float]) -> Candidates:
    """Collect the best candidates of every picture, along its lines.

    The result does not depend on the order of a picture's candidates: ties are broken by their values.

    Args:
        batch: candidates of each picture.
        config: of the reader; its layout says how many lines there may be.
        widths: of each picture, in the boxes' pixels.
    """
    picture = np.repeat(np.arange(len(batch)), [len(d) for d in batch])
    objectness = np.concatenate([d.objectness for d in batch])
    considered = np.flatnonzero(objectness >= MIN_SCORE)
    boxes = np.concatenate([d.xyxy for d in batch])[considered].astype(np.float64)
    scores = np.concatenate([d.confidence for d in batch])[considered]
    ids = np.concatenate([d.class_id for d in batch])[considered]
    picture, objectness = picture[considered], objectness[considered]
    order = np.lexsort((-scores, ids, *boxes.T[::-1], -objectness, picture))  # the last key counts first
    picture = picture[order]
    rank = np.arange(len(order)) - np.searchsorted(picture, picture)
    within_limit = rank < MAX_CANDIDATES
    order, cells = order[within_limit], (picture[within_limit], rank[within_limit])
    counts = np.bincount(cells[0], minlength=len(batch))
    shape = (len(batch), max(1, int(counts.max())))

    def padded(values: NDArray[Any], padding: float) -> NDArray[Any]:
        table = np.full((*shape, *values.shape[1:]), padding, values.dtype)
        table[cells] = values[order]
        return table

    probability = padded(objectness.astype(np.float64), 0.0)
    layout = config.layout
    deskewed = deskew(
        padded(boxes, 0.0), probability, np.asarray(widths, np.float64), layout.lines,
        lowest_line=layout.lowest_line, stacked=layout.stacked,
    )  # fmt: skip
    place = np.arange(shape[0])[:, None], reading_order(deskewed)
    probability = np.where(deskewed.outlier, 0.0, probability)
    odds = np.where(probability > 0, log_odds(probability, 1e-4), NEVER)[place]
    top_class_id, top_confidence = _likeliest(batch, considered)
    along, line = deskewed.boxes_xyxy[place], deskewed.line[place]
    return Candidates(
        boxes=padded(boxes, 0.0)[place],
        deskewed=along + np.stack([deskewed.start, 0 * deskewed.start] * 2, 1)[:, None],
        line=line,
        odds=odds,
        top_class_id=padded(top_class_id, 0)[place],
        top_confidence=padded(top_confidence, 0.0)[place],
        barrier=_barrier(along, deskewed.whole_xyxy[place], line),
        widths=np.asarray(widths, np.float64),
    )


def _likeliest(
    batch: Sequence[CharDetections], considered: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the likeliest classes and their scores, (candidates, k) each; 0 where a picture has fewer than k."""
    k = max(d.top_class_id.shape[1] for d in batch)
    ids, scores = (
        np.concatenate([np.pad(c, ((0, 0), (0, k - c.shape[1]))) if c.shape[1] < k else c for c in columns])[considered]
        for columns in ([d.top_class_id for d in batch], [d.top_confidence for d in batch])
    )
    return ids, scores.astype(np.float64)


def _barrier(along: NDArray[np.float64], whole: NDArray[np.float64], line: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 0 where a candidate may follow another and ``NEVER`` elsewhere, (batch, n, n).

    A later candidate may follow if it is on another line, or if it hardly overlaps.

    Args:
        along: (batch, n, 4), deskewed boxes that are narrowed to their part of slanted text.
        whole: (batch, n, 4), the same boxes before that.
        line: (batch, n).
    """
    may_follow = _overlap_at_most(along, _MAX_OVERLAP) & _overlap_at_most(whole, _MAX_SLANTED_OVERLAP)
    if line.any():
        may_follow |= line[:, :, None] != line[:, None]
    may_follow &= np.tri(along.shape[1], k=-1, dtype=bool).T  # i before j
    return np.where(may_follow, 0.0, NEVER)


def _overlap_at_most(boxes: NDArray[np.float64], max_share: float) -> NDArray[np.bool_]:
    """Test which pairs of boxes share at most ``max_share`` of the narrower one's width, (batch, n, n)."""
    x1, x2 = boxes[..., 0], boxes[..., 2]
    width = np.maximum(x2 - x1, 1e-6)
    return np.asarray(pairwise_overlap(x1, x2) <= max_share * np.minimum(width[:, :, None], width[:, None]))
