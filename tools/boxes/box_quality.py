"""Boxes inferred from strings compared with boxes that a person drew, beside two plain ways to get boxes.

    python tools/boxes/box_quality.py [--sets digits-orand-car captcha-digits-boxes words-iiit5k plates-id plates-ir]
        [--train-scale 1] [--annotated]

The input is strings only: convert infers the boxes of all pictures of a set, suspects included, and the i-th box is
compared with the i-th drawn one. Beside it equal slots (the picture's width in n parts, its full height) and a
watershed on ink. Leaves OUT/SET.json, with --annotated OUT/SET.png (drawn boxes green, inferred ones red), and prints
all of OUT as a Markdown table.

"Sizes matched" is the mean IoU after all boxes of a set are scaled about their centres, by one factor a side, so that
they are as large as the drawn ones on average: there a different convention of tightness costs nothing.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import detector
from detector.data.images import read_image
from detector.data.letterbox import letterbox
from detector.data.sets.yolo_dataset import parse_labels, read_set
from detector.errors import NotLearnedError
from tools.arguments import add_data_and_out, parse_arguments
from tools.results import machine, machine_lines, read_results, write_json
from tools.sets import read_labels
from tools.training.real_sets import discard_work

SETS = {
    "digits-orand-car": {},
    "captcha-digits-boxes": {},
    "words-iiit5k": {},
    "plates-id": {},
    "plates-ir": {"alphabet": "auto"},
}
"""Sets with drawn boxes, and the arguments of convert. plates-ir has letters that the shipped weights do not know."""

TILE_HW, CAPTION, COLUMNS, TILES = (96, 300), 22, 4, 48
GREEN, RED, BLACK = (0, 160, 0), (0, 0, 255), (0, 0, 0)  # BGR

Boxes = NDArray[np.float32]
"""(n, 4) xyxy in pixels of the picture."""


@dataclass(frozen=True)
class DrawnPicture:
    """A picture with the boxes that a person drew.

    Args:
        path: of the picture.
        text: its label.
        boxes_xyxy: (n, 4) in pixels, in the order of the label's symbols.
    """

    path: Path
    text: str
    boxes_xyxy: Boxes


def read_drawn(folder: Path) -> dict[str, DrawnPicture]:
    """Return the pictures of a set by name, without those whose drawn characters differ from the label."""
    texts = {path.relative_to(folder).as_posix(): text for path, text in read_labels(folder / "labels.csv")}
    rows: dict[str, list[tuple[str, list[float]]]] = {}
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            box = [float(row[side]) for side in ("x1", "y1", "x2", "y2")]
            rows.setdefault(row["image"], []).append((row["char"].upper(), box))
    pictures = {}
    for name, boxes in rows.items():
        if "".join(char for char, _ in boxes) != texts.get(name):
            boxes.sort(key=lambda pair: pair[1][0] + pair[1][2])
        if "".join(char for char, _ in boxes) == texts.get(name):
            pictures[name] = DrawnPicture(folder / name, texts[name], np.array([box for _, box in boxes], np.float32))
    return pictures


# --- three ways to boxes ------------------------------------------------------------------------------------------


def inferred_boxes(root: Path) -> tuple[dict[str, Boxes], set[str]]:
    """Return the boxes of a converted set by the source's name of the picture, and the names of the suspects."""
    characters = read_set(root)
    boxes, suspects = {}, set()
    for row in characters.manifest():
        height, width = read_image(root / row.image).shape[:2]
        label = root / "labels" / Path(row.image).parent.name / f"{Path(row.image).stem}.txt"
        _, boxes[row.source] = parse_labels(label, width, height, len(characters.config.symbols))
        if row.status == "suspect":
            suspects.add(row.source)
    return boxes, suspects


def equal_slots(image: NDArray[np.uint8], count: int) -> Boxes:
    """Divide the picture's width into ``count`` equal parts of its full height; boxes (count, 4)."""
    height, width = image.shape[:2]
    edges = np.linspace(0, width, count + 1)
    return np.stack([edges[:-1], np.zeros(count), edges[1:], np.full(count, height)], 1).astype(np.float32)


def watershed(image: NDArray[np.uint8], count: int) -> Boxes:
    """Segment Otsu's ink by a watershed from the middles of strokes, then join or halve parts; boxes (count, 4)."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    _, ink = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    if (ink > 0).mean() > 0.5:  # the background is the larger part
        ink = cv2.bitwise_not(ink)
    depth = cv2.distanceTransform(ink, cv2.DIST_L2, 3)
    _, seeds = cv2.connectedComponents((depth > 0.5 * depth.max()).astype(np.uint8))
    _, parts = cv2.connectedComponents(ink)
    unseeded = np.setdiff1d(np.unique(parts[parts > 0]), np.unique(parts[seeds > 0]))
    seeds = np.where(np.isin(parts, unseeded), parts + seeds.max(), seeds).astype(np.int32)
    background_id = int(seeds.max()) + 1
    seeds[ink == 0] = background_id
    regions = cv2.watershed(image, seeds.copy())
    masks = [regions == k for k in np.unique(regions) if 0 < k < background_id]
    boxes = [_extent(mask) for mask in masks if mask.sum() >= 6]
    return _to_count(boxes or [[0.0, 0.0, float(image.shape[1]), float(image.shape[0])]], count)


def _extent(mask: NDArray[np.bool_]) -> list[float]:
    """Return the xyxy of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]


def _to_count(boxes: list[list[float]], count: int) -> Boxes:
    """Join the neighbours whose centres are closest, or halve the widest, until there are ``count``."""
    boxes = sorted(boxes, key=lambda b: b[0] + b[2])
    while len(boxes) > count:
        i = int(np.argmin(np.diff([b[0] + b[2] for b in boxes])))
        left, right = boxes[i], boxes[i + 1]
        boxes[i : i + 2] = [[*map(min, left[:2], right[:2]), *map(max, left[2:], right[2:])]]
        boxes.sort(key=lambda b: b[0] + b[2])
    while len(boxes) < count:
        i = int(np.argmax([b[2] - b[0] for b in boxes]))
        x1, y1, x2, y2 = boxes[i]
        boxes[i : i + 1] = [[x1, y1, (x1 + x2) / 2, y2], [(x1 + x2) / 2, y1, x2, y2]]
    return np.array(boxes, np.float32)


PLAIN: dict[str, Callable[[NDArray[np.uint8], int], Boxes]] = {"equal slots": equal_slots, "watershed": watershed}


# --- comparing ----------------------------------------------------------------------------------------------------


def iou(boxes: Boxes, other_boxes: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of each pair of rows, (n,)."""
    overlap_wh = np.minimum(boxes[:, 2:], other_boxes[:, 2:]) - np.maximum(boxes[:, :2], other_boxes[:, :2])
    intersections = np.clip(overlap_wh, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (other_boxes[:, 2:] - other_boxes[:, :2]).prod(1)
    return np.asarray(intersections / np.maximum(areas - intersections, 1e-9), np.float64)


def are_centred(boxes: Boxes, drawn_boxes: Boxes) -> NDArray[np.bool_]:
    """Return whether the centre of each box lies in the drawn one, (n,)."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(((centre >= drawn_boxes[:, :2]) & (centre <= drawn_boxes[:, 2:])).all(1))


def scale(boxes: Boxes, factor_wh: NDArray[np.floating]) -> Boxes:
    """Scale boxes about their centres."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * factor_wh
    return np.concatenate([centre - half, centre + half], 1).astype(np.float32)


def compare(inferred: Sequence[Boxes], drawn_boxes: Sequence[Boxes]) -> dict[str, Any]:
    """Return the figures of one way to boxes on one set; both lists have as many boxes for each picture."""
    if not inferred:
        return {"pictures": 0}
    boxes, drawn = np.concatenate(inferred), np.concatenate(drawn_boxes)
    overlaps, hits = iou(boxes, drawn), are_centred(boxes, drawn)
    are_whole = [are_centred(*pair).all() for pair in zip(inferred, drawn_boxes, strict=True)]
    sizes, drawn_sizes = boxes[:, 2:] - boxes[:, :2], drawn[:, 2:] - drawn[:, :2]
    ratio = np.exp(np.log(np.maximum(sizes, 0.5) / np.maximum(drawn_sizes, 0.5)).mean(0))  # geometric mean, (2,)
    return {
        "pictures": len(inferred),
        "boxes": len(boxes),
        "mean_iou": float(overlaps.mean()),
        "iou_half": float((overlaps >= 0.5).mean()),
        "centres": float(hits.mean()),
        "whole_pictures": float(np.mean(are_whole)),
        "size_ratio_wh": ratio.tolist(),
        "mean_iou_sizes_matched": float(iou(scale(boxes, 1 / ratio), drawn).mean()),
    }


def comparable(boxes: dict[str, Boxes], pictures: dict[str, DrawnPicture]) -> list[str]:
    """List the pictures that have as many inferred boxes as drawn ones."""
    return [name for name in pictures if name in boxes and len(boxes[name]) == len(pictures[name].boxes_xyxy)]


def measure(root: Path, pictures: dict[str, DrawnPicture]) -> dict[str, Any]:
    """Return the figures of the inferred boxes of a converted set: of all pictures, and without the suspects."""
    boxes, suspects = inferred_boxes(root)
    names = comparable(boxes, pictures)
    trusted = [name for name in names if name not in suspects]
    return {
        "inferred": compare([boxes[n] for n in names], [pictures[n].boxes_xyxy for n in names]),
        "inferred, suspects left out": compare([boxes[n] for n in trusted], [pictures[n].boxes_xyxy for n in trusted]),
    }


def calibration(root: Path, pictures: dict[str, DrawnPicture]) -> dict[str, Any]:
    """Return the share of right centres of the boxes in each range of confidence, and their ECE."""
    sources = {row.image: row.source for row in read_set(root).manifest()}
    rows: dict[str, list[dict[str, str]]] = {}
    with (root / "boxes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["image"], []).append(row)
    confidences, are_right = [], []
    for image, boxes in rows.items():
        picture = pictures.get(sources[image])
        if picture is not None and len(picture.boxes_xyxy) == len(boxes):
            inferred = np.array([[float(b[side]) for side in ("x1", "y1", "x2", "y2")] for b in boxes], np.float32)
            confidences += [float(b["confidence"]) for b in boxes]
            are_right += are_centred(inferred, picture.boxes_xyxy).tolist()
    confidence, hit = np.array(confidences), np.array(are_right, bool)
    bins, error = [], 0.0
    for low, high in itertools.pairwise((0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 1.0001)):
        inside = (confidence >= low) & (confidence < high)
        if inside.any():
            mean, share = float(confidence[inside].mean()), float(hit[inside].mean())
            bins.append({"from": low, "boxes": int(inside.sum()), "confidence": mean, "right": share})
            error += abs(mean - share) * float(inside.mean())
    return {"bins": bins, "ece": error}


def measure_plain(pictures: dict[str, DrawnPicture]) -> dict[str, Any]:
    """Return the figures of the plain ways on all pictures."""
    boxes_by_method: dict[str, list[Boxes]] = {name: [] for name in PLAIN}
    for picture in pictures.values():
        image = read_image(picture.path)
        for name, method in PLAIN.items():
            boxes_by_method[name].append(method(image, len(picture.boxes_xyxy)))
    drawn_boxes = [picture.boxes_xyxy for picture in pictures.values()]
    return {name: compare(boxes, drawn_boxes) for name, boxes in boxes_by_method.items()}


# --- for the eye --------------------------------------------------------------------------------------------------


def write_annotated(path: Path, root: Path, pictures: dict[str, DrawnPicture]) -> None:
    """Write a page of pictures, evenly picked from the worst boxes to the best: drawn green, inferred red."""
    boxes, suspects = inferred_boxes(root)
    names = comparable(boxes, pictures)
    scores = {name: float(iou(boxes[name], pictures[name].boxes_xyxy).mean()) for name in names}
    names.sort(key=lambda name: scores[name])
    chosen_names = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(TILES, len(names))).astype(int))]
    height, width = TILE_HW[0] + CAPTION, TILE_HW[1]
    page = np.full((-(-len(chosen_names) // COLUMNS) * height, COLUMNS * width, 3), 255, np.uint8)
    for i, name in enumerate(chosen_names):
        top, left = i // COLUMNS * height, i % COLUMNS * width
        caption = f"{pictures[name].text}  IoU {scores[name]:.2f}{'  suspect' if name in suspects else ''}"
        page[top : top + height, left : left + width] = _tile(pictures[name], boxes[name], caption)
    is_encoded, data = cv2.imencode(".png", page)
    if not is_encoded:
        raise detector.DetectorError(f"{path} could not be encoded as PNG.")
    path.write_bytes(data.tobytes())


def _tile(sample: DrawnPicture, boxes: Boxes, caption: str) -> NDArray[np.uint8]:
    """Return a letterboxed picture with both kinds of boxes above a caption."""
    picture, transform = letterbox(read_image(sample.path), TILE_HW)
    tile = np.full((TILE_HW[0] + CAPTION, TILE_HW[1], 3), 255, np.uint8)
    tile[: TILE_HW[0]] = picture
    for colour, boxes_xyxy in ((GREEN, sample.boxes_xyxy), (RED, boxes)):
        for x1, y1, x2, y2 in transform.to_letterboxed(boxes_xyxy).round().astype(int).tolist():
            cv2.rectangle(tile, (x1, y1), (x2, y2), colour, 1)
    cv2.putText(tile, caption, (4, TILE_HW[0] + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, BLACK, 1, cv2.LINE_AA)
    return tile


# --- the run ------------------------------------------------------------------------------------------------------


def run_set(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Convert one set and measure; if nothing was learnt, only the plain ways have figures."""
    folder, root = args.data / name, args.out / name
    pictures = read_drawn(folder)
    result: dict[str, Any] = {"set": name, "drawn": len(pictures), "seed": args.seed, "machine": machine()}
    start_time, start_cpu = time.perf_counter(), time.process_time()
    try:
        if not (args.reuse and (root / "data.yaml").is_file()):
            discard_work(root)
            report = detector.convert(
                folder / "labels.csv", root, overwrite=True, train_scale=args.train_scale, seed=args.seed, **SETS[name]
            )
            result |= {"inputs": report.inputs, "suspects": report.suspects, "refused": report.refused}
            result |= {"explained": report.explained, "minutes": (time.perf_counter() - start_time) / 60}
            result |= {"core_minutes": (time.process_time() - start_cpu) / 60}
        result["ways"] = measure(root, pictures)
        result["calibration"] = calibration(root, pictures)
        if args.annotated:
            write_annotated(args.out / f"{name}.png", root, pictures)
    except NotLearnedError as error:
        result |= {"error": str(error), "minutes": (time.perf_counter() - start_time) / 60, "ways": {}}
    result["ways"] |= measure_plain(pictures)
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return Markdown tables with a line for each set and way."""
    lines = [
        "| set | boxes | pictures | mean IoU | IoU >= 0.5 | centre right | every centre right | width x height "
        "of the drawn | mean IoU, sizes matched |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        if "error" in result:
            lines.append(f"| {result['set']} | inferred | not learnt | - | - | - | - | - | - |")
        lines += [_line(result["set"], way, row) for way, row in result["ways"].items() if row["pictures"]]
    lines += ["", "| set | labels read: shipped, then by self-training | minutes | core minutes |", "|---|---|---|---|"]
    for result in (r for r in results if "explained" in r):
        explained = ", ".join(f"{share:.1%}" for share in result["explained"])
        lines.append(f"| {result['set']} | {explained} | {result['minutes']:.2f} | {result['core_minutes']:.2f} |")
    lines += ["", "| set | boxes with confidence | how many | said, mean | centre right |", "|---|---|---|---|---|"]
    for result in (r for r in results if "calibration" in r):
        for row in result["calibration"]["bins"]:
            shares = f"{row['boxes']} | {row['confidence']:.3f} | {row['right']:.3f}"
            range_text = f"{row['from']:g} and more" if row["from"] else "below 0.5"
            lines.append(f"| {result['set']} | {range_text} | {shares} |")
        lines.append(f"| {result['set']} | expected calibration error | | | {result['calibration']['ece']:.3f} |")
    return "\n".join([*lines, "", *machine_lines(results)])


def _line(name: str, method: str, row: dict[str, Any]) -> str:
    width, height = row["size_ratio_wh"]
    shares = " | ".join(f"{row[key]:.1%}" for key in ("iou_half", "centres", "whole_pictures"))
    return (
        f"| {name} | {method} | {row['pictures']} | {row['mean_iou']:.3f} | {shares} | {width:.2f} x {height:.2f} "
        f"| {row['mean_iou_sizes_matched']:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    add_data_and_out(parser, "box_quality")
    parser.add_argument("--train-scale", type=float, default=1.0, help="as convert's")
    parser.add_argument("--reuse", action="store_true", help="measure sets that OUT has, without converting again")
    parser.add_argument("--annotated", action="store_true", help="also write OUT/SET.png")
    parser.add_argument("--seed", type=int, default=0)
    args = parse_arguments(parser)
    for name in args.sets:
        write_json(args.out / f"{name}.json", run_set(name, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
