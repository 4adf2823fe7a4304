"""Locate known labels with a detector.

Pictures that the detector reads as labelled get one pass. The others get a second pass, zoomed to the part with their
text, merged by weighted boxes fusion. All boxes are in pixels of the original picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.conversion.locating.forced_alignment import (
    MISSED,
    UNKNOWN,
    Alignment,
    calibration_pairs,
    force_align,
    label_log_probs,
)
from detector.data.letterbox import letterbox, shape_for
from detector.networks.network import Network, in_batches, known_as, of_symbols
from detector.networks.nms import candidates
from detector.reading.box_fusion import weighted_boxes_fusion
from detector.reading.two_pass import second_view
from detector.text.alphabet import Alphabet
from detector.text.calibration import PlattScaling, fit_platt, log_odds
from detector.text.candidates import Candidates, gather
from detector.text.detections import CharDetections
from detector.text.forms.automaton import any_string
from detector.text.reading_config import ReadingConfig
from detector.text.search import search
from detector.text.spacing import TextLayout

_LOWEST_LINE = 0.6  # of another line's height: what is lower is other text
_TWO_LINES = 3.0  # log odds by which a label must be likelier in two lines than in one
_SHARPEST = 3.0  # slope of a calibration: what a few hundred pictures show is not believed beyond

# Logit of the probability that a box's centre lies in the one that a person drew, and its slope against the logit of
# the detector's own score of the symbol: fitted to words-iiit5k, checked on other sets by `tools/boxes/box_quality.py`.
_LOGIT_DETECTED, _SLOPE = 5.0, 0.53
_DRAWN_CONFIDENCE = 0.999  # of a box that a person drew
_INTERPOLATED, _GUESSED = 0.6, 0.3  # of a box for which nothing was seen, where most others were, and where not

DRAWN = -1
"""In place of the round of a picture whose boxes a person drew."""

Image = NDArray[np.uint8]
"""Shape (H, W, 3), BGR."""

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Located:
    """The characters of one picture's label.

    Args:
        boxes_xyxy: float32 (n, 4), in the picture's own pixels, in reading order.
        confidence: float64 (n,), probability that the box is that of its symbol, if the label is right.
        detected: bool (n,), whether the detector saw a character there; else the box is set between its neighbours.
        read: class ids of what the detector reads by itself.
        agrees: whether that is the label.
        label_log_prob: log probability that a calibrated detector, not trained on the label, gives to it; 0 where it is
            read.
        lines: of text that the picture was taken to have.
        round: of self-training whose detector located it; 0 is the shipped one, :data:`DRAWN` a person.
    """

    boxes_xyxy: NDArray[np.float32]
    confidence: NDArray[np.float64]
    detected: NDArray[np.bool_]
    read: Ids
    agrees: bool
    label_log_prob: float = 0.0
    lines: int = 1
    round: int = 0

    def stage(self, i: int) -> str:
        """Tell where box ``i`` comes from.

        Returns:
            "drawn" by a person, "detected" by the shipped detector, "trained-N" by that of a round of self-training, or
            "interpolated" between its neighbours.
        """
        if self.round == DRAWN:
            return "drawn"
        return "interpolated" if not self.detected[i] else f"trained-{self.round}" if self.round else "detected"


def as_drawn(located: Located, boxes_xyxy: NDArray[np.float32] | None, size_hw: tuple[int, int]) -> Located:
    """Replace the boxes by those that a person drew around the label's symbols, where there are any.

    Args:
        located: in a picture.
        boxes_xyxy: drawn, (n, 4), in its pixels; their centres are in it, and what leaves it is cut off.
        size_hw: height and width of the picture, in pixels.
    """
    if boxes_xyxy is None or len(boxes_xyxy) != len(located.boxes_xyxy):
        return located
    count = len(boxes_xyxy)
    confidence = np.full(count, _DRAWN_CONFIDENCE)
    inside = _with_area(boxes_xyxy.astype(np.float64), size_hw)
    return replace(located, boxes_xyxy=inside, confidence=confidence, detected=np.ones(count, bool), round=DRAWN)


def known_classes(alphabet: Alphabet, names: dict[int, str]) -> Ids:
    """Return the network's class of each symbol, (symbols,), see :func:`known_as`; UNKNOWN where there is none."""
    ids: dict[str | None, int] = {name: i for i, name in names.items()}
    class_names = {*names.values()}
    return np.array([ids.get(known_as(symbol, class_names), UNKNOWN) for symbol in alphabet.symbols], np.int64)


class Locator:
    """A detector that locates known labels.

    Args:
        network: the detector.
        alphabet: the set's alphabet; labels are class ids in it.
        length: symbols that a text may have.
        min_count: symbols that the shortest label has.
        lines: of text in each picture; None finds out whether one or two.
        shape_hw: of the network's input; None takes what suits each picture.
        by_class: whether the detector's classes mean the set's symbols; else only where characters are is asked.
    """

    def __init__(
        self,
        network: Network,
        alphabet: Alphabet,
        *,
        length: int,
        min_count: int = 1,
        lines: int | None = None,
        shape_hw: tuple[int, int] | None = None,
        by_class: bool = True,
    ) -> None:
        self._network, self._shape_hw, self._min_count, self._length = network, shape_hw, min_count, length
        self._classes, self._symbols = max(network.names) + 1, len(alphabet)
        self._class_of = known_classes(alphabet, network.names)  # (symbols,)
        self._calibration: PlattScaling | None = None
        self.by_class = by_class and bool((self._class_of != UNKNOWN).any())
        layouts = {
            1: TextLayout(lines=1, lowest_line=_LOWEST_LINE),
            2: TextLayout(lines=2, lowest_line=_LOWEST_LINE, stacked=lines is None),
        }
        self._config_of_lines = {
            n: ReadingConfig(alphabet.symbols, alphabet.space, length, 1, length, layout)
            for n, layout in layouts.items() if n == (lines or n)
        }  # fmt: skip

    def locate(self, images: Sequence[Image], labels: Sequence[Ids]) -> list[Located]:
        """Locate the characters of each picture's label; see :class:`Located`.

        Labels that are not read get a log probability once the locator is calibrated.

        Args:
            images: of any sizes.
            labels: class ids of each one's symbols, spaces of the text left out.
        """
        if not images:
            return []
        detections = self._detect(images, labels)
        located = self._align(detections, images, labels)
        unexplained = [i for i, characters in enumerate(located) if self.by_class and not characters.agrees]
        if unexplained:
            closer = self._second_pass(
                [located[i] for i in unexplained], [detections[i] for i in unexplained],
                [images[i] for i in unexplained], [labels[i] for i in unexplained],
            )  # fmt: skip
            for i, characters in zip(unexplained, closer, strict=True):
                located[i] = characters
        return located

    def _second_pass(
        self, located: Sequence[Located], detections: Sequence[CharDetections], images: Sequence[Image],
        labels: Sequence[Ids],
    ) -> list[Located]:  # fmt: skip
        """Locate once more, with what is detected in the part that the boxes are in."""
        zoomed = self._zoomed_pass(images, labels, [characters.boxes_xyxy for characters in located])
        fused = [
            weighted_boxes_fusion(*passes, self._symbols, self._symbols)
            for passes in zip(detections, zoomed, strict=True)
        ]
        realigned = self._align(fused, images, labels)
        if self._calibration is None:
            return realigned
        # Of the first pass alone: the second one is cut to the label's boxes, with what the label leaves out outside.
        log_probs = self._scores(detections, images, labels, self._calibration)
        return [
            characters if characters.agrees else replace(characters, label_log_prob=float(log_prob))
            for characters, log_prob in zip(realigned, log_probs, strict=True)
        ]

    def calibrate(self, images: Sequence[Image], labels: Sequence[Ids]) -> None:
        """Calibrate scores on pictures that are read as labelled, in one line; without any they count as they are."""
        self._calibration = PlattScaling()
        if not images:
            return
        config = self._config_of_lines[min(self._config_of_lines)]
        detected = gather(self._detect(images, labels), config, [float(image.shape[1]) for image in images])
        odds, is_character = calibration_pairs(
            detected, force_align(detected, [self._known_ids(label) for label in labels])
        )
        if len(odds):
            fitted = fit_platt((1 / (1 + np.exp(-odds))).tolist(), is_character.tolist())
            self._calibration = replace(fitted, slope=float(np.clip(fitted.slope, 1, _SHARPEST)))

    def identified(self, images: Sequence[Image], labels: Sequence[Ids], others: Sequence[Ids]) -> NDArray[np.bool_]:
        """Test whether each label is likelier than one of ``others``, bool (n,); by chance half of them are."""
        detections = self._detect(images, labels)
        return np.asarray(self._scores(detections, images, labels) > self._scores(detections, images, others))

    def _scores(
        self, detections: Sequence[CharDetections], images: Sequence[Image], labels: Sequence[Ids],
        calibration: PlattScaling | None = None,
    ) -> NDArray[np.float64]:  # fmt: skip
        """Return the log probability of each label, (n,), in one line or two, whichever gives more."""
        widths, known_ids = [float(image.shape[1]) for image in images], [self._known_ids(label) for label in labels]
        by_lines = [
            label_log_probs(gather(detections, config, widths), known_ids, calibration)
            for config in self._config_of_lines.values()
        ]
        return np.asarray(np.max(by_lines, 0))

    def _known_ids(self, label: Ids) -> Ids:
        """Return the label's class ids, :data:`UNKNOWN` (any character) for symbols that the detector does not know."""
        return np.where(self.by_class & (self._class_of[label] != UNKNOWN), label, UNKNOWN)

    def _detect(self, images: Sequence[Image], labels: Sequence[Ids]) -> list[CharDetections]:
        """Detect candidates in the set's classes and the pictures' own pixels."""
        letterboxed = [
            letterbox(image, self._input_shape(image, label)) for image, label in zip(images, labels, strict=True)
        ]
        detections = in_batches(self._candidates, [picture for picture, _ in letterboxed])
        return [
            replace(picture_detections, xyxy=transform.to_picture(picture_detections.xyxy))
            for picture_detections, (_, transform) in zip(detections, letterboxed, strict=True)
        ]

    def _candidates(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Detect candidates in the set's classes, in letterboxed pictures of one shape."""
        output = self._network.output(images)
        if (self._class_of != UNKNOWN).all():  # characters of other alphabets are none of the label's
            output = of_symbols(output, self._network.names)
        return self._in_set_classes(candidates(output, self._classes))

    def _input_shape(self, image: Image, label: Ids) -> tuple[int, int]:
        height, width = image.shape[:2]
        return self._shape_hw or shape_for([(width, height)], max(1, len(label)))

    def _in_set_classes(self, batch: Sequence[CharDetections]) -> list[CharDetections]:
        """Map the detector's classes to the set's, all of them, the likeliest first."""
        class_ids = np.concatenate([detections.top_class_id for detections in batch])
        confidences = np.concatenate([detections.top_confidence for detections in batch])
        scores = np.zeros((len(class_ids), self._classes), np.float32)
        np.put_along_axis(scores, class_ids, confidences, 1)
        set_scores = np.where(self._class_of != UNKNOWN, scores[:, self._class_of], 0)  # (n, symbols)
        top_class_id = np.argsort(-set_scores, 1, kind="stable")
        top_confidence = np.take_along_axis(set_scores, top_class_id, 1)
        ends = np.cumsum([len(detections) for detections in batch])[:-1]
        parts = zip(batch, np.split(top_class_id, ends), np.split(top_confidence, ends), strict=True)
        return [
            CharDetections(detections.xyxy, scores[:, 0], class_ids[:, 0], detections.objectness, class_ids, scores)
            for detections, class_ids, scores in parts
        ]

    def _zoomed_pass(
        self, images: Sequence[Image], labels: Sequence[Ids], boxes: Sequence[NDArray[np.float32]]
    ) -> list[CharDetections]:
        """Detect candidates in the part of each picture that its boxes are in, in the pixels of the whole picture."""
        parts = [second_view(image, boxes_xyxy) for image, boxes_xyxy in zip(images, boxes, strict=True)]
        detections = self._detect([part for part, _ in parts], labels)
        return [
            replace(part_detections, xyxy=part_detections.xyxy + np.array(corner * 2, np.float32))
            for part_detections, (_, corner) in zip(detections, parts, strict=True)
        ]

    def _align(
        self, detections: Sequence[CharDetections], images: Sequence[Image], labels: Sequence[Ids]
    ) -> list[Located]:
        """Align each label with its picture's candidates, in one line or two, whichever is likelier."""
        fewest, *further = sorted(self._config_of_lines)
        best = self._align_in(fewest, detections, images, labels)
        for lines in further:
            rows = [i for i, (_, located) in enumerate(best) if not located.agrees]
            if not rows:
                break
            subset = [detections[i] for i in rows], [images[i] for i in rows], [labels[i] for i in rows]
            for i, (score, located) in zip(rows, self._align_in(lines, *subset), strict=True):
                if located.lines > 1 and score > best[i][0] + _TWO_LINES:
                    best[i] = score, located
        return [located for _, located in best]

    def _align_in(
        self, lines: int, detections: Sequence[CharDetections], images: Sequence[Image], labels: Sequence[Ids]
    ) -> list[tuple[float, Located]]:
        """Return the best chain of each label in so many lines, with its score."""
        config = self._config_of_lines[lines]
        detected = gather(detections, config, [float(image.shape[1]) for image in images])
        chains = force_align(detected, [self._known_ids(label) for label in labels])
        max_count = min(self._length, detected.odds.shape[1])
        trellis = search(detected, any_string(len(config.symbols), max_count), self._min_count)
        aligned = []
        for row, (image, label, chain) in enumerate(zip(images, labels, chains, strict=True)):
            chain_read, read_ids = trellis.best(row), np.zeros(0, np.int64)
            if chain_read is not None and self.by_class:
                read_ids = detected.top_class_id[row, list(chain_read.candidates), list(chain_read.classes)]
            aligned.append((chain.score, _by_chain(detected, row, label, chain, read_ids, image.shape[:2], lines)))
        return aligned


def _by_chain(
    detected: Candidates, row: int, label: Ids, chain: Alignment, read: Ids, size_hw: tuple[int, int], lines: int
) -> Located:
    """Return where a label's characters are, by the best chain of candidates.

    Args:
        detected: candidates of the batch.
        row: of the picture in it.
        label: class ids, (n,).
        chain: of the label.
        read: class ids of what is read without the label.
        size_hw: height and width of the picture, in pixels.
        lines: most lines that were looked for.
    """
    boxes = np.full((len(label), 4), np.nan)
    aligned = chain.candidates != MISSED
    confidence = np.full(len(label), _INTERPOLATED if 2 * aligned.sum() > len(label) else _GUESSED)
    candidate_ids = chain.candidates[aligned]
    boxes[aligned] = detected.boxes[row, candidate_ids]
    odds = detected.odds[row, candidate_ids]
    is_label = detected.top_class_id[row, candidate_ids] == label[aligned][:, None]  # (aligned, classes)
    of_label = np.where(is_label, detected.top_confidence[row, candidate_ids], 0).max(1, initial=0)
    share = np.clip(of_label / np.maximum(detected.top_confidence[row, candidate_ids].sum(1), 1e-9), 1e-3, 1)
    confidence[aligned] = _calibrated(odds, share)
    boxes_xyxy = _with_area(_interpolated(boxes, size_hw), size_hw)
    line_count = int(detected.line[row, candidate_ids].max(initial=0)) + 1 if lines > 1 else 1
    return Located(boxes_xyxy, confidence, aligned, read, np.array_equal(read, label), lines=line_count)


def _calibrated(odds: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that each box is right, (n,), from its log odds and its symbol's share."""
    score = share / (1 + np.exp(-odds))
    return np.asarray(1 / (1 + np.exp(-_LOGIT_DETECTED - _SLOPE * log_odds(score, 1e-6))))


def _interpolated(boxes: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Fill gaps in boxes (n, 4) xyxy: rows of nan, where nothing was seen, get the median size of the others and a
    place between their neighbours. Where nothing at all was seen, the picture's width is shared out.
    """
    height, width = size_hw
    present = ~np.isnan(boxes[:, 0])
    if present.all():
        return boxes
    n = len(boxes)
    if not present.any():
        edges = np.linspace(0, width, n + 1)
        return np.stack([edges[:-1], np.zeros(n), edges[1:], np.full(n, height)], 1)
    place = np.arange(n)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = np.median((boxes[:, 2:] - boxes[:, :2])[present], 0)
    anchors = place[present]
    pitch = (
        (centre[anchors[-1]] - centre[anchors[0]]) / (anchors[-1] - anchors[0]) if len(anchors) > 1 else (size[0], 0.0)
    )
    filled = np.stack([np.interp(place, anchors, centre[present, k]) for k in (0, 1)], 1)
    beyond = np.minimum(place - anchors[0], 0) + np.maximum(place - anchors[-1], 0)  # places outside all anchors
    filled += beyond[:, None] * np.asarray(pitch)
    interpolated = np.concatenate([filled - size / 2, filled + size / 2], 1)
    return np.where(present[:, None], boxes, interpolated)


def _with_area(boxes: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Clip boxes (n, 4) to the picture and make them at least a pixel wide and high."""
    limit = np.array([size_hw[1], size_hw[0]], np.float64)
    low, high = np.clip(boxes[:, :2], 0, limit), np.clip(boxes[:, 2:], 0, limit)
    middle, half_size = (low + high) / 2, np.maximum(high - low, 1) / 2
    middle = np.clip(middle, half_size, np.maximum(limit - half_size, half_size))
    return np.concatenate([middle - half_size, middle + half_size], 1).astype(np.float32)
