"""Symbols <-> class ids: the one table of the project, encode and decode side by side.

An :class:`Alphabet` has ``n`` symbols, the detection classes in class-id order, and one *space*, which is
never detected and has id ``n``. The default universe is the 37 symbols ``0-9A-Z`` and the space.
Texts shorter than ``length`` are padded with spaces at their end; trailing spaces are not significant.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.errors import AlphabetError, abridged, argument

DEFAULT_SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DEFAULT_LENGTH = 8


@dataclass(frozen=True)
class Alphabet:
    """The detectable symbols in class-id order, and the space.

    Symbols are single code points in Unicode's composed form (NFC), and each is seen: control and format characters,
    and combining marks, which have no box of their own, are none.

    Raises:
        AlphabetError: if there are no symbols, one cannot be one, one occurs twice, or the space is among them.
    """

    symbols: str = DEFAULT_SYMBOLS
    space: str = " "

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", unicodedata.normalize("NFC", self.symbols))
        unseen = [s for s in (*self.symbols, *self.space) if is_unseen(s)]
        if unseen:
            raise AlphabetError(f"The alphabet holds control or format characters ({_spelt(unseen)}): leave them out.")
        if marks := [s for s in self.symbols if first_cluster(s)]:
            raise AlphabetError(f"The alphabet holds combining marks ({_spelt(marks)}): {_ONE_SIGN}.")
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
        """Id of the space in encoded strings: the one after the last class."""
        return len(self.symbols)

    @cached_property
    def _id_of(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate((*self.symbols, self.space))}

    @cached_property
    def _symbol_of(self) -> NDArray[np.str_]:
        return np.array([*self.symbols, self.space])  # (n + 1,)

    def clean(self, text: str) -> str:
        """``text`` in the form that is compared and encoded: NFC, spaces at the end removed."""
        return unicodedata.normalize("NFC", text).rstrip(self.space)

    def problem(
        self, text: str, length: int | None = None, *, fixed: bool = False, separators: str | None = None
    ) -> str | None:
        """Why ``text`` cannot be encoded, in words for a user, or None. The only rule for refusal.

        Args:
            text: a label.
            length: symbols that it may have.
            fixed: whether nobody can choose another alphabet, as for weights that are there.
            separators: signs that may be advised to be ignored, of :func:`separators_of` all labels; None looks at
                this one alone.
        """
        text = self.clean(text)
        if not text:
            return "the label is empty"
        foreign = [s for s in dict.fromkeys(text) if s not in self._id_of]
        if foreign:
            separators = separators_of([text]) if separators is None else separators
            message = f"the label {text!r} has {''.join(foreign)!r}, not in the alphabet {self.symbols!r}: "
            return message + self._what_takes(text, len(text) if length is None else length, fixed, separators)
        if length is not None and len(text) > length:
            return f"the label {text!r} has {len(text)} symbols, more than {length}" + (
                f": it starts with {self.space!r}" if text.startswith(self.space) else ""
            )
        return None

    def _what_takes(self, text: str, length: int, fixed: bool, separators: str) -> str:
        """The option with which a text would be one of this alphabet, or the alphabet one that has its symbols."""
        if invisible := [s for s in text if is_unseen(s)]:
            return f"no alphabet takes control or format characters ({_spelt(invisible)}), correct the label"
        if cluster := first_cluster(text):
            return f"{cluster!r} is no symbol, for {_ONE_SIGN}"
        if len(text) <= length and set(unicodedata.normalize("NFC", text.upper())) <= self._id_of.keys():
            return f"{argument('upper')} takes it as capitals"
        signs = "".join(sorted({s for s in text if s in _BETWEEN and s not in self._id_of}))
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
        """Ids of every symbol, padded with the space's id.

        Returns:
            Shape (len(texts), length), values in [0, n].

        Raises:
            AlphabetError: naming every text that does not fit, and why; if it is one text.
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
        """Texts of encoded strings; the inverse of :meth:`encode` (spaces at the end are removed).

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
        """The target of a plain classifier: one row a symbol, one column a class, the space last.

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


_BETWEEN = "-. _/"  # signs that stand between symbols and are often not read
_COUNTED_WITH = 2  # digits at most of a number that tells pictures of one text apart
_ONE_SIGN = "a combining mark has no box of its own: spell a letter with its mark as one code point, or leave marks out"


def is_unseen(symbol: str) -> bool:
    """Whether it is a control or format character (Unicode's Cc, Cf, Zl, Zp), which no picture shows."""
    return unicodedata.category(symbol) in ("Cc", "Cf", "Zl", "Zp")


def first_cluster(text: str) -> str:
    """The first grapheme cluster of more than one code point, as letters with marks that do not compose; "" if none."""
    text = unicodedata.normalize("NFC", text)
    for at, sign in enumerate(text):
        if unicodedata.category(sign)[0] == "M" or (at and _joins(text[at - 1], sign)):
            return text[max(at - 1, 0) : at + 1]
    return ""


def _joins(previous: str, sign: str) -> bool:
    """Whether two signs are one: an emoji and its skin, the two letters of a flag, parts of a Korean syllable."""
    previous_code, code = ord(previous), ord(sign)
    flag = 0x1F1E6 <= previous_code <= 0x1F1FF and 0x1F1E6 <= code <= 0x1F1FF
    return flag or 0x1F3FB <= code <= 0x1F3FF or (0x1100 <= previous_code <= 0x11FF and 0x1160 <= code <= 0x11FF)


def _spelt(signs: Iterable[str]) -> str:
    """Code points: what cannot be seen is named so."""
    return ", ".join(f"U+{ord(sign):04X}" for sign in dict.fromkeys(signs))


_SPELT_ELSEWHERE = (
    (re.compile(r"\A\[.*\w-\w.*\]\Z", re.DOTALL), "has brackets around ranges, which would be symbols: write 0-9A-Z"),
    (re.compile(r"\\[dwsDWS]"), "is spelt as in patterns: write ranges, as 0-9A-Z"),
    (re.compile(r"\w[\u2010-\u2015\u2212]\w"), "has a dash that is not -: write 0-9A-Z, and such a dash last"),
    (re.compile(r"\A\w-\w(?:[\s,;|]+\w-\w)+\Z"), "has signs between its ranges, which would be symbols: write 0-9A-Z"),
)  # fmt: skip


def symbols_of(spelt: str) -> str:
    """The symbols of an alphabet as a user spells it: ``0-9A-Z`` are ranges; ``\\-``, a ``-`` first or last, the sign.

    Raises:
        AlphabetError: if a range runs backwards, or is not of one kind of letters or digits; if it is spelt as ranges
            are elsewhere, which would make symbols of signs that nobody means.
    """
    for spelling, problem in _SPELT_ELSEWHERE:
        if spelling.search(spelt):
            raise AlphabetError(f"The alphabet {spelt!r} {problem}.")
    signs = re.findall(r"\\[-\\]|.", spelt, re.DOTALL)
    symbols, at = "", 0
    while at < len(signs):
        sign = signs[at][-1]
        if at + 2 < len(signs) and signs[at + 1] == "-":
            symbols += _range(sign, signs[at + 2][-1], spelt)
            at += 3
        else:
            symbols, at = symbols + sign, at + 1
    return symbols


def _range(first: str, last: str, spelt: str) -> str:
    symbols = "".join(map(chr, range(ord(first), ord(last) + 1)))
    if len(symbols) < 2 or len({unicodedata.category(sign) for sign in symbols}) > 1 or not symbols.isalnum():
        raise AlphabetError(
            f"The alphabet {spelt!r} has {first}-{last}, which is no range of digits or of letters of one kind: put "
            "the sign - last, or write \\-."
        )
    return symbols


def separators_of(texts: Collection[str]) -> str:
    """Signs of :data:`_BETWEEN` that stand between parts of labels, by a look at all: these may well be ignored.

    Not those that part off what is no text: the same tail in all (``33019.0``), numbers that were counted on
    (``AB12.1`` beside ``AB12``, ``0001_AB12``), or what only some labels have, longer for it than all others.
    """
    labels = set(texts)
    return "".join(sign for sign in _BETWEEN if not _parts_off(sign, labels))


def _parts_off(sign: str, texts: Collection[str]) -> bool:
    having = [text for text in texts if sign in text]
    if len(having) < 2:
        having_not = {len(text) for text in texts if sign not in text}
        return bool(having) and len(having_not) == 1 and len(having[0].replace(sign, "")) not in having_not
    parts = [text.rpartition(sign) for text in having]
    tails = Counter(tail for _, _, tail in parts)
    if len(tails) == 1 and len({base for base, _, _ in parts}) > 1:
        return True
    if _are_counted([tail for _, _, tail in parts]) or _are_counted([text.partition(sign)[0] for text in having]):
        return True
    repeats = Counter(base for base, _, tail in parts if len(tail) <= _COUNTED_WITH)
    counted = sum(tail.isdecimal() and (repeats[base] > 1 or base in texts) for base, _, tail in parts)
    if 10 * counted > len(having):
        return True
    without = Counter(len(text) for text in texts if sign not in text)
    usual, times = without.most_common(1)[0] if without else (0, 0)
    longer = sum(len(text.replace(sign, "")) > usual for text in having)
    return times == without.total() > len(having) / 4 and 2 * longer > len(having)


def _are_counted(parts: Sequence[str]) -> bool:
    """Whether these are numbers that tell pictures apart."""
    return len(parts) >= 4 and all(part.isdecimal() for part in parts) and count_through([*map(int, parts)])


def count_through(numbers: Sequence[int]) -> bool:
    """Whether there is one number each, and hardly one between the least and the greatest is left out."""
    are_distinct = len(set(numbers)) == len(numbers)
    return are_distinct and max(numbers) - min(numbers) < len(numbers) + len(numbers) // 10


def what_takes_most(texts: Collection[str], table: Alphabet, length: int, *, fixed: bool = False) -> str:
    """The arguments with which most of the labels that ``table`` refuses would be taken, for messages; "" if none do.

    Args:
        texts: all labels of a set.
        table: their alphabet.
        length: symbols that each may have.
        fixed: whether nobody can choose another alphabet or length, as for weights that are there.
    """
    separators = separators_of(texts)
    refused = [text for text in texts if table.problem(text, length, separators=separators)]
    signs = "".join(sign for sign in separators if any(sign in text for text in refused))
    remedies = []
    for upper, ignored in product((False, True), dict.fromkeys((signs, signs.replace(" ", ""), ""))):
        spelt = [text.translate(dict.fromkeys(map(ord, ignored))) for text in refused]
        lengths = [len(text) for text in (t.upper() if upper else t for t in spelt) if not table.problem(text)]
        for longest in {length} if fixed else {length, *lengths}:
            count = sum(symbols <= longest for symbols in lengths)
            remedies.append(_Remedy(count, upper, ignored, longest if longest > length else 0))
    best = _simplest(remedies, len(refused))
    if best is None:
        symbols = [text for text in refused if table.clean(text) and not _holds_no_symbol(text)]
        other = alphabet_of(symbols) if symbols and not fixed else table
        count = sum(not other.problem(text, length) for text in refused)
        return f"{argument('alphabet', 'auto')} takes {count} of them" if 2 * count > len(refused) else ""
    advice = f"{best} takes {best.taken} of them"
    if " " in best.ignored:
        spaced = _simplest([remedy for remedy in remedies if " " not in remedy.ignored], len(refused))
        if spaced is not None and spaced.taken > 0.9 * best.taken:
            advice += f", and {spaced} takes them with their spaces"
    return advice


class _Remedy(NamedTuple):
    """Arguments with which so many of the labels are taken that are refused without them."""

    taken: int
    upper: bool
    ignored: str
    length: int  # 0: the length stays

    def __str__(self) -> str:
        given = {"upper": self.upper, "ignore": self.ignored, "length": self.length}
        return " ".join(argument(name, value) for name, value in given.items() if value)


def _simplest(remedies: Iterable[_Remedy], refused: int) -> _Remedy | None:
    """The one with fewest arguments beside which no other takes a tenth of the labels more; None if none takes half."""
    best = None
    for remedy in sorted(remedies, key=lambda r: (sum(map(bool, r[1:])), r.length, -r.taken)):
        if remedy.taken > (refused / 2 if best is None else best.taken + refused / 10):
            best = remedy
    return best


def alphabet_of(texts: Iterable[str], space: str = " ") -> Alphabet:
    """The smallest alphabet that holds all ``texts`` that have nothing but symbols, in code-point order."""
    clean_texts = (text for text in map(partial(unicodedata.normalize, "NFC"), texts) if not _holds_no_symbol(text))
    return Alphabet("".join(sorted(set[str]().union(*clean_texts) - {space})), space)


def _holds_no_symbol(text: str) -> bool:
    return any(map(is_unseen, text)) or bool(first_cluster(text))
