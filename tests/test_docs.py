"""Documentation fails when it lies: commands, options, code and links."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer.main

import detector
from detector.cli import app
from tests.conftest import Toy, ToyRun

ROOT = Path(__file__).parent.parent
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
INDEX = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
PAGES = [
    p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")) if ".venv" not in p.parts
]


def shown_commands(text: str) -> list[list[str]]:
    """`detector ...` lines of code blocks, as arguments."""
    lines = re.findall(r"^(?:\$ |    )(detector .*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_is_documented(name: str) -> None:
    assert f"## detector {name}" in REFERENCE
    section = REFERENCE.split(f"## detector {name}")[1].split("\n## ")[0]
    for parameter in COMMANDS[name].params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in section, f"{option} of detector {name}"


@pytest.mark.parametrize(
    "arguments", shown_commands(README) + shown_commands(INDEX) + shown_commands(REFERENCE), ids=" ".join
)
def test_shown_commands_are_taken(arguments: list[str]) -> None:
    name, *rest = arguments
    if name.startswith(("-", "[")):
        return
    assert name in COMMANDS
    known = {option for parameter in COMMANDS[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
    for argument in rest:
        if argument.startswith("-") and name != "train":
            assert argument.split("=")[0] in known, f"{argument} of detector {name}"


def test_help_says_what_each_command_and_option_does() -> None:
    for name, command in COMMANDS.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{parameter.name} of detector {name}"


def shown_python(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if "```python" in p.read_text(encoding="utf-8")], ids=lambda p: p.name
)
def test_shown_python_compiles_and_names_what_is_public(page: Path) -> None:
    for block in shown_python(page.read_text(encoding="utf-8")):
        compile(block, page.name, "exec")
        for name in re.findall(r"\bdetector\.([A-Za-z_]+)", block):
            assert name in detector.__all__


@pytest.mark.usefixtures("few_fonts")
@pytest.mark.parametrize("block", shown_python(PYTHON)[1:], ids=lambda block: block.splitlines()[-1])
def test_python_of_the_reference_runs(
    block: str, toy: Toy, toy_run: ToyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the first, which learns: on a small set in the places that are named there."""
    monkeypatch.chdir(tmp_path)
    for folder in ("weights", "datasets", "new"):
        Path(folder).mkdir()
    shutil.copyfile(toy_run.weights, "weights/plates.pt")
    Path("datasets/plates").symlink_to(toy.root)
    cv2.imwrite("new/0001.png", np.full((64, 256, 3), 255, np.uint8))
    exec(compile(block, "python.md", "exec"), {"__name__": "shown"})


def test_the_notebook_runs_and_its_reader_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((ROOT / "docs" / "first_reader.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number} of first_reader.ipynb", "exec"), names)
    assert names["fitted"].evaluation.count
    assert [reading.text for reading in names["readings"]] == [plate.text for plate in names["unseen"]]
    drawn, plain = np.asarray(names["image"]), names["unseen"][0].image
    assert (drawn == (255, 0, 0)).all(axis=2).any() and not (plain == (0, 0, 255)).all(axis=2).any()


def test_outputs_in_the_notebook_name_no_place_of_who_ran_it() -> None:
    notebook = json.loads((ROOT / "docs" / "first_reader.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert outputs and all(output["output_type"] in ("stream", "execute_result") for output in outputs)
    assert not [line for output in outputs for line in output.get("text", ()) if line.startswith("/")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{target} in {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_of_the_repository_that_are_named_exist(page: Path) -> None:
    for name in re.findall(
        r"(?<![\w./-])((?:detector|tools|tests|docs|examples)/[\w./-]*\.\w+)", page.read_text("utf-8")
    ):
        assert (ROOT / name).exists(), f"{name} in {page.name}"


def test_every_tool_is_listed_in_the_section_of_its_folder() -> None:
    text = (ROOT / "tools" / "README.md").read_text(encoding="utf-8")
    introduction, *sections = re.split(r"^`(\w+)/`: ", text, flags=re.MULTILINE)
    listed = {"tools": introduction, **dict(zip(sections[::2], sections[1::2], strict=True))}
    for path in ROOT.glob("tools/**/*.py"):
        assert f"`{path.name}`" in listed[path.parent.name], path


def test_readme_is_finished() -> None:
    assert shown_python(README)
    assert "@@" not in README
