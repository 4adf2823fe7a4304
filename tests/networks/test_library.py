"""Ultralytics as part of this package: what it prints, and whose settings it follows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import detector
from detector.data.folders.user_cache import cache_folder
from detector.networks.ultralytics import library
from tests.conftest import Toy, char_network

ROOT = Path(detector.__file__).parents[1]


def run(arguments: list[str], folder: Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with a home of its own and nothing said about Ultralytics; None unsets."""
    own = ("YOLO_", "XDG_", "MPL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    told = {**kept, "HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), **changes}
    environment = {name: value for name, value in told.items() if value is not None}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.mark.parametrize("options", [["-q"], []], ids=["quiet", "log"])
def test_a_log_has_no_bars_and_no_escapes_and_quiet_has_nothing(toy: Toy, tmp_path: Path, options: list[str]) -> None:
    arguments = [f"data={toy.report.data_yaml}", f"model={char_network()}", "epochs=2", "batch=32", "device=cpu"]
    done = run(["-m", "detector", *options, "train", *arguments], tmp_path)
    assert done.returncode in (0, 5), done.stderr
    for sign in ("\x1b", "\r", "━", "─", "it/s"):
        assert sign not in done.stderr
    if options:
        lines = [line for line in done.stderr.splitlines() if line]
        assert all(line.startswith(("3 pictures for validation: ", "detector: not one of")) for line in lines), lines
    else:
        heads = [line for line in done.stderr.splitlines() if "exact" in line and "CER" in line]
        assert len(heads) >= 2 and "2/2" in done.stderr, done.stderr


ASKED = """
import json
from detector.data.parallel import cores, network_threads, requested_threads
from detector.networks.ultralytics.library import INTEGRATIONS
from ultralytics.utils import SETTINGS
threads = requested_threads(), network_threads() == min(requested_threads() or 999, cores())
print(json.dumps([[key for key in INTEGRATIONS if SETTINGS[key]], *threads]))
"""

USERS = {"wandb": True, "mlflow": False, "raytune": True}  # Ray Tune is not running


@pytest.mark.parametrize("threads", [None, 3, ""])
def test_an_import_follows_the_users_settings_and_threads(tmp_path: Path, threads: int | str | None) -> None:
    """Importing Ultralytics sets OMP_NUM_THREADS: readers and training would follow it."""
    file = tmp_path / "Ultralytics" / "settings.json"
    file.parent.mkdir()
    file.write_text(json.dumps(USERS))
    asked = None if threads is None else str(threads)
    done = run(["-c", ASKED], tmp_path, OMP_NUM_THREADS=asked, XDG_CONFIG_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    on = ["wandb"] if sys.platform == "linux" else []
    assert json.loads(done.stdout.splitlines()[-1]) == [on, threads or None, True]
    assert json.loads(file.read_text()) == USERS, "nothing is written"


@pytest.mark.parametrize(
    ("where", "settings", "on"),
    [
        ("home/.config", USERS, ["wandb"]),
        ("elsewhere", {"tensorboard": True}, ["tensorboard"]),
        ("home/.config", None, []),
        ("home/.config", ["junk"], []),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="where settings lie is one of the system")
def test_integrations_are_those_of_the_users_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, settings: Any, on: list[str]
) -> None:
    file = tmp_path / where / "Ultralytics" / "settings.json"
    if settings is not None:
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(settings))
    held = dict.fromkeys(library.INTEGRATIONS, True)
    monkeypatch.setattr(library, "SETTINGS", held)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(cache_folder()))  # as the import sets it
    monkeypatch.setenv("XDG_CONFIG_HOME", "" if where.startswith("home") else str(tmp_path / where))
    library._respect_settings()
    assert [key for key, value in held.items() if value] == on


def test_what_integrations_are_told_of_the_project_is_a_name(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.data.sets.yolo_dataset import read_set
    from detector.training.arguments.defaults import training_arguments
    from detector.training.trainer import prepared_trainer

    monkeypatch.chdir(tmp_path)
    for given, name in (({}, "runs"), ({"project": "plates"}, "plates"), ({"project": str(tmp_path / "a")}, "a")):
        arguments = {"model": str(char_network()), "device": "cpu", **given}
        trainer = prepared_trainer(training_arguments(read_set(toy.root), arguments))
        assert trainer.args.project == name
        assert trainer.save_dir.parent == tmp_path / name


def test_every_integration_is_known() -> None:
    from ultralytics.utils import SETTINGS

    assert {*library.INTEGRATIONS} <= {*SETTINGS}
