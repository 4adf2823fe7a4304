"""Milliseconds from file to string on a few CPU cores: this reader on each backend, and others, in one run.

    python tools/peers/reading_speed.py [--data SET] [--pictures 320] [--cores 2] [--peers-python PEERS/bin/python]

Every reader reads the same files, one after another (the median is given), and in batches of 32 (the median batch, a
picture): by its own function for many pictures if it has one, otherwise one after another. Each runs in a process of
its own, on the same cores. `yolo predict` gives boxes, no string. The peers are run by --peers-python as in
zero_shot.py, and left out, with the reason, if they cannot be imported there or want to fetch a model: fast-plate-ocr
needs one in its cache. SET is a folder with labels.csv; without --data artificial pictures are drawn.

With a GPU it also counts pictures a second from memory, and the share that the steps after the network cost; without
one it says so. Run it on an idle machine. Prints Markdown tables and writes OUT.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.peers import zero_shot
from tools.processes import answer_as_peer, ask_peer
from tools.results import ROOT, machine, write_json

# At the top nothing but the standard library: the peers' Python, which has no detector, runs this file too.

BATCH = 32
MAX_SECONDS = 30  # of a measurement, one picture at a time or in batches; five inputs are always read
BASELINE = "detector (onnx)"  # the reader that the others are compared with
PLATE_MODEL = "cct-xs-v2-global-model"

ReadOne = Callable[[str], object]
ReadMany = Callable[[list[str]], object]


# --- readers: one file, many files --------------------------------------------------------------------------------


def own_reader(backend: str, weights: str | None) -> tuple[ReadOne, ReadMany]:
    """Return this project's reader."""
    import detector

    reader = detector.Reader(weights, device="cpu", backend=backend)
    return reader.read, reader.read_many


def yolo_predict(weights: str | None) -> tuple[ReadOne, ReadMany]:
    """Return Ultralytics' own prediction with the same weights, at their input shape."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    from ultralytics import YOLO

    import detector.networks.ultralytics  # noqa: F401  # switches its network calls off
    from detector.networks.shipped import SHIPPED

    model = YOLO(weights or SHIPPED, task="detect")
    options: dict[str, Any] = {"imgsz": [64, 256], "device": "cpu", "verbose": False}
    return lambda path: model.predict(path, **options), lambda paths: model.predict(paths, batch=BATCH, **options)


def rapidocr_whole() -> tuple[ReadOne, None]:
    """Return detection, classification and recognition."""
    import logging

    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(), None


def fast_plate_ocr() -> tuple[ReadOne, ReadMany]:
    """Return its smallest network for plates of all countries.

    Raises:
        RuntimeError: if the network is not in its cache.
    """
    from fast_plate_ocr import LicensePlateRecognizer
    from fast_plate_ocr.inference import hub

    if not any((Path(hub.MODEL_CACHE_DIR) / PLATE_MODEL).glob("*.onnx")):
        raise RuntimeError(f"its model {PLATE_MODEL} is not in its cache, {hub.MODEL_CACHE_DIR}")
    engine = LicensePlateRecognizer(PLATE_MODEL, device="cpu")
    return engine.run, engine.run


PEERS: dict[str, Callable[[], tuple[ReadOne, ReadMany | None]]] = {
    "RapidOCR, recognition": lambda: (zero_shot.rapidocr(), None),
    "RapidOCR, whole": rapidocr_whole,
    "ddddocr": lambda: (zero_shot.ddddocr(), None),
    "fast-plate-ocr": fast_plate_ocr,
}
OWN_READERS: dict[str, Callable[[str | None], tuple[ReadOne, ReadMany]]] = {
    BASELINE: lambda weights: own_reader("onnx", weights),
    "detector (openvino)": lambda weights: own_reader("openvino", weights),
    "detector (torch)": lambda weights: own_reader("torch", weights),
    "yolo predict": yolo_predict,
}


def measure(read_one: ReadOne, read_many: ReadMany | None, files: Sequence[str]) -> dict[str, Any]:
    """Return the milliseconds a picture, one at a time and in batches."""

    def read_all(paths: list[str]) -> None:
        for path in paths:
            read_one(path)

    batches = [list(files[i : i + BATCH]) for i in range(0, len(files) - BATCH + 1, BATCH)]
    return {
        "one_ms": _median_ms(read_one, files), "batch_ms": _median_ms(read_many or read_all, batches) / BATCH,
        "batches": read_many is not None, "count": len(files),
    }  # fmt: skip


def _median_ms(read: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    read(inputs[0])  # the first takes longer
    seconds = []
    for item in inputs:
        start_time = time.perf_counter()
        read(item)
        seconds.append(time.perf_counter() - start_time)
        if sum(seconds) > MAX_SECONDS and len(seconds) >= 5:
            break
    return 1000 * statistics.median(seconds)


def answer(name: str, question: dict[str, Any]) -> dict[str, Any]:
    """Measure a reader, in a process of its own."""
    use_cores(question["cores"])
    read_one, read_many = PEERS[name]() if name in PEERS else OWN_READERS[name](question["weights"])
    return measure(read_one, read_many, question["files"])


def use_cores(cores: int) -> None:
    """Run this process on its first cores only, before any library counts them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
        cores = len(os.sched_getaffinity(0))
    os.environ["OMP_NUM_THREADS"] = str(cores)


# --- on a GPU -----------------------------------------------------------------------------------------------------


def on_gpu(weights: str | None, seconds: float = 5.0, batch: int = 1024) -> dict[str, Any]:
    """Return the pictures a second from memory: of the network alone, with its candidates, and with the strings."""
    import torch

    if not torch.cuda.is_available():
        return {"skipped": "torch finds no CUDA device"}
    import numpy as np

    import detector
    from detector.text.decode import decode_batch

    reader = detector.Reader(weights, device="0", backend="torch")
    shape_hw = reader.config.shape_hw or (64, 256)
    pictures = np.stack(draw_pictures(256, (shape_hw[1], shape_hw[0])))
    images = np.concatenate([pictures] * (batch // len(pictures)))
    network: Any = reader._network

    def run_network() -> None:
        network.output(images)
        torch.cuda.synchronize()

    def read_strings() -> None:
        decode_batch(network(images), reader.config, [float(shape_hw[1])] * len(images))

    rates = {}
    for name, step in (("network", run_network), ("candidates", lambda: network(images)), ("strings", read_strings)):
        step()
        start_time, picture_count = time.perf_counter(), 0
        while time.perf_counter() - start_time < seconds:
            step()
            picture_count += len(images)
        rates[name] = picture_count / (time.perf_counter() - start_time)
    return {**rates, "lost": 1 - rates["strings"] / rates["network"], "batch": len(images)}


# --- pictures and tables ------------------------------------------------------------------------------------------


def draw_pictures(count: int, size_wh: tuple[int, int] = (256, 64)) -> list[Any]:
    """Draw pictures of eight characters, uint8 (H, W, 3) BGR."""
    import matplotlib

    from detector.synth import SynthConfig, Synthesizer

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # the same on every machine
    config = SynthConfig(size_wh=size_wh, styles=("plate", "label"), fonts=(fonts / "DejaVuSans.ttf",))
    synthesizer = Synthesizer(config)
    return [synthesizer(i).image for i in range(count)]


def files_of(data: Path | None, pictures: int, folder: Path) -> list[str]:
    """Return the paths of the pictures to read; those of a set with fewer are repeated."""
    if data is not None:
        files = [path for path, _ in zero_shot.sample(data.name, data.parent, pictures, 0)]
        return (files * -(-pictures // len(files)))[:pictures]
    import cv2

    paths = [str(folder / f"{i:04}.png") for i in range(pictures)]
    for path, image in zip(paths, draw_pictures(pictures), strict=True):
        cv2.imwrite(path, image)
    return paths


def table(result: dict[str, Any]) -> str:
    """Return a Markdown table with a line for each reader, with its time as a multiple of BASELINE's."""
    rows = {name: row for name, row in result["readers"].items() if "skipped" not in row}
    baseline = rows.get(BASELINE) or next(iter(rows.values()), None)
    lines = ["| reader | ms, one picture | ms a picture, batches of 32 |", "|---|---|---|"]
    for name, row in rows.items():
        assert baseline is not None
        ratios = [row[key] / baseline[key] for key in ("one_ms", "batch_ms")]
        batch_note = "" if row["batches"] else ", one by one"
        cells = [f"{row['one_ms']:.2f} ({ratios[0]:.1f}x)", f"{row['batch_ms']:.2f} ({ratios[1]:.1f}x{batch_note})"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    skipped = [f"{name} left out: {row['skipped']}" for name, row in result["readers"].items() if "skipped" in row]
    gpu = result["gpu"]
    if "skipped" in gpu:
        note = f"GPU left out: {gpu['skipped']}"
    else:
        note = (
            f"GPU, batches of {gpu['batch']} from memory: {gpu['strings']:.0f} pictures/s to strings, "
            f"{gpu['network']:.0f} the network alone; {gpu['lost']:.0%} lost to candidates and decoding"
        )
    return "\n".join([*lines, "", *skipped, note])


def main() -> None:
    if answer_as_peer(answer):
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None, help="a set's folder with labels.csv [artificial pictures]")
    parser.add_argument("--pictures", type=int, default=10 * BATCH, help=f"at least {BATCH}")
    parser.add_argument("--cores", type=int, default=2, help="CPU cores that each reader may use")
    parser.add_argument("--weights", type=Path, default=None, help="others than the shipped ones")
    parser.add_argument("--peers-python", default=sys.executable, help="that runs the peers")
    parser.add_argument("--no-peers", action="store_true", help="this project's reader and `yolo predict` only")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "reading_speed.json")
    args = parser.parse_args()
    if args.pictures < BATCH:
        parser.error(f"--pictures must be {BATCH} or more")
    weights = str(args.weights.resolve()) if args.weights else None
    readers = {}
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(args.data.resolve() if args.data else None, args.pictures, Path(folder))
        question = {"files": files, "cores": args.cores, "weights": weights}
        for name in (*OWN_READERS, *(() if args.no_peers else PEERS)):
            print(f"reading with {name}", file=sys.stderr, flush=True)
            python = args.peers_python if name in PEERS else sys.executable
            readers[name] = ask_peer(__file__, name, python, question)
    result = {
        "pictures": args.data.name if args.data else "artificial, 256x64", "count": len(files), "cores": args.cores,
        "weights": args.weights.name if args.weights else "shipped", "machine": machine(), "readers": readers,
        "gpu": on_gpu(weights),
    }  # fmt: skip
    write_json(args.out, result)
    print(table(result))


if __name__ == "__main__":
    main()
