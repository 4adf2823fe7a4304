"""The page of a converted set: what it counts, shows, orders and leaves out, and that it needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from detector.data.sets.yolo_dataset import (
    ManifestRow,
    RejectRow,
    format_labels,
    label_file,
    write_descriptions,
    write_tables,
)
from detector.errors import DatasetError
from detector.reading.pages.report import REPORT, write_report
from detector.text.reading_config import ReadingConfig
from tests.builders import encoded, noise_picture, write_pictures

BLOCKS = {"td", "th", "p", "li", "div", "dt", "dd", "b"}
VOID = {"meta", "link", "img", "input", "br", "image", "path"}


class Page(HTMLParser):
    """What a browser would make of a page: tags with their attributes, and the text within each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[int] = []
        self.feed(self.source)
        assert not self._open, "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append("")
        if tag not in VOID:
            self._open.append(len(self.tags) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.tags[self._open.pop()][0] == tag
        if tag in BLOCKS:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for i in self._open:
            self.texts[i] += data

    def all(self, tag: str, kind: str = "") -> list[str]:
        """Texts of all tags of a name and class, white space made single."""
        found = zip(self.tags, self.texts, strict=True)
        return [" ".join(t.split()) for (name, held), t in found if name == tag and held.get("class", "") == kind]

    def section(self, status: str) -> str:
        places = [i for i, (name, held) in enumerate(self.tags) if name == "section" and held["data-status"] == status]
        return " ".join(self.texts[places[0]].split())


def row(
    name: str, text: str, split: str = "train", confidence: float = 0.9, read: str = "", status: str = ""
) -> ManifestRow:
    """A line of the manifest; pictures of ``train`` that are suspects are kept out, as `convert` does."""
    status = status or ("suspect" if confidence < 0.05 else "ok")
    folder = "suspects" if status == "suspect" and split == "train" else split
    method = f"cut {len(text)}, detected 0"
    return ManifestRow(name, f"images/{folder}/{name}", text, split, method, f"{confidence:.4f}", status, read)


def make_set(root: Path, rows: Sequence[ManifestRow], rejects: Sequence[RejectRow] = (), symbols: str = "7AKT") -> Path:
    """A converted set with small pictures of noise and boxes of equal width."""
    write_pictures(root, [r.image for r in rows], (60, 20))
    for r in rows:
        shown = [s for s in r.text if s in symbols]
        edges = np.linspace(2, 58, len(shown) + 1)
        boxes = np.stack([edges[:-1], np.full(len(shown), 3), edges[1:], np.full(len(shown), 17)], 1)
        label = label_file(root, root / r.image)
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(format_labels([symbols.index(s) for s in shown], boxes, 60, 20))
    root.mkdir(exist_ok=True)
    held = {split: [r.image for r in rows if f"/{split}/" in r.image] for split in ("train", "val", "test")}
    write_descriptions(root, root, ReadingConfig(symbols, length=8), held)
    write_tables(root, rows, rejects)
    return root


def page_of(root: Path, **options: int) -> Page:
    path = write_report(root, **options)
    assert path == root / REPORT
    assert not list(root.glob("*.part"))
    return Page(path)


ROWS = [
    row("a.png", "AK7T", confidence=0.9),
    row("b.png", "KK", "val", confidence=0.5),
    row("c.png", "A 7", "test", confidence=0.6, read="AT"),
    row("d.png", "TTTT", confidence=0.01),
    row("e.png", "AAAA", confidence=0.04, read="AAKA"),
    row("f.png", "AKAK", "test", confidence=0.02, read="AK"),
]
REJECTS = [
    RejectRow("x.png", "the label 'AKTAA' has 5 symbols, more than 4"),
    RejectRow("y.png", "the label 'KKKKKK' has 6 symbols, more than 4"),
    RejectRow("z.png", "no such file"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(make_set(tmp_path_factory.mktemp("report") / "plates", ROWS, REJECTS))


def test_counts(page: Page) -> None:
    assert page.all("h1") == ["plates"]
    assert page.all("dd") == ["3", "3", "3"]  # ok, suspects, refused
    lines = [text for text in page.all("tr") if text.split()[-1].isdigit()]
    assert lines == [
        "train 1", "val 1", "test 2", "kept out 2",
        "2 1", "3 1", "4 4",
    ]  # fmt: skip
    classes = dict(zip(page.all("span", "code")[1:5], page.all("span", "count"), strict=True))
    assert classes == {"7": "2", "A": "8", "K": "5", "T": "5"}


def test_symbols_that_no_training_picture_shows_are_named(tmp_path: Path) -> None:
    page = page_of(make_set(tmp_path / "set", [row("a.png", "AK"), row("b.png", "7T", "val")]))
    assert page.all("p", "bad") == ["In no training picture: 7 T"]


def test_refusals_are_counted_by_reason(page: Page) -> None:
    assert page.all("summary") == ["2 × the label … has … symbols, more than …", "1 × no such file"]
    assert "x.png" in page.section("refused") and "'KKKKKK' has 6" in page.section("refused")


def test_suspects_come_first_those_read_otherwise_on_top(page: Page) -> None:
    assert [re.search(r"\w\.png$", text)[0] for text in page.all("li", "card")] == [  # type: ignore[index]
        "f.png", "e.png", "d.png",  # read otherwise and least sure; read otherwise; the rest
        "b.png", "c.png", "a.png",
    ]  # fmt: skip
    assert page.section("suspect").count(".png") == 3


def test_suspects_in_which_nothing_was_read_come_before_those_read_as_labelled(tmp_path: Path) -> None:
    rows = [row("a.png", "AK7T", confidence=0.01), row("b.png", "KK", confidence=0.04), row("c.png", "A7")]
    rows[1] = rows[1]._replace(method="interpolated 2")
    page = page_of(make_set(tmp_path / "set", rows))
    assert [text.split()[0] for text in page.all("li", "card")] == ["KK", "AK7T", "A7"]


def test_label_and_reading_are_set_side_by_side(page: Page) -> None:
    cards = {text[-5:]: text for text in page.all("li", "card")}
    assert "label AAAA read AAKA 0.0400 · train" in cards["e.png"]
    assert "label A␣7 read AT 0.6000 · test" in cards["c.png"]
    assert "read" not in cards["d.png"]
    assert page.all("mark") == ["A", "K", "A", "K", "7", "T"]  # f: AK(AK) / AK; e: AA(A)A / AA(K)A; c: A(7) / A(T)


def test_boxes_and_symbols_are_drawn(page: Page) -> None:
    drawn = [" ".join(text.split()) for (name, _), text in zip(page.tags, page.texts, strict=True) if name == "svg"]
    assert drawn[0].replace(" ", "") == "AKAK"
    boxes = [held["d"] for name, held in page.tags if name == "path" and held["class"] == "halo"]
    assert [d.count("M") for d in boxes] == [4, 4, 4, 2, 2, 4]
    # 60x20 is drawn 240 wide: a box from 2 to 16 px, and from 3 to 17 down
    assert boxes[0].startswith("M8.0 12.0h56.0v56.0h-56.0z")


def test_the_page_needs_nothing_else(page: Page) -> None:
    assert not re.search(r"https?://|@import|url\(", page.source)
    links = [held[key] for _, held in page.tags for key in ("src", "href", "srcset", "data") if key in held]
    assert len(links) == len(ROWS)
    assert all(link.startswith("data:image/webp;base64,") for link in links)
    assert not {"link", "iframe", "object", "img"} & {name for name, _ in page.tags}


def test_the_same_set_gives_the_same_page(page: Page, tmp_path: Path) -> None:
    assert page_of(make_set(tmp_path / "plates", ROWS, REJECTS)).source == page.source


EVIL = '<script>alert("x")</script>'


def test_nothing_in_a_set_becomes_markup(tmp_path: Path) -> None:
    symbols = "<>&\"'A"
    rows = [
        row("a.png", "<>&\"'A", confidence=0.01, read="<A>")._replace(source=EVIL, method=EVIL, split=EVIL),
        row("gone.png", "A<", confidence=0.5)._replace(source='" onload="x', image=f"images/train/{EVIL[:8]}.png"),
    ]
    root = make_set(tmp_path / "<b>&", rows[:1], [RejectRow(EVIL, f"no such file: {EVIL}")], symbols)
    write_tables(root, rows, [RejectRow(EVIL, f"the label {EVIL!r} is odd")])
    page = page_of(root)
    assert [name for name, _ in page.tags].count("script") == 1
    assert not any(name.startswith("on") for _, held in page.tags for name in held)
    assert page.all("h1") == ["<b>&"]
    assert EVIL in page.section("suspect") and EVIL in page.section("refused")
    searched = [held["data-search"] for _, held in page.tags if "data-search" in held]
    assert searched[0] == f"<>&\"'A\n<A>\n{EVIL}"


def test_a_set_beside_what_was_made_of_it_is_called_after_that(tmp_path: Path) -> None:
    root = make_set(tmp_path / "plates" / "set", [row("a.png", "AK", confidence=0.01)])
    assert page_of(root).all("h1") == ["plates"]
    write_report(root, final_root=tmp_path / "meters" / "set")
    assert Page(root / REPORT).all("h1") == ["meters"]
    assert "detector review set " in Page(root / REPORT).section("suspect")


@pytest.mark.parametrize(("name", "command"), [("set", "set"), ("a set", "'a set'"), ("<b>&", "'<b>&'")])
def test_the_command_to_decide_on_suspects_is_shown(tmp_path: Path, name: str, command: str) -> None:
    shown = page_of(make_set(tmp_path / name, [row("a.png", "AK", confidence=0.01)])).section("suspect")
    assert f"detector review {command} " in shown
    without = page_of(make_set(tmp_path / "without", [row("a.png", "AK")])).section("suspect")
    assert "detector review" not in without


def test_what_cannot_be_read_is_shown_as_such(tmp_path: Path) -> None:
    rows = [
        row(f"{name}.png", "AK", confidence=c / 10) for c, name in enumerate(("picture", "gone", "boxes", "good"), 5)
    ]
    root = make_set(tmp_path / "set", rows)
    (root / rows[0].image).write_bytes(b"no picture")
    (root / rows[1].image).unlink()
    label_file(root, root / rows[2].image).write_text("9 0.5 0.5 0.1 0.1\n")
    page = page_of(root)
    problems = page.all("p", "problem")
    assert "not an image" in problems[0] and "no such file" in problems[1] and "class must be below 4" in problems[2]
    assert len(page.all("li", "card")) == 4
    assert [name for name, _ in page.tags].count("svg") == 1


def test_pictures_shown_are_bounded_and_the_page_says_so(tmp_path: Path) -> None:
    rows = [row(f"s{i}.png", "AK", confidence=i / 1000) for i in range(5)]
    rows += [row(f"o{i}.png", "KA", confidence=0.9 - i / 100) for i in range(7)]
    page = page_of(make_set(tmp_path / "set", rows), max_pictures=3)
    assert [text.split()[-1] for text in page.all("li", "card")] == [
        "s0.png", "s1.png", "s2.png", "o6.png", "o5.png", "o4.png",
    ]  # fmt: skip
    assert "Shown: 3 of 5; the other 2 are in manifest.csv" in page.section("suspect")
    assert "Shown: 3 of 7; the other 4 are in manifest.csv" in page.section("ok")
    assert page.all("dd")[:2] == ["7", "5"]


def test_refusals_shown_are_bounded_and_the_page_says_so(tmp_path: Path) -> None:
    rejects = [RejectRow(f"{i}.png", "no such file") for i in range(1000)]
    rejects += [RejectRow(f"r{i}.png", f"reason {chr(0x4E00 + i)}") for i in range(30)]
    page = page_of(make_set(tmp_path / "set", [row("a.png", "AK"), row("b.png", "KA", "val")], rejects))
    assert page.section("refused").count(".png") < 100
    assert "1,000 × no such file" in page.section("refused") and "and 975 more" in page.section("refused")
    assert "and 11 inputs for other reasons" in page.section("refused")


def test_large_pictures_are_embedded_small_and_not_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(f"{i}.png", "AK", confidence=0.5 + i / 100) for i in range(6)]
    root = make_set(tmp_path / "set", rows)
    for r in rows:
        (root / r.image).write_bytes(encoded(noise_picture(1000, 400), "PNG"))
    assert len(page_of(root).source) < 6 * 150_000
    monkeypatch.setattr("detector.reading.pages.cards.GALLERY_BYTES", 100_000)
    page = page_of(root)
    shown = len(page.all("li", "card"))
    assert 1 <= shown < 6
    assert f"Shown: {shown} of 6; the other {6 - shown} are in" in page.section("ok")


EMPTY = {
    "no suspect, nothing refused": ([row("a.png", "AK"), row("b.png", "KA", "val")], []),
    "no test split": ([row("a.png", "AK"), row("b.png", "KA", "val")], REJECTS),
    "suspects only": ([row("a.png", "AK", confidence=0.0)], []),
    "nothing at all": ([], []),
}


@pytest.mark.parametrize(("rows", "rejects"), EMPTY.values(), ids=EMPTY.keys())
def test_empty_parts(tmp_path: Path, rows: list[ManifestRow], rejects: list[RejectRow]) -> None:
    page = page_of(make_set(tmp_path / "set", rows, rejects))
    assert page.section("suspect").count("There are none.") == int(not any(r.status == "suspect" for r in rows))
    assert page.section("refused").count("There are none.") == int(not rejects)
    assert len(page.all("li", "card")) == len(rows)
    assert "test 0" in page.all("tr")


def test_large_alphabets_show_their_rarest_classes(tmp_path: Path) -> None:
    symbols = "".join(chr(0x4E00 + i) for i in range(500))
    page = page_of(make_set(tmp_path / "set", [row("a.png", symbols[:4]), row("b.png", "一", "val")], symbols=symbols))
    assert len(page.all("span", "count bad")) + len(page.all("span", "count")) == 120
    assert "The 120 rarest of 500." in page.all("p", "quiet")
    assert page.all("p", "bad")[0].endswith("…")


def test_sets_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no .*data\.yaml"):
        write_report(tmp_path)
    root = make_set(tmp_path / "set", ROWS)
    (root / "rejects.csv").unlink()
    with pytest.raises(DatasetError, match=r"has no rejects\.csv"):
        write_report(root)
    write_tables(root, [ROWS[0]._replace(confidence="high")], [])
    with pytest.raises(DatasetError, match=r"images/train/a\.png has the confidence 'high', no number"):
        write_report(root)
    assert not (root / REPORT).exists()
