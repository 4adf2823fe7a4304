"""What training returns: a path to read with, and more."""

from __future__ import annotations

import inspect
import os
import pickle
import re
from pathlib import Path

import pytest

import detector
from detector.data.sets.yolo_dataset import read_set
from detector.networks.shipped import SHIPPED
from detector.text.metrics import TextScore
from tests.conftest import Toy

RESULT = detector.TrainingResult(SHIPPED, TextScore(20, 18, 2, 100), Path("runs/x"), Path("set"), True, 7)


def test_a_result_is_taken_wherever_a_path_is() -> None:
    assert Path(RESULT) == SHIPPED and str(RESULT) == f"{RESULT}" == os.fspath(RESULT) == str(SHIPPED)
    assert detector.Reader(RESULT, device="cpu").config.symbols == detector.Reader(device="cpu").config.symbols
    assert RESULT.metrics.exact_match == 0.9


def test_a_report_is_taken_as_its_set(toy: Toy) -> None:
    assert read_set(toy.report) == read_set(toy.root)


def test_training_names_and_explains_its_own_arguments() -> None:
    *own, others = inspect.signature(detector.train).parameters.values()
    assert {"data", "model", "epochs", "resume", "project", "name", "weights", "augment", "trust"} <= {
        p.name for p in own
    }
    assert others.kind is inspect.Parameter.VAR_KEYWORD, "all of `yolo train`'s are taken"
    explained = re.findall(r"^    (\w+): ", inspect.getdoc(detector.train) or "", re.MULTILINE)
    assert {p.name for p in (*own, others)} <= {*explained}


def test_who_stopped_training_finds_what_was_learnt() -> None:
    stopped = detector.TrainingStopped(RESULT)
    assert isinstance(stopped, KeyboardInterrupt) and stopped.result is RESULT
    assert str(stopped) == f"{SHIPPED} is what was learnt in 7 epochs; resume=runs/x/weights/last.pt goes on"


@pytest.mark.parametrize(("right", "count", "learnt"), [(1, 20, True), (0, 20, False), (0, 3, True), (0, 0, True)])
def test_no_right_picture_of_a_dozen_is_nothing_learnt(right: int, count: int, learnt: bool) -> None:
    score = TextScore(count, right, 0, 0)
    assert detector.TrainingResult(SHIPPED, score, Path("run"), Path("set"), True, 1).learnt == learnt


def test_a_result_goes_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(RESULT)) == RESULT
