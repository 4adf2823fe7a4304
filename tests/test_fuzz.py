"""A small part of what `tools/reliability/fuzz.py` does, each time: files changed at random are taken or refused."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from detector.errors import DetectorError
from tools.reliability import fuzz
from tools.reliability.inputs import CATEGORIES

COUNTS = {"pictures": 60, "labels": 80, "patterns": 60, "data.yaml": 60, "tables": 60, "archives": 30, "shards": 40}


@pytest.mark.parametrize("name", CATEGORIES)
def test_files_changed_at_random(name: str, tmp_path: Path) -> None:
    """What a check raises but the package's own errors is a fault: input and seed are in the message."""
    check = CATEGORIES[name].prepare(tmp_path)
    place, refused = tmp_path / "input", 0
    for number in range(COUNTS[name]):
        place.mkdir()
        try:
            refused += bool(check(random.Random(f"tests {name} {number}"), place))
        except DetectorError as error:
            refused += 1
            assert len(str(error)) < 4000, number
        except Exception as error:
            error.add_note(f"input {number} of {name}")
            raise
        shutil.rmtree(place)
    assert 0 < refused < COUNTS[name]


def test_each_input_has_a_process_around_it(tmp_path: Path) -> None:
    result = fuzz.run("patterns", 4, 0, 2, tmp_path)
    assert (result.inputs, result.taken + result.refused, result.failures) == (4, 4, [])
    again = fuzz.run("patterns", 4, 0, 2, tmp_path)
    assert (again.taken, again.refusals) == (result.taken, result.refusals)


def test_categories_are_chosen_by_name() -> None:
    assert fuzz.counts_of([]) == {name: category.count for name, category in CATEGORIES.items()}
    assert fuzz.counts_of(["pictures=3", "labels"]) == {"pictures": 3, "labels": CATEGORIES["labels"].count}
    with pytest.raises(SystemExit, match="no category 'x'"):
        fuzz.counts_of(["x=1"])
