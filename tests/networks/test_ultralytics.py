"""The adapter: what a detection head gives, as candidates; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import DetectorError, WeightsError
from detector.networks.device import to_device
from detector.networks.network import single_symbols
from detector.networks.nms_torch import candidates, candidates_on_device, prediction
from detector.text.candidates import MAX_CANDIDATES, MIN_SCORE
from detector.training.arguments.checks import check_arguments
from detector.training.training_loop import to_batch


def head(*anchors: tuple[float, float, float, float, list[float]]) -> torch.Tensor:
    """(1, 4 + classes, anchors) of cx, cy, w, h and class scores."""
    return torch.tensor([[cx, cy, w, h, *scores] for cx, cy, w, h, scores in anchors]).T[None]


def test_columns() -> None:
    (found,) = candidates(head((20, 10, 8, 12, [0.1, 0.7, 0.0]), (50, 10, 4, 6, [0.9, 0.0, 0.0])))
    assert found.class_id.tolist() == [0, 1], "the surest first"
    assert found.xyxy.tolist() == [[48, 7, 52, 13], [16, 4, 24, 16]]
    assert found.confidence.tolist() == pytest.approx([0.9, 0.7])
    assert np.asarray(found.objectness).tolist() == pytest.approx([0.9, 1 - 0.9 * 0.3])


def test_one_place_seen_by_neighbouring_cells_is_one_candidate() -> None:
    seen = [(20 + d, 10.0, 10.0, 20.0, [0.5 + d / 10, 0.4]) for d in (0.0, 0.5, 1.0)]
    (found,) = candidates(head(*seen, (40, 10, 10, 20, [0.03, 0.0])))
    assert len(found) == 2
    assert found.xyxy[0].tolist() == [16, 0, 26, 20]


def test_neighbours_that_overlap_a_little_are_two() -> None:
    (found,) = candidates(head((20, 10, 10, 20, [0.9, 0.0]), (27, 10, 10, 20, [0.0, 0.8])))
    assert found.class_id.tolist() == [0, 1]


def test_nothing_seen() -> None:
    (found,) = candidates(head((20, 10, 8, 12, [0.001, 0.001])))
    assert len(found) == 0


def test_no_more_than_the_search_takes() -> None:
    (found,) = candidates(head(*[(float(20 * i), 10.0, 10.0, 20.0, [0.5 - i / 1000]) for i in range(100)]))
    assert len(found) == MAX_CANDIDATES
    assert found.confidence.min() >= 0.5 - MAX_CANDIDATES / 1000


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 12), st.integers(0, 10**6))
def test_a_batch_is_its_pictures_one_at_a_time(batch: int, classes: int, anchors: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    output = torch.from_numpy(rng.random((batch, 4 + classes, anchors)).astype(np.float32))
    output[:, :4] *= 50
    before = output.clone()
    together = candidates(output)
    assert torch.equal(output, before) and len(together) == batch
    for i, found in enumerate(together):
        (alone,) = candidates(output[i : i + 1])
        assert np.array_equal(found.xyxy, alone.xyxy) and np.array_equal(found.class_id, alone.class_id)
        assert np.allclose(found.confidence, alone.confidence)
        assert (np.asarray(found.objectness) >= MIN_SCORE).all()
        assert (np.asarray(found.objectness) >= found.confidence - 1e-6).all()


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 60), st.integers(0, 10**6))
def test_candidates_are_the_same_on_every_device(batch: int, classes: int, places: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    output = torch.from_numpy(rng.random((batch, 4 + classes, places)).astype(np.float32))
    output[:, :2] *= 60
    output[:, 2:4] = 4 + 16 * output[:, 2:4]
    output[:, 4:] **= 4
    output[0, :2] -= 80  # one picture's boxes lie outside of it; they are nothing to the others
    for here, there in zip(candidates(output), candidates_on_device(output), strict=True):
        assert np.array_equal(here.class_id, there.class_id)
        assert np.allclose(here.xyxy, there.xyxy, atol=1e-4) and np.allclose(here.confidence, there.confidence)
        assert np.allclose(np.asarray(here.objectness), np.asarray(there.objectness), atol=1e-6)


@pytest.mark.parametrize("side", [1e5, 1e30, float("inf"), float("nan")])
def test_a_picture_gone_wrong_leaves_the_others_as_they_are(side: float) -> None:
    output = torch.from_numpy(np.random.default_rng(3).random((8, 6, 40)).astype(np.float32))
    output[:, :4] *= 60
    before = candidates_on_device(output)
    output[7, 2, 5], output[7, 4, 5] = side, 0.9
    for one, other in zip(before[:7], candidates_on_device(output)[:7], strict=True):
        assert np.array_equal(one.xyxy, other.xyxy)


def test_raw_output_however_it_is_wrapped() -> None:
    raw = torch.zeros(2, 8, 30)
    for wrapped in (raw, [raw], (raw, {"boxes": 1}), [[raw]], raw.numpy()):
        assert prediction(wrapped).shape == (2, 8, 30)


@pytest.mark.parametrize("shape", [(1, 300, 6), (8, 30), (1, 4, 30)], ids=str)
def test_output_that_has_been_suppressed_already(shape: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match=r"not \(batch, 4 \+ classes, places\): export them with `detector export`"):
        prediction(torch.zeros(shape))


def test_names_as_an_alphabet() -> None:
    assert single_symbols({1: "B", 0: "A", 2: "京"}) == "AB京"
    assert single_symbols({0: "A", 1: "car"}) is None


def test_arguments() -> None:
    check_arguments({"epochs": 3, "imgsz": 96, "lr0": 0.1})
    with pytest.raises(DetectorError) as caught:
        check_arguments({"epoch": 3})
    assert "epochs" in str(caught.value), "it says what was meant"
    assert "Arguments received" not in str(caught.value)


def test_a_batch_may_be_on_its_device_already() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 32, 64, 3), np.uint8)
    boxes, ids, cpu = np.array([[[8, 4, 16, 20]]] * 2, np.float32), np.array([[3], [-1]]), torch.device("cpu")
    given, there = (to_batch(some, boxes, ids, cpu) for some in (images, to_device(images, cpu, flip=True)))
    assert given["img"][0, 0, 5, 9] == images[0, 5, 9, 2] / np.float32(255)  # red first
    assert given["bboxes"].tolist() == [[12 / 64, 12 / 32, 8 / 64, 16 / 32]]
    assert all(torch.equal(given[name], there[name]) for name in given)
