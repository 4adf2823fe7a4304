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
from typing import Any

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
    half = model.half().cpu().eval()
    half.criterion = None
    part = path.with_suffix(".part")
    torch.save({"model": half, "train_args": {"task": "detect", "imgsz": 256}, "epoch": -1, "step": step}, part)
    part.replace(path)


def teach(
    model_yaml: str,
    batches: SynthBatches,
    out: Path,
    *,
    pictures: int = 600_000,
    minutes: float | None = None,
    lr: float = 2e-3,
    start: Path | None = None,
    device: str = "cpu",
) -> int:
    """Teach a network from scratch or from ``start`` and leave its averaged weights in ``out``; the steps taken.

    It ends after so many ``pictures``, or after so many ``minutes`` where they are given: the schedule follows.
    """
    alphabet = Alphabet()
    on = torch.device(device)
    model = DetectionModel(model_yaml, nc=len(alphabet), verbose=False)
    model.names = dict(enumerate(alphabet.symbols))
    if start is not None:  # after the names: Ultralytics carries classes over by name
        model.load(torch.load(start, map_location="cpu", weights_only=False))
    model.args = get_cfg()
    model = model.to(device=on, memory_format=torch.channels_last)
    model.criterion = model.init_criterion()
    ema = ModelEMA(model, decay=0.999, tau=500)
    steps = pictures // batches.batch
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}])
    began, mean, step = time.perf_counter(), 0.0, 0
    while True:
        done = (time.perf_counter() - began) / 60 / minutes if minutes else step / steps
        if done >= 1:
            break
        warm = min(1.0, (step + 1) / 300)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
        batch = {k: v.to(on) for k, v in to_batch(*batches.draw()).items()}
        model.train()
        with torch.autocast(on.type, torch.bfloat16):
            predictions = model.predict(batch["img"])
        loss, _ = model.loss(batch, as_float(predictions))
        optimizer.zero_grad(set_to_none=True)
        total = loss.sum() / batches.batch
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        ema.update(model)
        step += 1
        if step % 200 == 0 or step == 1:
            mean = total.item() if step == 1 else mean + 0.5 * (total.item() - mean)
            speed = step * batches.batch / (time.perf_counter() - began)
            print(f"step {step} done {done:.3f} loss {mean:.3f} {speed:.0f} pictures/s", flush=True)
        if step % 1000 == 0:
            save(copy.deepcopy(ema.ema), out, step)
    save(copy.deepcopy(ema.ema), out, step)
    print(f"{step * batches.batch} pictures in {(time.perf_counter() - began) / 60:.1f} min; {HELD_BACK} held back")
    return step


def as_float(held: Any) -> Any:
    """The same nest of dicts, lists and tensors in full precision, for the loss."""
    if torch.is_tensor(held):
        return held.float()
    if isinstance(held, dict):
        return {k: as_float(v) for k, v in held.items()}
    return type(held)(as_float(v) for v in held) if isinstance(held, (list, tuple)) else held


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
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=None, help="of torch's; all cores' without it")
    parser.add_argument("--minutes", type=float, default=None, help="end by then: the schedule follows the clock")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    teach(
        args.model, SynthBatches(args.store, Alphabet(), args.batch, args.seed), args.out,
        pictures=args.pictures, minutes=args.minutes, lr=args.lr, start=args.start, device=args.device,
    )  # fmt: skip


if __name__ == "__main__":
    main()
