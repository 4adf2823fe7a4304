"""Artificial pictures for the shipped weights, in arrays that can be mapped into memory.

    python tools/weights/synth_store.py OUT --count 120000 [--seed 1] [--length 8] [--min-length 3] [--words FILE]
        [--digits FOLDER] [--styles NAMES] [--width 256]

Writes OUT/images.npy, uint8 (count, 64, 256, 3) BGR, OUT/texts.npy (count,), OUT/boxes_xyxy.npy, float32 (count, 8, 4)
in pixels, rows after the last character zero, OUT/others_xyxy.npy, the same of characters of other alphabets, and
OUT/drawn.npy, bool (count,): a store may be used while it is drawn.
The last HELD_OUT pictures are never trained on, and are drawn first. Deterministic in the arguments.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from detector.data.letterbox import letterbox
from detector.synth import SynthConfig, Synthesizer, read_texts
from detector.synth.faces.fonts import described_fonts
from detector.text.alphabet import DEFAULT_LENGTH, Alphabet

SIZE_WH = (256, 64)
CHUNK = 500  # consecutive pictures of one kind, drawn by one process
HELD_OUT = 2000  # pictures at the end of a store, for scores and calibration; never trained on
HELD_OUT_CHUNK = 50  # likewise of one kind: small, so that each half of them has every kind


@dataclass(frozen=True)
class Store:
    """The arrays of a folder, mapped; see this file's beginning."""

    images: np.ndarray
    texts: np.ndarray
    boxes_xyxy: np.ndarray
    others_xyxy: np.ndarray
    drawn: np.ndarray

    @classmethod
    def create(cls, folder: Path, count: int, length: int) -> None:
        """Write arrays of zeros into a folder, for ``count`` pictures of strings of up to ``length`` symbols."""
        shapes = {
            "images": (np.uint8, (count, SIZE_WH[1], SIZE_WH[0], 3)), "texts": (f"<U{length}", (count,)),
            "boxes_xyxy": (np.float32, (count, length, 4)), "others_xyxy": (np.float32, (count, length, 4)),
            "drawn": (np.bool_, (count,)),
        }  # fmt: skip
        for name, (dtype, shape) in shapes.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), shape).flush()

    @property
    def scored(self) -> slice:
        """Slice of the held-out pictures.

        Raises:
            SystemExit: if they are not drawn yet.
        """
        if len(self.drawn) <= HELD_OUT or not self.drawn[-HELD_OUT:].all():
            raise SystemExit(
                f"The {HELD_OUT} pictures of this store that are held back are not drawn: run synth_store.py."
            )
        return slice(len(self.drawn) - HELD_OUT, None)

    @classmethod
    def open(cls, folder: Path, mode: Literal["r", "r+"] = "r") -> Store:
        """Map the arrays of a folder; of a store that is being drawn, ``drawn`` says which pictures are there."""
        return cls(*(np.load(folder / f"{field.name}.npy", mmap_mode=mode) for field in fields(cls)))


def _fill(job: tuple[SynthConfig, Path, int, int]) -> int:
    config, folder, start, stop = job
    cv2.setNumThreads(1)
    store, synthesizer = Store.open(folder, "r+"), Synthesizer(config)
    for i in range(start, stop):
        picture = synthesizer(i)
        store.texts[i] = picture.text
        store.images[i], transform = letterbox(picture.image, SIZE_WH[::-1])
        store.boxes_xyxy[i, : len(picture.boxes_xyxy)] = transform.to_letterboxed(picture.boxes_xyxy)
        others_xyxy = transform.to_letterboxed(picture.others_xyxy)[: store.others_xyxy.shape[1]]
        store.others_xyxy[i, : len(others_xyxy)] = others_xyxy
    store.drawn[start:stop] = True
    return stop - start


def words_of(path: Path, config: SynthConfig) -> tuple[str, ...]:
    """Words of the file that the config's alphabet and lengths allow, in capitals, each once."""
    symbols = set(config.alphabet.symbols)
    words = {word.upper() for word in read_texts(path)}
    return tuple(sorted(w for w in words if config.shortest <= len(w) <= config.length and {*w} <= symbols))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--length", type=int, default=8)
    parser.add_argument("--min-length", type=int, default=3)
    parser.add_argument("--words", type=Path, default=None, help="a word a line: a fifth of the texts are such words")
    parser.add_argument(
        "--digits",
        type=Path,
        default=None,
        help="a folder of written digits, a class a folder: a fifth of the texts are numbers, most written with these",
    )
    parser.add_argument(
        "--styles", default=None, help="others than this recipe's, separated by commas; none for two lines"
    )
    parser.add_argument(
        "--width", type=int, default=SIZE_WH[0], help="of the pictures, in pixels: narrow ones are letterboxed"
    )
    parser.add_argument("--workers", type=int, default=None)
    args = parser.parse_args()
    if args.count <= HELD_OUT:
        parser.error(f"--count must be more than the {HELD_OUT} that are held back, got {args.count}")
    if (args.out / "images.npy").exists():
        parser.error(f"{args.out} holds a store that training may be using: delete it, or name another folder")
    args.out.mkdir(parents=True, exist_ok=True)
    # Plates (of two kinds), captchas and scene words more than once: what people bring most.
    styles = ("plate", "vehicle", "vehicle", "captcha", "captcha", "clear", "struck", "struck", "crowded", "hollow")
    styles += ("inverted", "fuzzy", "scene", "scene", "label", "embossed", "segments", "lcd", "lcd", "led", "dots")
    styles += ("counter", "handwriting", "inkjet", "engraved", "curved", "painted", "document", "scripts")
    if args.styles:
        styles = tuple(args.styles.split(","))
    size_wh = (args.width, SIZE_WH[1])
    config = SynthConfig(length=args.length, min_length=args.min_length, size_wh=size_wh, styles=styles, seed=args.seed)
    Store.create(args.out, args.count, max(args.length, DEFAULT_LENGTH))  # stores are drawn from together
    (args.out / "config.json").write_text(json.dumps({k: str(v) for k, v in vars(args).items() if v is not None}))
    configs = [config] * 20
    if not args.styles:  # square plates, and labels, have two lines; this high a picture is only their middle size
        configs[4] = configs[14] = replace(config, styles=("plate", "vehicle", "label"), lines=2)
    if args.words:  # signs, labels and captchas say things; a network learns what letters go together
        styles = ("scene", "scene", "scene", "label", "handwriting", "captcha", "painted", "curved")
        word_config = replace(config, styles=styles, min_length=None, texts=words_of(args.words, config))
        configs[7:20:10] = configs[9:20:10] = [word_config] * 2
    if args.digits:  # MNIST's, and those that a pen draws, with the 1 and the 7 of other countries
        digit_config = replace(config, alphabet=Alphabet("0123456789"), min_length=1, styles=("handwriting",))
        configs[16] = digit_config
        configs[2] = configs[6] = configs[12] = replace(digit_config, glyphs=args.digits)
    trained = args.count - HELD_OUT
    jobs = [
        (configs[number % len(configs)], args.out, start, min(start + chunk, stop))
        for begin, stop, chunk in ((trained, args.count, HELD_OUT_CHUNK), (0, trained, CHUNK))
        for number, start in enumerate(range(begin, stop, chunk))
    ]
    described_fonts(config.alphabet)  # looked for once, not in each process
    start_time, picture_count = time.perf_counter(), 0
    # Spawned: forking a process in which OpenCV has threads may hang.
    with ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn")) as pool:
        for number, chunk_count in enumerate(pool.map(_fill, jobs), 1):
            picture_count += chunk_count
            if number % 10 == 0:
                speed = picture_count / (time.perf_counter() - start_time)
                print(f"{picture_count}/{args.count} pictures, {speed:.0f}/s", flush=True)


if __name__ == "__main__":
    main()
