"""Limits of a reader: likely reasons why held-out pictures are read wrongly, with counts."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.data.images import read_image
from detector.data.letterbox import ratio_of
from detector.data.sets.yolo_dataset import BOXES, CharacterSet, ManifestRow
from detector.data.text_files import read_rows
from detector.errors import ImageError
from detector.reading.evaluation import Evaluation
from detector.reading.reader import Reader
from detector.text.calibration import right_string
from detector.text.detections import Reading
from detector.text.forms.lookalikes import look_alike
from detector.text.metrics import TextScore, differing, wilson_interval

PICTURES, LABELS, LOOK_ALIKES, SMALL, RARE, UNLEARNT = (
    "few pictures", "label errors", "look-alikes", "small characters", "rare symbols", "too little training",
)  # fmt: skip
"""Kinds of limits."""

_SAMPLE_SIZE = 300  # of training pictures that are read, and of held-out pictures whose characters are measured
_MIN_SYMBOL_COUNT = 20  # training pictures with a symbol; with fewer it is rare
_MAX_EXAMPLES = 3  # of look-alikes or symbols in a message
_MIN_LEARNT_SHARE = 0.95  # of the training pictures that are read right; below it there was too little training
_SMALL_SET = 300  # training pictures; with fewer, a gap to held-out ones counts even if it may be chance
_MAX_SMALL_HEIGHT = 16  # of small characters in the network's input, in pixels: two of its cells


@dataclass(frozen=True)
class Limit:
    """One likely reason for wrong readings; several may apply to the same picture.

    Args:
        kind: one of this module's constants.
        wrong: number of held-out pictures that it may explain.
        message: the finding, with figures.
        settings: arguments that may help, by name.
    """

    kind: str
    wrong: int
    message: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Evidence:
    """The findings from which limits are derived.

    Args:
        characters: the converted set.
        evaluation: of held-out pictures.
        learnt: score on training pictures.
        to_review: number of suspects that nobody has decided on.
    """

    characters: CharacterSet
    evaluation: Evaluation
    learnt: TextScore
    to_review: int

    @property
    def space(self) -> str:
        """The symbol without a box."""
        return self.characters.config.space

    @property
    def wrong(self) -> list[tuple[str, str, str]]:
        """(name, label, text that was read) of each wrong reading; pictures that cannot be decoded are left out."""
        return [
            (row.name, row.label.rstrip(self.space), row.reading.shown_text.rstrip(self.space))
            for row in self.evaluation.rows
            if isinstance(row.reading, Reading) and not right_string(row.label, row.reading, self.space)
        ]


def score_of_learnt(reader: Reader, characters: CharacterSet, seed: int) -> TextScore:
    """Score the reader on a random sample of its training pictures, without confusions.

    A high score only says that the labels were learnt, not that they are right.

    Args:
        reader: the trained reader.
        characters: the set that it was trained on.
        seed: of the sample.
    """
    (rows,) = characters.rows("train")
    sample = random.Random(seed).sample(rows, min(_SAMPLE_SIZE, len(rows)))
    readings = reader.read_many(characters.root / row.image for row in sample)
    pairs = [(row, reading) for row, reading in zip(sample, readings, strict=True) if isinstance(reading, Reading)]
    correct = sum(right_string(row.text, reading, characters.config.space) for row, reading in pairs)
    return TextScore(len(pairs), correct, 0, 0)


def limits_of(evidence: Evidence) -> tuple[Limit, ...]:
    """Find all limits that apply, the one that explains most errors first."""
    manifest = evidence.characters.manifest()
    limits = (
        _label_errors(evidence, manifest),
        _look_alikes(evidence, manifest),
        _rare_symbols(evidence, manifest),
        _small_characters(evidence),
        _too_little_training(evidence),
        _few_pictures(evidence, manifest),
    )
    return tuple(sorted((limit for limit in limits if limit is not None), key=lambda limit: -limit.wrong))


def _label_errors(evidence: Evidence, manifest: Sequence[ManifestRow]) -> Limit | None:
    """Count wrong readings whose labels the conversion suspects, too, and suspects that nobody has decided on."""
    suspect_names = {row.image for row in manifest if row.status == "suspect"}
    count = sum(name in suspect_names for name, _, _ in evidence.wrong)
    if not count and not evidence.to_review:
        return None
    message = f"labels that look wrong and that nobody has decided on: {evidence.to_review}"
    if count:
        message += f"; wrong readings of held-out pictures with such a label: {count} of {len(evidence.wrong)}"
    return Limit(LABELS, count, message, {})


def _look_alikes(evidence: Evidence, manifest: Sequence[ManifestRow]) -> Limit | None:
    """Count wrong readings that differ from the label in look-alikes only, or in repeatedly confused symbols."""
    confusions = [_confusions(label, text) for _, label, text in evidence.wrong]
    times = Counter(frozenset(pair) for pairs in confusions for pair in pairs)
    lookalike_pairs = {pair for pair in times if times[pair] > 1 or look_alike(*pair)}
    explained = [pairs for pairs in confusions if pairs and all(frozenset(pair) in lookalike_pairs for pair in pairs)]
    if not explained:
        return None
    frequent = Counter(pair for pairs in explained for pair in pairs).most_common(_MAX_EXAMPLES)
    examples = ", ".join(
        f"{read} for {true} {n} times" if n > 1 else f"{read} for {true}" for (true, read), n in frequent
    )
    pattern = pattern_of(row.text for row in manifest if row.status == "ok")
    pattern_helps = pattern is not None and not evidence.characters.config.pattern
    share = f"{len(explained)} of {len(evidence.wrong)} wrong readings"
    message = f"symbols are taken for others that look like them in {share}: {examples}"
    return Limit(LOOK_ALIKES, len(explained), message, {"pattern": str(pattern)} if pattern_helps else {})


def _confusions(label: str, text: str) -> list[tuple[str, str]]:
    """Return the differing pairs of (label's symbol, symbol that was read); none if the lengths differ."""
    if len(label) != len(text):
        return []
    return [(a, b) for a, b in zip(label, text, strict=True) if a != b]


def pattern_of(texts: Iterable[str]) -> str | None:
    """Return the format that all texts fit, with a digit or a letter at each place; None if there is none.

    There is one alternative for each length. There is no format if a place has both digits and letters, if texts are
    shorter than three symbols, or if fewer than twenty texts have a length.
    """
    by_length: dict[int, list[str]] = {}
    for text in set(texts):
        by_length.setdefault(len(text), []).append(text)
    formats = []
    for length, group in sorted(by_length.items()):
        places = ["".join(signs) for signs in zip(*group, strict=True)]
        kinds = ["9" if signs.isdecimal() else "A" if signs.isalpha() else "X" for signs in places]
        if "X" in kinds or length < 3 or len(group) < 20 or not all(text.isascii() for text in group):
            return None
        formats.append("".join(kinds))
    return "|".join(formats) if formats and {*"".join(formats)} - {"|"} == {"9", "A"} else None


def _rare_symbols(evidence: Evidence, manifest: Sequence[ManifestRow]) -> Limit | None:
    """Count wrong readings that miss symbols which are rare in training."""
    training_counts = Counter(sign for row in manifest if row.folder == "train" for sign in {*row.text})
    missing_symbols = [
        {label[i] for i in differing(label, text)[0]} - {evidence.space} for _, label, text in evidence.wrong
    ]
    rare = Counter(sign for signs in missing_symbols for sign in signs if training_counts[sign] < _MIN_SYMBOL_COUNT)
    if not rare:
        return None
    count = sum(bool(signs & rare.keys()) for signs in missing_symbols)
    examples = ", ".join(f"{sign} in {training_counts[sign]}" for sign, _ in rare.most_common(_MAX_EXAMPLES))
    message = (
        f"{count} of {len(missing_symbols)} wrong readings miss symbols that few training pictures show: {examples}"
    )
    return Limit(RARE, count, message, {})


def _small_characters(evidence: Evidence) -> Limit | None:
    """Count wrong readings of pictures with small characters, if these are read wrongly significantly more often."""
    heights = _heights(evidence)
    wrong_names = {name for name, _, _ in evidence.wrong}
    if len(heights) < 4:
        return None
    bound = min(float(np.quantile([height for height, _ in heights.values()], 1 / 3)), _MAX_SMALL_HEIGHT)
    small_names = [name for name, (height, _) in heights.items() if height <= bound]
    other_names = [name for name in heights if name not in small_names]
    if not small_names or not other_names:
        return None
    small_count, other_count = (sum(name in wrong_names for name in names) for names in (small_names, other_names))
    if wilson_interval(small_count, len(small_names))[0] <= wilson_interval(other_count, len(other_names))[1]:
        return None
    max_height = max(heights[name][0] for name in small_names)
    scale = float(np.median([ratio for name, (_, ratio) in heights.items() if name in small_names]))
    sides = evidence.characters.config.shape_hw or (0, 0)
    message = (
        f"{small_count} of {len(small_names)} pictures whose characters are {max_height:.0f} pixels or less high for "
        f"the network are read wrongly, and {other_count} of {len(other_names)} others"
    )
    return Limit(SMALL, small_count, message, {"imgsz": str(2 * max(sides))} if scale < 1 else {})


def _heights(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """Measure characters of some held-out pictures of the set, which have boxes.

    Returns:
        By name of the picture: median height of its characters in the network's input, in pixels, and the factor by
        which the picture is scaled there.
    """
    shape_hw = evidence.characters.config.shape_hw
    if shape_hw is None:
        return {}
    heights_of: dict[str, list[float]] = {}
    paths = {row.name: row.path for row in evidence.evaluation.rows[:_SAMPLE_SIZE]}
    for image, top, bottom in _tops_and_bottoms(evidence.characters.root / BOXES):
        if image in paths:
            heights_of.setdefault(image, []).append(bottom - top)
    heights = {}
    for image, box_heights in heights_of.items():
        try:
            height, width = read_image(paths[image]).shape[:2]
        except ImageError:
            continue
        ratio = ratio_of((width, height), shape_hw)
        heights[image] = float(np.median(box_heights)) * ratio, ratio
    return heights


def _tops_and_bottoms(path: Path) -> list[tuple[str, float, float]]:
    """Read (picture, top, bottom) of each box, in pixels; nothing if the table was damaged by an edit."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for _, row in read_rows(file)][1:]
        return [(row[0], float(row[3]), float(row[5])) for row in rows]
    except (OSError, ValueError, IndexError, csv.Error):
        return []


def _too_little_training(evidence: Evidence) -> Limit | None:
    """Estimate the wrong readings due to too little training, from training pictures that are read wrongly."""
    learnt = evidence.learnt
    if not learnt.count or learnt.exact_match >= _MIN_LEARNT_SHARE:
        return None
    held_out_error = max(1 - evidence.evaluation.exact_match, 1e-9)
    count = round(len(evidence.wrong) * min(1.0, (1 - learnt.exact_match) / held_out_error))
    if not count:
        return None
    message = f"only {learnt.exact_match:.1%} of the pictures that were trained on are read right"
    return Limit(UNLEARNT, count, message, {})


def _few_pictures(evidence: Evidence, manifest: Sequence[ManifestRow]) -> Limit | None:
    """Estimate the wrong readings due to few pictures, from the gap between training and held-out pictures."""
    learnt, held_out = evidence.learnt, evidence.evaluation
    training_count = sum(row.folder == "train" for row in manifest)
    count = min(len(evidence.wrong), round((learnt.exact_match - held_out.exact_match) * held_out.count))
    if count < 1 or (training_count >= _SMALL_SET and learnt.interval[0] <= held_out.interval[1]):
        return None
    message = (
        f"of the {training_count} pictures that were trained on {learnt.exact_match:.1%} are read right, of the "
        f"held-out ones {held_out.exact_match:.1%}: more labelled pictures would help"
    )
    return Limit(PICTURES, count, message, {})
