"""An evaluation in one HTML page that opens without a network: figures, curves, and the worst pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from detector.data.images import read_image
from detector.data.parallel import prefetch_map
from detector.reading.evaluation import PRECISION, EvaluatedPicture, Evaluation
from detector.reading.pages.cards import Card, Gallery, as_many_as_fit, draw, mark_symbols, write_page
from detector.text.detections import Reading
from detector.text.metrics import differing

MAX_PICTURES = 200
"""Pictures that the page shows at most of those wrong, and of those rejected."""

_LISTED = 40  # confusions, and pictures that could not be decoded


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
    write_page(
        path, "evaluation.html", evaluation.space,
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
    )  # fmt: skip


def _gallery(
    title: str, explanation: str, rows: Sequence[tuple[EvaluatedPicture, Reading]], space: str, max_pictures: int
) -> Gallery:
    cards = prefetch_map(lambda pair: _card(pair[0], pair[1], space), islice(rows, max_pictures))
    return Gallery(title, explanation, as_many_as_fit(cards), len(rows))


def _card(row: EvaluatedPicture, reading: Reading, space: str) -> Card:
    text, read = row.label.rstrip(space), reading.shown_text.rstrip(space)
    in_text, in_read = differing(text, read)
    boxes_xyxy = np.array(list(chain(*(c.xyxy for c in reading.characters))), np.float32).reshape(-1, 4)
    card = Card(
        row.name, mark_symbols(text, in_text), mark_symbols(read, in_read), f"{reading.confidence:.4f}",
        (reading.rejected,) if reading.rejected else (),
    )  # fmt: skip
    # The picture was read a moment ago, and may be gone.
    return card.drawn(lambda: draw(read_image(row.path), [c.symbol for c in reading.characters], boxes_xyxy))
