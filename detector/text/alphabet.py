"""The alphabet: symbols and their class ids, and strings encoded as ids and decoded again.

An :class:`Alphabet` has ``n`` symbols, the detection classes in class-id order, and one *space*, which is
never detected and has id ``n``. The default is ``0-9A-Z`` and the space, 37 ids.
Texts shorter than ``length`` are padded with spaces at their end; trailing spaces are not significant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import AlphabetError, abridged, argument

DEFAULT_SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DEFAULT_LENGTH = 8
MAX_LENGTH = 48
"""Most symbols of a text: codes are short, and all work grows with their length."""

SEPARATORS = "-. _/,"
"""Signs that stand between symbols and are often not read."""


@dataclass(frozen=True)
class Alphabet:
    """The detectable symbols in class-id order, and the space.

    Args:
        symbols: single code points in Unicode's composed form (NFC); neither control nor format characters, which are
            invisible, nor combining marks, which have no box of their own.
        space: one such code point.

    Raises:
        AlphabetError: if there are no symbols, one is not allowed or occurs twice, or the space is among them.
    """

    symbols: str = DEFAULT_SYMBOLS
    space: str = " "

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", unicodedata.normalize("NFC", self.symbols))
        if invisible := [s for s in (*self.symbols, *self.space) if is_unseen(s)]:
            raise AlphabetError(
                f"The alphabet holds control or format characters ({_code_points(invisible)}): leave them out."
            )
        if marks := [s for s in self.symbols if first_cluster(s)]:
            raise AlphabetError(f"The alphabet holds combining marks ({_code_points(marks)}): {_NO_MARKS}.")
        if not self.symbols:
            raise AlphabetError("The alphabet is empty: give at least one symbol.")
        doubles = sorted({s for s in self.symbols if self.symbols.count(s) > 1})
        if doubles:
            raise AlphabetError(f"The alphabet holds {''.join(doubles)!r} more than once: name each symbol once.")
        if len(self.space) != 1:
            raise AlphabetError(f"The space must be one character, got {self.space!r}.")
        if self.space in self.symbols:
            raise AlphabetError(f"The space {self.space!r} is also a symbol of the alphabet: choose another one.")

    def __len__(self) -> int:
        """Number of detection classes, the space not counted."""
        return len(self.symbols)

    @property
    def space_id(self) -> int:
        """Id of the space in encoded strings: the number of classes."""
        return len(self.symbols)

    @cached_property
    def _id_of(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate((*self.symbols, self.space))}

    @cached_property
    def _symbol_of(self) -> NDArray[np.str_]:
        return np.array([*self.symbols, self.space])  # (n + 1,)

    def clean(self, text: str) -> str:
        """Return ``text`` in the form that is compared and encoded: NFC, spaces at the end removed."""
        return unicodedata.normalize("NFC", text).rstrip(self.space)

    def problem(
        self, text: str, length: int | None = None, *, fixed: bool = False, separators: str = SEPARATORS
    ) -> str | None:
        """Explain to a user why ``text`` cannot be encoded; None if it can. No other rule refuses a label.

        Args:
            text: a label.
            length: most symbols that it may have, spaces included; None for any number.
            fixed: whether the alphabet cannot be changed, as with finished weights.
            separators: the signs that the advice may propose to ignore, fewer where the set's other labels tell that
                one does more than separate.
        """
        text = self.clean(text)
        if not text:
            return "the label is empty"
        foreign = [s for s in dict.fromkeys(text) if s not in self._id_of]
        if foreign:
            message = f"the label {text!r} has {''.join(foreign)!r}, not in the alphabet {self.symbols!r}: "
            return message + self._advice(text, len(text) if length is None else length, fixed, separators)
        if length is not None and len(text) > length:
            return f"the label {text!r} has {len(text)} symbols, more than {length}" + (
                f": it starts with {self.space!r}" if text.startswith(self.space) else ""
            )
        return None

    def _advice(self, text: str, length: int, fixed: bool, separators: str) -> str:
        """Return the end of a message: the argument with which the text would be accepted, or what to correct."""
        if invisible := [s for s in text if is_unseen(s)]:
            return f"no alphabet takes control or format characters ({_code_points(invisible)}), correct the label"
        if cluster := first_cluster(text):
            return f"{cluster!r} is no symbol, for {_NO_MARKS}"
        if len(text) <= length and set(unicodedata.normalize("NFC", text.upper())) <= self._id_of.keys():
            return f"{argument('upper')} takes it as capitals"
        signs = "".join(sorted({s for s in text if s in SEPARATORS and s not in self._id_of}))
        symbols = "".join(s for s in text if s not in signs)
        if signs and symbols and len(symbols) <= length and set(symbols) <= self._id_of.keys():
            if not set(signs) <= set(separators):
                return f"what {signs!r} parts off seems to be a running number and not text: correct the labels"
            takes_too = "" if fixed or len(text) > length else f"; {argument('alphabet', 'auto')} takes it as symbols"
            if "_" in signs:
                takes_too += f"; {argument('space', '_')} takes it for a space"
            return f"{argument('ignore', signs)} leaves out what is not read{takes_too}"
        if len(text) > length:
            return f"it also has {len(text)} symbols, more than {length}"
        return "it is never read" if fixed else f"{argument('alphabet', 'auto')} takes the symbols that the labels have"

    def encode(self, texts: Sequence[str], length: int = DEFAULT_LENGTH) -> NDArray[np.int64]:
        """Return the ids of the symbols of each text, padded with the space's id.

        Returns:
            Shape (len(texts), length), values in [0, n].

        Raises:
            AlphabetError: if texts cannot be encoded, with the reason for each; if ``texts`` is one string.
        """
        if isinstance(texts, str):
            raise AlphabetError(f"Several texts are encoded at once: give [{texts!r}], not {texts!r}.")
        problems = [p for t in texts if (p := self.problem(t, length)) and self.clean(t)]
        if problems:
            listed = abridged(problems, 5, "; ")
            raise AlphabetError(f"{len(problems)} of {len(texts)} texts cannot be encoded: {listed}.")
        rows = [self.clean(t).ljust(length, self.space) for t in texts]
        flat = np.fromiter((self._id_of[s] for row in rows for s in row), np.int64, len(rows) * length)
        return flat.reshape(len(rows), length)

    def decode(self, ids: Any) -> list[str]:
        """Return the texts of encoded strings: the inverse of :meth:`encode`, spaces at the end removed.

        Args:
            ids: integers in [0, n], shape (batch, length).

        Raises:
            AlphabetError: if an id lies outside the alphabet.
        """
        table = np.asarray(ids)
        if table.ndim != 2 or not (np.issubdtype(table.dtype, np.integer) or table.size == 0):
            raise AlphabetError(f"decode takes integers of shape (batch, length), got {table.dtype} {table.shape}.")
        if table.size and (table.min() < 0 or table.max() > self.space_id):
            raise AlphabetError(f"Ids run from 0 to {self.space_id}, got {table.min()} to {table.max()}.")
        rows = self._symbol_of[table.astype(np.int64)]  # (batch, length)
        return ["".join(row).rstrip(self.space) for row in rows]

    def one_hot(self, texts: Sequence[str], length: int = DEFAULT_LENGTH) -> NDArray[np.float32]:
        """Return the targets of a plain classifier: for each symbol a row, for each class a column, the space last.

        Returns:
            Shape (len(texts), length, n + 1), zeros and ones; by default 8 x 37 for each text.
        """
        return np.eye(len(self) + 1, dtype=np.float32)[self.encode(texts, length)]

    def from_one_hot(self, scores: Any) -> list[str]:
        """Return the texts of the best class in each row.

        Args:
            scores: shape (batch, length, n + 1), as :meth:`one_hot` returns them, or any scores.

        Raises:
            AlphabetError: if the shape is another one.
        """
        table = np.asarray(scores)
        if table.ndim != 3 or table.shape[-1] != len(self) + 1:
            raise AlphabetError(f"Scores must have shape (batch, length, {len(self) + 1}), got {table.shape}.")
        return self.decode(table.argmax(-1))


_NO_MARKS = "a combining mark has no box of its own: spell a letter with its mark as one code point, or leave marks out"


def is_unseen(symbol: str) -> bool:
    """Test for a control or format character (Unicode categories Cc, Cf, Zl, Zp), which no picture shows."""
    return unicodedata.category(symbol) in ("Cc", "Cf", "Zl", "Zp")


def first_cluster(text: str) -> str:
    """Return the first grapheme cluster of several code points, such as a letter and a mark without a composed form.

    "" if there is none.
    """
    text = unicodedata.normalize("NFC", text)
    for i, sign in enumerate(text):
        if unicodedata.category(sign)[0] == "M" or (i and _joins(text[i - 1], sign)):
            return text[max(i - 1, 0) : i + 1]
    return ""


def _joins(previous: str, sign: str) -> bool:
    """Test whether two code points are shown as one: emoji and skin tone, flag letters, parts of a Korean syllable."""
    previous_code, code = ord(previous), ord(sign)
    flag = 0x1F1E6 <= previous_code <= 0x1F1FF and 0x1F1E6 <= code <= 0x1F1FF
    return flag or 0x1F3FB <= code <= 0x1F3FF or (0x1100 <= previous_code <= 0x11FF and 0x1160 <= code <= 0x11FF)


def _code_points(signs: Iterable[str]) -> str:
    """Name characters by their code points, for messages about invisible ones."""
    return ", ".join(f"U+{ord(sign):04X}" for sign in dict.fromkeys(signs))


_FOREIGN_SPELLINGS = (
    (re.compile(r"\A\[.*\w-\w.*\]\Z", re.DOTALL), "has brackets around ranges, which would be symbols: write 0-9A-Z"),
    (re.compile(r"\\[dwsDWS]"), "is spelt as in patterns: write ranges, as 0-9A-Z"),
    (re.compile(r"\w[\u2010-\u2015\u2212]\w"), "has a dash that is not -: write 0-9A-Z, and such a dash last"),
    (re.compile(r"\A\w-\w(?:[\s,;|]+\w-\w)+\Z"), "has signs between its ranges, which would be symbols: write 0-9A-Z"),
)  # fmt: skip


def symbols_of(spelt: str) -> str:
    """Return the symbols of an alphabet as a user spells it, with ranges such as ``0-9A-Z``.

    ``\\-`` is the sign itself, and so is a ``-`` at the beginning or the end.

    Raises:
        AlphabetError: if a range runs backwards, or is not of one kind of letters or digits; if it is spelt as in
            regular expressions or lists, whose signs would silently become symbols.
    """
    for spelling, problem in _FOREIGN_SPELLINGS:
        if spelling.search(spelt):
            raise AlphabetError(f"The alphabet {spelt!r} {problem}.")
    signs = re.findall(r"\\[-\\]|.", spelt, re.DOTALL)
    symbols, i = "", 0
    while i < len(signs):
        sign = signs[i][-1]
        if i + 2 < len(signs) and signs[i + 1] == "-":
            symbols += _range(sign, signs[i + 2][-1], spelt)
            i += 3
        else:
            symbols, i = symbols + sign, i + 1
    return symbols


def _range(first: str, last: str, spelt: str) -> str:
    symbols = "".join(map(chr, range(ord(first), ord(last) + 1)))
    if len(symbols) < 2 or len({unicodedata.category(sign) for sign in symbols}) > 1 or not symbols.isalnum():
        raise AlphabetError(
            f"The alphabet {spelt!r} has {first}-{last}, which is no range of digits or of letters of one kind: put "
            "the sign - last, or write \\-."
        )
    return symbols


def alphabet_of(texts: Iterable[str], space: str = " ") -> Alphabet:
    """Return the smallest alphabet of ``texts``, in code-point order; texts that none can encode are ignored."""
    clean_texts = (text for text in map(partial(unicodedata.normalize, "NFC"), texts) if is_encodable(text))
    return Alphabet("".join(sorted(set[str]().union(*clean_texts) - {space})), space)


def is_encodable(text: str) -> bool:
    """Test whether there is an alphabet that has all characters of a text."""
    return not any(map(is_unseen, text)) and not first_cluster(text)
