"""Decisions of several windows and programs: all of them are on disk, and none is lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from detector.conversion.review import own_columns, read_review, write_rows
from detector.conversion.set_folder import alone
from detector.errors import ArgumentError, DatasetError
from detector.review import review_files
from detector.review.items import ConflictError, Item
from detector.review.session import ReviewSession
from detector.review.sets import ReviewedSet
from tests.review.builders import decisions, review_rows, small_set, suspects

HANG = 600.0  # seconds


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_set(tmp_path / "set", suspects(12))


def decide(session: ReviewSession, item: Item, decision: str, corrected: str = "") -> Item:
    return session.decide(item.key, item.version, decision, corrected)


def test_a_decision_is_on_disk_when_it_is_told(root: Path) -> None:
    session = ReviewSession(ReviewedSet(root))
    first, second, third = session.items()[:3]
    decide(session, first, "accept")
    assert decisions(root)[first.name] == ("accept", "")
    decide(session, second, "correct", " AB1 ")
    assert decisions(root)[second.name] == ("correct", "AB1")
    decide(session, third, "drop")
    assert decisions(root)[third.name] == ("drop", "")
    assert [item.decision for item in session.items()][:4] == ["accept", "correct", "drop", ""]
    rows = review_rows(root / "review.csv")
    assert [row.source for row in rows] == [item.name for item in session.items()]
    assert rows[1].text == second.text, "the label as the source has it stays"


def test_a_decision_is_taken_back(root: Path) -> None:
    session = ReviewSession(ReviewedSet(root))
    before = (root / "review.csv").read_bytes()
    item = decide(session, session.items()[0], "correct", "AB1")
    item = decide(session, item, "")
    assert (item.decision, item.corrected) == ("", "")
    assert (root / "review.csv").read_bytes() == before


def test_the_same_decision_again_changes_nothing(root: Path) -> None:
    session = ReviewSession(ReviewedSet(root))
    old = session.items()[0]
    once = decide(session, old, "drop")
    assert decide(session, old, "drop") == once and session.items()[0].version == once.version


def test_a_decision_on_an_outdated_page_is_told_the_other_one(root: Path) -> None:
    session = ReviewSession(ReviewedSet(root))
    item = session.items()[0]
    decide(session, item, "correct", "AB1")
    with pytest.raises(ConflictError) as told:
        decide(session, item, "drop")
    assert (told.value.item.decision, told.value.item.corrected) == ("correct", "AB1")
    assert decisions(root)[item.name] == ("correct", "AB1")
    decide(session, told.value.item, "drop")
    assert decisions(root)[item.name] == ("drop", "")


@pytest.mark.parametrize("sessions", [1, 2], ids=["two windows", "two servers"])
def test_windows_at_once_lose_nothing(root: Path, sessions: int) -> None:
    opened = [ReviewSession(ReviewedSet(root)) for _ in range(sessions)]
    items = opened[0].items()
    start = threading.Barrier(4)
    failures: list[Exception] = []

    def window(number: int) -> None:
        session = opened[number % sessions]
        start.wait(HANG)
        try:
            for item in items[number::4]:
                decide(session, item, ("accept", "drop")[number % 2])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=window, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert not failures
    wanted = {item.name: (("accept", "drop")[place % 2], "") for place, item in enumerate(items)}
    assert decisions(root) == wanted
    for session in opened:
        assert {item.name: item.decision for item in session.items()} == {n: d for n, (d, _) in wanted.items()}


def test_each_window_hears_of_the_others(root: Path) -> None:
    session = ReviewSession(ReviewedSet(root))
    items, number = session.items(), session.since(0).number
    decide(session, items[2], "accept")
    decide(session, items[5], "drop")
    changes = session.since(number)
    assert {item.name for item in changes.items} == {items[2].name, items[5].name}
    assert session.since(changes.number).items == [] and changes.generation == session.since(0).generation


def test_what_a_table_program_writes_is_kept(root: Path) -> None:
    session = ReviewSession(ReviewedSet(root))
    items, number = session.items(), session.since(0).number
    rows = review_rows(root / "review.csv")
    added = rows[0]._replace(source="sure.png", text="AB1", status="ok", decision="drop")
    write_rows(root / "review.csv", [rows[0]._replace(decision="accept"), *rows[1:], added])
    with pytest.raises(ConflictError):
        decide(session, items[0], "drop")
    decide(session, items[1], "drop")
    assert decisions(root)[items[0].name] == ("accept", "")
    assert decisions(root)[items[1].name] == ("drop", "") and decisions(root)["sure.png"] == ("drop", "")
    changes = session.since(number)
    assert changes.generation > 0, "the list has a line more"
    assert session.items()[-1].name == "sure.png"


OWN_COLUMNS = {
    "the last column": ("source,text,read,confidence,status,decision,corrected,note", "{},,,,suspect,,,ask Ana"),
    "a column between, of a table program": ("source;note;decision", "{};ask Ana;"),
    "beyond the header": ("source,decision", "{},,ask Ana"),
    "a column without a name": ("source,,decision,corrected", "{},ask Ana,,"),
}


@pytest.mark.parametrize(("header", "line"), OWN_COLUMNS.values(), ids=OWN_COLUMNS.keys())
def test_what_a_person_notes_beside_decisions_stays(root: Path, header: str, line: str) -> None:
    names = [suspect.source for suspect in suspects(3)]
    empty = line.format("").replace("suspect", "").replace("ask Ana", "for all of them")
    path = root / "review.csv"
    path.write_text("\n".join([header, *map(line.format, names), empty, ""]))
    session = ReviewSession(ReviewedSet(root))
    items = session.items()[:3]
    decide(session, items[0], "accept")
    decide(session, items[1], "correct", "AB2")
    decide(ReviewSession(ReviewedSet(root)), items[2], "drop")
    assert [decisions(root)[name] for name in names] == [("accept", ""), ("correct", "AB2"), ("drop", "")]
    lines = path.read_text().splitlines()
    assert [line.count("ask Ana") for line in lines] == [0, 1, 1, 1, 0] and "for all of them" in lines[4]
    assert own_columns(path) == (["note"] if "note" in header else []), "which a conversion names"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_lines_about_a_picture_that_with_a_decision_counts(root: Path, order: tuple[int, int]) -> None:
    path = root / "review.csv"
    first, *others = review_rows(path)
    lines = [first._replace(decision="drop"), first]
    write_rows(path, [lines[order[0]], *others, lines[order[1]]])
    session = ReviewSession(ReviewedSet(root))
    items = session.items()
    assert [item.name for item in items] == [row.source for row in (first, *others)]
    assert [item.decision for item in items[:2]] == ["drop", ""]
    decide(session, items[1], "accept")
    assert {name: row.decision for name, row in read_review(path).rows.items()} == {
        items[0].name: "drop", items[1].name: "accept",
    }  # fmt: skip
    decide(session, session.items()[0], "correct", "AB2")
    assert read_review(path).rows[first.source].corrected == "AB2"
    assert decisions(root)[first.source] == ("correct", "AB2"), "no line says anything else"


def test_a_file_that_makes_no_sense_is_told_and_left_alone(root: Path) -> None:
    session = ReviewSession(ReviewedSet(root))
    item = session.items()[0]
    good = (root / "review.csv").read_bytes()
    broken = good.replace(b",suspect,,", b",suspect,burn,", 1)
    (root / "review.csv").write_bytes(broken)
    for _ in range(2):
        with pytest.raises(DatasetError, match="none of accept, correct, drop"):
            decide(session, item, "drop")
    assert (root / "review.csv").read_bytes() == broken
    (root / "review.csv").write_bytes(good)
    decide(session, session.items()[0], "drop")
    assert decisions(root)[item.name] == ("drop", "")


def test_nothing_is_decided_while_a_conversion_writes_the_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_files, "WAIT", 0.0)
    session = ReviewSession(ReviewedSet(root))
    item = session.items()[0]
    with alone(root), pytest.raises(DatasetError, match="Another run is writing"):
        decide(session, item, "drop")
    assert decisions(root)[item.name] == ("", "") == (session.items()[0].decision, "")
    decide(session, item, "drop")
    assert decisions(root)[item.name] == ("drop", "")


def test_a_review_that_is_missing_begins_with_the_suspects(root: Path) -> None:
    (root / "review.csv").unlink()
    session = ReviewSession(ReviewedSet(root))
    assert [item.name for item in session.items()] == [suspect.source for suspect in suspects(12)]
    decide(session, session.items()[3], "accept")
    assert decisions(root) == {suspects(12)[3].source: ("accept", "")}


def test_what_holds_no_label_is_not_accepted(root: Path) -> None:
    rows = review_rows(root / "review.csv")
    write_rows(root / "review.csv", [rows[0]._replace(source="gone.png", text="", status="missing"), *rows])
    session = ReviewSession(ReviewedSet(root))
    with pytest.raises(ArgumentError, match="no label to accept"):
        decide(session, session.items()[0], "accept")
