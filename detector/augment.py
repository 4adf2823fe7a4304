"""The one augmentation policy: what may happen to a picture of text without its text changing.

No flips, no mosaic, no erasing of whole characters; mild geometry that keeps every character inside.
"""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.fit import GREY

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for newer versions at import
import albumentations as A

DEGREES = 4.0  # turn either way
SHEAR = 6.0  # degrees of slant either way
ZOOM = (0.85, 1.1)  # size of the text in the picture
SHIFT = 0.04  # of the picture's sides

_KEEP = 0.6  # share of a box's area that must stay inside, or the box is dropped


def policy(strength: float = 1.0) -> list[Any]:
    """Albumentations transforms, in order; pictures uint8 (H, W, 3), boxes in any format.

    Args:
        strength: 0 does nothing, 1 is the default, 2 turns, shifts and shears twice as far.
    """
    if strength <= 0:
        return []
    return [
        A.Affine(
            scale=(1 - (1 - ZOOM[0]) * strength, 1 + (ZOOM[1] - 1) * strength),
            translate_percent=(-SHIFT * strength, SHIFT * strength),
            rotate=(-DEGREES * strength, DEGREES * strength),
            shear={"x": (-SHEAR * strength, SHEAR * strength), "y": (0, 0)},
            border_mode=cv2.BORDER_CONSTANT,
            fill=GREY,
            p=0.8,
        ),
        A.Perspective(scale=(0.01, 0.04 * strength + 0.01), fill=GREY, p=0.2),
        A.RandomBrightnessContrast(0.25, 0.25, p=0.5),
        A.OneOf([A.GaussianBlur((3, 3)), A.MotionBlur((3, 5)), A.Downscale(scale_range=(0.5, 0.9))], p=0.25),
        A.GaussNoise((0.01, 0.06), p=0.2),
        A.ImageCompression(quality_range=(40, 95), p=0.15),
        A.ToGray(p=0.05),
    ]


class Augment:
    """The policy as one call on a picture and its boxes; deterministic after :meth:`seed`."""

    def __init__(self, strength: float = 1.0, seed: int = 0) -> None:
        self.strength = strength
        transforms = policy(strength)
        boxes = A.BboxParams(format="pascal_voc", label_fields=["ids"], min_visibility=_KEEP, clip=True)
        self._with_boxes = A.Compose(transforms, bbox_params=boxes, seed=seed)
        self._alone = A.Compose(transforms, seed=seed)

    def seed(self, seed: int) -> None:
        """Start the random stream anew."""
        self._with_boxes.set_random_seed(seed)
        self._alone.set_random_seed(seed)

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture alone, uint8 (H, W, 3)."""
        changed: NDArray[np.uint8] = self._alone(image=image)["image"]
        return changed

    def __call__(
        self, image: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32], ids: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Picture (H, W, 3), boxes (n, 4) in pixels and their class ids (n,); boxes that left it are dropped."""
        made = self._with_boxes(image=image, bboxes=boxes_xyxy, ids=ids)
        boxes = np.asarray(made["bboxes"], np.float32).reshape(-1, 4)
        return made["image"], boxes, np.asarray(made["ids"], np.int64).reshape(-1)
