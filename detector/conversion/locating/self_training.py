"""Self-training: the detector learns the set from the pictures that it explains, and locates the others.

A picture is explained where a detector that was not trained on its label reads it by itself. Only explained pictures
are trained on: a wrong label is never among them, so the rest is judged by a detector that was not trained on it, be
the error one label's or the whole set's. Rounds follow each other while more is explained. After Yarowsky,
"Unsupervised word sense disambiguation rivaling supervised methods", ACL 1995.

Where hardly anything is explained, as in a script that the shipped detector was never trained on, two detectors are
trained first, each on one half of the pictures, from the boxes that objectness and the length of the label give; each
reads the other half (cross-fitting), until enough is explained.

Of a large set, rounds are held on some of the pictures, and the last one's detector locates the others.

Whoever locates a picture in a round also says how likely its label is, calibrated on pictures that were explained
before.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.conversion.locating.boxes import BoxStore, LatestBoxes, locate_all, picture_of
from detector.conversion.locating.cross_fitting import CrossFitted, half_of
from detector.conversion.locating.detectors import Learnt, new_detector, trained_network
from detector.conversion.locating.locator import Locator
from detector.conversion.locating.run import Run, random_sample
from detector.data.labels.sources import LabelledImage
from detector.data.letterbox import LetterboxTransform, letterbox
from detector.data.parallel import chunked, prefetch_map
from detector.errors import require
from detector.networks.runtimes import TORCH

if TYPE_CHECKING:
    import torch

    from detector.networks.arithmetic import Arithmetic

log = logging.getLogger("detector")

_ROUNDS = 3  # at most, of either kind
_MAX_SHARE, _MIN_UNEXPLAINED = 0.02, 6  # unexplained pictures, up to which or below which no round is worth its time
ENOUGH_EXPLAINED = 0.25  # share of pictures that are explained, from which on these alone are trained on
MIN_PICTURES = 16  # pictures that a detector is trained on at least
_GROWTH = 0.02  # of the share that is explained, below which another round is not worth its time
_BATCH = 32
_SAMPLE, _SAMPLE_BYTES = 4000, 512 << 20  # pictures that a detector is trained on at most, and their memory
_CHUNK = 64  # pictures that a thread decodes at once
_CALIBRATION_SAMPLE = 200  # explained pictures that a detector is calibrated on


@dataclass(frozen=True)
class _Kind:
    """A kind of rounds, and how long its detectors are trained.

    Args:
        name: of its rounds, before their number.
        epochs: that a round aims at.
        min_steps, max_steps: of a round.
        peak_lr: highest learning rate.
    """

    name: str
    epochs: float
    min_steps: int
    max_steps: int
    peak_lr: float

    def steps(self, pictures: int, train_scale: float) -> int:
        """Return the steps of a detector that is trained on so many pictures."""
        return max(5, int(np.clip(self.epochs * pictures / _BATCH, self.min_steps, self.max_steps) * train_scale))


_CROSS_FITTED = _Kind("half", 40, 120, 300, 2e-3)
"""Two detectors, each trained on the completely located pictures of one half."""
_EXPLAINED = _Kind("round", 1.5, 40, 80, 1e-3)
"""One detector, trained on the explained pictures."""


@dataclass(frozen=True)
class Trained:
    """What self-training came to.

    Args:
        boxes: of the pictures that rounds look at.
        explained: share of these that each round explained; the first is the shipped detector's.
        detectors: of the last round, one or, cross-fitted, one a half.
        name: of the last round; "" before any.
    """

    boxes: LatestBoxes
    explained: tuple[float, ...]
    detectors: CrossFitted
    name: str = ""

    @property
    def by_class(self) -> bool:
        """Whether the detectors know the set's symbols; else they only say where characters are."""
        return self.detectors.locators[0].by_class

    def threads(self) -> AbstractContextManager[None]:
        """Inside, the detectors are asked in several threads, or by workers, with the same arithmetic."""
        if not self.name:
            return nullcontext()  # the shipped one does without torch
        from detector.networks.arithmetic import one_thread_each

        return one_thread_each()


@dataclass(frozen=True)
class SelfTraining:
    """Rounds of training and locating.

    Args:
        run: the conversion.
        shape_hw: of the network's input.
    """

    run: Run
    shape_hw: tuple[int, int]

    def __call__(self, shipped_boxes: BoxStore, shipped_locator: Locator) -> Trained:
        """Train and locate in rounds, as long as these explain more.

        Args:
            shipped_boxes: of the pictures that rounds look at, by the shipped detector.
            shipped_locator: that detector.

        Raises:
            DependencyError: if a round is needed, and what trains is not installed.
        """
        boxes = LatestBoxes(shipped_boxes)
        trained = Trained(boxes, (_explained(boxes, self.run.round_items),), self._detectors(shipped_locator))
        (explained_items,) = self._groups(trained.boxes, _EXPLAINED)
        if trained.explained[-1] < ENOUGH_EXPLAINED or len(explained_items) < MIN_PICTURES:
            trained = self._rounds(trained, _CROSS_FITTED)
        return self._rounds(trained, _EXPLAINED)

    def all_located(self, trained: Trained) -> tuple[LatestBoxes, tuple[float, ...]]:
        """Locate what no round looked at with the last detector, and score all labels that are not read.

        Returns:
            Boxes of all pictures, and the shares that were explained; the last one is of all pictures.
        """
        items = self.run.inputs.items
        boxes = self._located(trained, items, len(trained.explained) - 1)
        return boxes, (*trained.explained[:-1], _explained(boxes, items))

    def learnt(self, trained: Trained) -> Path | None:
        """Return the file of the last round's detector, to read with; None if there is none of the whole set.

        It must not have learnt a picture that is held out: a review may have moved one since its round was kept.
        """
        if not trained.name or len(trained.detectors.locators) > 1:
            return None
        inputs, path = self.run.inputs, self._weights(f"{trained.name}-0")
        held_out = {item.name for item in inputs.items if inputs.split[item.text] != "train"}
        return path if held_out.isdisjoint(Learnt.read(path).pictures) else None

    def _rounds(self, trained: Trained, kind: _Kind) -> Trained:
        """Run one kind of rounds; cross-fitted ones end when the other kind can begin."""
        previous: list[Learnt] = []
        # The first round of a detector that is new to these symbols may just begin to read.
        may_start_slowly = not trained.by_class or len(trained.detectors.locators) > 1
        for number in range(1, _ROUNDS + 1):
            explained = trained.explained[-1]
            unexplained = 1 - explained
            if (
                unexplained <= _MAX_SHARE
                or unexplained * len(self.run.round_items) < _MIN_UNEXPLAINED
                or (kind is _CROSS_FITTED and explained >= 2 * ENOUGH_EXPLAINED)
            ):
                break
            next_round = self._round(kind, number, trained, previous)
            if next_round is None:
                break
            trained, previous = next_round
            grown = trained.explained[-1] - explained
            log.info("round %d of self-training: %.1f%% of the labels are read", number, 100 * trained.explained[-1])
            if grown < _GROWTH and not (may_start_slowly and number == 1):
                break
        return trained

    def _round(
        self, kind: _Kind, number: int, trained: Trained, previous: list[Learnt]
    ) -> tuple[Trained, list[Learnt]] | None:
        name = f"{kind.name}{number}"
        groups = self._groups(trained.boxes, kind)
        if min(map(len, groups)) < MIN_PICTURES:
            return None
        require(
            f"{trained.explained[-1]:.1%} of the labels are read as they are; training on the set", *TORCH,
            "albumentations", then=", then the same once more: it goes on from here",
        )  # fmt: skip
        learnt = [
            self._learnt(kind, f"{name}-{k}", group, trained.boxes, previous[k] if previous else None)
            for k, group in enumerate(groups)
        ]
        locators = [self._locator(f"{name}-{k}") for k in range(len(groups))]
        latest = replace(trained, detectors=self._detectors(*locators), name=name)
        boxes = self._located(latest, self.run.round_items, len(trained.explained))
        explained = (*trained.explained, _explained(boxes, self.run.round_items))
        return replace(latest, boxes=boxes, explained=explained), learnt

    def _located(self, trained: Trained, items: Sequence[LabelledImage], number: int) -> LatestBoxes:
        """Locate those items that are not explained with the last detector, that of round ``number``."""
        store = BoxStore(self.run.resume, trained.name or "scored")
        unexplained = [item for item in items if item not in trained.boxes or not trained.boxes[item].located.agrees]
        if not all(item in store for item in unexplained):
            self._calibrate(trained)
        locate, stage = partial(trained.detectors.locate, number), f"locate, {trained.name or 'others'}"
        with trained.threads():
            locate_all(unexplained, store, locate, self.run.progress, stage)
        return trained.boxes.with_store(store)

    def _calibrate(self, trained: Trained) -> None:
        """Calibrate the detectors on some of the pictures that were read as labelled before they were trained."""
        located = [(item, trained.boxes[item].located) for item in self.run.round_items]
        agreeing = [item for item, characters in located if characters.agrees and characters.lines == 1]
        held_out = [item for item in agreeing if self.run.inputs.split[item.text] != "train"]
        agreeing = held_out if len(held_out) >= MIN_PICTURES else agreeing
        rng = np.random.default_rng(self.run.settings.seed)
        sample = [agreeing[i] for i in np.sort(rng.permutation(len(agreeing))[:_CALIBRATION_SAMPLE])]
        for locator in trained.detectors.locators:
            locator.calibrate([picture_of(item) for item in sample], self.run.labels(sample))

    def _groups(self, boxes: LatestBoxes, kind: _Kind) -> list[list[LabelledImage]]:
        """Return the pictures that each detector of a round is trained on."""
        train = [item for item in self.run.round_items if self.run.inputs.split[item.text] == "train"]
        if kind is _CROSS_FITTED:
            complete = [item for item in train if boxes[item].located.detected.all()]
            halves = [[item for item in complete if half_of(item.text) == half] for half in (0, 1)]
            return [self._sample(half) for half in halves]
        return [self._sample([item for item in train if boxes[item].located.agrees])]

    def _sample(self, items: list[LabelledImage]) -> list[LabelledImage]:
        """Draw at most so many, and no more than there is memory for."""
        max_count = min(_SAMPLE, _SAMPLE_BYTES // (3 * self.shape_hw[0] * self.shape_hw[1]))
        return random_sample(items, max_count, self.run.settings.seed)

    def _detectors(self, *locators: Locator) -> CrossFitted:
        return CrossFitted(locators, self.run.settings.alphabet)

    def _locator(self, name: str) -> Locator:
        """Open the detector whose weights were kept under that name."""
        settings = self.run.settings
        network = trained_network(self._weights(name), settings.alphabet.symbols, settings.device)
        return self.run.locator(network, shape_hw=self.shape_hw)

    def _weights(self, name: str) -> Path:
        return self.run.resume.path(f"detector-{name}.pt")

    def _learnt(
        self, kind: _Kind, name: str, items: list[LabelledImage], boxes: LatestBoxes, previous: Learnt | None
    ) -> Learnt:
        """Return what a round's detector has learnt: stored, or freshly trained."""
        if (saved := self._saved(name)) is not None:
            return saved
        net = new_detector(self.run.settings.alphabet.symbols, self.run.settings.seed)
        if previous is not None:
            net.load_state_dict(previous.state)
        trained = self._train(kind, name, net, items, boxes)
        pictures = {item.name for item in items}.union(previous.pictures if previous else ())
        Learnt(trained.state_dict(), tuple(sorted(pictures))).write(self._weights(name))
        self.run.resume.path(_checkpoint(name)).unlink(missing_ok=True)
        saved = self._saved(name)  # also the one that was just trained: a run that goes on has no other
        assert saved is not None
        return saved

    def _saved(self, name: str) -> Learnt | None:
        path = self._weights(name)
        try:
            return Learnt.read(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # torch has no one error for damaged files
            self.run.resume.drop(path, error)
            return None

    def _train(
        self, kind: _Kind, name: str, net: torch.nn.Module, items: list[LabelledImage], boxes: LatestBoxes
    ) -> torch.nn.Module:
        from detector.networks.device import pick_device
        from detector.training.training_loop import Checkpoint, Schedule, train_network

        images, transforms = self._letterboxed(items)
        letterboxed_xyxy = [
            transform.to_letterboxed(boxes[item].located.boxes_xyxy)
            for item, transform in zip(items, transforms, strict=True)
        ]
        batches = Batches(images, letterboxed_xyxy, self.run.labels(items), self.run.settings.seed)
        steps = kind.steps(len(items), self.run.settings.train_scale)
        digest = hashlib.sha256(repr((name, steps, images.shape)).encode())
        for boxes_xyxy in letterboxed_xyxy:
            digest.update(boxes_xyxy.tobytes())
        schedule = Schedule(lambda step: step / steps, kind.peak_lr, warm_up=max(5, steps // 10))
        return train_network(
            net, batches, schedule, pick_device(self.run.settings.device),
            arithmetic=self._arithmetic(net, batches),
            after=lambda step, loss, _: self.run.progress(f"self-training, {name}", step, steps),
            checkpoint=Checkpoint(self.run.resume.path(_checkpoint(name)), digest.hexdigest()),
        )  # fmt: skip

    def _arithmetic(self, net: torch.nn.Module, batches: Batches) -> Arithmetic | None:
        """Choose how steps are computed, once for all rounds and resumed runs; None on a GPU."""
        from detector.networks.arithmetic import Arithmetic, choose_arithmetic, fast_bfloat16, say_arithmetic
        from detector.networks.device import pick_device
        from detector.training.training_loop import loss_of

        device, path = pick_device(self.run.settings.device), self.run.resume.path("arithmetic.json")
        if device.type != "cpu":
            return None
        if (saved := Arithmetic.read(path)) is not None:
            return saved
        copy, batch = deepcopy(net), batches(0)
        copy.criterion = copy.init_criterion()  # type: ignore[operator]

        def step() -> None:
            loss_of(copy, batch, device).backward()  # type: ignore[no-untyped-call]

        # What the numbers are is the hardware's, so that only rounding depends on how busy the machine is.
        arithmetic, times = choose_arithmetic(step, bfloat16=fast_bfloat16())
        log.info("self-training on %s", say_arithmetic(arithmetic, times))
        arithmetic.write(path)
        return arithmetic

    def _letterboxed(self, items: Sequence[LabelledImage]) -> tuple[NDArray[np.uint8], list[LetterboxTransform]]:
        """Letterbox the items' pictures, uint8 (n, H, W, 3), and return the transform of each."""
        images = np.empty((len(items), *self.shape_hw, 3), np.uint8)
        transforms: list[LetterboxTransform] = []
        for letterboxed in prefetch_map(
            lambda chunk: [letterbox(picture_of(i), self.shape_hw) for i in chunk], chunked(items, _CHUNK)
        ):
            for image, transform in letterboxed:
                images[len(transforms)] = image
                transforms.append(transform)
        return images, transforms


def _explained(boxes: LatestBoxes, items: Sequence[LabelledImage]) -> float:
    """Return the share of the items that are explained."""
    return float(np.mean([boxes[item].located.agrees for item in items]))


def _checkpoint(name: str) -> str:
    return f"training-{name}.pt"


class Batches:
    """Augmented batches; each is a function of the seed and the step alone.

    Args:
        images: uint8 (n, H, W, 3).
        boxes_xyxy: of each, (m, 4), in its pixels.
        ids: of each, (m,).
        seed: of what is picked and how it is augmented.
    """

    def __init__(
        self, images: NDArray[np.uint8], boxes_xyxy: list[NDArray[np.float32]], ids: list[NDArray[np.int64]], seed: int
    ) -> None:
        self._images, self._boxes, self._ids, self._seed = images, boxes_xyxy, ids, seed

    @cached_property
    def _augment(self) -> Any:
        from detector.training.augment.plan import BatchAugment

        return BatchAugment()

    def __call__(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Draw the batch of a step, a :data:`detector.training.training_loop.Batch`."""
        from detector.training.augment import on_cpu as augment_opencv
        from detector.training.augment.plan import move_boxes

        rng = np.random.default_rng((self._seed, step))
        self._augment.seed(int(rng.integers(2**63)))
        rows = rng.integers(len(self._images), size=_BATCH)
        shape_hw = (self._images.shape[1], self._images.shape[2])
        plan = self._augment.plan(_BATCH, shape_hw)
        images = augment_opencv.apply(plan, [self._images[i] for i in rows])
        moved_xyxy, moved_ids = move_boxes(plan, shape_hw, [self._boxes[i] for i in rows], [self._ids[i] for i in rows])
        width = max(1, max(map(len, moved_ids)))
        boxes, ids = np.zeros((_BATCH, width, 4), np.float32), np.full((_BATCH, width), -1, np.int64)
        for row, (boxes_xyxy, box_ids) in enumerate(zip(moved_xyxy, moved_ids, strict=True)):
            boxes[row, : len(boxes_xyxy)], ids[row, : len(box_ids)] = boxes_xyxy, box_ids
        return images, boxes, ids
