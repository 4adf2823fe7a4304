"""`yolo train` for text: a run is planned or gone on with, trained, and its weights published."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.data.atomic import writing
from detector.data.parallel import Progress
from detector.data.sets.yolo_dataset import read_set
from detector.data.trust import trusting
from detector.errors import ArgumentError, DatasetError, DetectorError, ImageError
from detector.networks.arithmetic import kept_threads
from detector.networks.device import first_process, library_device, pick_device, say_device
from detector.text.metrics import TextScore
from detector.training.arguments.defaults import training_arguments
from detector.training.arguments.ineffective import check_freeze
from detector.training.publish import publish, target_of
from detector.training.result import TrainingResult, TrainingStopped
from detector.training.run_folder import RUNS, check_recordable, checkpoint_of
from detector.training.validation.evidence import FEW, say_few

if TYPE_CHECKING:
    from detector.training.arguments.resumed import RunPlan
    from detector.training.processes.restart import Job

log = logging.getLogger("detector")

WEIGHTS_FOLDER = Path("weights")
"""Where the weights to read with land."""

AUGMENT_ON = ("device", "picture")
"""Ways to follow the augmentation policy: a batch at a time, as the training device does it fastest (OpenCV on a CPU,
torch on a GPU), or a picture at a time with Albumentations, the reference."""


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
    progress: Progress | None = None,
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
        DetectorError: if there is no run to resume, weights cannot be written into the folder for them, or the name
            of a file or folder that the run records is not UTF-8.
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
    progress: Progress | None = None,
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
    check_arguments(arguments)
    if "device" in arguments:
        arguments["device"] = library_device(arguments["device"])
    _check_folder(folder)  # said before hours of training
    with trusting(trust):
        return _run(None if data is None else os.fspath(data), arguments, augment_on, folder, progress)


def _run(
    data: str | None, arguments: dict[str, Any], augment_on: str | None, folder: Path,
    progress: Progress | None,
) -> TrainingResult:  # fmt: skip
    from detector.training import trainer as text_trainer
    from detector.training.processes import group

    with kept_threads(), group.joining(arguments.get("device")):
        plan, job = _joint_plan(data, arguments)
        device = plan.overrides.get("device")
        log.info("%s", say_device(group.process_device() if group.joined() else pick_device(device)))
        trainer = text_trainer.run_trainer(plan.overrides, augment_on, plan.trained, progress, job)
        finished = trainer.finished_epochs()
        if trainer.interrupted and not (first_process() and finished and trainer.last.exists()):
            raise KeyboardInterrupt
        with writing(folder, lambda: f"resume={trainer.last}"), _needing_the_set(trainer.last):
            if first_process():
                target, published = publish(trainer, folder, device)
            else:
                target, _ = target_of(trainer.save_dir, folder, trainer.args.exist_ok)
                published = TextScore(0, 0, 0, 0)
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


def _joint_plan(data: str | None, arguments: dict[str, Any]) -> tuple[RunPlan, Job | None]:
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
        checkpoint = group.broadcast(lambda: checkpoint_of(resume))
        alike.check_same_checkpoint(checkpoint)
        arguments = {**arguments, "resume": str(checkpoint)}
    plans = group.gather(lambda: _plan(data, arguments))
    plan = plans[group.rank()]
    alike.check_same_set(read_set(plan.overrides["data"]))
    return replace(plan, trained=plans[0].trained), job


def _plan(data: str | None, arguments: dict[str, Any]) -> RunPlan:
    from detector.training.arguments.resumed import RunPlan, begun_anew, resumed

    if not (resume := arguments.get("resume")):
        plan = RunPlan(_new_run(data, arguments))
    else:
        others = {name: value for name, value in arguments.items() if name != "resume"}
        plan = resumed(resume, data, others) or RunPlan(_new_run(*begun_anew(resume, data, others)))
    check_recordable(plan.overrides.values())
    return plan


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
