"""Weights: a network that is to be trained, one between two, one to hand around."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from detector.data.atomic import atomic_write
from detector.data.letterbox import DEFAULT_SHAPE_HW
from detector.data.sets.yolo_dataset import CONFIG_KEY
from detector.networks.network import OTHER, known_as
from detector.networks.ultralytics.library import (
    DetectionModel,
    ModelEMA,
    __version__,
    get_cfg,
    intersect_dicts,
    quiet,
)
from detector.networks.ultralytics.opening import open_weights
from detector.text.reading_config import ReadingConfig

log = logging.getLogger("detector")


def new_network(symbols: str, structure: Path | None, start: Path | None) -> Any:
    """Make a network to train on these symbols by :func:`detector.training.training_loop.train_network`.

    Args:
        symbols: in class-id order.
        structure: a ``.yaml``; None takes that of ``start``.
        start: weights (``.pt``), whose classes are carried over by their symbols; None trains from scratch.
    """
    start_net: Any = None if start is None else open_weights(start)[0]
    with quiet():  # it says that the number of classes is another one
        net = DetectionModel(start_net.yaml if structure is None else str(structure), nc=len(symbols), verbose=False)
    net.names = dict(enumerate(symbols))
    if start_net is not None:
        state = net.state_dict()
        shared_count = len(intersect_dicts(start_net.state_dict(), state))
        if shared_count < 0.9 * len(state):
            log.warning(
                "only %d of the network's %d tensors are in %s too: the others are new", shared_count, len(state), start
            )
        load_by_symbol(net, start_net)
    net.args = get_cfg()
    return net


def load_by_symbol(net: Any, source_net: Any, verbose: bool = False) -> None:
    """Load weights, classes matched by symbol; unknown ones start as :data:`OTHER`, where there is that.

    Ultralytics carries them over by name. But it takes a small letter for its capital also where there are both, and
    "0", "1", "2" in this order for no names: so it is shown others.
    """
    names, source_names = net.names, source_net.names
    source_symbols = {*source_names.values()}
    source_of = {
        name: known_as(name, source_symbols) or (OTHER if OTHER in source_symbols else name) for name in names.values()
    }
    net.names = {i: _code_points(source_of[name]) for i, name in names.items()}
    source_net.names = {i: _code_points(name) for i, name in source_names.items()}
    try:
        net.load(source_net, verbose=verbose)
    finally:
        net.names, source_net.names = names, source_names


def _code_points(name: str) -> str:
    return " ".join(f"U+{ord(sign):04X}" for sign in name)


def class_names(net: Any, symbols: str) -> dict[int, str]:
    """Return a network's class names of these symbols, with :data:`OTHER` after them where the network has it."""
    other_count = net.model[-1].nc - len(symbols)
    return dict(enumerate([*symbols, *[OTHER] * other_count]))


def averaged(net: torch.nn.Module) -> Any:
    """Return a moving average of a network's weights: its ``ema``, after each ``update``."""
    return ModelEMA(net, decay=0.999, tau=500)


def write_interpolated(trained: Path, start: Path, share: float, symbols: str, target: Path) -> Path:
    """Write an interpolation of two weights, for :class:`TorchNetwork` and :func:`publish`.

    Args:
        trained: of a run.
        start: what it started from; classes are carried over by their symbols.
        share: of ``start``, 0 to 1; classes and tensors that it does not have stay as they were trained.
        symbols: of ``trained``, in class-id order.
        target: file to write.
    """
    trained_net = open_weights(trained)[0].float()
    start_net = deepcopy(trained_net)
    start_net.names = class_names(trained_net, symbols)
    load_by_symbol(start_net, open_weights(start)[0])
    trained_state, start_state = trained_net.state_dict(), start_net.state_dict()
    mean = {
        name: tensor.lerp(start_state[name].to(tensor), share)
        for name, tensor in trained_state.items()
        if tensor.is_floating_point() and start_state[name].shape == tensor.shape
    }  # fmt: skip
    trained_net.load_state_dict({**trained_state, **mean})
    with atomic_write(target) as part, part.open("wb") as file:
        torch.save({"model": trained_net, "train_args": trained_net.args}, file)
    return target


def publish(
    checkpoint: Path, target: Path, config: ReadingConfig, facts: dict[str, Any],
    write_down: Callable[[Path], None] | None = None,
    writer: Callable[[Path], AbstractContextManager[Path]] = atomic_write,
) -> None:  # fmt: skip
    """Write a run's weights to distribute, see :func:`write_reader`.

    Args:
        checkpoint: of the run.
        target, config, facts, write_down, writer: as there.
    """
    write_reader(open_weights(checkpoint)[0], target, config, facts, write_down, writer)


def write_reader(
    net: Any, target: Path, config: ReadingConfig, facts: dict[str, Any],
    write_down: Callable[[Path], None] | None = None,
    writer: Callable[[Path], AbstractContextManager[Path]] = atomic_write,
) -> None:  # fmt: skip
    """Write weights to distribute: the network in half precision and the config, nothing of this machine.

    Args:
        net: the network; it is not to be trained any further.
        target: file to write.
        config: what readers must know.
        facts: of the run, for a person.
        write_down: called with the whole file just before it takes its place.
        writer: puts the file in place: ``atomic_write``, or ``atomic_create``, which replaces nothing.
    """
    model = net.float().to(memory_format=torch.contiguous_format).half().eval()
    model.criterion = None
    model.args = {"task": "detect", "imgsz": max(config.shape_hw or DEFAULT_SHAPE_HW)}
    model.names = class_names(model, config.symbols)
    model.pt_path = target.name  # Ultralytics notes the whole path that it was loaded from
    for parameter in model.parameters():
        parameter.requires_grad = False
    content = {
        "model": model,
        "ema": None,
        "optimizer": None,
        "epoch": -1,
        "train_args": dict(model.args),
        "version": __version__,
        "license": "AGPL-3.0-or-later",
        CONFIG_KEY: {**config.to_dict(), "facts": facts},
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with writer(target) as part:
        with part.open("wb") as file:
            torch.save(content, file)
        if write_down is not None:
            write_down(part)


def config_in_checkpoint(content: dict[str, Any] | None) -> ReadingConfig | None:
    """Return what :func:`publish` wrote; None where plain ``yolo train`` made the checkpoint."""
    return None if content is None else ReadingConfig.from_dict({k: v for k, v in content.items() if k != "facts"})
