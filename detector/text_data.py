"""The pictures of a split as a training loop takes them: fitted once, augmented each time they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler, RandomSampler, SequentialSampler

from detector.augment import Augment
from detector.errors import DatasetError
from detector.packed import open_packed
from detector.yolo_format import CharacterSet


class TextDataset(Dataset[dict[str, Any]]):
    """One split, packed: see :mod:`detector.packed`.

    Args:
        characters: the set.
        split: "train", "val" or "test".
        shape_hw: height and width of the network's input.

    Attributes:
        images: uint8 (n, H, W, 3), BGR, mapped from the disk.
        boxes: of each picture, float32 (m, 4) xyxy in pixels of the fitted picture.
        ids: of each picture, int64 (m,).
        texts: of each picture, blanks included.
        im_files: of each picture, its path.
        labels: what Ultralytics wants to see of a dataset: classes and boxes as shares.

    Raises:
        DatasetError: if the split is empty, or a picture or label file is missing or damaged.
    """

    def __init__(self, characters: CharacterSet, split: str, shape_hw: tuple[int, int]) -> None:
        packed = open_packed(characters, split, shape_hw)
        texts = characters.texts()
        folder = characters.root / "images" / split
        unknown = [name for name in packed.names if f"images/{split}/{name}" not in texts]
        if unknown:
            raise DatasetError(f"{folder / unknown[0]} is not in manifest.csv: convert again, or remove it.")
        self.images, self.boxes, self.ids = packed.images, packed.boxes_xyxy, packed.ids
        self.texts = [texts[f"images/{split}/{name}"] for name in packed.names]
        self.im_files = [str(folder / name) for name in packed.names]
        sides = np.array([shape_hw[1], shape_hw[0]] * 2, np.float32)
        self.labels = [
            {"cls": ids[:, None].astype(np.float32), "bboxes": _centred(boxes) / sides}
            for ids, boxes in zip(self.ids, self.boxes, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.collate([index], None)

    def rgb(self, indices: Sequence[int], pinned: bool = False) -> Tensor:
        """Pictures as the network takes them, uint8 (n, 3, H, W), NHWC in memory; ``pinned`` for a copy to a GPU."""
        _, height, width, _ = self.images.shape
        taken = torch.empty((len(indices), height, width, 3), dtype=torch.uint8, pin_memory=pinned)
        pixels = taken.numpy()
        np.take(self.images, indices, axis=0, out=pixels, mode="clip")  # the default mode copies twice
        _swap_colours(pixels)
        return taken.permute(0, 3, 1, 2)

    def collate(self, indices: Sequence[int], augment: Augment | None) -> dict[str, Any]:
        """A batch in Ultralytics' form: ``img`` uint8 (n, 3, H, W) RGB, boxes as centre and size, shares of 1."""
        if augment is None:
            return self.batch(
                indices, self.rgb(indices), [self.boxes[i] for i in indices], [self.ids[i] for i in indices]
            )
        made = [augment(self.images[i], self.boxes[i], self.ids[i]) for i in indices]
        pixels = np.stack([image for image, _, _ in made])
        _swap_colours(pixels)
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return self.batch(indices, image, [boxes for _, boxes, _ in made], [ids for _, _, ids in made])

    def batch(
        self,
        indices: Sequence[int],
        images: Tensor,
        boxes_xyxy: Sequence[NDArray[np.float32]],
        ids: Sequence[NDArray[np.int64]],
    ) -> dict[str, Any]:
        """Pictures with a list of boxes and classes each, as :meth:`collate` gives them."""
        height, width = self.images.shape[1:3]
        shares = _centred(np.concatenate(boxes_xyxy)) / np.array([width, height] * 2, np.float32)
        return {
            "img": images,
            "cls": torch.from_numpy(np.concatenate(ids)).float()[:, None],
            "bboxes": torch.from_numpy(shares),
            "batch_idx": torch.from_numpy(np.repeat(np.arange(len(ids)), [len(k) for k in ids])).float(),
            "im_file": [self.im_files[i] for i in indices],
            "text": [self.texts[i] for i in indices],
            "ori_shape": [(height, width)] * len(indices),
            "resized_shape": [(height, width)] * len(indices),
            "ratio_pad": [((1.0, 1.0), (0.0, 0.0))] * len(indices),
        }


def _swap_colours(pixels: NDArray[np.uint8]) -> None:
    """BGR to RGB in place, (n, H, W, 3)."""
    rows = pixels.reshape(-1, pixels.shape[2], 3)  # (n * H, W, 3)
    cv2.cvtColor(rows, cv2.COLOR_BGR2RGB, dst=rows)


def _centred(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    x1, y1, x2, y2 = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4).T
    return np.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1)


class TextLoader:
    """Batches of a split; the next one is made in a thread while the network learns from this one.

    It has the attributes that Ultralytics' trainer asks of a loader. The order of an epoch, and what
    augmentation does in it, follow from the seed and the epoch's number.
    """

    num_workers = 0
    drop_last = False

    def __init__(
        self, dataset: TextDataset, batch_size: int, *, training: bool, augment: Augment | None, seed: int, rank: int
    ) -> None:
        self.dataset = dataset
        self.batch_size = min(batch_size, len(dataset))
        self.seed = seed + max(rank, 0)
        self.epoch = 0
        self._generator = torch.Generator()
        self.sampler: Any
        if rank != -1:
            self.sampler = DistributedSampler(dataset, shuffle=training, seed=seed)
        elif training:
            self.sampler = RandomSampler(dataset, generator=self._generator)
        else:
            self.sampler = SequentialSampler(dataset)
        self._augment = augment

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._generator.manual_seed(self.seed * 1_000_003 + self.epoch)
        if self._augment is not None:
            self._augment.seed(self.seed * 1_000_003 + self.epoch)
        self.epoch += 1
        order = list(self.sampler)
        chunks = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        if not chunks:
            return
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.dataset.collate, chunks[0], self._augment)
            for chunk in chunks[1:]:
                batch = coming.result()
                coming = pool.submit(self.dataset.collate, chunk, self._augment)
                yield batch
            yield coming.result()

    def reset(self) -> None:
        """Nothing is kept between epochs."""
