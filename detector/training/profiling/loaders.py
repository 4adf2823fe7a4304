"""Ways to load pictures that the packed store is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from detector.data.images import read_image
from detector.data.letterbox import letterbox
from detector.data.parallel import chunked
from detector.training.dataset import TextDataset

LOADERS = ("packed", "files", "naive")
"""Ways to load: sliced from the packed store; each picture decoded anew each time, uint8; and as the Keras-like
generator does it: each picture opened, resized and divided to float64, its label one-hot, all in one process."""

_SYMBOLS, _LENGTH = 37, 8  # of that generator's labels


class Loader(Protocol):
    """Gives batches."""

    def __iter__(self) -> Iterator[dict[str, Any]]: ...


@dataclass
class FileLoader:
    """Each picture decoded and letterboxed anew each time, in order, in this process."""

    dataset: TextDataset
    batch_size: int

    def __iter__(self) -> Iterator[dict[str, Any]]:
        data = self.dataset
        for chunk in chunked(range(len(data)), self.batch_size):
            pixels = np.stack([letterbox(read_image(data.im_files[i]), data.shape_hw)[0] for i in chunk])[..., ::-1]
            images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
            yield data.unchanged(chunk, images)


@dataclass
class NaiveLoader:
    """A generator as tutorials have it, and the question that this project grew from: float64 and one-hot labels.

    The labels are made, for they cost time, and are put aside: a detector learns from boxes.
    """

    dataset: TextDataset
    batch_size: int

    def __iter__(self) -> Iterator[dict[str, Any]]:
        data = self.dataset
        for chunk in chunked(range(len(data)), self.batch_size):
            images: list[NDArray[np.float64]] = []
            labels = []
            for i in chunk:
                picture = Image.fromarray(read_image(data.im_files[i])[..., ::-1]).resize(data.shape_hw[::-1])
                images.append(np.array(picture, np.float64) / 255.0)
                label = np.zeros((_LENGTH, _SYMBOLS))
                for place, symbol in enumerate(data.ids[i][:_LENGTH]):
                    label[place, symbol % _SYMBOLS] = 1.0
                labels.append(label)
            stacked, one_hot = np.array(images), np.array(labels)
            yield {**data.unchanged(chunk, torch.from_numpy(stacked).permute(0, 3, 1, 2)), "label": one_hot}
