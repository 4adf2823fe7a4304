"""Generate random texts: plain, by pattern, with spaces; split over lines."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from random import Random

from detector.errors import SourceError
from detector.text.alphabet import Alphabet
from detector.text.patterns import is_labelled, pools_of


@dataclass(frozen=True)
class Line:
    """One line to draw, sign by sign, and which signs belong to the label.

    ``signs`` and ``labelled`` have the same length; a space is labelled and leaves a gap.
    """

    signs: str
    labelled: tuple[bool, ...]


def read_texts(path: Path) -> tuple[str, ...]:
    """Read texts from a UTF-8 file, one a line; empty lines are skipped.

    Raises:
        SourceError: if the file cannot be read.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"Texts cannot be read from {path} ({error}): give a UTF-8 file with one text a line."
        ) from error
    return tuple(line for line in content.splitlines() if line.strip())


def by_pattern(rng: Random, pattern: str, alphabet: Alphabet) -> Line:
    """Draw a text of one of the alternatives of a format; see :mod:`detector.text.patterns`."""
    form = rng.choice(pattern.split("|"))
    pools = pools_of(alphabet)
    signs = "".join(rng.choice(pools[s]) if s in pools else s for s in form)
    return Line(signs, tuple(is_labelled(s, alphabet) for s in form))


CAPTCHAS = ("captcha", "clear", "struck", "crowded", "hollow", "inverted", "fuzzy")
"""The styles that are captchas."""

_MIX = {
    "plate": (10, 8, 12, 70),
    **dict.fromkeys(CAPTCHAS, (75, 10, 10, 5)),
    "segments": (20, 5, 65, 10),
    "lcd": (10, 10, 70, 10),
    "led": (15, 20, 55, 10),
    "counter": (10, 5, 80, 5),
    "handwriting": (12, 16, 67, 5),
    "scene": (20, 60, 10, 10),
    "inkjet": (20, 5, 45, 30),
    "engraved": (35, 10, 30, 25),
    "curved": (25, 25, 35, 15),
    "painted": (20, 35, 25, 20),
    "document": (20, 15, 40, 25),
    "vehicle": (6, 3, 12, 79),
}
"""By style, weights of texts drawn freely, of letters only, of digits only, and in runs of either."""

_PLATE_FORMS = (
    "A99 99A AA9 AA99 99AA A999 999A AAA9 9AAA AA999 999AA A9999 9999A AAA99 99AAA A99AA AAA999 999AAA A99AAA "
    "AAA99A AA9999 9999AA A999AA AA999A AA99AA 99AA99 A9999A 999A99 A99999 99999A A9A999 999999 9A9999 AAA9999 "
    "9999AAA A999AAA AAA999A AAA9A99 AA999AA A9999AA AA9999A 9AAA999 99A9999 AA99999 99999AA A999999 9999A99 "
    "A99AAAA 9999999 AA99AAA A9999AAA AA9999AA AA999AAA 99A999AA A999AA99 AA99AA99 99A99999 99AA9999 AAA99999 "
    "99999999 9999AA99 AAAA9999 AA999999"
).split()
"""Forms of licence plates in the world: a letter for each A, a digit for each 9."""

_ANY_MIX = (35, 15, 25, 25)


def free_text(rng: Random, symbols: str, length: int, style: str) -> str:
    """Draw ``length`` symbols: freely, of one kind, or in runs of a kind, with the weights of the style.

    Printed codes are seldom random: between digits, a round sign is a zero. A network can only use such neighbours to
    tell O from 0 if it has seen them.
    """
    letters = [s for s in symbols if s.isalpha()]
    digits = [s for s in symbols if s.isdigit()]
    forms = [form for form in _PLATE_FORMS if len(form) == length] if style == "vehicle" and letters and digits else []
    if forms and rng.random() < 0.65:
        return _by_form(rng, rng.choice(forms), letters, digits)
    mix = _MIX.get(style, _ANY_MIX) if letters and digits else (1, 0, 0, 0)
    kind = rng.choices(("free", "letters", "digits", "runs"), mix)[0]
    # Most plates have no letters that look like digits, except those with a name or a word.
    if style in ("plate", "vehicle") and kind != "letters" and rng.random() < (0.85 if style == "plate" else 1.0):
        letters = [s for s in letters if s not in "IOQ"] or letters
    if kind == "runs":
        kinds = [letters, digits]
        rng.shuffle(kinds)
        text: list[str] = []
        while len(text) < length:
            text += rng.choices(kinds[0], k=min(rng.choice((1, 1, 2, 2, 3, 3, 3, 4, 4, 5)), length - len(text)))
            kinds.reverse()
        return "".join(text)
    if kind == "free" and style in ("plate", "vehicle"):
        symbols = "".join(letters + digits) or symbols
    drawn = rng.choices({"free": list(symbols), "letters": letters, "digits": digits}[kind], k=length)
    if style == "handwriting" and "0" in digits and set(drawn) <= {*digits} and rng.random() < 0.3:  # a round amount
        zeros = rng.randint(1, 4)
        drawn[1:] = [*drawn[1 : max(1, length - zeros)], *"0" * min(zeros, length - 1)]
    if style in ("lcd", "counter") and "0" in digits and set(drawn) <= {*digits} and rng.random() < 0.4:
        zeros = min(rng.choice((1, 1, 2, 2, 3, 4)), length - 1)  # a meter's, at the start
        drawn[:zeros] = "0" * zeros
    return "".join(drawn)


def display_symbols(rng: Random, symbols: str, shown: Container[str]) -> str:
    """Choose the symbols of a display or counter: digits alone nearly always, otherwise all that it can show."""
    digits = "".join(s for s in symbols if s.isdigit())
    if digits and rng.random() < 0.95:
        return digits
    return "".join(s for s in symbols if s in shown) or symbols


def _by_form(rng: Random, form: str, letters: list[str], digits: list[str]) -> str:
    """Draw a text of this form: where it stands tells a letter that looks like a digit from it."""
    if rng.random() < 0.4:
        letters = [s for s in letters if s not in "IOQ"] or letters
    elif rng.random() < 0.3:  # as many of them as of all others
        letters = letters + [s for s in letters if s in "IO"] * (len(letters) // 4)
    return "".join(rng.choice(letters if place == "A" else digits) for place in form)


def with_foreign(rng: Random, line: Line, signs: str, count: int, space: str) -> Line:
    """Insert ``count`` unlabelled ``signs`` of another script: before the text, seldom inside it or after it."""
    shown, labelled = list(line.signs), list(line.labelled)
    place = rng.choices((0, len(shown), rng.randint(0, len(shown))), (75, 10, 15))[0]
    if space in shown[max(0, place - 1) : place + 1]:
        place = 0
    shown[place:place] = rng.choices(signs, k=count)
    labelled[place:place] = [False] * count
    return Line("".join(shown), tuple(labelled))


def with_small_letters(rng: Random, how: str, signs: str, labelled: tuple[bool, ...], small: str) -> str:
    """Replace some capitals by small letters; those that look like digits only where no digit can be meant."""
    if how == "never" or not small:
        return signs
    ambiguous = "" if not any(s.isdigit() for s in signs) and how in ("word", "title") else "lioqz"
    shown = []
    for i, (sign, in_label) in enumerate(zip(signs, labelled, strict=True)):
        is_small = how == "word" or (how == "title" and i > 0) or (how == "some" and rng.random() < 0.4)
        lower = sign.lower()
        shown.append(lower if in_label and is_small and lower in small and lower not in ambiguous else sign)
    return "".join(shown)


_TWINS = {"0": "O", "1": "I"}


def with_twins(twins: str, line: Line, symbols: str) -> str:
    """Draw digits as the similar letter where a neighbouring digit disambiguates them.

    Not where that letter is in the same text: nobody could tell the two apart.
    """
    shown = list(line.signs)
    places = [i for i, labelled in enumerate(line.labelled) if labelled]
    for before, at, after in zip([None, *places], places, [*places[1:], None], strict=False):
        digit, beside = line.signs[at], [line.signs[i] for i in (before, after) if i is not None]
        letter = _TWINS.get(digit, "") if digit in twins else ""
        if letter and {digit, letter} <= {*symbols} and letter not in line.signs and any(s.isdigit() for s in beside):
            shown[at] = letter
    return "".join(shown)


def partly_foreign(rng: Random, line: Line, signs: str, share: float, space: str) -> Line:
    """Replace a ``share`` of the text by unlabelled ``signs`` of another script; one symbol of it stays at least."""
    places = [
        i
        for i, (sign, labelled) in enumerate(zip(line.signs, line.labelled, strict=True))
        if labelled and sign != space
    ]
    foreign_places = {*rng.sample(places, min(len(places) - 1, round(share * len(places))))}
    shown = [rng.choice(signs) if i in foreign_places else sign for i, sign in enumerate(line.signs)]
    return Line("".join(shown), tuple(labelled and i not in foreign_places for i, labelled in enumerate(line.labelled)))


def slashable(slashed: str, line: Line, symbols: str) -> str:
    """Signs of ``slashed`` to draw with a stroke through them: the letter only where neighbours tell it from a zero."""
    if "0" not in symbols:
        return ""
    signs = "".join(s for s, labelled in zip(line.signs, line.labelled, strict=True) if labelled)
    for i, sign in enumerate(signs):
        beside = signs[max(0, i - 1) : i] + signs[i + 1 : i + 2]
        if sign in "0O" and not any(s.isdigit() == (sign == "0") and s not in "0O" for s in beside):
            return "0"
    return slashed


def break_places(rng: Random, signs: str, count: int) -> list[int]:
    """Choose at most ``count`` places between two signs, mostly where letters and digits meet."""
    places = list(range(1, len(signs)))
    rng.shuffle(places)
    if rng.random() < 0.75:
        places.sort(key=lambda i: signs[i - 1].isdigit() == signs[i].isdigit())  # stable: the rest stays shuffled
    return places[:count]


def with_spaces(rng: Random, text: str, space: str, may_lead: bool) -> str:
    """Truncate ``text``, or turn one or two inner symbols into spaces; trailing spaces are removed."""
    signs = list(text)
    first = 0 if may_lead else 1
    if len(signs) > 1 and (rng.random() < 0.3 or len(signs) == 2):
        return "".join(signs[: rng.randint(1, len(signs) - 1)])
    places = list(range(first, len(signs) - 1))
    for place in rng.sample(places, min(len(places), rng.choice((1, 1, 1, 2)))):
        signs[place] = space
    shown = "".join(signs).rstrip(space)
    return shown if shown.strip(space) else text


def split_lines(rng: Random, line: Line, lines: int, space: str, cells: int | None) -> list[Line]:
    """Split the text over ``lines`` lines, read from top to bottom; ``cells`` a line fixes where the first one ends.

    Without cells no line begins or ends with a space, which would be invisible; a text without such a place stays in
    one line.
    """
    if lines == 1:
        return [line]
    if cells is not None:
        ends = [cells]
    else:
        low, high = max(1, len(line.signs) // 3), min(len(line.signs) - 1, -(-2 * len(line.signs) // 3))
        ends = [k for k in range(low, high + 1) if line.signs[k] != space and line.signs[k - 1] != space]
    if not ends or ends[0] >= len(line.signs):
        return [line]
    end = rng.choice(ends)
    return [Line(line.signs[:end], line.labelled[:end]), Line(line.signs[end:], line.labelled[end:])]
