"""Going through a pickle's steps with stand-ins, to refuse those that call what may do anything."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

NETWORKS = ("torch.nn.modules.", "ultralytics.nn.")
METHODS = ("forward", "forward_fuse", "forward_split")
"""Of a network's layers that older weights name."""


class CallError(Exception):
    """A step that calls what may do anything."""


class _Uncallable(type):
    def __call__(cls, *args: Any, **named: Any) -> Any:
        raise CallError(cls.__name__)


class _Layer:
    """Stands for whatever is made: it takes any state, and does nothing."""

    def __new__(cls, *args: Any) -> _Layer:
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


class Rehearsal(pickle.Unpickler):
    """Goes through a pickle's steps with stand-ins: nothing is imported or run. Calls of network classes are refused.

    ``find_class`` gives what a step names, and a step that makes an object of a class without calling it, as all
    networks are pickled, needs no more than a class.
    """

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full == "collections.OrderedDict":
            return OrderedDict
        if full in ("builtins.getattr", "__builtin__.getattr"):
            return _attribute
        return _Uncallable(full, (_Layer,), {}) if full.startswith(NETWORKS) else _Layer

    def persistent_load(self, pid: Any) -> Any:
        return _Layer()


def _attribute(of: Any, name: str) -> Any:
    if name not in METHODS:
        raise CallError(f"getattr(…, {name!r})")
    return _Layer()
