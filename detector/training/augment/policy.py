"""The one augmentation policy: what may happen to a picture of text without its text changing.

No flips, no mosaic, no erasing of whole characters; mild geometry that keeps every character inside.
:class:`Augment` follows it a picture at a time with Albumentations, and is the reference.
:mod:`detector.training.augment.plan` draws the same for a batch at a time, which OpenCV
then does on a CPU and torch on a GPU.

Both ways stay: a plan costs a sixth of the time on a CPU and trains as well (docs/training.md has both figures, from
`tools/training/loaders.py` and `tools/training/augmentation_parity.py`), and only Albumentations takes a
user's own transforms (``augmentations=[…]``).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from detector.data.letterbox import GREY

from_dict = A.from_dict

KEEP = 0.6
"""Share of a box's area that must stay inside the picture, or the box is dropped."""


@dataclass(frozen=True)
class Policy:
    """How far a picture may be changed; names and meanings are those of ``yolo train``'s arguments.

    Args:
        degrees: turn either way.
        translate: shift either way, share of the sides.
        scale: size, 1 - scale to 1 + scale / 2: text that grows leaves the picture sooner than text that shrinks.
        shear: slant either way, degrees.
        perspective: of the corners, share of the sides.
        fliplr, flipud: probabilities; 0 for text.
        photometric: multiplies the probability of blur, noise, JPEG and changes of brightness; 0 turns them off.
    """

    degrees: float = 4.0
    translate: float = 0.04
    scale: float = 0.15
    shear: float = 6.0
    perspective: float = 0.04
    fliplr: float = 0.0
    flipud: float = 0.0
    photometric: float = 1.0

    AFFINE_P: ClassVar = 0.8  # probability of turn, shift, size and slant together
    PERSPECTIVE_P: ClassVar = 0.2
    BRIGHTNESS_P: ClassVar = 0.5
    BRIGHTNESS: ClassVar = 0.25  # gain 1 -+, and offset -+ as a share of white
    BLUR_P: ClassVar = 0.25  # one of the three that follow
    GAUSS_SIZE: ClassVar = 3  # pixels
    GAUSS_SIGMA: ClassVar = (0.5, 3.0)
    MOTION_SIZE: ClassVar = (3, 5)
    DOWNSCALE: ClassVar = (0.5, 0.9)  # to this share of the sides, and back
    NOISE_P: ClassVar = 0.2
    NOISE: ClassVar = (0.01, 0.06)  # standard deviation as a share of white
    JPEG_P: ClassVar = 0.15
    JPEG: ClassVar = (40, 95)  # quality
    GREY_P: ClassVar = 0.05

    @property
    def scales(self) -> tuple[float, float]:
        """Minimum and maximum scale."""
        return 1 - self.scale, 1 + self.scale / 2

    @property
    def perspectives(self) -> tuple[float, float]:
        """Minimum and maximum shift of the corners."""
        return self.perspective / 4, self.perspective

    @property
    def affine(self) -> bool:
        """Whether any affine change is possible."""
        return bool(self.degrees or self.translate or self.scale or self.shear)

    def often(self, p: float) -> float:
        """Probability of a photometric change."""
        return min(1.0, p * self.photometric)

    def transforms(self) -> list[Any]:
        """Return Albumentations transforms, in order, for pictures uint8 (H, W, 3)."""
        return [*self._geometry(), *self._photometry()]

    def _geometry(self) -> list[Any]:
        transforms: list[Any] = []
        if self.affine:
            transforms.append(
                A.Affine(
                    scale=self.scales,
                    translate_percent=(-self.translate, self.translate),
                    rotate=(-self.degrees, self.degrees),
                    shear={"x": (-self.shear, self.shear), "y": (0, 0)},
                    border_mode=cv2.BORDER_CONSTANT,
                    fill=GREY,
                    p=self.AFFINE_P,
                )
            )
        if self.perspective:
            transforms.append(A.Perspective(scale=self.perspectives, fill=GREY, p=self.PERSPECTIVE_P))
        if self.fliplr:
            transforms.append(A.HorizontalFlip(p=self.fliplr))
        if self.flipud:
            transforms.append(A.VerticalFlip(p=self.flipud))
        return transforms

    def _photometry(self) -> list[Any]:
        if not self.photometric:
            return []
        blurs = [
            A.GaussianBlur((self.GAUSS_SIZE, self.GAUSS_SIZE), self.GAUSS_SIGMA),
            A.MotionBlur(self.MOTION_SIZE),
            A.Downscale(scale_range=self.DOWNSCALE),
        ]
        return [
            A.RandomBrightnessContrast(self.BRIGHTNESS, self.BRIGHTNESS, p=self.often(self.BRIGHTNESS_P)),
            A.OneOf(blurs, p=self.often(self.BLUR_P)),
            A.GaussNoise(self.NOISE, p=self.often(self.NOISE_P)),
            A.ImageCompression(quality_range=self.JPEG, p=self.often(self.JPEG_P)),
            A.ToGray(p=self.often(self.GREY_P)),
        ]


class Augment:
    """The policy as one call on a picture and its boxes; deterministic after :meth:`seed`."""

    def __init__(self, policy: Policy | None = None, seed: int = 0, extra: Sequence[Any] = ()) -> None:
        """``extra`` are a user's own Albumentations transforms; they replace the policy's photometric ones."""
        policy = policy or Policy()
        transforms = [*replace(policy, photometric=0.0).transforms(), *extra] if extra else policy.transforms()
        if not any(isinstance(t, A.DualTransform) for t in transforms):
            transforms = [A.NoOp(), *transforms]  # Compose warns of boxes that nothing would move
        boxes = A.BboxParams(format="pascal_voc", label_fields=["ids"], min_visibility=KEEP, clip=True)
        self._with_boxes = A.Compose(transforms, bbox_params=boxes, seed=seed)
        self._alone = A.Compose(transforms, seed=seed)

    def seed(self, seed: int) -> None:
        """Restart the random stream."""
        # One stream for all transforms: set_random_seed gives each of them the same numbers, so that a picture
        # that is not turned is not blurred either.
        for composed in (self._with_boxes, self._alone):
            composed.set_random_state(np.random.default_rng(seed), random.Random(seed))

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Augment a picture without boxes, uint8 (H, W, 3)."""
        changed: NDArray[np.uint8] = self._alone(image=image)["image"]
        return changed

    def __call__(
        self, image: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32], ids: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Augment a picture (H, W, 3), boxes (n, 4) in pixels and class ids (n,); boxes that leave it are dropped."""
        changed = self._with_boxes(image=image, bboxes=boxes_xyxy, ids=ids)
        boxes = np.asarray(changed["bboxes"], np.float32).reshape(-1, 4)
        return changed["image"], boxes, np.asarray(changed["ids"], np.int64).reshape(-1)
