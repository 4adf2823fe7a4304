"""Cost of the input of training: ways to load and to augment, their share of a step on a CPU, and two processes.

    python tools/training/loaders.py [--set SET] [--pictures 1024] [--only loaders,augment,share,ddp]
        [--peers-python PEERS/bin/python]

loaders   one core and two, 256x64, no augmentation, the same files: the packed store, Ultralytics' own loader with
          cache=ram, pictures decoded anew each time, the naive generator, torch's DataLoader (a worker a core), and by
          --peers-python, an environment with `pip install tensorflow pandas pillow scipy`, Keras' ImageDataGenerator
          and Sequence (as many workers) and tf.data (loader_peers.py); pictures/s and ratios.
augment   one core: loading and augmenting a batch by each executor of the policy, beside a step; CPU time.
share     of a training step on all cores of this machine: loader plus augmentation, a picture at a time and a batch.
ddp       the same training by one process and by two (gloo), exact match on the same validation pictures.

Without --set, artificial pictures are drawn in --work. Each part is measured --rounds times, all ways in turn, so that
they have the same machine; the figures are medians. Compare the rates of CPU time if other processes use the core.
Prints Markdown and writes WORK/loaders.json.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from detector.data.sets.yolo_dataset import read_set
from detector.training.arguments.defaults import training_arguments
from detector.training.augment import on_gpu as augment_torch
from detector.training.augment.plan import BatchAugment
from detector.training.augment.policy import Augment
from detector.training.dataset import EpochOrder, TextDataset, TextLoader
from detector.training.profiling.loaders import FileLoader, NaiveLoader
from detector.training.profiling.measure import profile
from detector.training.profiling.steps import loader_rate, train_step
from detector.training.trainer import prepared_trainer
from tools.processes import ask_peer, free_port, start_logged
from tools.results import machine, read_epochs, write_json
from tools.sets import artificial_set

PEER = Path(__file__).resolve().parent / "loader_peers.py"


class UltralyticsLoader:
    """Ultralytics' own dataset and loader: pictures in memory, no mosaic, nothing random but the order.

    Args:
        data: data.yaml of a set.
        batch: number of pictures in a batch.
        longer_side: of the network's input, in pixels.
    """

    def __init__(self, data: Path, batch: int, longer_side: int) -> None:
        from detector.networks.ultralytics.library import put_fonts_in_place  # sets its switches, too

        put_fonts_in_place()

        from ultralytics.cfg import DEFAULT_CFG_DICT, get_cfg  # isort: skip
        from ultralytics.data.build import build_dataloader, build_yolo_dataset
        from ultralytics.data.utils import check_det_dataset

        names = "mosaic mixup cutmix copy_paste degrees translate scale shear perspective hsv_h hsv_s hsv_v fliplr"
        arguments = {
            **dict.fromkeys(names.split(), 0.0), "task": "detect", "imgsz": longer_side, "rect": True, "cache": "ram",
            "augmentations": [],
        }  # fmt: skip
        config, description = get_cfg(DEFAULT_CFG_DICT, arguments), check_det_dataset(str(data))
        dataset = build_yolo_dataset(config, description["train"], batch, description, mode="train", stride=32)
        self._loader = build_dataloader(dataset, batch, workers=0, shuffle=True, device="cpu")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._loader)


class TorchFiles(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Each picture decoded and resized anew, its label one-hot, as in tutorials.

    Items are float32 (3, H, W) in [0, 1] and int64 (length, symbols).

    Args:
        question: files, texts and shapes, as :func:`loaders` gives them to the peers.
    """

    def __init__(self, question: dict[str, Any]) -> None:
        self.question = question

    def __len__(self) -> int:
        return len(self.question["files"])

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = self.question["shape_hw"]
        symbols, text = self.question["symbols"], self.question["texts"][index].ljust(self.question["length"])
        picture = Image.open(self.question["files"][index]).convert("RGB").resize((width, height))
        pixels = torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)
        ids = torch.tensor([symbols.index(symbol) for symbol in text])
        return pixels, torch.nn.functional.one_hot(ids, len(symbols))


class TorchLoader:
    """torch's DataLoader with a worker for each core; with none on one core, where that is faster."""

    def __init__(self, question: dict[str, Any]) -> None:
        workers = question["cores"] if question["cores"] > 1 else 0
        self._loader = torch.utils.data.DataLoader(
            TorchFiles(question), question["batch"], num_workers=workers, persistent_workers=workers > 0
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return ({"img": images, "label": labels} for images, labels in self._loader)


@contextlib.contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Run this process on its last ``count`` cores, with as many threads of torch."""
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[-count:])
    torch.set_num_threads(count)
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
        torch.set_num_threads(len(all_cores))


def loaders(data: Path, args: argparse.Namespace, cores: int) -> dict[str, dict[str, float]]:
    """Return the pictures/s of each way to load on ``cores`` cores, by kind of clock; medians over rounds.

    Kinds are "wall clock" and, on one core only, "CPU time".
    """
    characters = read_set(data)
    shape_hw = characters.config.shape_hw or (64, 256)
    rows = [row for row in characters.manifest() if row.split == "train" and row.status == "ok"]
    question = {
        "files": [str((data.parent / row.image).resolve()) for row in rows], "texts": [row.text for row in rows],
        "symbols": characters.config.symbols, "length": characters.config.length, "shape_hw": shape_hw,
        "batch": args.batch, "cores": cores, "cpus": sorted(os.sched_getaffinity(0))[-cores:],
        "rounds": args.rounds, "seconds": args.seconds,
    }  # fmt: skip
    with on_cores(cores):
        dataset = TextDataset(characters, "train", shape_hw)
        ways = {
            "packed": TextLoader(dataset, args.batch, EpochOrder(dataset, shuffled=True)),
            "ultralytics, cache=ram": UltralyticsLoader(data, args.batch, max(shape_hw)),
            "files": FileLoader(dataset, args.batch),
            "naive": NaiveLoader(dataset, args.batch),
            "torch DataLoader": TorchLoader(question),
        }
        rates_of: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, loader in ways.items():
                start_time, start_cpu = time.perf_counter(), time.process_time()
                rate = loader_rate(loader, args.seconds)
                # The share of the core that this process had: below 1 if others use it.
                core_share = (time.process_time() - start_cpu) / (time.perf_counter() - start_time)
                rates_of[name].append((rate, rate / core_share))
    answer = ask_peer(str(PEER), "keras", args.peers_python, question)
    if "skipped" in answer:
        print(f"Keras and tf.data are left out: {answer['skipped']}", file=sys.stderr)
    else:
        rates_of |= answer
    kinds = ("wall clock", "CPU time")[: 2 if cores == 1 else 1]  # a worker's CPU time is not this process's
    return {
        name: {kind: statistics.median(pair[i] for pair in rates) for i, kind in enumerate(kinds)}
        for name, rates in rates_of.items()
    }


def augment(data: Path, args: argparse.Namespace) -> dict[str, float]:
    """Return the CPU time a picture, in milliseconds on one core, of each way to augment and of a step: medians."""
    characters = read_set(data)
    with on_cores(1), tempfile.TemporaryDirectory() as folder:
        arguments = {"device": "cpu", "batch": args.batch, "epochs": 1, "project": folder, "name": "step"}
        trainer = prepared_trainer(training_arguments(characters, arguments))
        dataset = trainer.train_loader.dataset
        ready_batch = trainer.preprocess_batch(next(iter(trainer.train_loader)))
        batch_augment, picture_augment = BatchAugment(), Augment()
        shape_hw = trainer.shape_hw

        def opencv_batch(chunk: list[int]) -> object:
            return dataset.changed(chunk, batch_augment.plan(len(chunk), shape_hw))

        def torch_batch(chunk: list[int]) -> object:
            plan = batch_augment.plan(len(chunk), shape_hw)
            batch = dataset.planned(chunk, dataset.rgb(chunk), plan)
            return augment_torch.apply(plan, batch["img"].float() / 255)

        makers: dict[str, Callable[[list[int]], object]] = {
            "no augmentation": lambda chunk: dataset.unchanged(chunk, dataset.rgb(chunk)),
            "Albumentations, augment=picture": lambda chunk: dataset.augmented(chunk, picture_augment),
            "plan, torch": torch_batch,
            "plan, OpenCV, augment=device": opencv_batch,
            "the plan alone": lambda chunk: batch_augment.plan(len(chunk), shape_hw),
            "step of the network": lambda chunk: train_step(trainer, dict(ready_batch)),
        }
        milliseconds: dict[str, list[float]] = {name: [] for name in makers}
        for make in makers.values():
            make(list(range(args.batch)))
        for _ in range(args.rounds):
            for name, make in makers.items():
                chunks = [torch.randint(len(dataset), (args.batch,)).tolist() for _ in range(args.batches)]
                start_cpu = time.process_time()
                for chunk in chunks:
                    make(chunk)
                milliseconds[name].append((time.process_time() - start_cpu) / args.batches / args.batch * 1e3)
    return {name: statistics.median(rounds) for name, rounds in milliseconds.items()}


def share(data: Path, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return a step's milliseconds on the CPU and its input's share, by the argument ``augment``: medians of rounds."""
    figures: dict[str, dict[str, float]] = {}
    for augment in ("off", "picture", "device"):
        rounds = [
            profile(data, pictures=args.pictures, augment=augment, device="cpu", batch=args.batch, seconds=args.seconds)
            for _ in range(args.rounds)
        ]
        figures[augment] = {
            name: statistics.median(getattr(r, name) for r in rounds) for name in ("step_ms", "limit_ms", "input_share")
        }
        figures[augment]["augment_ms"] = statistics.median(r.stages["augment"] for r in rounds)
    return figures


def ddp(data: Path, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return exact match and seconds of training by one process, and by two that share each batch."""
    return {f"{count} process{'es' * (count > 1)}": _train(data, args, count) for count in (1, 2)}


def _train(data: Path, args: argparse.Namespace, process_count: int) -> dict[str, float]:
    work = args.work / f"ddp{process_count}"
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "detector", "train", f"data={data.resolve()}", f"epochs={args.epochs}"]
    command += [f"batch={args.batch}", "device=cpu", "name=run", "exist_ok=True", *args.train]
    group = {"WORLD_SIZE": str(process_count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    start_time = time.perf_counter()
    processes = []
    for rank in range(process_count):
        variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), **group} if process_count > 1 else {}
        (work / f"log{rank}.txt").unlink(missing_ok=True)
        processes.append(start_logged(command, work, work / f"log{rank}.txt", **variables))
    if any([process.wait() for process in processes]):
        raise SystemExit(f"training failed: see {work}/log0.txt")
    best = max(float(row["metrics/exact_match"]) for row in read_epochs(work / "runs" / "run"))
    return {"best exact match": best, "seconds": time.perf_counter() - start_time}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=None, help="data.yaml of a converted set")
    parser.add_argument("--work", type=Path, default=Path("runs/loaders"))
    parser.add_argument("--pictures", type=int, default=1024, help="artificial ones, where no set is given")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="a measurement")
    parser.add_argument("--batches", type=int, default=20, help="a measurement of augment")
    parser.add_argument("--epochs", type=int, default=3, help="of ddp")
    parser.add_argument("--only", default="loaders,augment,share,ddp")
    parser.add_argument("--cores", nargs="+", type=int, default=[1, 2], help="of loaders")
    parser.add_argument("--peers-python", default=sys.executable, help="that runs Keras and tf.data")
    parser.add_argument("--train", nargs="*", default=[], help="further NAME=VALUE for ddp")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    data = args.set or artificial_set(args.work / f"set{args.pictures}", args.pictures)
    result: dict[str, Any] = {"machine": machine(), "data": str(data)}
    if "loaders" in args.only:
        counts = [n for n in sorted(args.cores) if n <= len(os.sched_getaffinity(0))]
        rates = result["loaders"] = {count: loaders(data, args, count) for count in counts}
        columns = [(count, kind) for count in counts for kind in rates[count]["packed"]]
        headings = (f"{count} core{'s' * (count > 1)}, pictures/s of {kind} | packed is" for count, kind in columns)
        print(f"\n| no augmentation | {' | '.join(headings)} |\n|---|{'---|---|' * len(columns)}")
        for name in rates[counts[0]]:
            pairs = [(rates[count][name][kind], rates[count]["packed"][kind]) for count, kind in columns]
            cells = [f"{rate:.0f} | {packed / rate:.1f} times as fast" for rate, packed in pairs]
            print(f"| {name} | {' | '.join(cells)} |")
    if "augment" in args.only:
        milliseconds = result["augment"] = augment(data, args)
        step = milliseconds["step of the network"]
        print(f"\n| one core, batches of {args.batch} | ms of CPU time a picture | of it and a step |\n|---|---|---|")
        for name, ms in milliseconds.items():
            print(f"| {name} | {ms:.3f} | {'' if ms is step else f'{ms / (ms + step):.1%}'} |")
    if "share" in args.only:
        shares = result["share"] = share(data, args)
        print("\n| augmentation | step, ms | ready batch, ms | input's share | augmenting alone, ms a picture |")
        print("|---|---|---|---|---|")
        for name, figures in shares.items():
            numbers = f"{figures['step_ms']:.1f} | {figures['limit_ms']:.1f} | {figures['input_share']:.1%}"
            print(f"| {name} | {numbers} | {figures['augment_ms']:.3f} |")
    if "ddp" in args.only:
        trainings = result["ddp"] = ddp(data, args)
        print(f"\n| {args.epochs} epochs | best exact match | seconds |\n|---|---|---|")
        for name, figures in trainings.items():
            print(f"| {name} | {figures['best exact match']:.3f} | {figures['seconds']:.0f} |")
    write_json(args.work / "loaders.json", result)


if __name__ == "__main__":
    main()
