"""The converted set's tree: written from what was found, picture by picture, and put in place whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.conversion.inputs import Inputs
from detector.conversion.locating.boxes import Boxes, visible_ids, visible_symbols
from detector.conversion.locating.detectors import write_reader
from detector.conversion.locating.label_errors import label_error_probabilities
from detector.conversion.review import REVIEW, Review, write_review
from detector.conversion.set_folder import INNER_LISTS, WORK
from detector.conversion.set_pictures import LabelledPicture, PictureFiles, PictureShards, SetPictures
from detector.conversion.settings import Settings
from detector.data.folders.owned import OwnedFiles
from detector.data.labels.sources import LabelledImage
from detector.data.parallel import Progress
from detector.data.sets import yolo_dataset
from detector.data.sets.yolo_dataset import BOXES, MANIFEST, READER, REJECTS, SPLITS, SUSPECTS, ManifestRow
from detector.errors import NotLearnedError, argument
from detector.reading.pages.report import REPORT, write_report
from detector.text.reading_config import ReadingConfig
from detector.text.spacing import find_layout

_TABLES = (
    "data.yaml", "obj.data", "obj.names", *(f"{split}.txt" for split in (*SPLITS, SUSPECTS)), MANIFEST, BOXES, REJECTS,
    REVIEW, REPORT, READER,
)  # fmt: skip
_LAYOUT_FROM = 20_000  # pictures that tell how wide spaces are


class _LayoutExample(NamedTuple):
    """A picture that tells how wide spaces are: its boxes (n, 4) in its pixels, its text and its width."""

    boxes_xyxy: NDArray[np.float32]
    text: str
    width: int


class SetWriter:
    """Writes a set beside its kept work; what an earlier attempt wrote of it is replaced.

    Args:
        root: where to write; only the folder ``work`` in it stays as it is.
        final_root: where the set will lie.
        settings: of the conversion.
        inputs: its pictures.
        limit: pictures whose confidence is below this are suspects.
        shards: write shards in place of a file a picture.
        vouched: names of those that are none all the same, for a person said so.
        learnt: file of the detector that reads the set, see
            :func:`detector.conversion.locating.detectors.write_reader`; None writes none.
    """

    def __init__(
        self,
        root: Path,
        final_root: Path,
        settings: Settings,
        inputs: Inputs,
        *,
        limit: float,
        shards: bool = False,
        vouched: frozenset[str] = frozenset(),
        learnt: Path | None = None,
    ) -> None:
        self.root, self.final_root, self.settings, self.inputs = root, final_root.resolve(), settings, inputs
        self.limit, self.vouched, self.learnt = limit, vouched, learnt
        self.images: dict[str, list[str]] = {s: [] for s in (*SPLITS, SUSPECTS)}
        self.rejects = list(inputs.rejects)
        self.to_review = 0
        self._counts: list[int] = []
        self._layout_examples: list[_LayoutExample] = []
        self._error_probability_of: dict[str, float] = {}  # of each label, by the picture's name
        self._owned = OwnedFiles(root)
        self._owned.delete(keep=WORK)
        self._owned.add(*INNER_LISTS, *_TABLES)
        self._pictures: SetPictures = PictureShards(root, self._owned) if shards else PictureFiles(root, self._owned)

    def write(
        self,
        boxes_of: Callable[[LabelledImage], Boxes],
        shape_hw: tuple[int, int],
        review: Review,
        labels: Mapping[str, str],
        progress: Progress,
    ) -> tuple[ReadingConfig, float]:
        """Write pictures, labels, tables, report and review.

        Args:
            boxes_of: what there is to write of a picture.
            shape_hw: of the networks' input.
            review: earlier decisions.
            labels: of the pictures decided on, the text in the source, by name.
            progress: called after every picture.

        Returns:
            The reading config, and the share of the texts that the layout's rule for spaces explains.

        Raises:
            NotLearnedError: if no picture is left to train on.
        """
        reviewed: list[ManifestRow] = []
        self._error_probability_of = self._error_probabilities(boxes_of)

        def rows() -> Iterator[ManifestRow]:
            for done, item in enumerate(self.inputs.items, 1):
                row = self._add(item, boxes_of(item))
                if row.status == "suspect" or row.source in review.rows:
                    reviewed.append(row)
                yield row
                progress("write", done, len(self.inputs.items))

        with self._pictures:
            # Line by line: a million rows need no memory. The rejects come second, when all of them are known.
            yolo_dataset.write_tables(self.root, rows(), self.rejects)
        if not self.images["train"]:
            raise NotLearnedError(
                f"No picture is left to train on: {len(self.images[SUSPECTS])} are suspects. Check some labels "
                f"against their pictures, or say {argument('keep_suspects')}: what was found so far is kept for it."
            )
        hashed = self._pictures.finish(progress)
        rejected = (row.source for row in self.rejects)
        self.to_review = write_review(self.root / REVIEW, reviewed, rejected, labels, review, self.vouched)
        config, layout_share = self._reading_config(shape_hw)
        self._pictures.describe(self.final_root, config, self.images)
        if self.learnt is not None:
            write_reader(self.learnt, config, self.root / READER)
        write_report(self.root, final_root=self.final_root)
        self._owned.seal(unchecked=(REVIEW,), hashed=hashed)  # a person edits the review
        return config, layout_share

    def _reading_config(self, shape_hw: tuple[int, int]) -> tuple[ReadingConfig, float]:
        """Return what readers of the set must know, and the share of the texts that the rule for spaces explains."""
        settings, alphabet = self.settings, self.settings.alphabet
        boxes, texts, widths = zip(*self._layout_examples, strict=True)
        layout, layout_share = find_layout(boxes, texts, widths, settings.length, alphabet.space)
        config = ReadingConfig(
            alphabet.symbols, alphabet.space, settings.length, min(self._counts), max(self._counts), layout, shape_hw,
            settings.pattern, visual_order=settings.visual_order,
        )  # fmt: skip
        return config, layout_share

    def _error_probabilities(self, boxes_of: Callable[[LabelledImage], Boxes]) -> dict[str, float]:
        """Return the probability that each label is wrong, by the picture's name."""
        labels = [visible_ids(item.text, self.settings.alphabet) for item in self.inputs.items]
        located = [boxes_of(item).located for item in self.inputs.items]
        log_probs = np.array([characters.label_log_prob for characters in located])
        symbols = len({*np.concatenate(labels).tolist()})
        probabilities = label_error_probabilities(
            labels, [characters.read for characters in located], log_probs, symbols
        )
        return dict(zip([item.name for item in self.inputs.items], probabilities.tolist(), strict=True))

    def _add(self, item: LabelledImage, boxes: Boxes) -> ManifestRow:
        """Add one picture with its boxes, and return its row."""
        label_ids = visible_ids(item.text, self.settings.alphabet)
        located = boxes.located
        split = self.inputs.split[item.text]
        prelabel = 1.0 if item.confidence is None else item.confidence
        is_right = 1 - self._error_probability_of[item.name]
        confidence = float(located.confidence.min()) * is_right * prelabel
        suspect = confidence < self.limit and item.name not in self.vouched
        # Kept out of training only: a held-out split without its doubtful pictures would flatter every reader.
        folder = SUSPECTS if suspect and split == "train" and not self.settings.keep_suspects else split
        if not suspect or self.settings.keep_suspects:  # a wrong label must not set what lengths are read, in no split
            self._counts.append(len(label_ids))
        stages = [located.stage(i) for i in range(len(label_ids))]
        status = "suspect" if suspect else "ok"
        read = "" if located.agrees else "".join(self.settings.alphabet.symbols[i] for i in located.read)
        labelled = LabelledPicture(
            item, folder, split, status, f"{confidence:.4f}", read, label_ids.tolist(),
            visible_symbols(item.text, self.settings.alphabet), located.boxes_xyxy, boxes.size_wh,
            [f"{value:.4f}" for value in located.confidence], stages,
        )  # fmt: skip
        image = self._pictures.add(labelled)
        self.images[folder].append(image)
        if folder == "train" and len(self._layout_examples) < _LAYOUT_FROM:
            self._layout_examples.append(_LayoutExample(located.boxes_xyxy, item.text, boxes.size_wh[0]))
        method = ", ".join(f"{stage} {count}" for stage, count in sorted(Counter(stages).items()))
        return ManifestRow(item.name, image, item.text, split, method, labelled.confidence, status, read)
