"""The policy on a batch: the same limits as one picture at a time, boxes that follow the pixels, seeds; and OpenCV does
on the CPU what torch does."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from albumentations.augmentations.blur.functional import create_gaussian_kernel, create_motion_kernel

from detector.data.letterbox import GREY
from detector.training.augment import on_cpu as augment_opencv
from detector.training.augment.on_gpu import _jpeg, apply
from detector.training.augment.plan import BatchAugment, Plan, gaussian_kernels, motion_kernels, move_boxes
from detector.training.augment.policy import Augment, Policy

SHAPE_HW = (64, 192)
NOTHING = Policy(degrees=0, translate=0, scale=0, shear=0, perspective=0, photometric=0)
STILL = replace(NOTHING, photometric=1.0)
GEOMETRY = Policy(photometric=0.0)
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")),
]


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    """Smooth colours, float32 (count, 3, H, W) in [0, 1]: JPEG and blur lose little of them."""
    rng = np.random.default_rng(seed)
    small = rng.random((count, 3, 8, 24)).astype(np.float32)
    return torch.nn.functional.interpolate(torch.from_numpy(small), SHAPE_HW, mode="bilinear").clamp(0, 1)


def texture(count: int) -> torch.Tensor:
    """Each number on its own: the opposite, up to the edges."""
    return torch.from_numpy(np.random.default_rng(1).random((count, 3, *SHAPE_HW), np.float32))


def as_bytes(images: torch.Tensor) -> np.ndarray:
    """As OpenCV holds them, uint8 (count, H, W, 3) BGR."""
    levels = (images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    return np.ascontiguousarray(levels[..., ::-1])


def as_floats(images: np.ndarray) -> torch.Tensor:
    """The other way."""
    return torch.from_numpy(np.ascontiguousarray(images[..., ::-1])).permute(0, 3, 1, 2).float() / 255


def opencv(plan: Plan, images: torch.Tensor) -> torch.Tensor:
    """The executor for the CPU, on pictures as the other one takes them."""
    return as_floats(augment_opencv.apply(plan, as_bytes(images.cpu())))


Executor = Callable[[Plan, torch.Tensor], torch.Tensor]
EXECUTORS = {"torch": apply, "opencv": opencv}
executors = pytest.mark.parametrize("done", EXECUTORS.values(), ids=EXECUTORS.keys())


def boxes(*xyxy: list[float]) -> np.ndarray:
    return np.array(xyxy, np.float32).reshape(-1, 4)


@pytest.mark.parametrize("device", DEVICES)
def test_a_policy_of_nothing_changes_nothing(device: str) -> None:
    images = pictures(8).to(device)
    plan = BatchAugment(NOTHING).plan(8, SHAPE_HW)
    assert torch.equal(apply(plan, images), images)
    framed, ids = [boxes([10, 10, 30, 40]), boxes()] * 4, [np.array([2]), np.array([], np.int64)] * 4
    moved, kinds = move_boxes(plan, SHAPE_HW, framed, ids)
    assert all(np.array_equal(a, b) for a, b in zip(moved, framed, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(kinds, ids, strict=True))


@executors
@pytest.mark.parametrize("device", DEVICES)
def test_boxes_move_with_the_pixels(device: str, done: Executor) -> None:
    """A white square on black: after geometry, what is bright reaches exactly as far as the moved box says."""
    count = 60
    images = torch.zeros(count, 3, *SHAPE_HW)
    images[:, :, 24:44, 80:104] = 1
    framed = [boxes([80, 24, 104, 44])] * count
    policy = Policy(degrees=10, translate=0.1, scale=0.3, shear=12, perspective=0.08, photometric=0)
    plan = BatchAugment(policy, seed=3).plan(count, SHAPE_HW)
    moved, _ = move_boxes(plan, SHAPE_HW, framed, [np.array([1])] * count)
    changed = done(plan, images.to(device)).cpu()
    far = 0
    for picture, frame in zip(changed, moved, strict=True):
        rows, columns = np.nonzero(picture[0].numpy() > 0.7)  # the fill is 0.45
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(seen - frame[0]).max() < 2.5
        far += bool(np.abs(frame[0] - framed[0][0]).max() > 2)
    assert far > count / 2


@executors
def test_mirrors(done: Executor) -> None:
    policy = replace(NOTHING, fliplr=1.0, flipud=1.0)
    images = as_floats(as_bytes(pictures(3)))
    plan = BatchAugment(policy).plan(3, SHAPE_HW)
    assert torch.allclose(done(plan, images), images.flip(2, 3), atol=1e-4)
    (moved, *_), _ = move_boxes(plan, SHAPE_HW, [boxes([0, 0, 20, 10])] * 3, [np.array([0])] * 3)
    assert np.allclose(moved, [[172, 54, 192, 64]])


SHIFTS = {"inside": (5, True), "a third outside": (-8, True), "half outside": (-12, False), "gone": (-30, False)}


@pytest.mark.parametrize(("shift", "stays"), SHIFTS.values(), ids=SHIFTS.keys())
def test_boxes_that_leave_are_dropped_by_the_same_rule(shift: float, stays: bool) -> None:
    matrix = np.eye(3)
    matrix[0, 2] = shift
    plan = replace(BatchAugment(NOTHING).plan(2, SHAPE_HW), matrices=np.stack([matrix, np.eye(3)]))
    given, ids = [boxes([0, 10, 24, 30], [60, 10, 84, 30])] * 2, [np.array([5, 6])] * 2
    (moved, same), (kinds, all_kinds) = move_boxes(plan, SHAPE_HW, given, ids)
    assert kinds.tolist() == ([5, 6] if stays else [6])
    assert np.array_equal(same, given[1]) and all_kinds.tolist() == [5, 6]
    assert moved.min() >= 0
    import albumentations as A

    reference = Augment(NOTHING, extra=[A.Affine(translate_px={"x": int(shift), "y": 0}, scale=1.0, p=1.0)])
    assert reference(np.zeros((*SHAPE_HW, 3), np.uint8), given[0], ids[0])[2].tolist() == kinds.tolist()


def spread(policy: Policy, one_at_a_time: bool) -> np.ndarray:
    """How far the corners of the middle box go, (n, 4): least and greatest of many draws follow from the policy."""
    image, box = np.zeros((*SHAPE_HW, 3), np.uint8), boxes([88, 24, 104, 40])
    count = 600
    if one_at_a_time:
        augment = Augment(policy, seed=1)
        found = [augment(image, box, np.array([0]))[1] for _ in range(count)]
    else:
        plan = BatchAugment(policy, seed=1).plan(count, SHAPE_HW)
        found = move_boxes(plan, SHAPE_HW, [box] * count, [np.array([0])] * count)[0]
    return np.concatenate(found) - box


GEOMETRIES = {
    "all": GEOMETRY,
    "turn": replace(NOTHING, degrees=10),
    "shift": replace(NOTHING, translate=0.1),
    "size": replace(NOTHING, scale=0.4),
    "slant": replace(NOTHING, shear=15),
    "perspective": replace(NOTHING, perspective=0.1),
}


@pytest.mark.parametrize("policy", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_batches_move_as_far_as_pictures(policy: Policy) -> None:
    one, batch = spread(policy, True), spread(policy, False)
    assert np.allclose(np.percentile(one, [2, 98], axis=0), np.percentile(batch, [2, 98], axis=0), atol=2.0)
    assert np.allclose(one.mean(0), batch.mean(0), atol=0.6)
    still = [float((np.abs(moved).max(1) < 1e-3).mean()) for moved in (one, batch)]
    assert abs(still[0] - still[1]) < 0.08, "as often"


@executors
def test_batches_change_colours_as_pictures(done: Executor) -> None:
    """The mean, its spread, and how often nothing happens: over many draws on the same picture."""
    image = (pictures(1)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    augment = Augment(STILL, seed=2)
    count = 400
    one = np.stack([augment.image(image) for _ in range(count)]).astype(np.float32) / 255
    given = torch.from_numpy(image).permute(2, 0, 1)[None].repeat(count, 1, 1, 1).float() / 255
    batch = done(BatchAugment(STILL, seed=2).plan(count, SHAPE_HW), given).permute(0, 2, 3, 1).numpy()
    assert batch.min() >= 0 and batch.max() <= 1
    means = [made.mean((1, 2, 3)) for made in (one, batch)]
    assert abs(means[0].std() - means[1].std()) < 0.02 and abs(means[0].mean() - means[1].mean()) < 0.02
    same = [float((np.abs(made - image / 255).max((1, 2, 3)) < 1e-4).mean()) for made in (one, batch)]
    assert abs(same[0] - same[1]) < 0.1
    distances = [np.abs(made - image / 255).mean() for made in (one, batch)]
    assert distances[0] == pytest.approx(distances[1], rel=0.2)


@pytest.mark.parametrize("quality", [40, 70, 95])
def test_jpeg_loses_what_opencv_loses(quality: int) -> None:
    rng = np.random.default_rng(0)
    image = (pictures(1, seed=4)[0].permute(1, 2, 0).numpy() * 200 + rng.normal(0, 12, (*SHAPE_HW, 3))).clip(0, 255)
    image = image.astype(np.uint8)
    written = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    reference = cv2.imdecode(written, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32)
    given = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    made = _jpeg(given, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy() * 255
    lost = np.abs(reference - image).mean()
    assert np.abs(made - reference).mean() < 0.5 * lost
    assert np.abs(made - image).mean() == pytest.approx(lost, rel=0.15)


@executors
def test_outside_is_grey(done: Executor) -> None:
    matrix = np.eye(3)
    matrix[0, 2] = 50
    plan = replace(BatchAugment(NOTHING).plan(1, SHAPE_HW), matrices=matrix[None])
    made = done(plan, torch.ones(1, 3, *SHAPE_HW))
    assert torch.allclose(made[..., :50], torch.tensor(GREY / 255))
    assert torch.allclose(made[..., 51:], torch.tensor(1.0))


def same(one: Plan, other: Plan) -> bool:
    return all(
        np.array_equal(a, b) if isinstance(a, np.ndarray) else all(map(np.array_equal, a, b)) if isinstance(a, tuple)
        else a == b
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
    )  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
def test_seeds(device: str) -> None:
    first, again, other = BatchAugment(seed=7), BatchAugment(seed=1), BatchAugment(seed=8)
    again.seed(7)
    one, two, three = (a.plan(32, SHAPE_HW) for a in (first, again, other))
    assert same(one, two) and not same(one, three)
    assert not same(one, first.plan(32, SHAPE_HW)), "the next batch is another"
    images = pictures(32).to(device)
    before = images.clone()
    assert torch.equal(apply(one, images), apply(two, images))
    assert torch.equal(images, before), "what is given stays as it is"


def test_arithmetic_stays_exact_where_the_network_computes_in_half() -> None:
    images, plan = pictures(16), BatchAugment(seed=3).plan(16, SHAPE_HW)
    with torch.autocast("cpu", torch.bfloat16):
        made = apply(plan, images)
    assert made.dtype == torch.float32 and torch.equal(made, apply(plan, images))


# Blur kernels, all of a batch at once


@pytest.mark.parametrize("side", [3, 5])
def test_kernels_are_those_of_albumentations(side: int) -> None:
    rng = np.random.default_rng(0)
    sigma, angle, direction = rng.uniform(0.5, 3, 300), rng.uniform(0, 2 * np.pi, 300), rng.uniform(-1, 1, 300)
    seeds = [random.Random(i) for i in range(300)]
    shift = np.array([[s.uniform(-1, 1), s.uniform(-1, 1)] for s in seeds])
    lines = [
        create_motion_kernel(side, np.rad2deg(a), d, True, random.Random(i))
        for i, (a, d) in enumerate(zip(angle, direction, strict=True))
    ]
    made = {"gauss": gaussian_kernels(sigma, side), "motion": motion_kernels(side, angle, direction, shift)}
    wanted = {"gauss": [create_gaussian_kernel(s, side) for s in sigma], "motion": [k / k.sum() for k in lines]}
    border = (5 - side) // 2
    for kind, kernels in made.items():
        assert kernels.shape == (300, 5, 5) and kernels.dtype == np.float32
        assert np.allclose(kernels, [np.pad(k, border) for k in wanted[kind]], atol=1e-6)
    assert gaussian_kernels(sigma[:0], side).shape == motion_kernels(side, angle[:0], angle[:0], shift[:0]).shape


# OpenCV and torch do the same plan


EMPTY: dict[str, Any] = {
    "matrices": np.tile(np.eye(3), (48, 1, 1)),
    "brightness": (np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32)),
    "blur": (np.zeros(0, np.int64), np.zeros((0, 5, 5), np.float32)),
    "downscale": (np.zeros(0, np.int64), np.zeros(0, np.float32)),
    "noise": (np.zeros(0, np.int64), np.zeros(0, np.float32)),
    "jpeg": (np.zeros(0, np.int64), np.zeros(0, np.float32)),
    "grey": np.zeros(0, np.int64),
}
"""A plan of nothing."""


def only(kind: str, seed: int = 0) -> Plan:
    """The plan of 48 pictures, and of all its changes one kind."""
    plan = BatchAugment(Policy(perspective=0.08, photometric=2.0), seed).plan(48, SHAPE_HW)
    return replace(plan, **{k: v for k, v in EMPTY.items() if k != kind})


def touched(plan: Plan, kind: str) -> np.ndarray:
    held = plan.moved if kind == "matrices" else getattr(plan, kind)
    return held[0] if isinstance(held, tuple) else held


# Levels of 255, greatest and mean, that the two may be apart.
APART = {
    # OpenCV before 5 rounds places to 1/32 of a pixel: up to 1/64 aside in x and in y. In smooth pictures neighbours
    # differ by up to 32 levels, and by up to 141 where white meets the grey outside. Then one rounding.
    "matrices": (5.0, 0.5),
    "brightness": (0.51, 0.5),  # one rounding to whole levels
    "blur": (0.51, 0.5),  # likewise
    # Pixels are only picked. OpenCV multiplies by 1 / factor: a place that is a whole number may come out just below,
    # and then a line takes its neighbour, up to two pixels aside, 32 levels each. Of 20,000 lines 28 do.
    "downscale": (64.0, 0.2),
    "grey": (1.01, 0.5),  # OpenCV's weights are whole 1/16384, and one rounding
}


@pytest.mark.parametrize("kind", APART)
def test_opencv_does_what_torch_does(kind: str) -> None:
    smooth = kind in ("matrices", "downscale")
    images = as_floats(as_bytes(pictures(48, seed=5) if smooth else texture(48)))
    plan = only(kind)
    rows = touched(plan, kind)
    wanted = apply(plan, images) * 255
    made = opencv(plan, images) * 255
    apart = (made - wanted).abs()
    worst, mean = APART[kind]
    assert apart.max() <= worst and apart[rows].mean() <= mean
    changed = (made - images * 255).abs().amax((1, 2, 3)) > 0.5
    assert set(np.flatnonzero(changed.numpy())) <= set(rows)
    assert changed.sum() > 0.8 * len(rows) > 0, "the tolerance does not hide that nothing was done"
    assert (wanted - images * 255)[rows].abs().mean() > 4 * apart[rows].mean()


def test_opencv_draws_noise_of_the_same_strength() -> None:
    """Mean 0, the plan's deviation, independent of place, colour and picture."""
    grey = torch.full((48, 3, *SHAPE_HW), 128 / 255)
    plan = only("noise")
    rows, deviations = plan.noise
    noise = ((opencv(plan, grey) - grey) * 255)[rows].numpy()  # (k, 3, H, W)
    wanted = ((apply(plan, grey) - grey) * 255)[rows].numpy()
    size = noise[0].size
    assert np.abs(noise.mean((1, 2, 3)) / (deviations * 255)).max() < 5 / size**0.5
    # Rounding adds 1/12 to the variance; of 36,864 numbers the deviation is known to 0.4 %.
    expected = np.sqrt((deviations * 255) ** 2 + 1 / 12)
    assert np.abs(noise.std((1, 2, 3)) / expected - 1).max() < 0.02
    assert np.abs(noise.std((1, 2, 3)) / wanted.std((1, 2, 3)) - 1).max() < 0.03
    flat = noise.reshape(len(rows), -1) / noise.std((1, 2, 3))[:, None]
    assert np.abs(flat @ flat.T / size - np.eye(len(rows))).max() < 6 / size**0.5, "no two pictures have the same"
    for one, other in ((noise[:, 0], noise[:, 1]), (noise[..., 1:], noise[..., :-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.01
    untouched = np.setdiff1d(np.arange(48), rows)
    assert torch.equal(opencv(plan, grey)[untouched], grey[untouched])


def test_opencv_packs_as_torch_packs() -> None:
    """Of what JPEG loses in each picture, the executors agree on more than half, as in the test of `_jpeg` alone."""
    images = as_floats(as_bytes((pictures(48) + torch.randn(48, 3, *SHAPE_HW).mul(0.04)).clamp(0, 1)))
    plan = only("jpeg")
    rows = plan.jpeg[0]
    made, wanted = opencv(plan, images), apply(plan, images)
    lost = (wanted - images)[rows].abs().mean((1, 2, 3))
    assert len(rows) and lost.min() > 0
    assert ((made - wanted)[rows].abs().mean((1, 2, 3)) < 0.5 * lost).all()
    assert torch.equal(made[(made - images).abs().amax((1, 2, 3)) == 0], images[np.setdiff1d(np.arange(48), rows)])


def test_opencv_follows_the_seed_and_leaves_what_it_is_given() -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, *SHAPE_HW, 3), dtype=np.uint8)
    before = images.copy()
    one, two, other = (BatchAugment(seed=s).plan(64, SHAPE_HW) for s in (7, 7, 8))
    made = augment_opencv.apply(one, images)
    assert made.dtype == np.uint8 and made.shape == images.shape and made.flags.c_contiguous
    cv2.randu(np.zeros(9, np.uint8), 0, 255)  # OpenCV's own random stream is neither read nor set
    assert np.array_equal(made, augment_opencv.apply(two, images))
    assert not np.array_equal(made, augment_opencv.apply(other, images))
    assert not np.array_equal(made, augment_opencv.apply(replace(one, seed=one.seed + 1), images))
    assert np.array_equal(images, before) and not np.shares_memory(made, images)
    images.flags.writeable = False  # as a store that is mapped from the disk
    assert np.array_equal(made, augment_opencv.apply(one, list(images)))


def test_opencv_leaves_pictures_without_a_change_bit_by_bit() -> None:
    images = np.random.default_rng(0).integers(0, 256, (48, *SHAPE_HW, 3), dtype=np.uint8)
    nothing = BatchAugment(NOTHING).plan(48, SHAPE_HW)
    assert same(nothing, Plan(**EMPTY, seed=nothing.seed))
    assert np.array_equal(augment_opencv.apply(nothing, images), images)
    plan = BatchAugment(seed=4).plan(48, SHAPE_HW)
    idle = set(range(48)) - {int(i) for kind in EMPTY for i in touched(plan, kind)}
    made = augment_opencv.apply(plan, images)
    assert idle == {i for i in range(48) if np.array_equal(made[i], images[i])}


@pytest.mark.parametrize("shape_hw", [(32, 32), (64, 192), (96, 33)], ids=str)
def test_opencv_takes_any_shape_one_at_a_time_as_all_at_once(shape_hw: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, *shape_hw, 3), dtype=np.uint8)
    plan = replace(BatchAugment(seed=2).plan(16, shape_hw), noise=EMPTY["noise"])  # of noise the batch shares a stream
    made = augment_opencv.apply(plan, images)
    assert made.shape == images.shape
    for i in range(16):
        alone = {
            kind: tuple(np.zeros_like(v[held[0] == i]) if n == 0 else v[held[0] == i] for n, v in enumerate(held))
            for kind in ("brightness", "blur", "downscale", "jpeg")
            for held in [getattr(plan, kind)]
        }
        grey = np.zeros((plan.grey == i).sum(), np.int64)
        part = replace(plan, matrices=plan.matrices[i : i + 1], grey=grey, **alone)
        assert np.array_equal(augment_opencv.apply(part, images[i : i + 1])[0], made[i])
