"""Teach the shipped aligner positions, from artificial pictures; see tools/README.md for the whole recipe.

    python tools/teach_aligner.py STORE OUT.pt [--pictures 300000] [--seed 0]

A class per output column where a character's middle lies, CTC's blank elsewhere: with CTC alone the network
stays on its plateau for tens of thousands of pictures of eight floating characters.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from synth_batches import SynthBatches

from detector.align.network import COLUMN, AlignerNet
from detector.align.teaching import Aligner
from detector.alphabet import Alphabet
from detector.device import autocast, to_device
from detector.work import whole

MIDDLE = 0.25  # share of a box's width around its centre that is taught as the character


def column_targets(boxes_xyxy: np.ndarray, class_ids: np.ndarray, columns: int, blank: int) -> np.ndarray:
    """Class of each column, int64 (batch, columns); boxes (batch, n, 4), ids (batch, n) with -1 for none."""
    centres = (boxes_xyxy[..., 0] + boxes_xyxy[..., 2]) / 2
    reach = np.maximum((boxes_xyxy[..., 2] - boxes_xyxy[..., 0]) * MIDDLE, COLUMN * 0.6)
    middles = (np.arange(columns) + 0.5) * COLUMN  # (columns,)
    distance = np.abs(middles - centres[..., None])  # (batch, n, columns)
    distance[(distance > reach[..., None]) | (class_ids < 0)[..., None]] = np.inf
    owner = distance.argmin(1)  # (batch, columns)
    return np.where(np.isfinite(distance.min(1)), np.take_along_axis(class_ids, owner, 1), blank)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=int, default=300_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, default=None, help="go on from this aligner's weights")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=None, help="of torch's; all cores' without it")
    parser.add_argument("--minutes", type=float, default=None, help="end by then: the learning rate follows the clock")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.backends.cudnn.benchmark = True  # every batch has the same shape
    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    alphabet = Alphabet()
    device = torch.device(args.device)
    batches = SynthBatches(args.store, alphabet, args.batch, args.seed, device=args.device)
    net = AlignerNet(len(alphabet))
    if args.start is not None:
        net = Aligner.load(args.start, (64, 256), torch.device("cpu")).net
    net = net.to(device=device, memory_format=torch.channels_last).train()
    steps = max(1, args.pictures // args.batch)
    optimizer = torch.optim.AdamW(net.parameters(), args.lr, weight_decay=0.01)
    began, mean, step, share = time.perf_counter(), 0.0, 0, 0.0
    while share < 1:
        for group in optimizer.param_groups:  # a tenth of the way up, then down to nothing
            down = 0.5 + 0.5 * math.cos(math.pi * max(0.0, share - 0.1) / 0.9)
            group["lr"] = args.lr * min(1.0, max(share, 1 / steps) / 0.1) * down
        images, boxes, ids = batches.draw()
        # As the aligner sees them, BGR.
        pictures = images.flip(1) if isinstance(images, torch.Tensor) else to_device(images, device)
        target = torch.from_numpy(column_targets(boxes, ids, pictures.shape[3] // COLUMN, len(alphabet)))
        with autocast(device):
            scores = net(pictures.contiguous(memory_format=torch.channels_last))  # (batch, columns, n + 1)
        loss = torch.nn.functional.nll_loss(scores.flatten(0, 1), target.to(device).flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        step += 1
        spent = time.perf_counter() - began
        share = spent / 60 / args.minutes if args.minutes else step / steps
        mean += (loss.item() - mean) / min(step, 100)
        if step % 200 == 0 or share >= 1:
            print(
                f"step {step} done {share:.3f} loss {mean:.4f} {step * args.batch / spent:.0f} pictures/s", flush=True
            )
            half = {k: (v.half() if v.is_floating_point() else v).cpu() for k, v in net.state_dict().items()}
            held = {"symbols": alphabet.symbols, "width": net.width, "state": half, "pictures": step * args.batch}
            with whole(args.out) as part:
                torch.save(held, part)


if __name__ == "__main__":
    main()
