"""File names as labels, how label files are chosen, and which of their images are taken."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.errors import SourceError
from detector.sources import FORMATS, LabelledImage, Refused, Source, label_text, read_source
from tests.builders import forbid, label_file, labelled_folder, write_pictures

DATA = Path(__file__).parents[2] / "shared" / "data"


def pairs(source: Source) -> dict[str, str]:
    return {item.name: item.text for item in source.items}


def reasons(source: Source) -> dict[str, str]:
    return {refused.name: refused.reason for refused in source.refused}


NAMES: dict[str, tuple[str, str | None, str]] = {
    "plain": ("AB12.png", None, "AB12"),
    "running number after _": ("AB12_7.png", None, "AB12"),
    "running number after -": ("AB12-0.jpg", None, "AB12"),
    "copy of a file": ("AB12 (2).png", None, "AB12"),
    "one running number only": ("AB-12-3.png", None, "AB-12"),
    "letters are no running number": ("AB_C.png", None, "AB_C"),
    "nothing before the number": ("_12.png", None, "_12"),
    "digits alone": ("0012.png", None, "0012"),
    "dots": ("A.B.png", None, "A.B"),
    "blank stand-in": ("AB_CD.png", "_", "AB CD"),
    "the stand-in is no running number": ("AB_12.png", "_", "AB 12"),
    "stand-in and running number": ("AB_12-3.png", "_", "AB 12"),
    "stand-in -": ("AB-12_3.png", "-", "AB 12"),
    "stand-in at both ends": ("_AB_.png", "_", " AB"),
    "stand-in of two characters": ("AB--12.png", "--", "AB 12"),
    "another stand-in": ("A~B_2.png", "~", "A B"),
    "a blank as it is, copy of a file": ("A B (2).png", " ", "A B"),
    "Unicode, decomposed": ("京A\u0308.png", None, "京Ä"),
}


@pytest.mark.parametrize(("name", "blank", "text"), NAMES.values(), ids=NAMES.keys())
def test_names(tmp_path: Path, name: str, blank: str | None, text: str) -> None:
    source = read_source(write_pictures(tmp_path, ["deep/er/" + name]), blank=blank)
    assert (source.format, source.label_file) == ("names", None)
    assert pairs(source) == {"deep/er/" + name: text}


def test_names_say_what_they_took_for_running_numbers(tmp_path: Path) -> None:
    source = read_source(write_pictures(tmp_path, ["AB-1234.png", "CD.png"]))
    assert "1 end in a running number that is no text ('AB-1234' is 'AB')" in source.detail


PLATES = ["51F-88270.png", "51F-01234.png", "30A-37715.png", "30A-00412.png", "29A-86594.png"]


def test_digits_that_nobody_counted_with_are_not_taken_for_running_numbers(tmp_path: Path) -> None:
    write_pictures(tmp_path, PLATES)
    with pytest.raises(SourceError, match=r"more than one way: is '29A-86594' the text '29A'.*--ignore '-'.*--labels"):
        read_source(tmp_path)
    assert pairs(read_source(tmp_path, ignore="-"))["51F-88270.png"] == "51F88270"
    assert pairs(read_source(tmp_path, labels="names"))["51F-88270.png"] == "51F"


@pytest.mark.parametrize(
    "names",
    [
        [f"T{i}X-{100 + 3 * i}.png" for i in range(40)],
        [f"AB_{i:04d}.png" for i in range(5)] + [f"CD_{i:04d}.png" for i in range(1, 4)],
        ["AB-1234.png", "CD-0.png", "EF-1.png", "GH-7.png", "JK-2.png"],
        PLATES[:3],
    ],
    ids=["counted through", "counted for each text", "few long ones", "few names"],
)
def test_running_numbers_are_taken_off(tmp_path: Path, names: list[str]) -> None:
    source = read_source(write_pictures(tmp_path, names))
    assert pairs(source) == {name: name.split("-")[0].split("_")[0] for name in names}


def test_a_declared_blank_begins_no_hash(tmp_path: Path) -> None:
    write_pictures(tmp_path, [f"{text}_{number}.png" for text in ("AB", "BB") for number in (12345678, 12353597)])
    assert pairs(read_source(tmp_path, blank="_"))["AB_12345678.png"] == "AB 12345678"
    one = tmp_path / "one"
    write_pictures(one, [f"AB_{number}.png" for number in (12345678, 12353597, 12353598, 2)])
    assert pairs(read_source(one, blank="_"))["AB_2.png"] == "AB 2"


def test_hash_names(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["aB1_0011223344556677.png", "a_b_deadbeefdeadbeef.png", "x_0123456789.jpg"])
    source = read_source(tmp_path, upper=True)
    assert source.format == "hash-names"
    assert list(pairs(source).values()) == ["AB1", "A_B", "X"]


def test_hash_names_refuse_other_names(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["ok_zz9.png", "plain.png", "_abc.png", "a_b.c.png"])
    source = read_source(tmp_path, labels="hash-names")
    assert pairs(source) == {"ok_zz9.png": "ok"}
    assert set(reasons(source)) == {"plain.png", "_abc.png", "a_b.c.png"}
    assert "text_hash" in source.refused[0].reason


LABEL_TEXTS: dict[str, tuple[str, str | None, bool, str]] = {
    "blanks at the end": ("AB  ", None, False, "AB"),
    "inner blanks": ("A  B", None, False, "A  B"),
    "blanks at the start": (" AB", None, False, " AB"),
    "blanks only": ("  ", None, False, ""),
    "stand-in at the start": ("_AB_ ", "_", False, " AB"),
    "plain blanks around a stand-in": (" _AB", "_", False, " AB"),
    "stand-ins only": ("__", "_", False, ""),
    "a blank for a stand-in": (" A", " ", False, " A"),
    "upper": ("aß1", None, True, "ASS1"),
    "the stand-in goes before upper case": ("axb", "x", True, "A B"),
    "composed": ("e\u0301", None, False, "é"),
}


@pytest.mark.parametrize(("raw", "blank", "upper", "text"), LABEL_TEXTS.values(), ids=LABEL_TEXTS.keys())
def test_label_text(raw: str, blank: str | None, upper: bool, text: str) -> None:
    assert label_text(raw, blank, upper) == text


def test_an_image_with_two_labels_is_refused_with_both(tmp_path: Path) -> None:
    content = "image,text\na.png,A\nb.png,B\na.png,C\nb.png,b\na.png,A\n"
    source = read_source(label_file(tmp_path, "labels.csv", content))
    assert source.items == []
    assert source.count == 5
    assert reasons(source)["a.png"] == "listed with 2 different labels: 'A' in line 2, 'C' in line 4"
    assert pairs(read_source(tmp_path, upper=True)) == {"b.png": "B"}


def test_windows_and_absolute_paths(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "set", ["sub/a.png", "b.png"])
    write_pictures(tmp_path / "other", ["c.png"])
    lines = ["image,text", r"sub\a.png,A", r".\b.png,B", f"{tmp_path / 'other' / 'c.png'},C"]
    (folder / "labels.csv").write_text("\n".join(lines))
    source = read_source(folder)
    assert pairs(source) == {"sub/a.png": "A", "b.png": "B", "../other/c.png": "C"}
    assert source.refused == []


@pytest.mark.parametrize(("on_disk", "listed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_may_be_composed_otherwise_on_the_disk(tmp_path: Path, on_disk: Any, listed: Any) -> None:
    write_pictures(tmp_path, [unicodedata.normalize(on_disk, "MÜ1.png"), "a.png"])
    label = f"image,text\n{unicodedata.normalize(listed, 'MÜ1.png')},M1\na.png,A\nmú1.png,B\n"
    (tmp_path / "labels.csv").write_text(label, encoding="utf-8")
    source = read_source(tmp_path)
    assert sorted(item.text for item in source.items) == ["A", "M1"] and all(i.path.is_file() for i in source.items)
    assert len(source.refused) == 1


def test_the_same_source_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled_folder(tmp_path, {"a.png": "A"})
    monkeypatch.chdir(tmp_path)
    assert read_source(".") == read_source(tmp_path) == read_source("../" + tmp_path.name)
    monkeypatch.chdir("images")
    assert pairs(read_source(".", labels="../labels.csv")) == {"a.png": "A"}


def test_unlisted_images_are_counted_not_read(tmp_path: Path) -> None:
    labelled_folder(tmp_path, {"a.png": "A", "b.png": "", "gone.png": "C"}, missing=["gone.png"])
    write_pictures(tmp_path / "images", ["more.png", ".hidden.png"])
    source = read_source(tmp_path)
    assert (source.count, len(source.items), source.unlisted) == (3, 1, 1)


def test_a_label_file_elsewhere(tmp_path: Path) -> None:
    label_file(tmp_path / "lists", "val.csv", "image,text\na.png,L\nb.png,M\n", images=("a.png",))
    write_pictures(tmp_path / "pictures", ["a.png", "b.png"])
    source = read_source(tmp_path / "pictures", labels=tmp_path / "lists" / "val.csv")
    assert [item.path for item in source.items] == [tmp_path / "pictures" / "a.png", tmp_path / "pictures" / "b.png"]


def two_label_files(folder: Path) -> None:
    label_file(folder, "train.csv", "image,text\na.png,A\n")
    label_file(folder, "val.csv", "image,text\nb.png,B\n")


def two_canonical_files(folder: Path) -> None:
    label_file(folder, "labels.csv", "image,text\na.png,A\n")
    label_file(folder, "labels.txt", "b.png\tB\n")


def only_other_files(folder: Path) -> None:
    (folder / "README.md").write_text("hello")
    (folder / "x.zip").write_bytes(b"")


def numbered(folder: Path) -> None:
    write_pictures(folder, [f"{i:06d}.png" for i in range(1, 9)])


def camera(folder: Path) -> None:
    write_pictures(folder, [f"IMG_20{i}17.png" for i in range(8)])


def uuids(folder: Path) -> None:
    write_pictures(folder, [f"{i * 7919:08x}-aaaa-bbbb-cccc-0123456789ab.png" for i in range(8)])


def boxes_only(folder: Path) -> None:
    numbered(folder)
    (folder / "boxes.csv").write_text("image,char,x1\n000001.png,A,3\n")


def latin1(folder: Path) -> None:
    label_file(folder, "labels.csv", "image,text\na.png,A\nb.png,Ä\n".encode("latin-1"))


def utf16(folder: Path) -> None:
    label_file(folder, "labels.csv", "image,text\na.png,A\n".encode("utf-16"))


def no_lines(folder: Path) -> None:
    label_file(folder, "labels.csv", "image,text\n")


def zero_bytes(folder: Path) -> None:
    label_file(folder, "labels.csv", "")


def open_quote(folder: Path) -> None:
    label_file(folder, "labels.csv", 'image,text\na.png,"A\n' + "b.png,B\n" * 20000)


def hidden_in_names(folder: Path) -> None:
    label_file(folder, "labels.txt", "0\n1\n2\n")


NOT_UNDERSTOOD: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "two label files": (two_label_files, ["train.csv (csv", "val.csv (csv", "--labels", "Choose one"]),
    "two files called labels": (two_canonical_files, ["labels.csv (csv", "labels.txt (paddleocr", "--labels"]),
    "empty folder": (lambda folder: None, ["no files at all", "Accepted:"]),
    "no images": (only_other_files, ["2 files (1 .md, 1 .zip)", "Accepted:"]),
    "numbered images": (numbered, ["8 files (8 .png)", "running numbers ('000001'", "Accepted:", "--labels names"]),
    "images of a camera": (camera, ["running number", "--labels names"]),
    "long names": (uuids, ["they are long"]),
    "boxes only": (boxes_only, ["boxes.csv has no known text column", "--text-column", "running numbers"]),
    "Latin-1": (latin1, ["labels.csv, line 3: the byte 0xc4 is not UTF-8", "iconv -f cp1252 -t utf-8"]),
    "UTF-16": (utf16, ["labels.csv is UTF-16", "iconv -f utf-16"]),
    "header only": (no_lines, ["labels.csv lists no images"]),
    "empty label file": (zero_bytes, ["labels.csv is empty"]),
    "a quote left open": (open_quote, ["labels.csv, from line 2", "quote"]),
    "labels.txt that is none": (hidden_in_names, ["labels.txt has no column of images"]),
}


@pytest.mark.parametrize(("build", "words"), NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD.keys())
def test_what_is_not_understood_is_named(tmp_path: Path, build: Callable[[Path], Any], words: list[str]) -> None:
    build(tmp_path)
    with pytest.raises(SourceError) as caught:
        read_source(tmp_path)
    assert [word for word in words if word not in str(caught.value)] == []


def test_bad_arguments(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png"])
    (tmp_path / "x.csv").write_text("image,text\na.png,A\n")
    for path, labels, words in (
        (tmp_path / "none", "auto", "no file or folder"),
        (tmp_path / "a.png", "auto", "is a file: give the folder"),
        (tmp_path / "x.csv", "names", "is a file: give the folder"),
        (tmp_path / "x.csv", "y.csv", "give the folder of the images"),
        (tmp_path, "cvs", f"no such file.*{FORMATS[0]}"),
        (tmp_path, "jsonl", "No jsonl label file"),
        (tmp_path / "x.csv", "paddleocr", "no lines path<TAB>text"),
        (tmp_path / "x.csv", "jsonl", "not JSON lines"),
    ):
        with pytest.raises(SourceError, match=words):
            read_source(path, labels=labels)


def test_labels_csv_goes_before_others_and_says_so(tmp_path: Path) -> None:
    label_file(tmp_path, "labels.csv", "image,text\na.png,A\n")
    label_file(tmp_path, "labels_old.csv", "image,text\na.png,B\n")
    label_file(tmp_path, "a.txt", "b.png\tno list: it stands beside a.png")
    source = read_source(tmp_path)
    assert pairs(source) == {"a.png": "A"}
    assert "passed over: labels_old.csv" in source.detail


def test_forced_names_are_taken_as_they_are(tmp_path: Path) -> None:
    numbered(tmp_path)
    (tmp_path / "labels.csv").write_text("image,text\n000001.png,A\n")
    assert pairs(read_source(tmp_path, labels="names"))["000001.png"] == "000001"


@pytest.mark.skipif(os.name == "nt", reason="such names cannot exist there")
def test_file_names_that_are_no_unicode_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["OK.png"])
    try:
        os.link(tmp_path / "OK.png", os.fsencode(tmp_path) + b"/A\xff.png")
    except OSError:
        pytest.skip("this file system takes no such names")
    source = read_source(tmp_path)
    assert pairs(source) == {"OK.png": "OK"}
    assert source.refused[0].reason == "the file name is not valid UTF-8"
    source.refused[0].name.encode("utf-8")
    (tmp_path / "labels.jsonl").write_text(
        '{"image": "A\\udcff.png", "text": "AB"}\n{"image": "OK.png", "text": "OK"}\n'
    )
    source = read_source(tmp_path)
    assert pairs(source) == {"OK.png": "OK"}
    assert source.refused[0].reason == "the file name is not valid UTF-8 (line 1)"
    source.refused[0].name.encode("utf-8")


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data is not on this machine")
@pytest.mark.parametrize(
    ("folder", "options", "kind", "count", "first"),
    [
        ("captcha-v2", {}, "csv", 1040, ("images/226md.png", "226MD")),
        ("captcha-v2/images", {"upper": True}, "names", 1040, ("2b827.png", "2B827")),
        ("captcha-swust-20191218/images", {}, "hash-names", 1631, None),
        ("captcha-generic/images", {}, "names", 2000, None),
        ("words-iiit5k", {}, "csv", 1520, None),
    ],
)
def test_real_sets(folder: str, options: dict[str, Any], kind: str, count: int, first: tuple[str, str] | None) -> None:
    source = read_source(DATA / folder, **options)
    assert (source.format, source.count, source.refused) == (kind, count, [])
    assert isinstance(source.items[0], LabelledImage)
    assert first is None or (source.items[0].name, source.items[0].text) == first


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, ["AB.png", "sub/CD.png"])
    forbid(tmp_path / "sub", monkeypatch)
    source = read_source(tmp_path)
    assert pairs(source) == {"AB.png": "AB"}
    assert source.refused == [Refused("sub", "the folder cannot be read: Permission denied")]


def test_signs_that_are_ignored(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["51F-882.70.png"])
    assert pairs(read_source(tmp_path, ignore="-.")) == {"51F-882.70.png": "51F88270"}
    write_pictures(tmp_path, ["51F-882.png"])
    assert pairs(read_source(tmp_path, labels="names", ignore="-."))["51F-882.png"] == "51F882", "no running number"
