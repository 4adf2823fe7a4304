"""Pre-labels: what a reader proposes, what a person said, and that nothing of a person's is lost."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import detector
from detector.cli import app
from detector.data.labels.prelabels import Prelabel, read_prelabels, write_prelabels
from detector.data.labels.sources import read_source
from detector.errors import ArgumentError, SourceError
from detector.reading.reader import Reader
from detector.workflow.label import LabelReport
from tests.builders import toy_folder


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(device="cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Twelve pictures whose names tell nothing, and what they show."""
    made = toy_folder(tmp_path / "made", 12, spaces=0.0)
    folder = tmp_path / "new"
    folder.mkdir()
    texts = {}
    for number, path in enumerate(sorted(made.iterdir())):
        name = f"IMG_{number}.png"
        path.rename(folder / name)
        texts[name] = path.stem.split("-")[0]
    return folder, texts


def test_pictures_without_labels_get_some(reader: Reader, pictures: tuple[Path, dict[str, str]]) -> None:
    folder, texts = pictures
    (folder / "broken.png").write_bytes(b"no picture")
    out = folder.parent / "tables" / "pre.csv"
    out.parent.mkdir()
    told: list[int] = []
    report = detector.label(reader, folder, out, max_wrong=0.5, progress=lambda _, done, __: told.append(done))
    assert told == list(range(1, 14)), "each picture once, as it is read"
    rows = {Path(row.image).name: row for row in read_prelabels(out)}
    assert rows.keys() == {*texts, "broken.png"} and rows["IMG_0.png"].image == "../new/IMG_0.png"
    assert rows["broken.png"] == Prelabel("../new/broken.png", "", 0.0, "unreadable")
    assert [failure.name for failure in report.failures] == [str(folder / "broken.png")]
    sure = [name for name, row in rows.items() if row.status == "sure"]
    assert len(sure) == report.counts["sure"] > 0
    assert report.expected_wrong == pytest.approx(sum(1 - rows[name].confidence for name in sure), abs=0.01)
    assert report.expected_wrong <= 0.5 * len(sure)
    read = {
        Path(name).name: reading.text
        for name, reading in reader.stream(folder)
        if isinstance(reading, detector.Reading)
    }
    unformatted = detector.label(reader, folder, folder.parent / "plain.csv", string_format=False)
    assert {Path(r.image).name: r.text for r in read_prelabels(unformatted.path) if r.status != "unreadable"} == read


def test_the_table_begins_with_what_to_ask(reader: Reader, pictures: tuple[Path, dict[str, str]]) -> None:
    folder, _ = pictures
    (folder / "labels.csv").write_text("image,text\nIMG_3.png,A7\nIMG_4.png,K\n", encoding="utf-8")
    out = detector.label(reader, folder, folder / "pre.csv", max_wrong=0.0).path
    rows = read_prelabels(out)
    assert [row.status for row in rows] == ["doubtful"] * 10 + ["person"] * 2
    assert [(row.image, row.text) for row in rows[-2:]] == [("IMG_3.png", "A7"), ("IMG_4.png", "K")]


def test_what_a_person_decided_stays(reader: Reader, pictures: tuple[Path, dict[str, str]]) -> None:
    folder, _ = pictures
    labels = folder.parent / "labels.csv"
    labels.write_text("image,text\nIMG_1.png,OLD\nIMG_2.png,A7A7\n", encoding="utf-8")
    out = folder / "pre.csv"
    decided = [
        Prelabel("IMG_0.png", "KKK", 1.0, "person"), Prelabel("IMG_1.png", "NEW", 1.0, "person"),
        Prelabel("IMG_5.png", "", 1.0, "dropped"), Prelabel("gone.png", "T7", 1.0, "person"),
        Prelabel("IMG_6.png", "wrong", 0.3, "doubtful"),
    ]  # fmt: skip
    write_prelabels(out, decided)
    for _ in range(2):  # again and again
        detector.label(reader, folder, out, labels=labels)
        rows = {row.image: row for row in read_prelabels(out)}
        assert {row.image: row for row in decided[:4]}.items() <= rows.items()
        assert rows["IMG_2.png"] == Prelabel("IMG_2.png", "A7A7", 1.0, "person")
        assert rows["IMG_6.png"].status in ("sure", "doubtful") and rows["IMG_6.png"].text != "wrong"
    source = read_source(out)
    persons = {item.name: item.text for item in source.items if item.confidence is None}
    assert persons == {"IMG_0.png": "KKK", "IMG_1.png": "NEW", "IMG_2.png": "A7A7"}


def test_what_a_person_decides_meanwhile_stays(reader: Reader, pictures: tuple[Path, dict[str, str]]) -> None:
    folder, texts = pictures
    (folder / "broken.png").write_bytes(b"no picture")
    out = folder / "pre.csv"
    write_prelabels(out, [Prelabel("IMG_1.png", "A", 1.0, "person")])
    meanwhile = [
        Prelabel("IMG_0.png", "KKK", 1.0, "person"), Prelabel("IMG_5.png", "", 1.0, "dropped"),
        Prelabel("broken.png", "", 1.0, "dropped"), Prelabel("IMG_1.png", "A7", 0.25, "doubtful"),
    ]  # fmt: skip

    def decide(_: str, done: int, total: int) -> None:
        if done == total:
            write_prelabels(out, meanwhile)

    report = detector.label(reader, folder, out, max_wrong=0.5, progress=decide)
    rows = read_prelabels(out)
    assert {*meanwhile} <= {*rows}, "also what was taken back"
    assert sorted(row.image for row in rows) == sorted([*texts, "broken.png"])
    assert report.counts["sure"] == sum(row.status == "sure" for row in rows)


def test_what_can_have_no_row_is_told(
    reader: Reader, pictures: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, texts = pictures
    (folder / "IMG_0.png").rename(folder / os.fsdecode(b"z\xff.png"))
    closed = folder / "closed"
    closed.mkdir()
    scandir = os.scandir

    def scan(path: str) -> Any:  # as for another user: root reads everything
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    report = detector.label(reader, folder, folder.parent / "pre.csv")
    assert len(read_prelabels(report.path)) == len(texts) - 1
    reasons = {Path(failure.name).name: failure.reason for failure in report.failures}
    assert reasons.keys() == {"z\\udcff.png", "closed"} and "not valid UTF-8" in reasons["z\\udcff.png"]


def test_labelled_pictures_of_another_folder_are_in_the_table(
    reader: Reader, pictures: tuple[Path, dict[str, str]]
) -> None:
    folder, texts = pictures
    labelled = toy_folder(folder.parent / "labelled", 3, start=50)
    out = detector.label(reader, folder, folder.parent / "pre.csv", labels=labelled, space="_").path
    source = read_source(out, space="_")
    persons = {item.path.name: item.text for item in source.items if item.confidence is None}
    assert persons == {path.name: path.stem.split("-")[0].replace("_", " ").rstrip() for path in labelled.iterdir()}
    assert source.count + source.waiting == 3 + len(texts)


def test_spaces_survive_a_stand_in(reader: Reader, pictures: tuple[Path, dict[str, str]]) -> None:
    """Also at the start, where plain ones are stripped once there is a stand-in."""
    folder, _ = pictures
    (folder / "labels.csv").write_text("image,text\nIMG_3.png,_A_7\n", encoding="utf-8")
    plain = {
        row.image: row.text for row in read_prelabels(detector.label(reader, folder, folder.parent / "a.csv").path)
    }
    out = detector.label(reader, folder, folder.parent / "b.csv", space="_").path
    rows = {row.image: row for row in read_prelabels(out)}
    assert {item.name: item.text for item in read_source(out, space="_").items}["new/IMG_3.png"] == " A 7"
    assert rows["new/IMG_3.png"].text == "_A_7"
    assert all(row.text == plain[name].replace(" ", "_") for name, row in rows.items())


@pytest.mark.parametrize("labels", [None, "csv", "new"])
def test_a_label_that_is_corrected_later_is_told(
    reader: Reader, pictures: tuple[Path, dict[str, str]], labels: str | None, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Not as a contradiction of two label files, of which one is the table that is written."""
    folder, _ = pictures
    monkeypatch.chdir(folder.parent)
    out = folder / "pre.csv"
    (folder / "train.csv").write_text("image,text\nIMG_1.png,OLD\nIMG_2.png,A7\n", encoding="utf-8")
    detector.label(reader, folder, out, labels=labels)
    assert "another text" not in caplog.text
    (folder / "train.csv").write_text("image,text\nIMG_1.png,NEW\nIMG_2.png,A7\n", encoding="utf-8")
    detector.label(reader, folder, out, labels=labels)
    assert (
        "kept 1 row of a person" in caplog.text and "IMG_1.png: 'OLD' in the table, 'NEW' in the labels" in caplog.text
    )
    assert Prelabel("IMG_1.png", "OLD", 1.0, "person") in read_prelabels(out)


REFUSED: dict[str, tuple[str, dict[str, float], type[Exception], str]] = {
    "no folder": ("nowhere", {}, SourceError, "There is no file or folder"),
    "a file": ("new/IMG_0.png", {}, SourceError, "is a file: give the folder"),
    "no pictures": ("empty", {}, SourceError, "There is no picture"),
    "shards": ("shards", {}, SourceError, "a table of pre-labels names files: give a folder"),
    "no share": ("new", {"max_wrong": 1.0}, ArgumentError, "max_wrong is a share"),
}


@pytest.mark.parametrize(("source", "more", "kind", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_labelled(
    reader: Reader, pictures: tuple[Path, dict[str, str]], source: str, more: dict[str, float],
    kind: type[Exception], message: str,
) -> None:  # fmt: skip
    folder = pictures[0].parent
    (folder / "empty").mkdir()
    (folder / "shards").mkdir()
    (folder / "shards" / "a.parquet").touch()
    with pytest.raises(kind, match=message):
        detector.label(reader, folder / source, folder / "pre.csv", **more)
    assert not (folder / "pre.csv").exists()


def test_another_table_is_not_replaced(reader: Reader, pictures: tuple[Path, dict[str, str]]) -> None:
    out = pictures[0].parent / "mine.csv"
    out.write_text("image,text\na.png,AB\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"mine\.csv has other columns than image, text, confidence, status"):
        detector.label(reader, pictures[0], out)
    assert out.read_text(encoding="utf-8") == "image,text\na.png,AB\n"


def test_the_command(pictures: tuple[Path, dict[str, str]]) -> None:
    folder, _ = pictures
    (folder / "broken.png").write_bytes(b"no picture")
    out = folder.parent / "pre.csv"
    done = CliRunner().invoke(app, ["label", "shipped", str(folder), str(out), "--device", "cpu"])
    assert done.exit_code == 3 and done.stdout.splitlines()[-1] == str(out), done.output
    with out.open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["image", "text", "confidence", "status"]
    assert "13 pictures" in done.stderr and f"detector fit {out}" in done.stderr and "--out" not in done.stderr
    refused = CliRunner().invoke(app, ["label", "shipped", str(folder), str(out), "--max-wrong", "2"])
    assert "--max-wrong is a share" in str(refused.exception)


@pytest.mark.parametrize(("of", "more"), {"new": " --out ", "": " --out ", "other": ""}.items())
def test_the_command_goes_on_with_a_fit_that_takes_its_pictures(
    pictures: tuple[Path, dict[str, str]], of: str, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = pictures
    weights, out = folder.parent / "readers" / "plates" / "plates.pt", folder.parent / "pre.csv"
    weights.parent.mkdir(parents=True)
    request = {"source": str(folder), "held_out": "", "training": {}, "conversion": {}}
    state = {"pictures": str(folder.parent / of), "request": request}
    (weights.parent / "fit.json").write_text(json.dumps(state), encoding="utf-8")

    def labelled(*_: object, **__: object) -> LabelReport:
        write_prelabels(out, [Prelabel("new/IMG_0.png", "A7", 1.0, "person"), Prelabel("gone/x.png", "", 0, "dropped")])
        return LabelReport(out, Counter(person=1), 1.0, 0.0)

    monkeypatch.setattr("detector.workflow.label.label", labelled)
    done = CliRunner().invoke(app, ["label", str(weights), str(folder), str(out)])
    said = " ".join(done.stderr.split())
    assert f"next: detector fit {out}{more}" in said and bool(more) == ("--out" in said)
