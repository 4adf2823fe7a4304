"""Two passes over one picture: what both see, what one sees, and that agreeing with oneself changes nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.reading.box_fusion import weighted_boxes_fusion
from detector.text.detections import CharDetections

CLASSES = 5


def candidates(*rows: tuple[float, int, float]) -> CharDetections:
    """Boxes 10 by 20: where each begins, its class and score; the next class has a third of it."""
    boxes = np.array([(x, 0, x + 10, 20) for x, *_ in rows], np.float32).reshape(-1, 4)
    ids = np.array([(k, (k + 1) % CLASSES) for _, k, _ in rows], np.int64).reshape(-1, 2)
    scores = np.array([(s, s / 3) for *_, s in rows], np.float32).reshape(-1, 2)
    return CharDetections(boxes, scores[:, 0], ids[:, 0], scores[:, 0], ids, scores)


def test_a_place_that_both_saw_has_the_mean_of_their_scores() -> None:
    fused = weighted_boxes_fusion(candidates((0, 1, 0.9)), candidates((2, 2, 0.6)), CLASSES)
    assert len(fused) == 1
    by_class = dict(zip(fused.top_class_id[0].tolist(), fused.top_confidence[0].tolist(), strict=True))  # type: ignore[index]
    assert np.isclose(by_class[1], 0.45) and np.isclose(by_class[2], (0.3 + 0.6) / 2)
    assert np.isclose(fused.objectness[0], 0.75)  # type: ignore[index]
    assert 0 < fused.xyxy[0, 0] < 1  # nearer to the surer one


def test_what_one_pass_has_alone_counts_half() -> None:
    fused = weighted_boxes_fusion(candidates((0, 1, 0.8)), candidates((40, 2, 0.6)), CLASSES)
    assert fused.xyxy[:, 0].tolist() == [0, 40]
    assert np.allclose(fused.confidence, [0.4, 0.3])
    assert fused.class_id.tolist() == [1, 2]


def test_nothing_seen() -> None:
    assert len(weighted_boxes_fusion(candidates(), candidates(), CLASSES)) == 0
    assert np.allclose(weighted_boxes_fusion(candidates((0, 1, 0.8)), candidates(), CLASSES).confidence, 0.4)
    assert np.allclose(weighted_boxes_fusion(candidates(), candidates((0, 1, 0.8)), CLASSES).confidence, 0.4)


def test_each_box_has_one_partner() -> None:
    """Two boxes nearly at the place of one of the other look: the nearer one is its partner."""
    fused = weighted_boxes_fusion(candidates((0, 1, 0.8), (3, 2, 0.8)), candidates((1, 1, 0.8)), CLASSES)
    assert len(fused) == 2
    assert np.allclose(np.sort(fused.confidence), [0.4, 0.8])


places = st.lists(st.integers(0, 8), unique=True, max_size=8)
scores = st.integers(1, 64).map(lambda s: s / 64)


@given(places.flatmap(lambda p: st.tuples(*[st.tuples(st.just(20.0 * x), st.integers(0, 4), scores) for x in p])))
def test_two_equal_passes_change_nothing(rows: tuple[tuple[float, int, float], ...]) -> None:
    once = candidates(*rows)
    fused = weighted_boxes_fusion(once, once, CLASSES)
    order, other = np.argsort(fused.xyxy[:, 0]), np.argsort(once.xyxy[:, 0])
    assert np.allclose(fused.xyxy[order], once.xyxy[other], atol=1e-4)
    assert np.allclose(fused.confidence[order], once.confidence[other])
    assert np.array_equal(fused.class_id[order], once.class_id[other])
