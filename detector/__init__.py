"""Strings in, reader out: pictures and their strings become a YOLO dataset, a detector, and a reader.

    import detector

    report = detector.convert("plates/", "datasets/plates")
    trained = detector.train(report, epochs=50)
    reading = detector.Reader(trained).read("plate.png")
    reading.text, reading.confidence, reading.characters[0].xyxy

Importing this loads neither torch nor OpenCV; the names below load what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from detector.data import switches as switches  # first: libraries are imported with them set
from detector.errors import DetectorError, missing_extra

if TYPE_CHECKING:
    from detector.conversion.convert import ConversionReport, convert
    from detector.reading.evaluation import Evaluation, evaluate
    from detector.reading.export import export
    from detector.reading.reader import Failure, Reader
    from detector.synth import SynthConfig, Synthesizer, write_set
    from detector.text.alphabet import Alphabet
    from detector.text.detections import Character, CharDetections, Reading
    from detector.training.result import TrainingResult, TrainingStopped
    from detector.training.run import train

__version__ = "0.1.0"

_OWNERS = {
    "Alphabet": "detector.text.alphabet",
    "CharDetections": "detector.text.detections",
    "Character": "detector.text.detections",
    "ConversionReport": "detector.conversion.convert",
    "Evaluation": "detector.reading.evaluation",
    "Failure": "detector.reading.reader",
    "Reader": "detector.reading.reader",
    "Reading": "detector.text.detections",
    "SynthConfig": "detector.synth",
    "Synthesizer": "detector.synth",
    "TrainingResult": "detector.training.result",
    "TrainingStopped": "detector.training.result",
    "convert": "detector.conversion.convert",
    "evaluate": "detector.reading.evaluation",
    "export": "detector.reading.export",
    "train": "detector.training.run",
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
    "TrainingResult",
    "TrainingStopped",
    "convert",
    "evaluate",
    "export",
    "train",
    "write_set",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562).

    Raises:
        DependencyError: if the module needs an extra that is not installed.
    """
    owner = _OWNERS.get(name)
    if owner is None:
        raise AttributeError(f"module 'detector' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(owner), name)
    except ModuleNotFoundError as error:
        if (missing := missing_extra(error)) is None:
            raise
        raise missing from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
