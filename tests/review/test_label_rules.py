"""Labels that the next conversion would refuse are refused in the review, as far as that is known there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detector.data.labels.prelabels import Prelabel, read_prelabels, write_prelabels
from detector.errors import ArgumentError
from detector.review.opening import open_subject
from detector.review.session import ReviewSession
from tests.builders import write_pictures
from tests.review.builders import decide, evaluation, review_rows

REFUSED_OF_A_TABLE: dict[str, tuple[dict[str, Any] | None, str, str]] = {
    "longer than any": (None, "A" * 49, "49 symbols, more than 48"),
    "no symbol": (None, "A\u0301\u0323", "combining mark"),
    "of a new fit, whose alphabet is not known": (None, "\u00e9" * 9, ""),
    "longer than in the fit": ({}, "AB1234567", "9 symbols, more than 8"),
    "as long as in the fit": ({"length": 9}, "AB1234567", ""),
    "not in the alphabet of the fit": ({}, "ab1", "not in the alphabet"),
    "in the alphabet of the fit": ({"alphabet": "a-z0-9"}, "ab1", ""),
    "an alphabet of what labels have": ({"alphabet": "auto"}, "\u00e9", ""),
    "capitals, as which the table is not read": ({"upper": True}, "ab1", "not in the alphabet"),
    "a stand-in for spaces": ({"space": "_"}, "AB_1", ""),
    "no stand-in": ({}, "AB_1", "not in the alphabet"),
    "an alphabet that is none": ({"alphabet": "aa"}, "ab1", ""),
}  # fmt: skip


@pytest.mark.parametrize(("conversion", "typed", "problem"), REFUSED_OF_A_TABLE.values(), ids=REFUSED_OF_A_TABLE.keys())
def test_labels_of_a_table_are_refused_as_its_fit_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conversion: dict[str, Any] | None, typed: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [Prelabel("plates/c.png", "AB3", 1.0, "person"), Prelabel("new/a.png", "A", 0.4, "doubtful")]
    write_prelabels(tmp_path / "labels.csv", rows)
    if conversion is not None:
        request = {"source": str(tmp_path / "plates"), "held_out": "", "training": {}, "conversion": conversion}
        (tmp_path / "readers" / "plates").mkdir(parents=True)
        state = json.dumps({"pictures": str(tmp_path / "plates"), "request": request})
        (tmp_path / "readers" / "plates" / "fit.json").write_text(state)
    session = ReviewSession(open_subject(tmp_path / "labels.csv"))
    if problem:
        with pytest.raises(ArgumentError, match=problem):
            decide(session, "new/a.png", "correct", typed)
    else:
        decide(session, "new/a.png", "correct", typed)
    assert read_prelabels(tmp_path / "labels.csv")[1].text == ("A" if problem else typed)


@pytest.mark.parametrize(
    ("typed", "options", "problem"),
    [
        ("\u00e9" * 49, {}, "49 symbols"),
        ("A-" * 30, {"ignore": "-"}, ""),
        ("1.2E+12", {}, "rounded"),
        ("\u00e9", {}, ""),
    ],
)
def test_labels_of_an_evaluated_source_are_refused_where_no_conversion_takes_them(
    tmp_path: Path, typed: str, options: dict[str, str], problem: str
) -> None:
    folder = write_pictures(tmp_path / "pictures", ["1.png"])
    path = evaluation(tmp_path / "e.json", folder, [("1.png", folder / "1.png", "A", "B")])
    path.write_text(json.dumps({**json.loads(path.read_text()), "label_options": options}))
    session = ReviewSession(open_subject(path))
    if problem:
        with pytest.raises(ArgumentError, match=problem):
            decide(session, "1.png", "correct", typed)
        assert not session.subject.decisions.exists()
    else:
        decide(session, "1.png", "correct", typed)
        assert [row.corrected for row in review_rows(session.subject.decisions)] == [typed]
