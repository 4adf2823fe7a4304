"""Messages name arguments as whoever reads them would write them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import detector
from detector.cli import app
from detector.errors import DetectorError, argument, arguments_as_options

NAMED: list[tuple[str, object, str, str]] = [
    ("overwrite", True, "overwrite=True", "--overwrite"),
    ("visual_order", True, "visual_order=True", "--visual-order"),
    ("length", 12, "length=12", "--length 12"),
    ("labels", Path("a b.csv"), "labels='a b.csv'", "--labels 'a b.csv'"),
    ("labels", "names", "labels='names'", "--labels names"),
    ("ignore", "-", "ignore='-'", "--ignore '-'"),
    ("ignore", "-'", 'ignore="-\'"', "--ignore '-'\"'\"''"),
    ("pattern", r"regex:\d", r"pattern='regex:\\d'", r"--pattern 'regex:\d'"),
]


@pytest.mark.parametrize(("name", "value", "in_python", "as_option"), NAMED)
def test_an_argument_is_named_where_it_is_given(name: str, value: object, in_python: str, as_option: str) -> None:
    assert argument(name, value) == in_python
    with arguments_as_options():
        assert argument(name, value) == as_option
        assert shlex.split(as_option)[1:] == ([] if value is True else [str(value)])
    assert argument(name, value) == in_python


def test_a_command_names_options_and_a_call_arguments(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    done = CliRunner().invoke(app, ["convert", str(source), str(out)])
    assert "say --overwrite to" in str(done.exception)
    with pytest.raises(detector.DetectorError, match="say overwrite=True to"):
        detector.convert(source, out)


def test_library_code_spells_no_option() -> None:
    package = Path(detector.__file__).parent
    for path in package.rglob("*.py"):
        if "cli" not in path.relative_to(package).parts and path.name not in ("errors.py", "trust.py", "images.py"):
            assert not re.search(r"(?<!\w)--[a-z]", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("length", [0, 1, 3000, 3001, 131_072])
def test_of_a_long_message_beginning_and_end_are_told(length: int) -> None:
    message = f"begins {'x' * length} ends"
    told = str(DetectorError(message))
    assert told == message or len(told) < 3010
    assert told.startswith("begins") and told.endswith("ends")
