"""``report.html``: a converted set in one page that opens without a network.

Everything comes from the set on disk; nothing here depends on the time or the place, so the same set gives the same
page.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.data.images import read_image
from detector.data.parallel import prefetch_map
from detector.data.sets.yolo_dataset import (
    MANIFEST,
    SPLITS,
    SUSPECTS,
    ManifestRow,
    RejectRow,
    label_file,
    parse_labels,
    read_manifest,
    read_rejects,
    read_set,
    set_name,
)
from detector.errors import DatasetError
from detector.reading.pages.cards import Card, Drawing, Gallery, as_many_as_fit, compare_symbols, draw, write_page
from detector.text.reading_config import ReadingConfig

REPORT = "report.html"

MAX_PICTURES = 400
"""Pictures that each gallery shows at most: the suspects, and the least sure of the others."""

_KINDS, _EXAMPLES = 20, 25  # reasons of refusal that are listed, and inputs under each
_CLASSES = 120  # rarest first where an alphabet has more


@dataclass(frozen=True)
class Bar:
    """One line of a table of counts; ``share`` is of the greatest, in [0, 1]."""

    name: str
    count: int
    share: float


@dataclass(frozen=True)
class Refusals:
    """A kind of reason, how many inputs were refused for it, and the first of them."""

    kind: str
    count: int
    rows: list[RejectRow]


def write_report(root: Path, *, final_root: Path | None = None, max_pictures: int = MAX_PICTURES) -> Path:
    """Write ``report.html`` into a converted set, from what lies there.

    Suspects come first, those with a reading that differs from the label before the others; then, as all others, the
    least sure first. Pictures and label files that cannot be read are shown as such.

    Args:
        root: the set's folder.
        final_root: where the set will lie, which names it; ``root``, if None.
        max_pictures: pictures embedded at most, of the suspects and of the others each.

    Returns:
        The page's path.

    Raises:
        DatasetError: if ``root`` is no converted set, or its tables are damaged.
    """
    folder = (final_root or root).resolve()
    config = read_set(root).config
    manifest, rejects = read_manifest(root), read_rejects(root)
    suspects = [row for row in manifest if row.status == "suspect"]
    others = [row for row in manifest if row.status != "suspect"]
    places = Counter(row.folder for row in manifest)
    characters = Counter(_characters(manifest, config))
    learnt = set(_characters((row for row in manifest if row.folder == "train"), config))
    rarest = heapq.nsmallest(_CLASSES, range(len(config.symbols)), key=lambda i: characters[config.symbols[i]])
    path = root / REPORT
    write_page(
        path, REPORT, config.space,
        title=set_name(folder),
        folder=folder.name,
        config=config,
        inputs=len(manifest) + len(rejects),
        counts={"ok": len(others), "suspect": len(suspects), "refused": len(rejects)},
        splits=_bars({**{split: places[split] for split in SPLITS}, "kept out": places[SUSPECTS]}),
        lengths=_bars({str(k): n for k, n in sorted(Counter(len(row.text) for row in manifest).items())}),
        classes=_bars({config.symbols[i]: characters[config.symbols[i]] for i in sorted(rarest)}),
        unlearnt=[symbol for symbol in config.symbols if symbol not in learnt],
        galleries=[
            Gallery(
                "Suspects",
                "Label and picture may disagree. Those not read as labelled come first, the least sure on top.",
                _cards(root, suspects, config, max_pictures), len(suspects), "suspect",
            ),
            Gallery(
                "The others, least sure first", "Confidence is that of a picture’s least sure box.",
                _cards(root, others, config, max_pictures), len(others), "ok",
            ),
        ],
        refusals=_refusals(rejects),
    )  # fmt: skip
    return path


def _characters(rows: Iterable[ManifestRow], config: ReadingConfig) -> Iterable[str]:
    return (symbol for row in rows for symbol in row.text if symbol != config.space)


def _bars(counts: dict[str, int]) -> list[Bar]:
    greatest = max(counts.values(), default=0) or 1
    return [Bar(name, count, count / greatest) for name, count in counts.items()]


def _refusals(rejects: Sequence[RejectRow]) -> list[Refusals]:
    """Group refused inputs by the kind of reason, the commonest first."""
    by_kind: dict[str, list[RejectRow]] = {}
    for row in rejects:
        by_kind.setdefault(row.kind, []).append(row)
    kinds = sorted(by_kind.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Refusals(kind, len(rows), rows[:_EXAMPLES]) for kind, rows in kinds[:_KINDS]]


def _cards(root: Path, rows: Sequence[ManifestRow], config: ReadingConfig, max_pictures: int) -> list[Card]:
    """Make cards of the first pictures: suspects that were not read as labelled come first, then the least sure."""

    def rank(row: ManifestRow) -> tuple[bool, float, str]:
        try:
            return row.status == "suspect" and row.seems_read, float(row.confidence), row.image
        except ValueError:
            raise DatasetError(
                f"{root / MANIFEST}: {row.image} has the confidence {row.confidence!r}, no number: convert again."
            ) from None

    cards = prefetch_map(lambda row: _card(root, row, config), heapq.nsmallest(max_pictures, rows, key=rank))
    return as_many_as_fit(cards)


def _card(root: Path, row: ManifestRow, config: ReadingConfig) -> Card:
    text, read = compare_symbols(row.text, row.read, config.space)
    card = Card(row.source, text, read or None, row.confidence, (row.split, row.method))
    return card.drawn(lambda: _drawing(root, row, config))


def _drawing(root: Path, row: ManifestRow, config: ReadingConfig) -> Drawing:
    image = read_image(root / row.image)
    height, width = image.shape[:2]
    class_ids, boxes_xyxy = parse_labels(label_file(root, row.image), width, height, len(config.symbols))
    return draw(image, [config.symbols[c] for c in class_ids], boxes_xyxy)
