"""Which labels are accepted, and the alphabet that is taken from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detector.conversion.inputs import Inputs, accept, alphabet_of_accepted, assign_splits
from detector.conversion.settings import Settings
from detector.data.folders.resume_folder import ResumeFolder
from detector.data.labels.sources import read_source
from detector.errors import SourceError
from detector.text.alphabet import DEFAULT_SYMBOLS, Alphabet
from tests.builders import labelled_folder, write_pictures


def accepted(
    folder: Path, texts: list[str], symbols: str | None, pattern: str | None = None, length: int = 8
) -> Inputs:
    """What becomes of pictures with these texts; "auto" symbols where there are None."""
    labelled_folder(folder, {f"{i}.png": text for i, text in enumerate(texts)})
    found = read_source(folder)
    table = alphabet_of_accepted(found, length, pattern) if symbols is None else Alphabet(symbols)
    work = ResumeFolder.open(folder / "work", {})
    return accept(found, Settings(table, length, pattern), work, lambda *_: None)


AUTO: dict[str, tuple[list[str], str | None, str]] = {
    "all": (["AB12", "CD34"], None, "1234ABCD"),
    "one too long": (["AB12", "CD34", "unreadable plate!"], None, "1234ABCD"),
    "one that does not fit": (["AB12", "CD34", "??"], "XX99", "1234ABCD"),
    "an invisible sign": (["AB12", "\u200eCD34"], None, "1234ABCD"),
    "a sign that is no letter's": (["AB12", "C\u060034"], None, "12AB"),
    "a few marks": ([*["AB12", "CD34"] * 10, "E\u0325"], None, "1234ABCD"),
    "a control character": (["AB12", "C\t34"], None, "12AB"),
}


@pytest.mark.parametrize(("texts", "pattern", "symbols"), AUTO.values(), ids=AUTO.keys())
def test_an_alphabet_is_taken_from_what_is_accepted(
    tmp_path: Path, texts: list[str], pattern: str | None, symbols: str
) -> None:
    labelled_folder(tmp_path, {f"{i}.png": text for i, text in enumerate(texts)})
    assert alphabet_of_accepted(read_source(tmp_path), 8, pattern).symbols == symbols


def test_files_that_yolo_does_not_read_give_no_symbols(tmp_path: Path) -> None:
    labelled_folder(tmp_path, {"a.png": "AB", "b.gif": "XY"})
    assert alphabet_of_accepted(read_source(tmp_path), 8, None).symbols == "AB"


def test_pictures_that_cannot_be_decoded_give_no_symbols(tmp_path: Path) -> None:
    labelled_folder(tmp_path, {"a.png": "AB", "b.png": "XY", "c.png": "BA", "gone.png": "Z"}, missing=["gone.png"])
    (tmp_path / "images" / "b.png").write_bytes(b"no picture")
    assert alphabet_of_accepted(read_source(tmp_path), 8, None).symbols == "AB"
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(SourceError, match=r"no label is left to take an alphabet from; .*no such file"):
        (tmp_path / "images" / "c.png").write_bytes(b"")
        alphabet_of_accepted(read_source(tmp_path), 8, None)


def test_a_set_of_letters_with_marks_is_refused_in_words(tmp_path: Path) -> None:
    labelled_folder(tmp_path, {f"{i}.png": f"M{'Q' * i}\u0325" for i in range(5)})
    with pytest.raises(SourceError, match=r"5 of 5 labels, as .*, have combining marks.* as one code point"):
        alphabet_of_accepted(read_source(tmp_path), 8, None)


ADVICE: dict[str, tuple[list[str], str, str, str]] = {
    "plates": (["51F-88270", "30A-01234", "29B-37715"], DEFAULT_SYMBOLS, "ignore='-' leaves out", ""),
    "counted": (["AB12", "AB12.1", "AB12.2", "CD34"], DEFAULT_SYMBOLS, "running number and not text", "ignore="),
    "a few with a tail": (["AB12", "CD34", "EF56", "GH78.5", "IJ90"], DEFAULT_SYMBOLS, "running number", "ignore="),
    "too long": (["AB12", "CD34", "unreadable plate!"], "ABCD1234", "it also has 17 symbols, more than 8", "alphabet="),
    "decimals": (["12.5", "13.7", "11.9"], "0123456789", "ignore='.' leaves out", ""),
}


@pytest.mark.parametrize(("texts", "symbols", "says", "never"), ADVICE.values(), ids=ADVICE.keys())
def test_advice_looks_at_all_labels(tmp_path: Path, texts: list[str], symbols: str, says: str, never: str) -> None:
    try:
        reasons = [row.reason for row in accepted(tmp_path, texts, symbols).rejects]
    except SourceError as error:
        reasons = [str(error)]
    assert reasons and all(says in reason for reason in reasons)
    assert not never or not any(never in reason for reason in reasons)


def test_drawn_boxes_stay_with_their_picture(tmp_path: Path) -> None:
    labelled_folder(tmp_path, {"a.png": "A B", "b.png": "CD"})
    (tmp_path / "boxes.csv").write_text("image,char,x1,y1,x2,y2\nimages/a.png,A,1,1,4,7\nimages/a.png,B,8,1,12,7\n")
    found = read_source(tmp_path)
    work = ResumeFolder.open(tmp_path / "work", {})
    inputs = accept(found, Settings(Alphabet(), 8), work, lambda *_: None)
    drawn = {item.name: item.boxes_xyxy for item in inputs.items}
    np.testing.assert_array_equal(drawn["images/a.png"], [[1, 1, 4, 7], [8, 1, 12, 7]])
    assert drawn["images/b.png"] is None


def test_boxes_drawn_on_a_larger_picture_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labelled_folder(tmp_path, {"a.png": "AB", "b.png": "CD"})
    (tmp_path / "boxes.csv").write_text(
        "image,char,x1,y1,x2,y2\nimages/a.png,A,1,1,4,7\nimages/a.png,B,8,1,12,7\n"
        "images/b.png,C,2,2,8,7\nimages/b.png,D,16,2,22,7\n"
    )
    work = ResumeFolder.open(tmp_path / "work", {})
    inputs = accept(read_source(tmp_path), Settings(Alphabet(), 8), work, lambda *_: None)
    assert [item.name for item in inputs.items if item.boxes_xyxy is not None] == ["images/a.png"]
    assert "drawn boxes of 1 picture lie outside, as of images/b.png" in caplog.text


def test_pre_labels_are_learnt_and_judge_nothing(tmp_path: Path) -> None:
    person = {f"{i}.png": f"A{i:02}" for i in range(40)}
    sure = {f"s{i}.png": f"B{i:02}" for i in range(40)} | {f"t{i}.png": f"A{i:02}" for i in range(40)}
    write_pictures(tmp_path, [*person, *sure], size_wh=(40, 20))
    rows = [f"{name},{text},1,person" for name, text in person.items()]
    rows += [f"{name},{text},0.9,sure" for name, text in sure.items()]
    (tmp_path / "labels.csv").write_text("image,text,confidence,status\n" + "\n".join(rows), encoding="utf-8")
    work = ResumeFolder.open(tmp_path / "work", {})
    inputs = accept(read_source(tmp_path), Settings(Alphabet(DEFAULT_SYMBOLS), 8), work, lambda *_: None)
    by_reader = [item for item in inputs.items if item.confidence is not None]
    assert {inputs.split[item.text] for item in by_reader} == {"train"}
    alone = assign_splits(set(person.values()), 0.1, 0.2)
    assert {text: inputs.split[text] for text in alone} == alone, "pre-labels move no label of a person"
    held_out = [name for name, text in sure.items() if alone.get(text, "train") != "train"]
    assert {row.source for row in inputs.rejects} == {*held_out} != set()
    assert all("is the text of a held-out picture" in row.reason for row in inputs.rejects)


@pytest.mark.parametrize(("same", "kept"), [("person", []), ("sure", ["0.png"])])
def test_of_the_same_picture_a_person_is_believed(tmp_path: Path, same: str, kept: list[str]) -> None:
    names = ["0.png", "1.png", "2.png", "3.png"]
    write_pictures(tmp_path, names, size_wh=(40, 20))
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes())
    rows = ["0.png,AB,1,person", f"1.png,CD,0.9,{same}", "2.png,EF,1,person", "3.png,GH,1,person"]
    (tmp_path / "labels.csv").write_text("image,text,confidence,status\n" + "\n".join(rows), encoding="utf-8")
    work = ResumeFolder.open(tmp_path / "work", {})
    inputs = accept(read_source(tmp_path), Settings(Alphabet(DEFAULT_SYMBOLS), 8), work, lambda *_: None)
    assert [item.name for item in inputs.items] == [*kept, "2.png", "3.png"]
    assert inputs.rejects[0].reason == "the same picture is labelled differently: AB, CD"


def test_pre_labels_need_texts_of_a_person(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.png", "c.png"], size_wh=(40, 20))
    rows = "a.png,AB,1,person\nb.png,CD,0.9,sure\nc.png,EF,0.9,sure\n"
    (tmp_path / "labels.csv").write_text("image,text,confidence,status\n" + rows, encoding="utf-8")
    work = ResumeFolder.open(tmp_path / "work", {})
    with pytest.raises(SourceError, match="3 pictures have labels, 1 of them a person's text"):
        accept(read_source(tmp_path), Settings(Alphabet(DEFAULT_SYMBOLS), 8), work, lambda *_: None)
