"""Teach the shipped detector from artificial pictures; see tools/README.md for the whole recipe.

    python tools/teach_detector.py STORE OUT.pt [--pictures 600000] [--seed 0] [--model detector/models/char.yaml]

A plain loop round Ultralytics' model and loss: one step a batch, bfloat16, channels last, cosine learning
rate, an average of the weights. OUT.pt is a plain Ultralytics checkpoint.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import cv2
import torch
from synth_batches import HELD_BACK, SynthBatches

from detector._ultralytics import new_network
from detector.alphabet import Alphabet
from detector.loop import learn


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
    on = torch.device(device)
    net = new_network(Alphabet().symbols, Path(model_yaml), start)
    steps = pictures // batches.batch
    began, mean, taken = time.perf_counter(), 0.0, 0

    def done(step: int) -> float:
        return (time.perf_counter() - began) / 60 / minutes if minutes else step / steps

    def after(step: int, loss: float, averaged: torch.nn.Module) -> None:
        nonlocal mean, taken
        taken = step
        if step % 200 == 0 or step == 1:
            mean = loss if step == 1 else mean + 0.5 * (loss - mean)
            speed = step * batches.batch / (time.perf_counter() - began)
            print(f"step {step} done {done(step):.3f} loss {mean:.3f} {speed:.0f} pictures/s", flush=True)
        if step % 1000 == 0:
            save(copy.deepcopy(averaged), out, step)

    taught = learn(net, lambda _: batches.draw(), done, lr=lr, device=on, after=after)
    save(copy.deepcopy(taught), out, taken)
    print(f"{taken * batches.batch} pictures in {(time.perf_counter() - began) / 60:.1f} min; {HELD_BACK} held back")
    return taken


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
