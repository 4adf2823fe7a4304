"""Rounds of refinement: a detector is taught the boxes of the confident pictures, and says where the known symbols of
all pictures stand.

The shipped detector knows symbols as artificial pictures show them; this one knows them as they look in the set. As
the shipped one, it is asked only about the symbol that the label names. What it reads by itself tells whether another
round is worth it: a picture is explained where that is its label. In the pictures that it was taught it reads better
than it would elsewhere, so the share of explained pictures says when to stop, and no more. Suspects are not taught:
one that it explains all the same is likelier labelled right.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detector.align import Aligned, judged, relocated
from detector.alphabet import Alphabet
from detector.augment import Augment
from detector.backends import candidates, shipped_detector
from detector.boxes import Fitted, KeptBoxes, find_boxes, fitted, label_doubts, sample, shown, shown_ids, sureness
from detector.decode import decode_batch
from detector.device import pick_device
from detector.intake import Inputs, Progress
from detector.layout import Layout
from detector.rules import ReadingRules
from detector.sources import LabelledImage
from detector.training import NETWORK
from detector.work import Work, whole

log = logging.getLogger("detector")

_REFINED = "refined"  # pieces of kept work: refined1.pt and refined1-000000.npz, ...
_TEACHING = "refining.pt"
_BATCH = 32


@dataclass(frozen=True)
class Plan:
    """How long and how fast a detector learns: steps of 32 pictures."""

    steps: int
    lr: float

    @staticmethod
    def of(pictures: int, from_nothing: bool, budget: float) -> Plan:
        """For so many pictures; ``budget`` multiplies the time."""
        least, most, epochs = (1500, 4000, 30) if from_nothing else (150, 1500, 8)
        steps = int(np.clip(epochs * pictures / _BATCH, least, most) * budget)
        return Plan(max(steps, 20), 2e-3 if from_nothing else 1e-3)


@dataclass(frozen=True)
class Refiner:
    """What all rounds of one run have in common.

    Args:
        inputs: the pictures.
        table: their alphabet.
        shape_hw: of the networks' input.
        length: symbols that a text may have.
        lines: that a text may have.
        limit: pictures that are less sure than this are not taught.
        from_nothing: do not start from the shipped detector.
        budget: multiplies the time that a detector is taught.
        seed: of teaching.
        device: as Ultralytics spells it.
        work: where detectors and boxes are kept.
        tell: told of the work as it goes on.
    """

    inputs: Inputs
    table: Alphabet
    shape_hw: tuple[int, int]
    length: int
    lines: int
    limit: float
    from_nothing: bool
    budget: float
    seed: int
    device: str | None
    work: Work
    tell: Progress

    def __call__(self, rounds: int, first: KeptBoxes) -> tuple[KeptBoxes, tuple[float, ...]]:
        """Rounds until the share of explained pictures stops growing; one in which it did not grow is not taken.

        Args:
            rounds: at most.
            first: boxes of all pictures.

        Returns:
            Boxes of all pictures, and the share of the training and validation pictures that each taken round's
            detector reads as they are labelled.
        """
        boxes, shares = first, [0.0]
        for number in range(1, rounds + 1):
            if shares[-1] == 1:
                break
            made = self._round(number, boxes)
            if made is None:
                break
            share = self._explained(made)
            log.info("refinement %d: its detector reads %.1f%% of the pictures as labelled", number, 100 * share)
            if share <= shares[-1]:
                break
            boxes = made
            shares.append(share)
        return boxes, tuple(shares[1:])

    def _round(self, number: int, before: KeptBoxes) -> KeptBoxes | None:
        """Boxes after a round; None if no picture is sure enough to be taught."""
        kept = KeptBoxes(self.work, f"{_REFINED}{number}")
        items = self.inputs.items
        if all(item in kept for item in items):
            return kept
        held = self._taught(number, before)
        if held is None:
            log.warning("refinement %d: no picture is sure enough to be taught", number)
            return None
        from detector._ultralytics import Network

        net, taught = self._new(), frozenset(held["taught"])
        net.load_state_dict(held["state"])
        locator = DetectorLocator(Network.of(net, pick_device(self.device)), self.table)
        counts = [len(shown(item.text, self.table)) for item in items]
        layout = Layout(lines=self.lines)
        rules = ReadingRules(self.table.symbols, self.table.blank, self.length, min(counts), max(counts), layout)

        def look(some: Sequence[LabelledImage], pictures: Fitted) -> list[Aligned | None]:
            images, fits = zip(*pictures, strict=True)
            seen = locator(np.stack(images))
            readings = decode_batch(candidates(seen), rules, [float(self.shape_hw[1])] * len(some))
            found: list[Aligned | None] = []
            for item, back, output, reading in zip(some, fits, seen, readings, strict=True):
                aligned = before[item].aligned
                if aligned is not None:
                    explained = shown(reading.text, self.table) == shown(item.text, self.table)
                    ids = locator.class_ids[shown_ids(item, self.table)]
                    if not aligned.explained:  # by the round before: what is taught its own boxes lets them drift wider
                        aligned = relocated(aligned, back, ids, output, number)
                    aligned = judged(aligned, explained, item.name in taught)
                found.append(aligned)
            return found

        find_boxes(items, self.shape_hw, kept, look, self.tell, f"refine {number}: boxes")
        return kept

    def _explained(self, boxes: KeptBoxes) -> float:
        """Share of the training and validation pictures that are."""
        held = [boxes[item].aligned for item in self.inputs.items if self.inputs.split[item.text] != "test"]
        return float(np.mean([one is not None and one.explained for one in held]))

    def _new(self) -> Any:
        """The network before it is taught."""
        from detector._ultralytics import new_network

        torch.manual_seed(self.seed)
        return new_network(self.table.symbols, None if self._start else NETWORK, self._start)

    @property
    def _start(self) -> Path | None:
        return None if self.from_nothing else shipped_detector(self.table.symbols)

    def _taught(self, number: int, before: KeptBoxes) -> dict[str, Any] | None:
        """A round's detector: the kept one, or one that is freshly taught; None if there is nothing to teach.

        Returns:
            Its weights as ``state``, and the names of the pictures that it was taught as ``taught``.
        """
        path = self.work.path(f"{_REFINED}{number}.pt")
        if (kept := self._kept(path)) is not None:
            return kept
        items = sample(self._confident(before), self.shape_hw, np.random.default_rng(self.seed))
        if not items:
            return None
        taught = self._teach(number, items, before)
        # In half precision, as weights are published.
        state = {k: v.half() if v.is_floating_point() else v for k, v in taught.state_dict().items()}
        with whole(path) as part:
            torch.save({"state": state, "taught": [item.name for item in items]}, part)
        self.work.path(_TEACHING).unlink(missing_ok=True)
        return self._kept(path)  # also the one that was just taught: a run that goes on has no other

    def _kept(self, path: Path) -> dict[str, Any] | None:
        try:
            held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:  # torch has no one error for damaged files
            self.work.drop(path, error)
            return None
        return held

    def _confident(self, boxes: KeptBoxes) -> list[LabelledImage]:
        """Training pictures that are no suspects."""
        wrong = label_doubts(self.inputs.items, boxes.__getitem__, self.table)
        train = [i for i in self.inputs.items if i.name in wrong and self.inputs.split[i.text] == "train"]
        return [i for i in train if sureness(boxes[i], wrong[i.name]) >= self.limit]

    def _teach(self, number: int, items: list[LabelledImage], boxes: KeptBoxes) -> torch.nn.Module:
        from detector.loop import Checkpoint, learn

        images, fits = fitted(items, self.shape_hw)
        aligned = [found for item in items if (found := boxes[item].aligned) is not None]
        placed = [back.to_fitted(one.boxes_xyxy) for back, one in zip(fits, aligned, strict=True)]
        batches = _Batches(images, placed, [shown_ids(item, self.table) for item in items], self.seed)
        plan = Plan.of(len(items), self._start is None, self.budget)
        of = hashlib.sha256(repr((number, plan, images.shape)).encode())
        for several in placed:
            of.update(several.tobytes())

        def after(step: int, loss: float, _: torch.nn.Module) -> None:
            self.tell(f"refine {number}: teach (loss {loss:.2f})", step, plan.steps)

        return learn(
            self._new(), batches, lambda step: step / plan.steps, lr=plan.lr, device=pick_device(self.device),
            warm_up=plan.steps // 10, after=after, checkpoint=Checkpoint(self.work.path(_TEACHING), of.hexdigest()),
        )  # fmt: skip


class _Batches:
    """Augmented batches; each is a function of the seed and the step alone."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        boxes_xyxy: list[NDArray[np.float32]],
        ids: list[NDArray[np.int64]],
        seed: int,
    ) -> None:
        self._images, self._boxes, self._ids, self._seed = images, boxes_xyxy, ids, seed
        self._augment = Augment()

    def __call__(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """See :data:`detector.loop.Batch`."""
        rng = np.random.default_rng((self._seed, step))
        self._augment.seed(int(rng.integers(2**63)))
        picked = rng.integers(len(self._images), size=_BATCH)
        made = [self._augment(self._images[i], self._boxes[i], self._ids[i]) for i in picked]
        most = max(len(ids) for _, _, ids in made)
        boxes, ids = np.zeros((_BATCH, most, 4), np.float32), np.full((_BATCH, most), -1, np.int64)
        for row, (_, some, which) in enumerate(made):
            boxes[row, : len(some)], ids[row, : len(which)] = some, which
        return np.stack([image for image, _, _ in made]), boxes, ids


class DetectorLocator:
    """A detector that is asked where the symbols of an alphabet stand; see :class:`detector.align.Locator`."""

    def __init__(self, network: Any, table: Alphabet) -> None:
        self._network = network
        ids = {name: i for i, name in network.names.items()}
        self.class_ids = np.array([ids.get(symbol, -1) for symbol in table.symbols], np.int64)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Raw output for fitted pictures."""
        output: NDArray[np.float32] = self._network.output(images).float().cpu().numpy()
        return output
