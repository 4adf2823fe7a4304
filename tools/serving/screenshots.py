"""Screenshots of the page of `detector serve` for the documentation, with drawn plates.

    python tools/serving/screenshots.py [--out docs/images]

It needs playwright and Debian's Chromium. Look at the pictures before you commit them.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
from PIL import Image
from playwright.sync_api import sync_playwright

from detector.synth import SynthConfig, Synthesizer
from tools.processes import free_port
from tools.results import ROOT
from tools.serving.load import start_service, stop_service

SIZES = {"screen": (1280, 800), "phone": (390, 844)}


def write_screenshot(screenshot: bytes, path: Path, colours: int = 128) -> None:
    """Write a screenshot with so many colours, more than a page has, as a small file."""
    Image.open(io.BytesIO(screenshot)).convert("RGB").quantize(colours).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    synthesizer = Synthesizer(SynthConfig(size_wh=(512, 128), styles=("plate",)))
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch) / "plates"
        folder.mkdir()
        for number in range(30):
            cv2.imwrite(str(folder / f"{number:04}.png"), synthesizer(number).image)
        process = start_service(
            [sys.executable, "-m", "detector", "serve", "shipped", "--port", str(port)],
            port,
            "/readyz",
            Path(scratch) / "serve.log",
        )
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            for name, (width, height) in SIZES.items():
                scheme = "light" if name == "screen" else "dark"
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=name == "phone"
                )
                page.goto(f"http://127.0.0.1:{port}/")
                page.set_input_files("#files", folder / "0003.png")
                page.wait_for_selector("#frame svg")
                write_screenshot(page.screenshot(), out / f"serve-picture-{name}.png")
                page.set_input_files("#folder", folder)
                page.wait_for_selector("#save:enabled")
                write_screenshot(page.screenshot(), out / f"serve-folder-{name}.png")
                page.close()
        finally:
            browser.close()
            stop_service(process)
    print(f"pictures are in {out}")


if __name__ == "__main__":
    main()
