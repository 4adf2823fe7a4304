"""Signs of other scripts, which stand beside the text on the plates of many countries."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

from detector.synth.faces.fonts import font_files
from detector.synth.faces.glyphs import CAP, FontFace, Glyph

# How often a script is drawn, and its signs but those that look like Latin letters or digits, as Arabic alef and heh,
# Cyrillic Ze and Che, Greek theta and lambda.
_SCRIPTS = {
    "CJK": (6, "京沪津渝冀晋辽吉黑苏浙皖闽赣鲁豫鄂湘粤琼川贵云陕甘青蒙桂宁新藏使领警学港澳台品川横浜名古屋"),
    "HIRAGANA": (1, "あいうえかきくけこさすせそたちつてとなにぬねのはひふほまみむめもやゆらりるれろわ"),
    "HANGUL": (2, "가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주하허호배서울경기"),
    "THAI": (3, "กขคฆงจฉชฌญฎฐฒณตถทธนบปผพภมยรลวศษสหฬอฮ"),
    "ARABIC": (4, "بتثجحخدذرزسشصضطظعغفقكلمني"),
    "CYRILLIC": (3, "ГДЖИЙЛПЦШЩЫЭЮЯЉЊЏ"),
    "GREEK": (1, "ΓΔΞΠΣΨΩ"),
    "HEBREW": (1, "אבגדהזחטלמנפצקרש"),
    "DEVANAGARI": (2, "कखगघचछजझडढणतथधनपफबभमयरलवशषसह"),
    "GEORGIAN": (1, "აბგდევზთიკლმნპჟრსტუფქღყშჩცძწჭხჯჰ"),
    "ARMENIAN": (1, "ԱԲԳԴԵԷԸԹԺԻԽԾԿՂՃՄՆՇՊՌՎՑՓՔՖ"),
}
_FILES = (  # parts of the names of fonts that have one of these scripts
    "wqy uming ukai notosanscjk notoserifcjk droidsansfallback sourcehan ipag ipam takao nanum unbatang undotum "
    "baekmuk garuda kinnari laksaman loma norasi sawasdee umpush waree nazli titr homa roya freefarsi kacst amiri "
    "vazir dejavusans freesans freeserif liberationsans roboto-"
).split()


@dataclass(frozen=True)
class ForeignFace:
    """Signs of another script, as high as a capital and centred on it."""

    path: Path
    signs: str

    def draw(self, sign: str) -> Glyph | None:
        if sign not in self.signs:
            return None
        glyph = FontFace(self.path, self.signs[:12]).draw(sign)
        if glyph is None:
            return None
        return Glyph(glyph.mask, glyph.left, (CAP + glyph.mask.shape[0]) / 2, glyph.advance)


def foreign_face(rng: Random, symbols: str, shipped: bool) -> ForeignFace | None:
    """Draw a face of a script that has none of ``symbols``; ``shipped`` takes fonts that come with Matplotlib alone."""
    of_scripts = _faces(symbols, shipped)
    if not of_scripts:
        return None
    return rng.choice(rng.choices([faces for _, faces in of_scripts], [weight for weight, _ in of_scripts])[0])


@lru_cache(maxsize=8)
def _faces(symbols: str, shipped: bool) -> tuple[tuple[int, tuple[ForeignFace, ...]], ...]:
    """Weight and faces of each script; see :func:`foreign_face`."""
    from matplotlib import get_data_path  # slow to import, only needed here

    scripts = {unicodedata.name(symbol, "").split(" ")[0] for symbol in symbols}
    if shipped:
        paths = [Path(get_data_path()) / "fonts" / "ttf" / name for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")]
    else:
        paths = [path for path in font_files() if any(part in path.name.lower() for part in _FILES)]
    of_scripts = [
        (weight, tuple(face for path in paths if (face := _face_of(path, signs))))
        for script, (weight, signs) in _SCRIPTS.items()
        if script not in scripts
    ]
    return tuple((weight, faces) for weight, faces in of_scripts if faces)


def _face_of(path: Path, signs: str) -> ForeignFace | None:
    """Return the font's face of these signs; None where it lacks one or cannot be opened."""
    try:
        face = ForeignFace(path, signs)
        return face if all(face.draw(sign) for sign in signs[:: max(1, len(signs) // 8)]) else None
    except (OSError, ValueError):
        return None
