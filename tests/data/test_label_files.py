"""Every format of label files, every kind of bad line, and the law that no input is lost."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.labels.formats.model import HEAD_BYTES, MAX_BESIDE_BYTES
from detector.data.labels.sources import read_source
from detector.errors import SourceError
from tests.builders import label_file, pairs, write_pictures

AB = {"a.png": "007", "b.png": "XY"}

LABEL_FILES: dict[str, tuple[str, str | bytes, str]] = {
    "csv image,text": ("labels.csv", "image,text\na.png,007\nb.png,XY\n", "csv"),
    "csv image_path,plate_text": ("labels.csv", "image_path,plate_text\na.png,007\nb.png,XY\n", "csv"),
    "csv filename,label": ("train.csv", "filename,label\na.png,007\nb.png,XY", "csv"),
    "csv, odd case and spaces in the header": ("x.csv", "File Name,Ground-Truth\na.png,007\nb.png,XY\n", "csv"),
    "csv, text first, further columns": ("x.csv", "id,words,path\n1,007,a.png\n2,XY,b.png\n", "csv"),
    "csv, semicolons": ("x.csv", "image;text\na.png;007\nb.png;XY\n", "csv"),
    "csv, tabs": ("x.csv", "image\ttext\na.png\t007\nb.png\tXY\n", "csv"),
    "csv, BOM and CRLF": ("x.csv", b"\xef\xbb\xbfimage,text\r\na.png,007\r\nb.png,XY\r\n", "csv"),
    "csv, CR alone": ("x.csv", "image,text\ra.png,007\rb.png,XY\r", "csv"),
    "csv, quotes": ("x.csv", '"image","text"\n"a.png","007"\n"b.png","XY"\n', "csv"),
    "csv, a space after each comma": ("x.csv", 'image, text\na.png, 007\nb.png, "XY"\n', "csv"),
    "csv, a space after commas but in the header": ("x.csv", "image,text\na.png, 007\nb.png, XY\n", "csv"),
    "csv, a space after each comma of the header": ("x.csv", "image, text\na.png,007\nb.png,XY\n", "csv"),
    "csv, empty lines": ("x.csv", "\nimage,text\n\na.png,007\n\n\nb.png,XY\n\n", "csv"),
    "csv, empty fields at the end": ("x.csv", "image,text\na.png,007,\nb.png,XY,,\n", "csv"),
    "csv without header": ("x.csv", "a.png,007\nb.png,XY\n", "csv"),
    "csv without header, text first": ("x.csv", "007,a.png\nXY,b.png\n", "csv"),
    "csv in a txt": ("x.txt", "image,text\na.png,007\nb.png,XY\n", "csv"),
    "tsv": ("x.tsv", "image\ttext\na.png\t007\nb.png\tXY\n", "tsv"),
    "tsv without header": ("x.tsv", "a.png\t007\nb.png\tXY\n", "tsv"),
    "tsv in a txt": ("x.txt", "image\ttext\na.png\t007\nb.png\tXY\n", "tsv"),
    "jsonl": ("x.jsonl", '{"image": "a.png", "text": "007"}\n{"text": "XY", "image": "b.png"}\n', "jsonl"),
    "jsonl, other keys": (
        "x.ndjson",
        '{"File_Name": "a.png", "GT": "007"}\r\n{"File_Name": "b.png", "GT": "XY"}',
        "jsonl",
    ),
    "paddleocr": ("rec_gt_train.txt", "a.png\t007\nb.png\tXY\n", "paddleocr"),
    "paddleocr, further fields": ("rec_gt.txt", "a.png\t007\t0.9\nb.png\tXY\t0.8\n", "paddleocr"),
    "labels.txt without images/": ("labels.txt", "a.png\t007\r\nb.png\tXY\r\n", "paddleocr"),
}


@pytest.mark.parametrize(("name", "content", "kind"), LABEL_FILES.values(), ids=LABEL_FILES.keys())
def test_label_files(tmp_path: Path, name: str, content: str | bytes, kind: str) -> None:
    label_file(tmp_path, name, content)
    by_folder = read_source(tmp_path)
    assert (by_folder.format, pairs(by_folder), by_folder.refused) == (kind, AB, [])
    assert by_folder.label_file == tmp_path / name
    assert name in by_folder.detail
    assert all(item.path.is_file() for item in by_folder.items)
    for again in (read_source(tmp_path / name), read_source(tmp_path, labels=kind), read_source(tmp_path, labels=name)):
        assert pairs(again) == AB


def test_dddd_looks_into_images_first(tmp_path: Path) -> None:
    label_file(tmp_path, "labels.txt", "a.png\tX Y\r\nsub/c.png\tAB\r\n", ("a.png", "images/a.png", "images/sub/c.png"))
    source = read_source(tmp_path)
    assert source.format == "dddd"
    assert pairs(source) == {"images/a.png": "X Y", "images/sub/c.png": "AB"}


def test_paddleocr_lists_of_images(tmp_path: Path) -> None:
    source = read_source(
        label_file(tmp_path, "rec_gt.txt", '["a.png", "b.png"]\tAB\n[c.png\tCD\n', ("a.png", "b.png", "[c.png"))
    )
    assert pairs(source) == {"a.png": "AB", "b.png": "AB", "[c.png": "CD"}


BAD_LINES: dict[str, tuple[str, str, str, str]] = {
    "missing file": ("labels.csv", "image,text\na.png,A\nc.png,B\n", "c.png", r"no such file: c.png.*\(line 3\)"),
    "folder above": ("labels.csv", "image,text\na.png,A\n../c.png,B\n", "../c.png", "no such file"),
    "NUL in a path": ("labels.csv", "image,text\na.png,A\nc\0/d.png,B\n", "c\0/d.png", "no such file"),
    "empty label": ("labels.csv", "image,text\na.png,A\nb.png,\n", "b.png", r"^the label is empty \(line 3\)$"),
    "no label": ("labels.csv", "image,text\na.png,A\nb.png\n", "b.png", "1 of 2 fields"),
    "no image": ("labels.csv", "image,text\na.png,A\n,B\n", "labels.csv:3", "no image is named"),
    "comma in a label": ("labels.csv", "image,text\na.png,A\nb.png,X,Y\n", "b.png", "put quotes"),
    "quote over lines": (
        "labels.csv",
        'image,text\na.png,A\nb.png,"X\nc.png,Y\n',
        "b.png",
        "opens in line 3 closes in line 4",
    ),
    "same line twice": (
        "labels.csv",
        "image,text\na.png,A\n./a.png,A\n",
        "a.png",
        r"^listed twice .*\(lines 2 and 3\)",
    ),
    "not JSON": ("x.jsonl", '{"image": "a.png", "text": "A"}\nnonsense\n', "x.jsonl:2", "not a JSON object"),
    "no text key": (
        "x.jsonl",
        '{"image": "a.png", "text": "A"}\n{"image": "b.png"}\n',
        "b.png",
        "'text' is not a string",
    ),
    "null image": (
        "x.jsonl",
        '{"image": "a.png", "text": "A"}\n{"image": null}\n',
        "x.jsonl:2",
        "'image' is not a string",
    ),
    "half a character": (
        "x.jsonl",
        '{"image": "a.png", "text": "A"}\n{"image": "b.png", "text": "\\ud800"}\n',
        "b.png",
        "Unicode",
    ),
    "no tab": ("gt.txt", "a.png\tA\nb.png\tB\nb.png B\n", "b.png B", "no tab"),
}


@pytest.mark.parametrize(("name", "content", "refused", "words"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_lines_are_refused(tmp_path: Path, name: str, content: str, refused: str, words: str) -> None:
    source = read_source(label_file(tmp_path, name, content))
    assert pairs(source)["a.png"] == "A"
    assert [r.name for r in source.refused] == [refused]
    assert re.search(words, source.refused[0].reason)
    source.refused[0].reason.encode("utf-8")


def test_spaces_at_the_start_of_fields(tmp_path: Path) -> None:
    """Kept where few labels have one, or in quotes; not where the file has one after its commas as a habit."""
    names = ("a.png", "b.png", "c.png")
    label_file(tmp_path, "few.csv", "image,text\na.png, A\nb.png,B\nc.png,C\n", names)
    label_file(tmp_path, "habit.csv", 'image,text\na.png, A\nb.png, " B"\nc.png,C\n', names)
    assert list(pairs(read_source(tmp_path / "few.csv")).values()) == [" A", "B", "C"]
    assert list(pairs(read_source(tmp_path / "habit.csv")).values()) == ["A", " B", "C"]


def test_a_wrong_byte_far_down_is_found(tmp_path: Path) -> None:
    content = b"image,text\n" + b"a.png,A\n" * 20_000 + b"a.png,\xff\n"
    label_file(tmp_path, "labels.csv", content)
    with pytest.raises(SourceError, match=r"labels.csv, line 20002: the byte 0xff is not UTF-8"):
        read_source(tmp_path)


def test_named_columns(tmp_path: Path) -> None:
    label_file(tmp_path, "labels.csv", "ref,image,label,text\na.png,x,1,AB\nb.png,y,2,CD\n")
    with pytest.raises(SourceError, match=r"2 columns that may be the text \('label', 'text'\).*text_column='NAME'"):
        read_source(tmp_path)
    source = read_source(tmp_path, text_column="TEXT", image_column="ref")
    assert pairs(source) == {"a.png": "AB", "b.png": "CD"}
    with pytest.raises(SourceError, match="no column 'nope'; its columns are 'ref', 'image'"):
        read_source(tmp_path, text_column="nope")


FIELDS = st.one_of(
    st.sampled_from(
        ["a.png", "./a.png", "b.png", r"sub\c.png", "sub/c.png", "missing.png", "", "[", '["a.png","b.png"]']
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=6),
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=8),
    kind=st.sampled_from(["csv", "jsonl", "paddleocr"]),
)
def test_every_line_is_an_item_or_refused(rows: list[tuple[str, str]], kind: str) -> None:
    """The law: inputs = items + refused, an item's name and path are unique, and its file exists."""
    rows = [("a.png", "FIRST"), *rows]
    inputs = len(rows)
    with tempfile.TemporaryDirectory() as name:
        folder = write_pictures(Path(name), ["a.png", "b.png", "sub/c.png"])
        if kind == "csv":
            quoted = [",".join('"' + field.replace('"', '""') + '"' for field in row) for row in rows]
            content = "\n".join(["image,text", *quoted])
        elif kind == "jsonl":
            content = "\n".join(json.dumps({"image": image, "text": text}) for image, text in rows)
        else:
            content = "\n".join(f"{image}\t{text}" for image, text in rows)
            several = sum(image == '["a.png","b.png"]' for image, _ in rows)
            inputs = sum(bool(f"{image}\t{text}".strip()) for image, text in rows) + several
        file = folder / "labels.any"
        file.write_bytes(content.encode())
        source = read_source(file, labels=kind)
        assert source.count == inputs
        assert (
            len({item.path for item in source.items}) == len({item.name for item in source.items}) == len(source.items)
        )
        assert all(item.path.is_file() and item.text == item.text.rstrip(" \t\r\n") != "" for item in source.items)
        assert all(refused.reason and refused.name for refused in source.refused)
        assert read_source(file, labels=kind) == source


def test_a_link_to_itself_does_not_hide_the_other_files(tmp_path: Path) -> None:
    label_file(tmp_path, "labels.csv", "image,text\na.png,A\nb.png,B\n")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert pairs(read_source(tmp_path)) == {"a.png": "A", "b.png": "B"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("labels.xlsx", b"PK\x03\x04\x14\x00", "spreadsheet or another archive: save it as CSV"),
        ("labels.csv", b"PK\x03\x04\x14\x00", "spreadsheet or another archive: save it as CSV"),
        ("labels.zip", b"PK\x03\x04\x14\x00", "is an archive: unpack it, and give the folder"),
        ("labels.txt", b"PAR1....", "is a Parquet file among pictures: shards lie in a folder of their own"),
        ("labels.txt", b"\x1f\x8b\x08", "is a compressed file: unpack it"),
        ("labels.tar", b"\0" * 257 + b"ustar", "is a tar file: unpack it, and give the folder"),
        ("labels.csv", "image,text\n".encode("utf-16-le"), "is UTF-16: save it as UTF-8, or `iconv -f utf-16le"),
        ("labels.csv", "image,text\n".encode("utf-16-be"), "is UTF-16: save it as UTF-8, or `iconv -f utf-16be"),
        ("labels.csv", "image,text\n".encode("utf-32"), "is UTF-32: save it as UTF-8"),
    ],
)
def test_files_that_are_no_label_files_say_what_to_do(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read_source(label_file(tmp_path, name, content) / name)


QUOTED_LINES: dict[str, tuple[str, dict[str, str]]] = {
    "a note": ('a.png;A;"one\ntwo; three"\r\nb.png;B;x\r\n', {"a.png": "A", "b.png": "B"}),
    "a line end after a text": ('a.png;"A\n";x\r\nb.png;B;x\r\n', {"a.png": "A", "b.png": "B"}),
    "a text": ('a.png;"A\nB";x\r\nb.png;B;x\r\n', {"b.png": "B"}),
    "a quote too many": ('a.png;A;"x\r\nb.png;B;y"\r\nc.png;C;z\r\n', {"c.png": "C"}),
    "a quote too many, a row of a folder": ('a.png;A;"x\r\nx\\b.png;B;"y"\r\nc.png;C;z\r\n', {"c.png": "C"}),
}


@pytest.mark.parametrize(("rows", "texts"), QUOTED_LINES.values(), ids=QUOTED_LINES)
def test_quoted_line_ends(rows: str, texts: dict[str, str], tmp_path: Path) -> None:
    """In notes they are notes; a row that a quote swallows is never lost in silence."""
    content = f"\ufeffimage;text;note\r\n{rows}".encode()
    source = read_source(label_file(tmp_path, "labels.csv", content, ("a.png", "b.png", "c.png")))
    assert pairs(source) == texts
    refused = len(texts) < 2
    assert [r.name for r in source.refused] == ["a.png"] * refused
    assert all("a quote that opens in line 2 closes in line 3" in r.reason for r in source.refused)


ENDLESS = {
    "labels.csv": "image,text\na.png,A\nb.png,",
    "labels.tsv": "image\ttext\na.png\tA\nb.png\t",
    "labels.txt": "a.png A\nb.png ",
    "labels.jsonl": '{"image": "a.png", "text": "A"}\n',
    "labels.xml": '<annotations><image name="a.png"><box label="',
}


@pytest.mark.parametrize(("name", "begins"), ENDLESS.items(), ids=ENDLESS)
def test_a_line_without_end_is_not_read(
    name: str, begins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector.data.labels.formats.model.MAX_LINE", HEAD_BYTES)
    monkeypatch.setattr("detector.data.labels.formats.cvat._MAX_TAG", HEAD_BYTES)
    label_file(tmp_path, name, begins + "x" * 2 * HEAD_BYTES)
    with pytest.raises(SourceError, match=rf"{name}.*more than {HEAD_BYTES} (characters|bytes)"):
        read_source(tmp_path)


def test_a_file_beside_a_picture_that_is_no_label_s_size(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "a.gt.txt").write_text("A\n")
    (tmp_path / "b.gt.txt").write_text("B" * (MAX_BESIDE_BYTES + 1))
    source = read_source(tmp_path)
    assert pairs(source) == {"a.png": "A"}
    assert "b.gt.txt cannot be read: 1 MB, and files of at most 1 MB are read" in source.refused[0].reason


def test_a_spreadsheet_beside_pictures_is_named(tmp_path: Path) -> None:
    label_file(tmp_path, "plates.xlsx", b"PK\x03\x04\x14\x00", tuple(f"{i:06}.png" for i in range(6)))
    with pytest.raises(SourceError, match=r"plates\.xlsx is a spreadsheet .* save it as CSV"):
        read_source(tmp_path)
