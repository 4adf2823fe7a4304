"""Artificial pictures: same numbers same pictures, boxes that hold the ink, labels that say what is drawn."""

from __future__ import annotations

import csv
import errno
import os
import pickle
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import cv2
import matplotlib
import numpy as np
import pytest

from detector.errors import AlphabetError, DetectorError, DiskFullError, SourceError
from detector.synth import STYLES, SynthConfig, Synthesizer, find_fonts, read_texts, write_set
from detector.synth.faces.fonts import described_fonts, usable_fonts
from detector.synth.faces.glyph_folder import FolderFace, class_symbols, ink_of, open_glyph_folder
from detector.synth.faces.glyphs import CAP, GlyphCache
from detector.synth.faces.pen import PenFace
from detector.synth.texts import Line, break_places, with_twins
from detector.text.alphabet import Alphabet
from tests.builders import check_boxes_hold_ink

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = tuple(FOLDER / name for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf"))
CONFIG = SynthConfig(fonts=FONTS, seed=5)
PLAIN = replace(CONFIG, styles=("plain",))


@pytest.fixture(scope="module")
def make() -> Synthesizer:
    return Synthesizer(CONFIG)


def test_same_index_same_picture_in_any_order_and_process(make: Synthesizer) -> None:
    forwards = [make(i) for i in range(12)]
    other = pickle.loads(pickle.dumps(Synthesizer(CONFIG)))
    for i in reversed(range(12)):
        again = other(i)
        assert again.text == forwards[i].text
        np.testing.assert_array_equal(again.image, forwards[i].image)
        np.testing.assert_array_equal(again.boxes_xyxy, forwards[i].boxes_xyxy)


def test_same_picture_after_those_of_another_alphabet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A font is drawn as large as its capitals need, and which signs these are is for the alphabet to say."""
    from detector.synth import synthesizer

    cache = GlyphCache()
    monkeypatch.setattr(synthesizer, "_cache", lambda: cache)
    other, ours = (replace(PLAIN, alphabet=Alphabet(symbols), texts=("QQ00",)) for symbols in ("Q0", "Q0HEX"))
    for i in range(4):
        Synthesizer(other)(i)
    after = Synthesizer(ours)(0).image
    cache = GlyphCache()
    np.testing.assert_array_equal(after, Synthesizer(ours)(0).image)


def test_another_seed_gives_other_pictures(make: Synthesizer) -> None:
    other = Synthesizer(replace(CONFIG, seed=6))
    assert [make(i).text for i in range(5)] != [other(i).text for i in range(5)]


@pytest.mark.parametrize("style", [*STYLES, "plain"])
@pytest.mark.parametrize("layout", ["proportional", "fixed"])
def test_boxes_lie_inside_and_one_stands_for_each_symbol(style: str, layout: str) -> None:
    make = Synthesizer(replace(CONFIG, styles=(style,), layout=layout, spaces=0.5, min_length=2, size_wh=(200, 50)))
    for i in range(25):
        made = make(i)
        assert made.image.shape == (50, 200, 3)
        assert made.image.dtype == np.uint8
        assert made.boxes_xyxy.shape == (len(made.text.replace(" ", "")), 4)
        assert made.boxes_xyxy.dtype == np.float32
        x1, y1, x2, y2 = made.boxes_xyxy.T
        assert (x1 >= 0).all() and (y1 >= 0).all() and (x2 <= 200).all() and (y2 <= 50).all()
        assert (x2 - x1 >= 2).all() and (y2 - y1 >= 2).all()
        assert CONFIG.alphabet.problem(made.text, CONFIG.length) is None
        assert made.text == made.text.rstrip()
        assert layout == "fixed" or made.text == made.text.lstrip()


@pytest.mark.usefixtures("few_fonts")
def test_a_pen_writes_what_no_font_is_named_for(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    draw = PenFace.draw
    monkeypatch.setattr(PenFace, "draw", lambda face, sign: (written.append(sign), draw(face, sign))[1])
    with_pen = replace(CONFIG, styles=("handwriting",), fonts=None)
    for config, pen in ((replace(with_pen, fonts=FONTS), False), (with_pen, True)):
        made = [Synthesizer(config)(i) for i in range(12)]
        assert bool(written) == pen
        assert all(len(one.boxes_xyxy) == len(one.text) for one in made)


def test_boxes_hold_all_ink_and_nothing_more() -> None:
    make = Synthesizer(PLAIN)
    for i in range(30):
        made = make(i)
        check_boxes_hold_ink(made.image.min(-1) < 128, made.boxes_xyxy, made.text)


def test_boxes_follow_rotation_perspective_and_waves(monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.synth import synthesizer
    from detector.synth.style import Style

    bent = Style(
        faces="plain", gap=0.4, ground="white", contrast=220, grey=True, cap_px=26, margin=0.1,
        rotation=20, angle=5, perspective=0.1, shear=0.2, wave_px=3,
    )  # fmt: skip
    monkeypatch.setattr(synthesizer, "style_of", lambda rng, name: bent)
    make = Synthesizer(PLAIN)
    for i in range(20):
        made = make(i)
        check_boxes_hold_ink(made.image.min(-1) < 100, made.boxes_xyxy, made.text, slack=4)


def test_frayed_ink_stays_round_its_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.synth import synthesizer
    from detector.synth.style import Style

    smooth = Style(faces="plain", gap=0.4, ground="white", contrast=220, grey=True, cap_px=30, margin=0.1)
    monkeypatch.setattr(synthesizer, "style_of", lambda rng, name: smooth)
    before = [Synthesizer(PLAIN)(i) for i in range(20)]
    monkeypatch.setattr(synthesizer, "style_of", lambda rng, name: replace(smooth, fray_px=2.5))
    changed = []
    for i, was in enumerate(before):
        made = Synthesizer(PLAIN)(i)
        np.testing.assert_array_equal(made.boxes_xyxy, was.boxes_xyxy)
        ink, inside = made.image.min(-1) < 128, np.zeros(made.image.shape[:2], bool)
        for x1, y1, x2, y2 in made.boxes_xyxy.round().astype(int):
            inside[y1:y2, x1:x2] = True
        assert ink[inside].sum() > 0.9 * ink.sum()
        changed.append((ink != (was.image.min(-1) < 128)).mean())
    assert np.mean(changed) > 0.005


@pytest.mark.parametrize("ground", ["white", "dark"])
def test_any_colour_of_a_sign_shows_on_its_ground(monkeypatch: pytest.MonkeyPatch, ground: str) -> None:
    from detector.synth import synthesizer
    from detector.synth.style import Style

    bright = []
    pale = Style(faces="plain", gap=0.4, ground=ground, ink="each", any_hue=True, cap_px=40, margin=0.1, contrast=30)
    monkeypatch.setattr(synthesizer, "style_of", lambda rng, name: pale)
    for i in range(30):
        made = Synthesizer(PLAIN)(i)
        paper = np.median(made.image.reshape(-1, 3), 0)
        for x1, y1, x2, y2 in made.boxes_xyxy.round().astype(int):
            sign = made.image[y1:y2, x1:x2].reshape(-1, 3)
            ink = sign[np.abs(sign - paper).max(1).argmax()]
            assert np.abs(ink - paper).max() > 20, made.text
            bright.append(abs(ink @ [0.114, 0.587, 0.299] - paper @ [0.114, 0.587, 0.299]))
    assert np.min(bright) < 28 < np.median(bright), "some are as bright as the ground, most are not"


def test_a_tile_of_ink_stands_behind_each_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.synth import synthesizer
    from detector.synth.style import Style

    tiled = Style(faces="plain", gap=0.6, ground="white", tiles=True, grey=True, cap_px=30, margin=0.1, contrast=220)
    monkeypatch.setattr(synthesizer, "style_of", lambda rng, name: tiled)
    for i in range(20):
        made = Synthesizer(PLAIN)(i)
        for x1, y1, x2, y2 in made.boxes_xyxy.round().astype(int):
            sign = made.image[y1:y2, x1:x2].min(-1)
            assert sign.min() < 60 and sign.max() > 200, made.text
            assert np.median(sign[[0, -1]]) < 128, "the tile reaches above and below the sign"


def test_given_texts_are_drawn_and_no_others() -> None:
    texts = ("ABBA", "0815", "A 1")
    make = Synthesizer(replace(CONFIG, texts=texts))
    assert {make(i).text for i in range(40)} == set(texts)


def test_texts_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "codes.txt"
    path.write_text("51F88270\n\n29A1\n", encoding="utf-8-sig")
    assert read_texts(path) == ("51F88270", "29A1")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"codes\.txt.*one text a line"):
        read_texts(path)
    with pytest.raises(SourceError, match=r"none\.txt"):
        read_texts(tmp_path / "none.txt")


@pytest.mark.usefixtures("undrawn")
def test_plates_have_runs_of_letters_and_of_digits() -> None:
    """As printed codes do: at most three of them more often than in captchas, which are drawn freely."""

    def in_few_runs(style: str) -> float:
        make = Synthesizer(replace(CONFIG, styles=(style,), length=8))
        texts = [make(i).text for i in range(400)]
        return float(np.mean([sum(a.isdigit() != b.isdigit() for a, b in pairwise(t)) <= 2 for t in texts]))

    assert in_few_runs("plate") > in_few_runs("captcha") + 0.05


def test_marks_stand_mostly_where_letters_and_digits_meet() -> None:
    rng, signs = Random(3), "AB1234CD"
    first = [break_places(rng, signs, 1)[0] for _ in range(400)]
    assert 250 < sum(place in (2, 6) for place in first) < 400
    assert set(first) <= set(range(1, len(signs)))
    assert break_places(rng, "A", 2) == []


def test_a_writer_keeps_to_a_hand_and_differs_from_the_next() -> None:
    for symbol in Alphabet().symbols:
        drawn = [PenFace(writer).draw(symbol) for writer in (0, 0, 1, 2)]
        masks = [glyph.mask for glyph in drawn if glyph is not None]
        assert len(masks) == 4
        np.testing.assert_array_equal(masks[0], masks[1])
        assert any(mask.shape != masks[0].shape or (mask != masks[0]).any() for mask in masks[2:])
        assert all(0.3 * CAP < mask.shape[0] < 2.2 * CAP for mask in masks), symbol
    assert PenFace(0).draw("\u00e4") is None


def test_boxes_run_from_left_to_right_and_top_to_bottom() -> None:
    one, two = Synthesizer(PLAIN), Synthesizer(replace(PLAIN, lines=2))
    for i in range(10):
        assert (np.diff(one(i).boxes_xyxy[:, 0]) > 0).all()
        boxes = two(i).boxes_xyxy
        turns = np.flatnonzero(np.diff(boxes[:, 0]) < 0)  # where the second line begins
        assert len(turns) == 1
        end = turns[0] + 1
        assert boxes[:end, 3].max() < boxes[end:, 3].min()
        assert (np.diff(boxes[:end, 0]) > 0).all() and (np.diff(boxes[end:, 0]) > 0).all()


def test_a_space_leaves_a_gap() -> None:
    make = Synthesizer(replace(PLAIN, pattern="XXX XXX"))
    for i in range(15):
        made = make(i)
        gaps = made.boxes_xyxy[1:, 0] - made.boxes_xyxy[:-1, 2]
        assert made.text[3] == " "
        assert gaps[2] > np.delete(gaps, 2).max() + 8, made.text


def test_nothing_but_a_space_leaves_a_gap_where_given_texts_have_spaces() -> None:
    styles = ("plate", "vehicle", "scripts")
    make = Synthesizer(replace(CONFIG, styles=styles, texts=("ABC123", "ABC 123"), size_wh=(256, 64)))
    for made in (make(i) for i in range(60)):
        assert made.text in ("ABC123", "ABC 123") and len(made.boxes_xyxy) == 6


@pytest.mark.usefixtures("undrawn")
def test_spaces_share_is_kept() -> None:
    make = Synthesizer(replace(PLAIN, spaces=0.5))
    short = [(" " in t or len(t) < 8) for t in (make(i).text for i in range(120))]
    assert 0.35 < np.mean(short) < 0.65
    full = Synthesizer(PLAIN)
    assert not any(" " in full(i).text for i in range(20))


def test_slots_stand_at_their_places() -> None:
    make = Synthesizer(replace(PLAIN, layout="fixed", spaces=0.7, size_wh=(320, 64)))
    for i in range(30):
        made = make(i)
        places = [k for k, symbol in enumerate(made.text) if symbol != " "]
        centres = made.boxes_xyxy[:, [0, 2]].mean(1)
        np.testing.assert_allclose(centres, (np.array(places) + 0.5) * 40, atol=3)


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        pytest.param("AA999", "[A-Z]{2}[0-9]{3}", id="letters and digits"),
        pytest.param("99A-999.99", "[0-9]{2}[A-Z][0-9]{5}", id="signs outside the alphabet are drawn, not labelled"),
        pytest.param("XX 9", "[0-9A-Z]{2} [0-9]", id="space"),
        pytest.param("B9|7A", "B[0-9]|7[A-Z]", id="alternatives and literals"),
    ],
)
def test_pattern_is_kept(pattern: str, form: str) -> None:
    make = Synthesizer(replace(CONFIG, pattern=pattern, styles=("plate", "captcha", "segments")))
    for i in range(20):
        made = make(i)
        assert re.fullmatch(form, made.text), made.text
        assert len(made.boxes_xyxy) == len(made.text.replace(" ", ""))


@pytest.mark.parametrize("symbols", ["ÄÖÜß", "ЖЩЯ0189", "abcXYZ", "01", "+-*"])
def test_other_alphabets(symbols: str) -> None:
    make = Synthesizer(replace(CONFIG, alphabet=Alphabet(symbols), length=5))
    assert all(set(make(i).text) <= set(symbols) for i in range(30))


def test_fonts_that_lack_or_confuse_symbols_are_left_out() -> None:
    dejavu, symbols = FOLDER / "DejaVuSans.ttf", FOLDER / "STIXSizOneSymReg.ttf"
    assert [f.path for f in usable_fonts([dejavu, symbols], Alphabet())] == [dejavu]
    assert usable_fonts([dejavu], Alphabet("A\u4e00")) == []
    assert usable_fonts([FOLDER / "no-such-font.ttf"], Alphabet()) == []


def test_digits_are_drawn_as_letters_only_where_a_digit_beside_them_tells() -> None:
    def shown(twins: str, text: str, symbols: str = Alphabet().symbols, labelled: tuple[bool, ...] = ()) -> str:
        return with_twins(twins, Line(text, labelled or (True,) * len(text)), symbols)

    assert shown("01", "A01") == "AOI" and shown("0", "A01") == "AO1" and shown("", "01") == "01"
    assert shown("0", "O01") == "O01"  # which of them is the letter?
    assert shown("0", "A0B") == "A0B"  # no digit beside it
    assert shown("0", "002", labelled=(True, False, True)) == "O02"  # a sign without a label stays what it is
    assert shown("0", "00", "01") == "00"  # no letters in this alphabet


def test_serifs_are_seen() -> None:
    kinds = {font.path.name: font.kind for font in usable_fonts(sorted(FOLDER.glob("DejaVuS*.ttf")), Alphabet())}
    assert {kinds[name] for name in kinds if name.startswith("DejaVuSans") and "Display" not in name} == {"sans"}
    assert {kinds[name] for name in kinds if name.startswith("DejaVuSerif") and "Display" not in name} == {"serif"}


def test_find_fonts_finds_one_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    described_fonts.cache_clear()
    monkeypatch.setattr("detector.synth.faces.fonts.font_files", lambda: list(FONTS))
    assert find_fonts() == sorted(FONTS)
    described_fonts.cache_clear()  # other tests draw with what there is


def test_fonts_are_looked_through_again_only_when_they_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    font = tmp_path / "font.ttf"
    shutil.copyfile(FOLDER / "DejaVuSans.ttf", font)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("detector.synth.faces.fonts.font_files", lambda: [font])
    caplog.set_level("INFO", "detector")

    def looked() -> int:
        described_fonts.cache_clear()  # as in another process
        caplog.clear()
        assert [f.family for f in described_fonts(Alphabet())] == ["DejaVu Sans"]
        return caplog.text.count("checking 1 font files")

    assert [looked(), looked()] == [1, 0]
    os.utime(font, (1, 1))
    assert [looked(), looked()] == [1, 0]
    for kept in (tmp_path / "cache" / "detector" / "fonts").iterdir():
        kept.write_text("damaged", encoding="utf-8")
    assert looked() == 1
    described_fonts.cache_clear()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"length": 0}, AlphabetError, "length must be at least 1, got 0"),
        ({"min_length": 9}, AlphabetError, "min_length must lie between 1 and length 8, got 9"),
        ({"pattern": "999999999"}, AlphabetError, "has 9 symbols, more than length 8"),
        ({"pattern": "--"}, AlphabetError, "names no symbol of the alphabet"),
        ({"pattern": "A", "alphabet": Alphabet("01")}, AlphabetError, "wants letters and the alphabet has none"),
        ({"pattern": "99", "spaces": 0.5}, AlphabetError, "write the space into the pattern"),
        ({"texts": ()}, AlphabetError, "texts is empty"),
        ({"texts": ("AB", "hello")}, AlphabetError, "'hello' .small letters are no symbols of this alphabet"),
        ({"texts": ("AB", "ab", "123456789", "  ")}, AlphabetError, "3 of 4 texts .*: 'ab', '123456789', '  '"),
        ({"texts": ("AB ",)}, AlphabetError, "must not end with a space"),
        ({"texts": (" AB",)}, AlphabetError, "proportional texts must not begin with a space"),
        ({"texts": ("AB",), "pattern": "99"}, AlphabetError, "drawn as they are"),
        ({"styles": ("photo",)}, DetectorError, "styles must be some of plate, .*got photo"),
        ({"layout": "ring"}, DetectorError, "layout must be proportional or fixed, got 'ring'"),
        ({"spaces": 2.0}, DetectorError, "spaces is a share from 0 to 1, got 2.0"),
        ({"lines": 3}, DetectorError, "lines must be 1 or 2, got 3"),
        ({"size_wh": (8, 8)}, DetectorError, "16 to 4096 pixels each way, got 8x8"),
        ({"size_wh": (32, 32)}, DetectorError, "8 symbols need a width of 48 pixels or more, got 32"),
        ({"fonts": (Path("no.ttf"),)}, DetectorError, "no font file at no.ttf"),
        ({"styles": ("photo",)}, DetectorError, "scene, .*plain, got photo"),
        ({"glyphs": Path("nowhere")}, DetectorError, "no folder of characters at nowhere"),
        ({"lines": 3, "layout": "ring"}, DetectorError, "layout.*lines"),
    ],
)  # fmt: skip
def test_nonsense_is_named(change: dict[str, object], kind: type[DetectorError], words: str) -> None:
    with pytest.raises(kind, match=words):
        replace(CONFIG, **change)  # type: ignore[arg-type]


def test_fonts_without_the_symbols_are_named() -> None:
    with pytest.raises(SourceError, match="No font among the 3 given draws all of"):
        Synthesizer(replace(CONFIG, alphabet=Alphabet("A\u4e00")))


CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("names", "symbols"),
    [
        pytest.param(list("0123456789"), list("0123456789"), id="digits are digits, not code points"),
        pytest.param(list("AbZ7"), list("AbZ7"), id="symbols"),
        pytest.param(["30", "39", "41", "5a"], list("09AZ"), id="NIST by class"),
        pytest.param(["43_63", "41"], ["Cc", "A"], id="NIST by merge"),
        pytest.param(["U+0416", "U+0041"], ["Ж", "A"], id="Unicode"),
        pytest.param([str(i) for i in range(36)], list("0123456789" + CAPITALS), id="0-35"),
        pytest.param([str(i) for i in range(62)][:62], list("0123456789" + CAPITALS + CAPITALS.lower()), id="by class"),
        pytest.param([str(i) for i in range(47)], list("0123456789" + CAPITALS + "abdefghnqrt"), id="balanced"),
        pytest.param([f"{i:02d}" for i in range(1, 27)], list(CAPITALS), id="EMNIST letters"),
    ],
)
def test_class_folders_are_understood(names: list[str], symbols: list[str]) -> None:
    assert class_symbols(names, Path("g")) == dict(zip(names, symbols, strict=True))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param(["cat", "dog"], "named cat, dog: neither characters", id="words"),
        pytest.param(["48", "49", "57"], "may be decimal or hexadecimal", id="two readings"),
        pytest.param(["0", "1", "12"], "neither characters", id="part of a list"),
        pytest.param(["65", "90", "122"], "neither characters", id="decimal only"),
    ],
)
def test_doubtful_class_folders_are_refused(names: list[str], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        class_symbols(names, Path("g"))


def _draw(path: Path, symbol: str, dark: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((40, 40, 3), (190, 200, 205) if dark else (30, 40, 20), np.uint8)
    cv2.putText(image, symbol, (9, 31), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (40, 30, 50) if dark else (230, 220, 240), 3)
    cv2.imwrite(str(path), image)


@pytest.mark.parametrize(
    "form",
    [
        "{0}/{1}.png",
        "{0:x}/train_{0:x}/hsf_{1}.png",
        "CAP_{0}_{1}.png",
        "images/{0}_{1}.png",
        "image,text",
        "file;label",
    ],
)
def test_glyph_folders_are_drawn_from(tmp_path: Path, form: str) -> None:
    rows, separator = [], ";" if ";" in form else ","
    for symbol in "ABK":
        for k in range(3):
            name = f"p{symbol}{k}.png" if "{" not in form else form.format(ord(symbol) if ":x" in form else symbol, k)
            _draw(tmp_path / name, symbol, dark=k > 0)
            rows.append(f"{name}{separator}{symbol}\n")
            (tmp_path / name).with_name(f"._{Path(name).name}").write_bytes(b"what macOS leaves beside a file")
    if "{" not in form:
        (tmp_path / "labels.csv").write_text(f"{form}\n" + "".join(rows))
    config = SynthConfig(alphabet=Alphabet("ABK"), glyphs=tmp_path, fonts=FONTS, length=4, styles=("plain", "captcha"))
    make = Synthesizer(config)
    assert all(len(make(i).boxes_xyxy) == 4 for i in range(10))
    with pytest.raises(SourceError, match="holds no picture of 'Z'"):
        open_glyph_folder(tmp_path, Alphabet("ABZ"))


def test_cuttings_on_nothing_are_read_and_empty_ones_refused(tmp_path: Path) -> None:
    """Ink on transparency, as cut out with a picture editor; and a symbol whose pictures show none."""
    ink = np.zeros((40, 30, 4), np.uint8)
    ink[8:32, 10:20, 3] = 255
    for name, image in (("A", ink), ("B", np.full((40, 30, 3), 255, np.uint8))):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), image)
    folder = open_glyph_folder(tmp_path, Alphabet("AB"))
    glyph = FolderFace(folder, 0).draw("A")
    assert glyph is not None and glyph.mask.min() > 200  # a solid bar, cropped to its ink
    with pytest.raises(SourceError, match="none of the 1 pictures of 'B' shows any ink"):
        FolderFace(folder, 0).draw("B")
    assert FolderFace(folder, 0).draw("-") is not None  # what it has no picture of is written


def test_a_line_of_spaces_leaves_the_other_one(tmp_path: Path) -> None:
    config = replace(PLAIN, layout="fixed", lines=2, length=8, texts=("    ABCD",), fonts=FONTS)
    made = Synthesizer(config)(0)
    assert made.text == "    ABCD" and len(made.boxes_xyxy) == 4


def test_a_folder_is_drawn_as_large_as_the_alphabet_asks(tmp_path: Path) -> None:
    _draw(tmp_path / "A" / "1.png", "A")
    folder, cache = open_glyph_folder(tmp_path, Alphabet("A")), GlyphCache()
    heights = []
    for held in (folder, replace(folder, tall=folder.tall * 1.3), folder):
        glyph = cache.get(FolderFace(held, 0), "A")
        assert glyph is not None
        heights.append(glyph.mask.shape[0])
    assert heights[1] < heights[0] == heights[2]


def test_folder_without_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no class folders and no files named like"):
        open_glyph_folder(tmp_path, Alphabet())


@pytest.mark.parametrize("dark", [True, False])
def test_ink_is_taken_from_tinted_paper_of_either_polarity(tmp_path: Path, dark: bool) -> None:
    _draw(tmp_path / "a.png", "L", dark)
    mask = ink_of(np.asarray(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE), np.uint8))
    assert mask is not None
    assert mask[:, 1:3].mean() > 200 and mask[: len(mask) // 2, -4:].mean() < 10
    assert ink_of(np.full((20, 20), 90, np.uint8)) is None


@pytest.mark.parametrize("workers", [1, 2])
def test_write_set(tmp_path: Path, workers: int) -> None:
    seen: list[int] = []
    config = replace(CONFIG, spaces=0.5)
    count = 5 if workers == 1 else 70
    report = write_set(config, tmp_path / "set", count, workers=workers, start=3, progress=seen.append)
    labels = list(csv.DictReader((tmp_path / "set" / "labels.csv").read_text(encoding="utf-8").splitlines()))
    boxes = list(csv.DictReader((tmp_path / "set" / "boxes.csv").read_text(encoding="utf-8").splitlines()))
    assert (report.images, report.characters, sum(seen)) == (count, len(boxes), count)
    assert [row["image"] for row in labels] == [f"images/{i:07d}.png" for i in range(3, 3 + count)]
    made = Synthesizer(config)(4)
    assert labels[1]["text"] == made.text
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "set" / labels[1]["image"])), made.image)
    own = [row for row in boxes if row["image"] == labels[1]["image"]]
    assert "".join(row["char"] for row in own) == made.text.replace(" ", "")
    read = [[float(row[k]) for k in ("x1", "y1", "x2", "y2")] for row in own]
    np.testing.assert_allclose(read, made.boxes_xyxy, atol=0.01)
    assert not list((tmp_path / "set").rglob("*.part"))
    with pytest.raises(DetectorError, match="already holds a set"):
        write_set(config, tmp_path / "set", 1)
    (tmp_path / "set" / "labels.csv").unlink()  # as where a run was killed
    with pytest.raises(DetectorError, match=r"images is not empty, say of a run that was stopped"):
        write_set(config, tmp_path / "set", 1)


def test_a_table_of_boxes_of_the_user_s_stays(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("drawn by hand")
    with pytest.raises(DetectorError, match=r"boxes\.csv is there, and would be replaced"):
        write_set(SynthConfig(), tmp_path, 1)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["drawn by hand"]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError, match=r"set cannot be written: No space left.*or choose another place"):
        write_set(CONFIG, tmp_path / "set", 1, workers=1)
    assert not list((tmp_path / "set").rglob("*.part"))


@pytest.mark.parametrize("texts", [{"pattern": "AA99"}, {"texts": ("AB12",)}])
def test_a_shortest_length_that_has_no_effect(texts: dict[str, Any]) -> None:
    with pytest.raises(AlphabetError, match="min_length has no effect"):
        SynthConfig(length=4, min_length=2, **texts)


def test_write_set_refuses_nonsense(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="count must be 1 or more, got 0"):
        write_set(CONFIG, tmp_path, 0)


def test_an_alphabet_may_be_spelt_as_ranges() -> None:
    assert SynthConfig(alphabet="0-2AB-").alphabet.symbols == "012AB-"  # type: ignore[arg-type]
    with pytest.raises(AlphabetError, match="no range"):
        SynthConfig(alphabet="9-0")  # type: ignore[arg-type]
