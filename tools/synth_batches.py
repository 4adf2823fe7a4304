"""Batches from a store of artificial pictures (synth_store.py), placed anew each time they are drawn."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from detector.alphabet import Alphabet
from detector.fit import GREY

HELD_BACK = 2000  # pictures at the end of a store that are never drawn, for scores


class SynthBatches:
    """An endless stream of (images, boxes, ids); the next batch is made while one is used.

    With several ``processes`` each draws from its own share of the store, and has its own seed.
    """

    def __init__(
        self, store: Path, alphabet: Alphabet, batch: int, seed: int, rank: int = 0, processes: int = 1
    ) -> None:
        mapped = np.load(store / "images.npy", mmap_mode="r")
        own = slice(rank, len(mapped) - HELD_BACK, processes)
        # Read into memory: mapped pages drawn at random are dropped and read again, at half the speed.
        self.images = np.array(mapped[own])
        labels = np.load(store / "labels.npz")
        self.boxes = labels["boxes_xyxy"][own]
        encoded = alphabet.encode([str(t).replace(" ", "") for t in labels["texts"][own]], self.boxes.shape[1])
        self.ids = np.where(encoded == alphabet.blank_id, -1, encoded)
        self.batch = batch
        self.rng = np.random.default_rng([seed, rank] if rank else seed)
        self.pool = ThreadPoolExecutor(1)
        self.next: Future[tuple[np.ndarray, np.ndarray, np.ndarray]] = self.pool.submit(self._make)

    def draw(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """uint8 (batch, H, W, 3); float32 (batch, n, 4) in pixels; int64 (batch, n), -1 where no character."""
        made = self.next.result()
        self.next = self.pool.submit(self._make)
        return made

    def _make(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        picked = np.sort(self.rng.choice(len(self.images), self.batch, replace=False))
        made = [self._place(self.images[i], self.boxes[i], self.ids[i]) for i in picked]
        images, boxes, ids = zip(*made, strict=True)
        return np.stack(images), np.stack(boxes), np.stack(ids)

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
