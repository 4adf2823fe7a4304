"""Draw docs/images/synth.jpg: a row of pictures of each kind that `detector synth` draws, with their true boxes.

    python tools/weights/contact_sheet.py [--out docs/images/synth.jpg] [--seed 0] [--boxes]

Other fonts than those of the recipe for the weights give other pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from detector.data.atomic import atomic_write
from detector.synth import STYLES, SynthConfig, Synthesizer
from tools.results import ROOT

COLUMNS = 6
NAME_WIDTH = 110
GAP = 4


def row(name: str, seed: int, boxes: bool) -> np.ndarray:
    """Draw a row of the sheet, uint8 (68, width, 3): the name of a kind, and COLUMNS of its pictures."""
    synthesizer = Synthesizer(SynthConfig(min_length=4, styles=(name,), seed=seed))
    title = np.full((64 + GAP, NAME_WIDTH, 3), 255, np.uint8)
    cv2.putText(title, name, (4, 38), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    cells = [title]
    for index in range(COLUMNS):
        picture = synthesizer(index)
        image = picture.image.copy()
        for x1, y1, x2, y2 in picture.boxes_xyxy.round().astype(int).tolist() if boxes else ():
            cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), (60, 160, 60), 1)
        cells.append(cv2.copyMakeBorder(image, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
    return np.hstack(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "synth.jpg")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--boxes", action="store_true", help="draw the true boxes, too")
    args = parser.parse_args()
    page = np.vstack([row(name, args.seed, args.boxes) for name in STYLES])
    is_encoded, data = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 72])
    if not is_encoded:
        raise SystemExit("The sheet cannot be encoded as JPEG.")
    with atomic_write(args.out) as part:
        part.write_bytes(data.tobytes())
    print(f"{args.out}: {len(STYLES)} kinds, {len(data) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
