"""Label files that are damaged, stale or say two things: a picture is never given another text in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.data.labels.label_texts import Spelling, notes_on
from detector.data.labels.remedies import what_takes_most
from detector.data.labels.sources import Source, read_source
from detector.errors import SourceError
from detector.text.alphabet import Alphabet
from tests.builders import label_files, pairs, write_pictures


def read(folder: Path, files: dict[str, str], pictures: list[str]) -> Source:
    """Read label files with these contents, by name, beside some pictures."""
    return read_source(label_files(folder, files, pictures))


def reasons(source: Source) -> dict[str, str]:
    return {refused.name: refused.reason for refused in source.refused}


LISTS_OF_DELETED = {
    "listed with its folder": ("labels.csv", "day1/"),
    "beside its list": ("day1/labels.csv", ""),
    "listed on another machine": ("labels.csv", "/home/x/plates/day1/"),
    "listed in another letter case": ("labels.csv", "Day1/"),
}


@pytest.mark.parametrize(("name", "folder"), LISTS_OF_DELETED.values(), ids=LISTS_OF_DELETED)
def test_another_folder_s_picture_does_not_take_the_label_of_a_deleted_one(
    tmp_path: Path, name: str, folder: str
) -> None:
    rows = f"image,text\n{folder}1.png,AB\n{folder}2.png,CD\n"
    source = read(tmp_path, {name: rows}, ["day1/2.png", "day2/1.png"])
    assert pairs(source) == {"day1/2.png": "CD"}
    (reason,) = reasons(source).values()
    assert reason.startswith("no such file: ") and "day2/1.png ends so, and lies in another folder" in reason


def test_a_picture_below_the_folder_that_is_listed_is_found(tmp_path: Path) -> None:
    rows = "image,text\nimages/1.png,AB\nimages/2.png,CD\n"
    source = read(tmp_path, {"labels.csv": rows}, ["images/2.png", "images/new/1.png"])
    assert pairs(source) == {"images/new/1.png": "AB", "images/2.png": "CD"}


def test_label_files_that_contradict_each_other_are_named_with_their_folders(tmp_path: Path) -> None:
    files = {f"{folder}/labels.csv": f"image,text\n../1.png,{text}\n" for folder, text in (("a", "AB"), ("b", "CD"))}
    with pytest.raises(SourceError, match=r"1.png is 'AB' in a/labels.csv, 'CD' in b/labels.csv"):
        read(tmp_path, files, ["1.png"])


BOXES = "{} 0.2 0.5 0.1 0.5\n{} 0.6 0.5 0.1 0.5\n"

CLASS_FILES: dict[str, tuple[dict[str, str], str]] = {
    "an empty line": ({"classes.txt": "A\nB\n\nC\nD\n\n"}, "the class 2 of 2.txt has no name"),
    "a space": ({"classes.txt": "A\nB\n \nC\nD\n"}, "the class 2 of 2.txt has no name"),
    "two files": (
        {"data.yaml": "names: [A, B, C, C, D]\n", "classes.txt": "A\nB\nX\nC\nD\n"},
        "the class 2 of 2.txt is 'C' in data.yaml and 'X' in classes.txt: correct one of them",
    ),
}


@pytest.mark.parametrize(("files", "reason"), CLASS_FILES.values(), ids=CLASS_FILES)
def test_yolo_classes_are_numbered_by_all_lines_of_all_files(
    tmp_path: Path, files: dict[str, str], reason: str
) -> None:
    labels = {"1.txt": BOXES.format(0, 3), "2.txt": BOXES.format(0, 2), "3.txt": BOXES.format(4, 1)}
    source = read(tmp_path, files | labels, ["1.png", "2.png", "3.png"])
    assert pairs(source) == {"1.png": "AC", "3.png": "DB"}
    assert reasons(source) == {"2.png": reason}


def test_a_category_of_coco_with_two_names_is_none(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]},
            {"image_id": 2, "category_id": 2, "bbox": [0, 0, 5, 5]},
        ],
        "categories": [{"id": 1, "name": "A"}, {"id": 1, "name": "B"}, *[{"id": 2, "name": "C"}] * 2],
    }
    source = read(tmp_path, {"x.json": json.dumps(content)}, ["1.png", "2.png"])
    assert pairs(source) == {"2.png": "C"}
    assert reasons(source) == {"1.png": "the category 1 is 'A' and 'B': give each an id of its own (line 1)"}


REPEATED_KEYS = {
    "of a map": (
        "x.json",
        '{"1.png": "AB", "1.png": "CD", "2.png": "EF", "2.png": "EF"}',
        "1.png",
        "listed with different labels: 'AB' and 'CD'",
    ),
    "of JSON lines": (
        "x.jsonl",
        '{"image": "2.png", "text": "EF", "text": "EF"}\n{"image": "1.png", "text": "AB", "text": "CD"}\n',
        "1.png",
        "'text' is there twice, 'AB' and 'CD' (line 2)",
    ),
    "of JSON lines, the picture": (
        "x.jsonl",
        '{"image": "2.png", "text": "EF"}\n{"image": "1.png", "image": "2.png", "text": "CD"}\n',
        "x.jsonl:2",
        "'image' is there twice, '1.png' and '2.png' (line 2)",
    ),
    "of objects in a list": (
        "x.json",
        '[{"image": "2.png", "text": "EF"}, {"image": "1.png", "text": "AB", "text": "CD"}]',
        "1.png",
        "'text' is there twice, 'AB' and 'CD' (line 2)",
    ),
}


@pytest.mark.parametrize(("name", "content", "refused", "reason"), REPEATED_KEYS.values(), ids=REPEATED_KEYS)
def test_a_key_with_two_values_is_none_of_them(
    tmp_path: Path, name: str, content: str, refused: str, reason: str
) -> None:
    source = read(tmp_path, {name: content}, ["1.png", "2.png"])
    assert pairs(source) == {"2.png": "EF"}
    assert [words for of, words in reasons(source).items() if of == refused and words.startswith(reason)]


def test_columns_of_json_are_joined_by_the_names_of_rows(tmp_path: Path) -> None:
    columns = {"image": {"7": "1.png", "9": "2.png"}, "text": {"9": "CD", "7": "AB"}}
    source = read(tmp_path, {"x.json": json.dumps(columns)}, ["1.png", "2.png"])
    assert pairs(source) == {"1.png": "AB", "2.png": "CD"}


JSON_OF_TABLES: dict[str, str] = {
    "a map of objects": '{"1.png": {"text": "AB"}, "2.png": {"text": "CD"}}',
    "a map of lists": '{"1.png": ["AB"], "2.png": ["CD"]}',
    "by row": '{"0": {"image": "1.png", "text": "AB"}, "1": {"image": "2.png", "text": "CD"}}',
    "split": '{"columns": ["image", "text"], "index": [0, 1], "data": [["1.png", "AB"], ["2.png", "CD"]]}',
    "split, many rows": '{"columns": ["text", "n", "image"], "index": [0, 1, 2, 3], "data": [["AB", 1, "1.png"], '
    '["CD", 2, "2.png"], ["EF", "3.png"], null]}',
}


@pytest.mark.parametrize("content", JSON_OF_TABLES.values(), ids=JSON_OF_TABLES)
def test_maps_and_tables_in_json_are_told_apart(tmp_path: Path, content: str) -> None:
    assert pairs(read(tmp_path, {"x.json": content}, ["1.png", "2.png", "3.png"])) == {"1.png": "AB", "2.png": "CD"}


def test_columns_of_json_that_are_not_known_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its columns are 'bild', 'schild'"):
        read(
            tmp_path,
            {"x.json": '{"bild": ["1.png", "2.png"], "schild": ["AB", "CD"]}'},
            ["1.png", "2.png", "3.png", "4.png"],
        )


NUMBERS = [f"{number}" for number in range(123456, 923456, 100000)]

ZEROS: dict[str, tuple[list[str], bool]] = {
    "two shorter": ([*NUMBERS, "4567", "56789"], True),
    "two shorter, one longer": ([*NUMBERS, "4567", "56789", "1234567"], True),
    "two shorter, one with letters": ([*NUMBERS, "4567", "56789", "AB123"], True),
    "two shorter among many with letters": ([*NUMBERS, "4567", "56789", *(f"AB{i}C" for i in range(30))], True),
    "zeros are there": ([*NUMBERS, "4567", "012345"], False),
    "one longer alone": ([*NUMBERS, "1234567"], False),
    "shorter ones have letters": ([*NUMBERS, "AB1", "CD2"], False),
    "lengths of all kinds": ([text[: 1 + at % 6] for at, text in enumerate(NUMBERS * 2)], False),
}


@pytest.mark.parametrize(("texts", "is_said"), ZEROS.values(), ids=ZEROS)
def test_lost_zeros_are_told_whatever_other_labels_there_are(texts: list[str], is_said: bool) -> None:
    notes = notes_on(texts, Spelling())
    assert any("2 of" in note and "did a spreadsheet take leading zeros" in note for note in notes) is is_said
    assert bool(notes) is is_said


def test_what_databases_and_spreadsheets_leave_is_told_or_refused() -> None:
    (nulls, dates) = notes_on(["AB12", "NULL", "None", "1-Mar", "Dec-99", "2024-03-01 00:00:00", "MAR-41"], Spelling())
    assert nulls.startswith("2 of 7 labels are what databases") and "'NULL'" in nulls
    assert dates.startswith("3 of 7 labels are spelt as dates, as '1-Mar'")
    assert all(Spelling().problem(raw) for raw in ("<NA>", "\\N", "1.00E-05", "1e-05", "1.2E+10"))
    assert not any(Spelling().problem(raw) for raw in ("NA", "N", "5E-12", "A1E-05"))


def test_no_option_is_advised_that_makes_texts_of_dates() -> None:
    dates = ["1-Mar", "2-Mar", "Dec-99", "Nov-41"] * 5
    assert what_takes_most([*dates, *("ABC1234",) * 20], Alphabet(), 8) == ""
    assert what_takes_most(["12 Mar 24", "13 May 24", "4 Dec 25"], Alphabet(), 9) != ""  # meant so
    assert what_takes_most(["M-AB 12", "B-XY 3", "HH-K 44", "K-LM 5"], Alphabet(), 8) != ""


SHIFTED = {
    "a decimal comma": ("image,text,note\n1.png,12,5,\n2.png,99,\n3.png,7,x\n", ["2.png", "3.png"]),
    "under no name": ("image,text,\n1.png,12,5\n2.png,99,\n3.png,7,\n", ["2.png", "3.png"]),
    "a delimiter after all rows": (
        "image,text,note\n1.png,12,a,\n2.png,99,b,\n3.png,7,,\n",
        ["1.png", "2.png", "3.png"],
    ),
    "delimiters after the texts": ("image,text\n1.png,12,\n2.png,99\n3.png,7,,\n", ["1.png", "2.png", "3.png"]),
    "numbers of rows": (",image,text,note\n0,1.png,12,a\n1,2.png,99,\n2,3.png,7,\n", ["1.png", "2.png", "3.png"]),
}


@pytest.mark.parametrize(("content", "read_names"), SHIFTED.values(), ids=SHIFTED)
def test_rows_whose_fields_are_shifted_are_refused(tmp_path: Path, content: str, read_names: list[str]) -> None:
    source = read(tmp_path, {"x.csv": content}, ["1.png", "2.png", "3.png"])
    texts = {"1.png": "12", "2.png": "99", "3.png": "7"}
    assert pairs(source) == {name: texts[name] for name in read_names}
    assert all("put quotes around a text that holds ','" in reason for reason in reasons(source).values())


def test_readings_with_a_decimal_as_names_are_no_running_numbers(tmp_path: Path) -> None:
    write_pictures(tmp_path, [f"{degrees}.{tenths}.png" for degrees in (36, 37, 38) for tenths in range(10)])
    with pytest.raises(SourceError, match=r"can be read in more than one way: is '36.0' the text '36'"):
        read_source(tmp_path)
    assert read_source(tmp_path, ignore=".").items[0].text == "360"


def test_readings_that_nobody_could_have_counted_are_read(tmp_path: Path) -> None:
    names = ["36.5", "37.4", "35.8", "39.9"]
    assert sorted(pairs(read_source(write_pictures(tmp_path, [f"{name}.png" for name in names]))).values()) == sorted(
        names
    )


def test_a_sign_of_addresses_in_a_name_that_is_there_is_the_name_s(tmp_path: Path) -> None:
    listed = "image,text\n/data/plates/AB#1.png,AB1\n/data/plates/CD%201.png,CD1\n"
    source = read(tmp_path, {"labels.csv": listed}, ["AB#1.png", "AB.png", "CD%201.png", "CD 1.png"])
    assert pairs(source) == {"AB#1.png": "AB1", "CD%201.png": "CD1"}


@pytest.mark.parametrize(
    "stale", [{"a.gt.txt": "OLD"}, {"a.json": '{"shapes": [{"label": "OLD", "points": [[0, 0], [1, 1]]}]}'}], ids=str
)
def test_a_stale_file_of_another_format_does_not_go_before_complete_ones(tmp_path: Path, stale: dict[str, str]) -> None:
    source = read(tmp_path, {"a.txt": "AB", "b.txt": "CD", "c.txt": "EF"} | stale, ["a.png", "b.png", "c.png"])
    assert (source.format, pairs(source)) == ("txt", {"a.png": "AB", "b.png": "CD", "c.png": "EF"})


def test_a_file_beside_two_pictures_is_the_label_of_neither(tmp_path: Path) -> None:
    source = read(tmp_path, {"a.txt": "AB", "b.txt": "CD"}, ["a.png", "a.jpg", "b.png"])
    assert pairs(source) == {"b.png": "CD"}
    assert {name: words[:37] for name, words in reasons(source).items()} == {
        "a.png": "a.txt may be the label of a.jpg, too:",
        "a.jpg": "a.txt may be the label of a.png, too:",
    }


@pytest.mark.parametrize("words", [["cam1_"], ["plate-"], ["cam1_", "cam2_"], ["CAM_"]], ids=str)
def test_no_option_is_advised_that_makes_texts_of_the_word_before_them(words: list[str]) -> None:
    texts = [f"{words[at % len(words)]}{'ABCDEFGHKL'[at % 10]}CA{4117 + 7 * at}" for at in range(40)]
    assert what_takes_most(texts, Alphabet(), 8) == ""
    assert "ignore" in what_takes_most([f"KEH-AB {number}" for number in range(17, 900, 40)], Alphabet(), 8)
