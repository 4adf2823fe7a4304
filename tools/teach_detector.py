"""Teach the shipped detector from artificial pictures; see tools/README.md for the whole recipe.

    python tools/teach_detector.py STORE OUT.pt [--pictures 600000] [--seed 0] [--model detector/models/char.yaml]

A plain loop round Ultralytics' model and loss: one step a batch, bfloat16, channels last, cosine learning
rate, an average of the weights. OUT.pt is a plain Ultralytics checkpoint.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from synth_batches import HELD_BACK, SynthBatches

from detector.alphabet import Alphabet

os.environ["YOLO_OFFLINE"] = "1"
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import ModelEMA


def to_batch(images: np.ndarray, boxes: np.ndarray, ids: np.ndarray) -> dict[str, torch.Tensor]:
    """What Ultralytics' loss takes: centre and size of each box as shares of the picture."""
    height, width = images.shape[1:3]
    rows, columns = np.nonzero(ids >= 0)
    x1, y1, x2, y2 = boxes[rows, columns].T
    shares = np.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height], 1)
    pictures = torch.from_numpy(images[..., ::-1].copy()).permute(0, 3, 1, 2).float().div(255)  # RGB
    return {
        "img": pictures.contiguous(memory_format=torch.channels_last),
        "batch_idx": torch.from_numpy(rows).float(),
        "cls": torch.from_numpy(ids[rows, columns]).float()[:, None],
        "bboxes": torch.from_numpy(shares).float(),
    }


def save(model: torch.nn.Module, path: Path, step: int) -> None:
    half = model.half().eval()
    half.criterion = None
    part = path.with_suffix(".part")
    torch.save({"model": half, "train_args": {"task": "detect", "imgsz": 256}, "epoch": -1, "step": step}, part)
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="detector/models/char.yaml")
    parser.add_argument("--pictures", type=int, default=600_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, default=None, help="go on from this checkpoint's weights")
    parser.add_argument("--threads", type=int, default=None, help="of torch's; all cores' without it")
    parser.add_argument("--minutes", type=float, default=None, help="end by then: the schedule follows the clock")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    alphabet = Alphabet()
    batches = SynthBatches(args.store, alphabet, args.batch, args.seed)
    model = DetectionModel(args.model, nc=len(alphabet), verbose=False)
    model.names = dict(enumerate(alphabet.symbols))
    if args.start is not None:  # after the names: Ultralytics carries classes over by name
        model.load(torch.load(args.start, map_location="cpu", weights_only=False))
    model.args = get_cfg()
    model = model.to(memory_format=torch.channels_last)
    model.criterion = model.init_criterion()
    ema = ModelEMA(model, decay=0.999, tau=500)
    steps = args.pictures // args.batch
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}])
    began, means = time.perf_counter(), np.zeros(3)
    step = 0
    while True:
        minutes = (time.perf_counter() - began) / 60
        done = minutes / args.minutes if args.minutes else step / steps
        if done >= 1:
            break
        warm = min(1.0, (step + 1) / 300)
        rate = args.lr * warm * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = to_batch(*batches.draw())
        model.train()
        with torch.autocast("cpu", torch.bfloat16):
            predictions = model.predict(batch["img"])
        predictions = {k: v.float() if torch.is_tensor(v) else v for k, v in predictions.items()}
        loss, parts = model.loss(batch, predictions)
        optimizer.zero_grad(set_to_none=True)
        (loss.sum() / args.batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        ema.update(model)
        parts = np.array([float(v) for v in (parts.values() if isinstance(parts, dict) else parts)])
        means += (parts - means) / min(step + 1, 100)
        step += 1
        if step % 200 == 0:
            speed = step * args.batch / (time.perf_counter() - began)
            print(f"step {step} done {done:.3f} loss {means.round(4).tolist()} {speed:.0f} pictures/s", flush=True)
        if step % 1000 == 0:
            save(copy.deepcopy(ema.ema), args.out, step)
    save(copy.deepcopy(ema.ema), args.out, step)
    print(f"{step * args.batch} pictures in {(time.perf_counter() - began) / 60:.1f} min; {HELD_BACK} held back")


if __name__ == "__main__":
    main()
