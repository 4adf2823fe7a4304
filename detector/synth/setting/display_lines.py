"""Set the lines of displays and counters: digits at a fixed pitch, points, units beside, digits on drums."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import cv2
import numpy as np

from detector.synth.colours import Colour, colour_of, luma
from detector.synth.faces.glyphs import CAP, Face, Glyph, GlyphCache, Mask
from detector.synth.faces.segments import UNLIT
from detector.synth.setting.frame import small_line
from detector.synth.setting.typesetting import (
    CAPTION,
    FIELD,
    GHOST,
    Placed,
    Rect,
    bounds,
    corners_of,
    local_matrix,
    moved,
    scaled,
    shaped,
)
from detector.synth.style import Style

_UNITS = "kWh kWh kWh kW kVA kvarh Wh V A Hz W m3 m3 GJ MWh % °C °F km km/h kg bar min".split()
_CAPTIONS = "CUM BP MD R RYB L1 L2 L3 TOTAL MAX T1 T2 PF AM PM IMP EXP Q1 RATE SET TEMP LOW BATT ERR TARIFF".split()
_SYMBOLS = ("arrow", "arrow", "number", "battery", "bell", "triangle", "bars")


def display_line(
    rng: Random, style: Style, signs: str, labels: Sequence[int], space: str, face: Face, cache: GlyphCache
) -> list[Placed]:
    """Set one line of a display from x = 0; ``labels`` has a number for each sign, -1 where it is not labelled."""
    unlit = cache.get(face, UNLIT) if style.unlit else None
    placed: list[Placed] = []
    pen, pitch = 0.0, 0.6
    sample = cache.get(face, UNLIT) or cache.get(face, "8")
    pointed = _point_places(rng, style, signs)
    point = _point_mask(rng)
    first_small = len(signs) - style.small_signs
    raised = rng.choice((0.0, 0.0, 0.0, 0.5, 1.0))  # 0: small signs stand on the baseline, 1: they hang from the top
    for i in range(-style.blanks, len(signs)):
        sign = signs[i] if i >= 0 else space
        size = style.small_size if i >= first_small > 0 else 1.0
        down = -raised * (1 - size)
        scale = size * style.stretch / CAP
        glyph = cache.get(face, sign) if sign != space else None
        cell = glyph or sample
        pitch = (cell.advance * scale if cell else 0.6 * style.stretch) + style.tracking * size
        if unlit is not None:
            ghost = scaled(unlit.mask, style.unlit)
            placed.append(Placed(ghost, _at(unlit, ghost, pen, scale, size, down), -1, GHOST))
        if glyph is not None:
            mask = shaped(glyph.mask, style, rng)
            if style.dead:
                mask = _with_dead_dots(rng, mask, style.dead)
            placed.append(Placed(mask, _at(glyph, mask, pen, scale, size, down), labels[i]))
        pen += pitch
        if i in pointed:
            high = rng.uniform(0.1, 0.16) * size
            ink_end = (cell.left + cell.mask.shape[1]) * scale if cell else 0.0
            room = max(pitch - ink_end, high * 0.9)  # between this sign's ink and the next one's
            pen += max(0.0, high * 0.9 - (pitch - ink_end))
            for y in (-high / 2,) if pointed[i] == "." else (-0.3, -0.72):
                at = local_matrix(point, pen - room / 2, y + down, high * min(1.0, style.stretch), high, 0)
                placed.append(Placed(point, at, -1))
    return placed


def _at(glyph: Glyph, mask: Mask, pen: float, scale: float, size: float, down: float) -> np.ndarray:
    """Return the matrix of a sign whose pen position is ``pen``."""
    h, w = glyph.mask.shape
    x, y = pen + (glyph.left + w / 2) * scale, (h / 2 - glyph.top) * size / CAP + down
    return local_matrix(mask, x, y, scale * CAP, size, 0)


def _point_places(rng: Random, style: Style, signs: str) -> dict[int, str]:
    """Draw points or colons after some of the signs, by the sign's index."""
    if len(signs) < 2 or rng.random() >= style.points:
        return {}
    if rng.random() < 0.2:
        return {i: ":" for i in range(1, len(signs) - 1, 2)} if rng.random() < 0.5 else {len(signs) // 2 - 1: ":"}
    at = len(signs) - 1 - rng.choice((1, 1, 1, 2, 2, 3))
    return {max(0, at): "."}


def _point_mask(rng: Random) -> Mask:
    mask = np.zeros((CAP, CAP), np.uint8)
    if rng.random() < 0.5:
        cv2.circle(mask, (CAP // 2, CAP // 2), CAP // 2 - 1, 255, -1, cv2.LINE_AA)
    else:
        mask[1:-1, 1:-1] = 255
    return mask


def _with_dead_dots(rng: Random, mask: Mask, share: float) -> Mask:
    """Remove some of the dots of a 5x7 sign."""
    cell = CAP / 7
    shown = mask.copy()
    for row in range(7):
        for column in range(round(mask.shape[1] / cell)):
            if rng.random() < share:
                y, x = round(row * cell), round(column * cell)
                shown[y : round(y + cell), x : round(x + cell)] = 0
    return shown if int(shown.sum()) > 0.8 * int(mask.sum()) else mask


def units_beside(rng: Random, style: Style, main: Rect, face: Face, cache: GlyphCache) -> list[Placed]:
    """Set a unit, captions and symbols around a display's digits, all much smaller than these."""
    x1, y1, x2, y2 = main
    high = y2 - y1
    placed: list[Placed] = []
    if rng.random() < style.units:  # the unit, at the right
        size = rng.uniform(0.22, 0.45)
        x = x2 + rng.uniform(0.08, 0.4)
        row = _small(rng, rng.choice(_UNITS), face, cache, size)
        two = rng.random() < 0.4
        placed += _moved_to(row, x, y2 - (0.0 if two else rng.choice((0.0, 0.0, rng.random())) * (high - size)))
        if two:
            placed += _moved_to(_small(rng, rng.choice((*_UNITS, *_CAPTIONS)), face, cache, size), x, y1 + size)
    for left in (True, False):
        if rng.random() < style.units * 0.35:
            for k in range(rng.choice((1, 1, 2, 3))):
                row = _any_mark(rng, face, cache, rng.uniform(0.2, 0.3))
                wide = bounds(corners_of(row))[2] if row else 0.0
                x = x1 - wide - rng.uniform(0.1, 0.3) if left else x2 + rng.uniform(0.1, 0.3)
                if left or not placed:
                    placed += _moved_to(row, x, y1 + (k + 1) * high / 3)
    for above in (True, False):
        if rng.random() < style.units * 0.4:
            size = rng.uniform(0.16, 0.34)
            y = y1 - rng.uniform(0.06, 0.25) if above else y2 + size + rng.uniform(0.06, 0.25)
            x = x1 + rng.uniform(-0.1, 0.7) * (x2 - x1)
            for _ in range(rng.choice((1, 1, 2, 3, 5))):
                row = _any_mark(rng, face, cache, size)
                if row and x < x2:
                    placed += _moved_to(row, x, y)
                    x += bounds(corners_of(row))[2] + rng.uniform(0.08, 0.8)
    return placed


def _any_mark(rng: Random, face: Face, cache: GlyphCache, size: float) -> list[Placed]:
    if rng.random() < 0.5:
        return _small(rng, rng.choice(_CAPTIONS), face, cache, size)
    mask = _symbol(rng)
    return [Placed(mask, local_matrix(mask, size / 2, -size / 2, size, size, 0), -1, CAPTION)]


def _small(rng: Random, text: str, face: Face, cache: GlyphCache, size: float) -> list[Placed]:
    """Set a small line, now and then reversed in a filled field."""
    row = small_line(text, face, cache, size)
    if not row or rng.random() < 0.85 or len(text) > 3:
        return row
    field = np.full((CAP, CAP), 255, np.uint8)
    x = 6
    for sign in text:
        glyph = cache.get(face, sign)
        if glyph is not None and x < CAP - 8:
            cut = cv2.resize(glyph.mask, (max(4, (CAP - 12) // len(text) - 2), CAP - 14), interpolation=cv2.INTER_AREA)
            field[7 : 7 + cut.shape[0], x : x + cut.shape[1]] = 255 - cut[:, : CAP - x]
            x += cut.shape[1] + 2
    return [Placed(field, local_matrix(field, size * 0.65, -size * 0.55, size * 1.3, size * 1.1, 0), -1, CAPTION)]


def _moved_to(row: list[Placed], x: float, y: float) -> list[Placed]:
    return moved(row, np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]]))


def _symbol(rng: Random) -> Mask:
    """Draw a symbol of a display: an arrow, a number in a disc, a battery, bars."""
    mask = np.zeros((CAP, CAP), np.uint8)
    kind, c = rng.choice(_SYMBOLS), CAP // 2
    if kind in ("arrow", "triangle"):
        corners = np.array([[c, 6], [CAP - 6, c + 4], [6, c + 4]], np.int32)
        if kind == "arrow":
            cv2.line(mask, (c, c), (c, CAP - 6), 255, 9)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA)
        return np.ascontiguousarray(np.rot90(mask, rng.randrange(4)))
    if kind == "number":
        cv2.circle(mask, (c, c), c - 2, 255, -1, cv2.LINE_AA)
        cv2.putText(mask, str(rng.randint(1, 9)), (c - 11, c + 13), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 0, 4, cv2.LINE_AA)
    elif kind == "battery":
        cv2.rectangle(mask, (4, 16), (CAP - 10, CAP - 16), 255, 4)
        cv2.rectangle(mask, (CAP - 10, 23), (CAP - 4, CAP - 23), 255, -1)
        cv2.rectangle(mask, (10, 22), (10 + rng.randint(2, 28), CAP - 22), 255, -1)
    elif kind == "bell":
        cv2.ellipse(mask, (c, c + 6), (16, 24), 0, 180, 360, 255, -1, cv2.LINE_AA)
        cv2.line(mask, (6, c + 12), (CAP - 6, c + 12), 255, 6)
    else:
        for k in range(4):
            cv2.rectangle(mask, (5 + 12 * k, CAP - 12 - 11 * k), (12 + 12 * k, CAP - 6), 255, -1)
    return mask


def drum_line(
    rng: Random, style: Style, signs: str, labels: Sequence[int], space: str, face: Face, cache: GlyphCache
) -> list[Placed]:
    """Set the drums of a counter from x = 0: a field each, its digit, and part of the next one where a drum turns.

    At least 65 % of the height of a labelled digit shows, and less than half of any other.
    """
    glyphs = [cache.get(face, sign) if sign != space else None for sign in signs]
    widest = max((glyph.mask.shape[1] / CAP for glyph in glyphs if glyph), default=0.6)
    if any(sign.isdigit() for sign in signs):
        widest = max([widest, *(g.mask.shape[1] / CAP for g in (cache.get(face, d) for d in "048") if g)])
    wide, high = widest * style.stretch * rng.uniform(1.1, 1.7), rng.uniform(1.08, 1.7)
    gap = rng.choice((0.0, rng.uniform(0.02, 0.08), rng.uniform(0.05, 0.35)))
    turn = max(high * 0.5 + 0.45, rng.uniform(1.15, 1.6))  # from a digit to the next one on a drum
    colours = _drum_colours(rng, style)
    row_wide = len(signs) * (wide + gap) - gap
    rim = rng.choice((0.0, rng.uniform(0.03, 0.25)))
    placed = [_field(row_wide / 2, row_wide + 2 * rim, high + 2 * rim * rng.uniform(0.3, 1.0), colours[0])]
    turning = rng.random() < 0.55
    for i, (sign, glyph, label) in enumerate(zip(signs, glyphs, labels, strict=True)):
        x = i * (wide + gap) + wide / 2
        last = i >= len(signs) - style.small_signs
        ground, ink = colours[2] if last else colours[1]
        placed.append(_field(x, wide, high, ground))
        if glyph is None:
            continue
        off = rng.uniform(-1, 1) * min(style.turned, 0.07)
        if turning and (i == len(signs) - 1 or (i == len(signs) - 2 and rng.random() < 0.3)):
            off = rng.uniform(-1, 1) * style.turned
        tall = glyph.mask.shape[0] / CAP
        max_off = min(high / 2 - 0.17 * tall, turn - high / 2 - tall / 2 + 0.43)  # of it shows, and of the other less
        off = float(np.clip(off, -max(0.0, max_off), max(0.0, max_off)))
        side = rng.choice((-1, 1))
        shown = [(sign, off, label)]
        if sign.isdigit():
            shown += [(str((int(sign) + way * side) % 10), off + way * turn, -1) for way in (-1, 1)]
        for other, shift, number in shown:
            other_glyph = glyph if other == sign else cache.get(face, other)
            mask = _in_window(other_glyph, shift, high) if other_glyph else None
            if mask is not None:
                matrix = local_matrix(mask, x, -0.5, style.stretch, 1.0, 0.0)
                placed.append(Placed(mask, matrix, number, colour=ink))
    return placed


def _field(x: float, wide: float, high: float, colour: Colour) -> Placed:
    """Return a filled rectangle in the line's middle."""
    mask = np.full((8, 8), 255, np.uint8)
    return Placed(mask, local_matrix(mask, x, -0.5, wide * CAP / 8, high * CAP / 8, 0), -1, FIELD, colour)


def _in_window(glyph: Glyph, shift: float, high: float) -> Mask | None:
    """Return the glyph's mask, ``shift`` below the middle of a window ``high``, as much as shows in it."""
    h, w = glyph.mask.shape
    rows = round(high * CAP)
    window = np.zeros((rows, w), np.uint8)
    top = round((rows - h) / 2 + shift * CAP)
    first, last = max(0, top), min(rows, top + h)
    if last - first < 3:
        return None
    window[first:last] = glyph.mask[first - top : last - top]
    return window


def _drum_colours(rng: Random, style: Style) -> tuple[Colour, tuple[Colour, Colour], tuple[Colour, Colour]]:
    """Return the housing's colour; ground and ink of the drums, and of those at the end."""

    def pair(kind: str) -> tuple[Colour, Colour]:
        dark = colour_of(rng, rng.uniform(8, 55), rng.choice((0.0, 0.1, 0.3)))
        light = colour_of(rng, rng.uniform(165, 250), rng.choice((0.0, 0.1, 0.3)))
        red = (rng.uniform(10, 70), rng.uniform(10, 70), rng.uniform(150, 235))
        ground, ink = {"black": (dark, light), "white": (light, dark), "red": (red, light), "red ink": (light, red)}[
            kind
        ]
        pale = rng.choice((0.0, 0.0, rng.uniform(0.0, 0.5)))
        b, g, r = (i + (g - i) * pale for g, i in zip(ground, ink, strict=True))
        return ground, (b, g, r)

    main = rng.choice(("black", "black", "white"))
    end = rng.choice(("red", "red ink", "white" if main == "black" else "black")) if style.small_signs else main
    pairs = pair(main)
    near = luma(pairs[0])
    housing = colour_of(rng, rng.choice((near, rng.uniform(5, 70), rng.uniform(90, 235))), rng.choice((0.0, 0.2)))
    return housing, pairs, (pair(end) if end != main else pairs)
