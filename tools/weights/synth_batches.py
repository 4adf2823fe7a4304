"""Training batches from stores of artificial pictures (synth_store.py), augmented each time they are drawn."""

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
from tools.weights.synth_store import HELD_OUT, Store

_REFRESH_BATCHES = 100  # between checks for new pictures in a store that is still being drawn


class SynthBatches:
    """An endless stream of augmented batches; the next batch is prepared in a thread.

    Args:
        stores: folders of stores; more than one only on a CPU.
        alphabet: of the class ids.
        batch: number of pictures in a batch.
        seed: of the draws.
        rank, processes: number of this process, and how many there are; each draws from a share of the stores, with a
            different seed. More than one only on a CPU.
        device: where pictures are augmented. On a GPU, the store may still be drawn meanwhile: batches are drawn from
            the pictures that are there.

    Raises:
        SystemExit: if there are several stores or processes on a GPU, or a store is not completely drawn on a CPU.
    """

    def __init__(
        self, stores: Sequence[Path], alphabet: Alphabet, batch: int, seed: int, rank: int = 0, processes: int = 1,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        opened_stores = [Store.open(store) for store in stores]
        self.device = torch.device(device)
        if self.device.type != "cpu" and (processes > 1 or len(opened_stores) > 1):
            raise SystemExit("Several processes share batches, or stores, on a CPU only: name one, for one process.")
        shares = [slice(rank, len(store.images) - HELD_OUT, processes) for store in opened_stores]
        if self.device.type == "cpu":
            if unfinished := [
                str(path) for path, store in zip(stores, opened_stores, strict=True) if not store.drawn.all()
            ]:
                raise SystemExit(f"{', '.join(unfinished)} is not drawn to its end: run synth_store.py again.")
            # Read into memory: random access to mapped pages is half as fast.
            self.images = np.concatenate(
                [store.images[part] for store, part in zip(opened_stores, shares, strict=True)]
            )
        else:
            self.images = opened_stores[0].images[shares[0]]
        self.drawn, self.texts, self.boxes, self.other_boxes = (
            getattr(opened_stores[0], name)[shares[0]]
            if len(opened_stores) == 1  # mapped, so that pictures drawn meanwhile appear
            else np.concatenate([getattr(store, name)[part] for store, part in zip(opened_stores, shares, strict=True)])
            for name in ("drawn", "texts", "boxes_xyxy", "others_xyxy")
        )
        self.alphabet = alphabet
        self.batch, self.batches = batch, 0
        while len(available := np.flatnonzero(self.drawn)) < batch:  # wait for the first pictures
            time.sleep(1)
        self.available = available
        self.rng = np.random.default_rng([seed, rank] if rank else seed)
        self.pool = ThreadPoolExecutor(1)
        self.next_batch: Future[Batch] = self.pool.submit(self._make)

    def draw(self) -> Batch:
        """Return the next batch, see :data:`detector.training.training_loop.Batch`.

        Class ids are -1 for padding, and the number of symbols for a character of another alphabet.
        """
        batch = self.next_batch.result()
        self.next_batch = self.pool.submit(self._make)
        return batch

    def _make(self) -> Batch:
        if self.batches % _REFRESH_BATCHES == 0 and len(self.available) < len(self.drawn):
            self.available = np.flatnonzero(self.drawn)
        self.batches += 1
        picked = self.available[np.sort(self.rng.choice(len(self.available), self.batch, replace=False))]
        texts = [str(t).replace(" ", "") for t in self.texts[picked]]
        encoded = self.alphabet.encode(texts, self.boxes.shape[1])
        images = np.asarray(self.images.take(picked, 0))  # other threads run meanwhile
        other_boxes = np.asarray(self.other_boxes[picked])  # (batch, m, 4)
        boxes = np.concatenate([self.boxes[picked], other_boxes], 1)
        ids = np.where(encoded == self.alphabet.space_id, -1, encoded)
        ids = np.concatenate([ids, np.where(other_boxes.any(2), len(self.alphabet), -1)], 1)
        if self.device.type != "cpu":
            return self._augment_on_device(images, boxes, ids)
        pictures = [self._augment(*picture) for picture in zip(images, boxes, ids, strict=True)]
        images, boxes, ids = (np.stack(column) for column in zip(*pictures, strict=True))
        return images, boxes, ids

    def _augment_on_device(
        self, images: np.ndarray, boxes: np.ndarray, ids: np.ndarray
    ) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        """Augment all pictures of a batch at once as :meth:`_augment` does one, with bilinear resampling.

        Args:
            images: uint8 (batch, H, W, 3), BGR.
            boxes: float32 (batch, n, 4) xyxy, in pixels.
            ids: (batch, n), class ids; -1 for padding.

        Returns:
            Pictures on the device, float (batch, 3, H, W), RGB in [0, 1]; boxes and ids as given, with -1 for
            characters outside the picture.
        """
        rng, count = self.rng, len(images)
        height, width = images.shape[1:3]
        size = np.float32([width, height])

        def chance(share: float) -> np.ndarray:
            return rng.random(count) < share

        scale = np.stack([scale_x := rng.uniform(0.45, 1.2, count), scale_x * rng.uniform(0.75, 1.6, count)], 1)
        scale[:, 1] = scale[:, 1].clip(0.5, 1.15)
        margin = size * (1 - scale)  # (count, 2)
        start = np.where(chance(0.5)[:, None], 0.5, rng.random((count, 2))) * margin
        is_moved = chance(0.6)[:, None]
        scale, start = np.where(is_moved, scale, 1.0), np.where(is_moved, start, 0.0)
        boxes = boxes * np.tile(scale, 2)[:, None].astype(np.float32) + np.tile(start, 2)[:, None].astype(np.float32)
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        ids = np.where(((centre > 1) & (centre < size - 1)).all(-1), ids, -1)
        boxes = boxes.clip(0, np.tile(size, 2))

        is_exposed, is_grey = chance(0.4), chance(0.15)
        gamma, gain, offset = (
            np.where(is_exposed, rng.uniform(*bounds, count), identity)
            for bounds, identity in (((0.6, 1.6), 1), ((0.7, 1.15), 1), ((-25 / 255, 25 / 255), 0))
        )
        channels = np.tile(np.arange(3), (count, 1))
        channels = np.where((chance(0.3) & ~is_grey)[:, None], rng.permuted(channels, axis=1), channels)
        # (count, 2, 3): maps points of the augmented picture to the stored one; sides are -1 and 1.
        affine = np.concatenate(
            [np.eye(2)[None] / scale[..., None], ((1 - 2 * start / size) / scale - 1)[..., None]], 2
        )

        def tensor(values: np.ndarray) -> torch.Tensor:
            values = values.astype(np.float32) if values.dtype == np.float64 else values
            return torch.from_numpy(values).to(self.device, non_blocking=True)

        def per_picture(values: np.ndarray) -> torch.Tensor:
            return tensor(values)[:, None, None, None]

        with torch.no_grad():
            pictures = to_device(images, self.device, flip=True) - GREY / 255
            grid = F.affine_grid(tensor(affine), list(pictures.shape), align_corners=False)  # (count, H, W, 2)
            edge = tensor(1 - 1 / size)
            grid = torch.where(per_picture(~chance(0.7)), grid.clamp(-edge, edge), grid)  # the others get a grey border
            pictures = F.grid_sample(pictures, grid, align_corners=False) + GREY / 255
            pictures = pictures.clamp(1e-4, 1) ** per_picture(gamma) * per_picture(gain) + per_picture(offset)
            pictures = pictures[torch.arange(count, device=self.device)[:, None], tensor(channels)]
            pictures = torch.where(per_picture(is_grey), rgb_to_grayscale(pictures, 3), pictures).clamp(0, 1)
            pictures = torch.where(per_picture(chance(0.1)), 1 - pictures, pictures)
        return pictures.contiguous(memory_format=torch.channels_last), boxes.astype(np.float32), ids

    def _augment(
        self, image: np.ndarray, boxes: np.ndarray, ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Augment one picture: size and place, exposure, colours.

        Args:
            image: uint8 (H, W, 3), BGR.
            boxes: float32 (n, 4) xyxy, in pixels.
            ids: (n,), class ids; -1 for padding.

        Returns:
            The same, with -1 for characters outside the picture.
        """
        rng = self.rng
        height, width = image.shape[:2]
        if rng.random() < 0.6:
            # As a letterboxed picture of another aspect ratio: smaller in one direction or both, with grey around it.
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
            is_inside = (centre_x > 1) & (centre_x < width - 1) & (centre_y > 1) & (centre_y < height - 1)
            ids = np.where(is_inside, ids, -1)
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
