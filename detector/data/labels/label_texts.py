"""Convert labels of files to texts, and check all labels of a set for common mistakes.

Texts are in Unicode's composed form (NFC). Variants of signs are normalised: full-width and other compatibility forms
(NFKC) become the usual ones, non-breaking spaces become spaces, invisible characters (zero width, bidi marks) are
removed, Excel's ``="00123"`` is unwrapped; the log says how many labels changed. Trailing spaces are dropped, inner
ones kept. With a declared stand-in, spaces at both ends are dropped first, then every stand-in becomes a space.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from detector.data.labels.visual_order import has_one_order, is_right_to_left, to_visual
from detector.errors import argument

Spell = Callable[[str], str]
"""Converts a label of a file to its text: a :class:`Spelling`."""

_PLAIN_SPACES = " \t\r\n\x0b\x0c\x85\u2028\u2029"  # at the ends of labels
_EXCEL = re.compile(r'="(.*)"', re.DOTALL)
_FLOAT = re.compile(r"(?![0-9]{1,3}[.,]000\Z)([0-9]+)([.,])0+")  # 33,000 may be a thousand times as much
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?[Ee]\+[0-9]{2,}|[0-9](?:[.,][0-9]+[Ee]|e)-[0-9]{2,}")  # 5E-12 may be a code
_MISSING_VALUES = re.compile(
    r"nan|NaN|<NA>|\\N|Err:[0-9]{3}|#NV|#[^\W\d_]/[^\W\d_]!?|#[¡¿]?[^\W\d_]+(?:/0)?[!?]|#{3,}"
)  # what programs write for a missing value, spreadsheets in the language of their menus, or where a column is narrow
_NULL = re.compile(r"NA|NAN|N/A|n/a|(?i:null|none)")  # may be words, too
_MONTH = "(?:Jan|Feb|Mar|Mrz|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez)"
_AS_DATES = re.compile(
    rf"[0-9]{{1,2}}[-. ]+{_MONTH}(?:[-. ]+[0-9]{{2,4}})?|{_MONTH}[-. ]+[0-9]{{2,4}}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(?::[0-9]{2})?"
)  # as spreadsheets write them
_LOOK_LIKE_LATIN = frozenset("АВЕЗКМНОРСТУХІЅЈаеорсухіѕјΑΒΕΖΗΙΚΜΝΟΡΤΥΧο")  # Cyrillic and Greek
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # invisible characters of other categories
_TEXT_MARK = "'"  # which spreadsheets take before what looks like a number and is a text
_JOINER = "\u200d"
_MAX_LENGTH = 1000  # characters of a label
_MIN_COUNTED = 8  # labels needed to conclude that some lost leading zeros
_MIN_AGREEING = 3  # labels needed to conclude how all are spelt


@dataclass(frozen=True)
class Spelling:
    """How labels of a source are spelt; call it with a label of the file.

    Args:
        space: the stand-in for a space, say ``"_"``.
        upper: whether texts are converted to upper case.
        ignore: signs that are removed first, such as ``"-."``.
        keep: symbols that are not normalised although they are compatibility forms: those of an alphabet.
        visual_order: whether labels are in logical order and texts are to be in visual order.
        whole_numbers: whether ``33019.0`` is ``33019``, see :func:`are_whole_numbers`; not where the point is a sign
            of ``keep`` or ``ignore``.
        text_marks: whether ``'00123`` is ``00123``, see :func:`are_marked_as_texts`.
    """

    space: str | None = None
    upper: bool = False
    ignore: str = ""
    keep: str = ""
    visual_order: bool = False
    whole_numbers: bool = False
    text_marks: bool = False

    def __call__(self, raw: str) -> str:
        """Convert a label; "" if there is no text."""
        text = plain_form(raw, self._unchanged_signs)
        text = text.lstrip(_PLAIN_SPACES).removeprefix(_TEXT_MARK) if self.text_marks else text
        text = self._whole_number(text) or text
        for sign in self.ignore:
            text = text.replace(sign, "")
        if self.space and self.space != " ":
            text = text.strip(_PLAIN_SPACES).replace(unicodedata.normalize("NFC", self.space), " ")
        text = text.rstrip(_PLAIN_SPACES)
        text = unicodedata.normalize("NFC", text.upper()) if self.upper else text
        return to_visual(text) if self.visual_order else text

    @property
    def _unchanged_signs(self) -> str:
        return unicodedata.normalize("NFC", self.keep + (self.space or "") + self.ignore)

    def _whole_number(self, text: str) -> str:
        """Return the number to which a table program added ``.0``; "" of another label."""
        match = _FLOAT.fullmatch(text.strip(_PLAIN_SPACES)) if self.whole_numbers else None
        return match[1] if match and match[2] not in self.keep + self.ignore else ""

    def problem(self, raw: str) -> str:
        """Return what is wrong with a label apart from its symbols; "" if nothing."""
        if len(raw) > _MAX_LENGTH:
            return f"the label has {len(raw)} characters, and is none: is a quote not closed?"
        if _ROUNDED.fullmatch(raw.strip()):
            return f"the label {raw.strip()!r} is a number that a spreadsheet rounded, and its digits are lost"
        if _MISSING_VALUES.fullmatch(raw.strip()) and "#" not in self.keep:
            return f"the label {raw.strip()!r} is what a table program writes where there is none"
        if self.visual_order:
            typed = replace(self, visual_order=False)(raw)
            if not has_one_order(typed):
                return f"the label {typed!r} has letters of both directions, or brackets, in an order that is not clear"
        return ""


def plain_form(raw: str, keep: str = "") -> str:
    """Normalise a label by the rules of this module, except signs of ``keep``."""
    if raw.isascii() and '="' not in raw:
        return raw
    match = _EXCEL.fullmatch(raw.strip())
    text = unicodedata.normalize("NFC", match[1] if match else raw)
    plain = (sign if sign in keep or _joins_pictures(text, at) else _plain_sign(sign) for at, sign in enumerate(text))
    return unicodedata.normalize("NFC", "".join(plain))


@lru_cache(maxsize=4096)
def _plain_sign(sign: str) -> str:
    kind = unicodedata.category(sign)
    if _is_invisible(sign):
        return ""
    if kind == "Zs":
        return " "
    usual = unicodedata.normalize("NFKC", sign)
    # Not if the result has marks or spaces: such a sign stands for itself, as the acute accent U+00B4.
    return sign if any(unicodedata.category(part)[0] in "MZ" for part in usual) else usual


def _joins_pictures(text: str, at: int) -> bool:
    """Test whether the sign joins the emoji around it to one picture."""
    return text[at] == _JOINER and at + 1 < len(text) and unicodedata.category(text[at + 1]) == "So"


def _is_invisible(sign: str) -> bool:
    """Test whether a sign takes no space. Visible signs of category Cf (U+0600 to U+0605, …) are not invisible."""
    if unicodedata.category(sign) == "Cf":
        return not (0x600 <= ord(sign) <= 0x605 or ord(sign) in (0x6DD, 0x70F, 0x8E2, 0x110BD, 0x110CD))
    return sign in _FILLERS or 0xFE00 <= ord(sign) <= 0xFE0F or 0xE0100 <= ord(sign) <= 0xE01EF


def are_whole_numbers(raws: Iterable[str]) -> bool:
    """Test whether these labels are numbers to which a table program added ``.0``: all with a point end so."""
    with_point = [raw.strip() for raw in raws if re.search(r"[0-9][.,][0-9]", raw)]
    return len(with_point) >= _MIN_AGREEING and all(map(_FLOAT.fullmatch, with_point))


def are_marked_as_texts(raws: Iterable[str]) -> bool:
    """Test whether all labels begin with a spreadsheet's sign for text, and none ends with it as a quote does."""
    labels = [raw.strip() for raw in raws if raw.strip()]
    return len(labels) >= _MIN_AGREEING and all(
        label.startswith(_TEXT_MARK) and not label.endswith(_TEXT_MARK) for label in labels
    )


def notes_on(raws: Sequence[str], spelling: Spelling) -> list[str]:
    """Check all labels; a log line each for what was normalised and what may be wrong."""
    texts = [spelling(raw) for raw in raws]
    notes = [
        _normalised(raws, texts, spelling), _zeros(texts), _look_alikes(texts), _directions(texts, spelling),
        _nulls(raws), _dates(raws),
        "" if spelling.space else _leading_spaces(texts),
    ]  # fmt: skip
    return [note for note in notes if note]


def _normalised(raws: Sequence[str], texts: Sequence[str], spelling: Spelling) -> str:
    kinds: Counter[str] = Counter()
    count, example = 0, ""
    for raw, text in zip(raws, texts, strict=True):
        if of_label := _kinds_of(raw, spelling):
            kinds.update(of_label)
            count += 1
            example = example or f"{raw!a} is {text!r}"
    if not count:
        return ""
    changes = ", ".join(f"{kind} {times}" for kind, times in kinds.items())
    return f"{count} of {len(raws)} labels are spelt in other signs, and were normalised ({changes}), as {example}"


def _kinds_of(raw: str, spelling: Spelling) -> list[str]:
    kinds = []
    if _EXCEL.fullmatch(raw.strip()):
        kinds.append("Excel's formula")
    if spelling.text_marks and raw.lstrip().startswith(_TEXT_MARK):
        kinds.append("a spreadsheet's sign for text")
    if spelling._whole_number(plain_form(raw)):
        kinds.append("a number with .0")
    if raw.isascii():
        return kinds
    composed = unicodedata.normalize("NFC", raw.rstrip())
    signs = "".join(sign for sign in composed if sign not in spelling._unchanged_signs)
    left_out = [sign for at, sign in enumerate(signs) if _is_invisible(sign) and not _joins_pictures(signs, at)]
    if hidden := sorted({f"U+{ord(sign):04X}" for sign in left_out}):
        kinds.append(f"invisible {hidden[0]}")
    if any(unicodedata.category(sign) == "Zs" and sign != " " for sign in signs):
        kinds.append("another space")
    if any(_plain_sign(sign) not in (sign, "", " ") for sign in signs):
        kinds.append("full-width or other compatibility form")
    return kinds


def _zeros(texts: Sequence[str]) -> str:
    """Warn if short labels look like numbers that lost leading zeros."""
    texts = [text for text in texts if text]
    numbers = [text for text in texts if text.isdecimal()]
    usual, shorter = _shorter_than_usual(numbers)
    if not shorter:  # as of codes with letters, few of which have none
        usual, shorter = _shorter_than_usual(texts)
    if not shorter or not all(map(str.isdecimal, shorter)) or any(text.startswith("0") for text in numbers):
        return ""
    return (
        f"{len(shorter)} of {len(texts)} labels are digits, shorter than the usual {usual}, and none begins with 0: "
        f"did a spreadsheet take leading zeros? As {shorter[0]!r}, which may be {shorter[0].zfill(usual)!r}"
    )


def is_date_of_spreadsheet(text: str) -> bool:
    """Test whether a label is spelt as the date that a spreadsheet makes of a code such as MAR1 or 1-3."""
    return _AS_DATES.fullmatch(text.strip()) is not None


def _nulls(raws: Sequence[str]) -> str:
    """Warn if labels are words that programs write for a missing value."""
    nulls = [raw.strip() for raw in raws if _NULL.fullmatch(raw.strip())]
    return (
        f"{len(nulls)} of {len(raws)} labels are what databases and table programs write for a missing value, as "
        f"{nulls[0]!r}: they are taken for texts"
        if nulls
        else ""
    )


def _dates(raws: Sequence[str]) -> str:
    """Warn if some labels look as if a spreadsheet had made dates of them."""
    dates = [raw.strip() for raw in raws if is_date_of_spreadsheet(raw)]
    return (
        f"{len(dates)} of {len(raws)} labels are spelt as dates, as {dates[0]!r}: did a spreadsheet make them of other "
        "texts?"
        if dates
        else ""
    )


def _shorter_than_usual(texts: Sequence[str]) -> tuple[int, list[str]]:
    """Return the length that half of the texts have, or more, and those that are shorter; none of few texts."""
    lengths = Counter(map(len, texts))
    usual = max(lengths, key=lambda length: (lengths[length], length), default=0)
    shorter = [text for text in texts if len(text) < usual]
    return usual, shorter if len(texts) >= _MIN_COUNTED and 2 * lengths[usual] >= len(texts) else []


def _leading_spaces(texts: Sequence[str]) -> str:
    """Warn if labels begin with a space, which tables and names of files have by mistake."""
    spaced = [text for text in texts if text.startswith(" ")]
    if not spaced:
        return ""
    return (
        f"{len(spaced)} of {len(texts)} labels begin with a space, as {spaced[0]!r}: it is a part of the text, which "
        "readers see only where characters stand at fixed places"
    )


def _look_alikes(texts: Sequence[str]) -> str:
    """Warn if labels mix similar letters of two scripts."""
    mixed = [text for text in texts if not text.isascii() and _mixes_scripts(text)]
    if not mixed:
        return ""
    odd = next(sign for sign in mixed[0] if sign in _LOOK_LIKE_LATIN)
    return (
        f"{len(mixed)} of {len(texts)} labels have Cyrillic or Greek letters that look like the Latin ones beside "
        f"them, as U+{ord(odd):04X} in {mixed[0]!r}: they are symbols of their own"
    )


def _mixes_scripts(text: str) -> bool:
    return any(sign in _LOOK_LIKE_LATIN for sign in text) and any(sign.isascii() and sign.isalpha() for sign in text)


def _directions(texts: Sequence[str], spelling: Spelling) -> str:
    """Report how right-to-left labels were interpreted."""
    right_to_left = [text for text in texts if is_right_to_left(text)]
    if not right_to_left:
        return ""
    counted = f"{len(right_to_left)} of {len(texts)} labels have right-to-left letters"
    if spelling.visual_order:
        return f"{counted}: they were put in the order of the picture, and readers give back the order of the labels"
    return (
        f"{counted}, and are taken to be in the order of the picture, its leftmost sign first, as "
        f"{right_to_left[0]!r}: where they are as one types them, say {argument('visual_order')}"
    )
