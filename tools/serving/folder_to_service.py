"""The two commands of docs/index.md on a folder of pictures: their output and their times.

    python tools/serving/folder_to_service.py [--source ../shared/data/captcha-v2] [epochs=4 ...]

Without --source it draws 200 plates, whose file names are their strings. Other arguments are passed to `detector fit`.
It works in --out, where files of an earlier run are deleted. Leaves JSON there with the seconds from the first command
to its end, and from the second command to its first answer, with its string. The machine must be idle for them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
from matplotlib import get_data_path

import detector
from tools.processes import free_port
from tools.results import ROOT, machine, machine_lines, write_json
from tools.serving.load import start_service, stop_service

PLATES = 200
FONT = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono-Bold.ttf"  # the same on every machine


def draw_plates(folder: Path) -> Path:
    """Draw plates such as AB12CDE; return the folder."""
    folder.mkdir(parents=True)
    synthesizer = detector.Synthesizer(
        detector.SynthConfig(styles=("plate",), pattern="AA99AAA", fonts=(FONT,), seed=3)
    )
    for number in range(PLATES):
        plate = synthesizer(number)
        cv2.imwrite(str(folder / f"{plate.text}.png"), plate.image)
    return folder


def first_answer(port: int, picture: Path) -> dict[str, Any]:
    """Return the reading of a picture by the service."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/read", picture.read_bytes(), {"Content-Type": "application/octet-stream"}
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        reading: dict[str, Any] = json.load(response)["readings"][0]
    return reading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder of labelled pictures; drawn plates, if none is named")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "folder_to_service", help="folder to work in")
    args, fit_arguments = parser.parse_known_args()
    out = args.out.resolve()
    for folder in ("plates", "readers"):
        shutil.rmtree(out / folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    source = args.source.resolve() if args.source else draw_plates(out / "plates")
    command = [sys.executable, "-m", "detector"]

    start_time = time.perf_counter()
    fit_command = [*command, "fit", os.path.relpath(source, out), *fit_arguments]
    fit_process = subprocess.run(fit_command, cwd=out, stdout=subprocess.PIPE, text=True)
    fit_seconds = time.perf_counter() - start_time
    if fit_process.returncode not in (0, 3):  # 3: done, with pictures that were refused
        raise SystemExit(fit_process.returncode)
    print(fit_process.stdout, end="")

    weights = out / fit_process.stdout.splitlines()[-1]
    picture = sorted((weights.parent / "set" / "images" / "test").iterdir())[0]
    port = free_port()
    start_time = time.perf_counter()
    serve_command = [*command, "serve", str(weights), "--port", str(port)]
    service = start_service(serve_command, port, "/readyz", out / "serve.log")
    try:
        reading = first_answer(port, picture)
        serve_seconds = time.perf_counter() - start_time
    finally:
        stop_service(service)
    result = {
        "source": source.name, "fit": fit_process.stdout.splitlines(), "fit_seconds": fit_seconds,
        "serve_seconds": serve_seconds, "picture": picture.name, "text": reading["text"], "machine": machine(),
    }  # fmt: skip
    write_json(out / "result.json", result)
    print(f"{source.name}: fit {fit_seconds:.0f} s; serve, to its first answer ({picture.name}: {reading['text']}), "
          f"{serve_seconds:.1f} s")  # fmt: skip
    print(*machine_lines([result]), sep="\n")


if __name__ == "__main__":
    main()
