"""Where a second pass goes, step by step, and the way of its boxes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.data.letterbox import letterbox
from detector.reading.two_pass import Prepared, ReadingPipeline, Zoom, equalized, text_part
from detector.text.detections import CharDetections
from detector.text.reading_config import ReadingConfig

NOTHING = CharDetections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))


class OneCharacter:
    """Sees an A in the middle of every picture, as surely as it is told, that takes this share of its sides."""

    names, config, shape_hw = {0: "A", 1: "B"}, None, None

    def __init__(self, confidence: float, share: float) -> None:
        self.confidence, self.share = confidence, share

    def __call__(self, images: np.ndarray) -> list[CharDetections]:
        low, high = (1 - self.share) / 2, (1 + self.share) / 2
        box = np.array([[low, low, high, high]]) * np.array([images.shape[2], images.shape[1]] * 2)
        return [CharDetections(box, [self.confidence], [0]) for _ in images]  # type: ignore[arg-type]

    def output(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def pipeline(confidence: float = 0.5, two_pass: bool = True, share: float = 0.2, **changes: object) -> ReadingPipeline:
    config = replace(ReadingConfig("AB", length=1, max_count=1), **changes)  # type: ignore[arg-type]
    return ReadingPipeline(OneCharacter(confidence, share), config, two_pass)


@pytest.mark.parametrize(("size_hw", "source_scale"), [((60, 200), 1.0), ((300, 1000), 1.0), ((900, 4096), 0.25)])
def test_boxes_of_a_zoomed_part_lie_where_the_first_pass_has_them(
    size_hw: tuple[int, int], source_scale: float
) -> None:
    picture = pipeline().prepare(np.zeros((*size_hw, 3), np.uint8))
    assert picture.source_image is not None and picture.source_scale == source_scale
    box = np.float32([[0.4, 0.4, 0.6, 0.7]]) * np.float32([size_hw[1], size_hw[0]] * 2)
    part, corner_xy = text_part(picture.source_image, box * source_scale)
    letterboxed, transform = letterbox(part, (64, 128))
    zoom = Zoom(0, picture, Prepared(letterboxed, transform), corner_xy)
    in_part = transform.to_letterboxed(box * source_scale - np.float32(corner_xy * 2))
    assert zoom.to_first_pass(in_part) == pytest.approx(picture.transform.to_letterboxed(box), abs=0.01)
    assert zoom.to_first_pass(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize(
    ("steps", "lightest", "zooms", "settled"),
    [
        (pipeline(0.5), 255, 1, 0),
        (pipeline(0.99), 255, 0, 1),  # it is read surely
        (pipeline(0.5, two_pass=False), 255, 0, 0),  # no reading is needed before the last step
        (pipeline(0.5, share=0.98), 255, 1, 0),  # the text fills its picture
        (pipeline(0.5), 60, 1, 0),  # it is pale
        (pipeline(0.99, share=0.98), 60, 0, 1),
        (pipeline(0.5, pattern="B"), 255, 1, 0),
        (pipeline(0.99, pattern="B"), 255, 0, 0),  # the pattern is asked in the last step
    ],
)
def test_a_second_pass_is_for_what_is_unsure(steps: ReadingPipeline, lightest: int, zooms: int, settled: int) -> None:
    image = np.zeros((200, 700, 3), np.uint8)
    image[::2] = lightest
    prepared = [steps.prepare(image)]
    detections = steps.detect(prepared)
    readings, parts = steps.zoom(prepared, detections)
    assert (len(parts), len(readings)) == (zooms, settled)
    merged = steps.merge(detections, parts, steps.detect([zoom.part for zoom in parts]))
    assert steps.decode(prepared, merged, readings) == steps([image])


def test_the_second_pass_sees_a_pale_text_with_more_contrast_and_a_clear_one_as_it_is() -> None:
    steps = pipeline(0.5)
    for lightest, changed in ((60, True), (255, False)):
        image = np.zeros((200, 700, 3), np.uint8)
        image[:, ::8] = lightest
        prepared = [steps.prepare(image)]
        (zoom,) = steps.zoom(prepared, steps.detect(prepared))[1]
        part, _ = text_part(image, np.array([[280, 80, 420, 120]]))
        assert (np.ptp(zoom.part.letterboxed[..., 0]) > np.ptp(part)) == changed


def test_the_second_pass_enlarges_small_text_and_shrinks_what_fills_its_picture() -> None:
    image = np.zeros((60, 200, 3), np.uint8)
    image[::2] = 255
    for share, smallest, largest in ((0.2, 2.0, 10.0), (0.98, 0.7, 0.9)):
        steps = pipeline(0.5, share=share)
        prepared = [steps.prepare(image)]
        (zoom,) = steps.zoom(prepared, steps.detect(prepared))[1]
        box = np.float32([[10, 10, 40, 40]])
        in_first_pass = zoom.to_first_pass(box)
        enlarged = float(np.ptp(box[0, ::2]) / np.ptp(in_first_pass[0, ::2]))
        assert smallest < enlarged < largest


def test_equalizing_keeps_size_and_colour() -> None:
    image = np.full((20, 60, 3), (40, 90, 60), np.uint8)
    image[5:15, 20:40] = (60, 130, 90)
    raised = equalized(image).astype(int)
    assert raised.shape == image.shape
    assert np.all(raised[..., 1] > raised[..., 2]) and np.all(raised[..., 2] > raised[..., 0])
    assert np.ptp(raised[..., 1]) > np.ptp(image[..., 1])


def test_no_picture_is_no_work() -> None:
    assert pipeline()([]) == []
    assert pipeline().merge([NOTHING], [], []) == [NOTHING]
