"""Screenshots of the page of `detector review` for the documentation, with drawn plates of which some labels are wrong.

    python tools/review/screenshots.py [--out docs/images]

It needs playwright and Debian's Chromium. Look at the pictures before you commit them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
from playwright.sync_api import sync_playwright

import detector
from detector.data.text_files import write_csv
from detector.review.opening import open_subject
from detector.review.server import ReviewServer
from tools.results import ROOT
from tools.serving.screenshots import SIZES, write_screenshot

PLATES, WRONG_EVERY = 180, 8
COLOURS = 256  # of a screenshot, so that marks have the page's own


def labelled_plates(folder: Path) -> Path:
    """Draw plates; every eighth label has two neighbours swapped or one symbol mistyped. Return the label file."""
    folder.mkdir()
    synthesizer = detector.Synthesizer(detector.SynthConfig(size_wh=(384, 96), styles=("plate", "embossed"), length=8))
    rows = []
    for number in range(PLATES):
        plate = synthesizer(number)
        cv2.imwrite(str(folder / f"{number:04}.png"), plate.image)
        rows.append((f"{number:04}.png", mistyped(plate.text, number) if number % WRONG_EVERY == 4 else plate.text))
    write_csv(folder / "labels.csv", ("image", "text"), rows)
    return folder / "labels.csv"


def mistyped(text: str, number: int) -> str:
    """Return the text of a plate as hurried people type it: two neighbours swapped, or one symbol replaced."""
    place = number // WRONG_EVERY % (len(text) - 1)
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if number % (2 * WRONG_EVERY) == 4 and swapped != text:
        return swapped
    symbols = detector.Alphabet().symbols
    return text[:place] + symbols[(symbols.index(text[place]) + 3) % len(symbols)] + text[place + 1 :]


def wait_for_picture(page: Any, index: int) -> None:
    """Wait until the picture at an index is shown, with its neighbours."""
    page.wait_for_selector(f'body[data-at="{index}"]')
    page.wait_for_function("() => [...document.images].every(image => image.complete)")
    page.wait_for_timeout(300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out = parser.parse_args().out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        os.chdir(scratch)  # so that the page shows no path of this machine
        root = Path("plates")
        detector.convert(labelled_plates(Path("source")), root, device="cpu")
        server = ReviewServer(open_subject(root))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            with server.serving():
                for name, (width, height) in SIZES.items():
                    page = browser.new_page(
                        viewport={"width": width, "height": height},
                        color_scheme="light" if name == "screen" else "dark",
                        has_touch=name == "phone",
                    )
                    page.goto(server.url)
                    if name == "screen":
                        for index, key in enumerate(("r", "r", "Enter", "r")):
                            wait_for_picture(page, index)
                            page.keyboard.press(key)
                    wait_for_picture(page, 4)
                    write_screenshot(page.screenshot(), out / f"review-{name}.png", COLOURS)
                    page.close()
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(server.url)
                wait_for_picture(page, 4)
                page.click("#finish")
                page.click("#convert")
                page.wait_for_selector("#end-next:visible", timeout=600_000)
                wait_for_picture(page, 0)
                write_screenshot(page.screenshot(), out / "review-finish-screen.png", COLOURS)
        finally:
            browser.close()
    print(f"pictures are in {out}")


if __name__ == "__main__":
    main()
