"""Text among signs of other scripts: these have boxes of their own, and are no part of the label."""

from __future__ import annotations

import numpy as np
import pytest

from detector.synth import STYLES, SynthConfig, Synthesizer
from detector.text.alphabet import Alphabet
from tests.builders import dejavu, iou


@pytest.fixture(scope="module")
def pictures() -> list:
    config = SynthConfig(min_length=4, styles=("scripts",), fonts=(dejavu(),), seed=3)
    return [Synthesizer(config)(i) for i in range(40)]


def test_labels_and_boxes_are_of_the_alphabet_alone(pictures: list) -> None:
    symbols = {*Alphabet().symbols}
    for picture in pictures:
        assert picture.text and {*picture.text} <= symbols
        assert len(picture.boxes_xyxy) == len(picture.text)
    assert sum(len(picture.others_xyxy) for picture in pictures) > len(pictures)


def test_other_signs_are_boxed_where_they_are(pictures: list) -> None:
    for picture in pictures:
        boxes = picture.others_xyxy
        assert boxes.shape == (len(boxes), 4) and boxes.dtype == np.float32
        height, width = picture.image.shape[:2]
        assert ((boxes >= 0) & (boxes <= [width, height, width, height])).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 3).all()
        for box in boxes:  # beside the labelled ones, not on them
            assert (iou(np.tile(box, (len(picture.boxes_xyxy), 1)), picture.boxes_xyxy) < 0.5).all()


def test_sets_for_people_have_no_signs_that_nobody_labelled() -> None:
    assert "scripts" not in STYLES


def test_an_alphabet_of_another_script_is_itself_the_label() -> None:
    config = SynthConfig(Alphabet("ЖИЛЮЯ"), length=5, styles=("scripts",), fonts=(dejavu(),), seed=1)
    for index in range(10):
        picture = Synthesizer(config)(index)
        assert picture.text and {*picture.text} <= {*"ЖИЛЮЯ"}
