"""Pre-labels: a table that any label can go through, and that says which strings are labels yet."""

from __future__ import annotations

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
        "another table's status": (HEADER, "a.png,AB,0.9,done", None),
        "another table's confidence": ("image,text,confidence\n", "a.png,AB,0.9", None),
    }.values(),
)
def test_a_table_is_recognised(tmp_path: Path, header: str, row: str, confidence: float | None) -> None:
    (item,) = read_source(table(tmp_path, row, header=header)).items
    assert (item.text, item.confidence) == ("AB", confidence)


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
