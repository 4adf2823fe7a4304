"""What the package writes as CSV it reads back, whatever the text."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.conversion.review import Review, ReviewRow, read_review, write_review
from detector.data.sets.yolo_dataset import ManifestRow, RejectRow, read_manifest, read_rejects, write_tables
from detector.data.text_files import Writer, read_rows

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.lists(ANY, min_size=1, max_size=4), max_size=6))
@example([["mis\rsing.png", "no such file"]])
@example([['a"\r\n,b', ""], ["\ufeff"], ["\0"]])
def test_rows_come_back(rows: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    Writer(file).rows(rows)
    assert [row for _, row in read_rows(io.StringIO(file.getvalue(), newline=""))] == rows
    assert file.getvalue().endswith("\n") or not rows


@given(st.lists(st.tuples(ANY, ANY), max_size=4))
def test_a_set_s_tables_come_back(pairs: list[tuple[str, str]]) -> None:
    manifest = [ManifestRow(name, f"images/train/{i}.png", text, "train", "cut 1", "0.9", "suspect")
                for i, (name, text) in enumerate(pairs)]  # fmt: skip
    rejects = [RejectRow(name, reason) for name, reason in pairs]
    with tempfile.TemporaryDirectory() as name:
        write_tables(Path(name), manifest, rejects)
        assert read_manifest(Path(name)) == manifest
        assert read_rejects(Path(name)) == rejects


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), ANY, max_size=4))
@example({"mis\rsing.png": "A", "two\nlines.png": "B"})
def test_a_review_comes_back(texts: dict[str, str]) -> None:
    review = Review({name: ReviewRow(name, text, decision="drop") for name, text in texts.items()}, {})
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "review.csv"
        write_review(path, [], [], texts, review)
        back = read_review(path).rows
        assert {row.source: (row.text, row.decision) for row in back.values()} == {
            name: (text, "drop") for name, text in texts.items()
        }


@pytest.mark.parametrize("text", ['a,"b\nc,d\n', 'a,"b"c\n'], ids=["never closed", "closed inside a field"])
def test_quotes_that_are_not_closed_are_an_error(text: str) -> None:
    with pytest.raises(csv.Error):
        list(read_rows(io.StringIO(text, newline="")))
