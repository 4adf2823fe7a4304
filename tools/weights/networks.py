"""Which network suits characters 10-60 px high: size, latency and accuracy of candidates, in one run.

    python tools/weights/networks.py STORE [--models detector/networks/models/char.yaml yolo11n.yaml yolo26n.yaml]
        [--minutes 12]

Each network is trained from scratch on the same artificial pictures (synth_store.py) for the same minutes with the
same optimizer, and reads 1,000 pictures that were held back. Latency is that of the network alone in PyTorch at the
store's shape on the threads of this run, as the median of 50 calls, for one picture and a picture of 32.
Leaves OUT/NAME.json, and prints all of OUT as a Markdown table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from detector.networks import ultralytics
from detector.text.alphabet import Alphabet
from detector.text.decode import decode_batch
from detector.text.metrics import score_texts
from detector.text.reading_config import ReadingConfig
from tools.results import ROOT, machine, machine_lines, read_results, write_json
from tools.weights.ship_weights import BATCH, held_out_pictures, parameters_of
from tools.weights.synth_batches import SynthBatches
from tools.weights.train_detector import train_detector

MODELS = ("detector/networks/models/char.yaml", "yolo11n.yaml", "yolo26n.yaml")


def read_detected(network: ultralytics.TorchNetwork, config: ReadingConfig, images: np.ndarray) -> list[str]:
    """Read pictures, which must have the network's input shape, in one pass."""
    texts = []
    for start in range(0, len(images), BATCH):
        candidates = network(images[start : start + BATCH])
        texts += [r.text for r in decode_batch(candidates, config, [float(images.shape[2])] * len(candidates))]
    return texts


def latency_ms(network: ultralytics.TorchNetwork, image: np.ndarray, batch: int) -> float:
    """Return the median milliseconds for a picture in batches of this size."""
    images = np.repeat(image[None], batch, 0)
    times = []
    for _ in range(50):
        start_time = time.perf_counter()
        network.output(images)
        times.append(time.perf_counter() - start_time)
    return float(np.median(times)) * 1000 / batch


def run_model(model: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train a network, read the held-out pictures and time it; return the figures."""
    torch.manual_seed(args.seed)
    out = args.out / f"{Path(model).stem}.pt"
    batches = SynthBatches([args.store], Alphabet(), args.batch, args.seed)
    steps = train_detector(model, batches, out, minutes=args.minutes)
    del batches
    config = ReadingConfig()
    published = out.with_suffix(".small.pt")
    ultralytics.publish(out, published, config, {})
    network = ultralytics.TorchNetwork.open(published, torch.device("cpu"))
    images, texts = held_out_pictures(args.store)
    score = score_texts(texts, read_detected(network, config, images))
    return {
        "set": Path(model).stem, "model": model, "minutes": args.minutes, "pictures": steps * args.batch,
        "parameters": parameters_of(published), "megabytes": published.stat().st_size / 1e6,
        "exact_match": score.exact_match, "interval": score.interval, "CER": score.cer,
        "ms_1": latency_ms(network, images[0], 1), "ms_32": latency_ms(network, images[0], 32),
        "threads": torch.get_num_threads(), "machine": machine(),
    }  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each network."""
    lines = [
        "| network | parameters | MB | ms, one | ms, of 32 | pictures trained on | exact match (n=1,000) | CER |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(results, key=lambda row: row["parameters"]):
        numbers = f"{row['parameters']:,} | {row['megabytes']:.2f} | {row['ms_1']:.1f} | {row['ms_32']:.2f}"
        scores = f"{row['exact_match']:.1%} | {row['CER']:.1%}"
        lines.append(f"| {row['set']} | {numbers} | {row['pictures']:,} | {scores} |")
    return "\n".join([*lines, "", *machine_lines(results)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--minutes", type=float, default=12.0, help="of training, each")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "networks", help="folder to work in")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    for model in args.models:
        write_json(args.out / f"{Path(model).stem}.json", run_model(model, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
