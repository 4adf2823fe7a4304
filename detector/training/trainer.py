"""The trainer: pictures of one shape, text-safe augmentation, strings compared."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch

from detector.data.atomic import atomic_write, part_beside, writing
from detector.data.letterbox import scaled
from detector.data.parallel import Progress, network_threads
from detector.data.sets.yolo_dataset import SPLITS, read_set
from detector.errors import DetectorError
from detector.networks.arithmetic import Arithmetic, choose_arithmetic, fast_bfloat16, say_arithmetic
from detector.networks.ultralytics.library import (
    DEFAULT_CFG_DICT,
    LOCAL_RANK,
    RANK,
    DetectionTrainer,
    get_cfg,
    get_save_dir,
    put_fonts_in_place,
    quiet,
    strip_optimizer,
    torch_distributed_zero_first,
    unset_deterministic,
)
from detector.networks.ultralytics.opening import library_trust, open_weights
from detector.networks.ultralytics.weights import load_by_symbol
from detector.training.arguments.defaults import start_argument
from detector.training.augment import on_gpu as augment_torch
from detector.training.augment.plan import BatchAugment
from detector.training.augment.policy import Augment, Policy, from_dict
from detector.training.dataset import EpochOrder, TextDataset, TextLoader
from detector.training.processes import alike, group, restart
from detector.training.run_folder import ARITHMETIC, clear_earlier, keep_results, keep_start, read_results
from detector.training.validation.evidence import EXACT_MATCH
from detector.training.validation.stopping import Ending, ending
from detector.training.validation.validator import TextValidator

log = logging.getLogger("detector")


class TextTrainer(DetectionTrainer):  # type: ignore[misc]
    """Ultralytics' trainer on a converted set: pictures of one shape, text-safe augmentation, strings compared."""

    last: Path
    best: Path
    augment_on: str | None = None
    """How pictures are changed: "device" a batch at a time, "picture" one at a time; None: "picture" where the user's
    own transforms want that."""
    interrupted = False
    """Whether Ctrl-C ended the training."""
    lf: Callable[[int], float]
    saved_epochs = 0
    """Epochs whose weights are in the checkpoint; 0 where other processes train."""
    _ending: Ending | None = None

    def __init__(self, cfg: Any = None, overrides: dict[str, Any] | None = None, _callbacks: Any = None) -> None:
        super().__init__(cfg or DEFAULT_CFG_DICT, dict(overrides or {}), _callbacks)
        self.cpu_ranks = group.on_cpu()
        if group.joined():
            self.device = group.process_device()
            group.check_shares(self.args.batch, len(self.characters.rows("train")[0]))
            if not self.cpu_ranks:  # or Ultralytics would give its network the index of a GPU
                self.world_size = group.count()
        # Integrations take it for a name; where the run lies, save_dir says.
        self.args.project = Path(str(self.args.project or "")).name or None
        shape_hw = self.characters.config.shape_hw
        if shape_hw is None:
            raise DetectorError(f"{self.args.data} does not say the network's shape: convert again.")
        self.shape_hw = scaled(shape_hw, int(self.args.imgsz) / max(shape_hw))
        self.config = replace(self.characters.config, shape_hw=self.shape_hw)

    def check_resume(self, overrides: dict[str, Any]) -> None:
        """Set project and name of a resumed run to where its checkpoint lies."""
        super().check_resume(overrides)
        if self.resume:
            run = Path(self.args.save_dir)
            self.args.project, self.args.name = str(run.parent), run.name

    def resume_training(self, ckpt: dict[str, Any]) -> None:
        """Resume after the checkpoint's epoch; later rows of the table are dropped."""
        super().resume_training(ckpt)
        if self.resume and RANK in (-1, 0):
            keep_results(self.save_dir, self.start_epoch)

    def get_dataset(self) -> dict[str, Any]:
        """Describe the set to Ultralytics: classes and the splits' folders, as they are here, and no more.

        The user's ``data.yaml`` never gets there: Ultralytics runs what one says of how to download.
        """
        self.characters = read_set(self.args.data)
        root, symbols = self.characters.root, self.characters.config.symbols
        folders = {split: str(root / "images" / split) for split in SPLITS if split in self.characters.splits}
        return {"path": root, **folders, "names": dict(enumerate(symbols)), "nc": len(symbols), "channels": 3}

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> TextLoader:
        """Make the loader of the split that ``mode`` names."""
        training = mode == "train"
        split = "train" if training else self.args.split
        share = group.own_share() if rank != -1 else None
        open_split = partial(TextDataset, self.characters, split, self.shape_hw, share)
        if group.joined() and share:
            dataset = alike.opened(open_split, TextDataset.fingerprint, dataset_path)
        else:
            dataset = open_split()
        return TextLoader(
            dataset, batch_size, EpochOrder(dataset, shuffled=training, seed=self.args.seed),
            augment=self.augmentation() if training else None, device=self.device,
            drop_last=training and bool(self.args.compile),
        )  # fmt: skip

    def auto_batch(self) -> int:
        """Choose a batch by the GPU's memory and the manifest: Ultralytics would read files, and write beside them."""
        [rows] = self.characters.rows("train")
        return int(super(DetectionTrainer, self).auto_batch(max(len(row.text) for row in rows), len(rows)))

    def augmentation(self) -> Augment | BatchAugment:
        """Make the run's augmentation; a list given as ``augmentations`` replaces its photometric part."""
        args = self.args
        augmentations = getattr(args, "augmentations", None)  # not among `yolo train`'s defaults
        policy = Policy(
            args.degrees, args.translate, args.scale, args.shear, args.perspective, args.fliplr, args.flipud,
            photometric=0.0 if augmentations == [] else 1.0,
        )  # fmt: skip
        augment_on = self.augment_on or ("picture" if augmentations else "device")
        if augment_on == "device" and augmentations:
            raise DetectorError("augmentations=[…] are done one picture at a time: leave them out, or augment=device.")
        if augment_on == "device":
            return BatchAugment(policy, args.seed)
        transforms = [from_dict(t) for t in augmentations or ()]  # the trainer holds them as dicts
        return Augment(policy, args.seed, transforms)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """Build the network, classes carried over from the weights by their symbols."""
        if not self.args.cls_remap:
            return super().get_model(cfg, weights, verbose)
        net = super().get_model(cfg, None, verbose)
        if weights is not None:
            load_by_symbol(net, weights, verbose)
        return net

    def set_model_attributes(self) -> None:
        """Set the memory format to channels last, too: three times faster convolutions on a CPU."""
        super().set_model_attributes()
        self.model: Any = self.model.to(memory_format=torch.channels_last)

    def _setup_ddp(self) -> None:
        if not group.joined():
            super()._setup_ddp()

    def _build_train_pipeline(self) -> None:
        if self.cpu_ranks:  # Ultralytics counted none of them, and has wrapped nothing
            self.world_size = group.count()
            self.model = group.wrapped(self.model)
        super()._build_train_pipeline()

    def _setup_train(self) -> None:
        amp = self.args.amp
        if self.cpu_ranks:  # or only the first of them would go without the GPU's scaler
            self.args.amp = False
        super()._setup_train()
        self.args.amp = amp
        if self.device.type == "cpu":
            arithmetic = self._arithmetic()
            torch.set_num_threads(arithmetic.threads)
            self.amp = arithmetic.bfloat16  # torch's CPU autocast is bfloat16; the scaler, made before, stays off
        self.train_loader.epoch = self.saved_epochs = self.start_epoch
        self.stopper.patience = float("inf")  # it would cut training off where the learning rate is high
        self.add_callback("on_fit_epoch_end", lambda trainer: trainer._end_when_done(trainer.epoch + 1))
        self._end_when_done(self.start_epoch)

    def _setup_scheduler(self) -> None:
        """Schedule the learning rate as planned, until training is about to end; the same in all processes."""
        self.epochs = self.args.epochs = group.broadcast(lambda: int(self.epochs))  # `time` is measured
        super()._setup_scheduler()
        planned = self.lf

        def factor(epoch: int) -> float:
            if self._ending is None or epoch < self._ending.after:
                return float(planned(epoch))
            return max(float(self.args.lrf), planned(self._ending.after - 1) * self._ending.falls_to(epoch))

        self.lf = factor
        self.scheduler.lr_lambdas = [factor] * len(self.scheduler.lr_lambdas)

    def _arithmetic(self) -> Arithmetic:
        """Choose the CPU arithmetic of this run: the saved one if it is resumed, otherwise the fastest here."""
        bfloat16 = False if self.args.amp in (False, "fp32") else fast_bfloat16() if self.args.amp == "bf16" else None
        if self.cpu_ranks:  # all alike
            return Arithmetic(network_threads(), all(group.gather(fast_bfloat16)) if bfloat16 is None else bfloat16)
        path = self.save_dir / ARITHMETIC
        arithmetic, step_seconds = Arithmetic.read(path) if self.resume else None, dict[Arithmetic, float]()
        if arithmetic is None:
            arithmetic, step_seconds = choose_arithmetic(self._step_that_changes_nothing(), bfloat16=bfloat16)
        arithmetic.write(path)
        log.info("%s", say_arithmetic(arithmetic, step_seconds))
        return arithmetic

    def _step_that_changes_nothing(self) -> Callable[[], None]:
        """Return a function that runs a copy of the network forward and backward on the first batch."""
        net = deepcopy(getattr(self.model, "_orig_mod", self.model)).train()
        batches = iter(self.train_loader)
        batch = self.preprocess_batch(next(batches))
        batches.close()

        def step() -> None:
            losses, _ = net(batch)
            losses.sum().backward()
            net.zero_grad()

        return step

    def _end_when_done(self, finished: int) -> None:
        """End training where validation says that there is nothing to gain, after the learning rate has come down.

        The run's table and its arguments tell all, so that a run that goes on ends as one that was not stopped.
        """
        new_ending = group.broadcast(
            lambda: ending(read_results(self.save_dir)[:finished], len(self.test_loader.dataset), self.args.patience)
        )
        if new_ending is None or new_ending.end >= self.args.epochs:
            return
        if self._ending is None and RANK in (-1, 0):
            log.info(
                "after %d epochs %s: the learning rate comes down now, and training ends after epoch %d of %d "
                "(patience=0 trains all of them)", new_ending.after, new_ending.why, new_ending.end, self.args.epochs,
            )  # fmt: skip
        self._ending, self.epochs = new_ending, new_ending.end

    def finished_epochs(self) -> list[dict[str, str]]:
        """Return the rows of ``results.csv`` whose weights are kept: Ctrl-C may come between a row and its weights."""
        return read_results(self.save_dir)[: self.saved_epochs or None]

    def time_left(self) -> str:
        """Return the time that training takes from now on at most, as text; empty where it is over."""
        elapsed = time.time() - self.train_time_start
        epochs = self.epochs - self.epoch - 1
        seconds = elapsed / (self.epoch + 1 - self.start_epoch) * epochs
        if self.args.time:
            seconds = self.args.time * 3600 - elapsed
        return str(timedelta(seconds=round(seconds))) if epochs > 0 and seconds > 0 else ""

    def put_in_place(self, weights: Path) -> None:
        """Load the weights of a file as those that are validated."""
        net, _ = open_weights(weights)
        net.args = self.args  # of the loss
        self.ema.ema = net.to(device=self.device, memory_format=torch.channels_last)
        self.stopper.possible_stop = True  # plots, where they are asked for, are those of these weights

    def final_eval(self) -> None:
        """Validate the best weights as Ultralytics does, but checkpoints lose their optimizer whole or not at all."""
        best = group.broadcast(lambda: self.best if self.best.exists() else None)
        with torch_distributed_zero_first(LOCAL_RANK):
            if RANK in (-1, 0):
                last_checkpoint = _stripped(self.last) if self.last.exists() else {}
                if best is not None:
                    _stripped(best, {"train_results": last_checkpoint.get("train_results")})
        if best is None:
            return
        self.validator.args.plots, self.validator.args.compile = self.args.plots, False
        self.metrics = self.validator(model=best)
        self.metrics.pop("fitness", None)
        self.epoch += 1  # its row is no epoch's
        self.run_callbacks("on_fit_epoch_end")
        self.epoch -= 1

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device as float in [0, 1], and augment it there by its plan."""
        plan = batch.pop("plan", None)
        batch = super().preprocess_batch(batch)
        if plan is not None:
            batch["img"] = augment_torch.apply(plan, batch["img"])
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return batch

    def save_model(self) -> bool:
        """Write checkpoints atomically: a truncated one could not be resumed.

        The best one goes first: a run that is stopped between them does the epoch again, and finds it best again.
        """
        paths: tuple[Path, Path] = self.last, self.best
        with part_beside(self.last) as last, part_beside(self.best) as best:
            try:
                self.last, self.best = last, best
                saved = bool(super().save_model())
            finally:
                self.last, self.best = paths
            for part, path in ((best, self.best), (last, self.last)):
                if part.stat().st_size:  # the best one only if it is the best
                    with part.open("rb+") as file:
                        os.fsync(file.fileno())
                    part.replace(path)
        self.saved_epochs = self.epoch + 1
        return saved

    def get_validator(self) -> TextValidator:
        """Make a validator that knows the config."""
        validator = TextValidator(
            self.test_loader, save_dir=self.save_dir, args=copy(self.args), _callbacks=self.callbacks
        )
        validator.config, validator.trainer = self.config, self
        return validator


def _stripped(path: Path, updates: dict[str, Any] | None = None) -> dict[str, Any]:
    """Atomically take the optimizer out of a checkpoint, and return its content."""
    with atomic_write(path) as part:
        shutil.copyfile(path, part)
        with quiet():  # it would name the part
            combined: dict[str, Any] = strip_optimizer(part, "", updates)
    return combined


def run_trainer(
    overrides: dict[str, Any],
    augment_on: str | None = None,
    trained: bool = False,
    progress: Progress | None = None,
    job: restart.Job | None = None,
) -> TextTrainer:
    """Train, or resume where ``overrides['resume']`` says, and return the trainer; Ctrl-C sets ``interrupted``.

    Args:
        overrides: arguments of `yolo train`.
        augment_on: where pictures are changed.
        trained: nothing is left to train: the run was stopped after its last epoch.
        progress: told of each epoch, in place of what Ultralytics says.
        job: of the processes that ``torchrun`` started.
    """
    # A class of its own, since the class is all that Ultralytics hands on to the processes that it starts.
    kind = type("TextTrainer", (TextTrainer,), {"augment_on": augment_on})
    put_fonts_in_place()
    is_new = RANK in (-1, 0) and not overrides.get("resume")
    silence = contextlib.nullcontext() if progress is None else quiet()
    start = start_argument(overrides)
    with library_trust(), contextlib.redirect_stdout(sys.stderr), silence:  # its progress bars
        if is_new and overrides.get("exist_ok"):
            run = Path(get_save_dir(get_cfg(DEFAULT_CFG_DICT, overrides)))
            overrides = clear_earlier(run, overrides, start)
        with writing(overrides.get("project") or overrides["model"]):
            if job is not None:
                overrides = restart.agree_on_folder(job, overrides)
            trainer: TextTrainer = kind(overrides=overrides)
        if is_new:
            keep_start(trainer.save_dir, overrides[start] if start else None)
        if trained:
            if RANK in (-1, 0):
                for path in filter(Path.exists, (trainer.last, trainer.best)):
                    _stripped(path)
            unset_deterministic()  # as the end of training does it
            return trainer
        if progress is not None:
            trainer.add_callback(
                "on_train_start", lambda started: progress("train", started.start_epoch, started.epochs)
            )
            trainer.add_callback("on_fit_epoch_end", partial(_report_epoch, progress))
        try:
            with writing(trainer.save_dir, lambda: f"resume={trainer.last}" if trainer.last.exists() else ""):
                trainer.train()
        except NotImplementedError as error:
            if not str(error).startswith("Optimizer"):
                raise
            raise DetectorError(str(error).split("Request support")[0].strip()) from None
        except KeyboardInterrupt:
            trainer.interrupted = True
    return trainer


def _report_epoch(progress: Progress, trainer: TextTrainer) -> None:
    right = float((trainer.metrics or {}).get(EXACT_MATCH, 0.0))
    if trainer.epoch < trainer.epochs:  # else it is the last look at the best weights
        progress(f"train (validation {right:.1%})", trainer.epoch + 1, trainer.epochs)


def prepared_trainer(overrides: dict[str, Any], augment_on: str | None = None) -> TextTrainer:
    """Set up a silent trainer with model, optimizer and loaders, before its first step, for measuring."""
    with library_trust(), quiet():
        trainer = TextTrainer(overrides=overrides)
        trainer.augment_on = augment_on
        trainer._setup_train()
    trainer.epoch = 0
    trainer.model.train()
    return trainer
