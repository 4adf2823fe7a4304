"""What tests of the service share: the shipped reader, and pictures with what it reads in them."""

from __future__ import annotations

import cv2
import pytest

from detector.reading.reader import Reader
from detector.text.alphabet import Alphabet
from detector.text.detections import Reading
from tests.builders import toy_synthesizer


@pytest.fixture(scope="session")
def shipped() -> Reader:
    return Reader("shipped", device="cpu")


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    """80 PNG files with different texts: more than two batches."""
    make = toy_synthesizer(alphabet=Alphabet(), min_length=4, spaces=0.0)
    return [cv2.imencode(".png", make(number).image)[1].tobytes() for number in range(80)]


@pytest.fixture(scope="session")
def texts(shipped: Reader, pictures: list[bytes]) -> list[str]:
    """What ``read_many`` reads in them."""
    readings = shipped.read_many(pictures)
    texts = [reading.text for reading in readings if isinstance(reading, Reading)]
    assert len(texts) == len(pictures) and len(set(texts)) > 60
    return texts
