"""A person's decisions: what becomes of each one, that none is lost, and what is no decision."""

from __future__ import annotations

import csv
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.conversion import convert as conversion
from detector.conversion import set_folder
from detector.conversion.convert import convert
from detector.conversion.locating.locator import Locator
from detector.conversion.report import ConversionReport
from detector.conversion.review import Review, ReviewRow
from detector.data.labels.sources import LabelledImage, Source
from detector.data.sets.yolo_dataset import read_manifest
from detector.errors import DatasetError
from tests.builders import TOY_OPTIONS
from tests.conftest import Toy

HEADER = ["source", "text", "read", "confidence", "status", "decision", "corrected"]


def lines(root: Path) -> dict[str, dict[str, str]]:
    """The review by source, in its order."""
    with (root / "review.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        held = {row["source"]: row for row in reader}
    assert reader.fieldnames == HEADER
    return held


def decide(path: Path, *rows: tuple[str, ...], delimiter: str = ",", header: str = "source,decision,corrected") -> Path:
    """A review of some columns only, as a person may write one."""
    text = "\n".join([header.replace(",", delimiter), *(delimiter.join(row) for row in rows)])
    path.write_text(text + "\n", encoding="utf-8")
    return path


class Reviewed:
    """A copy of a set of the toy, and how to convert it again so that half of the pictures are suspects."""

    def __init__(self, root: Path, toy: Toy, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.source, self.root = toy.source, Path(shutil.copytree(root, folder / "set"))
        sure = sorted(float(row.confidence) for row in read_manifest(toy.root))
        monkeypatch.setattr(conversion, "MIN_CONFIDENCE", (sure[29] + sure[30]) / 2)
        self.located: list[int] = []
        real = Locator.locate

        def locate(locator: Locator, images: Any, labels: Any) -> Any:
            self.located.append(len(images))
            return real(locator, images, labels)

        monkeypatch.setattr(Locator, "locate", locate)

    def again(self, **more: Any) -> ConversionReport:
        self.located.clear()
        return convert(self.source, self.root, overwrite=True, **TOY_OPTIONS, **more)

    def rows(self) -> dict[str, Any]:
        return {row.source: row for row in read_manifest(self.root)}

    def rejects(self) -> list[list[str]]:
        with (self.root / "rejects.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))[1:]


@pytest.fixture(scope="module")
def with_suspects(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's set with the suspects; read-only."""
    with pytest.MonkeyPatch.context() as patch:
        made = Reviewed(toy.root, toy, tmp_path_factory.mktemp("suspects"), patch)
        made.again()
    assert made.located == []
    return made.root


@pytest.fixture
def reviewed(toy: Toy, with_suspects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    return Reviewed(with_suspects, toy, tmp_path, monkeypatch)


def test_suspects_are_listed_the_likeliest_errors_first(reviewed: Reviewed) -> None:
    rows, listed = reviewed.rows(), lines(reviewed.root)
    assert listed.keys() == {name for name, row in rows.items() if row.status == "suspect"} and len(listed) > 10
    for name, line in listed.items():
        assert [line[key] for key in HEADER[:5]] == [getattr(rows[name], key) for key in HEADER[:5]]
        assert (line["decision"], line["corrected"]) == ("", "")
    order = [(rows[name].seems_read, float(line["confidence"])) for name, line in listed.items()]
    assert order == sorted(order)


def test_an_accepted_picture_is_trained_on(reviewed: Reviewed) -> None:
    before = reviewed.rows()
    name = next(n for n, row in before.items() if row.status == "suspect" and row.split == "train")
    decide(reviewed.root / "review.csv", (name, "accept", ""))
    report = reviewed.again()
    row = reviewed.rows()[name]
    assert (row.status, row.image.split("/")[1], row.text) == ("ok", "train", before[name].text)
    assert reviewed.located == []
    waiting = [line for line in lines(reviewed.root).values() if not line["decision"]]
    assert report.to_review == len(waiting) == sum(r.status == "suspect" for r in reviewed.rows().values())


def test_a_corrected_picture_has_another_text_and_boxes_of_its_own(reviewed: Reviewed) -> None:
    before = reviewed.rows()
    name, row = next((n, r) for n, r in before.items() if " " not in r.text)
    text = row.text[:-1] + ("K" if row.text[-1] != "K" else "T")
    like = {r.text: r.split for r in before.values()}
    decide(reviewed.root / "review.csv", (name, " Correct ", text))
    reviewed.again()
    now = reviewed.rows()
    assert set(reviewed.located) == {1}, "that picture alone"
    assert (now[name].text, now[name].status) == (text, "ok")
    assert now[name].split == like.get(text, now[name].split)
    others = [(now[n], before[n]) for n in before if n != name]
    # How likely a label is wrong depends a little on how many of the set's are.
    assert [r._replace(confidence="") for r, _ in others] == [r._replace(confidence="") for _, r in others]
    assert all(abs(float(r.confidence) - float(old.confidence)) < 0.02 for r, old in others)
    reviewed.again()  # and its own boxes are kept as well
    assert reviewed.located == [] and reviewed.rows() == now


def test_corrections_spell_spaces_as_labels_do(reviewed: Reviewed) -> None:
    name = next(iter(reviewed.rows()))
    decide(reviewed.root / "review.csv", (name, "correct", "A_K_"))
    reviewed.again()
    assert reviewed.rows()[name].text == "A K"
    assert lines(reviewed.root)[name]["corrected"] == "A_K_"  # as it was written


def test_a_dropped_picture_is_refused(reviewed: Reviewed) -> None:
    name = next(iter(reviewed.rows()))
    decide(reviewed.root / "review.csv", (name, "drop", ""))
    report = reviewed.again()
    assert reviewed.rejects() == [[name, "dropped in review"]]
    assert name not in reviewed.rows() and lines(reviewed.root)[name]["status"] == "refused"
    assert report.refused == 1 and report.inputs == 60 == report.converted + report.suspects + report.refused


def test_decisions_stay_until_they_are_emptied(reviewed: Reviewed) -> None:
    first, second, third = list(reviewed.rows())[:3]
    path = reviewed.root / "review.csv"
    decide(path, (first, "drop", ""), (second, "correct", "KK"), (third, "accept", ""))
    reviewed.again()
    once = lines(reviewed.root)
    assert [once[n]["decision"] for n in (first, second, third)] == ["drop", "correct", "accept"]
    reviewed.again()
    assert lines(reviewed.root) == once
    path.write_text(path.read_text().replace(",drop,", ",,"))
    reviewed.again()
    assert first in reviewed.rows() and lines(reviewed.root).get(first, {}).get("decision", "") == ""
    # How likely a label is wrong depends a little on how many of the set's are.
    assert {**lines(reviewed.root)[second], "confidence": ""} == {**once[second], "confidence": ""}


def test_another_file_goes_before_the_set_s_own(reviewed: Reviewed, tmp_path: Path) -> None:
    first, second, third = list(reviewed.rows())[:3]
    decide(reviewed.root / "review.csv", (first, "drop", ""), (second, "drop", ""), (third, "drop", ""))
    mine = decide(tmp_path / "mine.csv", (first, "accept", ""), (second, "", ""))
    reviewed.again(review=mine)
    now = reviewed.rows()
    # An undecided line, as in an older review.csv, takes no decision away.
    assert first in now and reviewed.rejects() == [[name, "dropped in review"] for name in (second, third)]
    assert mine.read_text().startswith("source,decision")  # it is read, not written
    with pytest.raises(DatasetError, match=r"There is no .*nowhere.csv: give a review.csv"):
        reviewed.again(review=tmp_path / "nowhere.csv")


def test_a_first_conversion_takes_a_review_too(reviewed: Reviewed, tmp_path: Path) -> None:
    name = next(iter(reviewed.rows()))
    mine = decide(tmp_path / "mine.csv", (name, "drop", ""))
    convert(reviewed.source, tmp_path / "new", review=mine, **TOY_OPTIONS)
    assert name not in {row.source for row in read_manifest(tmp_path / "new")}
    assert lines(tmp_path / "new")[name]["decision"] == "drop"


def test_unknown_pictures_are_warned_of_and_their_decisions_kept(
    reviewed: Reviewed, caplog: pytest.LogCaptureFixture
) -> None:
    decide(reviewed.root / "review.csv", ("gone.png", "correct", "AZ"))  # Z is a symbol that the others do not have
    reviewed.again()
    assert "decisions about no labelled picture of the source: 1" in caplog.text
    assert "review.csv:2: 'gone.png'" in caplog.text
    line = lines(reviewed.root)["gone.png"]
    assert (line["status"], line["decision"], line["corrected"]) == ("missing", "correct", "AZ")


def test_an_accepted_label_that_has_changed_is_not_accepted(
    reviewed: Reviewed, caplog: pytest.LogCaptureFixture
) -> None:
    name = next(n for n, row in reviewed.rows().items() if row.status == "suspect")
    decide(reviewed.root / "review.csv", (name, "7777", "accept"), header="source,text,decision")
    reviewed.again()
    assert reviewed.rows()[name].status == "suspect"
    assert "'7777' was accepted, the label is" in caplog.text
    line = lines(reviewed.root)[name]  # it is to be decided on anew
    assert (line["text"], line["decision"]) == (reviewed.rows()[name].text, "")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_save_is_read(reviewed: Reviewed, delimiter: str) -> None:
    name = next(iter(reviewed.rows()))
    path = decide(reviewed.root / "review.csv", (name, "drop", ""), delimiter=delimiter)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    reviewed.again()
    assert name not in reviewed.rows()


BAD: dict[str, tuple[list[tuple[str, ...]], str]] = {
    "no decision of ours": ([("{0}", "acept", "")], r"review.csv:2: the decision 'acept' is none of accept, correct"),
    "nothing to correct to": ([("{0}", "drop", ""), ("{1}", "correct", " ")], "review.csv:3: .* corrected is empty"),
    "corrected, and not said so": ([("{0}", "", "AK")], r"review.csv:2: corrected is 'AK', and the decision is ''"),
    "unknown symbol": ([("{0}", "correct", "AKZ")], r"review.csv:2: the label 'AKZ' has 'Z', not in the alphabet"),
    "too long": ([("{0}", "correct", "AKAKA")], r"review.csv:2: the label 'AKAKA' has 5 symbols, more than 4"),
    "two minds": ([("{0}", "drop", ""), ("{0}", "accept", "")], r"review.csv:3: '.*' is decided otherwise in .*:2"),
    "no picture": ([("", "drop", "")], "review.csv:2: no source is named"),
    "all at once": ([("{0}", "x", ""), ("{1}", "y", "")], "review.csv:2: .*'x'.*; .*review.csv:3: .*'y'"),
}


@pytest.mark.parametrize(("rows", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_no_decision_is_named_with_its_line(reviewed: Reviewed, rows: list[tuple[str, ...]], says: str) -> None:
    names = list(reviewed.rows())
    before = (reviewed.root / "manifest.csv").read_bytes()
    path = decide(reviewed.root / "review.csv", *(tuple(cell.format(*names) for cell in row) for row in rows))
    written = path.read_bytes()
    with pytest.raises(DatasetError, match=says):
        reviewed.again()
    assert (path.read_bytes(), (reviewed.root / "manifest.csv").read_bytes()) == (written, before)


@pytest.mark.parametrize("length", [10, 200_000])
def test_a_quote_that_is_not_closed_is_named(reviewed: Reviewed, length: int) -> None:
    """It would swallow the lines after it."""
    names = list(reviewed.rows())
    rows = [(names[0], "drop", "", '"see'), (names[1], "drop", "", "x" * length), (names[2], "drop", "", "")]
    decide(reviewed.root / "review.csv", *rows, header="source,decision,corrected,note")
    with pytest.raises(DatasetError, match=r"review.csv.*quote"):
        reviewed.again()


def test_other_columns_are_named(reviewed: Reviewed) -> None:
    decide(reviewed.root / "review.csv", ("a", "b"), header="picture,verdict")
    with pytest.raises(DatasetError, match="has no column decision and source: the columns are source, text, read"):
        reviewed.again()


def test_edits_made_while_it_runs_are_not_overwritten(reviewed: Reviewed, caplog: pytest.LogCaptureFixture) -> None:
    first, second = list(reviewed.rows())[:2]
    path = decide(reviewed.root / "review.csv", (first, "drop", ""))

    def edit(stage: str, done: int, total: int) -> None:
        if stage == "write" and done == 1:
            decide(path, (first, "drop", ""), (second, "drop", ""))

    reviewed.again(progress=edit)
    assert second in reviewed.rows() and "was edited while this ran" in caplog.text
    with caplog.at_level(logging.INFO, "detector"):
        reviewed.again()
    assert second not in reviewed.rows() and "decisions taken up from the review: 2" in caplog.text


def test_edits_made_in_the_last_moment_are_not_lost(
    reviewed: Reviewed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spreadsheet saves while the set is put in place, after the earlier one was checked."""
    name = next(iter(reviewed.rows()))
    real = set_folder.check_replaceable

    def save_after(target: Path) -> None:
        real(target)
        if (target.with_name(f"{target.name}.part") / "manifest.csv").exists():
            decide(target / "review.csv", (name, "drop", ""))

    with monkeypatch.context() as patch:
        patch.setattr(set_folder, "check_replaceable", save_after)
        reviewed.again()
    assert f"{reviewed.root / 'review.csv'} was edited while this ran" in caplog.text
    reviewed.again()
    assert name not in reviewed.rows() and "drop" in (reviewed.root / "review.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(("corrected", "kept"), [("AX", True), ("A X", True), ("ABC", False)])
def test_drawn_boxes_stay_with_a_corrected_text_of_as_many_symbols(corrected: str, kept: bool) -> None:
    item = LabelledImage(Path("a.png"), "AB", "a.png", np.zeros((2, 4), np.float32))
    found = Source(Path("."), "csv", (), "", [item], [])
    review = Review({"a.png": ReviewRow("a.png", "AB", decision="correct", corrected=corrected)}, {"a.png": "x:2"})
    (now,) = review.apply(found, str).items
    assert (now.text, now.boxes_xyxy is not None) == (corrected, kept)
