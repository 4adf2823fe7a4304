"""What licence plates have beside their text: bands with a country, seals, second rows, screws, boxes of regions."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from random import Random

import cv2
import numpy as np

from detector.synth.colours import Colour, colour_of
from detector.synth.faces.glyphs import CAP, Face, GlyphCache, Mask
from detector.synth.setting.frame import small_line
from detector.synth.setting.typesetting import (
    INK,
    PART,
    Placed,
    Rect,
    bounds,
    corners_of,
    emblem,
    local_matrix,
    moved,
)
from detector.synth.style import Style

COUNTRIES = (
    "ARGENTINA|BOLIVIA|BRASIL|CHILE|COLOMBIA|ECUADOR|PARAGUAY|PERU|URUGUAY|VENEZUELA|MEXICO|GUATEMALA|PANAMA|CUBA|ALBANIA|"
    "AUSTRIA|BELGIUM|CROATIA|ESTONIA|FRANCE|ITALIA|KOSOVO|POLSKA|PORTUGAL|SLOVENIA|TURKIYE|UKRAINE|KENYA|NIGERIA|GHANA|"
    "EGYPT|MAROC|TUNISIE|SOUTH AFRICA|NAMIBIA|UGANDA|TANZANIA|QATAR|KUWAIT|OMAN|BAHRAIN|DUBAI|JORDAN|IRAQ|UZBEKISTAN|"
    "KAZAKHSTAN|INDIA|NEPAL|THAILAND|VIETNAM|PHILIPPINES|INDONESIA|MALAYSIA|SINGAPORE|JAPAN|KOREA|AUSTRALIA|QUEENSLAND|"
    "VICTORIA|NEW ZEALAND|ONTARIO|QUEBEC|ALBERTA|TEXAS|FLORIDA|OHIO|UTAH|IDAHO|KANSAS|MONTANA|IOWA|MAINE|ALASKA|HAWAII"
).split("|")
WORDS = (
    "REPUBLICA|REPUBLIC OF|FEDERAL|EMPIRE|TAXI|PRIVATE|PUBLIC|TRANSPORT|RENT|AUTOHAUS|MOTORS|www.cars.com|CAR CENTER|"
    "TOYOTA|HONDA|DEALER|AUTO|DIPLOMATIC|CAPITAL CITY|NORTE|EAST|SAO PAULO|STATE|DRIVE SAFELY|VISIT US|EST. 1889"
).split("|")
_BANDS = ((150, 60, 10), (160, 50, 0), (120, 40, 10), (190, 100, 20), (30, 30, 170), (60, 120, 20), (20, 20, 20))


def fitted(rng: Random, style: Style, placed: list[Placed], face: Face, cache: GlyphCache) -> list[Placed]:
    """Add the style's fittings to set signs, none of them labelled; what covers the ground comes first."""
    before: list[Placed] = []
    after: list[Placed] = []
    for name in style.fittings:
        if name in _BETWEEN:
            after += _BETWEEN[name](rng, placed)
    for name in ("row", "name", "stack", "screws", "upper", "lower", "left", "right"):  # from the inside outwards
        if name in style.fittings:
            main = bounds(corners_of(before + placed + after))
            parts = _AROUND[name](rng, main, lambda text, size: small_line(text, face, cache, size))
            if name == "screws":
                after += parts
            else:
                before += parts
    return before + placed + after


SmallLine = Callable[[str, float], list[Placed]]


def _field(rect: Rect, colour: Colour) -> Placed:
    """Return a filled rectangle."""
    x1, y1, x2, y2 = rect
    scale_x, scale_y = (x2 - x1) / 8, (y2 - y1) / 8
    into = np.array([[scale_x, 0, x1 + scale_x / 2], [0, scale_y, y1 + scale_y / 2], [0, 0, 1.0]])
    return Placed(np.full((8, 8), 255, np.uint8), into, -1, PART, colour)


def _shape(mask: Mask, rect: Rect, colour: Colour | None, turn: float = 0.0) -> Placed:
    """Put a mask in the middle of the rectangle, as large as it."""
    h, w = mask.shape
    x1, y1, x2, y2 = rect
    at = local_matrix(mask, (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) * CAP / w, (y2 - y1) * CAP / h, turn)
    return Placed(mask, at, -1, PART if colour else INK, colour)


def _within(row: list[Placed], rect: Rect, colour: Colour | None, tall: bool = False) -> list[Placed]:
    """Squeeze a small line into the middle of the rectangle; ``tall`` stretches it to the height."""
    if not row:
        return []
    rx1, ry1, rx2, ry2 = bounds(corners_of(row))
    x1, y1, x2, y2 = rect
    down = (y2 - y1) / (ry2 - ry1) if tall else min(1.0, (y2 - y1) / (ry2 - ry1))
    across = min(max(1.0, down), (x2 - x1) / (rx2 - rx1))
    down = min(down, across * 1.8)
    shift_x, shift_y = (x1 + x2) / 2 - (rx1 + rx2) / 2 * across, (y1 + y2) / 2 - (ry1 + ry2) / 2 * down
    into = np.array([[across, 0, shift_x], [0, down, shift_y], [0, 0, 1.0]])
    role = PART if colour else INK
    return [Placed(sign.mask, into @ sign.matrix, -1, role, colour) for sign in row]


def _near(rng: Random, colour: tuple[int, int, int], spread: float = 25) -> Colour:
    b, g, r = (min(255.0, max(0.0, c + rng.gauss(0, spread))) for c in colour)
    return b, g, r


def _bright(rng: Random) -> Colour:
    return _near(rng, rng.choice(((255, 255, 255), (255, 255, 255), (0, 215, 255))), 10)


def _stars(rng: Random) -> Mask:
    """Draw a ring of small stars."""
    mask, count = np.zeros((CAP, CAP), np.uint8), rng.choice((8, 12, 12))
    for i in range(count):
        turn = 2 * math.pi * i / count
        at = round(CAP / 2 + 0.4 * CAP * math.sin(turn)), round(CAP / 2 + 0.4 * CAP * math.cos(turn))
        cv2.circle(mask, at, 4, 255, -1, cv2.LINE_AA)
    return mask


def _flag(rng: Random, rect: Rect) -> list[Placed]:
    """Two or three stripes, or a field with a disc."""
    x1, y1, x2, y2 = rect
    colours = [colour_of(rng, rng.uniform(40, 240), 1.0) for _ in range(3)]
    if rng.random() < 0.3:
        mask = np.zeros((CAP, CAP), np.uint8)
        cv2.circle(mask, (CAP // 2, CAP // 2), CAP // 4, 255, -1, cv2.LINE_AA)
        return [_field(rect, colours[0]), _shape(mask, rect, colours[1])]
    cuts = np.linspace(0, 1, rng.choice((3, 4)))
    upright = rng.random() < 0.3
    stripes = []
    for a, b, colour in zip(cuts[:-1], cuts[1:], colours, strict=False):
        part = (x1 + a * (x2 - x1), y1, x1 + b * (x2 - x1), y2) if upright else (
            x1, y1 + a * (y2 - y1), x2, y1 + b * (y2 - y1))  # fmt: skip
        stripes.append(_field(part, colour))
    return stripes


def _letters(rng: Random, max_count: int) -> str:
    return "".join(rng.choices("ABCDEFGHIKLMNOPRSTUVZ", k=rng.randint(1, max_count)))


def _side_band(left: bool) -> Callable[[Random, Rect, SmallLine], list[Placed]]:
    def band(rng: Random, main: Rect, line: SmallLine) -> list[Placed]:
        wide, room, over = rng.uniform(0.3, 0.75), rng.uniform(0.06, 0.3), rng.uniform(0.02, 0.2)
        x1 = main[0] - room - wide if left else main[2] + room
        x2, y1, y2 = x1 + wide, main[1] - over, main[3] + over
        colour = _near(rng, rng.choice(_BANDS[:4] if rng.random() < 0.7 else _BANDS))
        parts = [_field((x1, y1, x2, y2), colour)]
        side, middle = wide * rng.uniform(0.55, 0.95), y1 + (y2 - y1) * rng.uniform(0.25, 0.4)
        upper = ((x1 + x2 - side) / 2, middle - side / 2, (x1 + x2 + side) / 2, middle + side / 2)
        sort = rng.random()
        if sort < 0.6:
            parts.append(_shape(_stars(rng), upper, _bright(rng)))
        elif sort < 0.8:
            parts += _flag(rng, (upper[0], middle - side / 3, upper[2], middle + side / 3))
        elif sort < 0.9:
            parts.append(_shape(emblem(rng), upper, _bright(rng)))
        if rng.random() < 0.85:
            size, low = rng.uniform(0.25, 0.42), y1 + (y2 - y1) * rng.uniform(0.72, 0.85)
            inner = 0.08 * wide
            parts += _within(
                line(_letters(rng, 3), size), (x1 + inner, low - size / 2, x2 - inner, low + size / 2), _bright(rng)
            )
        return parts

    return band


def _cross_band(above: bool) -> Callable[[Random, Rect, SmallLine], list[Placed]]:
    def band(rng: Random, main: Rect, line: SmallLine) -> list[Placed]:
        high, room, over = rng.uniform(0.2, 0.42), rng.uniform(0.04, 0.2), rng.uniform(0.0, 0.4)
        y1 = main[1] - room - high if above else main[3] + room
        x1, x2, y2 = main[0] - over, main[2] + over, y1 + high
        filled = rng.random() < 0.7
        colour = _near(rng, rng.choice(_BANDS))
        parts = [_field((x1, y1, x2, y2), colour)] if filled else []
        ink = _bright(rng) if filled else colour
        text = rng.choice(COUNTRIES if rng.random() < 0.7 else WORDS)
        text = f"{rng.choice(WORDS[:4])} {text}" if rng.random() < 0.2 else text
        inner, middle = rng.uniform(0.08, 0.16) * high, (x1 + x2) / 2 + rng.uniform(-0.05, 0.05) * (x2 - x1)
        half = (x2 - x1) * 0.36
        parts += _within(line(text, high), (middle - half, y1 + inner, middle + half, y2 - inner), ink)
        if rng.random() < 0.5:
            parts += _flag(rng, (x2 - high * 1.7, y1 + inner, x2 - high * 0.3, y2 - inner))
        if rng.random() < 0.4:
            parts.append(_shape(emblem(rng), (x1 + 0.2 * high, y1 + inner, x1 + high, y2 - inner), ink))
        return parts

    return band


def _row(rng: Random, main: Rect, line: SmallLine) -> list[Placed]:
    """Set a date, or a few digits, in a small second row."""
    month, year = f"{rng.randint(1, 12):02d}", f"{rng.randint(0, 99):02d}"
    texts = (month + rng.choice("··.-/ ") + year, month + "·" + year, f"{month}  {year}", f"{rng.randint(1, 9999)}")
    size, room = rng.uniform(0.22, 0.42), rng.uniform(0.06, 0.25)
    row = line(rng.choice(texts), size)
    if not row:
        return []
    rx1, ry1, rx2, _ = bounds(corners_of(row))
    free = (main[2] - main[0]) - (rx2 - rx1)
    shift = main[0] - rx1 + free * rng.choice((0.5, 0.5, rng.uniform(0.55, 0.9), rng.random()))
    return [
        Placed(sign.mask, sign.matrix, -1, INK)
        for sign in moved(row, np.array([[1, 0, shift], [0, 1, main[3] + room - ry1], [0, 0, 1.0]]))
    ]


def _name(rng: Random, main: Rect, line: SmallLine) -> list[Placed]:
    """Set a name above or below, in the text's own ink or another."""
    size, room = rng.uniform(0.2, 0.4), rng.uniform(0.06, 0.25)
    y = main[1] - room - size if rng.random() < 0.6 else main[3] + room
    half, middle = (main[2] - main[0]) * rng.uniform(0.2, 0.48), (main[0] + main[2]) / 2
    colour = None if rng.random() < 0.6 else _near(rng, rng.choice(_BANDS))
    text = rng.choice(COUNTRIES if rng.random() < 0.6 else WORDS)
    return _within(line(text, size), (middle - half, y, middle + half, y + size), colour)


def _stack(rng: Random, main: Rect, line: SmallLine) -> list[Placed]:
    """Small signs above each other, or a flag over small letters, at one side, with a line between."""
    room, wide, left = rng.uniform(0.08, 0.25), rng.uniform(0.4, 0.9), rng.random() < 0.4
    x1 = main[0] - room - wide if left else main[2] + room
    rect = (x1, main[1] + (main[3] - main[1]) * 0.05, x1 + wide, main[3])
    high = rect[3] - rect[1]
    middle = rect[1] + high * rng.uniform(0.45, 0.6)
    signs = "".join(rng.choices("0123456789ABCDEFGHKLMNPRSTUVWXYZ", k=rng.choice((1, 2, 2, 3))))
    lower = (rect[0], middle + 0.06 * high, rect[2], rect[3])
    if rng.random() < 0.5:
        parts = _flag(rng, (rect[0] + 0.1 * wide, rect[1] + 0.1 * high, rect[2], middle))
        parts += _within(line(signs, 0.3), lower, None)
    else:
        parts = _within(line(signs, 0.42), (rect[0], rect[1], rect[2], middle - 0.04 * high), None)
        parts += _within(line(_letters(rng, 3), 0.3), lower, None)
    if rng.random() < 0.6:
        x = rect[2] + room / 2 if left else rect[0] - room / 2
        parts.append(_shape(np.full((8, 8), 255, np.uint8), (x - 0.02, main[1] - 0.1, x + 0.02, main[3] + 0.1), None))
    return parts


def _screws(rng: Random, main: Rect, line: SmallLine) -> list[Placed]:
    """Heads of screws, some in the text's ink, near the upper and the lower side."""
    parts, has_own_colours = [], rng.random() < 0.6
    colour = None if has_own_colours else colour_of(rng, rng.uniform(20, 230), 0.2)
    size, at = rng.uniform(0.08, 0.2), rng.uniform(0.15, 0.35)
    mask = np.zeros((CAP, CAP), np.uint8)
    cv2.circle(mask, (CAP // 2, CAP // 2), CAP // 2 - 2, 255, -1, cv2.LINE_AA)
    high = rng.choice((-1.0, 0.0, 0.0, rng.uniform(-0.9, -0.1)))
    for share in (at, 1 - at) if rng.random() < 0.8 else (at, 1 - at, 0.5):
        for y in (main[1], main[3]) if rng.random() < 0.4 else (main[1] if high < -0.5 else main[3],):
            x = main[0] + (main[2] - main[0]) * (share + rng.gauss(0, 0.02))
            y += rng.uniform(-0.12, 0.12)
            part = _shape(mask, (x - size / 2, y - size / 2, x + size / 2, y + size / 2), colour)
            parts.append(part)
            if rng.random() < 0.3:  # with a slot or a shadow
                dark = colour_of(rng, rng.uniform(0, 255), 0.1)
                parts.append(_shape(mask, (x - size / 5, y - size / 4, x + size / 4, y + size / 5), dark))
    return parts


def _gaps(placed: list[Placed]) -> list[Rect]:
    """Gaps wider than a stroke between neighbours of a line: x1, upper side, x2, lower side."""
    rects = [bounds(corners_of([sign])) for sign in placed if sign.role == INK]
    return [(a[2], min(a[1], b[1]), b[0], max(a[3], b[3])) for a, b in pairwise(rects) if b[0] - a[2] > 0.33]


def _seals(rng: Random, placed: list[Placed]) -> list[Placed]:
    """Discs, stickers and holograms in the gaps, up to as high as the signs."""
    parts = []
    for x1, y1, x2, y2 in _gaps(placed):
        if rng.random() < 0.15:
            continue
        count = rng.choice((1, 1, 2, 2))
        max_size = min(x2 - x1, (y2 - y1) * (0.98 if count == 1 else 0.5))
        for i in range(count):
            size = max_size * rng.uniform(0.7, 1.0)
            y = y1 + (y2 - y1) * ((i + 0.5) / count if count > 1 else rng.uniform(0.4, 0.6))
            tall = size * rng.choice((1.0, 1.0, rng.uniform(1.0, 1.3)))
            parts += _seal(rng, ((x1 + x2 - size) / 2, y - tall / 2, (x1 + x2 + size) / 2, y + tall / 2))
    return parts


def _seal(rng: Random, rect: Rect) -> list[Placed]:
    """Draw a seal: a disc or a plate, a ring in it, a device on it, letters round it."""
    mask, c = np.zeros((CAP, CAP), np.uint8), CAP // 2
    shape = rng.choice(("disc", "disc", "disc", "plate", "shield"))
    if shape == "disc":
        cv2.circle(mask, (c, c), c - 2, 255, -1, cv2.LINE_AA)
    elif shape == "plate":
        cv2.rectangle(mask, (3, 3), (CAP - 4, CAP - 4), 255, -1, cv2.LINE_AA)
    else:
        corners = np.array([(4, 4), (CAP - 4, 4), (CAP - 4, CAP // 2), (c, CAP - 3), (4, CAP // 2)], np.int32)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA)
    bright = rng.uniform(60, 245)
    parts = [_shape(mask, rect, colour_of(rng, bright, rng.choice((0.1, 0.6, 1.0))))]
    device = np.zeros((CAP, CAP), np.uint8)
    if rng.random() < 0.5:
        cv2.circle(device, (c, c), round(c * rng.uniform(0.6, 0.85)), 255, rng.choice((2, 3)), cv2.LINE_AA)
    if rng.random() < 0.5:  # writing along the rim
        for i in range(rng.randint(8, 16)):
            turn = 2 * math.pi * (i + rng.random() * 0.3) / 16
            at = round(c + 0.72 * c * math.sin(turn)), round(c - 0.72 * c * math.cos(turn))
            cv2.circle(device, at, rng.choice((1, 2, 3)), 255, -1)
    if rng.random() < 0.8:
        size = round(CAP * rng.uniform(0.35, 0.6))
        inner = np.asarray(cv2.resize(emblem(rng), (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        at_xy = (CAP - size) // 2
        device[at_xy : at_xy + size, at_xy : at_xy + size] |= inner
    other = bright - rng.uniform(50, 120) if bright > 130 else bright + rng.uniform(60, 125)
    parts.append(_shape(device, rect, colour_of(rng, other, rng.choice((0.0, 0.5, 1.0))), rng.uniform(-25, 25)))
    return parts


def _dividers(rng: Random, placed: list[Placed]) -> list[Placed]:
    """Upright lines, or high dots, in some of the gaps."""
    parts = []
    for x1, y1, x2, y2 in _gaps(placed):
        x, half = x1 + (x2 - x1) * rng.uniform(0.35, 0.65), rng.uniform(0.012, 0.03)
        over = rng.uniform(0.15, 0.3)  # higher than a sign, so that it is none
        parts.append(_shape(np.full((8, 8), 255, np.uint8), (x - half, y1 - over, x + half, y2 + over), None))
    return parts


_BETWEEN = {"seals": _seals, "dividers": _dividers}
_AROUND: dict[str, Callable[[Random, Rect, SmallLine], list[Placed]]] = {
    "row": _row,
    "name": _name,
    "stack": _stack,
    "screws": _screws,
    "upper": _cross_band(True),
    "lower": _cross_band(False),
    "left": _side_band(True),
    "right": _side_band(False),
}

FITTINGS = (*_BETWEEN, *_AROUND)
