"""Train the shipped detector on artificial pictures; tools/README.md has the whole recipe.

    python tools/weights/train_detector.py STORE [STORE ...] OUT.pt [--pictures 600000] [--seed 0]
        [--model detector/networks/models/char.yaml]

A plain training loop with Ultralytics' model and loss: one step for each batch, bfloat16, channels last, a cosine
learning rate, an average of the weights. OUT.pt is a plain Ultralytics checkpoint.

With ``--device cuda`` the store may still be drawn meanwhile. With ``--processes 2`` two processes of one thread each
share every batch and average their gradients (gloo): on two cores that is 1.5 times as fast as one process of two
threads.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.optim.optimizer import register_optimizer_step_pre_hook

from detector.data.atomic import atomic_write
from detector.networks.network import OTHER
from detector.networks.ultralytics import new_network
from detector.text.alphabet import Alphabet
from detector.training.training_loop import Schedule, train_network
from tools.weights.synth_batches import SynthBatches
from tools.weights.synth_store import HELD_OUT


def save(model: torch.nn.Module, path: Path, pictures: int) -> None:
    """Atomically write a checkpoint as Ultralytics does, with the number of pictures that it was trained on."""
    half = model.half().cpu().eval()
    half.criterion = None
    checkpoint = {"model": half, "train_args": {"task": "detect", "imgsz": 256}, "epoch": -1, "pictures": pictures}
    with atomic_write(path) as part:
        torch.save(checkpoint, part)


def train_detector(
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
    """Train a network from scratch or from ``start``, write its averaged weights to ``out`` and return the steps.

    Training ends after ``pictures`` of each process, or after ``minutes`` if given; the learning rate follows the same
    limit.
    """
    network = new_network(Alphabet().symbols + OTHER, Path(model_yaml), start)
    steps = pictures // batches.batch
    start_time, mean_loss, last_step, share = time.perf_counter(), 0.0, 0, 0.0
    is_distributed = dist.is_initialized()
    processes, is_first = (dist.get_world_size(), dist.get_rank() == 0) if is_distributed else (1, True)
    if is_distributed:
        register_optimizer_step_pre_hook(_share_gradients)

    def progress(step: int) -> float:
        nonlocal share
        share = (time.perf_counter() - start_time) / 60 / minutes if minutes else step / steps
        if is_distributed:  # the clock of the first process counts, so that all end at the same step
            first_share = torch.tensor(share, dtype=torch.float64)
            dist.broadcast(first_share, 0)
            share = first_share.item()
        return share

    def report(step: int, loss: float, averaged: torch.nn.Module) -> None:
        nonlocal mean_loss, last_step
        last_step = step
        if not is_first:
            return
        if step % 200 == 0 or step == 1:
            mean_loss = loss if step == 1 else mean_loss + 0.5 * (loss - mean_loss)
            speed = processes * step * batches.batch / (time.perf_counter() - start_time)
            print(f"step {step} done {share:.3f} loss {mean_loss:.3f} {speed:.0f} pictures/s", flush=True)
        if step % 1000 == 0:
            save(copy.deepcopy(averaged), out, processes * step * batches.batch)

    schedule = Schedule(progress, lr)
    trained = train_network(network, lambda _: batches.draw(), schedule, torch.device(device), after=report)
    if is_first:
        pictures = processes * last_step * batches.batch
        save(copy.deepcopy(trained), out, pictures)
        print(f"{pictures} pictures in {(time.perf_counter() - start_time) / 60:.1f} min; {HELD_OUT} held back")
    return last_step


def _share_gradients(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Before a step, replace every gradient by its mean over all processes; they are exchanged as one vector."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat.div_(dist.get_world_size())
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _train(rank: int, args: argparse.Namespace, rendezvous: str) -> None:
    """Train in one of the processes, on its share of the stores, of each batch and of the pictures."""
    if args.processes > 1:
        dist.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=args.processes)
    torch.manual_seed(args.seed)
    torch.backends.cudnn.benchmark = True  # every batch has the same shape
    threads = args.threads or (1 if args.processes > 1 else None)
    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    batch = args.batch // args.processes
    batches = SynthBatches(args.stores, Alphabet(), batch, args.seed, rank, args.processes, args.device)
    train_detector(
        args.model, batches, args.out, pictures=args.pictures // args.processes, minutes=args.minutes, lr=args.lr,
        start=args.start, device=args.device,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path, metavar="STORE", help="several are drawn from as one, on a CPU")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="detector/networks/models/char.yaml")
    parser.add_argument("--pictures", type=int, default=600_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, default=None, help="go on from this checkpoint's weights")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=None, help="of torch's; all cores' without it")
    parser.add_argument("--minutes", type=float, default=None, help="end by then: the schedule follows the clock")
    parser.add_argument("--processes", type=int, default=1, help="that share each batch, on a CPU")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = str(Path(folder) / "rendezvous")
        if args.processes == 1:
            _train(0, args, rendezvous)
        else:
            mp.spawn(_train, (args, rendezvous), nprocs=args.processes)


if __name__ == "__main__":
    main()
