"""What self-training has learnt is kept with the set: weights that read before any training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.conversion.convert import convert
from detector.conversion.inputs import assign_splits
from detector.conversion.locating.detectors import Learnt
from detector.conversion.report import ConversionReport
from detector.data.sets.yolo_dataset import SUSPECTS, read_manifest
from detector.data.text_files import write_csv
from detector.reading.evaluation import evaluate
from detector.reading.reader import Reader
from tests.builders import toy_folder

OPTIONS: dict[str, Any] = {"alphabet": "auto", "length": 6, "train_scale": 0.3, "device": "cpu"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ConversionReport:
    """Pictures of letters of which the shipped detector does not know one: it is trained on those without it."""
    folder = tmp_path_factory.mktemp("learnt")
    source = toy_folder(folder / "source", 100, alphabet="ABCDEFHЖ", min_length=3, spaces=0)
    return convert(source, folder / "set", **OPTIONS)


def test_it_is_a_reader_of_the_set(report: ConversionReport) -> None:
    assert report.reader is not None
    reader = Reader(report.reader)
    assert reader.config.symbols == report.config.symbols and reader.config.shape_hw == report.config.shape_hw
    assert evaluate(reader, report.data_yaml, split="test").score.exact_match > report.explained[0]


def test_it_has_learnt_nothing_that_is_held_out(report: ConversionReport) -> None:
    root = report.data_yaml.parent
    learnt = Learnt.read(sorted((root / "work").glob("detector-round*-0.pt"))[-1])
    folder_of = {row.source: row.folder for row in read_manifest(root)}
    assert learnt.pictures
    assert {folder_of[name] for name in learnt.pictures} <= {"train", SUSPECTS}


def held_out_text(texts: set[str]) -> str:
    """A text of the toy's letters that falls in the test split."""
    candidates = ("".join((a, b, c, d)) for a in "ABCD" for b in "ABCD" for c in "ABCD" for d in "ABCD")
    splits = ((text, assign_splits({*texts, text}, 0.1, 0.2)[text]) for text in candidates if text not in texts)
    return next(text for text, split in splits if split == "test")


REVIEWS: dict[str, tuple[Callable[[str], list[str]], bool]] = {
    "a picture that it learnt is held out now": (lambda text: ["correct", text], False),
    "a picture that it learnt is dropped": (lambda text: ["drop", ""], True),
}  # fmt: skip


@pytest.mark.parametrize(("decision", "is_kept"), REVIEWS.values(), ids=REVIEWS.keys())
def test_after_a_review(
    report: ConversionReport, tmp_path: Path, decision: Callable[[str], list[str]], is_kept: bool
) -> None:
    assert report.reader is not None
    root = shutil.copytree(report.data_yaml.parent, tmp_path / "set")
    learnt = Learnt.read(sorted((root / "work").glob("detector-round*-0.pt"))[-1]).pictures[0]
    text = held_out_text({row.text for row in read_manifest(root)})
    write_csv(root / "review.csv", ("source", "decision", "corrected"), [(learnt, *decision(text))])
    second_report = convert(report.data_yaml.parent.with_name("source"), root, overwrite=True, **OPTIONS)
    assert (root / "reader.pt").is_file() == (second_report.reader is not None) == is_kept
    if is_kept:
        assert (root / "reader.pt").read_bytes() == report.reader.read_bytes()
