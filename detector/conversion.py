"""Pictures and strings in, a YOLO dataset out: every box inferred, every doubt written down."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector import yolo_format
from detector.align import Aligned, Aligner, Check, Locator, align_fitted, shipped_aligner, teach
from detector.alphabet import DEFAULT_LENGTH, DEFAULT_SYMBOLS, Alphabet, alphabet_of
from detector.decode import ReadingRules
from detector.errors import DatasetError, NotLearnedError, SourceError
from detector.fit import Fit, fit, shape_for
from detector.images import read_image
from detector.intake import SAME_AS, Inputs, Progress, accept, reasons_of
from detector.layout import find_layout
from detector.sources import LabelledImage, Source, read_source
from detector.yolo_format import SPLITS, SUSPECTS, ManifestRow, RejectRow

log = logging.getLogger("detector")

VAL_SHARE, TEST_SHARE = 0.1, 0.2
"""Shares of the texts that go to validation and to the held-out test split."""

MIN_CONFIDENCE = 0.05
"""Pictures whose least sure character is below this are suspects: kept, listed, not trained on."""

_SAMPLE = 20_000  # pictures that an aligner is taught on at most; more do not make it better
_CHECKED = 500  # validation pictures that tell whether an aligner has learnt
_CHUNK = 64


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Args:
        data_yaml: for training.
        source: what the labels were recognised as.
        inputs: pictures or lines of the source; always ``converted + suspects + refused``.
        splits: pictures in each split.
        suspects: pictures kept out of training, for their boxes are doubted.
        reasons: refusals, counted by reason.
        check: how the aligner read pictures that it was not taught.
        rules: what readers of this set must know.
        layout_share: share of the texts that the layout's rule for blanks explains.
        seconds: of wall clock.
    """

    data_yaml: Path
    source: str
    inputs: int
    splits: dict[str, int]
    suspects: int
    reasons: Counter[str]
    check: Check
    rules: ReadingRules
    layout_share: float
    seconds: float

    @property
    def converted(self) -> int:
        """Pictures in the splits."""
        return sum(self.splits.values())

    @property
    def refused(self) -> int:
        """Inputs that are in no split and not suspects."""
        return sum(self.reasons.values())


def convert(
    source: str | Path,
    out: str | Path,
    *,
    length: int = DEFAULT_LENGTH,
    alphabet: str | None = None,
    blank: str | None = None,
    labels: str | Path = "auto",
    upper: bool = False,
    text_column: str | None = None,
    image_column: str | None = None,
    val: float = VAL_SHARE,
    test: float = TEST_SHARE,
    keep_suspects: bool = False,
    overwrite: bool = False,
    from_nothing: bool = False,
    budget: float = 1.0,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> ConversionReport:
    """Convert labelled pictures to a YOLO dataset.

    Args:
        source: folder or label file; see :func:`detector.sources.read_source` for the formats.
        out: folder to write; it appears whole or not at all.
        length: symbols that a text may have, blanks included.
        alphabet: its symbols in class-id order; "auto" takes those of the labels; None takes 0-9A-Z.
        blank: what stands for a blank in the labels, if not a space.
        labels, upper, text_column, image_column: passed to ``read_source``.
        val, test: shares of the texts for these splits; all pictures of a text fall in one split.
        keep_suspects: train on pictures whose boxes are doubted, too.
        overwrite: replace ``out`` if it is an earlier conversion.
        from_nothing: do not start from the shipped aligner.
        budget: multiplies the time that the aligner is taught.
        seed: of the splits and of teaching.
        device: as Ultralytics spells it.
        progress: called as the work goes on.

    Raises:
        SourceError: if no labelled pictures can be made out, or all are refused.
        NotLearnedError: if the aligner did not learn; nothing is written then.
        DatasetError: if ``out`` exists, or would be replaced and is no converted set.
    """
    began = time.perf_counter()
    target = Path(out)
    _check_target(target, Path(source), overwrite)
    if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
        raise DatasetError(f"val and test are shares of 1 that leave some for training, got {val} and {test}.")
    tell = progress or (lambda stage, done, total: None)
    found = read_source(
        source, labels=labels, blank=blank, upper=upper, text_column=text_column, image_column=image_column
    )
    log.info("%s: %d inputs as %s (%s)", found.root, found.count, found.format, found.detail)
    table = _alphabet(alphabet, found)
    inputs = accept(found, table, length, val, test, seed, tell)
    shape_hw = shape_for(inputs.sizes_wh, max(_counts(inputs, table)))
    aligner, check = _taught(inputs, table, shape_hw, from_nothing, budget, seed, device, tell)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        written = _Writer(part, target, table, inputs, keep_suspects)
        locate = None if from_nothing else _shipped_locator(table, device)
        for done, aligned in enumerate(_aligned(inputs, aligner, table, shape_hw, locate), 1):
            written.add(*aligned)
            tell("boxes", done, len(inputs.items))
        rules, share = written.finish(length, shape_hw)
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return ConversionReport(
        data_yaml=target / "data.yaml",
        source=f"{found.format} ({found.detail})",
        inputs=found.count,
        splits={s: len(written.images[s]) for s in SPLITS},
        suspects=len(written.images[SUSPECTS]),
        reasons=Counter(_kind(row.reason) for row in inputs.rejects),
        check=check,
        rules=rules,
        layout_share=share,
        seconds=time.perf_counter() - began,
    )


def _check_target(target: Path, source: Path, overwrite: bool) -> None:
    """Refuse to replace anything but an earlier conversion, and the pictures themselves above all."""
    if not target.exists():
        return
    if not overwrite:
        raise DatasetError(f"{target} exists: choose another folder, or say --overwrite to replace it.")
    if target.resolve() in (source.resolve(), *source.resolve().parents):
        raise DatasetError(f"{target} holds the pictures of {source}: choose another folder to write to.")
    if not target.is_dir() or (any(target.iterdir()) and not (target / "manifest.csv").is_file()):
        raise DatasetError(
            f"{target} is no converted set (no manifest.csv), and is not replaced: choose another folder."
        )


def _kind(reason: str) -> str:
    """A reason without what is particular to one input, for counting."""
    return re.sub(r"'[^']*'|[0-9]+", "…", reason.split(": ")[0])


def _alphabet(asked: str | None, found: Source) -> Alphabet:
    if asked == "auto":
        if not found.items:
            why = reasons_of([(r.name, r.reason) for r in found.refused])
            raise SourceError(f"{found.root}: no label is left to take an alphabet from; {why}.")
        return alphabet_of(item.text for item in found.items)
    return Alphabet(asked or DEFAULT_SYMBOLS)


def _fitted(items: Sequence[LabelledImage], shape_hw: tuple[int, int]) -> Iterator[tuple[NDArray[np.uint8], Fit]]:
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(items), _CHUNK):
            yield from pool.map(lambda i: fit(read_image(i.path), shape_hw), items[start : start + _CHUNK])


def _shown(item: LabelledImage, table: Alphabet) -> str:
    """The symbols that can be seen: the text without its blanks."""
    return item.text.replace(table.blank, "")


def _counts(inputs: Inputs, table: Alphabet) -> list[int]:
    return [len(_shown(item, table)) for item in inputs.items]


def _ids(item: LabelledImage, table: Alphabet) -> NDArray[np.int64]:
    shown = _shown(item, table)
    ids: NDArray[np.int64] = table.encode([shown], len(shown))[0]
    return ids


def _taught(
    inputs: Inputs,
    table: Alphabet,
    shape_hw: tuple[int, int],
    from_nothing: bool,
    budget: float,
    seed: int,
    device: str | None,
    tell: Progress,
) -> tuple[Aligner, Check]:
    """An aligner that has learnt these pictures."""
    by_split: dict[str, list[LabelledImage]] = {s: [] for s in SPLITS}
    for item in inputs.items:
        by_split[inputs.split[item.text]].append(item)
    rng = np.random.default_rng(seed)

    def sample(items: list[LabelledImage], most: int) -> tuple[NDArray[np.uint8], list[NDArray[np.int64]]]:
        if len(items) > most:
            items = [items[i] for i in np.sort(rng.choice(len(items), most, replace=False))]
        images = np.empty((len(items), *shape_hw, 3), np.uint8)
        for i, (image, _) in enumerate(_fitted(items, shape_hw)):
            images[i] = image
        return images, [_ids(item, table) for item in items]

    images, strings = sample(by_split["train"], _SAMPLE)
    checked = sample(by_split["val"], _CHECKED)
    start = None if from_nothing else shipped_aligner(table.symbols)
    aligner, check = teach(
        images,
        strings,
        table.symbols,
        check=checked,
        start=start,
        budget=budget,
        seed=seed,
        device=device,
        progress=lambda step, steps, said: tell(f"align ({said})", step, steps),
    )
    if not check.learnt:
        raise NotLearnedError(
            f"The aligner did not learn to read these pictures: of {check.pictures} that it was not taught it read "
            f"{check.exact_match:.1%} exactly, with a character error rate of {check.cer:.0%}. Boxes cut by it would "
            "not be worth training on, so none were written. Check some labels against their pictures, add pictures "
            f"({len(images)} were taught), or give it more time with --budget {2 * budget:g}."
        )
    return aligner, check


class _ShippedLocator:
    """The shipped detector, asked about the symbols of another alphabet."""

    def __init__(self, table: Alphabet, device: str | None) -> None:
        from detector._ultralytics import Network
        from detector.backends import SHIPPED
        from detector.device import pick_device

        self._network = Network(SHIPPED, pick_device(device))
        ids = {name: i for i, name in self._network.names.items()}
        self.class_ids = np.array([ids.get(symbol, -1) for symbol in table.symbols], np.int64)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = self._network.output(images).float().cpu().numpy()
        return output


def _shipped_locator(table: Alphabet, device: str | None) -> Locator | None:
    from detector.backends import SHIPPED

    if not SHIPPED.is_file():
        return None
    locate = _ShippedLocator(table, device)
    return locate if (locate.class_ids >= 0).any() else None


def _aligned(
    inputs: Inputs, aligner: Aligner, table: Alphabet, shape_hw: tuple[int, int], locate: Locator | None
) -> Iterator[tuple[LabelledImage, tuple[int, int], Aligned | None]]:
    """(item, width and height, characters in its own pixels) of every picture."""
    for start in range(0, len(inputs.items), _CHUNK):
        items = inputs.items[start : start + _CHUNK]
        images, fits = zip(*_fitted(items, shape_hw), strict=True)
        found = align_fitted(aligner, np.stack(images), fits, [_ids(i, table) for i in items], locate)
        for item, back, aligned in zip(items, fits, found, strict=True):
            yield item, (back.width, back.height), aligned


class _Writer:
    """Writes a set picture by picture, then what describes it."""

    def __init__(self, root: Path, final_root: Path, table: Alphabet, inputs: Inputs, keep_suspects: bool) -> None:
        self.root, self.final_root, self.table = root, final_root.resolve(), table
        self.inputs, self.keep_suspects = inputs, keep_suspects
        self.images: dict[str, list[str]] = {s: [] for s in (*SPLITS, SUSPECTS)}
        self.manifest: list[ManifestRow] = []
        self.used: set[str] = set()
        self.layout_from: list[tuple[NDArray[np.float32], str, int]] = []
        root.mkdir(parents=True)

    def add(self, item: LabelledImage, size_wh: tuple[int, int], aligned: Aligned | None) -> None:
        """One picture with its boxes, which are None if the text does not fit into it."""
        if aligned is None:
            reason = f"the picture is too narrow for its text {item.text!r}"
            self.inputs.rejects.append(RejectRow(item.name, reason))
            return
        split = self.inputs.split[item.text]
        sure = float(aligned.confidence.min())
        suspect = sure < MIN_CONFIDENCE
        # Kept out of training only: a held-out split without its doubtful pictures would flatter every reader.
        folder = SUSPECTS if suspect and split == "train" and not self.keep_suspects else split
        name = self._name(item)
        suffix = item.path.suffix.lower()
        image = f"images/{folder}/{name}{SAME_AS.get(suffix, suffix)}"
        yolo_format.link_or_copy(item.path, self.root / image)
        label = self.root / "labels" / folder / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        own = _ids(item, self.table)
        ids = own.tolist()
        label.write_text(yolo_format.format_labels(ids, aligned.boxes_xyxy, *size_wh), encoding="ascii")
        self.images[folder].append(image)
        status = "suspect" if suspect else "ok"
        method = f"cut {int((~aligned.relocated).sum())}, detected {int(aligned.relocated.sum())}"
        read = "" if np.array_equal(aligned.read, own) else "".join(self.table.symbols[i] for i in aligned.read)
        self.manifest.append(ManifestRow(item.name, image, item.text, split, method, f"{sure:.4f}", status, read))
        if folder == "train" and len(self.layout_from) < _SAMPLE:
            self.layout_from.append((aligned.boxes_xyxy, item.text, size_wh[0]))

    def _name(self, item: LabelledImage) -> str:
        """A file name of its own, the source's as far as possible; labels are found by it without the suffix."""
        stem = item.path.stem.strip("._") or "image"
        if stem in self.used:
            stem = f"{stem}_{hashlib.sha256(item.name.encode()).hexdigest()[:8]}"
        self.used.add(stem)
        return stem

    def finish(self, length: int, shape_hw: tuple[int, int]) -> tuple[ReadingRules, float]:
        """Rules, descriptions and tables."""
        if not self.images["train"]:
            raise NotLearnedError(
                f"No picture is left to train on: {len(self.images[SUSPECTS])} are suspects. Check some labels "
                "against their pictures, or say --keep-suspects."
            )
        counts = _counts(self.inputs, self.table)
        boxes, texts, widths = zip(*self.layout_from, strict=True)
        layout, share = find_layout(boxes, texts, widths, length, self.table.blank)
        rules = ReadingRules(self.table.symbols, self.table.blank, length, min(counts), max(counts), layout, shape_hw)
        yolo_format.write_descriptions(self.root, self.final_root, rules, self.images)
        yolo_format.write_tables(self.root, self.manifest, self.inputs.rejects)
        return rules, share
