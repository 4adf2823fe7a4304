"""Label files that are damaged, stale or say two things: a picture is never given another text in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.data.labels.sources import Source, read_source
from detector.errors import SourceError
from tests.builders import pairs, write_pictures


def read(folder: Path, files: dict[str, str], pictures: list[str]) -> Source:
    """Read label files with these contents, by name, beside some pictures."""
    write_pictures(folder, pictures)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return read_source(folder)


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
