"""Pre-labels: a table that any label can go through, and that says which strings are labels yet."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.data.labels.prelabels import STATUSES, Prelabel, read_prelabels, write_prelabels
from detector.data.labels.sources import read_source
from detector.errors import SourceError
from tests.builders import write_pictures

HEADER = "image,text,confidence,status\n"


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    """A table over pictures a.png to e.png."""
    write_pictures(folder, [f"{name}.png" for name in "abcde"], size_wh=(40, 20))
    path = folder / "prelabels.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


@given(
    st.lists(
        st.builds(
            Prelabel,
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            st.integers(0, 10000).map(lambda n: n / 10000),
            st.sampled_from(STATUSES),
        )
    )
)
def test_what_is_written_is_read(rows: list[Prelabel]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prelabels.csv")
        write_prelabels(path, rows)
        decided = [row._replace(confidence=1.0) if row.status in ("person", "dropped") else row for row in rows]
        assert read_prelabels(path) == decided


def test_a_label_file_has_labels_of_a_person_and_sure_ones(tmp_path: Path) -> None:
    path = table(
        tmp_path, "a.png,AB,1,person", "b.png,CD,0.97,sure", "c.png,EF,0.4,doubtful", "d.png,GH,1,dropped",
        "e.png,,0,unreadable",
    )  # fmt: skip
    source = read_source(path)
    assert [(i.name, i.text, i.confidence) for i in source.items] == [("a.png", "AB", None), ("b.png", "CD", 0.97)]
    assert [(r.name, r.reason) for r in source.refused] == [("d.png", "a person dropped it (line 5)")]
    assert (source.waiting, source.unlisted, source.count) == (2, 0, 3)


BESIDE: dict[str, tuple[list[str], dict[str, tuple[str, float | None]]]] = {
    "sure, as a person has it": (["a.png,AB12,0.9,sure"], {"a.png": ("AB12", None)}),
    "sure, otherwise": (["a.png,XY99,0.9,sure", "b.png,CD,0.9,sure"], {"a.png": ("AB12", None), "b.png": ("CD", 0.9)}),
    "doubtful": (["a.png,AB1,0.2,doubtful", "b.png,CD,0.9,sure"], {"a.png": ("AB12", None), "b.png": ("CD", 0.9)}),
    "dropped": (["a.png,XY,1,dropped", "b.png,CD,0.9,sure"], {"b.png": ("CD", 0.9)}),
    "of a person": (["a.png,AB12,1,person", "b.png,CD,0.9,sure"], {"a.png": ("AB12", None), "b.png": ("CD", 0.9)}),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "texts"), BESIDE.values(), ids=BESIDE)
def test_a_person_s_label_file_goes_before_pre_labels(
    tmp_path: Path, rows: list[str], texts: dict[str, tuple[str, float | None]]
) -> None:
    table(tmp_path, *rows)
    (tmp_path / "train.csv").write_text("image,text\na.png,AB12\n", encoding="utf-8")
    source = read_source(tmp_path)
    assert {item.name: (item.text, item.confidence) for item in source.items} == texts
    assert [refused.name for refused in source.refused] == ([] if "a.png" in texts else ["a.png"])
    assert source.waiting == 0


def test_two_persons_of_another_mind_are_an_error(tmp_path: Path) -> None:
    table(tmp_path, "a.png,XY99,1,person")
    (tmp_path / "train.csv").write_text("image,text\na.png,AB12\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"a.png is 'XY99' in prelabels.csv, 'AB12' in train.csv"):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("header", "row", "confidence"),
    {
        "other capitals": (HEADER.upper(), "a.png,AB,0.9,Sure", 0.9),
        "another order": ("status,text,image,confidence\n", "sure,AB,a.png,0.9", 0.9),
        "semicolons, as a spreadsheet saves": ("image;text;confidence;status\n", "a.png;AB;0.9;sure", 0.9),
        "another table's status": ("image,text,confidence,status,by\n", "a.png,AB,0.9,done,me", None),
        "another table's status, one as here": (
            "image,text,status\n",
            "a.png,AB,done\nb.png,CD,done\nc.png,,sure",
            None,
        ),
        "another table's confidence": ("image,text,confidence\n", "a.png,AB,0.9", None),
    }.values(),
)
def test_a_table_is_recognised(tmp_path: Path, header: str, row: str, confidence: float | None) -> None:
    item = read_source(table(tmp_path, row, header=header)).items[0]
    assert (item.text, item.confidence) == ("AB", confidence)


ODD = "the status {!r} is none of person, sure, doubtful, dropped, unreadable (line {})"
EDITED: dict[str, tuple[str, list[str], dict[str, str]]] = {
    "a mistyped status": (
        HEADER, ["a.png,AB,0.9,sure", "b.png,CD,1,persn", "c.png,XX,0.1,doubtful"], {"b.png": ODD.format("persn", 3)},
    ),
    "a cleared status": (
        HEADER, ["a.png,AB,0.9,sure", "b.png,CD,1,", "c.png,XX,0.1,doubtful"], {"b.png": ODD.format("", 3)},
    ),
    "no status is known": (
        HEADER, ["a.png,AB,1,person", "b.png,CD,1,", "c.png,XX,0.1,zweifelhaft"],
        {"b.png": ODD.format("", 3), "c.png": ODD.format("zweifelhaft", 4)},
    ),
    "a separator after each row": (
        HEADER.replace(",", ";"), ["a.png;AB;0.9;sure;", "b.png;CD;0.3;doubtful;", "c.png;XX;0.1;doubtful;"], {},
    ),
    "a separator after each row and the header": (
        "image,text,confidence,status,\n", ["a.png,AB,0.9,sure,", "c.png,XX,0.1,doubtful,"], {},
    ),
    "a short row": (
        HEADER, ["a.png,AB,0.9,sure", "b.png,CD", "c.png,XX,0.1,doubtful"], {"b.png": ODD.format("", 3)},
    ),
    "no confidences": (
        "image,text,status\n", ["a.png,AB,person", "b.png,CD,sure", "c.png,XX,doubtful", "d.png,YY,persn"],
        {"b.png": "no column confidence says how sure it is (line 3)", "d.png": ODD.format("persn", 5)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("header", "rows", "refused"), EDITED.values(), ids=EDITED)
def test_an_edited_table_makes_no_labels_of_doubtful_rows(
    tmp_path: Path, header: str, rows: list[str], refused: dict[str, str]
) -> None:
    source = read_source(table(tmp_path, *rows, header=header))
    assert [(item.name, item.text) for item in source.items] == [("a.png", "AB")]
    assert {row.name: row.reason for row in source.refused} == refused
    assert source.waiting == len(rows) - 1 - len(refused)


@pytest.mark.parametrize("with_confidence", [True, False])
@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_pre_labels_in_json(tmp_path: Path, kind: str, with_confidence: bool) -> None:
    """As pandas writes the table: rows are labels as they are in the CSV."""
    write_pictures(tmp_path, [f"{name}.png" for name in "abcd"])
    rows: list[dict[str, object]] = [
        {"image": "a.png", "text": "XX", "confidence": 0.1, "status": "doubtful"},
        {"image": "b.png", "text": "AB", "confidence": 1, "status": "person"},
        {"image": "c.png", "text": "CD", "confidence": 0.97, "status": "sure"},
        {"image": "d.png", "text": "YY", "confidence": 0.2, "status": None},
    ]
    if not with_confidence:
        rows = [{key: value for key, value in row.items() if key != "confidence"} for row in rows]
    lines = [json.dumps(row) for row in rows]
    content = "\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]"
    (tmp_path / f"prelabels.{kind}").write_text(content, encoding="utf-8")
    source = read_source(tmp_path)
    sure: list[tuple[str, str, float | None]] = [("c.png", "CD", 0.97)] if with_confidence else []
    assert [(item.name, item.text, item.confidence) for item in source.items] == [("b.png", "AB", None), *sure]
    assert [row.name for row in source.refused] == (["d.png"] if with_confidence else ["c.png", "d.png"])
    assert (source.waiting, source.unlisted) == (1, 0)


def test_pre_labels_in_a_map(tmp_path: Path) -> None:
    """The keys are the pictures, as those of a table of pandas with these for an index."""
    write_pictures(tmp_path, [f"{name}.png" for name in "abc"])
    doubtful, persons = {"text": "XX", "confidence": 0.1, "status": "doubtful"}, {"text": "AB", "status": "person"}
    content = {"a.png": doubtful, "b.png": persons, "c.png": {"text": "YY"}}
    (tmp_path / "prelabels.json").write_text(json.dumps(content), encoding="utf-8")
    source = read_source(tmp_path)
    assert [(item.name, item.text) for item in source.items] == [("b.png", "AB")]
    assert ([row.name for row in source.refused], source.waiting) == (["c.png"], 1)


@pytest.mark.parametrize("said", ["", "nan", "1.5", "-0.1", "high"])
def test_a_confidence_that_is_none_is_refused(tmp_path: Path, said: str) -> None:
    path = table(tmp_path, "a.png,AB,1,person", f"b.png,CD,{said},sure")
    (refused,) = read_source(path).refused
    assert refused.reason == f"the confidence {said!r} is no number from 0 to 1 (line 3)"
    with pytest.raises(SourceError, match=f"prelabels.csv:3: the confidence {said!r} is no number"):
        read_prelabels(path)


def test_pre_labels_that_all_wait_are_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"all 2 pre-labels wait for a person: .*'person'"):
        read_source(table(tmp_path, "a.png,AB,0.3,doubtful", "b.png,CD,0.2,doubtful"))


@pytest.mark.parametrize("content", [b"image,text\na.png,AB\n", b"\xff\xfe", b'image,text,confidence,status\na,"b'])
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "prelabels.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"prelabels\.csv"):
        read_prelabels(path)
