"""What `yolo train` is given: refused before anything is done, where it makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detector.data.letterbox import STRIDE
from detector.errors import ArgumentError, WeightsError
from detector.networks.ultralytics.library import (
    DEFAULT_CFG_DICT,
    DetectionModel,
    check_dict_alignment,
    get_cfg,
    in_short,
    quiet,
    yaml_model_load,
)
from detector.networks.ultralytics.opening import open_weights
from detector.training.arguments.defaults import DEFAULTS
from detector.training.arguments.ineffective import check_effect


def check_arguments(arguments: dict[str, Any]) -> None:
    """Refuse what `yolo train` would not know, in its words, what makes no sense for text, and what has no effect.

    Raises:
        ArgumentError: naming the argument.
    """
    check_values(arguments)
    check_effect(arguments, DEFAULT_CFG_DICT, DEFAULTS["optimizer"])


def check_values(arguments: dict[str, Any]) -> None:
    """Refuse what `yolo train` would not know, in its words, and what makes no sense for text.

    Raises:
        ArgumentError: naming the argument.
    """
    try:
        with quiet():  # it would show all of its own help first
            check_dict_alignment(DEFAULT_CFG_DICT, arguments)
        library_arguments = {name: value for name, value in arguments.items() if name in DEFAULT_CFG_DICT}
        get_cfg(DEFAULT_CFG_DICT, library_arguments)
    except (SyntaxError, TypeError, ValueError) as error:
        raise ArgumentError(str(error).split("Arguments received")[0].strip()) from None
    if arguments.get("time") is not None and not arguments["time"] > 0:
        raise ArgumentError(f"time={arguments['time']}: give hours, more than 0, or leave it out.")
    if arguments.get("batch") == 0:
        raise ArgumentError("batch=0: give pictures of a step, 1 or more, or leave it out.")
    if not isinstance(imgsz := arguments.get("imgsz", STRIDE), int) or imgsz < 1:
        raise ArgumentError(f"imgsz={imgsz!r}: give one number, the longer side; the set says its shape.")
    if isinstance(arguments.get("scale"), (list, tuple)):
        raise ArgumentError(f"scale={arguments['scale']}: give one number, by how much sizes may differ.")


def check_start(model: str) -> None:
    """Refuse what training cannot start from: a ``.pt`` that is there, or a structure, also one of Ultralytics' own.

    Raises:
        WeightsError: saying why not.
    """
    path = Path(model)
    try:
        if path.suffix in (".yaml", ".yml"):
            _check_structure(model)
            return
        if path.suffix.lower() == ".pt" and path.is_file():
            open_weights(model)
            return
    except WeightsError:
        raise
    except Exception as error:  # whatever pickle and YAML meet
        raise WeightsError(f"{model} is nothing to start training from ({in_short(error)}).") from error
    problem = "is no .pt or .yaml file" if path.is_file() else "is not there, and nothing is downloaded"
    raise WeightsError(f"{model} {problem}: give weights (.pt), a structure such as yolo26n.yaml, or leave it out.")


def _check_structure(model: str) -> None:
    """Build the network once; an activation may be a class of ``torch.nn`` with numbers, and no code is run."""
    structure = yaml_model_load(model)
    layers = [*structure.get("backbone", ()), *structure.get("head", ())]
    if any("TorchVision" in layer for layer in layers):
        raise WeightsError(f"{model} has a layer TorchVision, whose weights would be downloaded: leave it out.")
    try:
        with quiet():
            DetectionModel(structure, verbose=False)
    except TypeError as error:
        if "activation" not in str(error):
            raise
        raise WeightsError(
            f"{model} has an activation that is no class of torch.nn with numbers: write for example nn.SiLU()."
        ) from None


def parameters_of(model: str) -> list[str]:
    """Return parameter names of a start that :func:`check_start` accepted."""
    if Path(model).suffix.lower() == ".pt":
        net = open_weights(model)[0]
    else:
        with quiet():
            net = DetectionModel(yaml_model_load(model), verbose=False)
    return [name for name, _ in net.named_parameters()]


def known_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a run's ``args.yaml`` that `yolo train` has, without derived ones."""
    derived = ("cfg", "mode", "model_config", "resume", "save_dir", "task", "workers")
    names = {*DEFAULT_CFG_DICT, "augmentations"}.difference(derived)
    return {name: value for name, value in arguments.items() if name in names and value is not None}
