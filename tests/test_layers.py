"""One direction of imports, a pure layer, a light `import detector`, and a closed public surface."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import detector
from detector import errors

ROOT = Path(detector.__file__).parent

FILES = {
    ".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in ROOT.rglob("*.py")
}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Full names of what a file imports, wherever the statement stands; `from a import b` gives a and a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            found |= {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_contributors_are_told_of_every_room() -> None:
    told = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == set(re.findall(r"^\| `(\w+)/` \|", told, re.MULTILINE))


@pytest.mark.parametrize(
    "room", [ROOT, *sorted({path.parent for path in FILES.values()} - {ROOT})], ids=lambda p: p.name
)
def test_a_room_has_a_dozen_entries_at_most(room: Path) -> None:
    entries = {path.name for path in room.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert len(entries - {"__init__.py", "__main__.py"}) <= (20 if room.name == "formats" else 12)


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_a_file_stays_short_and_patches_nothing(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, "split it by what its parts are"
    assert not {name for name in imports(path) if name.split(".")[0] in ("unittest", "pytest")}


IMPORTERS = {"ultralytics": "detector.networks.ultralytics.library", "ray": "detector.workflow.cluster.ray_cluster"}


@pytest.mark.parametrize(("library", "module"), IMPORTERS.items(), ids=IMPORTERS)
def test_only_one_module_imports_a_library(library: str, module: str) -> None:
    assert {m for m, p in FILES.items() if any(n.split(".")[0] == library for n in imports(p))} == {module}


PURE = sorted(module for module in FILES if module.startswith("detector.text."))


@pytest.mark.parametrize("module", PURE)
def test_what_strings_are_touches_no_disk(module: str) -> None:
    roots = {n.split(".")[0] for n in imports(FILES[module])} - set(sys.stdlib_module_names)
    assert roots <= {"numpy", "rapidfuzz", "detector"}
    assert not {"os", "pathlib", "shutil", "io", "socket"} & imports(FILES[module])


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


HEAVY = {"torch", "cv2", "ultralytics", "albumentations", "PIL", "yaml", "numpy", "matplotlib"}
LIGHT: dict[str, tuple[str, set[str]]] = {
    "the package": ("import detector", set()),
    "the pure layer": (f"import {', '.join(PURE)}", {"numpy"}),
    "a public name": ("import detector; detector.Alphabet", {"numpy"}),
    "label sources": ("import detector.data.labels.sources", {"numpy", "cv2", "PIL"}),
}


@pytest.mark.parametrize(("statement", "allowed"), LIGHT.values(), ids=LIGHT.keys())
def test_what_an_import_loads(statement: str, allowed: set[str]) -> None:
    assert loaded_by(statement) & HEAVY <= allowed


def test_the_command_line_starts_without_torch() -> None:
    assert not loaded_by("import detector.cli") & {"torch", "cv2", "ultralytics", "albumentations"}


# Public names

ERRORS = {name for name, value in vars(errors).items() if inspect.isclass(value)}


def test_all_is_what_is_promised() -> None:
    assert detector.__all__ == sorted({*detector._OWNERS, *ERRORS}), "what is loaded is what is listed"
    promised = {name for node in ast.walk(ast.parse(inspect.getsource(detector))) if isinstance(node, ast.If)
                for statement in node.body if isinstance(statement, ast.ImportFrom)
                for name in (alias.name for alias in statement.names)}  # fmt: skip
    assert promised == set(detector.__all__) - ERRORS, "what type checkers see is what there is"
    assert set(detector.__all__) <= set(dir(detector))


@pytest.mark.parametrize("name", detector.__all__)
def test_public_names_are_there_and_explained(name: str) -> None:
    value = getattr(detector, name)
    assert inspect.isclass(value) or inspect.isfunction(value)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert value.__module__.startswith("detector.")


def test_the_readme_uses_only_public_names() -> None:
    readme = ROOT.parent / "README.md"
    if not readme.is_file():
        pytest.skip("installed without its README")
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    used = set(re.findall(r"\bdetector\.([A-Za-z_]+)", "".join(blocks))).union(*map(_names_from, blocks))
    assert used and used <= set(detector.__all__)


def _names_from(block: str) -> set[str]:
    """What `from detector import …` names."""
    try:
        tree = ast.parse(block)
    except SyntaxError:  # a session with prompts
        return set()
    found = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "detector"]
    return {name.name for node in found for name in node.names}


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'detector' has no attribute 'nothing'"):
        detector.nothing  # noqa: B018


def test_public_functions_stay_functions_after_everything_was_imported() -> None:
    """A submodule of the same name would take their place: `detector.train` must not become a module."""
    modules = sorted(m for m in FILES if not m.endswith("__main__"))
    code = (
        "import importlib, inspect, detector\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "for name in detector.__all__: assert not inspect.ismodule(getattr(detector, name)), name\n"
        "assert callable(detector.convert) and callable(detector.train) and callable(detector.evaluate)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_no_public_name_is_also_a_module() -> None:
    assert not {m.split(".")[1] for m in FILES if m != "detector"} & set(detector.__all__)


def test_errors_are_one_tree() -> None:
    kinds = [k for k in vars(errors).values() if inspect.isclass(k)]
    assert all(issubclass(k, detector.DetectorError) for k in kinds)
    codes = [k.exit_code for k in kinds if "exit_code" in vars(k)]
    assert len(set(codes)) == len(codes), "an exit code a class, but for those that inherit theirs"
    assert not {0, errors.SOME_REFUSED} & set(codes)
    for kind in kinds:
        assert re.search(rf"\b{kind.__name__} +(exit code )?{kind.exit_code}\b", str(errors.__doc__))
