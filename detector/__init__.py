"""Strings in, reader out: pictures and their strings become a YOLO dataset, a detector, and a reader.

    import detector

    report = detector.convert("plates/", "datasets/plates")
    weights = detector.train("datasets/plates/data.yaml", epochs=50)
    reading = detector.Reader(weights).read("plate.png")
    reading.text, reading.confidence, reading.characters[0].box_xyxy

Importing this loads neither torch nor OpenCV; the names below load what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from detector.errors import DetectorError

if TYPE_CHECKING:
    from detector.alphabet import Alphabet
    from detector.conversion import ConversionReport, convert
    from detector.detections import Character, CharDetections, Reading
    from detector.evaluation import Evaluation, evaluate
    from detector.exporting import export
    from detector.predict import Failure, Reader
    from detector.synth import SynthConfig, Synthesizer, write_set
    from detector.training import train

__version__ = "0.1.0"

_OWNERS = {
    "Alphabet": "detector.alphabet",
    "CharDetections": "detector.detections",
    "Character": "detector.detections",
    "ConversionReport": "detector.conversion",
    "Evaluation": "detector.evaluation",
    "Failure": "detector.predict",
    "Reader": "detector.predict",
    "Reading": "detector.detections",
    "SynthConfig": "detector.synth",
    "Synthesizer": "detector.synth",
    "convert": "detector.conversion",
    "evaluate": "detector.evaluation",
    "export": "detector.exporting",
    "train": "detector.training",
    "write_set": "detector.synth",
}

__all__ = [
    "Alphabet",
    "CharDetections",
    "Character",
    "ConversionReport",
    "DetectorError",
    "Evaluation",
    "Failure",
    "Reader",
    "Reading",
    "SynthConfig",
    "Synthesizer",
    "convert",
    "evaluate",
    "export",
    "train",
    "write_set",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    owner = _OWNERS.get(name)
    if owner is None:
        raise AttributeError(f"module 'detector' has no attribute {name!r}")
    value = getattr(importlib.import_module(owner), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
