"""Symbols <-> class ids: the one table of the project, encode and decode side by side.

An :class:`Alphabet` has ``n`` symbols, the detection classes in class-id order, and one *blank*, which is
never detected and has id ``n``. The default universe is the 37 symbols ``0-9A-Z`` and the space.
Texts shorter than ``length`` are padded with blanks at their end; trailing blanks are not significant.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import AlphabetError

DEFAULT_SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DEFAULT_LENGTH = 8


@dataclass(frozen=True)
class Alphabet:
    """The detectable symbols in class-id order, and the blank.

    Symbols are single code points in Unicode's composed form (NFC).

    Raises:
        AlphabetError: if there are no symbols, one occurs twice, or the blank is among them.
    """

    symbols: str = DEFAULT_SYMBOLS
    blank: str = " "

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", unicodedata.normalize("NFC", self.symbols))
        control = [s for s in (*self.symbols, *self.blank) if _is_control(s)]
        if control:
            raise AlphabetError(f"The alphabet holds control characters ({control}): leave them out.")
        if not self.symbols:
            raise AlphabetError("The alphabet is empty: give at least one symbol.")
        doubles = sorted({s for s in self.symbols if self.symbols.count(s) > 1})
        if doubles:
            raise AlphabetError(f"The alphabet holds {''.join(doubles)!r} more than once: name each symbol once.")
        if len(self.blank) != 1:
            raise AlphabetError(f"The blank must be one character, got {self.blank!r}.")
        if self.blank in self.symbols:
            raise AlphabetError(f"The blank {self.blank!r} is also a symbol of the alphabet: choose another one.")

    def __len__(self) -> int:
        """Number of detection classes, the blank not counted."""
        return len(self.symbols)

    @property
    def blank_id(self) -> int:
        """Id of the blank in encoded strings: the one after the last class."""
        return len(self.symbols)

    @cached_property
    def _id_of(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate((*self.symbols, self.blank))}

    @cached_property
    def _symbol_of(self) -> NDArray[np.str_]:
        return np.array([*self.symbols, self.blank])  # (n + 1,)

    def clean(self, text: str) -> str:
        """``text`` in the form that is compared and encoded: NFC, blanks at the end removed."""
        return unicodedata.normalize("NFC", text).rstrip(self.blank)

    def problem(self, text: str, length: int | None = None, *, fixed: bool = False) -> str | None:
        """Why ``text`` cannot be encoded, in words for a user, or None. The only rule for refusal.

        Args:
            text: a label.
            length: symbols that it may have.
            fixed: whether nobody can choose another alphabet, as for weights that are there.
        """
        text = self.clean(text)
        if not text:
            return "the label is empty"
        unknown = [s for s in dict.fromkeys(text) if s not in self._id_of]
        if unknown:
            return (
                f"the label {text!r} has {''.join(unknown)!r}, not in the alphabet {self.symbols!r}: "
                + self._what_takes(text, fixed)
            )
        if length is not None and len(text) > length:
            return f"the label {text!r} has {len(text)} symbols, more than {length}" + (
                f": it starts with {self.blank!r}" if text.startswith(self.blank) else ""
            )
        return None

    def _what_takes(self, text: str, fixed: bool) -> str:
        """The option with which a text would be one of this alphabet, or the alphabet one that has its symbols."""
        if any(map(_is_control, text)):
            return "no alphabet takes control characters, correct the label"
        if set(unicodedata.normalize("NFC", text.upper())) <= self._id_of.keys():
            return "--upper takes it as capitals"
        if signs := "".join(sorted({s for s in text if s in "-. _/" and s not in self._id_of})):
            rest = "".join(s for s in text if s not in signs)
            if rest and set(rest) <= self._id_of.keys():
                takes_too = "" if fixed else "; --alphabet auto takes it as symbols"
                if "_" in signs:
                    takes_too += "; --blank '_' takes it for a blank"
                return f"--ignore {signs!r} leaves out what is not read{takes_too}"
        return "it is never read" if fixed else "--alphabet auto takes the symbols that the labels have"

    def encode(self, texts: Sequence[str], length: int = DEFAULT_LENGTH) -> NDArray[np.int64]:
        """Ids of every symbol, padded with the blank's id.

        Returns:
            Shape (len(texts), length), values in [0, n].

        Raises:
            AlphabetError: naming every text that does not fit, and why; if it is one text.
        """
        if isinstance(texts, str):
            raise AlphabetError(f"Several texts are encoded at once: give [{texts!r}], not {texts!r}.")
        problems = [p for t in texts if (p := self.problem(t, length)) and self.clean(t)]
        if problems:
            shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
            raise AlphabetError(f"{len(problems)} of {len(texts)} texts cannot be encoded: {shown}.")
        rows = [self.clean(t).ljust(length, self.blank) for t in texts]
        flat = np.fromiter((self._id_of[s] for row in rows for s in row), np.int64, len(rows) * length)
        return flat.reshape(len(rows), length)

    def decode(self, ids: Any) -> list[str]:
        """Texts of encoded strings; the inverse of :meth:`encode` (blanks at the end are removed).

        Args:
            ids: integers in [0, n], shape (batch, length).

        Raises:
            AlphabetError: if an id lies outside the alphabet.
        """
        table = np.asarray(ids)
        if table.ndim != 2 or not (np.issubdtype(table.dtype, np.integer) or table.size == 0):
            raise AlphabetError(f"decode takes integers of shape (batch, length), got {table.dtype} {table.shape}.")
        if table.size and (table.min() < 0 or table.max() > self.blank_id):
            raise AlphabetError(f"Ids run from 0 to {self.blank_id}, got {table.min()} to {table.max()}.")
        rows = self._symbol_of[table.astype(np.int64)]  # (batch, length)
        return ["".join(row).rstrip(self.blank) for row in rows]

    def one_hot(self, texts: Sequence[str], length: int = DEFAULT_LENGTH) -> NDArray[np.float32]:
        """The target of a plain classifier: one row a symbol, one column a class, the blank last.

        Returns:
            Shape (len(texts), length, n + 1), zeros and ones; 8 x 37 a text by default.
        """
        return np.eye(len(self) + 1, dtype=np.float32)[self.encode(texts, length)]

    def from_one_hot(self, scores: Any) -> list[str]:
        """Texts of the best class in each row; takes :meth:`one_hot`'s shape, or any scores of it."""
        table = np.asarray(scores)
        if table.ndim != 3 or table.shape[-1] != len(self) + 1:
            raise AlphabetError(f"Scores must have shape (batch, length, {len(self) + 1}), got {table.shape}.")
        return self.decode(table.argmax(-1))


def _is_control(symbol: str) -> bool:
    return unicodedata.category(symbol) == "Cc"


def alphabet_of(texts: Iterable[str], blank: str = " ") -> Alphabet:
    """The smallest alphabet that holds all ``texts`` but for control characters, in code-point order."""
    seen = set().union(*(unicodedata.normalize("NFC", text) for text in texts))
    return Alphabet("".join(sorted(s for s in seen - {blank} if not _is_control(s))), blank)
