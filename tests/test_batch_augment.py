"""The policy on a batch: the same limits as one picture at a time, boxes that follow the pixels, seeds."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from detector.augment import Augment, Policy
from detector.batch_augment import BatchAugment, Plan, _jpeg, apply, move_boxes
from detector.fit import GREY

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


@pytest.mark.parametrize("device", DEVICES)
def test_boxes_move_with_the_pixels(device: str) -> None:
    """A white square on black: after geometry, what is bright reaches exactly as far as the moved box says."""
    count = 60
    images = torch.zeros(count, 3, *SHAPE_HW)
    images[:, :, 24:44, 80:104] = 1
    framed = [boxes([80, 24, 104, 44])] * count
    policy = Policy(degrees=10, translate=0.1, scale=0.3, shear=12, perspective=0.08, photometric=0)
    plan = BatchAugment(policy, seed=3).plan(count, SHAPE_HW)
    moved, _ = move_boxes(plan, SHAPE_HW, framed, [np.array([1])] * count)
    changed = apply(plan, images.to(device)).cpu()
    far = 0
    for picture, frame in zip(changed, moved, strict=True):
        rows, columns = np.nonzero(picture[0].numpy() > 0.7)  # the fill is 0.45
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(seen - frame[0]).max() < 2.5
        far += bool(np.abs(frame[0] - framed[0][0]).max() > 2)
    assert far > count / 2


def test_mirrors() -> None:
    policy = replace(NOTHING, fliplr=1.0, flipud=1.0)
    images = pictures(3)
    plan = BatchAugment(policy).plan(3, SHAPE_HW)
    assert torch.allclose(apply(plan, images), images.flip(2, 3), atol=1e-4)
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

    reference = Augment(NOTHING, more=[A.Affine(translate_px={"x": int(shift), "y": 0}, scale=1.0, p=1.0)])
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
def test_both_executors_move_as_far(policy: Policy) -> None:
    one, batch = spread(policy, True), spread(policy, False)
    assert np.allclose(np.percentile(one, [2, 98], axis=0), np.percentile(batch, [2, 98], axis=0), atol=2.0)
    assert np.allclose(one.mean(0), batch.mean(0), atol=0.6)
    still = [float((np.abs(moved).max(1) < 1e-3).mean()) for moved in (one, batch)]
    assert abs(still[0] - still[1]) < 0.08, "as often"


def test_both_executors_change_colours_alike() -> None:
    """The mean, its spread, and how often nothing happens: over many draws on the same picture."""
    image = (pictures(1)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    augment = Augment(STILL, seed=2)
    count = 400
    one = np.stack([augment.image(image) for _ in range(count)]).astype(np.float32) / 255
    given = torch.from_numpy(image).permute(2, 0, 1)[None].repeat(count, 1, 1, 1).float() / 255
    batch = apply(BatchAugment(STILL, seed=2).plan(count, SHAPE_HW), given).permute(0, 2, 3, 1).numpy()
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


def test_outside_is_grey() -> None:
    matrix = np.eye(3)
    matrix[0, 2] = 50
    plan = replace(BatchAugment(NOTHING).plan(1, SHAPE_HW), matrices=matrix[None])
    made = apply(plan, torch.ones(1, 3, *SHAPE_HW))
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
