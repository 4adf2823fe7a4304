"""The arguments of a run that goes on, by what its folder says."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detector.data.sets.yolo_dataset import CharacterSet, read_set
from detector.errors import ArgumentError, DatasetError, DetectorError, WeightsError
from detector.networks.ultralytics.library import DEFAULT_CFG_DICT, in_short
from detector.networks.ultralytics.opening import open_weights
from detector.training.arguments.checks import check_start, check_values, known_arguments
from detector.training.arguments.defaults import start_argument
from detector.training.arguments.ineffective import INEFFECTIVE
from detector.training.run_folder import (
    ARGUMENTS,
    BEST,
    LAST,
    RESULTS,
    START,
    Published,
    checkpoint_of,
    read_results,
    start_of,
)
from detector.training.validation.stopping import ending

log = logging.getLogger("detector")

_TAKEN_UP = ("patience", "time")  # of what ends training, all that Ultralytics lets a run that goes on change

_CHANGEABLE = (
    *_TAKEN_UP, "augmentations", "batch", "device", "distill_model", "freeze", "imgsz", "plots", "save_period",
)  # fmt: skip
"""All arguments of a run that Ultralytics lets one that goes on change, and that are followed here."""


@dataclass(frozen=True)
class RunPlan:
    """What a run begins or goes on with.

    Attributes:
        overrides: for the trainer.
        trained: whether nothing is left to train, only weights to publish.
    """

    overrides: dict[str, Any]
    trained: bool = False


def resumed(resume: str | Path | bool, data: str | Path | None, arguments: Mapping[str, Any]) -> RunPlan | None:
    """Return how a run is resumed; None where it stopped before its first checkpoint.

    Args:
        resume: checkpoint or folder of the run; True is the newest.
        data: the set, if it is another place than that where the run began.
        arguments: more of `yolo train`.

    Raises:
        ArgumentError: if an argument is another than the run's, and would not be followed.
        DetectorError: if there is nothing to go on with, saying why.
        DatasetError: if the set is not where it was, or is another one.
        WeightsError: if weights would run code.
    """
    checkpoint = checkpoint_of(resume)
    run = checkpoint.parent.parent
    if not checkpoint.is_file():
        if checkpoint.name == LAST and (run / ARGUMENTS).is_file():
            return None
        raise DetectorError(f"There is no checkpoint {checkpoint} to resume: give RUN/weights/last.pt.")
    network, content = check_resumable(checkpoint)
    at_end = content.get("epoch", -1) < 0
    published = Published.read(run)
    in_run = checkpoint.parent.name == "weights" and (run / ARGUMENTS).is_file() and (run / RESULTS).is_file()
    if at_end and published is not None and published.done and published.is_of(run):
        raise DetectorError(
            f"{run} is finished, and left the weights {published.name}: there is nothing to resume. To train on from "
            f"it, start a new run with model={checkpoint}."
        )
    if at_end and (checkpoint.name != LAST or not in_run or (published is not None and published.done)):
        raise DetectorError(
            f"{checkpoint} is of a run that is finished, or was never one: there is nothing to resume. To train on "
            f"from it, start a new run with model={checkpoint}."
        )
    if not in_run:
        raise DetectorError(
            f"{checkpoint} lies in no run's folder, where {RESULTS} and {ARGUMENTS} tell the rest: copy all of it, and "
            f"give RUN/weights/{checkpoint.name}. To train on from these weights, start a new run with "
            f"model={checkpoint}."
        )
    began_with = content.get("train_args") or {}
    _check_followed(checkpoint, arguments, {**DEFAULT_CFG_DICT, **began_with})
    characters = _set_of(run, data, began_with.get("data"), "".join(network.names.values()))
    in_force = {**began_with, **{name: arguments[name] for name in _TAKEN_UP if name in arguments}}
    trained = at_end or _is_trained(run, content["epoch"] + 1, in_force, characters)
    log.info("%s goes on with the set %s", run, characters.root)
    run_arguments = {"data": str(characters.yaml_path), "model": str(checkpoint), "resume": str(checkpoint)}
    device = {"device": began_with["device"]} if began_with.get("device") else {}
    return RunPlan({**device, **arguments, **run_arguments, "save_dir": str(run)}, trained)


def begun_anew(
    resume: str | Path | bool, data: str | Path | None, arguments: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return set and arguments of a run that stopped before its first checkpoint, to begin in the same folder.

    Args: as for :func:`resumed`.

    Raises:
        ArgumentError: if it is asked to lie elsewhere.
        DetectorError: if its arguments cannot be read.
        DatasetError: if the set is not where it was.
    """
    run = checkpoint_of(resume).parent.parent
    try:
        stored = known_arguments(yaml.safe_load((run / ARGUMENTS).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        raise DetectorError(
            f"{run} was stopped before it began, and {run / ARGUMENTS} cannot be read: start it again with data=…."
        ) from None
    check_values(stored)
    place = {name: arguments[name] for name in ("name", "project") if name in arguments}
    _check_followed(run / "weights" / LAST, place, {})
    characters = _set_of(run, data, stored.pop("data", None))
    if (name := start_argument(stored)) and (start := start_of(run)):
        stored[name] = str(start)
    log.info("%s was stopped before its first epoch was finished: it begins anew", run)
    place |= {"save_dir": str(run), "project": str(run.parent), "name": run.name}
    return str(characters.yaml_path), {**stored, **arguments, **place}


def _check_followed(checkpoint: Path, arguments: Mapping[str, Any], in_force: Mapping[str, Any]) -> None:
    """Refuse arguments that a run which goes on would not follow; Ultralytics warns at most.

    Args:
        checkpoint: of the run.
        arguments: that were given.
        in_force: those of the run.

    Raises:
        ArgumentError: naming all of them.
    """
    run = checkpoint.parent.parent
    places = {"model": checkpoint, "project": run.parent}
    of_run = {**in_force, "name": run.name, "project": None}

    def is_followed(name: str, value: Any) -> bool:
        if name in places and os.path.realpath(str(value)) == os.path.realpath(places[name]):
            return True
        # Of what has no effect in any run, only values that are in force anyway are accepted.
        return name in _CHANGEABLE or name in INEFFECTIVE or bool(value == of_run.get(name))

    ignored = [f"{name}={value}" for name, value in arguments.items() if not is_followed(name, value)]
    if ignored:
        raise ArgumentError(
            f"{', '.join(ignored)} would not be followed by {run}, which goes on with its own arguments: leave out "
            f"what differs, or start a new run with model={checkpoint}. {', '.join(sorted(_CHANGEABLE))} may change."
        )


def check_resumable(path: Path) -> tuple[Any, dict[str, Any]]:
    """Check a checkpoint to resume and the files that it opens, and return its network and content.

    Raises:
        WeightsError: if weights would run code.
        DetectorError: if it is no checkpoint.
    """
    try:
        network, content = open_weights(path)
    except WeightsError:
        raise
    except Exception as error:  # whatever pickle meets
        raise DetectorError(f"{path} is no checkpoint: {in_short(error)}") from None
    for weights in (path.with_name(BEST), path.with_name(START)):
        if weights != path and weights.exists():
            check_start(str(weights))
    if teacher := (content.get("train_args") or {}).get("distill_model"):
        check_start(str(teacher))
    return network, content


def _set_of(run: Path, data: str | Path | None, earlier: Any, symbols: str | None = None) -> CharacterSet:
    """Return the set that a run is resumed on.

    Args:
        run: its folder.
        data: what the user says; None takes ``earlier``.
        earlier: where it was when the run began.
        symbols: of the network, in class-id order; None if that is not known.
    """
    if data is None and not (earlier and Path(earlier).exists()):
        raise DatasetError(f"{run} was trained on {earlier}, and nothing is there now: say where its set is, data=SET.")
    characters = read_set(earlier if data is None else data)
    if symbols is not None and characters.config.symbols != symbols:
        raise DatasetError(
            f"{characters.root} has the characters {characters.config.symbols!r}, and {run} was trained on "
            f"{symbols!r}: say where its own set is, data=SET."
        )
    return characters


def _is_trained(run: Path, epochs: int, arguments: Mapping[str, Any], characters: CharacterSet) -> bool:
    """Test whether a run was stopped after its last epoch, by its table and arguments."""
    if arguments.get("time"):
        return False
    judging = len(characters.rows(arguments.get("split") or "val")[0])
    end = ending(read_results(run)[:epochs], judging, arguments.get("patience") or 0)
    planned = int(arguments["epochs"])
    return epochs >= (min(planned, end.end) if end else planned)
