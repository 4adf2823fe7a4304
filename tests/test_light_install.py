"""What works without the extras, and which of them a verb says that it needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import pytest

from detector.errors import DISTRIBUTION, EXTRAS, DependencyError, missing_extra
from tests.builders import dejavu, toy_folder
from tests.review.builders import small_set, suspects

ROOT = Path(__file__).parent.parent

BLOCKED = (*EXTRAS["train"], *EXTRAS["serve"], *EXTRAS["shards"], *EXTRAS["ray"], "scipy", "polars", "cloudpickle")

WITHOUT = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""

COMMAND = "from detector.cli import main; main()"

GPU = """
import ctypes
ctypes.CDLL = lambda *_: None  # the driver of a GPU is there
"""


def without_extras(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of AB12CD, which the shipped weights read."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (256, 64), "white")
    ImageDraw.Draw(image).text((30, 8), "AB12CD", fill="black", font=ImageFont.truetype(str(dejavu()), 44))
    path = tmp_path_factory.mktemp("light") / "AB12CD.png"
    cv2.imwrite(str(path), np.asarray(image))
    return path


@pytest.mark.parametrize("before", ["", GPU], ids=["no GPU", "a GPU that torch is missing for"])
def test_a_picture_is_read(plate: Path, before: str) -> None:
    done = without_extras(before + "import detector; print(detector.Reader().read(sys.argv[1]).text)", str(plate))
    assert (done.stdout, done.stderr) == ("AB12CD\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["predict", "shipped"], "AB12CD.png\tAB12CD\n"), (["evaluate", "shipped"], "exact match: 1.000 (n=1)\n")],
    ids=["predict", "evaluate"],
)
def test_reading_verbs_work(plate: Path, arguments: list[str], said: str) -> None:
    done = without_extras(COMMAND, *arguments, str(plate.parent))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(said)


def test_pictures_are_labelled(plate: Path, tmp_path: Path) -> None:
    done = without_extras(COMMAND, "label", "shipped", str(plate.parent), str(tmp_path / "table.csv"))
    assert done.returncode == 0, done.stderr
    row = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()[1]
    assert re.fullmatch(r".*AB12CD\.png,AB12CD,[01]\.\d+,\w+", row)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["train", "data=data.yaml"], "torch"),
        (["fit", "{folder}"], "torch"),
        (["export", "shipped", "--out", "x.onnx"], "torch, torchvision, ultralytics, matplotlib and onnx"),
        (["demo", "{folder}/demo"], "matplotlib"),
        (["profile", "data.yaml"], "torch"),
        (["synth", "{folder}/synth", "-n", "1"], "matplotlib"),
        (["predict", "shipped", "{folder}", "--device", "0"], "torch, torchvision and ultralytics"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_other_verbs_say_which_extra_they_need(tmp_path: Path, arguments: list[str], needed: str) -> None:
    done = without_extras(COMMAND, *(argument.format(folder=tmp_path) for argument in arguments))
    assert done.returncode == DependencyError.exit_code
    assert re.fullmatch(
        rf"detector: .* needs? {needed}.*: run `pip install '{DISTRIBUTION}\[train\]'`\.\n", done.stderr
    ), done.stderr
    assert not list(tmp_path.iterdir())


def test_serving_says_which_extra_it_needs() -> None:
    done = without_extras(COMMAND, "serve", "shipped")
    assert done.returncode == DependencyError.exit_code
    needed = "fastapi, uvicorn, python_multipart and prometheus_client"
    assert done.stderr.startswith(f"detector: detector serve needs {needed}: run `pip install '{DISTRIBUTION}[serve]'`")


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["pack", "{folder}", "{folder}-shards"], "Packing"),
        (["predict", "shipped", "{folder}/shards"], "{folder}/shards"),
        (["evaluate", "shipped", "{folder}/shards"], "{folder}/shards/a.parquet"),
        (["convert", "{folder}/shards/a.parquet", "{folder}/set"], "{folder}/shards/a.parquet"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_shards_say_which_extra_they_need(tmp_path: Path, arguments: list[str], begins: str) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "a.parquet").write_bytes(b"PAR1")
    done = without_extras(COMMAND, *(argument.format(folder=tmp_path) for argument in arguments))
    assert done.returncode == DependencyError.exit_code, done.stderr
    needed = f"detector: {begins.format(folder=tmp_path)} needs pyarrow: run `pip install '{DISTRIBUTION}[shards]'`.\n"
    assert done.stderr == needed


def test_convert_keeps_what_it_found_before_it_needs_to_train(tmp_path: Path) -> None:
    toy_folder(tmp_path / "pictures", 90, alphabet="ЖЮЯФ")  # symbols that the shipped weights do not know
    done = without_extras(
        COMMAND, "convert", str(tmp_path / "pictures"), str(tmp_path / "out"), "--alphabet", "auto", "--space", "_"
    )
    assert done.returncode == DependencyError.exit_code, done.stderr
    assert f"'{DISTRIBUTION}[train]'`, then the same once more: it goes on from here.\n" in done.stderr
    assert list((tmp_path / "out.part" / "work").glob("counted-*.npz"))


def test_convert_needs_no_extra_where_the_shipped_weights_read_all(tmp_path: Path) -> None:
    toy_folder(tmp_path / "pictures", 30, alphabet="ABCDEFHK", spaces=0.0)
    done = without_extras(COMMAND, "convert", str(tmp_path / "pictures"), str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "data.yaml").is_file()


def test_a_set_is_reviewed(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(1))
    code = "import sys; sys.argv.insert(1, 'review'); import detector.review.server as server\n"
    code += "server.ReviewServer.serve = lambda self: print(self.answers.session.items()[0].name)\n"
    done = without_extras(code + COMMAND, str(root))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [suspects(1)[0].source]


def test_public_names_say_it_too() -> None:
    code = "import detector\ntry: detector.train\nexcept detector.DetectorError as error: print(error)"
    assert f"'{DISTRIBUTION}[train]'" in without_extras(code).stdout


def test_other_modules_are_nobodys_extra() -> None:
    assert missing_extra(ModuleNotFoundError("No module named 'nothing'", name="nothing")) is None
    assert missing_extra(ModuleNotFoundError("No module")) is None


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION
    for extra, modules in EXTRAS.items():
        named = {re.split(r"[>=<]|\[data", needed)[0] for needed in project["optional-dependencies"][extra]}
        assert set(modules) <= {name.replace("-", "_") for name in named}
        assert extra in ("train", "serve", "shards", "ray") or f"{DISTRIBUTION}[train]" in named


def test_nothing_advises_to_install_somebody_elses_package() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tools/*.md"), *ROOT.glob("detector/**/*.py")]
    for page in pages:
        assert not re.search(r"install '?detector\b", page.read_text(encoding="utf-8")), page
