"""Size and times of an installation without extras: megabytes, seconds to install, seconds to the first string.

    python tools/install/light_install.py

The wheel is built, installed into an empty environment, and reads a picture with the shipped weights there. It needs uv
and the packages, from an index or from where uv is configured to look.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tools.results import ROOT, write_json

TEXT = "AB12CD"
MAX_MB, MAX_SECONDS = 400, 2.0
STARTS = 5


def draw(path: Path) -> None:
    """Draw a picture of TEXT, in the font that comes with Pillow."""
    image = Image.new("RGB", (256, 64), "white")
    ImageDraw.Draw(image).text((30, 4), TEXT, fill="black", font=ImageFont.load_default(46))
    image.save(path)


def megabytes(folder: Path) -> float:
    """Return the size of all files in a folder, in the blocks that they take on the disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) / 1e6


def run(*words: object, cwd: Path) -> tuple[str, float]:
    """Run a command; return its output and its seconds."""
    start_time = time.perf_counter()
    process = subprocess.run(list(map(str, words)), cwd=cwd, check=True, stdout=subprocess.PIPE, text=True)
    return process.stdout, time.perf_counter() - start_time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--constraint", type=Path, default=ROOT / "constraints.txt", help="versions [the tested ones]")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    args = parser.parse_args()
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if uv is None:
        sys.exit("uv is missing: run `pip install uv`.")
    with tempfile.TemporaryDirectory(prefix="light-install-") as name:
        folder = Path(name)
        run(uv, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("*.whl")
        run(uv, "venv", "--quiet", "--python", sys.executable, "light", cwd=folder)
        python = folder / "light" / "bin" / "python"
        _, install_seconds = run(
            uv, "pip", "install", "--quiet", "--link-mode", "copy", "--compile-bytecode", "--python", python,
            "--constraint", args.constraint.resolve(), wheel, cwd=folder,
        )  # fmt: skip
        draw(folder / "picture.png")
        code = "import detector; print(detector.Reader().read('picture.png').text)"
        python_runs = [run(python, "-I", "-c", code, cwd=folder) for _ in range(1 + STARTS)]
        command_runs = [run(python.with_name("detector"), "predict", "shipped", "picture.png", cwd=folder)
                for _ in range(1 + STARTS)]  # fmt: skip
        figures = {
            "wheel_mb": round(wheel.stat().st_size / 1e6, 1),
            "installed_mb": round(megabytes(folder / "light")),
            "packages": len(list((folder / "light").rglob("*.dist-info"))),
            "install_s": round(install_seconds, 1),
            "python_first_string_s": round(statistics.median(seconds for _, seconds in python_runs[1:]), 2),
            "command_first_string_s": round(statistics.median(seconds for _, seconds in command_runs[1:]), 2),
        }
    outputs = {text for text, _ in python_runs}, {text for text, _ in command_runs}
    if outputs != ({f"{TEXT}\n"}, {f"picture.png\t{TEXT}\n"}):
        sys.exit(f"{TEXT} was read as {python_runs[0][0]!r} and {command_runs[0][0]!r}.")
    print("| " + " | ".join(figures) + " |\n|" + "---|" * len(figures))
    print("| " + " | ".join(map(str, figures.values())) + " |")
    if args.json is not None:
        write_json(args.json, figures)
    if figures["installed_mb"] > MAX_MB or figures["python_first_string_s"] > MAX_SECONDS:
        sys.exit(f"More than {MAX_MB} MB or {MAX_SECONDS} s.")


if __name__ == "__main__":
    main()
