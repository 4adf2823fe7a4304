"""The reading configuration: everything that reading needs beside the network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import DatasetError
from detector.text.alphabet import DEFAULT_LENGTH, DEFAULT_SYMBOLS, MAX_LENGTH, Alphabet
from detector.text.calibration import Calibration
from detector.text.forms.automaton import Automaton
from detector.text.forms.lookalikes import SHIPPED_LOOKALIKES, Lookalikes, channel
from detector.text.forms.string_model import StringModel
from detector.text.patterns import compile_pattern
from detector.text.spacing import TextLayout

MAX_SIDE = 10_000
"""Most pixels of a side of the network's input."""

# Files keep their keys and values when names in the code change.
_KEYS_IN_FILES = {"two_pass": "second_look", "space": "blank"}
_NAMES_OF_KEYS = {key: name for name, key in _KEYS_IN_FILES.items()}
_MAX_PLAIN_KEY = "plain_most"
_KINDS_IN_FILES = {"proportional": "flow", "fixed": "slots"}


@dataclass(frozen=True)
class ReadingConfig:
    """Everything that reading needs beside the network; stored in data.yaml and in the weights.

    Args:
        symbols: the alphabet, in class-id order.
        space: the symbol that is never detected.
        length: most symbols of a string, spaces included.
        min_count, max_count: least and most symbols other than spaces; equal if all strings have the same number.
        layout: where spaces are.
        shape_hw: height and width of the network's input, in pixels; None if it takes any.
        pattern: which strings are allowed, see :mod:`detector.text.patterns`; None allows any.
        calibration: maps from scores to probabilities; None if none was fitted.
        two_pass: whether readers use two passes, see :mod:`detector.reading.two_pass`; None if that was not tried.
        string_model: what strings look like, learnt from labels or readings; ignored where there is a pattern.
        lookalikes: how often the network takes one symbol for another: pairs, the true one first, and shares; None
            takes those of the shipped weights.
        visual_order: whether labels were typed from right to left, and readers return strings in that order. All
            strings inside, also those of a pattern, are in visual order, from left to right.

    Raises:
        AlphabetError: if the alphabet or the pattern is not valid, or the pattern allows no string of this length.
        DatasetError: if another value makes no sense.
    """

    symbols: str = DEFAULT_SYMBOLS
    space: str = " "
    length: int = DEFAULT_LENGTH
    min_count: int = 1
    max_count: int = DEFAULT_LENGTH
    layout: TextLayout = field(default_factory=TextLayout)
    shape_hw: tuple[int, int] | None = None
    pattern: str | None = None
    calibration: Calibration | None = None
    two_pass: bool | None = None
    visual_order: bool = False
    string_model: StringModel | None = None
    lookalikes: Lookalikes | None = None

    def __post_init__(self) -> None:
        Alphabet(self.symbols, self.space)
        for name in ("length", "min_count", "max_count"):
            object.__setattr__(self, name, index(getattr(self, name)))
        if self.length > MAX_LENGTH:
            raise DatasetError(f"Strings have at most {MAX_LENGTH} symbols, and these are to have up to {self.length}.")
        if not 1 <= self.min_count <= self.max_count <= self.length:
            raise DatasetError(
                "The reading configuration needs 1 <= min_count <= max_count <= length, "
                f"got {self.min_count}, {self.max_count}, {self.length}."
            )
        if self.shape_hw is not None:
            height, width = (index(side) for side in self.shape_hw)
            object.__setattr__(self, "shape_hw", (height, width))
            if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
                raise DatasetError(f"A network's input has 1 to {MAX_SIDE} pixels a side, got {height} x {width}.")
        if self.string_model is not None and self.string_model.alphabet != self.symbols:
            raise DatasetError(f"The string model is of the symbols {self.string_model.alphabet!r}, not of these.")
        for pair, share in self.lookalikes or ():
            if not (len(pair) == 2 and set(pair) <= set(self.symbols) and 0 <= share <= 1):
                raise DatasetError(f"Pairs of symbols that look alike have a share of 1 each, got {pair!r}: {share!r}.")
        for name in ("two_pass", "visual_order"):
            if (value := getattr(self, name)) not in (True, False, *((None,) if name == "two_pass" else ())):
                raise DatasetError(f"{_KEYS_IN_FILES.get(name, name)} is true or false, got {value!r}.")
        object.__setattr__(self, "pattern", self.pattern or None)
        allowed_strings(self)  # refuse a pattern that cannot be met here, not with the first picture

    @property
    def alphabet(self) -> Alphabet:
        """The symbols and the space as an alphabet."""
        return Alphabet(self.symbols, self.space)

    @property
    def is_constrained(self) -> bool:
        """Whether a pattern or a string model says what strings look like; it goes before what readings tell."""
        return self.pattern is not None or self.string_model is not None

    @property
    def known_lookalikes(self) -> Lookalikes:
        """Pairs of look-alikes that were measured for the network, or else those of the shipped weights."""
        return SHIPPED_LOOKALIKES if self.lookalikes is None else self.lookalikes

    @property
    def channel(self) -> NDArray[np.float64]:
        """The confusion channel, float64 (classes, classes); see :func:`detector.text.forms.lookalikes.channel`."""
        return channel(self.symbols, self.known_lookalikes)

    @property
    def is_two_pass(self) -> bool:
        """Whether readers use two passes by default; if that was not tried, with networks that take any input shape."""
        return self.shape_hw is None if self.two_pass is None else self.two_pass

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for YAML, JSON and weights, without what was not fitted or tried."""
        plain = asdict(replace(self, string_model=None))
        if self.string_model is None:
            del plain["string_model"]  # so that older readers can read weights that have none; likewise below
        else:
            plain["string_model"] = self.string_model.to_dict()
        if self.lookalikes is not None:
            plain["lookalikes"] = dict(self.lookalikes)
        for optional in ("calibration", "two_pass", "lookalikes"):
            if plain[optional] is None:
                del plain[optional]
        if not self.visual_order:
            del plain["visual_order"]
        plain["layout"] = _layout_to_dict(self.layout)
        plain["shape_hw"] = list(self.shape_hw) if self.shape_hw else None
        return {_KEYS_IN_FILES.get(name, name): value for name, value in plain.items()}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> ReadingConfig:
        """Return the config of which :meth:`to_dict` gave the values.

        Raises:
            DatasetError: if a key is unknown, or a value makes no sense.
        """
        try:
            values = {_NAMES_OF_KEYS.get(key, key): value for key, value in plain.items()}
            layout = _layout_from_dict(values.pop("layout", {}))
            maps = values.pop("calibration", None)
            calibration = None if maps is None else Calibration.from_dict(maps)
            pairs = values.pop("lookalikes", None)
            lookalikes = None if pairs is None else tuple((pair, float(share)) for pair, share in pairs.items())
            forms = values.pop("string_model", None)
            model = None if forms is None else StringModel.from_dict(forms, values.get("symbols", DEFAULT_SYMBOLS))
            return ReadingConfig(
                **values, layout=layout, calibration=calibration, string_model=model, lookalikes=lookalikes
            )
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DatasetError(
                f"The reading configuration cannot be understood ({error}); was this file edited?"
            ) from error


def allowed_strings(config: ReadingConfig) -> Automaton | None:
    """Return the automaton of a config's pattern; None without one."""
    if config.pattern is None:
        return None
    return compile_pattern(config.pattern, config.alphabet, config.length, config.min_count, config.max_count)


def _layout_to_dict(layout: TextLayout) -> dict[str, Any]:
    plain = asdict(layout)
    plain["kind"] = _KINDS_IN_FILES[layout.kind]
    plain["thresholds"] = list(layout.thresholds)
    return {_MAX_PLAIN_KEY if key == "max_plain" else key: value for key, value in plain.items()}


def _layout_from_dict(plain: dict[str, Any]) -> TextLayout:
    values = {"max_plain" if key == _MAX_PLAIN_KEY else key: value for key, value in plain.items()}
    if "kind" in values:
        values["kind"] = {in_files: kind for kind, in_files in _KINDS_IN_FILES.items()}.get(
            values["kind"], values["kind"]
        )
    return TextLayout(**values)
