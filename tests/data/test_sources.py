"""File names as labels, how label files are chosen, and which of their images are taken."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.data.labels.label_texts import Spelling
from detector.data.labels.prelabels import READING_COLUMNS
from detector.data.labels.sources import (
    FORMATS,
    LabelledImage,
    Refused,
    Source,
    absolute_labels,
    given_options,
    read_source,
)
from detector.data.text_files import write_csv
from detector.errors import SourceError
from detector.text.detections import Reading
from tests.builders import forbid, label_file, label_files, labelled_folder, pairs, write_pictures

DATA = Path(__file__).parents[3] / "shared" / "data"


def reasons(source: Source) -> dict[str, str]:
    return {refused.name: refused.reason for refused in source.refused}


NAMES: dict[str, tuple[str, str | None, str]] = {
    "plain": ("AB12.png", None, "AB12"),
    "running number after _": ("AB12_7.png", None, "AB12"),
    "running number after -": ("AB12-0.jpg", None, "AB12"),
    "copy of a file": ("AB12 (2).png", None, "AB12"),
    "copy of a copy, by Windows": ("AB12 - Copy - Copy (2).png", None, "AB12"),
    "copy, by macOS": ("AB12 copy 3.png", None, "AB12"),
    "copy, by Linux": ("AB12 (copy).png", None, "AB12"),
    "copy, by hand": ("AB12-copy.png", None, "AB12"),
    "copy of a numbered file, in German": ("AB12_3 - Kopie.png", None, "AB12"),
    "copy of": ("Copy of AB12.png", None, "AB12"),
    "a text that is a copy's word": ("copy.png", None, "copy"),
    "a text that ends in one": ("CARBON COPY.png", None, "CARBON COPY"),
    "escapes of an address": ("A%C3%84%2012%20%282%29.png", None, "AÄ 12"),
    "no escapes of an address": ("50%41%2F%C3.png", None, "50%41%2F%C3"),
    "two endings": ("AB12.JPG.png", None, "AB12"),
    "one running number only": ("AB-12-3.png", None, "AB-12"),
    "letters are no running number": ("AB_C.png", None, "AB_C"),
    "nothing before the number": ("_12.png", None, "_12"),
    "digits alone": ("0012.png", None, "0012"),
    "dots": ("A.B.png", None, "A.B"),
    "space stand-in": ("AB_CD.png", "_", "AB CD"),
    "the stand-in is no running number": ("AB_12.png", "_", "AB 12"),
    "stand-in and running number": ("AB_12-3.png", "_", "AB 12"),
    "stand-in -": ("AB-12_3.png", "-", "AB 12"),
    "stand-in at both ends": ("_AB_.png", "_", " AB"),
    "stand-in of two characters": ("AB--12.png", "--", "AB 12"),
    "another stand-in": ("A~B_2.png", "~", "A B"),
    "a space as it is, copy of a file": ("A B (2).png", " ", "A B"),
    "Unicode, decomposed": ("京A\u0308.png", None, "京Ä"),
}


@pytest.mark.parametrize(("name", "space", "text"), NAMES.values(), ids=NAMES.keys())
def test_names(tmp_path: Path, name: str, space: str | None, text: str) -> None:
    source = read_source(write_pictures(tmp_path, ["deep/er/" + name]), space=space)
    assert (source.format, source.label_file) == ("names", None)
    assert pairs(source) == {"deep/er/" + name: text}


def test_names_say_what_they_took_for_running_numbers(tmp_path: Path) -> None:
    source = read_source(write_pictures(tmp_path, ["AB-1234.png", "CD.png"]))
    assert "1 end in a running number that is no text ('AB-1234' is 'AB')" in source.detail


def test_names_say_what_they_took_for_no_part_of_a_text(tmp_path: Path) -> None:
    source = read_source(write_pictures(tmp_path, ["AB12.png", "AB12-copy.png", "CD%2034.png"]))
    assert "2 have what programs add to names ('AB12-copy' is 'AB12')" in source.detail


PLATES = ["51F-88270.png", "51F-01234.png", "30A-37715.png", "30A-00412.png", "29A-86594.png"]


def test_digits_that_nobody_counted_with_are_not_taken_for_running_numbers(tmp_path: Path) -> None:
    write_pictures(tmp_path, PLATES)
    with pytest.raises(
        SourceError, match=r"more than one way: is '29A-86594' the text '29A'.*ignore='-'.*labels='names'"
    ):
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


def test_a_declared_space_begins_no_hash(tmp_path: Path) -> None:
    write_pictures(tmp_path, [f"{text}_{number}.png" for text in ("AB", "BB") for number in (12345678, 12353597)])
    assert pairs(read_source(tmp_path, space="_"))["AB_12345678.png"] == "AB 12345678"
    one = tmp_path / "one"
    write_pictures(one, [f"AB_{number}.png" for number in (12345678, 12353597, 12353598, 2)])
    assert pairs(read_source(one, space="_"))["AB_2.png"] == "AB 2"


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
    "spaces at the end": ("AB  ", None, False, "AB"),
    "inner spaces": ("A  B", None, False, "A  B"),
    "spaces at the start": (" AB", None, False, " AB"),
    "line ends of all kinds at the end": ("AB\u2028\x85\x0c\r\n", None, False, "AB"),
    "a line end inside": ("A\u2028B", None, False, "A\u2028B"),
    "spaces only": ("  ", None, False, ""),
    "stand-in at the start": ("_AB_ ", "_", False, " AB"),
    "plain spaces around a stand-in": (" _AB", "_", False, " AB"),
    "stand-ins only": ("__", "_", False, ""),
    "a space for a stand-in": (" A", " ", False, " A"),
    "upper": ("aß1", None, True, "ASS1"),
    "the stand-in goes before upper case": ("axb", "x", True, "A B"),
    "composed": ("e\u0301", None, False, "é"),
}


@pytest.mark.parametrize(("raw", "space", "upper", "text"), LABEL_TEXTS.values(), ids=LABEL_TEXTS.keys())
def test_label_text(raw: str, space: str | None, upper: bool, text: str) -> None:
    assert Spelling(space, upper)(raw) == text


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


def test_options_are_kept_for_any_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_pictures(tmp_path / "pictures", ["a.png"])
    label_file(folder, "of.csv", "image,text\na.png,AB\n")
    for name in ("here.csv", "auto", "csv"):
        label_file(tmp_path, name, "image,text\na.png,CD\n")
    monkeypatch.chdir(tmp_path)
    kept = {name: absolute_labels(name) for name in ("auto", "csv", "of.csv", "here.csv")}
    assert kept == {"auto": "auto", "csv": "csv", "of.csv": "of.csv", "here.csv": str(tmp_path / "here.csv")}
    monkeypatch.chdir(folder.parent.parent)
    assert [read_source(folder, labels=kept[name]).items[0].text for name in ("of.csv", "here.csv")] == ["AB", "CD"]
    given = given_options({"labels": "auto", "space": "_", "upper": False, "ignore": "", "visual_order": True})
    assert given == {"space": "_", "visual_order": True}


def test_a_label_file_elsewhere(tmp_path: Path) -> None:
    label_file(tmp_path / "lists", "val.csv", "image,text\na.png,L\nb.png,M\n", images=("a.png",))
    write_pictures(tmp_path / "pictures", ["a.png", "b.png"])
    source = read_source(tmp_path / "pictures", labels=tmp_path / "lists" / "val.csv")
    assert [item.path for item in source.items] == [tmp_path / "pictures" / "a.png", tmp_path / "pictures" / "b.png"]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_label_file_s_name_that_two_files_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[str | Path]
) -> None:
    """The working directory's was taken for that of the source."""
    here, there = tmp_path / "labels.csv", tmp_path / "p" / "labels.csv"
    label_file(tmp_path, "labels.csv", "image,text\na.png,CWD\n")
    label_file(there.parent, "labels.csv", "image,text\na.png,P\n", ("a.png",))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        read_source("p", labels=kind("labels.csv"))
    assert f"may be {here} or {there}. Say labels='{here}' or labels='{there}'." in str(caught.value)
    for said, text in ((str(here), "CWD"), (str(there), "P"), ("p/labels.csv", "P")):
        source = read_source("p", labels=kind(said))
        assert [item.text for item in source.items] == [text]
        assert source.detail.startswith(f"{here if text == 'CWD' else there} (csv")
    assert read_source("p", labels="./labels.csv").items[0].text == "CWD"
    assert read_source(".", labels=kind("labels.csv")).items[0].text == "CWD", "which is one file"
    here.unlink()
    assert read_source("p", labels=kind("labels.csv")).items[0].text == "P"
    there.unlink()
    (tmp_path / "p" / "other.csv").write_text("image,text\na.png,O\n", encoding="utf-8")
    with pytest.raises(SourceError, match="there is no such file"):
        read_source("p", labels=kind("labels.csv"))


def two_that_disagree(folder: Path) -> None:
    label_file(folder, "train.csv", "image,text\na.png,A\nb.png,B\n")
    label_file(folder, "val.csv", "image,text\nb.png,C\n")


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


def readings_only(folder: Path) -> None:
    numbered(folder)
    (folder / "list.csv").write_text("picture,reading kWh\n000001.png,4798\n000002.png,21812\n", encoding="utf-8")


def table(text: str) -> Callable[[Path], None]:
    """Numbered pictures, and beside them a table that does not say which column is what."""

    def build(folder: Path) -> None:
        numbered(folder)
        (folder / "meters.csv").write_text(text, encoding="utf-8")

    return build


NOT_UNDERSTOOD: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "two label files": (two_that_disagree, ["train.csv (csv", "val.csv (csv", "labels=", "Choose one", "'B'", "'C'"]),
    "empty folder": (lambda folder: None, ["no files at all", "Accepted:"]),
    "no images": (only_other_files, ["2 files (1 .md, 1 .zip)", "Accepted:"]),
    "numbered images": (numbered, ["8 files (8 .png)", "running numbers ('000001'", "Accepted:", "labels='names'"]),
    "images of a camera": (camera, ["running number", "labels='names'"]),
    "long names": (uuids, ["they are long"]),
    "boxes only": (boxes_only, ["boxes.csv has no known text column", "text_column='NAME'", "running numbers"]),
    "a column of another name": (
        readings_only,
        ["its columns are 'picture', 'reading kWh'", "text_column='reading kWh'"],
    ),
    "two columns of other names": (
        table("Datei;Stand;Tag\n000001.png;4798;1\n"),
        ["no known image column and no known text column", "image_column='NAME' and text_column='NAME'"],
    ),
    "a title above the header": (
        table("Meters in March;;\n;;\nimage;text;day\n000001.png;4798;1\n"),
        ["its columns are 'Meters in March'", "delete what stands above"],
    ),
    "three columns and no header": (
        table("000001.png;4798;1\n000002.png;21812;1\n"),
        ["'000001.png' is a picture: put a line with the columns' names before it"],
    ),
    "pictures that are formulas": (
        table('image;text\n"=HYPERLINK(""000001.png"")";4798\n'),
        ["meters.csv: none of its pictures is there", "no such file: =HYPERLINK", "line 2"],
    ),
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


IDS = ("137470", "990298", "159298", "196033", "476084")
TYPED = ("ABC1234", "XY98Z", "KLM77", "B4C5D6", "QQ12")


def rows_of(template: str) -> str:
    """A line for each of these pictures and texts."""
    return "".join(template.format(name, text) + "\n" for name, text in zip(IDS, TYPED, strict=True))


UNREAD: dict[str, tuple[str, str | bytes, str]] = {
    "columns of other names": ("daten.csv", "bild;kennzeichen\n" + rows_of("{}.png;{}"), "no known image column"),
    "without endings": ("daten.csv", "bild;kennzeichen\n" + rows_of("{};{}"), "no known image column"),
    "a text's of another name": ("d.csv", "filename,number\n" + rows_of("x/{}.PNG,{}"), "text_column='number'"),
    "two columns of texts": ("d.csv", "filename,label,text\n" + rows_of("{}.png,car,{}"), "2 columns that may be"),
    "three columns, no header": ("gt.txt", rows_of("{}.png,{},1.0"), "no column of images"),
    "UTF-16": ("d.csv", ("filename,text\n" + rows_of("{}.png,{}")).encode("utf-16"), "is UTF-16: save it as UTF-8"),
    "UTF-16 without a mark": ("d.csv", ("filename,text\n" + rows_of("{}.png,{}")).encode("utf-16-le"), "is UTF-16"),
    "cp1252": ("d.csv", ("filename,text\n" + rows_of("{}.png,{}Ä")).encode("cp1252"), "0xc4 is not UTF-8"),
    "a list of some": ("d.csv", "Bild;Text\n137470.png;ABC1234\n", "no known image column"),
    "JSON of another kind": ("d.json", "{\n" + rows_of('"{}.png": {{"a": "{}"}},') + '"x": {}}', "JSON"),
    "a spreadsheet": ("d.xlsx", b"PK\x03\x04aaaa", "save it as CSV"),
    "a spreadsheet that is called CSV": ("d.csv", b"PK\x03\x04aaaa", "save it as CSV"),
    "below": ("x/daten.csv", "bild;kennzeichen\n" + rows_of("{}.png;{}"), "no known image column"),
    "readings": (
        "p.csv",
        ",".join(READING_COLUMNS) + "\n" + rows_of("{}.png,{},1,,,,"),
        "labels only where you say so",
    ),
}


@pytest.mark.parametrize(("name", "content", "reason"), UNREAD.values(), ids=UNREAD)
def test_names_are_no_labels_beside_a_table_of_the_pictures_that_cannot_be_read(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    """The pictures' ids became their labels."""
    folder = tmp_path / "pictures"
    label_file((folder / name).parent, Path(name).name, content, tuple(f"{picture}.png" for picture in IDS))
    with pytest.raises(SourceError, match=r"takes the names of the pictures all the same") as caught:
        read_source(folder)
    assert Path(name).name in str(caught.value) and reason in str(caught.value)
    assert sorted(pairs(read_source(folder, labels="names")).values()) == sorted(IDS)


BOXES = {
    "images": [{"id": i, "file_name": f"{name}.png"} for i, name in enumerate(IDS)],
    "annotations": [{"id": i, "image_id": i, "category_id": 0, "bbox": [0, 0, 8, 8]} for i in range(len(IDS))],
    "categories": [{"id": 0, "name": "plate"}],
}
UNRELATED: dict[str, tuple[str, str | bytes]] = {
    "a log": ("log.csv", "time,event\n" + rows_of("2024-01-01 10:00,saved {}.png as {}")),
    "prose": (
        "README.txt",
        "Plates of one camera.\n\nSay, 137470.png, 990298.png\nand more.\n" + "More, and more.\n" * 5,
    ),
    "prose in cp1252": ("lies.txt", "Schilder; für alle\nFragen: Müller\n".encode("cp1252")),
    "another table": ("costs.csv", "month,sum\n1,137\n2,990\n"),
    "a list of names": ("train.txt", rows_of("./images/{0}.png")),
    "a list of texts": ("texts.txt", rows_of("{0}")),
    "boxes of plates": ("_annotations.coco.json", json.dumps(BOXES)),
    "a state": ("fileState.txt", rows_of("x/{}.png\t1")),
    "an archive of the pictures": ("all.zip", b"PK\x03\x04\n137470.png\n"),
    "thumbnails": ("Thumbs.db", b"\xd0\xcf\x11\xe0\n137470.png\n"),
}


@pytest.mark.parametrize(("name", "content"), UNRELATED.values(), ids=UNRELATED)
def test_names_are_read_beside_files_that_list_no_labels(tmp_path: Path, name: str, content: str | bytes) -> None:
    label_file(tmp_path, name, content, tuple(f"{picture}.png" for picture in IDS))
    assert sorted(pairs(read_source(tmp_path)).values()) == sorted(IDS)


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


CONSTANT: dict[str, tuple[dict[str, list[str]], str | None]] = {
    "a folder a text": ({"x/labels.csv": ["AB"] * 5, "y/labels.csv": ["CD"] * 4, "z/labels.csv": ["EF"]}, ""),
    "folders of lists of other names": ({"x/list.csv": ["AB"] * 5, "y/list.csv": ["CD", "EF"]}, ""),
    "all of one text": ({"x/labels.csv": ["AB"] * 5}, ""),
    "states of all pictures": ({"plates.csv": ["AB", "CD", "EF", "GH"], "state.csv": ["done"] * 4}, "state.csv"),
    "states of more pictures": ({"plates.csv": ["AB", "CD", "EF"], "state.csv": ["done"] * 4}, None),
}


@pytest.mark.parametrize(("tables", "passed_over"), CONSTANT.values(), ids=CONSTANT)
def test_files_with_one_text_are_left_out_only_where_others_have_their_pictures(
    tmp_path: Path, tables: dict[str, list[str]], passed_over: str | None
) -> None:
    texts: dict[str, str] = {}
    for table_name, of_table in tables.items():
        folder = (tmp_path / table_name).parent
        names = [f"{i}.png" for i in range(len(of_table))]
        rows = "".join(f"{name},{text}\n" for name, text in zip(names, of_table, strict=True))
        label_file(folder, Path(table_name).name, f"image,text\n{rows}", tuple(names))
        if table_name != passed_over:
            texts |= {
                (folder / name).relative_to(tmp_path).as_posix(): t for name, t in zip(names, of_table, strict=True)
            }
    if passed_over is None:
        with pytest.raises(SourceError, match=r"' in plates\.csv, 'done' in state\.csv"):
            read_source(tmp_path)
        return
    source = read_source(tmp_path)
    assert pairs(source) == texts
    assert source.detail.partition("; passed over: ")[2] == passed_over


def test_parts_of_which_one_has_one_text_are_both_read(tmp_path: Path) -> None:
    label_file(tmp_path, "train.csv", "image,text\na.png,AB\nb.png,CD\n")
    rows = "".join(f"{i}.png,EF\n" for i in range(4))
    label_file(tmp_path, "val.csv", f"image,text\n{rows}", tuple(f"{i}.png" for i in range(4)))
    assert len(pairs(read_source(tmp_path))) == 6


def readings(folder: Path, kind: str, texts: dict[str, str]) -> Path:
    """What ``detector predict`` writes of pictures."""
    file = folder / f"predictions.{kind}"
    if kind == "csv":
        write_csv(file, READING_COLUMNS, [(name, text, "0.31", "", "", "", "") for name, text in texts.items()])
    else:
        plain = [{"image": name, **Reading(text, 0.31, ()).to_dict()} for name, text in texts.items()]
        file.write_text("".join(f"{json.dumps(fields)}\n" for fields in plain), encoding="utf-8")
    return file


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_readings_are_labels_only_where_somebody_says_so(tmp_path: Path, kind: str) -> None:
    """They replaced the label file of which they had all texts, and more."""
    label_file(tmp_path, "plates.csv", "image,text\na.png,AB\nb.png,CD\n", ("a.png", "b.png", "c.png"))
    texts = {"a.png": "AB", "b.png": "CD", "c.png": "XX"}
    file = readings(tmp_path, kind, texts)
    source = read_source(tmp_path)
    assert pairs(source) == {"a.png": "AB", "b.png": "CD"}
    assert (source.unlisted, f"passed over: {file.name}" in source.detail) == (1, True)
    for path, labels in ((tmp_path, file), (file, "auto")):
        source = read_source(path, labels=labels)
        assert pairs(source) == texts
        assert len(source.notes) == 1 and "are readings of `detector predict`" in source.notes[0]
    (tmp_path / "plates.csv").unlink()
    with pytest.raises(
        SourceError, match=r"predictions\.\w+ has readings of `detector predict`.*labels='.*predictions\."
    ):
        read_source(tmp_path, labels=kind)
    for name, text in texts.items():
        (tmp_path / name).with_suffix(".gt.txt").write_text(text[::-1], encoding="utf-8")
    assert pairs(read_source(tmp_path)) == {"a.png": "BA", "b.png": "DC", "c.png": "XX"}


def test_a_damaged_labels_csv_is_not_passed_over(tmp_path: Path) -> None:
    label_file(tmp_path, "labels.csv", "image,text\na.png,A\n".encode("utf-16"))
    label_file(tmp_path, "train.csv", "image,text\na.png,B\n")
    for labels in ("auto", "csv"):
        with pytest.raises(SourceError, match=r"labels.csv is UTF-16.*goes before other label files.*train.csv"):
            read_source(tmp_path, labels=labels)
    assert pairs(read_source(tmp_path, labels=tmp_path / "train.csv")) == {"a.png": "B"}
    (tmp_path / "labels.csv").rename(tmp_path / "labels.txt")  # which may be a list of classes
    assert pairs(read_source(tmp_path)) == {"a.png": "B"}


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


def test_a_folder_that_cannot_be_read_is_refused_beside_label_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a file beside each picture, and with label files in folders below."""
    for root, contents in (("beside", {"a.gt.txt": "AB"}), ("below", {"train/labels.csv": "image,text\na.png,AB\n"})):
        pictures = ["a.png", "val/b.png"] if root == "beside" else ["train/a.png", "val/b.png"]
        texts_in(tmp_path / root, contents, pictures)
        forbid(tmp_path / root / "val", monkeypatch)
        source = read_source(tmp_path / root)
        assert [*pairs(source).values()] == ["AB"]
        assert source.refused == [Refused("val", "the folder cannot be read: Permission denied")]


NAMES_AS_SPELT = [" a.png", "b .png", "c\u2028d.png", "e\x85f.png", "g..png", "\u00a0h.png"]


def test_names_are_found_as_they_are_spelt(tmp_path: Path) -> None:
    """Blanks around a name, other signs that end lines, a dot at the end."""
    lines = "".join(f"{name},{text}\n" for name, text in zip(NAMES_AS_SPELT, "ABCDEF", strict=True))
    source = texts_in(tmp_path, {"labels.csv": f"image,text\n{lines} plain.png ,X\n"}, [*NAMES_AS_SPELT, "plain.png"])
    assert pairs(source) == dict(zip([*NAMES_AS_SPELT, "plain.png"], "ABCDEFX", strict=True))


def test_signs_that_are_ignored(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["51F-882.70.png"])
    assert pairs(read_source(tmp_path, ignore="-.")) == {"51F-882.70.png": "51F88270"}
    write_pictures(tmp_path, ["51F-882.png"])
    assert pairs(read_source(tmp_path, labels="names", ignore="-."))["51F-882.png"] == "51F882", "no running number"


# --- several label files, other folders, other machines --------------------------------------------------------------


def texts_in(folder: Path, contents: dict[str, str], pictures: list[str]) -> Source:
    return read_source(label_files(folder, contents, pictures))


COUNTED = [f"{split}/{i:06d}.png" for split in ("train", "val") for i in range(5)]
TRAIN = "file_name,text\n" + "".join(f"{i:06d}.png,T{i}\n" for i in range(5))
VAL = TRAIN.replace(",T", ",V")


@pytest.mark.parametrize("name", ["metadata.csv", "labels.csv", "x.txt", "metadata.jsonl"])
def test_folders_that_count_from_0_have_the_texts_of_their_label_files(tmp_path: Path, name: str) -> None:
    train, val = TRAIN, VAL
    if name == "x.txt":
        train, val = (text.split("\n", 1)[1].replace(",", "\t") for text in (TRAIN, VAL))
    elif name == "metadata.jsonl":
        train, val = (
            "".join(f'{{"file_name": "{i:06d}.png", "text": "{kind}{i}"}}\n' for i in range(5)) for kind in "TV"
        )
    source = texts_in(tmp_path, {f"train/{name}": train, f"val/{name}": val}, COUNTED)
    assert pairs(source) == {path: f"{path[0].upper()}{int(path[-10:-4])}" for path in COUNTED}
    assert source.label_files == (tmp_path / "train" / name, tmp_path / "val" / name) and source.searched


@pytest.mark.parametrize(
    "names",
    [
        COUNTED,
        [f"{split}/{i}.png" for split in ("a", "b") for i in range(1, 5)],
        [f"{i:05d}.png" for i in (3, 17, 80, 99, 41)],
        [f"{folder}/{i}.png" for folder in "abc" for i in range(10, 13)],
        [f"{text}/{i}.png" for text in ("AB12", "CD34", "EF56") for i in (1, 2)],
    ],
    ids=["in each folder", "from 1", "zeros lead", "through each", "two in each folder"],
)
def test_numbers_are_not_taken_for_texts_in_any_folder(tmp_path: Path, names: list[str]) -> None:
    write_pictures(tmp_path, names)
    with pytest.raises(SourceError, match="they are running numbers"):
        read_source(tmp_path)


CODES = ("AB12", "CD34", "42", "GH78", "7007")
ADDED: dict[str, tuple[str, str]] = {
    "a number and a point": ("{number}. {code}", "begin with running numbers"),
    "a number with zeros": ("{number:03d}_{code}", "begin with running numbers"),
    "a number and a space": ("{number} {code}", "begin with running numbers"),
    "a number in brackets": ("({number}){code}", "begin with running numbers"),
    "a word": ("plate_{code}", "begin with 'plate_'"),
    "a date": ("2026-11-{number:02d}_{code}", "have dates beside their texts"),
    "a date at the end": ("{code}_202611{number:02d}", "have dates beside their texts"),
    "a date and a time": ("{code} 2026.11.{number:02d} 14.30", "have dates beside their texts"),
    "a time without a mark": ("{code}-20261129143{number:03d}", "have dates beside their texts"),
}


@pytest.mark.parametrize(("template", "says"), ADDED.values(), ids=ADDED.keys())
def test_what_programs_put_before_texts_is_not_text(template: str, says: str, tmp_path: Path) -> None:
    """Nor is the text of digits a running number after it."""
    write_pictures(tmp_path, [f"{template.format(number=n, code=code)}.png" for n, code in enumerate(CODES, 1)])
    with pytest.raises(SourceError, match=says):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("numbers", "texts"),
    {
        "some of many": (["0003_", "0040_", "0077_", "0114_", "0151_"], None),
        "seconds": (["1732890123_", "1732890200_", "1732890277_", "1732890354_", "1732890431_", "1732890508_"], None),
        "as random as texts": (["7310-", "0815-", "9244-", "4711-", "5120-", "8006-"], 6),
    }.values(),
)  # fmt: skip
def test_numbers_in_front_that_are_small_for_their_digits(
    numbers: list[str], texts: int | None, tmp_path: Path
) -> None:
    letters = ("AB", "CD", "EF", "GH", "IJ", "KL")
    write_pictures(tmp_path, [f"{number}{code}.png" for number, code in zip(numbers, letters, strict=False)])
    if texts is None:
        with pytest.raises(SourceError, match="begin with running numbers"):
            read_source(tmp_path)
    else:
        assert len(read_source(tmp_path).items) == texts


def test_dates_that_are_texts(tmp_path: Path) -> None:
    names = ["2026-11-29", "2027-01-31_1", "20270401_2", "2028.02.29"]
    source = read_source(write_pictures(tmp_path, [f"{name}.png" for name in names]))
    assert sorted(pairs(source).values()) == ["2026-11-29", "2027-01-31", "20270401", "2028.02.29"]


@pytest.mark.parametrize("mark", ["#", "~", "@", " "])
def test_numbers_that_count_through_all_names_are_no_text(mark: str, tmp_path: Path) -> None:
    codes = ("AB12", "CD34", "EF56", "GH78")
    write_pictures(tmp_path, [f"{code}{mark}{n}.png" for n, code in enumerate(codes, 1)])
    assert sorted(pairs(read_source(tmp_path)).values()) == [*codes]


@pytest.mark.parametrize("names", [["51-AB", "29-CD", "30-EF", "61-GH"], ["B-A1", "B-C2", "B-E3", "B-G4"]])
def test_parts_of_texts_that_nobody_counted_are_text(names: list[str], tmp_path: Path) -> None:
    write_pictures(tmp_path, [f"{name}.png" for name in names])
    assert sorted(pairs(read_source(tmp_path)).values()) == sorted(names)


def test_digits_that_are_texts_are_taken_in_folders_too(tmp_path: Path) -> None:
    names = [f"{folder}/{code}.png" for folder, code in zip("aabb", ("4711", "0815", "4242", "9001"), strict=True)]
    assert len(read_source(write_pictures(tmp_path, names)).items) == 4


@pytest.mark.parametrize("names", [("train.csv", "val.csv"), ("labels.csv", "labels.txt")], ids=str)
def test_several_label_files_are_read_together(tmp_path: Path, names: tuple[str, str]) -> None:
    tab = "b.png\tB\n" if names[1].endswith("txt") else "image,text\nb.png,B\n"
    source = texts_in(tmp_path, {names[0]: "image,text\na.png,A\nc.png,\n", names[1]: tab}, ["a.png", "b.png", "c.png"])
    assert pairs(source) == {"a.png": "A", "b.png": "B"}
    assert source.refused == [Refused("c.png", f"the label is empty ({names[0]}, line 3)")]
    assert all(name in source.detail for name in names) and source.unlisted == 0


def test_a_file_whose_lines_another_one_has_is_passed_over(tmp_path: Path) -> None:
    contents = {"all.csv": "image,text\na.png,A\nb.png,B\n", "part.csv": "image,text\nb.png,B\n"}
    source = texts_in(tmp_path, contents, ["a.png", "b.png"])
    assert (pairs(source), source.refused) == ({"a.png": "A", "b.png": "B"}, [])
    assert "passed over: part.csv" in source.detail


PATHS: dict[str, tuple[str, list[str], str | None]] = {
    "another machine's root": (r"C:\Users\X\plates\train\ab_0.jpg", ["train/ab_0.jpg"], "train/ab_0.jpg"),
    "a path of another system": ("/content/drive/My Drive/x/12.jpg", ["12.jpg"], "12.jpg"),
    "another letter case": ("img0.jpg", ["IMG0.JPG"], "IMG0.JPG"),
    "another case of a folder": ("Train/a.png", ["train/A.png"], "train/A.png"),
    "an address": ("https://x.org/set/a%20b.png?size=1", ["a b.png"], "a b.png"),
    "without ending": ("00017", ["train/00017.png"], "train/00017.png"),
    "the longer end of two": ("x/val/a.png", ["train/a.png", "val/a.png"], "val/a.png"),
    "in a folder below": ("a.png", ["train/a.png"], "train/a.png"),
    "two that end so": ("a.png", ["x/a.png", "y/a.png"], None),
    "of another split": ("train/a.png", ["val/a.png"], None),
    "two cases": ("a.png", ["A.png", "a.PNG"], None),
    "no such name": ("b.png", ["a.png"], None),
    "another ending": ("a.jpg", ["a.png"], None),
}


@pytest.mark.parametrize(("listed", "there", "found"), PATHS.values(), ids=PATHS.keys())
def test_paths_of_other_machines(tmp_path: Path, listed: str, there: list[str], found: str | None) -> None:
    source = texts_in(tmp_path, {"list.csv": f"image,text\n{listed},AB\nsure.png,CD\n"}, [*there, "sure.png"])
    if found is None:
        assert pairs(source) == {"sure.png": "CD"} and source.notes == ()
        assert source.refused[0].reason.startswith("no such file: ")
    else:
        assert pairs(source) == {found: "AB", "sure.png": "CD"}
        assert len(source.notes) == 1 and source.notes[0].startswith("1 of 2 paths in list.csv were found ")
        assert found in source.notes[0] and source.searched


def test_a_file_is_not_guessed_for_two_paths(tmp_path: Path) -> None:
    listed = "image,text\nx/1.png,A\ny/1.png,B\n2.png,C\nz/2.png,D\n"
    source = texts_in(tmp_path, {"list.csv": listed}, ["1.png", "2.png"])
    assert pairs(source) == {"2.png": "C"}
    assert [refused.name for refused in source.refused] == ["x/1.png", "y/1.png", "z/2.png"]
    assert "and so do other listed paths" in source.refused[0].reason


def test_a_label_file_of_one_split_does_not_label_another_split_s_pictures(tmp_path: Path) -> None:
    source = texts_in(tmp_path, {"val/metadata.csv": TRAIN, "test/labels.csv": "image,text\n0.png,X\n"},
                      ["train/000000.png", "val/000001.png", "test/0.png"])  # fmt: skip
    assert pairs(source) == {"test/0.png": "X", "val/000001.png": "T1"}


def test_pictures_of_folders_without_labels_are_counted(tmp_path: Path) -> None:
    source = texts_in(tmp_path, {"train/metadata.csv": TRAIN}, COUNTED)
    assert (len(source.items), source.unlisted) == (5, 5)


def test_boxes_of_other_pictures_in_folders_are_no_lists(tmp_path: Path) -> None:
    """A text file for each picture, in a folder of their own: thousands of them are not named one by one."""
    texts = {f"labels/{name}.txt": "0 .5 .5 .1 .1\n" for name in ("AB", "CD", "EF", "GH", "IJ")}
    source = texts_in(tmp_path, texts, [f"images/{name}.png" for name in ("AB", "CD", "EF", "GH", "IJ")])
    assert pairs(source)["images/AB.png"] == "AB" and source.detail.count(".txt") == 1


def test_a_file_of_other_things_does_not_hide_the_names(tmp_path: Path) -> None:
    contents = {"config.json": '{"name": "x", "kind": "y"}', "prices.csv": "id,label\n1,a\n2,b\n"}
    source = texts_in(tmp_path, contents, ["AB12.png", "CD34.png"])
    assert pairs(source) == {"AB12.png": "AB12", "CD34.png": "CD34"}
    assert "passed over" in source.detail


RUNNING: dict[str, tuple[list[str], list[str]]] = {
    "after a dot": (["AB12", "AB12.1", "AB12.2", "CD34", "CD34.1"], ["AB12", "AB12", "AB12", "CD34", "CD34"]),
    "after a tilde": (["AB~1", "AB~2", "CD~1"], ["AB", "AB", "CD"]),
    "after a space": (["AB 1", "AB 2", "CD 1"], ["AB", "AB", "CD"]),
    "in square brackets": (["AB[1]", "AB[2]", "CD[1]"], ["AB", "AB", "CD"]),
    "with gaps, after a dot": (["A1", "A1.3", "A1.7", "B2.2", "B2"], ["A1", "A1", "A1", "B2", "B2"]),
    "decimals": (["12.4", "13.7", "11.9", "88.2"], ["12.4", "13.7", "11.9", "88.2"]),
    "plates with a dot": (["51F-882.70", "51F-012.34", "30A-377.15"], ["51F-882.70", "51F-012.34", "30A-377.15"]),
    "texts with spaces": (["AB 12", "AB 34", "CD 56", "AB 78"], ["AB 12", "AB 34", "CD 56", "AB 78"]),
    "the same tail": (["33019.0", "68514.0", "98786.0"], ["33019", "68514", "98786"]),
    "thousands": (["33,000", "12,000", "5,000", "1,001"], ["33,000", "12,000", "5,000", "1,001"]),
    "thousands after a space": (["33 000", "12 000", "5 000"], ["33 000", "12 000", "5 000"]),
    "Roboflow": (
        ["51F88270_jpg.rf.5bc8fbbcbde5c0994164d8399f767c45", "AB12_1_png.rf.Xy5bc8fbbcbde5c"], ["51F88270", "AB12"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("stems", "texts"), RUNNING.values(), ids=RUNNING.keys())
def test_running_numbers_after_any_mark(tmp_path: Path, stems: list[str], texts: list[str]) -> None:
    source = read_source(write_pictures(tmp_path, [f"{stem}.png" for stem in stems]))
    assert pairs(source) == {f"{stem}.png": text for stem, text in zip(stems, texts, strict=True)}


# --- the cases that are handed around --------------------------------------------------------------------------------

CASES = Path(__file__).parents[3] / "shared" / "cases"
LABELLED_CASES: dict[str, tuple[int, str, str, int]] = {
    "split_folders_distinct": (30, "val/000000.jpg", "29A51796", 0),
    "tesseract_gt": (24, "eng_0.jpg", "51F88270", 0),
    "ppocrlabel_folder": (24, "crop_img/1_crop_0.jpg", "60A39951", 0),
    "ppocrlabel_det": (24, "plates/1.jpg", "60A39951", 0),
    "json_dict": (24, "0001.jpg", "60A39951", 0),
    "space_separated_txt": (24, "img1.jpg", "60A39951", 0),
    "kaggle_ids": (24, "train/00001.jpg", "60A39951", 1),
    "fpo_csv_two": (24, "val_images/5.jpg", "51F88270", 0),
    "excel_sep": (24, "Bild 1.JPG", "60A39951", 1),
    "windows_abs": (24, "train/60A39951_1.jpg", "60A39951", 1),
    "case_mismatch": (24, "IMG1.JPG", "60A39951", 1),
    "roboflow_names": (24, "train/images/51F15380_jpg.rf.ebb679b4d2d0d09720e469aace595c72.jpg", "51F15380", 0),
    "roboflow_annotations_csv": (24, "c0_png.rf.5bc8fbbcbde5c0994164d8399f767c45.png", "33019", 0),
    "pandas_float": (24, "0.png", "33019", 2),
    "captcha_ds_dot_number": (80, "51A01204.4.jpg", "51A01204", 0),
    "zeros_lost": (48, "0.png", "5813", 1),
    "full_width": (24, "1.jpg", "60A39951", 1),
    "invisible_short": (36, "1.png", "68514", 1),
    "arabic_logical": (60, "1.png", "\u0635\u0633\u064a\u0648", 1),
    "cr": (60, "images/0000001.png", "QPYTXKVM", 0),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="shared/cases is not on this machine")
@pytest.mark.parametrize("case", LABELLED_CASES)
def test_cases(case: str) -> None:
    count, name, text, notes = LABELLED_CASES[case]
    source = read_source(CASES / case)
    assert (len(source.items), pairs(source)[name], len(source.notes)) == (count, text, notes)
    assert [refused.name for refused in source.refused] == (["mis\rsing.png"] if case == "cr" else [])
    assert all((item.boxes_xyxy is not None) == (case == "roboflow_annotations_csv") for item in source.items)
