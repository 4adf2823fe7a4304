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
from detector.errors import (
    AlphabetError,
    ArgumentError,
    DatasetError,
    DependencyError,
    DetectorError,
    DiskFullError,
    ImageError,
    NotLearnedError,
    SourceError,
    WeightsError,
    missing_extra,
)

if TYPE_CHECKING:
    from detector.conversion.convert import convert
    from detector.conversion.report import ConversionReport
    from detector.reading.evaluation import EvaluatedPicture, Evaluation, Tally, evaluate
    from detector.reading.export import export
    from detector.reading.reader import Failure, Reader
    from detector.serving.app import create_app
    from detector.synth import SynthConfig, Synthesizer, SynthImage, SynthReport, write_set
    from detector.text.alphabet import Alphabet
    from detector.text.calibration import Calibration, PlattScaling
    from detector.text.detections import Alternative, Character, CharDetections, Evidence, Reading
    from detector.text.forms.string_model import StringFormat, StringModel
    from detector.text.metrics import CalibrationBin, CalibrationCurve, Comparison, Coverage, TextScore
    from detector.text.reading_config import ReadingConfig
    from detector.text.spacing import TextLayout
    from detector.training.result import TrainingResult, TrainingStopped
    from detector.training.run import train
    from detector.workflow.cluster.converting import converting_on
    from detector.workflow.cluster.reading import ShardReadings, predict_shards
    from detector.workflow.fit import FitResult, fit
    from detector.workflow.label import LabelReport, label
    from detector.workflow.limits import Limit
    from detector.workflow.pack import PackReport, pack

__version__ = "0.1.0"

_NAMES_OF = {
    "detector.conversion.convert": ("convert",),
    "detector.conversion.report": ("ConversionReport",),
    "detector.reading.evaluation": ("EvaluatedPicture", "Evaluation", "Tally", "evaluate"),
    "detector.reading.export": ("export",),
    "detector.reading.reader": ("Failure", "Reader"),
    "detector.serving.app": ("create_app",),
    "detector.synth": ("SynthConfig", "SynthImage", "Synthesizer", "SynthReport", "write_set"),
    "detector.text.alphabet": ("Alphabet",),
    "detector.text.calibration": ("Calibration", "PlattScaling"),
    "detector.text.detections": ("Alternative", "Character", "CharDetections", "Evidence", "Reading"),
    "detector.text.forms.string_model": ("StringFormat", "StringModel"),
    "detector.text.metrics": ("CalibrationBin", "CalibrationCurve", "Comparison", "Coverage", "TextScore"),
    "detector.text.reading_config": ("ReadingConfig",),
    "detector.text.spacing": ("TextLayout",),
    "detector.training.result": ("TrainingResult", "TrainingStopped"),
    "detector.training.run": ("train",),
    "detector.workflow.cluster.converting": ("converting_on",),
    "detector.workflow.cluster.reading": ("ShardReadings", "predict_shards"),
    "detector.workflow.fit": ("FitResult", "fit"),
    "detector.workflow.label": ("LabelReport", "label"),
    "detector.workflow.limits": ("Limit",),
    "detector.workflow.pack": ("PackReport", "pack"),
}
"""Public names that are loaded when they are first used, by the module that has them."""

_OWNERS = {name: module for module, names in _NAMES_OF.items() for name in names}

__all__ = [
    "Alphabet",
    "AlphabetError",
    "Alternative",
    "ArgumentError",
    "Calibration",
    "CalibrationBin",
    "CalibrationCurve",
    "CharDetections",
    "Character",
    "Comparison",
    "ConversionReport",
    "Coverage",
    "DatasetError",
    "DependencyError",
    "DetectorError",
    "DiskFullError",
    "EvaluatedPicture",
    "Evaluation",
    "Evidence",
    "Failure",
    "FitResult",
    "ImageError",
    "LabelReport",
    "Limit",
    "NotLearnedError",
    "PackReport",
    "PlattScaling",
    "Reader",
    "Reading",
    "ReadingConfig",
    "ShardReadings",
    "SourceError",
    "StringFormat",
    "StringModel",
    "SynthConfig",
    "SynthImage",
    "SynthReport",
    "Synthesizer",
    "Tally",
    "TextLayout",
    "TextScore",
    "TrainingResult",
    "TrainingStopped",
    "WeightsError",
    "convert",
    "converting_on",
    "create_app",
    "evaluate",
    "export",
    "fit",
    "label",
    "pack",
    "predict_shards",
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
