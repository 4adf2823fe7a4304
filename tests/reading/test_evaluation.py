"""Evaluation: what is counted, what is shown, and two readers beside each other."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import detector
from detector import Failure, Reader, Reading
from detector.cli import app
from detector.data.images import read_image
from detector.data.labels.sources import read_source
from detector.errors import ArgumentError, DetectorError, SourceError
from detector.reading.evaluation import EvaluatedPicture, Evaluation, evaluate
from detector.reading.pages.evaluation_page import write_evaluation
from detector.text.detections import Character
from detector.text.metrics import wilson_interval
from tests.builders import noise_picture, write_shard
from tests.conftest import Toy, ToyRun


def row(number: int, label: str, text: str, confidence: float = 0.9, **changes: Any) -> EvaluatedPicture:
    characters = tuple(Character(s, confidence, (4 * i, 2, 4 * i + 3, 14)) for i, s in enumerate(text) if s != " ")
    if "rejected" in changes:
        changes["rejected_text"], text = text, ""
    return EvaluatedPicture(
        Path(f"{number}.png"), f"{number}.png", label, Reading(text, confidence, characters, **changes)
    )


ROWS = (
    row(0, "AB12", "AB12", 0.99),
    row(1, "AB12", "AB13", 0.8),
    row(2, "A B", "A B", 0.9),
    row(3, "A B", "AB", 0.95),
    row(4, "XY", "XY", 0.3, rejected="character 1, 'X', has confidence 0.3, below 0.5"),
    EvaluatedPicture(Path("5.png"), "5.png", "ZZ", Failure("5.png", "empty file")),
)


@pytest.fixture
def mixed() -> Evaluation:
    return Evaluation(ROWS, " ", 0.5)


def test_every_picture_is_right_wrong_rejected_or_failed(mixed: Evaluation) -> None:
    assert mixed.count == 6 and mixed.score.right == 2
    assert mixed.wrong == (("3.png", "A B", "AB", 0.95), ("1.png", "AB12", "AB13", 0.8)), "the surest first"
    assert [r.rejected_text for _, r in mixed.rejected] == ["XY"]
    assert [f.name for f in mixed.failures] == ["5.png"]
    assert mixed.score.right + len(mixed.wrong) + len(mixed.rejected) + len(mixed.failures) == mixed.count
    assert mixed.exact_match == 2 / 6 and mixed.interval == wilson_interval(2, 6)


def test_by_length_and_by_position(mixed: Evaluation) -> None:
    assert {k: (s.count, s.right) for k, s in mixed.by_length.items()} == {3: (2, 1), 4: (2, 1)}
    assert {k: (s.count, s.right) for k, s in mixed.by_position.items()} == {
        1: (4, 4), 2: (4, 3), 3: (4, 4), 4: (2, 1)
    }  # fmt: skip
    assert mixed.by_position[2].share == 0.75


def test_what_json_has(mixed: Evaluation) -> None:
    plain = json.loads(json.dumps(mixed.to_dict(0.9, mixed)))
    assert set(plain) == {
        "source", "label_options", "in_visual_order",
        "exact_match", "interval_95", "cer", "count", "right", "wrong", "look_alikes", "labels_look_like",
        "rejected", "failures", "unusable",
        "by_length", "by_position", "confusions", "calibration", "coverage", "seconds", "against",
    }  # fmt: skip
    assert plain["rejected"][0]["rejected_text"] == "XY" and "below 0.5" in plain["rejected"][0]["reason"]
    assert plain["confusions"] == [{"label": "2", "reading": "3", "times": 1}]
    assert plain["calibration"]["strings"]["bins"][0]["count"] == 4
    assert plain["calibration"]["characters"]["bins"][0]["count"] == 12
    assert plain["coverage"] == {
        "precision_wanted": 0.9, "min_confidence": 0.99, "coverage": 0.1667, "taken": 1, "right": 1, "precision": 1.0,
        "interval_95": [0.2065, 1.0],
    }  # fmt: skip
    assert "against" not in mixed.to_dict()


def test_two_readers_on_the_same_pictures() -> None:
    texts = [f"T{i}" for i in range(12)]
    one = Evaluation(tuple(row(i, t, t) for i, t in enumerate(texts)), " ", 1.0)
    other = Evaluation(tuple(row(i, t, t if i >= 6 else "X") for i, t in enumerate(texts)), " ", 1.0)
    found = one.against(other)
    assert (found.both, found.only_this, found.only_other, found.neither) == (6, 6, 0, 0)
    assert found.p_value == pytest.approx(2 / 2**6) and found.real
    back = other.against(one)
    assert (back.only_this, back.only_other, back.p_value) == (0, 6, found.p_value)
    assert not one.against(one).real and one.against(one).p_value == 1


def test_rejected_and_failed_pictures_are_not_right_in_a_comparison(mixed: Evaluation) -> None:
    perfect = Evaluation(tuple(row(i, r.label, r.label) for i, r in enumerate(ROWS)), " ", 1.0)
    found = perfect.against(mixed)
    assert (found.both, found.only_this, found.only_other, found.neither) == (2, 4, 0, 0)


def test_readers_of_other_pictures_cannot_be_compared(mixed: Evaluation) -> None:
    with pytest.raises(DetectorError, match="on the same pictures"):
        mixed.against(Evaluation(ROWS[1:], " ", 1.0))


def test_what_was_rejected_is_not_taken_by_the_threshold_that_is_told() -> None:
    """All that passed 0.5 are right, and nothing is known of what a lower threshold would let in."""
    rows = [row(i, "AB12", "AB12", 0.9) for i in range(4)]
    rows += [row(4 + i, "AB12", "AB13", 0.3, rejected="below 0.5") for i in range(4)]
    found = Evaluation(tuple(rows), " ", 1.0, min_confidence=0.5).coverage(0.99)
    assert (found.taken, found.right, found.threshold) == (4, 4, 0.5)


def test_strings_that_are_too_long_pass_no_threshold() -> None:
    """A reader with any ``min_confidence`` refuses them, so they do not count against it; with a pattern they do."""
    rows = [row(i, "AB12", "AB12", 0.9) for i in range(10)]
    for number in range(10, 13):
        long = row(number, "AB12", "AB13", 0.99)
        assert isinstance(long.reading, Reading)
        rows.append(replace(long, reading=replace(long.reading, unconstrained_text="AB1345", shows_more=True)))
    found = Evaluation(tuple(rows), " ", 1.0).coverage(0.99)
    assert (found.taken, found.right) == (10, 10) and 0 < found.threshold <= 0.9, "0 refuses nothing"
    assert Evaluation(tuple(rows), " ", 1.0, pattern="AA99").coverage(0.99).taken == 0


@pytest.mark.parametrize("precision", [0.0, -1.0, 1.01, 99.5])
def test_a_precision_is_a_share(mixed: Evaluation, precision: float) -> None:
    with pytest.raises(DetectorError, match="above 0 and at most 1"):
        mixed.coverage(precision)


# The page


class Page(HTMLParser):
    """Tags that are open at the end, addresses, and text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.words += data


def pictured(folder: Path, rows: tuple[EvaluatedPicture, ...]) -> tuple[EvaluatedPicture, ...]:
    for one in rows:
        noise_picture(40, 16).save(folder / one.path.name)
    return tuple(EvaluatedPicture(folder / one.path.name, one.name, one.label, one.reading) for one in rows)


def test_the_page_needs_nothing_else(mixed: Evaluation, tmp_path: Path) -> None:
    held = Evaluation(pictured(tmp_path, ROWS), " ", 0.5)
    write_evaluation(held, tmp_path / "page.html", title="toy", against=mixed)
    page = Page(tmp_path / "page.html")
    assert len(page.addresses) == 3 and all(a.startswith("data:image/webp;base64,") for a in page.addresses)
    assert not re.search(r"https?://|@import|url\(|<script", page.source)
    assert page.source.count("<table") == page.source.count("<table aria-label=") == 4
    for shown in ("toy", "33.33 %", "empty file", "A␣B", "below 0.5", "2 → 3", "McNemar"):
        assert shown in page.words, shown
    assert not list(tmp_path.glob("*.part"))


def test_the_page_shows_a_bounded_number_of_pictures(tmp_path: Path) -> None:
    rows = pictured(tmp_path, tuple(row(i, "AB", "AC", 0.5 + i / 100) for i in range(9)))
    write_evaluation(Evaluation(rows, " ", 1.0), tmp_path / "page.html", title="toy", max_pictures=4)
    page = Page(tmp_path / "page.html")
    assert len(page.addresses) == 4 and "Shown: 4 of 9" in page.words
    assert "8.png" in page.words and "0.png" not in page.words


def test_names_and_labels_do_no_harm_on_the_page(tmp_path: Path) -> None:
    nasty = '<img src=x onerror="alert(1)">&'
    (tmp_path / "gone").mkdir()
    rows = (
        EvaluatedPicture(tmp_path / "gone" / "0.png", nasty, nasty, Reading("</style><b>", 0.9, ())),
        EvaluatedPicture(tmp_path / "1.png", nasty, "A", Failure(nasty, nasty)),
        row(2, "<u>", "<s>", rejected=nasty),
    )
    write_evaluation(Evaluation(rows, " ", 1.0), tmp_path / "page.html", title=f"{nasty}\udcff")
    page = Page(tmp_path / "page.html")
    assert not {"img", "u", "s"} & set(page.tags)
    assert page.source.count("</style>") == 1
    assert nasty in page.words and "no such file" in page.words.lower()


def test_a_page_of_nothing_wrong_and_of_nothing(tmp_path: Path) -> None:
    for rows in ((row(0, "AB", "AB"),), ()):
        write_evaluation(Evaluation(rows, " ", 1.0), tmp_path / "page.html", title="toy")
        assert "detector evaluate" in Page(tmp_path / "page.html").words


# A reader that was trained


def test_the_threshold_is_what_min_confidence_takes(toy: Toy, toy_run: ToyRun) -> None:
    def found(**options: Any) -> Evaluation:
        return detector.evaluate(Reader(toy_run.weights, device="cpu", **options), toy.root, split="train")

    free = found().coverage(0.97)
    assert free.taken
    refusing = found(min_confidence=free.threshold)
    assert len(refusing.accepted) == free.taken
    assert refusing.score.right == free.right
    assert len(refusing.rejected) == free.count - free.taken


def test_a_split_of_what_has_none_is_refused(toy: Toy, toy_run: ToyRun) -> None:
    with pytest.raises(ArgumentError, match="is no converted set and has no split 'val'"):
        evaluate(toy_run.weights, toy.source, split="val", space="_")


def test_how_labels_are_read_is_not_said_of_a_converted_set(toy: Toy, toy_run: ToyRun) -> None:
    with pytest.raises(ArgumentError, match=r"is a converted set, whose texts .* leave out upper"):
        evaluate(toy_run.weights, toy.root, upper=True)


def test_weights_are_calibrated_by_training(toy: Toy, toy_run: ToyRun) -> None:
    reader = Reader(toy_run.weights, device="cpu")
    assert reader.config.calibration is not None
    assert reader.config.calibration.character.slope > 0
    raw = Reader(toy_run.folder / "weights" / "best.pt", device="cpu")
    assert raw.config.calibration is None, "the run's own checkpoint is plain yolo"


def test_the_command(toy: Toy, toy_run: ToyRun, tmp_path: Path) -> None:
    asked = ["evaluate", str(toy_run.weights), str(toy.root), "--device", "cpu"]
    page = tmp_path / "page.html"
    done = CliRunner().invoke(
        app, [*asked, "--json", "--html", str(page), "--against", str(toy_run.weights), "--precision", "0.9"]
    )
    assert done.exit_code == 0, done.output
    plain = json.loads(done.stdout)
    assert plain["coverage"]["precision_wanted"] == 0.9
    assert plain["against"]["p_value"] == 1 and not plain["against"]["real"]
    assert plain["against"]["exact_match"] == plain["exact_match"]
    assert str(toy_run.weights) in Page(page).words
    said = CliRunner().invoke(app, [*asked, "--min-confidence", "1", "--against", str(toy_run.weights)])
    assert said.stdout == f"exact match: 0.000 (n={plain['count']})\n"
    assert f"0 right, 0 wrong, {plain['count']} rejected" in said.stderr and "may be chance" in said.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--precision", "99.5"], "--precision is above 0"), (["--html", "nowhere/page.html"], "no folder nowhere")],
    ids=["precision", "folder"],
)
def test_what_cannot_be_done_is_said_before_anything_is_read(options: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["evaluate", "shipped", "nowhere", *options])
    assert isinstance(done.exception, DetectorError)
    assert says in str(done.exception)


def test_labels_that_cannot_be_used_are_told(toy: Toy, toy_run: ToyRun, tmp_path: Path) -> None:
    picture = sorted(toy.source.iterdir())[0]
    lines = ["ref,says,text", f"{picture},{picture.stem.split('-')[0]},x", "none.png,A,x"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    asked = ["evaluate", str(toy_run.weights), str(tmp_path / "list.csv"), "--space", "_", "--device", "cpu"]
    done = CliRunner().invoke(app, [*asked, "--text-column", "says", "--image-column", "ref", "--ignore", "-."])
    assert done.exit_code == 3 and done.stdout.endswith("(n=1)\n")
    assert "none.png: no such file" in done.stderr and "1 label not usable" in done.stderr


def test_a_list_among_the_labelled_pictures_is_no_picture(toy: Toy, toy_run: ToyRun, tmp_path: Path) -> None:
    """A reader would read each line of it as a picture's path."""
    picture = next((toy.root / "images" / "train").iterdir()).resolve()
    (tmp_path / "list.txt").write_text(f"{picture}\n{picture}\n")
    (tmp_path / "labels.csv").write_text(f"image,text\n{picture},AB\nlist.txt,AB\n")
    found = evaluate(Reader(toy_run.weights, device="cpu"), tmp_path / "labels.csv")
    assert found.count == 1
    assert found.unusable == (Failure("list.txt", "not a picture"),)


def test_a_labelled_picture_of_another_suffix_is_read(toy: Toy, toy_run: ToyRun, tmp_path: Path) -> None:
    picture = next((toy.root / "images" / "train").iterdir()).resolve()
    (tmp_path / "a.dat").write_bytes(picture.read_bytes())
    (tmp_path / "labels.csv").write_text("image,text\na.dat,AB\n")
    found = evaluate(Reader(toy_run.weights, device="cpu"), tmp_path / "labels.csv")
    assert found.count == 1 and not found.unusable and not found.failures


def test_labels_that_a_reader_cannot_give_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By weights' name, as the command takes it."""
    for name in ("ab1.png", "AB2.png"):
        noise_picture().save(tmp_path / name)
    found = detector.evaluate("shipped", tmp_path)
    assert found.count == 2
    done = CliRunner().invoke(app, ["evaluate", "shipped", str(tmp_path), "--upper"])
    assert done.stderr.splitlines()[-1] == f"next: detector fit {tmp_path} --upper"
    (tmp_path / "AB2.png").rename(tmp_path / "ab2.png")
    done = CliRunner().invoke(app, ["evaluate", "shipped", str(tmp_path)])
    assert done.stderr.splitlines()[-1] == f"next: detector evaluate shipped {tmp_path} --upper"
    assert "--upper takes 2 of" in caplog.text and "read as" not in done.stderr
    assert "1 of 2 labels are none that this reader can give" in caplog.text and "upper=True" in caplog.text


def test_a_reader_s_own_pre_labels_judge_no_reader(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "b.png", "c.png"):
        noise_picture().save(tmp_path / name)
    table = "image,text,confidence,status\na.png,AB12,1.0,person\nb.png,CD34,0.99,sure\nc.png,EF56,0.98,sure\n"
    (tmp_path / "labels.csv").write_text(table)
    assert [row.name for row in detector.evaluate("shipped", tmp_path).rows] == ["a.png"]
    assert "pre-labels that no person has confirmed are left out, for they judge no reader: 2" in caplog.text
    (tmp_path / "labels.csv").write_text(table.replace("1.0,person", "0.9,sure"))
    with pytest.raises(SourceError, match=r"picture is left; pre-labels .* no reader: 3; put the status"):
        detector.evaluate("shipped", tmp_path)


def test_look_alikes_and_the_form_of_labels_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [f"AB{number}" for number in range(100, 160)]
    read = [label.replace("0", "O") if label.endswith("0") else label for label in labels]
    read[1] = "AX101"
    rows = tuple(
        EvaluatedPicture(Path(f"{label}.png"), f"{label}.png", label, Reading(text, 0.9, ()))
        for label, text in zip(labels, read, strict=True)
    )
    result = Evaluation(rows, " ", 1.0)
    assert (len(result.wrong), result.look_alikes) == (7, 6)
    assert str(result.string_model) == "AA999 (98 %)"
    plain = result.to_dict()
    assert (plain["look_alikes"], plain["labels_look_like"]) == (6, str(result.string_model))
    monkeypatch.setattr("detector.reading.evaluation.evaluate", lambda *_, **__: result)
    said = CliRunner().invoke(app, ["evaluate", "shipped", "labels.csv", "--device", "cpu"]).stderr
    assert "6 of the wrong ones only take symbols for others" in said and "labels look like AA999 (98 %)" in said


def test_shards_are_evaluated_as_their_folder_is(toy: Toy, toy_run: ToyRun, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")
    items = read_source(toy.source, space="_").items
    write_shard(tmp_path / "a.parquet", [(item.name, item.path.read_bytes(), item.text) for item in items], group=7)
    reader = Reader(toy_run.weights, device="cpu")
    of_folder, of_shards = evaluate(reader, toy.source, space="_"), evaluate(reader, tmp_path)
    assert [replace(row, path=Path()) for row in of_shards.rows] == [
        replace(row, path=Path()) for row in of_folder.rows
    ]
    assert read_image(of_shards.rows[8].path).tolist() == read_image(items[8].path).tolist()
    write_evaluation(of_shards, tmp_path / "page.html", title="shards")
