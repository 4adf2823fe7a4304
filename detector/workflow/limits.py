"""What keeps a reader from reading more: counted on the held-out pictures that it gets wrong."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.data.csv_files import read_rows
from detector.data.images import read_image
from detector.data.letterbox import ratio_of
from detector.data.yolo_dataset import BOXES, CharacterSet, ManifestRow
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

_SAMPLE_SIZE = 300  # training pictures that are read, and held-out pictures whose characters are measured
_RARE_BELOW = 20  # pictures to learn a symbol from, below which it is rare
_PAIRS = 3  # of look-alikes, and symbols, that a message names
_LEARNT = 0.95  # share of the pictures that were learnt, below which training did not take them in
_MIN_PICTURES = 300  # pictures to learn from, below which a difference counts that chance may have made
_SMALL_PIXELS = 16  # height in the network's input from which on characters are not small: two of its cells


@dataclass(frozen=True)
class Limit:
    """One reason why held-out pictures are read wrongly; several may be of one picture.

    Args:
        kind: one of this module's constants.
        wrong: held-out pictures that it may explain.
        message: what is so, in figures.
        settings: arguments that would change it, by name.
    """

    kind: str
    wrong: int
    message: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Evidence:
    """What limits are told from.

    Args:
        characters: the converted set.
        evaluation: of held-out pictures.
        learnt: how pictures that were trained on are read.
        to_review: suspects that nobody has decided on.
    """

    characters: CharacterSet
    evaluation: Evaluation
    learnt: TextScore
    to_review: int

    @property
    def space(self) -> str:
        """The symbol that has no box."""
        return self.characters.config.space

    @property
    def wrong(self) -> list[tuple[str, str, str]]:
        """(name, label, string) of what was read otherwise; pictures that could not be decoded are no evidence."""
        return [
            (row.name, row.label.rstrip(self.space), row.reading.shown_text.rstrip(self.space))
            for row in self.evaluation.rows
            if isinstance(row.reading, Reading) and not right_string(row.label, row.reading, self.space)
        ]


def score_of_learnt(reader: Reader, characters: CharacterSet, seed: int) -> TextScore:
    """How some of the pictures that were trained on are read, drawn: a label that is learnt may be wrong all the same.

    Confusions are not counted.
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
    """Held-out label errors by conversion and reader alike; and suspects that nobody decided on."""
    suspect_names = {row.image for row in manifest if row.status == "suspect"}
    count = sum(name in suspect_names for name, _, _ in evidence.wrong)
    if not count and not evidence.to_review:
        return None
    message = f"labels that look wrong and that nobody has decided on: {evidence.to_review}"
    if count:
        message += f"; wrong readings of held-out pictures with such a label: {count} of {len(evidence.wrong)}"
    return Limit(LABELS, count, message, {})


def _look_alikes(evidence: Evidence, manifest: Sequence[ManifestRow]) -> Limit | None:
    """Wrong readings whose symbols only look like the label's, or are confused with them repeatedly."""
    replaced = [_replaced(label, read) for _, label, read in evidence.wrong]
    times = Counter(frozenset(pair) for pairs in replaced for pair in pairs)
    lookalike_pairs = {pair for pair in times if times[pair] > 1 or look_alike(*pair)}
    wrong = [pairs for pairs in replaced if pairs and all(frozenset(pair) in lookalike_pairs for pair in pairs)]
    if not wrong:
        return None
    usual = Counter(pair for pairs in wrong for pair in pairs).most_common(_PAIRS)
    names = ", ".join(f"{read} for {label} {n} times" if n > 1 else f"{read} for {label}" for (label, read), n in usual)
    pattern = pattern_of(row.text for row in manifest if row.status == "ok")
    helps = pattern is not None and not evidence.characters.config.pattern
    among = f"{len(wrong)} of {len(evidence.wrong)} wrong readings"
    message = f"symbols are taken for others that look like them in {among}: {names}"
    return Limit(LOOK_ALIKES, len(wrong), message, {"pattern": str(pattern)} if helps else {})


def _replaced(label: str, read: str) -> list[tuple[str, str]]:
    """Return pairs of label symbol and read symbol that differ; None where the lengths differ."""
    if len(label) != len(read):
        return []
    return [(a, b) for a, b in zip(label, read, strict=True) if a != b]


def pattern_of(texts: Iterable[str]) -> str | None:
    """Return the format that all texts fit, a digit or a letter in each place; None where they fit none.

    Alternatives are for texts of other lengths. A place that has both has no format, and neither has what is shorter
    than three symbols or shown by fewer than twenty texts.
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
    """Symbols that are rare in training and missed in wrong readings."""
    training_counts = Counter(sign for row in manifest if row.image.startswith("images/train/") for sign in {*row.text})
    missed = [
        {label[place] for place in differing(label, read)[0]} - {evidence.space} for _, label, read in evidence.wrong
    ]
    rare = Counter(sign for signs in missed for sign in signs if training_counts[sign] < _RARE_BELOW)
    if not rare:
        return None
    wrong = sum(bool(signs & rare.keys()) for signs in missed)
    names = ", ".join(f"{sign} in {training_counts[sign]}" for sign, _ in rare.most_common(_PAIRS))
    message = f"{wrong} of {len(missed)} wrong readings miss symbols that few training pictures show: {names}"
    return Limit(RARE, wrong, message, {})


def _small_characters(evidence: Evidence) -> Limit | None:
    """Whether pictures with small characters in the network's input are read wrongly more often."""
    heights = _heights(evidence)
    wrong_names = {name for name, _, _ in evidence.wrong}
    if len(heights) < 4:
        return None
    bound = min(float(np.quantile([height for height, _ in heights.values()], 1 / 3)), _SMALL_PIXELS)
    small_names = [name for name, (height, _) in heights.items() if height <= bound]
    other_names = [name for name in heights if name not in small_names]
    if not small_names or not other_names:
        return None
    wrong, other_wrong = (sum(name in wrong_names for name in names) for names in (small_names, other_names))
    if wilson_interval(wrong, len(small_names))[0] <= wilson_interval(other_wrong, len(other_names))[1]:
        return None
    highest = max(heights[name][0] for name in small_names)
    shrunk = float(np.median([ratio for name, (_, ratio) in heights.items() if name in small_names]))
    sides = evidence.characters.config.shape_hw or (0, 0)
    message = (
        f"{wrong} of {len(small_names)} pictures whose characters are {highest:.0f} pixels or less high for the "
        f"network are read wrongly, and {other_wrong} of {len(other_names)} others"
    )
    return Limit(SMALL, wrong, message, {"imgsz": str(2 * max(sides))} if shrunk < 1 else {})


def _heights(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """Of some held-out pictures the median height of a character in the network's input, and the scale of the picture
    there; of those of the set only, which have boxes."""
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
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for _, row in read_rows(file)][1:]
        return [(row[0], float(row[3]), float(row[5])) for row in rows]
    except (OSError, ValueError, IndexError, csv.Error):  # somebody edited it: it is no evidence
        return []


def _too_little_training(evidence: Evidence) -> Limit | None:
    """Learnt pictures that are not read: more pictures would not be, either."""
    learnt = evidence.learnt
    if not learnt.count or learnt.exact_match >= _LEARNT:
        return None
    held_out_error = max(1 - evidence.evaluation.exact_match, 1e-9)
    wrong = round(len(evidence.wrong) * min(1.0, (1 - learnt.exact_match) / held_out_error))
    if not wrong:
        return None
    message = f"only {learnt.exact_match:.1%} of the pictures that were trained on are read right"
    return Limit(UNLEARNT, wrong, message, {})


def _few_pictures(evidence: Evidence, manifest: Sequence[ManifestRow]) -> Limit | None:
    """Gap between learnt and held-out pictures: more labelled pictures would help."""
    learnt, held_out = evidence.learnt, evidence.evaluation
    count = sum(row.image.startswith("images/train/") for row in manifest)
    wrong = min(len(evidence.wrong), round((learnt.exact_match - held_out.exact_match) * held_out.count))
    if wrong < 1 or (count >= _MIN_PICTURES and learnt.interval[0] <= held_out.interval[1]):
        return None
    message = (
        f"of the {count} pictures that were trained on {learnt.exact_match:.1%} are read right, of the held-out ones "
        f"{held_out.exact_match:.1%}: more labelled pictures have something to teach"
    )
    return Limit(PICTURES, wrong, message, {})
