"""What `yolo train` is given: refused before anything is done, where it makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from detector.data.letterbox import STRIDE
from detector.errors import ArgumentError, DetectorError, WeightsError
from detector.networks.ultralytics.library import (
    DEFAULT_CFG_DICT,
    check_dict_alignment,
    get_cfg,
    get_latest_run,
    in_short,
    increment_path,
    load_checkpoint,
    quiet,
    yaml_model_load,
)


def check_arguments(arguments: dict[str, Any]) -> None:
    """Refuse what `yolo train` would not know, in its words, and what makes no sense for text.

    Raises:
        ArgumentError: naming the argument.
    """
    try:
        with quiet():  # it would show all of its own help first
            check_dict_alignment(DEFAULT_CFG_DICT, arguments)
        known = {name: value for name, value in arguments.items() if name in DEFAULT_CFG_DICT}
        get_cfg(DEFAULT_CFG_DICT, known)
    except (SyntaxError, TypeError, ValueError) as error:
        raise ArgumentError(str(error).split("Arguments received")[0].strip()) from None
    if arguments.get("time") is not None and not arguments["time"] > 0:
        raise ArgumentError(f"time={arguments['time']}: give hours, more than 0, or leave it out.")
    if arguments.get("batch") == 0:
        raise ArgumentError("batch=0: give pictures of a step, 1 or more, or leave it out.")
    if not isinstance(imgsz := arguments.get("imgsz", STRIDE), int) or imgsz < 1:
        raise ArgumentError(f"imgsz={imgsz!r}: give one number, the longer side; the set says its shape.")
    if arguments.get("single_cls"):
        raise ArgumentError("single_cls=True: the characters are the classes, and there would be one; leave it out.")
    if cfg := arguments.get("cfg"):
        raise ArgumentError(f"cfg={cfg}: such a file would replace what text needs: give its values as NAME=VALUE.")


def check_start(model: str) -> None:
    """Refuse what training cannot start from: a ``.pt`` that is there, or a structure, also one of Ultralytics' own.

    Raises:
        WeightsError: saying why not.
    """
    path = Path(model)
    try:
        if path.suffix in (".yaml", ".yml"):
            yaml_model_load(model)
            return
        if path.suffix.lower() == ".pt" and path.is_file():
            load_checkpoint(model)
            return
    except Exception as error:  # whatever pickle and YAML meet
        raise WeightsError(f"{model} is nothing to start training from ({in_short(error)}).") from error
    there = "is no .pt or .yaml file" if path.is_file() else "is not there, and nothing is downloaded"
    raise WeightsError(f"{model} {there}: give weights (.pt), a structure such as yolo26n.yaml, or leave it out.")


def latest_run() -> Path:
    """The checkpoint of the newest run below this folder, which ``resume=True`` goes on with.

    Raises:
        DetectorError: if there is none.
    """
    found = get_latest_run()
    if not found:
        raise DetectorError(f"There is no run to resume below {Path.cwd()}: give resume=RUN/weights/last.pt.")
    return Path(found)


def check_resumable(path: Path) -> None:
    """Refuse what is no checkpoint of a run that was stopped.

    Raises:
        DetectorError: saying what it is.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever pickle meets
        raise DetectorError(f"{path} is no checkpoint: {error}") from None
    if not isinstance(held, dict) or held.get("optimizer") is None or held.get("epoch", -1) < 0:
        raise DetectorError(
            f"{path} is of a run that is finished, or was never one: there is nothing to resume. To train on from it, "
            f"start a new run with model={path}."
        )


def free_path(path: Path, exist_ok: bool) -> Path:
    """The path, or with a number if something is there and may not be replaced, as runs get theirs."""
    return Path(increment_path(path, exist_ok))
