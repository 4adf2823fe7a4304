"""The pictures of a split as a training loop takes them: letterboxed once, augmented each time they are drawn."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, RandomSampler, SequentialSampler

from detector.data.letterbox import to_shares
from detector.data.parallel import chunked
from detector.data.sets.packed import Share, open_packed
from detector.data.sets.yolo_dataset import MANIFEST, CharacterSet
from detector.errors import DatasetError, abridged, counted
from detector.training.augment import on_cpu as augment_opencv
from detector.training.augment.plan import BatchAugment, Plan, move_boxes
from detector.training.augment.policy import Augment

log = logging.getLogger("detector")

_MOVED_AT_ONCE = 1024  # pictures, on their way into a GPU's memory


class TextDataset(Dataset[dict[str, Any]]):
    """One split, packed: see :mod:`detector.data.sets.packed`.

    Args:
        characters: the set.
        split: "train", "val" or "test".
        shape_hw: height and width of the network's input.
        share: of several processes the one that this is of; the pictures of others are not touched. None takes all.

    Attributes:
        images: uint8 (n, H, W, 3), BGR, mapped from the disk.
        boxes: of each picture, float32 (m, 4) xyxy in pixels of the letterboxed picture.
        ids: of each picture, int64 (m,).
        shape_hw: of all pictures.
        texts: of each picture, spaces included.
        im_files: of each picture, its path.
        rows: of the share, int64.
        labels: what Ultralytics wants to see of a dataset: classes and boxes as shares.

    Raises:
        DatasetError: if the split is empty, or a picture or label file is missing or damaged.
    """

    def __init__(
        self, characters: CharacterSet, split: str, shape_hw: tuple[int, int], share: Share | None = None
    ) -> None:
        packed = open_packed(characters, split, shape_hw, share)
        texts = characters.texts()
        folder = characters.root / "images" / split
        unknown = [name for name in packed.names if f"images/{split}/{name}" not in texts]
        if unknown:
            raise DatasetError(f"{folder / unknown[0]} is not in {MANIFEST}: convert again, or remove it.")
        listed = [image.removeprefix(f"images/{split}/") for image in texts if image.startswith(f"images/{split}/")]
        if (missing := sorted({*listed} - {*packed.names})) and not (share and share.rank):
            log.warning(
                "%s of %s in %s not there, and left out: %s",
                counted(len(missing), "picture"), folder, f"{MANIFEST} {'is' if len(missing) == 1 else 'are'}",
                abridged(missing, 5),
            )  # fmt: skip
        self.images, self.boxes, self.ids = packed.images, packed.boxes_xyxy, packed.ids
        self.shape_hw = shape_hw
        self.share, self._packed = share or Share(), packed
        self.rows = self.share.rows(len(packed.names))
        self.texts = [texts[f"images/{split}/{name}"] for name in packed.names]
        self.im_files = [str(folder / name) for name in packed.names]
        self.labels = [
            {"cls": ids[:, None].astype(np.float32), "bboxes": to_shares(np.asarray(boxes, np.float32), shape_hw[::-1])}
            for ids, boxes in zip(self.ids, self.boxes, strict=True)
        ]

    def fingerprint(self) -> str:
        """Hash everything that is learnt from the split."""
        return self._packed.fingerprint()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.unchanged([index], self.rgb([index]))

    def rgb(self, indices: Sequence[int] | NDArray[np.int64], pinned: bool = False) -> Tensor:
        """Return network input, uint8 (n, 3, H, W), NHWC in memory; ``pinned`` for a copy to a GPU."""
        batch = torch.empty((len(indices), *self.shape_hw, 3), dtype=torch.uint8, pin_memory=pinned)
        pixels = batch.numpy()
        np.take(self.images, indices, axis=0, out=pixels, mode="clip")  # the default mode copies twice
        _swap_colours(pixels)
        return batch.permute(0, 3, 1, 2)

    def augmented(self, indices: Sequence[int], augment: Augment) -> dict[str, Any]:
        """Return a batch as :meth:`batch` does, each picture augmented on its own."""
        augmented = [augment(self.images[i], self.boxes[i], self.ids[i]) for i in indices]
        image = _as_rgb(np.stack([image for image, _, _ in augmented]))
        return self.batch(indices, image, [boxes for _, boxes, _ in augmented], [ids for _, _, ids in augmented])

    def changed(self, indices: Sequence[int], plan: Plan) -> dict[str, Any]:
        """Return a batch as :meth:`batch` does, augmented on the CPU by the plan."""
        image = _as_rgb(augment_opencv.apply(plan, [self.images[i] for i in indices]))
        return self.planned(indices, image, plan)

    def planned(self, indices: Sequence[int], images: Tensor, plan: Plan) -> dict[str, Any]:
        """Return a batch as :meth:`batch` does, of ``images`` as they are, with the boxes moved by the plan."""
        boxes_xyxy, ids = [self.boxes[i] for i in indices], [self.ids[i] for i in indices]
        return self.batch(indices, images, *move_boxes(plan, self.shape_hw, boxes_xyxy, ids))

    def unchanged(self, indices: Sequence[int], images: Tensor) -> dict[str, Any]:
        """Return a batch as :meth:`batch` does, of ``images`` as they are, with the boxes of the set."""
        return self.batch(indices, images, [self.boxes[i] for i in indices], [self.ids[i] for i in indices])

    def batch(
        self,
        indices: Sequence[int],
        images: Tensor,
        boxes_xyxy: Sequence[NDArray[np.float32]],
        ids: Sequence[NDArray[np.int64]],
    ) -> dict[str, Any]:
        """Return a batch in Ultralytics' form: boxes as cxcywh, shares of 1; ``images`` uint8 (n, 3, H, W) RGB."""
        shares = to_shares(np.asarray(np.concatenate(boxes_xyxy), np.float32), self.shape_hw[::-1])
        return {
            "img": images,
            "cls": torch.from_numpy(np.concatenate(ids)).float()[:, None],
            "bboxes": torch.from_numpy(shares),
            "batch_idx": torch.from_numpy(np.repeat(np.arange(len(ids)), [len(k) for k in ids])).float(),
            "im_file": [self.im_files[i] for i in indices],
            "text": [self.texts[i] for i in indices],
            "ori_shape": [self.shape_hw] * len(indices),
            "resized_shape": [self.shape_hw] * len(indices),
            "ratio_pad": [((1.0, 1.0), (0.0, 0.0))] * len(indices),
        }


def _as_rgb(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn (n, H, W, 3) BGR into (n, 3, H, W) RGB, in the same memory."""
    _swap_colours(pixels)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _swap_colours(pixels: NDArray[np.uint8]) -> None:
    """Swap BGR to RGB in place, (n, H, W, 3)."""
    rows = pixels.reshape(-1, pixels.shape[2], 3)  # (n * H, W, 3)
    cv2.cvtColor(rows, cv2.COLOR_BGR2RGB, dst=rows)


class EpochOrder:
    """In which order each epoch takes the pictures of a split; it follows from the seed and the epoch's number.

    Of several processes each draws from its own share: in training equally many, so that none waits for a batch that
    never comes; in validation each picture once.

    Args:
        dataset: the split.
        shuffled: as training wants it.
        seed: of the run.

    Attributes:
        sampler: as Ultralytics' trainer knows it.
    """

    def __init__(self, dataset: TextDataset, *, shuffled: bool, seed: int = 0) -> None:
        self._seed = seed + dataset.share.rank
        self._generator = torch.Generator()
        self.sampler: Any
        if dataset.share.count > 1 and shuffled:
            self.sampler = _ShareSampler(dataset, self._generator)
        elif dataset.share.count > 1:
            self.sampler = dataset.rows.tolist()
        elif shuffled:
            self.sampler = RandomSampler(dataset, generator=self._generator)
        else:
            self.sampler = SequentialSampler(dataset)

    def seed_of(self, epoch: int) -> int:
        """Return the seed of an epoch in this process."""
        return self._seed * 1_000_003 + epoch

    def rows_of(self, epoch: int) -> list[int]:
        """Return the dataset's rows in the order of an epoch."""
        self._generator.manual_seed(self.seed_of(epoch))
        return list(self.sampler)


class _ShareSampler:
    """A share in random order; of shares that differ by a picture the smaller ones repeat one."""

    def __init__(self, dataset: TextDataset, generator: torch.Generator) -> None:
        self._rows, self._generator = dataset.rows, generator
        self._count = math.ceil(len(dataset) / dataset.share.count)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(len(self._rows), generator=self._generator).numpy()
        yield from self._rows[np.resize(order, self._count)].tolist()

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: Ultralytics calls it, and :class:`EpochOrder` has seeded the generator."""


class TextLoader:
    """Batches of a split, sliced from its store; the next one is made in a thread while the network learns from this.

    It has the attributes that Ultralytics' trainer asks of a loader.

    Args:
        dataset: the split.
        batch_size: pictures of a batch; the last one may be smaller.
        order: of an epoch; its seed is augmentation's, too.
        augment: None; an :class:`Augment`, which changes one picture after the other; or a :class:`BatchAugment`, whose
            plan is carried out here where the network is on the CPU. On a GPU the boxes are moved here, and the
            ``plan`` is left in the batch, for :func:`detector.training.augment.on_gpu.apply` there.
        device: where the network is. On a GPU the share lies in its memory where ``fits_in_memory`` says so, and comes
            in pinned batches otherwise.
        resident: overrules that.
        drop_last: leave out a last batch that is smaller: a compiled network wants one shape.
    """

    num_workers = 0

    def __init__(
        self,
        dataset: TextDataset,
        batch_size: int,
        order: EpochOrder,
        *,
        augment: Augment | BatchAugment | None = None,
        device: torch.device | None = None,
        resident: bool | None = None,
        drop_last: bool = False,
    ) -> None:
        self.dataset, self.batch_size = dataset, min(batch_size, len(dataset))
        self._order, self.sampler, self.epoch = order, order.sampler, 0
        self._augment, self.drop_last = augment, drop_last
        device = device or torch.device("cpu")
        self._pinned, self._on_cpu = device.type == "cuda", device.type == "cpu"
        if resident is None:
            size = len(dataset.rows) * dataset.images[:1].nbytes
            resident = not isinstance(augment, Augment) and fits_in_memory(size, device)
        self._resident = self._on_device(device) if resident else None

    def _on_device(self, device: torch.device) -> Tensor:
        """Copy the share to the device, uint8 (n, 3, H, W) RGB, NHWC in memory."""
        rows, shape_hw = self.dataset.rows, self.dataset.shape_hw
        share = torch.empty((len(rows), *shape_hw, 3), dtype=torch.uint8, device=device).permute(0, 3, 1, 2)
        for start in range(0, len(rows), _MOVED_AT_ONCE):
            chunk = rows[start : start + _MOVED_AT_ONCE]
            share[start : start + len(chunk)] = self.dataset.rgb(chunk, self._pinned)
        return share

    def __len__(self) -> int:
        full_batches, remainder = divmod(len(self.sampler), self.batch_size)
        return max(1, full_batches + (remainder > 0 and not self.drop_last))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._augment is not None:
            self._augment.seed(self._order.seed_of(self.epoch))
        rows = self._order.rows_of(self.epoch)
        self.epoch += 1
        chunks = [*chunked(rows, self.batch_size)][: len(self)]
        if not chunks:
            return
        with ThreadPoolExecutor(1) as pool:
            next_batch = pool.submit(self._batch, chunks[0])
            for chunk in chunks[1:]:
                batch = next_batch.result()
                next_batch = pool.submit(self._batch, chunk)
                yield batch
            yield next_batch.result()

    def _batch(self, chunk: Sequence[int]) -> dict[str, Any]:
        if isinstance(self._augment, Augment):
            return self.dataset.augmented(chunk, self._augment)
        plan = None if self._augment is None else self._augment.plan(len(chunk), self.dataset.shape_hw)
        if plan is not None and self._on_cpu:
            return self.dataset.changed(chunk, plan)
        if self._resident is not None:
            places = np.searchsorted(self.dataset.rows, chunk)
            images = self._resident[torch.from_numpy(places).to(self._resident.device)]
        else:
            images = self.dataset.rgb(chunk, self._pinned)
        if plan is None:
            return self.dataset.unchanged(chunk, images)
        return {**self.dataset.planned(chunk, images, plan), "plan": plan}

    def reset(self) -> None:
        """Do nothing: no state is kept between epochs."""


def fits_in_memory(size: int, device: torch.device) -> bool:
    """Whether ``size`` bytes may lie in the device's memory beside a network that trains: a GPU of which they take at
    most a third of what is free."""
    return device.type == "cuda" and 3 * size <= torch.cuda.mem_get_info(device)[0]
