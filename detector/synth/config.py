"""The settings of a set of artificial pictures, and the one place that checks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from detector.errors import AlphabetError, ArgumentError
from detector.synth.styles import PLAIN, SCRIPTS, STYLES
from detector.text.alphabet import DEFAULT_LENGTH, Alphabet, symbols_of
from detector.text.patterns import format_problems

LAYOUTS = ("proportional", "fixed")


@dataclass(frozen=True)
class SynthConfig:
    """Settings of one set. All problems with them are reported in one message.

    Args:
        alphabet: symbols that texts are made of; or a string of them, with ranges such as ``0-9A-Z``.
        length: symbols of the longest text, spaces included.
        min_length: symbols of the shortest text; None means ``length``. Not with ``pattern`` or ``texts``.
        size_wh: width and height of every picture, in pixels.
        styles: names out of ``STYLES`` (or "plain", "scripts"); a name given twice is drawn twice as often.
        layout: "proportional"; or "fixed", a fixed pitch that centres symbol ``i`` of a line of ``n`` cells at
            ``(i + 0.5) / n`` of the picture's width.
        spaces: share of pictures, 0 to 1, whose text has spaces inside or ends early.
        lines: 1 or 2 lines of text.
        pattern: "A" a letter, "9" a digit, "X" any symbol, the space and symbols as they are, "|" between
            alternatives. Any other sign (``-``, ``.``) is drawn and never part of the label.
        texts: texts to choose from, as often as they are listed; None generates them. ``length`` still bounds them.
        glyphs: folder of single characters; with ``fonts`` None they replace fonts, otherwise both are used.
        fonts: font files; None takes those of ``find_fonts``.
        seed: another seed gives other pictures.

    Raises:
        AlphabetError: if length or pattern does not suit the alphabet.
        ArgumentError: if anything else makes no sense.
    """

    alphabet: Alphabet = field(default_factory=Alphabet)
    length: int = DEFAULT_LENGTH
    min_length: int | None = None
    size_wh: tuple[int, int] = (256, 64)
    styles: tuple[str, ...] = STYLES
    layout: str = "proportional"
    spaces: float = 0.0
    lines: int = 1
    pattern: str | None = None
    texts: tuple[str, ...] | None = None
    glyphs: Path | None = None
    fonts: tuple[Path, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.alphabet, str):  # a string of symbols
            object.__setattr__(self, "alphabet", Alphabet(symbols_of(self.alphabet)))
        if self.glyphs is not None:
            object.__setattr__(self, "glyphs", Path(self.glyphs))
        if self.fonts is not None:
            object.__setattr__(self, "fonts", tuple(Path(font) for font in self.fonts))
        about_text = self._text_problems()
        problems = about_text + self._picture_problems()
        if problems:
            kind = AlphabetError if about_text else ArgumentError
            raise kind("Artificial pictures cannot be made: " + "; ".join(problems) + ".")

    @property
    def shortest(self) -> int:
        """Symbols of the shortest text without spaces."""
        return self.length if self.min_length is None else self.min_length

    def _text_problems(self) -> list[str]:
        problems = []
        if self.length < 1:
            problems.append(f"length must be at least 1, got {self.length}")
        elif not 1 <= self.shortest <= self.length:
            problems.append(f"min_length must lie between 1 and length {self.length}, got {self.min_length}")
        if self.pattern is not None:
            problems += format_problems(self.pattern, self.alphabet, self.length)
            if self.spaces:
                problems.append("spaces and pattern exclude each other: write the space into the pattern")
        if self.texts is not None:
            problems += self._texts_problems(self.texts)
        if self.min_length is not None and (self.pattern is not None or self.texts is not None):
            problems.append("min_length has no effect on a pattern or on texts: leave it out")
        return problems

    def _texts_problems(self, texts: tuple[str, ...]) -> list[str]:
        problems = [] if texts else ["texts is empty: name at least one, or leave it out"]
        if self.pattern is not None or self.spaces:
            problems.append("texts exclude pattern and spaces: they are drawn as they are")
        known = {*self.alphabet.symbols, self.alphabet.space}
        odd = [t for t in texts if not 1 <= len(t) <= self.length or not t.strip(self.alphabet.space) or {*t} - known]
        if odd:
            examples = ", ".join(repr(t) for t in odd[:5]) + (", ..." if len(odd) > 5 else "")
            small = any({*t} - known and {*t.upper()} <= known for t in odd)
            hint = " (small letters are no symbols of this alphabet: write capitals)" if small else ""
            problem = f"{len(odd)} of {len(texts)} texts have other symbols or not 1 to {self.length}"
            problems.append(f"{problem}: {examples}{hint}")
        if self.layout == "proportional" and (indented := [t for t in texts if t.startswith(self.alphabet.space)]):
            problems.append(f"proportional texts must not begin with a space, which nobody could see: {indented[0]!r}")
        ends = [t for t in texts if t.endswith(self.alphabet.space)]
        if ends:
            problems.append(f"texts must not end with a space, which nobody could see: {ends[0]!r}")
        return problems

    def _picture_problems(self) -> list[str]:
        problems = []
        width, height = self.size_wh
        if min(width, height) < 16 or max(width, height) > 4096:
            problems.append(f"size_wh must be 16 to 4096 pixels each way, got {width}x{height}")
        elif self.length >= 1 and width * self.lines < 6 * self.length:
            min_width = -(-6 * self.length // self.lines)
            problems.append(f"{self.length} symbols need a width of {min_width} pixels or more, got {width}")
        unknown = [name for name in self.styles if name not in (*STYLES, SCRIPTS, PLAIN)]
        if unknown or not self.styles:
            problems.append(
                f"styles must be some of {', '.join((*STYLES, SCRIPTS, PLAIN))}, got {', '.join(unknown) or 'none'}"
            )
        if self.layout not in LAYOUTS:
            problems.append(f"layout must be proportional or fixed, got {self.layout!r}")
        if not 0 <= self.spaces <= 1:
            problems.append(f"spaces is a share from 0 to 1, got {self.spaces}")
        if self.lines not in (1, 2):
            problems.append(f"lines must be 1 or 2, got {self.lines}")
        if self.fonts is not None and not self.fonts:
            problems.append("fonts is empty: name at least one font file, or leave it out")
        missing = [str(path) for path in (self.fonts or ()) if not path.is_file()]
        if missing:
            problems.append(f"no font file at {', '.join(missing)}")
        if self.glyphs is not None and not self.glyphs.is_dir():
            problems.append(f"no folder of characters at {self.glyphs}")
        return problems
