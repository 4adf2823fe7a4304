"""What is said to limit a reader: counted, in order, and nothing where nothing is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from detector.data.sets.yolo_dataset import BOXES, BoxRow, ManifestRow, read_set, write_descriptions, write_tables
from detector.data.text_files import write_csv
from detector.reading.evaluation import EvaluatedPicture, Evaluation
from detector.reading.reader import Failure
from detector.text.detections import Character, Reading
from detector.text.metrics import TextScore
from detector.text.reading_config import ReadingConfig
from detector.workflow.limits import Evidence, Limit, limits_of, pattern_of
from tests.builders import write_pictures

TAUGHT = [f"{a}{b}{n}" for a in "ABO" for b in "XYO" for n in "0123456789" for _ in range(4)]  # 360 of one format


def evidence(
    root: Path,
    read: Mapping[str, str | None],
    *,
    taught: Sequence[str] = TAUGHT,
    doubted: Sequence[str] = (),
    learnt: tuple[int, int] = (0, 0),
    to_review: int = 0,
    heights: Mapping[str, float] | None = None,
) -> Evidence:
    """A set with these texts to learn from, and held-out labels with what was read, None where that cannot be done."""
    rows = [ManifestRow(f"{i}", f"images/train/{i}.png", text, "train", "", "1", "ok") for i, text in enumerate(taught)]
    for label in read:
        status = "suspect" if label in doubted else "ok"
        rows.append(ManifestRow(label, f"images/test/{label}.png", label, "test", "", "1", status))
    write_pictures(root / "images" / "test", [f"{label}.png" for label in read], size_wh=(128, 32))
    write_tables(root, rows, [])
    write_descriptions(root, root, ReadingConfig(shape_hw=(64, 256)), {"train": ["x"], "test": ["x"]})
    boxes = [BoxRow(f"images/test/{label}.png", label[0], "0", "0", "9", f"{(heights or {}).get(label, 30)}", "1", "")
             for label in read]  # fmt: skip
    write_csv(root / BOXES, BoxRow._fields, boxes)
    names = {label: f"images/test/{label}.png" for label in read}
    pictures = tuple(EvaluatedPicture(root / names[one], names[one], one, _reading(text)) for one, text in read.items())
    right, count = learnt
    return Evidence(read_set(root), Evaluation(pictures, " ", 1.0), TextScore(count, right, 0, 0), to_review)


def _reading(text: str | None) -> Reading | Failure:
    if text is None:
        return Failure("x", "no picture")
    return Reading(text, 0.9, tuple(Character(sign, 0.9, (0, 0, 1, 1)) for sign in text))


def said(limits: Sequence[Limit]) -> list[tuple[str, int]]:
    return [(limit.kind, limit.wrong) for limit in limits]


def test_nothing_is_wrong(tmp_path: Path) -> None:
    assert limits_of(evidence(tmp_path, {"AX1": "AX1", "BY2": "BY2"}, learnt=(100, 100))) == ()


def test_label_errors(tmp_path: Path) -> None:
    read = {f"AX{n}": f"AX{n}" for n in range(10)} | {"BY1": "QQQ", "BY2": "ZZZ"}
    (limit,) = limits_of(evidence(tmp_path, read, doubted=["BY1"], to_review=7))
    assert said([limit]) == [("label errors", 1)]
    assert limit.message == (
        "labels that look wrong and that nobody has decided on: 7; "
        "wrong readings of held-out pictures with such a label: 1 of 2"
    )


def test_look_alikes_and_the_pattern_that_tells_them_apart(tmp_path: Path) -> None:
    read = {"AX0": "AXO", "BX0": "BXO", "AO1": "A01", "AY7": "AY7", "BY7": "BYQ"}
    (limit,) = limits_of(evidence(tmp_path, read))
    assert said([limit]) == [("look-alikes", 3)] and limit.settings == {"pattern": "AA9"}
    assert "O for 0 2 times, 0 for O" in limit.message


def test_rare_symbols(tmp_path: Path) -> None:
    read = {f"AX{n}": f"AX{n}" for n in range(10)} | {"KX1": "HX1", "KX2": "PX2", "BX3": "MX3"}
    limits = limits_of(evidence(tmp_path, read, taught=[*TAUGHT, "KX9"]))
    assert ("rare symbols", 2) in said(limits)
    assert "K in 1" in limits[0].message


def test_small_characters(tmp_path: Path) -> None:
    small = {f"A{n:02}": f"Z{n:02}" for n in range(20)}
    large = {f"B{n:02}": f"B{n:02}" for n in range(40)}
    heights = {label: 5.0 if label in small else 20.0 for label in (*small, *large)}
    limits = limits_of(evidence(tmp_path, small | large, heights=heights))
    assert ("small characters", 20) in said(limits)
    limit = next(limit for limit in limits if limit.kind == "small characters")
    assert limit.message.startswith("20 of 20 pictures whose characters are 10 pixels or less high")
    assert limit.settings == {}, "the network sees these pictures enlarged: a larger input shows no more"


LEARNT: dict[str, tuple[tuple[int, int], int, list[str]]] = {
    "forgets what it has not seen": ((100, 100), 360, ["few pictures"]),
    "has not even learnt": ((30, 100), 360, ["too little training"]),
    "nothing to compare with": ((0, 0), 360, []),
    "few, and perhaps by chance": ((10, 10), 40, ["few pictures"]),
}


@pytest.mark.parametrize(("learnt", "taught", "kinds"), LEARNT.values(), ids=LEARNT.keys())
def test_pictures_or_training(tmp_path: Path, learnt: tuple[int, int], taught: int, kinds: list[str]) -> None:
    read = {f"A{n:02}": f"A{n:02}" if n < 30 else f"A{n:02}777" for n in range(60)}
    limits = limits_of(evidence(tmp_path, read, taught=TAUGHT[:taught], learnt=learnt))
    assert [limit.kind for limit in limits] == kinds


def test_what_cannot_be_decoded_says_nothing(tmp_path: Path) -> None:
    assert limits_of(evidence(tmp_path, {"AX1": "AX1", "AX2": None})) == ()


PATTERNS: dict[str, tuple[list[str], str | None]] = {
    "one format": ([f"AB{n:03}" for n in range(30)], "AA999"),
    "two lengths": ([f"AB{n:03}" for n in range(30)] + [f"A{n:03}" for n in range(30)], "A999|AA999"),
    "a place has both": ([f"AB{n:03}" for n in range(30)] + ["A7123"], None),
    "digits only, which tell nothing apart": ([f"{n:04}" for n in range(30)], None),
    "few": (["AB1", "CD2"], None),
    "none": ([], None),
    "with spaces": ([f"AB {n:02}" for n in range(30)], None),
}


@pytest.mark.parametrize(("texts", "pattern"), PATTERNS.values(), ids=PATTERNS.keys())
def test_a_format_that_all_texts_fit(texts: list[str], pattern: str | None) -> None:
    assert pattern_of(texts) == pattern
