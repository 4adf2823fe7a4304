"""A reader against labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.errors import DatasetError, SourceError
from detector.metrics import TextScore, score_texts
from detector.predict import Failure, Reader
from detector.sources import read_source
from detector.yolo_format import read_set


@dataclass(frozen=True)
class Evaluation:
    """How a reader did.

    Args:
        score: exact match, CER and confusions of the pictures that could be decoded.
        wrong: (name, label, reading, confidence) of those read wrongly, the surest first.
        failures: pictures that could not be decoded; they count as wrong in ``exact_match``.
        seconds: from file to string, for all.
    """

    score: TextScore
    wrong: tuple[tuple[str, str, str, float], ...]
    failures: tuple[Failure, ...]
    seconds: float

    @property
    def count(self) -> int:
        """Labelled pictures, those that could not be decoded included."""
        return self.score.count + len(self.failures)

    @property
    def exact_match(self) -> float:
        """Share of strings that are right altogether, blanks included."""
        return self.score.right / self.count if self.count else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        low, high = self.score.interval
        return {
            "exact_match": round(self.exact_match, 4),
            "interval_95": [round(low, 4), round(high, 4)],
            "cer": round(self.score.cer, 4),
            "count": self.count,
            "failures": [{"name": f.name, "reason": f.reason} for f in self.failures],
            "wrong": [{"name": n, "label": a, "reading": b, "confidence": round(c, 4)} for n, a, b, c in self.wrong],
            "confusions": [{"label": a, "reading": b, "times": n} for (a, b), n in self.score.confusions.most_common()],
            "seconds": round(self.seconds, 3),
        }


def evaluate(
    reader: Reader,
    source: str | Path,
    *,
    split: str = "test",
    labels: str | Path = "auto",
    blank: str | None = None,
    upper: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Read labelled pictures and compare.

    Args:
        reader: the reader.
        source: a folder or label file as ``convert`` takes them; or the ``data.yaml`` of a converted set.
        split: for a converted set, which of its splits.
        labels, blank, upper: for other sources, as :func:`detector.convert` takes them.
        progress: called with (done, total).

    Raises:
        SourceError: if there are no labelled pictures.
        DatasetError: if a converted set has no such split.
    """
    pairs = _labelled(source, split, labels, blank, upper)
    texts, read, names = [], [], []
    failures: list[Failure] = []
    confidences: list[float] = []
    began = time.perf_counter()
    for done, ((_path, text, name), (_, reading)) in enumerate(
        zip(pairs, reader.stream([p for p, _, _ in pairs]), strict=True), 1
    ):
        if isinstance(reading, Failure):
            failures.append(Failure(name, reading.reason))
        else:
            texts.append(text)
            read.append(reading.text)
            names.append(name)
            confidences.append(reading.confidence)
        if progress is not None:
            progress(done, len(pairs))
    seconds = time.perf_counter() - began
    wrong = [row for row in zip(names, texts, read, confidences, strict=True) if row[1] != row[2]]
    wrong.sort(key=lambda row: -row[3])
    return Evaluation(score_texts(texts, read, reader.rules.blank), tuple(wrong), tuple(failures), seconds)


def _labelled(
    source: str | Path, split: str, labels: str | Path, blank: str | None, upper: bool
) -> list[tuple[Path, str, str]]:
    """(path, text, name) of each labelled picture."""
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or (path / "data.yaml").is_file():
        characters = read_set(path)
        rows = [row for row in characters.manifest() if row.image.startswith(f"images/{split}/")]
        if not rows:
            splits = sorted({row.image.split("/")[1] for row in characters.manifest()})
            raise DatasetError(f"{path} has no pictures in split {split!r}, only in {', '.join(splits)}.")
        return [(characters.root / row.image, row.text, row.image) for row in rows]
    found = read_source(path, labels=labels, blank=blank, upper=upper)
    if not found.items:
        raise SourceError(f"{path}: no labelled picture is left of {found.count}.")
    return [(item.path, item.text, item.name) for item in found.items]
