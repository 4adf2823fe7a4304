"""The converted set's tree: written from what was found, picture by picture, and put in place whole."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from detector.conversion.inputs import SAME_AS, Inputs, Progress
from detector.conversion.locating.boxes import Boxes, shown, shown_ids, sureness
from detector.conversion.locating.label_errors import wrong_labels
from detector.conversion.review import REVIEW, Review, write_review
from detector.conversion.settings import Settings
from detector.data import yolo_dataset as yolo_format
from detector.data.atomic import clear
from detector.data.csv_files import Writer
from detector.data.labels.sources import LabelledImage
from detector.data.packed import FOLDER as PACKED
from detector.data.yolo_dataset import BOXES, MANIFEST, REJECTS, SPLITS, SUSPECTS, BoxRow, ManifestRow
from detector.errors import DatasetError, NotLearnedError, argument
from detector.reading.report import REPORT, write_report
from detector.text.reading_config import ReadingConfig
from detector.text.spacing import find_layout

WORK = "work"
"""Folder in a set, and in one that is being made, for what the next run takes up."""

_WRITTEN = frozenset(
    {"data.yaml", "obj.data", "obj.names", "images", "labels", MANIFEST, BOXES, REJECTS, REVIEW, REPORT, WORK, PACKED}
    | {f"{split}.txt" for split in (*SPLITS, SUSPECTS)}
)
"""What a set's folder holds, all of which is made anew."""

_LAYOUT_FROM = 20_000  # pictures that tell how wide spaces are


def part_of(target: Path) -> Path:
    """Where a set is made until it is whole."""
    return target.with_name(target.name + ".part")


def _replaced(target: Path) -> Path:
    return target.with_name(target.name + ".replaced")


def target_of(out: str | os.PathLike[str]) -> Path:
    """The folder to write, where a link leads if ``out`` is one.

    Raises:
        DatasetError: if it is the root of a file system.
    """
    target = Path(out)
    if target.is_symlink() or target.name in ("", ".."):
        target = target.resolve()
    if not target.name:
        raise DatasetError(f"{out} cannot be replaced by a converted set: choose a folder in it.")
    return target


def recover(target: Path) -> None:
    """Undo or finish a replacement that was killed half-way."""
    old = _replaced(target)
    if not _is_ours(old):
        return
    if target.exists():
        _discard(old)
    else:
        old.rename(target)


def _is_ours(folder: Path, mark: str = MANIFEST) -> bool:
    """Whether it is a folder with what only a converted set has, or what :func:`_discard` left of one; or empty."""
    if not folder.is_dir():
        return False
    if mark != MANIFEST or not (folder / mark).is_file():
        return (folder / mark).exists() or not any(folder.iterdir())
    with (folder / mark).open(encoding="utf-8", errors="replace") as file:  # others call their lists so, too
        return file.readline().startswith(",".join(ManifestRow._fields[:4]))


def _not_written(target: Path) -> list[str]:
    """What lies in a set's folder and is not of it, say the weights that were trained there; file managers' not."""
    return sorted(
        p.name for p in target.iterdir() if p.name not in _WRITTEN and p.name not in (".DS_Store", "Thumbs.db")
    )


def _discard(old: Path) -> None:
    """Remove a replaced set, the manifest last: by it the next run knows what is left if this one is killed."""
    with suppress(OSError):
        clear(old, keep=MANIFEST)
    shutil.rmtree(old, ignore_errors=True)


def check_target(target: Path, source: Path, overwrite: bool) -> None:
    """Refuse to replace anything but an earlier conversion, and the pictures themselves above all."""
    if target.exists() and not overwrite:
        raise DatasetError(f"{target} exists: choose another folder, or say {argument('overwrite')} to replace it.")
    check_pictures(target, [source])
    if target.exists() and not _is_ours(target):
        raise DatasetError(
            f"{target} is no converted set (no {MANIFEST} of one), and is not replaced: choose another folder."
        )
    if target.exists() and (others := _not_written(target)):
        raise DatasetError(
            f"{target} also holds {', '.join(others[:5])}, which no conversion wrote and "
            f"{argument('overwrite')} would delete: "
            "move it elsewhere, or choose another folder."
        )
    part, old = part_of(target), _replaced(target)
    if part.exists() and not _is_ours(part, WORK):
        raise DatasetError(f"{part} is needed for what is not finished, and holds something else: move it away.")
    if old.exists() and not _is_ours(old):
        raise DatasetError(f"{old} is needed while {target} is replaced, and holds something else: move it away.")


def check_pictures(target: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write where inputs lie: what is there is replaced."""
    written = {path.resolve(): path for path in (target, part_of(target), _replaced(target)) if path.exists()}
    for path in inputs if written else ():
        lies = path.resolve()
        for folder in (lies, *lies.parents):
            if folder in written:
                raise DatasetError(
                    f"{written[folder]} holds the pictures of {path}: choose another folder to write to."
                )


def check_outside(target: Path, searched: Path) -> None:
    """Refuse to write into a folder that is searched for pictures: the set's own would be inputs next time."""
    if searched.resolve() in target.resolve().parents:
        raise DatasetError(
            f"{target} lies inside {searched}, whose pictures it would be counted among: choose a folder outside it."
        )


def put_in_place(target: Path) -> None:
    """The set that was made becomes ``target``, and what was there is gone; at any moment one of them is whole."""
    old = _replaced(target)
    if target.exists():
        target.rename(old)
    part_of(target).rename(target)
    if old.exists():
        _discard(old)


@contextmanager
def alone(target: Path, wait: float = 0.0) -> Iterator[None]:
    """While this process makes ``target``, no other does; ``wait`` seconds for one that does.

    Raises:
        DatasetError: if another one is at it.
    """
    part = part_of(target)
    part.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(part.with_name(part.name + ".lock"))
    try:
        lock.acquire(timeout=wait, poll_interval=0.01)
    except Timeout:
        if not Path(lock.lock_file).exists():
            raise DatasetError(f"{part.parent} cannot be written to: choose another folder.") from None
        raise DatasetError(f"Another run is writing {target}: wait for it, or choose another folder.") from None
    except (OSError, NotImplementedError):  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps what is open, and takes it away when it is released
            Path(lock.lock_file).unlink()
        lock.release()


class SetWriter:
    """Writes a set beside its kept work; what an earlier attempt wrote of it is replaced.

    Args:
        root: where to write; only the folder ``work`` in it stays as it is.
        final_root: where the set will lie.
        settings: of the conversion.
        inputs: its pictures.
        limit: pictures whose confidence is below this are suspects.
        vouched: names of those that are none all the same, for a person said so.
    """

    def __init__(
        self,
        root: Path,
        final_root: Path,
        settings: Settings,
        inputs: Inputs,
        *,
        limit: float,
        vouched: frozenset[str] = frozenset(),
    ) -> None:
        self.root, self.final_root, self.settings, self.inputs = root, final_root.resolve(), settings, inputs
        self.limit, self.vouched = limit, vouched
        self.images: dict[str, list[str]] = {s: [] for s in (*SPLITS, SUSPECTS)}
        self.rejects = list(inputs.rejects)
        self.to_review = 0
        self._counts: list[int] = []
        self._used: set[str] = set()
        self._layout_from: list[tuple[NDArray[np.float32], str, int]] = []
        clear(root, keep=WORK)

    def write(
        self,
        boxes_of: Callable[[LabelledImage], Boxes],
        shape_hw: tuple[int, int],
        review: Review,
        labels: Mapping[str, str],
        tell: Progress,
    ) -> tuple[ReadingConfig, float]:
        """Everything.

        Args:
            boxes_of: what there is to write of a picture.
            shape_hw: of the networks' input.
            review: earlier decisions.
            labels: of the pictures decided on, the text in the source, by name.
            tell: told of every picture.

        Returns:
            Rules, and the share of the texts that the layout's rule for spaces explains.

        Raises:
            NotLearnedError: if no picture is left to train on.
        """
        reviewed: list[ManifestRow] = []
        self._wrong = self._wrong_labels(boxes_of)

        def rows() -> Iterator[ManifestRow]:
            for done, item in enumerate(self.inputs.items, 1):
                row = self._add(item, boxes_of(item))
                if row.status == "suspect" or row.source in review.rows:
                    reviewed.append(row)
                yield row
                tell("write", done, len(self.inputs.items))

        with (self.root / BOXES).open("w", newline="", encoding="utf-8") as file:
            self._boxes = Writer(file, BoxRow._fields)
            # Line by line: a million rows need no memory. The rejects come second, when all of them are known.
            yolo_format.write_tables(self.root, rows(), self.rejects)
        if not self.images["train"]:
            raise NotLearnedError(
                f"No picture is left to train on: {len(self.images[SUSPECTS])} are suspects. Check some labels "
                f"against their pictures, or say {argument('keep_suspects')}: what was found so far is kept for it."
            )
        rejected = (row.source for row in self.rejects)
        self.to_review = write_review(self.root / REVIEW, reviewed, rejected, labels, review, self.vouched)
        settings, table = self.settings, self.settings.table
        boxes, texts, widths = zip(*self._layout_from, strict=True)
        layout, share = find_layout(boxes, texts, widths, settings.length, table.space)
        low, high = min(self._counts), max(self._counts)
        config = ReadingConfig(
            table.symbols,
            table.space,
            settings.length,
            low,
            high,
            layout,
            shape_hw,
            settings.pattern,
            visual_order=settings.visual_order,
        )
        yolo_format.write_descriptions(self.root, self.final_root, config, self.images)
        write_report(self.root, title=self.final_root.name)
        return config, share

    def _wrong_labels(self, boxes_of: Callable[[LabelledImage], Boxes]) -> dict[str, float]:
        """Probability that the label is wrong, by the picture's name."""
        labels = [shown_ids(item, self.settings.table) for item in self.inputs.items]
        located = [boxes_of(item).located for item in self.inputs.items]
        right = np.array([one.right for one in located])
        symbols = len({*np.concatenate(labels).tolist()})
        wrong = wrong_labels(labels, [one.read for one in located], right, symbols)
        return dict(zip([item.name for item in self.inputs.items], wrong.tolist(), strict=True))

    def _add(self, item: LabelledImage, boxes: Boxes) -> ManifestRow:
        """One picture with its boxes."""
        own = shown_ids(item, self.settings.table)
        located = boxes.located
        split = self.inputs.split[item.text]
        sure = sureness(located, self._wrong[item.name]) * (1.0 if item.confidence is None else item.confidence)
        suspect = sure < self.limit and item.name not in self.vouched
        # Kept out of training only: a held-out split without its doubtful pictures would flatter every reader.
        folder = SUSPECTS if suspect and split == "train" and not self.settings.keep_suspects else split
        if not suspect or self.settings.keep_suspects:  # a wrong label must not set what lengths are read, in no split
            self._counts.append(len(own))
        name = self._name(item)
        suffix = item.path.suffix.lower()
        image = f"images/{folder}/{name}{SAME_AS.get(suffix, suffix)}"
        yolo_format.link_or_copy(item.path, self.root / image)
        label = self.root / "labels" / folder / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(yolo_format.format_labels(own.tolist(), located.boxes_xyxy, *boxes.size_wh), encoding="ascii")
        sides = [[f"{v:.1f}" for v in box] for box in located.boxes_xyxy.tolist()]
        stages = [located.stage(i) for i in range(len(own))]
        for i, symbol in enumerate(shown(item.text, self.settings.table)):
            x1, y1, x2, y2 = sides[i]
            self._boxes.row(BoxRow(image, symbol, x1, y1, x2, y2, f"{located.confidence[i]:.4f}", stages[i]))
        self.images[folder].append(image)
        if folder == "train" and len(self._layout_from) < _LAYOUT_FROM:
            self._layout_from.append((located.boxes_xyxy, item.text, boxes.size_wh[0]))
        status = "suspect" if suspect else "ok"
        method = ", ".join(f"{stage} {count}" for stage, count in sorted(Counter(stages).items()))
        read = "" if located.agrees else "".join(self.settings.table.symbols[i] for i in located.read)
        return ManifestRow(item.name, image, item.text, split, method, f"{sure:.4f}", status, read)

    def _name(self, item: LabelledImage) -> str:
        """A file name of its own, the source's as far as possible; labels are found by it without the suffix."""
        stem = re.sub(r"[\x00-\x1f\x7f]", "_", item.path.stem).strip("._") or "image"  # lists have a path a line
        if _on_any_disk(stem) in self._used:
            stem = f"{stem}_{hashlib.sha256(item.name.encode()).hexdigest()[:8]}"
        self._used.add(_on_any_disk(stem))
        return stem


def _on_any_disk(name: str) -> str:
    """What names have in common that are one on some disk: few tell capitals and compositions apart."""
    return unicodedata.normalize("NFC", name).casefold()
