"""Random texts: plain, by pattern, with blanks; split over lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from detector.errors import SourceError
from detector.text.alphabet import Alphabet
from detector.text.patterns import is_labelled, pools_of


@dataclass(frozen=True)
class Line:
    """One line to draw: what is drawn, sign by sign, and which signs belong to the label.

    ``signs`` and ``labelled`` have the same length; a blank is labelled and leaves a gap.
    """

    signs: str
    labelled: tuple[bool, ...]


def read_texts(path: Path) -> tuple[str, ...]:
    """Texts of a UTF-8 file, one a line; empty lines are skipped.

    Raises:
        SourceError: if the file cannot be read.
    """
    try:
        held = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"Texts cannot be read from {path} ({error}): give a UTF-8 file with one text a line."
        ) from error
    return tuple(line for line in held.splitlines() if line.strip())


def by_pattern(rng: Random, pattern: str, alphabet: Alphabet) -> Line:
    """A text of one of a format's alternatives; see :mod:`detector.text.patterns`."""
    form = rng.choice(pattern.split("|"))
    pools = pools_of(alphabet)
    signs = "".join(rng.choice(pools[s]) if s in pools else s for s in form)
    return Line(signs, tuple(is_labelled(s, alphabet) for s in form))


_MIX = {
    "plate": (10, 8, 12, 70),
    "captcha": (75, 10, 10, 5),
    "segments": (20, 5, 65, 10),
    "handwriting": (12, 16, 67, 5),
    "scene": (20, 60, 10, 10),
}
"""By look, how often texts are drawn freely, of letters alone, of digits alone, and in runs of either."""

_ANY_MIX = (35, 15, 25, 25)


def free_text(rng: Random, symbols: str, length: int, look: str) -> str:
    """``length`` symbols: drawn freely, all of a kind, or in runs of a kind, as texts of this look have them.

    What people print is seldom drawn freely: between digits, a round sign is a zero. A network that is to
    tell one from the other has to see such neighbours.
    """
    letters = [s for s in symbols if s.isalpha()]
    digits = [s for s in symbols if s.isdigit()]
    mix = _MIX.get(look, _ANY_MIX) if letters and digits else (1, 0, 0, 0)
    kind = rng.choices(("free", "letters", "digits", "runs"), mix)[0]
    # Most plates do without letters that look like digits, but for those that say a name or a word.
    if look == "plate" and kind != "letters" and rng.random() < 0.85:
        letters = [s for s in letters if s not in "IOQ"] or letters
    if kind == "runs":
        kinds = [letters, digits]
        rng.shuffle(kinds)
        text: list[str] = []
        while len(text) < length:
            text += rng.choices(kinds[0], k=min(rng.choice((1, 1, 2, 2, 3, 3, 3, 4, 4, 5)), length - len(text)))
            kinds.reverse()
        return "".join(text)
    if kind == "free" and look == "plate":
        symbols = "".join(letters + digits)
    drawn = rng.choices({"free": list(symbols), "letters": letters, "digits": digits}[kind], k=length)
    if look == "handwriting" and "0" in digits and set(drawn) <= {*digits} and rng.random() < 0.3:  # a round amount
        zeros = rng.randint(1, 4)
        drawn[1:] = [*drawn[1 : max(1, length - zeros)], *"0" * min(zeros, length - 1)]
    return "".join(drawn)


def break_places(rng: Random, signs: str, count: int) -> list[int]:
    """At most ``count`` places between two signs: mostly where letters and digits meet, as groups are printed."""
    places = list(range(1, len(signs)))
    rng.shuffle(places)
    if rng.random() < 0.75:
        places.sort(key=lambda i: signs[i - 1].isdigit() == signs[i].isdigit())  # stable: the rest stays shuffled
    return places[:count]


def with_blanks(rng: Random, text: str, blank: str, may_lead: bool) -> str:
    """``text`` cut short, or with one or two symbols inside turned into blanks; trailing ones removed."""
    signs = list(text)
    first = 0 if may_lead else 1
    if len(signs) > 1 and (rng.random() < 0.3 or len(signs) == 2):
        return "".join(signs[: rng.randint(1, len(signs) - 1)])
    places = list(range(first, len(signs) - 1))
    for place in rng.sample(places, min(len(places), rng.choice((1, 1, 1, 2)))):
        signs[place] = blank
    shown = "".join(signs).rstrip(blank)
    return shown if shown.strip(blank) else text


def split_lines(rng: Random, line: Line, lines: int, blank: str, slots: int | None) -> list[Line]:
    """The text over ``lines`` lines, read top to bottom; ``slots`` a line fixes where the first one ends.

    Without slots no line begins or ends with a blank, which nobody could see; a text that allows no such
    place stays in one line.
    """
    if lines == 1:
        return [line]
    if slots is not None:
        ends = [slots]
    else:
        low, high = max(1, len(line.signs) // 3), min(len(line.signs) - 1, -(-2 * len(line.signs) // 3))
        ends = [k for k in range(low, high + 1) if line.signs[k] != blank and line.signs[k - 1] != blank]
    if not ends or ends[0] >= len(line.signs):
        return [line]
    end = rng.choice(ends)
    return [Line(line.signs[:end], line.labelled[:end]), Line(line.signs[end:], line.labelled[end:])]
