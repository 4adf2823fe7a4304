"""The pictures of a split as a training loop takes them: fitted once, augmented each time they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, DistributedSampler, RandomSampler, SequentialSampler

from detector.augment import Augment
from detector.errors import DatasetError, ImageError
from detector.fit import fit
from detector.images import read_image
from detector.yolo_format import CharacterSet, parse_labels, split_images


class TextDataset(Dataset[dict[str, Any]]):
    """One split, held in memory as uint8: 105,000 pictures of 256x64 are 5.2 GB.

    Args:
        characters: the set.
        split: "train", "val" or "test".
        shape_hw: height and width of the network's input.

    Attributes:
        images: uint8 (n, H, W, 3), BGR.
        boxes: of each picture, float32 (m, 4) xyxy in pixels of the fitted picture.
        ids: of each picture, int64 (m,).
        texts: of each picture, blanks included.
        im_files: of each picture, its path.
        labels: what Ultralytics wants to see of a dataset: classes and boxes as shares.

    Raises:
        DatasetError: if the split is empty, or a picture or label file is missing or damaged.
    """

    def __init__(self, characters: CharacterSet, split: str, shape_hw: tuple[int, int]) -> None:
        files = list(split_images(characters.root, split))
        if not files:
            raise DatasetError(f"{characters.root}: no pictures in images/{split}: convert again.")
        texts = characters.texts()
        self.images = np.empty((len(files), *shape_hw, 3), np.uint8)
        self.boxes: list[NDArray[np.float32]] = []
        self.ids: list[NDArray[np.int64]] = []
        self.texts: list[str] = []
        self.labels: list[dict[str, NDArray[Any]]] = []
        self.im_files = [str(image) for image, _ in files]
        scale = np.array([shape_hw[1], shape_hw[0]] * 2, np.float32)
        with ThreadPoolExecutor() as pool:
            for i, (image, back) in enumerate(pool.map(lambda f: fit(_read(f[0]), shape_hw), files)):
                self.images[i] = image
                path, label = files[i]
                ids, boxes = parse_labels(label, back.width, back.height, len(characters.rules.symbols))
                fitted = back.to_fitted(boxes)
                key = path.relative_to(characters.root).as_posix()
                if key not in texts:
                    raise DatasetError(f"{path} is not in manifest.csv: convert again, or remove it.")
                self.boxes.append(fitted)
                self.ids.append(ids)
                self.texts.append(texts[key])
                self.labels.append({"cls": ids[:, None].astype(np.float32), "bboxes": _centred(fitted) / scale})

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.collate([index], None)

    def collate(self, indices: Sequence[int], augment: Augment | None) -> dict[str, Any]:
        """A batch in Ultralytics' form: ``img`` uint8 (n, 3, H, W) RGB, boxes as centre and size, shares of 1."""
        height, width = self.images.shape[1:3]
        images, boxes, ids = [], [], []
        for i in indices:
            made = (self.images[i], self.boxes[i], self.ids[i])
            image, box, kind = augment(*made) if augment is not None else made
            images.append(image)
            boxes.append(box)
            ids.append(kind)
        stacked = torch.from_numpy(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2)  # NHWC in memory
        shares = np.concatenate(boxes).reshape(-1, 4)
        return {
            "img": stacked,
            "cls": torch.from_numpy(np.concatenate(ids)).float()[:, None],
            "bboxes": torch.from_numpy(_centred(shares) / np.array([width, height] * 2, np.float32)),
            "batch_idx": torch.from_numpy(np.repeat(np.arange(len(ids)), [len(k) for k in ids])).float(),
            "im_file": [self.im_files[i] for i in indices],
            "text": [self.texts[i] for i in indices],
            "ori_shape": [(height, width)] * len(indices),
            "resized_shape": [(height, width)] * len(indices),
            "ratio_pad": [((1.0, 1.0), (0.0, 0.0))] * len(indices),
        }


def _read(path: Any) -> NDArray[np.uint8]:
    try:
        return read_image(path)
    except ImageError as error:
        raise DatasetError(f"{path}: {error}; the set was changed since it was converted: convert again.") from error


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
