"""What tests of artificial pictures share: pictures in a style of the test's own, and texts without pictures."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from detector.synth import SynthConfig, Synthesizer, SynthImage, synthesizer
from detector.synth.style import Style


def styled(style: Style, index: int, config: SynthConfig) -> SynthImage:
    """Picture ``index`` of a config, in this style instead of those that the config names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesizer, "style_of", lambda rng, name: style)
        return Synthesizer(config)(index)


@cache
def styled_once(style: Style, index: int, config: SynthConfig) -> SynthImage:
    """The same, read-only: what others are compared with is drawn once for all tests."""
    made = styled(style, index, config)
    made.image.setflags(write=False)
    return made


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthesizers choose texts as ever and draw nothing."""
    nothing = np.zeros((0, 4), np.float32)
    monkeypatch.setattr(synthesizer, "set_text", lambda *_: SimpleNamespace(placed=()))
    monkeypatch.setattr(synthesizer, "paint", lambda *_: (np.zeros((1, 1, 3), np.uint8), nothing))
