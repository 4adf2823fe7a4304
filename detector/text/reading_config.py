"""What a reader must know besides its network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from detector.errors import DatasetError
from detector.text.alphabet import DEFAULT_LENGTH, DEFAULT_SYMBOLS, Alphabet
from detector.text.calibration import Calibration
from detector.text.patterns import Automaton, compile_pattern
from detector.text.spacing import Layout

_TWO_PASS_KEY = "second_look"  # of files: their keys stay when names in code change


@dataclass(frozen=True)
class ReadingConfig:
    """What a reader must know besides its network; travels in data.yaml and in the weights.

    Args:
        symbols: the alphabet, in class-id order.
        blank: the symbol that is never detected.
        length: symbols that a string may have, blanks included.
        min_count, max_count: symbols other than blanks that strings have; equal where all have as many.
        layout: where blanks are.
        shape_hw: height and width of the network's input; None where it fits any.
        pattern: what strings look like, as :mod:`detector.text.patterns` describes; None where they may be anything.
        calibration: what the network's scores are worth; None where that was not learnt.
        two_pass: whether readers look twice, see :mod:`detector.reading.two_pass`; None where nobody has tried.
        visual_order: whether labels were right-to-left ones in the order that they are typed in, which readers give
            back; all strings before that, a pattern's too, are in the order of the picture, from left to right.

    Raises:
        AlphabetError: if the alphabet is none, or the pattern is not understood or allows no string of this length.
        DatasetError: if the counts make no sense.
    """

    symbols: str = DEFAULT_SYMBOLS
    blank: str = " "
    length: int = DEFAULT_LENGTH
    min_count: int = 1
    max_count: int = DEFAULT_LENGTH
    layout: Layout = field(default_factory=Layout)
    shape_hw: tuple[int, int] | None = None
    pattern: str | None = None
    calibration: Calibration | None = None
    two_pass: bool | None = None
    visual_order: bool = False

    def __post_init__(self) -> None:
        Alphabet(self.symbols, self.blank)
        if not 1 <= self.min_count <= self.max_count <= self.length:
            raise DatasetError(
                "The reading configuration needs 1 <= min_count <= max_count <= length, "
                f"got {self.min_count}, {self.max_count}, {self.length}."
            )
        if self.shape_hw is not None:
            object.__setattr__(self, "shape_hw", (int(self.shape_hw[0]), int(self.shape_hw[1])))
        object.__setattr__(self, "pattern", self.pattern or None)
        if self.pattern is not None:  # one that cannot be met is refused here, not with the first picture
            compile_pattern(self.pattern, self.alphabet, self.length, self.min_count, self.max_count)

    @property
    def alphabet(self) -> Alphabet:
        """The symbols and the blank as a table."""
        return Alphabet(self.symbols, self.blank)

    @property
    def is_two_pass(self) -> bool:
        """Whether readers look twice if they are not told: untried, where the network fits no one kind of picture."""
        return self.shape_hw is None if self.two_pass is None else self.two_pass

    @property
    def allowed(self) -> Automaton | None:
        """The strings that the pattern allows; None without one."""
        if self.pattern is None:
            return None
        return compile_pattern(self.pattern, self.alphabet, self.length, self.min_count, self.max_count)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML, JSON and weights; without what was not learnt."""
        plain = asdict(self)
        for learnt in ("calibration", "two_pass"):
            if plain[learnt] is None:
                del plain[learnt]
        if "two_pass" in plain:
            plain[_TWO_PASS_KEY] = plain.pop("two_pass")
        if not self.visual_order:
            del plain["visual_order"]  # weights without it stay what older readers know
        plain["layout"]["thresholds"] = list(self.layout.thresholds)
        plain["shape_hw"] = list(self.shape_hw) if self.shape_hw else None
        return plain

    @staticmethod
    def from_dict(held: dict[str, Any]) -> ReadingConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            DatasetError: naming keys that are unknown, or values that make no sense.
        """
        try:
            values = {"two_pass" if key == _TWO_PASS_KEY else key: value for key, value in held.items()}
            layout = Layout(**values.pop("layout", {}))
            learnt = values.pop("calibration", None)
            calibration = None if learnt is None else Calibration.from_dict(learnt)
            return ReadingConfig(**values, layout=layout, calibration=calibration)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DatasetError(
                f"The reading configuration cannot be understood ({error}); was this file edited?"
            ) from error
