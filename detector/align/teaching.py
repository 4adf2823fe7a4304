"""Teaching an aligner with strings alone."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detector.align.network import AlignerNet, carry_over
from detector.align.viterbi import greedy
from detector.augment import Augment
from detector.device import autocast, pick_device, to_device
from detector.errors import WeightsError
from detector.metrics import edit_distance
from detector.work import whole

log = logging.getLogger("detector")

SHIPPED = Path(__file__).parent.parent / "weights" / "aligner.pt"
"""The aligner that comes with the package: the default alphabet, taught on artificial pictures."""

CHECKPOINT_SECONDS = 15.0
"""How often :func:`teach` writes down where it is."""

_BATCH = 32
_ENOUGH = 0.98  # share of the check pictures read exactly at which more training buys nothing
_LEARNT_CER = 0.5  # character error rate on the check pictures above which nothing was learnt


@dataclass(frozen=True)
class Schedule:
    """How long and how fast an aligner learns.

    Steps are of ``batch`` pictures. From nothing, CTC stays on a plateau for hundreds of steps, in which
    small batches are worth as much as large ones.
    """

    steps: int
    batch: int
    peak_rate: float

    @staticmethod
    def plan(pictures: int, from_nothing: bool, budget: float = 1.0) -> Schedule:
        """For a set of this size; ``budget`` multiplies the time."""
        batch = 16 if from_nothing else _BATCH
        epochs = 30 if from_nothing else 12
        steps = int(np.clip(epochs * pictures / batch, 1500 if from_nothing else 200, 6000) * budget)
        return Schedule(max(steps, 20), batch, 3e-3 if from_nothing else 1.5e-3)


@dataclass(frozen=True)
class Check:
    """How an aligner reads pictures that it was not taught: exact match and CER, each in [0, 1] (CER may pass 1)."""

    exact_match: float
    cer: float
    pictures: int

    @property
    def learnt(self) -> bool:
        """Whether its alignments are to be believed at all."""
        return self.pictures == 0 or self.cer <= _LEARNT_CER


class Aligner:
    """A taught network with its symbols and the shape of its input."""

    def __init__(self, net: AlignerNet, symbols: str, shape_hw: tuple[int, int], device: torch.device) -> None:
        self.net = net.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.symbols = symbols
        self.shape_hw = shape_hw
        self.device = device

    @torch.inference_mode()
    def log_probs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shape (n, W/4, classes + 1) of fitted pictures, uint8 (n, H, W, 3)."""
        self.net.eval()
        out: NDArray[np.float32] = self.net(to_device(images, self.device)).cpu().numpy()
        return out

    def state(self, dtype: torch.dtype = torch.float16) -> dict[str, Any]:
        """What :meth:`load` takes, weights as ``dtype``; with float32 the loaded one computes the same to the bit."""
        held = {k: v.to(dtype) if v.is_floating_point() else v for k, v in self.net.state_dict().items()}
        return {"symbols": self.symbols, "width": self.net.width, "shape_hw": self.shape_hw, "state": held}

    @staticmethod
    def load(path: Path, shape_hw: tuple[int, int] | None = None, device: torch.device | None = None) -> Aligner:
        """An aligner from a file that :meth:`state` was saved to; nothing but tensors is unpickled."""
        held = _read(path)
        net = AlignerNet(len(held["symbols"]), held["width"])
        net.load_state_dict(held["state"])
        return Aligner(net, held["symbols"], shape_hw or tuple(held["shape_hw"]), device or pick_device())

    def check(self, images: NDArray[np.uint8], strings: list[NDArray[np.int64]]) -> Check:
        """Read pictures by itself and compare."""
        if not len(images):
            return Check(0.0, 0.0, 0)
        read: list[NDArray[np.int64]] = []
        for start in range(0, len(images), 64):
            read += greedy(self.log_probs(images[start : start + 64]))
        wrong = [edit_distance(r.tolist(), s.tolist()) for r, s in zip(read, strings, strict=True)]
        symbols = sum(len(s) for s in strings)
        return Check(sum(w == 0 for w in wrong) / len(wrong), sum(wrong) / max(symbols, 1), len(wrong))


def _read(path: Path) -> dict[str, Any]:
    """What :meth:`Aligner.state` gave, weights in full precision again."""
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        held["symbols"], held["width"]  # KeyError if it is something else
        held["state"] = {k: v.float() if v.is_floating_point() else v for k, v in held["state"].items()}
    except FileNotFoundError:
        raise WeightsError(f"There is no aligner at {path}.") from None
    except Exception as error:
        raise WeightsError(f"{path} is not an aligner's weights file ({type(error).__name__}: {error}).") from error
    return held


def teach(
    images: NDArray[np.uint8],
    strings: list[NDArray[np.int64]],
    symbols: str,
    *,
    check: tuple[NDArray[np.uint8], list[NDArray[np.int64]]] | None = None,
    start: Path | None = None,
    budget: float = 1.0,
    seed: int = 0,
    device: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[Aligner, Check]:
    """Teach an aligner with CTC on fitted pictures and their strings.

    Each batch is a function of the seed and the step alone, so teaching that goes on from a checkpoint ends in the
    same weights as teaching that was never stopped.

    Args:
        images: uint8 (n, H, W, 3), fitted.
        strings: class ids of each one's symbols, blanks of the text left out.
        symbols: the alphabet's symbols, in class-id order.
        check: other pictures and strings, to tell when it has learnt.
        start: weights to start from; None starts from nothing.
        budget: multiplies the number of steps.
        seed: same seed and thread count, same aligner.
        device: as Ultralytics spells it.
        progress: called with (step, steps, what to show).
        checkpoint: file to go on from if it is of the same pictures and arguments, and to write to every
            ``CHECKPOINT_SECONDS``.

    Returns:
        The aligner, and how it reads the check pictures.
    """
    torch.manual_seed(seed)
    on = pick_device(device)
    net = AlignerNet(len(symbols))
    if start is not None:
        held = _read(start)
        net = AlignerNet(len(symbols), held["width"])
        known = carry_over(net, symbols, held["state"], held["symbols"])
        log.info("aligner starts from %s, which knows %d of %d symbols", start.name, known, len(symbols))
    shape_hw = (images.shape[1], images.shape[2])
    aligner = Aligner(net, symbols, shape_hw, on)
    plan = Schedule.plan(len(images), start is None, budget)
    optimizer = torch.optim.AdamW(net.parameters(), plan.peak_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.peak_rate, total_steps=plan.steps, pct_start=0.1, cycle_momentum=False
    )
    augment = Augment()
    every = max(1, len(images) // plan.batch, plan.steps // 20)
    first, mean, result = 0, 0.0, Check(0.0, 1.0, 0)
    moving: dict[str, Any] = {"net": net, "optimizer": optimizer, "schedule": schedule}
    taught = hashlib.sha256(repr((symbols, images.shape, start is None, plan, seed)).encode())
    for string in strings:
        taught.update(string.tobytes() + b".")
    if checkpoint is not None and (before := resumed(checkpoint, taught.hexdigest())):
        for name, part in moving.items():
            part.load_state_dict(before[name])
        first, mean, result = before["step"], before["mean"], Check(*before["result"])
        log.info("the aligner is taught on from step %d of %d", first, plan.steps)
    began = written = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:  # one thread: the next batch is made while the network learns from this one
        coming = pool.submit(_batch, images, strings, augment, (seed, first), plan.batch)
        for step in range(first, plan.steps):
            pictures, targets, lengths = coming.result()
            coming = pool.submit(_batch, images, strings, augment, (seed, step + 1), plan.batch)
            net.train()
            with autocast(on):
                log_probs = net(to_device(pictures, on))  # (B, columns, classes + 1), float32
            loss = torch.nn.functional.ctc_loss(
                log_probs.transpose(0, 1),
                targets.to(on),
                torch.full((len(pictures),), log_probs.shape[1]),
                lengths,
                blank=len(symbols),
                zero_infinity=True,
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            mean += (loss.item() - mean) / min(step + 1, 50)
            if (step + 1) % every == 0 or step + 1 == plan.steps:
                if check is not None and len(check[0]):
                    result = aligner.check(*check)
                if progress is not None:
                    shown = f"loss {mean:.2f}, reads {result.exact_match:.1%}, {time.perf_counter() - began:.0f} s"
                    progress(step + 1, plan.steps, shown)
                if result.pictures and result.exact_match >= _ENOUGH and step >= plan.steps // 4:
                    break
            if checkpoint is not None and time.perf_counter() - written >= CHECKPOINT_SECONDS:
                facts = {"taught": taught.hexdigest(), "step": step + 1, "mean": mean, "result": astuple(result)}
                with whole(checkpoint) as path:
                    torch.save({**facts, **{name: part.state_dict() for name, part in moving.items()}}, path)
                written = time.perf_counter()
    net.eval()
    return aligner, result


def resumed(checkpoint: Path, taught: str) -> dict[str, Any] | None:
    """What was written down of the same teaching, or None."""
    try:
        held: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:
        log.warning("%s cannot be read (%s): teaching begins anew", checkpoint, error)
        return None
    return held if held.get("taught") == taught else None


def _batch(
    images: NDArray[np.uint8],
    strings: list[NDArray[np.int64]],
    augment: Augment,
    seed: tuple[int, int],
    size: int,
) -> tuple[NDArray[np.uint8], torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    augment.seed(int(rng.integers(2**63)))
    picked = rng.integers(len(images), size=size)
    pictures = np.stack([augment.image(images[i]) for i in picked])
    targets = torch.from_numpy(np.concatenate([strings[i] for i in picked]).astype(np.int64))
    return pictures, targets, torch.tensor([len(strings[i]) for i in picked])
