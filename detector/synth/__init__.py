"""Artificial labelled pictures of short codes, with the true box of every character."""

from detector.synth.config import LAYOUTS, SynthConfig
from detector.synth.faces.fonts import find_fonts
from detector.synth.styles import PLAIN, STYLES
from detector.synth.synthesizer import Synthesizer, SynthImage
from detector.synth.texts import read_texts
from detector.synth.write_set import SynthReport, write_set

__all__ = [
    "LAYOUTS",
    "PLAIN",
    "STYLES",
    "SynthConfig",
    "SynthImage",
    "SynthReport",
    "Synthesizer",
    "find_fonts",
    "read_texts",
    "write_set",
]
