"""Convert labels between logical order (as typed) and visual order (as the signs stand in the picture).

Detectors see pictures, so inside the package all strings are in visual order. Labels with right-to-left letters are
mostly stored as typed; python-bidi reorders them by Unicode's bidirectional algorithm (UAX #9). The inverse undoes its
last step (L2) for several segmentations and keeps the one that maps forward to the same string.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from detector.text.detections import Alternative, Reading

_RUNS = (  # left-to-right runs: numbers with separators inside, or without
    re.compile(r"[lne](?:[lnes]*[lne])?"),
    re.compile(r"[lne]+"),
    re.compile(r"[ne]+(?:s[ne]+)*|[ln]+"),
    re.compile(r"[ne]+|l+(?:s+l+)*"),
)


def is_right_to_left(text: str) -> bool:
    """Test whether a text has right-to-left letters."""
    return any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text)


def to_visual(text: str) -> str:
    """Convert a label from logical to visual order."""
    if not is_right_to_left(text):
        return text
    from bidi import get_display

    return str(get_display(text))


def logical_order(text: str) -> list[int]:
    """Places of a string in visual order, in logical order: ``to_logical(text)[i] == text[places[i]]``."""
    places = list(range(len(text)))
    if not is_right_to_left(text):
        return places
    tried = [_undone(text, run) for run in _RUNS]
    return next((order for order in tried if to_visual(_reordered(text, order)) == text), tried[0])


def to_logical(text: str) -> str:
    """Invert :func:`to_visual` where that is possible, see :func:`has_one_order`."""
    return _reordered(text, logical_order(text))


def has_one_order(text: str) -> bool:
    """Test whether a label in logical order survives conversion to visual order and back, with the same signs.

    Not if letters of both directions are mixed ambiguously, nor with brackets, which are mirrored among right-to-left
    letters.
    """
    return not is_right_to_left(text) or (
        to_logical(to_visual(text)) == text and not any(map(unicodedata.mirrored, text))
    )


def _undone(text: str, run: re.Pattern[str]) -> list[int]:
    backwards = list(range(len(text)))[::-1]
    kinds = "".join(_kind(text[place]) for place in backwards)
    for match in run.finditer(kinds):
        backwards[match.start() : match.end()] = backwards[match.start() : match.end()][::-1]
    return backwards


def _kind(sign: str) -> str:
    """Return a sign's kind: l(eft-to-right), n(umber), e(xtra, of a number), r(ight to left), s(eparator or other)."""
    kind = unicodedata.bidirectional(sign)
    return {"L": "l", "EN": "n", "AN": "n", "ET": "e", "R": "r", "AL": "r"}.get(kind, "s")


def _reordered(text: str, places: list[int]) -> str:
    return "".join(text[place] for place in places)


def in_logical_order(reading: Reading) -> Reading:
    """Convert the strings and characters of a reading to logical order."""
    shown_text = reading.shown_text
    if not any(
        map(is_right_to_left, (shown_text, reading.unconstrained_text or "", *(a.text for a in reading.alternatives)))
    ):
        return reading
    symbols = {c.symbol for c in reading.characters}
    number = {place: i for i, place in enumerate(place for place, sign in enumerate(shown_text) if sign in symbols)}
    characters = reading.characters
    if len(number) == len(characters):  # spaces are no characters
        characters = tuple(characters[number[place]] for place in logical_order(shown_text) if place in number)
    return replace(
        reading,
        text=to_logical(reading.text),
        rejected_text=to_logical(reading.rejected_text),
        unconstrained_text=None if reading.unconstrained_text is None else to_logical(reading.unconstrained_text),
        alternatives=tuple(Alternative(to_logical(a.text), a.confidence) for a in reading.alternatives),
        characters=characters,
    )
