"""Batches from a store of artificial pictures (synth_store.py), placed anew each time they are drawn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms.functional import rgb_to_grayscale

from detector.data.letterbox import GREY
from detector.networks.device import to_device
from detector.text.alphabet import Alphabet
from detector.training.training_loop import Batch
from tools.weights.synth_store import HELD_BACK, Store

_LOOK_AGAIN = 100  # batches after which a store that is still drawn is looked at for more


class SynthBatches:
    """An endless stream of batches; the next one is made while one is used.

    With several ``processes`` each draws from its own share of the stores, and has its own seed. With a GPU as
    ``device`` pictures are placed there, and the one store may still be drawn meanwhile: what is there is drawn from.
    """

    def __init__(
        self, stores: Sequence[Path], alphabet: Alphabet, batch: int, seed: int, rank: int = 0, processes: int = 1,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        held = [Store.open(store) for store in stores]
        self.device = torch.device(device)
        if self.device.type != "cpu" and (processes > 1 or len(held) > 1):
            raise SystemExit("Several processes share batches, or stores, on a CPU only: name one, for one process.")
        own = [slice(rank, len(store.images) - HELD_BACK, processes) for store in held]
        if self.device.type == "cpu":
            if unfinished := [str(path) for path, store in zip(stores, held, strict=True) if not store.drawn.all()]:
                raise SystemExit(f"{', '.join(unfinished)} is not drawn to its end: run synth_store.py again.")
            # Read into memory: mapped pages drawn at random are dropped and read again, at half the speed.
            self.images = np.concatenate([store.images[part] for store, part in zip(held, own, strict=True)])
        else:
            self.images = held[0].images[own[0]]
        self.drawn, self.texts, self.boxes, self.others = (
            getattr(held[0], name)[own[0]]
            if len(held) == 1  # mapped: what is drawn meanwhile is seen
            else np.concatenate([getattr(store, name)[part] for store, part in zip(held, own, strict=True)])
            for name in ("drawn", "texts", "boxes_xyxy", "others_xyxy")
        )
        self.alphabet = alphabet
        self.batch, self.batches = batch, 0
        while len(there := np.flatnonzero(self.drawn)) < batch:  # the first ones are yet to come
            time.sleep(1)
        self.there = there
        self.rng = np.random.default_rng([seed, rank] if rank else seed)
        self.pool = ThreadPoolExecutor(1)
        self.next: Future[Batch] = self.pool.submit(self._make)

    def draw(self) -> Batch:
        """See :data:`detector.training.training_loop.Batch`; class ids are -1 where no character is, the number of
        symbols for a character of another alphabet."""
        made = self.next.result()
        self.next = self.pool.submit(self._make)
        return made

    def _make(self) -> Batch:
        if self.batches % _LOOK_AGAIN == 0 and len(self.there) < len(self.drawn):
            self.there = np.flatnonzero(self.drawn)
        self.batches += 1
        picked = self.there[np.sort(self.rng.choice(len(self.there), self.batch, replace=False))]
        texts = [str(t).replace(" ", "") for t in self.texts[picked]]
        encoded = self.alphabet.encode(texts, self.boxes.shape[1])
        images = np.asarray(self.images.take(picked, 0))  # while it takes, other threads run
        others = np.asarray(self.others[picked])  # (batch, m, 4)
        boxes = np.concatenate([self.boxes[picked], others], 1)
        ids = np.where(encoded == self.alphabet.space_id, -1, encoded)
        ids = np.concatenate([ids, np.where(others.any(2), len(self.alphabet), -1)], 1)
        if self.device.type != "cpu":
            return self._place_on_device(images, boxes, ids)
        made = [self._place(*one) for one in zip(images, boxes, ids, strict=True)]
        images, boxes, ids = (np.stack(some) for some in zip(*made, strict=True))
        return images, boxes, ids

    def _place_on_device(
        self, images: np.ndarray, boxes: np.ndarray, ids: np.ndarray
    ) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        """What :meth:`_place` does to each picture, to all of them at once, bilinear."""
        rng, count = self.rng, len(images)
        height, width = images.shape[1:3]
        size = np.float32([width, height])

        def chance(share: float) -> np.ndarray:
            return rng.random(count) < share

        scale = np.stack([scale_x := rng.uniform(0.45, 1.2, count), scale_x * rng.uniform(0.75, 1.6, count)], 1)
        scale[:, 1] = scale[:, 1].clip(0.5, 1.15)
        room = size * (1 - scale)  # (count, 2)
        start = np.where(chance(0.5)[:, None], 0.5, rng.random((count, 2))) * room
        moved = chance(0.6)[:, None]
        scale, start = np.where(moved, scale, 1.0), np.where(moved, start, 0.0)
        boxes = boxes * np.tile(scale, 2)[:, None].astype(np.float32) + np.tile(start, 2)[:, None].astype(np.float32)
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        ids = np.where(((centre > 1) & (centre < size - 1)).all(-1), ids, -1)
        boxes = boxes.clip(0, np.tile(size, 2))

        exposed, grey = chance(0.4), chance(0.15)
        gamma, gain, offset = (
            np.where(exposed, rng.uniform(*bounds, count), same)
            for bounds, same in (((0.6, 1.6), 1), ((0.7, 1.15), 1), ((-25 / 255, 25 / 255), 0))
        )
        order = np.tile(np.arange(3), (count, 1))
        order = np.where((chance(0.3) & ~grey)[:, None], rng.permuted(order, axis=1), order)
        # From the sides of the placed picture, -1 to 1, to those of the stored one.
        at = np.concatenate([np.eye(2)[None] / scale[..., None], ((1 - 2 * start / size) / scale - 1)[..., None]], 2)

        def there(values: np.ndarray) -> torch.Tensor:
            values = values.astype(np.float32) if values.dtype == np.float64 else values
            return torch.from_numpy(values).to(self.device, non_blocking=True)

        def each(values: np.ndarray) -> torch.Tensor:
            return there(values)[:, None, None, None]

        with torch.no_grad():
            pictures = to_device(images, self.device, flip=True) - GREY / 255
            grid = F.affine_grid(there(at), list(pictures.shape), align_corners=False)  # (count, H, W, 2), in [-1, 1]
            edge = there(1 - 1 / size)
            grid = torch.where(each(~chance(0.7)), grid.clamp(-edge, edge), grid)  # the others have grey around them
            pictures = F.grid_sample(pictures, grid, align_corners=False) + GREY / 255
            pictures = pictures.clamp(1e-4, 1) ** each(gamma) * each(gain) + each(offset)
            pictures = pictures[torch.arange(count, device=self.device)[:, None], there(order)]
            pictures = torch.where(each(grey), rgb_to_grayscale(pictures, 3), pictures).clamp(0, 1)
            pictures = torch.where(each(chance(0.1)), 1 - pictures, pictures)
        return pictures.contiguous(memory_format=torch.channels_last), boxes.astype(np.float32), ids

    def _place(
        self, image: np.ndarray, boxes: np.ndarray, ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = self.rng
        height, width = image.shape[:2]
        if rng.random() < 0.6:
            # A letterboxed picture of another aspect: smaller one way or both, grey around it.
            scale_x = rng.uniform(0.45, 1.2)
            scale_y = np.clip(scale_x * rng.uniform(0.75, 1.6), 0.5, 1.15)
            left = rng.uniform(min(0, width * (1 - scale_x)), max(0, width * (1 - scale_x)))
            top = rng.uniform(min(0, height * (1 - scale_y)), max(0, height * (1 - scale_y)))
            if rng.random() < 0.5:
                left, top = width * (1 - scale_x) / 2, height * (1 - scale_y) / 2
            matrix = np.array([[scale_x, 0, left], [0, scale_y, top]], np.float32)
            method = cv2.INTER_AREA if min(scale_x, scale_y) < 1 else cv2.INTER_LINEAR
            border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REPLICATE
            image = cv2.warpAffine(
                image, matrix, (width, height), flags=method, borderMode=border, borderValue=(GREY, GREY, GREY)
            )
            boxes = boxes * np.float32([scale_x, scale_y] * 2) + np.float32([left, top] * 2)
            centre_x, centre_y = boxes[:, [0, 2]].mean(1), boxes[:, [1, 3]].mean(1)
            inside = (centre_x > 1) & (centre_x < width - 1) & (centre_y > 1) & (centre_y < height - 1)
            ids = np.where(inside, ids, -1)
            boxes = np.clip(boxes, 0, np.float32([width, height] * 2))
        if rng.random() < 0.4:  # another exposure
            table = (np.arange(256) / 255) ** rng.uniform(0.6, 1.6) * 255 * rng.uniform(0.7, 1.15) + rng.uniform(
                -25, 25
            )
            image = cv2.LUT(np.ascontiguousarray(image), table.clip(0, 255).astype(np.uint8))
        if rng.random() < 0.15:
            image = np.repeat(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2GRAY)[..., None], 3, 2)
        elif rng.random() < 0.3:
            image = image[..., rng.permutation(3)]
        if rng.random() < 0.1:
            image = 255 - image
        return np.ascontiguousarray(image), boxes, ids
