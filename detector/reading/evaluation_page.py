"""An evaluation in one HTML page that opens without a network: figures, curves, and the worst pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from detector.data.atomic import atomic_write
from detector.data.images import read_image
from detector.data.parallel import prefetch_map
from detector.errors import DetectorError
from detector.reading.evaluation import PRECISION, EvaluatedPicture, Evaluation
from detector.reading.report import STRIP, TILE_WH, Drawing, as_many_as_fit, draw, environment
from detector.text.detections import Reading
from detector.text.metrics import differing

MAX_PICTURES = 200
"""Pictures that the page shows at most of those wrong, and of those rejected."""

_LISTED = 40  # confusions, and pictures that could not be decoded


@dataclass(frozen=True)
class Card:
    """A picture: label and reading symbol by symbol, each with whether the other has it not there."""

    name: str
    text: list[tuple[str, bool]]
    read: list[tuple[str, bool]]
    confidence: float
    note: str
    drawing: Drawing | None
    problem: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures that are shown, of how many there are."""

    title: str
    explained: str
    cards: list[Card]
    total: int


def write_evaluation(
    evaluation: Evaluation,
    path: Path,
    *,
    title: str,
    precision: float = PRECISION,
    against: Evaluation | None = None,
    max_pictures: int = MAX_PICTURES,
) -> None:
    """Atomically write the page.

    Args:
        evaluation: what is shown.
        path: of the page.
        title: what was evaluated.
        precision: as :meth:`Evaluation.coverage` takes it.
        against: another reader of the same pictures.
        max_pictures: pictures embedded at most, of the wrong and of the rejected each; 5 MB each at most, too.

    Raises:
        DetectorError: if the other one did not read the same pictures, or the precision is none.
        OSError: if the page cannot be written.
    """
    confusions = evaluation.score.confusions
    page = environment(evaluation.space).get_template("evaluation.html").stream(
        title=title,
        evaluation=evaluation,
        coverage=evaluation.coverage(precision),
        comparison=None if against is None else evaluation.against(against),
        confusions=confusions.most_common(_LISTED),
        confusions_left=max(0, len(confusions) - _LISTED),
        listed=_LISTED,
        galleries=[
            _gallery("Wrong, the surest first", "A sure error is the worst one, or a wrong label.",
                   evaluation.wrong_rows, evaluation.space, max_pictures),
            _gallery("Rejected, the surest first", "Neither right nor wrong: the reader left them to a person.",
                   evaluation.rejected, evaluation.space, max_pictures),
        ],
        tile=TILE_WH[0],
        strip=STRIP,
    )  # fmt: skip
    with atomic_write(path) as part:
        page.dump(str(part), encoding="utf-8")


def _gallery(
    title: str, explanation: str, rows: Sequence[tuple[EvaluatedPicture, Reading]], space: str, max_pictures: int
) -> Gallery:
    cards = prefetch_map(lambda pair: _card(pair[0], pair[1], space), islice(rows, max_pictures))
    return Gallery(title, explanation, as_many_as_fit(cards), len(rows))


def _card(row: EvaluatedPicture, reading: Reading, space: str) -> Card:
    text, read = row.label.rstrip(space), reading.shown_text.rstrip(space)
    in_text, in_read = differing(text, read)
    words = [(s, i in in_text) for i, s in enumerate(text)], [(s, i in in_read) for i, s in enumerate(read)]
    note = reading.rejected or ""
    boxes = np.array(list(chain(*(c.xyxy for c in reading.characters))), np.float32).reshape(-1, 4)
    try:
        drawing = draw(read_image(row.path), [c.symbol for c in reading.characters], boxes)
    except DetectorError as error:  # it was there a moment ago
        return Card(row.name, *words, reading.confidence, note, None, str(error))
    return Card(row.name, *words, reading.confidence, note, drawing)
