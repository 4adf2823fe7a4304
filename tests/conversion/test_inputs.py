"""Which labels are accepted, and the alphabet that is taken from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detector.conversion.inputs import Inputs, accept, alphabet_of_accepted
from detector.conversion.settings import Settings
from detector.data.atomic import ResumeFolder
from detector.data.labels.sources import read_source
from detector.errors import SourceError
from detector.text.alphabet import DEFAULT_SYMBOLS, Alphabet
from tests.builders import labelled_folder


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
    "too long": (["AB12", "CD34", "unreadable plate!"], "ABCD1234", "leaves no room for its 17", "alphabet="),
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
