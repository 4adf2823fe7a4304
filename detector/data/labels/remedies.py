"""How labels that an alphabet refuses are accepted: the signs in them that only separate, and advice for messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

from detector.data.labels.label_texts import is_date_of_spreadsheet
from detector.errors import argument
from detector.text.alphabet import MAX_LENGTH, SEPARATORS, Alphabet, alphabet_of, is_encodable

_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+", re.ASCII)
_WORD = re.compile(r"[^\W\d_]{3,}")
_MAX_COUNTER_DIGITS = 2  # of a number behind a text that tells several pictures with it apart


def separators_of(texts: Collection[str]) -> str:
    """Return those of :data:`SEPARATORS` that only separate parts of a text in these labels, so may be ignored.

    A sign is left out if it separates the text from something else: the same ending in all labels (``33019.0``), the
    same word before most of them (``cam1_AB12``; districts of plates, ``KEH-AB 12``, are no words), a running number
    (``AB12.1`` beside ``AB12``, ``0001_AB12``), or a part that only some labels have and that makes them longer than
    all others.
    """
    labels = set(texts)
    return "".join(sign for sign in SEPARATORS if not _is_no_separator(sign, labels))


def _is_no_separator(sign: str, texts: Collection[str]) -> bool:
    """Test whether a sign separates the text from something else, see :func:`separators_of`."""
    with_sign = [text for text in texts if sign in text]
    without_sign = Counter(len(text) for text in texts if sign not in text)  # lengths
    if sign == "," and all(map(_THOUSANDS.fullmatch, with_sign)):
        return False
    if len(with_sign) < 2:
        return bool(with_sign) and len(without_sign) == 1 and len(with_sign[0].replace(sign, "")) not in without_sign
    parts = [text.rpartition(sign) for text in with_sign]
    tails = Counter(tail for _, _, tail in parts)
    if len(tails) == 1 and len({base for base, _, _ in parts}) > 1:
        return True
    heads = [text.partition(sign)[0] for text in with_sign]
    if _are_running_numbers([tail for _, _, tail in parts]) or _are_running_numbers(heads):
        return True
    word, times = Counter(head.rstrip("0123456789") for head in heads).most_common(1)[0]
    if 2 * times > len(heads) and _WORD.fullmatch(word) and (sign == "_" or not word.isupper()):
        return True
    repeats = Counter(base for base, _, tail in parts if len(tail) <= _MAX_COUNTER_DIGITS)
    counter_count = sum(tail.isdecimal() and (repeats[base] > 1 or base in texts) for base, _, tail in parts)
    if 10 * counter_count > len(with_sign):
        return True
    usual_length, usual_count = without_sign.most_common(1)[0] if without_sign else (0, 0)
    longer_count = sum(len(text.replace(sign, "")) > usual_length for text in with_sign)
    return usual_count == without_sign.total() > len(with_sign) / 4 and 2 * longer_count > len(with_sign)


def _are_running_numbers(parts: Sequence[str]) -> bool:
    """Test whether the parts are running numbers, which tell pictures apart."""
    return len(parts) >= 4 and all(part.isdecimal() for part in parts) and count_through([*map(int, parts)])


def count_through(numbers: Sequence[int]) -> bool:
    """Test whether no number occurs twice, and at most a tenth of those in between are missing."""
    are_distinct = len(set(numbers)) == len(numbers)
    return are_distinct and max(numbers) - min(numbers) < len(numbers) + len(numbers) // 10


def what_takes_most(texts: Collection[str], alphabet: Alphabet, length: int, *, fixed: bool = False) -> str:
    """Advise arguments with which most of the labels that ``alphabet`` refuses are accepted, for messages; "" if none.

    Args:
        texts: all labels of a set.
        alphabet: of these labels.
        length: most symbols that each may have.
        fixed: whether alphabet and length cannot be changed, as with finished weights.
    """
    refused, remedies = _remedies(texts, alphabet, length, fixed)
    remedy = _simplest_remedy(remedies, len(refused))
    if remedy is None:
        readable = [text for text in _without_damage(refused, texts) if alphabet.clean(text) and is_encodable(text)]
        auto_alphabet = alphabet_of(readable) if readable and not fixed else alphabet
        count = sum(not auto_alphabet.problem(text, length) for text in refused)
        return f"{argument('alphabet', 'auto')} takes {count} of them" if 2 * count > len(refused) else ""
    advice = f"{remedy} takes {remedy.accepted} of them"
    if " " in remedy.ignored:
        with_spaces = _simplest_remedy([r for r in remedies if " " not in r.ignored], len(refused))
        if with_spaces is not None and with_spaces.accepted > 0.9 * remedy.accepted:
            advice += f", and {with_spaces} takes them with their spaces"
    return advice


def spelling_that_takes_most(texts: Collection[str], alphabet: Alphabet, length: int) -> dict[str, Any]:
    """Return the arguments of :func:`what_takes_most` for a fixed alphabet and length, by name; {} if none."""
    refused, remedies = _remedies(texts, alphabet, length, fixed=True)
    remedy = _simplest_remedy(remedies, len(refused))
    return {} if remedy is None else remedy.arguments


def _remedies(texts: Collection[str], alphabet: Alphabet, length: int, fixed: bool) -> tuple[list[str], list[_Remedy]]:
    """Return the refused texts, and what each choice of arguments would accept of them."""
    separators = separators_of(texts)
    refused = [text for text in texts if alphabet.problem(text, length, separators=separators)]
    signs = "".join(sign for sign in separators if any(sign in text for text in refused))
    own = _without_damage(refused, texts)
    remedies = []
    for upper, ignored in product((False, True), dict.fromkeys((signs, signs.replace(" ", ""), ""))):
        spelt = [text.translate(dict.fromkeys(map(ord, ignored))) for text in own]
        lengths = [len(text) for text in (t.upper() if upper else t for t in spelt) if not alphabet.problem(text)]
        for limit in {length} if fixed else {length, *(n for n in lengths if n <= MAX_LENGTH)}:
            remedies.append(_Remedy(sum(n <= limit for n in lengths), upper, ignored, limit if limit > length else 0))
    return refused, remedies


def _without_damage(refused: Sequence[str], texts: Collection[str]) -> Sequence[str]:
    """Leave out what a spreadsheet made dates of, whose texts no option gives back; not where all labels are dates."""
    own = [text for text in refused if not is_date_of_spreadsheet(text)]
    return own if len(own) > 0 or len(refused) < len(texts) else refused


class _Remedy(NamedTuple):
    """Arguments with which labels are accepted that are refused without them.

    Args:
        accepted: number of these labels.
        upper, ignored: as ``convert`` takes upper and ignore.
        length: likewise; 0 leaves the length as it is.
    """

    accepted: int
    upper: bool
    ignored: str
    length: int

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments that are no defaults, by name."""
        return {name: value for name, value in zip(("upper", "ignore", "length"), self[1:], strict=True) if value}

    def __str__(self) -> str:
        return " ".join(argument(name, value) for name, value in self.arguments.items())


def _simplest_remedy(remedies: Iterable[_Remedy], refused: int) -> _Remedy | None:
    """Choose the remedy with fewest arguments; more arguments must each time gain a tenth of the refused labels.

    None if no remedy makes half of the ``refused`` labels accepted.
    """
    chosen = None
    for remedy in sorted(remedies, key=lambda r: (sum(map(bool, r[1:])), r.length, -r.accepted)):
        if remedy.accepted > (refused / 2 if chosen is None else chosen.accepted + refused / 10):
            chosen = remedy
    return chosen
