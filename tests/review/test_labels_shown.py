"""The label that a person sees and accepts is the one that is written, and trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import detector
from detector.conversion.arguments import stored_arguments
from detector.conversion.review import ReviewRow, write_rows
from detector.data.sets.yolo_dataset import read_manifest
from detector.review.opening import open_subject
from detector.review.session import ReviewSession
from tests.builders import write_pictures
from tests.conftest import Toy
from tests.review.builders import Suspect, decide, evaluation, review_rows, small_set


def test_the_label_that_is_seen_and_accepted_is_trained_on(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the file of decisions and the set have different labels."""
    root = shutil.copytree(toy.root, tmp_path / "set")
    names = [row.source for row in read_manifest(root) if row.folder == "train"][:4]
    labels = {row.source: row.text for row in read_manifest(root)}
    corrected = {name: labels[name][:-1] + ("K" if labels[name][-1] != "K" else "T") for name in names}

    def written(change: Callable[[ReviewRow], ReviewRow]) -> ReviewSession:
        rows = review_rows(root / "review.csv")
        write_rows(root / "review.csv", [change(row) if row.source in names else row for row in rows])
        return ReviewSession(open_subject(root))

    def converted_texts() -> dict[str, str]:
        detector.convert(**(stored_arguments(root) or {}), out=root, overwrite=True)
        assert {row.status for row in read_manifest(root) if row.source in names} == {"ok"}
        return {row.source: row.text for row in read_manifest(root) if row.source in names}

    added = [ReviewRow(name, labels[name], decision="correct", corrected=text) for name, text in corrected.items()]
    write_rows(root / "review.csv", [*review_rows(root / "review.csv"), *added])
    assert converted_texts() == corrected

    emptied, accepted, in_page, left = names
    session = written(
        lambda row: row._replace(
            decision={emptied: "", accepted: "accept"}.get(row.source, row.decision),
            corrected="" if row.source in (emptied, accepted) else row.corrected,
        )
    )
    seen = {item.name: item for item in session.items()}
    assert [seen[name].decision for name in names] == ["", "", "correct", "correct"]
    assert [seen[name].text for name in names] == [labels[emptied], corrected[accepted], labels[in_page], labels[left]]
    for name in (emptied, accepted, in_page):
        decide(session, name, "accept")
    again = {item.name: item for item in ReviewSession(open_subject(root)).items()}
    settled = {name: again[name].corrected or again[name].text for name in names}
    assert settled == {**{name: seen[name].text for name in names}, left: corrected[left]}, "nothing else is shown"
    assert converted_texts() == settled


@pytest.mark.parametrize("is_undone", [False, True])
def test_an_accept_of_an_earlier_label_is_decided_on_anew(tmp_path: Path, is_undone: bool) -> None:
    root = small_set(tmp_path / "set", [])
    write_rows(root / "review.csv", [ReviewRow("sure.png", "AB0", status="ok", decision="accept")])
    session = ReviewSession(open_subject(root))
    (item,) = session.items()
    assert (item.text, item.decision) == ("AB1", "")
    decide(session, "sure.png", "accept")
    if is_undone:
        decide(session, "sure.png", "")
        decide(session, "sure.png", "accept")
    (row,) = review_rows(root / "review.csv")
    assert (row.decision, row.corrected) == ("correct", "AB1"), "which holds whether the source has AB0 or AB1"
    assert [(item.decision, item.corrected) for item in ReviewSession(open_subject(root)).items()] == [row[5:]]


@pytest.mark.parametrize("decision", ["", "accept"])
def test_of_a_suspect_the_label_of_the_set_counts(tmp_path: Path, decision: str) -> None:
    root = small_set(tmp_path / "set", [Suspect("a.png", "00123", "00128")])
    (row,) = review_rows(root / "review.csv")
    write_rows(root / "review.csv", [row._replace(text="123", decision=decision)])  # as a table program saves it
    session = ReviewSession(open_subject(root))
    assert [(item.text, item.decision) for item in session.items()] == [("00123", "")]
    decide(session, "a.png", "accept")
    assert review_rows(root / "review.csv") == [row._replace(decision="accept")]


def test_an_accept_of_another_label_than_that_of_the_evaluation_is_decided_on_anew(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", ["1.png"])
    path = tmp_path / "e.json"
    decide(
        ReviewSession(open_subject(evaluation(path, folder, [("1.png", folder / "1.png", "A", "B")]))),
        "1.png",
        "accept",
    )
    session = ReviewSession(open_subject(evaluation(path, folder, [("1.png", folder / "1.png", "C", "B")])))
    assert [(item.text, item.decision) for item in session.items()] == [("C", "")]
    decide(session, "1.png", "accept")
    assert [(row.text, row.decision) for row in review_rows(tmp_path / "e.review.csv")] == [("C", "accept")]
