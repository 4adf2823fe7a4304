"""What can be reviewed, and where the decisions on it go."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import typer

import detector
from detector import Reading
from detector.cli import app
from detector.conversion import convert as conversion
from detector.conversion.arguments import stored_arguments
from detector.conversion.review import read_review
from detector.data.labels.label_texts import Spelling
from detector.data.labels.prelabels import Prelabel, read_prelabels, write_prelabels
from detector.data.labels.sources import LabelOptions, given_options, read_source
from detector.data.labels.visual_order import to_visual
from detector.data.sets.yolo_dataset import read_manifest
from detector.data.text_files import write_csv
from detector.errors import ArgumentError, DetectorError, arguments_as_options
from detector.reading.evaluation import EvaluatedPicture, Evaluation
from detector.review.opening import open_subject
from detector.review.session import ReviewSession
from tests.builders import TOY_LENGTH, TOY_SYMBOLS, write_pictures
from tests.conftest import Toy, ToyRun
from tests.review.builders import (
    Client,
    Suspect,
    decide,
    decisions,
    evaluation,
    review_rows,
    serve,
    small_set,
    suspects,
)

HANG = 600.0  # seconds


@pytest.mark.parametrize("name", ["", "data.yaml", "review.csv"])
def test_a_set_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    root = small_set(tmp_path / "meters", suspects(2))
    subject = open_subject(root / name)
    assert (subject.kind, subject.title, subject.decisions) == ("set", "meters", root / "review.csv")
    assert "detector train data=" in subject.next_step


SPELT: dict[str, tuple[dict[str, Any], str, str, str, str]] = {
    "a stand-in for spaces": ({"space": "_"}, "A 1", "A_1", "A_7", ""),
    "spaces as they are": ({}, "A 1", "A 1", "A 7", ""),
    "capitals alone": ({}, "A1", "A1", "a7", "upper"),
    "small letters that become capitals": ({"upper": True}, "A1", "A1", "a7", ""),
    "signs that are left out": ({"ignore": "-"}, "A1", "A1", "A-7", ""),
    "a sign that is none of the alphabet": ({}, "A1", "A1", "A-7", "'-'"),
    "an alphabet of what labels have": ({"alphabet": "auto"}, "A1", "A1", "Ж7", ""),
    "a longer text than the set's": ({"length": 9}, "A1", "A1", "A12345678", ""),
    "a longer text than may be": ({}, "A1", "A1", "A12345678", "more than 8"),
}


@pytest.mark.parametrize(("arguments", "text", "typed", "corrected", "problem"), SPELT.values(), ids=SPELT.keys())
def test_labels_are_typed_and_refused_as_the_conversion_would(
    tmp_path: Path, arguments: dict[str, Any], text: str, typed: str, corrected: str, problem: str
) -> None:
    root = small_set(tmp_path / "set", [Suspect("a.png", text, "A7")], arguments=arguments)
    session = ReviewSession(open_subject(root))
    (item,) = session.items()
    assert (item.text, item.typed) == (text, typed)
    if problem:
        with pytest.raises(ArgumentError, match=problem):
            decide(session, "a.png", "correct", corrected)
    else:
        decide(session, "a.png", "correct", corrected)
    assert decisions(root)["a.png"] == (("", "") if problem else ("correct", corrected))


def test_right_to_left_labels_are_typed_as_one_types_them(tmp_path: Path) -> None:
    typed, other = "\u0627\u0628\u062c", "\u0628\u0627\u062c"  # alef, beh, jeem
    listed = [Suspect("a.png", to_visual(typed), to_visual(other))]
    symbols = "".join(sorted(typed)) + "AB1"
    root = small_set(tmp_path / "set", listed, symbols=symbols, visual_order=True, arguments={"visual_order": True})
    session = ReviewSession(open_subject(root))
    (item,) = session.items()
    assert (item.text, item.typed, item.typed_read) == (typed[::-1], typed, other)
    decide(session, "a.png", "correct", item.typed_read)
    assert decisions(root)["a.png"] == ("correct", other)


def test_the_set_of_a_fit(tmp_path: Path) -> None:
    root = small_set(tmp_path / "plates" / "set", suspects(2))
    request = {"source": "/plates", "held_out": "", "training": {"epochs": 3}, "conversion": {"ignore": " -"}}
    state = {"pictures": "/plates", "request": request}
    (tmp_path / "plates" / "fit.json").write_text(json.dumps(state))
    for path in (root.parent, root):
        subject = open_subject(path)
        assert (subject.kind, subject.title, subject.decisions) == ("set", "plates", root / "review.csv")
        out = tmp_path / "plates"
        assert shlex.split(subject.next_step) == [
            "detector", "fit", "/plates", "epochs=3", "--ignore", " -", "--out", str(out),
        ]  # fmt: skip


EVALUATION = json.dumps({"source": "x", "wrong": [{
    "name": "a.png", "path": "a.png", "label": "A", "reading": "B", "confidence": 0.9,
    "characters": [{"symbol": "B", "xyxy": [1.0, 2.0, 9.0, 14.0]}],
}]})  # fmt: skip

OTHERS: dict[str, tuple[str, str, str]] = {
    "nothing": ("nothing", "", "There is no"),
    "a folder that is no set": ("folder/", "", "data.yaml"),
    "a picture": ("a.png", "x", "nothing to review"),
    "JSON of others": ("a.json", "[1]", "no evaluation"),
    "no JSON": ("a.json", "{", "cannot be read as JSON"),
    "an evaluation that does not say of what": ("a.json", '{"wrong": []}', "evaluate again"),
    "an evaluation without boxes": ("a.json", '{"source": "x", "wrong": [{"name": "a"}]}', "evaluate again"),
    "JSON without end": ("a.json", "[" * 100_000, "cannot be read as JSON"),
    "a box that is none": ("a.json", EVALUATION.replace("9.0", "NaN"), "evaluate again"),
    "a name that is no Unicode": ("a.json", EVALUATION.replace("a.png", "\\ud800"), "evaluate again"),
    "a table of others": ("a.csv", "image,text\na.png,A\n", "no pre-labels"),
}


@pytest.mark.parametrize(("name", "content", "said"), OTHERS.values(), ids=OTHERS.keys())
def test_what_cannot_be_reviewed_is_told(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    elif content:
        path.write_text(content)
    with pytest.raises(DetectorError, match=said):
        ReviewSession(open_subject(path))


def test_wrong_readings_of_a_set_are_decided_on_in_the_set(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(2))
    image = "images/train/sure.png"
    session = ReviewSession(open_subject(evaluation(tmp_path / "e.json", root, [(image, root / image, "AB1", "AB7")])))
    (item,) = session.items()
    assert (item.name, item.text, item.read, item.confidence, item.status) == ("sure.png", "AB1", "AB7", "0.9000", "ok")
    boxes = session.subject.boxes(item, (60, 20))
    assert (boxes.symbols, boxes.shows, boxes.boxes_xyxy.tolist()) == (("A",), "reading", [[1.0, 2.0, 9.0, 14.0]])
    with pytest.raises(ArgumentError, match="not in the alphabet"):
        decide(session, "sure.png", "correct", "ab7")
    decide(session, "sure.png", "correct", "AB7")
    assert decisions(root)["sure.png"] == ("correct", "AB7") and len(decisions(root)) == 3
    assert review_rows(root / "review.csv")[-1][:3] == ("sure.png", "AB1", "AB7")


def test_wrong_readings_of_another_source_are_decided_on_beside_the_evaluation(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", ["AB1.png", "AB2.png"])
    wrong = [(f"AB{n}.png", folder / f"AB{n}.png", f"AB{n}", f"AB{n}X") for n in (1, 2)]
    with arguments_as_options():
        subject = open_subject(evaluation(tmp_path / "e.json", folder, wrong))
    session = ReviewSession(subject)
    decide(session, "AB2.png", "correct", "AB3")
    assert subject.decisions == tmp_path / "e.review.csv" and subject.converted is None
    assert [row[:1] + row[5:] for row in review_rows(subject.decisions)] == [("AB2.png", "correct", "AB3")]
    assert shlex.split(subject.next_step) == [
        "detector", "convert", str(folder), "OUT", "--review", str(subject.decisions),
    ]  # fmt: skip
    again = ReviewSession(open_subject(tmp_path / "e.json"))
    assert [item.decision for item in again.items()] == ["", "correct"]


ARABIC = "\u0628\u0627\u062c"  # beh, alef, jeem

READ_BY: dict[str, tuple[str, str, LabelOptions, bool, list[str]]] = {
    "as they are": ("AB 1", "AB 7", {}, False, []),
    "a stand-in for spaces, capitals, signs left out": (
        "a-b_1", "AB 7", {"space": "_", "upper": True, "ignore": " -"}, False,
        ["--space", "_", "--upper", "--ignore", " -"],
    ),
    "a file of labels": ("AB1", "AB7", {"labels": "of.csv"}, False, ["--labels", "pictures/of.csv"]),
    "right to left, by a reader that gives what is typed": (
        ARABIC, ARABIC[1:], {"visual_order": True}, False, ["--visual-order"],
    ),
    "right to left, by another reader": (
        ARABIC, to_visual(ARABIC[1:]), {"visual_order": True}, True, ["--visual-order"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("label", "reading", "given", "in_visual_order", "wanted"), READ_BY.values(), ids=READ_BY.keys()
)
def test_the_next_conversion_reads_labels_as_the_evaluation_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str, reading: str, given: LabelOptions,
    in_visual_order: bool, wanted: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    folder = write_pictures(tmp_path / "pictures", ["1.png", "2.png"])
    write_csv(folder / "of.csv", ("image", "text"), [("1.png", label), ("2.png", label)])
    if "labels" in given:
        given = {**given, "labels": folder / "of.csv"}
        write_csv(folder / "labels.csv", ("image", "text"), [("1.png", "X"), ("2.png", "Y")])
    pairs = read_source(folder, **{**given, "visual_order": in_visual_order}).items
    rows = [EvaluatedPicture(item.path, item.name, item.text, Reading(reading, 0.9, ())) for item in pairs]
    evaluated = Evaluation(
        tuple(rows), " ", 1.0, source=folder, label_options=given_options(given), in_visual_order=in_visual_order
    )
    plain = evaluated.to_dict()
    plain["label_options"]["of_another_version"] = "1"
    (tmp_path / "e.json").write_text(json.dumps(plain))
    with arguments_as_options():
        session = ReviewSession(open_subject(tmp_path / "e.json"))
    first, second = session.items()
    decide(session, first.name, "accept")
    decide(session, second.name, "correct", second.typed_read)
    words = shlex.split(session.subject.next_step)
    assert words == ["detector", "convert", "pictures", "OUT", *wanted, "--review", "e.review.csv"]
    context = typer.main.get_command(app).commands["convert"].make_context("convert", words[2:])  # type: ignore[attr-defined]
    options = {name: context.params[name] for name in LabelOptions.__annotations__}
    source = read_source(Path(context.params["source"]), **options)
    review = read_review(Path(context.params["review"]))
    spelling = Spelling(options["space"], options["upper"], options["ignore"], "", options["visual_order"])
    assert review.rows[first.name].text == source.items[0].text, "of another text it would be decided on anew"
    assert [item.text for item in review.apply(source, spelling).items] == [first.text, second.read]


@pytest.mark.parametrize("of_a_set", [True, False])
def test_what_evaluate_writes_can_be_reviewed(toy: Toy, toy_run: ToyRun, tmp_path: Path, of_a_set: bool) -> None:
    reader = detector.Reader(toy_run.weights, device="cpu")
    source = toy.root if of_a_set else write_pictures(tmp_path / "pictures", ["7AKT.png", "KTA.png"], (96, 32))
    if of_a_set:  # a set in which all labels are wrong
        source = shutil.copytree(toy.root, tmp_path / "set")
        table = source / "manifest.csv"
        rows = [row._replace(text=row.text[::-1] + "7") for row in read_manifest(source)]
        write_csv(table, rows[0]._fields, rows)
    found = detector.evaluate(reader, source, **({} if of_a_set else {"space": "_"}))
    assert found.wrong
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(found.to_dict()))
    items = ReviewSession(open_subject(path)).items()
    assert [item.read for item in items] == [reading for _, _, reading, _ in found.wrong]
    assert all(item.picture is not None and item.picture.is_file() for item in items)
    assert found.to_dict()["label_options"] == ({} if of_a_set else {"space": "_"})


PRELABELS = [
    Prelabel("a.png", "AB1", 0.4, "doubtful"),
    Prelabel("b.png", "AB2", 0.99, "sure"),
    Prelabel("c.png", "AB3", 1.0, "person"),
    Prelabel("d.png", "AB4", 0.5, "doubtful"),
    Prelabel("e.png", "AB5", 0.6, "doubtful"),
]


def test_pre_labels_become_a_persons_labels(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    write_pictures(tmp_path, [row.image for row in PRELABELS])
    write_prelabels(table, PRELABELS)
    before = table.read_bytes()
    subject = open_subject(table)
    session = ReviewSession(subject)
    assert [(item.name, item.typed, item.confidence) for item in session.items()] == [
        ("a.png", "AB1", "0.4000"), ("d.png", "AB4", "0.5000"), ("e.png", "AB5", "0.6000"),
    ]  # fmt: skip
    decide(session, "a.png", "accept")
    decide(session, "d.png", "correct", "XY")
    decide(session, "e.png", "drop")
    after = {row.image: (row.text, row.status) for row in read_prelabels(table)}
    assert after == {
        "a.png": ("AB1", "person"), "b.png": ("AB2", "sure"), "c.png": ("AB3", "person"), "d.png": ("XY", "person"),
        "e.png": ("AB5", "dropped"),
    }  # fmt: skip
    for item in session.items():
        decide(session, item.name, "")
    assert table.read_bytes() == before
    decide(session, "a.png", "accept")
    assert [item.name for item in ReviewSession(open_subject(table)).items()] == ["d.png", "e.png"]


ODD = ["", "a,b", 'a"b', "a\nb", "a\rb", "a\r\nb", " a ", "\u0628", "\U0001f600", "="]


@pytest.mark.parametrize("decision", ["accept", "correct", "drop", ""])
def test_each_decision_leaves_the_other_rows_of_a_table_byte_for_byte(tmp_path: Path, decision: str) -> None:
    table = tmp_path / "labels.csv"
    statuses = ["doubtful", "sure", "person", "dropped"]
    rows = [Prelabel(f"{n}{text}.png", f"{text}A", 0.5, statuses[n % 4]) for n, text in enumerate(ODD * 4)]
    write_prelabels(table, [*rows, rows[0]])  # of which one picture is there twice
    session = ReviewSession(open_subject(table))
    wanted = read_prelabels(table)
    for item in session.items():
        decide(session, item.name, "drop")
        decide(session, item.name, decision, "AB9" if decision == "correct" else "")
        wanted = [_decided(row, decision) if row.image == item.name else row for row in wanted]
        write_prelabels(tmp_path / "wanted.csv", wanted)
        assert table.read_bytes() == (tmp_path / "wanted.csv").read_bytes()


def _decided(row: Prelabel, decision: str) -> Prelabel:
    return {
        "accept": row._replace(confidence=1.0, status="person"),
        "correct": row._replace(text="AB9", confidence=1.0, status="person"),
        "drop": row._replace(status="dropped"),
        "": row,
    }[decision]


def test_pre_labels_go_to_the_reader_of_their_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [Prelabel("plates/c.png", "AB3", 1.0, "person"), Prelabel("new/a.png", "A", 0.4, "doubtful")]
    write_prelabels(tmp_path / "labels.csv", rows)
    steps = {}
    for name, pictures in {"meters": "meters", "plates": "plates", "again": "plates"}.items():
        conversion = {"length": 9, "upper": True}
        request = {"source": str(tmp_path / pictures), "held_out": "", "training": {}, "conversion": conversion}
        (tmp_path / "readers" / name).mkdir(parents=True)
        state = {"pictures": str(tmp_path / pictures), "request": request}
        (tmp_path / "readers" / name / "fit.json").write_text(json.dumps(state))
        subject = open_subject(tmp_path / "labels.csv")
        ReviewSession(subject)
        steps[name] = subject.next_step
    new = "detector fit labels.csv"
    assert steps == {"meters": new, "plates": f"{new} --length 9 --out readers/plates", "again": new}, (
        "of one or of none"
    )


def test_a_table_of_pre_labels_that_was_edited_is_read_again(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    write_prelabels(table, PRELABELS)
    session = ReviewSession(open_subject(table))
    write_prelabels(table, [*PRELABELS[:3], Prelabel("d.png", "ZZ", 1.0, "person"), *PRELABELS[4:]])
    decide(session, "a.png", "accept")
    assert [row.text for row in read_prelabels(table)] == ["AB1", "AB2", "AB3", "ZZ", "AB5"]
    assert [(item.decision, item.corrected) for item in session.items()] == [
        ("accept", ""), ("correct", "ZZ"), ("", ""),
    ]  # fmt: skip


# A set that is converted again


def test_a_set_keeps_what_it_was_converted_with(toy: Toy) -> None:
    kept = stored_arguments(toy.root)
    assert kept is not None and kept["source"] == str(toy.source.absolute())
    wanted = {"alphabet": TOY_SYMBOLS, "length": TOY_LENGTH, "space": "_"}
    assert {name: kept[name] for name in wanted} == wanted
    assert not {"out", "overwrite", "review", "progress"} & kept.keys()


def converted_again(client: Client) -> dict[str, Any]:
    assert client.post("convert", {}).status == 200
    until = time.monotonic() + HANG
    while time.monotonic() < until:
        answer: dict[str, Any] = client.get("conversion").json
        if answer["state"] != "running":
            return answer
        time.sleep(0.1)
    raise AssertionError("the conversion hangs")


def test_decisions_are_taken_up_and_what_changed_is_told(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(toy.root, tmp_path / "set")
    sure = sorted(float(row.confidence) for row in read_manifest(root))
    last = next(place for place in range(4, len(sure)) if sure[place] < sure[place + 1])  # many are equally sure
    monkeypatch.setattr(conversion, "MIN_CONFIDENCE", (sure[last] + sure[last + 1]) / 2)
    given = stored_arguments(root) or {}
    detector.convert(**given, out=root, overwrite=True)
    with serve(root).serving() as server:
        client = Client(server)
        items = client.items()
        assert len(items) >= 3
        first, second, third = items[:3]
        other = second["typed"][:-1] + ("K" if second["typed"][-1] != "K" else "T")
        assert client.decide(first, "accept").status == 200
        assert client.decide(second, "correct", other).status == 200
        assert client.decide(third, "drop").status == 200
        answer = converted_again(client)
        assert (answer["state"], answer["message"]) == ("done", "")
        told = answer["difference"]
        assert (told["left_out"], told["returned"], told["corrected"]) == (1, 0, 1)
        rows = {row.source: row for row in read_manifest(root)}
        assert rows[first["name"]].status == "ok" and third["name"] not in rows
        assert rows[second["name"]].text == other.replace("_", " ")
        assert told["vouched"] >= 2 and told["train"] == sum(r.image.startswith("images/train/") for r in rows.values())
        now = {item["name"]: item for item in client.items()}
        assert now[second["name"]]["decision"] == "correct" and now[second["name"]]["typed"] == second["typed"]
        assert client.get(f"item/{now[third['name']]['key']}").json["size_wh"] is not None, "found in the source"
        assert client.decide(now[third["name"]], "").status == 200
        assert converted_again(client)["difference"]["returned"] == 1


def test_a_set_that_cannot_be_converted_again_says_why(toy: Toy, tmp_path: Path) -> None:
    root = shutil.copytree(toy.root, tmp_path / "set")
    arguments = root / "work" / "arguments.json"
    kept = json.loads(arguments.read_text())
    arguments.write_text(json.dumps(kept | {"source": str(tmp_path / "gone"), "of another version": 1}))
    before = (root / "manifest.csv").read_bytes()
    with serve(root).serving() as server:
        client = Client(server)
        answer = converted_again(client)
        assert answer["state"] == "failed" and str(tmp_path / "gone") in answer["message"]
        arguments.unlink()
        assert "run the command that made it again" in client.get("items").json["unconvertible"]
        assert client.post("convert", {}).status == 422
    assert (root / "manifest.csv").read_bytes() == before
