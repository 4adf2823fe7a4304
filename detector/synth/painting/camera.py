"""What cameras outdoors do to a picture: light, weather and motion."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.synth.colours import Image, colour_of

_MIN_CONTRAST = 30.0  # between the brightness of ink and ground, 0-255: less is not legible


@dataclass(frozen=True)
class _Shot:
    """What an effect needs to know: the random numbers, and the height of capitals in pixels."""

    rng: Random
    noise: np.random.Generator
    cap_px: float
    contrast: float


def filmed(
    rng: Random, names: tuple[str, ...], image: Image, boxes_xyxy: NDArray[np.float32], cap_px: float,
    noise: np.random.Generator,
) -> Image:  # fmt: skip
    """Apply the effects of these names in their order, each of which that leaves the text legible."""
    contrast = _contrast(image, boxes_xyxy)
    for name in names:
        changed = _EFFECTS[name](_Shot(rng, noise, cap_px, contrast), image)
        after = _contrast(changed, boxes_xyxy)
        if after >= _MIN_CONTRAST or after >= 0.9 * contrast:
            image, contrast = changed, after
    return image


def _contrast(image: Image, boxes_xyxy: NDArray[np.float32]) -> float:
    """The least difference of brightness, 0-255, between ink and ground, over the signs; grain does not count."""
    grey = cv2.blur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (3, 3))
    sides = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) * np.float32(0.12)  # a neighbour may reach into the box's corner
    inner = np.concatenate([boxes_xyxy[:, :2] + sides, boxes_xyxy[:, 2:] - sides + 1], axis=1).astype(int).tolist()
    signs = [grey[y1:y2, x1:x2] for x1, y1, x2, y2 in inner]
    extremes = [cv2.minMaxLoc(sign) for sign in signs if sign.size]
    return min((high - low for low, high, _, _ in extremes), default=255.0)


def _times(image: Image, gain: float, offset: float) -> Image:
    return np.asarray(cv2.convertScaleAbs(image, alpha=gain, beta=offset), np.uint8)


def _infrared(shot: _Shot, image: Image) -> Image:
    """Grey, of strong contrast, bright parts blooming."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    low, high = (float(v) for v in np.percentile(grey[::2, ::2], (3, 97)))
    to_low, to_high = shot.rng.uniform(0, 60), shot.rng.uniform(150, 250)
    gain = min(2.5, (to_high - to_low) / max(20.0, high - low))
    grey = np.clip((grey.astype(np.float32) - low) * gain + to_low, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    return _bloom(shot, image) if shot.rng.random() < 0.5 else image


def _bloom(shot: _Shot, image: Image) -> Image:
    """Light of bright parts spills over."""
    soft = cv2.GaussianBlur(np.maximum(image, 128) - 128, (0, 0), shot.cap_px * shot.rng.uniform(0.04, 0.14))
    return np.asarray(cv2.add(image, cv2.convertScaleAbs(soft, alpha=shot.rng.uniform(0.5, 1.3))), np.uint8)


def _night(shot: _Shot, image: Image) -> Image:
    """Dark, a weak light somewhere, grain."""
    rng, (height, width) = shot.rng, image.shape[:2]
    gain = max(rng.uniform(0.12, 0.55), 38 / max(38.0, shot.contrast))
    spot = np.array([rng.uniform(-0.2, 1.2), rng.uniform(-0.2, 1.2)])
    x, y = np.linspace(0, 1, 16, dtype=np.float32)[None], np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    light = np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) * np.float32(rng.uniform(0.0, 0.9)))
    lit = cv2.resize((light * np.float32(gain)).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    dark = np.asarray(cv2.blendLinear(image, np.zeros_like(image), lit, 1 - lit), np.uint8)
    sigma = rng.uniform(0.0, 0.1) * gain * shot.contrast
    grain = shot.noise.standard_normal((height, width, 1), np.float32) * np.float32(sigma)
    return (dark + grain + np.float32(rng.uniform(0, 14))).clip(0, 255).astype(np.uint8)


def _cast(shot: _Shot, image: Image) -> Image:
    """Light the whole picture in one colour."""
    tint = np.array([shot.rng.uniform(0.55, 1.15) for _ in range(3)], np.float32)
    over = np.array([shot.rng.uniform(-12, 28) for _ in range(3)], np.float32)
    return (image * tint + over).clip(0, 255).astype(np.uint8)


def _haze(shot: _Shot, image: Image) -> Image:
    """Low contrast: all is near one grey."""
    keep = max(shot.rng.uniform(0.15, 0.6), 28 / max(28.0, shot.contrast))
    return _times(image, keep, (1 - keep) * shot.rng.uniform(60, 230))


def _overexposed(shot: _Shot, image: Image) -> Image:
    """Too bright: what was bright is white, and spills over."""
    gain = shot.rng.uniform(1.2, 1.9)
    bright = _times(image, gain, shot.rng.uniform(0, 60))
    return _bloom(shot, bright) if shot.rng.random() < 0.6 else bright


def _sun(shot: _Shot, image: Image) -> Image:
    """Add the reflection of a light: a soft bright patch."""
    rng, (height, width) = shot.rng, image.shape[:2]
    patch = np.zeros((height, width), np.uint8)
    axes = (round(height * rng.uniform(0.15, 1.2)), round(height * rng.uniform(0.1, 0.4)))
    middle = (rng.randrange(width), rng.randrange(height))
    cv2.ellipse(patch, middle, axes, rng.uniform(-30, 30), 0, 360, rng.randint(60, 190), -1)
    soft = cv2.GaussianBlur(patch, (0, 0), height * rng.uniform(0.06, 0.2))
    return np.asarray(cv2.add(image, cv2.cvtColor(soft, cv2.COLOR_GRAY2BGR)), np.uint8)


def _shadow(shot: _Shot, image: Image) -> Image:
    """Hard shadows across: of an edge, of bars, of a tree's leaves."""
    rng, (height, width) = shot.rng, image.shape[:2]
    loss = np.zeros((height, width), np.uint8)
    depth = rng.randint(70, 190)
    for _ in range(rng.choice((1, 1, 2, 4))):
        x, lean, wide = rng.uniform(-0.2, 1.1) * width, rng.gauss(0, 1.2) * height, rng.uniform(0.1, 1.6) * height
        if rng.random() < 0.4:  # along the plate
            y, thick = rng.uniform(-0.3, 0.9) * height, rng.uniform(0.15, 0.6) * height
            corners = [(0, y), (width, y + lean / 3), (width, y + lean / 3 + thick), (0, y + thick)]
        else:
            corners = [(x, 0), (x + wide, 0), (x + wide + lean, height), (x + lean, height)]
        cv2.fillConvexPoly(loss, np.array(corners).round().astype(np.int32), depth, cv2.LINE_AA)
    share = loss.astype(np.float32) * np.float32(1 / 255)
    return np.asarray(cv2.blendLinear(image, np.zeros_like(image), 1 - share, share), np.uint8)


def _dirt(shot: _Shot, image: Image) -> Image:
    """Blotches and splashes of mud or snow, seldom opaque."""
    rng, (height, width) = shot.rng, image.shape[:2]
    fine = rng.choice((6, 8, 16, 24) if shot.cap_px > 26 else (4, 6))
    cells = cv2.resize(shot.noise.random((fine, fine * 4), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    floor = rng.uniform(0.68, 0.88)
    cover = np.clip((cells - np.float32(floor)) * 5, 0, np.float32(rng.uniform(0.35, 0.85)))
    mud = colour_of(rng, rng.choice((rng.uniform(30, 120), rng.uniform(150, 240))), rng.uniform(0.0, 0.25))
    field = np.full_like(image, np.array(mud).round())
    return np.asarray(cv2.blendLinear(field, image, cover, 1 - cover), np.uint8)


def _drops(shot: _Shot, image: Image) -> Image:
    """Drops of rain on the lens: blurred discs, each with a bright rim."""
    rng, (height, width) = shot.rng, image.shape[:2]
    soft = cv2.GaussianBlur(image, (0, 0), max(1.0, shot.cap_px * 0.06))
    moved = cv2.warpAffine(soft, np.array([[1, 0, rng.uniform(-2, 2)], [0, 1, rng.uniform(-2, 2)]]), (width, height),
                           borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    inside, rims = np.zeros((height, width), np.uint8), image.copy()
    for _ in range(rng.randint(4, 18)):
        at, size = (rng.randrange(width), rng.randrange(height)), max(2, round(shot.cap_px * rng.uniform(0.05, 0.28)))
        axes, turn = (size, round(size * rng.uniform(0.7, 1.4))), rng.uniform(0, 180)
        cv2.ellipse(inside, at, axes, turn, 0, 360, 255, -1, cv2.LINE_AA)
        start = rng.uniform(0, 360)
        end, rim = start + rng.uniform(60, 170), (rng.uniform(120, 255),) * 3
        cv2.ellipse(rims, at, axes, turn, start, end, rim, 1, cv2.LINE_AA)
    image = rims
    share = inside.astype(np.float32) * np.float32(rng.uniform(0.6, 0.95) / 255)
    return np.asarray(cv2.blendLinear(np.asarray(moved, np.uint8), image, share, 1 - share), np.uint8)


def _scratches(shot: _Shot, image: Image) -> Image:
    """Thin scratches and dents of a brighter or darker grey."""
    rng, (height, width) = shot.rng, image.shape[:2]
    scratched = image.copy()
    for _ in range(rng.randint(2, 10)):
        start = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        end = start + np.array([rng.gauss(0, 0.8), rng.gauss(0, 0.4)]) * height
        line = np.stack([start, (start + end) / 2 + rng.gauss(0, 2), end])
        cv2.polylines(scratched, [line.round().astype(np.int32)], False, (rng.uniform(0, 255),) * 3, 1, cv2.LINE_AA)
    return np.asarray(cv2.addWeighted(image, 0.35, scratched, 0.65, 0), np.uint8)


def _motion(shot: _Shot, image: Image) -> Image:
    """Motion blur in any direction, mostly along the road."""
    reach = max(3, round(shot.cap_px * shot.rng.uniform(0.08, 0.2)))
    kernel = np.zeros((reach | 1, reach | 1), np.float32)
    turn = shot.rng.uniform(0, math.pi) if shot.rng.random() < 0.6 else shot.rng.gauss(0, 0.2)
    c, half = reach // 2, np.array([math.cos(turn), math.sin(turn)]) * reach / 2
    ends = [tuple(((c + way * half) * 16).round().astype(int).tolist()) for way in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    if not kernel.any():
        return image
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _interlaced(shot: _Shot, image: Image) -> Image:
    """Every other row is of a moment later: shifted sideways."""
    step = shot.rng.choice((1, 1, 2))
    by = shot.rng.choice((-1, 1)) * max(1, round(shot.cap_px * shot.rng.uniform(0.02, 0.05)))
    later = np.roll(image, by, axis=1)
    woven = image.copy()
    for i in range(step):
        woven[i :: 2 * step] = later[i :: 2 * step]
    return woven


def _defocus(shot: _Shot, image: Image) -> Image:
    """Out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.6, shot.cap_px * shot.rng.uniform(0.025, 0.065))), np.uint8)


_EFFECTS: dict[str, Callable[[_Shot, Image], Image]] = {
    "infrared": _infrared, "bloom": _bloom, "night": _night, "cast": _cast, "haze": _haze, "overexposed": _overexposed,
    "sun": _sun, "shadow": _shadow, "dirt": _dirt, "drops": _drops, "scratches": _scratches, "motion": _motion,
    "interlaced": _interlaced, "defocus": _defocus,
}  # fmt: skip
EFFECTS = tuple(_EFFECTS)
