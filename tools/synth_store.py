"""Artificial pictures for the shipped weights, in one file that can be mapped into memory.

    python tools/synth_store.py OUT --count 120000 [--seed 1] [--length 8] [--min-length 3] [--words FILE]

Writes OUT/images.npy, uint8 (count, 64, 256, 3) BGR, and OUT/labels.npz: `texts` (count,), `boxes_xyxy`
float32 (count, 8, 4) in pixels, rows after the last character zero. Deterministic in the arguments.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from detector.synth import SynthConfig, Synthesizer, read_texts

SIZE_WH = (256, 64)
CHUNK = 500


def _fill(job: tuple[SynthConfig, str, int, int]) -> tuple[int, list[str], np.ndarray]:
    config, path, start, stop = job
    cv2.setNumThreads(1)
    images = np.load(path, mmap_mode="r+")
    synthesizer = Synthesizer(config)
    texts, boxes = [], np.zeros((stop - start, config.length, 4), np.float32)
    for i in range(start, stop):
        picture = synthesizer(i)
        images[i] = picture.image
        texts.append(picture.text)
        boxes[i - start, : len(picture.boxes_xyxy)] = picture.boxes_xyxy
    return start, texts, boxes


def words_of(path: Path, config: SynthConfig) -> tuple[str, ...]:
    """Words of the file that the config's alphabet and lengths allow, in capitals, each once."""
    known = set(config.alphabet.symbols)
    words = {word.upper() for word in read_texts(path)}
    return tuple(sorted(w for w in words if config.shortest <= len(w) <= config.length and {*w} <= known))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--length", type=int, default=8)
    parser.add_argument("--min-length", type=int, default=3)
    parser.add_argument("--words", type=Path, default=None, help="a word a line: a fifth of the texts are such words")
    parser.add_argument("--workers", type=int, default=None)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    # Plates, captchas and scene words twice: what people bring most.
    looks = ("plate", "plate", "captcha", "captcha", "captcha", "scene", "scene", "label")
    looks += ("embossed", "segments", "dots", "handwriting")
    config = SynthConfig(length=args.length, min_length=args.min_length, size_wh=SIZE_WH, looks=looks, seed=args.seed)
    path = args.out / "images.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (args.count, SIZE_WH[1], SIZE_WH[0], 3)).flush()
    configs = [config] * 10
    # Square plates, and labels, have two lines; this high a picture is only their middle size.
    configs[4] = replace(config, looks=("plate", "plate", "label"), lines=2)
    if args.words:  # signs, labels and captchas say things; a network learns what letters go together
        looks = ("scene", "scene", "scene", "label", "handwriting", "captcha")
        configs[7] = configs[9] = replace(config, looks=looks, texts=words_of(args.words, config))
    starts = range(0, args.count, CHUNK)
    jobs = [(configs[i // CHUNK % len(configs)], str(path), i, min(i + CHUNK, args.count)) for i in starts]
    texts = np.empty(args.count, dtype=f"<U{args.length}")
    boxes = np.zeros((args.count, args.length, 4), np.float32)
    began = time.perf_counter()
    with ProcessPoolExecutor(args.workers) as pool:
        for done, (start, some_texts, some_boxes) in enumerate(pool.map(_fill, jobs), 1):
            texts[start : start + len(some_texts)] = some_texts
            boxes[start : start + len(some_texts)] = some_boxes
            if done % 10 == 0:
                rate = done * CHUNK / (time.perf_counter() - began)
                print(f"{done * CHUNK}/{args.count} pictures, {rate:.0f}/s", flush=True)
    np.savez(args.out / "labels.npz", texts=texts, boxes_xyxy=boxes)
    (args.out / "config.json").write_text(json.dumps({k: str(v) for k, v in vars(args).items()}))


if __name__ == "__main__":
    main()
