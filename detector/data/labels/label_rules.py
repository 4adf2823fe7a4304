"""Which labels a conversion takes: those that a person types are checked at once, and not by the next conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detector.data.labels.label_texts import Spelling
from detector.errors import AlphabetError
from detector.text.alphabet import DEFAULT_LENGTH, DEFAULT_SYMBOLS, MAX_LENGTH, Alphabet, is_encodable, symbols_of


@dataclass(frozen=True)
class LabelRules:
    """What is known of the conversion that takes the decisions.

    Args:
        spelling: how labels are spelt in its source.
        alphabet: its symbols.
        is_open: whether it takes all symbols that labels have besides, or may do so.
        length: symbols that a text may have.
    """

    spelling: Spelling
    alphabet: Alphabet
    is_open: bool
    length: int

    def problem(self, typed: str) -> str:
        """Return why the conversion would refuse a label; "" if it would not, as far as is known."""
        text, alphabet = self.spelling(typed), self.alphabet
        problem = self.spelling.problem(typed)
        try:
            if self.is_open and is_encodable(text):
                new = sorted({*text} - {*alphabet.symbols, alphabet.space})
                alphabet = Alphabet(alphabet.symbols + "".join(new), alphabet.space)
            problem = problem or alphabet.problem(text, self.length) or ""
        except AlphabetError as error:
            return str(error)
        return f"{problem[:1].upper()}{problem[1:]}." if problem else ""


def rules_of(options: Mapping[str, Any], alphabet: Alphabet, is_open: bool, length: int) -> LabelRules:
    """Return the rules of a conversion with these options for its labels."""
    spelling = Spelling(
        options.get("space"),
        bool(options.get("upper")),
        str(options.get("ignore") or ""),
        "" if is_open else alphabet.symbols,
        bool(options.get("visual_order")),
    )
    return LabelRules(spelling, alphabet, is_open, length)


def rules_of_any(options: Mapping[str, Any]) -> LabelRules:
    """Return the rules of every conversion with these options, whatever its alphabet and length."""
    return rules_of(options, Alphabet(), is_open=True, length=MAX_LENGTH)


def rules_of_next(options: Mapping[str, Any]) -> LabelRules:
    """Return the rules of ``convert`` with these arguments."""
    alphabet, is_open = options.get("alphabet"), options.get("alphabet") == "auto"
    length = int(options.get("length", DEFAULT_LENGTH))
    symbols = DEFAULT_SYMBOLS if alphabet is None or is_open else symbols_of(alphabet)
    return rules_of(options, Alphabet(symbols), is_open, length)
