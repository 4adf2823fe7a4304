"""How likely a label is wrong, judged by an aligner that was not taught it.

An aligner that was taught a wrong label has half learnt it by heart, and no longer protests. So two more are
taught, each on one half of the training pictures, and judge the other half (cross-fitting; Northcutt et al.,
"Confident Learning", JAIR 2021, do the same for classes).

A label is either right, and then the aligner gives it a probability; or it is wrong, and then it is any string:
one symbol off what stands in the picture, or that of another picture. Bayes' rule weighs both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from detector.align.teaching import Aligner, Check
from detector.align.viterbi import greedy
from detector.fit import GREY
from detector.metrics import wilson_interval

_SHARE = 0.03  # of wrong labels, expected of any set; estimating it made no difference, but tied pictures together
_LIKELY = np.log(0.5)  # a label that is given more by a glance is not looked at again
_SLANTS = (0.1, -0.1)  # of the other looks, pixels to the side a pixel down
_LEAST_AGREEMENT = 0.6  # share of labels that are read as they are, below which the reader is the likelier culprit


def half_of(text: str) -> int:
    """In which half of the training pictures those of a text fall: 0 or 1."""
    return hashlib.sha256(b"half:" + text.encode()).digest()[0] & 1


@dataclass(frozen=True)
class Judges:
    """Aligners to judge labels by: each picture is looked at by one that was not taught it.

    Args:
        general: taught on all training pictures; judges the others.
        halves: each taught on one half of them, and judges the other half; None where there was too little to teach.
        believed: whether they read well enough to judge at all; else nothing is read. See :func:`may_judge`.
    """

    general: Aligner
    halves: tuple[Aligner, Aligner] | None
    believed: bool = True

    def evidence(
        self,
        images: NDArray[np.uint8],
        taught: Sequence[int | None],
        strings: Sequence[NDArray[np.int64]],
        general: NDArray[np.float32],
    ) -> Evidence:
        """Evidence on the labels of fitted pictures, each by its judge.

        A judge that was taught few pictures is surer than it should be of what it misreads. So where a label is not
        likely it looks again at the picture slanted either way, and the label gets the mean of what the looks give it.

        Args:
            images: uint8 (n, H, W, 3).
            taught: of each picture, the half in which it was taught; None if it was not.
            strings: class ids of each label's symbols.
            general: what ``general`` gives for the pictures.
        """
        if not self.believed:
            return _nothing_read(general, strings)
        first = evidence(self._log_probs(images, taught, general), strings)
        (doubtful,) = np.nonzero(first.right < _LIKELY)
        if not len(doubtful):
            return first
        picked: list[int] = doubtful.tolist()
        looks = [first.right[doubtful]]
        for slant in _SLANTS:
            seen = np.stack([_slanted(images[i], slant) for i in picked])
            columns = self._log_probs(seen, [taught[i] for i in picked], self.general.log_probs(seen))
            looks.append(evidence(columns, [strings[i] for i in picked]).right)
        right = first.right.copy()
        right[doubtful] = np.logaddexp.reduce(looks) - np.log(len(looks))
        return replace(first, right=right)

    def _log_probs(
        self, images: NDArray[np.uint8], taught: Sequence[int | None], general: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Columns (n, columns, classes + 1), each picture's by its judge."""
        columns = general.copy()
        for half in (0, 1):
            (mine,) = np.nonzero([which == half for which in taught])
            if self.halves is not None and len(mine):
                columns[mine] = self.halves[1 - half].log_probs(images[mine])
        return columns


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against the labels of some pictures.

    Args:
        right: float64 (n,), log probability of the label, summed over all of its paths.
        read: class ids of what was read, blind to the label.
    """

    right: NDArray[np.float64]
    read: list[NDArray[np.int64]]


def _slanted(image: NDArray[np.uint8], slant: float) -> NDArray[np.uint8]:
    """The picture slanted about its middle, and a little smaller, so that nothing leaves it."""
    height, width = image.shape[:2]
    linear = np.array([[0.97, slant], [0.0, 0.97]])
    middle = np.array([width / 2, height / 2])
    matrix = np.column_stack([linear, middle - linear @ middle])
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderValue=(GREY,) * 3), np.uint8)


def evidence(log_probs: NDArray[np.float32], strings: Sequence[NDArray[np.int64]]) -> Evidence:
    """Evidence on labels, from the columns (n, columns, classes + 1) of an aligner that was not taught them."""
    return Evidence(label_log_probs(log_probs, strings), greedy(log_probs))


def _nothing_read(general: NDArray[np.float32], strings: Sequence[NDArray[np.int64]]) -> Evidence:
    """As if nobody had read: labels are still likelier in one number of lines than in another."""
    return Evidence(label_log_probs(general, strings), [np.zeros(0, np.int64)] * len(strings))


def may_judge(check: Check) -> bool:
    """Whether aligners may agree with enough labels to judge them, as one that was taught all of training reads others.

    Where even the upper end of its exact match's 95 % interval is below what :func:`wrong_labels` asks for, judges that
    are taught half as much would be taught in vain.
    """
    _, most = wilson_interval(round(check.exact_match * check.pictures), check.pictures)
    return most >= _LEAST_AGREEMENT


def label_log_probs(log_probs: NDArray[np.float32], strings: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Log probability of each string, (n,), over all of its paths, in the columns (n, columns, classes + 1)."""
    count, columns, outputs = log_probs.shape
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(np.ascontiguousarray(log_probs, np.float32)).transpose(0, 1),
        torch.from_numpy(np.concatenate([*strings, np.zeros(0, np.int64)]).astype(np.int64)),
        torch.full((count,), columns),
        torch.tensor([len(s) for s in strings], dtype=torch.long),
        blank=outputs - 1,
        reduction="none",
    )
    found: NDArray[np.float64] = -loss.double().numpy()
    return found


def wrong_labels(
    right: NDArray[np.float64], distance: NDArray[np.int64], lengths: NDArray[np.int64], symbols: int, texts: int
) -> NDArray[np.float64]:
    """Probability that each label of a set is wrong, float64 (n,).

    Args:
        right: (n,), log probability of each label where it is right; more where others vouch for it.
        distance: (n,), edits from what was read to the label.
        lengths: (n,), symbols of each label.
        symbols: different symbols that the labels have.
        texts: different labels.

    Returns:
        All zero where the aligner reads too few labels as they are: then it is no judge.
    """
    if not len(right) or (distance == 0).mean() < _LEAST_AGREEMENT:
        return np.zeros(len(right))
    # Half of the wrong ones a symbol off, half another picture's.
    slip = -np.log(2.0 * np.maximum(lengths, 1) * max(symbols - 1, 1))
    swap = -np.log(2.0 * max(texts, 1))
    wrong = np.where(distance <= 1, slip, swap)
    odds = np.log((1 - _SHARE) / _SHARE) + np.maximum(right, -1e6) - wrong
    probability: NDArray[np.float64] = 1 / (1 + np.exp(np.clip(odds, -700, 700)))
    return probability
