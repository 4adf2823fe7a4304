"""`yolo train` for text: its arguments, other defaults, strings in its metrics."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.data.atomic import writing
from detector.data.letterbox import DEFAULT_SHAPE_HW, STRIDE
from detector.data.trust import trusting
from detector.data.yolo_dataset import CharacterSet, read_set, set_name
from detector.errors import ArgumentError, DatasetError, DetectorError, ImageError
from detector.networks.arithmetic import kept_threads
from detector.networks.device import first_process, library_device, pick_device, say_device
from detector.networks.shipped import NETWORK, shipped_detector
from detector.text.metrics import TextScore
from detector.training.arguments.ineffective import AUGMENTATIONS, check_freeze
from detector.training.augment.policy import Policy
from detector.training.publish import publish
from detector.training.result import TrainingResult, TrainingStopped
from detector.training.run_folder import Stopped, begun_anew, checkpoint_of, resumed, target_of
from detector.training.validation.evidence import FEW, default_patience, say_few

if TYPE_CHECKING:
    from detector.training.processes.restart import Job

log = logging.getLogger("detector")


RUNS = Path("runs")
"""Where runs land."""

WEIGHTS_FOLDER = Path("weights")
"""Where the weights to read with land."""

AUGMENT_ON = ("device", "picture")
"""Ways to follow the augmentation policy: a batch at a time, as the training device does it fastest (OpenCV on a CPU,
torch on a GPU), or a picture at a time with Albumentations, the reference."""

DEFAULTS: dict[str, Any] = {
    # Text has a direction and is read whole: nothing is mirrored, tiled or cut off.
    **dict.fromkeys(AUGMENTATIONS, 0.0), "close_mosaic": 0, "rect": False,
    # A small network and small pictures: AdamW with a short warm-up and one cosine.
    "optimizer": "AdamW", "momentum": 0.9, "weight_decay": 0.02, "cos_lr": True, "lrf": 0.02,
    "warmup_epochs": 1.0, "warmup_bias_lr": 0.0,
    "plots": False, "exist_ok": False,
}  # fmt: skip
"""Arguments of `yolo train` that differ from its own defaults; the ones given win."""

_FINE_TUNING_LR, _FROM_SCRATCH_LR = 1e-3, 2e-3
_STEPS, _MAX_EPOCHS = 2500, 300  # optimizer steps that an unasked number of epochs aims at
_BATCH, _MAX_GPU_BATCH = 32, 512  # pictures; the larger one keeps a GPU busy
_STEPS_AN_EPOCH = 100  # that a larger batch on a GPU leaves, so that small sets still get their steps


def train(
    data: str | os.PathLike[str] | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    resume: bool | str | os.PathLike[str] = False,
    project: str | os.PathLike[str] | None = None,
    name: str | None = None,
    weights: str | os.PathLike[str] = WEIGHTS_FOLDER,
    augment: str | bool | None = None,
    trust: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    **yolo: Any,
) -> TrainingResult:
    """Train a detector on a converted set; the weights to read with land in ``weights/NAME.pt``.

    A file of that name which is there, from a run in another project, is kept: a number is added, as to runs, unless
    ``exist_ok=True``.

    Args:
        data: data.yaml of the set, its folder, or the report of :func:`detector.convert`; not needed with ``resume``.
        model: weights or a structure to start from; None takes the shipped detector, or a network from scratch where
            the alphabets have nothing in common.
        epochs: None takes what gives about 2,500 steps, from weights half of them, and training ends before that where
            validation says that it is done (``patience=0``: never).
        resume: True goes on with the latest run that was stopped, a run's folder or a checkpoint in it with that run.
        project: folder of runs; None takes ``runs``.
        name: of the run and of the weights; None takes the set's.
        weights: folder that the weights land in.
        augment: "device" changes a batch at a time: with OpenCV on a CPU, on a GPU there; "picture" one picture at a
            time with Albumentations. None takes "device", and "picture" with ``augmentations=[…]``.
        trust: open ``.pt`` files that can run code, for those whose maker you trust.
        progress: called with ("train", epochs done, epochs) after each, in place of what Ultralytics says; where it
            starts several processes, these say nothing.
        yolo: all other arguments, as ``yolo train`` takes them.

    Returns:
        The weights, as a path, with how right they read and the folder of the run.

    Raises:
        DatasetError: if the set is missing or damaged.
        ArgumentError: if an argument is not one of ``yolo train``'s, or its value makes no sense.
        WeightsError: if ``model`` or ``pretrained`` is nothing to start from.
        DetectorError: if there is no run to resume, or weights cannot be written into the folder for them.
        TrainingStopped: on Ctrl-C, if an epoch was finished; its ``result`` is what was learnt so far.
        KeyboardInterrupt: on Ctrl-C before that.
    """
    arguments = {"model": model, "epochs": epochs, "resume": resume or None, "project": project, "name": name}
    arguments = {argument: value for argument, value in arguments.items() if value is not None}
    result = run_training(data, weights=weights, augment=augment, trust=trust, progress=progress, **arguments, **yolo)
    if result.interrupted:
        raise TrainingStopped(result)
    if not result.learnt:
        log.warning("not one of %d validation pictures is read right: train longer, or look at the set's report",
                    result.metrics.count)  # fmt: skip
    return result


def run_training(
    data: str | os.PathLike[str] | None = None,
    *,
    weights: str | os.PathLike[str] = WEIGHTS_FOLDER,
    augment: str | bool | None = None,
    trust: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    **yolo: Any,
) -> TrainingResult:
    """Train as :func:`train` does; a run that Ctrl-C stopped after an epoch or more is returned, too.

    Raises:
        KeyboardInterrupt: on Ctrl-C before the first epoch was finished, or in any but the first of several processes.
    """
    from detector.training.arguments.checks import check_arguments

    arguments = {name: os.fspath(v) if isinstance(v, os.PathLike) else v for name, v in yolo.items()}
    augment_on = augment if isinstance(augment, str) else None
    if augment_on not in (None, *AUGMENT_ON):
        raise ArgumentError(f"augment={augment_on!r}: give one of {', '.join(AUGMENT_ON)}, or leave it out.")
    if isinstance(augment, bool):  # `yolo train`'s, of predictions
        arguments["augment"] = augment
    folder = Path(weights)
    if not isinstance(trust, bool):
        raise ArgumentError(f"trust={trust!r}: give True, or leave it out.")
    check_arguments(arguments, DEFAULTS["optimizer"])
    if "device" in arguments:
        arguments["device"] = library_device(arguments["device"])
    _check_folder(folder)  # said before hours of training
    with trusting(trust):
        return _run(None if data is None else os.fspath(data), arguments, augment_on, folder, progress)


def _run(
    data: str | None, arguments: dict[str, Any], augment_on: str | None, folder: Path,
    progress: Callable[[str, int, int], None] | None,
) -> TrainingResult:  # fmt: skip
    from detector.training import trainer as text_trainer
    from detector.training.processes import group

    with kept_threads(), group.joining(arguments.get("device")):
        stopped, job = _joint_plan(data, arguments)
        device = stopped.overrides.get("device")
        log.info("%s", say_device(group.process_device() if group.joined() else pick_device(device)))
        trainer = text_trainer.run_trainer(stopped.overrides, augment_on, stopped.trained, progress, job)
        finished = trainer.results()[: trainer.saved_epochs or None]
        if trainer.interrupted and not (first_process() and finished and trainer.last.exists()):
            raise KeyboardInterrupt
        target = target_of(trainer.save_dir, folder, trainer.args.exist_ok)
        with writing(target, lambda: f"resume={trainer.last}"), _needing_the_set(trainer.last):
            published = publish(trainer, target, device) if first_process() else TextScore(0, 0, 0, 0)
        if not trainer.interrupted:
            group.gather(lambda: None)  # torchrun of another machine may hold what this one's depends on
    return TrainingResult(
        target, published, trainer.save_dir, trainer.characters.root, "test" in trainer.characters.splits,
        len(finished), trainer.interrupted,
    )  # fmt: skip


@contextmanager
def _needing_the_set(checkpoint: Path) -> Iterator[None]:
    """Make errors of a set that changed while it was learnt, in the block, ones that say how to go on.

    Raises:
        DatasetError: for an error of the set or of a picture.
    """
    try:
        yield
    except (DatasetError, ImageError) as error:
        raise DatasetError(
            f"{error} What was learnt is kept: with the set as it was, resume={checkpoint} publishes it; data=SET says "
            "where the set is now."
        ) from error


def _joint_plan(data: str | None, arguments: dict[str, Any]) -> tuple[Stopped, Job | None]:
    """Plan the run and return its job; each of several processes checks its own copy of the set."""
    from detector.training.processes import alike, group, restart

    if (job := restart.this_job(data, arguments)) is None:
        return _plan(data, arguments), None
    alike.check_same_arguments(arguments)
    if group.joined():  # the run may have begun on other devices
        arguments = {**arguments, "device": arguments.get("device") or ("cpu" if group.on_cpu() else "")}
    if run := restart.run_to_go_on_with(job, Path(arguments.get("project") or RUNS).resolve()):
        log.info("training was started again: it goes on with %s", run)
        overrides = arguments if arguments.get("resume") else {k: v for k, v in arguments.items() if k == "device"}
        arguments = {**overrides, "resume": run}
    if resume := arguments.get("resume"):
        checkpoint = group.broadcast(lambda: checkpoint_of(resume, RUNS))
        alike.check_same_checkpoint(checkpoint)
        arguments = {**arguments, "resume": str(checkpoint)}
    plans = group.gather(lambda: _plan(data, arguments))
    plan = plans[group.rank()]
    alike.check_same_set(read_set(plan.overrides["data"]))
    return replace(plan, trained=plans[0].trained), job


def _plan(data: str | None, arguments: dict[str, Any]) -> Stopped:
    return _resumed_run(data, arguments) if arguments.get("resume") else Stopped(_new_run(data, arguments))


def _check_folder(folder: Path) -> None:
    """Refuse a weights folder that cannot be written into."""
    if folder.suffix == ".pt":
        raise ArgumentError(f"weights={folder}: give the folder; the file in it is named after the run (name=…).")
    if folder.exists() and not folder.is_dir():
        raise DetectorError(f"{folder.absolute()} is a file, and the weights land in that folder: move it away.")
    ancestor = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
        raise DetectorError(f"{ancestor} cannot be written into, and the weights land in {folder}: say weights=FOLDER.")


def _new_run(data: str | None, arguments: dict[str, Any]) -> dict[str, Any]:
    from detector.training.arguments.checks import check_start, parameters_of

    if data is None:
        raise DatasetError("Say what to train on: data=SET/data.yaml, as `detector convert` wrote it.")
    characters = read_set(data)
    overrides = training_arguments(characters, arguments)
    if (pictures := len(characters.rows(overrides.get("split") or "val")[0])) < FEW:
        log.warning("%s", say_few(pictures))
    for start in (overrides["model"], overrides.get("pretrained"), overrides.get("distill_model")):
        if isinstance(start, (str, Path)):
            check_start(str(start))
    if (freeze := overrides.get("freeze")) is not None:
        check_freeze(freeze, parameters_of(overrides["model"]))
    return overrides


def _resumed_run(data: str | None, arguments: dict[str, Any]) -> Stopped:
    arguments = dict(arguments)
    resume = arguments.pop("resume")
    stopped = resumed(resume, RUNS, data, arguments)
    return stopped or Stopped(_new_run(*begun_anew(resume, RUNS, data, arguments)))


def training_arguments(characters: CharacterSet, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of a run on the set: given ones, and this package's defaults for the others."""
    from detector.training.processes import group

    shape_hw = characters.config.shape_hw or DEFAULT_SHAPE_HW
    device = pick_device(arguments.get("device"))
    to_learn, validation_rows = characters.rows("train", arguments.get("split") or "val")
    pictures = len(to_learn)
    processes = group.count()
    batch = arguments.get("batch", math.ceil(batch_for(device.type, pictures) / processes) * processes)
    model = str(arguments.get("model") or shipped_detector(characters.config.symbols) or NETWORK)
    from_weights = model.endswith(".pt")
    policy = {k: v for k, v in asdict(Policy()).items() if k != "photometric"}
    overrides = {
        **DEFAULTS,
        **policy,
        "batch": batch,
        "lr0": (_FINE_TUNING_LR if from_weights else _FROM_SCRATCH_LR) * lr_factor(batch),
        "imgsz": max(shape_hw),
        "name": set_name(characters.root),
        "project": str(RUNS.resolve()),
        "amp": "bf16" if device.type == "cuda" else True,
        "deterministic": device.type != "cuda",  # there it forbids the fastest convolutions
        **arguments,
        **dict.fromkeys(AUGMENTATIONS, 0.0),
        "model": model,
        "data": str(characters.yaml_path),
        "task": "detect",
        "mode": "train",
    }
    group.check_shares(batch, pictures)
    _check_last_step(pictures, batch, overrides["imgsz"], processes)
    overrides.setdefault("nbs", batch if batch >= 1 else 64)
    if "epochs" not in arguments and "time" not in arguments:
        steps = _STEPS // 2 if from_weights else _STEPS
        # Below 1 it is a share of the GPU's memory, and nobody knows yet how many pictures these are.
        epochs = math.ceil(steps * (batch if batch >= 1 else _BATCH) / max(pictures, 1))
        overrides["epochs"] = min(max(epochs, 10), _MAX_EPOCHS)
        steps_an_epoch = math.ceil(pictures / (batch if batch >= 1 else _BATCH))
        overrides.setdefault("patience", default_patience(len(validation_rows), steps_an_epoch))
    overrides.setdefault("patience", 0)  # as many epochs, or hours, as are asked for
    overrides["project"] = str(Path(overrides["project"]).resolve())  # a relative one lands beside Ultralytics' own
    return overrides


def _check_last_step(pictures: int, batch: float, imgsz: int, processes: int) -> None:
    """Refuse a last step of one picture that is one cell of the network: it has no variance to normalise by.

    Raises:
        ArgumentError: saying which batch leaves more.
    """
    share, process_batch = math.ceil(pictures / processes), batch / processes
    if imgsz > STRIDE or batch < 1 or (share % process_batch or process_batch) != 1:
        return
    sizes = (size for size in range(int(process_batch) + 1, share + 1) if share % size != 1)
    fitting = next((f"batch={size * processes}" for size in sizes), "")
    raise ArgumentError(
        f"batch={batch} leaves a step of one picture ({pictures} in the set), and imgsz={imgsz} is too small to train "
        f"on one: give {f'{fitting}, or ' if fitting else ''}imgsz={2 * STRIDE} or more."
    )


def batch_for(device_type: str, pictures: int) -> int:
    """Return the default batch: 32, and on a GPU as many pictures as leave enough steps an epoch."""
    batch = _BATCH
    while device_type == "cuda" and batch < _MAX_GPU_BATCH and pictures >= 2 * batch * _STEPS_AN_EPOCH:
        batch *= 2
    return batch


def lr_factor(batch: float) -> float:
    """Scale AdamW's learning rate with the root of the batch's growth.

    Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", NeurIPS 2022.
    """
    return math.sqrt(max(batch, _BATCH) / _BATCH)
