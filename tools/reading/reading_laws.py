"""Exact match on artificial pictures with spaces, rotation, slant and two lines.

    python tools/reading/reading_laws.py                 the decoder alone
    python tools/reading/reading_laws.py --write SETS    write the same pictures as sets to train on, with true boxes
    detector train data=SETS/NAME name=NAME              … for each of them, and then
    python tools/reading/reading_laws.py --read SETS     read the test split of each set with weights/NAME.pt
    python tools/reading/reading_laws.py --time          time to decode the detections of the shipped weights

There are two sets, with spaces inside and at the end of half of the strings: monospaced (`fixed`) and proportional
(`proportional`) text; each also rotated by up to 30 degrees, slanted by up to 24, and in two lines. The canvas has
256x192 pixels, so that rotated text stays inside. The three fonts come with Matplotlib and have a zero unlike the O, so
that errors concern the positions of characters and spaces.

The decoder alone gets true boxes as a detector might report them: each box's place and size are off by a share of its
size (--jitter), each picture has some weak duplicates of its characters with other symbols and some weak false
candidates, and characters are missing at the rate of --misses. No network is run: the result is an upper bound for
readers. The layout is fitted to the first half of the pictures, as `convert` does, and the second half is read.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from detector.synth import SynthConfig, Synthesizer
from detector.synth.config import PLAIN
from detector.text.alphabet import Alphabet
from detector.text.decode import decode_batch
from detector.text.detections import CharDetections
from detector.text.metrics import score_texts
from detector.text.reading_config import ReadingConfig
from detector.text.spacing import find_layout
from tools.results import write_json

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"

ALPHABET = Alphabet()
LENGTH = 8
TEXT_WH, CANVAS_WH = (256, 64), (256, 192)
BATCH = 32
LAYOUTS = ("fixed", "proportional")
CHANGES = ("straight", "turned", "slanted", "two lines")
MAX_TURN, MAX_SLANT = 30.0, 24.0  # degrees


class Sample(NamedTuple):
    """One picture, (192, 256, 3), its text and its true boxes xyxy (n, 4)."""

    image: NDArray[np.uint8]
    text: str
    boxes_xyxy: NDArray[np.float32]


def name_of(layout: str, change: str) -> str:
    """Return the name of a set in files."""
    return f"{layout}-{change.replace(' ', '-')}"


def pictures(layout: str, change: str, count: int, seed: int) -> Iterator[Sample]:
    """Draw the pictures of one set."""
    min_length, height, lines = (LENGTH, 96, 2) if change == "two lines" else (4, TEXT_WH[1], 1)
    config = SynthConfig(
        ALPHABET, LENGTH, min_length=min_length, size_wh=(TEXT_WH[0], height), styles=(PLAIN,), layout=layout,
        spaces=0.5, lines=lines, seed=seed,
        fonts=tuple(FONTS / name for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf")),
    )  # fmt: skip
    synthesizer = Synthesizer(config)
    for index in range(count):
        picture = synthesizer(index)
        rng = np.random.default_rng((seed, index))
        yield transform(Sample(picture.image, picture.text, picture.boxes_xyxy), change, rng)


def transform(picture: Sample, change: str, rng: np.random.Generator) -> Sample:
    """Place a picture in the middle of the canvas, rotated or slanted; its boxes enclose the moved corners."""
    turn = math.radians(rng.uniform(-MAX_TURN, MAX_TURN)) if change == "turned" else 0.0
    slant = math.tan(math.radians(rng.uniform(-MAX_SLANT, MAX_SLANT))) if change == "slanted" else 0.0
    matrix = np.array([[math.cos(turn), -math.sin(turn) - slant], [math.sin(turn), math.cos(turn)]])
    height, width = picture.image.shape[:2]
    shift = np.array(CANVAS_WH) / 2 - matrix @ np.array([width / 2, height / 2])
    affine = np.column_stack([matrix, shift])
    ground = np.median(picture.image.reshape(-1, 3), axis=0).tolist()
    image = cv2.warpAffine(picture.image, affine, CANVAS_WH, flags=cv2.INTER_AREA, borderValue=ground)
    x1, y1, x2, y2 = picture.boxes_xyxy.T.astype(np.float64)
    corners = np.stack([np.stack(c, 1) for c in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))], 1)  # (n, 4, 2)
    moved = corners @ matrix.T + shift
    limit = np.array(CANVAS_WH)
    boxes = np.concatenate([np.clip(moved.min(1), 0, limit), np.clip(moved.max(1), 0, limit)], 1)
    return Sample(np.asarray(image, np.uint8), picture.text, boxes.astype(np.float32))


def jittered(boxes_xyxy: NDArray[np.float32], rng: np.random.Generator, jitter: float) -> NDArray[np.float32]:
    """Move the four sides of each box at random, by a share of its size with the standard deviation ``jitter``."""
    size = np.tile(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 2)  # (n, 4)
    return (boxes_xyxy + rng.normal(0, jitter, boxes_xyxy.shape) * size).astype(np.float32)


def candidates_of(picture: Sample, rng: np.random.Generator, jitter: float, misses: float) -> CharDetections:
    """Return candidates as a detector might report them for a picture."""
    ids = np.array([ALPHABET.symbols.index(s) for s in picture.text if s != ALPHABET.space])
    n = len(ids)
    is_detected = rng.random(n) >= misses
    sure = rng.beta(12, 1, n)
    duplicates = rng.integers(0, n, 2)  # weak duplicates, a fifth of a character beside it at most
    size = np.tile(picture.boxes_xyxy[:, 2:] - picture.boxes_xyxy[:, :2], 2)  # (n, 4)
    true_boxes = jittered(picture.boxes_xyxy, rng, jitter)
    duplicate_boxes = picture.boxes_xyxy[duplicates] + np.tile(rng.uniform(-0.2, 0.2, (2, 2)), 2) * size[duplicates]
    corner = rng.uniform(0, 0.8, (3, 2)) * CANVAS_WH
    false_boxes = np.concatenate([corner, corner + rng.uniform(8, 40, (3, 2))], 1)
    boxes = np.concatenate([true_boxes[is_detected], duplicate_boxes, false_boxes])
    objectness = np.concatenate(
        [sure[is_detected], rng.uniform(0.02, 0.5, 2) * sure[duplicates], rng.uniform(0.02, 0.25, 3)]
    )
    classes = np.concatenate([ids[is_detected], rng.integers(0, len(ALPHABET), 5)])
    order = rng.permutation(len(boxes))
    return CharDetections(boxes[order], objectness[order], classes[order])


def by_decoder(layout: str, change: str, count: int, seed: int, jitter: float, misses: float) -> dict[str, object]:
    """Measure the exact match of the second half of the pictures, with the layout of the first half."""
    samples = list(pictures(layout, change, count, seed))
    rng = np.random.default_rng(seed)
    half = count // 2
    boxes = [jittered(s.boxes_xyxy, rng, jitter) for s in samples[:half]]
    widths = [float(CANVAS_WH[0])] * half
    learnt_layout, share = find_layout(boxes, [s.text for s in samples[:half]], widths, LENGTH)
    counts = [len(s.boxes_xyxy) for s in samples]
    config = ReadingConfig(ALPHABET.symbols, " ", LENGTH, min(counts), max(counts), learnt_layout)
    detections = [candidates_of(s, rng, jitter, misses) for s in samples[half:]]
    readings = []
    start_time = time.process_time()
    for start in range(0, len(detections), BATCH):
        batch = detections[start : start + BATCH]
        readings += [r.text for r in decode_batch(batch, config, [float(CANVAS_WH[0])] * len(batch))]
    milliseconds = 1000 * (time.process_time() - start_time) / max(1, len(detections))
    texts = [s.text for s in samples[half:]]
    result = score_texts(texts, readings)
    letters = [a.replace(" ", "") == b.replace(" ", "") for a, b in zip(texts, readings, strict=True)]
    return {
        "exact_match": result.exact_match, "interval_95": result.interval, "count": result.count,
        "without_spaces": float(np.mean(letters)),
        "layout": f"{learnt_layout.kind} {learnt_layout.measure}, {learnt_layout.lines} lines",
        "layout_share": share, "ms_a_picture": milliseconds,
        "wrong": [(a, b) for a, b in zip(texts, readings, strict=True) if a != b][:10],
    }  # fmt: skip


def write(layout: str, change: str, count: int, seed: int, root: Path) -> None:
    """Write pictures as a set to train on, with their true boxes; strings of val and test are not in train."""
    from detector.conversion.inputs import assign_splits
    from detector.data.sets import yolo_dataset

    target = root / name_of(layout, change)
    part = target.with_name(target.name + ".part")
    samples = list(pictures(layout, change, count, seed))
    split_of = assign_splits({s.text for s in samples}, 0.1, 0.2, seed)
    images: dict[str, list[str]] = {split: [] for split in yolo_dataset.SPLITS}
    rows = []
    for number, sample in enumerate(samples):
        split = split_of[sample.text]
        image, label = f"images/{split}/{number:05d}.png", part / f"labels/{split}/{number:05d}.txt"
        for path in (part / image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(part / image), sample.image)
        ids = [ALPHABET.symbols.index(s) for s in sample.text if s != ALPHABET.space]
        label.write_text(yolo_dataset.format_labels(ids, sample.boxes_xyxy, *CANVAS_WH), encoding="ascii")
        images[split].append(image)
        rows.append(yolo_dataset.ManifestRow(str(number), image, sample.text, split, "true", "1.0000", "ok"))
    train = [s for s in samples if split_of[s.text] == "train"]
    learnt_layout, _ = find_layout(
        [s.boxes_xyxy for s in train], [s.text for s in train], [float(CANVAS_WH[0])] * len(train), LENGTH
    )
    counts = [len(s.boxes_xyxy) for s in samples]
    config = ReadingConfig(ALPHABET.symbols, " ", LENGTH, min(counts), max(counts), learnt_layout, CANVAS_WH[::-1])
    yolo_dataset.write_descriptions(part, target.resolve(), config, images)
    yolo_dataset.write_tables(part, rows, [])
    part.rename(target)


def by_reader(layout: str, change: str, root: Path) -> dict[str, object] | None:
    """Exact match of a set's test split, read by its weights; None where there are none."""
    from detector import Reader, evaluate

    name = name_of(layout, change)
    weights = Path("weights", f"{name}.pt")
    if not weights.is_file():
        print(f"no {weights}: detector train data={root / name} name={name}")
        return None
    result = evaluate(Reader(weights), root / name)
    return {"exact_match": result.exact_match, "interval_95": result.interval, "count": result.count}


def times(seed: int) -> None:
    """Milliseconds of the processor a picture, best of five rounds over ten batches; a Markdown table."""
    from detector import Reader
    from detector.text.spacing import TextLayout

    reader = Reader(device="cpu")
    synthesizer = Synthesizer(SynthConfig(length=LENGTH, min_length=3, seed=seed))
    batches = [[reader.detect(synthesizer(i * BATCH + k).image) for k in range(BATCH)] for i in range(10)]
    gaps = TextLayout("proportional", "gap", (0.5, 1.0))
    kinds: dict[str, tuple[ReadingConfig, int]] = {
        "free length": (reader.config, 0),
        "spaces by gaps": (replace(reader.config, layout=gaps), 0),
        "two lines": (replace(reader.config, layout=TextLayout(lines=2)), 0),
        "pattern `AAA9A99\\|AAA9999`": (replace(reader.config, pattern="AAA9A99|AAA9999"), 0),
        "pattern `AAA 9999\\|AA 99 AA`": (replace(reader.config, layout=gaps, pattern="AAA 9999|AA 99 AA"), 0),
        "`regex:[A-Z]{1,3}[0-9]{2,5}`": (replace(reader.config, pattern="regex:[A-Z]{1,3}[0-9]{2,5}"), 0),
        "free length, 3 alternatives": (reader.config, 3),
    }
    print(f"{np.mean([len(d) for b in batches for d in b]):.1f} candidates a picture")
    print("\n| decoding | ms a picture |\n|---|---|")
    for name, (config, alternatives) in kinds.items():
        rounds = []
        for _ in range(5):
            start_time = time.process_time()
            for batch in batches:
                decode_batch(batch, config, [float(TEXT_WH[0])] * BATCH, alternatives=alternatives)
            rounds.append(1000 * (time.process_time() - start_time) / (len(batches) * BATCH))
        print(f"| {name} | {min(rounds):.2f} |")


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="pictures of each set [2000]")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--jitter", type=float, default=0.04, help="of a character's size [0.04]")
    parser.add_argument("--misses", type=float, default=0.0, help="share of characters that are not seen [0]")
    parser.add_argument("--write", type=Path, help="write the sets into this folder, and read nothing")
    parser.add_argument("--read", type=Path, help="read the sets in this folder with weights/NAME.pt")
    parser.add_argument("--time", action="store_true", help="only time the decoder")
    parser.add_argument("--out", type=Path, default=Path("runs/reading_laws.json"))
    args = parser.parse_args()
    if args.time:
        times(args.seed)
        return
    scores: dict[str, dict[str, object]] = {}
    for layout in LAYOUTS:
        for change in CHANGES:
            if args.write is not None:
                write(layout, change, args.count, args.seed, args.write)
                print(args.write / name_of(layout, change) / "data.yaml")
                continue
            score = (
                by_reader(layout, change, args.read) if args.read is not None
                else by_decoder(layout, change, args.count, args.seed, args.jitter, args.misses)
            )  # fmt: skip
            if score is not None:
                scores[f"{layout}, {change}"] = score
                print(f"{layout}, {change}: {score['exact_match']:.1%}")
    if not scores:
        return
    write_json(args.out, {"arguments": {name: str(value) for name, value in vars(args).items()}, "sets": scores})
    print("\n| set | exact match, spaces counted | 95 % | pictures |\n|---|---|---|---|")
    for name, score in scores.items():
        low, high = score["interval_95"]  # type: ignore[misc]
        print(f"| {name} | {score['exact_match']:.1%} | {low:.1%} to {high:.1%} | {score['count']} |")


if __name__ == "__main__":
    main()
