"""What `yolo train` is given: refused before anything is done, where it makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detector.data.letterbox import STRIDE
from detector.errors import ArgumentError, DependencyError, WeightsError, is_installed
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

_QUANTIZERS = {"modelopt": "'nvidia-modelopt>=0.44'", "huggingface_hub": "huggingface_hub"}
"""Modules that Ultralytics trains with for ``quantize=8``, and the packages that have them."""


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
        quantize = get_cfg(DEFAULT_CFG_DICT, library_arguments).quantize  # 8 has several names
    except (SyntaxError, TypeError, ValueError) as error:
        raise ArgumentError(str(error).split("Arguments received")[0].strip()) from None
    if arguments.get("time") is not None and not arguments["time"] > 0:
        raise ArgumentError(f"time={arguments['time']}: give hours, more than 0, or leave it out.")
    if (seed := arguments.get("seed", 0)) >= 2**32:
        raise ArgumentError(f"seed={seed}: give a number from 0 to {2**32 - 1}.")
    if quantize == 8 and (missing := [name for name in _QUANTIZERS if not is_installed(name)]):
        command = " ".join(["pip install", *(_QUANTIZERS[name] for name in missing)])
        needed = " and ".join(missing)
        raise DependencyError(f"quantize={arguments['quantize']} needs {needed}: run `{command}`, or leave it out.")
    if (name := str(arguments.get("name") or "x")) != Path(name).name or name == "..":
        raise ArgumentError(f"name={name}: give a name without a folder; project=FOLDER says where runs lie.")
    _check_batch(arguments.get("batch", 1))
    if not isinstance(imgsz := arguments.get("imgsz", STRIDE), int) or imgsz < 1:
        raise ArgumentError(f"imgsz={imgsz!r}: give one number, the longer side; the set says its shape.")
    if isinstance(arguments.get("scale"), (list, tuple)):
        raise ArgumentError(f"scale={arguments['scale']}: give one number, by how much sizes may differ.")


def _check_batch(batch: Any) -> None:
    """Refuse what is neither pictures of a step nor, as Ultralytics has it, a share of the GPU's memory.

    Raises:
        ArgumentError: saying what may be given.
    """
    if isinstance(batch, int) and (batch == -1 or batch >= 1):
        return
    if not (isinstance(batch, float) and 0 < batch < 1):
        raise ArgumentError(
            f"batch={batch!r}: give pictures of a step, a whole number from 1 on, or leave it out; a share such as "
            "0.7, or -1, is of the GPU's memory."
        )


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
